"""A user's traffic, checked against the network that it should belong to."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from xml.etree.ElementTree import Element

from hinterland.core import UserError
from hinterland.domains.traffic.netfile import ADDITIONAL, FLOWS, Network, pieces, seconds
from hinterland.domains.traffic.scenario import Scenario

ROUTES = ("routes", "a SUMO route file (.rou.xml)")
"""Root and kind of such a file."""
VEHICLES = {"vehicle": "depart", "trip": "depart", "flow": "begin"}
"""What can put cars on the road, and when it does."""
DEPARTURES = {**VEHICLES, "person": "depart", "container": "depart",
              "personFlow": "begin", "containerFlow": "begin"}  # fmt: skip
BUILT_IN = tuple(
    f"DEFAULT_{kind}TYPE" for kind in ("VEH", "BIKE", "TAXI", "RAIL", "CONTAINER", "PED")
)
"""Vehicle types that SUMO knows by itself."""
AREAS = ("fromTaz", "toTaz", "fromJunction", "toJunction")


@dataclass(frozen=True)
class Demand:
    """What a scenario's files hold.

    Attributes:
        begin: the first departure, in seconds.
        end: the last one, or the end of the flow that ends last.
        car: attributes of the vehicle type that most of it uses; empty: SUMO's own.
        lost: (first and last departure, which) of every car or flow of cars that has no way to
            where it goes.
        people: whether anybody walks.
    """

    begin: float
    end: float
    car: dict[str, str]
    lost: tuple[tuple[float, float, str], ...]
    people: bool


def reached(following: Mapping[str, Iterable[str]], start: str) -> set[str]:
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
        self._to_hub = reached(before, hub)
        self._from_hub = reached(network.successors, hub)
        self._reached: dict[str, set[str]] = {}

    def reaches(self, start: str, end: str) -> bool:
        """Whether there is a way from one edge to another; most lead by way of the hub."""
        if start in self._to_hub and end in self._from_hub:
            return True
        if start not in self._reached:
            self._reached[start] = reached(self._successors, start)
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
    names = [element.get("from"), *_words(element, "via"), element.get("to")]
    return [name for name in names if name]


class _Reader:
    """Goes through the files once, in their order."""

    def __init__(self, network: Network, watched: Iterable[str]) -> None:
        self._network, self._watched = network, set(watched)
        self._roads = _Roads(network, min(self._watched))
        self._routes: dict[str, list[list[str]]] = {}
        self.types: dict[str, dict[str, str]] = {}
        self._mixtures: dict[str, list[str]] = {}
        self.uses: Counter[str] = Counter()
        self.missing: dict[str, Path] = {}
        self.begin, self.end = inf, 0.0
        self._last = ("", -inf)
        self.vehicles = 0
        self.lost: list[tuple[float, float, str]] = []
        self.passes = self.people = False

    def read(self, file: Path, kind: tuple[str, str], in_order: bool) -> None:
        """Counts, and notes what is wrong.

        Args:
            file: with what it includes.
            kind: root and kind that it should have.
            in_order: whether it must be sorted by departure.
        """
        self._last = ("", -inf)
        for element, place in pieces(file, *kind):
            self.people |= element.tag in ("person", "personFlow")
            if element.tag == "vType":
                self.types[element.get("id", "")] = dict(element.attrib)
            elif element.tag == "vTypeDistribution":
                members = list(element.iter("vType"))
                self.types |= {
                    one.attrib["id"]: dict(one.attrib) for one in members if "id" in one.attrib
                }
                names = [one.get("id") or one.get("refId", "") for one in members]
                self._mixtures[element.get("id", "")] = [*names, *_words(element, "vTypes")]
            elif element.tag == "route":
                self._routes[element.get("id", "")] = [self._edges(element, place)]
            elif element.tag == "routeDistribution":
                routes = [self._edges(route, place) for route in element.iter("route")]
                names = [route.get("refId", "") for route in element.iter("route")]
                for name in (*names, *_words(element, "routes")):
                    routes += self._routes.get(name, [])
                self._routes[element.get("id", "")] = routes
            elif element.tag in DEPARTURES:
                departs = self._departs(element, place, in_order)
                if element.tag in VEHICLES:
                    self._vehicle(element, place, departs)

    def _edges(self, route: Element, place: Path) -> list[str]:
        edges = _words(route, "edges")
        self._known(edges, place)
        return edges

    def _known(self, edges: list[str], place: Path) -> bool:
        missing = [edge for edge in edges if edge not in self._network.successors]
        for edge in missing:
            self.missing.setdefault(edge, place)
        return not missing

    def _departs(self, element: Element, place: Path, in_order: bool) -> float | None:
        """When it does; None: when something else happens."""
        departs = seconds(element.get(DEPARTURES[element.tag], "0"))
        if departs is None:
            return None
        name = element.get("id", "")
        if in_order and departs < self._last[1]:
            raise UserError(
                f"{place} is not sorted by departure, so that SUMO would drop vehicles: "
                f"'{name}' at {departs:g} s comes after '{self._last[0]}' at "
                f"{self._last[1]:g} s; sort it with SUMO's tools/route/sort_routes.py"
            )
        if "line" not in element.attrib:  # those of public transport may stand before all others
            self._last = (name, departs)
        self.begin = min(self.begin, departs)
        self.end = max(self.end, self._until(element, departs))
        return departs

    def _until(self, element: Element, departs: float) -> float:
        """When the last of it does; a flow without an end has none."""
        if element.tag not in FLOWS:
            return departs
        end = seconds(element.get("end", ""))
        return inf if end is None else max(departs, end)

    def _vehicle(self, element: Element, place: Path, departs: float | None) -> None:
        self.vehicles += 1
        kind = element.get("type", "DEFAULT_VEHTYPE")
        self.uses[kind] += 1
        if kind not in self.types and kind not in self._mixtures and kind not in BUILT_IN:
            self._undefined(element, place, "vehicle type", kind)
        route = element.get("route")
        if route is not None and route not in self._routes:
            self._undefined(element, place, "route", route)
        routes = [self._edges(route, place) for route in element.iter("route")]
        routes += self._routes.get(element.get("route", ""), [])
        stops = _stops(element)
        if not self._known(stops, place) or self.missing:
            return
        whole = all(b in self._network.successors[a] for way in routes for a, b in pairwise(way))
        if whole and all(self._roads.reaches(a, b) for a, b in pairwise(stops)):
            # Once a car passes a light, nobody asks for the ways of further ones.
            if not self.passes:
                ways = routes or [self._roads.way(a, b) for a, b in pairwise(stops)]
                seen = any(not self._watched.isdisjoint(way) for way in ways)
                self.passes = seen or any(name in element.attrib for name in AREAS)
        elif not self._is_car(kind):
            # Ways on tracks and bus lanes are SUMO's to find; who begins or ends at a light passes.
            named = (edge for way in (*routes, stops) for edge in way)
            self.passes |= not self._watched.isdisjoint(named)
        else:
            first = departs or 0.0
            until = self._until(element, first)
            self.lost.append((first, until, f"'{element.get('id')}' of {place}"))

    def _undefined(self, element: Element, place: Path, what: str, name: str) -> None:
        raise UserError(
            f"{place}: '{element.get('id')}' names the {what} '{name}', which the file does "
            "not define before it; put its definition at the beginning of the file, or into an "
            "additional file (--additional)"
        )

    def _is_car(self, kind: str) -> bool:
        if kind in self._mixtures:
            return all(self._is_car(each) for each in self._mixtures[kind])
        if kind in BUILT_IN and kind not in self.types:
            return kind == "DEFAULT_VEHTYPE"
        return self.types.get(kind, {}).get("vClass", "passenger") == "passenger"


def read_demand(scenario: Scenario, network: Network, watched: Iterable[str]) -> Demand:
    """Reads a scenario's additional files and route files, in the order in which SUMO does.

    Args:
        scenario: whose.
        network: what they should belong to.
        watched: edges that lead to an agent's light.

    Raises:
        UserError: one is missing, no such file, of another network, or not sorted; or there is no
            vehicle that comes by a light.
    """
    reader = _Reader(network, watched)
    for file in scenario.additionals:
        reader.read(file, ADDITIONAL, in_order=False)
    for file in scenario.routes:
        reader.read(file, ROUTES, scenario.in_order)
    files = " and ".join(map(str, scenario.routes or scenario.additionals))
    if reader.missing:
        (first, place), count = next(iter(reader.missing.items())), len(reader.missing)
        others = f" and {count - 1} more" if count > 1 else ""
        raise UserError(
            f"{place} does not belong to {scenario.net}: the network has no edge '{first}'{others} "
            "that its routes name; give the network that the routes were made for"
        )
    if not reader.vehicles:
        raise UserError(
            f"{files} has no traffic: no <vehicle>, <trip> or <flow> in it; SUMO's "
            "tools/randomTrips.py makes some for a network"
        )
    if not reader.passes:
        why = (
            f"; {len(reader.lost)} of them lead between parts of the network that are not connected"
            if reader.lost
            else ""
        )
        raise UserError(
            f"none of the {reader.vehicles} routes of {files} passes a traffic light of "
            f"{scenario.net} that can be trained{why}; give routes that lead through its lights"
        )
    used = [reader.types[name] for name, _ in reader.uses.most_common() if name in reader.types]
    cars = [car for car in used if car.get("vClass", "passenger") == "passenger"]
    begin = 0.0 if reader.begin == inf else reader.begin
    return Demand(begin, reader.end, cars[0] if cars else {}, tuple(reader.lost), reader.people)


def _words(element: Element, name: str) -> list[str]:
    return element.get(name, "").split()
