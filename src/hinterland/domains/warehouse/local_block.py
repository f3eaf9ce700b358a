"""A block of robots, those outside that share a shelf with it played by influence sources."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, Shaped, UInt8

from hinterland.core import Step
from hinterland.domains.warehouse import dynamics, lattice
from hinterland.domains.warehouse.cutting import Block
from hinterland.domains.warehouse.local_simulator import LocalWarehouse
from hinterland.domains.warehouse.state import EMPTY, WarehouseState


def border(
    horizontal: Shaped[Array, "lines columns 3"], vertical: Shaped[Array, "rows across 3"]
) -> Shaped[Array, "sources 3"]:
    """The shelves along the block's border, in the order of its influence sources."""
    return jnp.concatenate([vertical[:, -1], horizontal[-1], vertical[:, 0], horizontal[0]])


class LocalBlock:
    """Local simulator of rows x columns robots: a small warehouse whose border others reach too."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._robot = LocalWarehouse()

    def reset(self, key: Key[Array, ""]) -> WarehouseState:
        """Empty shelves after one draw of items, all robots at their centres."""
        return lattice.start(self.noise(key))

    def observe(self, state: WarehouseState) -> UInt8[Array, "robots 37"]:
        """What each robot sees, as if it were alone in its 5 x 5 cells."""
        return jax.vmap(self._robot.observe)(lattice.robots_of(state))

    def dset(self, state: WarehouseState) -> UInt8[Array, " dset"]:
        """Nine bits of each border shelf's three cells: an item, a new item, a robot of the block.

        What happens inside reaches the robots outside only by the items of the border shelves, and
        what tells of those robots reaches the inside only there. The bits give the whole history
        of these items, ages included (an item's age counts from the step it was new), so given them
        no path leads through an item. But an item that vanishes was taken by one side or the other,
        and knowing that it did ties the two together: therefore also where the block's own robots
        stand on these shelves. Given both, what else is inside tells nothing about who comes.
        """
        robots = lattice.robots_of(state)
        on = dynamics.standing_on(robots.row, robots.column).reshape(*state.row.shape, -1)
        age = border(state.horizontal, state.vertical)
        bits = jnp.stack([age != EMPTY, age == 0, border(*lattice.shelf_lines(on))], 1)
        return bits.astype(jnp.uint8).ravel()

    def noise(self, key: Key[Array, ""]) -> lattice.Uniform:
        """One uniform number per shelf cell decides on new items."""
        rows, columns = self.block
        across, down = jax.random.split(key)
        return (
            jax.random.uniform(across, (rows + 1, columns, 3)),
            jax.random.uniform(down, (rows, columns + 1, 3)),
        )

    def step(
        self,
        state: WarehouseState,
        actions: Int[Array, " robots"],
        influence: Int[Array, " sources"],
        noise: lattice.Uniform,
    ) -> Step[WarehouseState]:
        """Ages grow, the robots move and are paid, collected items vanish, new ones appear."""
        older = dynamics.grow(state.horizontal), dynamics.grow(state.vertical)
        row, column = dynamics.move(state.row, state.column, actions.reshape(self.block))
        on = dynamics.standing_on(row, column)
        reward = dynamics.collection_reward(lattice.region_slots(*older), on)
        inside, outside = lattice.shelf_lines(on), self._taken_outside(influence)
        taken = inside[0] | outside[0], inside[1] | outside[1]
        after = WarehouseState(*lattice.restocked(older, taken, noise), row, column)
        return Step(after, reward.ravel(), jnp.asarray(False))

    def _taken_outside(self, influence: Int[Array, " sources"]) -> lattice.Taken:
        """Cells that a robot outside stands on: class k of a source is the k-th of its shelf."""
        rows, columns = self.block
        cells = jnp.arange(3) == influence[:, None]
        right, below, left, above = jnp.split(cells, [rows, rows + columns, 2 * rows + columns])
        horizontal = jnp.zeros((rows + 1, columns, 3), bool).at[0].set(above).at[-1].set(below)
        vertical = jnp.zeros((rows, columns + 1, 3), bool).at[:, 0].set(left).at[:, -1].set(right)
        return horizontal, vertical
