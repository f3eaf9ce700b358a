"""Policies and values of all entities of a system at once (`core.EntityNetwork`)."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Real

from hinterland.nets.actor_critic import IMPOSSIBLE, ActorCritic
from hinterland.nets.team import chosen


class SlotNetwork(eqx.Module):
    """One feed-forward `ActorCritic` for the entity in each slot: the same, or one each.

    Args:
        key: consumed.
        slots: number of slots.
        observation: length of an entity's observation.
        actions: number of discrete actions.
        own: every slot has a network of its own.
        hidden: width of the first layer.
        trunk: width of the second layer.
    """

    network: ActorCritic
    own: bool = eqx.field(static=True)

    def __init__(
        self,
        key: Key[Array, ""],
        slots: int,
        observation: int,
        actions: int,
        *,
        own: bool = False,
        hidden: int = 64,
        trunk: int = 64,
    ) -> None:
        def make(key: Key[Array, ""]) -> ActorCritic:
            return ActorCritic(
                key, observation, actions, kind="feed-forward", hidden=hidden, trunk=trunk
            )

        self.own = own
        self.network = jax.vmap(make)(jax.random.split(key, slots)) if own else make(key)

    def act(
        self,
        key: Key[Array, ""],
        observation: Real[Array, "batch slots observation"],
        mask: Bool[Array, "batch slots actions"],
        greedy: bool | Array = False,
    ) -> tuple[
        Int[Array, "batch slots"],
        Bool[Array, "batch slots actions"],
        Float[Array, "batch slots"],
        Float[Array, "batch slots"],
    ]:
        """(actions, mask, log-probabilities, values); sampled, or the likeliest actions."""
        logits, value = self._heads(observation, mask)
        action = jnp.where(greedy, logits.argmax(-1), jax.random.categorical(key, logits))
        return action, mask, chosen(jax.nn.log_softmax(logits), action, mask), value

    def evaluate(
        self,
        observation: Real[Array, "batch slots observation"],
        action: Int[Array, "batch slots"],
        mask: Bool[Array, "batch slots actions"],
    ) -> tuple[
        Float[Array, "batch slots"], Float[Array, "batch slots"], Float[Array, "batch slots"]
    ]:
        """(log-probabilities of these actions, entropies over possible actions, values)."""
        logits, value = self._heads(observation, mask)
        log_probabilities = jax.nn.log_softmax(logits)
        terms = jnp.where(mask, jnp.exp(log_probabilities) * log_probabilities, 0.0)
        return chosen(log_probabilities, action, mask), -terms.sum(-1), value

    def _heads(self, observation: Array, mask: Array) -> tuple[Array, Array]:
        def step(network: ActorCritic, observed: Array) -> tuple[Array, Array]:
            return network.step(network.initial(observed.shape[0]), observed)[1:]

        if self.own:
            logits, value = jax.vmap(step, in_axes=(0, 1), out_axes=1)(self.network, observation)
        else:
            logits, value = step(self.network, observation)
        return jnp.where(mask, logits, IMPOSSIBLE), value
