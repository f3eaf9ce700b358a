"""Hand-written light control on a city's network, to compare with.

A network's own programs run untouched, under the name of what runs them; "actuated" is a file that
SUMO runs by itself; rules give the agents' own actions. Agents, rules and that file have the same
greens and the same states between them.
"""

from collections import Counter
from collections.abc import Callable
from typing import Protocol
from xml.sax.saxutils import quoteattr

import numpy as np

from hinterland.domains.traffic.city import City, Light
from hinterland.domains.traffic.phases import OPEN
from hinterland.domains.traffic.signals import Signals

OWN = "own-program"
"""What plain SUMO does with the network, whatever that is."""
KINDS = {
    "static": "fixed-time",
    "actuated": "actuated",
    "delay_based": "delay-based",
    "NEMA": "nema",
    "off": "off",
}
"""Its name where all lights are of one kind, by SUMO's name of the kind."""
PROGRAMS = (OWN, *KINDS.values())
"""SUMO runs these by itself."""
OURS = "hinterland"
"""Name of our own program of a light."""
LONGEST_GREEN_S = 50


def programs(city: City) -> dict[str, str]:
    """What SUMO can run on a city, by the names that users give: values are of `PROGRAMS`."""
    found = {OWN: OWN, "actuated": "actuated"}
    kinds = {light.kind for light in city.lights}
    if len(kinds) == 1 and (name := KINDS.get(kinds.pop())):
        found[name] = name
    return found


def converted(city: City) -> list[Light]:
    """Lights that have to be made actuated.

    Others are so in the network and keep their detectors and rules, unless these leave out yellow
    that all else have, a schedule would change them, or the user has said how greens last and end.
    """
    told = city.scenario.yellow is not None or city.scenario.least_green is not None
    return [
        light
        for light in city.lights
        if told or light.kind != "actuated" or light.plan.yellow_added or light.id in city.scheduled
    ]


def actuated_file(city: City) -> str:
    """The agents' own programs, made actuated; SUMO activates what it loads last."""
    lights = []
    for light in converted(city):
        driven = {index for index, _, _ in light.links}
        phases = []
        for phase in light.plan.cycle:
            shown = dict(phase)
            state = phase["state"]
            # nothing that SUMO could detect ends a green of people on foot
            if state in light.greens and any(state[index] in OPEN for index in driven):
                shown["minDur"] = str(light.plan.least_green[light.greens.index(state)])
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

    def __call__(
        self, approaching: np.ndarray, cars: Callable[[str], int], signals: Signals
    ) -> np.ndarray:
        """Actions [agent].

        Args:
            approaching: [agent, lanes], every light's cars by incoming lane.
            cars: those on any lane, by its id.
            signals: the lights.
        """
        ...


class Random:
    """Any of a light's green phases, evenly."""

    def __init__(self, city: City, seed: int) -> None:
        self._numbers = np.random.default_rng(seed)
        self._counts = [len(light.greens) for light in city.lights]

    def __call__(
        self, approaching: np.ndarray, cars: Callable[[str], int], signals: Signals
    ) -> np.ndarray:
        """Looks at nothing."""
        return self._numbers.integers(0, self._counts)


class MaxPressure:
    """Varaiya's max-pressure: green for the phase with most cars before it and fewest behind it.

    Cars before it are all that come to it on the roads of its region. Those of a lane are taken to
    spread evenly over its ways through the junction.
    """

    LEAST_GREEN = 10
    """Seconds, as on the grids, if the user does not say it."""
    LOOKS_BEHIND = True

    def __init__(self, city: City, seed: int) -> None:
        del seed
        chosen = city.scenario.least_green
        self._least = self.LEAST_GREEN if chosen is None else chosen
        self._weights: list[tuple[list[str], np.ndarray]] = []
        for light in city.lights:
            ways = Counter(slot for _, slot, _ in light.links)
            merging = Counter(out for _, _, out in light.links)
            before = len(light.lanes)
            weights = np.zeros((len(light.greens), before + len(merging)))
            for phase, state in enumerate(light.greens):
                for index, slot, out in light.links:
                    if state[index] in OPEN:
                        weights[phase, slot] += 1 / ways[slot]
                        if self.LOOKS_BEHIND:
                            weights[phase, before + list(merging).index(out)] -= 1 / merging[out]
            self._weights.append((list(merging), weights))

    def __call__(
        self, approaching: np.ndarray, cars: Callable[[str], int], signals: Signals
    ) -> np.ndarray:
        """Goes to the phase that presses hardest, if harder than a green that is old enough."""
        actions = signals.phase.copy()
        for light, (behind, weights) in enumerate(self._weights):
            if signals.age[light] >= self._least:
                before = approaching[light, : weights.shape[1] - len(behind)]
                pressure = weights @ np.array([*before, *map(cars, behind)])
                if pressure.max() > pressure[actions[light]]:
                    actions[light] = pressure.argmax()
        return actions


class Greedy(MaxPressure):
    """Green for the phase with most cars before it, whatever is behind."""

    LOOKS_BEHIND = False


RULES = {"random": Random, "max-pressure": MaxPressure, "greedy": Greedy}
