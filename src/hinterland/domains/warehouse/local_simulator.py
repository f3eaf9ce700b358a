"""One robot's region, its neighbours played by four influence sources."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from hinterland.core import Step
from hinterland.domains.warehouse import dynamics
from hinterland.domains.warehouse.state import (
    BOTTOM,
    EMPTY,
    LEFT_SLOTS,
    RIGHT_SLOTS,
    SIDE,
    SLOTS,
    TOP,
    RegionState,
)

HEADS = (RIGHT_SLOTS, BOTTOM, LEFT_SLOTS, TOP)
"""Slots that each influence source reaches: neighbours at the right, below, left, above."""


def removed_by_neighbours(influence: Int[Array, " 4"]) -> Bool[Array, " 12"]:
    """Slots that a neighbour stands on: class k of a head is the k-th cell of that shelf."""
    removed = jnp.zeros(SLOTS, bool)
    for head, slots in enumerate(HEADS):
        removed = removed.at[slots].set(jnp.arange(3) == influence[head])
    return removed


class LocalWarehouse:
    """Local simulator of one robot (the paper's figure 2 with appendix B's rules)."""

    def reset(self, key: Key[Array, ""]) -> RegionState:
        """An empty region after one draw of items, the robot at its centre."""
        age = dynamics.spawn(jnp.full(SLOTS, EMPTY, jnp.int32), jax.random.uniform(key, (SLOTS,)))
        centre = jnp.asarray(SIDE // 2, jnp.int32)
        return RegionState(age, centre, centre)

    def observe(self, state: RegionState) -> UInt8[Array, " 37"]:
        """25 cells of the own position (one-hot, row-major), then 12 item bits; uint8."""
        cell = jax.nn.one_hot(state.row * SIDE + state.column, SIDE * SIDE, dtype=jnp.uint8)
        return jnp.concatenate([cell, (state.age != EMPTY).astype(jnp.uint8)])

    def dset(self, state: RegionState) -> UInt8[Array, " 37"]:
        """The observation: it holds all that the neighbours' presence can be told from."""
        return self.observe(state)

    def noise(self, key: Key[Array, ""]) -> Float[Array, " 12"]:
        """One uniform number per slot decides on new items."""
        return jax.random.uniform(key, (SLOTS,))

    def step(
        self,
        state: RegionState,
        action: Int[Array, ""],
        influence: Int[Array, " 4"],
        noise: Float[Array, " 12"],
    ) -> Step[RegionState]:
        """Ages grow, the robot moves and is paid, collected items vanish, new ones appear."""
        age = dynamics.grow(state.age)
        row, column = dynamics.move(state.row, state.column, action)
        on = dynamics.standing_on(row, column)
        reward = dynamics.collection_reward(age, on)
        age = jnp.where(on | removed_by_neighbours(influence), EMPTY, age)
        return Step(
            RegionState(dynamics.spawn(age, noise), row, column), reward, jnp.asarray(False)
        )
