"""Who learns where, when, and how well."""

from hinterland.training.estimate import check_resources, message_sizes
from hinterland.training.evaluate import check_players, evaluate_policy, evaluate_scripted, watch
from hinterland.training.experiment import Experiment, Unevaluated
from hinterland.training.progress import Lines, Silent
from hinterland.training.run import check_config, train, trained
