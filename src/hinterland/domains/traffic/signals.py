"""The lights of a city second by second under "go to green phase k" actions. NumPy alone."""

from collections.abc import Sequence

import numpy as np

from hinterland.domains.traffic.city import Light

AGE_S = 60.0
"""Age of a phase, in seconds, above which agents see no difference."""


class Signals:
    """Green phases, what lies between them, and their least durations; many lights at once.

    An action is heeded at a green that has lasted long enough, and where the light has such a
    phase; otherwise the phase stays. A step that begins between two greens heeds no action.

    Nobody sees people on foot wait. Where there are any, a light goes to a green for a crossing by
    itself, whatever the action, when that has been closed for as long as a round of the network's
    own program takes.

    Args:
        lights: whose.
        people: whether anybody walks.
    """

    def __init__(self, lights: Sequence[Light], people: bool = False) -> None:
        self._lights = lights
        self._count = np.array([len(light.greens) for light in lights])
        phases = self._count.max()
        self._least = np.zeros((len(lights), phases), int)
        self._between = np.zeros((len(lights), phases, phases), int)
        self._plans: list[list[list[list[str]]]] = []
        for place, light in enumerate(lights):
            self._least[place, : self._count[place]] = light.plan.least_green
            plans = [
                [[state for state, seconds in pair for _ in range(seconds)] for pair in row]
                for row in light.plan.between
            ]
            for a, row in enumerate(plans):
                self._between[place, a, : len(row)] = [len(plan) for plan in row]
            self._plans.append(plans)
        self._rows = np.arange(len(lights))
        most = max((len(light.plan.crossings) for light in lights), default=0) if people else 0
        self._opens = np.zeros((len(lights), most, phases), bool)
        for place, light in enumerate(lights):
            for crossing, greens in enumerate(light.plan.crossings[:most]):
                self._opens[place, crossing, list(greens)] = True
        self._longest = np.array([light.plan.longest_wait for light in lights])
        self._closed = np.zeros((len(lights), most), int)
        self.phase = np.zeros(len(lights), int)
        """The green that shows, or comes after the yellow."""
        self.age = np.zeros(len(lights), int)
        """Seconds that it has shown."""
        self._before = np.zeros(len(lights), int)
        self._left = np.zeros(len(lights), int)
        self._stale = np.ones(len(lights), bool)

    def reset(self, which: np.ndarray) -> None:
        """Puts the lights of a mask back to the start of their first phase."""
        for field in (self.phase, self.age, self._before, self._left):
            field[which] = 0
        self._stale[which] = True
        self._closed[which] = 0

    def decide(self, actions: np.ndarray) -> None:
        """Heeds actions [light], green phases to go to."""
        due = self._closed >= self._longest[:, None]
        calls = (self._opens & due[:, :, None]).sum(1)
        actions = np.where(calls.any(1), calls.argmax(1), actions)
        known = (actions >= 0) & (actions < self._count)
        old_enough = self.age >= self._least[self._rows, self.phase]
        goes = known & old_enough & (self._left == 0) & (actions != self.phase)
        self._before = np.where(goes, self.phase, self._before)
        self.phase = np.where(goes, actions, self.phase)
        takes = self._between[self._rows, self._before, self.phase]
        self._left = np.where(goes, takes, self._left)
        self.age[goes] = 0
        self._stale |= goes

    def second(self) -> list[tuple[int, str]]:
        """Goes on by a second; (light, state) of each one whose state may now be another."""
        changed = []
        for light in np.flatnonzero(self._stale | (self._left > 0)):
            left = self._left[light]
            if left:
                plan = self._plans[light][self._before[light]][self.phase[light]]
                changed.append((int(light), plan[-left]))
            else:
                changed.append((int(light), self._lights[light].greens[self.phase[light]]))
        self._stale = self._left > 0  # the second after the last of these shows the green
        self.age += self._left == 0
        self._wait(self._left == 0)
        self._left -= self._left > 0
        return changed

    def watch(self, states: Sequence[str]) -> None:
        """Follows lights that something else controls, from what they show in this second."""
        for light, state in enumerate(states):
            greens = self._lights[light].greens
            phase = greens.index(state) if state in greens else None
            if phase is None:
                self.age[light] = 0
            else:
                self.age[light] = self.age[light] + 1 if phase == self.phase[light] else 1
                self.phase[light] = phase
        self._wait(self.age > 0)

    def _wait(self, shows: np.ndarray) -> None:
        """A second for the crossings; lights of a mask show their green."""
        opens = self._opens[self._rows, :, self.phase] & shows[:, None]
        self._closed = np.where(opens, 0, self._closed + self._opens.any(2))

    def features(self, phases: int) -> np.ndarray:
        """[light, phases + LIGHT_FEATURES]: the phase as bits, its age in minutes, at most 1, and
        of how long a crossing may be closed the share that is over."""
        bits = np.arange(phases) == self.phase[:, None]
        age = np.minimum(self.age / AGE_S, 1.0)
        closed = np.minimum(self._closed.max(1, initial=0) / self._longest, 1.0)
        return np.concatenate([bits, age[:, None], closed[:, None]], 1).astype(np.float32)
