"""Values by agent and by region, and what a sentence calls either."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, has_kinds, is_entity_domain, kinds_of, numbers_of, places_of


class Slots:
    """Who lives in which region of one kind.

    Attributes:
        kind: which.
        local: its local simulator.
        name: of that in a sentence: "local_simulator", or "kinds[1].local_simulator".
        at: its number; where a domain declares no kinds it is the only one, 0.
        count: number of regions.
        shape: of what a local simulator has for each slot: (k,), or () of agents that live alone.
        width: of its agents' observations, which are padded to the domain's.
        word: for the rows of what is stacked by region, such as "4 regions".
    """

    def __init__(self, domain: Domain, at: int = 0) -> None:
        kinds = kinds_of(domain)
        self.kind, self.at = kinds[at], at
        self.local = self.kind.local_simulator
        self.of = f"kinds[{at}]." if has_kinds(domain) else ""
        self.name = f"{self.of}local_simulator"
        self._table, self._numbers = self.kind.regions, numbers_of(kinds, at)
        self.count, each = self._table.shape
        self.alone = each == 1 and not is_entity_domain(domain)
        self.width = self.kind.spec.observation
        self.shape: tuple[int, ...] = () if self.alone else (each,)
        self.word = f"{self.count} {'agents' if self.alone else 'regions'}"

    def by_region(self, values: Any) -> Any:
        """[agents, ...] as local simulators take and give it: [regions, *shape, ...]."""
        return jnp.asarray(values)[self._table[:, 0] if self.alone else self._table]

    def number(self, place: int) -> int:
        """Of one of the kind's regions, among all."""
        return self._numbers[place]

    def region(self, number: int) -> str:
        """The name of one of the kind's; that of its agent, if it has only one."""
        agents = self._table[number]
        if self.alone:
            return f"agent {agents[0]}"
        return f"region {self.number(number)} (agents {', '.join(map(str, agents))})"

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


def every_slots(domain: Domain) -> list[Slots]:
    """One for each kind of regions."""
    return [Slots(domain, at) for at in range(len(kinds_of(domain)))]


def by_agent(domain: Domain, values: Sequence[Any]) -> Any:
    """Each kind's [regions, *shape] as the global simulator takes and gives it: [agents]."""
    everybody = jnp.concatenate([value.reshape(-1) for value in values])
    return everybody[np.asarray(places_of(kinds_of(domain)))]
