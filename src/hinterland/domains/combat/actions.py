"""The commands of one unit, and what they do to its settings.

One flat list, of which a unit picks one a step: carry on, a new course, another radar setting,
another jammer setting, or a missile at one of the nearest tracks. Settings last until changed, as
does the course. The product of all choices would be 16 x 5 x 6 x 11 = 5,280 actions, nearly all of
them never tried; the list has 38 and reaches every combination within four steps. The price is that
a unit which retunes or fires does not turn in that step (10 s). Courses are absolute in the side's
frame, like the offsets of the tracks in the observation, so that pursuit is linear in what is seen.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hinterland.domains.combat.rules import (
    COURSES,
    FREQUENCIES,
    LONG,
    MID,
    MISSILE_RANGE,
    MISSILE_SPEED,
    MISSILES,
    Forces,
)
from hinterland.domains.combat.state import UNKNOWN, Side, missile_kinds

TRACKS = 5
"""Nearest tracks that a unit sees and can fire at."""
CARRY_ON = 0
COURSE = 1
"""First of the courses; RADAR, JAMMER, ... likewise."""
RADAR = COURSE + COURSES
JAMMER = RADAR + 1 + FREQUENCIES
FIRE_LONG = JAMMER + 2 + FREQUENCIES
FIRE_MID = FIRE_LONG + TRACKS
ACTIONS = FIRE_MID + TRACKS


class Nearest(NamedTuple):
    """For each unit the nearest tracks of its side, nearest first."""

    enemy: Int[Array, "units tracks"]
    distance: Float[Array, "units tracks"]
    known: Bool[Array, "units tracks"]


def nearest_tracks(side: Side) -> Nearest:
    """Tracks by distance from each unit; of equally near ones the lower slot first."""
    offset = side.track_position - side.position[:, None]
    distance = jnp.sqrt((offset**2).sum(-1))
    distance = jnp.where(side.track_age < UNKNOWN, distance, jnp.inf)
    missing = max(0, TRACKS - distance.shape[1])
    distance = jnp.pad(distance, ((0, 0), (0, missing)), constant_values=jnp.inf)
    near, enemy = jax.lax.top_k(-distance, TRACKS)
    known = near > -jnp.inf
    return Nearest(jnp.where(known, enemy, 0), jnp.where(known, -near, 0.0), known)


def mask(forces: Forces, side: Side) -> Bool[Array, "units actions"]:
    """What each unit may do: no setting it has already, no missile it lacks, no lost target."""

    def settings(present: Array, count: int, allowed: Array) -> Array:
        return (present[:, None] != jnp.arange(count)) & allowed[:, None]

    units = len(side.alive)
    near = nearest_tracks(side)
    held = near.known & (side.track_age[near.enemy] == 0)
    fire = held[:, None] & (side.missiles > 0)[..., None]
    has_jammer = jnp.asarray(forces.jammer_band >= 0)
    possible = [
        jnp.ones((units, 1), bool),
        settings(side.course, COURSES, side.alive),
        settings(side.radar, 1 + FREQUENCIES, side.alive),
        settings(side.jammer, 2 + FREQUENCIES, has_jammer),
        fire[:, LONG],
        fire[:, MID],
    ]
    return jnp.concatenate(possible, -1) & side.alive[:, None]


def obey(
    forces: Forces, side: Side, action: Int[Array, " units"]
) -> tuple[Side, Bool[Array, " units"], Bool[Array, " units"]]:
    """(the side with its new settings and missiles, whose launch was valid, whose was not).

    Invalid is a launch at a target out of the missile's range; the missile stays. An action that
    the mask forbids does nothing.
    """
    allowed = jnp.take_along_axis(mask(forces, side), action[:, None], 1)[:, 0]
    action = jnp.where(allowed, action, CARRY_ON)

    def setting(present: Array, first: int, count: int) -> Array:
        chosen = action - first
        return jnp.where((chosen >= 0) & (chosen < count), chosen, present)

    fires = action >= FIRE_LONG
    kind = (action >= FIRE_MID).astype(jnp.int32)
    place = jnp.clip(action - FIRE_LONG - kind * TRACKS, 0, TRACKS - 1)[:, None]
    near = nearest_tracks(side)
    enemy, distance = (jnp.take_along_axis(x, place, 1)[:, 0] for x in near[:2])
    left = jnp.take_along_axis(side.missiles, kind[:, None], 1)[:, 0]
    valid = fires & (distance <= jnp.array(MISSILE_RANGE)[kind])

    # Missiles of a kind leave in the order of their places.
    first = np.cumsum((0, *MISSILES))[:-1]
    leaves = jnp.asarray(first)[kind] + jnp.asarray(MISSILES)[kind] - left
    this = valid[:, None] & (jnp.arange(len(missile_kinds())) == leaves[:, None])
    steps = jnp.maximum(jnp.ceil(distance / MISSILE_SPEED).astype(jnp.int32), 1)
    spent = valid[:, None] & (jnp.arange(len(MISSILES)) == kind[:, None])
    after = side._replace(
        course=setting(side.course, COURSE, COURSES),
        radar=setting(side.radar, RADAR, 1 + FREQUENCIES),
        jammer=setting(side.jammer, JAMMER, 2 + FREQUENCIES),
        missiles=side.missiles - spent,
        target=jnp.where(this, enemy[:, None], side.target),
        flight=jnp.where(this, steps[:, None], side.flight),
    )
    return after, valid, fires & ~valid
