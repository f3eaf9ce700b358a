"""The influence predictor's network: M categorical heads on the d-separating set."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hinterland.nets.layers import GRU, Linear


class PredictorNetwork(eqx.Module):
    """GRU then one dense layer, or one hidden dense layer with ReLU; bits are mapped to ±1.

    With the paper's sizes (37, GRU 64, 4 heads of 4 classes) it has 20,816 parameters.
    """

    first: GRU | Linear
    heads: Linear
    sources: int = eqx.field(static=True)

    def __init__(
        self,
        key: Key[Array, ""],
        dset: int,
        sources: int,
        classes: int,
        *,
        kind: Literal["gru", "feed-forward"] = "gru",
        hidden: int = 64,
    ) -> None:
        first_key, heads_key = jax.random.split(key)
        self.first = (GRU if kind == "gru" else Linear)(first_key, dset, hidden)
        self.heads = Linear(heads_key, hidden, sources * classes)
        self.sources = sources

    def initial(self, copies: int) -> Float[Array, "copy hidden"]:
        """Zeroed recurrent state; of width 0 for a feed-forward network."""
        width = self.first.width if isinstance(self.first, GRU) else 0
        return jnp.zeros((copies, width), jnp.float32)

    def step(
        self, carry: Float[Array, "copy hidden"], dset: Array
    ) -> tuple[Float[Array, "copy hidden"], Float[Array, "copy sources classes"]]:
        """(recurrent state, logits) after seeing one more element of the d-set."""
        x = _signs(dset)
        if isinstance(self.first, GRU):
            carry = self.first.step(carry, x)
            return carry, self._split(self.heads(carry))
        return carry, self._split(self.heads(jax.nn.relu(self.first(x))))

    def unroll(self, dset: Array) -> Float[Array, "time copy sources classes"]:
        """Logits along whole episodes, from the zeroed state."""
        x = _signs(dset)
        if isinstance(self.first, GRU):
            nowhere = jnp.zeros(x.shape[:2], bool)
            hidden = self.first.unroll(self.initial(x.shape[1]), x, nowhere)
        else:
            hidden = jax.nn.relu(self.first(x))
        return self._split(self.heads(hidden))

    def _split(self, logits: Array) -> Array:
        return logits.reshape(*logits.shape[:-1], self.sources, -1)


def _signs(bits: Array) -> Array:
    """Bits become ±1; real-valued inputs pass."""
    if jnp.issubdtype(bits.dtype, jnp.integer) or bits.dtype == jnp.bool_:
        return bits.astype(jnp.float32) * 2.0 - 1.0
    return bits.astype(jnp.float32)
