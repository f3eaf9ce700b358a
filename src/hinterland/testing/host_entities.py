"""The judge of a system of entities in processes of its own."""

from typing import Any

import numpy as np

from hinterland.core import EntityDomain, HostSession, UserError
from hinterland.rollout import HostSystem, whole_system
from hinterland.rollout.answers import figures_of
from hinterland.testing.expectations import expect_entity_policies, fail_as_over_at_once
from hinterland.testing.sessions import ask_both

DISTURBED = "one copy a process only"
"""How the line begins that says so."""
STRETCH = 8
"""Steps for which everybody keeps to the first possible action, then to the last."""


def check_host_entities(domain: EntityDomain, seed: int, episodes: int) -> list[str]:
    """Follows random and constant actions in two sessions; returns one line per check passed.

    A last line says whether copies may share a process, if the simulator offers that.

    Args:
        domain: the domain to judge.
        seed: of the episodes.
        episodes: how many to follow of either.

    Raises:
        UserError: the first check that failed.
    """
    system = whole_system(domain, central=hasattr(domain.entity_simulator, "central"))
    shown = system.look([system.simulator.sessions(1)[0].begin("reset", seed, None, True)])
    expect_entity_policies(domain, shown.observation[0], shown.mask[0])
    followed = [
        _follow(system, seed + episode, by_lot)
        for episode in range(episodes)
        for by_lot in (True, False)
    ]
    if system.horizon > 1 and all(t == 1 for t, _ in followed):
        fail_as_over_at_once("terminated at step 0")
    steps, disturbed = sum(t for t, _ in followed), [what for _, what in followed if what]
    lines = [
        f"observations, masks and rewards have their shapes and are finite over {steps} steps",
        "empty slots earn nothing, and no slot is used twice in an episode",
        "the same seed and actions give the same episode",
    ]
    if disturbed:
        two = f"two disturb each other ({disturbed[0]})"
        return [*lines, f"{DISTURBED}: {two}, so keep --copies-per-process at 1"]
    if hasattr(system.simulator, "shared_sessions"):
        lines.append("copies in one process do not disturb each other (--copies-per-process)")
    return lines


def _follow(system: HostSystem, seed: int, by_lot: bool) -> tuple[int, str]:
    """One episode: the number of its steps, and where a copy in a shared process left it.

    Its actions are drawn by lot, or all the first possible ones, and all the last, by turns.
    """
    sessions = list(system.simulator.sessions(2))
    neighbours = _neighbours(system, seed)
    numbers = np.random.default_rng(seed)
    seen = [session.begin("reset", seed) for session in [*sessions, *neighbours[:1]]]
    before = used = np.zeros(system.slots, bool)
    disturbed = ""
    for t in range(system.horizon):
        view = system.look(seen)
        for name, values in zip(view._fields, view, strict=True):
            if not np.array_equal(values[0], values[1]):
                raise UserError(
                    f"{name} at step {t}: two episodes with the same seed and actions differ; draw "
                    "all random numbers from the seed given to reset"
                )
            if neighbours and not np.array_equal(values[0], values[2]):
                disturbed = disturbed or f"{name} at step {t}"
        alive = np.asarray(view.alive[0])
        if (alive & used & ~before).any():
            raise UserError(f"alive: a slot came back to life (step {t}); see docs/pipeline.md")
        mask = np.asarray(view.mask[0])
        rank = numbers.random(mask.shape) if by_lot else _corner(t, mask.shape[-1])
        actions = np.where(mask, rank, -1.0).argmax(-1).astype(np.int32)
        seen = ask_both(sessions, "step", actions)
        seen += _step(neighbours, actions, seed)
        reward = system.rewards(seen)
        if reward[0][~alive].any():
            raise UserError(f"reward: an empty slot earned something (step {t})")
        used, before = used | alive, alive
        if any(end[0] for end in system.ends(seen)):
            break
    figures_of(system.name, [session.call("metrics") for session in sessions])
    return t + 1, disturbed


def _corner(t: int, actions: int) -> np.ndarray:
    """Which action comes first now, as larger numbers."""
    order = np.arange(actions, dtype=float)
    return order[::-1] if t // STRETCH % 2 == 0 else order


def _neighbours(system: HostSystem, seed: int) -> list[HostSession]:
    """Two copies in one process, the second in an episode of its own; none, if that cannot be."""
    if not hasattr(system.simulator, "shared_sessions"):
        return []
    pair = list(system.simulator.shared_sessions(2, 2))
    pair[1].begin("reset", seed + 1)
    return pair


def _step(neighbours: list[HostSession], actions: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """What the first of the neighbours gives; both move, as one message."""
    for one in neighbours:
        one.ask("step", actions)
    seen = [one.answer() for one in neighbours]
    if seen and (seen[1]["terminated"] or seen[1].get("truncated")):
        neighbours[1].begin("reset", seed + 1)
    return seen[:1]
