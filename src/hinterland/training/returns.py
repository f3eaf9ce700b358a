"""Returns of the episodes that end while agents train.

Reward per step times a horizon is no return where episodes end by themselves; only an episode that
was seen from its first step to its last has one.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from hinterland.core import Segment


class Running(NamedTuple):
    """The episodes under way, one in each copy (and region); a part of a run's checkpoint."""

    so_far: Float[np.ndarray, "copy streams"]
    """Rewards since the episode began, all of its slots together."""
    whole: Bool[np.ndarray, "copy streams"]
    """Whether it began at its first step: copies' first episodes are shortened, each otherwise."""


def running(whole: Bool[np.ndarray, " copy"], streams: int = 1) -> Running:
    """Before the first step.

    Args:
        whole: whether the copies' first episodes begin at their first step, and are not shortened.
        streams: episodes in each copy: one, or one per region.
    """
    return Running(np.zeros((len(whole), streams)), np.repeat(whole[:, None], streams, 1))


def followed(episodes: Running, segment: Segment) -> tuple[Running, Float[np.ndarray, " 2"]]:
    """(the episodes under way after it; sum of returns and number of those that ended).

    Args:
        episodes: under way before it.
        segment: [time, copy, slots], time in its order.
    """
    shape = (*segment.reward.shape[:2], episodes.so_far.shape[1], -1)
    reward = np.asarray(segment.reward, np.float64).reshape(shape).sum(-1)
    ended = np.asarray(segment.ended).reshape(shape).any(-1)
    so_far, whole = episodes.so_far.copy(), episodes.whole.copy()
    found = np.zeros(2)
    for earned, over in zip(reward, np.asarray(ended), strict=True):
        so_far += earned
        counts = over & whole
        found += so_far[counts].sum(), counts.sum()
        so_far[over], whole[over] = 0.0, True
    return Running(so_far, whole), found


def figures(found: Float[Any, " 2"], name: str) -> dict[str, float]:
    """Their mean return, if any ended, and how many did; `name` says where: global or local."""
    total, count = map(float, found)
    mean = {f"train/{name}/return": total / count} if count else {}
    return {**mean, f"train/{name}/episodes": count}
