"""Networks; the only room that knows Equinox."""

from hinterland.nets.actor_critic import ActorCritic
from hinterland.nets.boards import BoardNetwork
from hinterland.nets.entity_grid import EntityGrid, to_numpy, trainable
from hinterland.nets.gru import GRU
from hinterland.nets.passing import PassingNetwork
from hinterland.nets.predictor import PredictorNetwork
from hinterland.nets.team import TeamNetwork, joined, team_network
