"""Experience of ONE agent in its influence-augmented local simulator (the paper's Algorithm 3).

A local simulator with a predictor is an ordinary simulator of one region: the learner cannot tell
the trajectories made here from those of any other simulator.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hinterland.core import AgentSpec, LocalSimulator, Trajectory
from hinterland.rollout.autoreset import reset_where
from hinterland.rollout.windows import in_windows, log_probability_of


class LocalCopies(NamedTuple):
    """Where the parallel copies of one agent's local simulator stand between two rollouts."""

    state: Any
    clock: Int[Array, " copy"]
    """Steps since the episode began; the rollout owns the time limit, simulators know no time."""
    policy: Float[Array, "copy hidden"]
    predictor: Float[Array, "copy predictor_hidden"]


def begin(
    key: Key[Array, ""],
    simulator: LocalSimulator,
    spec: AgentSpec,
    policy: Any,
    predictor: Any,
    copies: int,
) -> LocalCopies:
    """Copies at the start of their first episodes.

    The clocks of many copies start at ten different phases of the horizon, so that they do not all
    pass through the same part of an episode at once.
    """
    phases = (jnp.arange(copies) * 10 // copies) * spec.horizon // 10
    return LocalCopies(
        jax.vmap(simulator.reset)(jax.random.split(key, copies)),
        phases.astype(jnp.int32),
        policy.initial(copies),
        predictor.initial(copies),
    )


def rollout(
    key: Key[Array, ""],
    simulator: LocalSimulator,
    spec: AgentSpec,
    policy: Any,
    predictor: Any,
    copies: LocalCopies,
    windows: int,
    window: int,
) -> tuple[LocalCopies, Trajectory]:
    """`windows` x `window` steps of every copy.

    Args:
        key: consumed.
        simulator: of this agent's region.
        spec: sizes; `horizon` truncates episodes.
        policy: an actor-critic; actions are sampled.
        predictor: its influence predictor, an untrained one included.
        copies: where the copies stand.
        windows: number of windows.
        window: steps per window; recurrent states are stored at the start of each.
    """
    count = copies.clock.shape[0]

    def zero_at_start(carry: Array, reset: Array) -> Array:
        return jnp.where(reset[:, None], 0.0, carry)

    def step(at: tuple, key: Array) -> tuple[tuple, Trajectory]:
        copies, reset = at
        noise_key, reset_key, action_key, influence_key = jax.random.split(key, 4)
        observation = jax.vmap(simulator.observe)(copies.state)
        hidden_before = zero_at_start(copies.policy, reset)
        hidden, logits, value = policy.step(hidden_before, observation)
        predictor_hidden, influence_logits = predictor.step(
            zero_at_start(copies.predictor, reset), jax.vmap(simulator.dset)(copies.state)
        )
        action = jax.random.categorical(action_key, logits)
        influence = jax.random.categorical(influence_key, influence_logits)
        noise = jax.vmap(simulator.noise)(jax.random.split(noise_key, count))
        moved = jax.vmap(simulator.step)(copies.state, action, influence, noise)
        clock = copies.clock + 1
        truncated = (clock >= spec.horizon) & ~moved.terminated
        done = truncated | moved.terminated

        def value_of_last() -> Array:
            return policy.step(hidden, jax.vmap(simulator.observe)(moved.state))[2]

        last_value = jax.lax.cond(truncated.any(), value_of_last, lambda: jnp.zeros(count))
        record = Trajectory(
            observation=observation,
            action=action,
            log_probability=log_probability_of(action, logits),
            value=value,
            next_value=jnp.where(truncated, last_value, 0.0),
            reward=moved.reward,
            done=done,
            reset=reset,
            carry=hidden_before,
        )
        state = reset_where(done, moved.state, simulator.reset, reset_key)
        after = LocalCopies(state, jnp.where(done, 0, clock), hidden, predictor_hidden)
        return (after, done), record

    # A copy at clock 0 has just begun: whatever its carry holds must become zero.
    steps = windows * window
    (after, reset), record = jax.lax.scan(
        step, (copies, copies.clock == 0), jax.random.split(key, steps)
    )
    following = policy.step(
        zero_at_start(after.policy, reset), jax.vmap(simulator.observe)(after.state)
    )[2]
    return after, in_windows(record, following, windows, window)
