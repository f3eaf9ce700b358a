"""A rollout turns policies into experience."""

from hinterland.rollout.actors import (
    HostActor,
    HostPlace,
    Outcome,
    System,
    View,
    first_place,
    rewards_of,
    view_of,
)
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
from hinterland.rollout.opponents import Seats, seats_for
from hinterland.rollout.scan import LocalCopies, begin, rollout
from hinterland.rollout.segments import Place, begin_place, host_segment, traced_segment
from hinterland.rollout.team_episodes import (
    TeamEpisodes,
    network_policy,
    scripted_policy,
    traced_episodes,
)
from hinterland.rollout.team_episodes import host_episodes as team_host_episodes

__all__ = [
    "SESSIONS",
    "EntityCopies",
    "EntityEpisodes",
    "Episodes",
    "GlobalCopies",
    "HostActor",
    "HostCollector",
    "HostCopies",
    "HostEntityCollector",
    "HostEntityCopies",
    "HostLocalCopies",
    "HostPlace",
    "LocalCopies",
    "NetworkActor",
    "Outcome",
    "Place",
    "Seats",
    "System",
    "TeamEpisodes",
    "View",
    "begin",
    "begin_entities",
    "begin_joint",
    "begin_place",
    "entity_actor",
    "entity_rollout",
    "episode_seed",
    "first_place",
    "host_segment",
    "joint_rollout",
    "network_actor",
    "network_policy",
    "play",
    "play_entities",
    "play_host",
    "play_host_entities",
    "reset_where",
    "rewards_of",
    "rollout",
    "scripted_actor",
    "scripted_memory",
    "scripted_policy",
    "seats_for",
    "select",
    "team_host_episodes",
    "traced_episodes",
    "traced_segment",
    "view_of",
]
