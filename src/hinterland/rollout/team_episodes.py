"""Whole episodes of a team, for evaluation and pictures: traced systems, and those on hosts."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from hinterland.core import HostSession
from hinterland.core.types import HostOrDevice
from hinterland.rollout.actors import System, View, ends_of, rewards_of, view_of
from hinterland.rollout.answers import figures_of
from hinterland.rollout.autoreset import select

Policy = Callable[[Key[Array, ""], Any, View], tuple[Array, Any]]
"""(key, memory, view) -> (actions [copy, slots], memory); for whole episodes."""


def network_policy(network: Any, greedy: bool | Array) -> Policy:
    """A `nets.TeamNetwork`."""

    def act(key: Array, carry: Array, view: View) -> tuple[Array, Array]:
        carry, action, _, _ = network.act(
            key, carry, view.observation, view.mask, view.central, greedy
        )
        return action, jnp.where(view.alive[..., None], carry, 0.0)

    return act


def scripted_policy(policy: Any) -> Policy:
    """One `core.EntityPolicy` for every entity."""

    def act(key: Array, memory: Any, view: View) -> tuple[Array, Any]:
        keys = jax.random.split(key, view.mask.shape[:2])
        return jax.vmap(jax.vmap(policy))(keys, view.observation, view.mask), memory

    return act


class TeamEpisodes(NamedTuple):
    """Episodes side by side; after an end nobody is alive and nothing is earned."""

    reward: Float[HostOrDevice, "time copy slots"]
    alive: Bool[HostOrDevice, "time copy slots"]
    figures: dict[str, Any]
    """The system's own figures of each episode's last state, [copy]."""
    state: Any
    """States before each step (pictures, on hosts), or None."""


def traced_episodes(
    key: Key[Array, ""],
    system: System,
    policy: Policy,
    memory: Any,
    copies: int,
    *,
    with_states: bool = False,
) -> TeamEpisodes:
    """`copies` episodes side by side, from their first step to their last.

    Args:
        key: consumed.
        system: with a traced simulator.
        policy: of all entities.
        memory: the policy's at the start.
        copies: number of episodes.
        with_states: also return the states.
    """
    simulator: Any = system.simulator
    reset_key, steps_key = jax.random.split(key)
    state = jax.vmap(simulator.reset)(jax.random.split(reset_key, copies))

    def step(at: tuple, key: Array) -> tuple[tuple, tuple]:
        state, memory, going = at
        action_key, noise_key = jax.random.split(key)
        view = system.look(state)
        actions, memory = policy(action_key, memory, view)
        noise = jax.vmap(simulator.noise)(jax.random.split(noise_key, copies))
        moved = jax.vmap(simulator.step)(state, actions, noise)
        alive = view.alive & going[:, None]
        record = (jnp.where(alive, moved.reward, 0.0), alive, state if with_states else None)
        after = select(going, moved.state, state)  # an episode's last state is kept
        return (after, memory, going & ~moved.terminated), record

    at = (state, memory, jnp.ones(copies, bool))
    (last, _, _), record = jax.lax.scan(step, at, jax.random.split(steps_key, system.horizon))
    figures = jax.vmap(simulator.figures)(last) if hasattr(simulator, "figures") else {}
    return TeamEpisodes(*record[:2], figures, record[2])


def host_episodes(
    sessions: Sequence[HostSession],
    system: System,
    policy: Policy,
    memory: Any,
    seeds: Sequence[int],
    key: Key[Array, ""],
    stopping: Callable[[], None] = lambda: None,
    *,
    with_states: bool = False,
) -> TeamEpisodes:
    """One episode in every session, as `traced_episodes`.

    Args:
        sessions: where.
        system: what they simulate.
        policy: jitted.
        memory: the policy's at the start.
        seeds: of the episodes.
        key: of the policy's choices.
        stopping: called at every step; raises to end the work.
        with_states: also return what the pictures are drawn from.
    """
    seen = [
        session.begin("reset", seed, None, True)
        for session, seed in zip(sessions, seeds, strict=True)
    ]
    going = np.ones(len(sessions), bool)
    rewards, living, pictures = [], [], []
    for t in range(system.horizon):
        stopping()
        view = view_of(system, seen)
        if with_states:
            pictures.append([session.call("picture") for session in sessions])
        actions, memory = policy(jax.random.fold_in(key, t), memory, view)
        for copy in np.flatnonzero(going):
            sessions[copy].ask("step", np.asarray(actions[copy], np.int32))
        for copy in np.flatnonzero(going):
            seen[copy] = sessions[copy].answer()
        alive = view.alive & going[:, None]
        rewards.append(np.where(alive, rewards_of(system, seen), 0.0))
        living.append(alive)
        terminated, truncated = ends_of(system, seen)
        going = going & ~(terminated | truncated)
        if not going.any():
            break
    each = figures_of(system.name, [session.call("metrics") for session in sessions])
    figures = {name: np.array([one[name] for one in each]) for name in each[0]}
    return TeamEpisodes(
        np.stack(rewards), np.stack(living), figures, pictures if with_states else None
    )
