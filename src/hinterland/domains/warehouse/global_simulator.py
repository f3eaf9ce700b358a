"""The whole warehouse: n x n learners and their ring of scripted robots, as dense arrays."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from hinterland.core import GlobalStep
from hinterland.domains.warehouse import dynamics
from hinterland.domains.warehouse.heuristics import oldest_item
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

Noise = tuple[Float[Array, "lines s 3"], Float[Array, "s lines 3"], Int[Array, "s s"]]
"""Uniform numbers on the horizontal and the vertical shelf lines, and an action of each robot."""


def region_slots(
    horizontal: Shaped[Array, "lines s 3"], vertical: Shaped[Array, "s lines 3"]
) -> Shaped[Array, "s s 12"]:
    """The twelve slots of every region, read off the shared shelf lines."""
    sides = jnp.stack([vertical[:, :-1], vertical[:, 1:]], -1)
    s = vertical.shape[0]
    return jnp.concatenate([horizontal[:-1], horizontal[1:], sides.reshape(s, s, 6)], -1)


def shelf_lines(on: Bool[Array, "s s 12"]) -> tuple[Bool[Array, "s+1 s 3"], Bool[Array, "s s+1 3"]]:
    """Which cells of the shelf lines a robot stands on, from either side."""
    row, column = ((0, 1), (0, 0), (0, 0)), ((0, 0), (0, 1), (0, 0))
    back_row, back_column = ((1, 0), (0, 0), (0, 0)), ((0, 0), (1, 0), (0, 0))
    horizontal = jnp.pad(on[..., TOP], row) | jnp.pad(on[..., BOTTOM], back_row)
    vertical = jnp.pad(on[..., LEFT_SLOTS], column) | jnp.pad(on[..., RIGHT_SLOTS], back_column)
    return horizontal, vertical


def _class_of(on_shelf: Bool[Array, "*any 3"]) -> Int[Array, "*any"]:
    """0..2: the cell of the shelf that is stood on; 3: none."""
    return 3 - (on_shelf * jnp.array([3, 2, 1])).sum(-1, dtype=jnp.int32)


class GlobalWarehouse:
    """Global simulator. Learners are all robots off the border, in row-major order.

    Args:
        side: robots along one side, ring included (s = n + 2; s = n without the ring).
        ring: whether the border robots are scripted (always so in the paper) or learn too.
    """

    def __init__(self, side: int, ring: bool = True) -> None:
        self.side = side
        self.inner = slice(1, -1) if ring else slice(None)
        self.agents = (side - 2) ** 2 if ring else side**2
        self.ring = ring

    def reset(self, key: Key[Array, ""]) -> WarehouseState:
        """Empty shelves after one draw of items, all robots at their regions' centres."""
        s = self.side
        noise = self._uniform(key)
        centre = jnp.full((s, s), SIDE // 2, jnp.int32)
        empty_horizontal = jnp.full((s + 1, s, 3), EMPTY, jnp.int32)
        empty_vertical = jnp.full((s, s + 1, 3), EMPTY, jnp.int32)
        return WarehouseState(
            dynamics.spawn(empty_horizontal, noise[0]),
            dynamics.spawn(empty_vertical, noise[1]),
            centre,
            centre,
        )

    def _uniform(
        self, key: Key[Array, ""]
    ) -> tuple[Float[Array, "lines s 3"], Float[Array, "s lines 3"]]:
        """One number per shelf cell."""
        s = self.side
        both = jax.random.uniform(key, (2, s + 1, s, 3))
        return both[0], both[1].swapaxes(0, 1)

    def noise(self, key: Key[Array, ""]) -> Noise:
        """Uniform numbers for new items, and a random action per robot for idle ring robots."""
        spawn_key, action_key = jax.random.split(key)
        horizontal, vertical = self._uniform(spawn_key)
        actions = jax.random.randint(action_key, (self.side, self.side), 0, 4)
        return horizontal, vertical, actions

    def step(
        self, state: WarehouseState, actions: Int[Array, " agents"], noise: Noise
    ) -> GlobalStep[WarehouseState]:
        """One step of all robots; ring robots go to the oldest item of their region."""
        new_horizontal, new_vertical, random_actions = noise
        horizontal, vertical = dynamics.grow(state.horizontal), dynamics.grow(state.vertical)
        age = region_slots(horizontal, vertical)
        learners = self.side - 2 if self.ring else self.side
        action = actions.reshape(learners, learners)
        if self.ring:
            scripted = oldest_item(age, state.row, state.column, random_actions)
            action = scripted.at[self.inner, self.inner].set(action.astype(scripted.dtype))
        row, column = dynamics.move(state.row, state.column, action)
        on = dynamics.standing_on(row, column)
        reward = dynamics.collection_reward(age, on)
        on_horizontal, on_vertical = shelf_lines(on)
        after = WarehouseState(
            dynamics.spawn(jnp.where(on_horizontal, EMPTY, horizontal), new_horizontal),
            dynamics.spawn(jnp.where(on_vertical, EMPTY, vertical), new_vertical),
            row,
            column,
        )
        return GlobalStep(after, self._learners(reward), jnp.asarray(False), self._influence(on))

    def _learners(self, values: Array) -> Array:
        """The learners' part of an [s, s, ...] array, flattened to [agents, ...]."""
        inner = values[self.inner, self.inner]
        return inner.reshape(self.agents, *values.shape[2:])

    def _influence(self, on: Bool[Array, "s s 12"]) -> Int[Array, "agents 4"]:
        """Class of each head: neighbours at the right, below, left, above; 3 outside the grid."""
        outside = partial(jnp.pad, constant_values=3)
        right = outside(_class_of(on[..., LEFT_SLOTS]), ((0, 0), (0, 1)))[:, 1:]
        below = outside(_class_of(on[..., TOP]), ((0, 1), (0, 0)))[1:]
        left = outside(_class_of(on[..., RIGHT_SLOTS]), ((0, 0), (1, 0)))[:, :-1]
        above = outside(_class_of(on[..., BOTTOM]), ((1, 0), (0, 0)))[:-1]
        return self._learners(jnp.stack([right, below, left, above], -1))

    def regions(self, state: WarehouseState) -> RegionState:
        """Every learner's region, stacked."""
        age = region_slots(state.horizontal, state.vertical)
        return RegionState(
            self._learners(age), self._learners(state.row), self._learners(state.column)
        )

    def region_noise(self, noise: Noise) -> Float[Array, "agents 12"]:
        """Every learner's share of the uniform numbers."""
        return self._learners(region_slots(noise[0], noise[1]))
