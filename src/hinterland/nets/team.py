"""Policies and values of all slots, with or without memory."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Real

from hinterland.core import Chosen, Segment, View
from hinterland.core.protocols import Along, Carry, Each
from hinterland.nets.actor_critic import IMPOSSIBLE, ActorCritic
from hinterland.nets.layers import Linear
from hinterland.nets.own import OwnNetwork

Actor = ActorCritic | OwnNetwork
Logits = Float[Array, "copy slots actions"]


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


class Stepped(eqx.Module):
    """What acts for all slots, by what `stepped` says of each."""

    @abstractmethod
    def stepped(self, carry: Carry, view: View) -> tuple[Carry, Logits, Each]:
        """(recurrent states, logits of all actions, values of each slot's own critic)."""

    def decide(self, carry: Carry, view: View) -> tuple[Carry, Logits]:
        """(recurrent states, masked logits): the policy alone, which needs no central state."""
        carry, logits, _ = self.stepped(carry, view)
        return carry, jnp.where(view.mask, logits, IMPOSSIBLE)

    def act(
        self, key: Key[Array, ""], carry: Carry, view: View, greedy: bool | Array = False
    ) -> tuple[Carry, Chosen]:
        """(recurrent states, decisions); sampled, or likeliest actions."""
        carry, logits, value = self.stepped(carry, view)
        logits = jnp.where(view.mask, logits, IMPOSSIBLE)
        action = jnp.where(greedy, logits.argmax(-1), jax.random.categorical(key, logits))
        probability = chosen(jax.nn.log_softmax(logits), action, view.mask)
        return carry, Chosen(action, view.mask, probability, self._valued(value, view))

    def value(self, carry: Carry, view: View) -> Each:
        """Of the states that are shown."""
        return self._valued(self.stepped(carry, view)[2], view)

    def starts(self, carry: Carry, view: View) -> Carry:
        """The same recurrent states: a slot's sequence goes on from its own."""
        del view
        return carry

    def _valued(self, value: Array, seen: View | Segment) -> Array:
        del seen
        return value


class TeamNetwork(Stepped):
    """One network per role, and each slot's role: all the same, one each, or in between.

    A `core.Policy`. With a central critic the actor-critics' own value heads are not used.

    Attributes:
        actors: stacked on a leading role axis.
        critic: of the whole team, or None.
        roles: the role of each slot, 0, 1, ...
    """

    actors: Actor
    critic: CentralCritic | None
    roles: tuple[int, ...] = eqx.field(static=True)

    def initial(self, copies: int) -> Carry:
        """Zeroed recurrent states; of width 0 without memory."""
        width = self._role(0).initial(1).shape[-1]
        return jnp.zeros((copies, len(self.roles), width), jnp.float32)

    def stepped(self, carry: Array, view: View) -> tuple[Array, Array, Array]:
        """As in `Stepped`."""
        slotted = (carry.swapaxes(0, 1), view.observation.swapaxes(0, 1))
        found = self._by_role(lambda network, *x: network.step(*x), *slotted)
        return tuple(x.swapaxes(0, 1) for x in found)

    def unroll(self, segment: Segment) -> tuple[Along, Along, Along]:
        """(log-probabilities of the actions, entropies, values) from stored recurrent states."""
        slotted = (
            segment.carry.swapaxes(0, 1),
            jnp.moveaxis(segment.observation, 2, 0),
            jnp.moveaxis(segment.reset, 2, 0),
        )
        logits, value = (jnp.moveaxis(x, 0, 2) for x in self._by_role(_unroll, *slotted))
        mask = segment.mask
        every = jax.nn.log_softmax(jnp.where(mask, logits, IMPOSSIBLE))
        entropy = -jnp.where(mask, jnp.exp(every) * every, 0.0).sum(-1)
        return chosen(every, segment.action, mask), entropy, self._valued(value, segment)

    def renewed(self, observation: Any) -> "TeamNetwork":
        """Itself: it has no statistics."""
        del observation
        return self

    def _valued(self, value: Array, seen: View | Segment) -> Array:
        return value if self.critic is None else self.critic(seen.central, seen.observation)

    def _role(self, role: int) -> Actor:
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
        if len(found) == 1:
            return found[0]
        back = np.argsort(np.concatenate(members))
        return jax.tree.map(lambda *x: jnp.concatenate(x)[back], *found)


def team_network(
    key: Key[Array, ""],
    roles: Sequence[int],
    observation: int,
    actions: int,
    *,
    central: int = 0,
    kind: Literal["gru", "feed-forward"] = "gru",
    hidden: int = 64,
    trunk: int = 64,
    actor: Callable[[Key[Array, ""]], OwnNetwork] | None = None,
) -> TeamNetwork:
    """An untrained team.

    Args:
        key: consumed.
        roles: the role of each slot, 0, 1, ...
        observation, actions: sizes of one entity.
        central: length of the whole system's state as the critic sees it; 0: own critics.
        kind, hidden, trunk: as of an `ActorCritic`.
        actor: makes the network of one role, in place of ours.
    """
    ours = partial(
        ActorCritic, observation=observation, actions=actions, kind=kind, hidden=hidden, trunk=trunk
    )
    critic = None
    if central:
        key, critic_key = jax.random.split(key)
        critic = CentralCritic(critic_key, central + observation, hidden, trunk)
    count = max(roles) + 1
    keys = jax.random.split(key, count) if count > 1 else key[None]
    return TeamNetwork(jax.vmap(actor or ours)(keys), critic, tuple(int(role) for role in roles))


def joined(networks: TeamNetwork) -> TeamNetwork:
    """One team out of teams of their own, stacked on a leading axis: slots side by side."""
    teams = jax.tree.leaves(networks.actors)[0].shape[0]
    each = max(networks.roles) + 1
    actors = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), networks.actors)
    roles = tuple(team * each + role for team in range(teams) for role in networks.roles)
    return TeamNetwork(actors, None, roles)


def _unroll(network: Actor, carry: Array, observation: Array, reset: Array) -> Any:
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
