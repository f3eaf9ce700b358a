"""M-PPO: proximal policy optimisation whose samples are the cells of separated trajectories.

The loss is a weighted sum over cells, L = Σ w (policy + c_v value - c_e entropy), whose weights and
normalised advantages are fixed for a whole minibatch. So a minibatch may be cut into pieces whose
gradients are added up: memory is bounded and the result is the same.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from hinterland.core import EntityNetwork
from hinterland.learn.ppo import (
    Learner,
    PPOSettings,
    clipped_surrogate,
    in_minibatches,
    value_error,
    weighted,
)
from hinterland.learn.separation import Separation, into_groups, team_sum
from hinterland.learn.separation_cells import Cells, cell_weights, normalised

SIZES = ((1, 1), (2, 3), (4, 7), (8, None))
"""Classes of group sizes (lowest, highest) by which clipping is reported.

A group's ratio is the product of its members', so large groups leave the clip range far sooner.
"""
LOSSES = ("loss/policy", "loss/value", "entropy", "kl")


def separated_loss(
    network: EntityNetwork,
    cells: Cells,
    weight: Float[Array, "row group"],
    clip: float | Array,
    entropy_weight: float | Array,
    settings: PPOSettings,
    separation: Separation,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Clipped surrogate, value and entropy terms of (a piece of) a minibatch, as weighted sums.

    Args:
        network: evaluated on every row.
        cells: with advantages as they shall count (`normalised`).
        weight: of each cell, 0 where it does not count.
        clip: range of the ratio, and of values if they are clipped.
        entropy_weight: of the entropy bonus, now.
        settings: the value loss's weight and clipping.
        separation: which parts are separate.

    Returns:
        The loss, and sums to be added up over pieces: `LOSSES`, weighted, and by group size the
        numbers of cells ("cells/...") and of those outside of the clip range ("clipped/...").
    """
    each = network.evaluate(cells.observation, cells.action, cells.mask)
    members = (cells.acting, cells.acting, cells.alive)
    groups = weight.shape[-1]
    log_probability, entropy, value = (
        into_groups(x, cells.group, member, groups) for x, member in zip(each, members, strict=True)
    )
    if separation.is_global("probabilities"):
        log_probability = team_sum(log_probability)
    if separation.is_global("entropy"):
        entropy = team_sum(entropy)
    if separation.is_global("critic"):
        value = team_sum(value)
    # Cells that do not count have no ratio: exp of a difference there may overflow.
    log_ratio = jnp.where(weight > 0, log_probability - cells.log_probability, 0.0)
    ratio = jnp.exp(log_ratio)
    surrogate = clipped_surrogate(ratio, cells.advantage, clip)
    error = value_error(value, cells.value, cells.target, clip, settings)
    losses = (-surrogate, 0.5 * error, entropy, ratio - 1 - log_ratio)
    terms = {name: (weight * x).sum() for name, x in zip(LOSSES, losses, strict=True)}
    total = weighted(terms, entropy_weight, settings)
    return total, terms | _counts(cells, jnp.abs(ratio - 1) > clip)


def _counts(cells: Cells, outside: Bool[Array, "row group"]) -> dict[str, Array]:
    """Cells, and cells outside of the clip range, by the size of their group."""
    counts: dict[str, Array] = {}
    for lowest, highest in SIZES:
        within = cells.kept & (cells.size >= lowest)
        if highest is not None:
            within = within & (cells.size <= highest)
        name = size_name(lowest, highest)
        counts[f"cells/{name}"] = within.sum()
        counts[f"clipped/{name}"] = (within & outside).sum()
    return counts


def size_name(lowest: int, highest: int | None) -> str:
    """Such as 1, 2-3 or 8+."""
    if highest is None:
        return f"{lowest}+"
    return str(lowest) if lowest == highest else f"{lowest}-{highest}"


def gradient(
    network: EntityNetwork,
    cells: Cells,
    weight: Float[Array, "row group"],
    pieces: int,
    how: tuple[float | Array, float | Array, PPOSettings, Separation],
) -> tuple[Any, dict[str, Array]]:
    """The gradient of `separated_loss` on a minibatch, from `pieces` of it one after another.

    Args:
        network: as in `separated_loss`.
        cells: rows of the minibatch; their number is a multiple of `pieces`.
        weight: as in `separated_loss`.
        pieces: only one piece's activations are in memory at a time.
        how: further arguments of `separated_loss`.
    """
    cut = jax.tree.map(lambda x: x.reshape(pieces, -1, *x.shape[1:]), (cells, weight))

    def one(piece: tuple[Cells, Array]) -> tuple[Any, dict[str, Array]]:
        return jax.grad(separated_loss, has_aux=True)(network, *piece, *how)

    if pieces == 1:
        return one(jax.tree.map(lambda x: x[0], cut))
    start = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(one, jax.tree.map(lambda x: x[0], cut)),
    )
    add = lambda sums, piece: (jax.tree.map(jnp.add, sums, one(piece)), None)  # noqa: E731
    return jax.lax.scan(add, start, cut)[0]


def separated_update(
    key: Key[Array, ""],
    learner: Learner,
    cells: Cells,
    settings: PPOSettings,
    separation: Separation,
    pieces: int = 1,
) -> tuple[Learner, dict[str, Array]]:
    """All epochs over one rollout, in minibatches of whole environment steps.

    Args:
        key: consumed.
        learner: of the one network that all slots' policies are parts of.
        cells: of the whole rollout; a multiple of minibatches x pieces rows.
        settings: hyperparameters.
        separation: which parts are separate.
        pieces: into which each minibatch is cut, to bound memory.

    Returns:
        The learner, and sums as in `separated_loss`, over all minibatches, with "minibatches",
        "active" and "grid" (cells with a choice, and all cells of the rollout); `measures` turns
        them into metrics.
    """
    rows = cells.kept.shape[0]
    cells_per_row = cells.kept.sum() / rows

    def of_minibatch(network: Any, chosen: Array, clip: Array, entropy_weight: Array) -> tuple:
        batch = jax.tree.map(lambda x: x[chosen], cells)
        batch = batch._replace(advantage=normalised(batch.advantage, batch.kept))
        weight = cell_weights(batch.kept, separation.normaliser, cells_per_row)
        how = (clip, entropy_weight, settings, separation)
        return gradient(network, batch, weight, pieces, how)

    learner, terms = in_minibatches(key, learner, settings, rows, of_minibatch)
    sums = {name: x.sum() for name, x in terms.items()}
    sums["minibatches"] = jnp.int32(settings.epochs * settings.minibatches)
    sums["active"], sums["grid"] = (cells.size > 0).sum(), jnp.int32(cells.size.size)
    return learner, sums


def measures(sums: dict[str, float]) -> dict[str, float]:
    """Metrics out of the sums of any number of updates.

    Mean losses, the clip fraction over all cells and by group size (of sizes that occurred), and
    the fraction of cells that were active.
    """
    found = {name: sums[name] / sums["minibatches"] for name in LOSSES}
    names = [size_name(*size) for size in SIZES]
    by_size = {name: (sums[f"clipped/{name}"], sums[f"cells/{name}"]) for name in names}
    clipped, cells = (sum(x) for x in zip(*by_size.values(), strict=True))
    found["clip_fraction"] = clipped / max(cells, 1)
    found |= {f"clip_fraction/size/{n}": out / of for n, (out, of) in by_size.items() if of}
    return found | {"active_fraction": sums["active"] / sums["grid"]}
