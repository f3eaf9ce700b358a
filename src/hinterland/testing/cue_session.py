"""One session of `testing.cues`; NumPy alone, so that its process need not load JAX."""

from typing import Any

import numpy as np

CUES, ACTIONS = 4, 5
BIRTH_EVERY, DEATH = 4, 0.02


class CueSession:
    """The simulator in its process.

    Args:
        slots: number of slots.
        memory: the cue of the step before is asked for.
    """

    def __init__(self, slots: int, memory: bool = False) -> None:
        self._slots, self._memory = slots, memory

    def reset(self, seed: int, controller: None = None, figures: bool = False) -> dict[str, Any]:
        """The first state of an episode."""
        del controller, figures
        self._random = np.random.default_rng(seed)
        self._alive = np.arange(self._slots) < (self._slots + 1) // 2
        self._born, self._clock, self._right, self._asked = int(self._alive.sum()), 0, 0.0, 0
        self._cue = self._before = self._random.integers(CUES, size=self._slots)
        return self._seen()

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """Pay, die, be born, show."""
        wanted = self._before if self._memory else self._cue
        reward = np.where(self._alive & (np.asarray(actions) == wanted), 1.0, 0.0)
        self._right, self._asked = self._right + reward.sum(), self._asked + self._alive.sum()
        self._clock += 1
        self._alive = self._alive & (self._random.random(self._slots) >= DEATH)
        if self._clock % BIRTH_EVERY == 0 and self._born < self._slots:
            self._alive[self._born] = True
            self._born += 1
        self._before, self._cue = self._cue, self._random.integers(CUES, size=self._slots)
        return {**self._seen(), "reward": reward.astype(np.float32),
                "terminated": not self._alive.any()}  # fmt: skip

    def metrics(self) -> dict[str, float]:
        """The share of right answers in the episode."""
        return {"right": float(self._right / max(self._asked, 1))}

    def _seen(self) -> dict[str, Any]:
        mask = np.ones((self._slots, ACTIONS), bool)
        mask[1::2, CUES:] = False
        shown = np.eye(CUES, dtype=np.float32)[self._cue]
        whole = np.concatenate([shown.ravel(), self._alive]).astype(np.float32)
        return {"observation": shown, "alive": self._alive.copy(),
                "mask": mask & self._alive[:, None], "central": whole}  # fmt: skip
