"""A game of two sides, two players each, in processes: who says the larger number gets a point."""

from typing import Any

import numpy as np

from hinterland.core import AgentSpec
from hinterland.domains.pool import SessionPool

SLOTS, LENGTH = 2, 8


class Session:
    """One game at a time; a random player is a controller."""

    def reset(self, seed: int, controllers: tuple = (None, None), record: bool = False) -> Any:
        self._numbers, self._controllers = np.random.default_rng(seed), controllers
        self._points, self._clock = np.zeros(2), 0
        return self._seen()

    def step(self, actions: np.ndarray | None) -> Any:
        said = np.zeros((2, SLOTS), int) if actions is None else np.array(actions)
        for side, who in enumerate(self._controllers):
            if who is not None:
                said[side] = self._numbers.integers(0, 3, SLOTS)
        ahead = said > said[::-1]
        self._points += ahead.sum(1)
        self._clock += 1
        over = self._clock >= LENGTH
        return {**self._seen(), "reward": ahead.astype(np.float32), "terminated": over}

    def play(self, seed: int, controllers: tuple) -> dict[str, float]:
        self.reset(seed, controllers)
        while not self.step(None)["terminated"]:
            pass
        return self.metrics()

    def metrics(self) -> dict[str, float]:
        won = (self._points > self._points[::-1]).astype(float)
        sides = {f"wins/{side}": float(x) for side, x in enumerate(won)}
        points = {f"return/{side}": float(x) for side, x in enumerate(self._points)}
        return {"return": float(self._points.mean()), "wins": float(won.mean()), **sides, **points}

    def _seen(self) -> dict[str, Any]:
        shown = np.zeros((2, SLOTS, 2), np.float32)
        shown[..., 0] = self._clock / LENGTH
        shown[..., 1] = self._points[:, None] / LENGTH
        masks = np.ones((2, SLOTS, 3), bool)
        everybody = np.ones((2, SLOTS), bool)
        return {"observation": shown, "masks": masks, "alive": everybody, "acting": everybody,
                "seconds": {}}  # fmt: skip


class Sessions(SessionPool):
    """A process for each game."""

    def sessions(self, count: int) -> list[Any]:
        return self._first(count, f"{__name__}:Session")


class Duel:
    """The domain."""

    name, agents, sides, length = "duel", SLOTS, 2, LENGTH
    roles = (0, 1)
    spec = AgentSpec(observation=2, actions=3, dset=0, sources=0, classes=0, horizon=LENGTH)
    scripted = {"random": "random"}  # noqa: RUF012 - never mutated

    def __init__(self) -> None:
        self.entity_simulator = Sessions()


def make(agents: int) -> Duel:
    """Always of two players a side."""
    return Duel()
