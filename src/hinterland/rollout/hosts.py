"""Systems outside of JAX, step by step: SUMO, engines of games, and others in their processes.

Several sessions step side by side, each in its process, under one batched inference. An actor
shows where its copies stand (`view`), and moves them (`act`).
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from hinterland.core import HostSession, View, kinds_of, numbers_of, stream
from hinterland.core.spec import integers_for
from hinterland.rollout.answers import FLAGS, NUMBERS, TRUTHS, HostSystem, gathered
from hinterland.rollout.segments import Outcome, Predicting
from hinterland.rollout.systems import Regions, shown

SESSIONS = 8
"""Sessions that step together in evaluation and data collection; fixed, so that results do not
depend on the machine."""


class HostPlace(NamedTuple):
    """Where the sessions of an actor stand; enough to lead new processes there.

    A process cannot be stored in a checkpoint, but what was asked of it can.
    """

    episode: Int[np.ndarray, " session"]
    """Number of the episode under way; it gives its seed."""
    clock: Int[np.ndarray, " session"]
    """Steps since it began."""
    actions: Any
    """[session, horizon, slots]; of games [session, horizon, side, ...]."""


def episode_seed(key: Key[Array, ""]) -> int:
    """A seed for simulators that take 31 bits."""
    return int(jax.random.bits(key, dtype=jnp.uint32) >> 1)


def ask_all(sessions: Sequence[HostSession], method: str, *each: Sequence[Any]) -> list[Any]:
    """One call to every session; they work at the same time."""
    for session, *arguments in zip(sessions, *each, strict=True):
        session.ask(method, *arguments)
    return [session.answer() for session in sessions]


def begun(sessions: Sequence[HostSession], method: str, *each: Sequence[Any]) -> list[Any]:
    """As `ask_all`, a call that makes everything before it irrelevant."""
    for session in sessions:
        session.forget()
    return ask_all(sessions, method, *each)


def first_place(system: HostSystem, count: int, action: Any = None) -> HostPlace:
    """So many sessions before their first episodes.

    Of games, `action` has the shapes of all sides' actions at one step.
    """
    zeros = np.zeros(count, np.int32)
    kept = integers_for(system.spec.actions)
    action = action if system.of_games else jax.ShapeDtypeStruct((system.slots,), kept)
    actions = jax.tree.map(lambda x: np.zeros((count, system.horizon, *x.shape), x.dtype), action)
    return HostPlace(zeros, zeros.copy(), actions)


class HostActor:
    """Sessions of a global simulator outside of JAX that step together, each in its process.

    `first` is the number of the first session: they have different streams of episodes.
    """

    def __init__(
        self, system: HostSystem, sessions: Sequence[HostSession], seed: int, first: int
    ) -> None:
        self._system, self._sessions = system, sessions
        self._seed, self._first = seed, first
        self.view: View
        self.spent: defaultdict[str, float] = defaultdict(float)
        """Seconds: "waiting" for the sessions and "acting" by the clock, and what they told of the
        CPU's."""

    def lead(self, place: HostPlace) -> None:
        """Brings the sessions to where the copies stand."""
        self._episode, self._clock = place.episode.copy(), place.clock.copy()
        self._actions = jax.tree.map(np.copy, place.actions)
        seen = self._reset(np.arange(len(self._sessions)))
        for t in range(self._clock.max()):
            behind = np.flatnonzero(t < self._clock)
            actions = jax.tree.map(lambda x, t=t, b=behind: x[b, t], self._actions)
            for session, one in zip(behind, self._ask(behind, actions), strict=True):
                seen[session] = one
        self.view = self._system.look(seen)

    @property
    def place(self) -> HostPlace:
        """Where the sessions stand now."""
        actions = jax.tree.map(np.copy, self._actions)
        return HostPlace(self._episode.copy(), self._clock.copy(), actions)

    predicting = None
    """What an actor's predictors draw influence by: `segments.Predicting`, where it has any."""

    def act(self, actions: Any, drawn: Any = None) -> tuple[Outcome, View]:
        """(the outcome, what the states reached show); `view` is what is shown after resets.

        `drawn` is what `predicting` drew.

        Raises:
            UserError: the simulator raised, hung, or gave something of a wrong shape or not finite.
        """
        del drawn
        system, everybody = self._system, np.arange(len(self._sessions))
        actions = system.by_session(actions)

        def put(into: np.ndarray, value: np.ndarray) -> None:
            into[everybody, self._clock] = value

        jax.tree.map(put, self._actions, actions)
        moved = self._ask(everybody, actions)
        self._clock += 1
        reached = system.look(moved)
        terminated, stopped = system.ends(moved)
        truncated = (stopped | (self._clock >= self._lengths())) & ~terminated
        over = np.flatnonzero(terminated | truncated)
        reward, cut = system.rewards(moved), system.cut(moved)
        ends = (system.by_slot(x) for x in (terminated, truncated))
        outcome = Outcome(reward, *ends, reached.alive, cut)
        if over.size:
            self._episode[over] += 1
            self._clock[over] = 0
            for session, one in zip(over, self._reset(over), strict=True):
                moved[session] = one
        self.view = system.look(moved) if over.size else reached
        return outcome, reached

    def _reset(self, which: np.ndarray) -> list[Any]:
        places = [(self._first + one, int(self._episode[one])) for one in which]
        seeds = [episode_seed(stream(self._seed, "train/host", *place)) for place in places]
        began = time.perf_counter()
        seen = begun([self._sessions[one] for one in which], "reset", seeds)
        self.spent["waiting"] += time.perf_counter() - began
        return seen

    def _lengths(self) -> Int[np.ndarray, " session"]:
        """First episodes end early, each at another time, so that copies do not reset together."""
        horizon, count = self._system.horizon, len(self._sessions)
        return horizon - np.where(self._episode == 0, np.arange(count) * horizon // count, 0)

    def _ask(self, which: np.ndarray, actions: Any) -> list[Any]:
        """One step of these sessions, all at the same time."""
        began = time.perf_counter()
        asked = [self._sessions[one] for one in which]
        moved = ask_all(asked, "step", [self._system.sent(actions, i) for i in range(len(which))])
        self.spent["waiting"] += time.perf_counter() - began
        for one in moved if self._system.of_games else ():
            for part, seconds in one.get("seconds", {}).items():
                self.spent[part] += seconds
        return moved


class HostRegions:
    """Copies of local simulators outside of JAX: those of one region in one process.

    Such a process cannot be led to where a lost one was, so each stretch of training between two
    checkpoints begins with new episodes. The first ones end early, each at another time, so that
    the copies do not all pass through the same part of an episode at once.

    Args:
        domain: whose local simulators they are.
        sessions: one per region, each with all copies; see `core.HostLocalSimulator`.
        predictors: the regions' influence predictors, stacked.
        regions: their numbers among all.
        copies: how many a session holds.
        seeds: of the sessions' own random numbers.
        kind: that the regions are of.
    """

    def __init__(
        self,
        domain: Any,
        sessions: Sequence[HostSession],
        predictors: Any,
        regions: Sequence[int],
        copies: int,
        seeds: Sequence[int],
        kind: int = 0,
    ) -> None:
        numbers = numbers_of(kinds_of(domain), kind)
        places = [numbers.index(region) for region in regions]
        predictors = jax.device_put(predictors)
        self._system = system = Regions(domain, predictors, np.array(places), kind)
        self._sessions, self._copies = sessions, copies
        self.spent: defaultdict[str, float] = defaultdict(float)
        """As `HostActor.spent`."""
        told = list(map(system.kind.told_outside, places, regions))
        self._seen = begun(sessions, "reset", seeds, told)
        ahead = np.arange(copies) * system.horizon // copies
        self._left = np.repeat((system.horizon - ahead)[:, None], len(regions), 1)
        self._fresh = np.ones((copies, len(regions)), bool)
        self._hidden: Any = np.zeros((len(regions), *system.one.initial(copies).shape), np.float32)
        self._mask = np.tile(system.possible, (copies, 1, 1))
        self.view = self._view()

    place = np.zeros(0, np.float32)
    """There is none to come back to."""

    @property
    def predicting(self) -> Predicting:
        """As `HostActor.predicting`."""
        shape = (self._copies, self._system.spec.dset)
        dset = gathered(self._system.name, self._seen, "dset", shape)
        return Predicting(self._system.predictors, self._hidden, self._fresh.T, dset)

    def _view(self) -> View:
        mask, spec = self._mask, self._system.spec
        alive = np.ones(mask.shape[:2], bool)
        observation = self._by_slot("observation", (spec.observation,))
        if self._system.of_entities:
            alive = self._by_slot("alive", kinds=FLAGS).astype(bool)
            mask = self._by_slot("mask", (spec.actions,), FLAGS).astype(bool)
        return shown(observation, mask, alive)

    def _told(self, name: str, shape: tuple[int, ...] = (), kinds: str = NUMBERS) -> np.ndarray:
        """[copy, region, ...]"""
        shape = (self._copies, *shape)
        return np.moveaxis(gathered(self._system.name, self._seen, name, shape, kinds), 0, 1)

    def _by_slot(self, name: str, shape: tuple[int, ...] = (), kinds: str = NUMBERS) -> np.ndarray:
        """[copy, slots of all regions, ...]"""
        told = self._told(name, (*self._system.shape, *shape), kinds)
        return told.reshape(self._copies, -1, *shape)

    def act(self, actions: np.ndarray, drawn: Any) -> tuple[Outcome, View]:
        """As `HostActor.act`."""
        self._hidden, influence = drawn[0], np.asarray(drawn[1])
        system = self._system
        each = np.moveaxis(actions.reshape(self._copies, system.teams, *system.shape), 1, 0)
        began = time.perf_counter()
        self._seen = ask_all(self._sessions, "step", list(each), list(influence))
        self.spent["waiting"] += time.perf_counter() - began
        self._left = self._left - 1
        terminated = self._told("terminated", kinds=TRUTHS)
        truncated = (self._left <= 0) & ~terminated
        reached, done = self._view(), terminated | truncated
        ends = (system.by_slot(x.reshape(-1)) for x in (terminated, truncated))
        nobody = np.zeros_like(reached.alive)
        outcome = Outcome(self._by_slot("reward"), *ends, reached.alive, nobody)
        for region in np.flatnonzero(done.any(0)):
            told = self._sessions[region].call("reset_some", done[:, region])
            self._seen[region] = {**self._seen[region], **told}
        self._left = np.where(done, system.horizon, self._left)
        self._fresh = done
        self.view = self._view() if done.any() else reached
        return outcome, reached


def random_observations(
    system: HostSystem, sessions: Sequence[HostSession], controllers: Any, seed: int,
    each: int, every: int,
) -> Any:  # fmt: skip
    """Observations [sample, ...] of games between the simulator's own players.

    Args:
        system, sessions: of games, and where they are played.
        controllers: who plays each side.
        seed: of the run.
        each: how many of each session and side.
        every: steps between two of them.
    """

    def begin(place: int, t: int) -> dict[str, Any]:
        key = stream(seed, "train/statistics", place, t)
        return sessions[place].begin("reset", episode_seed(key), controllers)

    found: list[Any] = []
    seen = [begin(place, 0) for place in range(len(sessions))]
    for t in range(1, each * every):
        for place, one in enumerate(seen):
            if t % every == 0:
                found.append(one["observation"])
            if one.get("terminated") or t % system.horizon == 0:
                begin(place, t)
        seen = ask_all(sessions, "step", [None] * len(sessions))
    found += [one["observation"] for one in seen]
    return jax.tree.map(lambda *x: np.concatenate(x), *found)
