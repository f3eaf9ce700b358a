"""A whole city in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

from math import inf
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.city_controllers import OURS, PROGRAMS, RULES, actuated_file
from hinterland.domains.traffic.junctions import Junctions
from hinterland.domains.traffic.scenario import into
from hinterland.domains.traffic.signals import Signals
from hinterland.domains.traffic.sumo_run import SumoRun

DELTA_S = 5
"""Seconds of an agents' step, as in sumo-rl; yellow is part of it."""


class CityTraffic(SumoRun):
    """A city's global simulator: one episode at a time.

    Args:
        city: network and traffic.
        delta: seconds of one step of the agents.
        begin: when episodes begin, in seconds; None: as the city says.
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
        self._city, self._delta, self.what = city, delta, str(city.scenario)
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
        scenario, lights = self._city.scenario, []
        if controller == "actuated":
            lights = [self._folder / "lights.add.xml"]
            lights[0].write_text(actuated_file(self._city))
        options = [*scenario.arguments(self._begin, *lights), *self._trip_options(figures)]
        # With prefix, or each process would write what the user's detectors see over the others'.
        writes = scenario.additionals or scenario.options
        self._begin_with([*options, *(into(self._folder) if writes else ())], seed)
        own = {light.id for light in self._city.lights} if lights else set()
        self._kept = [light for light in self._city.scheduled if light in own]
        for light, program in self._city.programs:
            if light not in own:
                libsumo.trafficlight.setProgram(light, program)
        self._rule = RULES[controller](self._city, seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._signals = Signals(self._city.lights)
        self._junctions = Junctions(self._city.lights, self._city.lanes, count_entries=True)
        self._queue = self._seconds = self._clock = 0
        self._counts_from = self._begin + scenario.warm_up if scenario.warm_up else -inf
        for _ in range(scenario.warm_up):
            self._second()
            self._signals.watch(self._states())
            self._junctions.second()
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
            actions = self._rule(libsumo.lane.getLastStepVehicleNumber, self._signals)
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

    def turns(self) -> dict[tuple[str, str], int]:
        """Cars of this episode by the lane on which they came in and the edge to which they go on
        ("": they end there), for `cutting.batch`."""
        return dict(self._junctions.turns)

    def metrics(self) -> dict[str, float]:
        """Ends the episode, which was begun with `figures`; the same ones as of the grids."""
        queue = self._queue / max(1, self._seconds) / len(self._city.lights)
        return self._trip_figures(queue)

    def _second(self) -> None:
        """Goes on by a second, which may be several steps of SUMO's clock."""
        self._clock += 1
        for light in self._kept:  # a schedule would have put its own program in place of ours
            if libsumo.trafficlight.getProgram(light) != OURS:
                libsumo.trafficlight.setProgram(light, OURS)
        with self._own_words():  # it reads routes as it goes
            libsumo.simulationStep(self._begin + self._clock)

    def _states(self) -> list[str]:
        shows = libsumo.trafficlight.getRedYellowGreenState
        return [shows(light.id) for light in self._city.lights]

    def _see(self) -> dict[str, np.ndarray]:
        dset = self._junctions.dset()
        light = self._signals.features(self._city.phases)
        return {"observation": np.concatenate([dset, light], 1), "dset": dset}
