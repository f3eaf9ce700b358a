"""Experience and whole episodes of entities that are born and die, in pure simulators."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import EntityNetwork, EntitySimulator, EntityTrajectory
from hinterland.core.types import HostOrDevice
from hinterland.rollout.autoreset import reset_where


class EntityCopies(NamedTuple):
    """Where the parallel copies of a system of entities stand between two rollouts."""

    state: Any
    clock: Int[Array, " copy"]


class EntityEpisodes(NamedTuple):
    """Episodes side by side; after a termination nobody is alive and nothing is earned."""

    reward: Float[HostOrDevice, "time copy slots"]
    alive: Bool[HostOrDevice, "time copy slots"]
    state: Any
    """States before each step, or None."""


EntityActor = Callable[[Key[Array, ""], Array, Array], Array]
"""(key, observations, masks), both [copy, slots, ...] -> actions [copy, slots]."""


def begin_entities(
    key: Key[Array, ""], simulator: EntitySimulator, phases: Int[Array, " copy"]
) -> EntityCopies:
    """Copies at the start of their first episodes, their clocks at the given phases."""
    keys = jax.random.split(key, phases.shape[0])
    return EntityCopies(jax.vmap(simulator.reset)(keys), phases)


def _look(simulator: EntitySimulator, state: Any) -> tuple[Array, Array, Array]:
    """(observations, action masks, who is alive) of every copy."""
    alive = jax.vmap(simulator.alive)(state)
    mask = jax.vmap(simulator.action_mask)(state) & alive[..., None]
    return jax.vmap(simulator.observe)(state), mask, alive


def _move(simulator: EntitySimulator, key: Key[Array, ""], state: Any, action: Array) -> Any:
    noise = jax.vmap(simulator.noise)(jax.random.split(key, action.shape[0]))
    return jax.vmap(simulator.step)(state, action, noise)


def entity_rollout(
    key: Key[Array, ""],
    simulator: EntitySimulator,
    horizon: int,
    network: EntityNetwork,
    copies: EntityCopies,
    steps: int,
) -> tuple[EntityCopies, EntityTrajectory]:
    """`steps` steps of every copy; finished ones begin anew.

    Args:
        key: consumed.
        simulator: of one copy.
        horizon: steps after which an episode is truncated.
        network: acts for all slots; actions are sampled.
        copies: where the copies stand.
        steps: how many.
    """

    def value_of(key: Key[Array, ""], state: Any) -> tuple[Array, Array]:
        """(values, who is alive): `act` gives both at the price of an action that nobody takes."""
        observation, mask, alive = _look(simulator, state)
        return network.act(key, observation, mask)[3], alive

    def step(copies: EntityCopies, key: Array) -> tuple[EntityCopies, tuple]:
        action_key, noise_key, reset_key, value_key = jax.random.split(key, 4)
        observation, mask, alive = _look(simulator, copies.state)
        action, used, log_probability, value = network.act(action_key, observation, mask)
        moved = _move(simulator, noise_key, copies.state, action)
        clock = copies.clock + 1
        truncated = (clock >= horizon) & ~moved.terminated
        ended = truncated | moved.terminated
        last_value, last_alive = jax.lax.cond(
            truncated.any(),
            lambda: value_of(value_key, moved.state),
            lambda: (jnp.zeros_like(value), jnp.zeros_like(alive)),
        )
        last = (jnp.where(truncated[:, None], last_value, 0.0), truncated[:, None] & last_alive)
        record = (observation, action, used, log_probability, value, moved.reward, alive,
                  mask.any(-1), ended, last)  # fmt: skip
        state = reset_where(ended, moved.state, simulator.reset, reset_key)
        return EntityCopies(state, jnp.where(ended, 0, clock)), record

    steps_key, final_key = jax.random.split(key)
    after, record = jax.lax.scan(step, copies, jax.random.split(steps_key, steps))
    observation, action, used, log_probability, value, reward, alive, acting, ended, last = record

    def successor(of_last: Array, own: Array, following: Array) -> Array:
        shifted = jnp.concatenate([own[1:], following[None]])
        return jnp.where(ended[..., None], of_last, shifted)

    following_value, following_alive = value_of(final_key, after.state)
    return after, EntityTrajectory(
        observation=observation,
        action=action,
        mask=used,
        log_probability=log_probability,
        value=value,
        next_value=successor(last[0], value, following_value),
        reward=reward,
        alive=alive,
        acting=acting,
        next_alive=successor(last[1], alive, following_alive),
        ended=ended,
    )


def play_entities(
    key: Key[Array, ""],
    simulator: EntitySimulator,
    horizon: int,
    actor: EntityActor,
    copies: int,
    *,
    with_states: bool = False,
) -> EntityEpisodes:
    """`copies` episodes side by side, from their first step to their last.

    Args:
        key: consumed.
        simulator: of one copy.
        horizon: steps of an episode.
        actor: all entities' policies.
        copies: number of episodes.
        with_states: also return the states, for pictures.
    """
    reset_key, steps_key = jax.random.split(key)
    state = jax.vmap(simulator.reset)(jax.random.split(reset_key, copies))

    def step(at: tuple, key: Array) -> tuple[tuple, EntityEpisodes]:
        state, going = at
        action_key, noise_key = jax.random.split(key)
        observation, mask, alive = _look(simulator, state)
        moved = _move(simulator, noise_key, state, actor(action_key, observation, mask))
        alive = alive & going[:, None]
        reward = jnp.where(alive, moved.reward, 0.0)
        record = EntityEpisodes(reward, alive, state if with_states else None)
        return (moved.state, going & ~moved.terminated), record

    keys = jax.random.split(steps_key, horizon)
    return jax.lax.scan(step, (state, jnp.ones(copies, bool)), keys)[1]


def entity_actor(network: Any, greedy: bool | Array, policy: Any = None) -> EntityActor:
    """The actor of whole episodes.

    Args:
        network: one whose `act` also takes `greedy`.
        greedy: the likeliest action instead of a sampled one.
        policy: a `core.EntityPolicy` that every entity follows instead of the network.
    """
    if policy is None:
        return lambda key, observation, mask: network.act(key, observation, mask, greedy)[0]

    def act(key: Array, observation: Array, mask: Array) -> Array:
        keys = jax.random.split(key, mask.shape[:2])
        return jax.vmap(jax.vmap(policy))(keys, observation, mask)

    return act
