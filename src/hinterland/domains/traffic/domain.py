"""Grids of traffic lights as a domain: SUMO is the global simulator."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from hinterland.core import AgentSpec, UserError
from hinterland.core.bounds import flag_of
from hinterland.domains.checked import rows_by_columns, square_side
from hinterland.domains.host import PATIENCE_S, HostProcess
from hinterland.domains.pool import SessionPool
from hinterland.domains.scratch import scratch
from hinterland.domains.traffic import drawing
from hinterland.domains.traffic.approaches import VIEW_M
from hinterland.domains.traffic.city_domain import CityDomain, make_city
from hinterland.domains.traffic.controllers import PROGRAMS, RULES
from hinterland.domains.traffic.native import NativeIntersection
from hinterland.domains.traffic.network import make_grid, make_isolated, sumo_tool, write_routes
from hinterland.domains.traffic.options import OF_OWN
from hinterland.domains.traffic.scenario import DECISION_S
from hinterland.domains.traffic.trips import SHOWN

HORIZON = 300
"""Seconds of an episode; each starts with empty roads."""
INFLOW = 0.1
"""Probability that a car wants to enter at a border edge, per second."""


class SumoLocals(SessionPool):
    """Isolated intersections in SUMO: `copies` of them in the process of each session."""

    def sessions(self, count: int, copies: int) -> list[HostProcess]:
        """The first `count` processes; all calls ask for the same number of copies.

        Raises:
            UserError: SUMO is not installed.
        """
        if not self._processes:
            folder = _new_folder()
            self._grid = make_isolated(copies, folder)
            weakref.finalize(self._grid, shutil.rmtree, folder, ignore_errors=True)
        target = "hinterland.domains.traffic.local_simulation:LocalTraffic"
        return self._first(count, target, self._grid)


class SumoSessions(SessionPool):
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
        super().__init__()
        self.rows, self.columns, self.inflow, self.patience_s = rows, columns, inflow, patience_s

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes.

        Raises:
            UserError: SUMO is not installed.
        """
        if not self._processes:
            folder = _new_folder()
            self.grid = make_grid(self.rows, self.columns, folder)
            # The sessions hold the grid too, so its files outlive these sessions' owner.
            weakref.finalize(self.grid, shutil.rmtree, folder, ignore_errors=True)
            self._routes = folder / "grid.rou.xml"
            write_routes(self.grid, self.inflow, self._routes)
        target = "hinterland.domains.traffic.simulation:GlobalTraffic"
        return self._first(count, target, self.grid, self._routes, patience_s=self.patience_s)


def _new_folder() -> Path:
    sumo_tool("netconvert")  # complains before there is a folder to leave behind
    return Path(tempfile.mkdtemp(prefix="grid-", dir=scratch()))


class Traffic:
    """rows x columns traffic lights, all of them agents."""

    name = "traffic"
    shown_figures = SHOWN
    spec = AgentSpec(observation=40, actions=2, dset=36, sources=4, classes=2, horizon=HORIZON)
    scripted = {name: name for name in (*RULES, *PROGRAMS)} | {"heuristic": "actuated"}

    def __init__(
        self, rows: int, columns: int, inflow: float = INFLOW, local: str = "native"
    ) -> None:
        self.agents = rows * columns
        self.rows, self.columns = rows, columns
        self.local_simulator = NativeIntersection() if local == "native" else SumoLocals()
        self.global_simulator = SumoSessions(rows, columns, inflow)

    def scene(self) -> dict[str, Any]:
        """The roads."""
        return drawing.scene(self.rows, self.columns)

    def frame(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Lights and cars of one second."""
        return drawing.frame(state, self.rows, self.columns)


def make(
    agents: int,
    grid: str | None = None,
    inflow: float = INFLOW,
    local: str = "native",
    net: str | None = None,
    routes: str | None = None,
    additional: str | None = None,
    sumocfg: str | None = None,
    begin: int | None = None,
    seconds: int | None = None,
    warm_up: int = 0,
    teleport: int | None = None,
    program: str | None = None,
    decision: int = DECISION_S,
    yellow: int | None = None,
    least_green: int | None = None,
    view: int = round(VIEW_M),
    reward: str = "delay",
) -> Traffic | CityDomain:
    """The paper's grid with this many lights (1, 4, 9, 16, 25, 49, 100, ...), or a user's network.

    Args:
        agents: number of lights.
        grid: "ROWSxCOLUMNS"; a square by default.
        inflow: probability per second that a car wants to enter, at each border edge.
        local: local simulators, "native" (JAX) or "sumo".
        net: a SUMO network file; with it, everything above is read from there.
        routes: its route files, with commas in between.
        additional: its additional files, the same.
        sumocfg: a SUMO configuration, in place of the three.
        begin: when episodes in that network begin, in seconds; None: as the configuration says, or
            with the first departure.
        seconds: of an episode there; None: to the configuration's end, or 1200.
        warm_up: seconds before them in which the network's own programs run and nothing counts.
        teleport: seconds after which SUMO moves on a car that stands, -1: never; None: as the
            configuration says, or never.
        program: of the lights that have it; None: the one that SUMO reads last.
        decision: seconds there from one decision of the lights to the next.
        yellow: seconds of it there between two greens; None: as the network has.
        least_green: seconds that greens last there at least; None: as the network has, or 5.
        view: metres to which the roads before a light belong to its region there.
        reward: of its lights, a name of `costs.REWARDS`.

    Raises:
        UserError: numbers that make no grid, files that make no city.
    """
    own: dict[str, Any] = {
        "routes": routes, "additional": additional, "begin": begin, "seconds": seconds,
        "warm_up": warm_up, "teleport": teleport, "program": program,
        "decision": decision, "yellow": yellow, "least_green": least_green,
    }  # fmt: skip
    if net is not None or sumocfg is not None:
        if grid is not None:
            raise UserError(f"--grid and --{'net' if net else 'sumocfg'} exclude each other")
        domain = make_city(net=net, sumocfg=sumocfg, view=view, reward=reward, **own)
        if agents != domain.agents:
            where = domain.city.network
            raise UserError(f"--agents {agents}: {where} has {domain.agents} lights that can learn")
        return domain
    for name, value in {**own, "decision": decision != DECISION_S}.items():
        if value:
            raise UserError(f"{flag_of(name)} {value}: {OF_OWN}; leave it out")
    if not 0 < inflow <= 1:
        raise UserError(f"--inflow {inflow}: a probability per second, above 0 and at most 1")
    if grid is not None:
        sizes = rows_by_columns(grid)
        if sizes is None:
            raise UserError(f"--grid {grid}: must be ROWSxCOLUMNS, for example 2x3")
        rows, columns = sizes
        if rows * columns != agents:
            raise UserError(f"--grid {grid} has {rows * columns} lights, --agents says {agents}")
        return Traffic(rows, columns, inflow, local)
    side = square_side(agents, "the traffic grid needs a square number of lights")
    return Traffic(side, side, inflow, local)
