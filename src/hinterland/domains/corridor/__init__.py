"""A conveyor of N stations: the smallest domain that has influence, for docs and tests.

Each station holds up to two parcels. Its agent waits (0) or pushes one parcel to the right (1).
A parcel pushed earns 1, a push without a parcel costs 0.2, a parcel that arrives at a full station
is lost and costs 0.5. What touches a station from outside is one influence source with two
classes: does a parcel arrive from the left in this step? The first station's parcels come from the
world, with probability 0.5.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from hinterland.core import AgentSpec, GlobalStep, Step
from hinterland.domains.teaching_options import CorridorOptions

CAPACITY = 2


class Station:
    """Local simulator; its state is the number of parcels held."""

    def reset(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """0, 1 or 2 parcels."""
        return jax.random.randint(key, (), 0, CAPACITY + 1)

    def observe(self, state: Int[Array, ""]) -> UInt8[Array, " 3"]:
        """The number of parcels, one-hot."""
        return jax.nn.one_hot(state, CAPACITY + 1, dtype=jnp.uint8)

    dset = observe

    def noise(self, key: Key[Array, ""]) -> tuple[()]:
        """A station throws no dice of its own."""
        return ()

    def step(
        self,
        state: Int[Array, ""],
        action: Int[Array, ""],
        influence: Int[Array, " 1"],
        noise: tuple[()],
    ) -> Step[Int[Array, ""]]:
        """Push first, then receive."""
        pushed = (action == 1) & (state > 0)
        held = state - pushed
        arrives = influence[0] == 1
        lost = arrives & (held == CAPACITY)
        reward = 1.0 * pushed - 0.2 * ((action == 1) & ~pushed) - 0.5 * lost
        held = jnp.minimum(held + arrives, CAPACITY)
        return Step(held, reward.astype(jnp.float32), jnp.asarray(False))


class Conveyor:
    """Global simulator; its state is the parcels of all stations."""

    def __init__(self, agents: int) -> None:
        self.agents, self.station = agents, Station()

    def reset(self, key: Key[Array, ""]) -> Int[Array, " agents"]:
        """Every station by itself."""
        return jax.vmap(self.station.reset)(jax.random.split(key, self.agents))

    def noise(self, key: Key[Array, ""]) -> Float[Array, ""]:
        """Decides whether the world sends a parcel."""
        return jax.random.uniform(key)

    def step(
        self, state: Int[Array, " agents"], actions: Int[Array, " agents"], noise: Float[Array, ""]
    ) -> GlobalStep[Int[Array, " agents"]]:
        """A parcel pushed by one station arrives at the next; the last one's leaves."""
        pushed = (actions == 1) & (state > 0)
        arrives = jnp.concatenate([(noise < 0.5)[None], pushed[:-1]]).astype(jnp.int32)
        moved = jax.vmap(self.station.step, (0, 0, 0, None))(state, actions, arrives[:, None], ())
        return GlobalStep(moved.state, moved.reward, jnp.asarray(False), arrives[:, None])

    def regions(self, state: Int[Array, " agents"]) -> Int[Array, " agents"]:
        """Stations are the regions."""
        return state

    def region_noise(self, noise: Array) -> tuple[()]:
        """Stations throw no dice."""
        return ()


class _Push:
    """Pushes whenever there is something to push: the best policy."""

    initial = None

    def __call__(self, key: Key[Array, ""], memory: None, state: Array) -> tuple[Array, None]:
        """1 with a parcel, else 0."""
        return (state > 0).astype(jnp.int32), memory


class _Random:
    initial = None

    def __call__(self, key: Key[Array, ""], memory: None, state: Array) -> tuple[Array, None]:
        """Either action."""
        return jax.random.randint(key, (), 0, 2), memory


class Corridor:
    """The domain: N stations, episodes of 20 steps."""

    name = "corridor"
    spec = AgentSpec(observation=3, actions=2, dset=3, sources=1, classes=2, horizon=20)
    scripted = {"random": _Random(), "heuristic": _Push()}  # noqa: RUF012 - never mutated

    def __init__(self, agents: int) -> None:
        self.agents = agents
        self.local_simulator, self.global_simulator = Station(), Conveyor(agents)

    def scene(self) -> dict[str, Any]:
        """A belt with one box per station."""
        boxes = [
            {"kind": "rect", "x": 3 * i + 0.5, "y": 1, "w": 2, "h": 2, "fill": "#d9cfbd"}
            for i in range(self.agents)
        ]
        return {"width": 3 * self.agents, "height": 4, "shapes": boxes}

    def frame(self, state: Any) -> list[dict[str, Any]]:
        """The parcels."""
        return [
            {"kind": "circle", "x": 3 * i + 1 + k, "y": 2, "r": 0.4, "fill": "#d55e00"}
            for i, held in enumerate(state)
            for k in range(int(held))
        ]


Options = CorridorOptions
"""What it declares to the command line."""


def make(agents: int) -> Corridor:
    """A corridor of this many stations."""
    return Corridor(agents)
