"""A whole city in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.city_controllers import PROGRAMS, RULES, actuated_file
from hinterland.domains.traffic.costs import Costs, Waiting, behind
from hinterland.domains.traffic.junctions import Junctions
from hinterland.domains.traffic.light_figures import LightFigures
from hinterland.domains.traffic.signals import Signals
from hinterland.domains.traffic.sumo_run import SumoRun
from hinterland.domains.traffic.trips import by_class, means, read_trips

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
        reward: of the agents, a name of `costs.REWARDS`.
    """

    def __init__(
        self,
        city: City,
        delta: int = DELTA_S,
        begin: float | None = None,
        folder: Path | None = None,
        reward: str = "delay",
    ) -> None:
        super().__init__(folder)
        self._city, self._delta, self._reward = city, delta, reward
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
        if figures:
            options += ["--device.emissions.probability", 1]
        self._start(self._city.network, self._city.routes, seed, *options)
        self._rule = RULES[controller](self._city, seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._signals = Signals(self._city.lights, self._city.people)
        lights, lanes = self._city.lights, self._city.lanes
        names = [light.id for light in lights]
        self._by_light = LightFigures(names) if figures else None
        self._costs = Costs(lights, behind(lights), self._reward, self._by_light)
        self._junctions = Junctions(lights, lanes, count_entries=True, costs=self._costs)
        self._waiting = Waiting(len(lights), self._junctions.waits_before)
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
            self._departures()
            if not self._by_actions:
                self._signals.watch(self._states())
            self._junctions.second(self._waiting)
        if self._by_light is not None:
            self._by_light.step(self._costs)
        return {
            **self._see(),
            "reward": self._costs.reward(),
            "influence": self._junctions.influence(),
            "terminated": False,
        }

    def _departures(self) -> None:
        """Who began its way in the last second, and who wanted to."""
        for car in _leave_out(libsumo.simulation.getDepartedIDList()):
            if not self._waiting.knows(car):
                self._junctions.wants(car, libsumo.vehicle.getLaneID(car))
        for car in self._waiting.second(libsumo.simulation.getPendingVehicles()):
            self._junctions.wants(car)

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

    def departures(self) -> dict[tuple[str, str], int]:
        """Cars of this episode by the light in whose region they began their way, or wanted to, and
        by the lane; for the same."""
        return dict(self._junctions.departures)

    def metrics(self) -> dict[str, float | None]:
        """Ends the episode, which was begun with `figures`: those of the grids, grams of CO2 per
        vehicle, and all by class ("FIGURE/class/CLASS") and by light ("FIGURE/light/ID")."""
        assert self._trips is not None
        assert self._by_light is not None
        _leave_out(_without_way(libsumo.simulation.getPendingVehicles()))
        types = libsumo.vehicletype.getIDList()
        kinds = {name: libsumo.vehicletype.getVehicleClass(name) for name in types}
        end = libsumo.simulation.getTime()
        self._end()
        vehicles, people = read_trips(self._trips, kinds, end)
        found: dict[str, float | None] = {"co2_g": 0.0, **means(vehicles)}
        found["queue"] = self._by_light.queue()
        return found | by_class(vehicles, people, kinds.values()) | self._by_light.figures()

    def _states(self) -> list[str]:
        shows = libsumo.trafficlight.getRedYellowGreenState
        return [shows(light.id) for light in self._city.lights]

    def _see(self) -> dict[str, np.ndarray]:
        dset = self._junctions.dset()
        light = self._signals.features(self._city.phases)
        return {"observation": np.concatenate([dset, light], 1), "dset": dset}


def _leave_out(cars: Iterable[str]) -> list[str]:
    """Removes those without a way: they would stand where theirs ends, and all behind them.

    The others.
    """
    left = []
    for car in cars:
        if libsumo.vehicle.isRouteValid(car):
            left.append(car)
        else:
            libsumo.vehicle.remove(car)
    return left


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
