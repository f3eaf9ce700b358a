"""A traced system of entities moved into processes of its own, at a pace of its own.

It stands for an engine outside of JAX with the same rules, on which `hinterland bench pipeline`
measures what the pipeline gains there.
"""

import os
import time
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import EntityDomain, stream
from hinterland.domains import load_domain
from hinterland.domains.pool import SharingPool

Options = tuple[tuple[str, Any], ...]
"""Names and values."""


class HostedSession:
    """One copy of the system, in its process.

    Args:
        domain: name of a domain of entities.
        agents: number of slots.
        step_ms: milliseconds that a step waits besides its own work.
        programs: JAX's folder of compiled programs, so that only one process has to compile.
        options: of the domain.
    """

    def __init__(
        self, domain: str, agents: int, step_ms: float, programs: str | None, options: Options = ()
    ) -> None:
        jax.config.update("jax_compilation_cache_dir", programs)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        os.environ["NPROC"] = "1"  # XLA's threads: the processes share the cores among them
        self._step_s = step_ms / 1000
        made = _compiled(domain, agents, options)
        self._begin, self._advance, self._advance_all = made
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
        state, shown = self._advance(key, _alone(self._state), np.asarray(actions, np.int32))
        return self._moved(state, jax.tree.map(np.asarray, shown))

    @staticmethod
    def step_all(
        sessions: "Sequence[HostedSession]", actions: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One step of several at the same time, as one batch; they wait together."""
        time.sleep(sessions[0]._step_s)
        keys = tuple(np.array([(one._seed, one._clock) for one in sessions]).T)
        batch, shown = sessions[0]._advance_all(
            keys, _batch(sessions), np.asarray(actions, np.int32)
        )
        shown = jax.tree.map(np.asarray, shown)
        return [
            one._moved(_Row(batch, row), {name: x[row] for name, x in shown.items()})
            for row, one in enumerate(sessions)
        ]

    def _moved(self, state: Any, shown: dict[str, Any]) -> dict[str, Any]:
        self._state, self._clock = state, self._clock + 1
        self._return += float(shown["reward"].sum())
        return shown

    def metrics(self) -> dict[str, float]:
        """The team's return so far."""
        return {"team_return": self._return}


@cache
def _compiled(domain: str, agents: int, options: "Options") -> tuple[Any, Any, Any]:
    """The beginning of an episode and a step of it; the same for all sessions of a process."""
    here = cast(Any, load_domain(domain, agents, dict(options)))
    first = here.entity_simulator.reset
    begin = jax.jit(lambda seed: _shown(here, first(stream(seed, "host"))))
    advance = partial(_advance, here)
    return begin, jax.jit(advance), jax.jit(jax.vmap(advance))


class _Row(NamedTuple):
    """Where a session's state is after a step of several: taken out only when it is needed."""

    batch: Any
    row: int


def _alone(state: Any) -> Any:
    return _taken(*state) if isinstance(state, _Row) else state


def _batch(sessions: "Sequence[HostedSession]") -> Any:
    """The states of all, side by side; as they were left, if nothing was done to one alone."""
    states = [one._state for one in sessions]
    if all(
        isinstance(x, _Row) and x.batch is states[0].batch and x.row == i
        for i, x in enumerate(states)
    ):
        return states[0].batch
    return _stacked(*map(_alone, states))


_taken = jax.jit(lambda batch, row: jax.tree.map(lambda x: x[row], batch))
_stacked = jax.jit(lambda *states: jax.tree.map(lambda *x: jnp.stack(x), *states))


def _shown(domain: Any, state: Any) -> tuple[Any, dict[str, Any]]:
    simulator = domain.entity_simulator
    seen = {
        "observation": simulator.observe(state),
        "alive": simulator.alive(state),
        "mask": simulator.action_mask(state),
    }
    if (local := getattr(domain, "local_simulator", None)) is not None:
        seen["dset"] = jax.vmap(local.dset)(simulator.regions(state))
    return state, seen


def _advance(domain: Any, place: tuple[Any, Any], state: Any, actions: Any) -> tuple[Any, dict]:
    simulator = domain.entity_simulator
    noise = simulator.noise(stream(place[0], "host/step", place[1]))
    moved = simulator.step(state, actions, noise)
    state, seen = _shown(domain, moved.state)
    told = {"reward": moved.reward, "terminated": moved.terminated}
    if moved.influence is not None:
        told["influence"] = moved.influence
    return state, {**seen, **told}


class HostedSessions(SharingPool):
    """Processes with one session each, or several."""

    def __init__(self, domain: str, agents: int, step_ms: float, options: Options = ()) -> None:
        super().__init__()
        programs = jax.config.values["jax_compilation_cache_dir"]
        self._arguments = (domain, agents, step_ms, programs, options)

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        """The first `count` sessions of processes with `each` copies."""
        target = "hinterland.testing.hosted:HostedSession"
        # One process alone comes first: the others find what it has compiled.
        self._first(min(count, 1), target, *self._arguments, each=each)
        return self._first(count, target, *self._arguments, each=each)


class HostedDomain:
    """The domain of that name, its simulator in processes; arguments as of `HostedSession`."""

    def __init__(
        self,
        domain: str,
        agents: int,
        step_ms: float = 0.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        given = dict(options or {})
        here = cast(EntityDomain, load_domain(domain, agents, given))
        self.name, self.agents, self.spec = here.name, agents, here.spec
        self.scripted = here.scripted
        self.entity_simulator = HostedSessions(domain, agents, step_ms, tuple(given.items()))
        for name in ("regions", "local_simulator"):  # regions stay here, traced
            if hasattr(here, name):
                setattr(self, name, getattr(here, name))
