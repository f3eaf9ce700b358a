"""Policies of all slots that only act, made of networks that learn one by one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hinterland.core import View
from hinterland.core.protocols import Carry
from hinterland.nets.actor_critic import IMPOSSIBLE
from hinterland.nets.team import Actor, Stepped, TeamNetwork


class PassingNetwork(Stepped):
    """One network and one recurrent state for all agents: the baseline of the paper's public code.

    The state that agent i+1 starts from is the one agent i has just left; the first agent's is the
    last one's of the step before. Each agent learns along its own sequence.

    Attributes:
        network: of all agents.
        slots: how many they are.
    """

    network: Actor
    slots: int = eqx.field(static=True)

    def initial(self, copies: int) -> Carry:
        """Zeroed; every slot holds the same state, the last agent's."""
        state = self.network.initial(copies)
        return jnp.broadcast_to(state[:, None], (copies, self.slots, state.shape[-1]))

    def stepped(self, carry: Array, view: View) -> tuple[Array, Array, Array]:
        """As in `Stepped`."""
        return self._turns(carry, view)[1:]

    def starts(self, carry: Carry, view: View) -> Carry:
        """The state before each agent's turn."""
        return self._turns(carry, view)[0]

    def _turns(self, carry: Array, view: View) -> tuple[Array, Array, Array, Array]:
        def turn(state: Array, observed: Array) -> tuple[Array, tuple]:
            after, logits, value = self.network.step(state, observed)
            return after, (state, logits, value)

        seen = view.observation.swapaxes(0, 1)
        last, (before, logits, value) = jax.lax.scan(turn, carry[:, -1], seen)
        after = jnp.broadcast_to(last[:, None], carry.shape)
        before, logits, value = (x.swapaxes(0, 1) for x in (before, logits, value))
        return before, after, logits, value


class KindsNetwork(Stepped):
    """The policy of a system whose regions are of several kinds: a team for each kind.

    It is shown what the whole system shows, padded to the largest sizes, and hands every team its
    part of it. Each kind's learners have networks of their own.

    Attributes:
        teams: one for each kind; each agent has its own critic.
        slots: of each team, in its order; all together are 0, 1, ...
        sizes: (observation, actions) of each team.
    """

    teams: tuple[TeamNetwork, ...]
    slots: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    sizes: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def initial(self, copies: int) -> Carry:
        """Zeroed recurrent states, padded to the widest: one's own networks may differ by kind."""
        return self._scattered(_widest([team.initial(copies) for team in self.teams]))

    def stepped(self, carry: Array, view: View) -> tuple[Array, Array, Array]:
        """As in `Stepped`; logits are impossible ones where a kind has no action."""
        found = []
        for team, slots, (width, actions) in zip(self.teams, self.slots, self.sizes, strict=True):
            where = jnp.array(slots)
            shown = view._replace(observation=view.observation[:, where, :width])
            remembered = carry[:, where, : team.initial(1).shape[-1]]
            after, logits, value = team.stepped(remembered, shown)
            spare = [(0, 0), (0, 0), (0, view.mask.shape[-1] - actions)]
            found.append((after, jnp.pad(logits, spare, constant_values=IMPOSSIBLE), value))
        after, logits, value = (list(x) for x in zip(*found, strict=True))
        return self._scattered(_widest(after)), self._scattered(logits), self._scattered(value)

    def _scattered(self, parts: list[Array]) -> Array:
        """[copy, slots, ...] out of the teams' slots."""
        everybody = np.concatenate(self.slots)
        return jnp.concatenate(parts, 1)[:, np.argsort(everybody)]


def _widest(carries: list[Array]) -> list[Array]:
    """Padded with zeros to the widest of them."""
    width = max(carry.shape[-1] for carry in carries)
    return [jnp.pad(x, [(0, 0), (0, 0), (0, width - x.shape[-1])]) for x in carries]
