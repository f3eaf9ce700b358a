"""A rollout turns policies into experience: some steps of all copies of a system, as a segment."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import Chosen, Segment, View
from hinterland.core.types import HostOrDevice
from hinterland.rollout.opponents import Opposing, Seats, opposing_actions, results_of
from hinterland.rollout.systems import Copies, TracedSystem, predicted, shown


class Place(NamedTuple):
    """Where copies stand between two segments."""

    copies: Any
    """`Copies`, or on hosts a `HostPlace`."""
    carry: Float[Any, "copy slots hidden"]
    fresh: Bool[Any, "copy slots"]
    """Slots whose recurrent state begins anew at the next step."""
    opposing: Any = ()
    """`Opposing`, where the other side is played by policies."""


class Outcome(NamedTuple):
    """What a step led to. `alive` is of the state reached, before any reset.

    `cut` marks slots that were truncated while the episode goes on: empty, and worth their value.
    """

    reward: Float[HostOrDevice, "copy slots"]
    terminated: Bool[HostOrDevice, "copy slots"]
    truncated: Bool[HostOrDevice, "copy slots"]
    alive: Bool[HostOrDevice, "copy slots"]
    cut: Bool[HostOrDevice, "copy slots"]


class Recorded(NamedTuple):
    """One step, or many on a leading time axis."""

    view: View
    fresh: Bool[HostOrDevice, "copy slots"]
    chosen: Chosen
    outcome: Outcome
    last: Float[HostOrDevice, "copy slots"]
    """Values of the states reached, where an episode or a slot was truncated."""


def phases(copies: int, horizon: int) -> Int[np.ndarray, " copy"]:
    """First clocks: ten different phases, so that copies do not all pass through the same part of
    an episode at once."""
    return ((np.arange(copies) * 10 // copies) * horizon // 10).astype(np.int32)


def begin(
    key: Key[Array, ""],
    system: TracedSystem,
    network: Any,
    copies: int,
    first: Any = None,
    opposed: bool = False,
) -> Place:
    """Copies of a traced system at the start of their first episodes.

    Args:
        key: consumed.
        system, network: whose, and the `core.Policy` that will act.
        copies, first: how many, and their clocks (`phases` by default).
        opposed: whether the other side will be played by policies.
    """
    clock = jnp.asarray(phases(copies, system.horizon) if first is None else first)
    clock = jnp.repeat(clock, system.teams)
    state = system.reset(jax.random.split(key, len(clock)))
    return begin_place(network, Copies(state, clock), copies, opposed)


def begin_place(network: Any, copies: Any, count: int, opposed: bool = False) -> Place:
    """At the start: nobody remembers anything."""
    carry = network.initial(count)
    fresh = jnp.ones(carry.shape[:2], bool)
    return Place(copies, carry, fresh, Opposing(carry, fresh) if opposed else ())


def traced_segment(
    key: Key[Array, ""],
    system: TracedSystem,
    network: Any,
    place: Place,
    window: int,
    windows: int = 1,
    seats: Seats | None = None,
    scripts: Sequence[Any] = (),
) -> tuple[Place, Segment, Int[Array, "seat 3"]]:
    """Steps of every copy of a system that JAX traces; finished episodes begin anew.

    Args:
        key: consumed.
        system, place: what is stepped, and where its copies stand.
        network: a `core.Policy`; actions are sampled.
        window: steps of each window, from whose start recurrent states are unrolled.
        windows: how many.
        seats: opponents of a two-sided system; None: the simulator plays the other side.
        scripts: hand-written policies that a seat may name.

    Returns:
        Where they stand after it, the segment [windows x window, copy, slots] with the recurrent
        states of each window's start [windows x copy], and (games, won, lost) against each seat.
    """

    def step(place: Place, key: Array) -> tuple[Place, tuple[Recorded, Array]]:
        noise_key, reset_key, action_key, other_key = jax.random.split(key, 4)
        copies = place.copies
        view = system.look(copies.state)
        after, chosen = network.act(action_key, _zeroed(place.carry, place.fresh), view)
        theirs, opposing = None, ()
        games = jnp.zeros((len(view.alive), 0), jnp.int32)
        if seats is not None:
            other = shown(*jax.vmap(system.simulator.opposing)(copies.state))
            memory, theirs = opposing_actions(other_key, other, seats, place.opposing, scripts)
        moved = system.move(noise_key, other_key, copies.state, chosen.action, theirs)
        clock = copies.clock + 1
        truncated = (clock >= system.horizon) & ~moved.terminated
        ended = truncated | moved.terminated
        last = jax.lax.cond(
            truncated.any(),
            lambda: network.value(_zeroed(after, ~view.alive), system.look(moved.state)),
            lambda: jnp.zeros_like(chosen.value),
        )
        alive, over = system.alive(moved.state), system.by_slot(ended)
        if seats is not None:
            opposing = Opposing(memory, over | ~other.alive)
            games = results_of(system, moved.state, ended)
        terminated, truncated = system.by_slot(moved.terminated), system.by_slot(truncated)
        outcome = Outcome(moved.reward, terminated, truncated, alive, jnp.zeros_like(alive))
        state = system.renewed(reset_key, ended, moved.state)
        copies = Copies(state, jnp.where(ended, 0, clock))
        record = Recorded(view, place.fresh, chosen, outcome, last)
        return Place(copies, after, over | ~view.alive, opposing), (record, games)

    def one_window(place: Place, keys: Array) -> tuple[Place, tuple]:
        before = network.starts(_zeroed(place.carry, place.fresh), system.look(place.copies.state))
        after, found = jax.lax.scan(step, place, keys)
        return after, (before, *found)

    keys = jax.random.split(key, windows * window)
    if windows == 1:
        after, (before, record, games) = one_window(place, keys)
    else:
        keys = keys.reshape(windows, window)
        after, (before, record, games) = jax.lax.scan(one_window, place, keys)
        before, record, games = jax.tree.map(
            lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), (before, record, games)
        )
    view = system.look(after.copies.state)
    following = network.value(_zeroed(after.carry, after.fresh), view)
    segment = as_segment(before, record, following, jnp)
    if seats is None:
        return after, segment, jnp.zeros((0, 3), jnp.int32)
    count = seats.script.shape[0]
    return after, segment, games.sum(0).reshape(count, -1, 3).sum(1)


def _zeroed(carry: Array, fresh: Array) -> Array:
    return jnp.where(fresh[..., None], 0.0, carry)


def host_segment(
    key: Key[Array, ""],
    network: Any,
    actor: Any,
    place: Place,
    window: int,
    windows: int = 1,
    stopping: Callable[[], None] = lambda: None,
) -> tuple[Place, Segment]:
    """The same on a `hosts.HostActor` or `hosts.HostRegions`, which shows where its copies stand.

    `stopping` is called at every step; it raises to end the work.
    """
    network = jax.device_put(network)
    carry, fresh, view = place.carry, place.fresh, actor.view
    record, before = [], []
    for t in range(windows * window):
        stopping()
        if t % window == 0:
            before.append(np.asarray(_asked("starts", network, carry, fresh, view)))
        began = time.perf_counter()
        carry, decided, drawn = _act_jit(key, t, network, carry, fresh, view, actor.predicting)
        chosen = jax.tree.map(np.asarray, decided)
        actor.spent["acting"] += time.perf_counter() - began
        outcome, reached = actor.act(chosen.action, drawn)
        last = np.zeros_like(chosen.value)
        if outcome.truncated.any() or outcome.cut.any():
            last = np.asarray(_asked("value", network, carry, ~view.alive, reached))
        record.append(Recorded(view, np.asarray(fresh), chosen, outcome, last))
        fresh = outcome.terminated | outcome.truncated | ~view.alive
        view = actor.view
    following = np.asarray(_asked("value", network, carry, fresh, view))
    steps = jax.tree.map(lambda *x: np.stack(x), *record)
    segment = as_segment(np.concatenate(before), steps, following, np)
    return Place(actor.place, np.asarray(carry), np.asarray(fresh)), segment


class Predicting(NamedTuple):
    """What influence is drawn by where local simulators live outside of JAX."""

    predictors: Any
    """The regions', stacked."""
    hidden: Float[HostOrDevice, "region copy hidden"]
    fresh: Bool[HostOrDevice, "region copy"]
    """Whose recurrent states begin anew."""
    dset: Any
    """[region, copy, dset]"""

    def draw(self, key: Key[Array, ""]) -> tuple[Array, Array]:
        """(recurrent states, influence [region, copy, sources])."""
        before = _zeroed(self.hidden, self.fresh)
        hidden, logits = predicted(self.predictors, before, self.dset)
        return hidden, jax.random.categorical(jax.random.fold_in(key, 1), logits)


@jax.jit
def _act_jit(key, t, network, carry, fresh, view, predicting):  # type: ignore[no-untyped-def]
    # One program for all that a step needs: a call from here costs as much as its arithmetic.
    key = jax.random.fold_in(key, t)
    after, chosen = network.act(key, _zeroed(carry, fresh), view)
    return after, chosen, None if predicting is None else predicting.draw(key)


@partial(jax.jit, static_argnames="what")
def _asked(what, network, carry, fresh, view):  # type: ignore[no-untyped-def]
    return getattr(network, what)(_zeroed(carry, fresh), view)


def as_segment(before: Any, steps: Recorded, following: Any, xp: Any) -> Segment:
    """What was recorded step by step, with the values of successors.

    Args:
        before: recurrent states at the start of each window.
        steps: [time, ...].
        following: values of the states after the last step, [copy, slots].
        xp: NumPy or JAX's.
    """
    view, fresh, chosen, outcome, last = steps
    ended = outcome.terminated | outcome.truncated
    later = xp.concatenate([chosen.value[1:], following[None]])
    next_alive = outcome.alive & ~outcome.terminated
    next_value = xp.where(ended | outcome.cut, last, later)
    return Segment(
        **{**view._asdict(), **chosen._asdict()},  # the mask as used
        next_value=xp.where(next_alive | outcome.cut, next_value, 0.0),
        reward=xp.where(view.alive, outcome.reward, 0.0),
        next_alive=next_alive,
        ended=ended,
        reset=fresh,
        carry=before,
    )
