"""A rollout turns policies into experience."""

from hinterland.rollout.answers import HostSystem, whole_system
from hinterland.rollout.hosts import SESSIONS, HostActor, HostRegions, episode_seed, first_place
from hinterland.rollout.segments import begin, begin_place, host_segment, traced_segment
from hinterland.rollout.systems import Regions, System
