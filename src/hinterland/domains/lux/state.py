"""The engine's observation as arrays, and the slots in which entities sit.

Like `features`, `actions` and `placement` this needs NumPy only, 1.21 and Python 3.7 included: the
four travel in an exported agent, which gets the same observation from the competition's server.
All boards here are [y, x]; the engine's own are [x, y].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

PLAYERS = ("player_0", "player_1")
LENGTH = 1000
"""Steps of a whole game, after bids and placement."""
CYCLE, DAY = 50, 30
"""Steps of a day and night, and of the day alone, in which units charge."""

# By type: [light, heavy].
BATTERY = np.array([150, 3000])
CARGO = np.array([100, 1000])
QUEUE_COST = np.array([1, 10])
"""Power that a new action queue costs."""
MOVE_COST = np.array([1, 20])
RUBBLE_COST = np.array([0.05, 1.0])
"""Power of a step, for each unit of rubble where it leads."""
DIG_COST = np.array([5, 60])
BUILD_POWER = np.array([50, 500])
BUILD_METAL = np.array([10, 100])

FACTORY, UNIT = 0, 1
KIND, ID, X, Y, HEAVY, POWER, ICE, ORE, WATER, METAL, HEAD = range(11)
"""Columns of an entity's row; from HEAD on the six numbers of the action that its queue is at."""
COLUMNS = HEAD + 6
NO_ACTION = (-1,) * 6
"""The head of an empty queue."""
DIRECTIONS = np.array([[0, 0], [0, -1], [1, 0], [0, 1], [-1, 0]])
"""(x, y) of the engine's: centre, up, right, down, left."""
FOOTPRINT = np.array([[x, y] for y in (-1, 0, 1) for x in (-1, 0, 1)])
"""Cells of a factory around its centre."""


class Boards(NamedTuple):
    """What lies on the ground, [y, x]."""

    ice: np.ndarray
    ore: np.ndarray
    rubble: np.ndarray
    lichen: np.ndarray
    strain: np.ndarray
    """Number of the factory whose lichen it is; -1: none."""


class State(NamedTuple):
    """One moment of a game, of both players.

    `rows` has everybody, factories first, by id; `seats` [player, slot, COLUMNS] those who have a
    slot, with ID -1 in an empty one; `territory` [player, y, x] is the id of that player's factory
    or -1.
    """

    step: int
    boards: Boards
    rows: tuple
    seats: np.ndarray
    territory: np.ndarray
    lichen: np.ndarray
    """Of each player, summed."""

    @property
    def size(self) -> int:
        """Cells on a side."""
        return self.boards.ice.shape[0]

    @property
    def unseated(self) -> np.ndarray:
        """[player] number of entities without a slot."""
        everybody = np.array([len(rows) for rows in self.rows])
        return everybody - (self.seats[..., ID] >= 0).sum(1)

    @property
    def factories(self) -> np.ndarray:
        """[player] number of factories."""
        return np.array([(rows[:, KIND] == FACTORY).sum() for rows in self.rows])


class Slots:
    """Who sits where, of one player in one episode. Nobody ever moves.

    Newcomers take slots that were never used, in order of their ids; then those that have been free
    for longest. A slot stays free for a step at least, so that its trajectory shows a gap between
    two entities. Who finds none waits.
    """

    def __init__(self, count: int) -> None:
        self._id = np.full(count, -1)
        self._freed = np.full(count, -1)
        self._time = 0

    def seat(self, ids: np.ndarray) -> np.ndarray:
        """The slot of each of the living, sorted by id within each kind; -1: none."""
        self._time += 1
        match = self._id == ids[:, None]
        leaves = (self._id >= 0) & ~match.any(0)
        self._id[leaves] = -1
        self._freed[leaves] = self._time
        seats = np.where(match.any(1), match.argmax(1), -1)
        new = np.flatnonzero(seats < 0)
        if new.size:
            free = np.flatnonzero((self._id < 0) & (self._freed < self._time))
            free = free[np.argsort(self._freed[free], kind="stable")][: new.size]
            new = new[: free.size]
            self._id[free] = ids[new]
            seats[new] = free
        return seats


def read(observation: dict[str, Any], slots: tuple) -> State:
    """The state in an observation of the engine.

    Args:
        observation: with whole boards, as the engine's `step` returns them.
        slots: of each player; newcomers are seated.
    """
    board = observation["board"]
    boards = Boards(
        ice=np.asarray(board["ice"]).T > 0,
        ore=np.asarray(board["ore"]).T > 0,
        rubble=np.asarray(board["rubble"]).T.astype(np.uint8),
        lichen=np.asarray(board["lichen"]).T,
        strain=np.asarray(board["lichen_strains"]).T,
    )
    rows = tuple(_rows(observation, player) for player in PLAYERS)
    seats = np.zeros((2, slots[0]._id.size, COLUMNS), np.int32)
    seats[..., ID] = -1
    territory = np.full((2, *boards.ice.shape), -1, np.int32)
    lichen, grows = np.zeros(2), boards.lichen.any()
    for player, everybody in enumerate(rows):
        where = slots[player].seat(everybody[:, ID])
        seats[player, where[where >= 0]] = everybody[where >= 0]
        homes = everybody[everybody[:, KIND] == FACTORY]
        cells = homes[:, None, [X, Y]] + FOOTPRINT
        territory[player, cells[..., 1], cells[..., 0]] = homes[:, None, ID]
        if grows:
            strains = observation["teams"][PLAYERS[player]]["factory_strains"]
            lichen[player] = boards.lichen[np.isin(boards.strain, strains)].sum()
    return State(int(observation["real_env_steps"]), boards, rows, seats, territory, lichen)


def _rows(observation: dict[str, Any], player: str) -> np.ndarray:
    """[entity, COLUMNS]: factories, then units, each by id."""
    factories = observation["factories"].get(player, {})
    units = observation["units"].get(player, {})
    rows = [
        [FACTORY, int(name[8:]), *it["pos"], 0, it["power"], *_cargo(it), *NO_ACTION]
        for name, it in factories.items()
    ]
    rows += [
        [UNIT, int(name[5:]), *it["pos"], it["unit_type"] == "HEAVY", it["power"], *_cargo(it),
         *(it["action_queue"][0] if len(it["action_queue"]) else NO_ACTION)]
        for name, it in units.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: row[:2])
    return np.array(rows, np.int32).reshape(-1, COLUMNS)


def _cargo(entity: dict[str, Any]) -> tuple:
    cargo = entity["cargo"]
    return cargo["ice"], cargo["ore"], cargo["water"], cargo["metal"]
