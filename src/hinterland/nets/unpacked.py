"""A network for observations that are stored in another form than it takes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, Float, Key

from hinterland.nets.entity_grid import EntityGrid

Numbers = Float[Array, "batch slots"]


class Unpacked(eqx.Module):
    """An `EntityGrid` behind a function of observations, which keeps a rollout small in memory.

    Args:
        network: sees what `unpack` makes of an observation.
        unpack: pure, and the same object in all networks that shall share compiled programs.
    """

    network: EntityGrid
    unpack: Callable[[Any], Any] = eqx.field(static=True)

    def act(
        self,
        key: Key[Array, ""],
        observation: Any,
        mask: Any,
        greedy: bool | Bool[Array, ""] = False,
    ) -> tuple[Any, Any, Numbers, Numbers]:
        """As in `EntityGrid`."""
        return self.network.act(key, self.unpack(observation), mask, greedy)

    def evaluate(self, observation: Any, action: Any, mask: Any) -> tuple[Numbers, ...]:
        """As in `EntityGrid`."""
        return self.network.evaluate(self.unpack(observation), action, mask)

    def with_statistics(self, observation: Any) -> "Unpacked":
        """As in `EntityGrid`."""
        network = self.network.with_statistics(self.unpack(observation))
        return eqx.tree_at(lambda n: n.network, self, network)
