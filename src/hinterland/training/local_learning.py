"""One agent learning alone in its influence-augmented local simulator, for many updates.

Where the local simulator is pure, whole updates are compiled; where it lives outside of JAX, the
rollout is led from here. What is learned from is the same.
"""

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, HostSession, stream
from hinterland.learn import Learner, PPOSettings, ppo_update
from hinterland.rollout import HostLocalCopies, episode_seed, rollout
from hinterland.runtime import over_block


@partial(jax.jit, static_argnames=("domain", "settings", "windows", "window"))
def _updates(seed, block, stop, domain, settings, windows, window):  # type: ignore[no-untyped-def]
    """Updates of a block of agents until each has made `stop`; sums of what was measured."""

    def one_agent(agent, learner, predictor, copies, seed, stop):  # type: ignore[no-untyped-def]
        agent_key = stream(seed, "train", agent)

        def update(state):  # type: ignore[no-untyped-def]
            learner, copies, sums = state
            rollout_key, update_key = jax.random.split(
                jax.random.fold_in(agent_key, learner.updates)
            )
            copies, trajectory = rollout(
                rollout_key,
                domain.local_simulator,
                domain.spec,
                learner.network,
                predictor,
                copies,
                windows,
                window,
            )
            learner, terms = ppo_update(update_key, learner, trajectory, settings)
            terms = {"local/return": trajectory.reward.mean() * domain.spec.horizon, **terms}
            return learner, copies, {name: sums[name] + terms[name] for name in sums}

        zeros = dict.fromkeys(MEASURED, jnp.zeros(()))
        return jax.lax.while_loop(
            lambda state: state[0].updates < stop, update, (learner, copies, zeros)
        )

    return over_block(one_agent, shared_arguments=2)(block, seed, stop)


TERMS = ("loss/policy", "loss/value", "entropy", "clip_fraction", "kl")
MEASURED = ("local/return", *TERMS)
STEPS_PER_CALL = 32_768
"""Steps of one agent between two looks at the clock, at Ctrl-C and at the progress bar."""


def make_local_learning(
    domain: Domain,
    settings: PPOSettings,
    windows: int,
    window: int,
    copies: int,
    advance: Callable[[int], None],
    stopping: Callable[[], None],
) -> Callable[..., Any]:
    """A function of (block of agents, seed, first update, last update) for `runtime.map_agents`.

    Returns a block of (learner, copies, means of what was measured).
    """
    per_call = max(1, STEPS_PER_CALL // (windows * window * copies))

    def learn(block: Any, seed: Any, start: Any, stop: Any) -> tuple[Learner, Any, Any]:
        agents, learner, predictor, copies_state = block
        first, last = int(start), int(stop)
        totals: Any = None
        for begin in range(first, last, per_call):
            stopping()
            end = min(last, begin + per_call)
            learner, copies_state, sums = _updates(
                seed,
                (agents, learner, predictor, copies_state),
                jnp.int32(end),
                domain,
                settings,
                windows,
                window,
            )
            totals = sums if totals is None else jax.tree.map(jnp.add, totals, sums)
            jax.block_until_ready(totals)
            advance((end - begin) * windows * window * copies * int(agents.shape[0]))
        return learner, copies_state, jax.tree.map(lambda x: x / (last - first), totals)

    return learn


def make_host_local_learning(
    domain: Domain,
    settings: PPOSettings,
    windows: int,
    window: int,
    copies: int,
    side_by_side: int,
    advance: Callable[[int], None],
    stopping: Callable[[], None],
) -> Callable[..., Any]:
    """As `make_local_learning`, in local simulators outside of JAX: so many agents at a time."""
    horizon = domain.spec.horizon

    def learn_one(agent: int, learner: Learner, predictor: Any, seed: int, first: int, last: int):  # type: ignore[no-untyped-def]
        free = _sessions(domain.local_simulator, side_by_side, copies)
        session = free.get()
        try:
            place = episode_seed(stream(seed, "train/local", agent, first))
            simulators = HostLocalCopies(
                session, domain.spec, learner.network, predictor, agent, place, copies
            )
            sums = dict.fromkeys(MEASURED, 0.0)
            for number in range(first, last):
                key = jax.random.fold_in(stream(seed, "train", agent), number)
                rollout_key, update_key = jax.random.split(key)
                trajectory = simulators.rollout(
                    rollout_key, learner.network, predictor, windows, window, stopping
                )
                learner, terms = _host_update(update_key, learner, trajectory, settings, horizon)
                sums = {name: sums[name] + terms[name] for name in sums}
                advance(windows * window * copies)
        finally:
            free.put(session)
        return learner, {name: total / (last - first) for name, total in sums.items()}

    def learn(block: Any, seed: Any, start: Any, stop: Any) -> tuple[Learner, Any, Any]:
        agents, learners, predictors, nothing = block
        parts = []
        for i in range(agents.shape[0]):
            learner, predictor = jax.tree.map(lambda x, i=i: x[i], (learners, predictors))
            where = (int(agents[i]), learner, predictor, int(seed), int(start), int(stop))
            parts.append(learn_one(*where))
        learners, measured = jax.tree.map(lambda *x: np.stack(x), *parts)
        return learners, nothing, measured

    return learn


_FREE: dict[tuple[Any, int, int], queue.SimpleQueue[HostSession]] = {}
_MAKING = threading.Lock()


def _sessions(simulator: Any, count: int, copies: int) -> queue.SimpleQueue[HostSession]:
    """This process's sessions of a local simulator, as many as nobody uses at the moment."""
    with _MAKING:
        if (place := (simulator, count, copies)) not in _FREE:
            _FREE[place] = queue.SimpleQueue()
            for session in simulator.sessions(count, copies):
                _FREE[place].put(session)
    return _FREE[place]


@partial(jax.jit, static_argnames=("settings", "horizon"))
def _host_update(key, learner, trajectory, settings, horizon):  # type: ignore[no-untyped-def]
    learner, terms = ppo_update(key, learner, trajectory, settings)
    return learner, {"local/return": trajectory.reward.mean() * horizon, **terms}
