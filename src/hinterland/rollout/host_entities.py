"""Experience of entities that are born and die, in simulators outside of JAX.

Several sessions step side by side, each in its process, under one batched inference. A game has
one side or several, all of them played by the network: each side of each session is one copy of
the trajectory. Observations, masks and actions are pytrees that nobody here looks into.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int, Key

from hinterland.core import EntityNetwork, EntityTrajectory, HostEntityDomain, HostSession, stream
from hinterland.rollout.host import ask_all, episode_seed
from hinterland.rollout.host_games import Seen, at_place, reset_all


class HostEntityCopies(NamedTuple):
    """Where the sessions stand between two rollouts.

    A process cannot be stored in a checkpoint, but what was asked of it can: its game and all
    actions since that began. A resumed run asks for the same again.
    """

    episode: Int[np.ndarray, " session"]
    """Number of the game under way; it gives its seed."""
    clock: Int[np.ndarray, " session"]
    """Steps since it began."""
    actions: Any
    """[session, horizon, side, ...]"""


class HostEntityCollector:
    """Experience for training, from sessions that go on from rollout to rollout."""

    def __init__(
        self, domain: HostEntityDomain, seed: int, sessions: Sequence[HostSession]
    ) -> None:
        self._domain, self._seed, self._sessions = domain, seed, sessions
        self._seen: Seen | None = None

    def samples(self, each: int, every: int) -> Any:
        """Observations [sample, ...] of games of the random controller.

        Args:
            each: how many of each session and side.
            every: steps between two of them.
        """
        sides, horizon = self._domain.sides, self._domain.spec.horizon
        controllers = (self._domain.scripted["random"],) * sides
        found: list[Any] = []
        count = len(self._sessions)
        seeds = [self._episode_seed("train/statistics", copy, 0) for copy in range(count)]
        seen = reset_all(self._sessions, [(seed, controllers) for seed in seeds])
        for t in range(1, each * every):
            for copy, one in enumerate(seen):
                if t % every == 0:
                    found.append(one["observation"])
                if one.get("terminated") or t % horizon == 0:
                    seed = self._episode_seed("train/statistics", copy, t)
                    self._sessions[copy].begin("reset", seed, controllers)
            seen = ask_all(self._sessions, "step", [None] * len(self._sessions))
        self._seen = None
        return _joined([*found, *(one["observation"] for one in seen)])

    def begin(self, network: EntityNetwork) -> HostEntityCopies:
        """All sessions before their first games; the network is asked for the form of actions."""
        copies = len(self._sessions)
        zeros = np.zeros(copies, np.int32)
        seen = self._sessions[0].begin("reset", 0)
        inputs = (jax.random.key(0), seen["observation"], seen["masks"])
        action = jax.eval_shape(lambda n, *x: n.act(*x)[0], network, *inputs)
        self._seen = None
        shape = (copies, self._domain.spec.horizon)
        actions = jax.tree.map(lambda x: np.zeros((*shape, *x.shape), x.dtype), action)
        return HostEntityCopies(zeros, zeros.copy(), actions)

    def leave(self) -> None:
        """Others may use the sessions now; the next rollout leads them back to where they were."""
        self._seen = None

    def _episode_seed(self, purpose: str, copy: int, episode: int) -> int:
        return episode_seed(stream(self._seed, purpose, copy, episode))

    def _length(self, copy: int, episode: int) -> int:
        """First games end early, each at another time, so that copies do not begin together."""
        horizon, count = self._domain.spec.horizon, len(self._sessions)
        return horizon - (copy * horizon // count if episode == 0 else 0)

    def _reset(self, which: np.ndarray, episode: np.ndarray) -> Seen:
        """New games in these sessions."""
        seeds = [self._episode_seed("train/host", copy, int(episode[copy])) for copy in which]
        return reset_all([self._sessions[copy] for copy in which], [(seed,) for seed in seeds])

    def _catch_up(self, copies: HostEntityCopies) -> Seen:
        """Leads new processes to where the copies stand."""
        seen = self._reset(np.arange(len(self._sessions)), copies.episode)
        for t in range(copies.clock.max()):
            behind = [copy for copy, clock in enumerate(copies.clock) if t < clock]
            sessions = [self._sessions[copy] for copy in behind]
            actions = [at_place(copies.actions, (copy, t)) for copy in behind]
            for copy, one in zip(behind, ask_all(sessions, "step", actions), strict=True):
                seen[copy] = one
        return seen

    def _ends(
        self, moved: Seen, episode: np.ndarray, clock: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(games that are over, those of them that were truncated)."""
        terminated = np.array([one["terminated"] for one in moved])
        lengths = [self._length(copy, int(number)) for copy, number in enumerate(episode)]
        truncated = (clock >= np.array(lengths)) & ~terminated
        return terminated | truncated, truncated

    def rollout(
        self,
        key: Key[Array, ""],
        network: EntityNetwork,
        copies: HostEntityCopies,
        steps: int,
        stopping: Callable[[], None] = lambda: None,
    ) -> tuple[HostEntityCopies, EntityTrajectory, dict[str, float]]:
        """`steps` steps of every session; finished games give way to new ones.

        Args:
            key: consumed.
            network: acts for all sides; actions are sampled.
            copies: where the sessions stand.
            steps: how many.
            stopping: called at every step; raises to end the work.

        Returns:
            Where the sessions stand after it; [time, session x side, ...]; and seconds: "acting"
            and "waiting" for the sessions by the clock, then the CPU's within these, by part.
        """
        sides = self._domain.sides
        spent: dict[str, float] = defaultdict(float, acting=0.0, waiting=0.0)
        seen = self._catch_up(copies) if self._seen is None else self._seen
        network = jax.device_put(network)
        episode, clock = copies.episode.copy(), copies.clock.copy()
        actions = jax.tree.map(np.copy, copies.actions)
        everybody = np.arange(len(clock))
        record, lasts = [], []
        for t in range(steps):
            stopping()
            here = _stacked(seen)
            with _clock(spent, "acting"):
                chosen = _choose(network, key, t, here["observation"], here["masks"])
                action, used, log_probability, value = jax.tree.map(np.asarray, chosen)
            of_session = jax.tree.map(lambda x: x.reshape(-1, sides, *x.shape[1:]), action)
            jax.tree.map(partial(_put, (everybody, clock)), actions, of_session)
            each = [at_place(of_session, copy) for copy in everybody]
            with _clock(spent, "waiting"):
                moved = ask_all(self._sessions, "step", each)
            clock += 1
            ended, truncated = self._ends(moved, episode, clock)
            if truncated.any():
                lasts.append((t, np.repeat(truncated, sides), *_values(network, key, moved)))
            record.append(
                (here["observation"], action, used, log_probability, value,
                 _joined([one["reward"] for one in moved]), here["alive"], here["acting"],
                 np.repeat(ended, sides))
            )  # fmt: skip
            for one in moved:
                for part, seconds in one["seconds"].items():
                    spent[part] += seconds
            over = np.flatnonzero(ended)
            episode[over] += 1
            clock[over] = 0
            with _clock(spent, "waiting"):
                for copy, one in zip(over, self._reset(over, episode), strict=True):
                    moved[copy] = one
            seen = moved
        self._seen = seen
        copies = HostEntityCopies(episode, clock, actions)
        return copies, _trajectory(record, lasts, _values(network, key, seen)), dict(spent)


def _trajectory(record: list[tuple], lasts: list[tuple], following: tuple) -> EntityTrajectory:
    """Stacks the steps, and finds each one's successor.

    Args:
        record: of each step.
        lasts: (step, copies that were truncated there, values and who lived before the reset).
        following: values and who lives after the last step.
    """
    observation, action, used, log_probability, value, reward, alive, acting, ended = jax.tree.map(
        lambda *x: np.stack(x), *record
    )

    def successor(own: np.ndarray, after: np.ndarray, place: int) -> Any:
        shifted = np.concatenate([own[1:], after[None]])
        shifted[ended] = 0
        for t, truncated, *last in lasts:
            shifted[t, truncated] = last[place][truncated]
        return shifted

    next_value, next_alive = (
        successor(own, after, place)
        for place, (own, after) in enumerate(zip((value, alive), following, strict=True))
    )
    return EntityTrajectory(
        observation=observation,
        action=action,
        mask=used,
        log_probability=log_probability,
        value=value,
        next_value=next_value,
        reward=reward,
        alive=alive,
        acting=acting,
        next_alive=next_alive,
        ended=ended,
    )


@jax.jit
def _choose(network, key, t, observation, masks):  # type: ignore[no-untyped-def]
    return network.act(jax.random.fold_in(key, t), observation, masks)


@jax.jit
def _value(network, key, observation, masks):  # type: ignore[no-untyped-def]
    return network.act(key, observation, masks)[3]


def _values(network: EntityNetwork, key: Array, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """(values, who is alive): `act` gives both, with an action that nobody takes."""
    here = _stacked(seen)
    return np.asarray(_value(network, key, here["observation"], here["masks"])), here["alive"]


def _stacked(seen: Seen) -> dict[str, Any]:
    """What all sessions told of this moment, [session x side, ...]."""
    names = ("observation", "masks", "alive", "acting")
    return {name: _joined([one[name] for one in seen]) for name in names}


def _joined(parts: list[Any]) -> Any:
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


@contextmanager
def _clock(spent: dict[str, float], part: str) -> Generator[None]:
    start = time.perf_counter()
    yield
    spent[part] += time.perf_counter() - start


def _put(place: Any, into: np.ndarray, value: np.ndarray) -> None:
    into[place] = value
