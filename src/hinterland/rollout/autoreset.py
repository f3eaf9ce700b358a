"""Starting new episodes, in the one place where it happens."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key


def select(condition: Bool[Array, " copy"], yes: Any, no: Any) -> Any:
    """Leaf by leaf, `yes` for copies where the condition holds and `no` elsewhere."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(condition.reshape(-1, *(1,) * (b.ndim - 1)), a, b)

    return jax.tree.map(choose, yes, no)


def reset_where(
    done: Bool[Array, " copy"], state: Any, reset: Callable[[Any], Any], key: Key[Array, ""]
) -> Any:
    """Fresh states for finished copies; nothing is computed when no copy has finished.

    `reset` takes keys [copy].
    """

    def renew() -> Any:
        fresh = reset(jax.random.split(key, done.shape[0]))
        return select(done, fresh, state)

    return jax.lax.cond(done.any(), renew, lambda: state)
