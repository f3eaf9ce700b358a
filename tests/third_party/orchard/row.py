"""Pickers in a row: each passes apples on to the next one, whose basket may be full."""

import jax
import jax.numpy as jnp

from hinterland.core import AgentSpec, GlobalStep, Step


class Tree:
    """Local simulator; its state is the apples in the basket."""

    def __init__(self, basket, pay):
        self.basket, self.pay = basket, pay

    def reset(self, key):
        return jax.random.randint(key, (), 0, self.basket + 1)

    def observe(self, state):
        return jax.nn.one_hot(state, self.basket + 1, dtype=jnp.uint8)

    dset = observe

    def noise(self, key):
        return ()

    def step(self, state, action, influence, noise):
        passed = (action == 1) & (state > 0)
        held = jnp.minimum(state - passed + (influence[0] == 1), self.basket)
        return Step(held, (self.pay * passed).astype(jnp.float32), jnp.asarray(False))


class Row:
    """Global simulator."""

    def __init__(self, agents, tree, ripening):
        self.agents, self.tree, self.ripening = agents, tree, ripening

    def reset(self, key):
        return jax.vmap(self.tree.reset)(jax.random.split(key, self.agents))

    def noise(self, key):
        return jax.random.uniform(key)

    def step(self, state, actions, noise):
        passed = (actions == 1) & (state > 0)
        given = jnp.concatenate([(noise < self.ripening)[None], passed[:-1]]).astype(jnp.int32)
        moved = jax.vmap(self.tree.step, (0, 0, 0, None))(state, actions, given[:, None], ())
        return GlobalStep(moved.state, moved.reward, jnp.asarray(False), given[:, None])

    def regions(self, state):
        return state

    def region_noise(self, noise):
        return ()


class Controller:
    """A scripted policy: passes on whenever, or by chance."""

    initial = None

    def __init__(self, always):
        self.always = always

    def __call__(self, key, memory, state):
        chance = jax.random.randint(key, (), 0, 2)
        return jnp.where(self.always, 1, chance).astype(jnp.int32), memory


class Orchard:
    """The domain."""

    name = "orchard"
    scripted = {  # noqa: RUF012 - never mutated
        "random": Controller(False), "heuristic": Controller(True),
    }  # fmt: skip

    def __init__(self, agents, basket, ripening, pay):
        self.agents = agents
        self.spec = AgentSpec(
            observation=basket + 1, actions=2, dset=basket + 1, sources=1, classes=2, horizon=10
        )
        self.local_simulator = Tree(basket, pay)
        self.global_simulator = Row(agents, self.local_simulator, ripening)

    def scene(self):
        return {"width": 2 * self.agents, "height": 2, "shapes": []}

    def frame(self, state):
        return [
            {"kind": "text", "x": 2 * i + 1, "y": 1, "text": str(int(held)), "fill": "#0072b2"}
            for i, held in enumerate(state)
        ]


def make(agents, basket, ripening, weather, ladders):
    """All options arrive, so none has a default here."""
    pay = 0.5 if weather == "wet" else 1.0
    return Orchard(agents, basket + ladders, ripening, pay)
