"""Whole games of entities that are born and die, in simulators outside of JAX."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from hinterland.core import EntityNetwork, HostEntityDomain, HostSession
from hinterland.rollout.host import ask_all, episode_seed

Controllers = tuple[str | None, ...]
"""Who plays each side: a controller of the simulator, or None: the network."""
Seen = list[dict[str, Any]]
"""What each session told last."""


def play_host_entities(
    sessions: Sequence[HostSession],
    domain: HostEntityDomain,
    network: EntityNetwork | None,
    greedy: bool,
    keys: Key[Array, " session"],
    controllers: Sequence[Controllers],
    *,
    record: bool = False,
    pictures: list[Any] | None = None,
    stopping: Callable[[], None] = lambda: None,
) -> list[dict[str, float]]:
    """One whole game in every session; their figures.

    Args:
        sessions: where.
        domain: the system.
        network: plays every side that has no controller; None: all have one.
        greedy: the likeliest action instead of a sampled one.
        keys: of the games; the network's draws in a game depend on its key alone.
        controllers: of each session.
        record: keep the simulator's own replay.
        pictures: gets those of the first session, of each state.
        stopping: called at every step; raises to end the work.
    """
    seeds = [episode_seed(key) for key in keys]
    if network is None and pictures is None and not record:
        for session, seed, who in zip(sessions, seeds, controllers, strict=True):
            session.forget()
            session.ask("play", seed, who)
        return [session.answer() for session in sessions]
    games = [(seed, who, record) for seed, who in zip(seeds, controllers, strict=True)]
    seen = reset_all(sessions, games)
    going = np.ones(len(sessions), bool)
    network = jax.device_put(network)
    for t in range(domain.length):
        stopping()
        if pictures is not None and going[0]:
            pictures.append(sessions[0].call("picture"))
        action: Any = [None] * len(sessions)
        if network is not None:
            here = [jax.tree.map(lambda *x: np.stack(x), *(one[name] for one in seen))
                    for name in ("observation", "masks")]  # fmt: skip
            chosen = jax.tree.map(np.asarray, _play(network, greedy, keys, t, *here))
            action = [at_place(chosen, copy) for copy in range(len(sessions))]
        left = np.flatnonzero(going)
        moved = ask_all([sessions[c] for c in left], "step", [action[c] for c in left])
        for copy, one in zip(left, moved, strict=True):
            seen[copy] = one
            going[copy] = not one["terminated"]
        if not going.any():
            break
    return [session.call("metrics") for session in sessions]


def reset_all(sessions: Sequence[HostSession], games: Sequence[tuple]) -> Seen:
    """Begins games side by side; what `reset` is given of each."""
    for session, game in zip(sessions, games, strict=True):
        session.forget()
        session.ask("reset", *game)
    return [session.answer() for session in sessions]


@jax.jit
def _play(network, greedy, keys, t, observation, masks):  # type: ignore[no-untyped-def]
    def one(key, observation, masks):  # type: ignore[no-untyped-def]
        return network.act(jax.random.fold_in(key, t), observation, masks, greedy)[0]

    return jax.vmap(one)(keys, observation, masks)


def at_place(tree: Any, place: Any) -> Any:
    """`x[place]` of every leaf."""
    return jax.tree.map(lambda x: x[place], tree)
