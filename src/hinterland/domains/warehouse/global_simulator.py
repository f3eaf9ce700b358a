"""The whole warehouse: n x n learners and their ring of scripted robots, as dense arrays."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import GlobalStep
from hinterland.domains.warehouse import dynamics, lattice
from hinterland.domains.warehouse.cutting import SINGLE, Block, parts_of
from hinterland.domains.warehouse.heuristics import oldest_item
from hinterland.domains.warehouse.state import (
    BOTTOM,
    LEFT_SLOTS,
    RIGHT_SLOTS,
    TOP,
    WarehouseState,
)

Noise = tuple[Float[Array, "lines s 3"], Float[Array, "s lines 3"], Int[Array, "s s"]]
"""Uniform numbers on the horizontal and the vertical shelf lines, and an action of each robot."""


def _class_of(on_shelf: Bool[Array, "*any 3"]) -> Int[Array, "*any"]:
    """0..2: the cell of the shelf that is stood on; 3: none."""
    return 3 - (on_shelf * jnp.array([3, 2, 1])).sum(-1, dtype=jnp.int32)


def _heads(on: Bool[Array, "s s 12"]) -> Int[Array, "s s 4"]:
    """Class of each robot's sources: neighbours at the right, below, left, above; 3 outside."""
    outside = partial(jnp.pad, constant_values=3)
    right = outside(_class_of(on[..., LEFT_SLOTS]), ((0, 0), (0, 1)))[:, 1:]
    below = outside(_class_of(on[..., TOP]), ((0, 1), (0, 0)))[1:]
    left = outside(_class_of(on[..., RIGHT_SLOTS]), ((0, 0), (1, 0)))[:, :-1]
    above = outside(_class_of(on[..., BOTTOM]), ((1, 0), (0, 0)))[:-1]
    return jnp.stack([right, below, left, above], -1)


class GlobalWarehouse:
    """Global simulator. Learners are all robots off the border, in row-major order.

    Args:
        side: robots along one side, ring included (s = n + 2; s = n without the ring).
        ring: whether the border robots are scripted (always so in the paper) or learn too.
        block: of learners that are one region; with some left over, regions are of several kinds.
    """

    def __init__(self, side: int, ring: bool = True, block: Block = SINGLE) -> None:
        self.side = side
        self.inner = slice(1, -1) if ring else slice(None)
        self.ring = ring
        self._learning = side - 2 if ring else side
        self.agents = self._learning**2
        self._cuttings = [part.cutting(int(ring)) for part in parts_of(block, self._learning)]

    def reset(self, key: Key[Array, ""]) -> WarehouseState:
        """Empty shelves after one draw of items, all robots at their regions' centres."""
        return lattice.start(self._uniform(key))

    def _uniform(self, key: Key[Array, ""]) -> lattice.Uniform:
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
        age = lattice.region_slots(horizontal, vertical)
        action = actions.reshape(self._learning, self._learning)
        if self.ring:
            scripted = oldest_item(age, state.row, state.column, random_actions)
            action = scripted.at[self.inner, self.inner].set(action.astype(scripted.dtype))
        row, column = dynamics.move(state.row, state.column, action)
        on = dynamics.standing_on(row, column)
        reward = dynamics.collection_reward(age, on)
        taken = lattice.shelf_lines(on)
        items = lattice.restocked((horizontal, vertical), taken, (new_horizontal, new_vertical))
        after = WarehouseState(*items, row, column)
        heads = _heads(on)
        influence = _by_kind([cutting.influence(heads) for cutting in self._cuttings])
        return GlobalStep(after, self._learners(reward), jnp.asarray(False), influence)

    def _learners(self, values: Array) -> Array:
        """The learners' part of an [s, s] array, flattened to [agents]."""
        return values[self.inner, self.inner].reshape(self.agents)

    def regions(self, state: WarehouseState) -> Any:
        """Every region, stacked: robots, or blocks of them as small warehouses; by kind."""
        return _by_kind([cutting.regions(state) for cutting in self._cuttings])

    def region_noise(self, noise: Noise) -> Any:
        """Every region's share of the uniform numbers; by kind."""
        return _by_kind([cutting.noise(noise[:2]) for cutting in self._cuttings])


def _by_kind(parts: list[Any]) -> Any:
    """As the contract has it: a tuple, where there are several kinds."""
    return parts[0] if len(parts) == 1 else tuple(parts)
