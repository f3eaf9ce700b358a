"""A user's own SUMO network as a system of agents: every usable traffic light is one.

An agent's region are the roads that lead to its light, as far as its queues may stand
(`approaches`). Its actions are the green phases of the network's own program; what lies between two
of them (yellow, all red) is the network's own too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from hinterland.core import UserError
from hinterland.domains.traffic.approaches import VIEW_M, Approaches, edge_of
from hinterland.domains.traffic.demand import Demand, read_demand
from hinterland.domains.traffic.netfile import PEOPLE, Network, read_network
from hinterland.domains.traffic.phases import YELLOW_S, Plan, read_plan
from hinterland.domains.traffic.scenario import DECISION_S, Scenario
from hinterland.domains.traffic.unseen import unseen

CAR_M = 7.5
"""Road that a standing car takes, its gap included, in metres."""
MOST_CARS = 3
"""Of an influence source in `DECISION_S`: cars that came in, this number standing for more too."""
LANE_FEATURES = 3
LIGHT_FEATURES = 2
"""What agents see of their light besides its phase."""


@dataclass(frozen=True)
class Light:
    """One agent.

    Attributes:
        id: of the traffic light.
        lanes: incoming lanes that vehicles may use, in the order of the light's links.
        upstream: further lanes of its region, nearest first.
        lengths: of all these lanes, in metres.
        limits: their speed limits, in metres per second.
        users: the kind of vehicle that stands for all that may use each of them.
        reach: metres to which the queue of each incoming lane is followed.
        roads: edges of its region.
        through: these, and all other edges that end at one of their junctions.
        links: (index in the state, incoming lane's place in `lanes`, outgoing lane's id) of every
            way through the junction.
        kind: SUMO's name of what runs the light in the network: static, actuated, NEMA, ...
        plan: its green phases (an action is a place among them) and what lies between.
    """

    id: str
    lanes: tuple[str, ...]
    upstream: tuple[str, ...]
    lengths: tuple[float, ...]
    limits: tuple[float, ...]
    users: tuple[str, ...]
    reach: tuple[float, ...]
    roads: frozenset[str]
    through: frozenset[str]
    links: tuple[tuple[int, int, str], ...]
    kind: str
    plan: Plan

    @property
    def greens(self) -> tuple[str, ...]:
        """States of the green phases."""
        return self.plan.greens

    @property
    def seen(self) -> tuple[str, ...]:
        """All lanes of the region, incoming ones first."""
        return self.lanes + self.upstream


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
        people: whether anybody walks.
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
    people: bool
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
        """Lanes of the largest region: all others are padded to it."""
        return max(len(light.seen) for light in self.lights)

    @property
    def room(self) -> float:
        """Vehicles that can stand on the incoming lanes of a light, as far as their queues are
        followed; mean over the lights."""
        return sum(max(1.0, x / CAR_M) for y in self.lights for x in y.reach) / len(self.lights)

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
    def classes(self) -> int:
        """Values of an influence source: 0 to as many cars as may come in a step, or more."""
        return 1 + -(-MOST_CARS * self.scenario.decision // DECISION_S)

    @property
    def dset(self) -> int:
        """Length of a d-set."""
        return LANE_FEATURES * self.lanes

    @property
    def observation(self) -> int:
        """Length of an observation: the d-set, one bit for every phase, more of the light."""
        return self.dset + self.phases + LIGHT_FEATURES


def _light(name: str, network: Network, approaches: Approaches, scenario: Scenario) -> Light | None:
    """The agent at this light, or None where there is nothing to decide."""
    program = network.programs[name]
    links: list[tuple[int, int, str]] = []
    lanes: list[str] = []
    crossings: set[int] = set()
    for connection in sorted(
        network.connections.get(name, ()), key=lambda one: int(one["linkIndex"])
    ):
        index, lane = int(connection["linkIndex"]), f"{connection['from']}_{connection['fromLane']}"
        user = network.users.get(lane, PEOPLE)
        if user == PEOPLE:
            crossings.add(index)
        elif user and index < program.width:
            if lane not in lanes:
                lanes.append(lane)
            out = f"{connection['to']}_{connection['toLane']}"
            links.append((index, lanes.index(lane), out))
    driven = {index for index, _, _ in links}
    plan = read_plan(name, program, driven, crossings, scenario.yellow, scenario.least_green)
    if len(plan.driven) < 2:
        return None
    region = approaches.region(lanes)
    seen = (*lanes, *region.upstream)
    return Light(
        id=name,
        lanes=tuple(lanes),
        upstream=region.upstream,
        lengths=tuple(network.lanes[lane][0] for lane in seen),
        limits=tuple(network.lanes[lane][1] for lane in seen),
        users=tuple(network.users[lane] for lane in seen),
        reach=region.reach,
        roads=region.roads,
        through=region.through,
        links=tuple(links),
        kind=program.kind,
        plan=plan,
    )


def read_city(net: Path, routes: Path | Sequence[Path], view: float = VIEW_M) -> City:
    """As `city_of`, of a network and its route files, with the defaults of everything else."""
    files = (routes,) if isinstance(routes, Path) else tuple(routes)
    return city_of(Scenario(net, files), view)


def city_of(scenario: Scenario, view: float = VIEW_M) -> City:
    """Every traffic light of a SUMO network that has something to decide, with its traffic.

    Args:
        scenario: its files, and how SUMO is to run them.
        view: metres to which approaches are followed upstream.

    Raises:
        UserError: a file is missing or of another kind, they do not belong together, there is no
            usable traffic light or no such program, no vehicle comes by one in an episode, or SUMO
            would stop at a vehicle that has no way.
    """
    return _read(scenario, view, *map(_written, scenario.files()))


def _written(file: Path) -> int:
    """When the file was last written; 0 of none: reading it says why."""
    try:
        return file.stat().st_mtime_ns
    except (OSError, ValueError, RuntimeError):  # the last: a link that leads to itself
        return 0


@lru_cache(maxsize=1)
def _read(scenario: Scenario, view: float, *written: int) -> City:
    del written  # part of the key: files that changed are read again
    network = read_network(scenario.net, scenario.additionals)
    programs, said = _choose(network, scenario)
    approaches = Approaches(network, view)
    every = (_light(name, network, approaches, scenario) for name in sorted(network.programs))
    lights = tuple(filter(None, every))
    if not lights:
        raise UserError(
            f"{scenario.net} has no traffic light to train (it has {len(network.programs)}, none "
            "with two green phases for vehicles); netconvert's --tls.guess or --tls.set adds "
            f"lights{''.join(f'; {text}' for text in said)}"
        )
    watched = {edge_of(lane) for light in lights for lane in light.lanes}
    demand = read_demand(scenario, network, watched)
    begin = float(int(demand.begin)) if scenario.begin is None else scenario.begin
    return City(
        scenario=scenario,
        begin=begin,
        first=demand.begin,
        end=demand.end,
        lights=lights,
        programs=programs,
        scheduled=tuple(sorted(network.schedules)),
        car=demand.car,
        people=demand.people,
        notes=(
            *scenario.notes,
            *said,
            *_notes(network, lights, demand.people),
            *unseen(approaches, {light.id: light.lanes for light in lights}),
            *_in_time(demand, scenario, begin),
        ),
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
        chosen = network.choices.get(light, {}).get("".join(program))
        if chosen is not None:
            network.programs[light] = chosen
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


def _notes(network: Network, lights: Sequence[Light], people: bool) -> Iterator[str]:
    """What a user should know of the lights, a sentence each."""
    every = len(network.programs)
    if left := every - len(lights):
        yield (
            f"{left} of {every} traffic lights have nothing to decide (fewer than two green phases "
            "for vehicles) and keep their own program"
        )
    kinds = Counter(light.kind for light in lights)
    if any(kind != "static" for kind in kinds):
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        yield (
            f"not all lights have fixed times in the network (lights by kind: {found}): what it "
            "does by itself is compared as own-program"
        )
    for marked, said in (
        (
            [light.kind == "NEMA" for light in lights],
            "an action is a pair of NEMA phases that may be green together",
        ),
        (
            [people and bool(light.plan.crossings) for light in lights],
            "agents do not see people on foot wait; a green for them also comes by itself, at "
            "least once in a round of the network's program",
        ),
        (
            [light.plan.yellow_added for light in lights],
            f"some greens end without yellow or red in the network; here they end with {YELLOW_S} "
            "s of yellow, except in the network's own program",
        ),
        (
            [bool(light.plan.unseen) for light in lights],
            "some ways are green only while others change; agents never show that, so that nobody "
            "is served there",
        ),
    ):
        names = [light.id for light, one in zip(lights, marked, strict=True) if one]
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"traffic light '{names[0]}'{others}: {said}"
