"""What the agents of a city see, read from the SUMO of this process.

One reader for the whole city and for copies of one region, so that both look the same.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

import libsumo
import numpy as np

from hinterland.domains.traffic.approaches import edge_of
from hinterland.domains.traffic.city import CAR_M, LANE_FEATURES, Light
from hinterland.domains.traffic.costs import Costs, Waiting
from hinterland.domains.traffic.network import HALTING

ENTRY_M, ENTRY_SHARE = 15.0, 0.1
"""A lane's entry segment is this long, or this share of the lane if that is more."""
Way = tuple[str, ...]
"""Edges, one after the other."""


class _Ahead(NamedTuple):
    """Where a car on an edge is heading."""

    edge: str
    lanes: tuple[tuple[int, list[int]], ...]
    """For every light whose car it is: its number, and the incoming lanes to which it counts."""


class Junctions:
    """Regions of lights.

    A light's cars are those on its incoming lanes, and of those further upstream the ones whose way
    leads through it: they count to the incoming lanes from which that way goes on, in equal parts.

    Args:
        lights: whose.
        lanes: all agents are padded to so many lanes.
        most: of the cars that come in from outside, so many are told of in a step; None: they are
            not counted.
        costs: told what each light's cars do.
    """

    def __init__(self, lights: Sequence[Light], lanes: int, most: int | None, costs: Costs) -> None:
        self._lights, self._count_entries, self._costs = lights, most is not None, costs
        self._most = most or 0
        flat = [
            (agent, slot, lane)
            for agent, light in enumerate(lights)
            for slot, lane in enumerate(light.seen)
        ]
        # Lights may share a lane; SUMO is asked once for it.
        self._names = list(dict.fromkeys(lane for _, _, lane in flat))
        place = {lane: index for index, lane in enumerate(self._names)}
        self._lane = np.array([place[lane] for _, _, lane in flat])
        self._agent = np.array([agent for agent, _, _ in flat])
        self._slot = np.array([slot for _, slot, _ in flat])
        self._flat = {(agent, lane): index for index, (agent, _, lane) in enumerate(flat)}
        self._shape = (len(lights), lanes)
        incoming = np.array([len(light.lanes) for light in lights])
        self._incoming = self._slot < incoming[self._agent]
        self._edges = [edge_of(lane) for lane in self._names]
        self._watching: dict[str, list[int]] = {}
        for agent, light in enumerate(lights):
            for edge in sorted(light.roads):
                self._watching.setdefault(edge, []).append(agent)
        own = {name: [i for i, x in enumerate(lights) if name in x.lanes] for name in self._names}
        self._own = [own[name] for name in self._names]
        self._further = [
            len(self._watching[edge]) > len(mine)
            for edge, mine in zip(self._edges, self._own, strict=True)
        ]
        self._moves = [self._moves_of(agent) for agent in range(len(lights))]
        lengths = np.array([length for light in lights for length in light.lengths])
        self._entry = np.minimum(lengths, np.maximum(ENTRY_M, ENTRY_SHARE * lengths))
        reach = lengths.copy()
        reach[self._incoming] = [metres for light in lights for metres in light.reach]
        self._capacity = np.maximum(1.0, reach / CAR_M)
        self.reset()

    def _moves_of(self, agent: int) -> dict[tuple[str, str], list[int]]:
        """The incoming lanes, by the edge before a light and the one behind it."""
        light = self._lights[agent]
        moves: dict[tuple[str, str], dict[int, None]] = {}
        for _, slot, out in light.links:
            lane = light.lanes[slot]
            moves.setdefault((edge_of(lane), edge_of(out)), {})[self._flat[agent, lane]] = None
        return {move: list(lanes) for move, lanes in moves.items()}

    def reset(self) -> None:
        """Before the first second of an episode, with no cars."""
        self.cars = np.zeros(len(self._agent))
        self._halting = np.zeros(len(self._agent))
        self._at_entry = np.zeros(len(self._agent), bool)
        self._ahead: dict[str, _Ahead] = {}
        self._entered_at: dict[tuple[int, str], int] = {}
        self.ways: dict[tuple[str, str], Counter[Way]] = {}
        """Cars by (light, lane on which they came in), and by their way on through its region."""
        self.departures: Counter[tuple[str, str]] = Counter()
        """Cars by (light, lane on which they began their way or wanted to)."""
        self._entered = np.zeros(len(self._agent), int)
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
        self._entered = np.maximum(0, self._entered - self._most)

    def second(self, waiting: Waiting) -> None:
        """Reads every lane after a second of simulation.

        Args:
            waiting: who waits to enter, after that second.
        """
        speed_of, tell = libsumo.vehicle.getSpeed, self._costs.vehicle
        self._costs.second()
        number, standing = np.zeros((2, len(self._names)))
        first = np.full(len(self._names), np.inf)
        heading, heading_standing = np.zeros((2, len(self._agent)))
        ahead: dict[str, _Ahead] = {}
        for index, lane in enumerate(self._names):
            cars = libsumo.lane.getLastStepVehicleIDs(lane)
            if not cars:
                continue
            edge, further, own = self._edges[index], self._further[index], self._own[index]
            # SUMO lists the cars of a lane from its beginning on.
            first[index] = libsumo.vehicle.getLanePosition(cars[0])
            halting = 0
            for car in cars:
                speed = speed_of(car)
                halts = speed < HALTING
                halting += halts
                for agent in own:
                    tell(agent, car, speed)
                if not (further or self._count_entries):
                    continue
                known = self._ahead.get(car)
                if known is None or known.edge != edge:
                    known = self._meet(car, edge, lane)
                ahead[car] = known
                for agent, lanes in known.lanes if further else ():
                    if agent not in own:
                        heading[lanes] += 1 / len(lanes)
                        heading_standing[lanes] += halts / len(lanes)
                        tell(agent, car, speed)
            number[index], standing[index] = len(cars), halting
        self._ahead = ahead
        self.cars = number[self._lane] + heading
        self._halting = standing[self._lane] + heading_standing
        self._at_entry = first[self._lane] < self._entry
        self._costs.close(waiting)

    def waits_before(self, car: str) -> list[int]:
        """The lights whose region a car enters where it begins its way, if that leads through."""
        route = libsumo.vehicle.getRoute(car)
        known = libsumo.vehicle.isRouteValid(car)  # SUMO looks for ways late where roads are full
        return [
            agent
            for agent in self._watching.get(route[0], ())
            if not known or self._lanes_ahead(agent, route)
        ]

    def wants(self, car: str, lane: str = "") -> None:
        """A car is to begin its way now: it counts as come in, whether there is room or not.

        Who wants to depart is nobody's doing; who finds room is the light's.

        Args:
            car: its id.
            lane: where it has found room.
        """
        edge = libsumo.vehicle.getRoute(car)[0]
        for agent in self._watching.get(edge, ()):
            lanes = [one for one in self._lights[agent].seen if edge_of(one) == edge]
            places = [self._flat[agent, one] for one in ([lane] if lane in lanes else lanes)]
            place = min(places, key=lambda one: self._entered[one])
            self._entered[place] += 1
            self.departures[self._lights[agent].id, self._names[self._lane[place]]] += 1

    def _meet(self, car: str, edge: str, lane: str) -> _Ahead:
        """Of a car that is new on an edge: where it goes, and whose region it has just entered."""
        route, place = libsumo.vehicle.getRoute(car), libsumo.vehicle.getRouteIndex(car)
        heads = []
        for agent in self._watching[edge]:
            if self._count_entries:
                self._comes_in(car, agent, lane, route, place)
            lanes = self._lanes_ahead(agent, route[place:])
            if lanes:
                heads.append((agent, lanes))
        return _Ahead(edge, tuple(heads))

    def _lanes_ahead(self, agent: int, way: Way) -> list[int]:
        """The incoming lanes of a light to which a way leads inside of its region; none: nowhere
        near."""
        roads, moves = self._lights[agent].roads, self._moves[agent]
        for move in pairwise(way):
            if move in moves:
                return moves[move]
            if move[1] not in roads:
                break
        return []

    def _comes_in(self, car: str, agent: int, lane: str, route: Way, place: int) -> None:
        """Counts a car that is new on an edge, unless it has been inside of the region since.

        Who leaves the region's roads and comes back by edges that its local simulator has, comes
        back there by itself.
        """
        light = self._lights[agent]
        start = at = place
        while at > 0 and route[at - 1] in light.through:
            at -= 1
            if route[at] in light.roads:
                start = at
        if self._entered_at.get((agent, car)) == start:
            return
        self._entered_at[agent, car] = start
        self._entered[self._flat[agent, lane]] += start > 0  # of the others `wants` is told
        inside = sum(1 for _ in takewhile(light.through.__contains__, route[place:]))
        way = route[place : place + inside + 1]
        self.ways.setdefault((light.id, lane), Counter())[way] += 1

    def influence(self) -> np.ndarray:
        """[light, lanes]: cars that came in, or wanted to, since `begin`, as classes."""
        return self._padded(np.minimum(self._entered, self._most)).astype(np.int32)

    def approaching(self) -> np.ndarray:
        """[light, lanes]: its cars by incoming lane; those further upstream in equal parts."""
        return self._padded(self.cars * self._incoming)

    def dset(self) -> np.ndarray:
        """[light, lanes * 3]: of every incoming lane the light's moving and its standing cars, of
        the others those on them, by the number that there is room for; and whether a car is in the
        lane's entry segment."""
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
