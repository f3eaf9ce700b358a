"""General networks; a domain may bring its own."""

from hinterland.nets.actor_critic import ActorCritic
from hinterland.nets.gru import GRU
from hinterland.nets.kinds import KindsNetwork
from hinterland.nets.own import OwnNetwork, made, shapes_of, what_of
from hinterland.nets.passing import PassingNetwork
from hinterland.nets.predictor import PredictorNetwork
from hinterland.nets.team import TeamNetwork, joined, team_network
