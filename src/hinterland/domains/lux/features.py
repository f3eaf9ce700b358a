"""What the network sees: 17 planes, stored as few bytes as they need.

Two numbers that are the same everywhere, seven planes of small integers and eight of shares make
the paper's 17 (thesis, chapter on methods); `planes` lays them out. Players see the same board,
each with its own entities as friends.
"""

from __future__ import annotations

from typing import Any, Mapping  # noqa: UP035 - Python 3.7

import numpy as np

from hinterland.domains.lux.state import (
    BATTERY,
    CARGO,
    CYCLE,
    DAY,
    FACTORY,
    HEAVY,
    ICE,
    ID,
    KIND,
    LENGTH,
    METAL,
    ORE,
    POWER,
    UNIT,
    WATER,
    State,
    X,
    Y,
)

SCALARS = ("step", "day")
FLAGS = ("own factory", "ice", "ore", "rubble", "own unit", "enemy", "heavy")
VALUES = ("unit power", "unit ice", "unit ore", "factory power", "factory ice", "factory water",
          "factory ore", "factory metal")  # fmt: skip
PLANES = SCALARS + FLAGS + VALUES
FULL = np.array([1, 1, 1, 100, 1, 1, 1])
"""What counts as 1 of each flag: rubble goes up to 100."""


def observe(state: State) -> dict[str, np.ndarray]:
    """What both players see; the first axis of every array is the player.

    "scalars" [2, 2] float32: the step over a whole game's, and whether it is day.
    "flags" [2, 7, y, x] uint8: `FLAGS`. A factory covers nine cells, here and as an enemy.
    "values" [2, 8, y, x] float16: `VALUES`, at the cell of a unit or a factory's centre; a unit's
    over its own battery or cargo space, a factory's over a heavy unit's, so that it may exceed 1.
    "active" [2, slot] bool: whether somebody sits there; then its "kind" (0 factory, 1 unit) int8,
    its "cell" (y * width + x) int16 and its "id" int16, the number in the engine's name for it.
    """
    size = state.size
    flags = np.zeros((2, len(FLAGS), size, size), np.uint8)
    values = np.zeros((2, len(VALUES), size, size), np.float16)
    flags[:, 0] = state.territory >= 0
    flags[:, 1], flags[:, 2], flags[:, 3] = state.boards.ice, state.boards.ore, state.boards.rubble
    flags[:, 5] = flags[::-1, 0]
    for player, rows in enumerate(state.rows):
        units, factories = rows[rows[:, KIND] == UNIT], rows[rows[:, KIND] == FACTORY]
        heavy, y, x = units[:, HEAVY], units[:, Y], units[:, X]
        flags[player, 4, y, x] = 1
        flags[1 - player, 5, y, x] = 1
        flags[player, 6, y, x] = heavy
        full = np.stack([BATTERY[heavy], CARGO[heavy], CARGO[heavy]])
        values[player, :3, y, x] = (units[:, [POWER, ICE, ORE]].T / full).T
        full = np.array([BATTERY[1], *[CARGO[1]] * 4])
        y, x = factories[:, Y], factories[:, X]
        values[player, 3:, y, x] = factories[:, [POWER, ICE, WATER, ORE, METAL]] / full
    day = state.step % CYCLE < DAY
    seats = state.seats
    return {
        "scalars": np.array([[state.step / LENGTH, day]] * 2, np.float32),
        "flags": flags,
        "values": values,
        "active": seats[..., ID] >= 0,
        "kind": seats[..., KIND].astype(np.int8),
        "cell": (seats[..., Y] * size + seats[..., X]).astype(np.int16),
        "id": seats[..., ID].astype(np.int16),
    }


def planes(observation: dict[str, Any], xp: Any = np) -> Any:
    """[..., 17, y, x] float32 of observations with any leading axes, in the order of `PLANES`.

    Args:
        observation: "scalars", "flags" and "values" of `observe`.
        xp: the array module, such as `jax.numpy`.
    """
    board = board_planes(observation, xp)
    scalars = observation["scalars"][..., None, None]
    tiled = xp.broadcast_to(scalars, scalars.shape[:-2] + board.shape[-2:])
    return xp.concatenate([tiled, board], -3)


def board_planes(observation: Mapping[str, Any], xp: Any = np) -> Any:
    """[..., 15, y, x]: those of `planes` that are not the same everywhere."""
    shares = observation["flags"].astype(np.float32) / FULL.astype(np.float32)[:, None, None]
    return xp.concatenate([shares, observation["values"].astype(np.float32)], -3)


def for_network(observation: Mapping[str, Any], xp: Any = np) -> dict[str, Any]:
    """What `EntityGrid` and `numpy_grid` take: "board", "scalars", and who is where."""
    whole = {name: observation[name].astype(np.int32) for name in ("cell", "kind")}
    return {
        "board": board_planes(observation, xp),
        "scalars": observation["scalars"],
        "active": observation["active"],
        **whole,
    }
