"""How two answers that should be the same differ: where, how much, and if by more than rounding.

Whole numbers and truths must be equal. Real numbers may differ by rounding, since a global
simulator may add the same numbers in another order than a local one: by `relative(dtype)` of their
own size, or, near zero, of the field's largest value (at most 1), which is what a sum of terms of
that size leaves when they cancel.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class Difference(NamedTuple):
    """Of two arrays: their worst place. Scalars, or arrays of those of many comparisons."""

    beyond: Float[Array, "*any"]
    """Distance there, if it is more than rounding of these two values; else 0."""
    place: Int[Array, "*any"]
    """Flat index."""
    mine: Any
    theirs: Any
    largest: Float[Array, "*any"]
    """Largest value of the two arrays."""
    distance: Float[Array, "*any"]
    """Largest distance of all, rounding included."""


def relative(dtype: Any) -> float:
    """How much of their size two numbers of this type may differ; 0 for whole numbers."""
    if not jnp.issubdtype(dtype, jnp.inexact):
        return 0.0
    return min(64 * float(jnp.finfo(dtype).eps), 0.01)


def difference(mine: Any, theirs: Any) -> Difference:
    """Compares two arrays of one shape, of at least one element; traced by JAX.

    NaN equals NaN: that it appeared at all is another check's business.
    """
    a, b = plain(mine), plain(theirs)
    kind = jnp.promote_types(a.dtype, b.dtype)
    a, b = (x.astype(kind).reshape(-1) for x in (a, b))
    if jnp.issubdtype(kind, jnp.inexact):
        same = (a == b) | (jnp.isnan(a) & jnp.isnan(b))
        distance = jnp.where(same, 0, jnp.abs(a - b)).astype(jnp.float32)
        distance = jnp.where(jnp.isnan(distance), jnp.inf, distance)
        size = jnp.maximum(jnp.abs(a), jnp.abs(b)).astype(jnp.float32)
        size = jnp.where(jnp.isfinite(size), size, 0.0)
        beyond = jnp.where(distance > relative(kind) * size, distance, 0.0)
    else:
        distance = jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32))
        # Large whole numbers that differ may be one float.
        distance = beyond = jnp.where(a != b, jnp.maximum(distance, 1.0), 0.0)
        size = jnp.zeros(1)
    place = beyond.argmax()
    return Difference(beyond.max(), place, a[place], b[place], size.max(), distance.max())


def beyond_rounding(found: Difference, counts: Bool[np.ndarray, "*any"]) -> np.ndarray:
    """Which of many comparisons of a field differ; those that do not count give no scale either."""
    floor = _floor(found, counts)
    return counts & (np.asarray(found.beyond) > relative(found.mine.dtype) * floor)


def largest_distance(found: Difference, counts: Bool[np.ndarray, "*any"]) -> float:
    """Of those that count."""
    return float(np.where(counts, np.asarray(found.distance), 0).max(initial=0))


def values_of(found: Difference, at: tuple[int, ...], counts: Bool[np.ndarray, "*any"]) -> str:
    """Both values of the comparison at this place, and how far apart they are; for a sentence."""
    mine, theirs = (np.asarray(x)[at] for x in (found.mine, found.theirs))
    said = f"local {_number(mine)}, global {_number(theirs)}"
    if mine.dtype.kind == "b":
        return said
    if not (part := relative(mine.dtype)):
        return f"{said}: difference {abs(int(mine) - int(theirs))}"
    size = max(abs(mine), abs(theirs)) if np.isfinite(mine) and np.isfinite(theirs) else 0
    rounding = part * max(float(size), _floor(found, counts))
    apart = float(abs(mine - theirs))
    return f"{said}: difference {apart:.2g}, of which rounding may explain {rounding:.2g}"


def _floor(found: Difference, counts: np.ndarray) -> float:
    return min(1.0, float(np.where(counts, np.asarray(found.largest), 0).max(initial=0)))


def _number(value: Any) -> str:
    whole = value.dtype.kind in "biu"
    return str(value) if whole or value.dtype.kind == "c" else f"{float(value):.9g}"


def leaf_names(tree: Any) -> list[str]:
    """Where each leaf is, such as ".speed" or "['cars'][0]"; "" where there is only one."""
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def plain(leaf: Any) -> jax.Array:
    """The leaf as numbers; of JAX's keys their data."""
    leaf = jnp.asarray(leaf)
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
