"""Evaluation of the pipeline's teams: recurrent or not, traced or in processes of their own."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from hinterland.core import UserError, stream
from hinterland.domains.pool import SharingPool
from hinterland.rollout import SESSIONS, System, TeamEpisodes, episode_seed, traced_episodes
from hinterland.rollout import network_policy as by_network
from hinterland.rollout import scripted_policy as by_hand
from hinterland.rollout import team_host_episodes as host_episodes
from hinterland.runtime import LocalRuntime

BLOCK = 32
"""Episodes of one unit of work; fixed, so that results do not depend on the machine."""


@partial(jax.jit, static_argnames=("domain", "name", "copies", "with_states"))
def _block(key, greedy, network, domain, name, copies, with_states):  # type: ignore[no-untyped-def]
    """Episodes of the network, or of the hand-written policy `name`."""
    system = _system(domain, network)
    policy = by_network(network, greedy) if name is None else by_hand(domain.scripted[name])
    memory = network.initial(copies) if name is None else None
    episodes = traced_episodes(key, system, policy, memory, copies, with_states=with_states)
    return episodes._asdict()


def _system(domain: Any, network: Any) -> System:
    """With a central state if the network's critic wants one."""
    return System(domain, central=getattr(network, "critic", None) is not None)


@partial(jax.jit, static_argnames=("domain", "name"))
def _choose(key, memory, view, greedy, network, domain, name):  # type: ignore[no-untyped-def]
    policy = by_network(network, greedy) if name is None else by_hand(domain.scripted[name])
    return policy(key, memory, view)


def team_episodes(
    runtime: LocalRuntime,
    domain: Any,
    network: Any,
    name: str | None,
    *,
    episodes: int,
    greedy: bool,
    place: tuple[Any, ...],
    with_states: bool = False,
) -> list[TeamEpisodes]:
    """Blocks of episodes; the last one may hold some too many.

    Args:
        runtime: where the blocks run.
        domain: the system.
        network: a `nets.TeamNetwork`; None for a hand-written policy.
        name: of the hand-written policy; None for the network's.
        episodes: how many are needed.
        greedy: the likeliest action instead of a sampled one.
        place: (seed, purpose, place) of the random stream.
        with_states: also return the states.
    """
    system = _system(domain, network)
    if not system.is_host:
        copies = min(BLOCK, episodes) if with_states else BLOCK
        units = [
            (stream(*place, block), greedy, network) for block in range(-(-episodes // copies))
        ]
        function = partial(_block, domain=domain, name=name, copies=copies, with_states=with_states)
        return [TeamEpisodes(**block) for block in runtime.map(function, units)]
    simulator = system.simulator
    shares = isinstance(simulator, SharingPool) and simulator.together > 1
    sessions = (simulator.games if shares else simulator.sessions)(SESSIONS)[:episodes]
    policy = partial(_choose, greedy=greedy, network=network, domain=domain, name=name)
    waves = []
    for wave in range(-(-episodes // len(sessions))):
        keys = jax.random.split(stream(*place, wave), len(sessions) + 1)
        memory = network.initial(len(sessions)) if name is None else None
        seeds = [episode_seed(key) for key in keys[1:]]
        waves.append(
            host_episodes(
                sessions, system, policy, memory, seeds, keys[0], runtime.raise_if_interrupted,
                with_states=with_states,
            )
        )  # fmt: skip
    return waves


def team_figures(blocks: list[TeamEpisodes], episodes: int, of_entities: bool) -> dict[str, Any]:
    """Returns (of all entities together; of agents the mean), and the system's own figures.

    Raises:
        UserError: a return is not finite.
    """
    count = episodes
    totals = np.concatenate([block.reward.sum((0, 2)) for block in blocks])[:count]
    slots = blocks[0].reward.shape[2]
    each = totals.astype(np.float64) / (1 if of_entities else slots)
    if not np.isfinite(each).all():
        raise UserError("evaluation gave returns that are not finite: check the domain's rewards")
    deviation = float(each.std(ddof=1)) if count > 1 else 0.0
    length = np.concatenate([block.alive.any(2).sum(0) for block in blocks])[:count]
    alive = np.concatenate([block.alive.sum((0, 2)) for block in blocks])[:count]
    own = {
        name: float(np.concatenate([block.figures[name] for block in blocks])[:count].mean())
        for name in blocks[0].figures
    }
    found = {
        "return_mean": float(each.mean()),
        "return_std": deviation,
        "return_ci95": 1.96 * deviation / count**0.5,
        "episodes": count,
    }
    living = {"length": float(length.mean()), "alive": float(alive.sum() / length.sum())}
    return found | (living if of_entities else {}) | own


def returns_by_name(
    blocks: list[TeamEpisodes], episodes: int, names: Sequence[str]
) -> dict[str, float]:
    """Mean return of one agent of each name, where there are several names."""
    if len(set(names)) < 2:
        return {}
    each = np.concatenate([block.reward.sum(0) for block in blocks])[:episodes].mean(0)
    of = np.array(names)
    return {f"return/{name}": float(each[of == name].mean()) for name in dict.fromkeys(names)}


def evaluate_team(
    runtime: LocalRuntime,
    domain: Any,
    network: Any,
    name: str | None,
    *,
    episodes: int,
    greedy: bool,
    place: tuple[Any, ...],
) -> dict[str, Any]:
    """`team_figures` of the network, or of a hand-written policy; arguments as `team_episodes`."""
    blocks = team_episodes(
        runtime, domain, network, name, episodes=episodes, greedy=greedy, place=place
    )
    figures = team_figures(blocks, episodes, _system(domain, network).of_entities)
    figures |= returns_by_name(blocks, episodes, getattr(domain, "names", ()))
    return {**figures, "policy": name or "learned", "greedy": greedy}
