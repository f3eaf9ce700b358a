"""Where to put factories: the paper's rule, which asks for ice next door.

score = 10 ln(ice beside + e) + ln(min(G(ice), 3) + e) + 1e-4 ln(min(G(ore), 3) + e)
      - 0.025 ln(G(rubble) + e) - 0.1 ln(min(G(own factories), 3) + e), e = 0.001

where G is a Gaussian filter of three cells, 1 at its centre. The paper samples one of the best 200
places and climbs from there; this takes the best.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WIDTH = 3.0
"""Standard deviation of the filter, in cells."""
REACH = 12
"""Cells at which it ends; the board is mirrored beyond its edges."""
TINY = 1e-3
FACTIONS = ("AlphaStrike", "MotherMars")


def bid(player: int) -> dict[str, Any]:
    """The first action: water and metal for the right to begin; the paper bids nothing."""
    return {"faction": FACTIONS[player], "bid": 0}


def place(observation: dict[str, Any], player: str) -> dict[str, Any]:
    """The action that puts down one factory with an even share of what is left.

    Args:
        observation: of the engine, with whole boards [x, y].
        player: whose turn it is, "player_0" or "player_1".
    """
    team = observation["teams"][player]
    left = max(1, team["factories_to_place"])
    own = np.zeros(np.shape(observation["board"]["ice"]))
    for factory in observation["factories"].get(player, {}).values():
        own[tuple(factory["pos"])] = 1
    points = score(observation["board"], own)
    return {
        "spawn": np.array(np.unravel_index(points.argmax(), points.shape)),
        "metal": int(team["metal"] // left),
        "water": int(team["water"] // left),
    }


def score(board: dict[str, Any], own: np.ndarray) -> np.ndarray:
    """How good a centre each cell is; minus infinity where no factory may stand.

    Args:
        board: "ice", "ore", "rubble", "valid_spawns_mask", each [x, y].
        own: 1 at centres of own factories.
    """
    ice, ore, rubble = (np.asarray(board[name], float) for name in ("ice", "ore", "rubble"))
    points = 10 * np.log(beside(ice) + TINY) + _logarithm(ice, 3)
    points += 1e-4 * _logarithm(ore, 3) - 0.025 * _logarithm(rubble, np.inf)
    points -= 0.1 * _logarithm(own, 3)
    return np.where(np.asarray(board["valid_spawns_mask"], bool), points, -np.inf)


def beside(board: np.ndarray) -> np.ndarray:
    """The sum over the 12 cells that share an edge with a factory centred at each cell."""
    wide = np.pad(board, 2)
    width, height = board.shape
    total = np.zeros(board.shape)
    for far in (0, 4):
        for near in (1, 2, 3):
            total += wide[far : far + width, near : near + height]
            total += wide[near : near + width, far : far + height]
    return total


def _logarithm(board: np.ndarray, most: float) -> np.ndarray:
    return np.log(np.minimum(smooth(board), most) + TINY)


def smooth(board: np.ndarray) -> np.ndarray:
    """The Gaussian filter: a lone 1 far from the edges becomes a hill of height 1."""
    return _filter(board.shape[0]) @ board @ _filter(board.shape[1]).T


def _filter(cells: int) -> np.ndarray:
    """[cells, cells] of one direction."""
    offsets = np.arange(-REACH, REACH + 1)
    mirrored = np.pad(np.arange(cells), REACH, mode="symmetric")
    matrix = np.zeros((cells, cells))
    for offset in offsets:
        columns = mirrored[np.arange(cells) + REACH + offset]
        np.add.at(matrix, (np.arange(cells), columns), np.exp(-((offset / WIDTH) ** 2) / 2))
    return matrix
