"""The predictors' datasets (the paper's Algorithm 2), cut out of global episodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from hinterland.core import AgentSpec, InfluenceBatch, UserError
from hinterland.core.spec import integers_for


def as_batches(
    blocks: Sequence[Any], spec: AgentSpec, kind: int = 0, first: int = 0
) -> list[InfluenceBatch]:
    """One dataset per region of a kind from blocks of `rollout.Episodes` ([time, copy, ...]).

    Args:
        blocks: of episodes with d-sets and influences.
        spec: of the kind.
        kind: its number.
        first: the number of its first region, for messages.

    Raises:
        UserError: a d-set is not finite, or an influence is not an integer in 0 .. classes-1.
    """

    def gather(*parts: Any) -> np.ndarray:
        return np.concatenate([np.asarray(part) for part in parts], axis=1)

    dset = gather(*(block.dset[kind] for block in blocks))
    influence = gather(*(block.influence[kind] for block in blocks))
    alive = gather(*(block.going for block in blocks))
    # After the end of an episode nothing counts, whatever a simulator makes of such a state.
    dset[~alive], influence[~alive] = 0, 0
    check_pairs(dset, influence, spec, first)
    influence = influence.astype(integers_for(spec.classes))
    alive = np.ascontiguousarray(alive.T)
    return [
        InfluenceBatch(
            np.ascontiguousarray(dset[:, :, agent].swapaxes(0, 1)),
            np.ascontiguousarray(influence[:, :, agent].swapaxes(0, 1)),
            alive,
        )
        for agent in range(dset.shape[2])
    ]


def check_pairs(
    dset: Shaped[np.ndarray, "time copy agent dset"],
    influence: Shaped[np.ndarray, "time copy agent sources"],
    spec: AgentSpec,
    first: int = 0,
) -> None:
    """Whether they are what a predictor can learn from.

    Raises:
        UserError: as `as_batches`; says whose it is, at which step, and its value.
    """
    if dset.dtype.kind not in "biu" and not (finite := np.isfinite(dset)).all():
        t, _, agent, place = np.argwhere(~finite)[0]
        raise UserError(
            f"dset of agent {first + agent} at step {t}: number {place} of it is "
            f"{dset[~finite][0]}; a d-set must be finite, or the influence predictor learns "
            "nothing: look for 0/0 and "
            "log 0"
        )
    if influence.dtype.kind not in "iu":
        raise UserError(
            f"influence has type {influence.dtype}: it must be integers in 0 .. {spec.classes - 1}"
        )
    if influence.size and not 0 <= influence.min() <= influence.max() < spec.classes:
        wrong = (influence < 0) | (influence >= spec.classes)
        t, _, agent, source = np.argwhere(wrong)[0]
        raise UserError(
            f"influence of agent {first + agent}, source {source}, at step {t} is class "
            f"{influence[wrong][0]}; classes are 0 .. {spec.classes - 1}"
        )
