"""Generalised advantage estimation (Schulman et al. 2016, equations 11-16), for one stream."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def gae(
    reward: Float[Array, " time"],
    value: Float[Array, " time"],
    next_value: Float[Array, " time"],
    done: Bool[Array, " time"],
    discount: float,
    trace: float,
) -> Float[Array, " time"]:
    """Advantages of one window.

    Args:
        reward: r_t.
        value: V(s_t).
        next_value: V(s_{t+1}) before any reset; 0 where s_{t+1} is terminal. So values bootstrap
            across truncation and not across termination.
        done: the episode ended after step t, for either reason; later steps do not count.
        discount: gamma.
        trace: lambda.
    """
    delta = reward + discount * next_value - value

    def backwards(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        delta_t, done_t = step
        advantage = delta_t + discount * trace * jnp.where(done_t, 0.0, later)
        return advantage, advantage

    _, advantages = jax.lax.scan(backwards, jnp.zeros((), delta.dtype), (delta, done), reverse=True)
    return advantages
