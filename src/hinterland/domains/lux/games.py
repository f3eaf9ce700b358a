"""Games from outside: processes of the engine, tables of bots, replays, times."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np

from hinterland.domains.host import PATIENCE_S, HostProcess
from hinterland.domains.lux.engine import require_engine
from hinterland.domains.lux.rules import Rules
from hinterland.domains.pool import SessionPool

WHOLE_GAME_S = 600
"""Patience with a call that plays a whole game."""
COLUMNS = ("length", "finished", "ice", "ice/factory", "factories/alive", "lichen")
"""Figures that `table` shows."""


class LuxSessions(SessionPool):
    """Games of the engine, one process for each; made when first needed, then kept.

    Args:
        rules: of all games.
        patience_s: seconds after which one call of a session counts as hung.
    """

    def __init__(self, rules: Rules | None = None, patience_s: int = PATIENCE_S) -> None:
        super().__init__()
        self.rules, self.patience_s = rules or Rules(), patience_s

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes of `session.LuxSession`.

        Raises:
            UserError: the engine is not installed.
        """
        require_engine()
        target = "hinterland.domains.lux.session:LuxSession"
        return self._first(count, target, self.rules, patience_s=self.patience_s)


def play(
    bot: str, seeds: Sequence[int], rules: Rules, opponent: str | None = None, processes: int = 1
) -> list[dict[str, float]]:
    """The figures of one game for each seed, see `metrics.Tally.figures`.

    Args:
        bot: player 0's.
        seeds: of the boards.
        rules: of all games.
        opponent: player 1's bot; None: the same.
        processes: that play at the same time.

    Raises:
        UserError: the engine is not installed, or no such bot.
    """
    sides = (bot, opponent or bot)
    figures = []
    with closing(LuxSessions(rules, WHOLE_GAME_S)) as pool:
        sessions = pool.sessions(processes)
        for first in range(0, len(seeds), processes):
            group = list(zip(seeds[first : first + processes], sessions, strict=False))
            for seed, session in group:
                session.ask("play", seed, sides)
            figures += [session.answer() for _, session in group]
    return figures


def replay(seed: int, rules: Rules, controllers: tuple[str, str]) -> dict[str, Any]:
    """A whole game of two bots in the engine's own replay format.

    Raises:
        UserError: the engine is not installed, or no such bot.
    """
    with closing(LuxSessions(rules, WHOLE_GAME_S)) as pool:
        session = pool.sessions(1)[0]
        session.begin("play", seed, controllers, record=True)
        return session.call("replay")


def seconds(rules: Rules, units: int, seed: int = 0, steps: int = 100) -> dict[str, float]:
    """Mean processor seconds of a step's parts, with so many more units: `LuxSession.seconds`.

    Raises:
        UserError: the engine is not installed.
    """
    with closing(LuxSessions(rules, WHOLE_GAME_S)) as pool:
        return pool.sessions(1)[0].begin("seconds", seed, steps, units)


def table(games: dict[str, list[dict[str, float]]]) -> str:
    """Mean (standard deviation) of each policy's figures, one line each."""
    head = ["policy", "games", *COLUMNS]
    lines = [head]
    for name, figures in games.items():
        cells = []
        for column in COLUMNS:
            values = np.array([one[column] for one in figures])
            digits = 0 if values.max() >= 100 else 2
            cells.append(f"{values.mean():,.{digits}f} ({values.std():,.{digits}f})")
        lines.append([name, str(len(figures)), *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
