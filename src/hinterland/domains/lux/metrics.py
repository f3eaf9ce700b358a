"""A game's figures, as published, and per factory beside."""

import numpy as np

from hinterland.domains.lux.reward import Paid
from hinterland.domains.lux.state import LENGTH, State


class Tally:
    """Counts while a game runs.

    Args:
        state: after the placement of factories.
        length: steps of a whole game.
    """

    def __init__(self, state: State, length: int = LENGTH) -> None:
        self._length = length
        self._placed = state.factories
        self._reward = np.zeros(2)
        self._state = state
        self._ice = np.zeros(2)
        self._alive = np.zeros(2)
        self._units = self._unseated = 0

    def add(self, paid: Paid, after: State) -> None:
        """One step."""
        self._ice += paid.ice
        self._reward += paid.reward.sum(1)
        # A factory counts for the step that ends it, as it does for the length of the episode.
        self._alive += self._state.factories
        units = np.array([len(rows) for rows in after.rows]) - after.factories
        self._units = max(self._units, int(units.max()))
        self._unseated += int(after.unseated.sum())
        self._state = after

    def figures(self) -> dict[str, float]:
        """Of both players' means, and of each.

        "length" in steps; "ice" brought into own factories, and "ice/factory" for each one placed;
        "factories/alive": the sum over steps, over those of a whole game; "lichen" at the end;
        "return": all rewards; "finished": whether the last step of a whole game was reached with a
        factory on both sides; "wins": by the engine's rule, who has factories left, then who has
        more lichen (a draw is nobody's); "factories/placed" by each side; "units/most" of a side
        at once; "unseated": entity-steps without a slot.
        """
        alive, lichen = self._alive / self._length, self._state.lichen
        sides = {"ice": self._ice, "factories/alive": alive, "lichen": lichen,
                 "return": self._reward, "wins": self._wins(),
                 "ice/factory": self._ice / self._placed}  # fmt: skip
        finished = self._state.step >= self._length and bool((self._state.factories > 0).all())
        return {
            "length": float(self._state.step),
            "finished": float(finished),
            "factories/placed": float(self._placed.mean()),
            "units/most": float(self._units),
            "unseated": float(self._unseated),
            **{name: float(both.mean()) for name, both in sides.items()},
            **{f"{name}/{side}": float(both[side]) for name, both in sides.items()
               for side in (0, 1)},
        }  # fmt: skip

    def _wins(self) -> np.ndarray:
        """[player] 1 for who is ahead."""
        stands = self._state.factories > 0
        points = np.where(stands.all(), self._state.lichen, stands)
        return (points > points[::-1]).astype(float)
