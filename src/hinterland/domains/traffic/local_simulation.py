"""Many isolated intersections in one SUMO: the reference among the local simulators.

Runs in a process of its own. A libsumo process holds one simulation, but that one may hold many
intersections that have nothing to do with each other; between 10 and 50 of them cost least each.
"""

from typing import Any

import libsumo
import numpy as np

from hinterland.domains.traffic.network import (
    CROWD,
    CROWDED_SPEED,
    ENTRY_POSITION,
    ENTRY_SPEED,
    VEHICLE,
    Grid,
)
from hinterland.domains.traffic.simulation import Intersections
from hinterland.domains.traffic.sumo_run import SumoRun


class LocalTraffic(SumoRun):
    """Copies of one intersection of the grid.

    Args:
        grid: a network of isolated intersections.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid.network.parent)
        self._grid, self._all = grid, Intersections(grid)
        self._routes = [
            [f"{light}.{side}" for side in range(4)] for light in range(self._all.count)
        ]
        routes = "".join(
            f'<route id="{self._routes[light][side]}" edges="{into[:-2]} {out[:-2]}"/>'
            for light in range(self._all.count)
            for side, (into, out) in enumerate(
                zip(grid.incoming[light], grid.outgoing[light], strict=True)
            )
        )
        self._file = self._folder / "local.rou.xml"
        self._file.write_text(f"<routes>{VEHICLE}{routes}</routes>")

    def reset(self, seed: int, agent: int = 0) -> dict[str, Any]:
        """Empties all copies; the seed is that of the drivers. All agents' regions are alike."""
        del agent
        self._end()
        self._start(self._grid.network, self._file, seed)
        self._cars = 0
        self._all.begin()
        self._all.show(np.ones(self._all.count, bool))
        return self._all.see()

    def reset_some(self, chosen: np.ndarray) -> dict[str, Any]:
        """Empties some copies and starts their lights anew; what all of them see."""
        libsumo.simulation.clearPending()
        for car in libsumo.vehicle.getIDList():
            if chosen[int(car.split(".")[0])]:
                libsumo.vehicle.remove(car)
        self._all.lights.reset(chosen)
        self._all.show(chosen)
        return self._all.see()

    def step(self, actions: np.ndarray, influence: np.ndarray) -> dict[str, Any]:
        """One second of all copies.

        Args:
            actions: [copy], 0 keep or 1 switch.
            influence: [copy, 4]: 1 where a car enters; one that finds no room is dropped.
        """
        libsumo.simulation.clearPending()
        for copy, side in zip(*np.nonzero(influence), strict=True):
            speed = CROWDED_SPEED if self._all.cars[copy, side] > CROWD else ENTRY_SPEED
            self._cars += 1
            libsumo.vehicle.add(
                f"{copy}.{self._cars}", self._routes[copy][side], "car",
                departPos=str(ENTRY_POSITION), departSpeed=str(speed),
            )  # fmt: skip
        self._all.show(self._all.lights.apply(actions))
        libsumo.simulationStep()
        return {**self._all.see(), "terminated": np.zeros(self._all.count, bool)}
