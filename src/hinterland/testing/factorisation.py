"""The factorisation test: every region of a traced system beside its local simulator, all at once.

Given the influence that really happened and its share of the noise, a local simulator must move as
its region of the global simulator does: the state that is reached, the reward, and whether the
episode is over. Observations and d-sets are functions of that state. A region's episode ends when
the whole system's does: what ends it elsewhere has to reach a region as influence. Rewards are of
agents: those of a region with several are compared one by one.

Whole episodes of all policies are one compiled program; only verdicts leave it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from hinterland.core import Domain, by_kind, for_each_kind, kinds_of, stream
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
from hinterland.testing.slots import Slots, by_agent, every_slots

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
    influence: list[_Wrong]  # one for each kind of regions
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
        for place, name in enumerate(domain.scripted):
            met = counts[:, names.index(f"scripted[{name!r}]")]
            for slots in every_slots(domain):
                of = (slice(None), place, slots.at)
                _judge_policy(slots, name, lowest[of], highest[of], met)
        steps += int(counts.sum())
        rounding = max([rounding, *(largest_distance(x, counts) for x in seen.differences)])
        at_once &= bool(seen.ended[0].all())
    if at_once and domain.spec.horizon > 1:
        fail_as_over_at_once(
            f"global_simulator.step terminated{defined_at(domain.global_simulator.step)}"
        )
    return Played(steps, rounding)


class _Leaf(NamedTuple):
    """One array that is compared."""

    slots: Slots
    part: str
    name: str
    shape: tuple[int, ...]


def _leaves(domain: Domain) -> list[_Leaf]:
    """Of all kinds of regions."""
    found = []
    for slots in every_slots(domain):
        key, reset = jax.random.key(0), slots.kind.reset
        state = jax.eval_shape(lambda key, of=reset: jax.tree.map(jnp.asarray, of(key)), key)
        form = jax.eval_shape(lambda x: [plain(leaf) for leaf in jax.tree.leaves(x)], state)
        named = zip(leaf_names(state), form, strict=True)
        found += [
            *(_Leaf(slots, "state", name, (slots.count, *x.shape)) for name, x in named if x.size),
            _Leaf(slots, "reward", "", (slots.count, *slots.shape)),
            _Leaf(slots, "terminated", "", (slots.count,)),
        ]
    return found


def compared(mine: Any, theirs: Any) -> list[Difference]:
    """Of (state, reward, terminated), each with a leading region axis."""
    pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
    return [difference(a, b) for a, b in pairs if jnp.size(a)]


def _program(domain: Domain, fixed: np.ndarray, length: int) -> Callable[[Key[Array, ""]], Any]:
    """One round of episodes as one function of its key."""
    spec, agents, every = domain.spec, domain.agents, every_slots(domain)
    whole, kinds = domain.global_simulator, kinds_of(domain)
    policies = [for_each_kind(policy, kinds) for policy in domain.scripted.values()]
    ends = np.cumsum([slots.count for slots in every]).tolist()
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
        chosen, after, low, high = [], [], [], []
        for number, (policy, memory) in enumerate(zip(policies, memories, strict=True)):
            rows = jnp.array([len(DRAWN) + number, RANDOM])
            keys = jax.random.split(jax.random.fold_in(key, number), (2, ends[-1]))
            keys = jnp.split(keys, ends[:-1], axis=1)
            regions = jax.tree.map(itemgetter(rows), before)
            parts = zip(policy, keys, memory, regions, strict=True)
            found = [jax.vmap(jax.vmap(one))(*those) for one, *those in parts]
            actions = [action.astype(jnp.int32) for action, _ in found]
            chosen.append(jax.vmap(partial(by_agent, domain))(actions)[0])
            low.append(jnp.stack([x.min() for x in actions]))
            high.append(jnp.stack([x.max() for x in actions]))
            after.append([memory for _, memory in found])
        return jnp.stack(chosen), jnp.stack(low), jnp.stack(high), after

    def advance(key: Any, state: Any, before: Any, actions: Any) -> tuple[Any, Any, _Seen]:
        """One step of one episode."""
        noise = whole.noise(key)
        moved = whole.step(state, actions, noise)
        shares = by_kind(domain, whole.region_noise(noise))
        influence = by_kind(domain, moved.influence)
        regions = by_kind(domain, whole.regions(moved.state))
        ended = jnp.asarray(moved.terminated)
        finite = {"global_simulator.step reward": _finite(moved.reward)} | _look(every, regions)
        differences = []
        for slots, *those in zip(every, before, influence, shares, regions, strict=True):
            was, touched, share, reached = those
            given = slots.by_region(actions)
            alone = jax.vmap(slots.local.step)(was, given, touched, share)
            mine = (alone.state, alone.reward, alone.terminated)
            rewards = slots.by_region(moved.reward)
            theirs = (reached, rewards, jnp.broadcast_to(ended, (slots.count,)))
            differences += compared(mine, theirs)
        wrong = [
            _out_of_range(touched, slots.kind.spec.classes)
            for slots, touched in zip(every, influence, strict=True)
        ]
        return moved.state, regions, _Seen(ended, finite, wrong, differences)

    def step(carry: Any, t: Any) -> tuple[Any, Any]:
        key, states, before, memories = carry
        lots, acting, moving = jax.random.split(jax.random.fold_in(key, t), 3)
        rows, low, high = [drawn(lots)], jnp.zeros(0, int), jnp.zeros(0, int)
        if policies:
            chosen, low, high, memories = scripted(acting, memories, before)
            rows.append(chosen)
        actions = jnp.concatenate([*rows, jnp.asarray(fixed)]).astype(jnp.int32)
        keys = jax.random.split(moving, count)
        states, before, seen = jax.vmap(advance)(keys, states, before, actions)
        return (key, states, before, memories), (seen, low, high)

    @quickly_compiled
    def episodes(key: Any) -> Any:
        begin, on = jax.random.split(key)
        states = jax.vmap(whole.reset)(jax.random.split(begin, count))
        before = by_kind(domain, jax.vmap(whole.regions)(states))
        first = jax.vmap(lambda regions: _look(every, regions))(before)

        def everywhere(x: Any, count: int) -> Any:
            return jnp.broadcast_to(jnp.asarray(x), (2, count, *jnp.shape(x)))

        memories = [
            [
                jax.tree.map(partial(everywhere, count=slots.count), one.initial)
                for one, slots in zip(policy, every, strict=True)
            ]
            for policy in policies
        ]
        _, found = jax.lax.scan(step, (on, states, before, memories), jnp.arange(length))
        return first, *found

    return episodes


def _finite(value: Any) -> Any:
    """Networks compute in 32 bits."""
    return jnp.isfinite(jnp.asarray(value).astype(jnp.float32)).all()


def _look(every: list[Slots], regions: Sequence[Any]) -> dict[str, Any]:
    return {
        f"{slots.name}.{name}": _finite(jax.vmap(getattr(slots.local, name))(states))
        for slots, states in zip(every, regions, strict=True)
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
    leaves: list[_Leaf],
    first: dict[str, np.ndarray],
    seen: _Seen,
    counts: np.ndarray,
) -> None:
    """Says the first fault in time."""
    for what, fine in first.items():
        if not fine.all():
            _fail_as_not_finite(domain, what, "of a first state", "")

    def not_finite(what: str, t: int, row: int) -> None:
        _fail_as_not_finite(domain, what, f"at step {t}", f", after {names[row]}")

    def no_class(slots: Slots, wrong: _Wrong, t: int, row: int) -> None:
        spec = slots.kind.spec
        region, source = divmod(int(wrong.place[t, row]), spec.sources)
        fail(
            f"global_simulator.step influence at step {t}",
            f"{slots.region(region)}, source {source} has class {class_said(wrong.value[t, row])}",
            f"classes are 0 .. {spec.classes - 1} (after {names[row]})",
        )

    def otherwise(leaf: _Leaf, found: Difference, *at: int) -> None:
        slots, part, name, shape = leaf
        whose = slots.owner(np.unravel_index(int(found.place[at]), shape), part == "reward")
        said = f"{values_of(found, at, counts)}, after {names[at[1]]}"
        fail_as_otherwise(f"{part}{name}", whose, f"step {at[0]}", said, methods_of(domain, slots))

    faults: list[tuple[np.ndarray, Callable[[int, int], None]]] = [
        *((counts & ~fine, partial(not_finite, what)) for what, fine in seen.finite.items()),
        *(
            (counts & wrong.any, partial(no_class, slots, wrong))
            for slots, wrong in zip(every_slots(domain), seen.influence, strict=True)
        ),
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
    owner, _, method = what.split()[0].rpartition(".")
    owners = {slots.name: slots.local for slots in every_slots(domain)}
    owners["global_simulator"] = domain.global_simulator
    place = defined_at(getattr(owners[owner], method))
    fail(f"{what} {when}", f"not finite{after}", f"look for 0/0 and log 0 in it{place}")


def methods_of(domain: Domain, slots: Slots) -> str:
    """Which methods of a traced domain are to be compared, and where the user wrote them."""
    local, whole = slots.local.step, domain.global_simulator
    step, regions, noise = (
        f"{name}{defined_at(getattr(whole, name))}" for name in ("step", "regions", "region_noise")
    )
    mine = f"{slots.name}.step{defined_at(local)}"
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
    slots: Slots, name: str, low: np.ndarray, high: np.ndarray, counts: np.ndarray
) -> None:
    last, where = slots.kind.spec.actions - 1, f"scripted[{name!r}]"
    where += f"[{slots.at}]" if slots.of else ""
    for actions in (low[counts], high[counts]):
        wrong = (actions < 0) | (actions > last)
        if wrong.any():
            fail(where, f"action {actions[wrong][0]}", f"actions are 0 .. {last}")
