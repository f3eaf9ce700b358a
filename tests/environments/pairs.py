"""A conveyor whose regions hold two stations each: traced by JAX, or with a host for the whole.

The rules are the corridor's (`domains/corridor`), written down a second time, in NumPy, for the
host. Small enough that every combination of choices can be trained on it in a second.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import AgentSpec, GlobalStep, Step
from hinterland.domains.pool import SessionPool, SharingPool

CAPACITY, HORIZON = 2, 10


def moved(held: Any, actions: Any, first: Any, xp: Any) -> tuple[Any, Any, Any]:
    """(parcels, rewards, who was reached) of stations in a row; `first` reaches the first one."""
    pushed = (actions == 1) & (held > 0)
    arrives = xp.concatenate([xp.asarray(first).reshape(1).astype(bool), pushed[:-1]])
    held = held - pushed
    lost = arrives & (held == CAPACITY)
    reward = 1.0 * pushed - 0.2 * ((actions == 1) & ~pushed) - 0.5 * lost
    return xp.minimum(held + arrives, CAPACITY), reward.astype(xp.float32), arrives


def seen(held: Any, xp: Any) -> Any:
    """[stations, 3], one-hot."""
    return (held[:, None] == xp.arange(CAPACITY + 1)).astype(xp.float32)


class Pair:
    """The local simulator of two stations."""

    def reset(self, key: Any) -> Any:
        return jax.random.randint(key, (2,), 0, CAPACITY + 1)

    def observe(self, state: Any) -> Any:
        return seen(state, jnp)

    def dset(self, state: Any) -> Any:
        return seen(state, jnp).reshape(-1)

    def noise(self, key: Any) -> tuple[()]:
        return ()

    def step(self, state: Any, action: Any, influence: Any, noise: Any) -> Any:
        held, reward, _ = moved(state, action, influence[0], jnp)
        return Step(held.astype(jnp.int32), reward, jnp.asarray(False))


class Conveyor:
    """The global simulator in JAX."""

    def __init__(self, agents: int) -> None:
        self.agents, self.pair = agents, Pair()

    def reset(self, key: Any) -> Any:
        return jax.vmap(self.pair.reset)(jax.random.split(key, self.agents // 2)).reshape(-1)

    def noise(self, key: Any) -> Any:
        return jax.random.uniform(key)

    def step(self, state: Any, actions: Any, noise: Any) -> Any:
        held, reward, arrives = moved(state, actions, noise < 0.5, jnp)
        influence = arrives[::2, None].astype(jnp.int32)
        return GlobalStep(held.astype(jnp.int32), reward, jnp.asarray(False), influence)

    def regions(self, state: Any) -> Any:
        return state.reshape(-1, 2)

    def region_noise(self, noise: Any) -> tuple[()]:
        return ()


class Session:
    """The same in NumPy, one episode at a time."""

    def __init__(self, agents: int) -> None:
        self._agents = agents

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> Any:
        self._numbers, self._controller = np.random.default_rng(seed), controller
        self._held = self._numbers.integers(0, CAPACITY + 1, self._agents)
        self._pushed = 0.0
        return self._shown()

    def step(self, actions: np.ndarray) -> Any:
        if self._controller == "random":
            actions = self._numbers.integers(0, 2, self._agents)
        self._held, reward, arrives = moved(
            self._held, actions, self._numbers.random() < 0.5, np
        )
        self._pushed += float((reward > 0).sum())
        told = {"reward": reward, "terminated": False, "influence": arrives[::2, None].astype(int)}
        return {**self._shown(), **told}

    def metrics(self) -> dict[str, float]:
        return {"pushed": self._pushed}

    def _shown(self) -> Any:
        shown = seen(self._held, np)
        return {"observation": shown, "dset": shown.reshape(-1, 6)}


class Sessions(SharingPool):
    """Processes with one conveyor each, or several."""

    def __init__(self, agents: int) -> None:
        super().__init__()
        self._agents = agents

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        return self._first(count, f"{__name__}:Session", self._agents, each=each)


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
        each = zip(self.held, actions, influence[:, 0], strict=True)
        held, reward, _ = zip(*(moved(*one, np) for one in each), strict=True)
        self.held = np.array(held)
        never = np.zeros(self._copies, bool)
        return {**self._shown(), "reward": np.array(reward), "terminated": never}

    def _shown(self) -> Any:
        shown = np.array([seen(held, np) for held in self.held])
        return {"observation": shown, "dset": shown.reshape(-1, 6)}


class LocalSessions(SessionPool):
    """Processes with all copies of one region each."""

    def sessions(self, count: int, copies: int) -> list[Any]:
        return self._first(count, f"{__name__}:LocalSession", copies)


class _Random:
    initial = None

    def __call__(self, key: Any, memory: Any, state: Any) -> Any:
        return jax.random.randint(key, (2,), 0, 2), memory


class Pairs:
    """The domain, of an even number of agents."""

    spec = AgentSpec(observation=3, actions=2, dset=6, sources=1, classes=2, horizon=HORIZON)

    def __init__(self, agents: int, on_host: bool) -> None:
        self.name, self.agents = "pairs", agents
        self.regions = np.arange(agents).reshape(-1, 2)
        self.roles = np.arange(agents) % 2
        self.local_simulator: Any = Pair()
        self.global_simulator: Any = Sessions(agents) if on_host else Conveyor(agents)
        self.scripted: Any = {"random": "random" if on_host else _Random()}


def make(agents: int) -> Pairs:
    """Traced."""
    return Pairs(agents, on_host=False)


def make_hosted(agents: int) -> Pairs:
    """The whole conveyor on a host, regions in JAX."""
    return Pairs(agents, on_host=True)


def make_all_hosted(agents: int) -> Pairs:
    """Regions on hosts as well."""
    made = Pairs(agents, on_host=True)
    made.local_simulator = LocalSessions()
    return made
