"""A user's route file, checked against the network that it should belong to."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

from hinterland.core import UserError
from hinterland.domains.traffic.netfile import Network, elements

DEPARTURES = {"vehicle": "depart", "trip": "depart", "flow": "begin"}
"""What can put cars on the road, and when it does."""
BUILT_IN = tuple(
    f"DEFAULT_{kind}TYPE" for kind in ("VEH", "BIKE", "TAXI", "RAIL", "CONTAINER", "PED")
)
"""Vehicle types that SUMO knows by itself."""
AREAS = ("fromTaz", "toTaz", "fromJunction", "toJunction")


@dataclass(frozen=True)
class Demand:
    """What a route file holds.

    Attributes:
        begin: the first departure, in seconds.
        end: the last one, or the end of the flow that ends last.
        car: attributes of the vehicle type that most of it uses; empty: SUMO's own.
        notes: what a user should know.
        people: whether anybody walks.
    """

    begin: float
    end: float
    car: dict[str, str]
    notes: tuple[str, ...]
    people: bool


def seconds(time: str) -> float | None:
    """A SUMO time: 90, 90.5 or 0:01:30 (days in front allowed); None for words like "triggered"."""
    try:
        total = 0.0
        for part, size in zip(reversed(time.split(":")), (1, 60, 3600, 86400), strict=False):
            total += float(part) * size
        return total
    except ValueError:
        return None


def _reached(following: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """Everything that can be reached from an edge, itself included."""
    reached, waiting = {start}, [start]
    while waiting:
        new = [edge for edge in following[waiting.pop()] if edge not in reached]
        reached.update(new)
        waiting.extend(new)
    return reached


class _Roads:
    """Ways of cars through the network.

    Args:
        network: the roads.
        hub: an edge that most others lead to and can be reached from.
    """

    def __init__(self, network: Network, hub: str) -> None:
        self._successors = network.successors
        before: dict[str, list[str]] = {edge: [] for edge in network.successors}
        for edge, following in network.successors.items():
            for after in following:
                before[after].append(edge)
        self._to_hub = _reached(before, hub)
        self._from_hub = _reached(network.successors, hub)
        self._reached: dict[str, set[str]] = {}

    def reaches(self, start: str, end: str) -> bool:
        """Whether there is a way from one edge to another; most lead by way of the hub."""
        if start in self._to_hub and end in self._from_hub:
            return True
        if start not in self._reached:
            self._reached[start] = _reached(self._successors, start)
        return end in self._reached[start]

    def way(self, start: str, end: str) -> list[str]:
        """The quickest way on empty roads; empty: there is none."""
        before: dict[str, str] = {}
        waiting = [(0.0, start, start)]
        while waiting and end not in before:
            cost, edge, came = heapq.heappop(waiting)
            if edge in before:
                continue
            before[edge] = came
            for following, takes in self._successors[edge].items():
                if following not in before:
                    heapq.heappush(waiting, (cost + takes, following, edge))
        if end not in before:
            return []
        way = [end]
        while way[-1] != start:
            way.append(before[way[-1]])
        return way[::-1]


def _stops(element: Element) -> list[str]:
    """The edges that a vehicle, trip or flow names as its way's ends and stations."""
    names = [element.get("from"), *element.get("via", "").split(), element.get("to")]
    return [name for name in names if name]


class _Reader:
    """Goes through a route file once."""

    def __init__(self, file: Path, network: Network, watched: Iterable[str]) -> None:
        self.file, self._network, self._watched = file, network, set(watched)
        self._roads = _Roads(network, min(self._watched))
        self._routes: dict[str, list[list[str]]] = {}
        self.types: dict[str, dict[str, str]] = {}
        self._mixtures: set[str] = set()
        self.uses: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.begin, self.end = float("inf"), 0.0
        self._last = ("", float("-inf"))
        self.vehicles = self.lost = 0
        self.passes = self.people = False

    def read(self) -> None:
        """Counts, and notes what is wrong."""
        for element in elements(self.file, "routes", "a SUMO route file (.rou.xml)"):
            self.people |= element.tag in ("person", "personFlow")
            if element.tag == "vType":
                self.types[element.get("id", "")] = dict(element.attrib)
            elif element.tag == "vTypeDistribution":
                self._mixtures.add(element.get("id", ""))
                for kind in element.iter("vType"):
                    self.types[kind.get("id", "")] = dict(kind.attrib)
            elif element.tag == "route":
                self._routes[element.get("id", "")] = [self._edges(element)]
            elif element.tag == "routeDistribution":
                routes = [self._edges(route) for route in element.iter("route")]
                names = [route.get("refId", "") for route in element.iter("route")]
                for name in (*names, *element.get("routes", "").split()):
                    routes += self._routes.get(name, [])
                self._routes[element.get("id", "")] = routes
            elif element.tag in DEPARTURES:
                self._vehicle(element)

    def _edges(self, route: Element) -> list[str]:
        edges = route.get("edges", "").split()
        self._known(edges)
        return edges

    def _known(self, edges: list[str]) -> bool:
        missing = [edge for edge in edges if edge not in self._network.successors]
        self.missing.update(missing)
        return not missing

    def _vehicle(self, element: Element) -> None:
        self.vehicles += 1
        kind = element.get("type", "DEFAULT_VEHTYPE")
        self.uses[kind] += 1
        if kind not in self.types and kind not in self._mixtures and kind not in BUILT_IN:
            self._undefined(element, "vehicle type", kind)
        route = element.get("route")
        if route is not None and route not in self._routes:
            self._undefined(element, "route", route)
        departs = seconds(element.get(DEPARTURES[element.tag], "0"))
        if departs is not None:
            name = element.get("id", "")
            if departs < self._last[1]:
                raise UserError(
                    f"{self.file} is not sorted by departure, so that SUMO would drop vehicles: "
                    f"'{name}' at {departs:g} s comes after '{self._last[0]}' at "
                    f"{self._last[1]:g} s; sort it with SUMO's tools/route/sort_routes.py"
                )
            self._last = (name, departs)
            self.begin = min(self.begin, departs)
            self.end = max(self.end, departs, seconds(element.get("end", "")) or 0.0)
        routes = [self._edges(route) for route in element.iter("route")]
        routes += self._routes.get(element.get("route", ""), [])
        stops = _stops(element)
        if not self._known(stops) or self.missing:
            return
        whole = all(b in self._network.successors[a] for way in routes for a, b in pairwise(way))
        if whole and all(self._roads.reaches(a, b) for a, b in pairwise(stops)):
            # Once a car passes a light, nobody asks for the ways of further ones.
            if not self.passes:
                ways = routes or [self._roads.way(a, b) for a, b in pairwise(stops)]
                seen = any(not self._watched.isdisjoint(way) for way in ways)
                self.passes = seen or any(name in element.attrib for name in AREAS)
        elif self._is_car(kind):
            self.lost += 1

    def _undefined(self, element: Element, what: str, name: str) -> None:
        raise UserError(
            f"{self.file}: '{element.get('id')}' names the {what} '{name}', which the file does "
            "not define before it; put its definition at the beginning of the file"
        )

    def _is_car(self, kind: str) -> bool:
        return self.types.get(kind, {}).get("vClass", "passenger") == "passenger"


def read_demand(file: Path, net: Path, network: Network, watched: Iterable[str]) -> Demand:
    """Reads a route file.

    Args:
        file: its path.
        net: path of the network, for messages.
        network: what it should belong to.
        watched: edges that lead to an agent's light.

    Raises:
        UserError: it is missing, no route file, empty, of another network, not sorted, or none of
            its vehicles comes by a light.
    """
    reader = _Reader(file, network, watched)
    reader.read()
    if reader.missing:
        first, count = next(iter(reader.missing)), len(reader.missing)
        others = f" and {count - 1} more" if count > 1 else ""
        raise UserError(
            f"{file} does not belong to {net}: the network has no edge '{first}'{others} that its "
            "routes name; give the network that the routes were made for"
        )
    if not reader.vehicles:
        raise UserError(
            f"{file} has no traffic: no <vehicle>, <trip> or <flow> in it; SUMO's "
            "tools/randomTrips.py makes some for a network"
        )
    if not reader.passes:
        why = (
            f"; {reader.lost} of them lead between parts of the network that are not connected"
            if reader.lost
            else ""
        )
        raise UserError(
            f"none of the {reader.vehicles} routes of {file} passes a traffic light of {net} that "
            f"can be trained{why}; give routes that lead through its lights"
        )
    notes = (
        (f"{reader.lost} of the {reader.vehicles} vehicles and flows of {file} have no way to "
         "where they go and are left out",)
        if reader.lost
        else ()
    )  # fmt: skip
    used = [reader.types[name] for name, _ in reader.uses.most_common() if name in reader.types]
    cars = [car for car in used if car.get("vClass", "passenger") == "passenger"]
    begin = 0.0 if reader.begin == float("inf") else reader.begin
    return Demand(begin, reader.end, cars[0] if cars else {}, notes, reader.people)
