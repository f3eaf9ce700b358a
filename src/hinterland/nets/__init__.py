"""Networks; the only room that knows Equinox."""

from hinterland.nets.actor_critic import ActorCritic
from hinterland.nets.entity_grid import EntityGrid, to_numpy, trainable
from hinterland.nets.gru import GRU
from hinterland.nets.linear import Linear
from hinterland.nets.predictor import PredictorNetwork
from hinterland.nets.slots import SlotNetwork
from hinterland.nets.team import TeamNetwork
from hinterland.nets.unpacked import Unpacked

__all__ = [
    "GRU",
    "ActorCritic",
    "EntityGrid",
    "Linear",
    "PredictorNetwork",
    "SlotNetwork",
    "TeamNetwork",
    "Unpacked",
    "to_numpy",
    "trainable",
]
