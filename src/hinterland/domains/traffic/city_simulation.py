"""A whole city in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

from math import inf
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.city_controllers import (
    OURS,
    PROGRAMS,
    RULES,
    actuated_file,
    converted,
)
from hinterland.domains.traffic.costs import Costs, Waiting, behind
from hinterland.domains.traffic.junctions import Junctions
from hinterland.domains.traffic.light_figures import LightFigures
from hinterland.domains.traffic.scenario import into
from hinterland.domains.traffic.signals import Signals
from hinterland.domains.traffic.sumo_run import SumoRun
from hinterland.domains.traffic.trips import by_class, means


class CityTraffic(SumoRun):
    """A city's global simulator: one episode at a time.

    Args:
        city: network and traffic.
        begin: when episodes begin, in seconds; None: as the city says.
        folder: where the folder for its own files is made; whoever removes it removes that too,
            should this process be killed. None: the system's place for temporary files.
        reward: of the agents, a name of `costs.REWARDS`.
    """

    def __init__(
        self,
        city: City,
        begin: float | None = None,
        folder: Path | None = None,
        reward: str = "delay",
    ) -> None:
        super().__init__(folder)
        self._city, self._delta, self._reward = city, city.scenario.decision, reward
        self.what = str(city.scenario)
        self._begin = city.begin if begin is None else begin

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> dict:
        """Starts an episode with empty roads, warms it up if it should be; what the agents see.

        Args:
            seed: of drivers, and of flows that are random.
            controller: who controls the lights; None: the actions.
            figures: keep SUMO's record of every trip for `metrics`.

        Raises:
            UserError: SUMO refuses the network or the routes; with its own first error.
        """
        self._end()
        scenario, programs = self._city.scenario, []
        if controller == "actuated":
            programs = [self._folder / "lights.add.xml"]
            programs[0].write_text(actuated_file(self._city))
        options = [*scenario.arguments(self._begin, *programs), *self._trip_options(figures)]
        if figures:
            options += ["--device.emissions.probability", "1"]
        # With prefix, or each process would write what the user's detectors see over the others'.
        writes = scenario.additionals or scenario.options
        self._begin_with([*options, *(into(self._folder) if writes else ())], seed)
        own = {light.id for light in converted(self._city)} if programs else set()
        self._kept = [light for light in self._city.scheduled if light in own]
        for light, program in self._city.programs:
            if light not in own:
                libsumo.trafficlight.setProgram(light, program)
        self._rule = RULES[controller](self._city, seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._signals = Signals(self._city.lights, self._city.people)
        lights = self._city.lights
        self._costs = Costs(lights, behind(lights), self._reward, self._city.room)
        most = self._city.classes - 1
        self._junctions = Junctions(lights, self._city.lanes, most, self._costs)
        self._waiting = Waiting(len(lights), self._junctions.waits_before)
        self._clock = 0
        self._counts_from = self._begin + scenario.warm_up if scenario.warm_up else -inf
        for _ in range(scenario.warm_up):
            self._junctions.begin()
            self._second()
            self._signals.watch(self._states())
            self._junctions.second(self._waiting)
        if figures:
            self._costs.figures = LightFigures([light.id for light in lights])
        return self._see()

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """The seconds to the next decision. `influence` is what came in during them.

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
            self._second()
            if not self._by_actions:
                self._signals.watch(self._states())
            self._junctions.second(self._waiting)
        if self._costs.figures is not None:
            self._costs.figures.step(self._costs)
        return {
            **self._see(),
            "reward": self._costs.reward(),
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

    def departures(self) -> dict[tuple[str, str], int]:
        """Cars of this episode by the light in whose region they began their way, or wanted to, and
        by the lane; for the same."""
        return dict(self._junctions.departures)

    def metrics(self) -> dict[str, float | None]:
        """Ends the episode, which was begun with `figures`: those of the grids, grams of CO2 per
        vehicle, and all by class ("FIGURE/class/CLASS") and by light ("FIGURE/light/ID")."""
        assert self._costs.figures is not None
        types = libsumo.vehicletype.getIDList()
        kinds = {name: libsumo.vehicletype.getVehicleClass(name) for name in types}
        vehicles, people = self._read_trips(kinds)
        found: dict[str, float | None] = {"co2_g": 0.0, **means(vehicles)}
        found["queue"] = self._costs.figures.queue()
        by_light = self._costs.figures.figures()
        return found | by_class(vehicles, people, kinds.values()) | by_light

    def _second(self) -> None:
        """Goes on by a second, which may be several steps of SUMO's clock; who wanted to depart."""
        self._clock += 1
        for light in self._kept:  # a schedule would have put its own program in place of ours
            if libsumo.trafficlight.getProgram(light) != OURS:
                libsumo.trafficlight.setProgram(light, OURS)
        with self._own_words():  # it reads routes as it goes
            libsumo.simulationStep(self._begin + self._clock)
        for car in libsumo.simulation.getDepartedIDList():
            if not self._waiting.knows(car):
                self._junctions.wants(car, libsumo.vehicle.getLaneID(car))
        for car in self._waiting.second(libsumo.simulation.getPendingVehicles()):
            self._junctions.wants(car)

    def _states(self) -> list[str]:
        shows = libsumo.trafficlight.getRedYellowGreenState
        return [shows(light.id) for light in self._city.lights]

    def _see(self) -> dict[str, np.ndarray]:
        dset = self._junctions.dset()
        light = self._signals.features(self._city.phases)
        return {"observation": np.concatenate([dset, light], 1), "dset": dset}
