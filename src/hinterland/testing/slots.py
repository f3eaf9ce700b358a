"""Values by agent and by region, and what a sentence calls either."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, regions_of


class Slots:
    """Who lives in which region of a domain.

    Attributes:
        count: number of regions.
        shape: of what a local simulator has for each agent: (k,), or () where each lives alone.
        word: for the rows of what is stacked by region, such as "4 regions".
    """

    def __init__(self, domain: Domain) -> None:
        self._table = regions_of(domain)
        self.count, each = self._table.shape
        self.alone = each == 1
        self.shape: tuple[int, ...] = () if self.alone else (each,)
        self.word = f"{self.count} {'agents' if self.alone else 'regions'}"
        self._order = np.argsort(self._table, axis=None)

    def by_region(self, values: Any) -> Any:
        """[agents, ...] as local simulators take and give it: [regions, *shape, ...]."""
        return jnp.asarray(values)[self._table[:, 0] if self.alone else self._table]

    def by_agent(self, values: Any) -> Any:
        """[regions, *shape] as the global simulator takes and gives it: [agents]."""
        return values.reshape(-1)[self._order]

    def region(self, number: int) -> str:
        """Its name; that of its agent, if it has only one."""
        agents = self._table[number]
        if self.alone:
            return f"agent {agents[0]}"
        return f"region {number} (agents {', '.join(map(str, agents))})"

    def owner(self, place: Sequence[Any], of_agents: bool) -> tuple[str, list[int]]:
        """(whose it is, where inside) of an entry of what is stacked by region.

        Args:
            place: its indices.
            of_agents: whether the array has an entry for each agent, such as rewards.
        """
        region, *inside = (int(index) for index in place)
        if of_agents and not self.alone:
            return f"agent {self._table[region, inside[0]]}", inside[1:]
        return self.region(region), inside
