"""What a traffic light may show: the greens of its own program, and what lies between any two.

SUMO's programs are lists of states. Some are greens, which agents choose from; the others clear the
junction between two of them: yellow, red for all, red for those on foot while cars still go, a head
start. Where the program itself goes from one green to the other, what it shows there is played as
it is. Between any other two each way through the junction closes as it does in the program.
(Signs of states: SUMO's documentation, Simulation/Traffic_Lights; rings: Simulation/NEMA.)
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, takewhile

from hinterland.core import UserError
from hinterland.domains.traffic.netfile import Phase, Program, seconds

LEAST_GREEN_S = 5
YELLOW_S = 3
"""Where a way that vehicles take closes without any yellow or red in the program."""
LONGEST_CLEARANCE_S = 10
"""A state that serves nobody new, and lasts longer, is a green of its own."""
LONGEST_RED_S = 120
"""A state without any green that lasts longer clears nothing: somebody is to end it by hand."""
LONGEST_WAIT_S = 120
"""People on foot wait no longer than this until a light is on its way to a green for them."""
OPEN = "GgOo"
"""Signs of a way that may be taken; the latter two: its light is off."""
CHANGING = "yYu"
"""Yellow, and red with yellow."""
RANK = {"G": 3, "O": 3, "g": 2, "o": 2, "s": 1}
"""Who has such a sign goes before others; none: must stand. "s": may turn right after a stop."""

Shown = tuple[str, int]
"""A state and its seconds."""


@dataclass(frozen=True)
class Plan:
    """What a light may show.

    Attributes:
        greens: states of the green phases; an action is a place in it.
        least_green: seconds that each of them lasts at least.
        between: between[a][b] is what shows between the greens a and b.
        cycle: all of it in the order of the program, as phases of SUMO.
        driven: places of the greens that vehicles need: the others are for people on foot alone.
        crossings: for every crossing that is sometimes closed, the greens that open it.
        longest_wait: seconds of a round of the program, or `LONGEST_WAIT_S` if that is less.
        yellow_added: whether some ways have no yellow in the program, and have it here.
        unseen: indices of ways that the program opens, but only while others change.
    """

    greens: tuple[str, ...]
    least_green: tuple[int, ...]
    between: tuple[tuple[tuple[Shown, ...], ...], ...]
    cycle: tuple[Phase, ...]
    driven: tuple[int, ...]
    crossings: tuple[tuple[int, ...], ...]
    longest_wait: int
    yellow_added: bool
    unseen: tuple[int, ...]


@dataclass
class _Parts:
    """Of a program: its greens, and how ways close and open around them.

    Attributes:
        greens: phases, without repetitions.
        order: states of the greens in the program's own order, each at least once.
        direct: what the program itself shows between two greens.
        closing: signs of a way, one each second, from its end at a green to the next green.
        opening: seconds of red with yellow of a way before a green.
    """

    greens: dict[str, Phase] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    direct: dict[tuple[str, str], tuple[Shown, ...]] = field(default_factory=dict)
    closing: dict[tuple[str, int], str] = field(default_factory=dict)
    opening: dict[tuple[str, int], int] = field(default_factory=dict)


def read_plan(
    light: str,
    program: Program,
    vehicles: set[int],
    people: set[int],
    yellow: int | None = None,
    least_green: int | None = None,
) -> Plan:
    """What a light may show.

    Args:
        light: its id, for messages.
        program: its own.
        vehicles: indices of the ways that vehicles take.
        people: indices of the crossings of people on foot.
        yellow: seconds of it between any two greens, and nothing else; None: as the program has.
        least_green: seconds that every green lasts at least; None: as the program has.

    Raises:
        UserError: the program has a time or a successor that is none.
    """
    try:
        ways = _Ways(program, vehicles, people)
        parts = _rings(program, ways) or _stages(program.phases, ways)
    except (ValueError, KeyError) as error:
        raise UserError(f"the program of traffic light '{light}' is damaged: {error}") from None
    never = {
        index
        for index in ways.vehicles
        if not any(signs for (_, way), signs in parts.closing.items() if way == index)
    }
    greens = tuple(parts.greens)
    if yellow is None:
        between = tuple(tuple(_between(a, b, parts, ways, never) for b in greens) for a in greens)
    else:
        never = set()
        between = tuple(tuple(_yellow(a, b, ways, yellow) for b in greens) for a in greens)
    served = {state: ways.served(state) for state in greens}
    sometimes = {
        way: [i for i, state in enumerate(greens) if way in served[state]]
        for way in ways.links
        if way not in ways.always
    }
    cycle = tuple(_cycle(parts, between))
    return Plan(
        greens=greens,
        least_green=tuple(
            _least(phase) if least_green is None else least_green for phase in parts.greens.values()
        ),
        between=between,
        cycle=cycle,
        driven=tuple(
            place
            for place, state in enumerate(greens)
            if served[state] & ways.vehicles & ways.wanted
        ),
        crossings=tuple(
            tuple(places)
            for way, places in sometimes.items()
            if places and way not in ways.vehicles
        ),
        longest_wait=min(LONGEST_WAIT_S, sum(_seconds(phase) for phase in cycle)),
        yellow_added=any(
            index in never and a[index] in OPEN and b[index] not in OPEN
            for index in ways.links
            for a in greens
            for b in greens
        ),
        unseen=tuple(way for way, places in sometimes.items() if way in ways.ever and not places),
    )


class _Ways:
    """Ways through a junction, and what states say of them.

    Attributes:
        vehicles: indices of those that vehicles take.
        links: these, and those of people on foot.
        ever: those that are open at some time.
        always: those that are never closed.
        wanted: those that make a phase a green: others than these, if there are any.
        turns: those that sometimes change: one that always shows yellow does not.
    """

    def __init__(self, program: Program, vehicles: set[int], people: set[int]) -> None:
        self.vehicles = {index for index in vehicles if index < program.width}
        self.links = links = sorted(index for index in vehicles | people if index < program.width)
        states = [phase["state"] for phase in program.phases]
        signs = {index: {state[index] for state in states} for index in links}
        # A way that has nothing better is served by the arrow that turns right on red.
        self._open = {i: OPEN if signs[i] & set(OPEN) else "s" for i in links}
        self.ever = {i for i in links if signs[i] & set(self._open[i])}
        self.always = {i for i in links if signs[i] <= set(self._open[i])}
        self.wanted = self.ever - self.always or self.ever
        self.turns = [i for i in links if len(signs[i]) > 1]

    def served(self, state: str) -> set[int]:
        """Ways that are open."""
        return {i for i in self.links if state[i] in self._open[i]}

    def is_green(self, state: str) -> bool:
        """Whether somebody is served for whom that is not always so, and nothing is changing."""
        changing = any(state[i] in CHANGING for i in self.turns)
        return not changing and bool(self.served(state) & self.wanted)

    def is_off(self, state: str) -> bool:
        """Whether the whole light is switched off."""
        return bool(self.links) and all(state[i] in "oO" for i in self.links)

    def is_idle(self, state: str) -> bool:
        """Whether this is a phase for ways that nobody takes."""
        others = (sign for i, sign in enumerate(state) if i not in self.links)
        return set("r").issuperset(state[i] for i in self.links) and any(
            sign in OPEN + CHANGING for sign in others
        )

    def is_less(self, state: str, other: str) -> bool:
        """Whether the other state gives every way at least as much, and some way more."""
        ranks = [(RANK.get(state[i], 0), RANK.get(other[i], 0)) for i in self.links]
        return all(a <= b for a, b in ranks) and any(a < b for a, b in ranks)


def _time(phase: Phase, name: str, usual: float) -> int:
    """Whole seconds: SUMO's clock of one second goes on when a phase has ended."""
    given = seconds(phase.get(name, str(usual)))
    if given is None:
        raise ValueError(f'{name}="{phase[name]}" is no time')
    return math.ceil(given)


def _seconds(phase: Phase) -> int:
    return max(1, _time(phase, "duration", 1))


def _least(phase: Phase) -> int:
    given = _time(phase, "minDur", LEAST_GREEN_S)
    return given if given >= 0 else LEAST_GREEN_S  # -1: a condition that SUMO finds as it goes


def _following(phases: tuple[Phase, ...], place: int) -> list[int]:
    """Places of the phases that may come next, the usual one first."""
    named = [int(word) for word in phases[place].get("next", "").replace(",", " ").split()]
    if any(not 0 <= one < len(phases) for one in named):
        raise ValueError(f'next="{phases[place]["next"]}" of {len(phases)} phases')
    return [one for one in named if one != place] or [(place + 1) % len(phases)]


def _stages(phases: tuple[Phase, ...], ways: _Ways) -> _Parts:
    """Of a program that is a list of states."""
    after = [_following(phases, place) for place in range(len(phases))]
    before: list[list[int]] = [[] for _ in phases]
    for place, following in enumerate(after):
        for one in following:
            before[one].append(place)
    states = [phase["state"] for phase in phases]
    shows = [ways.is_green(state) and not ways.is_off(state) for state in states]

    def nearest(place: int, steps: list[list[int]]) -> Iterator[int]:
        """The greens that come next in one direction of time."""
        waiting, seen = list(steps[place]), {place}
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            if shows[one]:
                yield one
            else:
                waiting.extend(steps[one])

    def clears(place: int) -> bool:
        """Whether this only takes from the green before it, or comes before that after it."""
        phase = phases[place]
        varies = "minDur" in phase and phase.get("maxDur") != phase["minDur"]
        return (
            not varies
            and _seconds(phase) <= LONGEST_CLEARANCE_S
            and any(
                ways.is_less(states[place], states[other])
                for steps in (before, after)
                for other in nearest(place, steps)
            )
        )

    is_green = [shows[place] and not clears(place) for place in range(len(phases))]
    parts = _Parts()
    for place in _in_order(is_green, after):
        parts.greens.setdefault(states[place], phases[place])
        parts.order.append(states[place])
        for path in _paths(place, after, is_green):
            _follow(parts, ways, states[place], [phases[one] for one in path])
    # agents number greens as the program lists them
    listed = [state for state in states if state in parts.greens]
    parts.greens = {state: parts.greens[state] for state in dict.fromkeys(listed)}
    return parts


def _in_order(is_green: list[bool], after: list[list[int]]) -> Iterator[int]:
    """Places of all greens: the usual round, then those to which only other ways lead."""
    seen: set[int] = set()
    for start in range(len(after)):
        place = start
        while place not in seen:
            seen.add(place)
            if is_green[place]:
                yield place
            place = after[place][0]


def _paths(place: int, after: list[list[int]], is_green: list[bool]) -> Iterator[list[int]]:
    """The shortest way from a green to each next one: places, the last of them the green."""
    waiting = deque([one] for one in after[place])
    seen = set[int]()
    while waiting:
        path = waiting.popleft()
        if path[-1] in seen:
            continue
        seen.add(path[-1])
        if is_green[path[-1]]:
            yield path
        else:
            waiting.extend([*path, one] for one in after[path[-1]])


def _follow(parts: _Parts, ways: _Ways, green: str, path: list[Phase]) -> None:
    """Notes how the program goes from a green to the next one."""
    *between, last = path
    following = last["state"]
    if following == green:
        return
    shown = list(takewhile(lambda phase: not _rests(phase, ways), between))
    played = tuple(
        (phase["state"], _seconds(phase)) for phase in shown if not ways.is_idle(phase["state"])
    )
    served = ways.served(green)
    clearing = []  # until somebody new may go
    for state, lasts in played:
        if ways.served(state) - served:
            break
        clearing.append((state, lasts))
    states = [state for state, lasts in clearing for _ in range(lasts)]
    for way in served:
        still = next((i for i, one in enumerate(states) if one[way] not in OPEN), len(states))
        if still < len(states) or way not in ways.served(following):
            signs = "".join(state[way] for state in states[still:])
            parts.closing[green, way] = max(parts.closing.get((green, way), ""), signs, key=len)
    if len(shown) < len(between):
        return
    parts.direct.setdefault((green, following), played)
    for way in ways.served(following) - served:
        signs = "".join(state[way] * lasts for state, lasts in played)
        waits = len(signs) - len(signs.rstrip("u"))
        parts.opening[following, way] = max(parts.opening.get((following, way), 0), waits)


def _rests(phase: Phase, ways: _Ways) -> bool:
    return ways.is_off(phase["state"]) or _seconds(phase) > LONGEST_RED_S


def _rings(program: Program, ways: _Ways) -> _Parts | None:
    """Of a NEMA controller: of each of its two rings one phase is green, on one side of a barrier.

    Raises:
        ValueError: a ring names a phase that is not there.
    """
    rings = [
        [int(word) for word in program.parameters.get(ring, "").split(",") if word.strip()]
        for ring in ("ring1", "ring2")
    ]
    if program.kind != "NEMA" or not any(map(any, rings)):
        return None
    phases = {int(phase["name"]): phase for phase in program.phases}
    parts = _Parts()
    for side in range(max(len(ring) for ring in rings) // 2 + 1):
        one, two = (
            [number for number in ring[2 * side : 2 * side + 2] if number] for ring in rings
        )
        one, two = one or two, two or one
        for number in range(max(len(one), len(two))):
            if one:
                pair = one[min(number, len(one) - 1)], two[min(number, len(two) - 1)]
                parts.order.append(_both(phases, pair)["state"])
        for pair in ((a, b) for a in one for b in two):
            both = _both(phases, pair)
            state = both["state"]
            parts.greens.setdefault(state, both)
            for phase in (phases[number] for number in pair):
                yellow, red = _time(phase, "yellow", YELLOW_S), _time(phase, "red", 0)
                for way in ways.served(phase["state"]):
                    signs = "y" * yellow + "r" * red
                    longest = max(parts.closing.get((state, way), ""), signs, key=len)
                    parts.closing[state, way] = longest
    return parts


def _both(phases: dict[int, Phase], pair: tuple[int, int]) -> Phase:
    """Two phases of different rings as one."""
    missing = [number for number in pair if number not in phases]
    if missing:
        raise ValueError(f"a ring names phase {missing[0]}, which there is not")
    one, two = (phases[number] for number in pair)
    state = "".join(
        max(a, b, key=lambda sign: RANK.get(sign, 0))
        for a, b in zip(one["state"], two["state"], strict=False)
    )
    longest = {
        name: str(max(_time(phase, name, 0) for phase in (one, two)))
        for name in ("duration", "minDur", "maxDur")
        if name in one and name in two
    }
    return {"duration": longest.get("maxDur", "30"), **longest, "state": state}


def _between(a: str, b: str, parts: _Parts, ways: _Ways, never: set[int]) -> tuple[Shown, ...]:
    """What shows between two greens: all ways that close are closed at the same moment."""
    if a == b:
        return ()
    closes = ways.served(a) - ways.served(b)
    if (a, b) in parts.direct and not closes & never:
        return parts.direct[a, b]
    closing: dict[int, str] = {}
    for way in closes:
        own = parts.closing.get((a, way)) or max(
            (signs for (_, other), signs in parts.closing.items() if other == way),
            key=len,
            default="",
        )
        closing[way] = own or ("y" * YELLOW_S if way in never else "")
    # In the program some may close before a green that they do not cross, here before any.
    red = {way: len(closing[way]) - len(closing[way].rstrip("r")) for way in closes & ways.vehicles}
    for way, lasts in red.items():
        closing[way] += "r" * (max(red.values()) - lasts)
    opening = {way: parts.opening.get((b, way), 0) for way in ways.served(b) - ways.served(a)}
    lasts = max([*map(len, closing.values()), *opening.values()], default=0)
    columns = [sign * lasts for sign in a]
    for way, signs in closing.items():
        if not signs and way not in ways.vehicles:
            signs = "r" * lasts
        columns[way] = columns[way][len(signs) :] + signs
    for way, waits in opening.items():
        columns[way] = columns[way][waits:] + "u" * waits
    states = map("".join, zip(*columns, strict=True))
    return tuple((state, len(list(run))) for state, run in groupby(states))


def _yellow(a: str, b: str, ways: _Ways, lasts: int) -> tuple[Shown, ...]:
    """Yellow for vehicles whose way closes, red for people whose way does; others wait."""
    if a == b:
        return ()
    closes = ways.served(a) - ways.served(b)
    signs = list(a)
    for way in closes:
        signs[way] = "y" if way in ways.vehicles else "r"
    return (("".join(signs), lasts),)


def _cycle(parts: _Parts, between: tuple[tuple[tuple[Shown, ...], ...], ...]) -> Iterator[Phase]:
    places = {state: place for place, state in enumerate(parts.greens)}
    order = [state for state, _ in groupby(parts.order)]
    for state, following in zip(order, [*order[1:], *order[:1]], strict=True):
        phase = parts.greens[state]
        times = {name: _time(phase, name, -1) for name in ("duration", "minDur", "maxDur")}
        given = {name: str(lasts) for name, lasts in times.items() if lasts >= 0}
        yield {"state": state, **given}
        for shown, lasts in between[places[state]][places[following]]:
            yield {"state": shown, "duration": str(lasts)}
