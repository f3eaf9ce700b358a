"""The real Lux AI S2 engine: one game at a time, from bids and placement to the end."""

import importlib.util
import io
import sys
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from hinterland.core import UserError
from hinterland.domains.lux.noise import provide
from hinterland.domains.lux.placement import bid, place
from hinterland.domains.lux.rules import Rules
from hinterland.domains.lux.state import LENGTH, PLAYERS

REDRAWS = 20
"""Boards that may be passed over in a row."""
NEXT_BOARD = 1_000_003
"""Added to the seed for the board after one that was passed over."""


def require_engine() -> None:
    """Complains where there is no engine.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("luxai_s2") is None:
        raise UserError(
            "the Lux AI S2 engine is not installed: it is in the extra 'hinterland[lux]'; where "
            "its requirement vec-noise does not build, leave that out, it is not needed: "
            "pip install --no-deps 'luxai-s2>=3.0.1' (docs/lux.md)"
        )


def _engine() -> Any:
    """The engine's class, without the libraries with which it could draw.

    They are two thirds of the time that its import takes, in each of many processes, and nearly
    half of the memory. The engine does without where they are missing, which it prints.
    """
    require_engine()
    provide()
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in ("pygame", "matplotlib") if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        with redirect_stdout(io.StringIO()):
            return importlib.import_module("luxai_s2").LuxAI_S2
    finally:
        for name in hidden:
            del modules[name]


class Game:
    """One game at a time.

    Args:
        rules: of all games.
        verbose: what the engine prints: 0 nothing, 1 errors, 2 refused actions too, 3 all.
        statistics: have the engine count; for tests.

    Raises:
        UserError: the engine is not installed.
    """

    def __init__(self, rules: Rules, verbose: int = 0, statistics: bool = False) -> None:
        fewest, most = rules.team
        self.engine = _engine()(
            collect_stats=statistics,
            map_size=rules.map_size,
            MIN_FACTORIES=fewest,
            MAX_FACTORIES=most,
            max_episode_length=LENGTH,
            validate_action_space=rules.validate,
            verbose=verbose,
        )
        self.seed = 0
        self.replay: dict[str, Any] | None = None

    def start(self, seed: int, record: bool = False) -> dict[str, Any]:
        """The observation after bids of 0 and the placement of all factories.

        A board with less ice than factories, or with too little room for them, is passed over:
        `self.seed` is that of the board that is played.

        Args:
            seed: of the board, the engine's own.
            record: keep the engine's replay.

        Raises:
            UserError: many boards in a row are good for nothing.
        """
        for attempt in range(REDRAWS):
            self.seed = (seed + attempt * NEXT_BOARD) % 2**32
            observation = self._begin(record)
            wanted = observation["board"]["factories_per_team"]
            if observation["board"]["ice"].sum() >= 2 * wanted:
                observation = self._settle(observation)
                if all(len(observation["factories"][name]) == wanted for name in PLAYERS):
                    return observation
        raise UserError(
            f"seed {seed}: {REDRAWS} Lux boards in a row have too little ice or room for all "
            "factories; take a larger map or fewer factories"
        )

    def step(self, actions: dict[str, Any]) -> dict[str, Any]:
        """The observation after one step."""
        seen = self.engine.step(actions)[0][PLAYERS[0]]
        if self.replay is not None:
            self.replay["observations"].append(self.engine.state.get_change_obs(self._seen))
            self.replay["actions"].append(actions)
        self._seen = seen
        return seen

    def observation(self) -> dict[str, Any]:
        """What the engine shows of this moment."""
        return self.engine.state.get_obs()

    def add_lights(self, units: int, random: np.random.Generator) -> None:
        """Puts so many light units of each side, batteries full, where no factory is."""
        state = self.engine.state
        free = np.argwhere(state.board.factory_occupancy_map < 0)
        kind = importlib.import_module("luxai_s2.unit").UnitType.LIGHT
        for index, cell in enumerate(random.permutation(free)[: 2 * units]):
            unit = self.engine.add_unit(state.teams[PLAYERS[index % 2]], kind, cell)
            unit.power = unit.battery_capacity

    def _begin(self, record: bool) -> dict[str, Any]:
        self._seen = self.engine.reset(seed=self.seed)[0][PLAYERS[0]]
        self.replay = {"observations": [self._seen], "actions": []} if record else None
        return self._seen

    def _settle(self, observation: dict[str, Any]) -> dict[str, Any]:
        observation = self.step({name: bid(player) for player, name in enumerate(PLAYERS)})
        for turn in range(2 * observation["board"]["factories_per_team"]):
            if not observation["board"]["valid_spawns_mask"].any():
                break
            first = observation["teams"][PLAYERS[0]]["place_first"]
            player = PLAYERS[turn % 2 if first else 1 - turn % 2]
            actions: dict[str, Any] = {name: {} for name in PLAYERS}
            actions[player] = place(observation, player)
            observation = self.step(actions)
        return observation


def plain(value: Any) -> Any:
    """The same without NumPy, as JSON takes it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
