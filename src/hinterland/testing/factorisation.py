"""The factorisation test: every region of a traced system beside its local simulator, all at once.

Given the influence that really happened and its share of the noise, a local simulator must move as
its region of the global simulator does: the state that is reached, the reward, and whether the
episode is over. Observations and d-sets are functions of that state. A region's episode ends when
the whole system's does: what ends it elsewhere has to reach a region as influence. Rewards are of
agents: those of a region with several are compared one by one.

Whole episodes of all policies are one compiled program; only verdicts leave it.
"""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from hinterland.core import Domain, stream
from hinterland.core.blame import defined_at
from hinterland.testing.differences import (
    Difference,
    beyond_rounding,
    difference,
    largest_distance,
    leaf_names,
    plain,
    values_of,
)
from hinterland.testing.expectations import (
    attempt,
    class_said,
    fail,
    fail_as_over_at_once,
    quickly_compiled,
)
from hinterland.testing.plays import LONGEST, corners, possible_actions
from hinterland.testing.slots import Slots

BUDGET = 10_000_000
"""Agents x steps of the corners of one round; a larger system plays fewer of them."""
DRAWN = ("random actions", "everybody plays the same, drawn by lot")
"""The first policies that are played; then come the scripted ones, then the corners."""
RANDOM = 0


class Played(NamedTuple):
    """What was met."""

    steps: int
    """Of all episodes together."""
    rounding: float
    """Largest difference that was taken for rounding."""


class _Wrong(NamedTuple):
    """A class that is out of range: whether, where and which; [time, policy]."""

    any: Any
    place: Any
    value: Any


class _Seen(NamedTuple):
    """Verdicts on one step of one episode; over all of them [time, policy]."""

    ended: Any
    finite: Any  # by what is not, if it is false
    influence: _Wrong
    differences: list[Difference]  # one for each leaf of `_compared`


def play(domain: Domain, seed: int, rounds: int) -> Played:
    """Plays an episode of every policy in each round, and compares.

    Raises:
        UserError: the first fault in time: a number that is not finite, a class out of range, a
            region that moved otherwise, an action out of range; or every episode ended at once.
    """
    steps, rounding, at_once = 0, 0.0, True
    length = min(domain.spec.horizon, LONGEST)
    fixed = corners(domain, seed, BUDGET // (domain.agents * length))
    names = [*DRAWN, *(f"scripted[{name!r}]" for name in domain.scripted), *fixed]
    episodes = _program(domain, np.array(list(fixed.values())), length)
    leaves = _leaves(domain)
    for number in range(rounds):
        key = stream(seed, "check/episode", number)
        traced = "a step of all simulators, traced by JAX"
        first, seen, lowest, highest = jax.device_get(attempt(traced, episodes, key))
        ended = np.cumsum(seen.ended, 0, dtype=int)
        counts = (ended - seen.ended) == 0
        _judge(domain, names, leaves, first, seen, counts)
        for name, low, high in zip(domain.scripted, lowest.T, highest.T, strict=True):
            _judge_policy(domain, name, low, high, counts[:, names.index(f"scripted[{name!r}]")])
        steps += int(counts.sum())
        rounding = max([rounding, *(largest_distance(x, counts) for x in seen.differences)])
        at_once &= bool(seen.ended[0].all())
    if at_once and domain.spec.horizon > 1:
        fail_as_over_at_once(
            f"global_simulator.step terminated{defined_at(domain.global_simulator.step)}"
        )
    return Played(steps, rounding)


def _leaves(domain: Domain) -> list[tuple[str, str, tuple[int, ...]]]:
    """(part, name, shape) of each array that is compared."""
    reset, key = domain.local_simulator.reset, jax.random.key(0)
    slots = Slots(domain)
    state = jax.eval_shape(lambda key: jax.tree.map(jnp.asarray, reset(key)), key)
    form = jax.eval_shape(lambda x: [plain(leaf) for leaf in jax.tree.leaves(x)], state)
    named = zip(leaf_names(state), form, strict=True)
    return [
        *(("state", name, (slots.count, *x.shape)) for name, x in named if x.size),
        ("reward", "", (slots.count, *slots.shape)),
        ("terminated", "", (slots.count,)),
    ]


def compared(mine: Any, theirs: Any) -> list[Difference]:
    """Of (state, reward, terminated), each with a leading region axis."""
    pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
    return [difference(a, b) for a, b in pairs if jnp.size(a)]


def _program(domain: Domain, fixed: np.ndarray, length: int) -> Callable[[Key[Array, ""]], Any]:
    """One round of episodes as one function of its key."""
    spec, agents, slots = domain.spec, domain.agents, Slots(domain)
    local, whole = domain.local_simulator, domain.global_simulator
    policies: list[Any] = list(domain.scripted.values())
    mask = possible_actions(domain)
    count = len(DRAWN) + len(policies) + len(fixed)
    scores = 0.0 if mask is None else jnp.where(jnp.asarray(mask), 0.0, -jnp.inf)

    def drawn(key: Any) -> Any:
        """Of every agent by itself, and the same of all who have it."""
        alone, together, other = jax.random.split(key, 3)
        wide = jnp.broadcast_to(scores, (agents, spec.actions))
        each = jax.random.categorical(alone, wide)
        if mask is None:
            one = jax.random.randint(together, (), 0, spec.actions)
            return jnp.stack([each, jnp.broadcast_to(one, (agents,))])
        one = jax.random.categorical(together, jnp.where(mask.any(0), 0.0, -jnp.inf))
        others = jax.random.categorical(other, wide)
        return jnp.stack([each, jnp.where(jnp.asarray(mask)[:, one], one, others)])

    def scripted(key: Any, memories: Any, before: Any) -> Any:
        """Each policy in its own episode, and, to be looked at, in that of random actions."""
        chosen, after = [], []
        for number, (policy, memory) in enumerate(zip(policies, memories, strict=True)):
            rows = jnp.array([len(DRAWN) + number, RANDOM])
            keys = jax.random.split(jax.random.fold_in(key, number), (2, slots.count))
            regions = jax.tree.map(itemgetter(rows), before)
            action, memory = jax.vmap(jax.vmap(policy))(keys, memory, regions)
            chosen.append(jax.vmap(slots.by_agent)(action.astype(jnp.int32)))
            after.append(memory)
        return jnp.stack(chosen), after

    def advance(key: Any, state: Any, before: Any, actions: Any) -> tuple[Any, Any, _Seen]:
        """One step of one episode."""
        noise = whole.noise(key)
        moved = whole.step(state, actions, noise)
        shares = whole.region_noise(noise)
        given = slots.by_region(actions)
        alone = jax.vmap(local.step)(before, given, moved.influence, shares)
        regions = whole.regions(moved.state)
        ended = jnp.asarray(moved.terminated)
        mine = (alone.state, alone.reward, alone.terminated)
        rewards = slots.by_region(moved.reward)
        theirs = (regions, rewards, jnp.broadcast_to(ended, (slots.count,)))
        finite = {"global_simulator.step reward": _finite(moved.reward)} | _look(local, regions)
        seen = _Seen(ended, finite, _out_of_range(moved.influence, spec.classes),
                     compared(mine, theirs))  # fmt: skip
        return moved.state, regions, seen

    def step(carry: Any, t: Any) -> tuple[Any, Any]:
        key, states, before, memories = carry
        lots, acting, moving = jax.random.split(jax.random.fold_in(key, t), 3)
        rows, low, high = [drawn(lots)], jnp.zeros(0, int), jnp.zeros(0, int)
        if policies:
            chosen, memories = scripted(acting, memories, before)
            rows.append(chosen[:, 0])
            low, high = chosen.min((1, 2)), chosen.max((1, 2))
        actions = jnp.concatenate([*rows, jnp.asarray(fixed)]).astype(jnp.int32)
        keys = jax.random.split(moving, count)
        states, before, seen = jax.vmap(advance)(keys, states, before, actions)
        return (key, states, before, memories), (seen, low, high)

    @quickly_compiled
    def episodes(key: Any) -> Any:
        begin, on = jax.random.split(key)
        states = jax.vmap(whole.reset)(jax.random.split(begin, count))
        before = jax.vmap(whole.regions)(states)
        first = jax.vmap(lambda regions: _look(local, regions))(before)
        memories = [
            jax.tree.map(
                lambda x: jnp.broadcast_to(jnp.asarray(x), (2, slots.count, *jnp.shape(x))),
                policy.initial,
            )
            for policy in policies
        ]
        _, found = jax.lax.scan(step, (on, states, before, memories), jnp.arange(length))
        return first, *found

    return episodes


def _finite(value: Any) -> Any:
    """Networks compute in 32 bits."""
    return jnp.isfinite(jnp.asarray(value).astype(jnp.float32)).all()


def _look(local: Any, regions: Any) -> dict[str, Any]:
    return {
        f"local_simulator.{name}": _finite(jax.vmap(getattr(local, name))(regions))
        for name in ("observe", "dset")
    }


def _out_of_range(influence: Any, classes: int) -> _Wrong:
    if not influence.size:
        return _Wrong(jnp.asarray(False), jnp.int32(0), jnp.int32(0))
    flat = influence.reshape(-1)
    wrong = (flat < 0) | (flat >= classes)
    return _Wrong(wrong.any(), wrong.argmax(), flat[wrong.argmax()])


def _judge(
    domain: Domain,
    names: list[str],
    leaves: list[tuple[str, str, tuple[int, ...]]],
    first: dict[str, np.ndarray],
    seen: _Seen,
    counts: np.ndarray,
) -> None:
    """Says the first fault in time."""
    slots = Slots(domain)
    for what, fine in first.items():
        if not fine.all():
            _fail_as_not_finite(domain, what, "of a first state", "")

    def not_finite(what: str, t: int, row: int) -> None:
        _fail_as_not_finite(domain, what, f"at step {t}", f", after {names[row]}")

    def no_class(t: int, row: int) -> None:
        region, source = divmod(int(seen.influence.place[t, row]), domain.spec.sources)
        fail(
            f"global_simulator.step influence at step {t}",
            f"{slots.region(region)}, source {source} has class "
            f"{class_said(seen.influence.value[t, row])}",
            f"classes are 0 .. {domain.spec.classes - 1} (after {names[row]})",
        )

    def otherwise(leaf: tuple[str, str, tuple[int, ...]], found: Difference, *at: int) -> None:
        part, name, shape = leaf
        whose = slots.owner(np.unravel_index(int(found.place[at]), shape), part == "reward")
        said = f"{values_of(found, at, counts)}, after {names[at[1]]}"
        fail_as_otherwise(f"{part}{name}", whose, f"step {at[0]}", said, methods_of(domain))

    faults: list[tuple[np.ndarray, Callable[[int, int], None]]] = [
        *((counts & ~fine, partial(not_finite, what)) for what, fine in seen.finite.items()),
        (counts & seen.influence.any, no_class),
        *(
            (beyond_rounding(found, counts), partial(otherwise, leaf, found))
            for leaf, found in zip(leaves, seen.differences, strict=True)
        ),
    ]
    met = [(int(where.any(1).argmax()), where, say) for where, say in faults if where.any()]
    if met:
        t, where, say = min(met, key=lambda one: one[0])
        say(t, int(where[t].argmax()))


def _fail_as_not_finite(domain: Domain, what: str, when: str, after: str) -> None:
    owner, method = what.split()[0].split(".")
    place = defined_at(getattr(getattr(domain, owner), method))
    fail(f"{what} {when}", f"not finite{after}", f"look for 0/0 and log 0 in it{place}")


def methods_of(domain: Domain) -> str:
    """Which methods of a traced domain are to be compared, and where the user wrote them."""
    local, whole = domain.local_simulator.step, domain.global_simulator
    step, regions, noise = (
        f"{name}{defined_at(getattr(whole, name))}" for name in ("step", "regions", "region_noise")
    )
    mine = f"local_simulator.step{defined_at(local)}"
    return f"compare {mine} with global_simulator.{step}, {regions} and {noise}"


def fail_as_otherwise(
    field: str, whose: tuple[str, list[int]], when: str, said: str, methods: str
) -> NoReturn:
    """The sentence of the factorisation test.

    Args:
        field: "reward", "terminated", "state", or a part of the state such as "state.speed".
        whose: the worst difference is, and where in it; see `Slots.owner`.
        when: it happened.
        said: of the two values.
        methods: to be compared.
    """
    owner, inside = whose
    fail(
        f"factorisation: {field}{inside or ''} of {owner} at {when}",
        f"{said}; the local simulator, given the true influence and noise, moved otherwise than "
        "its region of the global simulator",
        methods,
    )


def _judge_policy(
    domain: Domain, name: str, low: np.ndarray, high: np.ndarray, counts: np.ndarray
) -> None:
    last, where = domain.spec.actions - 1, f"scripted[{name!r}]"
    for actions in (low[counts], high[counts]):
        wrong = (actions < 0) | (actions > last)
        if wrong.any():
            fail(where, f"action {actions[wrong][0]}", f"actions are 0 .. {last}")
