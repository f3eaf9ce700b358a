"""Policies and values of all entities, with or without memory: what the pipeline trains."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Real

from hinterland.nets.actor_critic import IMPOSSIBLE, ActorCritic
from hinterland.nets.linear import Linear


class CentralCritic(eqx.Module):
    """The value of each entity out of the whole system's state and its own observation.

    Feed-forward: the state says everything, so there is nothing to remember. The own observation
    tells it whose value is asked for (Yu et al. 2022, "The Surprising Effectiveness of PPO in
    Cooperative Multi-Agent Games", section 5.2).
    """

    first: Linear
    trunk: Linear
    head: Linear

    def __init__(self, key: Key[Array, ""], inputs: int, hidden: int, trunk: int) -> None:
        keys = jax.random.split(key, 3)
        self.first = Linear(keys[0], inputs, hidden)
        self.trunk = Linear(keys[1], hidden, trunk)
        self.head = Linear(keys[2], trunk, 1)

    def __call__(
        self,
        central: Float[Array, "*any central"],
        observation: Real[Array, "*any slots observation"],
    ) -> Float[Array, "*any slots"]:
        """One value per slot."""
        shape = (*observation.shape[:-1], central.shape[-1])
        whole = jnp.broadcast_to(central[..., None, :], shape)
        x = jnp.concatenate([whole, observation], -1).astype(jnp.float32)
        return self.head(jax.nn.relu(self.trunk(jax.nn.relu(self.first(x)))))[..., 0]


class TeamNetwork(eqx.Module):
    """One `ActorCritic` per role, and each slot's role: all the same, one each, or in between.

    With a central critic the actor-critics' own value heads are not used.

    Args:
        key: consumed.
        roles: the role of each slot, 0, 1, ...
        observation: length of an entity's observation.
        actions: number of discrete actions.
        central: length of the whole system's state as the critic sees it; 0: own critics.
        kind: with memory or without.
        hidden: width of the first layer.
        trunk: width of the second layer.
    """

    actors: ActorCritic
    critic: CentralCritic | None
    roles: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        key: Key[Array, ""],
        roles: Sequence[int],
        observation: int,
        actions: int,
        *,
        central: int = 0,
        kind: Literal["gru", "feed-forward"] = "gru",
        hidden: int = 64,
        trunk: int = 64,
    ) -> None:
        def make(key: Key[Array, ""]) -> ActorCritic:
            return ActorCritic(key, observation, actions, kind=kind, hidden=hidden, trunk=trunk)

        actor_key, critic_key = jax.random.split(key)
        self.roles = tuple(int(role) for role in roles)
        self.actors = jax.vmap(make)(jax.random.split(actor_key, max(self.roles) + 1))
        self.critic = (
            CentralCritic(critic_key, central + observation, hidden, trunk) if central else None
        )

    def initial(self, copies: int) -> Float[Array, "copy slots hidden"]:
        """Zeroed recurrent states; of width 0 without memory."""
        width = self._role(0).initial(1).shape[-1]
        return jnp.zeros((copies, len(self.roles), width), jnp.float32)

    def step(
        self,
        carry: Float[Array, "copy slots hidden"],
        observation: Real[Array, "copy slots observation"],
        mask: Bool[Array, "copy slots actions"],
        central: Float[Array, "copy central"],
    ) -> tuple[
        Float[Array, "copy slots hidden"],
        Float[Array, "copy slots actions"],
        Float[Array, "copy slots"],
    ]:
        """(recurrent states, logits, values) after one step."""
        carry, logits, value = self._stepped(carry, observation, mask)
        return carry, logits, value if self.critic is None else self.critic(central, observation)

    def decide(
        self,
        carry: Float[Array, "copy slots hidden"],
        observation: Real[Array, "copy slots observation"],
        mask: Bool[Array, "copy slots actions"],
    ) -> tuple[Float[Array, "copy slots hidden"], Float[Array, "copy slots actions"]]:
        """(recurrent states, logits): the policy alone, which needs no central state."""
        return self._stepped(carry, observation, mask)[:2]

    def _stepped(self, carry: Array, observation: Array, mask: Array) -> tuple[Array, Array, Array]:
        slotted = (carry.swapaxes(0, 1), observation.swapaxes(0, 1))
        found = self._by_role(lambda network, *x: network.step(*x), *slotted)
        carry, logits, value = (x.swapaxes(0, 1) for x in found)
        return carry, jnp.where(mask, logits, IMPOSSIBLE), value

    def act(
        self,
        key: Key[Array, ""],
        carry: Float[Array, "copy slots hidden"],
        observation: Real[Array, "copy slots observation"],
        mask: Bool[Array, "copy slots actions"],
        central: Float[Array, "copy central"],
        greedy: bool | Array = False,
    ) -> tuple[
        Float[Array, "copy slots hidden"],
        Int[Array, "copy slots"],
        Float[Array, "copy slots"],
        Float[Array, "copy slots"],
    ]:
        """(recurrent states, actions, log-probabilities, values); sampled, or likeliest actions."""
        carry, logits, value = self.step(carry, observation, mask, central)
        action = jnp.where(greedy, logits.argmax(-1), jax.random.categorical(key, logits))
        return carry, action, chosen(jax.nn.log_softmax(logits), action, mask), value

    def unroll(
        self,
        carry: Float[Array, "copy slots hidden"],
        observation: Real[Array, "time copy slots observation"],
        mask: Bool[Array, "time copy slots actions"],
        central: Float[Array, "time copy central"],
        reset: Bool[Array, "time copy slots"],
        action: Int[Array, "time copy slots"],
    ) -> tuple[
        Float[Array, "time copy slots"],
        Float[Array, "time copy slots"],
        Float[Array, "time copy slots"],
    ]:
        """(log-probabilities of these actions, entropies, values) from stored recurrent states."""
        slotted = (carry.swapaxes(0, 1), jnp.moveaxis(observation, 2, 0), jnp.moveaxis(reset, 2, 0))
        logits, value = (jnp.moveaxis(x, 0, 2) for x in self._by_role(_unroll, *slotted))
        value = value if self.critic is None else self.critic(central, observation)
        every = jax.nn.log_softmax(jnp.where(mask, logits, IMPOSSIBLE))
        entropy = -jnp.where(mask, jnp.exp(every) * every, 0.0).sum(-1)
        return chosen(every, action, mask), entropy, value

    def _role(self, role: int) -> ActorCritic:
        return jax.tree.map(lambda x: x[role], self.actors)

    def _by_role(self, function: Callable[..., Any], *slotted: Array) -> Any:
        """`function(network, *parts)` of each role's slots; leaves are [slot, ...] in and out."""
        if self.roles == tuple(range(len(self.roles))) and len(self.roles) > 1:
            parts = [x[:, None] for x in slotted]
            return jax.tree.map(lambda x: x[:, 0], jax.vmap(function)(self.actors, *parts))
        members = [np.flatnonzero(np.equal(self.roles, r)) for r in range(max(self.roles) + 1)]
        found = [
            function(self._role(role), *(x[slots] for x in slotted))
            for role, slots in enumerate(members)
        ]
        back = np.argsort(np.concatenate(members))
        return jax.tree.map(lambda *x: jnp.concatenate(x)[back], *found)


def _unroll(network: ActorCritic, carry: Array, observation: Array, reset: Array) -> Any:
    """All slots of one role as so many more copies; leaves are [slot, time, copy, ...]."""
    slots, time, copies = reset.shape

    def merged(x: Array) -> Array:
        return jnp.moveaxis(x, 0, 1).reshape(time, slots * copies, *x.shape[3:])

    found = network.unroll(
        carry.reshape(slots * copies, carry.shape[-1]), merged(observation), merged(reset)
    )
    return jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(time, slots, copies, *x.shape[2:]), 1, 0), found
    )


def chosen(
    log_probability: Float[Array, "*any actions"],
    action: Int[Array, " *any"],
    mask: Bool[Array, "*any actions"],
) -> Float[Array, " *any"]:
    """The action's; 0 where nothing is possible."""
    found = jnp.take_along_axis(log_probability, action[..., None], -1)[..., 0]
    return jnp.where(mask.any(-1), found, 0.0)
