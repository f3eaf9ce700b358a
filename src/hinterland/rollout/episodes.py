"""Whole episodes of a system, from their first step to their last.

Evaluation, pictures and the predictors' datasets (the paper's Algorithm 2) are all made here.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from hinterland.core import HostSession, UserError, View, for_each_kind, places_of
from hinterland.core.types import HostOrDevice
from hinterland.rollout.answers import NUMBERS, WHOLE, HostSystem, figures_of, gathered
from hinterland.rollout.hosts import ask_all, begun, episode_seed
from hinterland.rollout.systems import TracedSystem, select


class Episodes(NamedTuple):
    """Episodes side by side; after an end nobody is alive and nothing is earned."""

    reward: Float[HostOrDevice, "time copy slots"]
    alive: Bool[HostOrDevice, "time copy slots"]
    figures: dict[str, Any]
    """The system's own figures of each episode, [copy]."""
    going: Bool[HostOrDevice, "time copy"]
    """The episode had not ended before this step."""
    dset: tuple[Any, ...] | None = None
    """[time, copy, regions, dset] of each kind."""
    influence: tuple[Any, ...] | None = None
    """[time, copy, regions, sources] of each kind."""
    state: Any = None
    """States before each step; on hosts, what pictures are drawn from."""


class Player(NamedTuple):
    """All slots' policies in whole episodes."""

    memory: Callable[[int], Any]
    """So many copies' memory at the start."""
    act: Callable[[Key[Array, ""], Any, View, Any], tuple[Any, Any]]
    """(key, memory, view, regions) -> (actions, memory); regions are local states, by kind."""


def network_player(network: Any, greedy: bool | Array) -> Player:
    """A `core.Policy`; actions sampled or likeliest."""

    def act(key: Array, carry: Array, view: View, regions: Any) -> tuple[Any, Array]:
        del regions
        carry, chosen = network.act(key, carry, view, greedy)
        return chosen.action, jnp.where(view.alive[..., None], carry, 0.0)

    return Player(network.initial, act)


def scripted_player(system: Any, policy: Any) -> Player:
    """One hand-written policy for every slot: of entities, or of agents on their local states.

    Of agents, `policy` may be a tuple with one for each kind of regions.
    """
    if system.of_entities:

        def act(key: Array, memory: Any, view: View, regions: Any) -> tuple[Array, Any]:
            keys = jax.random.split(key, view.mask.shape[:2])
            return jax.vmap(jax.vmap(policy))(keys, view.observation, view.mask), memory

        return Player(lambda copies: (), act)

    counts = [len(kind.regions) for kind in system.kinds]
    ends, order = np.cumsum(counts).tolist(), places_of(system.kinds)
    each = for_each_kind(policy, system.kinds)

    def remember(copies: int) -> Any:
        def everywhere(one: Any, count: int) -> Any:
            first = jax.tree.map(jnp.asarray, one.initial)
            return jax.tree.map(lambda x: jnp.broadcast_to(x, (copies, count, *x.shape)), first)

        return list(map(everywhere, each, counts))

    def act_there(key: Array, memory: Any, view: View, regions: Any) -> tuple[Array, Any]:
        keys = jnp.split(jax.random.split(key, (len(view.mask), ends[-1])), ends[:-1], axis=1)
        parts = zip(each, keys, memory, regions, strict=True)
        found = [jax.vmap(jax.vmap(one))(*those) for one, *those in parts]
        actions = [chosen.reshape(len(view.mask), -1) for chosen, _ in found]
        return jnp.concatenate(actions, 1)[:, order], [after for _, after in found]

    return Player(remember, act_there)


def one_of(players: Sequence[Player], who: int | Array) -> Player:
    """The player of this number, which may be traced: one program serves all of them."""
    if len(players) == 1:
        return players[0]

    def act(key: Array, memory: Any, view: View, regions: Any) -> tuple[Any, Any]:
        def acting(number: int) -> tuple[Any, Any]:
            actions, after = players[number].act(key, memory[number], view, regions)
            return jax.tree.map(jnp.int32, actions), (
                *memory[:number],
                after,
                *memory[number + 1 :],
            )

        return jax.lax.switch(who, [partial(acting, number) for number in range(len(players))])

    return Player(lambda copies: tuple(player.memory(copies) for player in players), act)


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
        system, player: whose global simulator, and who acts for all slots.
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
        with_influence: return (d-set, influence) pairs, in place of the system's own figures.
        with_pictures: also return what pictures are drawn from, before each step.
        record: of games, keep the simulator's own replay.
        stopping: called at every step; raises to end the work.

    Raises:
        UserError: a session raised, hung, or gave something missing, of a wrong shape or type, or
            not finite.
    """
    seeds, count = [episode_seed(key) for key in keys], len(sessions)
    if act is None and system.of_games and not (with_pictures or record):
        played = begun(sessions, "play", seeds, controllers)
        nothing = np.zeros((0, count, system.slots))
        return Episodes(nothing, nothing.astype(bool), _by_name(system, played), nothing[..., 0])
    extra = record if system.of_games else not with_influence
    seen = begun(sessions, "reset", seeds, controllers, [extra] * count)
    going, steps, pictures = np.ones(count, bool), [], []
    actions: Any = [None if system.of_games else np.zeros(system.slots, np.int32)] * count
    for t in range(system.length):
        stopping()
        view = system.look(seen)
        if with_pictures:
            pictures.append(ask_all(sessions, "picture"))
        if act is not None:
            chosen, memory = act(keys, t, memory, view)
            chosen = system.by_session(jax.tree.map(np.asarray, chosen))
            actions = [system.sent(chosen, place) for place in range(count)]
        dset = answers_by_kind(system, seen, "dset") if with_influence else None
        left = np.flatnonzero(going)
        moved = ask_all([sessions[i] for i in left], "step", [actions[i] for i in left])
        for place, one in zip(left, moved, strict=True):
            seen[place] = one
        influence = answers_by_kind(system, seen, "influence") if with_influence else None
        alive = view.alive & system.by_slot(going)
        reward = np.where(alive, system.rewards(seen), 0.0)
        steps.append(Episodes(reward, alive, {}, going, dset, influence))
        terminated, truncated = system.ends(seen)
        going = going & ~(terminated | truncated)
        if not going.any() and not with_influence:  # datasets are of equal length
            break
    figures = [] if with_influence else [session.call("metrics") for session in sessions]
    whole = jax.tree.map(lambda *x: np.stack(x), *steps)
    state = pictures if with_pictures else None
    return whole._replace(figures=_by_name(system, figures), state=state)


def answers_by_kind(
    system: HostSystem, seen: Sequence[Any], name: str, said: str = ""
) -> tuple[np.ndarray, ...]:
    """[copy, regions, ...] of each kind, out of sessions' "dset" or "influence".

    Args:
        system: what the sessions simulate.
        seen: what each of them answered.
        name: of the part.
        said: where this is, for messages.

    Raises:
        UserError: as `answers.gathered`; or it has not an entry for each kind.
    """
    types, width = (NUMBERS, "dset") if name == "dset" else (WHOLE, "sources")
    where = f"{system.name}{said}"
    shapes = [(len(kind.regions), getattr(kind.spec, width)) for kind in system.kinds]
    parts = [seen]
    if system.declares_kinds:
        for one in seen:
            if len(found := one.get(name, ())) != len(shapes):
                raise UserError(
                    f"{where}: {name} of a session has {len(found)} entries, expected a tuple of "
                    f"{len(shapes)}, one for each kind of regions"
                )
        parts = [[{name: one[name][number]} for one in seen] for number in range(len(shapes))]
    every = zip(parts, shapes, strict=True)
    return tuple(gathered(where, part, name, shape, types) for part, shape in every)


def _by_name(system: HostSystem, figures: list[Any]) -> dict[str, Any]:
    each = figures_of(system.name, figures)
    # NaN: None, as they are finite. It counts in no mean.
    return {
        name: np.array([np.nan if one[name] is None else one[name] for one in each])
        for name in (each[0] if each else {})
    }
