"""Independent PPO on the global simulator, all agents in lockstep: the paper's GS baseline.

The correct form gives each agent its own network, optimiser and recurrent state. With
`shared_policy` it does what the paper's public code did instead (see `train`).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, Trajectory, is_host, stream
from hinterland.learn import Learner, ppo_update
from hinterland.rollout import (
    GlobalCopies,
    HostCollector,
    HostCopies,
    joint_rollout,
)
from hinterland.runtime import over_block
from hinterland.training import initial
from hinterland.training.evaluate import evaluate
from hinterland.training.experiment import Experiment, ppo_settings
from hinterland.training.local_learning import TERMS
from hinterland.training.returns import Running, figures, followed, running

BLOCK = 32
"""Copies of the global simulator in one unit of work."""


class LockstepState(NamedTuple):
    """Learners, stacked on the agent axis, and blocks of copies of the global simulator."""

    learners: Learner
    copies: list[GlobalCopies] | list[HostCopies]
    running: Running


def start(experiment: Experiment) -> LockstepState:
    """Untrained networks; with `shared_policy` all agents hold the same one."""
    config, domain = experiment.config, experiment.domain
    learners = _learners(config, domain, initial.stacked)
    if is_host(domain.global_simulator):
        hidden = np.asarray(initial.network(config, domain, 0).initial(config.copies))
        hidden = np.repeat(hidden[:, None], domain.agents, axis=1)
        begun: Any = [_collector(experiment).begin(hidden)]
        return LockstepState(learners, begun, running(config.copies, on_host=True))
    begun = initial.global_copies(config, domain, min(BLOCK, config.copies))
    return LockstepState(learners, begun, running(config.copies, on_host=False))


def shapes(config: Config, domain: Domain) -> LockstepState:
    """Shapes and types of `start`, of its learners only."""
    return LockstepState(_learners(config, domain, initial.stacked_shapes), None, None)  # type: ignore[arg-type]


def _learners(config: Config, domain: Domain, stack: Any) -> Learner:
    settings = ppo_settings(config)

    def learner(agent: Any) -> Learner:
        return initial.learner(config, domain, settings, agent * (not config.shared_policy))

    return stack(learner, domain.agents)


def _collector(experiment: Experiment) -> HostCollector:
    config, domain = experiment.config, experiment.domain
    sessions = domain.global_simulator.sessions(config.copies)
    return HostCollector(domain, config.seed, sessions)


@partial(jax.jit, static_argnames=("domain", "windows", "window", "shared"))
def _rollout(seed, updates, block, networks, copies, domain, windows, window, shared):  # type: ignore[no-untyped-def]
    key = stream(seed, "train/joint", updates, block)
    if shared:
        networks = jax.tree.map(lambda x: x[0], networks)
    copies, trajectory = joint_rollout(key, domain, networks, copies, windows, window, shared)
    return copies, trajectory._asdict()


@partial(jax.jit, static_argnames="settings")
def _update(block, seed, settings):  # type: ignore[no-untyped-def]
    def one(agent, learner, trajectory, seed):  # type: ignore[no-untyped-def]
        key = stream(seed, "train/update", agent, learner.updates)
        learner, terms = ppo_update(key, learner, Trajectory(**trajectory), settings)
        return learner, terms

    return over_block(one, shared_arguments=1)(block, seed)


def _by_agent(blocks: list[dict[str, np.ndarray]], shared: bool) -> dict[str, np.ndarray]:
    """Blocks of [windows, time, copy, agent, ...] become [agent, windows, time, copy, ...]."""

    def gather(name: str) -> np.ndarray:
        axis = 1 if name == "carry" else 2
        joined = np.concatenate([block[name] for block in blocks], axis=axis)
        return np.moveaxis(joined, axis + 1, 0)

    return {name: gather(name) for name in blocks[0]}


def train(experiment: Experiment, state: LockstepState, updates: int) -> LockstepState:
    """Rollouts of all agents together, then one PPO update of each, until the run's end.

    With `shared_policy` one network is updated by each agent in turn, each with its own Adam, from
    rollouts in which one recurrent state went from agent to agent.
    """
    shared = experiment.config.shared_policy

    def meet(state: LockstepState, updates: int) -> LockstepState:
        if experiment.evaluates(updates):
            networks = state.learners.network
            if shared:
                networks = jax.tree.map(lambda x: x[0], networks)
            evaluate(experiment, networks, updates, shared)
        return state

    learn = partial(learn_jointly, experiment, make_collect(experiment))
    return experiment.in_stretches(state, updates, meet, learn)


def make_collect(experiment: Experiment) -> Any:
    """A function of (update, networks, copies, begins) giving (copies, blocks of experience).

    `begins` marks the first update after others, such as an evaluation, may have used the sessions.
    """
    config, runtime = experiment.config, experiment.runtime
    if is_host(experiment.domain.global_simulator):
        collector = _collector(experiment)

        def from_sessions(
            update: int, networks: Any, copies: Any, begins: bool
        ) -> tuple[list, list]:
            if begins:
                collector.leave()
            key = stream(config.seed, "train/joint", update)
            copies, block = collector.rollout(
                key, networks, copies[0], config.windows, config.window,
                runtime.raise_if_interrupted,
            )  # fmt: skip
            return [copies], [block._asdict()]

        return from_sessions
    function = partial(
        _rollout,
        domain=experiment.domain,
        windows=config.windows,
        window=config.window,
        shared=config.shared_policy,
    )

    def from_devices(update: int, networks: Any, copies: Any, begins: bool) -> tuple[Any, Any]:
        del begins
        units = [(config.seed, update, block, networks, part) for block, part in enumerate(copies)]
        return zip(*runtime.map(function, units), strict=True)

    return from_devices


def learn_jointly(
    experiment: Experiment, collect: Any, state: LockstepState, updates: int, stop: int
) -> LockstepState:
    """All agents train from `updates` to `stop`, on what `make_collect` made brings."""
    config, domain = experiment.config, experiment.domain
    settings, runtime = experiment.ppo_settings(), experiment.runtime
    steps = experiment.step_of(stop - updates) * domain.agents
    sums, found = dict.fromkeys(TERMS, 0.0), np.zeros(2)
    before = experiment.time["train"]
    agents = np.arange(domain.agents, dtype=np.int32)
    learners, copies, episodes = state
    with experiment.phase("train", steps):
        for update in range(updates, stop):
            copies, blocks = collect(update, learners.network, copies, update == updates)
            trajectories = _by_agent(blocks, config.shared_policy)
            reward, ended = (_by_step(trajectories[name]) for name in ("reward", "done"))
            episodes, new = followed(episodes, reward.mean(-1), ended.any(-1))
            found += new
            function = partial(_update, settings=settings)
            block = (agents, learners, trajectories)
            if config.shared_policy:
                learners, terms = _update_in_turn(runtime, function, block, config.seed)
            else:
                learners, terms = runtime.map_agents(function, block, (config.seed,))
            for name in sums:
                sums[name] += float(terms[name].mean())
            experiment.progress.advance(config.steps_per_update * domain.agents)
    seconds = experiment.time["train"] - before
    values = {f"train/{name}": total / (stop - updates) for name, total in sums.items()}
    values |= figures(found)
    experiment.log(stop, "train", {**values, "train/steps_per_s": steps / seconds})
    return LockstepState(learners, list(copies), episodes)


def _by_step(x: np.ndarray) -> np.ndarray:
    """[agent, windows, time, copy] becomes [steps, copy, agent]."""
    return np.moveaxis(np.asarray(x).reshape(len(x), -1, x.shape[-1]), 0, -1)


def _update_in_turn(runtime, function, block, seed):  # type: ignore[no-untyped-def]
    """The shared network passes through every agent's update; each keeps its own Adam."""
    agents, learners, trajectories = block
    network = jax.tree.map(lambda x: x[:1], learners.network)
    parts = []
    for agent in agents:
        own = jax.tree.map(lambda x, i=agent: x[i : i + 1], (learners, trajectories))
        unit = (agents[agent : agent + 1], own[0]._replace(network=network), own[1])
        ((learner, terms),) = runtime.map(function, [(unit, seed)])
        network = learner.network
        parts.append((learner, terms))
    learners, terms = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    everywhere = jax.tree.map(
        lambda last, all_: np.broadcast_to(last, all_.shape).copy(), network, learners.network
    )
    return learners._replace(network=everywhere), terms
