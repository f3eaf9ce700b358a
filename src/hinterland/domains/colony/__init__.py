"""Foragers around a nest: the smallest domain whose entities are born and die, for docs and tests.

A field of 9 x 9 cells has its nest in the middle and 8 pieces of food, each a random cell. Three
foragers start at the nest. Each step a forager stays or goes to a neighbouring cell. One that
comes to food without load picks it up, and new food appears elsewhere; of several at one piece the
one in the lowest slot gets it. One that comes to the nest with load delivers it, which earns 1 for
this forager alone, and eats. Each second delivery of the colony hatches one more forager, as long
as a slot is free. A forager that has not eaten for 24 steps dies, and its slot stays empty.

The rules are ours, made for teaching: nobody needs the others to do well, but who is paid for what
others did learns little, and a colony that does not learn dies.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import AgentSpec, EntityStep, UserError
from hinterland.domains.teaching_options import ColonyOptions

SIZE, FOOD, FOUNDERS, COST, PATIENCE, HORIZON = 9, 8, 3, 2, 24, 100
NEST = SIZE // 2
"""The nest's row, and its column."""
MOVES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


class State(NamedTuple):
    """Cells are (row, column); `hatched` counts all foragers so far, and is the next free slot."""

    position: Int[Array, "slots 2"]
    alive: Bool[Array, " slots"]
    loaded: Bool[Array, " slots"]
    hunger: Int[Array, " slots"]
    food: Int[Array, "food 2"]
    hatched: Int[Array, ""]
    stored: Int[Array, ""]


def _cells(number: Int[Array, " food"]) -> Int[Array, "food 2"]:
    """The cells of these numbers; the nest has none."""
    number = number + (number >= SIZE * SIZE // 2)
    return jnp.stack([number // SIZE, number % SIZE], -1)


class Colony:
    """The simulator, of so many slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def reset(self, key: Key[Array, ""]) -> State:
        """The founders at the nest."""
        founders = jnp.arange(self.slots) < FOUNDERS
        return State(
            position=jnp.full((self.slots, 2), NEST, jnp.int32),
            alive=founders,
            loaded=jnp.zeros(self.slots, bool),
            hunger=jnp.zeros(self.slots, jnp.int32),
            food=_cells(self.noise(key)),
            hatched=founders.sum(),
            stored=jnp.int32(0),
        )

    def observe(self, state: State) -> Float[Array, "slots 7"]:
        """Offsets to the nearest food and to the nest in field widths, load, hunger, population."""
        offset = state.food - state.position[:, None]
        nearest = jnp.abs(offset).sum(-1).argmin(-1)
        to_food = jnp.take_along_axis(offset, nearest[:, None, None], 1)[:, 0]
        population = jnp.broadcast_to(state.alive.mean(), self.slots)
        whole = (state.loaded, state.hunger / PATIENCE, population)
        columns = [to_food / SIZE, (NEST - state.position) / SIZE, jnp.stack(whole, -1)]
        return jnp.concatenate(columns, -1).astype(jnp.float32)

    def alive(self, state: State) -> Bool[Array, " slots"]:
        """Foragers that have not starved."""
        return state.alive

    def action_mask(self, state: State) -> Bool[Array, "slots 5"]:
        """Staying, and the steps that do not leave the field."""
        goal = state.position[:, None] + jnp.array(MOVES)
        inside = ((goal >= 0) & (goal < SIZE)).all(-1)
        return inside & state.alive[:, None]

    def noise(self, key: Key[Array, ""]) -> Int[Array, " food"]:
        """Where each piece of food reappears, should it be taken."""
        return jax.random.randint(key, (FOOD,), 0, SIZE * SIZE - 1)

    def step(
        self, state: State, actions: Int[Array, " slots"], noise: Int[Array, " food"]
    ) -> EntityStep[State]:
        """Move, pick up, deliver, starve, hatch."""
        goal = jnp.clip(state.position + jnp.array(MOVES)[actions], 0, SIZE - 1)
        position = jnp.where(state.alive[:, None], goal, state.position)
        after, delivers = self.lived(state, position, state.alive, noise)
        return EntityStep(after, delivers.astype(jnp.float32), ~after.alive.any())

    def lived(
        self,
        state: State,
        position: Int[Array, "slots 2"],
        here: Bool[Array, " slots"],
        noise: Int[Array, " food"],
    ) -> tuple[State, Bool[Array, " slots"]]:
        """(the state once foragers have moved, who delivers); those that are not here are gone."""
        delivers = here & state.loaded & (position == NEST).all(-1)
        there = (position[:, None] == state.food).all(-1)
        comes = there & (here & ~state.loaded)[:, None]
        taken = comes.any(0)
        picks = (comes & (jnp.arange(self.slots)[:, None] == comes.argmax(0))).any(1)
        hunger = jnp.where(delivers, 0, state.hunger + 1)
        alive = here & (hunger < PATIENCE)
        stored = state.stored + delivers.sum()
        hatches = (stored >= COST) & (state.hatched < self.slots)
        new = hatches & (jnp.arange(self.slots) == state.hatched)
        after = State(
            position=position,  # an empty slot waits at the nest
            alive=alive | new,
            loaded=(state.loaded | picks) & ~delivers,
            hunger=jnp.where(new, 0, hunger),
            food=jnp.where(taken[:, None], _cells(noise), state.food),
            hatched=state.hatched + hatches,
            stored=stored - COST * hatches,
        )
        return after, delivers


def _random(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    """Any possible action."""
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


def _forage(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    """To the nearest food, with load to the nest; along the longer way first."""
    goal = jnp.where(observation[4] > 0, observation[2:4], observation[:2])
    along = jnp.array(MOVES) @ goal
    return jnp.where(mask, along, -jnp.inf).argmax()


class ColonyDomain:
    """The domain: `agents` is the number of slots, episodes have 100 steps."""

    name = "colony"
    spec = AgentSpec(observation=7, actions=5, dset=0, sources=0, classes=0, horizon=HORIZON)
    scripted = {"random": _random, "heuristic": _forage}  # noqa: RUF012 - never mutated

    def __init__(self, agents: int) -> None:
        self.agents, self.entity_simulator = agents, Colony(agents)

    def scene(self) -> dict[str, Any]:
        """The field and the nest."""
        field = {"kind": "rect", "x": 0, "y": 0, "w": SIZE, "h": SIZE, "fill": "#f4f1ea"}
        nest = {"kind": "rect", "x": NEST, "y": NEST, "w": 1, "h": 1, "fill": "#d9cfbd"}
        return {"width": SIZE, "height": SIZE, "shapes": [field, nest]}

    def frame(self, state: State) -> list[dict[str, Any]]:
        """Food, and living foragers: paler with hunger, with a dot of what they carry."""
        shapes: list[dict[str, Any]] = [
            {"kind": "rect", "x": int(x) + 0.3, "y": int(y) + 0.3, "w": 0.4, "h": 0.4,
             "fill": "#009e73"}
            for y, x in state.food
        ]  # fmt: skip
        for slot in state.alive.nonzero()[0]:
            y, x = (int(at) + 0.5 for at in state.position[slot])
            full = round(1 - 0.7 * int(state.hunger[slot]) / PATIENCE, 2)
            circle = {"kind": "circle", "x": x, "y": y, "r": 0.4, "fill": "#0072b2"}
            shapes.append({**circle, "opacity": full})
            if state.loaded[slot]:
                shapes.append({"kind": "circle", "x": x, "y": y, "r": 0.15, "fill": "#d55e00"})
        return shapes


Options = ColonyOptions
"""What it declares to the command line."""


def make(agents: int, regions: int | None = None) -> ColonyDomain:
    """A colony of at most this many foragers, all of them ever born counted.

    Args:
        agents: slots of the whole system.
        regions: so many colonies in a ring, with foragers that go from one to the next; None or 1:
            one alone.

    Raises:
        UserError: there is no slot for the founders, or slots cannot be divided evenly.
    """
    count = regions or 1
    if agents % count or agents // count < FOUNDERS:
        least = f"each colony begins with {FOUNDERS} foragers"
        if count == 1:
            raise UserError(f"--agents {agents}: the colony begins with {FOUNDERS} foragers")
        raise UserError(f"--agents {agents}: must be a multiple of --regions {count}, and {least}")
    if count == 1:
        return ColonyDomain(agents)
    from hinterland.domains.colony.ring import RingDomain

    return RingDomain(agents, count)
