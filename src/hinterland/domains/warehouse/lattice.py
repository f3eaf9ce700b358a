"""Robots on a lattice and the shelf lines between them: the whole warehouse, or a block of it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from hinterland.domains.warehouse import dynamics
from hinterland.domains.warehouse.state import (
    BOTTOM,
    EMPTY,
    LEFT_SLOTS,
    RIGHT_SLOTS,
    SIDE,
    TOP,
    RegionState,
    WarehouseState,
)

Uniform = tuple[Float[Array, "lines columns 3"], Float[Array, "rows across 3"]]
"""A number per shelf cell, on the horizontal and on the vertical lines."""
Ages = tuple[Int[Array, "lines columns 3"], Int[Array, "rows across 3"]]
Taken = tuple[Bool[Array, "lines columns 3"], Bool[Array, "rows across 3"]]


def region_slots(
    horizontal: Shaped[Array, "lines columns 3"], vertical: Shaped[Array, "rows across 3"]
) -> Shaped[Array, "rows columns 12"]:
    """The twelve slots of every region, read off the shared shelf lines."""
    sides = jnp.stack([vertical[:, :-1], vertical[:, 1:]], -1)
    rows, columns = sides.shape[:2]
    return jnp.concatenate([horizontal[:-1], horizontal[1:], sides.reshape(rows, columns, 6)], -1)


def shelf_lines(on: Bool[Array, "rows columns 12"]) -> Taken:
    """Which cells of the shelf lines a robot stands on, from either side."""
    row, column = ((0, 1), (0, 0), (0, 0)), ((0, 0), (0, 1), (0, 0))
    back_row, back_column = ((1, 0), (0, 0), (0, 0)), ((0, 0), (1, 0), (0, 0))
    horizontal = jnp.pad(on[..., TOP], row) | jnp.pad(on[..., BOTTOM], back_row)
    vertical = jnp.pad(on[..., LEFT_SLOTS], column) | jnp.pad(on[..., RIGHT_SLOTS], back_column)
    return horizontal, vertical


def start(uniform: Uniform) -> WarehouseState:
    """Empty shelves after one draw of items, all robots at their regions' centres."""
    horizontal, vertical = uniform
    rows, columns = vertical.shape[0], horizontal.shape[1]
    centre = jnp.full((rows, columns), SIDE // 2, jnp.int32)
    nothing = [jnp.full(line.shape, EMPTY, jnp.int32) for line in uniform]
    return WarehouseState(
        dynamics.spawn(nothing[0], horizontal), dynamics.spawn(nothing[1], vertical), centre, centre
    )


def restocked(older: Ages, taken: Taken, uniform: Uniform) -> Ages:
    """Ages at the end of a step: taken items are gone, new ones lie on free cells."""
    horizontal, vertical = (
        dynamics.spawn(jnp.where(gone, EMPTY, age), new)
        for age, gone, new in zip(older, taken, uniform, strict=True)
    )
    return horizontal, vertical


def robots_of(state: WarehouseState) -> RegionState:
    """Every robot's region, stacked in row-major order."""
    age = region_slots(state.horizontal, state.vertical)
    return RegionState(age.reshape(-1, age.shape[-1]), state.row.ravel(), state.column.ravel())
