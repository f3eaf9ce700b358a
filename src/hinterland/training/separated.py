"""Learning in systems of entities: one network for all slots, credit by trajectory separation."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import EntityDomain, EntityTrajectory, UserError, is_host, stream
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
from hinterland.nets import SlotNetwork
from hinterland.rollout import EntityCopies, begin_entities, entity_rollout
from hinterland.training.evaluate import evaluate
from hinterland.training.experiment import Experiment

BLOCK = 16
"""Copies of the system in one unit of work; fixed, so that no layout changes a result."""


class SeparatedState(NamedTuple):
    """The learner of all slots' policies, and blocks of copies of the system."""

    learners: Learner
    copies: list[EntityCopies]


def check_config(config: Config, domain: EntityDomain) -> None:
    """What a run on entities cannot do.

    Raises:
        UserError: in one sentence.
    """
    if is_host(domain.entity_simulator):
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
    rows = config.steps_per_update // config.minibatches
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


def network(config: Config, domain: EntityDomain) -> SlotNetwork:
    """The untrained network."""
    return SlotNetwork(
        stream(config.seed, "initial/network"),
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
    settings = experiment.ppo_settings()

    def learner() -> Learner:
        net = network(config, domain)
        return Learner(net, make_optimiser(settings).init(net), jnp.int32(0))

    phases = (np.arange(config.copies) * 10 // config.copies) * domain.spec.horizon // 10
    begin = jax.jit(partial(begin_entities, simulator=domain.entity_simulator))
    copies = [
        begin(
            stream(config.seed, "initial/copies", first),
            phases=phases[first : first + BLOCK].astype(np.int32),
        )
        for first in range(0, config.copies, BLOCK)
    ]
    return jax.tree.map(np.asarray, SeparatedState(jax.jit(learner)(), copies))


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
    learner, sums = separated_update(
        update_key, learner, cells, how.settings, separation, config.pieces or 1
    )
    return learner, {"return": trajectory["reward"].sum(-1).mean(), **sums}


def train(experiment: Experiment, state: SeparatedState, updates: int) -> SeparatedState:
    """Rollouts, then one update of the network, until the run's end."""

    def meet(state: SeparatedState, updates: int) -> SeparatedState:
        if experiment.evaluates(updates):
            evaluate(experiment, state.learners.network, updates)
        return state

    return experiment.in_stretches(state, updates, meet, partial(_learn, experiment))


def _learn(
    experiment: Experiment, state: SeparatedState, updates: int, stop: int
) -> SeparatedState:
    config, domain, runtime = experiment.config, experiment.domain, experiment.runtime
    steps = experiment.step_of(stop - updates) * domain.agents
    collect = partial(_rollout, domain=domain, steps=config.window * config.windows)
    how = _How(config, domain.agents, experiment.ppo_settings())
    learner, copies = state
    sums: dict[str, float] = {}
    before = experiment.time["train"]
    with experiment.phase("train", steps):
        for update in range(updates, stop):
            units = [
                (config.seed, update, block, learner.network, part)
                for block, part in enumerate(copies)
            ]
            copies, blocks = zip(*runtime.map(collect, units), strict=True)
            trajectory = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *blocks)
            ((learner, found),) = runtime.map(
                partial(_update, how=how), [(config.seed, learner, trajectory)]
            )
            sums = {name: sums.get(name, 0.0) + float(x) for name, x in found.items()}
            experiment.progress.advance(config.steps_per_update * domain.agents)
    seconds = experiment.time["train"] - before
    team_return = sums.pop("return") / (stop - updates) * domain.spec.horizon
    values = {"global/return": team_return, **measures(sums)}
    values = {f"train/{name}": x for name, x in values.items()}
    experiment.log(stop, "train", {**values, "train/steps_per_s": steps / seconds})
    return SeparatedState(learner, list(copies))
