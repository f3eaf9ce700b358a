"""Pure functions on arrays that turn experience into better policies."""

from hinterland.learn.gae import gae
from hinterland.learn.ppo import Learner, PPOSettings, make_optimiser, ppo_update

__all__ = ["Learner", "PPOSettings", "gae", "make_optimiser", "ppo_update"]
