"""The predictors' datasets (the paper's Algorithm 2), cut out of global episodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hinterland.core import InfluenceBatch


def as_batches(blocks: Sequence[Any], agents: int) -> list[InfluenceBatch]:
    """One dataset per agent from blocks of `rollout.Episodes` ([time, copy, agent, ...])."""

    def gather(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(block, name)) for block in blocks], axis=1)

    dset, influence = gather("dset"), gather("influence").astype(np.int8)
    alive = np.ascontiguousarray(gather("alive").T)
    return [
        InfluenceBatch(
            np.ascontiguousarray(dset[:, :, agent].swapaxes(0, 1)),
            np.ascontiguousarray(influence[:, :, agent].swapaxes(0, 1)),
            alive,
        )
        for agent in range(agents)
    ]
