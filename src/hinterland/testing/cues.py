"""A host system to try the pipeline on: agents that must say what they were shown, or came before.

Each step every agent is shown one of four cues, and earns 1 if its action names the cue of now, or,
with `memory`, that of the step before (which only a network with memory can do). Half of the slots
are there at the start; one more is born every fourth step, and each agent dies with probability
0.02 a step. The fifth action is never right, and impossible where the slot is odd.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from hinterland.core import AgentSpec
from hinterland.domains.pool import SharingPool
from hinterland.testing.cue_session import ACTIONS, CUES

HORIZON = 50


class CueSessions(SharingPool):
    """One process for each session."""

    target = "hinterland.testing.cue_session:CueSession"

    def __init__(self, *arguments: Any, patience_s: int = 60) -> None:
        super().__init__()
        self._arguments, self._patience = arguments, patience_s
        self.central = arguments[0] * (CUES + 1)

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        """The first `count` sessions of processes with `each` copies."""
        how: dict[str, Any] = {"patience_s": self._patience, "each": each}
        return self._first(count, self.target, *self._arguments, **how)


def _random(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


def _heuristic(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    """The cue of now."""
    return observation.argmax()


class CueDomain:
    """The domain; arguments as `cue_session.CueSession`."""

    name = "cues"
    spec = AgentSpec(observation=CUES, actions=ACTIONS, dset=0, sources=0, classes=0,
                     horizon=HORIZON)  # fmt: skip
    scripted = {"random": _random, "heuristic": _heuristic}  # noqa: RUF012 - never mutated

    def __init__(self, agents: int, memory: bool = False) -> None:
        self.agents = agents
        self.roles = tuple(slot % 2 for slot in range(agents))
        self.entity_simulator = CueSessions(agents, memory)


def make(agents: int) -> CueDomain:
    """Without memory."""
    return CueDomain(agents)
