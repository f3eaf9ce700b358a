"""Checks of local simulators outside of JAX: what their sessions give, and that they repeat."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hinterland.core import Domain, is_entity_domain, stream
from hinterland.rollout import episode_seed, whole_system
from hinterland.rollout.answers import FLAGS, NUMBERS, TRUTHS, gathered
from hinterland.testing.expectations import expect_methods, fail
from hinterland.testing.slots import Slots, every_slots

COPIES, STEPS = 2, 20


def check_host_locals(domain: Domain, seed: int) -> None:
    """Shapes, types and determinism of two copies of each kind's first and last region.

    Args:
        domain: of agents or of entities, whose local simulators have sessions.
        seed: of the session, of actions and of influence.

    Raises:
        UserError: the first check that failed.
    """
    whole_system(domain)  # which says so, if it does not go with them
    for slots in every_slots(domain):
        (session,) = slots.local.sessions(1, COPIES)
        expect_methods(
            "a session", session, ("forget", "call", "ask", "answer"), "HostLocalSimulator"
        )
        for region in sorted({0, slots.count - 1}):
            first, second = (_played(domain, slots, session, region, seed) for _ in range(2))
            for (where, mine), (_, again) in zip(first, second, strict=True):
                if not np.array_equal(mine, again):
                    fail(
                        where,
                        "two episodes with the same seed, actions and influence differ",
                        "draw all random numbers from the seed given to reset",
                    )


def _played(
    domain: Domain, slots: Slots, session: Any, region: int, seed: int
) -> list[tuple[str, np.ndarray]]:
    """An episode's beginning, one reset of a copy in it; what each part is, and the part."""
    spec, numbers = slots.kind.spec, np.random.default_rng(seed)
    shown: dict[str, tuple[tuple[int, ...], str]] = {
        "observation": ((*slots.shape, spec.observation), NUMBERS),
        "dset": ((spec.dset,), NUMBERS),
    }
    possible = np.ones((COPIES, *slots.shape, spec.actions), bool)
    if of_entities := is_entity_domain(domain):
        shown |= {"alive": (slots.shape, FLAGS), "mask": (possible.shape[1:], FLAGS)}
    found: list[tuple[str, np.ndarray]] = []

    def look(seen: Mapping[str, Any], when: str, **more: tuple[tuple[int, ...], str]) -> None:
        parts = shown | more
        for name, (shape, kinds) in parts.items():
            where = f"{domain.name}, local simulator of region {slots.number(region)} at {when}"
            (part,) = gathered(where, [seen], name, (COPIES, *shape), kinds)
            found.append((f"{name}, {where}", part))

    session.forget()
    told = slots.kind.told_outside(region, slots.number(region))
    seen = session.call("reset", episode_seed(stream(seed, "check/shapes")), told)
    look(seen, "reset")
    for t in range(min(spec.horizon, STEPS)):
        mask = np.asarray(seen["mask"], bool) if of_entities else possible
        actions = np.where(mask, numbers.random(mask.shape), -1.0).argmax(-1).astype(np.int32)
        influence = numbers.integers(0, spec.classes, (COPIES, spec.sources)).astype(np.int32)
        seen = session.call("step", actions, influence)
        look(seen, f"step {t}", reward=(slots.shape, NUMBERS), terminated=((), TRUTHS))
    look(session.call("reset_some", np.arange(COPIES) == 1), "reset_some")
    return found
