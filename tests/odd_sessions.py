"""Sessions with a fault on demand, for `test_own_domains.py`; children import NumPy alone."""

from typing import Any

import numpy as np

from hinterland.core.errors import UserError

LATE = 1000
"""Seeds from here on are never those of a check: faults called "late" wait for them."""


class Agents:
    """A well-behaved line of agents; `become` makes it another."""

    fault = ""

    def __init__(self, agents: int, actions: int, classes: int) -> None:
        self._agents, self._actions, self._classes = agents, actions, classes

    def become(self, fault: str) -> None:
        self.fault = fault

    def reset(
        self, seed: int, controller: str | None = None, figures: bool = False
    ) -> dict[str, Any]:
        if self.fault == "controller" and controller == "heuristic":
            raise KeyError("heuristic")
        self._seed, self._clock, self._total = seed, 0, 0.0
        self._random = np.random.default_rng(None if self.fault == "unseeded" else seed)
        return self._faulty(self._seen(), moved=False)

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        if actions.dtype != np.int32 or actions.min() < 0 or actions.max() >= self._actions:
            raise UserError(f"actions are {actions.dtype} {actions.tolist()}")
        if self.fault == "raises":
            raise ValueError("the sluice is shut\nsecond line")
        self._clock += 1
        self._total += float(actions.sum())
        influence = np.full((self._agents, 1), self._classes - 1)
        influence[0] = self._clock % self._classes
        reward = (actions > 127).astype(np.float32)
        moved = {"reward": reward, "terminated": False, "influence": influence}
        return self._faulty(self._seen() | moved, moved=True)

    def metrics(self) -> Any:
        return [self._total] if self.fault == "metrics" else {"total": self._total}

    def _seen(self) -> dict[str, Any]:
        seen = self._random.random((self._agents, 3)).astype(np.float32)
        return {"observation": seen, "dset": seen.copy()}

    def _faulty(self, answer: dict[str, Any], moved: bool) -> Any:
        """`WHAT=HOW` spoils one part of the answer; `late WHAT=HOW` in later episodes only."""
        fault = self.fault.removeprefix("late ")
        if fault == "list":
            return list(answer.values())
        what, _, how = fault.partition("=")
        if what not in answer or (fault != self.fault and self._seed < LATE):
            return answer
        value = np.asarray(answer[what])
        if how == "lacks":
            del answer[what]
        elif how == "nan":
            answer[what] = np.where(np.arange(value.size).reshape(value.shape) == 1, np.nan, value)
        elif how == "short":
            answer[what] = value[:-1]
        elif how == "one":
            answer[what] = np.zeros(1)
        elif how == "text":
            answer[what] = np.full(value.shape, "much")
        elif how == "ragged":
            answer[what] = [[1.0], [1.0, 2.0]]
        elif how == "huge":
            answer[what] = np.full(value.shape, 1e300)
        else:
            answer[what] = (value * 0 + float(how)).astype(int if "." not in how else float)
        return answer


class Few(Agents):
    """Takes too little, and has no figures."""

    metrics: Any = property()

    def reset(self, seed: int) -> dict[str, Any]:  # type: ignore[override]
        return super().reset(seed)


class Fails(Agents):
    """Cannot be made."""

    def __init__(self, *arguments: Any) -> None:
        raise OSError("no water")


class Slots(Agents):
    """Entities that all live to the end."""

    def _seen(self) -> dict[str, Any]:
        return {
            "observation": super()._seen()["observation"],
            "alive": np.ones(self._agents, bool),
            "mask": np.ones((self._agents, self._actions), bool),
        }
