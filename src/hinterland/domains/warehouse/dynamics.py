"""Rules that the global and the local simulator share, for one robot or any array of robots."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hinterland.domains.warehouse.state import (
    DOWN,
    EMPTY,
    LEFT,
    RIGHT,
    SIDE,
    SLOT_COLUMN,
    SLOT_ROW,
    SPAWN_PROBABILITY,
    UP,
)


def grow(age: Int[Array, "*any"]) -> Int[Array, "*any"]:
    """Every item is one step older; empty slots stay empty."""
    return jnp.where(age == EMPTY, EMPTY, age + 1)


def move(
    row: Int[Array, "*any"], column: Int[Array, "*any"], action: Int[Array, "*any"]
) -> tuple[Int[Array, "*any"], Int[Array, "*any"]]:
    """Where a robot stands after its action; a blocked move leaves it where it is.

    A robot never leaves its region. On the left and right columns it cannot go up or down, on the
    top and bottom rows not left or right: a shelf cell is left only inwards, so corners are never
    entered.
    """
    last = SIDE - 1
    on_side = (column == 0) | (column == last)
    on_end = (row == 0) | (row == last)
    down = (action == DOWN).astype(row.dtype) - (action == UP).astype(row.dtype)
    right = (action == RIGHT).astype(row.dtype) - (action == LEFT).astype(row.dtype)
    new_row = jnp.where(on_side, row, jnp.clip(row + down, 0, last))
    new_column = jnp.where(on_end, column, jnp.clip(column + right, 0, last))
    return new_row, new_column


def standing_on(row: Int[Array, "*any"], column: Int[Array, "*any"]) -> Bool[Array, "*any 12"]:
    """Which of its region's slots each robot stands on (at most one)."""
    return (row[..., None] == SLOT_ROW.astype(row.dtype)) & (
        column[..., None] == SLOT_COLUMN.astype(row.dtype)
    )


def collection_reward(
    age: Int[Array, "*any 12"], on: Bool[Array, "*any 12"]
) -> Float[Array, "*any"]:
    """Age of the collected item over the oldest age in the region; 0 without an item underfoot."""
    oldest = jnp.maximum(age.max(-1), 1)
    collected = jnp.where(on, jnp.maximum(age, 0), 0).sum(-1)
    return collected.astype(jnp.float32) / oldest.astype(jnp.float32)


def spawn(age: Int[Array, "*any"], uniform: Float[Array, "*any"]) -> Int[Array, "*any"]:
    """Each free slot receives a new item with probability 0.02."""
    return jnp.where((age == EMPTY) & (uniform < SPAWN_PROBABILITY), 0, age)
