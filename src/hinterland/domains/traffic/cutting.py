"""One light's neighbourhood cut out of a network, and many copies of it side by side.

The XML itself is cut, not converted anew: lanes keep their lengths, links their order and the light
its program to the last letter. Every junction around becomes an end of the road, so no other light
is left.
"""

import copy
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element

from hinterland.core import UserError
from hinterland.domains.traffic.city import City, Light
from hinterland.domains.traffic.netfile import ROADS, elements, for_cars

INSIDE = re.compile(r"[wc]?\d+(_\d+)*")
"""What follows the junction's name in the name of an edge, lane or junction inside of it."""
RANK = {"location": 0, "type": 1, "edge": 2, "tlLogic": 3, "junction": 4, "connection": 5}
"""Order in which SUMO needs the elements of a network."""
NAMES = {
    "edge": ("id", "from", "to", "bidi"),
    "lane": ("id",),
    "tlLogic": ("id",),
    "junction": ("id",),
    "connection": ("from", "to", "via", "tl"),
}
"""Attributes that hold one name, or several with spaces in between."""
LISTS = {"edge": ("crossingEdges",), "junction": ("incLanes", "intLanes"), "neigh": ("lane",)}
GAP_M = 100.0
"""Between two copies."""
LONGEST_WAY = 4
"""Edges of the longest way through one light's junctions."""


@dataclass(frozen=True)
class Copies:
    """Copies of one light's neighbourhood in one network.

    Attributes:
        network: path of its .net.xml file.
        lights: the light of every copy.
        ways: for each incoming lane, the ways on through the junction: edges without the copy's
            prefix, the lane's own edge first.
        shares: of cars that take each of these ways, added up from the first one on.
        prefixes: of every copy's names.
        lanes: to which observations are padded, as in the city.
        phases: the same.
        car: attributes of the vehicle type.
        driving: options of SUMO that decide how vehicles move, as in the city.
    """

    network: Path
    lights: tuple[Light, ...]
    ways: tuple[tuple[tuple[str, ...], ...], ...]
    shares: tuple[tuple[float, ...], ...]
    prefixes: tuple[str, ...]
    lanes: int
    phases: int
    car: dict[str, str]
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
    """What of a network is at the light: its junctions, and the edges that touch them."""
    edges = {one.get("id", ""): one for one in network if one.tag == "edge"}
    inner = {edges[lane.rsplit("_", 1)[0]].get("to", "") for lane in light.lanes}
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
    """Writes the neighbourhood of a light, by its id, into `folder`; the file.

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
    found: list[Element], light: Light, turns: Mapping[tuple[str, str], int]
) -> list[dict[tuple[str, ...], float]]:
    """The ways on from every incoming lane, through all junctions of the light, with weights.

    Where no turns were counted, all ways on from the very lane weigh the same, turnarounds nothing.
    """
    usable = {
        lane.get("id")
        for one in found
        if one.tag == "edge" and one.get("function") in ROADS
        for lane in one.iter("lane")
        if for_cars(lane)
    }
    onward: dict[str, dict[str, None]] = {}
    own: dict[str, list[tuple[str, bool]]] = {}
    for one in found:
        start, end = one.get("from", ""), one.get("to", "")
        lane, onto = f"{start}_{one.get('fromLane')}", f"{end}_{one.get('toLane')}"
        if one.tag == "connection" and lane in usable and onto in usable:
            onward.setdefault(start, {})[end] = None
            own.setdefault(lane, []).append((end, one.get("dir") == "t"))

    def longer(way: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        following = [edge for edge in onward.get(way[-1], ()) if edge not in way]
        if not following or len(way) == LONGEST_WAY:
            yield way
        else:
            for edge in following:
                yield from longer((*way, edge))

    every = []
    for lane in light.lanes:
        edge = lane.rsplit("_", 1)[0]
        weights = {end: float(turns.get((lane, end), 0)) for end in onward.get(edge, ())}
        if turns.get((lane, "")):
            weights[""] = float(turns[lane, ""])
        if not any(weights.values()):
            straight = {end for end, turnaround in own.get(lane, ()) if not turnaround}
            weights = dict.fromkeys(straight or {end for end, _ in own.get(lane, ())}, 1.0)
        ways: dict[tuple[str, ...], float] = {}
        for end, weight in sorted(weights.items()):
            parts = list(longer((edge, end))) if end else [(edge,)]
            ways |= {way: weight / len(parts) for way in parts if weight}
        every.append(ways or {(edge,): 1.0})
    return every


def batch(
    city: City,
    light: str,
    copies: int,
    folder: Path,
    turns: Mapping[tuple[str, str], int] = MappingProxyType({}),
) -> Copies:
    """Writes a network of copies of a light's neighbourhood into `folder`, for one SUMO.

    Args:
        city: of which it is a part.
        light: its id.
        copies: how many; 10 to 50 are quickest.
        folder: where.
        turns: cars by (incoming lane, edge to which they go on), as `CityTraffic.turns` counts
            them in the whole city; cars turn in these shares. Without: evenly.

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
            links=tuple((index, slot, prefix + out) for index, slot, out in agent.links),
        )
        for prefix in prefixes
    )
    ways = _ways(found, agent, turns)
    return Copies(
        network=file,
        lights=lights,
        ways=tuple(tuple(one) for one in ways),
        shares=tuple(
            tuple(part / sum(one.values()) for part in accumulate(one.values())) for one in ways
        ),
        prefixes=prefixes,
        lanes=city.lanes,
        phases=city.phases,
        car=dict(city.car),
        driving=tuple(city.scenario.driving()),
    )
