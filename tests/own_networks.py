"""Networks of somebody's own, as a module: what tests/test_networks.py trains with."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Chosen


class Plain(eqx.Module):
    """Two layers of Equinox's own; its activation is a leaf that is no array."""

    body: eqx.nn.MLP
    memory: int = eqx.field(static=True, default=0)

    def step(self, memory: Any, observation: Any) -> Any:
        out = self.body(observation)
        return memory, out[:-1], out[-1]


def plain(key: Any, spec: Any) -> Plain:
    # A function of its own at each call: networks are the same all the same.
    squash = lambda x: jnp.tanh(x)  # noqa: E731
    return Plain(eqx.nn.MLP(spec.observation, spec.actions + 1, 8, 1, squash, key=key))


class Summing(eqx.Module):
    """Remembers the sum of what it has seen, and whatever it learns of it."""

    cell: eqx.nn.Linear
    scale: np.ndarray  # a constant
    head: eqx.nn.Linear
    memory: int = eqx.field(static=True, default=4)

    def step(self, memory: Any, observation: Any) -> Any:
        memory = memory + self.cell(observation * self.scale)
        out = self.head(jnp.tanh(memory))
        return memory, out[:-1], out[-1]


def summing(key: Any, spec: Any) -> Summing:
    one, two = jax.random.split(key)
    cell = eqx.nn.Linear(spec.observation, 4, key=one)
    head = eqx.nn.Linear(4, spec.actions + 1, key=two)
    return Summing(cell, np.full(spec.observation, 0.5, np.float32), head)


def sized(key: Any, spec: Any) -> Summing:
    """Remembers as many numbers as there are actions."""
    one, two = jax.random.split(key)
    cell = eqx.nn.Linear(spec.observation, spec.actions, key=one)
    head = eqx.nn.Linear(spec.actions, spec.actions + 1, key=two)
    return Summing(cell, np.full(spec.observation, 0.5, np.float32), head, spec.actions)


class Team(eqx.Module):
    """A `core.Policy` of all slots: each hears the mean of all."""

    weight: Any

    def initial(self, copies: int) -> Any:
        return jnp.zeros((copies, 3, 0))

    def _heads(self, observation: Any) -> tuple[Any, Any]:
        x = jnp.concatenate(
            [observation, jnp.broadcast_to(observation.mean(-2, keepdims=True), observation.shape)],
            -1,
        ).astype(jnp.float32)
        out = x @ self.weight
        return out[..., :-1], out[..., -1]

    def act(self, key: Any, carry: Any, view: Any, greedy: Any = False) -> Any:
        logits, value = self._heads(view.observation)
        logits = jnp.where(view.mask, logits, -1e9)
        action = jnp.where(greedy, logits.argmax(-1), jax.random.categorical(key, logits))
        every = jax.nn.log_softmax(logits)
        chosen = jnp.take_along_axis(every, action[..., None], -1)[..., 0]
        return carry, Chosen(action, view.mask, chosen, value)

    def value(self, carry: Any, view: Any) -> Any:
        return self._heads(view.observation)[1]

    def starts(self, carry: Any, view: Any) -> Any:
        return carry

    def unroll(self, segment: Any) -> Any:
        logits, value = self._heads(segment.observation)
        every = jax.nn.log_softmax(jnp.where(segment.mask, logits, -1e9))
        chosen = jnp.take_along_axis(every, segment.action[..., None], -1)[..., 0]
        return chosen, -(jnp.exp(every) * every).sum(-1), value

    def renewed(self, observation: Any) -> "Team":
        return self


class Odd(Team):
    def act(self, key: Any, carry: Any, view: Any, greedy: Any = False) -> Any:
        carry, chosen = super().act(key, carry, view, greedy)
        return carry, chosen._replace(value=chosen.value.sum(-1))


def odd(key: Any, spec: Any) -> Team:
    return Odd(team(key, spec).weight)


class Torn(Team):
    def _heads(self, observation: Any) -> Any:
        return observation @ self.weight, 0


def torn(key: Any, spec: Any) -> Team:
    return Torn(team(key, spec).weight)


def named(key: Any, spec: Any) -> Team:
    return Team("no weights")


def team(key: Any, spec: Any) -> Team:
    return Team(0.1 * jax.random.normal(key, (2 * spec.observation, spec.actions + 1)))
