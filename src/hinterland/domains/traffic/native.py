"""One signalised intersection of the paper's grid in JAX: its local simulator without SUMO.

Four straight single-lane approaches. Cars follow the Intelligent Driver Model of Treiber,
Hennecke and Helbing (2000), "Congested traffic states in empirical observations and microscopic
simulations", Phys. Rev. E 62:

    dv/dt = a (1 - (v / v0)^4 - (s* / s)^2),    s* = s0 + v T + v dv / (2 sqrt(a b)).

All cars move at once, each against its leader's position and speed at the start of the second.
Units: metres, seconds. A lane's coordinate runs from 0 through the stop line to the road beyond
the junction. `fidelity.compare` holds these rules against SUMO.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from hinterland.core import Step
from hinterland.domains.traffic.network import (
    BLOCK,
    CELLS,
    CROWD,
    CROWDED_SPEED,
    ENTRY_POSITION,
    ENTRY_SPEED,
    SPEED,
    YELLOW_S,
)

# The road (the paper's network as its authors' code builds it).
LANES = 4
"""Incoming edges in the order west, south, east, north."""
STOP_LINE = BLOCK
CELL = BLOCK / CELLS
OBSERVED = CELLS - 1
"""Cells of an edge that are observed, counted from the stop line; the tenth is the influence."""
JUNCTION_END = 118.8
ROAD_END = 218.8
"""End of the 100 m behind the junction: cars beyond it no longer slow their followers down."""

# The cars (the vehicle type in the authors' code).
ACCELERATION = 2.6
DECELERATION = 7.5
HEADWAY = 1.0
MINIMUM_GAP = 2.5
LENGTH = 5.0
MAXIMUM_SPEED = SPEED
SPEED_DEVIATION = 0.1
SLOWEST, FASTEST = 0.2, 2.0
"""Bounds of a driver's speed factor."""

# Calibrated on SUMO 1.28, by single cars' speeds one second on. With these, and with the rules
# below for entering, stopping and drawing drivers, `fidelity.compare` finds no more difference to
# SUMO than between two seeds of SUMO.
STOP_MARGIN = 1.0
"""A car comes to rest this far before the stop line; there, unlike behind a car, s0 is 0."""
SUBSTEPS = 4
"""Accelerations per second. SUMO's IDM has the same number by default ("stepping" 0.25 s)."""

EW_GREEN, EW_YELLOW, NS_YELLOW, NS_GREEN = range(4)

SLOTS = 16
"""Of a lane. It never held more than 14 cars under the heaviest insertions and any switching."""
NOWHERE = 1e6
"""Position of an empty slot: a leader too far away to matter."""

_BRAKING = 2 * (ACCELERATION * DECELERATION) ** 0.5
_NORTH_SOUTH = np.arange(LANES) % 2 == 1


class IntersectionState(NamedTuple):
    """Each lane is a ring of slots, front to back, with wrap-around; slot `tail` is filled next."""

    position: Float[Array, "4 slots"]
    """Of the front bumper; `NOWHERE` if the slot is empty."""
    speed: Float[Array, "4 slots"]
    desired: Float[Array, "4 slots"]
    """The speed a driver keeps on a free road."""
    tail: Int[Array, " 4"]
    light: Int[Array, ""]
    """EW_GREEN, EW_YELLOW, NS_YELLOW or NS_GREEN."""
    yellow_left: Int[Array, ""]
    """Seconds of yellow left, 0 in a green."""


def next_light(
    light: Int[Array, ""], yellow_left: Int[Array, ""], action: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The light of this second, and the yellow left: an action counts only during a green."""
    is_green = (light == EW_GREEN) | (light == NS_GREEN)
    turned = jnp.where(light == EW_GREEN, EW_YELLOW, NS_YELLOW)
    opposite = jnp.where(light == EW_YELLOW, NS_GREEN, EW_GREEN)
    switches = is_green & (action == 1)
    left = jnp.where(switches, YELLOW_S, jnp.maximum(yellow_left - 1, 0))
    light = jnp.where(switches, turned, jnp.where(is_green | (left > 0), light, opposite))
    return light, left


def wished_gap(
    speed: Float[Array, "*shape"],
    leader_speed: Float[Array, "*shape"] | float,
    minimum_gap: float,
) -> Float[Array, "*shape"]:
    """The model's s*; a leader that pulls away shortens it to `minimum_gap` at most."""
    return minimum_gap + jnp.maximum(speed * (HEADWAY + (speed - leader_speed) / _BRAKING), 0)


def idm_speed(
    speed: Float[Array, "*shape"],
    desired: Float[Array, "*shape"],
    gap: Float[Array, "*shape"],
    leader_speed: Float[Array, "*shape"] | float,
    minimum_gap: float,
) -> Float[Array, "*shape"]:
    """A car's speed one second on, behind a leader (or a point to stop at) `gap` metres ahead."""
    dt = 1 / SUBSTEPS
    inverse = 1 / desired
    for _ in range(SUBSTEPS):
        free = (speed * inverse) ** 2
        tight = wished_gap(speed, leader_speed, minimum_gap) / jnp.maximum(gap, 0.01)
        speed = jnp.maximum(speed + dt * ACCELERATION * (1 - free * free - tight * tight), 0)
        gap = gap - dt * jnp.maximum(speed - leader_speed, 0)
    return speed


def speed_factor(noise: Float[Array, "4 2"], entry_speed: Float[Array, " 4"]) -> Float[Array, " 4"]:
    """A new driver's wish as a multiple of the speed limit.

    As in SUMO a driver who would be slower than its entry speed is drawn once more, and is given
    just that speed if it is too slow again.
    """
    first, second = jnp.clip(1 + SPEED_DEVIATION * noise.T, SLOWEST, FASTEST)
    least = entry_speed / MAXIMUM_SPEED
    return jnp.where(first < least, jnp.maximum(second, least), first)


class NativeIntersection:
    """Local simulator of one intersection; class 1 of an influence source: a car enters there."""

    def reset(self, key: Key[Array, ""]) -> IntersectionState:
        """No cars, north-south green."""
        slots = (LANES, SLOTS)
        return IntersectionState(
            position=jnp.full(slots, NOWHERE),
            speed=jnp.zeros(slots),
            desired=jnp.full(slots, MAXIMUM_SPEED),
            tail=jnp.zeros(LANES, jnp.int32),
            light=jnp.asarray(NS_GREEN, jnp.int32),
            yellow_left=jnp.asarray(0, jnp.int32),
        )

    def observe(self, state: IntersectionState) -> UInt8[Array, " 40"]:
        """36 car bits (edge by edge, from the stop line out), then the light one-hot; uint8."""
        light = (jnp.arange(4) == state.light).astype(jnp.uint8)
        return jnp.concatenate([self.dset(state), light])

    def dset(self, state: IntersectionState) -> UInt8[Array, " 36"]:
        """The car bits alone: 4 edges x 9 cells; uint8."""
        distance = STOP_LINE - state.position
        cell = jnp.floor(distance / CELL).astype(jnp.int32)
        # One integer per lane whose bit k is cell k: an OR over slots is all that must be reduced
        bit = jnp.where((distance > 0) & (cell < OBSERVED), 1 << jnp.clip(cell, 0, OBSERVED), 0)
        bits = jax.lax.reduce(bit, 0, jax.lax.bitwise_or, (1,))
        return ((bits[:, None] >> jnp.arange(OBSERVED)) & 1).astype(jnp.uint8).reshape(-1)

    def noise(self, key: Key[Array, ""]) -> Float[Array, "4 2"]:
        """Standard normal numbers: two draws of a speed factor for each lane's new car."""
        return jax.random.normal(key, (LANES, 2))

    def step(
        self,
        state: IntersectionState,
        action: Int[Array, ""],
        influence: Int[Array, " 4"],
        noise: Float[Array, "4 2"],
    ) -> Step[IntersectionState]:
        """One second: the light, then the cars move, then new cars enter; paid is mean speed."""
        light, yellow_left = next_light(state.light, state.yellow_left, action)
        crowded = jnp.sum(state.position < STOP_LINE, 1) > CROWD
        position, speed = self._move(state, light)
        entry_speed = jnp.where(crowded, CROWDED_SPEED, ENTRY_SPEED)
        enters = (influence == 1) & self._has_room(position, speed, state.tail, entry_speed)
        new = enters[:, None] & (jnp.arange(SLOTS) == state.tail[:, None])
        desired = MAXIMUM_SPEED * jnp.minimum(speed_factor(noise, entry_speed), 1)
        position = jnp.where(new, ENTRY_POSITION, position)
        speed = jnp.where(new, entry_speed[:, None], speed)
        on_lane = position < STOP_LINE
        total = jnp.sum(jnp.where(on_lane, speed, 0))
        reward = total / (MAXIMUM_SPEED * jnp.maximum(jnp.sum(on_lane), 1))
        moved = IntersectionState(
            position,
            speed,
            jnp.where(new, desired[:, None], state.desired),
            jnp.where(enters, (state.tail + 1) % SLOTS, state.tail),
            light,
            yellow_left,
        )
        return Step(moved, reward, jnp.asarray(False))

    def _move(
        self, state: IntersectionState, light: Int[Array, ""]
    ) -> tuple[Float[Array, "4 slots"], Float[Array, "4 slots"]]:
        """Positions and speeds one second on, under the light of this second."""
        position, speed, desired = state.position, state.speed, state.desired
        leader, leader_speed = jnp.roll(position, 1, 1), jnp.roll(speed, 1, 1)
        gap = leader - LENGTH - position
        new_speed = jnp.minimum(
            idm_speed(speed, desired, gap, leader_speed, MINIMUM_GAP), jnp.maximum(gap, 0)
        )
        to_line = STOP_LINE - position
        least_gap = jnp.maximum(speed - DECELERATION, 0)
        to_stop = jnp.maximum(to_line - STOP_MARGIN, least_gap)
        stopping = jnp.minimum(idm_speed(speed, desired, to_stop, 0.0, 0.0), to_stop)
        # Close to its stop the model would leave a car standing for good: it rolls the rest
        stopping = jnp.where((speed == 0) & (stopping == 0), to_stop, stopping)
        # On yellow and red alike: who cannot stop by braking at DECELERATION drives on. Not only
        # the first car brakes for the line: a car behind one that drives on must start in time.
        must_stop = (to_line >= least_gap) & ~self._may_enter(position, light)[:, None]
        new_speed = jnp.where(must_stop, jnp.minimum(new_speed, stopping), new_speed)
        moved = position + new_speed
        gone = moved > ROAD_END
        return jnp.where(gone, NOWHERE, moved), jnp.where(gone, 0, new_speed)

    def _may_enter(
        self, position: Float[Array, "4 slots"], light: Int[Array, ""]
    ) -> Bool[Array, " 4"]:
        """Lanes with a green light and no car of the crossing direction inside the junction.

        Three seconds of yellow always empty the junction; the second condition guards the rule.
        """
        inside = jnp.any((position >= STOP_LINE) & (position < JUNCTION_END), 1)
        crossing = jnp.where(_NORTH_SOUTH, inside[0] | inside[2], inside[1] | inside[3])
        green = jnp.where(_NORTH_SOUTH, light == NS_GREEN, light == EW_GREEN)
        return green & ~crossing

    def _has_room(
        self,
        position: Float[Array, "4 slots"],
        speed: Float[Array, "4 slots"],
        tail: Int[Array, " 4"],
        entry_speed: Float[Array, " 4"],
    ) -> Bool[Array, " 4"]:
        """Lanes on which the last car leaves a new one at least the gap it wishes (as in SUMO)."""
        last = jnp.arange(SLOTS) == ((tail - 1) % SLOTS)[:, None]
        leader_speed = jnp.sum(jnp.where(last, speed, 0), 1)
        gap = jnp.min(position, 1) - LENGTH - ENTRY_POSITION
        needed = wished_gap(entry_speed, leader_speed, MINIMUM_GAP)
        # One slot stays empty: it is the front car's far leader
        free_slots = jnp.sum(position >= NOWHERE, 1)
        return (gap >= needed) & (free_slots > 1)
