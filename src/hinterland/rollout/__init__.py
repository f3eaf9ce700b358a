"""A rollout turns policies into experience."""

from hinterland.rollout.autoreset import reset_where, select
from hinterland.rollout.episodes import (
    Episodes,
    network_actor,
    play,
    scripted_actor,
    scripted_memory,
)
from hinterland.rollout.joint import GlobalCopies, begin_joint, joint_rollout
from hinterland.rollout.scan import LocalCopies, begin, rollout

__all__ = [
    "Episodes",
    "GlobalCopies",
    "LocalCopies",
    "begin",
    "begin_joint",
    "joint_rollout",
    "network_actor",
    "play",
    "reset_where",
    "rollout",
    "scripted_actor",
    "scripted_memory",
    "select",
]
