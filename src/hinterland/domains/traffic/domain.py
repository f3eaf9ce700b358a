"""Grids of traffic lights as a domain: SUMO is the global simulator."""

import math
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from hinterland.core import AgentSpec, UserError
from hinterland.domains.host import PATIENCE_S, HostProcess
from hinterland.domains.traffic import drawing
from hinterland.domains.traffic.controllers import PROGRAMS, RULES
from hinterland.domains.traffic.native import NativeIntersection
from hinterland.domains.traffic.network import make_grid, sumo_tool, write_routes

HORIZON = 300
"""Seconds of an episode; each starts with empty roads."""
INFLOW = 0.1
"""Probability that a car wants to enter at a border edge, per second."""


class SumoSessions:
    """The grid in SUMO, one process for each session; made when first needed, then kept.

    Args:
        rows: of lights.
        columns: of lights.
        inflow: probability that a car wants to enter at a border edge, per second.
        patience_s: seconds after which one call of a session counts as hung.
    """

    def __init__(
        self, rows: int, columns: int, inflow: float, patience_s: int = PATIENCE_S
    ) -> None:
        self.rows, self.columns, self.inflow, self.patience_s = rows, columns, inflow, patience_s
        self._sessions: list[HostProcess] = []

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes.

        Raises:
            UserError: SUMO is not installed.
        """
        if not self._sessions:
            sumo_tool("netconvert")  # complains before there is a folder to leave behind
            folder = Path(tempfile.mkdtemp(prefix="hinterland-grid-"))
            self.grid = make_grid(self.rows, self.columns, folder)
            # The sessions hold the grid too, so its files outlive these sessions' owner.
            weakref.finalize(self.grid, shutil.rmtree, folder, ignore_errors=True)
            self._routes = folder / "grid.rou.xml"
            write_routes(self.grid, self.inflow, self._routes)
        while len(self._sessions) < count:
            target = "hinterland.domains.traffic.simulation:GlobalTraffic"
            session = HostProcess(target, self.grid, self._routes, patience_s=self.patience_s)
            self._sessions.append(session)
        return self._sessions[:count]


class Traffic:
    """rows x columns traffic lights, all of them agents."""

    name = "traffic"
    spec = AgentSpec(observation=40, actions=2, dset=36, sources=4, classes=2, horizon=HORIZON)
    scripted = {name: name for name in (*RULES, *PROGRAMS)} | {"heuristic": "actuated"}

    def __init__(self, rows: int, columns: int, inflow: float = INFLOW) -> None:
        self.agents = rows * columns
        self.rows, self.columns = rows, columns
        self.local_simulator = NativeIntersection()
        self.global_simulator = SumoSessions(rows, columns, inflow)

    def scene(self) -> dict[str, Any]:
        """The roads."""
        return drawing.scene(self.rows, self.columns)

    def frame(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Lights and cars of one second."""
        return drawing.frame(state, self.rows, self.columns)


def make(agents: int) -> Traffic:
    """The paper's grid with this many lights (1, 4, 9, 16, 25, 49, 100, ...)."""
    side = math.isqrt(agents)
    if side * side != agents or agents < 1:
        below, above = max(1, side) ** 2, (side + 1) ** 2
        raise UserError(
            f"--agents {agents}: the traffic grid needs a square number of lights, "
            f"for example {below} or {above}"
        )
    return Traffic(side, side)
