"""One agent's policy and value on a shared trunk, feed-forward or recurrent."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from hinterland.nets.layers import GRU, Linear

IMPOSSIBLE = -1e9
"""Logit of an action that an agent does not have."""


class ActorCritic(eqx.Module):
    """Layer of width `hidden` (GRU, or dense with ReLU), dense trunk with ReLU, two heads.

    With the paper's sizes (37 observations, GRU 256, trunk 128, 4 actions) it has 260,101
    parameters, as the paper's code has.
    """

    first: GRU | Linear
    trunk: Linear
    actor: Linear
    critic: Linear

    def __init__(
        self,
        key: Key[Array, ""],
        observation: int,
        actions: int,
        *,
        kind: Literal["gru", "feed-forward"] = "gru",
        hidden: int = 256,
        trunk: int = 128,
    ) -> None:
        keys = jax.random.split(key, 4)
        layer = GRU if kind == "gru" else Linear
        self.first = layer(keys[0], observation, hidden)
        self.trunk = Linear(keys[1], hidden, trunk)
        self.actor = Linear(keys[2], trunk, actions)
        self.critic = Linear(keys[3], trunk, 1)

    def initial(self, copies: int) -> Float[Array, "copy hidden"]:
        """Zeroed recurrent state; of width 0 for a feed-forward network."""
        width = self.first.width if isinstance(self.first, GRU) else 0
        return jnp.zeros((copies, width), jnp.float32)

    def step(
        self, carry: Float[Array, "... hidden"], observation: Array
    ) -> tuple[Float[Array, "... hidden"], Float[Array, "... actions"], Float[Array, "..."]]:
        """(recurrent state, logits, values) after seeing one observation per copy."""
        x = observation.astype(jnp.float32)
        if isinstance(self.first, GRU):
            carry = self.first.step(carry, x)
            return carry, *self._heads(carry)
        return carry, *self._heads(jax.nn.relu(self.first(x)))

    def unroll(
        self,
        carry: Float[Array, "copy hidden"],
        observation: Array,
        reset: Bool[Array, "time copy"],
    ) -> tuple[Float[Array, "time copy actions"], Float[Array, "time copy"]]:
        """(logits, values) along sequences that start from stored recurrent states."""
        x = observation.astype(jnp.float32)
        if isinstance(self.first, GRU):
            return self._heads(self.first.unroll(carry, x, reset))
        return self._heads(jax.nn.relu(self.first(x)))

    def _heads(self, x: Array) -> tuple[Array, Array]:
        x = jax.nn.relu(self.trunk(x))
        return self.actor(x), self.critic(x)[..., 0]
