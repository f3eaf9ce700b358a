"""From experience to the samples of a loss: one cell for each group and environment step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import Segment
from hinterland.learn.separation import (
    Each,
    Flags,
    Groups,
    Separation,
    advantages,
    into_groups,
    kept_cells,
    team_sum,
)


class Credit(NamedTuple):
    """Whose experience is whose; what decides cells beside the experience itself. All static.

    Attributes:
        separation: which parts of trajectories are separate.
        group: the group of each slot of a team; None: each slot is a group of its own.
        teams: so many stand side by side in the slots; credit never crosses from one to another.
    """

    separation: Separation = Separation()
    group: tuple[int, ...] | None = None
    teams: int = 1

    def groups(self, slots: int) -> int:
        """Number of groups of all teams."""
        return slots if self.group is None else self.teams * (max(self.group) + 1)

    def numbers(self) -> Int[Array, " slots"] | None:
        """The group of each slot, those of all teams side by side; None as in `group`."""
        if self.group is None:
            return None
        each = max(self.group) + 1
        return jnp.array([team * each + g for team in range(self.teams) for g in self.group])

    def team_sum(self, x: Each) -> Each:
        """The sum over a team's groups, for each of them."""
        return team_sum(x.reshape(*x.shape[:-1], self.teams, -1)).reshape(x.shape)


class Cells(NamedTuple):
    """What one update learns from, beside the experience itself: [time, copy, group]."""

    log_probability: Float[Array, "time copy group"]
    """Of the policy around which is clipped."""
    value: Float[Array, "time copy group"]
    advantage: Float[Array, "time copy group"]
    target: Float[Array, "time copy group"]
    weight: Float[Array, "time copy group"] | None
    """Of samples of an older policy, or None: 1."""
    size: Int[Array, "time copy group"]
    kept: Bool[Array, "time copy group"]
    """Cells whose policy is learned."""
    valued: Bool[Array, "time copy group"]
    """Cells whose value is learned: the kept ones, and of living groups that had no choice."""


def as_groups(segment: Segment, group: Int[Array, "*any slots"] | None, groups: int) -> Groups:
    """Sums over the living members of each group; `group` is [slots] or [time, copy, slots]."""

    def summed(x: Array, member: Array) -> Array:
        return into_groups(x, group, member, groups)

    alive, next_alive, acting = segment.alive, segment.next_alive, segment.acting & segment.alive
    # Who was truncated while the others go on is worth its last value, which is 0 of the dead.
    worth = next_alive | (segment.next_value != 0.0)
    return Groups(
        log_probability=summed(segment.log_probability, acting),
        value=summed(segment.value, alive),
        next_value=summed(segment.next_value, worth),
        reward=summed(segment.reward, alive),
        alive=summed(alive, alive) > 0,
        size=summed(acting, acting),
        next_alive=summed(next_alive, next_alive) > 0,
        ended=summed(segment.ended, segment.ended) > 0,
    )


def as_cells(
    key: Key[Array, ""],
    segment: Segment,
    credit: Credit,
    discount: float,
    trace: float,
    now: tuple[Array, Array] | None = None,
) -> Cells:
    """Groups, advantages, and the choice of cells.

    Args:
        key: consumed by the choice, if that is random.
        segment, credit: experience of all slots, and whose is whose.
        discount, trace: gamma and lambda.
        now: (log-probabilities, values) [time, copy, slots] of the policy that learns, where an
            older one acted: advantages are V-trace's then, and is clipped around this one.
    """
    separation, number = credit.separation, credit.numbers()
    count = credit.groups(segment.alive.shape[-1])
    log_ratio = None
    if now is not None:
        log_probability, value = now
        acting = segment.acting & segment.alive
        log_ratio = into_groups(log_probability - segment.log_probability, number, acting, count)
        # Values of states outside of the segment stay the worker's. Of who is gone it is 0, or its
        # value where it was truncated.
        later = jnp.concatenate([value[1:], segment.next_value[-1:]])
        stays = segment.ended | ~segment.next_alive
        later = jnp.where(stays, segment.next_value, later)
        segment = segment._replace(log_probability=log_probability, value=value, next_value=later)
    whole = as_groups(segment, number, count)

    def apart(x: Array) -> Array:
        """Teams become copies."""
        return x.reshape(x.shape[0], -1, x.shape[-1] // credit.teams)

    teams = Groups(*map(apart, whole))
    ratio = None if log_ratio is None else apart(log_ratio)
    found = advantages(teams, separation, discount, trace, ratio)
    kept = kept_cells(
        key, separation.keep, separation.keep_count, found.advantage, found.target, teams.active
    )
    log_probability = teams.log_probability
    if separation.is_global("probabilities"):
        log_probability = team_sum(log_probability)
    valued = kept | (teams.alive & ~teams.active)
    cells = Cells(log_probability, **found._asdict(), size=teams.size, kept=kept, valued=valued)
    return jax.tree.map(lambda x: x.reshape(whole.alive.shape), cells)


def cell_weights(
    kept: Bool[Array, "time copy group"], normaliser: str, cells_per_step: float | Array
) -> Float[Array, "time copy group"]:
    """The weight of each cell in the loss of a minibatch.

    - "cells": 1 / number of kept cells in the minibatch: their mean, as in the paper. A cell of a
      minibatch with few of them weighs more than one of a full minibatch.
    - "steps": the mean of each step's cells, then the mean of steps that have any. Every step
      weighs the same; a cell of a small population weighs more.
    - "fixed": 1 / (steps x `cells_per_step`), the same number for all minibatches of an update, so
      that every cell of the experience weighs the same, wherever it falls.

    Args:
        kept: cells that count.
        normaliser: the word.
        cells_per_step: mean number of kept cells of a copy's step in all, for "fixed".
    """
    if normaliser == "steps":
        in_step = kept.sum(-1, keepdims=True)
        return kept / jnp.maximum(in_step, 1) / jnp.maximum((in_step > 0).sum(), 1)
    if normaliser == "fixed":
        steps = kept.size // kept.shape[-1]
        return kept / jnp.maximum(steps * cells_per_step, 1e-8)
    return kept / jnp.maximum(kept.sum(), 1)


def normalised(advantage: Each, kept: Flags) -> Each:
    """Mean 0 and standard deviation 1 over the cells that count; 0 elsewhere."""
    count = jnp.maximum(kept.sum(), 1)
    centred = jnp.where(kept, advantage - jnp.where(kept, advantage, 0.0).sum() / count, 0.0)
    return centred / (jnp.sqrt((centred**2).sum() / count) + 1e-8)


def windows_of(segment: Segment, windows: int) -> Segment:
    """Its windows as so many more copies: [windows x time, copy] becomes [time, windows x copy].

    `carry` is [windows x copy, ...] already.
    """

    def cut(x: Array) -> Array:
        time, copies = x.shape[0] // windows, x.shape[1]
        parts = x.reshape(windows, time, *x.shape[1:]).swapaxes(0, 1)
        return parts.reshape(time, windows * copies, *x.shape[2:])

    if windows == 1:
        return segment
    return jax.tree.map(cut, segment._replace(carry=None))._replace(carry=segment.carry)
