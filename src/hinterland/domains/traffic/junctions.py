"""What the agents of a city see, read from the SUMO of this process.

One reader for the whole city and for copies of one junction, so that both look the same.
"""

from collections import Counter
from collections.abc import Sequence

import libsumo
import numpy as np

from hinterland.domains.traffic.city import CAR_M, CLASSES, LANE_FEATURES, Light
from hinterland.domains.traffic.costs import Costs, Waiting
from hinterland.domains.traffic.network import HALTING

ENTRY_M, ENTRY_SHARE = 15.0, 0.1
"""A lane's entry segment is this long, or this share of the lane if that is more."""


class Junctions:
    """Incoming lanes of lights.

    Args:
        lights: whose.
        lanes: all agents are padded to so many lanes.
        count_entries: also count the cars that come in from outside.
        costs: told what each car does.
    """

    def __init__(
        self, lights: Sequence[Light], lanes: int, count_entries: bool, costs: Costs
    ) -> None:
        self._lights, self._count_entries, self._costs = lights, count_entries, costs
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
        self._capacity = np.maximum(1.0, lengths / CAR_M)
        self._entry = np.minimum(lengths, np.maximum(ENTRY_M, ENTRY_SHARE * lengths))
        edges = [{lane.rsplit("_", 1)[0] for lane in light.lanes} for light in lights]
        self._edges = [edges[agent] for agent in self._agent]
        self._place = {lane: index for index, lane in enumerate(self._names)}
        self._on_edge: dict[str, list[int]] = {}
        for index, lane in enumerate(self._names):
            self._on_edge.setdefault(lane.rsplit("_", 1)[0], []).append(index)
        self.reset()

    def reset(self) -> None:
        """Before the first second of an episode, with no cars."""
        self.cars = np.zeros(len(self._names), int)
        self._halting = np.zeros(len(self._names), int)
        self._at_entry = np.zeros(len(self._names), bool)
        self._inside: set[str] = set()
        self.turns: Counter[tuple[str, str]] = Counter()
        """Cars by the lane on which they came in and the edge to which they go on ("": none)."""
        self.departures: Counter[str] = Counter()
        """Cars that wanted to begin their way there, by lane."""
        self._entered = np.zeros(len(self._names), int)
        self.begin()

    def clear(self, which: np.ndarray) -> None:
        """Forgets the cars of a mask of lights: they were taken off the road."""
        lanes = which[self._agent]
        self.cars[lanes] = self._halting[lanes] = 0
        self._at_entry[lanes] = False

    def begin(self) -> None:
        """Before the first second of a step."""
        self._costs.begin()
        # Of more cars than an influence source can tell of, the others come a step later.
        self._entered = np.maximum(0, self._entered - (CLASSES - 1))

    def second(self, waiting: Waiting) -> None:
        """Reads every lane after a second of simulation.

        Args:
            waiting: who waits to enter, after that second.
        """
        speed_of, tell = libsumo.vehicle.getSpeed, self._costs.vehicle
        self._costs.second()
        inside: set[str] = set()
        for index, lane in enumerate(self._names):
            cars = libsumo.lane.getLastStepVehicleIDs(lane)
            halting, agent = 0, int(self._agent[index])
            for car in cars:
                speed = speed_of(car)
                halting += speed < HALTING
                tell(agent, car, speed)
            self.cars[index], self._halting[index] = len(cars), halting
            # SUMO lists the cars of a lane from its beginning on.
            self._at_entry[index] = (
                bool(cars) and libsumo.vehicle.getLanePosition(cars[0]) < self._entry[index]
            )
            if self._count_entries:
                inside.update(cars)
                new = [car for car in cars if car not in self._inside]
                self._entered[index] += sum(self._comes_in(car, index) for car in new)
        self._inside = inside
        self._costs.close(waiting)

    def before(self, car: str) -> list[int]:
        """The lights whose region a car enters where it begins its way."""
        lanes = self._on_edge.get(libsumo.vehicle.getRoute(car)[0], ())
        return list(dict.fromkeys(int(self._agent[lane]) for lane in lanes))

    def wants(self, car: str, lane: str = "") -> None:
        """A car is to begin its way now: it counts as come in, whether there is room or not.

        Who wants to depart is nobody's doing; who finds room is the light's.

        Args:
            car: its id.
            lane: where it has found room.
        """
        lanes = self._on_edge.get(libsumo.vehicle.getRoute(car)[0], ())
        if lanes:
            index = self._place.get(lane, min(lanes, key=lambda one: self._entered[one]))
            self._entered[index] += 1
            self.departures[self._names[index]] += 1

    def _comes_in(self, car: str, lane: int) -> bool:
        """Notes a car that is new on a lane; whether it came in from a road outside."""
        place, route = libsumo.vehicle.getRouteIndex(car), libsumo.vehicle.getRoute(car)
        if place > 0 and route[place - 1] in self._edges[lane]:
            return False
        following = route[place + 1] if place + 1 < len(route) else ""
        self.turns[self._names[lane], following] += 1
        return place > 0

    def influence(self) -> np.ndarray:
        """[light, lanes]: cars that came in, or wanted to, since `begin`, as classes."""
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

    def _padded(self, values: np.ndarray) -> np.ndarray:
        table = np.zeros(self._shape, values.dtype)
        table[self._agent, self._slot] = values
        return table
