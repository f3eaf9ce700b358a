"""Proximal policy optimisation (Schulman et al. 2017) of one agent's actor-critic."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from hinterland.core import Trajectory
from hinterland.core.types import HostOrDevice
from hinterland.learn.gae import gae


class PPOSettings(NamedTuple):
    """Hyperparameters; `annealing` is the number of updates over which schedules reach 0."""

    epochs: int
    minibatches: int
    learning_rate: float
    clip: float
    clip_value: bool
    value_weight: float
    entropy_weight: float
    gradient_norm: float
    adam_epsilon: float
    discount: float
    trace: float
    anneal_rate: bool
    anneal_clip: bool
    anneal_entropy: bool
    annealing: int


class Learner(NamedTuple):
    """What one agent learns with: network, optimiser state, and the number of updates made."""

    network: Any
    optimiser: Any
    updates: Int[Array, ""]


def make_optimiser(settings: PPOSettings) -> optax.GradientTransformation:
    """Gradient clipping by global norm (0: none) and Adam without its step size."""
    steps = [optax.scale_by_adam(eps=settings.adam_epsilon)]
    if settings.gradient_norm > 0:
        steps.insert(0, optax.clip_by_global_norm(settings.gradient_norm))
    return optax.chain(*steps)


def _annealed(
    settings: PPOSettings, updates: Int[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """(learning rate, clip range, entropy weight) after so many updates."""
    progress = jnp.minimum(updates / max(settings.annealing, 1), 1.0)
    rate = settings.learning_rate * jnp.where(settings.anneal_rate, 1 - progress, 1.0)
    clip = settings.clip * jnp.where(settings.anneal_clip, 1 - progress, 1.0)
    entropy_weight = settings.entropy_weight * jnp.where(settings.anneal_entropy, 1 - progress, 1.0)
    return rate, clip, entropy_weight


def clipped_surrogate(ratio: Array, advantage: Array, clip: float | Array) -> Array:
    """PPO's objective for each sample (Schulman et al. 2017, equation 7)."""
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)


def value_error(
    value: Array, old: Array, target: Array, clip: float | Array, settings: PPOSettings
) -> Array:
    """Squared error of each value; with `clip_value` the larger of that and the clipped one's."""
    error = (value - target) ** 2
    if settings.clip_value:
        near = old + jnp.clip(value - old, -clip, clip)
        error = jnp.maximum(error, (near - target) ** 2)
    return error


def weighted(
    terms: dict[str, Array], entropy_weight: float | Array, settings: PPOSettings
) -> Float[Array, ""]:
    """The loss from its terms "loss/policy", "loss/value" and "entropy"."""
    return (
        terms["loss/policy"]
        + settings.value_weight * terms["loss/value"]
        - entropy_weight * terms["entropy"]
    )


def in_minibatches(
    key: Key[Array, ""],
    learner: Learner,
    settings: PPOSettings,
    samples: int,
    gradient: Callable[[Any, Int[Array, " chosen"], Array, Array], tuple[Any, dict[str, Array]]],
) -> tuple[Learner, dict[str, Array]]:
    """All epochs over one batch of experience; also the terms of every minibatch.

    Args:
        key: consumed.
        learner: before the update.
        settings: hyperparameters.
        samples: how many there are; each epoch shuffles them anew.
        gradient: (network, indices of the minibatch's samples, clip range, entropy weight) ->
            (gradient, terms).
    """
    rate, clip, entropy_weight = _annealed(settings, learner.updates)
    optimiser = make_optimiser(settings)

    def minibatch(state: tuple[Any, Any], chosen: Array) -> tuple[tuple[Any, Any], dict]:
        network, optimiser_state = state
        slope, terms = gradient(network, chosen, clip, entropy_weight)
        change, optimiser_state = optimiser.update(slope, optimiser_state)
        network = jax.tree.map(lambda p, c: p - rate * c, network, change)
        return (network, optimiser_state), terms

    orders = jax.vmap(lambda k: jax.random.permutation(k, samples))(
        jax.random.split(key, settings.epochs)
    )
    orders = orders.reshape(settings.epochs * settings.minibatches, -1)
    (network, optimiser_state), terms = jax.lax.scan(
        minibatch, (learner.network, learner.optimiser), orders
    )
    return Learner(network, optimiser_state, learner.updates + 1), terms


def loss(
    network: Any,
    batch: dict[str, Array],
    clip: Float[Array, ""],
    entropy_weight: Float[Array, ""],
    settings: PPOSettings,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Clipped surrogate, value and entropy terms, averaged over [time, sequence].

    Args:
        network: unrolled from the stored recurrent state of each sequence.
        batch: "observation", "action", "log_probability", "value", "advantage", "target" and
            "reset" as [time, sequence], "carry" as [sequence, hidden].
        clip: range of the probability ratio (and of values, if they are clipped).
        entropy_weight: of the entropy bonus, now.
        settings: the value loss's weight and clipping.
    """
    logits, value = network.unroll(batch["carry"], batch["observation"], batch["reset"])
    log_probabilities = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_probabilities, batch["action"][..., None], -1)[..., 0]
    log_ratio = chosen - batch["log_probability"]
    ratio = jnp.exp(log_ratio)
    advantage = batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = clipped_surrogate(ratio, advantage, clip)
    error = value_error(value, batch["value"], batch["target"], clip, settings)
    entropy = -(jnp.exp(log_probabilities) * log_probabilities).sum(-1).mean()
    terms = {
        "loss/policy": -surrogate.mean(),
        "loss/value": error.mean(),
        "entropy": entropy,
        "clip_fraction": (jnp.abs(ratio - 1) > clip).mean(),
        "kl": (ratio - 1 - log_ratio).mean(),
    }
    return weighted(terms, entropy_weight, settings), terms


def _as_sequences(trajectory: Trajectory, settings: PPOSettings) -> dict[str, Array]:
    """[windows, time, copy] becomes [time, sequence], with advantages and value targets."""
    by_stream = jax.vmap(
        jax.vmap(
            lambda r, v, n, d: gae(r, v, n, d, settings.discount, settings.trace),
            in_axes=1,
            out_axes=1,
        )
    )
    advantage = by_stream(
        trajectory.reward, trajectory.value, trajectory.next_value, trajectory.done
    )

    def flatten(x: HostOrDevice) -> Array:
        x = jnp.moveaxis(x, 0, 1)
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:])

    carry = trajectory.carry
    return {
        "observation": flatten(trajectory.observation),
        "action": flatten(trajectory.action),
        "log_probability": flatten(trajectory.log_probability),
        "value": flatten(trajectory.value),
        "advantage": flatten(advantage),
        "target": flatten(advantage + trajectory.value),
        "reset": flatten(trajectory.reset),
        "carry": carry.reshape(carry.shape[0] * carry.shape[1], carry.shape[2]),
    }


def ppo_update(
    key: Key[Array, ""], learner: Learner, trajectory: Trajectory, settings: PPOSettings
) -> tuple[Learner, dict[str, Array]]:
    """All epochs over one batch of experience; also the mean of each loss term.

    Minibatches are made of whole sequences (windows), each unrolled from its stored state.
    """
    data = _as_sequences(trajectory, settings)
    sequences = data["action"].shape[1]

    def gradient(network: Any, chosen: Array, clip: Array, entropy_weight: Array) -> tuple:
        batch = {
            name: jnp.take(x, chosen, axis=0 if name == "carry" else 1) for name, x in data.items()
        }
        return jax.grad(loss, has_aux=True)(network, batch, clip, entropy_weight, settings)

    learner, terms = in_minibatches(key, learner, settings, sequences, gradient)
    return learner, {name: x.mean() for name, x in terms.items()}
