"""How the learners' part of the warehouse is cut into regions: single robots, or blocks of them.

Where blocks do not fill the square, what is left at the right and below makes smaller ones: regions
of up to four kinds.
"""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from hinterland.core import UserError
from hinterland.core.types import HostOrDevice
from hinterland.domains.checked import rows_by_columns
from hinterland.domains.warehouse.lattice import Uniform, region_slots
from hinterland.domains.warehouse.state import RegionState, WarehouseState

Shares = tuple[Float[Array, "regions l c 3"], Float[Array, "regions r a 3"]]
"""Of each block, a number per shelf cell, on its horizontal and on its vertical lines."""


class Block(NamedTuple):
    """How many rows and columns of robots one local simulator models."""

    rows: int
    columns: int

    @property
    def robots(self) -> int:
        """In one block."""
        return self.rows * self.columns

    @property
    def sources(self) -> int:
        """Robots outside that share a shelf with the block: one beside each border shelf.

        In the order of a single robot's: those at the right, from top to bottom; below, from left
        to right; at the left; above.
        """
        return 2 * (self.rows + self.columns)


SINGLE = Block(1, 1)


def block_of(region: str | None, side: int) -> Block:
    """The block that "ROWSxCOLUMNS" names; a single robot without it.

    Args:
        region: as the user gave it.
        side: of the square of learning robots.

    Raises:
        UserError: another form, or larger than the square.
    """
    if region is None:
        return SINGLE
    sizes = rows_by_columns(region)
    if sizes is None:
        raise UserError(f"--region {region}: must be ROWSxCOLUMNS of robots, for example 2x2")
    if max(sizes) > side:
        raise UserError(
            f"--region {region}: is larger than the {side} x {side} learning robots; ROWS and "
            f"COLUMNS may each be 1 to {side}"
        )
    return Block(*sizes)


class Cutting(Protocol):
    """What the global simulator gives of each region, stacked; learners in row-major order."""

    def influence(self, heads: Int[Array, "s s 4"]) -> Int[Array, "regions sources"]:
        """Out of every robot's own sources: its neighbours at the right, below, left, above."""
        ...

    def regions(self, state: WarehouseState) -> RegionState | WarehouseState:
        """The local states."""
        ...

    def noise(self, uniform: Uniform) -> Float[Array, "regions 12"] | Shares:
        """The local simulators' shares of the numbers."""
        ...


class Singly:
    """Every learner is a region.

    Args:
        down: the rows of the lattice whose robots these are.
        across: the columns.
    """

    def __init__(self, down: slice, across: slice) -> None:
        self._inner = down, across

    def influence(self, heads: Int[Array, "s s 4"]) -> Int[Array, "regions 4"]:
        """As they are."""
        return self._learners(heads)

    def regions(self, state: WarehouseState) -> RegionState:
        """Twelve slots and one robot."""
        age = region_slots(state.horizontal, state.vertical)
        return RegionState(
            self._learners(age), self._learners(state.row), self._learners(state.column)
        )

    def noise(self, uniform: Uniform) -> Float[Array, "regions 12"]:
        """A number per slot."""
        return self._learners(region_slots(*uniform))

    def _learners(self, values: Shaped[Array, "s s *any"]) -> Shaped[Array, "regions *any"]:
        inner = values[self._inner]
        return inner.reshape(-1, *values.shape[2:])


class Blocks:
    """Blocks of learners, and in each of them its robots, in row-major order.

    Args:
        block: the size of one.
        down: the rows of the lattice where they begin.
        across: the columns.
    """

    def __init__(self, block: Block, down: range, across: range) -> None:
        self._down = np.array(down)[:, None] + np.arange(block.rows + 1)
        self._across = np.array(across)[:, None] + np.arange(block.columns + 1)

    def influence(self, heads: Int[Array, "s s 4"]) -> Int[Array, "regions sources"]:
        """Of the robots along the border, those that look out of the block."""
        each = self._robots(heads)
        right, below = each[:, :, -1, 0], each[:, -1, :, 1]
        left, above = each[:, :, 0, 2], each[:, 0, :, 3]
        return jnp.concatenate([right, below, left, above], -1)

    def regions(self, state: WarehouseState) -> WarehouseState:
        """Each block as a small warehouse; a shelf between two blocks is in both."""
        return WarehouseState(
            self._horizontal(state.horizontal),
            self._vertical(state.vertical),
            self._robots(state.row),
            self._robots(state.column),
        )

    def noise(self, uniform: Uniform) -> Shares:
        """A number per shelf cell."""
        horizontal, vertical = uniform
        return self._horizontal(horizontal), self._vertical(vertical)

    def _robots(self, values: Shaped[Array, "s s *any"]) -> Shaped[Array, "regions r c *any"]:
        return _cut(values, self._down[:, :-1], self._across[:, :-1])

    def _horizontal(self, values: Shaped[Array, "lines s 3"]) -> Shaped[Array, "regions l c 3"]:
        return _cut(values, self._down, self._across[:, :-1])

    def _vertical(self, values: Shaped[Array, "s lines 3"]) -> Shaped[Array, "regions r l 3"]:
        return _cut(values, self._down[:, :-1], self._across)


def _cut(
    values: Shaped[HostOrDevice, "down across *any"],
    down: Int[np.ndarray, "blocks_down r"],
    across: Int[np.ndarray, "blocks_across c"],
) -> Shaped[HostOrDevice, "regions r c *any"]:
    """The rectangles that these rows and columns span, block after block."""
    found = values[down[:, None, :, None], across[None, :, None, :]]
    return found.reshape(-1, *found.shape[2:])


class Part(NamedTuple):
    """Regions of one size."""

    block: Block
    down: range
    """The rows of the learners' square where they begin."""
    across: range

    def agents(self, side: int) -> Int[np.ndarray, "regions robots"]:
        """The agents of each."""
        numbers = np.arange(side**2).reshape(side, side)
        both = zip((self.down, self.across), self.block, strict=True)
        down, across = (np.array(starts)[:, None] + np.arange(size) for starts, size in both)
        return _cut(numbers, down, across).reshape(-1, self.block.robots)

    def cutting(self, first: int) -> Cutting:
        """What it cuts out of a lattice whose learners begin at that row and column."""
        both = self.down, self.across
        down, across = (range(x.start + first, x.stop + first, x.step) for x in both)
        if self.block == SINGLE:
            return Singly(*(slice(x.start, x.stop) for x in (down, across)))
        return Blocks(self.block, down, across)


def parts_of(block: Block, side: int) -> tuple[Part, ...]:
    """A square of so many rows and columns, in blocks: whole ones, and what is left of them."""

    def pieces(size: int) -> list[tuple[int, range]]:
        rest = side % size
        whole = [(size, range(0, side - rest, size))]
        return whole + [(rest, range(side - rest, side, size))] * (rest > 0)

    return tuple(
        Part(Block(rows, columns), down, across)
        for rows, down in pieces(block.rows)
        for columns, across in pieces(block.columns)
    )
