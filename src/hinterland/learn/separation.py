"""Trajectory separation: reward, value, log-probability, advantage and entropy kept per group.

Entities are born, pause and die in numbered slots; a grouping says which slots share a trajectory.
Each entity for itself is the finest one, all of them in one group is ordinary team learning. What
a group does at one step is one *cell*, and one sample of the loss (`ppo`).

After the MagMA agent for Lux AI (TDK thesis and poster, 2023) and Takács, Gulyás and Magyar,
"Trajectory Separation for Scalable Credit Assignment in Cooperative MARL" (2026).
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.learn.targets import Estimates, gae, vtrace

PARTS = ("reward", "critic", "advantage", "probabilities", "entropy", "dones")
"""What can be separate or global, each by itself."""

KEEP_RULES = ("all", "top", "top-abs", "top-return", "random")

Each = Float[Array, "*any group"]
Flags = Bool[Array, "*any group"]


class Separation(NamedTuple):
    """Which parts of the trajectories are separate; all of them by default.

    Attributes:
        own: weight w of a group's own reward in w·own + (1-w)·team.
        team_reward: the team's reward, as mean or as sum over living groups.
        global_parts: names out of `PARTS` that all groups of a step have in common:
            reward: every group gets the team's reward (w = 0).
            critic: one value for the team, the sum of all groups' values.
            advantage: one advantage for the team; it needs the team's reward, critic and dones.
            probabilities: one ratio for the team, the product over all groups.
            entropy: the sum over all groups, for each of them.
            dones: a trajectory goes on to the episode's end, over deaths and before births.
        keep: which cells of a step are learned from, a word of `KEEP_RULES`.
        keep_count: at most so many of each step (not for "all").
        normaliser: what the loss's sums are divided by (see `cells.cell_weights`).
    """

    own: float = 1.0
    team_reward: Literal["mean", "sum"] = "mean"
    global_parts: frozenset[str] = frozenset()
    keep: str = "all"
    keep_count: int = 0
    normaliser: Literal["cells", "steps", "fixed"] = "cells"

    def is_global(self, part: str) -> bool:
        """Whether all groups share this part; a global advantage comes from the team's critic."""
        implied = part == "critic" and "advantage" in self.global_parts
        return part in self.global_parts or implied


def by_entity(slots: int) -> Int[Array, " slots"]:
    """Each slot is a group of its own."""
    return jnp.arange(slots)


def by_remainder(identity: Int[Array, "*any slots"], groups: int) -> Int[Array, "*any slots"]:
    """Identity modulo the number of groups."""
    return identity % groups


def by_nearest(
    position: Float[Array, "*any slots axes"],
    centre: Float[Array, "*any centres axes"],
    present: Bool[Array, "*any centres"],
) -> Int[Array, "*any slots"]:
    """The number of the nearest centre that is present (the first of equally near ones).

    A group is then as alive as its members, not as its centre.
    """
    offset = position[..., :, None, :] - centre[..., None, :, :]
    distance = jnp.where(present[..., None, :], (offset**2).sum(-1), jnp.inf)
    return distance.argmin(-1)


def single(slots: int) -> Int[Array, " slots"]:
    """All slots in one group: the ordinary, fully global trajectory."""
    return jnp.zeros(slots, jnp.int32)


def apart_by_kind(
    group: Int[Array, "*any slots"], kind: Int[Array, "*any slots"], groups: tuple[int, ...]
) -> Int[Array, "*any slots"]:
    """Groupings of each kind side by side: kind k's groups are numbered behind those before it.

    Args:
        group: the group within the kind.
        kind: 0, 1, ...
        groups: number of groups of each kind; the whole has their sum.
    """
    before = jnp.cumsum(jnp.array((0, *groups[:-1])))
    return group + before[kind]


def into_groups(
    x: Array, group: Int[Array, "... slots"] | None, member: Bool[Array, "*any slots"], groups: int
) -> Array:
    """Sums over the members of each group, [..., slots] to [..., groups].

    Args:
        x: one number for each slot; booleans count.
        group: group number of each slot, with the leading axes of `x` or without; None: each slot
            is a group of its own.
        member: slots that count; what stands in others (even NaN) does not matter.
        groups: number of groups.
    """
    kept = jnp.where(member, x, 0)
    if group is None:
        return kept
    kept = kept.reshape(-1, x.shape[-1])
    numbers = jnp.broadcast_to(group, x.shape).reshape(kept.shape)
    sums = jax.vmap(lambda v, g: jnp.zeros(groups, v.dtype).at[g].add(v))(kept, numbers)
    return sums.reshape(*x.shape[:-1], groups)


class Groups(NamedTuple):
    """Experience seen by groups; `size` counts the members that had something to choose."""

    log_probability: Float[Array, "time copy group"]
    value: Float[Array, "time copy group"]
    next_value: Float[Array, "time copy group"]
    reward: Float[Array, "time copy group"]
    alive: Bool[Array, "time copy group"]
    size: Int[Array, "time copy group"]
    next_alive: Bool[Array, "time copy group"]
    ended: Bool[Array, "time copy group"]

    @property
    def active(self) -> Bool[Array, "time copy group"]:
        """Cells that can be learned from."""
        return self.size > 0


def team_sum(x: Each) -> Each:
    """The sum over groups, for each of them."""
    return jnp.broadcast_to(x.sum(-1, keepdims=True), x.shape)


def team_rewards(reward: Each, alive: Flags, how: Literal["mean", "sum"]) -> Float[Array, "*any 1"]:
    """Mean or sum over living groups; 0 where there is none."""
    total = jnp.where(alive, reward, 0.0).sum(-1, keepdims=True)
    return total / jnp.maximum(alive.sum(-1, keepdims=True), 1) if how == "mean" else total


def mix_rewards(
    reward: Each, alive: Flags, own: float, team_reward: Literal["mean", "sum"]
) -> Each:
    """w·own + (1-w)·team for living groups, 0 for others."""
    team = team_rewards(reward, alive, team_reward)
    return jnp.where(alive, own * reward + (1 - own) * team, 0.0)


def advantages(
    groups: Groups,
    separation: Separation,
    discount: float,
    trace: float,
    log_ratio: Float[Array, "time copy group"] | None = None,
) -> Estimates:
    """Advantages and value targets of every group's trajectory.

    A death ends the group's trajectory as a termination ends an episode; the reward of the last
    step stays with it. A birth begins one: nothing flows back over it. Truncation bootstraps: of
    who was truncated while the others go on, `next_value` counts although it is not alive. All is 0
    where nobody lives.

    Args:
        groups: experience.
        separation: which parts are separate.
        discount, trace: gamma and lambda.
        log_ratio: of the policy that learns over the one that acted, for V-trace; None: they are
            the same, and generalised advantage estimation is enough.
    """
    alive, next_value = groups.alive, groups.next_value
    value = jnp.where(alive, groups.value, 0.0)
    if separation.is_global("advantage"):
        reward = team_rewards(groups.reward, alive, separation.team_reward)
        value, next_value = (x.sum(-1, keepdims=True) for x in (value, next_value))
        done = groups.ended.any(-1, keepdims=True)
        ratio = None if log_ratio is None else log_ratio.sum(-1, keepdims=True)
    else:
        own = 0.0 if separation.is_global("reward") else separation.own
        reward = mix_rewards(groups.reward, alive, own, separation.team_reward)
        if separation.is_global("critic"):
            value = jnp.where(alive, team_sum(value), 0.0)
            next_value = jnp.where(groups.next_alive, team_sum(next_value), 0.0)
        done, ratio = groups.ended, log_ratio
        if not separation.is_global("dones"):
            done = done | ~groups.next_alive
        if log_ratio is not None and separation.is_global("probabilities"):
            ratio = team_sum(log_ratio)
    parts = [reward, value, next_value, done] + ([] if ratio is None else [ratio])
    streams = [x.reshape(x.shape[0], -1) for x in parts]
    along = gae if ratio is None else vtrace
    found = jax.vmap(lambda *x: along(*x, discount, trace), in_axes=1, out_axes=1)(*streams)
    found = jax.tree.map(lambda x: x.reshape(reward.shape), found)
    if ratio is None:
        found = Estimates(found, found + value, value, None)
    return jax.tree.map(lambda x: jnp.where(alive, jnp.broadcast_to(x, alive.shape), 0.0), found)


def kept_cells(
    key: Key[Array, ""],
    rule: str,
    count: int,
    advantage: Each,
    target: Each,
    active: Flags,
    eligible: Flags | None = None,
) -> Flags:
    """Sample reduction: of each step, at most `count` of the active cells are learned from.

    Args:
        key: consumed by rule "random".
        rule: "all"; "top" (highest advantage), "top-abs" (largest), "top-return" (highest value
            target) or "random".
        count: how many.
        advantage, target: of each cell.
        active: cells that there are.
        eligible: cells to which the rule applies (all by default); others are always kept.
    """
    if rule == "all":
        return active
    eligible = jnp.ones_like(active) if eligible is None else eligible
    score = {
        "top": lambda: advantage,
        "top-abs": lambda: jnp.abs(advantage),
        "top-return": lambda: target,
        "random": lambda: jax.random.uniform(key, active.shape),
    }[rule]()
    order = jnp.argsort(jnp.where(active & eligible, -score, jnp.inf), axis=-1)
    rank = jnp.argsort(order, axis=-1)
    return active & (~eligible | (rank < count))
