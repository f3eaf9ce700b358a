"""Workers: each holds a snapshot of the policy, acts for its actors, and cuts segments.

A worker is a function of (seed, its number, where it stands, the snapshot): the same on any thread,
process or machine. It keeps nothing that its `WorkerState` does not hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from hinterland.config import Config
from hinterland.core import EntityTrajectory, Segment, stream
from hinterland.domains.pool import SharingPool
from hinterland.rollout import (
    SESSIONS,
    HostActor,
    Place,
    System,
    begin_entities,
    begin_place,
    first_place,
    host_segment,
    traced_segment,
)
from hinterland.training.returns import Running, followed, running


class WorkerState(NamedTuple):
    """Everything that a worker needs to go on."""

    place: Place
    number: Int[Any, ""]
    """Of its next segment."""
    running: Running


class Snapshot(NamedTuple):
    """A version of the policy, and against whom it plays."""

    network: Any
    seats: Any = None
    """`rollout.Seats` of a two-sided system, or None."""
    member: Any = None
    """Members of the pool in the seats, or None."""


@partial(jax.jit, static_argnames=("domain", "central", "scripts", "steps"))
def _traced(seed, worker, number, network, place, seats, domain, central, scripts, steps):  # type: ignore[no-untyped-def]
    key = stream(seed, "pipeline/segment", worker, number)
    policies = [domain.scripted[name] for name in scripts]
    place, segment = traced_segment(
        key, System(domain, central), network, place, steps, seats, policies
    )
    return place, (segment.trajectory._asdict(), *segment[1:])


def first_state(config: Config, domain: Any, network: Any, worker: int) -> WorkerState:
    """Copies at their beginning, their clocks at ten different phases."""
    system, count = System(domain), copies_of(config)
    if system.is_host:
        copies: Any = first_place(system, count)
    else:
        phases = (np.arange(count) * 10 // count) * system.horizon // 10
        begin = jax.jit(partial(begin_entities, simulator=system.simulator))
        key = stream(config.seed, "initial/copies", worker)
        copies = begin(key, phases=phases.astype(np.int32))
    opposed = config.opponents is not None
    place = begin_place(network, copies, count, opposed)
    return WorkerState(place, np.int32(0), running(count, system.is_host))


def copies_of(config: Config) -> int:
    """Copies that one worker acts for."""
    return config.copies * (config.actors or 1)


class Worker:
    """One of them.

    Args:
        config: of the run.
        domain: the system.
        index: its number.
        device: where its snapshot lies.
        scripts: names of hand-written policies that may oppose.
    """

    lost = 0
    """Processes replaced so far that the domain here does not know of."""

    def __init__(
        self,
        config: Config,
        domain: Any,
        index: int,
        device: jax.Device,
        scripts: tuple[str, ...] = (),
    ) -> None:
        self.index = index
        self.state: WorkerState = None  # type: ignore[assignment]
        self._config, self._domain, self._device = config, domain, device
        self._central = config.critic == "central"
        self._system = System(domain, self._central)
        self._version, self._snapshot = -1, Snapshot(None)
        self._scripts = scripts
        self._actor: HostActor | None = None
        self._sessions: list[Any] = []

    def prepare(self, state: WorkerState, sessions: list[Any] | None) -> None:
        """Goes to where a worker stood; of a host simulator, with a session for each copy."""
        self.state = state
        if sessions is not None:
            first = self.index * copies_of(self._config)
            self._sessions = sessions
            self._actor = HostActor(self._system, sessions, self._config.seed, first)
            self._view = self._actor.lead(state.place.copies)

    def segment(
        self, version: int, snapshot: Snapshot, stopping: Callable[[], None] = lambda: None
    ) -> Segment:
        """The next `--window` steps of all its copies, by this version of the policy."""
        if version != self._version:
            self._version, self._snapshot = version, jax.device_put(snapshot, self._device)
        config, (place, number, episodes) = self._config, self.state
        policy, seats, _ = self._snapshot
        with jax.default_device(self._device):
            if self._actor is None:
                place, parts = _traced(
                    config.seed, self.index, int(number), policy,
                    jax.device_put(place, self._device), seats,
                    self._domain, self._central, self._scripts, config.window,
                )  # fmt: skip
                segment = Segment(EntityTrajectory(**parts[0]), *parts[1:])
                jax.block_until_ready(segment)
            else:
                key = stream(config.seed, "pipeline/segment", self.index, int(number))
                place, self._view, segment = host_segment(
                    key, self._system, policy, self._actor, place, self._view, config.window,
                    stopping,
                )  # fmt: skip
        reward, ended = np.asarray(segment.trajectory.reward), segment.trajectory.ended
        episodes, returns = followed(episodes, reward.sum(-1), ended)
        self.state = WorkerState(place, np.int32(number + 1), episodes)
        segment = segment._replace(returns=returns)
        if snapshot.member is not None:
            segment = segment._replace(member=snapshot.member)
        return segment._replace(version=np.full(config.window, version, np.int32))

    def abandon(self) -> None:
        """Ends its processes, whatever they are doing."""
        for session in self._sessions:
            session.abandon()

    def close(self) -> None:
        """Its sessions are the domain's, and stay."""


def worker_apart(
    config: Config, domain: Any, scripts: tuple[str, ...], index: int, state: WorkerState
) -> Worker:
    """In a process of its own, prepared: with sessions of its own, if it needs any."""
    worker = Worker(config, domain, index, jax.devices()[0], scripts)
    simulator = System(domain).simulator
    if isinstance(simulator, SharingPool):
        simulator.here = True
    sessions = sessions_for(config, domain, 1, kept=0)
    worker.prepare(state, sessions[0] if sessions else None)
    return worker


def sessions_for(
    config: Config, domain: Any, workers: int, kept: int = SESSIONS
) -> list[list[Any]] | None:
    """For each of so many workers one session per copy; None: traced.

    The first `kept` processes of one copy are evaluation's, and not given away.
    """
    system, each = System(domain), copies_of(config)
    if not system.is_host:
        return None
    count, shared = workers * each, config.copies_per_process or 1
    if shared > 1:
        ours = list(system.simulator.shared_sessions(count, shared))
    else:
        ours = list(system.simulator.sessions(kept + count)[kept:])
    return [ours[first : first + each] for first in range(0, count, each)]
