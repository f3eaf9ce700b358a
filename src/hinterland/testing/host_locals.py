"""Checks of local simulators outside of JAX: what their sessions give, and that they repeat."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hinterland.core import Domain, stream
from hinterland.rollout import episode_seed
from hinterland.rollout.answers import TRUTHS, gathered
from hinterland.testing.expectations import expect_methods, fail
from hinterland.testing.slots import Slots

COPIES, STEPS = 2, 20


def check_host_locals(domain: Domain, seed: int) -> None:
    """Shapes, types and determinism of two copies of the first and of the last region.

    Args:
        domain: of agents, whose local simulators have sessions.
        seed: of the session, of actions and of influence.

    Raises:
        UserError: the first check that failed.
    """
    simulator: Any = domain.local_simulator
    (session,) = simulator.sessions(1, COPIES)
    expect_methods("a session", session, ("forget", "call", "ask", "answer"), "HostSession")
    for region in sorted({0, Slots(domain).count - 1}):
        first, second = (_played(domain, session, region, seed) for _ in range(2))
        for (where, mine), (_, again) in zip(first, second, strict=True):
            if not np.array_equal(mine, again):
                fail(
                    where,
                    "two episodes with the same seed, actions and influence differ",
                    "draw all random numbers from the seed given to reset",
                )


def _played(domain: Domain, session: Any, region: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """An episode's beginning, one reset of a copy in it; what each part is, and the part."""
    spec, slots, numbers = domain.spec, Slots(domain), np.random.default_rng(seed)
    shown = {"observation": (*slots.shape, spec.observation), "dset": (spec.dset,)}
    found: list[tuple[str, np.ndarray]] = []

    def look(seen: Mapping[str, Any], when: str, **more: tuple[tuple[int, ...], str]) -> None:
        parts = {name: (shape, "biuf") for name, shape in shown.items()} | more
        for name, (shape, kinds) in parts.items():
            where = f"{domain.name}, local simulator of region {region} at {when}"
            (part,) = gathered(where, [seen], name, (COPIES, *shape), kinds)
            found.append((f"{name}, {where}", part))

    session.forget()
    look(session.call("reset", episode_seed(stream(seed, "check/shapes")), region), "reset")
    for t in range(min(spec.horizon, STEPS)):
        actions = numbers.integers(0, spec.actions, (COPIES, *slots.shape)).astype(np.int32)
        influence = numbers.integers(0, spec.classes, (COPIES, spec.sources)).astype(np.int32)
        moved = session.call("step", actions, influence)
        look(moved, f"step {t}", reward=(slots.shape, "biuf"), terminated=((), TRUTHS))
    look(session.call("reset_some", np.arange(COPIES) == 1), "reset_some")
    return found
