"""The judge of agents in a system that JAX cannot trace, in processes of its own."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hinterland.core import Domain, by_kind
from hinterland.rollout.answers import TRUTHS, HostSystem, figures_of, gathered
from hinterland.rollout.episodes import answers_by_kind
from hinterland.testing.expectations import (
    attempt,
    expect_classes,
    expect_methods,
    fail,
    fail_as_over_at_once,
)
from hinterland.testing.host_factorisation import HostFactorisation
from hinterland.testing.notes import NOTE, horizon_notes
from hinterland.testing.plays import LONGEST, corners, possible_actions
from hinterland.testing.sessions import ask_both
from hinterland.testing.slots import every_slots

CONTROLLED = 20
"""Steps of each of the simulator's own controllers."""


def check_host_agents(domain: Domain, seed: int, episodes: int) -> list[str]:
    """Follows random and constant actions in two sessions; one line per check passed, and notes.

    Args:
        domain: the domain to judge.
        seed: of the episodes.
        episodes: how many to follow of random actions; and of constant ones, in stretches.

    Raises:
        UserError: the first check that failed.
    """
    sessions = attempt("global_simulator.sessions", domain.global_simulator.sessions, 2)
    for session in sessions:
        names = ("begin", "forget", "call", "ask", "answer")
        expect_methods("a session", session, names, "HostSession")
    every = every_slots(domain)
    regions = [HostFactorisation(domain, slots.at) for slots in every]
    steps, at_once, seen = 0, True, []
    for episode in range(episodes):
        for actions in (_random(domain, seed + episode), _corners(domain, seed)):
            answers = _follow(domain, sessions, seed + episode, actions, regions)
            steps += len(answers) - 1
            at_once &= bool(answers[1]["terminated"])
            seen.append(answers)
    if at_once and domain.spec.horizon > 1:
        fail_as_over_at_once("terminated at step 0")
    for name, controller in domain.scripted.items():
        _check_controller(domain, sessions[0], name, controller, seed)
    dsets = [np.asarray(x) for x in by_kind(domain, seen[0][0]["dset"])]
    influences = sum(slots.count * slots.kind.spec.sources for slots in every)
    told = dict.fromkeys(line for one in regions for line in one.lines())
    return [
        "sizes of the local simulator agree with the spec",
        f"all values are finite and in range over {steps} global steps of random and constant "
        "actions",
        "the same seed and actions give the same episode",
        *told,
        *_seed_note(seen[1::2]),
        *horizon_notes(domain, sum(x.nbytes for x in dsets) + influences),
    ]


def _random(domain: Domain, seed: int) -> Iterator[np.ndarray]:
    """Possible actions by lot, for ever."""
    numbers, mask = np.random.default_rng(seed), possible_actions(domain)
    everything = np.ones((domain.agents, domain.spec.actions), bool)
    possible = everything if mask is None else mask
    while True:
        yield np.where(possible, numbers.random(possible.shape), -1.0).argmax(1)


def _corners(domain: Domain, seed: int) -> Iterator[np.ndarray]:
    """All corners one after the other, each for its part of an episode."""
    length = min(domain.spec.horizon, LONGEST)
    found = list(corners(domain, seed, length).values())
    for t in range(length):
        yield found[t * len(found) // length]


def _follow(
    domain: Domain,
    sessions: Any,
    seed: int,
    played: Iterator[np.ndarray],
    regions: Sequence[HostFactorisation],
) -> list[dict[str, Any]]:
    """One episode to its horizon; what the first session answered.

    An episode that ends before is stepped on, as evaluation does.
    """
    for session in sessions:
        session.forget()
    seen = ask_both(sessions, "reset", seed)
    _compare(domain, seen, "reset")
    for one in regions:
        one.begin(sessions[0], seen[0])
    found, over = [seen[0]], False
    for t in range(min(domain.spec.horizon, LONGEST)):
        actions = next(played).astype(np.int32)
        seen = ask_both(sessions, "step", actions)
        _compare(domain, seen, f"step {t}", moved=True)
        for one in () if over else regions:
            one.step(sessions[0], actions, seen[0], t)
        over = over or bool(seen[0]["terminated"])
        found.append(seen[0])
    return found


def _compare(domain: Domain, seen: list[Any], when: str, moved: bool = False) -> None:
    """What two sessions answered has all its parts, and is the same."""
    system, agents, said = HostSystem(domain), domain.agents, f" at {when}"
    parts: list[tuple] = [("observation", (agents, domain.spec.observation)), ("dset",)]
    if moved:
        parts += [("reward", (agents,)), ("terminated", (), TRUTHS), ("influence",)]
    for name, *how in parts:
        if how:
            found: Any = (gathered(f"{domain.name}{said}", seen, name, *how),)
        else:
            found = answers_by_kind(system, seen, name, said)
        if not all(np.array_equal(first, second) for first, second in found):
            fail(
                f"{name} at {when}",
                "two episodes with the same seed and actions differ",
                "draw all random numbers from the seed given to reset",
            )
        if name == "influence":
            for slots, (first, _) in zip(every_slots(domain), found, strict=True):
                classes = slots.kind.spec.classes
                expect_classes(f"influence at {when}", first, classes, slots.region)


def _seed_note(episodes: Sequence[list[dict[str, Any]]]) -> list[str]:
    """Whether episodes with other seeds, and the same actions, are all the same."""

    def same(other: list[dict[str, Any]]) -> bool:
        pairs = zip(episodes[0], other, strict=True)
        return all(np.array_equal(a[name], b[name]) for a, b in pairs for name in a if name in b)

    if len(episodes) < 2 or not all(same(other) for other in episodes[1:]):
        return []
    return [
        f"{NOTE}{len(episodes)} seeds give the same episode: right if nothing is random, else draw "
        "from the seed given to reset"
    ]


def _check_controller(domain: Domain, session: Any, name: str, controller: Any, seed: int) -> None:
    """Some steps of one of the simulator's own controllers, and the figures of evaluation."""
    where, idle = f"scripted[{name!r}]", np.zeros(domain.agents, np.int32)
    session.begin("reset", seed, controller, True)
    for t in range(min(domain.spec.horizon, CONTROLLED)):
        seen = [session.call("step", idle)]
        gathered(f"{domain.name} at step {t}, {where}", seen, "reward", (domain.agents,))
        gathered(f"{domain.name} at step {t}, {where}", seen, "terminated", (), TRUTHS)
    figures_of(f"{domain.name}, {where}", [session.call("metrics")])
