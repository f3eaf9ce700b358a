"""Policies of entities on boards: an `EntityGrid` as a `core.Policy`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hinterland.core import Chosen, Segment, View
from hinterland.nets.entity_grid import EntityGrid

MEASURED_BOARDS = 256
"""Observations from which statistics are taken."""


class BoardNetwork(eqx.Module):
    """An `EntityGrid` behind a function of observations, which keeps experience small in memory.

    Attributes:
        network: sees what `unpack` makes of an observation.
        unpack: pure, and the same object in all networks that shall share compiled programs.
        slots: of each board.
    """

    network: EntityGrid
    unpack: Callable[[Any], Any] = eqx.field(static=True)
    slots: int = eqx.field(static=True)

    def initial(self, copies: int) -> Float[Array, "copy slots hidden"]:
        """Of width 0: boards are seen whole."""
        return jnp.zeros((copies, self.slots, 0), jnp.float32)

    def act(
        self,
        key: Key[Array, ""],
        carry: Float[Array, "copy slots hidden"],
        view: View,
        greedy: bool | Array = False,
    ) -> tuple[Float[Array, "copy slots hidden"], Chosen]:
        """As in `EntityGrid`; the mask is as used, for entities choose in turn."""
        seen = self.unpack(view.observation)
        return carry, Chosen(*self.network.act(key, seen, view.mask, greedy))

    def value(
        self, carry: Float[Array, "copy slots hidden"], view: View
    ) -> Float[Array, "copy slots"]:
        """As in `EntityGrid`."""
        return self.network.value(self.unpack(view.observation))

    def starts(
        self, carry: Float[Array, "copy slots hidden"], view: View
    ) -> Float[Array, "copy slots hidden"]:
        """The same: nothing is remembered."""
        return carry

    def unroll(self, segment: Segment) -> tuple[Array, Array, Array]:
        """(log-probabilities, entropies, values), [time, copy, slots]; steps are boards."""
        shape = segment.alive.shape[:2]
        boards = jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]),
            (segment.observation, segment.action, segment.mask),
        )
        probability, entropy, value = (
            x.reshape(*shape, *x.shape[1:])
            for x in self.network.evaluate(self.unpack(boards[0]), *boards[1:])
        )
        return probability, entropy, value

    def renewed(self, segment: Segment) -> "BoardNetwork":
        """With statistics of some of the segment's boards."""
        seen = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), segment.observation)
        return self.measured(seen)

    def measured(self, observation: Any) -> "BoardNetwork":
        """With statistics of some of these boards, evenly spread."""
        every = max(1, jax.tree.leaves(observation)[0].shape[0] // MEASURED_BOARDS)
        some = jax.tree.map(lambda x: x[::every][:MEASURED_BOARDS], observation)
        network = self.network.with_statistics(self.unpack(some))
        return eqx.tree_at(lambda n: n.network, self, network)
