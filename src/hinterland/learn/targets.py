"""Advantages and value targets of one stream: of the policy that acted, and of a newer one.

Generalised advantage estimation is that of Schulman et al. 2016, equations 11-16. V-trace is that
of Espeholt et al. 2018 (IMPALA, section 4.1), with the lambda of its remark 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Stream = Float[Array, " time"]
Marks = Bool[Array, " time"]
LIMIT = 1.0
"""Bounds rho-bar and c-bar of the importance ratios; the paper's, and everybody's, choice."""


def gae(
    reward: Stream, value: Stream, next_value: Stream, done: Marks, discount: float, trace: float
) -> Stream:
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


class Estimates(NamedTuple):
    """What a learner needs of a stream, or of many.

    `target` is what the value is fitted to, and `value` what it was before the update. `advantage`
    is that of the action itself, without the ratio of its own step: `weight`, the truncated ratio,
    is what its gradient is multiplied by; None: 1.
    """

    advantage: Float[Array, "*any"]
    target: Float[Array, "*any"]
    value: Float[Array, "*any"]
    weight: Float[Array, "*any"] | None


def vtrace(
    reward: Stream,
    value: Stream,
    next_value: Stream,
    done: Marks,
    log_ratio: Stream,
    discount: float,
    trace: float,
) -> Estimates:
    """v_t = V_t + rho_t delta_t + gamma c_t (v_{t+1} - V_{t+1}), with c_t = lambda min(1, ratio).

    The advantage is r_t + gamma (lambda v_{t+1} + (1 - lambda) V_{t+1}) - V_t. Where the policy is
    the one that acted, it is that of generalised advantage estimation, and v_t the lambda-return.

    Args:
        reward, next_value, done, discount, trace: as of `gae`.
        value: V(s_t), of the policy that learns.
        log_ratio: log of pi(a_t) / mu(a_t), the policy that learns over the one that acted; 0 where
            there was nothing to choose.
    """
    weight = jnp.minimum(jnp.exp(log_ratio), LIMIT)
    cut = trace * weight
    delta = reward + discount * next_value - value

    def backwards(later: Array, step: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        """`later` is v_{t+1} - V_{t+1}."""
        delta_t, weight_t, cut_t, done_t = step
        later = jnp.where(done_t, 0.0, later)
        correction = weight_t * delta_t + discount * cut_t * later
        return correction, (correction, delta_t + discount * trace * later)

    steps = (delta, weight, cut, done)
    _, (correction, advantage) = jax.lax.scan(
        backwards, jnp.zeros((), delta.dtype), steps, reverse=True
    )
    return Estimates(advantage, value + correction, value, weight)
