"""Hand-written players: the floor and the ceiling beside which a learned one is read.

A bot is made for one side of one game and asked at each step for the actions [slot, 6] of its own.
It may wait where the masks would have it act: they are a network's.
"""

from typing import Protocol

import numpy as np

from hinterland.domains.lux.actions import (
    AMOUNTS,
    DIG,
    FACTORY_NOTHING,
    HEAVY_UNIT,
    ICE_CARGO,
    MOVE,
    MOVE_TO,
    PICKUP,
    PICKUP_AMOUNT,
    RECHARGE,
    RECHARGE_AMOUNT,
    RESOURCE,
    TRANSFER,
    TRANSFER_TO,
    TYPE,
    Reservation,
    nothing,
    targets,
)
from hinterland.domains.lux.state import (
    CARGO,
    DIG_COST,
    FACTORY,
    HEAVY,
    ICE,
    ID,
    KIND,
    MOVE_COST,
    POWER,
    QUEUE_COST,
    RUBBLE_COST,
    UNIT,
    State,
    X,
    Y,
)

Masks = dict[str, np.ndarray]


class Bot(Protocol):
    """One side of one game."""

    def __call__(self, state: State, mask: Masks) -> np.ndarray:
        """Actions [slot, 6]; the masks [slot, choice] are its own, to be narrowed in place."""
        ...


class Idle:
    """Does nothing, and so dies of thirst at step 151."""

    def __init__(self, player: int, seed: int) -> None:
        self._player = player

    def __call__(self, state: State, mask: Masks) -> np.ndarray:
        return nothing(state.seats[self._player])


class RandomMasked:
    """Any action that the masks allow: types uniformly, then what the type needs."""

    def __init__(self, player: int, seed: int) -> None:
        self._player = player
        self._random = np.random.default_rng([seed, player])

    def __call__(self, state: State, mask: Masks) -> np.ndarray:
        seats = state.seats[self._player]
        actions, reservation = nothing(seats), Reservation(state, self._player)
        for slot in np.flatnonzero(seats[:, ID] >= 0):
            if seats[slot, KIND] == FACTORY:
                if mask["factory_type"][slot].any():
                    actions[slot, TYPE] = self._any(mask["factory_type"][slot])
                continue
            reservation.narrow(mask, slot)
            if mask["unit_type"][slot].any():
                actions[slot] = self._unit(mask, slot)
                if actions[slot, TYPE] == MOVE:
                    reservation.go(slot, actions[slot, MOVE_TO])
        return actions

    def _unit(self, mask: Masks, slot: int) -> np.ndarray:
        action = np.zeros(6, np.int8)
        action[TYPE] = self._any(mask["unit_type"][slot])
        if action[TYPE] == MOVE:
            action[MOVE_TO] = self._any(mask["move_direction"][slot])
        elif action[TYPE] == TRANSFER:
            action[TRANSFER_TO] = self._any(mask["transfer_direction"][slot])
            action[RESOURCE] = self._any(mask["transfer_resource"][slot])
        elif action[TYPE] == PICKUP:
            action[PICKUP_AMOUNT] = self._any(mask["amount"][slot])
        elif action[TYPE] == RECHARGE:
            action[RECHARGE_AMOUNT] = self._any(mask["amount"][slot])
        return action

    def _any(self, allowed: np.ndarray) -> int:
        return self._random.choice(np.flatnonzero(allowed))


LEAVE_WITH = 1000
"""Power that a heavy unit waits for at home; each way between costs some."""
REFRESH = 50
"""Steps after which paths are looked for anew: rubble changes slowly."""
UNREACHABLE = 1e6


class HeavyPerFactory:
    """Every factory builds one heavy unit, which brings it the nearest ice until the end.

    Power limits it: a factory makes 50 a step, a dig with its queue takes 70.
    """

    def __init__(self, player: int, seed: int) -> None:
        self._player = player
        self._paths: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
        """By factory: its ice's cell, and the power it takes from each cell to there and to it."""
        self._planned = -REFRESH

    def __call__(self, state: State, mask: Masks) -> np.ndarray:
        seats = state.seats[self._player]
        homes = np.flatnonzero((seats[:, ID] >= 0) & (seats[:, KIND] == FACTORY))
        units = np.flatnonzero((seats[:, ID] >= 0) & (seats[:, KIND] == UNIT))
        actions = nothing(seats)
        if not homes.size:
            return actions
        if state.step >= self._planned + REFRESH:
            self._plan(state)
        away = np.abs(seats[units][:, None, [X, Y]] - seats[homes][:, [X, Y]]).sum(-1)
        nearest = homes[away.argmin(1)] if units.size else units
        for home in homes:
            builds = mask["factory_type"][home, HEAVY_UNIT] and home not in nearest
            actions[home, TYPE] = HEAVY_UNIT if builds else FACTORY_NOTHING
        reservation = Reservation(state, self._player)
        for slot, home in zip(units, nearest, strict=True):
            reservation.narrow(mask, slot)
            if seats[home, ID] in self._paths:
                self._unit(state, mask, slot, home, actions[slot])
                if actions[slot, TYPE] == MOVE:
                    reservation.go(slot, actions[slot, MOVE_TO])
        return actions

    def _plan(self, state: State) -> None:
        """Gives every factory of both sides an ice of its own, with least power in all.

        The other side's bot comes to the same plan, so that they need not fight.
        """
        from scipy.optimize import linear_sum_assignment  # half a second; other bots need it not

        self._planned = state.step
        self._paths = {}
        places = np.argwhere(state.boards.ice) @ (state.size, 1)
        homes, to_homes, costs = [], [], []
        for side, rows in enumerate(state.rows):
            factories = rows[rows[:, KIND] == FACTORY]
            cost = (MOVE_COST[1] + RUBBLE_COST[1] * state.boards.rubble).astype(float)
            cost[state.territory[1 - side] >= 0] = np.inf
            cost[factories[:, Y], factories[:, X]] = np.inf
            for number in factories[:, ID]:
                homes.append((side, number))
                to_homes.append(_power_to(state.territory[side] == number, cost).reshape(-1))
                costs.append(cost)
        power = np.minimum([to_home[places] for to_home in to_homes], UNREACHABLE)
        for one, choice in zip(*linear_sum_assignment(power), strict=True):
            side, number = homes[one]
            if side == self._player and power[one, choice] < UNREACHABLE:
                ice = places[choice]
                goal = (np.arange(state.size**2) == ice).reshape(costs[one].shape)
                to_ice = _power_to(goal, costs[one]).reshape(-1)
                self._paths[number] = ice, to_ice, to_homes[one]

    def _unit(self, state: State, mask: Masks, slot: int, home: int, action: np.ndarray) -> None:
        """Fills in one unit's action."""
        seats = state.seats[self._player]
        ice, to_ice, to_home = self._paths[seats[home, ID]]
        cells, inside = targets(seats[slot], state.size)
        here, power, cargo = cells[0], seats[slot, POWER], seats[slot, ICE]
        heavy = seats[slot, HEAVY]
        at_home = to_home[here] == 0
        spare = power - to_home[here] - DIG_COST[heavy] - 3 * QUEUE_COST[heavy]
        if at_home and cargo == 0 and power < LEAVE_WITH:
            if power + seats[home, POWER] >= LEAVE_WITH and mask["unit_type"][slot, PICKUP]:
                action[:] = [PICKUP, 0, 0, 0, AMOUNTS - 1, 0]
        elif at_home and cargo:
            action[:] = [TRANSFER, 0, 0, ICE_CARGO, 0, 0]
        elif here == ice and spare > 0 and cargo < CARGO[heavy] and mask["unit_type"][slot, DIG]:
            action[TYPE] = DIG
        else:
            away = spare > 0 and cargo == 0
            goal = np.where(inside, (to_ice if away else to_home)[cells], np.inf)
            goal[~mask["move_direction"][slot]] = np.inf
            enemies = state.rows[1 - self._player]
            goal[np.isin(cells, enemies[:, Y] * state.size + enemies[:, X])] = np.inf
            if mask["unit_type"][slot, MOVE] and np.isfinite(goal.min()):
                action[:] = [MOVE, goal.argmin(), 0, 0, 0, 0]


def _power_to(goal: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """[y, x] the least power from each cell to the goal, by relaxing all cells at once."""
    power = np.where(goal & np.isfinite(cost), 0, np.inf)
    while True:
        step = np.pad(power + cost, 1, constant_values=np.inf)
        best = np.minimum(
            np.minimum(step[:-2, 1:-1], step[2:, 1:-1]), np.minimum(step[1:-1, :-2], step[1:-1, 2:])
        )
        better = np.minimum(power, best)
        if np.array_equal(better, power):
            return power
        power = better


BOTS = {"idle": Idle, "random": RandomMasked, "heavy": HeavyPerFactory}
