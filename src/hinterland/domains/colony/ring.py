"""Colonies in a ring: regions in which foragers are born and die, with borders between them.

The field of each region is a colony's. A forager that steps off its left or right edge leaves its
region, and arrives in the same row of the next one, half hungry; its slot here stays empty, and
there it takes the next one that nobody has had (or is lost, if there is none). One forager may pass
each edge in a step, the one in the lowest slot; others wait. All that a region knows of its
surroundings is who arrives: two influence sources, one for each edge, whose class is 0 for nobody,
and else says in which row, and whether with load.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import AgentSpec, EntityStep
from hinterland.domains.colony import HORIZON, MOVES, PATIENCE, SIZE, Colony, ColonyDomain, State

EDGES = (0, SIZE - 1)
"""The columns in which foragers arrive: from the left, and from the right."""
CLASSES = 1 + 2 * SIZE


class Passed(NamedTuple):
    """What leaves a region in a step, as classes of its neighbours' influence sources."""

    to_left: Int[Array, ""]
    to_right: Int[Array, ""]


class Region(Colony):
    """One colony with open edges, given who arrives: the local simulator."""

    def action_mask(self, state: State) -> Bool[Array, "slots 5"]:
        """Staying, and the steps that do not leave the field at its top or bottom."""
        row = state.position[:, :1] + jnp.array(MOVES)[:, 0]
        return (row >= 0) & (row < SIZE) & state.alive[:, None]

    def dset(self, state: State) -> Float[Array, " 5"]:
        """Foragers in all, in the columns of either edge and with load; and the stock."""
        column, alive = state.position[:, 1], state.alive
        near = [(alive & (column == edge)).sum() for edge in EDGES]
        loaded = (alive & state.loaded).sum()
        return jnp.stack([alive.sum(), *near, loaded, state.stored]).astype(jnp.float32)

    def leaving(
        self, state: State, actions: Int[Array, " slots"]
    ) -> tuple[Bool[Array, " slots"], Passed]:
        """(who leaves the region in this step, what that is to its neighbours)."""
        column = state.position[:, 1] + jnp.array(MOVES)[actions][:, 1]
        gone, classes = jnp.zeros(self.slots, bool), []
        for beyond in (column < 0, column >= SIZE):
            wants = beyond & state.alive
            first = wants & (jnp.arange(self.slots) == wants.argmax())
            code = 1 + 2 * state.position[:, 0] + state.loaded
            classes.append(jnp.where(first, code, 0).sum().astype(jnp.int32))
            gone = gone | first
        return gone, Passed(*classes)

    def step_given(
        self,
        state: State,
        actions: Int[Array, " slots"],
        influence: Int[Array, " 2"],
        noise: Int[Array, " food"],
    ) -> EntityStep[State]:
        """Move and leave, pick up, deliver, starve, hatch; then others arrive."""
        gone, _ = self.leaving(state, actions)
        goal = state.position + jnp.array(MOVES)[actions]
        moves = state.alive & ~gone & ((goal >= 0) & (goal < SIZE)).all(-1)
        position = jnp.where(moves[:, None], goal, state.position)
        after, delivers = self.lived(state, position, state.alive & ~gone, noise)
        for source, column in enumerate(EDGES):
            after = self._with(after, influence[source], column)
        # A region without anybody may still be reached: only the horizon ends an episode.
        return EntityStep(after, delivers.astype(jnp.float32), jnp.asarray(False))

    def _with(self, state: State, arrival: Int[Array, ""], column: int) -> State:
        """The state with one more forager, if anybody arrives and there is a slot."""
        new = (arrival > 0) & (jnp.arange(self.slots) == state.hatched)
        row = jnp.clip((arrival - 1) // 2, 0, SIZE - 1)
        place = jnp.stack([row, jnp.full_like(row, column)])
        return state._replace(
            position=jnp.where(new[:, None], place, state.position),
            alive=state.alive | new,
            loaded=jnp.where(new, (arrival - 1) % 2 == 1, state.loaded),
            hunger=jnp.where(new, PATIENCE // 2, state.hunger),
            hatched=state.hatched + new.any(),
        )


class LocalRegion:
    """A `Region` as a local simulator, whose step is given its influence."""

    def __init__(self, slots: int) -> None:
        self.region = region = Region(slots)
        self.reset, self.noise, self.step = region.reset, region.noise, region.step_given
        self.observe, self.alive = region.observe, region.alive
        self.action_mask, self.dset = region.action_mask, region.dset


class Ring:
    """All regions: the global simulator. Its state is theirs, stacked."""

    def __init__(self, slots: int, regions: int) -> None:
        self.region, self.count = Region(slots), regions

    def reset(self, key: Key[Array, ""]) -> Any:
        """Every colony by itself."""
        return jax.vmap(self.region.reset)(jax.random.split(key, self.count))

    def observe(self, state: Any) -> Float[Array, "slots 7"]:
        """As a colony shows it."""
        return _flat(jax.vmap(self.region.observe)(state))

    def alive(self, state: Any) -> Bool[Array, " slots"]:
        """Foragers that have not starved, and not left."""
        return _flat(state.alive)

    def action_mask(self, state: Any) -> Bool[Array, "slots 5"]:
        """As a region's."""
        return _flat(jax.vmap(self.region.action_mask)(state))

    def noise(self, key: Key[Array, ""]) -> Int[Array, "regions food"]:
        """Every region's share."""
        return jax.vmap(self.region.noise)(jax.random.split(key, self.count))

    def step(
        self, state: Any, actions: Int[Array, " slots"], noise: Int[Array, "regions food"]
    ) -> EntityStep[Any]:
        """One step of all regions; who leaves one arrives in the next."""
        each = actions.reshape(self.count, -1)
        passed = jax.vmap(self.region.leaving)(state, each)[1]
        # From the left comes who left the region before this one to its right.
        arrivals = [jnp.roll(passed.to_right, 1), jnp.roll(passed.to_left, -1)]
        influence = jnp.stack(arrivals, -1)
        moved = jax.vmap(self.region.step_given)(state, each, influence, noise)
        return EntityStep(moved.state, _flat(moved.reward), jnp.asarray(False), influence)

    def regions(self, state: Any) -> Any:
        """The state of every region."""
        return state

    def region_noise(self, noise: Int[Array, "regions food"]) -> Int[Array, "regions food"]:
        """Every region's share."""
        return noise

    def figures(self, state: Any) -> dict[str, Array]:
        """How many foragers there have been in all; who went to another region counts again."""
        return {"foragers": state.hatched.sum().astype(jnp.float32)}


def _flat(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


class RingDomain(ColonyDomain):
    """The domain: colonies whose slots lie side by side."""

    spec = AgentSpec(observation=7, actions=5, dset=5, sources=2, classes=CLASSES, horizon=HORIZON)

    def __init__(self, agents: int, regions: int) -> None:
        self.agents, slots = agents, agents // regions
        self.regions = np.arange(agents).reshape(regions, slots)
        self.entity_simulator: Any = Ring(slots, regions)
        self.local_simulator = LocalRegion(slots)

    def scene(self) -> dict[str, Any]:
        """The fields side by side, each with its nest."""
        count = len(self.regions)
        one = super().scene()["shapes"]
        shapes = [_beside(shape, at) for at in range(count) for shape in one]
        return {"width": count * (SIZE + 1) - 1, "height": SIZE, "shapes": shapes}

    def frame(self, state: Any) -> list[dict[str, Any]]:
        """Each colony's food and foragers."""
        shapes: list[dict[str, Any]] = []
        for at in range(len(self.regions)):
            one = jax.tree.map(lambda x, at=at: x[at], state)
            drawn = super().frame(one)
            shapes += [_beside(shape, at) for shape in drawn]
        return shapes


def _beside(shape: dict[str, Any], at: int) -> dict[str, Any]:
    return {**shape, "x": shape["x"] + at * (SIZE + 1)}
