"""A pool of past opponents (league-lite): the newest policy, snapshots of it, hand-written ones.

Snapshots are drawn by how hard they still are: with weight (1 - win rate)^2, as the prioritised
fictitious self-play of AlphaStar (Vinyals et al. 2019). Everything is a function of the pool and a
key, so that a resumed run draws what an uninterrupted one would have drawn.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from hinterland.config import MILLION, Config
from hinterland.core import UserError, stream
from hinterland.core.bounds import number_of, shortened
from hinterland.rollout.opponents import Seats, seats_for
from hinterland.training.workers import Experience, Snapshot

POOL, SNAPSHOT_EVERY = 8, 20
"""Snapshots that are kept, and updates between two, where nothing else is said."""
LATEST = -1
"""The newest policy, as a member."""


class Pool(NamedTuple):
    """Snapshots by version, and how the learner's side fared; arrays, for checkpoints.

    Members are the snapshots, then the hand-written policies.
    """

    networks: Any
    """[snapshot, ...]"""
    version: Int[np.ndarray, " snapshot"]
    """-1 where there is none yet."""
    results: Float[np.ndarray, "members 3"]
    """Games, won and lost, against each member."""
    latest: Float[np.ndarray, " 3"]
    """The same against the newest policy."""


class Mix(NamedTuple):
    """How often a seat gets whom; weights, of any sum."""

    latest: float
    past: float
    scripted: tuple[tuple[str, float], ...]


def parse_mix(text: str, known: list[str]) -> Mix:
    """ "latest=0.5,past=0.4,random=0.1" as a mix.

    Args:
        text: names and weights.
        known: the domain's hand-written policies.

    Raises:
        UserError: an unknown name, a weight that is none, or all of them 0.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in ("latest", "past", *known):
            raise UserError(
                f"--opponents {shortened(name)}: known are latest, past, {', '.join(known)}"
            )
        weights[name] = number_of(number)
        if not 0 <= weights[name] <= MILLION:
            raise UserError(
                f"--opponents {shortened(part)}: must be NAME=WEIGHT, with a weight from 0 to "
                f"{MILLION:,}"
            )
    if not sum(weights.values()) > 0:
        raise UserError(f"--opponents {text}: somebody must have a weight above 0")
    scripted = tuple((name, weights[name]) for name in known if name in weights)
    return Mix(weights.get("latest", 0.0), weights.get("past", 0.0), scripted)


def empty_pool(network: Any, size: int, scripted: int) -> Pool:
    """No snapshots, no games."""
    networks = jax.tree.map(lambda x: np.zeros((size, *x.shape), x.dtype), network)
    results = np.zeros((size + scripted, 3), np.float32)
    return Pool(networks, np.full(size, -1, np.int32), results, np.zeros(3, np.float32))


def with_snapshot(pool: Pool, version: int, network: Any) -> Pool:
    """The pool with one more; when it is full, the oldest goes, and its results with it."""
    place = int(pool.version.argmin())  # an empty place, or the oldest

    def put(all_: np.ndarray, one: Any) -> np.ndarray:
        all_ = all_.copy()
        all_[place] = np.asarray(one)
        return all_

    rows = jax.tree.map(put, pool[:3], (network, version, np.zeros(3)))
    return Pool(*rows, pool.latest)


def weights_of(pool: Pool, mix: Mix) -> Float[np.ndarray, " choices"]:
    """Probabilities of the members, then of the newest policy."""
    there = pool.version >= 0
    games, won, lost = pool.results[: len(there)].T
    # Draws count half; one win and one loss more than there were, so that it begins at 1/2.
    rates = (won + (games - won - lost) / 2 + 1) / (games + 2)
    hard = np.where(there, (1 - rates) ** 2, 0.0)
    past = mix.past * hard / hard.sum() if there.any() else hard
    # Before the first snapshot there is no past but the present.
    latest = mix.latest + (0.0 if there.any() else mix.past)
    weights = np.concatenate([past, [w for _, w in mix.scripted], [latest]])
    if not weights.sum() > 0:
        weights[-1] = 1.0
    return weights / weights.sum()


def draw(
    key: Key[Array, ""], pool: Pool, mix: Mix, count: int, network: Any
) -> tuple[Seats, Int[np.ndarray, " seat"]]:
    """Opponents for so many seats, each drawn by itself, and which members they are.

    Args:
        key: consumed.
        pool: snapshots and results.
        mix: how often whom.
        count: seats.
        network: the newest policy.
    """
    probabilities = weights_of(pool, mix)
    points = np.asarray(jax.random.uniform(key, (count,)), np.float64)
    size, last = len(pool.version), len(probabilities) - 1
    choice = np.minimum(np.searchsorted(probabilities.cumsum(), points, side="right"), last)
    member = np.where(choice == last, LATEST, choice).astype(np.int32)
    past = choice < size
    place = np.where(past, choice, 0)

    def chosen(snapshots: np.ndarray, newest: Any) -> np.ndarray:
        flags = past.reshape(-1, *(1,) * (snapshots.ndim - 1))
        return np.where(flags, snapshots[place], np.asarray(newest)[None])

    networks = jax.tree.map(chosen, pool.networks, network)
    script = np.where(member >= size, member - size, -1).astype(np.int32)
    return Seats(networks, script), member


def with_results(
    pool: Pool, member: Int[np.ndarray, " seat"], results: Int[np.ndarray, "seat 3"]
) -> Pool:
    """The pool after games against these members."""
    each = np.concatenate([pool.results, pool.latest[None]])  # where LATEST finds its own
    np.add.at(each, member, results)
    return pool._replace(results=each[:-1], latest=each[-1])


class Opponents:
    """What a run does about the other side; without --opponents: nothing.

    Args:
        config: of the run.
        domain: the system.

    Raises:
        UserError: the system has no other side that could be played, or --opponents is wrong.
    """

    def __init__(self, config: Config, domain: Any) -> None:
        self._config, self.mix = config, None
        self.scripts: tuple[str, ...] = ()
        if config.opponents is None:
            return
        if not hasattr(getattr(domain, "entity_simulator", None), "step_both"):
            raise UserError(
                f"--opponents: {domain.name} has no other side that a policy could play (its "
                "simulator has no 'step_both')"
            )
        self.mix = parse_mix(config.opponents, sorted(domain.scripted))
        self.scripts = tuple(name for name, _ in self.mix.scripted)

    def first_pool(self, network: Any) -> Any:
        """The pool at the start."""
        size = self._config.pool or POOL
        return () if self.mix is None else empty_pool(network, size, len(self.scripts))

    def snapshot(self, pool: Any, version: int, newest: Snapshot, copies: int) -> Snapshot:
        """What workers, of so many copies each, play with from this version on."""
        if self.mix is None:
            return newest
        key = stream(self._config.seed, "opponents", version)
        seats, member = draw(key, pool, self.mix, seats_for(copies), newest.policy)
        return newest._replace(seats=seats, member=member)

    def learned_from(
        self, pool: Any, updates: int, network: Any, batch: Sequence[Experience]
    ) -> Any:
        """The pool after these games, and after so many updates."""
        if self.mix is None:
            return pool
        for one in batch:
            pool = with_results(pool, np.asarray(one.member), np.asarray(one.results))
        if updates % (self._config.snapshot_every or SNAPSHOT_EVERY) == 0:
            pool = with_snapshot(pool, updates, network)
        return pool

    def standing(self, pool: Any) -> dict[str, float]:
        """Win rates so far, as metrics; of those against whom there were games."""
        if self.mix is None:
            return {}
        size = len(pool.version)
        rows = {"latest": pool.latest, "past": pool.results[:size].sum(0)}
        rows |= dict(zip(self.scripts, pool.results[size:], strict=True))
        won = {f"opponents/won/{name}": float(x[1] / x[0]) for name, x in rows.items() if x[0]}
        games, snapshots = sum(x[0] for x in rows.values()), (pool.version >= 0).sum()
        return won | {"opponents/games": float(games), "opponents/snapshots": float(snapshots)}
