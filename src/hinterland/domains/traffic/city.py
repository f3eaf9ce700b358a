"""A user's own SUMO network as a system of agents: every usable traffic light is one.

An agent's region are the lanes that lead to its light. Its actions are the green phases of the
network's own program; what lies between two of them (yellow, all red) is the network's own too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from hinterland.core import UserError
from hinterland.domains.traffic.demand import Demand, read_demand
from hinterland.domains.traffic.netfile import Network, Phase, read_network
from hinterland.domains.traffic.scenario import Scenario

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
        lengths: of these lanes, in metres.
        limits: their speed limits, in metres per second.
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
    lengths: tuple[float, ...]
    limits: tuple[float, ...]
    links: tuple[tuple[int, int, str], ...]
    greens: tuple[str, ...]
    least_green: tuple[int, ...]
    yellow: tuple[tuple[tuple[tuple[str, int], ...], ...], ...]
    program: tuple[Phase, ...]


@dataclass(frozen=True)
class City:
    """The network with its traffic.

    Attributes:
        scenario: the files, and how SUMO is to run them.
        begin: when an episode begins, in seconds.
        first: when the first vehicle departs.
        end: when the last vehicle departs, or the flow ends that ends last.
        lights: the agents, by id.
        programs: (light, program) of those that run another program than the last one, as asked.
        scheduled: lights whose programs the user's own schedule (WAUT) switches.
        car: attributes of the vehicle type that most vehicles are of; empty: SUMO's own.
        notes: what a user should know, a sentence each.
    """

    scenario: Scenario
    begin: float
    first: float
    end: float
    lights: tuple[Light, ...]
    programs: tuple[tuple[str, str], ...]
    scheduled: tuple[str, ...]
    car: dict[str, str]
    notes: tuple[str, ...]

    @property
    def network(self) -> Path:
        """Path of the .net.xml file."""
        return self.scenario.net

    @property
    def routes(self) -> tuple[Path, ...]:
        """Paths of the route files."""
        return self.scenario.routes

    @property
    def lanes(self) -> int:
        """Incoming lanes of the largest junction: all others are padded to it."""
        return max(len(light.lanes) for light in self.lights)

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
        counts = np.array([len(light.lanes) for light in self.lights])
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


def _light(name: str, network: Network) -> Light | None:
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
    times = {state: _after(program, place, indices) for state, place in greens.items()}
    return Light(
        id=name,
        lanes=tuple(lanes),
        lengths=tuple(network.lanes[lane][0] for lane in lanes),
        limits=tuple(network.lanes[lane][1] for lane in lanes),
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


def read_city(net: Path, routes: Path | Sequence[Path]) -> City:
    """As `city_of`, of a network and its route files, with the defaults of everything else."""
    return city_of(Scenario(net, (routes,) if isinstance(routes, Path) else tuple(routes)))


def city_of(scenario: Scenario) -> City:
    """Every traffic light of a SUMO network that has something to decide, with its traffic.

    Raises:
        UserError: a file is missing or of another kind, they do not belong together, there is no
            usable traffic light or no such program, no vehicle comes by one in an episode, or SUMO
            would stop at a vehicle that has no way.
    """
    return _read(scenario, *map(_written, scenario.files()))


def _written(file: Path) -> int:
    """When the file was last written; 0 of none: reading it says why."""
    try:
        return file.stat().st_mtime_ns
    except (OSError, ValueError, RuntimeError):  # the last: a link that leads to itself
        return 0


@lru_cache(maxsize=1)
def _read(scenario: Scenario, *written: int) -> City:
    del written  # part of the key: files that changed are read again
    network = read_network(scenario.net, scenario.additionals)
    programs, said = _choose(network, scenario)
    lights = tuple(filter(None, (_light(name, network) for name in sorted(network.programs))))
    if not lights:
        raise UserError(
            f"{scenario.net} has no traffic light to train (it has {len(network.programs)}, none "
            "with cars before it and two green phases); netconvert's --tls.guess or --tls.set adds "
            f"lights{''.join(f'; {text}' for text in said)}"
        )
    watched = {lane.rsplit("_", 1)[0] for light in lights for lane in light.lanes}
    demand = read_demand(scenario, network, watched)
    begin = float(int(demand.begin)) if scenario.begin is None else scenario.begin
    left = len(network.programs) - len(lights)
    notes = (
        [f"{left} of {len(network.programs)} traffic lights have nothing to decide (fewer than two "
         "green phases for cars) and keep their own program"]
        if left
        else []
    )  # fmt: skip
    return City(
        scenario=scenario,
        begin=begin,
        first=demand.begin,
        end=demand.end,
        lights=lights,
        programs=programs,
        scheduled=tuple(sorted(network.schedules)),
        car=demand.car,
        notes=(*scenario.notes, *said, *notes, *_in_time(demand, scenario, begin)),
    )


def _choose(
    network: Network, scenario: Scenario
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Puts the scenario's program into force; (light, program) of where it is not the last one.

    Also a note about lights that have several, if none was chosen.
    """
    wanted = scenario.program
    if wanted is None:
        return (), (*_scheduled(network, scenario.begin or 0.0), *_last(network))
    having = {light: known for light, known in network.choices.items() if wanted in known}
    if not having:
        known = sorted({name for each in network.choices.values() for name in each})
        raise UserError(
            f"--program {wanted}: no light of {scenario.net} has it; there are {', '.join(known)}"
        )
    for light, known in having.items():
        network.programs[light] = known[wanted]
    other = {light for light, known in having.items() if wanted != [*known][-1]}
    return tuple((x, wanted) for x in sorted(other | (having.keys() & network.schedules))), ()


def _scheduled(network: Network, begin: float) -> Iterator[str]:
    """Puts into force what schedules say of the beginning; a note for each such light."""
    for light, schedule in sorted(network.schedules.items()):
        program = [name for since, name in schedule if since <= begin][-1:]
        phases = network.choices.get(light, {}).get("".join(program))
        if phases is not None:
            network.programs[light] = phases
            yield (
                f"a WAUT switches the programs of light {light}: agents have the phases of "
                f"{program[0]}, which runs at {begin:g} s; --program chooses another"
            )


def _last(network: Network) -> Iterator[str]:
    """A note about lights with several programs and no schedule."""
    several = {
        light: list(known)
        for light, known in sorted(network.choices.items())
        if len(known) > 1 and light not in network.schedules
    }
    for light, known in [*several.items()][:1]:
        others = f" (and of {len(several) - 1} more lights)" if len(several) > 1 else ""
        yield (
            f"of the programs {', '.join(known)} of light {light}{others} the last one runs, "
            f"{known[-1]}, as in SUMO; --program chooses another"
        )


def _in_time(demand: Demand, scenario: Scenario, begin: float) -> list[str]:
    """A note about vehicles without a way, where the user lets SUMO go on with them.

    Raises:
        UserError: nothing departs in an episode, or SUMO would stop at a vehicle without a way.
    """
    end = begin + scenario.warm_up + scenario.seconds
    if demand.end < begin or demand.begin >= end:
        raise UserError(
            f"{scenario}: nothing departs in an episode, which is from {begin:g} to {end:g} s; "
            f"departures are from {demand.begin:g} to {demand.end:g} s (--begin, --seconds)"
        )
    lost = [said for first, last, said in demand.lost if first < end and last >= begin]
    if not lost:
        return []
    said = lost[0] + (f" and {len(lost) - 1} more have" if len(lost) > 1 else " has")
    if scenario.goes_on:
        return [f"{said} no way to where they go: SUMO lets them stand where theirs ends"]
    raise UserError(
        f"{said} no way to where they go, and SUMO refuses that: leave them out (randomTrips.py "
        "--validate does), or set ignore-route-errors in a --sumocfg"
    )
