"""What a run counts against the clock: seconds of compiling, agent-steps per second."""

import threading
import time
from collections.abc import Mapping

import jax

LEARNING = ("collect", "fit", "train")
"""Phases without which nothing is learned."""


def agent_steps_per_s(agent_steps: float, seconds: Mapping[str, float]) -> float:
    """What metrics, display, summary and report call "agent-steps/s in training".

    Args:
        agent_steps: of all agents together, since the run began.
        seconds: wall time of each phase since then, earlier parts of a resumed run included. Those
            of `LEARNING` count, with the compilation in them; evaluating and saving do not.
    """
    spent = sum(seconds.get(phase, 0.0) for phase in LEARNING)
    return agent_steps / spent if spent > 0 else 0.0


class _Compiling:
    """When this process made programs: traced, lowered, compiled or loaded them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[tuple[float, float]] = []

    def note(self, event: str, duration_secs: float, **_: str | int) -> None:
        """JAX tells of the end of something; cores that compile at once make one span."""
        if not event.startswith("/jax/core/compile/"):
            return
        end = time.perf_counter()
        begin = end - duration_secs
        with self._lock:
            while self._spans and self._spans[-1][1] >= begin:
                earlier = self._spans.pop()
                begin, end = min(begin, earlier[0]), max(end, earlier[1])
            self._spans.append((begin, end))

    def seconds(self, since: float) -> float:
        """Of wall time, from that reading of `time.perf_counter` on."""
        with self._lock:
            return sum(max(0.0, end - max(begin, since)) for begin, end in self._spans)


COMPILING = _Compiling()
jax.monitoring.register_event_duration_secs_listener(COMPILING.note)
