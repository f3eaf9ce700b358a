"""Evaluation: always on the global simulator, sampled and greedy actions named apart."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, UserError, stream
from hinterland.rollout import Episodes, network_actor, play, scripted_actor, scripted_memory
from hinterland.runtime import LocalRuntime

BLOCK = 32
"""Episodes of one unit of work; fixed, so that results do not depend on the machine."""


def blocks_of(episodes: int) -> range:
    """Indices of the units that hold so many episodes."""
    return range(-(-episodes // BLOCK))


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
    units = [
        (stream(seed, purpose, place, block), greedy, networks) for block in blocks_of(episodes)
    ]
    function = partial(_network_block, domain=domain, shared=shared)
    return runtime.map(function, units, finished)


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
        raise UserError("evaluation gave returns that are not finite: check the domain's rewards")
    deviation = float(each.std(ddof=1)) if episodes > 1 else 0.0
    return {
        "return_mean": float(each.mean()),
        "return_std": deviation,
        "return_ci95": 1.96 * deviation / episodes**0.5,
        "episodes": episodes,
        **how,
    }


def evaluate_networks(
    runtime: LocalRuntime, domain: Domain, networks: Any, *, episodes: int, greedy: bool, **how: Any
) -> dict[str, Any]:
    """Return per episode (mean over agents, undiscounted); arguments as `network_episodes`."""
    blocks = network_episodes(runtime, domain, networks, episodes=episodes, greedy=greedy, **how)
    returns = [block.reward.sum(0) for block in blocks]
    return _figures(returns, episodes, policy="learned", greedy=greedy)


def evaluate_scripted(
    runtime: LocalRuntime, domain: Domain, name: str, *, episodes: int, seed: int, place: int = 0
) -> dict[str, Any]:
    """Return per episode (mean over agents) when every agent follows one hand-written policy.

    Raises:
        UserError: the domain has no policy of that name.
    """
    if name not in domain.scripted:
        raise UserError(
            f"--policy {name}: {domain.name} has learned, {', '.join(sorted(domain.scripted))}"
        )
    units = [(seed, place, block) for block in blocks_of(episodes)]
    returns = runtime.map(partial(_scripted_returns, domain=domain, name=name), units)
    return _figures(returns, episodes, policy=name, greedy=False)
