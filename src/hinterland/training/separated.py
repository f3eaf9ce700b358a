"""Learning in systems of entities: one network for all slots, credit by trajectory separation."""

import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import (
    EntityDomain,
    EntityNetwork,
    EntityTrajectory,
    HostEntityDomain,
    UserError,
    is_game,
    is_host,
    stream,
)
from hinterland.learn import (
    Learner,
    PPOSettings,
    Separation,
    as_cells,
    by_entity,
    by_remainder,
    make_optimiser,
    measures,
    separated_update,
    single,
)
from hinterland.nets import EntityGrid, SlotNetwork, Unpacked
from hinterland.rollout import (
    EntityCopies,
    HostEntityCollector,
    HostEntityCopies,
    begin_entities,
    entity_rollout,
)
from hinterland.training.evaluate import evaluate
from hinterland.training.experiment import Experiment, ppo_settings
from hinterland.training.returns import Running, figures, followed, running

BLOCK = 16
"""Copies of the system in one unit of work; fixed, so that no layout changes a result."""
MEASURED_BOARDS = 256
"""Observations from which a network with statistics takes them."""
SAMPLES, APART = 16, 8
"""Of each session and side for the first statistics, and steps between two of them."""


class SeparatedState(NamedTuple):
    """The learner of all slots' policies, and blocks of copies of the system."""

    learners: Learner
    copies: list[EntityCopies] | list[HostEntityCopies]
    running: Running


def check_config(config: Config, domain: EntityDomain) -> None:
    """What a run on entities cannot do.

    Raises:
        UserError: in one sentence.
    """
    if is_host(domain.entity_simulator) and not is_game(domain):
        raise UserError(f"{domain.name} lives in processes of its own: add --schedule pipeline")
    if config.slot_networks == "role":
        raise UserError("--slot-networks role needs --schedule pipeline or --schedule lockstep")
    if config.simulation != "global":
        raise UserError(f"{domain.name} has no local simulators: add --simulation global")
    if config.network != "feed-forward":
        raise UserError(
            f"{domain.name}: trajectories are separated for feed-forward networks only; "
            "add --network feed-forward"
        )
    if config.shared_policy:
        raise UserError("--shared-policy is for systems of agents; see --slot-networks")
    if not hasattr(domain, "planes") and (config.channels or config.blocks):
        raise UserError(f"--channels and --blocks are for boards, which {domain.name} has not")
    rows = config.steps_per_update * getattr(domain, "sides", 1) // config.minibatches
    if rows % (config.pieces or 1):
        raise UserError(f"--pieces {config.pieces}: must divide a minibatch's {rows} steps")


def separation_of(config: Config) -> Separation:
    """The configuration's part of it."""
    rule, _, count = (config.keep or "all").rpartition("-")
    return Separation(
        own=config.credit if isinstance(config.credit, float) else 1.0,
        team_reward=config.team_reward or "mean",
        global_parts=frozenset(config.global_names),
        keep=rule or "all",
        keep_count=int(count) if rule else 0,
        normaliser=config.normaliser or "cells",
    )


def grouping_of(config: Config, slots: int) -> tuple[Any, int]:
    """(the group of each slot, number of groups)."""
    if config.credit == "team" or config.grouping == "single":
        return single(slots), 1
    if config.grouping is not None and config.grouping.startswith("mod-"):
        groups = min(int(config.grouping.removeprefix("mod-")), slots)
        return by_remainder(jnp.arange(slots), groups), groups
    return by_entity(slots), slots


def network(config: Config, domain: EntityDomain | HostEntityDomain) -> EntityNetwork:
    """The untrained network: convolutions where observations are boards."""
    key = stream(config.seed, "initial/network")
    if (planes := getattr(domain, "planes", None)) is not None:
        blocks = tuple(map(int, (config.blocks or "2,2").split(",")))
        grid = EntityGrid(key, planes, channels=config.channels or 32, residuals=blocks)
        return Unpacked(grid, domain.unpack)
    return SlotNetwork(
        key,
        domain.agents,
        domain.spec.observation,
        domain.spec.actions,
        own=config.slot_networks == "own",
        hidden=config.hidden,
        trunk=config.trunk,
    )


def start(experiment: Experiment) -> SeparatedState:
    """An untrained network, copies at their beginning, their clocks at ten different phases."""
    config, domain = experiment.config, experiment.domain
    if is_game(domain):
        return _start_games(experiment)
    phases = (np.arange(config.copies) * 10 // config.copies) * domain.spec.horizon // 10
    begin = jax.jit(partial(begin_entities, simulator=domain.entity_simulator))
    copies = [
        begin(
            stream(config.seed, "initial/copies", first),
            phases=phases[first : first + BLOCK].astype(np.int32),
        )
        for first in range(0, config.copies, BLOCK)
    ]
    learner = jax.jit(lambda: _learner(config, domain))()
    episodes = running(config.copies, on_host=False)
    return jax.tree.map(np.asarray, SeparatedState(learner, copies, episodes))


def shapes(config: Config, domain: EntityDomain) -> SeparatedState:
    """Shapes and types of `start`, of its learner only."""
    return SeparatedState(jax.eval_shape(lambda: _learner(config, domain)), None, None)  # type: ignore[arg-type]


def _learner(config: Config, domain: Any, observation: Any = None) -> Learner:
    net = network(config, domain)
    if observation is not None and hasattr(net, "with_statistics"):
        net = net.with_statistics(observation)
    return Learner(net, make_optimiser(ppo_settings(config)).init(net), jnp.int32(0))


def _start_games(experiment: Experiment) -> SeparatedState:
    """The same in processes: statistics of games of random players come first."""
    collector = _collector(experiment)
    observation = collector.samples(SAMPLES, APART)
    parts = experiment.config, experiment.domain
    learner = jax.jit(lambda seen: _learner(*parts, seen))(_some(observation, MEASURED_BOARDS))
    copies = collector.begin(learner.network)
    episodes = running(experiment.config.copies, on_host=True)
    # A game is an episode of each of its sides.
    episodes = jax.tree.map(lambda x: np.repeat(x, experiment.domain.sides), episodes)
    return jax.tree.map(np.asarray, SeparatedState(learner, [copies], episodes))


def _some(observation: Any, count: int) -> Any:
    """So many rows of them, evenly spread, or all."""
    every = max(1, jax.tree.leaves(observation)[0].shape[0] // count)
    return jax.tree.map(lambda x: x[::every][:count], observation)


def _collector(experiment: Experiment) -> HostEntityCollector:
    config, domain = experiment.config, experiment.domain
    sessions = domain.entity_simulator.sessions(config.copies)
    return HostEntityCollector(domain, config.seed, sessions)


@partial(jax.jit, static_argnames=("domain", "steps"))
def _rollout(seed, updates, block, network, copies, domain, steps):  # type: ignore[no-untyped-def]
    key = stream(seed, "train/entities", updates, block)
    simulator, horizon = domain.entity_simulator, domain.spec.horizon
    copies, trajectory = entity_rollout(key, simulator, horizon, network, copies, steps)
    return copies, trajectory._asdict()


class _How(NamedTuple):
    """What decides an update, all of it static."""

    config: Config
    slots: int
    settings: PPOSettings


@partial(jax.jit, static_argnames="how")
def _update(seed, learner, trajectory, how):  # type: ignore[no-untyped-def]
    config, separation = how.config, separation_of(how.config)
    keep_key, update_key = jax.random.split(stream(seed, "train/update", learner.updates))
    cells = as_cells(
        keep_key,
        EntityTrajectory(**trajectory),
        *grouping_of(config, how.slots),
        separation,
        how.settings,
    )
    if hasattr(learner.network, "with_statistics"):
        seen = _some(cells.observation, MEASURED_BOARDS)
        learner = learner._replace(network=learner.network.with_statistics(seen))
    learner, sums = separated_update(
        update_key, learner, cells, how.settings, separation, config.pieces or 1
    )
    return learner, sums


def train(experiment: Experiment, state: SeparatedState, updates: int) -> SeparatedState:
    """Rollouts, then one update of the network, until the run's end."""

    def meet(state: SeparatedState, updates: int) -> SeparatedState:
        if experiment.evaluates(updates):
            evaluate(experiment, state.learners.network, updates)
        return state

    stretch = partial(learn, experiment, make_collect(experiment))
    return experiment.in_stretches(state, updates, meet, stretch)


def make_collect(experiment: Experiment) -> Any:
    """A function of (update, network, copies, begins) giving (copies, trajectory, seconds).

    `begins` marks the first update after others, such as an evaluation, may have used the sessions.
    """
    config, domain, runtime = experiment.config, experiment.domain, experiment.runtime
    steps = config.window * config.windows
    if is_game(domain):
        collector = _collector(experiment)

        def from_sessions(update: int, network: Any, copies: list, begins: bool) -> tuple:
            if begins:
                collector.leave()
            key = stream(config.seed, "train/entities", update)
            where = (copies[0], steps, runtime.raise_if_interrupted)
            after, trajectory, seconds = collector.rollout(key, network, *where)
            return [after], trajectory._asdict(), seconds

        return from_sessions
    function = partial(_rollout, domain=domain, steps=steps)

    def from_devices(update: int, network: Any, copies: list, begins: bool) -> tuple:
        del begins
        units = [(config.seed, update, block, network, part) for block, part in enumerate(copies)]
        after, blocks = zip(*runtime.map(function, units), strict=True)
        return list(after), jax.tree.map(lambda *x: np.concatenate(x, axis=1), *blocks), {}

    return from_devices


def learn(
    experiment: Experiment, collect: Any, state: SeparatedState, updates: int, stop: int
) -> SeparatedState:
    """From `updates` to `stop`, on what `make_collect` made brings."""
    config, domain, runtime = experiment.config, experiment.domain, experiment.runtime
    steps = experiment.step_of(stop - updates) * domain.agents
    how = _How(config, domain.agents, experiment.ppo_settings())
    learner, copies, episodes = state
    returns = np.zeros(2)
    sums: dict[str, float] = {}
    spent: dict[str, float] = {}
    before = experiment.time["train"]
    with experiment.phase("train", steps):
        for update in range(updates, stop):
            copies, trajectory, seconds = collect(
                update, learner.network, copies, update == updates
            )
            start = time.perf_counter()
            reward = np.asarray(trajectory["reward"]).sum(-1)
            episodes, new = followed(episodes, reward, trajectory["ended"])
            returns += new
            ((learner, found),) = runtime.map(
                partial(_update, how=how), [(config.seed, learner, trajectory)]
            )
            if seconds:
                seconds["learning"] = time.perf_counter() - start
            _add(sums, found)
            _add(spent, seconds)
            experiment.progress.advance(config.steps_per_update * domain.agents)
    seconds = experiment.time["train"] - before
    values = {**measures(sums), "steps_per_s": steps / seconds}
    values["env_steps_per_s"] = values["steps_per_s"] / domain.agents
    values |= {f"seconds/{part}": x for part, x in spent.items()}
    named = {f"train/{name}": x for name, x in values.items()}
    experiment.log(stop, "train", named | figures(returns))
    return SeparatedState(learner, list(copies), episodes)


def _add(sums: dict[str, float], more: Any) -> None:
    for name, x in more.items():
        sums[name] = sums.get(name, 0.0) + float(x)
