"""The rules of an engagement between two sides, as pure functions of both sides' actions.

The same code moves both: with the sides swapped, every result is swapped, to the last bit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.domains.combat import actions as commands
from hinterland.domains.combat.observation import central, observe
from hinterland.domains.combat.rules import (
    DETECT_DETECTOR,
    DETECT_FIGHTER,
    DETECTOR_START,
    FIGHTER_START,
    FREQUENCIES,
    HALF,
    HIT,
    HIT_PROBABILITY,
    LAUNCH_INVALID,
    LAUNCH_VALID,
    LOST,
    START_WIDTH,
    STEPS,
    TOTAL_WIN,
    UNGUIDED,
    WIN,
    make_forces,
)
from hinterland.domains.combat.sensors import sense
from hinterland.domains.combat.state import (
    UNKNOWN,
    Side,
    State,
    direction,
    missile_kinds,
    other,
)


class Rewards(NamedTuple):
    """What each unit earned in a step, in parts. A unit dead before the step earned nothing."""

    detect: Float[Array, "2 units"]
    hit: Float[Array, "2 units"]
    lost: Float[Array, "2 units"]
    launch: Float[Array, "2 units"]
    win: Float[Array, "2 units"]

    @property
    def total(self) -> Float[Array, "2 units"]:
        """The sum of the parts."""
        return self.detect + self.hit + self.lost + self.launch + self.win


class CombatGame:
    """Two sides of `units` units each, of them `detectors` detectors; one copy, one step.

    Raises:
        UserError: no fighter is left.
    """

    def __init__(self, units: int, detectors: int = 0) -> None:
        self.forces = make_forces(units, detectors)
        self.units = units

    def reset(self, key: Key[Array, ""]) -> State:
        """Both sides at random places near their bases, on course for each other, radars on."""
        forces, units = self.forces, self.units
        low, high = np.where(forces.detector[:, None], DETECTOR_START, FIGHTER_START).T
        place = jax.random.uniform(key, (2, units, 2))
        x = low + place[..., 0] * (high - low)
        y = START_WIDTH * (2 * place[..., 1] - 1)
        missiles = jnp.zeros((2, units, len(missile_kinds())), jnp.int32)
        none = jnp.zeros((2, units), bool)
        nothing = jnp.zeros((2, units), jnp.int32)
        sides = Side(
            position=jnp.stack([x, y], -1).astype(jnp.float32),
            course=nothing,
            alive=~none,
            radar=nothing + 1 + jnp.arange(units) % FREQUENCIES,
            jammer=nothing,
            missiles=nothing[..., None] + jnp.asarray(forces.missiles),
            target=missiles,
            flight=missiles,
            contact=jnp.zeros((2, units, units), bool),
            blinded=none,
            received=jnp.zeros((2, units, units), bool),
            track_position=jnp.zeros((2, units, 2), jnp.float32),
            track_course=nothing,
            track_age=nothing + UNKNOWN,
            found=none,
        )
        sides = self._sense(sides)
        return State(sides, jnp.int32(0), jnp.asarray(False), jnp.zeros(2, bool))

    def noise(self, key: Key[Array, ""]) -> Float[Array, "2 units missiles"]:
        """A number in [0, 1) for each missile; one that arrives hits if it is below the chance."""
        return jax.random.uniform(key, (2, self.units, len(missile_kinds())))

    def observe(self, state: State, side: int) -> Float[Array, "units observation"]:
        """What each unit of a side sees (`observation.observe`)."""
        mine, theirs = self._views(state, side)
        return observe(self.forces, mine, theirs, state.time)

    def central(self, state: State, side: int) -> Float[Array, " central"]:
        """The whole state in a side's frame, for a centralised critic (`observation.central`)."""
        mine, theirs = self._views(state, side)
        return central(self.forces, mine, theirs, state.time)

    def action_mask(self, state: State, side: int) -> Bool[Array, "units actions"]:
        """What each unit of a side may do now (`actions.mask`)."""
        return commands.mask(self.forces, self._views(state, side)[0])

    def step(
        self,
        state: State,
        red: Int[Array, " units"],
        blue: Int[Array, " units"],
        noise: Float[Array, "2 units missiles"],
    ) -> tuple[State, Rewards]:
        """(the state after a step, rewards). An engagement that is over stays as it is.

        Commands are obeyed, everybody moves, missiles launched in earlier steps fly on and arrive,
        the destroyed vanish, radars look, the result is judged.
        """
        before = state.sides
        obey = jax.vmap(lambda side, action: commands.obey(self.forces, side, action))
        sides, valid, invalid = obey(before, jnp.stack([red, blue]))
        sides = sides._replace(position=self._moved(sides))
        strikes, credit = jax.vmap(_strike)(sides, other(before).alive, before.flight, noise)
        alive = sides.alive & ~strikes.destroyed[::-1]
        sides = self._sense(sides._replace(alive=alive, flight=strikes.flight))

        time = state.time + 1
        over, won, total = _judge(sides, time)
        seen_first = jax.vmap(self._detection)(before.found, sides)
        win = jnp.where(won, 1.0, 0.0) - jnp.where(won[::-1], 1.0, 0.0)
        rewards = Rewards(
            detect=seen_first,
            hit=HIT * credit,
            lost=LOST * (before.alive & ~alive),
            launch=LAUNCH_VALID * valid + LAUNCH_INVALID * invalid,
            win=jnp.broadcast_to((jnp.where(total, TOTAL_WIN, WIN) * win)[:, None], alive.shape),
        )
        going = ~state.over
        paid = jax.tree.map(lambda x: jnp.where(before.alive & going, x, 0.0), rewards)
        after = State(sides, time, over, won)
        return jax.tree.map(lambda new, old: jnp.where(going, new, old), after, state), paid

    def _views(self, state: State, side: int) -> tuple[Side, Side]:
        mine, theirs = (jax.tree.map(lambda x, i=i: x[i], state.sides) for i in (side, 1 - side))
        return mine, theirs

    def _moved(self, sides: Side) -> Float[Array, "2 units 2"]:
        """Positions a step later; the border of the field holds everybody back."""
        way = jnp.asarray(self.forces.speed)[:, None] * direction(sides.course)
        moved = jnp.clip(sides.position + way, -HALF, HALF)
        return jnp.where(sides.alive[..., None], moved, sides.position)

    def _sense(self, sides: Side) -> Side:
        return jax.vmap(lambda mine, theirs: sense(self.forces, mine, theirs))(sides, other(sides))

    def _detection(self, found: Bool[Array, " enemies"], side: Side) -> Float[Array, " units"]:
        """Shares of the reward for enemies that nobody on the side had seen before."""
        value = np.where(self.forces.detector, DETECT_DETECTOR, DETECT_FIGHTER)
        first = side.contact & ~found
        return (first / jnp.maximum(first.sum(0), 1) * value).sum(1)


class Strikes(NamedTuple):
    """What one side's missiles did in a step."""

    flight: Int[Array, "units missiles"]
    destroyed: Bool[Array, " enemies"]


def _strike(
    side: Side,
    enemies: Bool[Array, " enemies"],
    flight: Int[Array, "units missiles"],
    noise: Float[Array, "units missiles"],
) -> tuple[Strikes, Float[Array, " units"]]:
    """(missiles and victims, each unit's share of the kills).

    Args:
        side: whose missiles; its tracks are those of the last step, which guide them.
        enemies: who is alive.
        flight: before the step; only what flew then flies on.
        noise: one number for each missile.
    """
    arrives = flight == 1
    guided = side.track_age[side.target] == 0
    chance = np.array(HIT_PROBABILITY, np.float32)[missile_kinds()] * jnp.where(
        guided, 1.0, UNGUIDED
    )
    at = side.target[..., None] == jnp.arange(len(enemies))
    hits = at & (arrives & (noise < chance))[..., None] & enemies
    number = hits.sum((0, 1))
    credit = (hits / jnp.maximum(number, 1)).sum((1, 2))
    left = jnp.where(flight > 0, side.flight - 1, side.flight)
    return Strikes(left, number > 0), credit


def _judge(sides: Side, time: Array) -> tuple[Array, Bool[Array, " 2"], Bool[Array, ""]]:
    """(whether it is over, which side won, whether nobody of the other is left).

    It is over when a side is destroyed, when neither has missiles left or under way, or when time
    is up. More survivors win.
    """
    survivors = sides.alive.sum(1)
    armed = (sides.missiles * sides.alive[..., None]).any() | (sides.flight > 0).any()
    gone = (survivors == 0).any()
    over = gone | ~armed | (time >= STEPS)
    return over, over & (survivors > survivors[::-1]), gone
