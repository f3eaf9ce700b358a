"""Whole episodes of all agents on the global simulator, from their first step to their last.

Evaluation and the predictors' datasets (the paper's Algorithm 2) are both made here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import Domain
from hinterland.core.types import HostOrDevice
from hinterland.rollout.joint import independent_steps, shared_steps


class Episodes(NamedTuple):
    """Episodes of all agents; steps after a termination are repeated with reward 0."""

    reward: Float[HostOrDevice, "time copy agent"]
    dset: Any  # [time, copy, agent, dset] or None
    influence: Int[HostOrDevice, "time copy agent sources"] | None
    alive: Bool[HostOrDevice, "time copy"]
    """The episode had not terminated before this step."""
    state: Any  # global states before each step, or None


Actor = Callable[[Key[Array, ""], Any, Any, Any], tuple[Array, Any]]
"""(key, memory, local states, observations), all [copy, agent, ...] -> (actions, memory)."""


def play(
    key: Key[Array, ""],
    domain: Domain,
    actor: Actor,
    memory: Any,
    copies: int,
    *,
    with_influence: bool = False,
    with_states: bool = False,
) -> Episodes:
    """`copies` episodes side by side.

    Args:
        key: consumed.
        domain: the system.
        actor: all agents' policies.
        memory: the actor's memory at the start, [copy, agent, ...].
        copies: number of episodes.
        with_influence: also return (d-set, influence) pairs.
        with_states: also return the global states, for pictures.
    """
    simulator, local = domain.global_simulator, domain.local_simulator
    reset_key, steps_key = jax.random.split(key)
    state = jax.vmap(simulator.reset)(jax.random.split(reset_key, copies))

    def step(at: tuple, key: Array) -> tuple[tuple, Episodes]:
        state, memory, alive = at
        action_key, noise_key = jax.random.split(key)
        regions = jax.vmap(simulator.regions)(state)
        observation = jax.vmap(jax.vmap(local.observe))(regions)
        action, memory = actor(action_key, memory, regions, observation)
        noise = jax.vmap(simulator.noise)(jax.random.split(noise_key, copies))
        moved = jax.vmap(simulator.step)(state, action, noise)
        record = Episodes(
            reward=jnp.where(alive[:, None], moved.reward, 0.0),
            dset=jax.vmap(jax.vmap(local.dset))(regions) if with_influence else None,
            influence=moved.influence if with_influence else None,
            alive=alive,
            state=state if with_states else None,
        )
        return (moved.state, memory, alive & ~moved.terminated), record

    keys = jax.random.split(steps_key, domain.spec.horizon)
    _, episodes = jax.lax.scan(step, (state, memory, jnp.ones(copies, bool)), keys)
    return episodes


def network_actor(networks: Any, greedy: bool | Array, shared: bool = False) -> Actor:
    """Networks stacked on the agent axis; actions sampled or greedy.

    Args:
        networks: one per agent, or a single unstacked one if `shared`.
        greedy: take the likeliest action instead of sampling.
        shared: all agents use one network and, in turn, one recurrent state (the behaviour of the
            paper's public code; see `joint.shared_steps`). The memory is then [copy, hidden].
    """

    def act(key: Array, hidden: Array, regions: Any, observation: Array) -> tuple[Array, Array]:
        del regions
        if shared:
            hidden, _, logits, _ = shared_steps(networks, hidden, observation)
        else:
            hidden, logits, _ = independent_steps(networks, hidden, observation)
        sampled = jax.random.categorical(key, logits)
        return jnp.where(greedy, logits.argmax(-1), sampled), hidden

    return act


def scripted_actor(policy: Any) -> Actor:
    """One hand-written policy for every agent."""

    def act(key: Array, memory: Any, regions: Any, observation: Array) -> tuple[Array, Any]:
        shape = observation.shape[:2]
        keys = jax.random.split(key, shape)
        return jax.vmap(jax.vmap(policy))(keys, memory, regions)

    return act


def scripted_memory(policy: Any, copies: int, agents: int) -> Any:
    """The policy's initial memory for every copy and agent."""
    return jax.tree.map(
        lambda x: jnp.broadcast_to(jnp.asarray(x), (copies, agents, *jnp.shape(x))), policy.initial
    )
