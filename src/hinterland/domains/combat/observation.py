"""What a unit sees: itself, its side, the nearest tracks and friends, and whom it hears.

Everything is in the side's own frame, so that one network can play either side, and the sizes do
not depend on the number of units, so that it can play engagements of any size. `read` gives the
parts by name.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from hinterland.domains.combat.actions import TRACKS, nearest_tracks
from hinterland.domains.combat.rules import (
    BANDS,
    FREQUENCIES,
    HALF,
    LONG,
    MEMORY,
    MID,
    MISSILE_RANGE,
    MISSILES,
    STEPS,
    Forces,
)
from hinterland.domains.combat.sensors import in_beam
from hinterland.domains.combat.state import Side, direction, under_way

METRE = 1e-3
"""km; nobody is nearer than itself by a rounding error."""
FRIENDS = 4
"""Nearest living friends that a unit sees."""
SECTORS = 8
"""Directions of passive reception; 0 is towards the enemy's base, counted counter-clockwise."""

OWN = {
    "position": 2,  # in half sides of the field
    "heading": 2,
    "detector": 1,
    "jams": len(BANDS),  # which band its jammer is for
    "radar": 1 + FREQUENCIES,
    "jammer": 2 + FREQUENCIES,
    "missiles": len(MISSILES),  # shares of a full load
    "blinded": 1,
    "incoming": 1,  # missiles under way at it, / 4
    "soonest": 1,  # 1 / steps until the first of them arrives; 0: none
    "remaining": 1,  # share of the time
    "friends_left": 1,  # shares of the units at the start
    "enemies_left": 1,
    "missiles_left": 1,  # of the whole side
    "heard_radars": SECTORS,  # enemies in whose radar beams it stands, / 4
    "heard_jammers": SECTORS,
}
TRACK = {
    "known": 1,
    "held": 1,  # a radar of the side sees it now
    "own": 1,  # this unit's radar does
    "age": 1,  # / MEMORY
    "offset": 2,  # in half sides of the field
    "distance": 1,
    "heading": 2,
    "detector": 1,
    "in_long": 1,  # within the missile's range
    "in_mid": 1,
    "under_way": 1,  # missiles of the side at it, / 2
    "nearer": 1,  # armed friends that are nearer to it, / 4
    "frequency": FREQUENCIES,  # of its radar, if anybody on the side stands in its beam
    "threat": 1,  # this unit lies within 60 degrees of its course
}
FRIEND = {"known": 1, "offset": 2, "heading": 2, "armed": 1}
OBSERVATION = sum(OWN.values()) + TRACKS * sum(TRACK.values()) + FRIENDS * sum(FRIEND.values())


def _flat(parts: dict[str, Array], sizes: dict[str, int]) -> Float[Array, "... features"]:
    """Parts side by side, in the order of `sizes`; truths and scalars get an axis."""
    columns = [x if sizes[name] > 1 else x[..., None] for name, x in parts.items()]
    assert list(parts) == list(sizes)
    return jnp.concatenate([x.astype(jnp.float32) for x in columns], -1)


def read(observation: Float[Array, "... observation"]) -> tuple[dict, dict, dict]:
    """(own parts, parts of the tracks, parts of the friends) by name.

    Parts of size 1 lose their axis; tracks and friends have one in front of it.
    """

    def split(flat: Array, sizes: dict[str, int]) -> dict[str, Array]:
        pieces = jnp.split(flat, np.cumsum(list(sizes.values()))[:-1], -1)
        named = zip(sizes, pieces, strict=True)
        return {name: x if sizes[name] > 1 else x[..., 0] for name, x in named}

    own, track = sum(OWN.values()), sum(TRACK.values())
    leading = observation.shape[:-1]
    tracks = observation[..., own : own + TRACKS * track].reshape(*leading, TRACKS, track)
    friends = observation[..., own + TRACKS * track :].reshape(*leading, FRIENDS, -1)
    return split(observation[..., :own], OWN), split(tracks, TRACK), split(friends, FRIEND)


def observe(
    forces: Forces, mine: Side, theirs: Side, time: Int[Array, ""]
) -> Float[Array, "units observation"]:
    """All units of `mine`; of the enemies only what radars, tracks and receivers tell."""
    parts = _own(forces, mine, theirs, time), _tracks(forces, mine, theirs), _friends(mine)
    return jnp.concatenate([part.reshape(forces.units, -1) for part in parts], -1)


def _own(
    forces: Forces, mine: Side, theirs: Side, time: Int[Array, ""]
) -> Float[Array, "units own"]:
    units = forces.units

    def everybody(value: Array) -> Array:
        return jnp.broadcast_to(value, units)

    # Missiles under way at each unit: [enemy, missile, unit]
    at_me = (theirs.target[..., None] == jnp.arange(units)) & (theirs.flight > 0)[..., None]
    soonest = jnp.where(at_me, theirs.flight[..., None], STEPS).min((0, 1))
    offset = -theirs.position - mine.position[:, None]
    angle = jnp.arctan2(offset[..., 1], offset[..., 0])
    sector = jnp.round(angle * SECTORS / (2 * np.pi)).astype(jnp.int32) % SECTORS
    heard = mine.received[..., None] & (sector[..., None] == jnp.arange(SECTORS))

    def bearings(on: Array) -> Array:
        return (heard & (on > 0)[:, None]).sum(1) / 4

    full = np.maximum(forces.missiles, 1)
    parts = {
        "position": mine.position / HALF,
        "heading": direction(mine.course),
        "detector": jnp.asarray(forces.detector),
        "jams": jnp.asarray(forces.jammer_band[:, None] == np.arange(len(BANDS))),
        "radar": mine.radar[:, None] == jnp.arange(1 + FREQUENCIES),
        "jammer": mine.jammer[:, None] == jnp.arange(2 + FREQUENCIES),
        "missiles": mine.missiles / full,
        "blinded": mine.blinded,
        "incoming": at_me.sum((0, 1)) / 4,
        "soonest": jnp.where(soonest < STEPS, 1 / soonest, 0.0),
        "remaining": everybody(1 - time / STEPS),
        "friends_left": everybody(mine.alive.mean()),
        "enemies_left": everybody(theirs.alive.mean()),
        "missiles_left": everybody(
            (mine.missiles * mine.alive[:, None]).sum() / forces.missiles.sum()
        ),
        "heard_radars": bearings(theirs.radar),
        "heard_jammers": bearings(theirs.jammer),
    }
    return _flat(parts, OWN)


def _tracks(forces: Forces, mine: Side, theirs: Side) -> Float[Array, "units tracks track"]:
    near = nearest_tracks(mine)
    armed = mine.alive & mine.missiles.any(1)
    away = mine.track_position[:, None] - mine.position
    from_armed = jnp.where(armed, jnp.sqrt((away**2).sum(-1)), jnp.inf)
    columns = {
        "position": mine.track_position,
        "heading": direction(mine.track_course),
        "from_armed": from_armed,
        "age": mine.track_age,
        "detector": jnp.asarray(forces.detector),
        "under_way": under_way(mine),
        "frequency": jnp.where(mine.received.any(0), theirs.radar, 0),
    }
    of = _gathered(columns, near.enemy)
    offset = of["position"] - mine.position[:, None]
    parts = {
        "known": near.known,
        "held": of["age"] == 0,
        "own": jnp.take_along_axis(mine.contact, near.enemy, 1),
        "age": of["age"] / MEMORY,
        "offset": offset / HALF,
        "distance": near.distance / HALF,
        "heading": of["heading"],
        "detector": of["detector"],
        "in_long": near.distance <= MISSILE_RANGE[LONG],
        "in_mid": near.distance <= MISSILE_RANGE[MID],
        "under_way": of["under_way"] / 2,
        "nearer": (of["from_armed"] < near.distance[..., None] - METRE).sum(-1) / 4,
        "frequency": of["frequency"][..., None] == jnp.arange(1, 1 + FREQUENCIES),
        "threat": in_beam(of["heading"], -offset, near.distance),
    }
    return jnp.where(near.known[..., None], _flat(parts, TRACK), 0.0)


def _gathered(columns: dict[str, Array], index: Array) -> dict[str, Array]:
    """Rows of several columns by one index: a single gather is much cheaper than one for each."""
    flat = [x[:, None] if x.ndim == 1 else x for x in columns.values()]
    rows = jnp.concatenate([x.astype(jnp.float32) for x in flat], -1)[index]
    pieces = jnp.split(rows, np.cumsum([x.shape[1] for x in flat])[:-1], -1)
    named = zip(columns.items(), pieces, strict=True)
    return {name: x[..., 0] if column.ndim == 1 else x for (name, column), x in named}


def _friends(mine: Side) -> Float[Array, "units friends friend"]:
    units = len(mine.alive)
    offset = mine.position - mine.position[:, None]
    distance = jnp.sqrt((offset**2).sum(-1))
    friend = mine.alive & ~jnp.eye(units, dtype=bool)
    distance = jnp.where(friend, distance, jnp.inf)
    missing = max(0, FRIENDS - units)
    distance = jnp.pad(distance, ((0, 0), (0, missing)), constant_values=jnp.inf)
    near, who = jax.lax.top_k(-distance, FRIENDS)
    known = near > -jnp.inf
    who = jnp.where(known, who, 0)
    columns = {
        "position": mine.position,
        "heading": direction(mine.course),
        "armed": mine.missiles.any(1),
    }
    of = _gathered(columns, who)
    parts = {
        "known": known,
        "offset": (of["position"] - mine.position[:, None]) / HALF,
        "heading": of["heading"],
        "armed": of["armed"],
    }
    return jnp.where(known[..., None], _flat(parts, FRIEND), 0.0)


def central(
    forces: Forces, mine: Side, theirs: Side, time: Int[Array, ""]
) -> Float[Array, " central"]:
    """The time and every unit of both sides without fog, in the frame of `mine`."""

    def units(side: Side, enemy: Side, sign: int) -> Array:
        at = under_way(enemy)
        rows = [
            sign * side.position / HALF,
            sign * direction(side.course),
            side.missiles / np.maximum(forces.missiles, 1),
            side.radar[:, None] == jnp.arange(1 + FREQUENCIES),
            side.jammer[:, None] == jnp.arange(2 + FREQUENCIES),
            jnp.stack([side.alive, side.blinded, at / 4, enemy.track_age == 0], -1),
        ]
        rows = jnp.concatenate([x.astype(jnp.float32) for x in rows], -1)
        return jnp.where(side.alive[:, None], rows, 0.0).reshape(-1)

    clock = jnp.asarray(1 - time / STEPS, jnp.float32)[None]
    return jnp.concatenate([clock, units(mine, theirs, 1), units(theirs, mine, -1)])
