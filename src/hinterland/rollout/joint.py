"""Experience of ALL agents on the global simulator."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hinterland.core import Domain, Trajectory
from hinterland.rollout.autoreset import reset_where
from hinterland.rollout.windows import in_windows, log_probability_of


class GlobalCopies(NamedTuple):
    """Where the parallel copies of the global simulator stand between two rollouts."""

    state: Any
    clock: Int[Array, " copy"]
    policy: Float[Array, "copy agent hidden"]
    """Recurrent states; [copy, hidden] when one state is shared by all agents."""


def independent_steps(
    networks: Any, hidden: Float[Array, "copy agent hidden"], observation: Array
) -> tuple[Array, Array, Array]:
    """(recurrent states, logits, values) of every agent's own network, [copy, agent, ...]."""
    return jax.vmap(lambda net, h, o: net.step(h, o), in_axes=(0, 1, 1), out_axes=1)(
        networks, hidden, observation
    )


def shared_steps(
    network: Any, hidden: Float[Array, "copy hidden"], observation: Array
) -> tuple[Array, Array, Array, Array]:
    """One network and one recurrent state, overwritten by each agent in turn.

    This is what the paper's public code does on the global simulator: the state that agent i+1
    starts from is the one agent i has just left. Returns (recurrent state, state before each
    agent's turn [copy, agent, hidden], logits, values).
    """

    def turn(hidden: Array, observed: Array) -> tuple[Array, tuple]:
        after, logits, value = network.step(hidden, observed)
        return after, (hidden, logits, value)

    hidden, (before, logits, value) = jax.lax.scan(turn, hidden, observation.swapaxes(0, 1))
    return hidden, before.swapaxes(0, 1), logits.swapaxes(0, 1), value.swapaxes(0, 1)


def begin_joint(
    key: Key[Array, ""],
    domain: Domain,
    hidden: Float[Array, "copy ..."],
    phases: Int[Array, " copy"],
) -> GlobalCopies:
    """Copies at the start of their first episodes, their clocks at the given phases."""
    keys = jax.random.split(key, phases.shape[0])
    return GlobalCopies(jax.vmap(domain.global_simulator.reset)(keys), phases, hidden)


def joint_rollout(
    key: Key[Array, ""],
    domain: Domain,
    networks: Any,
    copies: GlobalCopies,
    windows: int,
    window: int,
    shared: bool = False,
) -> tuple[GlobalCopies, Trajectory]:
    """`windows` x `window` steps of every copy of the global simulator.

    As `scan.rollout`, with an agent axis behind the copy axis: [windows, time, copy, agent, ...].
    """
    simulator, local, spec = domain.global_simulator, domain.local_simulator, domain.spec
    count = copies.clock.shape[0]

    def observe(state: Any) -> Array:
        return jax.vmap(jax.vmap(local.observe))(jax.vmap(simulator.regions)(state))

    def policy_step(hidden: Array, observation: Array) -> tuple[Array, Array, Array, Array]:
        if shared:
            return shared_steps(networks, hidden, observation)
        after, logits, value = independent_steps(networks, hidden, observation)
        return after, hidden, logits, value

    def zero_at_start(carry: Array, reset: Array) -> Array:
        return jnp.where(reset.reshape(-1, *(1,) * (carry.ndim - 1)), 0.0, carry)

    def step(at: tuple, key: Array) -> tuple[tuple, Trajectory]:
        copies, reset = at
        noise_key, reset_key, action_key = jax.random.split(key, 3)
        observation = observe(copies.state)
        hidden, before, logits, value = policy_step(
            zero_at_start(copies.policy, reset), observation
        )
        action = jax.random.categorical(action_key, logits)
        noise = jax.vmap(simulator.noise)(jax.random.split(noise_key, count))
        moved = jax.vmap(simulator.step)(copies.state, action, noise)
        clock = copies.clock + 1
        truncated = (clock >= spec.horizon) & ~moved.terminated
        done = truncated | moved.terminated
        last_value = jax.lax.cond(
            truncated.any(),
            lambda: policy_step(hidden, observe(moved.state))[3],
            lambda: jnp.zeros_like(value),
        )
        record = Trajectory(
            observation=observation,
            action=action,
            log_probability=log_probability_of(action, logits),
            value=value,
            next_value=jnp.where(truncated[:, None], last_value, 0.0),
            reward=moved.reward,
            done=jnp.broadcast_to(done[:, None], value.shape),
            reset=jnp.broadcast_to(reset[:, None], value.shape),
            carry=before,
        )
        state = reset_where(done, moved.state, simulator.reset, reset_key)
        return (GlobalCopies(state, jnp.where(done, 0, clock), hidden), done), record

    (after, reset), record = jax.lax.scan(
        step, (copies, copies.clock == 0), jax.random.split(key, windows * window)
    )
    following = policy_step(zero_at_start(after.policy, reset), observe(after.state))[3]
    return after, in_windows(record, following, windows, window)
