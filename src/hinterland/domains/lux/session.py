"""One game at a time in a process of its own; a function of its seed and the actions."""

import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hinterland.core.errors import UserError
from hinterland.domains.lux.actions import masks, permitted, to_engine
from hinterland.domains.lux.bots import BOTS, Bot
from hinterland.domains.lux.engine import Game, plain
from hinterland.domains.lux.features import observe
from hinterland.domains.lux.metrics import Tally
from hinterland.domains.lux.reward import Paid, pay
from hinterland.domains.lux.rules import Rules
from hinterland.domains.lux.state import PLAYERS, Slots, State, read

Controllers = tuple[str | None, str | None]
"""Of each player: a bot's name, or None: the actions of `step`."""


class LuxSession:
    """The host simulator: both players' arrays at each step.

    Args:
        rules: of all games.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._game = Game(rules)
        self._spent: dict[str, float] = defaultdict(float)
        self._idle = np.zeros((2, rules.seats, 6), np.int8)

    def reset(
        self, seed: int, controllers: Controllers = (None, None), record: bool = False
    ) -> dict[str, Any]:
        """Starts a game; see `step`, without what belongs to a step.

        Args:
            seed: of the board, and of bots that draw.
            controllers: who plays each side.
            record: keep the engine's replay.

        Raises:
            UserError: no such bot.
        """
        self._begin(seed, controllers, record)
        return {**self._seen(), "seconds": self._lap()}

    def step(self, actions: np.ndarray | None) -> dict[str, Any]:
        """One step of both players, [player, slot, 6]; a bot's side is not looked at.

        None will do where both are bots.

        Returns "observation" (`features.observe`) and "masks" (`actions.masks`) of the state
        reached, "alive" and "acting" [player, slot] (somebody sits there; and may do something),
        "reward" [player, slot] by the slots before the step, "terminated" (a player has no
        factory), "truncated" (the length is reached), "ice" [player] that was delivered,
        "unseated" [player], the entities that have no slot and so do nothing, and "seconds" of
        processor time by part.

        Raises:
            ValueError: with `Rules.validate`, an action that its mask forbids.
            UserError: the game is over.
        """
        paid = self._advance(self._idle if actions is None else actions)
        told = {"reward": paid.reward, "ice": paid.ice, **self._end()}
        return {**self._seen(), **told, "seconds": self._lap()}

    def play(self, seed: int, controllers: Controllers, record: bool = False) -> dict[str, float]:
        """A whole game of two bots; its figures."""
        self._begin(seed, controllers, record)
        while not any(self._end().values()):
            self._advance(self._idle)
        return self.metrics()

    def metrics(self) -> dict[str, float]:
        """The figures of the game so far, see `Tally.figures`."""
        return self._tally.figures()

    def picture(self) -> dict[str, Any]:
        """What `drawing.frame` draws, and the return so far."""
        state = self._state
        return {
            "return": self.metrics()["return"],
            "step": state.step,
            "rows": state.rows,
            "boards": state.boards._asdict(),
            "lichen": state.lichen,
        }

    def replay(self) -> dict[str, Any]:
        """The game so far in the engine's own format, compressed; it was begun with `record`.

        Raises:
            UserError: it was not.
        """
        if self._game.replay is None:
            raise UserError("this game was not begun with record=True")
        seed = self._game.seed
        players = {name: self._controllers[side] or "hinterland"
                   for side, name in enumerate(PLAYERS)}  # fmt: skip
        return {
            **plain(self._game.replay),
            "metadata": {"seed": seed, "players": players},
            "default_seed": seed,
        }

    def seconds(self, seed: int, steps: int, units: int) -> dict[str, float]:
        """Mean seconds of processor time of each part of a step, in a game of two random players.

        Args:
            seed: of the game.
            steps: that are measured, if the game lasts so long.
            units: light ones that each side gets at the beginning, with full batteries.
        """
        self._begin(seed, ("random", "random"), False)
        self._game.add_lights(units, np.random.default_rng(seed))
        self._enter(read(self._game.observation(), self._slots))
        self._spent.clear()
        entities = measured = 0
        while measured < steps and not any(self._end().values()):
            entities += sum(map(len, self._state.rows))
            self._advance(self._idle)
            self._seen()
            measured += 1
        spent = {part: total / measured for part, total in self._spent.items()}
        return {**spent, "entities": entities / measured, "steps": float(measured)}

    def _begin(self, seed: int, controllers: Controllers, record: bool) -> None:
        for name in controllers:
            if name is not None and name not in BOTS:
                raise UserError(f"bot {name!r} is not known; known: {', '.join(BOTS)}")
        self._controllers = controllers
        self._bots: list[Bot | None] = [
            None if name is None else BOTS[name](side, seed)
            for side, name in enumerate(controllers)
        ]
        seen = self._game.start(seed, record)
        self._slots = tuple(Slots(self._rules.seats) for _ in PLAYERS)
        self._enter(read(seen, self._slots))
        self._tally = Tally(self._state, self._rules.length)

    def _enter(self, state: State) -> None:
        self._state = state
        with self._clock("masks"):
            self._masks = masks(state, self._rules.water)

    def _seen(self) -> dict[str, Any]:
        with self._clock("observation"):
            observation = observe(self._state)
        can = self._masks["unit_type"].any(-1) | self._masks["factory_type"].any(-1)
        return {
            "observation": observation,
            "masks": self._masks,
            "alive": observation["active"],
            "acting": can,
            "unseated": self._state.unseated,
        }

    def _lap(self) -> dict[str, float]:
        """Seconds by part since this was last asked."""
        spent = dict(self._spent)
        self._spent.clear()
        return spent

    def _advance(self, actions: np.ndarray) -> Paid:
        if any(self._end().values()):
            raise UserError("the game is over: reset comes next")
        with self._clock("bots"):
            actions = self._with_bots(actions)
        if self._rules.validate:
            self._validate(actions)
        with self._clock("actions"):
            orders = to_engine(actions, self._state)
        with self._clock("engine"):
            seen = self._game.step(orders)
        before = self._state
        with self._clock("state"):
            after = read(seen, self._slots)
        self._enter(after)
        with self._clock("reward"):
            paid = pay(before, actions, after, self._rules.payment)
            self._tally.add(paid, after)
        return paid

    def _with_bots(self, actions: np.ndarray) -> np.ndarray:
        if not any(self._bots):
            return actions
        actions = actions.copy()
        for side, bot in enumerate(self._bots):
            if bot is not None:
                own = {name: mask[side].copy() for name, mask in self._masks.items()}
                actions[side] = bot(self._state, own)
        return actions

    def _validate(self, actions: np.ndarray) -> None:
        for player, slot in np.argwhere(~permitted(actions, self._masks)):
            raise ValueError(
                f"step {self._state.step}: the mask of {PLAYERS[player]}'s slot {slot} forbids "
                f"{actions[player, slot].tolist()}"
            )

    def _end(self) -> dict[str, bool]:
        terminated = not self._state.factories.all()
        truncated = not terminated and self._state.step >= self._rules.length
        return {"terminated": terminated, "truncated": truncated}

    @contextmanager
    def _clock(self, part: str) -> Generator[None]:
        start = time.process_time()
        yield
        self._spent[part] += time.process_time() - start
