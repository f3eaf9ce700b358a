"""Evaluation: always on the global simulator, sampled and greedy actions named apart."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import (
    Domain,
    EntityDomain,
    UserError,
    is_entity_domain,
    is_game,
    is_host,
    stream,
)
from hinterland.nets import TeamNetwork
from hinterland.rollout import (
    SESSIONS,
    EntityEpisodes,
    Episodes,
    NetworkActor,
    entity_actor,
    episode_seed,
    network_actor,
    play,
    play_entities,
    play_host,
    scripted_actor,
    scripted_memory,
)
from hinterland.runtime import LocalRuntime
from hinterland.training.experiment import Experiment
from hinterland.training.games import check_players, evaluate_games
from hinterland.training.team_evaluation import evaluate_team

BLOCK = 32
"""Episodes of one unit of work; fixed, so that results do not depend on the machine."""


STANDARD_FIGURES = frozenset(
    ("return_mean", "return_std", "return_ci95", "episodes", "policy", "greedy")
)
"""What every evaluation gives; a host simulator adds figures of its own."""


def blocks_of(domain: Domain | EntityDomain, episodes: int) -> range:
    """Indices of the units that hold so many episodes."""
    on_host = is_host(getattr(domain, "global_simulator", None))
    return range(-(-episodes // (SESSIONS if on_host else BLOCK)))


@partial(jax.jit, static_argnames=("domain", "shared"))
def _network_block(key, greedy, networks, domain, shared):  # type: ignore[no-untyped-def]
    """One block of episodes; one program serves evaluation and collection, compiled once."""
    if shared:
        memory = networks.initial(BLOCK)
    else:
        one = jax.tree.map(lambda x: x[0], networks).initial(BLOCK)
        memory = jnp.broadcast_to(one[:, None], (BLOCK, domain.agents, one.shape[-1]))
    actor = network_actor(networks, greedy, shared)
    return play(key, domain, actor, memory, BLOCK, with_influence=True)


def network_episodes(
    runtime: LocalRuntime,
    domain: Domain,
    networks: Any,
    *,
    episodes: int,
    greedy: bool,
    seed: int,
    purpose: str,
    place: int,
    shared: bool = False,
    finished: Callable[[int], None] | None = None,
) -> list[Episodes]:
    """Blocks of global episodes of trained networks; the last block may hold some too many.

    Args:
        runtime: where the blocks run.
        domain: the system; its global simulator is used.
        networks: stacked on the agent axis, or one if `shared`.
        episodes: how many are needed.
        greedy: the likeliest action instead of a sampled one.
        seed: of the run.
        purpose: names the random stream.
        place: where in the run (its update count), so that no two calls draw the same episodes.
        shared: see `rollout.network_actor`.
        finished: told of each finished block.
    """
    if is_host(domain.global_simulator):
        where = (seed, purpose, place)
        waves, _ = host_episodes(
            runtime, domain, networks, episodes, greedy, where, finished, with_influence=True
        )
        return waves
    units = [
        (stream(seed, purpose, place, block), greedy, networks)
        for block in blocks_of(domain, episodes)
    ]
    function = partial(_network_block, domain=domain, shared=shared)
    return runtime.map(function, units, finished)


def host_episodes(
    runtime: LocalRuntime,
    domain: Domain,
    policy: Any,
    episodes: int,
    greedy: bool,
    place: tuple[Any, ...],
    finished: Callable[[int], None] | None = None,
    **wanted: bool,
) -> tuple[list[Episodes], dict[str, float]]:
    """Waves of episodes of a host simulator, and the means of its own figures, if wanted.

    Args:
        runtime: where the waves run.
        domain: the system.
        policy: networks stacked on the agent axis, or a controller's name.
        episodes: how many are needed.
        greedy: the likeliest action instead of a sampled one.
        place: (seed, purpose, place) of the random stream.
        finished: told of each finished wave.
        wanted: `with_influence`, `with_figures`, see `rollout.play_host`.
    """
    controller, networks = (policy, None) if isinstance(policy, str) else (None, policy)
    function = partial(_host_wave, domain=domain, controller=controller, greedy=greedy, **wanted)
    units = [(stream(*place, wave), networks) for wave in blocks_of(domain, episodes)]
    played = runtime.one_by_one(function, units, finished)
    figures = [each for _, measured in played for each in measured][:episodes]
    names = figures[0] if figures else {}
    means = {name: float(np.mean([x[name] for x in figures])) for name in names}
    return [wave for wave, _ in played], means


def _host_wave(
    key: Any,
    networks: Any,
    *,
    domain: Domain,
    controller: str | None,
    greedy: bool,
    stopping: Callable[[], None],
    **wanted: bool,
) -> tuple[Episodes, list[dict[str, float]]]:
    """One episode in every session, side by side."""
    keys = jax.random.split(key, SESSIONS)
    actor = controller if controller is not None else NetworkActor(networks, greedy, keys)
    return play_host(
        domain.global_simulator.sessions(SESSIONS),
        domain,
        actor,
        [episode_seed(key) for key in keys],
        **wanted,
        stopping=stopping,
    )


@partial(jax.jit, static_argnames=("domain", "name"))
def _scripted_returns(seed, place, block, domain, name):  # type: ignore[no-untyped-def]
    policy = domain.scripted[name]
    memory = scripted_memory(policy, BLOCK, domain.agents)
    key = stream(seed, "evaluate/scripted", place, block)
    return play(key, domain, scripted_actor(policy), memory, BLOCK).reward.sum(0)


def _figures(returns: list[np.ndarray], episodes: int, **how: Any) -> dict[str, Any]:
    per_agent = np.concatenate(returns)[:episodes].astype(np.float64)
    each = per_agent.mean(1)
    if not np.isfinite(each).all():
        episode, agent = np.argwhere(~np.isfinite(per_agent))[0]
        raise UserError(
            f"evaluation of {how['policy']!r}: the return of agent {agent} in episode {episode} is "
            f"{per_agent[episode, agent]}: a reward of the global simulator is not finite in some "
            "state that this policy reaches"
        )
    deviation = float(each.std(ddof=1)) if episodes > 1 else 0.0
    return {
        "return_mean": float(each.mean()),
        "return_std": deviation,
        "return_ci95": 1.96 * deviation / episodes**0.5,
        "episodes": episodes,
        **how,
    }


def _host_figures(
    runtime: LocalRuntime,
    domain: Domain,
    policy: Any,
    episodes: int,
    greedy: bool,
    where: tuple[Any, ...],
    name: str,
) -> dict[str, Any]:
    waves, means = host_episodes(
        runtime, domain, policy, episodes, greedy, where, with_figures=True
    )
    returns = [wave.reward.sum(0) for wave in waves]
    return {**_figures(returns, episodes, policy=name, greedy=greedy), **means}


@partial(jax.jit, static_argnames=("domain", "name"))
def _entity_block(key, greedy, network, domain, name):  # type: ignore[no-untyped-def]
    """One block of episodes; of the network, or of the hand-written policy `name`."""
    actor = entity_actor(network, greedy, None if name is None else domain.scripted[name])
    episodes = play_entities(key, domain.entity_simulator, domain.spec.horizon, actor, BLOCK)
    return episodes._asdict()


def _evaluate_entities(
    runtime: LocalRuntime,
    domain: EntityDomain,
    network: Any,
    name: str | None,
    *,
    episodes: int,
    greedy: bool,
    place: tuple[Any, ...],
) -> dict[str, Any]:
    """Return per episode of all entities together; how long somebody lived, and how many did."""
    units = [(stream(*place, block), greedy, network) for block in blocks_of(domain, episodes)]
    function = partial(_entity_block, domain=domain, name=name)
    played = [EntityEpisodes(**block) for block in runtime.map(function, units)]
    returns = [block.reward.sum((0, 2))[:, None] for block in played]
    living = np.concatenate([block.alive.sum(2) for block in played], axis=1)[:, :episodes]
    return {
        **_figures(returns, episodes, policy=name or "learned", greedy=greedy),
        "length": float((living > 0).sum(0).mean()),
        "alive": float(living.mean()),
    }


def evaluate_networks(
    runtime: LocalRuntime, domain: Domain, networks: Any, *, episodes: int, greedy: bool, **how: Any
) -> dict[str, Any]:
    """Return per episode (mean over agents, undiscounted); arguments as `network_episodes`.

    A host simulator's own figures (travel times, say) stand beside it. Of entities, whose number
    changes, it is the sum over all of them; `opponent` names the controller that plays against
    them, where there are sides.
    """
    opponent = how.pop("opponent", None)
    where = (how["seed"], how["purpose"], how["place"])
    if isinstance(networks, TeamNetwork):
        return evaluate_team(
            runtime, domain, networks, None, episodes=episodes, greedy=greedy, place=where
        )
    if is_entity_domain(domain):
        told: dict[str, Any] = {"episodes": episodes, "greedy": greedy, "place": where}
        if is_game(domain):
            return evaluate_games(runtime, domain, networks, "learned", opponent=opponent, **told)
        return _evaluate_entities(runtime, domain, networks, None, **told)
    if is_host(domain.global_simulator):
        return _host_figures(runtime, domain, networks, episodes, greedy, where, "learned")
    blocks = network_episodes(runtime, domain, networks, episodes=episodes, greedy=greedy, **how)
    returns = [block.reward.sum(0) for block in blocks]
    return _figures(returns, episodes, policy="learned", greedy=greedy)


def evaluate_scripted(
    runtime: LocalRuntime,
    domain: Domain,
    name: str,
    *,
    episodes: int,
    seed: int,
    place: int = 0,
    opponent: str | None = None,
) -> dict[str, Any]:
    """Return per episode (mean over agents) when every agent follows one hand-written policy.

    Raises:
        UserError: the domain has no policy of that name.
    """
    check_players(domain, name, opponent)
    controller, where = domain.scripted[name], (seed, "evaluate/scripted", place)
    if is_entity_domain(domain):
        told: dict[str, Any] = {"episodes": episodes, "greedy": False, "place": where}
        if is_game(domain):
            return evaluate_games(runtime, domain, controller, name, opponent=opponent, **told)
        by_team = is_host(domain.entity_simulator) or hasattr(domain.entity_simulator, "figures")
        return (evaluate_team if by_team else _evaluate_entities)(
            runtime, domain, None, name, **told
        )
    if isinstance(controller, str):
        return _host_figures(runtime, domain, controller, episodes, False, where, name)
    units = [(seed, place, block) for block in blocks_of(domain, episodes)]
    returns = runtime.map(partial(_scripted_returns, domain=domain, name=name), units)
    return _figures(returns, episodes, policy=name, greedy=False)


def evaluate(
    experiment: Experiment, networks: Any, updates: int, shared: bool = False
) -> dict[str, float]:
    """Sampled and greedy returns on the global simulator.

    Whole games outside of JAX cost as much as a long stretch of training: sampled actions only.
    """
    config = experiment.config
    values: dict[str, float] = {}
    games = is_game(experiment.domain)
    with experiment.phase("evaluate", 1 if games else 2):
        for greedy in (False,) if games else (False, True):
            figures = evaluate_networks(
                experiment.runtime,
                experiment.domain,
                networks,
                episodes=config.evaluate_episodes,
                greedy=greedy,
                seed=config.seed,
                purpose="evaluate/greedy" if greedy else "evaluate/sampled",
                place=updates,
                shared=shared,
            )
            name = "eval/greedy" if greedy else "eval/sampled"
            values[f"{name}/return"] = figures["return_mean"]
            values[f"{name}/return_std"] = figures["return_std"]
            values[f"{name}/return_ci95"] = figures["return_ci95"]
            values[f"{name}/episodes"] = figures["episodes"]
            own = {x for x in figures.keys() - STANDARD_FIGURES if not x.endswith("_std")}
            values |= {f"{name}/{x}": figures[x] for x in own}
            experiment.progress.advance(1)
    experiment.log(updates, "evaluate", values)
    return values
