"""A rollout turns policies into experience."""

from hinterland.rollout.answers import HostSystem, whole_system
from hinterland.rollout.episodes import (
    Episodes,
    Player,
    host_episodes,
    network_player,
    scripted_player,
    traced_episodes,
)
from hinterland.rollout.hosts import (
    SESSIONS,
    HostActor,
    HostRegions,
    episode_seed,
    first_place,
    random_observations,
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
from hinterland.rollout.systems import Regions, System
