"""The judge of a system of entities in processes of its own."""

import numpy as np

from hinterland.core import EntityDomain, UserError
from hinterland.rollout import System, rewards_of, view_of


def check_host_entities(domain: EntityDomain, seed: int, episodes: int) -> list[str]:
    """Follows random possible actions in two sessions; returns one line per check passed.

    Args:
        domain: the domain to judge.
        seed: of the episodes.
        episodes: how many to follow.

    Raises:
        UserError: the first check that failed.
    """
    system = System(domain, central=hasattr(domain.entity_simulator, "central"))
    steps = sum(_follow(system, seed + episode) for episode in range(episodes))
    return [
        f"observations, masks and rewards have their shapes and are finite over {steps} steps",
        "empty slots earn nothing, and no slot is used twice in an episode",
        "the same seed and actions give the same episode",
    ]


def _follow(system: System, seed: int) -> int:
    """One episode; the number of its steps."""
    sessions = system.simulator.sessions(2)
    numbers = np.random.default_rng(seed)
    seen = [session.begin("reset", seed) for session in sessions]
    before = used = np.zeros(system.slots, bool)
    for t in range(system.horizon):
        view = view_of(system, seen)
        for name, values in zip(view._fields, view, strict=True):
            if not np.array_equal(values[0], values[1]):
                raise UserError(
                    f"{name} at step {t}: two episodes with the same seed and actions differ; draw "
                    "all random numbers from the seed given to reset"
                )
        alive = np.asarray(view.alive[0])
        if (alive & used & ~before).any():
            raise UserError(f"alive: a slot came back to life (step {t}); see docs/pipeline.md")
        mask = np.asarray(view.mask[0])
        actions = np.where(mask, numbers.random(mask.shape), -1.0).argmax(-1)
        seen = [session.call("step", actions) for session in sessions]
        reward = rewards_of(system, seen)
        if reward[0][~alive].any():
            raise UserError(f"reward: an empty slot earned something (step {t})")
        used, before = used | alive, alive
        if seen[0]["terminated"] or seen[0].get("truncated"):
            return t + 1
    return system.horizon
