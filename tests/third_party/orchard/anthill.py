"""Entities with a figure of their own."""

import jax.numpy as jnp

from hinterland.domains.colony import Colony, ColonyDomain


class AnthillSimulator(Colony):
    """A colony that counts."""

    def figures(self, state):
        return {"ants_hatched": jnp.asarray(state.hatched, jnp.float32)}


class Anthill(ColonyDomain):
    """The domain."""

    name = "anthill"

    def __init__(self, agents):
        super().__init__(agents)
        self.entity_simulator = AnthillSimulator(agents)


def make(agents):
    return Anthill(agents)
