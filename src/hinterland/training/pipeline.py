"""Actors, workers and a learner (`--schedule`): one team, on any system, traced or on hosts.

Actors step environments and own no policy (`rollout.actors`). Workers hold a snapshot of the
policy, act for their actors and cut segments (`workers`). The learner, here, only takes gradients,
publishes versions and has them evaluated and saved. `schedules` says who waits for whom.
After Qi et al., arXiv 2205.05248, and Sample Factory (Petrenko et al. 2020).
"""

import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import UserError, is_entity_domain, is_game, stream
from hinterland.learn import Credit, Learner, PPOSettings, make_optimiser, team_update
from hinterland.nets import TeamNetwork
from hinterland.rollout import System
from hinterland.runtime import ClusterRuntime
from hinterland.training import processes, remote
from hinterland.training.evaluate import evaluate
from hinterland.training.experiment import Experiment, ppo_settings
from hinterland.training.opponents import Opponents
from hinterland.training.returns import figures
from hinterland.training.schedules import InTurn, Meters, Pipeline
from hinterland.training.workers import (
    Worker,
    WorkerState,
    copies_of,
    first_state,
    sessions_for,
)

NOT_HERE = ("global_parts", "keep", "normaliser", "pieces")
"""Parts of trajectory separation that segments do not have."""
ASIDE = ("carry", "version", "results", "member", "returns")
"""Parts of a segment that have no time and copy axes."""


class PipelineState(NamedTuple):
    """The learner of the team, where each worker stands, and past opponents."""

    learners: Learner
    workers: list[WorkerState]
    pool: Any
    """`opponents.Pool`, or nothing."""


def check_config(config: Config, domain: Any) -> None:
    """What a run with --schedule cannot do.

    Raises:
        UserError: in one sentence.
    """
    if config.simulation != "global":
        raise UserError("--schedule is for --simulation global: it knows no local simulators")
    if config.shared_policy:
        raise UserError("--shared-policy is not a part of --schedule: see --slot-networks shared")
    if is_game(domain):
        raise UserError(
            f"{domain.name} is played by sides, which --schedule does not do: leave it out"
        )
    for name in NOT_HERE:
        if getattr(config, name) is not None:
            option = name.replace("_", "-")
            raise UserError(f"--{option} works without --schedule only: segments have none of it")
    credit = {name for name in ("credit", "grouping", "team_reward") if getattr(config, name)}
    if credit and not is_entity_domain(domain):
        option = min(credit).replace("_", "-")
        raise UserError(f"--{option} is for domains of entities, which {domain.name} is not")
    if config.windows % (config.actors or 1):
        raise UserError(
            f"--actors {config.actors}: must divide --windows {config.windows}; an update learns "
            "from windows / actors segments"
        )
    _check_processes(config, System(domain, config.critic == "central"))
    Opponents(config, domain)
    if config.slot_networks == "role" and not hasattr(domain, "roles"):
        raise UserError(f"--slot-networks role: {domain.name} knows no roles")


def _check_processes(config: Config, system: System) -> None:
    each, copies = config.copies_per_process or 1, copies_of(config)
    option = f"--copies-per-process {each}"
    if each == 1:
        return
    if not system.is_host:
        raise UserError(f"{option}: {system.name} is traced by JAX and has no processes")
    if not hasattr(system.simulator, "shared_sessions"):
        raise UserError(f"{option}: a process holds one simulation of {system.name}; use 1")
    if copies % each:
        raise UserError(
            f"{option}: must divide the copies of a worker (copies x actors = {copies})"
        )


def network(config: Config, domain: Any) -> TeamNetwork:
    """The untrained network."""
    system = System(domain, config.critic == "central")
    roles: tuple[int, ...] = {
        "own": tuple(range(system.slots)),
        "role": system.roles,
    }.get(config.slot_networks or "shared", (0,) * system.slots)
    return TeamNetwork(
        stream(config.seed, "initial/network"),
        roles,
        system.spec.observation,
        system.spec.actions,
        central=system.central,
        kind=config.network,
        hidden=config.hidden,
        trunk=config.trunk,
    )


def credit_of(config: Config, slots: int) -> Credit:
    """The configuration's part of it."""
    own = {"team": 0.0, "agent": 1.0, None: 1.0}.get(config.credit, config.credit)  # type: ignore[arg-type]
    rule = config.grouping or "entity"
    if rule == "single":
        group = (0,) * slots
    elif rule == "entity":
        group = tuple(range(slots))
    else:
        number = min(int(rule.removeprefix("mod-")), slots)
        group = tuple(slot % number for slot in range(slots))
    return Credit(own, config.team_reward or "mean", group)


def start(experiment: Experiment) -> PipelineState:
    """An untrained team, and workers at their beginning."""
    config, domain = experiment.config, experiment.domain
    made = jax.jit(partial(_learner, config, domain))()
    workers = [
        first_state(config, domain, made.network, worker) for worker in range(config.workers or 1)
    ]
    pool = Opponents(config, domain).first_pool(made.network)
    return jax.tree.map(np.asarray, PipelineState(made, workers, pool))


def shapes(config: Config, domain: Any) -> PipelineState:
    """Shapes and types of `start`, of its learner only."""
    return PipelineState(jax.eval_shape(partial(_learner, config, domain)), None, None)  # type: ignore[arg-type]


def _learner(config: Config, domain: Any) -> Learner:
    net = network(config, domain)
    return Learner(net, make_optimiser(ppo_settings(config)).init(net), jnp.int32(0))


class _How(NamedTuple):
    """What decides an update, all of it static."""

    settings: PPOSettings
    correction: Any
    credit: Credit


@partial(jax.jit, static_argnames="how")
def _update(seed, learner, segments, how):  # type: ignore[no-untyped-def]
    key = stream(seed, "pipeline/update", learner.updates)
    carry = jnp.concatenate([one.carry for one in segments])
    whole = jax.tree.map(
        lambda *x: jnp.concatenate(x, axis=1),
        *(one._replace(**dict.fromkeys(ASIDE)) for one in segments),
    )
    whole = whole._replace(carry=carry)
    learner, terms = team_update(key, learner, whole, how.settings, how.correction, how.credit)
    return learner, terms


def train(experiment: Experiment, state: PipelineState, updates: int) -> PipelineState:
    """Segments, then one update of the team, until the run's end.

    In lockstep a resumed run repeats the uninterrupted one bit for bit. In the pipeline it goes on
    from the same policy, optimiser and places, and then workers race as they always do.
    """
    config, domain, runtime = experiment.config, experiment.domain, experiment.runtime
    meters, opponents = Meters(), Opponents(config, domain)
    if isinstance(runtime, ClusterRuntime):
        workers: Any = remote.workers(runtime, config, domain, state.workers, opponents.scripts)
    elif _apart(experiment):
        workers = processes.workers(config, domain, state.workers, opponents.scripts)
    else:
        workers = _workers(experiment, state.workers, opponents.scripts)
    parts = (workers, config.windows // (config.actors or 1), meters, runtime)
    if config.schedule == "pipeline":
        schedule: Any = Pipeline(*parts, config.lag or 0, config.queue or 1)
    else:
        schedule = InTurn(*parts)

    def meet(state: PipelineState, updates: int) -> PipelineState:
        if experiment.evaluates(updates):
            evaluate(experiment, state.learners.network, updates)
        return state

    with schedule:
        network = state.learners.network
        schedule.publish(updates, opponents.snapshot(state.pool, updates, network))
        learn = partial(_learn, experiment, workers, schedule, meters, opponents)
        return experiment.in_stretches(state, updates, meet, learn)


def _apart(experiment: Experiment) -> bool:
    """Whether workers get processes: where they share a CPU with the learner, and Python's lock."""
    config, device = experiment.config, experiment.runtime.devices[0]
    is_host = System(experiment.domain).is_host
    return config.schedule == "pipeline" and is_host and device.platform == "cpu"


def _workers(
    experiment: Experiment, states: list[WorkerState], scripts: tuple[str, ...]
) -> list[Worker]:
    """On this machine: on devices other than the learner's, if there are any."""
    config, domain = experiment.config, experiment.domain
    own, *others = experiment.runtime.devices
    sessions = sessions_for(config, domain, len(states))
    workers = []
    for index, one in enumerate(states):
        device = others[index % len(others)] if others else own
        worker = Worker(config, domain, index, device, scripts)
        worker.prepare(one, sessions[index] if sessions else None)
        workers.append(worker)
    return workers


def _learn(
    experiment: Experiment,
    workers: Any,
    schedule: InTurn | Pipeline,
    meters: Meters,
    opponents: Opponents,
    state: PipelineState,
    updates: int,
    stop: int,
) -> PipelineState:
    config, domain = experiment.config, experiment.domain
    how = _How(experiment.ppo_settings(), config.correction, credit_of(config, domain.agents))
    steps = experiment.step_of(stop - updates)
    device = experiment.runtime.devices[0]
    learner, pool = jax.device_put(state.learners, device), state.pool
    sums: dict[str, float] = {}
    returns = np.zeros(2)
    before = experiment.time["train"]
    meters.take()  # what workers did during evaluation is nobody's
    with experiment.phase("train", steps * domain.agents):
        for update in range(updates, stop):
            batch = schedule.batch()
            returns += sum(np.asarray(one.returns) for one in batch)
            segments = jax.device_put(batch, device)
            began = time.perf_counter()
            with jax.default_device(device):
                learner, found = _update(config.seed, learner, segments, how)
                jax.block_until_ready(learner)
            meters.add("learner_s", time.perf_counter() - began)
            pool = opponents.learned_from(pool, update + 1, learner.network, batch)
            schedule.publish(update + 1, opponents.snapshot(pool, update + 1, learner.network))
            sums = {name: sums.get(name, 0.0) + float(x) for name, x in found.items()}
            experiment.progress.advance(config.steps_per_update * domain.agents)
    seconds = experiment.time["train"] - before
    values = {f"train/{name}": x / (stop - updates) for name, x in sums.items()}
    # Of agents the mean, of entities, whose number changes, the sum.
    values |= figures(returns / (1 if is_entity_domain(domain) else (domain.agents, 1)))
    values["train/steps_per_s"] = steps * domain.agents / seconds
    values["pipeline/env_steps_per_s"] = steps / seconds
    values |= flow(meters.take(), seconds, len(workers)) | opponents.standing(pool)
    experiment.lost = sum(worker.lost for worker in workers)
    experiment.log(stop, "train", values)
    states = [jax.tree.map(np.asarray, worker.state) for worker in workers]
    return PipelineState(jax.tree.map(np.asarray, learner), states, pool)


def flow(sums: dict[str, float], seconds: float, workers: int) -> dict[str, float]:
    """Who worked, who waited, and how old the segments were; see docs/pipeline.md.

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
