"""The judge of agents in a system that JAX cannot trace, in processes of its own."""

from typing import Any

import numpy as np

from hinterland.core import Domain
from hinterland.rollout.answers import TRUTHS, WHOLE, figures_of, gathered
from hinterland.testing.expectations import (
    attempt,
    expect_classes,
    expect_finite,
    expect_methods,
    fail,
)


def check_host_agents(domain: Domain, seed: int, episodes: int) -> list[str]:
    """Follows random actions in two sessions; returns one line per check passed.

    Args:
        domain: the domain to judge.
        seed: of the episodes.
        episodes: how many to follow.

    Raises:
        UserError: the first check that failed.
    """
    sessions = attempt("global_simulator.sessions", domain.global_simulator.sessions, 2)
    for session in sessions:
        names = ("begin", "forget", "call", "ask", "answer")
        expect_methods("a session", session, names, "HostSession")
    steps = sum(_follow(domain, sessions, seed + episode) for episode in range(episodes))
    for name, controller in domain.scripted.items():
        _check_controller(domain, sessions[0], name, controller, seed)
    return [
        "sizes of the local simulator agree with the spec",
        f"all values are finite and in range over {steps} global steps",
        "the same seed and actions give the same episode",
    ]


def _follow(domain: Domain, sessions: Any, seed: int) -> int:
    """One episode to its horizon; the number of its steps.

    An episode that ends before is stepped on, as evaluation does.
    """
    spec, numbers = domain.spec, np.random.default_rng(seed)
    mask = getattr(domain, "action_mask", None)
    possible = np.ones((domain.agents, spec.actions), bool) if mask is None else np.asarray(mask)
    seen = [session.begin("reset", seed) for session in sessions]
    _compare(domain, seen, "reset")
    for t in range(spec.horizon):
        actions = np.where(possible, numbers.random(possible.shape), -1.0).argmax(1)
        seen = [session.call("step", actions.astype(np.int32)) for session in sessions]
        _compare(domain, seen, f"step {t}", moved=True)
    return spec.horizon


def _compare(domain: Domain, seen: list[Any], when: str, moved: bool = False) -> None:
    """What two sessions answered has all its parts, and is the same."""
    spec, agents = domain.spec, domain.agents
    sizes = {"observation": spec.observation, "dset": spec.dset}
    parts: list[tuple] = [(name, (agents, size)) for name, size in sizes.items()]
    if moved:
        parts += [
            ("reward", (agents,)),
            ("terminated", (), TRUTHS),
            ("influence", (agents, spec.sources), WHOLE),
        ]
    for name, *how in parts:
        first, second = gathered(f"{domain.name} at {when}", seen, name, *how)
        if not np.array_equal(first, second):
            fail(
                f"{name} at {when}",
                "two episodes with the same seed and actions differ",
                "draw all random numbers from the seed given to reset",
            )
        if name == "influence":
            expect_classes(f"influence at {when}", first, spec.classes)


def _check_controller(domain: Domain, session: Any, name: str, controller: Any, seed: int) -> None:
    """A step of one of the simulator's own controllers, and the figures that evaluation shows."""
    where, idle = f"scripted[{name!r}]", np.zeros(domain.agents, np.int32)
    seen = [session.begin("reset", seed, controller, True)]
    seen = [session.call("step", idle)]
    gathered(f"{domain.name}, {where}", seen, "reward", (domain.agents,))
    (figures,) = figures_of(f"{domain.name}, {where}", [session.call("metrics")])
    for figure, value in figures.items():
        expect_finite(f"{where}: metrics {figure!r}", value)
