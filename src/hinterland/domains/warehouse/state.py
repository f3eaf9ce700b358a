"""Geometry and state of the warehouse.

Robots stand on an s x s lattice, s = n + 2. The region of robot (i, j) is rows 4i..4i+4 and columns
4j..4j+4 of a square grid of side 4s + 1, so that neighbouring regions overlap in one line. Shelf
cells lie on those shared lines, three on each side of a region; corners hold nothing.

The twelve shelf slots of a region, in the order of the observation: top row columns 1..3, bottom
row columns 1..3, then (row 1 left, row 1 right, row 2 left, row 2 right, row 3 left, row 3 right).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int

SIDE = 5
"""Side of a region in cells."""
SLOTS = 12
UP, DOWN, LEFT, RIGHT = range(4)
EMPTY = -1
"""Age of a slot without an item; a new item has age 0."""
SPAWN_PROBABILITY = 0.02
HORIZON = 100

SLOT_ROW = np.array([0, 0, 0, 4, 4, 4, 1, 1, 2, 2, 3, 3])
SLOT_COLUMN = np.array([1, 2, 3, 1, 2, 3, 0, 4, 0, 4, 0, 4])
TOP, BOTTOM = slice(0, 3), slice(3, 6)
LEFT_SLOTS, RIGHT_SLOTS = slice(6, 12, 2), slice(7, 12, 2)


class RegionState(NamedTuple):
    """One robot's region: ages of its twelve slots (-1: empty) and where the robot stands.

    Of many regions every array has a leading axis.
    """

    age: Int[Array, "... 12"]
    row: Int[Array, "..."]
    column: Int[Array, "..."]


class WarehouseState(NamedTuple):
    """The whole warehouse, or a block of robots: ages on horizontal and vertical lines, all robots.

    `horizontal[i, j]` is the shelf above region (i, j), left to right; `vertical[i, j]` the shelf
    to its left, top to bottom. Rows and columns of robots are relative to their regions. There is
    one line more than there are rows, or columns, of robots.

    Of many blocks every array has a leading axis.
    """

    horizontal: Int[Array, "... _lines _columns 3"]
    vertical: Int[Array, "... _rows _across 3"]
    row: Int[Array, "... _rows _columns"]
    column: Int[Array, "... _rows _columns"]
