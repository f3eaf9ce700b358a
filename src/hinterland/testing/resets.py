"""Whether first states depend on their keys."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hinterland.testing.differences import plain
from hinterland.testing.expectations import attempt, quickly_compiled
from hinterland.testing.notes import NOTE

KEYS = 10
"""Whose first states are compared."""


def reset_notes(key: jax.Array, resets: Mapping[str, Callable[[Any], Any]]) -> list[str]:
    """One for each `reset`, by its name, that gives the same state whatever its key."""

    @quickly_compiled
    def begin(keys: Any) -> list[Any]:
        return [varies(jax.vmap(reset)(keys)) for reset in resets.values()]

    found = attempt("a first state, traced by JAX", begin, jax.random.split(key, KEYS))
    return [same_start(name) for name, differs in zip(resets, found, strict=True) if not differs]


def same_start(name: str) -> str:
    """The note on a `reset` of that name."""
    return (
        f"{NOTE}{name} gives the same state for {KEYS} keys: right if all episodes begin alike, "
        "else draw it from the key"
    )


def varies(tree: Any) -> Any:
    """Whether states of several keys are not all the same; traced by JAX."""
    leaves = [plain(leaf) for leaf in jax.tree.leaves(tree)]
    return jnp.array([(leaf != leaf[:1]).any() for leaf in leaves]).any()
