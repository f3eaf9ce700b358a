"""What the agents of a city see and get, read from the SUMO of this process.

One reader for the whole city and for copies of one junction, so that both look the same.
"""

from collections import Counter
from collections.abc import Sequence

import libsumo
import numpy as np

from hinterland.domains.traffic.city import CAR_M, CLASSES, LANE_FEATURES, Light
from hinterland.domains.traffic.network import HALTING

ENTRY_M, ENTRY_SHARE = 15.0, 0.1
"""A lane's entry segment is this long, or this share of the lane if that is more."""


class Junctions:
    """Incoming lanes of lights.

    Args:
        lights: whose.
        lanes: all agents are padded to so many lanes.
        count_entries: also count the cars that come in from outside.
    """

    def __init__(self, lights: Sequence[Light], lanes: int, count_entries: bool) -> None:
        self._lights, self._count_entries = lights, count_entries
        flat = [
            (agent, slot, lane)
            for agent, light in enumerate(lights)
            for slot, lane in enumerate(light.lanes)
        ]
        self._names = [lane for _, _, lane in flat]
        self._agent = np.array([agent for agent, _, _ in flat])
        self._slot = np.array([slot for _, slot, _ in flat])
        self._shape = (len(lights), lanes)
        lengths = np.array([length for light in lights for length in light.lengths])
        self._limits = np.array([limit for light in lights for limit in light.limits])
        self._capacity = np.maximum(1.0, lengths / CAR_M)
        self._entry = np.minimum(lengths, np.maximum(ENTRY_M, ENTRY_SHARE * lengths))
        edges = [{lane.rsplit("_", 1)[0] for lane in light.lanes} for light in lights]
        self._edges = [edges[agent] for agent in self._agent]
        self.reset()

    def reset(self) -> None:
        """Before the first second of an episode, with no cars."""
        self.cars = np.zeros(len(self._names), int)
        self._halting = np.zeros(len(self._names), int)
        self._at_entry = np.zeros(len(self._names), bool)
        self._inside: set[str] = set()
        self.turns: Counter[tuple[str, str]] = Counter()
        """Cars by the lane on which they came in and the edge to which they go on ("": none)."""
        self.begin()

    def clear(self, which: np.ndarray) -> None:
        """Forgets the cars of a mask of lights: they were taken off the road."""
        lanes = which[self._agent]
        self.cars[lanes] = self._halting[lanes] = 0
        self._at_entry[lanes] = False

    def begin(self) -> None:
        """Before the first second of a step."""
        self._lost = np.zeros(self._shape[0])
        self._seconds = 0
        self._entered = np.zeros(len(self._names), int)
        self.queue = 0

    def second(self) -> None:
        """Reads every lane after a second of simulation."""
        speeds = np.zeros(len(self._names))
        speed_of = libsumo.vehicle.getSpeed
        inside: set[str] = set()
        for index, lane in enumerate(self._names):
            cars = libsumo.lane.getLastStepVehicleIDs(lane)
            halting, total = 0, 0.0
            for car in cars:
                speed = speed_of(car)
                total += speed
                halting += speed < HALTING
            self.cars[index], self._halting[index] = len(cars), halting
            # SUMO lists the cars of a lane from its beginning on.
            self._at_entry[index] = (
                bool(cars) and libsumo.vehicle.getLanePosition(cars[0]) < self._entry[index]
            )
            speeds[index] = total
            self.queue += halting
            if self._count_entries:
                inside.update(cars)
                new = [car for car in cars if car not in self._inside]
                self._entered[index] += sum(self._comes_in(car, index) for car in new)
        self._inside = inside
        lost = np.maximum(0.0, self.cars - speeds / self._limits)
        self._lost += np.bincount(self._agent, lost, self._shape[0])
        self._seconds += 1

    def _comes_in(self, car: str, lane: int) -> bool:
        """Notes a car that is new on a lane; not one from another lane of the same light."""
        place, route = libsumo.vehicle.getRouteIndex(car), libsumo.vehicle.getRoute(car)
        if place > 0 and route[place - 1] in self._edges[lane]:
            return False
        following = route[place + 1] if place + 1 < len(route) else ""
        self.turns[self._names[lane], following] += 1
        return True

    def influence(self) -> np.ndarray:
        """[light, lanes]: cars that came in from outside since `begin`, as classes."""
        return self._padded(np.minimum(self._entered, CLASSES - 1)).astype(np.int32)

    def dset(self) -> np.ndarray:
        """[light, lanes * 3]: of every lane its moving and its standing cars, by the number that
        it can hold, and whether a car is in its entry segment."""
        seen = np.zeros((*self._shape, LANE_FEATURES), np.float32)
        lanes = np.stack(
            [
                np.minimum(1.0, (self.cars - self._halting) / self._capacity),
                np.minimum(1.0, self._halting / self._capacity),
                self._at_entry,
            ],
            1,
        )
        seen[self._agent, self._slot] = lanes
        return seen.reshape(self._shape[0], -1)

    def reward(self) -> np.ndarray:
        """[light]: minus the time that cars lost since `begin`, by what they could lose if its
        lanes were full and stood.

        A car loses in a second the share of the limit by which it is slower. The sum counts every
        car alike, and a car costs as long as it waits. The grids' mean speed does neither: where
        empty lanes give 0, a single car gives its lane's length by the limit however late it goes.
        """
        room = np.bincount(self._agent, self._capacity, self._shape[0])
        return (-self._lost / room / max(1, self._seconds)).astype(np.float32)

    def _padded(self, values: np.ndarray) -> np.ndarray:
        table = np.zeros(self._shape, values.dtype)
        table[self._agent, self._slot] = values
        return table
