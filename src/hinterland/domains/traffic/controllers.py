"""Hand-written light control to compare with: SUMO's own programs, and rules on what it reads.

A program is a file that SUMO runs by itself; a rule gives the agents' own actions (0 keep, 1
switch) and so lives under the same yellow as they do.
"""

from typing import Protocol

import numpy as np

from hinterland.domains.traffic.network import Grid

NORTH_SOUTH, EAST_WEST = "GrGr", "rGrG"
YELLOW = {NORTH_SOUTH: "yryr", EAST_WEST: "ryry"}


def _program(
    light: str, kind: str, green: str, yellow: str, offset: int = 0, settings: str = ""
) -> str:
    phases = "".join(
        f'<phase state="{state}" {green}/><phase state="{YELLOW[state]}" {yellow}/>'
        for state in (NORTH_SOUTH, EAST_WEST)
    )
    return (
        f'<tlLogic id="{light}" type="{kind}" programID="hinterland" offset="{offset}">'
        f"{settings}{phases}</tlLogic>"
    )


def _actuated(grid: Grid, agent: int) -> str:
    # The paper's hand-coded line, with the numbers of its public code.
    return _program(
        grid.lights[agent],
        "actuated",
        'duration="31" minDur="8" maxDur="45"',
        'duration="6" minDur="3" maxDur="6"',
        settings='<param key="max-gap" value="3.0"/><param key="detector-gap" value="0.8"/>',
    )


def _fixed(grid: Grid, agent: int) -> str:
    # The same plan without its detectors.
    return _program(grid.lights[agent], "static", 'duration="31"', 'duration="6"')


def _delay_based(grid: Grid, agent: int) -> str:
    green = 'duration="31" minDur="5" maxDur="45"'
    return _program(grid.lights[agent], "delay_based", green, 'duration="3"')


def _green_wave(grid: Grid, agent: int) -> str:
    # A block takes about 12.4 s, half a cycle of 26 s: neighbours run half a cycle apart.
    offset = 13 * (sum(grid.places[agent]) % 2)
    return _program(grid.lights[agent], "static", 'duration="10"', 'duration="3"', offset)


PROGRAMS = {
    "fixed-time": _fixed,
    "actuated": _actuated,
    "delay-based": _delay_based,
    "green-wave": _green_wave,
}
"""SUMO runs these by itself."""


def program_file(name: str, grid: Grid) -> str:
    """The additional file of one of `PROGRAMS`."""
    lights = "".join(PROGRAMS[name](grid, agent) for agent in range(len(grid.lights)))
    return f"<additional>{lights}</additional>"


class Rule(Protocol):
    """A rule; made anew, with the episode's seed, for every episode."""

    def __call__(self, incoming: np.ndarray, outgoing: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Actions from cars on incoming and outgoing lanes [light, 4] and the phases [light]."""
        ...


class Random:
    """Keeps or switches, evenly."""

    def __init__(self, seed: int) -> None:
        self._numbers = np.random.default_rng(seed)

    def __call__(self, incoming: np.ndarray, outgoing: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Looks at nothing."""
        return self._numbers.integers(0, 2, len(phase))


class MaxPressure:
    """Varaiya's max-pressure: green for the direction with more cars before it than behind it."""

    LEAST_GREEN = 10
    """Seconds; with 10 the rule is at its best on these grids."""

    def __init__(self, seed: int) -> None:
        del seed
        self._green_s: np.ndarray | None = None

    def __call__(self, incoming: np.ndarray, outgoing: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Switches where the red direction presses harder and the green is old enough."""
        if self._green_s is None:
            self._green_s = np.zeros(len(phase), int)
        green = phase % 2 == 0
        self._green_s = np.where(green, self._green_s + 1, 0)
        pressure = incoming - outgoing
        east_west = pressure[:, [0, 2]].sum(1)
        north_south = pressure[:, [1, 3]].sum(1)
        wants = np.where(phase == 0, east_west > north_south, north_south > east_west)
        return (green & wants & (self._green_s > self.LEAST_GREEN)).astype(np.int8)


RULES = {"random": Random, "max-pressure": MaxPressure}
