"""Networks; the only room that knows Equinox."""

from hinterland.nets.actor_critic import ActorCritic
from hinterland.nets.gru import GRU
from hinterland.nets.linear import Linear
from hinterland.nets.predictor import PredictorNetwork
from hinterland.nets.slots import SlotNetwork

__all__ = ["GRU", "ActorCritic", "Linear", "PredictorNetwork", "SlotNetwork"]
