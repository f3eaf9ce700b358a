"""What of SUMO's files a city is made of: networks, and whatever holds traffic or programs."""

import gzip
import os
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any, BinaryIO

from hinterland.core import UserError
from hinterland.core.reading import is_there, open_regular

Phase = dict[str, str]
"""The attributes of one <phase>."""
ROADS = (None, "normal", "connector")
"""Functions of edges that are roads; others are insides of junctions and ways on foot."""
CONTAINERS = ("routes", "trips", "flows", "vehicles", "persons", "additional", "interval")
"""Elements that are read as what they hold, within one another too; SUMO itself takes any root."""
FLOWS = ("flow", "personFlow", "containerFlow")
ALONE = ("vehicle", "trip", "person", "container", *FLOWS)
"""What may also stand alone, as a file's root."""
OTHERS = ("net", "nodes", "edges", "connections", "configuration", "sumoConfiguration")
"""Roots of files that hold neither traffic nor anything additional."""
DEEPEST = 20
"""Files that include one another."""


VEHICLES = (
    "passenger", "bus", "tram", "bicycle", "delivery", "truck", "trailer", "taxi", "coach",
    "motorcycle", "moped", "evehicle", "private", "hov", "vip", "emergency", "authority", "army",
    "scooter", "wheelchair", "rail_urban", "cable_car", "subway", "rail",
    "rail_electric", "rail_fast", "ship", "container", "aircraft", "drone", "custom1", "custom2",
)  # fmt: skip
"""SUMO's vClasses, but that of people; a lane is called by the first one that may use it."""


PEOPLE = "pedestrian"


@dataclass(frozen=True)
class Program:
    """A traffic light's program.

    Attributes:
        kind: SUMO's name of what runs it: static, actuated, delay_based, NEMA, ...; off.
        phases: attributes of each.
        parameters: of the whole.
    """

    kind: str
    phases: tuple[Phase, ...]
    parameters: dict[str, str]

    @property
    def width(self) -> int:
        """Ways through the junction of which every phase says something."""
        return min(len(phase["state"]) for phase in self.phases)


@dataclass
class Network:
    """What of a .net.xml file is needed.

    Attributes:
        lanes: (length, speed limit, whether cars may use it) by id.
        successors: edges to which cars can go on from an edge, with its travel time in seconds.
        programs: every light's active program.
        connections: attributes of the controlled connections of every light.
        users: the kind of vehicle that stands for all that may use a lane, by its id: "passenger"
            if cars may; "pedestrian": only people on foot; "": nobody.
        tracks: pairs of edges between which other vehicles can go and cars cannot.
        ends: (junction where it begins, junction where it ends) of every road.
        lit: junctions with a controlled way through.
        turnarounds: pairs of edges between which there is only a turnaround.
        choices: all programs of every light by their ids, the active one last.
        schedules: (second from which on, program) of lights that a WAUT switches, in order.
    """

    lanes: dict[str, tuple[float, float, bool]]
    successors: dict[str, dict[str, float]]
    programs: dict[str, Program]
    connections: dict[str, list[dict[str, str]]]
    users: dict[str, str] = field(default_factory=dict)
    tracks: set[tuple[str, str]] = field(default_factory=set)
    ends: dict[str, tuple[str, str]] = field(default_factory=dict)
    lit: set[str] = field(default_factory=set)
    turnarounds: set[tuple[str, str]] = field(default_factory=set)
    choices: dict[str, dict[str, Program]] = field(default_factory=dict)
    schedules: dict[str, tuple[tuple[float, str], ...]] = field(default_factory=dict)


ADDITIONAL = ("additional", "a SUMO additional file (.add.xml)")
"""Root and kind of such a file."""
WHOLE = 2_000_000_000
"""Bytes of an XML file, unpacked; SUMO itself needs several times as much memory for it."""
PACKING = 200
"""A file is at most so many times what it is packed; those of towns are 10 to 40 times."""
SMALL = 64_000_000
"""Bytes that any file may have unpacked."""
PIECE = 4_000_000
"""Bytes of one road, junction or vehicle with all that is in it."""


class _Bounded:
    """A file that is read in pieces and never becomes much memory, whatever it claims to be.

    Args:
        stream: unpacked.
        file: its path, for messages.
        size: bytes of the file itself.
    """

    def __init__(self, stream: Any, file: Path, size: int) -> None:
        self._stream, self._file = stream, file
        self._left = min(WHOLE, max(SMALL, PACKING * size))
        self.since = 0
        """Bytes since the last whole element."""

    def read(self, size: int = PIECE, /) -> bytes:
        """The next piece.

        Raises:
            UserError: the file is, or holds something, larger than such files are.
        """
        piece = self._stream.read(size)
        self.since += len(piece)
        self._left -= len(piece)
        if self._left < 0 or self.since > PIECE:
            raise UserError(
                f"{self._file} is too large: no file of this kind unpacks to so much "
                f"(at most {WHOLE / 1e6:,.0f} MB, {PACKING} times its size, and "
                f"{PIECE / 1e6:,.0f} MB in one element)"
            )
        return piece


def elements(file: Path, root: str, what: str) -> Iterator[ElementTree.Element]:
    """The children of an XML file's root, one at a time; those read are forgotten.

    Args:
        file: its path; .gz files too.
        root: the tag that its root must have.
        what: of which kind the file should be, for messages.

    Raises:
        UserError: there is no such file, or it is of another kind.
    """
    if not is_there(file):
        raise UserError(f"{file}: there is no such file; {what} is needed")
    with open_regular(file) as packed:
        yield from _elements(packed, file, root, what)


def _elements(packed: BinaryIO, file: Path, root: str, what: str) -> Iterator[ElementTree.Element]:
    with _events(packed, file, what) as (stream, events):
        top = next(events)[1]
        if top.tag != root:
            raise UserError(f"{file} is not {what}: it begins with <{top.tag}>, not <{root}>")
        depth = 0
        for event, element in events:
            depth += 1 if event == "start" else -1
            if event == "end" and depth == 0:
                yield element
                top.clear()
                stream.since = 0


def pieces(
    file: Path, root: str, what: str, included_by: tuple[Path, ...] = ()
) -> Iterator[tuple[ElementTree.Element, Path]]:
    """What a route file or an additional file holds, and where; one element at a time.

    As SUMO reads it: whatever its root is called, with what it includes, and with the times of an
    <interval> where a flow in it has none.

    Args:
        file: its path; .gz files too.
        root: what its root is mostly called.
        what: of which kind the file should be, for messages.
        included_by: the files by which this one was included, the first one first.

    Raises:
        UserError: there is no such file, it is of another kind, or files include one another in a
            circle.
    """
    if file in included_by or len(included_by) > DEEPEST:
        raise UserError(f"{included_by[-1]} includes {file}, which includes it in turn")
    if not is_there(file):
        by = f" (included by {included_by[-1]})" if included_by else ""
        raise UserError(f"{file}: there is no such file{by}; {what} is needed")
    with open_regular(file) as packed, _events(packed, file, what) as (stream, events):
        around: list[ElementTree.Element] = []
        depth = 0  # within an element that is no container
        for event, element in events:
            if event == "start":
                if not (around or depth) and element.tag in OTHERS:
                    raise UserError(
                        f"{file} is not {what}: it begins with <{element.tag}>, not <{root}>"
                    )
                opens = element.tag in CONTAINERS if around else element.tag not in ALONE
                if opens and not depth:
                    around.append(element)
                else:
                    depth += 1
            elif not depth:
                around.pop()
            else:
                depth -= 1
                if not depth:
                    if element.tag == "include":
                        inner = file.parent / element.get("href", "")
                        yield from pieces(inner, root, what, (*included_by, file))
                    else:
                        if element.tag in FLOWS and around and around[-1].tag == "interval":
                            element.attrib = {**around[-1].attrib, **element.attrib}
                        yield element, file
                    if around:
                        around[-1].remove(element)
                    stream.since = 0


@contextmanager
def _events(
    packed: BinaryIO, file: Path, what: str
) -> Generator[tuple[_Bounded, Iterator[tuple[str, ElementTree.Element]]]]:
    """A file's events of parsing, and the stream that they come from; errors in one sentence."""
    try:
        with gzip.open(packed) if file.suffix == ".gz" else packed as unpacked:
            stream = _Bounded(unpacked, file, os.fstat(packed.fileno()).st_size)
            yield stream, iter(ElementTree.iterparse(stream, ("start", "end")))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read as {what}: {error}") from None
    except ElementTree.ParseError as error:
        raise UserError(f"{file} is not {what}: not well-formed XML ({error})") from None


def may_use(lane: ElementTree.Element, kind: str) -> bool:
    """Whether a kind of vehicle (SUMO's vClass), or "pedestrian", may use a <lane>."""
    allowed = lane.get("allow")
    if allowed is not None:
        return kind in allowed.split() or allowed == "all"
    forbidden = lane.get("disallow", "").split()
    return kind not in forbidden and "all" not in forbidden


def for_cars(lane: ElementTree.Element) -> bool:
    """Whether cars may use a <lane>."""
    return may_use(lane, "passenger")


def for_vehicles(lane: ElementTree.Element) -> bool:
    """Whether any vehicle may use a <lane>."""
    return user_of(lane) not in ("", PEOPLE)


def user_of(lane: ElementTree.Element) -> str:
    """The kind of vehicle that stands for all that may use a <lane>; "": there is none."""
    return next((kind for kind in (*VEHICLES, PEOPLE) if may_use(lane, kind)), "")


def read_network(file: Path, additionals: Sequence[Path] = ()) -> Network:
    """Reads a .net.xml file, and further programs of its lights from additional files.

    Raises:
        UserError: it is missing, no SUMO network, or one without edges.
    """
    network = Network({}, {}, {}, {})
    try:
        _fill(network, file)
    except (ValueError, KeyError) as error:
        raise UserError(f"{file} is a damaged SUMO network: {error}") from None
    if not network.lanes:
        raise UserError(f"{file} has no roads: it is a SUMO network without any edge")
    schedules: dict[str, tuple[tuple[float, str], ...]] = {}
    for additional in additionals:
        for element, _ in pieces(additional, *ADDITIONAL):
            if element.tag == "tlLogic":
                _add_program(network, element)
            elif element.tag == "WAUT":
                schedules[element.get("id", "")] = _schedule(element)
            elif element.tag == "wautJunction":
                schedule = schedules.get(element.get("wautID", ""), ())
                network.schedules[element.get("junctionID", "")] = schedule
    return network


def _drives(network: Network, lane: str) -> bool:
    return network.users[lane] not in ("", PEOPLE)


def _fill(network: Network, file: Path) -> None:
    for element in elements(file, "net", "a SUMO network (.net.xml)"):
        if element.tag == "edge" and element.get("function") in ROADS:
            network.successors[element.get("id", "")] = {}
            network.ends[element.get("id", "")] = element.get("from", ""), element.get("to", "")
            for lane in element.iter("lane"):
                size = float(lane.get("length", 0)), float(lane.get("speed", 0))
                network.lanes[lane.get("id", "")] = (*size, for_cars(lane))
                network.users[lane.get("id", "")] = user_of(lane)
        elif element.tag == "tlLogic":
            _add_program(network, element)
        elif element.tag == "connection":
            start, end = element.get("from", ""), element.get("to", "")
            lane = network.lanes.get(f"{start}_{element.get('fromLane')}")
            onto = network.lanes.get(f"{end}_{element.get('toLane')}")
            if lane and lane[2] and onto and onto[2]:
                network.successors[start][end] = lane[0] / max(lane[1], 0.1)
                if element.get("dir") == "t":
                    network.turnarounds.add((start, end))
            elif lane and onto and _drives(network, f"{start}_{element.get('fromLane')}"):
                if element.get("dir") != "t":
                    network.tracks.add((start, end))
            if "tl" in element.attrib:
                network.lit.add(network.ends.get(start, ("", ""))[1])
                network.connections.setdefault(element.attrib["tl"], []).append(
                    dict(element.attrib)
                )


def _add_program(network: Network, element: ElementTree.Element) -> None:
    """A <tlLogic> of the network or of an additional file; SUMO runs the one that comes last."""
    phases = tuple(dict(phase.attrib) for phase in element.iter("phase"))
    light, name = element.get("id", ""), element.get("programID", "")
    if phases:
        given = {one.get("key", ""): one.get("value", "") for one in element.iter("param")}
        program = Program(element.get("type", "static"), phases, given)
    elif name == "off" and light in network.programs:
        program = replace(network.programs[light], kind="off")
    else:
        return
    known = network.choices.setdefault(light, {})
    known.pop(name, None)
    known[name] = network.programs[light] = program


def _schedule(element: ElementTree.Element) -> tuple[tuple[float, str], ...]:
    """What a <WAUT> says; its times are counted from its refTime."""
    since = seconds(element.get("refTime", "0")) or 0.0
    switches = [
        (since + (seconds(one.get("time", "0")) or 0.0), one.get("to", ""))
        for one in element.iter("wautSwitch")
    ]
    return ((-inf, element.get("startProg", "")), *sorted(switches))


def seconds(time: str) -> float | None:
    """A SUMO time: 90, 90.5 or 0:01:30 (days in front allowed); None for words like "triggered"."""
    try:
        total = 0.0
        for part, size in zip(reversed(time.split(":")), (1, 60, 3600, 86400), strict=False):
            total += float(part) * size
    except ValueError:
        return None
    return total if isfinite(total) else None
