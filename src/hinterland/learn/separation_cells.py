"""From a rollout to the samples of a loss: one cell for each group and environment step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import EntityTrajectory
from hinterland.learn.ppo import PPOSettings
from hinterland.learn.separation import (
    Groups,
    Separation,
    advantages,
    into_groups,
    kept_cells,
    team_sum,
)


class Cells(NamedTuple):
    """What one update learns from: a row for each environment step of each copy."""

    observation: Any  # [row, ...]
    action: Any  # [row, ...]
    mask: Any  # [row, ...]
    group: Int[Array, "row slots"]
    alive: Bool[Array, "row slots"]
    acting: Bool[Array, "row slots"]
    log_probability: Float[Array, "row group"]
    value: Float[Array, "row group"]
    advantage: Float[Array, "row group"]
    target: Float[Array, "row group"]
    size: Int[Array, "row group"]
    kept: Bool[Array, "row group"]


def as_groups(trajectory: EntityTrajectory, group: Int[Array, "*any slots"], groups: int) -> Groups:
    """Sums over the living members of each group; `group` is [slots] or [time, copy, slots]."""
    alive, next_alive = trajectory.alive, trajectory.next_alive
    return Groups(
        log_probability=into_groups(trajectory.log_probability, group, trajectory.acting, groups),
        value=into_groups(trajectory.value, group, alive, groups),
        next_value=into_groups(trajectory.next_value, group, next_alive, groups),
        reward=into_groups(trajectory.reward, group, alive, groups),
        alive=into_groups(alive.astype(jnp.int32), group, alive, groups) > 0,
        size=into_groups(trajectory.acting.astype(jnp.int32), group, trajectory.acting, groups),
        next_alive=into_groups(next_alive.astype(jnp.int32), group, next_alive, groups) > 0,
        ended=trajectory.ended,
    )


def as_cells(
    key: Key[Array, ""],
    trajectory: EntityTrajectory,
    group: Int[Array, "*any slots"],
    groups: int,
    separation: Separation,
    settings: PPOSettings,
    eligible: Bool[Array, "*any group"] | None = None,
) -> Cells:
    """Groups, advantages, and the choice of cells; time and copies become rows.

    Args:
        key: consumed by the choice, if that is random.
        trajectory: experience of all slots.
        group: the group of each slot, [slots] or [time, copy, slots].
        groups: number of groups.
        separation: which parts are separate.
        settings: discount and trace.
        eligible: cells from which `separation.keep` chooses (all by default).
    """
    grouped = as_groups(trajectory, group, groups)
    advantage, target, value = advantages(grouped, separation, settings.discount, settings.trace)
    kept = kept_cells(
        key,
        separation.keep,
        separation.keep_count,
        advantage,
        target,
        grouped.active,
        None if eligible is None else jnp.broadcast_to(eligible, advantage.shape),
    )
    log_probability = grouped.log_probability
    if separation.is_global("probabilities"):
        log_probability = team_sum(log_probability)
    cells = Cells(
        trajectory.observation,
        trajectory.action,
        trajectory.mask,
        jnp.broadcast_to(group, trajectory.alive.shape),
        trajectory.alive,
        trajectory.acting,
        log_probability,
        value,
        advantage,
        target,
        grouped.size,
        kept,
    )
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), cells)


def cell_weights(
    kept: Bool[Array, "row group"], normaliser: str, cells_per_row: float | Array
) -> Float[Array, "row group"]:
    """The weight of each cell in the loss of a minibatch.

    - "cells": 1 / number of kept cells in the minibatch: their mean, as in the paper. A cell of a
      minibatch with few of them weighs more than one of a full minibatch.
    - "steps": the mean of each step's cells, then the mean of steps that have any. Every step
      weighs the same; a cell of a small population weighs more.
    - "fixed": 1 / (rows x `cells_per_row`), the same number for all minibatches of an update, so
      that every cell of the rollout weighs the same, wherever it falls.

    Args:
        kept: cells that count.
        normaliser: the word.
        cells_per_row: mean number of kept cells in a row of the whole rollout, for "fixed".
    """
    if normaliser == "steps":
        in_row = kept.sum(-1, keepdims=True)
        return kept / jnp.maximum(in_row, 1) / jnp.maximum((in_row > 0).sum(), 1)
    if normaliser == "fixed":
        return kept / jnp.maximum(kept.shape[0] * cells_per_row, 1e-8)
    return kept / jnp.maximum(kept.sum(), 1)


def normalised(
    advantage: Float[Array, "*row group"], kept: Bool[Array, "*row group"]
) -> Float[Array, "*row group"]:
    """Mean 0 and standard deviation 1 over the cells that count; 0 elsewhere."""
    count = jnp.maximum(kept.sum(), 1)
    centred = jnp.where(kept, advantage - jnp.where(kept, advantage, 0.0).sum() / count, 0.0)
    return centred / (jnp.sqrt((centred**2).sum() / count) + 1e-8)
