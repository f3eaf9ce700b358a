"""The policy of a system whose regions are of several kinds, put together from the kinds' own."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from hinterland.core import Chosen, View
from hinterland.nets.actor_critic import IMPOSSIBLE
from hinterland.nets.team import Carry, Each, Logits, TeamNetwork, decided


class KindsNetwork(eqx.Module):
    """A team for each kind of regions, each in its slots and with its own sizes.

    It is shown what the whole system shows, padded to the largest sizes, and hands every team its
    part of it. It only acts: each kind's learners have networks of their own.

    Attributes:
        teams: one for each kind.
        slots: of each team, in its order; all together are 0, 1, ...
        sizes: (observation, actions) of each team.
    """

    teams: tuple[TeamNetwork, ...]
    slots: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    sizes: tuple[tuple[int, int], ...] = eqx.field(static=True)

    critic = None
    """Each agent has its own."""

    def initial(self, copies: int) -> Carry:
        """Zeroed recurrent states, padded to the widest: one's own networks may differ by kind."""
        return self._scattered(_widest([team.initial(copies) for team in self.teams]))

    def act(
        self, key: Key[Array, ""], carry: Carry, view: View, greedy: bool | Array = False
    ) -> tuple[Carry, Chosen]:
        """As `TeamNetwork.act`."""
        carry, logits, value = self._stepped(carry, view)
        return carry, decided(key, logits, value, view, greedy)

    def decide(self, carry: Carry, view: View) -> tuple[Carry, Logits]:
        """As `TeamNetwork.decide`."""
        carry, logits, _ = self._stepped(carry, view)
        return carry, jnp.where(view.mask, logits, IMPOSSIBLE)

    def value(self, carry: Carry, view: View) -> Each:
        """Of the states that are shown."""
        return self._stepped(carry, view)[2]

    def starts(self, carry: Carry, view: View) -> Carry:
        """As `TeamNetwork.starts`."""
        del view
        return carry

    def _stepped(self, carry: Array, view: View) -> tuple[Array, Array, Array]:
        """(recurrent states, logits with impossible ones where a kind has no action, values)."""
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
        everybody = [slot for slots in self.slots for slot in slots]
        back = sorted(range(len(everybody)), key=everybody.__getitem__)
        return jnp.concatenate(parts, 1)[:, jnp.array(back)]


def _widest(carries: list[Array]) -> list[Array]:
    """Padded with zeros to the widest of them."""
    width = max(carry.shape[-1] for carry in carries)
    return [jnp.pad(x, [(0, 0), (0, 0), (0, width - x.shape[-1])]) for x in carries]
