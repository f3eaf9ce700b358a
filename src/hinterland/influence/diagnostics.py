"""How good a predictor is: cross-entropy per head, against the marginal, and calibration."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hinterland.core import InfluenceBatch


def log_likelihood(network: Any, data: InfluenceBatch) -> Float[Array, "time episode sources"]:
    """Log-probability of what really happened, head by head."""
    dset, influence = data.dset.swapaxes(0, 1), data.influence.swapaxes(0, 1).astype(jnp.int32)
    logits = jax.nn.log_softmax(network.unroll(dset))
    return jnp.take_along_axis(logits, influence[..., None], -1)[..., 0]


def _mean_alive(x: Array, data: InfluenceBatch) -> Array:
    """Mean of [time, episode, sources] over steps that happened."""
    weight = data.alive.T.astype(jnp.float32)
    return (x * weight[..., None]).sum((0, 1)) / jnp.maximum(weight.sum(), 1.0)


def cross_entropy(network: Any, data: InfluenceBatch) -> Float[Array, " sources"]:
    """Mean negative log-likelihood of each head, in nats."""
    return -_mean_alive(log_likelihood(network, data), data)


def marginal_cross_entropy(
    train: InfluenceBatch, test: InfluenceBatch, classes: int
) -> Float[Array, " sources"]:
    """Cross-entropy of the best predictor that ignores the d-set; add-one smoothing."""

    def one_hot(data: InfluenceBatch) -> Array:
        return jax.nn.one_hot(data.influence.swapaxes(0, 1), classes)

    weight = train.alive.T.astype(jnp.float32)[..., None, None]
    counts = (one_hot(train) * weight).sum((0, 1)) + 1.0
    log_frequency = jnp.log(counts / counts.sum(-1, keepdims=True))
    return -_mean_alive((one_hot(test) * log_frequency).sum(-1), test)


def calibration_error(network: Any, data: InfluenceBatch, bins: int = 10) -> Float[Array, ""]:
    """Expected calibration error over all (head, class) pairs, in probability.

    Predicted probabilities are binned; each bin contributes the distance between its mean
    prediction and the frequency of the class, weighted by how much it holds.
    """
    probability = jax.nn.softmax(network.unroll(data.dset.swapaxes(0, 1)))
    happened = jax.nn.one_hot(data.influence.swapaxes(0, 1), probability.shape[-1])
    weight = jnp.broadcast_to(data.alive.T[..., None, None], probability.shape).astype(jnp.float32)
    place = jnp.clip((probability * bins).astype(jnp.int32), 0, bins - 1)
    inside = jax.nn.one_hot(place, bins) * weight[..., None]
    axes = (0, 1, 2, 3)
    gap = (inside * (probability - happened)[..., None]).sum(axes)
    return jnp.abs(gap).sum() / jnp.maximum(inside.sum(), 1.0)


def diagnose(
    network: Any, train: InfluenceBatch, test: InfluenceBatch
) -> dict[str, Float[Array, "..."]]:
    """All figures of one predictor on held-out episodes."""
    classes = network.heads.bias.shape[0] // network.sources
    heads = cross_entropy(network, test)
    return {
        "cross_entropy": heads.mean(),
        "heads": heads,
        "marginal": marginal_cross_entropy(train, test, classes).mean(),
        "calibration": calibration_error(network, test),
    }
