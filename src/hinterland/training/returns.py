"""Returns of the episodes that end while agents train on the global simulator.

Reward per step times a horizon is no return where episodes end by themselves; only an episode that
was seen from its first step to its last has one.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Running(NamedTuple):
    """The episodes under way, one in each copy; a part of a run's checkpoint."""

    so_far: Float[np.ndarray, " copy"]
    """Rewards since the episode began."""
    whole: Bool[np.ndarray, " copy"]
    """Whether it began at its first step: copies' first episodes are shortened, each otherwise."""


def running(copies: int, on_host: bool) -> Running:
    """Before the first step; copies have ten phases, on hosts each one of its own."""
    phases = np.arange(copies) if on_host else np.arange(copies) * 10 // copies
    return Running(np.zeros(copies), phases == 0)


def followed(
    episodes: Running, reward: Float[Any, "time copy"], ended: Bool[Any, "time copy"]
) -> tuple[Running, Float[np.ndarray, " 2"]]:
    """(the episodes under way after these steps; sum of returns and number of those that ended)."""
    so_far, whole = episodes.so_far.copy(), episodes.whole.copy()
    found = np.zeros(2)
    for earned, over in zip(np.asarray(reward, np.float64), np.asarray(ended), strict=True):
        so_far += earned
        counts = over & whole
        found += so_far[counts].sum(), counts.sum()
        so_far[over], whole[over] = 0.0, True
    return Running(so_far, whole), found


def figures(found: Float[Any, " 2"]) -> dict[str, float]:
    """Their mean return, if any ended, and how many did."""
    total, count = map(float, found)
    mean = {"train/global/return": total / count} if count else {}
    return {**mean, "train/global/episodes": count}
