"""How far the region of a light reaches: its approaches, followed upstream.

The queue before a light does not end where the lane before it does: networks made from maps cut
roads into pieces of a few metres. A region has every road from which cars come to the light without
passing another one, and whose end is nearer to it than a distance; so it ends at the next light, at
the end of the road, or where a road begins beyond that distance.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from hinterland.domains.traffic.netfile import PEOPLE, Network

VIEW_M = 200.0
"""The distance, as published for real towns (RESCO, Ault and Sharon 2021), in metres."""


@dataclass(frozen=True)
class Region:
    """Roads of a light.

    Attributes:
        upstream: lanes beyond those that end at a controlled way through the light, nearest first.
        reach: metres to which the queue of each incoming lane is followed: at most the distance,
            unless the lane alone is longer.
        roads: edges that vehicles take to the light; all their lanes for vehicles are seen.
        through: these, and all others that end at one of their junctions: who drives on one of them
            stays inside of the local simulator.
    """

    upstream: tuple[str, ...]
    reach: tuple[float, ...]
    roads: frozenset[str]
    through: frozenset[str]


class Approaches:
    """Follows approaches through a network, for any number of lights.

    Args:
        network: the roads.
        view: the distance, in metres.
    """

    def __init__(self, network: Network, view: float = VIEW_M) -> None:
        self._network, self._view = network, view
        self._before: dict[str, list[str]] = {edge: [] for edge in network.successors}
        for edge, following in network.successors.items():
            for after in following:
                if (edge, after) not in network.turnarounds:
                    self._before[after].append(edge)
        for edge, after in sorted(network.tracks):
            if edge not in self._before[after]:
                self._before[after].append(edge)
        self._lanes: dict[str, list[str]] = {}
        self._lengths: dict[str, float] = {}
        for lane, (length, _, _) in network.lanes.items():
            edge = edge_of(lane)
            if network.users[lane] not in ("", PEOPLE):
                self._lanes.setdefault(edge, []).append(lane)
            self._lengths[edge] = max(length, self._lengths.get(edge, 0.0))
        self._ending: dict[str, list[str]] = {}
        for edge, (_, end) in network.ends.items():
            self._ending.setdefault(end, []).append(edge)

    def region(self, lanes: Iterable[str]) -> Region:
        """The region of a light, from its incoming lanes."""
        lanes = tuple(lanes)
        ways = {edge: self._upstream(edge) for edge in dict.fromkeys(map(edge_of, lanes))}
        nearest: dict[str, float] = {}
        for way in ways.values():
            for edge, metres in way.items():
                nearest[edge] = min(metres, nearest.get(edge, metres))
        roads = sorted(nearest, key=lambda edge: (nearest[edge], edge))
        junctions = {self._network.ends[edge][1] for edge in roads}
        seen = [lane for edge in roads for lane in self._lanes.get(edge, ())]
        return Region(
            upstream=tuple(lane for lane in seen if lane not in lanes),
            reach=tuple(self._reach(lane, ways[edge_of(lane)]) for lane in lanes),
            roads=frozenset(roads),
            through=frozenset(edge for one in junctions for edge in self._ending[one]),
        )

    def behind_a_light(self, lane: str, metres: float) -> bool:
        """Whether another light ends the region of an incoming lane before so many metres."""
        way = self._upstream(edge_of(lane))
        begins = {self._network.ends[road][0] for road in way}
        near = max(far + self._lengths[road] for road, far in way.items()) < min(metres, self._view)
        return near and not begins.isdisjoint(self._network.lit)

    def _upstream(self, edge: str) -> dict[str, float]:
        """Metres from the end of every road to the end of this one, by way of the roads between."""
        found: dict[str, float] = {}
        waiting = [(0.0, edge)]
        while waiting:
            metres, road = heapq.heappop(waiting)
            if road in found:
                continue
            found[road] = metres
            begins = metres + self._lengths[road]
            if begins < self._view and self._network.ends[road][0] not in self._network.lit:
                for before in self._before[road]:
                    heapq.heappush(waiting, (begins, before))
        return found

    def _reach(self, lane: str, upstream: dict[str, float]) -> float:
        farthest = max(metres + self._lengths[road] for road, metres in upstream.items())
        return max(self._network.lanes[lane][0], min(self._view, farthest))


def edge_of(lane: str) -> str:
    """The edge of a lane, by their ids."""
    return lane.rsplit("_", 1)[0]
