"""Workers in other processes: one snapshot down, one segment up.

On this machine for systems outside of JAX (`ProcessWorker`): inference, and Python beside it, then
share neither XLA's threads nor Python's lock with the learner or with each other. Or in those of a
cluster (`RemoteWorker`). A worker is a function of (seed, its number, where it stands, the
snapshot). Where it stands comes back with every segment, so that a lost one is begun anew, led
there, and asked again; the segment it gives is the one that was lost.
"""

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from hinterland.core import UserError
from hinterland.domains.host import HostProcess
from hinterland.runtime import ClusterRuntime
from hinterland.runtime.cluster import ATTEMPTS, Lost
from hinterland.runtime.wire import dumps, loads, prepare, settings
from hinterland.training.plan import Plan
from hinterland.training.schedules import MOMENT_S
from hinterland.training.workers import Experience, Snapshot, Worker, WorkerState, worker_apart


def workers_elsewhere(
    plan: Plan, runtime: Any, states: Sequence[WorkerState], scripts: tuple[str, ...]
) -> list[Any]:
    """One for each state, in processes of the cluster or of this machine.

    Raises:
        UserError: the domain cannot be sent to another process.
    """
    there, begun = isinstance(runtime, ClusterRuntime), (plan.config, plan.domain, scripts)
    try:
        message = runtime.put(begun) if there else dumps(begun)
    except (TypeError, pickle.PicklingError) as error:
        raise UserError(
            f"{plan.domain.name} cannot be sent to the processes of workers ({error}): make it by "
            "load_domain('MODULE:FACTORY', agents), which they repeat"
        ) from error
    if there:
        sent = _Sent(runtime)
        return [RemoteWorker(i, state, message, sent) for i, state in enumerate(states)]
    name = plan.domain.name
    return [ProcessWorker(i, state, message, name) for i, state in enumerate(states)]


class ProcessWorker:
    """As `Worker`, in a process of its own, which starts at once; its actors are with it.

    Args:
        index: its number.
        state: where it stands.
        begun: the message that makes it: (config, domain, hand-written policies' names).
        system: its name, for messages.
    """

    def __init__(self, index: int, state: WorkerState, begun: bytes, system: str) -> None:
        self.index, self.state = index, state
        self._simulators_lost, self._stands = 0, False
        self._process = HostProcess(
            f"{__name__}:Apart", settings(), begun, index,
            patience_s=0, wait=False, name=f"worker {index} ({system})", family=True,
        )  # fmt: skip
        self.abandon, self.close = self._process.abandon, self._process.close

    @property
    def lost(self) -> int:
        """How often its process, or one of its simulators', was replaced so far."""
        return self._process.restarts + self._simulators_lost

    def segment(
        self, version: int, snapshot: Snapshot, stopping: Callable[[], None] = lambda: None
    ) -> Experience:
        """As `Worker.segment`.

        Raises:
            UserError: its process was lost over and over, or as of a worker here.
        """
        if not self._stands:  # it starts while others evaluate, or compile
            self._wait(stopping)
            self._process.ready()
            self._stands = True
        self._process.forget()
        self._process.ask("segment", self.state, version, jax.tree.map(np.asarray, snapshot))
        self._wait(stopping)
        found = self._process.answer()
        if isinstance(found, UserError):
            raise found
        self.state, segment, lost = found
        self._simulators_lost += lost
        return segment

    def _wait(self, stopping: Callable[[], None]) -> None:
        while not self._process.answered(MOMENT_S):
            stopping()


class Apart:
    """The other end: keeps the worker between two segments; arguments as of `ProcessWorker`."""

    def __init__(self, told: bytes, begun: bytes, index: int) -> None:
        os.environ["NPROC"] = "1"  # XLA's threads: a worker is one of several at work
        prepare(told)
        self._begun, self._index = loads(begun), index
        self._simulator = Plan(*self._begun[:2]).system.simulator
        self._worker: Worker | None = None

    def segment(
        self, state: WorkerState, version: int, snapshot: Snapshot
    ) -> tuple[WorkerState, Experience, int] | UserError:
        """(where the worker stands after it, the segment, simulators' processes lost meanwhile).

        What is wrong with an environment is returned, and not raised: it is a sentence already.
        """
        try:
            if self._worker is None:
                self._worker = worker_apart(*self._begun, self._index, state)
            before = self._simulator.restarts
            made = self._worker.segment(version, snapshot)
        except UserError as error:
            return error
        lost = self._simulator.restarts - before
        return *jax.tree.map(np.asarray, (self._worker.state, made)), lost


class RemoteWorker:
    """As `Worker`, in a process of a cluster; its actors are with it.

    Args:
        index: its number.
        state: where it stands.
        begun: as of `ProcessWorker`, put where the cluster finds it.
        sent: shared by all workers of a run.
    """

    lost = 0
    """They are the runtime's to count."""

    def __init__(self, index: int, state: WorkerState, begun: Any, sent: "_Sent") -> None:
        self.index, self.state = index, state
        self._runtime, self._begun, self._sent = sent.runtime, begun, sent
        self._process: Any = None

    def segment(
        self, version: int, snapshot: Snapshot, stopping: Callable[[], None] = lambda: None
    ) -> Experience:
        """As `Worker.segment`; errors as of `ProcessWorker.segment`."""
        said = ""
        for _ in range(ATTEMPTS):
            try:
                if self._process is None:
                    self._process = self._runtime.resident()
                    told, where = self._runtime.settings, self._runtime.pack(self.state)
                    self._ask("begin", (told, self._begun, self.index, where), stopping)
                key = (version, int(snapshot.since))
                what = (key, self._sent.message(key, snapshot))
                self.state, segment = self._ask("segment", what, stopping)
            except Lost as error:
                self._process, said = None, str(error)
            else:
                return segment
        raise UserError(
            f"worker {self.index} was lost {ATTEMPTS} times with its process: {said}; resume from "
            "the last checkpoint"
        )

    def _ask(self, name: str, arguments: tuple[Any, ...], stopping: Callable[[], None]) -> Any:
        task = self._runtime.ask(self._process, f"{__name__}:{name}", *arguments)
        while not self._runtime.finished([task]):
            stopping()
        return self._runtime.result(task)

    def abandon(self) -> None:
        """Ends its process, whatever it is doing."""
        if self._process is not None:
            self._runtime.end(self._process)

    def close(self) -> None:
        """The runtime ends its process."""


class _Sent:
    """The newest snapshots, as messages: each travels to a node once, however many ask for it."""

    def __init__(self, runtime: ClusterRuntime) -> None:
        self.runtime, self._lock = runtime, threading.Lock()
        self._messages: dict[tuple[int, int], Any] = {}

    def message(self, key: tuple[int, int], snapshot: Snapshot) -> Any:
        """Of that version in that stretch, which may begin with new predictors."""
        with self._lock:
            if key not in self._messages:
                newest = sorted(self._messages)[-1:]
                self._messages = {old: self._messages[old] for old in newest}
                self._messages[key] = self.runtime.put(snapshot)
            return self._messages[key]


def begin(kept: dict[str, Any], told: bytes, begun: bytes, index: int, where: bytes) -> None:
    """In the process elsewhere: makes the worker, with sessions of its own if it needs any."""
    prepare(told)
    kept["worker"] = worker_apart(*loads(begun), index, loads(where))


def segment(
    kept: dict[str, Any], key: tuple[int, int], snapshot: bytes
) -> tuple[WorkerState, Experience]:
    """In the process elsewhere: (where the worker stands after it, the segment)."""
    worker = kept["worker"]
    if kept.get("key") != key:
        kept["key"], kept["snapshot"] = key, loads(snapshot)
    made = worker.segment(key[0], kept["snapshot"])
    return jax.tree.map(jax.device_get, (worker.state, made))
