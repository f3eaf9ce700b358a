"""Whole episodes of a system, from their first step to their last.

Evaluation, pictures and the predictors' datasets (the paper's Algorithm 2) are all made here.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import HostSession, View
from hinterland.core.types import HostOrDevice
from hinterland.rollout.answers import WHOLE, figures_of, gathered
from hinterland.rollout.autoreset import select
from hinterland.rollout.hosts import (
    ask_all,
    begin_all,
    ends_of,
    episode_seed,
    rewards_of,
    sent,
    view_of,
)
from hinterland.rollout.systems import HostSystem, TracedSystem


class Episodes(NamedTuple):
    """Episodes side by side; after an end nobody is alive and nothing is earned."""

    reward: Float[HostOrDevice, "time copy slots"]
    alive: Bool[HostOrDevice, "time copy slots"]
    figures: dict[str, Any]
    """The system's own figures of each episode, [copy]."""
    going: Bool[HostOrDevice, "time copy"]
    """The episode had not ended before this step."""
    dset: Any = None  # [time, copy, regions, dset]
    influence: Int[HostOrDevice, "time copy regions sources"] | None = None
    state: Any = None
    """States before each step; on hosts, what pictures are drawn from."""


class Player(NamedTuple):
    """All slots' policies in whole episodes."""

    memory: Callable[[int], Any]
    """So many copies' memory at the start."""
    act: Callable[[Key[Array, ""], Any, View, Any], tuple[Any, Any]]
    """(key, memory, view, regions) -> (actions, memory); regions are the agents' local states."""


def network_player(network: Any, greedy: bool | Array) -> Player:
    """A `core.Policy`; actions sampled or likeliest."""

    def act(key: Array, carry: Array, view: View, regions: Any) -> tuple[Any, Array]:
        del regions
        carry, chosen = network.act(key, carry, view, greedy)
        return chosen.action, jnp.where(view.alive[..., None], carry, 0.0)

    return Player(network.initial, act)


def scripted_player(system: Any, policy: Any) -> Player:
    """One hand-written policy for every slot: of entities, or of agents on their local states."""
    if system.of_entities:

        def act(key: Array, memory: Any, view: View, regions: Any) -> tuple[Array, Any]:
            keys = jax.random.split(key, view.mask.shape[:2])
            return jax.vmap(jax.vmap(policy))(keys, view.observation, view.mask), memory

        return Player(lambda copies: (), act)

    count, each = system.table.shape
    order = np.argsort(system.table.reshape(-1))

    def remember(copies: int) -> Any:
        shape = (copies, count)
        return jax.tree.map(
            lambda x: jnp.broadcast_to(jnp.asarray(x), (*shape, *jnp.shape(x))), policy.initial
        )

    def act_there(key: Array, memory: Any, view: View, regions: Any) -> tuple[Array, Any]:
        keys = jax.random.split(key, (len(view.mask), count))
        actions, memory = jax.vmap(jax.vmap(policy))(keys, memory, regions)
        if each > 1:  # of all agents of a region
            actions = actions.reshape(len(actions), -1)[:, order]
        return actions, memory

    return Player(remember, act_there)


def traced_episodes(
    key: Key[Array, ""],
    system: TracedSystem,
    player: Player,
    copies: int,
    *,
    with_influence: bool = False,
    with_states: bool = False,
) -> Episodes:
    """`copies` episodes side by side.

    Args:
        key: consumed.
        system: with a traced global simulator.
        player: of all slots.
        copies: number of episodes.
        with_influence: also return (d-set, influence) pairs.
        with_states: also return the states.
    """
    simulator: Any = system.simulator
    reset_key, steps_key = jax.random.split(key)
    state = system.reset(jax.random.split(reset_key, copies))
    ends = hasattr(simulator, "figures")

    def step(at: tuple, key: Array) -> tuple[tuple, Episodes]:
        state, memory, going = at
        action_key, noise_key = jax.random.split(key)
        view = system.look(state)
        regions = None if system.of_entities else system.regions(state)
        actions, memory = player.act(action_key, memory, view, regions)
        moved = system.move(noise_key, action_key, state, actions)
        alive = view.alive & going[:, None]
        record = Episodes(
            jnp.where(alive, moved.reward, 0.0),
            alive,
            {},
            going,
            system.dsets(state) if with_influence else None,
            moved.influence if with_influence else None,
            state if with_states else None,
        )
        # An episode's last state is kept for its figures.
        after = select(going, moved.state, state) if ends else moved.state
        return (after, memory, going & ~moved.terminated), record

    at = (state, player.memory(copies), jnp.ones(copies, bool))
    (last, _, _), record = jax.lax.scan(step, at, jax.random.split(steps_key, system.horizon))
    return record._replace(figures=jax.vmap(simulator.figures)(last) if ends else {})


def host_episodes(
    keys: Key[Array, " episode"],
    sessions: Sequence[HostSession],
    system: HostSystem,
    act: Callable[..., tuple[Any, Any]] | None,
    memory: Any,
    controllers: Sequence[Any],
    *,
    with_influence: bool = False,
    with_figures: bool = True,
    with_pictures: bool = False,
    record: bool = False,
    stopping: Callable[[], None] = lambda: None,
) -> Episodes:
    """One episode in every session.

    Args:
        keys: one per session; what happens in an episode depends on its key alone.
        sessions: where.
        system: what they simulate.
        act: (keys, step, memory, view) -> (actions [session x side, ...], memory), jitted; None:
            the simulator's own players.
        memory: `act`'s at the start.
        controllers: of each session the name of the player inside of the simulator, or None; of
            games one for each side.
        with_influence: also return (d-set, influence) pairs.
        with_figures: also return the system's own figures.
        with_pictures: also return what pictures are drawn from, before each step.
        record: of games, keep the simulator's own replay.
        stopping: called at every step; raises to end the work.

    Raises:
        UserError: a session raised, hung, or gave something missing, of a wrong shape or type, or
            not finite.
    """
    seeds = [episode_seed(key) for key in keys]
    if act is None and system.of_games and not (with_pictures or record):
        for session, seed, who in zip(sessions, seeds, controllers, strict=True):
            session.forget()
            session.ask("play", seed, who)
        played = [session.answer() for session in sessions]
        nothing = np.zeros((0, len(sessions), system.slots))
        return Episodes(nothing, nothing.astype(bool), _by_name(system, played), nothing[..., 0])
    extra = record if system.of_games else with_figures
    seen = begin_all(
        sessions, [(seed, who, extra) for seed, who in zip(seeds, controllers, strict=True)]
    )
    going = np.ones(len(sessions), bool)
    steps, told, pictures = [], [], []
    regions = len(system.table)
    idle = [None if system.of_games else np.zeros(system.slots, np.int32)] * len(sessions)
    for t in range(system.length):
        stopping()
        view = view_of(system, seen)
        if with_pictures:
            pictures.append(ask_all(sessions, "picture"))
        actions: Any = idle
        if act is not None:
            chosen, memory = act(keys, t, memory, view)
            chosen = jax.tree.map(np.asarray, chosen)
            if system.of_games:
                chosen = jax.tree.map(lambda x: x.reshape(len(sessions), -1, *x.shape[1:]), chosen)
            actions = [sent(system, chosen, place) for place in range(len(sessions))]
        pair: dict[str, Any] = {}
        if with_influence:
            shape = (regions, system.spec.dset)
            pair["dset"] = gathered(system.name, seen, "dset", shape)
        left = np.flatnonzero(going)
        moved = ask_all([sessions[i] for i in left], "step", [actions[i] for i in left])
        for place, one in zip(left, moved, strict=True):
            seen[place] = one
        if with_influence:
            shape = (regions, system.spec.sources)
            pair["influence"] = gathered(system.name, seen, "influence", shape, WHOLE)
        alive = view.alive & np.repeat(going, system.sides)[:, None]
        steps.append((np.where(alive, rewards_of(system, seen), 0.0), alive, going))
        told.append(pair)
        terminated, truncated = ends_of(system, seen)
        going = going & ~(terminated | truncated)
        if not going.any() and not with_influence:  # datasets are of equal length
            break
    figures = [s.call("metrics") for s in sessions] if with_figures else []
    reward, alive, going = (np.stack(x) for x in zip(*steps, strict=True))
    pairs = {name: np.stack([one[name] for one in told]) for name in told[0]}
    return Episodes(
        reward,
        alive,
        _by_name(system, figures),
        going,
        **pairs,
        state=pictures if with_pictures else None,
    )


def _by_name(system: HostSystem, figures: list[Any]) -> dict[str, Any]:
    each = figures_of(system.name, figures)
    return {name: np.array([one[name] for one in each]) for name in (each[0] if each else {})}
