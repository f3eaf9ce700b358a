"""The whole grid in SUMO. Runs in a process of its own, where no JAX is: libsumo is a singleton."""

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
from hinterland.domains.traffic.network import BLOCK, CELLS, HALTING, SPEED, YELLOW_S, Grid
from hinterland.domains.traffic.sumo_run import SumoRun

LIGHTS = (NORTH_SOUTH, YELLOW[NORTH_SOUTH], EAST_WEST, YELLOW[EAST_WEST])
"""States by phase: 0 north-south green, 1 its yellow, 2 east-west green, 3 its yellow."""
LIGHT_BIT = np.array([3, 2, 0, 1])
"""Which of the four light bits each phase sets."""


class Lights:
    """Phases of many two-direction lights under switch actions; no minimum green.

    An action is heeded where the light shows green. A switch shows yellow for three seconds, then
    the other direction's green.
    """

    def __init__(self, count: int) -> None:
        self.phase = np.zeros(count, np.int8)
        self._yellow_left = np.zeros(count, np.int8)

    def reset(self, chosen: np.ndarray) -> None:
        """Back to north-south green."""
        self.phase = np.where(chosen, 0, self.phase).astype(np.int8)
        self._yellow_left[chosen] = 0

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


class Intersections:
    """What all lights of a running simulation show, and what stands before them.

    Args:
        grid: the network.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._lanes = [lane for lanes in grid.incoming for lane in lanes]
        self.count = len(grid.lights)

    def begin(self) -> None:
        """Before the first second: all lights north-south green, nothing counted."""
        self.lights = Lights(self.count)
        self.queued = self.seen = 0

    def show(self, changed: np.ndarray) -> None:
        """Sets those lights in SUMO."""
        for light in np.flatnonzero(changed):
            libsumo.trafficlight.setRedYellowGreenState(
                self._grid.lights[light], LIGHTS[self.lights.phase[light]]
            )

    def see(self) -> dict[str, np.ndarray]:
        """Reads every incoming lane once: observations, d-sets and rewards of all lights.

        `cars` and `entries` [light, 4] stay here: cars on each lane, and whether one stands in the
        cell where they enter.
        """
        of, speed = libsumo.vehicle.getLanePosition, libsumo.vehicle.getSpeed
        every = [libsumo.lane.getLastStepVehicleIDs(lane) for lane in self._lanes]
        positions = np.array([of(car) for cars in every for car in cars])
        moves = np.array([speed(car) for cars in every for car in cars])
        cars = np.array([len(cars) for cars in every])
        lanes = np.repeat(np.arange(len(every)), cars)
        cells = np.minimum(((BLOCK - positions) / BLOCK * CELLS).astype(int), CELLS - 1)
        bits = np.zeros((len(every), CELLS), np.int8)
        bits[lanes, cells] = 1
        speeds = np.bincount(lanes, moves, len(every))
        self.queued += int((moves < HALTING).sum())
        self.seen += 1
        self.cars = cars.reshape(self.count, 4)
        bits = bits.reshape(self.count, 4, CELLS)
        self.entries = bits[..., -1].astype(np.int32)
        lights = np.zeros((self.count, 4), np.int8)
        lights[np.arange(self.count), LIGHT_BIT[self.lights.phase]] = 1
        observed = bits[..., :-1].reshape(self.count, -1)
        total = np.maximum(self.cars.sum(1), 1)
        reward = speeds.reshape(self.count, 4).sum(1) / total / SPEED
        return {
            "observation": np.concatenate([observed, lights], 1),
            "dset": observed,
            "reward": reward.astype(np.float32),
        }


class GlobalTraffic(SumoRun):
    """The grid's global simulator: one episode at a time.

    Args:
        grid: the network.
        routes: path of the route file.
    """

    def __init__(self, grid: Grid, routes: Path) -> None:
        super().__init__(routes.parent)
        self._grid, self._routes = grid, routes
        self._all = Intersections(grid)
        self._outgoing = [lane for lanes in grid.outgoing for lane in lanes]

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> dict:
        """Starts an episode with an empty grid; what the agents see.

        Args:
            seed: of arrivals and drivers.
            controller: who controls the lights; None: the actions.
            figures: keep SUMO's record of every trip for `metrics`.
        """
        self._end()
        options = self._trip_options(figures)
        if controller in PROGRAMS:
            file = self._folder / "lights.add.xml"
            file.write_text(program_file(controller, self._grid))
            options += ["-a", file]
        self._start(self._grid.network, self._routes, seed, *options)
        self._rule = RULES[controller](seed) if controller in RULES else None
        self._by_actions = controller not in PROGRAMS
        self._all.begin()
        if self._by_actions:
            self._all.show(np.ones(self._all.count, bool))
        return self._all.see()

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """One second. `influence` is what stood in the entry cells before it, as the d-set does.

        Raises:
            ValueError: an action is neither 0 nor 1.
        """
        whole, influence = self._all, self._all.entries
        if self._rule is not None:
            outgoing = [libsumo.lane.getLastStepVehicleNumber(lane) for lane in self._outgoing]
            outgoing = np.array(outgoing).reshape(whole.cars.shape)
            actions = self._rule(whole.cars, outgoing, whole.lights.phase)
        if self._by_actions:
            whole.show(whole.lights.apply(actions))
        libsumo.simulationStep()
        terminated = libsumo.simulation.getStartingTeleportNumber() > 0
        return {**whole.see(), "influence": influence, "terminated": terminated}

    def picture(self) -> dict[str, np.ndarray]:
        """Cars as [x (m), y (m), speed (m/s)] and the lights' phases."""
        states = [libsumo.trafficlight.getRedYellowGreenState(x) for x in self._grid.lights]
        return {
            "cars": self._cars_on_map(),
            "phase": np.array([LIGHTS.index(state) for state in states], np.int8),
        }

    def metrics(self) -> dict[str, float]:
        """Ends the episode, which was begun with `figures`; see `SumoRun`."""
        return self._trip_figures(self._all.queued / max(1, self._all.seen) / self._all.count)
