"""A conveyor whose regions hold two stations each: traced by JAX, or with a host for the whole.

The rules are the corridor's (`domains/corridor`); for the host they are written down a second time,
in NumPy. Agents are counted from the right end, so that regions have them in an order of their own.
Small enough that every combination of choices can be trained on it in a second.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, UInt8

from hinterland import AgentSpec, GlobalStep, Processes, Step
from hinterland.domains.corridor import CAPACITY, Conveyor, Station
from hinterland.domains.pool import SessionPool


class Pair:
    """Two stations in a row; the second's parcels come from the first."""

    station = Station()

    def reset(self, key: Key[Array, ""]) -> Int[Array, " 2"]:
        return jax.vmap(self.station.reset)(jax.random.split(key))

    def observe(self, state: Int[Array, " 2"]) -> UInt8[Array, "2 3"]:
        return jax.vmap(self.station.observe)(state)

    def dset(self, state: Int[Array, " 2"]) -> UInt8[Array, " 3"]:
        return self.station.observe(state[0])

    def noise(self, key: Key[Array, ""]) -> tuple[()]:
        return ()

    def step(
        self,
        state: Int[Array, " 2"],
        actions: Int[Array, " 2"],
        influence: Int[Array, " 1"],
        noise: tuple[()],
    ) -> Step[Int[Array, " 2"]]:
        pushed = ((actions[0] == 1) & (state[0] > 0)).astype(jnp.int32)
        arrives = jnp.stack([influence[0], pushed])
        moved = jax.vmap(self.station.step, (0, 0, 0, None))(state, actions, arrives[:, None], ())
        return Step(moved.state, moved.reward, jnp.asarray(False))


class Belt:
    """The corridor, its agents counted from the right end: agent 0 is the last station."""

    def __init__(self, agents: int) -> None:
        self.conveyor = Conveyor(agents)
        self.reset, self.noise = self.conveyor.reset, self.conveyor.noise
        self.region_noise = self.conveyor.region_noise

    def step(
        self, state: Int[Array, " agents"], actions: Int[Array, " agents"], noise: Array
    ) -> GlobalStep[Int[Array, " agents"]]:
        moved = self.conveyor.step(state, actions[::-1], noise)
        return moved._replace(reward=moved.reward[::-1], influence=moved.influence[::2])

    def regions(self, state: Int[Array, " agents"]) -> Int[Array, "regions 2"]:
        return state.reshape(-1, 2)


class Session:
    """The same in NumPy, one episode at a time."""

    def __init__(self, agents: int) -> None:
        self._agents = agents

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> Any:
        self._numbers, self._controller = np.random.default_rng(seed), controller
        self._held = self._numbers.integers(0, CAPACITY + 1, self._agents)
        self._pushed = 0.0
        return self._seen()

    def step(self, actions: np.ndarray) -> Any:
        if self._controller == "random":
            actions = self._numbers.integers(0, 2, self._agents)
        wants = actions[::-1] == 1
        pushed = wants & (self._held > 0)
        arrives = np.array([self._numbers.integers(0, 2), *pushed[:-1]])
        left = self._held - pushed
        lost = (arrives == 1) & (left == CAPACITY)
        reward = 1.0 * pushed - 0.2 * (wants & ~pushed) - 0.5 * lost
        self._held = np.minimum(left + arrives, CAPACITY)
        self._pushed += float(pushed.sum())
        return self._seen() | {
            "reward": reward.astype(np.float32)[::-1],
            "terminated": False,
            "influence": arrives[::2, None],
        }

    def metrics(self) -> dict[str, float]:
        return {"pushed": self._pushed}

    def regions(self) -> np.ndarray:
        return self._held.reshape(-1, 2).astype(np.int32)

    def _seen(self) -> Any:
        seen = np.eye(CAPACITY + 1, dtype=np.uint8)[self._held]
        return {"observation": seen[::-1], "dset": seen[::2]}


class LocalSession:
    """The local simulator in NumPy: copies of two stations."""

    def __init__(self, copies: int) -> None:
        self._copies = copies

    def reset(self, seed: int, region: int) -> Any:
        self._numbers = np.random.default_rng((seed, region))
        self.held = self._numbers.integers(0, CAPACITY + 1, (self._copies, 2))
        return self._shown()

    def reset_some(self, chosen: np.ndarray) -> Any:
        fresh = self._numbers.integers(0, CAPACITY + 1, (self._copies, 2))
        self.held = np.where(chosen[:, None], fresh, self.held)
        return self._shown()

    def step(self, actions: np.ndarray, influence: np.ndarray) -> Any:
        wants = actions == 1
        pushed = wants & (self.held > 0)
        arrives = np.stack([influence[:, 0], pushed[:, 0]], 1)
        left = self.held - pushed
        lost = (arrives == 1) & (left == CAPACITY)
        reward = 1.0 * pushed - 0.2 * (wants & ~pushed) - 0.5 * lost
        self.held = np.minimum(left + arrives, CAPACITY)
        return self._shown() | {
            "reward": reward.astype(np.float32),
            "terminated": np.zeros(self._copies, bool),
        }

    def _shown(self) -> Any:
        seen = np.eye(CAPACITY + 1, dtype=np.uint8)[self.held]
        return {"observation": seen, "dset": seen[:, 0]}


class LocalSessions(SessionPool):
    """Processes with all copies of one region each."""

    def sessions(self, count: int, copies: int) -> list[Any]:
        return self._first(count, f"{__name__}:LocalSession", copies)


class PushBoth:
    """Pushes whenever there is something to push; remembers how often each station did."""

    initial = np.zeros(2, np.int32)

    def __call__(self, key: Array, memory: Array, state: Array) -> tuple[Array, Array]:
        actions = (state > 0).astype(jnp.int32)
        return actions, memory + actions


class AtRandom:
    initial = None

    def __call__(self, key: Array, memory: None, state: Array) -> tuple[Array, None]:
        return jax.random.randint(key, (2,), 0, 2), memory


class Pairs:
    """The domain, of an even number of agents; other attributes may take the place of its own."""

    name = "pairs"
    spec = AgentSpec(observation=3, actions=2, dset=3, sources=1, classes=2, horizon=10)

    def __init__(self, agents: int, **others: Any) -> None:
        self.agents = agents
        self.regions = np.arange(agents)[::-1].reshape(-1, 2)
        self.roles = np.arange(agents) % 2
        self.local_simulator: Any = Pair()
        self.global_simulator: Any = Belt(agents)
        self.scripted: dict[str, Any] = {"random": AtRandom(), "heuristic": PushBoth()}
        self.__dict__.update(others)


def make(agents: int) -> Pairs:
    """Traced."""
    return Pairs(agents)


def make_hosted(agents: int) -> Pairs:
    """The whole conveyor on a host, regions in JAX."""
    on_host = {"global_simulator": Processes(Session, agents), "scripted": {"random": "random"}}
    return Pairs(agents, **on_host)


def make_all_hosted(agents: int) -> Pairs:
    """Regions on hosts as well."""
    made = make_hosted(agents)
    made.local_simulator = LocalSessions()
    return made
