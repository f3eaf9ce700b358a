"""The paper's grids of traffic lights as SUMO networks, made by netconvert.

Facts: one lane everywhere, blocks of 100 m, 10 m/s, straight connections only, a light at every
crossing, cars entering at every border edge (Suau et al. 2022, their traffic domain).
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hinterland.core import UserError

BLOCK = 100.0
"""Length of every edge, in metres."""
SPEED = 10.0
"""Speed limit, in metres per second."""
CELLS = 10
"""Cells of 10 m on an edge; the last one, where cars enter, is the influence source."""
YELLOW_S = 3
"""Seconds of yellow between two greens."""
HALTING = 0.1
"""A car slower than this many m/s stands in a queue (SUMO's own convention)."""
ENTRY_POSITION = 6
"""Metres from its edge's beginning at which a car enters a local simulator."""
ENTRY_SPEED, CROWDED_SPEED, CROWD = 9.5, 3.0, 8
"""Metres per second; the second where more than `CROWD` cars are on the edge."""
SIDES = ("west", "south", "east", "north")
"""The side from which a car comes; the order of everything that an intersection counts by edge."""
HEADINGS = {"west": (1, 0), "south": (0, 1), "east": (-1, 0), "north": (0, -1)}
"""(column, row) by which a car that comes from that side moves on; rows count northwards."""

VEHICLE = (
    '<vType id="car" carFollowModel="IDM" accel="2.6" decel="7.5" sigma="0.5" tau="1" '
    'minGap="2.5" maxSpeed="10" speedFactor="1" speedDev="0.1"/>'
)
"""The paper's vehicle; `speedDev` spreads the drivers' desired speeds."""


@dataclass(frozen=True)
class Grid:
    """A generated network: file, lights, and their lanes.

    Attributes:
        network: path of the .net.xml file.
        lights: ids of the traffic lights.
        incoming: for each light, its four incoming lanes in the order of `SIDES`.
        outgoing: for each light, the lane on which cars from that side leave it.
        entries: (first edge, last edge) of each straight route through the grid.
        places: (column, row) of each light.
    """

    network: Path
    lights: tuple[str, ...]
    incoming: tuple[tuple[str, ...], ...]
    outgoing: tuple[tuple[str, ...], ...]
    entries: tuple[tuple[str, str], ...]
    places: tuple[tuple[int, int], ...]


def sumo_tool(name: str) -> str:
    """Path of one of SUMO's programs.

    Raises:
        UserError: the optional packages are not installed.
    """
    home = find_spec("sumo")
    if home is None or not home.submodule_search_locations:
        raise UserError("traffic needs SUMO: pip install 'hinterland[sumo]'")
    return os.path.join(next(iter(home.submodule_search_locations)), "bin", name)


def run_tool(name: str, arguments: Sequence[str | Path]) -> None:
    """Runs one of SUMO's programs to its end.

    Raises:
        UserError: it failed; with its own first error.
    """
    command = [sumo_tool(name), *map(str, arguments), "--xml-validation", "never"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        raise UserError(f"{name} failed: {(lines or [done.stderr.strip()])[0]}")


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    return f"e{start[0]}_{start[1]}to{end[0]}_{end[1]}"


def make_grid(rows: int, columns: int, folder: Path) -> Grid:
    """Writes the network of `rows` x `columns` lights, counted from the south-west, row by row.

    Raises:
        UserError: SUMO is missing or netconvert failed.
    """
    return _make([(column, row) for row in range(rows) for column in range(columns)], folder)


def make_isolated(copies: int, folder: Path) -> Grid:
    """Writes a network of single intersections that have nothing to do with each other."""
    return _make([(3 * copy, 0) for copy in range(copies)], folder)


def _make(inner: list[tuple[int, int]], folder: Path) -> Grid:
    lit = set(inner)

    def inside(place: tuple[int, int]) -> bool:
        return place in lit

    def beside(place: tuple[int, int], heading: tuple[int, int], by: int) -> tuple[int, int]:
        return place[0] + by * heading[0], place[1] + by * heading[1]

    nodes, edges, connections, entries = {}, set(), [], []
    for place in inner:
        nodes[place] = 'type="traffic_light" radius="6.2"'
        for side in SIDES:
            before = beside(place, HEADINGS[side], -1)
            after = beside(place, HEADINGS[side], 1)
            for other in (before, after):
                if not inside(other):
                    nodes[other] = 'type="priority"'
            edges |= {(before, place), (place, after)}
            connections.append((_edge(before, place), _edge(place, after)))
            if not inside(before):
                far = place
                while inside(far):
                    far = beside(far, HEADINGS[side], 1)
                last = _edge(beside(far, HEADINGS[side], -1), far)
                entries.append((_edge(before, place), last))
    # Junction interiors are inside the distance of two nodes, so 100 m of road lie between them.
    (folder / "grid.nod.xml").write_text(
        "<nodes>"
        + "".join(
            f'<node id="n{c}_{r}" x="{c * BLOCK}" y="{r * BLOCK}" {kind}/>'
            for (c, r), kind in nodes.items()
        )
        + "</nodes>"
    )
    (folder / "grid.edg.xml").write_text(
        "<edges>"
        + "".join(
            f'<edge id="{_edge(a, b)}" from="n{a[0]}_{a[1]}" to="n{b[0]}_{b[1]}" numLanes="1" '
            f'speed="{SPEED}" priority="78" length="{BLOCK}"/>'
            for a, b in sorted(edges)
        )
        + "</edges>"
    )
    (folder / "grid.con.xml").write_text(
        "<connections>"
        + "".join(f'<connection from="{a}" to="{b}"/>' for a, b in connections)
        + "</connections>"
    )
    network = folder / "grid.net.xml"
    run_tool(
        "netconvert",
        ["-n", folder / "grid.nod.xml", "-e", folder / "grid.edg.xml",
         "-x", folder / "grid.con.xml", "-o", network,
         "--no-turnarounds", "true", "--no-internal-links", "false"],
    )  # fmt: skip

    def lanes(place: tuple[int, int], by: int) -> tuple[str, ...]:
        others = [beside(place, HEADINGS[side], by) for side in SIDES]
        pairs = [(other, place) if by < 0 else (place, other) for other in others]
        return tuple(f"{_edge(*pair)}_0" for pair in pairs)

    return Grid(
        network=network,
        lights=tuple(f"n{c}_{r}" for c, r in inner),
        incoming=tuple(lanes(place, -1) for place in inner),
        outgoing=tuple(lanes(place, 1) for place in inner),
        entries=tuple(entries),
        places=tuple(inner),
    )


def write_routes(grid: Grid, inflow: float, file: Path) -> None:
    """The paper's cars on every straight route; `inflow` is their probability per second."""
    flows = "".join(
        f'<flow id="{first}" type="car" from="{first}" to="{last}" begin="1" end="86400" '
        f'probability="{inflow}" departLane="free" departSpeed="{SPEED}"/>'
        for first, last in grid.entries
    )
    file.write_text(f"<routes>{VEHICLE}{flows}</routes>")
