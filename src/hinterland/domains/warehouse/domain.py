"""The warehouse as a domain: simulators, heuristics and drawing under one name."""

from typing import Any

from hinterland.core import AgentSpec
from hinterland.core.spec import square_side
from hinterland.domains.warehouse import drawing
from hinterland.domains.warehouse.global_simulator import GlobalWarehouse
from hinterland.domains.warehouse.heuristics import SCRIPTED
from hinterland.domains.warehouse.local_simulator import LocalWarehouse
from hinterland.domains.warehouse.state import HORIZON, WarehouseState


class Warehouse:
    """n x n learning robots; `ring=False` (not the paper's system) lets the border learn too."""

    name = "warehouse"
    scripted = SCRIPTED
    spec = AgentSpec(observation=37, actions=4, dset=37, sources=4, classes=4, horizon=HORIZON)

    def __init__(self, agents: int, ring: bool = True) -> None:
        side = square_side(agents, "the warehouse needs a square number of robots")
        self.agents = agents
        self.ring = ring
        self.local_simulator = LocalWarehouse()
        self.global_simulator = GlobalWarehouse(side + 2 if ring else side, ring)

    def scene(self) -> dict[str, Any]:
        """The floor and the shelves."""
        return drawing.scene(self.global_simulator.side, self.ring)

    def frame(self, state: WarehouseState) -> list[dict[str, Any]]:
        """Items and robots of one state."""
        return drawing.frame(state, self.ring)


def make(agents: int) -> Warehouse:
    """The paper's warehouse with this many learning robots (4, 9, 16, 25, 49, 100, ...)."""
    return Warehouse(agents)
