"""Trained networks out of a checkpoint, for evaluation and pictures."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, UserError, is_entity_domain
from hinterland.training import initial, pipeline, separated
from hinterland.training.experiment import from_arrays


def load_networks(arrays: Mapping[str, np.ndarray], config: Config, domain: Domain) -> Any:
    """The actor-critics, stacked on the agent axis; the one of a shared policy or a team.

    Raises:
        UserError: the checkpoint holds networks of other shapes.
    """
    prefix = ".learners.network"
    own = {name[len(prefix) :]: x for name, x in arrays.items() if name.startswith(prefix)}
    if config.schedule is not None:
        return from_arrays(own, jax.eval_shape(lambda: pipeline.network(config, domain)))
    if is_entity_domain(domain):
        _check_planes(own, domain)
        return from_arrays(own, jax.eval_shape(lambda: separated.network(config, domain)))
    template = jax.eval_shape(lambda: initial.network(config, domain, 0))
    stacked = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((domain.agents, *x.shape), x.dtype), template
    )
    networks = from_arrays(own, stacked)
    return jax.tree.map(lambda x: x[0], networks) if config.shared_policy else networks


def _check_planes(arrays: Mapping[str, np.ndarray], domain: Any) -> None:
    first = next((x for name, x in arrays.items() if name.endswith("actor.layers[0].weight")), None)
    planes = getattr(domain, "planes", None)
    if first is not None and planes is not None and first.shape[2] != planes:
        raise UserError(
            f"the policy was saved for {first.shape[2]} planes, but {domain.name} now has "
            f"{planes}: train anew, or use the version that trained it"
        )
