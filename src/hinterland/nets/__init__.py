"""General networks; a domain may bring its own."""

from hinterland.nets.actor_critic import ActorCritic
from hinterland.nets.gru import GRU
from hinterland.nets.linear import Linear
from hinterland.nets.own import OwnNetwork, made, shapes_of, what_of
from hinterland.nets.passing import PassingNetwork
from hinterland.nets.predictor import PredictorNetwork
from hinterland.nets.team import TeamNetwork, joined, team_network

__all__ = [
    "GRU",
    "ActorCritic",
    "Linear",
    "OwnNetwork",
    "PassingNetwork",
    "PredictorNetwork",
    "TeamNetwork",
    "joined",
    "made",
    "shapes_of",
    "team_network",
    "what_of",
]
