"""Frozen pytrees that travel between the rooms. Axis names: time, copy, agent, sources."""

from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Array, Bool, Float, Int

HostOrDevice = Array | np.ndarray
S = TypeVar("S")
G = TypeVar("G")


class Step(NamedTuple, Generic[S]):
    """One step of one region; no batch axis."""

    state: S
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]


class GlobalStep(NamedTuple, Generic[G]):
    """One step of the whole system; `influence` holds what really touched each region."""

    state: G
    reward: Float[Array, " agents"]
    terminated: Bool[Array, ""]
    influence: Int[Array, "agents sources"]


class EntityStep(NamedTuple, Generic[G]):
    """One step of a system of entities; a reward belongs to an entity alive before the step."""

    state: G
    reward: Float[Array, " slots"]
    terminated: Bool[Array, ""]


class Trajectory(NamedTuple):
    """What a learner learns from: windows of experience of ONE agent.

    `reset` marks steps at whose start a new episode began (recurrent state was zeroed there).
    `next_value` is the value of the successor *before* any reset, and 0 where the successor was
    terminal, so that values bootstrap across truncation but not across termination. `done` says
    that the trace must be cut after this step, for either reason. `carry` is the recurrent state
    stored at the first step of each window.
    """

    observation: Any  # [windows, time, copy, observation]
    action: Int[HostOrDevice, "windows time copy"]
    log_probability: Float[HostOrDevice, "windows time copy"]
    value: Float[HostOrDevice, "windows time copy"]
    next_value: Float[HostOrDevice, "windows time copy"]
    reward: Float[HostOrDevice, "windows time copy"]
    done: Bool[HostOrDevice, "windows time copy"]
    reset: Bool[HostOrDevice, "windows time copy"]
    carry: Any  # [windows, copy, ...]


class EntityTrajectory(NamedTuple):
    """Experience of all entities of a system, one array entry for each slot.

    `alive` says that the slot holds an entity, `acting` that this entity had something to choose:
    one that pauses is alive and not acting. `next_value` and `next_alive` are of the successor
    *before* any reset, and 0 and False where it was terminal; who is truncated while the others go
    on is not alive afterwards, and has the value of the state reached. `ended` says that the
    episode was over after this step, by termination or truncation.
    """

    observation: Any  # [time, copy, ...]
    action: Any  # [time, copy, ...]
    mask: Any  # [time, copy, ...], as used
    log_probability: Float[Array, "time copy slots"]
    value: Float[Array, "time copy slots"]
    next_value: Float[Array, "time copy slots"]
    reward: Float[Array, "time copy slots"]
    alive: Bool[Array, "time copy slots"]
    acting: Bool[Array, "time copy slots"]
    next_alive: Bool[Array, "time copy slots"]
    ended: Bool[Array, "time copy"]


class Segment(NamedTuple):
    """What a worker sends to the learner: some steps of all its copies, and how they were chosen.

    `central` is the whole system's state as a centralised critic sees it (of width 0 without one).
    `reset` marks slots whose recurrent state was zeroed before the step: an episode or an entity
    began. `carry` is the recurrent state before the first step, `version` that of the policy at
    each step, as the number of updates it had seen. `results` counts the games that ended against
    each opponent `member` of a pool: games, won, lost (no row where nobody opposes). `returns`: the
    sum of the returns of whole episodes that ended, all slots together, and their number.
    """

    trajectory: EntityTrajectory
    central: Float[HostOrDevice, "time copy central"]
    reset: Bool[HostOrDevice, "time copy slots"]
    carry: Float[HostOrDevice, "copy slots hidden"]
    version: Int[HostOrDevice, " time"]
    results: Int[HostOrDevice, "seat 3"]
    member: Int[HostOrDevice, " seat"]
    returns: Float[HostOrDevice, " 2"]


class InfluenceBatch(NamedTuple):
    """Whole episodes of (d-set, influence) pairs of one agent, from the global simulator."""

    dset: Any  # [episode, time, dset], in the domain's own dtype
    influence: Int[HostOrDevice, "episode time sources"]
    alive: Bool[HostOrDevice, "episode time"]
    """False after an early termination; such steps carry no information."""
