"""One network and one recurrent state for all agents: the baseline of the paper's public code."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from hinterland.core import Chosen, View
from hinterland.nets.actor_critic import IMPOSSIBLE, ActorCritic
from hinterland.nets.own import OwnNetwork
from hinterland.nets.team import Carry, Each, Logits, decided


class PassingNetwork(eqx.Module):
    """The recurrent state is overwritten by each agent in turn, as in the paper's public code.

    The state that agent i+1 starts from is the one agent i has just left; the first agent's is the
    last one's of the step before. It only acts: each agent learns along its own sequence.

    Attributes:
        network: of all agents.
        slots: how many they are.
    """

    network: ActorCritic | OwnNetwork
    slots: int = eqx.field(static=True)

    def initial(self, copies: int) -> Carry:
        """Zeroed; every slot holds the same state, the last agent's."""
        state = self.network.initial(copies)
        return jnp.broadcast_to(state[:, None], (copies, self.slots, state.shape[-1]))

    def act(
        self, key: Key[Array, ""], carry: Carry, view: View, greedy: bool | Array = False
    ) -> tuple[Carry, Chosen]:
        """As `TeamNetwork.act`."""
        _, after, logits, value = self._turns(carry, view)
        return after, decided(key, logits, value, view, greedy)

    def decide(self, carry: Carry, view: View) -> tuple[Carry, Logits]:
        """As `TeamNetwork.decide`."""
        _, after, logits, _ = self._turns(carry, view)
        return after, jnp.where(view.mask, logits, IMPOSSIBLE)

    def value(self, carry: Carry, view: View) -> Each:
        """Of the states that are shown."""
        return self._turns(carry, view)[3]

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
