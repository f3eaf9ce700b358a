"""The whole grid in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.domains.traffic.controllers import (
    EAST_WEST,
    NORTH_SOUTH,
    PROGRAMS,
    RULES,
    YELLOW,
    program_file,
)
from hinterland.domains.traffic.network import BLOCK, SPEED, Grid

CELLS = 10
"""Cells of 10 m on an edge; the last one, where cars enter, is the influence source."""
YELLOW_S = 3
LIGHTS = (NORTH_SOUTH, YELLOW[NORTH_SOUTH], EAST_WEST, YELLOW[EAST_WEST])
"""States by phase: 0 north-south green, 1 its yellow, 2 east-west green, 3 its yellow."""
LIGHT_BIT = np.array([3, 2, 0, 1])
"""Which of the four light bits each phase sets."""
HALTING = 0.1
"""A car slower than this many m/s stands in a queue (SUMO's own convention)."""
OPTIONS = (
    "--step-length", "1", "--no-step-log", "true", "--no-warnings", "true",
    "--time-to-teleport", "-1", "--xml-validation", "never", "--duration-log.disable", "true",
)  # fmt: skip


class Lights:
    """Phases of many two-direction lights under switch actions; no minimum green.

    An action is heeded where the light shows green. A switch shows yellow for three seconds, then
    the other direction's green.
    """

    def __init__(self, count: int) -> None:
        self.phase = np.zeros(count, np.int8)
        self._yellow_left = np.zeros(count, np.int8)

    def apply(self, actions: np.ndarray) -> np.ndarray:
        """Moves all lights to what they show in the coming second; which of them changed."""
        before = self.phase
        yellow = before % 2 == 1
        self._yellow_left -= yellow
        ends = yellow & (self._yellow_left == 0)
        switches = ~yellow & (actions == 1)
        self.phase = np.where(ends | switches, (before + 1) % 4, before).astype(np.int8)
        self._yellow_left[switches] = YELLOW_S
        return self.phase != before


def trip_figures(file: Path, queue: float) -> dict[str, float]:
    """Vehicle-level figures from SUMO's record of trips, unfinished ones included.

    Travel and waiting time in seconds per vehicle, cars that waited to enter counted from when
    they wanted to; queue in standing cars per light, as it is given; throughput in finished trips.
    Cars that were taken off the road do not count.
    """
    every = ElementTree.parse(str(file)).getroot().findall("tripinfo")
    trips = [trip for trip in every if trip.get("vaporized") != "traci"]  # "end": unfinished
    finished = [trip for trip in trips if float(trip.get("arrival", -1)) >= 0]

    def mean(*names: str) -> float:
        return float(np.mean([sum(float(t.get(n, 0)) for n in names) for t in trips] or [0.0]))

    return {
        "travel_time_s": mean("duration", "departDelay"),
        "waiting_time_s": mean("waitingTime", "departDelay"),
        "queue": queue,
        "throughput": float(len(finished)),
        "vehicles": float(len(trips)),
    }


class GlobalTraffic:
    """The grid's global simulator: one episode at a time.

    Args:
        grid: the network.
        routes: path of the route file.
    """

    def __init__(self, grid: Grid, routes: Path) -> None:
        self._grid, self._routes = grid, routes
        self._lanes = [lane for lanes in grid.incoming for lane in lanes]
        self._outgoing = [lane for lanes in grid.outgoing for lane in lanes]
        self._folder = tempfile.TemporaryDirectory(prefix="hinterland-sumo-")
        self._running = False

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> dict:
        """Starts an episode with an empty grid; what the agents see.

        Args:
            seed: of arrivals and drivers.
            controller: who controls the lights; None: the actions.
            figures: keep SUMO's record of every trip for `metrics`.
        """
        self._end()
        options = ["-n", self._grid.network, "-r", self._routes, *OPTIONS, "--seed", seed]
        if controller in PROGRAMS:
            file = Path(self._folder.name) / "lights.add.xml"
            file.write_text(program_file(controller, self._grid))
            options += ["-a", file]
        self._trips = Path(self._folder.name) / "trips.xml" if figures else None
        if self._trips:
            options += ["--tripinfo-output", self._trips, "--tripinfo-output.write-unfinished",
                        "true"]  # fmt: skip
        libsumo.start(["sumo", *map(str, options)])
        self._running = True
        self._rule = RULES[controller](seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._lights = Lights(len(self._grid.lights))
        self._queue = self._steps = 0
        if self._by_actions:
            self._show(np.ones(len(self._grid.lights), bool))
        return self._see()

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """One second. `influence` is what stood in the entry cells before it, as the d-set does.

        Raises:
            ValueError: an action is neither 0 nor 1.
        """
        influence = self._entries
        if self._rule is not None:
            outgoing = [libsumo.lane.getLastStepVehicleNumber(lane) for lane in self._outgoing]
            actions = self._rule(
                self._cars, np.array(outgoing).reshape(self._cars.shape), self._lights.phase
            )
        if self._by_actions:
            self._show(self._lights.apply(actions))
        libsumo.simulationStep()
        seen = self._see()
        terminated = libsumo.simulation.getStartingTeleportNumber() > 0
        return {**seen, "influence": influence, "terminated": terminated}

    def picture(self) -> dict[str, np.ndarray]:
        """Cars as [x (m), y (m), speed (m/s)] and the lights' phases."""
        cars = [
            (*libsumo.vehicle.getPosition(car), libsumo.vehicle.getSpeed(car))
            for car in libsumo.vehicle.getIDList()
        ]
        states = [libsumo.trafficlight.getRedYellowGreenState(x) for x in self._grid.lights]
        return {
            "cars": np.array(cars, np.float32).reshape(-1, 3),
            "phase": np.array([LIGHTS.index(state) for state in states], np.int8),
        }

    def metrics(self) -> dict[str, float]:
        """Ends the episode; its figures, see `trip_figures`."""
        queue = self._queue / max(1, self._steps) / len(self._grid.lights)
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

    def _show(self, changed: np.ndarray) -> None:
        for light in np.flatnonzero(changed):
            libsumo.trafficlight.setRedYellowGreenState(
                self._grid.lights[light], LIGHTS[self._lights.phase[light]]
            )

    def _see(self) -> dict[str, np.ndarray]:
        """Reads every incoming lane once: bits, rewards, queues."""
        shape = (len(self._grid.lights), 4)
        bits = np.zeros((len(self._lanes), CELLS), np.int8)
        speeds = np.zeros(len(self._lanes))
        cars = np.zeros(len(self._lanes), int)
        position, speed = libsumo.vehicle.getLanePosition, libsumo.vehicle.getSpeed
        for index, lane in enumerate(self._lanes):
            for car in libsumo.lane.getLastStepVehicleIDs(lane):
                bits[index, min(int((BLOCK - position(car)) / BLOCK * CELLS), CELLS - 1)] = 1
                moves = speed(car)
                speeds[index] += moves
                cars[index] += 1
                self._queue += moves < HALTING
        self._steps += 1
        self._cars = cars.reshape(shape)
        bits = bits.reshape(*shape, CELLS)
        self._entries = bits[..., -1].astype(np.int32)
        lights = np.zeros((shape[0], 4), np.int8)
        lights[np.arange(shape[0]), LIGHT_BIT[self._lights.phase]] = 1
        observed = bits[..., :-1].reshape(shape[0], -1)
        total = self._cars.sum(1)
        reward = speeds.reshape(shape).sum(1) / np.maximum(total, 1) / SPEED
        return {
            "observation": np.concatenate([observed, lights], 1),
            "dset": observed,
            "reward": reward.astype(np.float32),
        }
