"""The warehouse as a domain: simulators, heuristics and drawing under one name."""

from typing import Any

from hinterland.core import AgentSpec, Kind, ScriptedPolicy, largest
from hinterland.domains.checked import square_side
from hinterland.domains.warehouse import drawing
from hinterland.domains.warehouse.cutting import SINGLE, Part, block_of, parts_of
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
        region: "ROWSxCOLUMNS" of the robots that one local simulator models; one by default. What
            is left over at the right and below makes smaller ones.

    Raises:
        UserError: the robots make no square, or a block is larger than it.
    """

    name = "warehouse"

    def __init__(self, agents: int, ring: bool = True, region: str | None = None) -> None:
        side = square_side(agents, "the warehouse needs a square number of robots")
        block = block_of(region, side)
        self.agents = agents
        self.ring = ring
        parts = parts_of(block, side)
        kinds = [kind_of(part, side) for part in parts]
        scripted = {name: [_played(policy, part) for part in parts]
                    for name, policy in SCRIPTED.items()}  # fmt: skip
        self.global_simulator = GlobalWarehouse(side + 2 if ring else side, ring, block)
        if len(parts) == 1:
            (only,) = kinds
            self.local_simulator, self.spec, self.regions = (
                only.local_simulator, only.spec, only.regions
            )  # fmt: skip
            self.scripted: Any = {name: one for name, (one,) in scripted.items()}
        else:
            self.kinds = tuple(kinds)
            self.spec = largest([kind.spec for kind in kinds])
            self.scripted = {name: tuple(each) for name, each in scripted.items()}

    def scene(self) -> dict[str, Any]:
        """The floor and the shelves."""
        return drawing.scene(self.global_simulator.side, self.ring)

    def frame(self, state: WarehouseState) -> list[dict[str, Any]]:
        """Items and robots of one state."""
        return drawing.frame(state, self.ring)


def kind_of(part: Part, side: int) -> Kind:
    """Regions of one size, of a square of so many rows and columns of learners."""
    sources = part.block.sources
    if part.block == SINGLE:
        spec = AgentSpec(37, 4, dset=37, sources=sources, classes=4, horizon=HORIZON)
        return Kind(LocalWarehouse(), spec, part.agents(side))
    spec = AgentSpec(37, 4, dset=9 * sources, sources=sources, classes=4, horizon=HORIZON)
    return Kind(LocalBlock(part.block), spec, part.agents(side))


def _played(policy: ScriptedPolicy, part: Part) -> ScriptedPolicy:
    """A robot's policy in regions of that size."""
    return policy if part.block == SINGLE else OfBlock(policy, part.block.robots)


def make(agents: int, region: str | None = None) -> Warehouse:
    """The paper's warehouse with this many learning robots (4, 9, 16, 25, 49, 100, ...).

    Args:
        agents: learning robots.
        region: "ROWSxCOLUMNS" of the robots that one local simulator models; 1x1 by default.

    Raises:
        UserError: the robots make no square, or a block is larger than it.
    """
    return Warehouse(agents, region=region)
