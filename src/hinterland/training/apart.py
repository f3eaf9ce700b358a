"""Regions with a simulator and a learner each: none waits for another between two meetings.

Where the local simulator is traced, whole updates are compiled; where it lives outside of JAX, the
rollout is led from here. A schedule only decides how many regions are worked on at a time, and no
number of a run: one (`lockstep`), one on each device (`fused`), or more than one on each, so that
some regions' simulators step while others' learners learn (`pipeline`).
"""

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import HostSession, kinds_of, numbers_of, stream
from hinterland.learn import How, Learner, measures, update, windows_of
from hinterland.rollout import (
    HostRegions,
    Regions,
    begin_place,
    episode_seed,
    host_segment,
    traced_segment,
)
from hinterland.runtime import over_block
from hinterland.runtime.wire import Shard
from hinterland.training.dials import fitting, log_fit
from hinterland.training.experiment import Experiment
from hinterland.training.plan import Plan, State

STEPS_PER_CALL = 32_768
"""Steps of one agent between two looks at the clock, at Ctrl-C and at the progress bar."""
BESIDE = 2
"""Regions under way beside one for each device, in a pipeline where nothing else is said."""


class Sizes(NamedTuple):
    """What the updates of a kind's regions are made of; static."""

    domain: Any
    kind: int
    how: How
    windows: int
    window: int
    copies: int
    steps: int
    """Of an update, of all of a region's agents together."""


def learn_apart(experiment: Experiment, plan: Plan, state: State, updates: int, stop: int) -> State:
    """Each region's learner trains in its own simulator; none waits for another until `stop`.

    If the state has datasets, its predictor is trained on them first. One kind of regions after the
    other.
    """
    steps = experiment.step_of(stop - updates) * plan.domain.agents
    before = experiment.time["train"]
    with experiment.phase("train", steps):
        found = [
            _learn_kind(experiment, plan, kind, state, updates, stop)
            for kind in range(len(plan.kinds))
        ]
    learners, places, sums, *fitted = zip(*found, strict=True)
    if fitted:
        predictors, figures = fitted
        log_fit(experiment, figures, updates)
        state = state._replace(predictors=predictors, datasets=None)
    seconds = experiment.time["train"] - before
    totals: dict[str, float] = {}
    for one, kind in zip(sums, plan.kinds, strict=True):
        for name, x in one.items():
            slots = kind.regions.shape[1] if name == "reward" else 1
            totals[name] = totals.get(name, 0.0) + slots * float(np.sum(x))
    earned = totals.pop("reward") / (plan.domain.agents * (stop - updates))
    values = {f"train/{name}": x for name, x in measures(totals).items()}
    values["train/local/return"] = earned * experiment.domain.spec.horizon
    experiment.log(stop, "train", {**values, "train/steps_per_s": steps / seconds})
    return state._replace(learners=learners, places=places)


def _learn_kind(
    experiment: Experiment, plan: Plan, kind: int, state: State, updates: int, stop: int
) -> tuple[Any, ...]:
    """(learners, places, sums of what was measured) of a kind's regions, and what was fitted."""
    runtime, config = experiment.runtime, experiment.config
    steps = config.steps_per_update * plan.kinds[kind].regions.shape[1]
    sizes = Sizes(plan.domain, kind, plan.how(kind), config.windows, config.window,
                  config.copies, steps)  # fmt: skip
    advance, stopping, finished = runtime.telling(
        experiment.progress.advance, (stop - updates) * steps
    )
    numbers = np.array(plan.numbers(kind), np.int32)
    block = (numbers, *(part[kind] for part in state[:3]))
    at_once = at_a_time(config, len(runtime.devices))
    learn: Callable[..., Any] = partial(_learn_traced, sizes, advance, stopping)
    if plan.is_host:
        one = partial(_learn_on_host, sizes, at_once, advance, stopping)
        learn = Shard(over_block(one, shared_arguments=3))
    if state.datasets is not None:
        learn = partial(_fit_and, learn, fitting(config))
        block = (*block, state.datasets[kind])
    return runtime.map_agents(learn, block, (config.seed, updates, stop), finished, at_once)


def at_a_time(config: Config, devices: int) -> int:
    """Units that a schedule has under way on so many devices."""
    workers = config.workers or BESIDE
    return {"lockstep": 1, "fused": devices}.get(config.schedule, devices + workers)


@partial(jax.jit, static_argnames="sizes")
@partial(over_block, shared_arguments=2)
def _updates(region, learner, predictor, place, seed, stop, *, sizes):  # type: ignore[no-untyped-def]
    """Updates of a block of regions until each has made `stop`; sums of what was measured."""
    first = numbers_of(kinds_of(sizes.domain), sizes.kind)[0]
    key = stream(seed, "train", region)
    predictors = jax.tree.map(lambda x: x[None], predictor)
    number = jnp.reshape(region - first, 1)
    system = Regions(sizes.domain, predictors, number, sizes.kind)

    def once(learner, place):  # type: ignore[no-untyped-def]
        rollout_key, update_key = jax.random.split(jax.random.fold_in(key, learner.updates))
        place, segment, _ = traced_segment(
            rollout_key, system, learner.network, place, sizes.window, sizes.windows
        )
        learner, sums = _learned(update_key, learner, segment, sizes)
        return learner, place, sums

    def more(state):  # type: ignore[no-untyped-def]
        learner, place, found = once(*state[:2])
        return learner, place, jax.tree.map(jnp.add, state[2], found)

    sums = jax.eval_shape(once, learner, place)[2]
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), sums)
    first_state = learner, place, zeros
    return jax.lax.while_loop(lambda state: state[0].updates < stop, more, first_state)


def _learned(key: Any, learner: Learner, segment: Any, sizes: Sizes) -> tuple[Learner, Any]:
    """One update from the windows of a segment, and the sums of it, with "reward" its mean."""
    reward = segment.reward.mean()
    learner, sums = update(key, learner, windows_of(segment, sizes.windows), sizes.how)
    return learner, jax.tree.map(jnp.float32, {**sums, "reward": reward})


_learned_jit = jax.jit(_learned, static_argnames="sizes")


def _added(totals: Any, sums: Any) -> Any:
    return sums if totals is None else jax.tree.map(jnp.add, totals, sums)


def _learn_traced(
    sizes: Sizes, advance: Callable[[int], None], stopping: Callable[[], None],
    block: Any, seed: Any, start: Any, stop: Any,
) -> tuple[Learner, Any, Any]:  # fmt: skip
    """After updates of a block of regions, theirs: (learner, place, sums of what was measured)."""
    regions, learner, predictor, place = block
    first, last = int(start), int(stop)
    per_call = max(1, STEPS_PER_CALL // sizes.steps)
    totals: Any = None
    for begins in range(first, last, per_call):
        stopping()
        ends = min(last, begins + per_call)
        unit = (regions, learner, predictor, place)
        learner, place, sums = _updates(unit, seed, jnp.int32(ends), sizes=sizes)
        totals = jax.block_until_ready(_added(totals, sums))
        advance((ends - begins) * sizes.steps * int(regions.shape[0]))
    return learner, place, totals


def _learn_on_host(
    sizes: Sizes, at_once: int, advance: Callable[[int], None], stopping: Callable[[], None],
    region: Any, learner: Learner, predictor: Any, place: Any, seed: Any, start: Any, stop: Any,
) -> tuple[Learner, Any, Any]:  # fmt: skip
    """As `_learn_traced`, of one region outside of JAX, while so many are under way."""
    domain, copies, kind = sizes.domain, sizes.copies, sizes.kind
    region, seed, first = int(region), int(seed), int(start)
    totals: Any = None
    with _session(kinds_of(domain)[kind].local_simulator, at_once, copies) as session:
        where = episode_seed(stream(seed, "train/local", region, first))
        predictors = jax.tree.map(lambda x: x[None], predictor)
        actor = HostRegions(domain, [session], predictors, [region], copies, [where], kind)
        stands = begin_place(learner.network, actor.place, copies)
        for number in range(first, int(stop)):
            key = jax.random.fold_in(stream(seed, "train", region), number)
            rollout_key, update_key = jax.random.split(key)
            stands, segment = host_segment(
                rollout_key, learner.network, actor, stands, sizes.window, sizes.windows, stopping
            )
            learner, sums = _learned_jit(update_key, learner, segment, sizes)
            totals = _added(totals, sums)
            advance(sizes.steps)
    return learner, place, totals


_FREE: dict[tuple[Any, int, int], queue.SimpleQueue[HostSession]] = {}
_MAKING = threading.Lock()


@contextmanager
def _session(simulator: Any, count: int, copies: int) -> Generator[HostSession]:
    """One of this process's sessions of a local simulator, used by nobody else meanwhile."""
    with _MAKING:
        if (place := (simulator, count, copies)) not in _FREE:
            _FREE[place] = queue.SimpleQueue()
            for session in simulator.sessions(count, copies):
                _FREE[place].put(session)
    session = _FREE[place].get()
    try:
        yield session
    finally:
        _FREE[place].put(session)


def _fit_and(
    learn: Callable[..., Any], fit: Any, block: Any, seed: Any, start: Any, stop: Any
) -> tuple[Any, ...]:
    """What `learn` gives, by newly trained predictors; they and their figures beside it."""
    regions, learners, predictors, places, datasets = block
    predictors, figures = fit((regions, predictors, datasets), seed, start)
    learned = learn((regions, learners, predictors, places), seed, start, stop)
    return (*learned, predictors, figures)
