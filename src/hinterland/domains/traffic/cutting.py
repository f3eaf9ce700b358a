"""One light's region cut out of a network, and many copies of it side by side.

The XML itself is cut, not converted anew: lanes keep their lengths, links their order and the light
its program to the last letter. All junctions at which its roads end are kept, with every edge that
touches them; those around become ends of the road, so no other light is left.
"""

import copy
import re
import xml.etree.ElementTree as ElementTree
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element

from hinterland.core import UserError
from hinterland.domains.traffic.approaches import edge_of
from hinterland.domains.traffic.city import City, Light
from hinterland.domains.traffic.costs import behind
from hinterland.domains.traffic.netfile import ROADS, VEHICLES, elements, may_use

INSIDE = re.compile(r"[wc]?\d+(_\d+)*")
"""What follows the junction's name in the name of an edge, lane or junction inside of it."""
RANK = {
    "location": 0, "type": 1, "edge": 2, "tlLogic": 3, "junction": 4, "connection": 5,
    "roundabout": 6,
}  # fmt: skip
"""Order in which SUMO needs the elements of a network."""
NAMES = {
    "edge": ("id", "from", "to", "bidi"),
    "lane": ("id",),
    "tlLogic": ("id",),
    "junction": ("id",),
    "connection": ("from", "to", "via", "tl"),
}
"""Attributes that hold one name, or several with spaces in between."""
LISTS = {
    "edge": ("crossingEdges",), "junction": ("incLanes", "intLanes"), "neigh": ("lane",),
    "roundabout": ("nodes", "edges"),
}  # fmt: skip
GAP_M = 100.0
"""Between two copies."""
Ways = Mapping[tuple[str, str], Mapping[tuple[str, ...], int]]
"""Cars by (light, lane on which they come into its region) and by their way on through it: edges,
the lane's own first."""
Departures = Mapping[tuple[str, str], int]
"""Cars by (light, lane of its region on which they begin their way)."""


@dataclass(frozen=True)
class Copies:
    """Copies of one light's region in one network.

    Attributes:
        network: path of its .net.xml file.
        lights: the light of every copy.
        ways: for each lane of the region, the ways on through it: edges without the copy's prefix,
            the lane's own edge first.
        kinds: the kind of vehicle, SUMO's vClass, that takes each of these ways.
        shares: of cars that take each of these ways, added up from the first one on.
        begin: share of cars that begin their way there, of each lane; they wait for room.
        behind: lanes behind each copy's light that are no other light's in the city.
        prefixes: of every copy's names.
        room: as in the city.
        lanes: to which observations are padded, as in the city.
        phases: the same.
        decision: seconds of a step, as in the city.
        classes: values of an influence source, as in the city.
        car: attributes of the vehicle type.
        people: whether anybody walks in the city; nobody does here.
        driving: options of SUMO that decide how vehicles move, as in the city.
    """

    network: Path
    lights: tuple[Light, ...]
    ways: tuple[tuple[tuple[str, ...], ...], ...]
    kinds: tuple[tuple[str, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    begin: tuple[float, ...]
    behind: tuple[tuple[str, ...], ...]
    prefixes: tuple[str, ...]
    room: float
    lanes: int
    phases: int
    decision: int
    classes: int
    car: dict[str, str]
    people: bool
    driving: tuple[str, ...]


@lru_cache(maxsize=1)
def _parsed(file: Path, written: float) -> list[Element]:
    del written  # part of the key: a file that changed is read again
    return [
        copy.deepcopy(one) for one in elements(file, "net", "a SUMO network") if one.tag in RANK
    ]


def _belongs(name: str, junctions: set[str]) -> bool:
    """Whether ":J_..." names something inside of one of the junctions."""
    parts = name[1:].split("_")
    return name.startswith(":") and any(
        "_".join(parts[:i]) in junctions and INSIDE.fullmatch("_".join(parts[i:]))
        for i in range(1, len(parts))
    )


def _neighbourhood(network: list[Element], light: Light) -> list[Element]:
    """What of a network is in a region: junctions where its roads end, edges that touch them."""
    edges = {one.get("id", ""): one for one in network if one.tag == "edge"}
    inner = {edges[road].get("to", "") for road in light.roads}
    kept = {
        name
        for name, edge in edges.items()
        if (
            edge.get("from") in inner or edge.get("to") in inner
            if edge.get("function") in ROADS
            else _belongs(name, inner)
        )
    }
    ends = {edges[name].get(end) for name in kept for end in ("from", "to")} - {None}
    found = []
    for one in network:
        name = one.get("id", "")
        if one.tag == "junction" and name in ends - inner:
            one = copy.deepcopy(one)
            one[:] = []
            into = [edges[edge] for edge in sorted(kept) if edges[edge].get("to") == name]
            lanes = [lane.get("id", "") for edge in into for lane in edge.iter("lane")]
            one.attrib.update(type="dead_end", incLanes=" ".join(lanes), intLanes="")
        elif one.tag == "connection":
            start, end = one.get("from", ""), one.get("to", "")
            through = start.startswith(":") or edges[start].get("to") in inner
            if not (through and start in kept and end in kept):
                continue
            if one.get("tl") not in (None, light.id):
                one = copy.deepcopy(one)
                del one.attrib["tl"], one.attrib["linkIndex"]
        elif not (
            one.tag in ("location", "type")
            or (one.tag == "edge" and name in kept)
            or (one.tag == "tlLogic" and name == light.id)
            or (one.tag == "junction" and (name in inner or _belongs(name, inner)))
            or (one.tag == "roundabout" and kept.issuperset(one.get("edges", "").split()))
        ):
            continue
        found.append(one)
    return found


def _write(found: list[Element], file: Path) -> None:
    root = Element("net", version="1.20")
    root.extend(sorted(found, key=lambda one: RANK[one.tag]))
    ElementTree.ElementTree(root).write(file, encoding="UTF-8", xml_declaration=True)


def _find(city: City, light: str) -> tuple[Light, list[Element]]:
    agents = {one.id: one for one in city.lights}
    if light not in agents:
        raise UserError(f"{city.network} has no traffic light '{light}' that is an agent")
    network = _parsed(city.network, city.network.stat().st_mtime)
    return agents[light], _neighbourhood(network, agents[light])


def cut(city: City, light: str, folder: Path) -> Path:
    """Writes the region of a light, by its id, into `folder`; the file.

    Raises:
        UserError: no agent is at such a light.
    """
    file = folder / "local.net.xml"
    _write(_find(city, light)[1], file)
    return file


def _named(prefix: str, name: str) -> str:
    return f":{prefix}{name[1:]}" if name.startswith(":") else prefix + name


def _moved(shape: str, by: float) -> str:
    points = [point.split(",", 1) for point in shape.split()]
    return " ".join(f"{float(x) + by:.2f},{rest}" for x, rest in points)


def _copied(found: list[Element], prefix: str, by: float) -> Iterator[Element]:
    """A copy with names of its own, `by` metres to the east; what is common to all is left out."""
    for one in found:
        if one.tag in ("location", "type"):
            continue
        one = copy.deepcopy(one)
        for part in one.iter():
            for name in NAMES.get(part.tag, ()):
                if name in part.attrib:
                    part.set(name, _named(prefix, part.attrib[name]))
            for name in LISTS.get(part.tag, ()):
                words = part.get(name, "").split()
                if words:
                    part.set(name, " ".join(_named(prefix, word) for word in words))
            for name in ("shape", "customShape", "outlineShape"):
                if "," in part.get(name, ""):
                    part.set(name, _moved(part.attrib[name], by))
            if "x" in part.attrib:
                part.set("x", f"{float(part.attrib['x']) + by:.2f}")
        yield one


def _ways(
    found: list[Element], light: Light, ways: Ways
) -> list[dict[tuple[tuple[str, ...], str], float]]:
    """The ways on from every lane of the region, each with a kind of vehicle that may take it (cars
    if they may), with weights.

    Where nobody was counted: the shortest one to every edge on which the region can be left,
    all alike, over no turnarounds.
    """
    edges = {one.get("id", ""): one for one in found if one.tag == "edge"}
    roads = {name: edge for name, edge in edges.items() if edge.get("function") in ROADS}
    lanes = {lane.get("id", ""): lane for edge in roads.values() for lane in edge.iter("lane")}
    joined = [
        (start, lane, end, onto)
        for one in found
        if one.tag == "connection" and one.get("dir") != "t"
        for start, end in [(one.get("from", ""), one.get("to", ""))]
        for lane, onto in [(f"{start}_{one.get('fromLane')}", f"{end}_{one.get('toLane')}")]
        if lane in lanes and onto in lanes
    ]

    def shortest(first: str, kind: str) -> Iterator[tuple[str, ...]]:
        onward: dict[str, dict[str, None]] = {}
        for start, lane, end, onto in joined:
            if may_use(lanes[lane], kind) and may_use(lanes[onto], kind):
                onward.setdefault(start, {})[end] = None
                onward.setdefault(lane, {})[end] = None
        edge = edge_of(first)
        reached = {edge}
        waiting = deque[tuple[str, ...]]((edge, one) for one in onward.get(first, ()))
        while waiting:
            way = waiting.popleft()
            if way[-1] in reached:
                continue
            reached.add(way[-1])
            if way[-1] in light.through:
                waiting.extend((*way, one) for one in onward.get(way[-1], ()))
            else:
                yield way

    def kind_of(first: str, way: tuple[str, ...]) -> str | None:
        def goes(kind: str) -> bool:
            return may_use(lanes[first], kind) and all(
                any(may_use(lane, kind) for lane in roads[edge].iter("lane")) for edge in way
            )

        return next(filter(goes, VEHICLES), None)

    every = []
    for lane, user in zip(light.seen, light.users, strict=True):
        counted = {
            (way, kind): float(count)
            for way, count in sorted(ways.get((light.id, lane), {}).items())
            if (kind := kind_of(lane, way))
        }
        even = {(way, user): 1.0 for way in shortest(lane, user)}
        every.append(counted or even or {((edge_of(lane),), user): 1.0})
    return every


def batch(
    city: City,
    light: str,
    copies: int,
    folder: Path,
    ways: Ways = MappingProxyType({}),
    departures: Departures = MappingProxyType({}),
) -> Copies:
    """Writes a network of copies of a light's region into `folder`, for one SUMO.

    Args:
        city: of which it is a part.
        light: its id.
        copies: how many; 10 to 50 are quickest.
        folder: where.
        ways: as `CityTraffic.ways` counts them in the whole city; cars take them in these shares.
            Where none were counted: evenly.
        departures: as `CityTraffic.departures` counts them. Without: none.

    Raises:
        UserError: no agent is at such a light.
    """
    agent, found = _find(city, light)
    xs = [float(one.get("x", 0)) for one in found if one.tag == "junction"]
    width = max(xs) - min(xs) + GAP_M
    prefixes = tuple(f"c{number}_" for number in range(copies))
    everything = [one for one in found if one.tag in ("location", "type")]
    for number, prefix in enumerate(prefixes):
        everything.extend(_copied(found, prefix, number * width))
    file = folder / "batch.net.xml"
    _write(everything, file)
    lights = tuple(
        replace(
            agent,
            id=prefix + agent.id,
            lanes=tuple(prefix + lane for lane in agent.lanes),
            upstream=tuple(prefix + lane for lane in agent.upstream),
            roads=frozenset(prefix + edge for edge in agent.roads),
            through=frozenset(prefix + edge for edge in agent.through),
            links=tuple((index, slot, prefix + out) for index, slot, out in agent.links),
        )
        for prefix in prefixes
    )
    shared = _ways(found, agent, ways)
    after = behind(city.lights)[city.lights.index(agent)]

    def begin(lane: str) -> float:
        entry = (agent.id, lane)
        return min(1.0, departures.get(entry, 0) / max(1, sum(ways.get(entry, {}).values())))

    return Copies(
        network=file,
        lights=lights,
        ways=tuple(tuple(way for way, _ in one) for one in shared),
        kinds=tuple(tuple(kind for _, kind in one) for one in shared),
        shares=tuple(
            tuple(part / sum(one.values()) for part in accumulate(one.values())) for one in shared
        ),
        begin=tuple(map(begin, agent.seen)),
        behind=tuple(tuple(prefix + lane for lane in after) for prefix in prefixes),
        prefixes=prefixes,
        room=city.room,
        lanes=city.lanes,
        phases=city.phases,
        decision=city.scenario.decision,
        classes=city.classes,
        car=dict(city.car),
        people=city.people,
        driving=tuple(city.scenario.driving()),
    )
