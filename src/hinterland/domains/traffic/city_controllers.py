"""Hand-written light control on a city's network, to compare with.

"fixed-time" is the network's own program, untouched; "actuated" is a file that SUMO runs by
itself; rules give the agents' own actions and so live under the same yellow as they do.
"""

from collections import Counter
from collections.abc import Callable
from typing import Protocol
from xml.sax.saxutils import quoteattr

import numpy as np

from hinterland.domains.traffic.city import LEAST_GREEN_S, City
from hinterland.domains.traffic.signals import Signals

PROGRAMS = ("fixed-time", "actuated")
"""SUMO runs these by itself."""
OURS = "hinterland"
"""Name of our own program of a light."""
LONGEST_GREEN_S = 50


def actuated_file(city: City) -> str:
    """The agents' own programs, made actuated; SUMO activates what it loads last."""
    lights = []
    for light in city.lights:
        phases = []
        for phase in light.program:
            shown = dict(phase)
            if phase["state"] in light.greens:
                shown.setdefault("minDur", str(LEAST_GREEN_S))
                longest = max(LONGEST_GREEN_S, float(shown["minDur"]))
                shown.setdefault("maxDur", str(longest))
            attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in shown.items())
            phases.append(f"<phase {attributes}/>")
        lights.append(
            f'<tlLogic id={quoteattr(light.id)} type="actuated" programID="{OURS}" '
            f'offset="0">{"".join(phases)}</tlLogic>'
        )
    return f"<additional>{''.join(lights)}</additional>"


class Rule(Protocol):
    """A rule; made anew, with the episode's seed, for every episode."""

    def __call__(self, cars: Callable[[str], int], signals: Signals) -> np.ndarray:
        """Actions [agent] from the cars on any lane, by its id, and the lights."""
        ...


class Random:
    """Any of a light's green phases, evenly."""

    def __init__(self, city: City, seed: int) -> None:
        self._numbers = np.random.default_rng(seed)
        self._counts = [len(light.greens) for light in city.lights]

    def __call__(self, cars: Callable[[str], int], signals: Signals) -> np.ndarray:
        """Looks at nothing."""
        return self._numbers.integers(0, self._counts)


class MaxPressure:
    """Varaiya's max-pressure: green for the phase with most cars before it and fewest behind it.

    A lane's cars are taken to spread evenly over its ways through the junction.
    """

    LEAST_GREEN = 10
    """Seconds, as on the grids."""

    def __init__(self, city: City, seed: int) -> None:
        del seed
        self._weights: list[tuple[list[str], np.ndarray]] = []
        for light in city.lights:
            ways = Counter(slot for _, slot, _ in light.links)
            merging = Counter(out for _, _, out in light.links)
            names = [*light.lanes, *merging]
            weights = np.zeros((len(light.greens), len(names)))
            for phase, state in enumerate(light.greens):
                for index, slot, out in light.links:
                    if state[index] in "Gg":
                        weights[phase, slot] += 1 / ways[slot]
                        # an outgoing lane may be an incoming one of the same light
                        weights[phase, len(light.lanes) + list(merging).index(out)] -= (
                            1 / merging[out]
                        )
            self._weights.append((names, weights))

    def __call__(self, cars: Callable[[str], int], signals: Signals) -> np.ndarray:
        """Goes to the phase that presses hardest, if harder than a green that is old enough."""
        actions = signals.phase.copy()
        for light, (names, weights) in enumerate(self._weights):
            if signals.age[light] >= self.LEAST_GREEN:
                pressure = weights @ np.array([cars(name) for name in names])
                if pressure.max() > pressure[actions[light]]:
                    actions[light] = pressure.argmax()
        return actions


RULES = {"random": Random, "max-pressure": MaxPressure}
