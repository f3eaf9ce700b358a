"""A whole city in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.city_controllers import PROGRAMS, RULES, actuated_file
from hinterland.domains.traffic.junctions import Junctions
from hinterland.domains.traffic.signals import Signals
from hinterland.domains.traffic.sumo_run import SumoRun

DELTA_S = 5
"""Seconds of an agents' step, as in sumo-rl; yellow is part of it."""


class CityTraffic(SumoRun):
    """A city's global simulator: one episode at a time.

    Args:
        city: network and traffic.
        delta: seconds of one step of the agents.
        begin: when episodes begin, in seconds; None: with the first departure.
        folder: where the folder for its own files is made; whoever removes it removes that too,
            should this process be killed. None: the system's place for temporary files.
    """

    def __init__(
        self,
        city: City,
        delta: int = DELTA_S,
        begin: float | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(folder)
        self._city, self._delta = city, delta
        self._begin = int(city.begin if begin is None else begin)

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> dict:
        """Starts an episode with empty roads; what the agents see.

        Args:
            seed: of drivers, and of flows that are random.
            controller: who controls the lights; None: the actions.
            figures: keep SUMO's record of every trip for `metrics`.

        Raises:
            UserError: SUMO refuses the network or the routes; with its own first error.
        """
        self._end()
        options: list[str | int | Path] = ["--begin", self._begin, "--ignore-route-errors", "true"]
        if controller == "actuated":
            file = self._folder / "lights.add.xml"
            file.write_text(actuated_file(self._city))
            options += ["-a", file]
        options += self._trip_options(figures)
        self._start(self._city.network, self._city.routes, seed, *options)
        self._rule = RULES[controller](self._city, seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._signals = Signals(self._city.lights, self._city.people)
        self._junctions = Junctions(self._city.lights, self._city.lanes, count_entries=True)
        self._queue = self._seconds = 0
        return self._see()

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """`delta` seconds. `influence` is what came in during them.

        Args:
            actions: [agents], green phases to go to; one that a light does not have, or that comes
                before the least green, keeps the phase.

        Raises:
            UserError: SUMO refuses what comes next in the routes; with its own first error.
        """
        if self._rule is not None:
            count = libsumo.lane.getLastStepVehicleNumber
            actions = self._rule(self._junctions.approaching(), count, self._signals)
        if self._by_actions:
            self._signals.decide(np.asarray(actions, int))
        self._junctions.begin()
        for _ in range(self._delta):
            if self._by_actions:
                for light, state in self._signals.second():
                    name = self._city.lights[light].id
                    libsumo.trafficlight.setRedYellowGreenState(name, state)
            with self._own_words():  # it reads routes as it goes
                libsumo.simulationStep()
            _leave_out(libsumo.simulation.getDepartedIDList())
            if not self._by_actions:
                self._signals.watch(self._states())
            self._junctions.second()
        self._queue += self._junctions.queue
        self._seconds += self._delta
        return {
            **self._see(),
            "reward": self._junctions.reward(),
            "influence": self._junctions.influence(),
            "terminated": False,
        }

    def picture(self) -> dict[str, Any]:
        """Cars as [x (m), y (m), speed (m/s)], the lights' green phases and their states."""
        return {
            "cars": self._cars_on_map(),
            "phase": self._signals.phase.astype(np.int8),
            "states": self._states(),
        }

    def ways(self) -> dict[tuple[str, str], dict[tuple[str, ...], int]]:
        """Cars of this episode by the light and the lane on which they came into its region, and by
        their way on through it, for `cutting.batch`."""
        return {entry: dict(ways) for entry, ways in self._junctions.ways.items()}

    def metrics(self) -> dict[str, float]:
        """Ends the episode, which was begun with `figures`; the same ones as of the grids."""
        queue = self._queue / max(1, self._seconds) / len(self._city.lights)
        _leave_out(_without_way(libsumo.simulation.getPendingVehicles()))
        return self._trip_figures(queue)

    def _states(self) -> list[str]:
        shows = libsumo.trafficlight.getRedYellowGreenState
        return [shows(light.id) for light in self._city.lights]

    def _see(self) -> dict[str, np.ndarray]:
        dset = self._junctions.dset()
        light = self._signals.features(self._city.phases)
        return {"observation": np.concatenate([dset, light], 1), "dset": dset}


def _leave_out(cars: Iterable[str]) -> None:
    """Removes those without a way: they would stand where theirs ends, and all behind them."""
    for car in cars:
        if not libsumo.vehicle.isRouteValid(car):
            libsumo.vehicle.remove(car)


def _without_way(waiting: Sequence[str]) -> list[str]:
    """Those of the cars that wait to enter.

    SUMO looks for a trip's way when it first tries to let it in, which on a full road is much
    later than its departure. Until then its route is where it begins and ends.
    """
    ways: dict[tuple[str, ...], bool] = {}
    lost = []
    for car in waiting:
        if libsumo.vehicle.isRouteValid(car):
            continue
        route, kind = libsumo.vehicle.getRoute(car), libsumo.vehicle.getTypeID(car)
        if len(route) > 2:  # a way that has a gap
            lost.append(car)
            continue
        trip = (kind, route[0], *libsumo.vehicle.getVia(car), route[-1])
        if trip not in ways:
            stops = pairwise(trip[1:])
            ways[trip] = all(libsumo.simulation.findRoute(*ends, kind).edges for ends in stops)
        if not ways[trip]:
            lost.append(car)
    return lost
