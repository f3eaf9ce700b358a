"""Hand-written robots: to the oldest item, to the nearest item, at random."""

from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from hinterland.core import ScriptedPolicy
from hinterland.domains.warehouse.lattice import robots_of
from hinterland.domains.warehouse.state import (
    DOWN,
    EMPTY,
    HORIZON,
    LEFT,
    RIGHT,
    SIDE,
    SLOT_COLUMN,
    SLOT_ROW,
    SLOTS,
    UP,
    RegionState,
    WarehouseState,
)

# Slots in row-major order of their cells. Items of one age appeared in this order, and the first
# of several equally old items is the one to go for.
_ROW_MAJOR = np.argsort(SLOT_ROW * SIDE + SLOT_COLUMN)


def _blocked_move(row: int, column: int, action: int) -> tuple[int, int]:
    """`dynamics.move` on plain integers, to build the path table at import."""
    if action in (UP, DOWN) and column not in (0, SIDE - 1):
        return min(max(row + (1 if action == DOWN else -1), 0), SIDE - 1), column
    if action in (LEFT, RIGHT) and row not in (0, SIDE - 1):
        return row, min(max(column + (1 if action == RIGHT else -1), 0), SIDE - 1)
    return row, column


def _paths() -> tuple[np.ndarray, np.ndarray]:
    """First action of a shortest path from each cell to each slot, and its length.

    Breadth-first search from every cell; -1 where no move is needed. Returns [25, 12] twice.
    """
    first = np.full((SIDE * SIDE, SLOTS), -1, np.int32)
    length = np.zeros((SIDE * SIDE, SLOTS), np.int32)
    slot_of = {
        (int(r), int(c)): k for k, (r, c) in enumerate(zip(SLOT_ROW, SLOT_COLUMN, strict=True))
    }
    for start in range(SIDE * SIDE):
        origin = divmod(start, SIDE)
        queue = deque([(origin, -1, 0)])
        seen = {origin}
        while queue:
            cell, opening, distance = queue.popleft()
            if cell in slot_of:
                first[start, slot_of[cell]] = opening
                length[start, slot_of[cell]] = distance
            for action in (UP, DOWN, LEFT, RIGHT):
                successor = _blocked_move(*cell, action)
                if successor not in seen:
                    seen.add(successor)
                    queue.append((successor, action if distance == 0 else opening, distance + 1))
    return first, length


FIRST_ACTION, PATH_LENGTH = _paths()


def _towards(
    target: Int[Array, "*any"],
    anything: Array,
    row: Int[Array, "*any"],
    column: Int[Array, "*any"],
    random_action: Int[Array, "*any"],
) -> Int[Array, "*any"]:
    """First step to the target slot; the random action if there is none or it is underfoot."""
    action = jnp.asarray(FIRST_ACTION)[row * SIDE + column, target]
    return jnp.where(anything & (action >= 0), action, random_action)


def oldest_item(
    age: Int[Array, "*any 12"],
    row: Int[Array, "*any"],
    column: Int[Array, "*any"],
    random_action: Int[Array, "*any"],
) -> Int[Array, "*any"]:
    """The ring's policy: a step towards the oldest item of the region."""
    ordered = age[..., _ROW_MAJOR]
    target = jnp.asarray(_ROW_MAJOR)[ordered.argmax(-1)]
    return _towards(target, ordered.max(-1) != EMPTY, row, column, random_action)


def nearest_item(
    age: Int[Array, "*any 12"],
    row: Int[Array, "*any"],
    column: Int[Array, "*any"],
    random_action: Int[Array, "*any"],
    target: Int[Array, "*any"],
) -> tuple[Int[Array, "*any"], Int[Array, "*any"]]:
    """A step towards the item with the shortest path, kept as `target` until it is gone.

    Of several equally near items the one that appeared first; -1 stands for no target.
    """
    kept = (target >= 0) & (jnp.take_along_axis(age, target[..., None], -1)[..., 0] != EMPTY)
    ordered = age[..., _ROW_MAJOR]
    length = jnp.asarray(PATH_LENGTH)[row * SIDE + column][..., _ROW_MAJOR]
    # Lexicographic: path length first, then age; ages stay below the horizon.
    far = jnp.where(ordered == EMPTY, SIDE * SIDE, length) * (HORIZON + 1) - ordered
    anything = age.max(-1) != EMPTY
    nearest = jnp.asarray(_ROW_MAJOR)[far.argmin(-1)]
    target = jnp.where(kept, target, jnp.where(anything, nearest, -1))
    return _towards(target, anything, row, column, random_action), target


class _Oldest:
    initial = None

    def __call__(self, key: Key[Array, ""], memory: None, state: RegionState) -> tuple[Array, None]:
        """One step towards the oldest item."""
        anywhere = jax.random.randint(key, (), 0, 4)
        return oldest_item(state.age, state.row, state.column, anywhere), memory


class _Nearest:
    initial = np.int32(-1)

    def __call__(
        self, key: Key[Array, ""], memory: Array, state: RegionState
    ) -> tuple[Array, Array]:
        """One step towards the item chosen earlier, or the nearest one."""
        anywhere = jax.random.randint(key, (), 0, 4)
        return nearest_item(state.age, state.row, state.column, anywhere, memory)


class _Random:
    initial = None

    def __call__(self, key: Key[Array, ""], memory: None, state: RegionState) -> tuple[Array, None]:
        """Any of the four moves."""
        return jax.random.randint(key, (), 0, 4), memory


class OfBlock:
    """A robot's policy for every robot of a block.

    Args:
        policy: of one robot.
        robots: of the block.
    """

    def __init__(self, policy: ScriptedPolicy, robots: int) -> None:
        self._policy, self._robots = policy, robots
        self.initial = jax.tree.map(lambda x: np.broadcast_to(x, (robots,)), policy.initial)

    def __call__(
        self, key: Key[Array, ""], memory: Any, state: WarehouseState
    ) -> tuple[Int[Array, " robots"], Any]:
        """Each by itself."""
        keys = jax.random.split(key, self._robots)
        return jax.vmap(self._policy)(keys, memory, robots_of(state))


SCRIPTED: dict[str, ScriptedPolicy] = {
    "heuristic": _Oldest(),
    "oldest": _Oldest(),
    "nearest": _Nearest(),
    "random": _Random(),
}
