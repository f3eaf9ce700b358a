"""Lux AI Season 2 as a domain: games of two sides, both played by the policy that learns."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hinterland.core import AgentSpec, UserError
from hinterland.domains.lux import drawing, features
from hinterland.domains.lux.engine import require_engine
from hinterland.domains.lux.games import LuxSessions
from hinterland.domains.lux.rules import Rules
from hinterland.domains.lux.state import LENGTH
from hinterland.domains.lux.submission import submission

PATIENCE_S = 180
"""Patience with one call: the slowest is a whole game of two bots."""


class LuxDomain:
    """The domain; `agents` is the number of slots of each side.

    Args:
        rules: of all games.
        horizon: steps after which games are truncated in training; evaluation plays whole ones.
    """

    name = "lux"
    sides = 2
    planes = len(features.PLANES)
    scripted = {  # noqa: RUF012 - never mutated
        "random": "random", "idle": "idle", "heuristic": "heavy", "rule": "heavy",
    }  # fmt: skip

    def __init__(self, rules: Rules, horizon: int) -> None:
        self.rules, self.agents, self.length = rules, rules.seats, rules.length
        self.spec = AgentSpec(self.planes, actions=7, dset=0, sources=0, classes=0, horizon=horizon)
        self.entity_simulator = LuxSessions(rules, PATIENCE_S)

    @staticmethod
    def unpack(observation: dict[str, Any]) -> dict[str, Any]:
        """What a network sees of observations as they are stored; traced by JAX."""
        import jax.numpy as jnp

        return features.for_network(observation, jnp)

    def submission(self, weights: Mapping[str, np.ndarray], grid: str) -> dict[str, Any]:
        """Files of a player for the competition, see `submission.submission`."""
        return submission(weights, grid, self.agents, self.rules.water)

    def scene(self, start: dict[str, Any]) -> dict[str, Any]:
        """The ground of one game."""
        return drawing.scene(start)

    def frame(self, picture: dict[str, Any], start: dict[str, Any]) -> list[dict[str, Any]]:
        """What has changed on it, and everybody."""
        return drawing.frame(picture, start)


def make(
    agents: int,
    map: int = 48,
    factories: str | None = None,
    length: int = LENGTH,
    train_length: int = 256,
    water: bool = False,
) -> LuxDomain:
    """Games of the real engine.

    Args:
        agents: slots of each side.
        map: cells on a side of the board.
        factories: of each side, such as 2, or 1-3; those usual for the map by default.
        length: steps of a whole game.
        train_length: steps after which games are truncated in training.
        water: whether factories may water lichen.

    Raises:
        UserError: settings that make no game, or the engine is not installed.
    """
    require_engine()
    rules = Rules(
        map_size=map, factories=_range(factories), length=length, slots=agents, water=water
    )
    if not 1 <= train_length <= length:
        raise UserError(
            f"--train-length {train_length}: must be 1 to {length}, the length of a whole game"
        )
    return LuxDomain(rules, train_length)


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    if (numbers := re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text)) is None:
        raise UserError(f"--factories {text}: give a number such as 2, or a range such as 1-3")
    return int(numbers[1]), int(numbers[2] or numbers[1])
