"""How large a cluster's messages are, from the shapes of what travels; nothing is computed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Kind
from hinterland.training.apart import shapes
from hinterland.training.experiment import Experiment
from hinterland.training.plan import Plan


class Message(NamedTuple):
    """One agent's part of a shard's messages, in MB (10^6 bytes)."""

    up: float
    down: float


def message_sizes(experiment: Experiment) -> dict[str, Message]:
    """By phase: of `train`, as a round begins, and what the others need of every agent.

    Args:
        experiment: with local simulators that JAX traces.
    """
    config, domain = experiment.config, experiment.domain
    plan = Plan(config, domain)
    agents = len(plan.regions)
    learners, predictors, places = shapes(plan)
    steps = config.predictor_episodes * domain.spec.horizon
    # Of the regions' mean. Influence and who is alive are bytes.
    pair = sum(
        len(kind.regions) * (bytes_of(dset_shape(kind)) + kind.spec.sources + 1)
        for kind in plan.kinds
    )
    dataset = steps * pair / agents / 1e6
    networks = [one.network for one in learners]
    own, network = (bytes_of(x) / agents / 1e6 for x in (predictors, networks))
    state = (bytes_of(learners) + bytes_of(places)) / agents / 1e6
    return {
        "collect": Message(network, dataset),
        "train": Message(state + own + dataset, state + own),
        "evaluate": Message(network, 0.0),
    }


def dset_shape(kind: Kind) -> Any:
    """What a predictor of this kind sees at one step."""
    return jax.eval_shape(lambda: kind.local_simulator.dset(kind.reset(jax.random.key(0))))


def bytes_of(shapes: Any) -> int:
    """Of all leaves; of arrays or only of their shapes."""

    def one(leaf: Any) -> int:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf.size * 8
        return leaf.size * np.dtype(leaf.dtype).itemsize

    return sum(map(one, jax.tree.leaves(shapes)))
