"""Frozen pytrees that travel between the rooms. Axis names: time, copy, agent, sources."""

from typing import Any, Generic, NamedTuple, TypeVar

from jaxtyping import Array, Bool, Float, Int

HostOrDevice = Any
"""JAX's arrays or NumPy's: the same code serves both, and who checks types knows no third name."""
S = TypeVar("S")
G = TypeVar("G")


class Step(NamedTuple, Generic[S]):
    """One step of one region; no batch axis, and a slot axis where k > 1 agents live in it."""

    state: S
    reward: Float[Array, "*slots"]
    terminated: Bool[Array, ""]


class GlobalStep(NamedTuple, Generic[G]):
    """One step of the whole system; `influence` holds what really touched each region.

    It is [regions, sources]; of regions of several kinds, a tuple with one such entry for each.
    """

    state: G
    reward: Float[Array, " agents"]
    terminated: Bool[Array, ""]
    influence: Int[Array, "regions sources"] | tuple[Int[Array, "_ _"], ...]


class EntityStep(NamedTuple, Generic[G]):
    """One step of a system of entities; a reward belongs to an entity alive before the step.

    Where the system is cut into regions, `influence` [regions, sources] holds what really touched
    each of them.
    """

    state: G
    reward: Float[Array, " slots"]
    terminated: Bool[Array, ""]
    influence: Any = None


class View(NamedTuple):
    """What all copies of a system show before a step.

    `acting` says which of the living entities have something to choose: one that pauses is alive
    and not acting. `central` is the whole system's state as a centralised critic sees it (of width
    0 without one). Observations and masks of games have a form of their own, without slots.
    """

    observation: Any  # [copy, slots, observation]
    mask: Any  # [copy, slots, actions]
    alive: Bool[HostOrDevice, "copy slots"]
    acting: Bool[HostOrDevice, "copy slots"]
    central: Float[HostOrDevice, "copy central"]


class Chosen(NamedTuple):
    """What a policy decided in one step. The mask is the one to score the action by."""

    action: Any  # [copy, slots]
    mask: Any  # as in `View`; of entities that choose in turn it is made while they choose
    log_probability: Float[HostOrDevice, "copy slots"]
    value: Float[HostOrDevice, "copy slots"]


class Segment(NamedTuple):
    """Some steps of all copies of one system: the only form in which experience exists.

    One array entry for each slot. `next_value` and `next_alive` are of the successor *before* any
    reset, and 0 and False where it was terminal; who is truncated while the others go on is not
    alive afterwards, and has the value of the state reached. So values bootstrap across truncation
    but not across death and termination. `ended` says that the slot's episode was over after this
    step, by termination or truncation. `reset` marks slots whose recurrent state was zeroed before
    the step: an episode or an entity began. `carry` is the recurrent state before the first step.
    """

    observation: Any  # [time, copy, slots, ...]
    mask: Any  # [time, copy, slots, ...], as used
    central: Float[HostOrDevice, "time copy central"]
    action: Any  # [time, copy, slots, ...]
    log_probability: Float[HostOrDevice, "time copy slots"]
    value: Float[HostOrDevice, "time copy slots"]
    next_value: Float[HostOrDevice, "time copy slots"]
    reward: Float[HostOrDevice, "time copy slots"]
    alive: Bool[HostOrDevice, "time copy slots"]
    acting: Bool[HostOrDevice, "time copy slots"]
    next_alive: Bool[HostOrDevice, "time copy slots"]
    ended: Bool[HostOrDevice, "time copy slots"]
    reset: Bool[HostOrDevice, "time copy slots"]
    carry: Float[HostOrDevice, "copy slots hidden"]


class InfluenceBatch(NamedTuple):
    """Whole episodes of (d-set, influence) pairs of one agent, from the global simulator."""

    dset: Any  # [episode, time, dset], in the domain's own dtype
    influence: Int[HostOrDevice, "episode time sources"]
    alive: Bool[HostOrDevice, "episode time"]
    """False after an early termination; such steps carry no information."""
