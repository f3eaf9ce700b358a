"""A traced system of entities moved into processes of its own, at a pace of its own.

It stands for an engine outside of JAX with the same rules, on which `hinterland bench pipeline`
measures what the pipeline gains there.
"""

import os
import time
from functools import partial
from typing import Any, cast

import jax
import numpy as np

from hinterland.core import EntityDomain, stream
from hinterland.domains import load_domain
from hinterland.domains.host import HostProcess, SessionPool

ONE_THREAD = (
    " --xla_cpu_multi_thread_eigen=false --xla_cpu_enable_concurrency_optimized_scheduler=false"
)
"""For XLA: the processes share the cores among them."""


class HostedSession:
    """One copy of the system, in its process.

    Args:
        domain: name of a domain of entities.
        agents: number of slots.
        step_ms: milliseconds that a step waits besides its own work.
        programs: JAX's folder of compiled programs, so that only one process has to compile.
    """

    def __init__(self, domain: str, agents: int, step_ms: float, programs: str | None) -> None:
        jax.config.update("jax_compilation_cache_dir", programs)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        os.environ["NPROC"] = "1"  # the size of XLA's pool of threads
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + ONE_THREAD
        self._step_s = step_ms / 1000
        simulator = cast(Any, load_domain(domain, agents)).entity_simulator
        self._begin = jax.jit(lambda seed: _shown(simulator, simulator.reset(stream(seed, "host"))))
        self._advance = jax.jit(partial(_advance, simulator))
        self.reset(0)  # compiled while there is time for it
        self.step(np.zeros(agents))

    def reset(self, seed: int, controller: None = None, figures: bool = False) -> dict[str, Any]:
        """The first state of an episode."""
        del controller, figures
        self._seed, self._clock, self._return = seed, 0, 0.0
        self._state, shown = self._begin(seed)
        return jax.tree.map(np.asarray, shown)

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """One step of all entities."""
        time.sleep(self._step_s)
        key = (self._seed, self._clock)
        self._state, shown = self._advance(key, self._state, np.asarray(actions, np.int32))
        self._clock += 1
        shown = jax.tree.map(np.asarray, shown)
        self._return += float(shown["reward"].sum())
        return shown

    def metrics(self) -> dict[str, float]:
        """The team's return so far."""
        return {"team_return": self._return}


def _shown(simulator: Any, state: Any) -> tuple[Any, dict[str, Any]]:
    seen = {
        "observation": simulator.observe(state),
        "alive": simulator.alive(state),
        "mask": simulator.action_mask(state),
    }
    return state, seen


def _advance(simulator: Any, place: tuple[Any, Any], state: Any, actions: Any) -> tuple[Any, dict]:
    noise = simulator.noise(stream(place[0], "host/step", place[1]))
    state, reward, terminated = simulator.step(state, actions, noise)
    state, seen = _shown(simulator, state)
    return state, {**seen, "reward": reward, "terminated": terminated}


class HostedSessions(SessionPool):
    """One process for each session."""

    def __init__(self, domain: str, agents: int, step_ms: float) -> None:
        super().__init__()
        programs = jax.config.values["jax_compilation_cache_dir"]
        self._arguments = (domain, agents, step_ms, programs)

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes."""
        target = "hinterland.testing.hosted:HostedSession"
        # One alone comes first: the others find what it has compiled.
        self._first(min(count, 1), target, *self._arguments)
        return self._first(count, target, *self._arguments)


class HostedDomain:
    """The domain of that name, its simulator in processes; arguments as of `HostedSession`."""

    def __init__(self, domain: str, agents: int, step_ms: float = 0.0) -> None:
        here = cast(EntityDomain, load_domain(domain, agents))
        self.name, self.agents, self.spec = here.name, agents, here.spec
        self.scripted = here.scripted
        self.entity_simulator = HostedSessions(domain, agents, step_ms)
