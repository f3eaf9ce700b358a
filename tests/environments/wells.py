"""Wells in a ring, entities in regions, all of it on hosts: whole system and local simulators.

Each well has three slots and two drawers at first. Who draws is paid 1 and loses one unit of
strength; at the last unit there is no rest. Where a drawer's strength ends at the well before, a
fresh one comes here, into the slot that nobody has had, if there is one. The rules are written
once, for any leading axes, in NumPy or in JAX: `Well` traces the same ones for comparison.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland import AgentSpec, EntityStep, Processes
from hinterland.domains.pool import SessionPool

SLOTS, STRENGTH = 3, 3


def tired(left: Any, actions: Any) -> Any:
    """Whether somebody's strength ends in this step, [...]."""
    return ((left == 1) & (actions == 1)).any(-1)


def moved(xp: Any, left: Any, used: Any, actions: Any, arrives: Any) -> tuple[Any, Any, Any]:
    """(strength of each slot, slots used, rewards) after a step."""
    draws = (left > 0) & (actions == 1)
    new = (xp.arange(SLOTS) == used[..., None]) & (arrives[..., None] == 1)
    left, used = left - draws.astype(left.dtype), used + new.any(-1).astype(used.dtype)
    return xp.where(new, STRENGTH, left), used, draws.astype(xp.float32)


def shown(xp: Any, left: Any, used: Any) -> dict[str, Any]:
    """What the session of a well shows."""
    there = left > 0
    slots = xp.broadcast_to(used[..., None], left.shape)
    return {
        "observation": xp.stack([left, slots], -1).astype(xp.float32),
        "alive": there,
        "mask": xp.stack([left > 1, there], -1),
        "dset": xp.stack([left.sum(-1), used], -1).astype(xp.float32),
    }


def first(numbers: np.random.Generator, wells: int) -> tuple[np.ndarray, np.ndarray]:
    """(strength, slots used) of so many wells."""
    left = numbers.integers(1, STRENGTH + 1, (wells, SLOTS))
    left[:, -1] = 0
    return left, np.full(wells, SLOTS - 1)


class Well:
    """One of them, traced; its state is (strength, slots used)."""

    def observe(self, state: Any) -> Any:
        return shown(jnp, *state)["observation"]

    def alive(self, state: Any) -> Any:
        return shown(jnp, *state)["alive"]

    def action_mask(self, state: Any) -> Any:
        return shown(jnp, *state)["mask"]

    def dset(self, state: Any) -> Any:
        return shown(jnp, *state)["dset"]

    def step(self, state: Any, actions: Any, influence: Any, noise: Any) -> EntityStep[Any]:
        *after, reward = moved(jnp, *state, actions, influence[0])
        return EntityStep(tuple(after), reward, jnp.asarray(False))


class Session:
    """All wells, one episode at a time."""

    def __init__(self, agents: int) -> None:
        self._wells = agents // SLOTS

    def reset(self, seed: int, controller: None = None, figures: bool = False) -> Any:
        self._state, self._drawn = first(np.random.default_rng(seed), self._wells), 0.0
        return self._shown()

    def step(self, actions: np.ndarray) -> Any:
        each = actions.reshape(-1, SLOTS)
        arrives = np.roll(tired(self._state[0], each), 1)
        *after, reward = moved(np, *self._state, each, arrives)
        self._state, self._drawn = after, self._drawn + float(reward.sum())
        told = {"reward": reward.ravel(), "terminated": False, "influence": 1 * arrives[:, None]}
        return self._shown() | told

    def metrics(self) -> dict[str, float]:
        return {"drawn": self._drawn}

    def _shown(self) -> Any:
        seen = shown(np, *self._state)
        return {name: x if name == "dset" else x.reshape(-1, *x.shape[2:]) for name, x in
                seen.items()}  # fmt: skip


class LocalSession:
    """Copies of one well."""

    def __init__(self, copies: int) -> None:
        self._copies = copies

    def reset(self, seed: int, region: int) -> Any:
        self._numbers = np.random.default_rng((seed, region))
        self.state = first(self._numbers, self._copies)
        return shown(np, *self.state)

    def reset_some(self, chosen: np.ndarray) -> Any:
        left, used = first(self._numbers, self._copies)
        self.state = (
            np.where(chosen[:, None], left, self.state[0]), np.where(chosen, used, self.state[1])
        )  # fmt: skip
        return shown(np, *self.state)

    def step(self, actions: np.ndarray, influence: np.ndarray) -> Any:
        *self.state, reward = moved(np, *self.state, actions, influence[:, 0])
        told = {"reward": reward, "terminated": np.zeros(self._copies, bool)}
        return shown(np, *self.state) | told


class LocalSessions(SessionPool):
    """Processes with all copies of one well each."""

    def sessions(self, count: int, copies: int) -> list[Any]:
        return self._first(count, f"{__name__}:LocalSession", copies)


def at_random(key: Any, observation: Any, mask: Any) -> Any:
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


class Wells:
    """The domain."""

    name = "wells"
    spec = AgentSpec(observation=2, actions=2, dset=2, sources=1, classes=2, horizon=8)
    scripted = {"random": at_random}  # noqa: RUF012 - never mutated

    def __init__(self, agents: int) -> None:
        self.agents, self.regions = agents, np.arange(agents).reshape(-1, SLOTS)
        self.entity_simulator = Processes(Session, agents)
        self.local_simulator: Any = LocalSessions()


make = Wells
