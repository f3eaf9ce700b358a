"""State of an engagement: two sides, each in its own frame."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from hinterland.domains.combat.rules import COURSES, MEMORY, MISSILES

RED, BLUE = 0, 1
"""The sides; in an `EntitySimulator` red learns."""
UNKNOWN = MEMORY + 1
"""Age of a track that the side does not have."""


def _directions() -> np.ndarray:
    """Unit vectors of the courses; opposite ones are exactly opposite, so that sides are alike."""
    angles = 2 * np.pi * np.arange(COURSES // 2) / COURSES
    half = np.stack([np.cos(angles), np.sin(angles)], -1).round(7)
    return np.concatenate([half, -half]).astype(np.float32)


DIRECTIONS = _directions()


class Side(NamedTuple):
    """One side, or both: in `State` every array has a leading axis (red, blue)."""

    position: Float[Array, "... units 2"]
    course: Int[Array, "... units"]
    alive: Bool[Array, "... units"]
    radar: Int[Array, "... units"]
    """0: off, else the frequency point."""
    jammer: Int[Array, "... units"]
    """0: off, else the frequency point, or `BARRAGE`."""
    missiles: Int[Array, "... units 2"]
    """Left, long and mid range."""
    target: Int[Array, "... units missiles"]
    """Enemy at which each missile was fired; long-range ones come first."""
    flight: Int[Array, "... units missiles"]
    """Steps until it arrives; 0: not under way."""
    contact: Bool[Array, "... units enemies"]
    """Which enemies each unit's own radar sees."""
    blinded: Bool[Array, "... units"]
    """Whose radar is on and jammed."""
    received: Bool[Array, "... units enemies"]
    """In whose radar's or jammer's beam each unit stands."""
    track_position: Float[Array, "... enemies 2"]
    """Where the side last saw each enemy, in its own frame."""
    track_course: Int[Array, "... enemies"]
    track_age: Int[Array, "... enemies"]
    """Steps since then; `UNKNOWN` if forgotten, never seen, or destroyed."""
    found: Bool[Array, "... enemies"]
    """Which enemies the side has ever seen."""


class State(NamedTuple):
    """A whole engagement."""

    sides: Side
    time: Int[Array, ""]
    over: Bool[Array, ""]
    won: Bool[Array, " 2"]
    """Which side has won; nobody before the end or after a draw."""


def other(sides: Side) -> Side:
    """Both sides in each other's place."""
    return jax.tree.map(lambda x: x[::-1], sides)


def swapped(state: State) -> State:
    """The same engagement with red called blue."""
    return state._replace(sides=other(state.sides), won=state.won[::-1])


def direction(course: Int[Array, "..."]) -> Float[Array, "... 2"]:
    """Unit vectors of courses."""
    return jnp.asarray(DIRECTIONS)[course]


def turned(course: Int[Array, "..."]) -> Int[Array, "..."]:
    """The same courses in the enemy's frame."""
    return (course + COURSES // 2) % COURSES


def under_way(side: Side) -> Int[Array, "... enemies"]:
    """Missiles in flight at each enemy."""
    at = side.target[..., None] == jnp.arange(side.track_age.shape[-1])
    return (at & (side.flight > 0)[..., None]).sum((-3, -2))


def missile_kinds() -> Int[np.ndarray, " missiles"]:
    """Kind of each missile of a fighter."""
    return np.repeat(np.arange(len(MISSILES)), MISSILES)
