"""What is played in a check besides random actions: the corners, where rare things happen.

A leak that needs all gates shut at once is not met by agents that throw dice: with six gates of
two positions one step in 64 has it, and then their effect must also be large enough to see.
"""

from typing import Any

import numpy as np

from hinterland import core
from hinterland.core import has_kinds

LONGEST = 2000
"""Steps of an episode that are played."""
CONSTANTS = 16
"""Of many actions so many are played by everybody; they are spread evenly."""


def possible_actions(domain: Any) -> np.ndarray | None:
    """[agents, actions]: which actions each agent has; None: everybody has all."""
    if has_kinds(domain):
        return core.possible_actions(domain)
    mask = getattr(domain, "action_mask", None)
    return None if mask is None else np.asarray(mask)


def corners(domain: Any, seed: int, most: int) -> dict[str, np.ndarray]:
    """Actions [agents] that are kept for a whole episode, by what a sentence says of them.

    Args:
        domain: with agents, spec and perhaps an `action_mask`, which is heeded.
        seed: of those that are drawn by lot.
        most: rows that are wanted; at least the first two are given.
    """
    agents, mask = domain.agents, possible_actions(domain)
    counts = np.full(agents, domain.spec.actions) if mask is None else mask.sum(1)
    last, even = counts - 1, np.arange(agents) % 2 == 0
    lots = np.random.default_rng(seed).random(agents) < 0.5
    ranks = {
        "everybody plays the first action": np.zeros(agents, int),
        "everybody plays the last action": last,
        "agents play the first and the last action by turns": np.where(even, 0, last),
        "agents play the last and the first action by turns": np.where(even, last, 0),
        "each agent plays its first or last action, by lot": np.where(lots, 0, last),
    }
    inner = np.arange(1, max(int(last.max()), 1))
    for rank in inner[np.linspace(0, len(inner) - 1, min(CONSTANTS, len(inner))).astype(int)]:
        ranks[f"everybody plays action {rank}"] = np.minimum(rank, last)
    found: dict[str, np.ndarray] = {}
    for name, rank in ranks.items():
        actions = nth_action(mask, rank).astype(np.int32)
        if not any(np.array_equal(actions, other) for other in found.values()):
            found[name] = actions
    return dict(list(found.items())[: max(2, most)])


def nth_action(mask: np.ndarray | None, rank: np.ndarray) -> np.ndarray:
    """[agents]: the action of each agent that has so many possible ones before it."""
    if mask is None:
        return rank
    ordered = np.argsort(~mask, axis=1, kind="stable")
    return np.take_along_axis(ordered, rank[:, None], 1)[:, 0]
