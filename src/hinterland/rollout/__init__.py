"""A rollout turns policies into experience."""

from hinterland.rollout.episodes import (
    Episodes,
    host_episodes,
    network_player,
    scripted_player,
    traced_episodes,
)
from hinterland.rollout.hosts import (
    SESSIONS,
    HostActor,
    HostRegions,
    ends_of,
    episode_seed,
    first_place,
    random_observations,
    rewards_of,
    view_of,
)
from hinterland.rollout.opponents import Seats, seats_for
from hinterland.rollout.segments import (
    Outcome,
    Place,
    begin,
    begin_place,
    host_segment,
    phases,
    traced_segment,
)
from hinterland.rollout.systems import HostSystem, Regions, System, whole_system
