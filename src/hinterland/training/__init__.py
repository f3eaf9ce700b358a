"""The main loops: lockstep on the global simulator, DIALS, and systems of entities."""

from hinterland.training.estimate import check_evaluation, check_processors, check_resources
from hinterland.training.evaluate import evaluate_networks, evaluate_scripted
from hinterland.training.experiment import Experiment, Unevaluated
from hinterland.training.games import check_players, watch_game
from hinterland.training.messages import message_sizes
from hinterland.training.progress import Lines, Progress, Silent
from hinterland.training.run import check_config, simulator_processes, train

__all__ = [
    "Experiment",
    "Lines",
    "Progress",
    "Silent",
    "Unevaluated",
    "check_config",
    "check_evaluation",
    "check_players",
    "check_processors",
    "check_resources",
    "evaluate_networks",
    "evaluate_scripted",
    "message_sizes",
    "simulator_processes",
    "train",
    "watch_game",
]
