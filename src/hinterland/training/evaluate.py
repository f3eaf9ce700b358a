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
from hinterland.rollout.answers import figures_of
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


Told = Callable[[int], None]
"""Told of so many more episodes that have been played."""


def nobody(episodes: int) -> None:
    """Is told, and does nothing."""


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
    blocks: range | None = None,
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
        blocks: numbers of the blocks, if they are not all that hold so many episodes.
    """
    blocks = blocks_of(domain, episodes) if blocks is None else blocks
    if is_host(domain.global_simulator):
        where = (seed, purpose, place)
        played = host_waves(
            runtime, domain, networks, blocks, greedy, where, finished, with_influence=True
        )
        return [wave for wave, _ in played]
    units = [(stream(seed, purpose, place, block), greedy, networks) for block in blocks]
    function = partial(_network_block, domain=domain, shared=shared)
    return runtime.map(function, units, finished)


def host_waves(
    runtime: LocalRuntime,
    domain: Domain,
    policy: Any,
    blocks: range,
    greedy: bool,
    place: tuple[Any, ...],
    finished: Callable[[int], None] | None = None,
    **wanted: bool,
) -> list[tuple[Episodes, list[dict[str, float]]]]:
    """Waves of episodes of a host simulator, and each episode's own figures, if wanted.

    Args:
        runtime: where the waves run.
        domain: the system.
        policy: networks stacked on the agent axis, or a controller's name.
        blocks: numbers of the waves.
        greedy: the likeliest action instead of a sampled one.
        place: (seed, purpose, place) of the random stream.
        finished: told of each finished wave.
        wanted: `with_influence`, `with_figures`, see `rollout.play_host`.
    """
    controller, networks = (policy, None) if isinstance(policy, str) else (None, policy)
    function = partial(_host_wave, domain=domain, controller=controller, greedy=greedy, **wanted)
    units = [(stream(*place, wave), networks) for wave in blocks]
    return runtime.one_by_one(function, units, finished)


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


def _by_episode(reward: np.ndarray, policy: str) -> np.ndarray:
    """Returns [copy], means over agents, of rewards [time, copy, agent].

    Raises:
        UserError: one is not finite.
    """
    returns = reward.sum(0).astype(np.float64)
    if not np.isfinite(returns).all():
        episode, agent = np.argwhere(~np.isfinite(returns))[0]
        raise UserError(
            f"evaluation of {policy!r}: the return of agent {agent} in an episode is "
            f"{returns[episode, agent]}: a reward of the global simulator is not finite in some "
            "state that this policy reaches"
        )
    return returns.mean(1)


def _figures(returns: list[np.ndarray], episodes: int, **how: Any) -> dict[str, Any]:
    """Of the returns [episode] of each block; the last block may hold some too many."""
    each = np.concatenate(returns)[:episodes]
    if not np.isfinite(each).all():
        raise UserError(
            f"evaluation of {how['policy']!r}: a return is not finite: look at the domain's rewards"
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
    told: Told,
) -> dict[str, Any]:
    returns, figures = [], []
    for blocks in runtime.in_groups(blocks_of(domain, episodes)):
        for wave, measured in host_waves(
            runtime, domain, policy, blocks, greedy, where, lambda _: told(SESSIONS),
            with_figures=True,
        ):  # fmt: skip
            returns.append(_by_episode(wave.reward, name))
            figures += measured
    figures = figures_of(domain.name, figures[:episodes])  # waves agree with each other too
    names = figures[0] if figures else {}
    means = {name: float(np.mean([x[name] for x in figures])) for name in names}
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
    told: Told,
) -> dict[str, Any]:
    """Return per episode of all entities together; how long somebody lived, and how many did."""
    function = partial(_entity_block, domain=domain, name=name)
    returns, alive = [], []
    for blocks in runtime.in_groups(blocks_of(domain, episodes)):
        units = [(stream(*place, block), greedy, network) for block in blocks]
        for block in runtime.map(function, units, lambda _: told(BLOCK)):
            played = EntityEpisodes(**block)
            returns.append(played.reward.sum((0, 2)).astype(np.float64))
            alive.append(played.alive.sum(2))
    living = np.concatenate(alive, axis=1)[:, :episodes]
    return {
        **_figures(returns, episodes, policy=name or "learned", greedy=greedy),
        "length": float((living > 0).sum(0).mean()),
        "alive": float(living.mean()),
    }


def evaluate_networks(
    runtime: LocalRuntime,
    domain: Domain,
    networks: Any,
    *,
    episodes: int,
    greedy: bool,
    told: Told = nobody,
    **how: Any,
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
            runtime, domain, networks, None, episodes=episodes, greedy=greedy, place=where,
            told=told,
        )  # fmt: skip
    if is_entity_domain(domain):
        play: dict[str, Any] = {"episodes": episodes, "greedy": greedy, "place": where,
                                "told": told}  # fmt: skip
        if is_game(domain):
            return evaluate_games(runtime, domain, networks, "learned", opponent=opponent, **play)
        return _evaluate_entities(runtime, domain, networks, None, **play)
    if is_host(domain.global_simulator):
        return _host_figures(runtime, domain, networks, episodes, greedy, where, "learned", told)
    returns = []
    for blocks in runtime.in_groups(blocks_of(domain, episodes)):
        played = network_episodes(
            runtime, domain, networks, episodes=episodes, greedy=greedy, blocks=blocks,
            finished=lambda _: told(BLOCK), **how,
        )  # fmt: skip
        returns += [_by_episode(block.reward, "learned") for block in played]
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
    told: Told = nobody,
) -> dict[str, Any]:
    """Return per episode (mean over agents) when every agent follows one hand-written policy.

    Raises:
        UserError: the domain has no policy of that name.
    """
    check_players(domain, name, opponent)
    controller, where = domain.scripted[name], (seed, "evaluate/scripted", place)
    if is_entity_domain(domain):
        play: dict[str, Any] = {"episodes": episodes, "greedy": False, "place": where,
                                "told": told}  # fmt: skip
        if is_game(domain):
            return evaluate_games(runtime, domain, controller, name, opponent=opponent, **play)
        by_team = is_host(domain.entity_simulator) or hasattr(domain.entity_simulator, "figures")
        return (evaluate_team if by_team else _evaluate_entities)(
            runtime, domain, None, name, **play
        )
    if isinstance(controller, str):
        return _host_figures(runtime, domain, controller, episodes, False, where, name, told)
    function = partial(_scripted_returns, domain=domain, name=name)
    returns = []
    for blocks in runtime.in_groups(blocks_of(domain, episodes)):
        units = [(seed, place, block) for block in blocks]
        played = runtime.map(function, units, lambda _: told(BLOCK))
        returns += [block.astype(np.float64).mean(1) for block in played]
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
    with experiment.phase("evaluate", (1 if games else 2) * config.evaluate_episodes):
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
                told=experiment.progress.advance,
            )
            name = "eval/greedy" if greedy else "eval/sampled"
            values[f"{name}/return"] = figures["return_mean"]
            values[f"{name}/return_std"] = figures["return_std"]
            values[f"{name}/return_ci95"] = figures["return_ci95"]
            values[f"{name}/episodes"] = figures["episodes"]
            own = {x for x in figures.keys() - STANDARD_FIGURES if not x.endswith("_std")}
            values |= {f"{name}/{x}": figures[x] for x in own}
    experiment.log(updates, "evaluate", values)
    return values
