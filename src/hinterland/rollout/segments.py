"""How a worker turns what its actors show into segments: the same steps, traced or on hosts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from hinterland.core import EntityTrajectory, Segment
from hinterland.rollout.actors import HostActor, HostPlace, System, View
from hinterland.rollout.entities import EntityCopies
from hinterland.rollout.opponents import (
    Opposing,
    Seats,
    first_opposing,
    opposing_actions,
    opposing_view,
    results_of,
)


class Place(NamedTuple):
    """Where a worker stands between two segments."""

    copies: Any
    """`EntityCopies`, or on hosts a `HostPlace`."""
    carry: Float[Any, "copy slots hidden"]
    fresh: Bool[Any, "copy slots"]
    """Slots whose recurrent state begins anew at the next step."""
    opposing: Any = ()
    """`Opposing`, where the other side is played by policies."""


class _Chosen(NamedTuple):
    """One step's decisions."""

    action: Any
    log_probability: Any
    value: Any


def begin_place(
    network: Any, copies: EntityCopies | HostPlace, count: int, opposed: bool = False
) -> Place:
    """At the start: nobody remembers anything."""
    carry = network.initial(count)
    opposing = first_opposing(network, count) if opposed else ()
    return Place(copies, carry, jnp.ones(carry.shape[:2], bool), opposing)


def _decide(key: Any, network: Any, carry: Any, fresh: Any, view: View) -> tuple[Any, _Chosen]:
    """(recurrent states after the step, decisions)."""
    before = jnp.where(fresh[..., None], 0.0, carry)
    after, *chosen = network.act(key, before, view.observation, view.mask, view.central)
    return after, _Chosen(*chosen)


def _value(network: Any, carry: Any, fresh: Any, view: View) -> Any:
    before = jnp.where(fresh[..., None], 0.0, carry)
    return network.step(before, view.observation, view.mask, view.central)[2]


def traced_segment(
    key: Key[Array, ""],
    system: System,
    network: Any,
    place: Place,
    steps: int,
    seats: Seats | None = None,
    scripts: Sequence[Any] = (),
) -> tuple[Place, Segment]:
    """`steps` steps of every copy of a system that JAX traces; finished episodes begin anew.

    Args:
        key: consumed.
        system: with a traced simulator.
        network: a `nets.TeamNetwork`.
        place: where the copies stand.
        steps: how many.
        seats: opponents of a two-sided system; None: the simulator plays the other side.
        scripts: hand-written policies that a seat may name.

    Returns:
        Where they stand after it, and the segment (versions, members, returns 0: the worker knows).
    """

    def step(place: Place, key: Array) -> tuple[Place, tuple]:
        action_key, world_key, other_key = jax.random.split(key, 3)
        view = system.look(place.copies.state)
        after, chosen = _decide(action_key, network, place.carry, place.fresh, view)
        theirs = None
        if seats is not None:
            other = opposing_view(system, place.copies.state)
            memory, theirs = opposing_actions(other_key, other, seats, place.opposing, scripts)
        copies, outcome, reached = system.act(world_key, place.copies, chosen.action, theirs)
        last = jax.lax.cond(
            outcome.truncated.any(),
            lambda: _value(network, after, ~view.alive, system.look(reached)),
            lambda: jnp.zeros_like(chosen.value),
        )
        ended = outcome.terminated | outcome.truncated
        opposing, games = (), jnp.zeros((len(ended), 0), jnp.int32)
        if seats is not None:
            opposing = Opposing(memory, ended[:, None] | ~other.alive)
            games = results_of(system, reached, ended)
        fresh = ended[:, None] | ~view.alive
        record = (view, place.fresh, chosen, outcome, last)
        return Place(copies, after, fresh, opposing), (record, games)

    before = jnp.where(place.fresh[..., None], 0.0, place.carry)
    after, (record, games) = jax.lax.scan(step, place, jax.random.split(key, steps))
    following = _value(network, after.carry, after.fresh, system.look(after.copies.state))
    segment = as_segment(before, *record, following, jnp)
    if seats is not None:
        count = seats.script.shape[0]
        results = games.sum(0).reshape(count, -1, 3).sum(1)
        segment = segment._replace(results=results, member=jnp.zeros(count, jnp.int32))
    return after, segment


def host_segment(
    key: Key[Array, ""],
    system: System,
    network: Any,
    actor: HostActor,
    place: Place,
    view: View,
    steps: int,
    stopping: Any,
) -> tuple[Place, View, Segment]:
    """The same on sessions; `view` is what they show now, and what they show after it is returned.

    `stopping` is called at every step; it raises to end the work.
    """
    carry, fresh = place.carry, place.fresh
    before = np.where(np.asarray(fresh)[..., None], np.float32(0), carry)
    record = []
    for t in range(steps):
        stopping()
        carry, decided = _decide_jit(key, t, network, carry, fresh, view)
        chosen = jax.tree.map(np.asarray, decided)
        outcome, reached, following_view = actor.act(chosen.action)
        last = np.zeros_like(chosen.value)
        if outcome.truncated.any() or outcome.cut.any():
            last = np.asarray(_value_jit(network, carry, ~view.alive, reached))
        record.append((view, fresh, chosen, outcome, last))
        ended = outcome.terminated | outcome.truncated
        fresh, view = ended[:, None] | ~view.alive, following_view
    following = np.asarray(_value_jit(network, carry, fresh, view))
    steps_of_all = jax.tree.map(lambda *x: np.stack(x), *record)
    place = Place(actor.place, np.asarray(carry), np.asarray(fresh))
    return place, view, as_segment(before, *steps_of_all, following, np)


@jax.jit
def _decide_jit(key, t, network, carry, fresh, view):  # type: ignore[no-untyped-def]
    return _decide(jax.random.fold_in(key, t), network, carry, fresh, view)


_value_jit = jax.jit(_value)


def as_segment(
    before: Any,
    view: Any,
    fresh: Any,
    chosen: _Chosen,
    outcome: Any,
    last: Any,
    following: Any,
    xp: Any,
) -> Segment:
    """What was recorded step by step, with the values of successors.

    Args:
        before: recurrent states at the start of the first step.
        view: [time, ...] as all that follow.
        fresh: whose recurrent state began anew.
        chosen: decisions.
        outcome: of the actions.
        last: values of the states reached, where an episode or a slot was truncated.
        following: values of the states after the last step, [copy, slots].
        xp: NumPy or JAX's.
    """
    ended = outcome.terminated | outcome.truncated
    later = xp.concatenate([chosen.value[1:], following[None]])
    next_alive = outcome.alive & ~outcome.terminated[..., None]
    next_value = xp.where(ended[..., None] | outcome.cut, last, later)
    worth = next_alive | outcome.cut
    trajectory = EntityTrajectory(
        observation=view.observation,
        action=chosen.action,
        mask=view.mask,
        log_probability=chosen.log_probability,
        value=chosen.value,
        next_value=xp.where(worth, next_value, 0.0),
        reward=xp.where(view.alive, outcome.reward, 0.0),
        alive=view.alive,
        acting=view.mask.any(-1),
        next_alive=next_alive,
        ended=ended,
    )
    version = xp.zeros(len(ended), xp.int32)
    nobody = (xp.zeros((0, 3), xp.int32), xp.zeros(0, xp.int32))
    return Segment(trajectory, view.central, fresh, before, version, *nobody, xp.zeros(2))
