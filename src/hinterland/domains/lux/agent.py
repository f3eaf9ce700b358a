"""A trained player as the competition runs it: from its observations to its actions.

Needs NumPy 1.21 and Python 3.7, and travels in a submission with `state`, `features`, `actions` and
`placement`. What it does with a state is what a session does with the policy's greedy actions.
"""

from __future__ import annotations

from typing import Any, Callable  # noqa: UP035 - Python 3.7

import numpy as np

from hinterland.domains.lux.actions import masks, nothing, to_engine
from hinterland.domains.lux.features import for_network, observe
from hinterland.domains.lux.placement import bid, place
from hinterland.domains.lux.state import PLAYERS, Slots, read

CHANGING = ("rubble", "lichen", "lichen_strains")
"""Boards of which observations tell the changes only."""


class Agent:
    """One side of one game.

    Args:
        player: "player_0" or "player_1".
        decide: (observation, masks) of one side -> actions [slot, 6].
        slots: entities that can act, as in training.
        water: whether factories may water lichen, as in training.
    """

    def __init__(self, player: str, decide: Callable[..., np.ndarray], slots: int, water: bool):
        self._player, self._side = player, PLAYERS.index(player)
        self._decide, self._water = decide, water
        self._slots = (Slots(slots), Slots(slots))
        self._board: dict[str, Any] = {}

    def __call__(self, step: int, seen: dict[str, Any]) -> dict[str, Any]:
        """This turn's actions, as JSON takes them.

        Args:
            step: of the engine, bids and placement counted.
            seen: the observation, whose boards hold what has changed.
        """
        self._remember(seen["board"])
        whole = dict(seen, board=self._board)
        if step == 0:
            return bid(self._side)
        if seen["real_env_steps"] < 0:
            return self._place(step, whole)
        state = read(whole, self._slots)
        own = {name: x[self._side] for name, x in observe(state).items()}
        allowed = {name: x[self._side] for name, x in masks(state, self._water).items()}
        actions = nothing(state.seats)
        actions[self._side] = self._decide(for_network(own), allowed)
        return _plain(to_engine(actions, state)[self._player])

    def _place(self, step: int, seen: dict[str, Any]) -> dict[str, Any]:
        team = seen["teams"][self._player]
        is_turn = step % 2 == (1 if team["place_first"] else 0)
        if not is_turn or not np.any(seen["board"]["valid_spawns_mask"]):
            return {}
        return _plain(place(seen, self._player)) if team["factories_to_place"] else {}

    def _remember(self, board: dict[str, Any]) -> None:
        for name, new in board.items():
            if name in CHANGING and isinstance(new, dict):
                for cell, value in new.items():
                    x, y = cell.split(",")
                    self._board[name][int(x), int(y)] = value
            else:
                self._board[name] = np.array(new)


def _plain(actions: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        for name, value in actions.items()
    }
