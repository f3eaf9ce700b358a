"""Evaluation of the pipeline's teams: recurrent or not, traced or in processes of their own."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

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
) -> Iterator[TeamEpisodes]:
    """Blocks of episodes, one after another; the last one may hold some too many.

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
        function = partial(_block, domain=domain, name=name, copies=copies, with_states=with_states)
        for blocks in runtime.in_groups(range(-(-episodes // copies))):
            units = [(stream(*place, block), greedy, network) for block in blocks]
            yield from (TeamEpisodes(**block) for block in runtime.map(function, units))
        return
    simulator = system.simulator
    shares = isinstance(simulator, SharingPool) and simulator.together > 1
    sessions = (simulator.games if shares else simulator.sessions)(SESSIONS)[:episodes]
    policy = partial(_choose, greedy=greedy, network=network, domain=domain, name=name)
    for wave in range(-(-episodes // len(sessions))):
        keys = jax.random.split(stream(*place, wave), len(sessions) + 1)
        memory = network.initial(len(sessions)) if name is None else None
        seeds = [episode_seed(key) for key in keys[1:]]
        yield host_episodes(
            sessions, system, policy, memory, seeds, keys[0], runtime.raise_if_interrupted,
            with_states=with_states,
        )  # fmt: skip


class _Sums(NamedTuple):
    """Of each episode of a block, [copy]; rewards of each slot, [copy, slots]."""

    reward: np.ndarray
    length: np.ndarray
    alive: np.ndarray
    figures: dict[str, np.ndarray]


def _summed(block: TeamEpisodes) -> _Sums:
    return _Sums(
        block.reward.sum(0), block.alive.any(2).sum(0), block.alive.sum((0, 2)), block.figures
    )


def team_figures(blocks: list[_Sums], episodes: int, slots: int) -> dict[str, Any]:
    """Returns (of all entities together; of agents the mean), and the system's own figures.

    Args:
        blocks: sums of each.
        episodes: how many count.
        slots: of agents; 0 where they are entities.

    Raises:
        UserError: a return is not finite.
    """
    count = episodes
    sums: _Sums = jax.tree.map(lambda *x: np.concatenate(x)[:count], *blocks)
    each = sums.reward.sum(1).astype(np.float64) / (slots or 1)
    if not np.isfinite(each).all():
        raise UserError("evaluation gave returns that are not finite: check the domain's rewards")
    deviation = float(each.std(ddof=1)) if count > 1 else 0.0
    found = {
        "return_mean": float(each.mean()),
        "return_std": deviation,
        "return_ci95": 1.96 * deviation / count**0.5,
        "episodes": count,
    }
    living = {"length": float(sums.length.mean()),
              "alive": float(sums.alive.sum() / sums.length.sum())}  # fmt: skip
    own = {name: float(x.mean()) for name, x in sums.figures.items()}
    return found | ({} if slots else living) | own


def returns_by_name(blocks: list[_Sums], episodes: int, names: Sequence[str]) -> dict[str, float]:
    """Mean return of one agent of each name, where there are several names."""
    if len(set(names)) < 2:
        return {}
    each = np.concatenate([block.reward for block in blocks])[:episodes].mean(0)
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
    told: Callable[[int], None],
) -> dict[str, Any]:
    """`team_figures` of the network, or of a hand-written policy; arguments as `team_episodes`.

    `told` is told of so many more episodes that have been played.
    """
    blocks = []
    for block in team_episodes(
        runtime, domain, network, name, episodes=episodes, greedy=greedy, place=place
    ):
        blocks.append(_summed(block))
        told(block.reward.shape[1])
    system = _system(domain, network)
    figures = team_figures(blocks, episodes, 0 if system.of_entities else system.slots)
    figures |= returns_by_name(blocks, episodes, getattr(domain, "names", ()))
    return {**figures, "policy": name or "learned", "greedy": greedy}
