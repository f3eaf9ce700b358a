"""A rollout turns policies into experience."""

from hinterland.rollout.autoreset import reset_where, select
from hinterland.rollout.entities import (
    EntityCopies,
    EntityEpisodes,
    begin_entities,
    entity_actor,
    entity_rollout,
    play_entities,
)
from hinterland.rollout.episodes import (
    Episodes,
    network_actor,
    play,
    scripted_actor,
    scripted_memory,
)
from hinterland.rollout.host import (
    SESSIONS,
    HostCollector,
    HostCopies,
    NetworkActor,
    episode_seed,
    play_host,
)
from hinterland.rollout.host_entities import HostEntityCollector, HostEntityCopies
from hinterland.rollout.host_games import play_host_entities
from hinterland.rollout.host_local import HostLocalCopies
from hinterland.rollout.joint import GlobalCopies, begin_joint, joint_rollout
from hinterland.rollout.scan import LocalCopies, begin, rollout

__all__ = [
    "SESSIONS",
    "EntityCopies",
    "EntityEpisodes",
    "Episodes",
    "GlobalCopies",
    "HostCollector",
    "HostCopies",
    "HostEntityCollector",
    "HostEntityCopies",
    "HostLocalCopies",
    "LocalCopies",
    "NetworkActor",
    "begin",
    "begin_entities",
    "begin_joint",
    "entity_actor",
    "entity_rollout",
    "episode_seed",
    "joint_rollout",
    "network_actor",
    "play",
    "play_entities",
    "play_host",
    "play_host_entities",
    "reset_where",
    "rollout",
    "scripted_actor",
    "scripted_memory",
    "select",
]
