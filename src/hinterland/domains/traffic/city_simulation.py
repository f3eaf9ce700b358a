"""A whole city in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.core import UserError
from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.city_controllers import PROGRAMS, RULES, actuated_file
from hinterland.domains.traffic.junctions import Junctions
from hinterland.domains.traffic.signals import Signals
from hinterland.domains.traffic.simulation import OPTIONS, trip_figures

DELTA_S = 5
"""Seconds of an agents' step, as in sumo-rl; yellow is part of it."""


class CityTraffic:
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
        self._city, self._delta = city, delta
        self._begin = int(city.begin if begin is None else begin)
        self._folder = tempfile.TemporaryDirectory(prefix="hinterland-city-", dir=folder)
        self._running = False

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
        folder = Path(self._folder.name)
        options = ["-n", self._city.network, "-r", self._city.routes, *OPTIONS, "--seed", seed,
                   "--begin", self._begin, "--ignore-route-errors", "true"]  # fmt: skip
        if controller == "actuated":
            file = folder / "lights.add.xml"
            file.write_text(actuated_file(self._city))
            options += ["-a", file]
        self._trips = folder / "trips.xml" if figures else None
        if self._trips:
            # Cars that never found room count too: otherwise full roads would look quick.
            options += ["--tripinfo-output", self._trips, "--tripinfo-output.write-unfinished",
                        "true", "--tripinfo-output.write-undeparted", "true"]  # fmt: skip
        self._log = folder / "errors.txt"
        start(options, self._log)
        self._running = True
        self._rule = RULES[controller](self._city, seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._signals = Signals(self._city.lights)
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
            actions = self._rule(libsumo.lane.getLastStepVehicleNumber, self._signals)
        if self._by_actions:
            self._signals.decide(np.asarray(actions, int))
        self._junctions.begin()
        for _ in range(self._delta):
            if self._by_actions:
                for light, state in self._signals.second():
                    name = self._city.lights[light].id
                    libsumo.trafficlight.setRedYellowGreenState(name, state)
            with _sumos_own_words(self._log):  # it reads routes as it goes
                libsumo.simulationStep()
            _leave_out_lost(libsumo.simulation.getDepartedIDList())
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
        cars = [
            (*libsumo.vehicle.getPosition(car), libsumo.vehicle.getSpeed(car))
            for car in libsumo.vehicle.getIDList()
        ]
        return {
            "cars": np.array(cars, np.float32).reshape(-1, 3),
            "phase": self._signals.phase.astype(np.int8),
            "states": self._states(),
        }

    def turns(self) -> dict[tuple[str, str], int]:
        """Cars of this episode by the lane on which they came in and the edge to which they go on
        ("": they end there), for `cutting.batch`."""
        return dict(self._junctions.turns)

    def metrics(self) -> dict[str, float]:
        """Ends the episode, which was begun with `figures`; the same ones as of the grids."""
        assert self._trips is not None
        queue = self._queue / max(1, self._seconds) / len(self._city.lights)
        _leave_out_lost(libsumo.simulation.getPendingVehicles())
        self._end()
        return trip_figures(self._trips, queue)

    def close(self) -> None:
        """Ends SUMO and removes its files."""
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        if self._running:
            libsumo.close()
            self._running = False

    def _states(self) -> list[str]:
        shows = libsumo.trafficlight.getRedYellowGreenState
        return [shows(light.id) for light in self._city.lights]

    def _see(self) -> dict[str, np.ndarray]:
        dset = self._junctions.dset()
        light = self._signals.features(self._city.phases)
        return {"observation": np.concatenate([dset, light], 1), "dset": dset}


def _leave_out_lost(cars: Sequence[str]) -> None:
    """Removes those without a way: they would stand where theirs ends, and all behind them."""
    for car in cars:
        if not libsumo.vehicle.isRouteValid(car):
            libsumo.vehicle.remove(car)


def start(options: list[Any], log: Path) -> None:
    """Starts SUMO, which writes its errors into `log`.

    Raises:
        UserError: it refuses its files; with its own first error.
    """
    with _sumos_own_words(log):
        libsumo.start(["sumo", *map(str, options), "--error-log", str(log)])


@contextmanager
def _sumos_own_words(log: Path) -> Generator[None]:
    """SUMO's exceptions mostly say nothing; what it was is in its log."""
    try:
        yield
    except (libsumo.TraCIException, libsumo.FatalTraCIError) as error:
        said = log.read_text().splitlines() if log.exists() else []
        first = next((line for line in said if line.startswith("Error")), str(error))
        reason = " ".join(first.split())
        raise UserError(f"SUMO cannot simulate this network with these routes: {reason}") from None
