"""The warehouse as a domain: simulators, heuristics and drawing under one name."""

from collections.abc import Mapping
from typing import Any

from hinterland.core import AgentSpec, ScriptedPolicy
from hinterland.domains.checked import square_side
from hinterland.domains.warehouse import drawing
from hinterland.domains.warehouse.cutting import SINGLE, agents_of, block_of
from hinterland.domains.warehouse.global_simulator import GlobalWarehouse
from hinterland.domains.warehouse.heuristics import SCRIPTED, OfBlock
from hinterland.domains.warehouse.local_block import LocalBlock
from hinterland.domains.warehouse.local_simulator import LocalWarehouse
from hinterland.domains.warehouse.state import HORIZON, WarehouseState


class Warehouse:
    """n x n learning robots, alone or in blocks.

    Args:
        agents: learning robots.
        ring: whether scripted robots surround them; False, not the paper's system, lets the border
            learn too.
        region: "ROWSxCOLUMNS" of the robots that one local simulator models; one by default.

    Raises:
        UserError: the robots make no square, or the blocks do not fill it.
    """

    name = "warehouse"

    def __init__(self, agents: int, ring: bool = True, region: str | None = None) -> None:
        side = square_side(agents, "the warehouse needs a square number of robots")
        block = block_of(region, side)
        self.agents = agents
        self.ring = ring
        self.regions = agents_of(block, side)
        self.global_simulator = GlobalWarehouse(side + 2 if ring else side, ring, block)
        self.local_simulator: LocalWarehouse | LocalBlock = LocalWarehouse()
        self.scripted: Mapping[str, ScriptedPolicy] = SCRIPTED
        dset = 37
        if block != SINGLE:
            self.local_simulator = LocalBlock(block)
            self.scripted = {name: OfBlock(each, block.robots) for name, each in SCRIPTED.items()}
            dset = 9 * block.sources
        self.spec = AgentSpec(
            observation=37, actions=4, dset=dset, sources=block.sources, classes=4, horizon=HORIZON
        )

    def scene(self) -> dict[str, Any]:
        """The floor and the shelves."""
        return drawing.scene(self.global_simulator.side, self.ring)

    def frame(self, state: WarehouseState) -> list[dict[str, Any]]:
        """Items and robots of one state."""
        return drawing.frame(state, self.ring)


def make(agents: int, region: str | None = None) -> Warehouse:
    """The paper's warehouse with this many learning robots (4, 9, 16, 25, 49, 100, ...).

    Args:
        agents: learning robots.
        region: "ROWSxCOLUMNS" of the robots that one local simulator models; 1x1 by default.

    Raises:
        UserError: the robots make no square, or the blocks do not fill it.
    """
    return Warehouse(agents, region=region)
