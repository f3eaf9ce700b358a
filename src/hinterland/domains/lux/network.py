"""Lux's own network: an `EntityGrid` as a `core.Policy` of all slots of a side."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hinterland.core import Chosen, Segment, View
from hinterland.domains.lux.entity_grid import EntityGrid
from hinterland.domains.lux.features import for_network

MEASURED_BOARDS = 256
"""Observations from which statistics are taken."""


class BoardNetwork(eqx.Module):
    """An `EntityGrid` that sees observations as they are stored, which keeps experience small.

    Attributes:
        network: sees what `features.for_network` makes of them.
        slots: of each side.
    """

    network: EntityGrid
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
        return carry, Chosen(*self.network.act(key, _seen(view.observation), view.mask, greedy))

    def value(
        self, carry: Float[Array, "copy slots hidden"], view: View
    ) -> Float[Array, "copy slots"]:
        """As in `EntityGrid`."""
        return self.network.value(_seen(view.observation))

    def starts(
        self, carry: Float[Array, "copy slots hidden"], view: View
    ) -> Float[Array, "copy slots hidden"]:
        """The same: nothing is remembered."""
        return carry

    def unroll(self, segment: Segment) -> tuple[Array, Array, Array]:
        """(log-probabilities, entropies, values), [time, copy, slots]; steps are boards."""
        shape = segment.alive.shape[:2]
        observation, action, mask = _flat((segment.observation, segment.action, segment.mask))
        probability, entropy, value = (
            x.reshape(*shape, *x.shape[1:])
            for x in self.network.evaluate(_seen(observation), action, mask)
        )
        return probability, entropy, value

    def renewed(self, observation: Any) -> "BoardNetwork":
        """With statistics of some of these boards, evenly spread."""
        boards = _flat(observation)
        every = max(1, jax.tree.leaves(boards)[0].shape[0] // MEASURED_BOARDS)
        some = jax.tree.map(lambda x: x[::every][:MEASURED_BOARDS], boards)
        return eqx.tree_at(lambda n: n.network, self, self.network.with_statistics(_seen(some)))


def _seen(observation: Mapping[str, Any]) -> dict[str, Any]:
    return for_network(observation, jnp)


def _flat(parts: Any) -> Any:
    """Times and copies on one axis."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), parts)
