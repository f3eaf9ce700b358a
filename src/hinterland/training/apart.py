"""Regions with a simulator and a learner each: none waits for another between two meetings.

Where the local simulator is traced, whole updates are compiled; where it lives outside of JAX, the
rollout is led from here. A schedule only decides how many regions are worked on at a time, and no
number of a run: one (`lockstep`), one on each device (`fused`), or more than one on each, so that
some regions' simulators step while others' learners learn (`pipeline`).
"""

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import HostSession, InfluenceBatch, kinds_of, stream
from hinterland.learn import How, Learner, measures, update, windows_of
from hinterland.rollout import (
    HostRegions,
    Regions,
    begin,
    begin_place,
    episode_seed,
    host_segment,
    traced_segment,
)
from hinterland.runtime import over_block
from hinterland.training.dials import fit_block, fit_settings, log_fit, measure_drift, meet
from hinterland.training.experiment import Experiment
from hinterland.training.plan import Plan, stacked, stacked_shapes

STEPS_PER_CALL = 32_768
"""Steps of one agent between two looks at the clock, at Ctrl-C and at the progress bar."""
BESIDE = 2
"""Regions under way beside one for each device, in a pipeline where nothing else is said."""


class ApartState(NamedTuple):
    """Everything between two meetings: for each kind of regions a stack of them."""

    learners: tuple[Learner, ...]
    predictors: tuple[Any, ...]
    places: tuple[Any, ...]
    """`rollout.Place`s; empty on hosts, where regions begin anew at each stretch of training."""


class Sizes(NamedTuple):
    """What a region's updates are made of; static."""

    domain: Any
    how: How
    windows: int
    window: int
    copies: int
    slots: int
    kind: int
    first: int
    """The number of the kind's first region."""


def sizes_of(plan: Plan, kind: int) -> Sizes:
    """Of a kind of regions in a run's plan."""
    config = plan.config
    return Sizes(plan.domain, plan.how_of(kind), config.windows, config.window, config.copies,
                 plan.kinds[kind].regions.shape[1], kind, plan.numbers(kind)[0])  # fmt: skip


def start(experiment: Experiment, plan: Plan) -> ApartState:
    """Untrained networks and predictors, simulators at their beginning."""
    del experiment
    return ApartState(plan.first_learners(), plan.first_predictors(), _places(plan, stacked))


def shapes(plan: Plan) -> ApartState:
    """Shapes and types of `start`."""
    return ApartState(*plan.shapes(), _places(plan, stacked_shapes))


def _places(plan: Plan, stack: Any) -> tuple[Any, ...]:
    if plan.is_host:
        return tuple(np.zeros((len(kind.regions), 0), np.float32) for kind in plan.kinds)
    return plan.by_kind(partial(first_place, plan), stack)


def first_place(plan: Plan, region: Any, kind: int = 0) -> Any:
    """One region's copies before their first episodes; its kind's number."""
    predictors = jax.tree.map(lambda x: x[None], plan.predictor(region, kind))
    number = region - plan.numbers(kind)[0]
    system = Regions(plan.domain, predictors, jnp.reshape(number, 1), kind)
    key = stream(plan.config.seed, "initial/copies", region)
    return begin(key, system, plan.network(region, kind), plan.config.copies)


def train(experiment: Experiment, plan: Plan, state: ApartState, updates: int) -> ApartState:
    """Algorithm 1 from `updates` to the end of the run.

    Where units travel, a shard trains its predictors and then its policies, with one message each
    way.
    """
    waiting: tuple[InfluenceBatch, ...] | None = None

    def later(_: Experiment, predictors: Any, datasets: Any, updates: int) -> Any:
        """With the policies, where they are trained too."""
        nonlocal waiting
        waiting = datasets
        return predictors

    def meeting(state: ApartState, updates: int) -> ApartState:
        trained = later if experiment.runtime.units_travel else None
        parts = (plan, state.learners, state.predictors, updates)
        return state._replace(predictors=meet(experiment, *parts, trained))

    def learn(state: ApartState, updates: int, stop: int) -> ApartState:
        nonlocal waiting
        datasets, waiting = waiting, None
        return learn_apart(experiment, plan, state, updates, stop, datasets)

    state = experiment.in_stretches(state, updates, meeting, learn)
    measure_drift(experiment, plan, state.learners, state.predictors)
    return state


def learn_apart(
    experiment: Experiment,
    plan: Plan,
    state: ApartState,
    updates: int,
    stop: int,
    datasets: tuple[InfluenceBatch, ...] | None = None,
) -> ApartState:
    """Each region's learner trains in its own simulator; none waits for another until `stop`.

    With `datasets` its predictor is trained on them first. One kind of regions after the other.
    """
    steps = experiment.step_of(stop - updates) * plan.domain.agents
    before = experiment.time["train"]
    with experiment.phase("train", steps):
        found = [
            _learn_kind(experiment, plan, kind, state, updates, stop, datasets)
            for kind in range(len(plan.kinds))
        ]
    learners, places, sums, *fitted = zip(*found, strict=True)
    if fitted:
        predictors, figures = fitted
        log_fit(experiment, figures, updates)
        state = state._replace(predictors=predictors)
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
    experiment: Experiment,
    plan: Plan,
    kind: int,
    state: ApartState,
    updates: int,
    stop: int,
    datasets: tuple[InfluenceBatch, ...] | None,
) -> tuple[Any, ...]:
    """(learners, places, sums of what was measured) of a kind's regions, and what was fitted."""
    runtime, sizes = experiment.runtime, sizes_of(plan, kind)
    each = experiment.step_of(stop - updates) * sizes.slots
    advance, stopping, finished = runtime.telling(experiment.progress.advance, each)
    numbers = np.array(plan.numbers(kind), np.int32)
    block = (numbers, *(part[kind] for part in state))
    at_once = at_a_time(experiment.config, len(runtime.devices))
    if plan.is_host:
        learn = make_host_learning(sizes, at_once, advance, stopping)
    else:
        learn = make_learning(sizes, advance, stopping)
    if datasets is not None:
        learn = partial(_fit_and, learn, fit_settings(experiment))
        block = (*block, datasets[kind])
    common = (experiment.config.seed, updates, stop)
    return runtime.map_agents(learn, block, common, finished, at_once)


def at_a_time(config: Config, devices: int) -> int:
    """Units that a schedule has under way on so many devices."""
    workers = config.workers or BESIDE
    return {"lockstep": 1, "fused": devices}.get(config.schedule, devices + workers)


@partial(jax.jit, static_argnames="sizes")
def _updates(seed, block, stop, sizes):  # type: ignore[no-untyped-def]
    """Updates of a block of regions until each has made `stop`; sums of what was measured."""

    def one(region, learner, predictor, place, seed, stop):  # type: ignore[no-untyped-def]
        key = stream(seed, "train", region)
        predictors = jax.tree.map(lambda x: x[None], predictor)
        number = jnp.reshape(region - sizes.first, 1)
        system = Regions(sizes.domain, predictors, number, sizes.kind)

        def once(learner, place):  # type: ignore[no-untyped-def]
            rollout_key, update_key = jax.random.split(jax.random.fold_in(key, learner.updates))
            place, segment, _ = traced_segment(
                rollout_key, system, learner.network, place, sizes.window, sizes.windows
            )
            learner, sums = _learned(update_key, learner, segment, sizes)
            return learner, place, sums

        def more(state):  # type: ignore[no-untyped-def]
            learner, place, sums = state
            learner, place, found = once(learner, place)
            return learner, place, jax.tree.map(jnp.add, sums, found)

        zeros = jax.tree.map(
            lambda x: jnp.zeros(x.shape, jnp.float32), jax.eval_shape(once, learner, place)[2]
        )
        return jax.lax.while_loop(
            lambda state: state[0].updates < stop, more, (learner, place, zeros)
        )

    return over_block(one, shared_arguments=2)(block, seed, stop)


def _learned(key: Any, learner: Learner, segment: Any, sizes: Sizes) -> tuple[Learner, Any]:
    """One update from the windows of a segment, and the sums of it, with "reward" its mean."""
    reward = segment.reward.mean()
    learner, sums = update(key, learner, windows_of(segment, sizes.windows), sizes.how)
    return learner, jax.tree.map(jnp.float32, {**sums, "reward": reward})


def make_learning(
    sizes: Sizes, advance: Callable[[int], None], stopping: Callable[[], None]
) -> Callable[..., Any]:
    """A function of (block of regions, seed, first update, last update) for `runtime.map_agents`.

    Returns a block of (learner, place, sums of what was measured).
    """
    steps = sizes.windows * sizes.window * sizes.copies * sizes.slots
    per_call = max(1, STEPS_PER_CALL // steps)

    def learn(block: Any, seed: Any, start: Any, stop: Any) -> tuple[Learner, Any, Any]:
        regions, learner, predictor, place = block
        first, last = int(start), int(stop)
        totals: Any = None
        for begins in range(first, last, per_call):
            stopping()
            ends = min(last, begins + per_call)
            unit = (regions, learner, predictor, place)
            learner, place, sums = _updates(seed, unit, jnp.int32(ends), sizes)
            totals = sums if totals is None else jax.tree.map(jnp.add, totals, sums)
            jax.block_until_ready(totals)
            advance((ends - begins) * steps * int(regions.shape[0]))
        return learner, place, totals

    return learn


def make_host_learning(
    sizes: Sizes, at_once: int, advance: Callable[[int], None], stopping: Callable[[], None]
) -> Callable[..., Any]:
    """As `make_learning`, in local simulators outside of JAX: so many regions at a time."""
    steps = sizes.windows * sizes.window * sizes.copies * sizes.slots

    def learn_one(
        region: int, learner: Learner, predictor: Any, seed: int, first: int, last: int
    ) -> tuple[Learner, Any]:
        simulator = kinds_of(sizes.domain)[sizes.kind].local_simulator
        free = _sessions(simulator, at_once, sizes.copies)
        session = free.get()
        try:
            where = episode_seed(stream(seed, "train/local", region, first))
            predictors = jax.tree.map(lambda x: x[None], predictor)
            actor = HostRegions(
                sizes.domain, [session], predictors, [region], sizes.copies, [where], sizes.kind
            )
            place = begin_place(learner.network, actor.place, sizes.copies)
            totals: Any = None
            for number in range(first, last):
                key = jax.random.fold_in(stream(seed, "train", region), number)
                rollout_key, update_key = jax.random.split(key)
                place, segment = host_segment(
                    rollout_key, learner.network, actor, place, sizes.window, sizes.windows,
                    stopping,
                )  # fmt: skip
                learner, sums = _host_update(update_key, learner, segment, sizes)
                totals = sums if totals is None else jax.tree.map(jnp.add, totals, sums)
                advance(steps)
        finally:
            free.put(session)
        return learner, totals

    def learn(block: Any, seed: Any, start: Any, stop: Any) -> tuple[Learner, Any, Any]:
        regions, learners, predictors, nothing = block
        parts = []
        for i in range(regions.shape[0]):
            learner, predictor = jax.tree.map(lambda x, i=i: x[i], (learners, predictors))
            where = (int(regions[i]), learner, predictor, int(seed), int(start), int(stop))
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


@partial(jax.jit, static_argnames="sizes")
def _host_update(key, learner, segment, sizes):  # type: ignore[no-untyped-def]
    return _learned(key, learner, segment, sizes)


def _fit_and(
    learn: Callable[..., Any], settings: Any, block: Any, seed: Any, start: Any, stop: Any
) -> tuple[Any, ...]:
    """What `learn` gives, by newly trained predictors; they and their figures beside it."""
    regions, learners, predictors, places, datasets = block
    predictors, figures = fit_block((regions, predictors, datasets), seed, start, settings=settings)
    learned = learn((regions, learners, predictors, places), seed, start, stop)
    return (*learned, predictors, figures)
