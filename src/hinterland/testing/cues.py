"""A host system to try the pipeline on: agents that must say what they were shown, or came before.

Each step every agent is shown one of four cues, and earns 1 if its action names the cue of now, or,
with `memory`, that of the step before (which only a network with memory can do). Half of the slots
are there at the start; one more is born every fourth step, and each agent dies with probability
0.02 a step. The fifth action is never right, and impossible where the slot is odd.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from hinterland.core import AgentSpec
from hinterland.domains.host import HostProcess, SessionPool

CUES, ACTIONS, HORIZON = 4, 5, 50
BIRTH_EVERY, DEATH = 4, 0.02


class CueSession:
    """The simulator in its process.

    Args:
        slots: number of slots.
        memory: the cue of the step before is asked for.
        step_ms: milliseconds that a step takes at least, waiting.
    """

    def __init__(self, slots: int, memory: bool = False, step_ms: float = 0.0) -> None:
        self._slots, self._memory, self._step_s = slots, memory, step_ms / 1000

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
        time.sleep(self._step_s)
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


class CueSessions(SessionPool):
    """One process for each session."""

    target = "hinterland.testing.cues:CueSession"

    def __init__(self, *arguments: Any, patience_s: int = 60) -> None:
        super().__init__()
        self._arguments, self._patience = arguments, patience_s
        self.central = arguments[0] * (CUES + 1)

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes."""
        return self._first(count, self.target, *self._arguments, patience_s=self._patience)


def _random(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


def _heuristic(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    """The cue of now."""
    return observation.argmax()


class CueDomain:
    """The domain; arguments as `CueSession`."""

    name = "cues"
    spec = AgentSpec(observation=CUES, actions=ACTIONS, dset=0, sources=0, classes=0,
                     horizon=HORIZON)  # fmt: skip
    scripted = {"random": _random, "heuristic": _heuristic}  # noqa: RUF012 - never mutated

    def __init__(self, agents: int, memory: bool = False, step_ms: float = 0.0) -> None:
        self.agents = agents
        self.roles = tuple(slot % 2 for slot in range(agents))
        self.entity_simulator = CueSessions(agents, memory, step_ms)


def make(agents: int) -> CueDomain:
    """Without memory."""
    return CueDomain(agents)
