"""Workers: each holds a snapshot of the policy, acts for its copies, and cuts segments.

A worker is a function of (seed, its number, where it stands, the snapshot): the same on any thread,
process or machine. It keeps nothing that its `WorkerState` does not hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from hinterland.config import Config
from hinterland.core import Segment, stream
from hinterland.domains.pool import SharingPool
from hinterland.learn import windows_of
from hinterland.rollout import (
    SESSIONS,
    HostActor,
    HostRegions,
    Regions,
    begin,
    begin_place,
    episode_seed,
    first_place,
    host_segment,
    traced_segment,
    whole_system,
)
from hinterland.rollout.segments import Place, phases
from hinterland.training.plan import Plan
from hinterland.training.returns import Running, followed, running


class WorkerState(NamedTuple):
    """Everything that a worker needs to go on."""

    place: Place
    number: Int[Any, ""]
    """Of its next segment."""
    running: Running


class Snapshot(NamedTuple):
    """A version of the policy, and against whom it plays."""

    policy: Any
    """Of all slots."""
    predictors: Any = ()
    """Of all regions, with local simulators; they are of one kind."""
    since: int = 0
    """The update at which this stretch of training began."""
    seats: Any = None
    """`rollout.Seats` of a two-sided system, or None."""
    member: Any = None
    """Members of the pool in the seats, or None."""


class Experience(NamedTuple):
    """What a worker hands to the learner: a segment, and how it was made.

    `version` is that of the policy, as the number of updates it had seen. `results` counts the
    games that ended against each opponent `member` of a pool: games, won, lost (no row where nobody
    opposes). `returns`: the sum of the returns of whole episodes that ended, and their number.
    """

    segment: Segment
    version: int
    results: Int[np.ndarray, "seat 3"]
    member: Int[np.ndarray, " seat"]
    returns: Float[np.ndarray, " 2"]


@partial(jax.jit, static_argnames=("domain", "central", "local", "scripts", "window", "windows"))
def _traced(
    seed, worker, number, place, snapshot, *, domain, central, local, scripts, window, windows
):  # type: ignore[no-untyped-def]
    key = stream(seed, "train/segment", worker, number)
    system = Regions(domain, snapshot.predictors[0]) if local else whole_system(domain, central)
    against = snapshot.seats, [domain.scripted[name] for name in scripts]
    return traced_segment(key, system, snapshot.policy, place, window, windows, *against)


class Worker:
    """One of them.

    Args:
        plan: of the run.
        index: its number.
        scripts: names of hand-written policies that may oppose.
        device: where its snapshot lies; None: wherever it is called.
    """

    lost = 0
    """Processes replaced so far that the domain here does not know of."""

    def __init__(
        self, plan: Plan, index: int, scripts: tuple[str, ...] = (), device: Any = None
    ) -> None:
        self.index, self.copies = index, plan.worker_copies
        copies, windows = self.copies, plan.config.windows if plan.config.schedule == "fused" else 1
        self._first = index * copies
        """The number of its first copy among all workers'."""
        # At ten phases over all copies of an update's workers, or over its own.
        everybody = max(plan.config.copies, copies)
        numbers = (self._first + np.arange(copies)) % everybody
        self._clocks = phases(everybody, plan.system.horizon)[numbers]
        whole = np.arange(copies) == 0 if plan.is_host else self._clocks == 0
        self._episodes = running(np.repeat(whole, plan.system.sides), len(plan.regions) or 1)
        """Those that its copies begin with."""
        self.state: WorkerState
        self._plan, self._device, self._windows = plan, device, windows
        self._version: Any = None
        self._snapshot = Snapshot(None)
        self.actor: HostActor | HostRegions | None = None
        self.sessions: list[Any] = []
        """One for each copy, or for each region; none where the system is traced."""
        self._led: int | None = None
        self.program = partial(
            _traced,
            domain=plan.domain,
            central=plan.config.critic == "central",
            local=plan.local,
            scripts=scripts,
            window=plan.config.window,
            windows=windows,
        )

    def first_state(self, policy: Any, predictors: Any, session: Any = None) -> WorkerState:
        """Copies at their beginning, at different times of their episodes.

        Of games, any `session` shows what actions are.
        """
        plan, config = self._plan, self._plan.config
        count, opposed = self.copies * plan.system.sides, config.opponents is not None
        if plan.local and plan.is_host:
            place = begin_place(policy, np.zeros(0, np.float32), count)
        elif plan.is_host:
            sides = _actions_of(plan, policy, session) if plan.of_games else None
            place = begin_place(policy, first_place(plan.system, self.copies, sides), count)
        else:
            key = stream(config.seed, "initial/copies", self._first)
            place = _begin_traced(
                key, policy, predictors, self._clocks,
                domain=plan.domain, local=plan.local, opposed=opposed,
            )  # fmt: skip
        return WorkerState(place, np.int32(0), self._episodes)

    def prepare(self, state: WorkerState, sessions: list[Any] | None = None) -> None:
        """Goes to where a worker stood; on hosts, in these sessions, or in those it has."""
        self.state = state
        if sessions is not None:
            self.sessions = sessions
        self._led = None

    def _lead(self) -> None:
        """Brings its sessions to where its copies stand; regions begin anew with each stretch."""
        plan, config, snapshot = self._plan, self._plan.config, self._snapshot
        since = int(snapshot.since) if plan.local else 0
        if self._led == since:
            return
        self._led = since
        if not plan.local:
            self.actor = HostActor(plan.system, self.sessions, config.seed, self._first)
            self.actor.lead(self.state.place.copies)
            return
        regions = range(len(plan.regions))
        places = [(region, since, self.index) for region in regions]
        seeds = [episode_seed(stream(config.seed, "train/local", *place)) for place in places]
        self.actor = HostRegions(
            plan.domain, self.sessions, snapshot.predictors[0], regions, self.copies, seeds
        )
        place = begin_place(snapshot.policy, self.actor.place, self.copies)
        self.state = self.state._replace(place=place, running=self._episodes)

    def unit(self, snapshot: Snapshot) -> tuple[Any, ...]:
        """Arguments of `program` for the next segment of a traced system."""
        number = int(self.state.number)
        return self._plan.config.seed, self.index, number, self.state.place, snapshot

    def take(self, found: tuple[Any, ...], version: int, snapshot: Snapshot) -> Experience:
        """What `program` gave, as experience; the worker goes on from there.

        The segment's windows become so many more copies; the episodes in it are followed.
        """
        place, segment, results = found
        episodes, returns = followed(self.state.running, segment)
        self.state = WorkerState(place, np.int32(self.state.number + 1), episodes)
        member = np.zeros(0, np.int32) if snapshot.member is None else snapshot.member
        segment = windows_of(segment, self._windows)
        return Experience(segment, version, results, member, returns)

    def segment(
        self, version: int, snapshot: Snapshot, stopping: Callable[[], None] = lambda: None
    ) -> Experience:
        """The next windows of all its copies, by this version of the policy."""
        with jax.default_device(self._device):
            if (version, snapshot.since) != self._version:
                self._version = (version, snapshot.since)
                self._snapshot = jax.device_put(snapshot, self._device)
            if self._plan.is_host:
                found = self._led_on(stopping)
            else:
                unit = jax.device_put(self.unit(self._snapshot), self._device)
                found = jax.block_until_ready(self.program(*unit))
        return self.take(found, version, snapshot)

    def _led_on(self, stopping: Callable[[], None]) -> tuple[Any, ...]:
        """As `program`, on hosts."""
        self._lead()
        config, (place, number, _) = self._plan.config, self.state
        key = stream(config.seed, "train/segment", self.index, int(number))
        found = host_segment(
            key, self._snapshot.policy, self.actor, place, config.window, self._windows, stopping
        )
        return *found, np.zeros((0, 3), np.int32)

    def abandon(self) -> None:
        """Ends its processes, whatever they are doing."""
        for session in self.sessions:
            session.abandon()

    def close(self) -> None:
        """Its sessions are the domain's, and stay."""


@partial(jax.jit, static_argnames=("domain", "local", "opposed"))
def _begin_traced(key, policy, predictors, clocks, *, domain, local, opposed):  # type: ignore[no-untyped-def]
    system = Regions(domain, predictors[0]) if local else whole_system(domain)
    return begin(key, system, policy, len(clocks), clocks, opposed)


def _actions_of(plan: Plan, policy: Any, session: Any) -> Any:
    """Shapes of all sides' actions at one step, for which the network is asked."""
    view = plan.system.look([session.begin("reset", 0)])
    carry = policy.initial(plan.system.sides)
    key = jax.random.key(0)
    return jax.eval_shape(lambda p, *x: p.act(key, *x)[1].action, policy, carry, view)


def made_workers(plan: Plan, scripts: tuple[str, ...], devices: list[jax.Device]) -> list[Worker]:
    """All workers of a run, not prepared yet; devices are where they act, in turn.

    With `--schedule fused` they are blocks of copies, which the runtime puts where there is room.
    """
    where: list[Any] = [None] if plan.config.schedule == "fused" else devices
    return [
        Worker(plan, index, scripts, where[index % len(where)]) for index in range(plan.workers)
    ]


def worker_apart(
    config: Config, domain: Any, scripts: tuple[str, ...], index: int, state: WorkerState
) -> Worker:
    """In a process of its own, prepared: with sessions of its own, if it needs any."""
    plan = Plan(config, domain)
    worker = Worker(plan, index, scripts, jax.devices()[0])
    simulator = plan.system.simulator
    if isinstance(simulator, SharingPool):
        simulator.here = True
    worker.prepare(state, *sessions_for(plan, 1, kept=0))
    return worker


def sessions_for(plan: Plan, workers: int, kept: int = SESSIONS) -> list[list[Any]]:
    """For each of so many workers its sessions; none where the system is traced.

    The first `kept` processes of one copy are evaluation's, and not given away; but `--schedule
    fused` shares them with it.
    """
    config, simulator = plan.config, plan.system.simulator
    if not plan.is_host:
        return [[]] * workers
    each, shared = plan.worker_copies, config.copies_per_process or 1
    if plan.local:  # one process for each region, which holds all copies
        each = len(plan.regions)
        ours = list(simulator.sessions(workers * each, plan.worker_copies))
    elif shared > 1:
        ours = list(simulator.shared_sessions(workers * each, shared))
    else:
        kept = 0 if config.schedule == "fused" else kept
        ours = list(simulator.sessions(kept + workers * each)[kept:])
    return [ours[first : first + each] for first in range(0, workers * each, each)]
