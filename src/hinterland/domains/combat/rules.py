"""All constants of the engagement, with their units, and what each unit of a side is.

Lengths are km, one step is 10 s. The field's origin is its centre. Each side counts in its own
frame: its base is at negative x, the enemy's at positive x, so the enemy's frame is ours turned by
180 degrees, and what is at p for us is at -p for them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from hinterland.core import UserError

HALF = 100.0
"""Half the side of the square field, km."""
STEPS = 150
"""Steps of an episode (25 minutes)."""
COURSES = 16
"""Courses a unit can fly; 0 is towards the enemy's base, counted counter-clockwise."""
FIGHTER_SPEED, DETECTOR_SPEED = 2.5, 1.25
"""km per step (250 and 125 m/s)."""
FIGHTER_START, DETECTOR_START = (-90.0, -70.0), (-98.0, -90.0)
"""Range of x, km; y is anywhere between -START_WIDTH and START_WIDTH."""
START_WIDTH = 60.0

BANDS = ("X", "L", "S")
"""Radar bands: the fighters', and the two of detectors."""
RADAR_RANGE = (80.0, 140.0, 120.0)
"""km, by band."""
FREQUENCIES = 4
"""Points of each band. Four keep evasion possible and the number of actions small."""
BARRAGE = FREQUENCIES + 1
"""Setting of a jammer that covers all points of its band at once; 0 is off."""
HALF_BEAM_COSINE = 0.5
"""Of half the field of view of a fighter's radar, and of a jammer's beam: 60 degrees each way."""
POINT_JAM_RANGE, BARRAGE_JAM_RANGE = 100.0, 50.0
"""km; the power of a barrage is spread over the band."""
MEMORY = 10
"""Steps for which a side remembers an enemy that none of its radars sees any more."""

LONG, MID = 0, 1
"""Kinds of missile."""
MISSILES = (2, 4)
"""Of each kind on a fighter; detectors have none."""
MISSILE_RANGE = (60.0, 35.0)
"""km."""
MISSILE_SPEED = 10.0
"""km per step (1 km/s): a missile takes as many steps as it has tens of km to fly, rounded up."""
HIT_PROBABILITY = (0.6, 0.8)
"""If a radar of the side sees the target when the missile arrives."""
UNGUIDED = 0.25
"""What is left of it if none does."""

DETECT_FIGHTER, DETECT_DETECTOR = 0.1, 0.2
"""Reward of an enemy's first detection, shared by the units that see it."""
HIT, LOST = 1.0, -1.0
"""Reward of a kill, shared by the missiles that hit at once, and of being destroyed."""
LAUNCH_VALID, LAUNCH_INVALID = 0.05, -0.05
TOTAL_WIN, WIN = 2.0, 1.0
"""Of each unit alive at the last step; the losers get the negative. Total: no enemy is left."""


class Forces(NamedTuple):
    """What each unit of a side is; both sides have the same forces. Detectors come first."""

    detector: Bool[np.ndarray, " units"]
    radar_band: Int[np.ndarray, " units"]
    """Index in `BANDS`."""
    jammer_band: Int[np.ndarray, " units"]
    """Index in `BANDS`; -1 without a jammer."""
    speed: Float[np.ndarray, " units"]
    """km per step."""
    missiles: Int[np.ndarray, "units 2"]
    """At the start."""

    @property
    def units(self) -> int:
        """Of a side."""
        return len(self.detector)

    @property
    def radar_range(self) -> Float[np.ndarray, " units"]:
        """km."""
        return np.array(RADAR_RANGE, np.float32)[self.radar_band]


def make_forces(units: int, detectors: int) -> Forces:
    """So many units a side, the first of them detectors.

    Detectors have L and S radars in turn. The last fighter jams the L band if there is a detector,
    the one before it the S band if there are two and at least three fighters; all others the X
    band.

    Raises:
        UserError: no fighter is left.
    """
    if not 0 <= detectors < units:
        raise UserError(
            f"--detectors {detectors}: of {units} units on a side at least one must be a fighter"
        )
    detector = np.arange(units) < detectors
    band = np.where(detector, 1 + np.arange(units) % 2, 0)
    jammer = np.where(detector, -1, 0)
    fighters = units - detectors
    if detectors > 0 and fighters > 1:
        jammer[-1] = 1
    if detectors > 1 and fighters > 2:
        jammer[-2] = 2
    return Forces(
        detector=detector,
        radar_band=band,
        jammer_band=jammer,
        speed=np.where(detector, DETECTOR_SPEED, FIGHTER_SPEED).astype(np.float32),
        missiles=np.where(detector[:, None], 0, np.array(MISSILES)).astype(np.int32),
    )
