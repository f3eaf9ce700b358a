"""What entities can do: the code of an action, the masks, and the engine's words for it.

An action is six small integers: type, direction of a move, direction of a transfer, resource of a
transfer, amount of a pickup, amount of a recharge; those that its type does not need are 0. Masks
are about the board and the stores. That two units must not go to one cell depends on the order in
which they choose: `Reservation` adds it, and whoever samples must.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hinterland.domains.lux.state import (
    BATTERY,
    BUILD_METAL,
    BUILD_POWER,
    COLUMNS,
    DIG_COST,
    DIRECTIONS,
    FACTORY,
    HEAD,
    HEAVY,
    ICE,
    ID,
    KIND,
    METAL,
    MOVE_COST,
    ORE,
    PLAYERS,
    POWER,
    QUEUE_COST,
    RUBBLE_COST,
    UNIT,
    WATER,
    State,
    X,
    Y,
)

TYPE, MOVE_TO, TRANSFER_TO, RESOURCE, PICKUP_AMOUNT, RECHARGE_AMOUNT = range(6)
"""The heads of an action."""
LIGHT, HEAVY_UNIT, WATER_LICHEN, FACTORY_NOTHING = range(4)
"""Types of a factory's action: build a light or a heavy unit, ..."""
MOVE, TRANSFER, PICKUP, DIG, SELF_DESTRUCT, RECHARGE, UNIT_NOTHING = range(7)
"""Types of a unit's action."""
AMOUNTS = 10
"""Tenths of the battery that a pickup or a recharge is about."""
ICE_CARGO, ORE_CARGO, POWER_CARGO = 0, 1, 4
"""The engine's resources; 2 is water and 3 metal."""


def targets(seats: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The cell in each direction, and whether it is on the board; off it the cell is wrong.

    Args:
        seats: [..., slot, COLUMNS].
        size: cells on a side.
    """
    place = seats[..., None, [X, Y]] + DIRECTIONS
    inside = (place >= 0) & (place < size)
    place = np.clip(place, 0, size - 1)
    return place[..., 1] * size + place[..., 0], inside[..., 0] & inside[..., 1]


def masks(state: State, water: bool = False) -> dict[str, np.ndarray]:
    """What each slot may do [player, slot, choice], reservations of cells left out.

    "factory_type" (4), "unit_type" (7), "move_direction" (5), "transfer_direction" (5),
    "transfer_resource" (5), "amount" (10, of pickup and recharge). Everything is False in an empty
    slot, unit heads in a factory's and the other way round. Where all types are False the only
    action is nothing.

    Args:
        state: of the game.
        water: whether factories may water lichen.
    """
    seats = state.seats
    exists = seats[..., ID] >= 0
    factory, unit = exists & (seats[..., KIND] == FACTORY), exists & (seats[..., KIND] == UNIT)
    move, transfer_to = _directions(state, unit)
    stored = np.zeros((*unit.shape, 5), bool)
    stored[..., ICE_CARGO], stored[..., ORE_CARGO] = seats[..., ICE] > 0, seats[..., ORE] > 0
    stored &= unit[..., None] & transfer_to.any(-1, keepdims=True)
    transfer_to &= stored.any(-1, keepdims=True)
    can = _unit_types(state, move, stored) & unit[..., None]
    return {
        "factory_type": _factory_types(state, water) & factory[..., None],
        "unit_type": can,
        "move_direction": move,
        "transfer_direction": transfer_to & can[..., [TRANSFER]],
        "transfer_resource": stored & can[..., [TRANSFER]],
        "amount": np.repeat(unit[..., None], AMOUNTS, -1),
    }


def _directions(state: State, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[player, slot, direction] where units can go, and where a factory of theirs is."""
    seats, side = state.seats, np.arange(2)[:, None, None]
    cell, inside = targets(seats, state.size)
    heavy = seats[..., HEAVY]
    own = state.territory.reshape(2, -1) >= 0
    closed, enemies = own[::-1].copy(), np.zeros_like(own)
    for player, rows in enumerate(state.rows):
        cells = rows[:, Y] * state.size + rows[:, X]
        is_unit = rows[:, KIND] == UNIT
        enemies[1 - player, cells[is_unit]] = True
        # Centres of own factories; and units without a slot, which never leave.
        stays = ~is_unit | ~np.isin(rows[:, ID], seats[player, :, ID])
        closed[player, cells[stays]] = True
    rubble = state.boards.rubble.reshape(-1)[cell]
    cost = np.floor(MOVE_COST[heavy][..., None] + RUBBLE_COST[heavy][..., None] * rubble)
    power = (seats[..., POWER] - QUEUE_COST[heavy])[..., None]
    move = inside & unit[..., None] & (power >= cost) & ~closed[side, cell]
    move &= (heavy == 1)[..., None] | ~enemies[side, cell]
    move[..., 0] = False
    return move, inside & unit[..., None] & own[side, cell]


def _unit_types(state: State, move: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """[player, slot, type] of units; nonsense in other slots."""
    seats, side = state.seats, np.arange(2)[:, None]
    heavy, power, y, x = (seats[..., column] for column in (HEAVY, POWER, Y, X))
    boards = state.boards
    left = power - QUEUE_COST[heavy]
    worth = boards.ice | boards.ore | (boards.rubble > 0)
    can = np.zeros((*heavy.shape, 7), bool)
    can[..., MOVE] = move.any(-1)
    can[..., TRANSFER] = stored.any(-1)
    can[..., PICKUP] = (power < BATTERY[heavy]) & (state.territory[side, y, x] >= 0)
    can[..., DIG] = worth[y, x] & (left >= DIG_COST[heavy])
    can[..., RECHARGE] = power < BATTERY[heavy]
    can &= (left >= 0)[..., None]
    can[..., UNIT_NOTHING] = left < 0
    return can


def _factory_types(state: State, water: bool) -> np.ndarray:
    """[player, slot, type] of factories; nonsense in other slots."""
    seats = state.seats
    cell = seats[..., Y] * state.size + seats[..., X]
    blocked = np.zeros((2, state.size**2), bool)
    for player, rows in enumerate(state.rows):
        units = rows[rows[:, KIND] == UNIT]
        blocked[player, units[:, Y] * state.size + units[:, X]] = True
    free = ~np.take_along_axis(blocked, cell, 1)[..., None]
    can = np.zeros((*seats.shape[:2], 4), bool)
    can[..., :2] = free & (seats[..., [POWER]] >= BUILD_POWER)
    can[..., :2] &= seats[..., [METAL]] >= BUILD_METAL
    if water:
        can[..., WATER_LICHEN] = seats[..., WATER] >= water_bound(state)
    can[..., FACTORY_NOTHING] = ~can[..., HEAVY_UNIT]
    return can


def water_bound(state: State) -> np.ndarray:
    """[player, slot] water that is enough for what the engine will ask, whatever else happens.

    Lichen grows on the 12 cells beside a factory, on its own lichen, and beside the part of that
    which has 20 or more; every ten cells cost one water. Rubble, which may go, is not looked at.
    """
    lichen, strain = state.boards.lichen, state.boards.strain
    ids = np.maximum(state.seats[..., ID], 0)[..., None, None]
    mine = strain == ids
    spreads = np.pad(mine & (lichen >= 20), ((0, 0), (0, 0), (1, 1), (1, 1)))
    near = spreads[..., :-2, 1:-1] | spreads[..., 2:, 1:-1]
    near |= spreads[..., 1:-1, :-2] | spreads[..., 1:-1, 2:]
    return -(-(12 + (mine | near).sum((-2, -1))) // 10)


class Reservation:
    """Which cells one player's units stand on or go to, while they choose in the order of slots.

    All cells are taken at first. A unit that goes gives up its own, which a later one may take.

    Args:
        state: of the game.
        player: 0 or 1.
    """

    def __init__(self, state: State, player: int) -> None:
        self._cell, _ = targets(state.seats[player], state.size)
        rows = state.rows[player]
        units = rows[rows[:, KIND] == UNIT]
        self._taken = np.zeros(state.size**2, bool)
        self._taken[units[:, Y] * state.size + units[:, X]] = True

    def narrow(self, mask: dict[str, np.ndarray], slot: int) -> None:
        """Takes what is taken out of this unit's masks [slot, choice], in place."""
        directions = mask["move_direction"][slot]
        directions &= ~self._taken[self._cell[slot]]
        mask["unit_type"][slot, MOVE] &= directions.any()

    def go(self, slot: int, direction: int) -> None:
        """This unit moves."""
        self._taken[self._cell[slot, 0]] = False
        self._taken[self._cell[slot, direction]] = True


def permitted(actions: np.ndarray, mask: dict[str, np.ndarray]) -> np.ndarray:
    """[...] whether each action [..., 6] is one of its masks', reservations left out.

    Nothing is always permitted, and is all that is where every type is False.
    """
    kind, move = actions[..., TYPE], actions[..., MOVE_TO]
    unit = mask["amount"].any(-1)

    def allows(name: str, choice: np.ndarray) -> np.ndarray:
        at = np.clip(choice, 0, mask[name].shape[-1] - 1)
        known = (choice >= 0) & (choice < mask[name].shape[-1])
        return known & np.take_along_axis(mask[name], at[..., None].astype(int), -1)[..., 0]

    transfers = allows("transfer_direction", actions[..., TRANSFER_TO])
    transfers &= allows("transfer_resource", actions[..., RESOURCE])
    fine = np.where(unit, allows("unit_type", kind), allows("factory_type", kind))
    fine &= ~(unit & (kind == MOVE)) | allows("move_direction", move)
    fine &= ~(unit & (kind == TRANSFER)) | transfers
    fine &= ~(unit & (kind == PICKUP)) | allows("amount", actions[..., PICKUP_AMOUNT])
    fine &= ~(unit & (kind == RECHARGE)) | allows("amount", actions[..., RECHARGE_AMOUNT])
    return fine | (kind == np.where(unit, UNIT_NOTHING, FACTORY_NOTHING))


def nothing(seats: np.ndarray) -> np.ndarray:
    """Actions [..., slot, 6] that leave everybody as they are."""
    actions = np.zeros((*seats.shape[:-1], 6), np.int8)
    actions[..., TYPE] = np.where(seats[..., KIND] == UNIT, UNIT_NOTHING, FACTORY_NOTHING)
    return actions


def to_engine(actions: np.ndarray, state: State) -> dict[str, dict[str, Any]]:
    """The engine's actions of both players.

    A unit's queue is one action, sent only where it differs from what the queue begins with: a new
    queue costs power. All of a cargo is transferred; a pickup takes no more than the battery holds.

    Args:
        actions: [player, slot, 6].
        state: in which they were chosen.
    """
    seats = state.seats
    orders = _orders(actions, seats)
    exists, unit = seats[..., ID] >= 0, seats[..., KIND] == UNIT
    kind = actions[..., TYPE]
    differs = (orders != seats[..., HEAD:COLUMNS]).any(-1)
    builds = exists & ~unit & (kind != FACTORY_NOTHING)
    sends = exists & unit & (kind != UNIT_NOTHING) & differs
    words: dict[str, dict[str, Any]] = {}
    for player, name in enumerate(PLAYERS):
        words[name] = {
            f"factory_{seats[player, slot, ID]}": int(kind[player, slot])
            for slot in np.flatnonzero(builds[player])
        }
        for slot in np.flatnonzero(sends[player]):
            words[name][f"unit_{seats[player, slot, ID]}"] = orders[player, slot][None]
    return words


def _orders(actions: np.ndarray, seats: np.ndarray) -> np.ndarray:
    """[..., 6]: the engine's type, direction, resource, amount, repeat 0, once."""
    kind, heavy = actions[..., TYPE], seats[..., HEAVY]
    moves, transfers, picks = kind == MOVE, kind == TRANSFER, kind == PICKUP
    resource = actions[..., RESOURCE].astype(int)
    cargo = np.take_along_axis(seats[..., ICE : METAL + 1], resource[..., None] % 4, -1)[..., 0]
    tenth = BATTERY[heavy] // AMOUNTS
    room = BATTERY[heavy] - seats[..., POWER] + QUEUE_COST[heavy]
    pickup = np.minimum((actions[..., PICKUP_AMOUNT] + 1) * tenth, room)
    recharge = (actions[..., RECHARGE_AMOUNT] + 1) * tenth
    orders = np.zeros((*actions.shape[:-1], 6), int)
    orders[..., 0] = kind
    orders[..., 1] = moves * actions[..., MOVE_TO] + transfers * actions[..., TRANSFER_TO]
    orders[..., 2] = transfers * resource + picks * POWER_CARGO
    orders[..., 3] = transfers * cargo + picks * pickup + (kind == RECHARGE) * recharge
    orders[..., 5] = 1
    return orders
