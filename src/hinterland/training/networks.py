"""Trained policies out of a checkpoint, for evaluation and pictures."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, UserError
from hinterland.training.experiment import from_arrays
from hinterland.training.plan import Plan

TRAINED = re.compile(r"\.(learners(\[\d+\])?\.network|predictors)")
"""What must be finite; a simulator's state may hold an infinity on purpose."""


def load_policy(arrays: Mapping[str, np.ndarray], config: Config, domain: Domain) -> Any:
    """The policy of all slots.

    Learners, and with local simulators predictors and copies, are compared as by `train --resume`.
    Workers are not: their shapes are known once they are made. Nothing is compiled.

    Raises:
        UserError: the checkpoint is of another run, or a parameter is not finite.
    """
    plan = Plan(config, domain)
    template = plan.shapes()
    parts = template._asdict()
    unless = tuple(f".{name}" for name, part in parts.items() if part is None)
    state = from_arrays({n: x for n, x in arrays.items() if not n.startswith(unless)}, template)
    for name, array in arrays.items():
        if TRAINED.match(name) and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(
                f"the checkpoint holds parameters that are not finite ({name}): training went "
                "wrong before it; take an earlier one, or train anew with a lower --learning-rate"
            )
    return plan.policy(jax.tree.map(jnp.asarray, state.learners))


def check_step(meta: Mapping[str, Any], config: Config) -> None:
    """Whether a checkpoint stands where its updates lead.

    Raises:
        UserError: it does not, or does not say how many there were.
    """
    updates = meta.get("updates")
    if updates is None or updates * config.steps_per_update != meta["step"]:
        raise UserError(
            f"the checkpoint does not fit this run's configuration: it stands at step "
            f"{meta['step']:,} after {updates} updates of {config.steps_per_update:,} steps each"
        )
