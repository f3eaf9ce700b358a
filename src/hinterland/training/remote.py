"""Workers of the pipeline in processes of a cluster: one snapshot down, one segment up.

A worker is a function of (seed, its number, where it stands, the snapshot). Where it stands comes
back with every segment, so that a lost one is begun anew elsewhere and asked again; the segment it
gives is the one that was lost.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax

from hinterland.config import Config
from hinterland.core import UserError
from hinterland.runtime.cluster import ATTEMPTS, ClusterRuntime, Lost
from hinterland.runtime.wire import loads, prepare
from hinterland.training.workers import Experience, Snapshot, WorkerState, worker_apart


class RemoteWorker:
    """As `Worker`, elsewhere; its actors are with it.

    Args:
        runtime: where.
        index: its number.
        state: where it stands.
        begun: the message that makes it: (config, domain, hand-written policies' names).
        sent: shared by all workers of a run.
    """

    lost = 0
    """They are the runtime's to count."""

    def __init__(
        self, runtime: ClusterRuntime, index: int, state: WorkerState, begun: Any, sent: "Sent"
    ) -> None:
        self.index, self.state = index, state
        self._runtime, self._begun, self._sent = runtime, begun, sent
        self._process: Any = None

    def segment(
        self, version: int, snapshot: Snapshot, stopping: Callable[[], None] = lambda: None
    ) -> Experience:
        """As `Worker.segment`.

        Raises:
            UserError: its process was lost over and over, or as of a worker here.
        """
        said = ""
        for _ in range(ATTEMPTS):
            try:
                if self._process is None:
                    self._process = self._runtime.resident()
                    told = (self._runtime.settings, self._begun, self.index)
                    where = self._runtime.pack(self.state)
                    self._ask(BEGIN, (*told, where), stopping)
                what = (version, self._sent.message(version, snapshot))
                self.state, segment = self._ask(SEGMENT, what, stopping)
            except Lost as error:
                self._process, said = None, str(error)
            else:
                return segment
        raise UserError(
            f"worker {self.index} was lost {ATTEMPTS} times with its process: {said}; resume from "
            "the last checkpoint"
        )

    def _ask(self, target: str, arguments: tuple[Any, ...], stopping: Callable[[], None]) -> Any:
        task = self._runtime.ask(self._process, target, *arguments)
        while not self._runtime.finished([task]):
            stopping()
        return self._runtime.result(task)

    def abandon(self) -> None:
        """Ends its process, whatever it is doing."""
        if self._process is not None:
            self._runtime.end(self._process)

    def close(self) -> None:
        """The runtime ends its process."""


class Sent:
    """The newest snapshots, as messages: each travels to a node once, however many ask for it."""

    def __init__(self, runtime: ClusterRuntime) -> None:
        self._runtime, self._lock = runtime, threading.Lock()
        self._messages: dict[int, Any] = {}

    def message(self, version: int, snapshot: Snapshot) -> Any:
        """Of that version."""
        with self._lock:
            if version not in self._messages:
                newest = sorted(self._messages)[-1:]
                self._messages = {old: self._messages[old] for old in newest}
                self._messages[version] = self._runtime.put(snapshot)
            return self._messages[version]


def workers(
    runtime: ClusterRuntime,
    config: Config,
    domain: Any,
    states: Sequence[WorkerState],
    scripts: tuple[str, ...],
) -> list[RemoteWorker]:
    """One for each state."""
    begun, sent = runtime.put((config, domain, scripts)), Sent(runtime)
    return [RemoteWorker(runtime, i, state, begun, sent) for i, state in enumerate(states)]


BEGIN, SEGMENT = f"{__name__}:begin", f"{__name__}:segment"


def begin(kept: dict[str, Any], told: bytes, begun: bytes, index: int, where: bytes) -> None:
    """In the process elsewhere: makes the worker, with sessions of its own if it needs any."""
    prepare(told)
    kept["worker"] = worker_apart(*loads(begun), index, loads(where))


def segment(kept: dict[str, Any], version: int, snapshot: bytes) -> tuple[WorkerState, Experience]:
    """In the process elsewhere: (where the worker stands after it, the segment)."""
    worker = kept["worker"]
    if kept.get("version") != version:
        kept["version"], kept["snapshot"] = version, loads(snapshot)
    made = worker.segment(version, kept["snapshot"])
    return jax.tree.map(jax.device_get, (worker.state, made))
