"""The loop of learners that share a system: experience of all slots, then one update of each.

Whatever is simulated (the global simulator, or all regions side by side in theirs), traced or on
hosts, and whoever waits for whom (`schedules`). Actors step copies and own no policy; workers hold
a snapshot of it (`workers`); the learners, here, only take gradients, and publish versions. After
Qi et al., arXiv 2205.05248, and Sample Factory (Petrenko et al. 2020). Regions with learners of
their own have no need of it: see `apart`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np

from hinterland.core import Segment, stream
from hinterland.learn import Learner, measures, update
from hinterland.rollout.hosts import random_observations
from hinterland.runtime import LocalRuntime, Meters, over_block
from hinterland.training.carriers import workers_elsewhere
from hinterland.training.experiment import Experiment
from hinterland.training.opponents import Opponents
from hinterland.training.plan import Plan, State
from hinterland.training.returns import figures
from hinterland.training.schedules import Fused, InTurn, Pipeline
from hinterland.training.workers import Experience, Snapshot, made_workers, sessions_for

SAMPLES, APART = 16, 8
"""Of each session and side for the first statistics, and steps between two of them."""
LAG, QUEUE = 1, 2
"""Of a pipeline, where nothing else is said."""


@partial(jax.jit, static_argnames="how")
@partial(over_block, shared_arguments=1)
def _update(number, learner, segment, seed, *, how):  # type: ignore[no-untyped-def]
    return update(stream(seed, "train/update", number, learner.updates), learner, segment, how)


class Loop:
    """Workers, a schedule and the learners of one run."""

    def __init__(self, experiment: Experiment, plan: Plan) -> None:
        self._experiment, self._plan, self._meters = experiment, plan, Meters()
        self._opponents = Opponents(experiment.config, experiment.domain)
        mine, *others = experiment.runtime.devices  # the learner's, and the workers'
        self.workers: list[Any] = made_workers(plan, self._opponents.scripts, others or [mine])

    def start(self) -> State:
        """Untrained learners, and workers at their beginning."""
        config, domain, plan = self._experiment.config, self._plan.domain, self._plan
        observation, session = None, None
        if plan.of_games:
            session, *_ = sessions = list(plan.system.simulator.sessions(plan.worker_copies))
            players = (domain.scripted["random"],) * domain.sides
            observation = random_observations(
                plan.system, sessions, players, config.seed, SAMPLES, APART
            )
        state = plan.first_state(observation)
        acting = plan.policy(state.learners, as_simulated=True)
        pool = self._opponents.first_pool(plan.policy(state.learners))
        states = [one.first_state(acting, state.predictors, session) for one in self.workers]
        return jax.tree.map(np.asarray, state._replace(workers=states, pool=pool))

    @contextmanager
    def beginning(self, state: State) -> Generator["Loop"]:
        """With workers where they stood, who end with it."""
        plan, runtime = self._plan, self._experiment.runtime
        # On hosts they would share a CPU with the learner, and Python's lock.
        beside = plan.is_host and runtime.devices[0].platform == "cpu"
        if runtime.units_travel or (beside and plan.config.schedule == "pipeline"):
            scripts = self._opponents.scripts
            self.workers = workers_elsewhere(plan, runtime, state.workers, scripts)
        else:
            sessions = sessions_for(plan, len(self.workers))
            for worker, one, own in zip(self.workers, state.workers, sessions, strict=True):
                worker.prepare(one, own)
        with self._schedule() as self.schedule:
            yield self

    def _schedule(self) -> Any:
        config, runtime = self._experiment.config, self._experiment.runtime
        fused = config.schedule == "fused"
        each = 1 if fused else config.windows // (config.actors or 1)
        parts = (self.workers, each, self._meters, runtime)
        if config.schedule == "pipeline":
            lag = LAG if config.lag is None else config.lag
            return Pipeline(*parts, lag=lag, room=config.queue or QUEUE)
        return Fused(*parts) if fused and not self._plan.is_host else InTurn(*parts)

    def _publish(self, state: State, policy: Any, updates: int, since: int) -> None:
        newest = Snapshot(policy, state.predictors, since)
        copies = len(state.workers[0].place.carry)
        self.schedule.publish(
            updates, self._opponents.snapshot(state.pool, updates, newest, copies)
        )

    def learn(self, state: State, updates: int, stop: int) -> State:
        """From `updates` to `stop`."""
        experiment, plan = self._experiment, self._plan
        config, domain, meters = experiment.config, experiment.domain, self._meters
        steps, before = experiment.step_of(stop - updates), experiment.time["train"]
        sums: dict[str, float] = {}
        returns = np.zeros(2)
        if config.schedule == "fused" and plan.is_host:  # evaluation has used the sessions
            for worker, one in zip(self.workers, state.workers, strict=True):
                worker.prepare(one)
        self._publish(state, plan.policy(state.learners, as_simulated=True), updates, updates)
        meters.take()  # what workers did during evaluation is nobody's
        with experiment.phase("train", steps * domain.agents):
            for number in range(updates, stop):
                batch = self.schedule.batch()
                returns += sum(one.returns for one in batch)
                with meters.timing("learner_s"):
                    learners, found = self._updated(state.learners, batch)
                policy = plan.policy(learners, as_simulated=True)
                pool = self._opponents.learned_from(state.pool, number + 1, policy, batch)
                state = state._replace(learners=learners, pool=pool)
                self._publish(state, policy, number + 1, updates)
                for name, x in found.items():
                    sums[name] = sums.get(name, 0.0) + float(x.sum())
                experiment.progress.advance(config.steps_per_update * domain.agents)
        seconds = experiment.time["train"] - before
        values = measures(sums) | {"steps_per_s": steps * domain.agents / seconds}
        named = {f"train/{name}": x for name, x in values.items()}
        # Of agents the mean, of entities, whose number changes, the sum.
        of = 1 if plan.of_entities else domain.agents // (len(plan.regions) or 1)
        named |= figures(returns / (of, 1), "local" if plan.local else "global")
        named["train/env_steps_per_s"] = steps / seconds
        named |= self._spent(meters.take(), seconds)
        named |= self._opponents.standing(state.pool)
        experiment.lost = sum(worker.lost for worker in self.workers)
        experiment.log(stop, "train", named)
        states = [jax.tree.map(np.asarray, worker.state) for worker in self.workers]
        return jax.tree.map(np.asarray, state._replace(workers=states))

    def _spent(self, sums: dict[str, float], seconds: float) -> dict[str, float]:
        """Who waited for whom."""
        if self._plan.config.schedule != "fused":
            return flow(sums, seconds, len(self.workers))
        found = {"train/seconds/learning": sums["learner_s"]}
        for worker in self.workers:
            if worker.actor is not None:
                found |= {f"train/seconds/{part}": x for part, x in worker.actor.spent.items()}
                worker.actor.spent.clear()
        return found

    def _updated(self, learners: Learner, batch: list[Experience]) -> tuple[Learner, Any]:
        """Every learner after one update, and the sums of `learn.update`."""
        plan, runtime = self._plan, self._experiment.runtime
        whole = gathered([one.segment for one in batch], plan.learners)
        function = partial(_update, how=plan.how())
        numbers = np.arange(plan.learners, dtype=np.int32)
        block = (numbers, learners, whole)
        if plan.config.shared_policy:
            return _update_in_turn(runtime, function, block, plan.config.seed)
        if runtime.units_travel:  # workers are elsewhere; learners are here, as on one machine
            runtime = LocalRuntime(devices=1, block=1)
        return runtime.map_agents(function, block, (plan.config.seed,))


def gathered(segments: list[Segment], learners: int) -> Segment:
    """Segments side by side, [learner, time, copy, slots of the learner, ...], as NumPy arrays."""
    carry = np.concatenate([np.asarray(one.carry) for one in segments])
    parts = [jax.tree.map(np.asarray, one._replace(carry=None)) for one in segments]
    whole = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *parts)
    if learners == 1:
        return jax.tree.map(lambda x: x[None], whole._replace(carry=carry))
    slotted = whole._replace(central=None)
    slotted = jax.tree.map(lambda x: np.moveaxis(x, 2, 0)[:, :, :, None], slotted)
    central = np.repeat(whole.central[None], learners, 0)
    return slotted._replace(central=central, carry=np.moveaxis(carry, 1, 0)[:, :, None])


def _update_in_turn(runtime, function, block, seed):  # type: ignore[no-untyped-def]
    """The shared network passes through every agent's update; each keeps its own Adam."""
    agents, learners, _ = block
    network = jax.tree.map(lambda x: x[:1], learners.network)
    parts: list[Any] = []
    for i in agents:
        agent, learner, segment = jax.tree.map(lambda x, i=i: x[i : i + 1], block)
        unit = (agent, learner._replace(network=network), segment)
        parts += runtime.map(function, [(unit, seed)])
        network = parts[-1][0].network
    learners, terms = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    everywhere = jax.tree.map(lambda x: np.repeat(x, len(agents), 0), network)
    return learners._replace(network=everywhere), terms


def flow(sums: dict[str, float], seconds: float, workers: int) -> dict[str, float]:
    """Who worked, who waited, and how old the experience was; see docs/pipeline.md.

    Args:
        sums: of the meters, over a stretch.
        seconds: that it took.
        workers: how many there were.
    """
    lags = {int(name[4:]): x for name, x in sums.items() if name.startswith("lag/")}
    arrived = sum(lags.values())
    found = {f"pipeline/lag/{lag}": x / arrived for lag, x in sorted(lags.items())}
    found["pipeline/lag/mean"] = sum(lag * x for lag, x in lags.items()) / arrived
    found["pipeline/lag/max"] = max(lags)
    found["pipeline/dropped"] = sums.get("dropped", 0.0)
    found["pipeline/queue"] = sums.get("queue/length", 0.0) / sums.get("queue/looks", 1.0)
    for name, of in (("learner", 1), ("work", workers), ("learner_wait", 1),
                     ("gate_wait", workers), ("queue_wait", workers)):  # fmt: skip
        found[f"pipeline/share/{name}"] = sums.get(f"{name}_s", 0.0) / of / seconds
    return found
