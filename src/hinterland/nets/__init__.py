"""General networks; a domain may bring its own."""

from hinterland.nets.acting import KindsNetwork, PassingNetwork
from hinterland.nets.actor_critic import ActorCritic
from hinterland.nets.layers import GRU
from hinterland.nets.own import made, shapes_of, what_of
from hinterland.nets.predictor import PredictorNetwork
from hinterland.nets.team import TeamNetwork, joined, team_network
