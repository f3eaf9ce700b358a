"""Training an influence predictor by cross-entropy (the paper's section 4.1 and Table 4)."""

from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Key

from hinterland.core import InfluenceBatch
from hinterland.influence.diagnostics import cross_entropy, diagnose


class FitSettings(NamedTuple):
    """Passes over the data, episodes per minibatch, Adam step size."""

    epochs: int
    batch: int
    learning_rate: float


HELD_OUT = 10
"""One episode in this many is never trained on."""


def split(data: InfluenceBatch) -> tuple[InfluenceBatch, InfluenceBatch]:
    """(training, held-out) episodes; the last tenth is held out, at least one episode."""
    episodes = data.dset.shape[0]
    kept = episodes - max(1, episodes // HELD_OUT)
    return (
        InfluenceBatch(*(x[:kept] for x in data)),
        InfluenceBatch(*(x[kept:] for x in data)),
    )


def fit(
    key: Key[Array, ""], network: Any, data: InfluenceBatch, settings: FitSettings
) -> tuple[Any, dict[str, Any]]:
    """The predictor after training, with its diagnostics before and after on held-out episodes.

    Adam starts anew at each fit; weights continue. Episodes that do not fill a last minibatch are
    left out of that epoch only: each epoch draws another order.
    """
    train, test = split(data)
    episodes = train.dset.shape[0]
    batch = min(settings.batch, episodes)
    steps = episodes // batch
    optimiser = optax.adam(settings.learning_rate)

    def minibatch(state: tuple[Any, Any], chosen: Array) -> tuple[tuple[Any, Any], None]:
        network, optimiser_state = state
        part = InfluenceBatch(*(x[chosen] for x in train))
        gradient = jax.grad(lambda net: cross_entropy(net, part).mean())(network)
        change, optimiser_state = optimiser.update(gradient, optimiser_state)
        return (optax.apply_updates(network, change), optimiser_state), None

    def epoch(state: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], None]:
        order = jax.random.permutation(key, episodes)[: steps * batch].reshape(steps, batch)
        return jax.lax.scan(minibatch, state, order)

    before = cross_entropy(network, test)
    state = (network, optimiser.init(network))
    (network, _), _ = jax.lax.scan(epoch, state, jax.random.split(key, settings.epochs))
    return network, {"before": before.mean(), **diagnose(network, train, test)}
