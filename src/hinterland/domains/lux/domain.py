"""Lux AI Season 2 as a domain: games of two sides, both played by the policy that learns."""

import re
from typing import TYPE_CHECKING, Any

from hinterland.core import AgentSpec, UserError
from hinterland.domains.lux import drawing, features
from hinterland.domains.lux.engine import require_engine
from hinterland.domains.lux.games import LuxSessions
from hinterland.domains.lux.rules import Rules
from hinterland.domains.lux.state import LENGTH
from hinterland.domains.lux.submission import submission

if TYPE_CHECKING:  # it starts JAX
    from hinterland.domains.lux.network import BoardNetwork

PATIENCE_S = 180
"""Patience with one call: the slowest is a whole game of two bots."""


class LuxDomain:
    """The domain; `agents` is the number of slots of each side.

    Args:
        rules: of all games.
        horizon: steps after which games are truncated in training; evaluation plays whole ones.
        channels: of the network's convolutions.
        blocks: residual blocks before each further convolution.
    """

    name = "lux"
    sides = 2
    scripted = {  # noqa: RUF012 - never mutated
        "random": "random", "idle": "idle", "heuristic": "heavy", "rule": "heavy",
    }  # fmt: skip

    def __init__(
        self, rules: Rules, horizon: int, channels: int = 32, blocks: tuple[int, ...] = (2, 2)
    ) -> None:
        self.rules, self.agents, self.length = rules, rules.seats, rules.length
        planes = len(features.PLANES)
        self.spec = AgentSpec(planes, actions=7, dset=0, sources=0, classes=0, horizon=horizon)
        self._channels, self._blocks = channels, blocks
        self.entity_simulator = LuxSessions(rules, PATIENCE_S)

    def own_network(self, key: Any, spec: AgentSpec) -> "BoardNetwork":
        """The untrained network of a side's entities, which sees whole boards."""
        from hinterland.domains.lux.entity_grid import EntityGrid
        from hinterland.domains.lux.network import BoardNetwork

        grid = EntityGrid(key, spec.observation, channels=self._channels, residuals=self._blocks)
        return BoardNetwork(grid, self.agents)

    def submission(self, policy: "BoardNetwork") -> dict[str, Any]:
        """Files of a player for the competition, see `submission.submission`."""
        from hinterland.domains.lux.entity_grid import to_numpy

        return submission(to_numpy(policy.network), self.agents, self.rules.water)

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
    channels: int = 32,
    blocks: str = "2,2",
) -> LuxDomain:
    """Games of the real engine.

    Args:
        agents: slots of each side.
        map: cells on a side of the board.
        factories: of each side, such as 2, or 1-3; those usual for the map by default.
        length: steps of a whole game.
        train_length: steps after which games are truncated in training.
        water: whether factories may water lichen.
        channels: of the network's convolutions.
        blocks: residual blocks before each further convolution, such as 2,2.

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
    return LuxDomain(rules, train_length, channels, tuple(int(x) for x in blocks.split(",")))


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    if (numbers := re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text)) is None:
        raise UserError(f"--factories {text}: give a number such as 2, or a range such as 1-3")
    return int(numbers[1]), int(numbers[2] or numbers[1])
