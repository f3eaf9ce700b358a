"""The main loops: lockstep on the global simulator, and DIALS."""

from hinterland.training.evaluate import evaluate_networks, evaluate_scripted
from hinterland.training.experiment import Experiment
from hinterland.training.progress import Progress, Silent
from hinterland.training.run import train

__all__ = ["Experiment", "Progress", "Silent", "evaluate_networks", "evaluate_scripted", "train"]
