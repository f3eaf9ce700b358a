"""A user's own SUMO network as a system of agents: every usable traffic light is one.

An agent's region are the roads that lead to its light, as far as its queues may stand
(`approaches`). Its actions are the green phases of the network's own program; what lies between two
of them (yellow, all red) is the network's own too.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from hinterland.core import UserError
from hinterland.domains.traffic.approaches import VIEW_M, Approaches, edge_of
from hinterland.domains.traffic.demand import read_demand
from hinterland.domains.traffic.netfile import Network, Phase, read_network
from hinterland.domains.traffic.unseen import unseen

CAR_M = 7.5
"""Road that a standing car takes, its gap included, in metres."""
LEAST_GREEN_S = 5
YELLOW_S = 3
CLASSES = 4
"""Values of an influence source: cars that came in during a step, 3 standing for more as well."""
LANE_FEATURES = 3


@dataclass(frozen=True)
class Light:
    """One agent.

    Attributes:
        id: of the traffic light.
        lanes: incoming lanes that cars may use, in the order of the light's links.
        upstream: further lanes of its region, nearest first.
        lengths: of all these lanes, in metres.
        limits: their speed limits, in metres per second.
        reach: metres to which the queue of each incoming lane is followed.
        roads: edges of its region.
        through: these, and all other edges that end at one of their junctions.
        links: (index in the state, incoming lane's place in `lanes`, outgoing lane's id) of every
            way through the junction.
        greens: states of the green phases; an action is a place in it.
        least_green: seconds that each of them lasts at least.
        yellow: yellow[a][b] is what shows between the phases a and b: states and their seconds,
            none where no link loses its green.
        program: the network's own program, the attributes of each phase.
    """

    id: str
    lanes: tuple[str, ...]
    upstream: tuple[str, ...]
    lengths: tuple[float, ...]
    limits: tuple[float, ...]
    reach: tuple[float, ...]
    roads: frozenset[str]
    through: frozenset[str]
    links: tuple[tuple[int, int, str], ...]
    greens: tuple[str, ...]
    least_green: tuple[int, ...]
    yellow: tuple[tuple[tuple[tuple[str, int], ...], ...], ...]
    program: tuple[Phase, ...]

    @property
    def seen(self) -> tuple[str, ...]:
        """All lanes of the region, incoming ones first."""
        return self.lanes + self.upstream


@dataclass(frozen=True)
class City:
    """The network with its traffic.

    Attributes:
        network: path of the .net.xml file.
        routes: path of the route file.
        begin: when its first vehicle departs, in seconds.
        end: when its last one does, or the flow ends that ends last.
        lights: the agents, by id.
        car: attributes of the vehicle type that most vehicles are of; empty: SUMO's own.
        notes: what a user should know, a sentence each.
    """

    network: Path
    routes: Path
    begin: float
    end: float
    lights: tuple[Light, ...]
    car: dict[str, str]
    notes: tuple[str, ...]

    @property
    def lanes(self) -> int:
        """Lanes of the largest region: all others are padded to it."""
        return max(len(light.seen) for light in self.lights)

    @property
    def phases(self) -> int:
        """Green phases of the light that has most."""
        return max(len(light.greens) for light in self.lights)

    @property
    def action_mask(self) -> Bool[np.ndarray, "agents phases"]:
        """Which actions an agent has."""
        counts = np.array([len(light.greens) for light in self.lights])
        return np.arange(self.phases) < counts[:, None]

    @property
    def lane_mask(self) -> Bool[np.ndarray, "agents lanes"]:
        """Which influence sources an agent has."""
        counts = np.array([len(light.seen) for light in self.lights])
        return np.arange(self.lanes) < counts[:, None]

    @property
    def dset(self) -> int:
        """Length of a d-set."""
        return LANE_FEATURES * self.lanes

    @property
    def observation(self) -> int:
        """Length of an observation: the d-set, one bit for every phase, the phase's age."""
        return self.dset + self.phases + 1


def _seconds(phase: Phase) -> int:
    return max(1, round(float(phase.get("duration", YELLOW_S))))


def _after(program: tuple[Phase, ...], place: int, links: list[int]) -> tuple[int, int]:
    """Seconds of yellow, and of red for all cars, that follow a green phase in its program."""
    following = [program[(place + i) % len(program)] for i in range(1, len(program))]
    yellow = red = 0
    for phase in following:
        shown = {phase["state"][i] for i in links}
        if shown & set("yY") and not yellow:
            yellow = _seconds(phase)
        elif yellow and not shown & set("GgyY"):
            red += _seconds(phase)
        else:
            break
    return yellow or YELLOW_S, red


def _between(before: str, after: str, times: tuple[int, int], crossings: set[int]) -> tuple:
    """What shows between two green states. People on foot have no yellow: theirs is red."""
    loses = [a in "Gg" and b not in "Gg" for a, b in zip(before, after, strict=True)]
    if not any(loses):
        return ()
    yellow = "".join(
        ("r" if i in crossings else "y") if lost else shown
        for i, (shown, lost) in enumerate(zip(before, loses, strict=True))
    )
    return tuple(
        (state, seconds)
        for state, seconds in zip((yellow, yellow.replace("y", "r")), times, strict=True)
        if seconds
    )


def _light(name: str, network: Network, approaches: Approaches) -> Light | None:
    """The agent at this light, or None where there is nothing to decide."""
    program = network.programs[name]
    width = min(len(phase["state"]) for phase in program)
    links: list[tuple[int, int, str]] = []
    lanes: list[str] = []
    crossings: set[int] = set()
    for connection in sorted(
        network.connections.get(name, ()), key=lambda one: int(one["linkIndex"])
    ):
        index, lane = int(connection["linkIndex"]), f"{connection['from']}_{connection['fromLane']}"
        if lane not in network.lanes:
            crossings.add(index)
        elif network.lanes[lane][2] and index < width:
            if lane not in lanes:
                lanes.append(lane)
            out = f"{connection['to']}_{connection['toLane']}"
            links.append((index, lanes.index(lane), out))
    indices = [index for index, _, _ in links]
    greens: dict[str, int] = {}
    for place, phase in enumerate(program):
        shown = {phase["state"][i] for i in indices}
        if shown & set("Gg") and not shown & set("yYu"):
            greens.setdefault(phase["state"], place)
    if len(greens) < 2 or len({len(state) for state in greens}) > 1:
        return None
    region = approaches.region(lanes)
    seen = (*lanes, *region.upstream)
    times = {state: _after(program, place, indices) for state, place in greens.items()}
    return Light(
        id=name,
        lanes=tuple(lanes),
        upstream=region.upstream,
        lengths=tuple(network.lanes[lane][0] for lane in seen),
        limits=tuple(network.lanes[lane][1] for lane in seen),
        reach=region.reach,
        roads=region.roads,
        through=region.through,
        links=tuple(links),
        greens=tuple(greens),
        least_green=tuple(
            round(float(program[place].get("minDur", LEAST_GREEN_S))) for place in greens.values()
        ),
        yellow=tuple(
            tuple(() if a == b else _between(a, b, times[a], crossings) for b in greens)
            for a in greens
        ),
        program=program,
    )


def read_city(net: Path, routes: Path, view: float = VIEW_M) -> City:
    """Every traffic light of a SUMO network that has something to decide, with its traffic.

    Args:
        net: path of the network.
        routes: path of the route file.
        view: metres to which approaches are followed upstream.

    Raises:
        UserError: a file is missing or of another kind, they do not belong together, there is no
            usable traffic light, or no vehicle comes by one.
    """
    return _read(net, routes, view, _written(net), _written(routes))


def _written(file: Path) -> int:
    """When the file was last written; 0 of none: reading it says why."""
    try:
        return file.stat().st_mtime_ns
    except (OSError, ValueError, RuntimeError):  # the last: a link that leads to itself
        return 0


@lru_cache(maxsize=1)
def _read(net: Path, routes: Path, view: float, *written: int) -> City:
    del written  # part of the key: files that changed are read again
    network = read_network(net)
    approaches = Approaches(network, view)
    every = (_light(name, network, approaches) for name in sorted(network.programs))
    lights = tuple(filter(None, every))
    if not lights:
        raise UserError(
            f"{net} has no traffic light to train (it has {len(network.programs)}, none with cars "
            "before it and two green phases); netconvert's --tls.guess or --tls.set adds lights"
        )
    watched = {edge_of(lane) for light in lights for lane in light.lanes}
    demand = read_demand(routes, net, network, watched)
    left = len(network.programs) - len(lights)
    notes = [
        *unseen(
            network,
            approaches,
            {light.id: light.lanes for light in lights},
            {light.id: light.greens for light in lights},
        ),
        *demand.notes,
    ]
    if left:
        notes.insert(
            0,
            f"{left} of {len(network.programs)} traffic lights have nothing to decide (fewer than "
            "two green phases for cars) and keep their own program",
        )
    return City(
        network=net,
        routes=routes,
        begin=demand.begin,
        end=demand.end,
        lights=lights,
        car=demand.car,
        notes=tuple(notes),
    )
