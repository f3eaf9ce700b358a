"""Networks with one light, or two, whose western approach is not just a long lane."""

from pathlib import Path

from hinterland.domains.traffic.city import City, read_city
from hinterland.domains.traffic.network import run_tool

ENDS = {"E": (300, 0), "N": (0, 300), "S": (0, -300), "W": (-300, 0)}
ARMS = {"Ein": "E C", "Eout": "C E", "Nin": "N C", "Nout": "C N", "Sin": "S C", "Sout": "C S",
        "Wout": "C W"}  # fmt: skip
STRAIGHT = {"W": "W0 Win Eout", "N": "Nin Sout", "S": "Sin Nout"}
BRANCHES: dict[str, dict] = {
    # A lane as long as a car before the light, and the queue on the one before it.
    "stub": {"nodes": {"M": (-12, 0)}, "edges": {"W0": "W M", "Win": "M C"}},
    "stubs": {
        "nodes": {"M": (-12, 0), "L": (-24, 0), "K": (-30, 0)},
        "edges": {"W0": "W K", "W2": "K L", "W1": "L M", "Win": "M C"},
        "cars": {"W": "W0 W2 W1 Win Eout"},
    },
    "merge": {
        "nodes": {"M": (-25, 0), "A": (-250, 120), "B": (-250, -120)},
        "edges": {"A0": "A M", "B0": "B M", "Win": "M C"},
        "cars": {"A": "A0 Win Eout", "B": "B0 Win Eout"},
    },
    "roundabout": {
        "nodes": {"R": (-40, 0), "Q": (-55, 15), "P": (-70, 0), "O": (-55, -15), "A": (-55, 250)},
        "edges": {"Win": "R C", "Wout": "C R", "RQ": "R Q", "QP": "Q P", "PO": "P O", "OR": "O R",
                  "W0": "W P", "W9": "P W", "A0": "A Q"},
        "cars": {"W": "W0 PO OR Win Eout", "A": "A0 QP PO OR Win Eout",
                 "U": "Ein Wout RQ QP PO OR Win Eout"},
    },
    # Who leaves to the north comes back from the west.
    "loop": {
        "nodes": {"N": (0, 50), "L": (-50, 50), "M": (-50, 0)},
        "edges": {"W0": "W M", "NL": "N L", "LM": "L M", "Win": "M C"},
        "cars": {"W": "W0 Win Eout", "S": "Sin Nout NL LM Win Eout"},
        "without": ("Nin", "Wout"),
    },
    # The road from the west leads to two lights.
    "shared": {
        "nodes": {"M": (-50, 0), "D": (0, -120), "F": (300, -120)},
        "edges": {"W0": "W M", "Win": "M C", "Win2": "M D", "Sin": "D C", "Sout": "C D",
                  "S2in": "S D", "S2out": "D S", "E2out": "D F"},
        "cars": {"V": "W0 Win2 E2out", "N": "Nin Sout S2out", "S": "S2in Sin Nout"},
    },
    # One lane becomes three near the light.
    "widening": {
        "nodes": {"M": (-45, 0)},
        "edges": {"W0": "W M", "Win": "M C"},
        "lanes": {"Win": 3},
        "cars": {"L": "W0 Win Nout", "R": "W0 Win Sout"},
    },
}  # fmt: skip
BEHIND = {
    "nodes": {"D": (-16, 0), "F": (-16, 300), "G": (-16, -300)},
    "edges": {"W0": "W D", "Win": "D C", "Fin": "F D", "Gout": "D G"},
}
"""Another light right behind the lane before the light."""
LIGHTS = {"C": "traffic_light", "D": "traffic_light"}
FLOW = 0.06
"""Cars a second on every way."""


def branched(kind: str, folder: Path, view: float = 200.0) -> City:
    """The city of one kind."""
    made = {**BRANCHES, "behind": BEHIND}[kind]
    nodes = {"C": (0, 0), **ENDS, **made["nodes"]}
    edges = {**ARMS, **made["edges"]}
    for name in made.get("without", ()):
        del edges[name]
    cars = {**STRAIGHT, **made.get("cars", {})}
    cars = {name: way for name, way in cars.items() if set(way.split()) <= set(edges)}
    files = {end: folder / f"{kind}.{end}.xml" for end in ("nod", "edg", "net", "rou")}
    files["nod"].write_text(
        "<nodes>"
        + "".join(
            f'<node id="{name}" x="{x}" y="{y}" type="{LIGHTS.get(name, "priority")}"/>'
            for name, (x, y) in nodes.items()
        )
        + "</nodes>"
    )
    files["edg"].write_text(
        "<edges>"
        + "".join(
            f'<edge id="{name}" from="{ends.split()[0]}" to="{ends.split()[1]}" speed="13.9" '
            f'numLanes="{made.get("lanes", {}).get(name, 1)}"/>'
            for name, ends in edges.items()
        )
        + "</edges>"
    )
    run_tool("netconvert", ["-n", files["nod"], "-e", files["edg"], "-o", files["net"],
                            "--no-turnarounds", "true"])  # fmt: skip
    files["rou"].write_text(
        "<routes>"
        + "".join(
            f'<route id="{name}" edges="{way}"/>'
            f'<flow id="f{name}" route="{name}" begin="0" end="3600" probability="{FLOW}"/>'
            for name, way in cars.items()
        )
        + "</routes>"
    )
    return read_city(files["net"], files["rou"], view)
