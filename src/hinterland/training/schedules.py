"""When workers act and when the learner waits.

All workers on all devices, then the learner (`Fused`); one after the other in one thread
(`InTurn`), the oracle of the tests, and the debugger; or side by side with the learner
(`Pipeline`). All hand it the same thing: the experience of one update, by workers that are the
same.
"""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from hinterland.runtime import LocalRuntime
from hinterland.training.workers import Experience, Snapshot, Worker

STOP_S = 4.0
"""Seconds that workers get to end by themselves."""
MOMENT_S = 0.2
"""Who waits looks up so often: is it time to stop?"""


class Delivery(NamedTuple):
    """Experience, and whose it is."""

    worker: int
    number: int
    experience: Experience


class Meters:
    """Counts and seconds of a stretch of training; told from any thread."""

    def __init__(self) -> None:
        self._lock, self._sums = threading.Lock(), defaultdict[str, float](float)

    def add(self, name: str, amount: float) -> None:
        """Adds to one of them."""
        with self._lock:
            self._sums[name] += amount

    def take(self) -> dict[str, float]:
        """All of them, and begins anew."""
        with self._lock:
            found = dict(self._sums)
            self._sums.clear()
        return found


class _Here:
    """Where workers and learner take turns, whoever acts finds the newest policy."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def publish(self, version: int, snapshot: Snapshot) -> None:
        """The newest policy."""
        self._version, self._snapshot = version, snapshot


class Fused(_Here):
    """`--schedule fused`: all copies act on all devices, then the learner learns.

    Args:
        workers: prepared ones: blocks of copies of a traced system, or one on hosts.
        runtime: whose devices.
        on_host: whether the system lives outside of JAX.
    """

    def __init__(self, workers: Sequence[Worker], runtime: LocalRuntime, on_host: bool) -> None:
        self._workers, self._runtime, self._on_host = workers, runtime, on_host

    def batch(self) -> list[Experience]:
        """The experience of the next update."""
        newest = (self._version, self._snapshot)
        if self._on_host:
            stopping = self._runtime.raise_if_interrupted
            return [worker.segment(*newest, stopping) for worker in self._workers]
        units = [worker.unit(self._snapshot) for worker in self._workers]
        found = self._runtime.map(self._workers[0].program, units)
        return [worker.take(one, *newest) for worker, one in zip(self._workers, found, strict=True)]


class InTurn(_Here):
    """`--schedule lockstep`: workers and learner take turns in one thread.

    Args:
        workers: prepared ones.
        per_update: segments that one update learns from.
        meters: where waits and lags are counted.
        runtime: asked whether to go on.
    """

    def __init__(
        self, workers: Sequence[Worker], per_update: int, meters: Meters, runtime: LocalRuntime
    ) -> None:
        self._workers, self._per_update = workers, per_update
        self._meters, self._runtime = meters, runtime

    def batch(self) -> list[Experience]:
        """The experience of the next update."""
        found = []
        first = self._version * self._per_update
        for turn in range(first, first + self._per_update):
            self._runtime.raise_if_interrupted()
            worker = self._workers[turn % len(self._workers)]
            began = time.perf_counter()
            found.append(
                worker.segment(self._version, self._snapshot, self._runtime.raise_if_interrupted)
            )
            self._meters.add("work_s", time.perf_counter() - began)
            self._meters.add("lag/0", 1)
        return found


class _Gate:
    """Says who may begin a segment: the one that update u will learn from needs version u - lag.

    So as long as no worker is left behind by others, nothing is ever too old; and with lag 0 nobody
    acts while the learner learns.
    """

    def __init__(self, per_update: int, lag: int) -> None:
        self._per_update, self._lag = per_update, lag
        self._changed = threading.Condition()
        self._begun = 0
        self._newest: tuple[int, Snapshot] | None = None

    def publish(self, version: int, snapshot: Snapshot) -> None:
        with self._changed:
            if self._newest is None:
                self._begun = version * self._per_update  # a resumed run
            self._newest = version, snapshot
            self._changed.notify_all()

    def enter(self) -> tuple[int, Snapshot] | None:
        """The newest (version, snapshot); None: not now, even after a moment's wait."""
        with self._changed:
            if not self._open():
                self._changed.wait(MOMENT_S)
            if not self._open():
                return None
            self._begun += 1
            return self._newest

    def _open(self) -> bool:
        if self._newest is None:
            return False
        return self._begun // self._per_update <= self._newest[0] + self._lag

    def replace(self) -> None:
        """One more may begin, for one that was dropped."""
        with self._changed:
            self._begun -= 1
            self._changed.notify_all()


class _Stopped(Exception):
    """Nobody waits for the worker any more."""


class Pipeline:
    """`--schedule pipeline`: a thread per worker, a bounded queue to the learner.

    The thread acts itself on a traced system, where JAX releases Python's lock, and else waits for
    the worker's process.

    Args:
        workers: prepared ones.
        per_update: segments that one update learns from.
        meters: where waits, lags and drops are counted.
        runtime: asked whether to go on.
        lag: largest number of versions that a segment may be behind.
        room: segments that the queue holds.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        per_update: int,
        meters: Meters,
        runtime: LocalRuntime,
        lag: int,
        room: int,
    ) -> None:
        self._workers, self._per_update = workers, per_update
        self._meters, self._runtime, self._lag = meters, runtime, lag
        self._gate = _Gate(per_update, lag)
        self._queue: queue.Queue[Delivery] = queue.Queue(room)
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._version = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in workers
        ]

    def __enter__(self) -> "Pipeline":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        end = time.perf_counter() + STOP_S / 2
        for thread in self._threads:
            thread.join(max(0.0, end - time.perf_counter()))
        for thread, worker in zip(self._threads, self._workers, strict=True):
            if thread.is_alive():  # its environments hang, or are very slow
                worker.abandon()
                thread.join(STOP_S / 2)
            worker.close()

    def publish(self, version: int, snapshot: Snapshot) -> None:
        """The newest policy; it must be ready, or who acts by it would wait for the learner."""
        self._version = version
        self._gate.publish(version, snapshot)

    def batch(self) -> list[Experience]:
        """The experience of the next update, in an order that no race decides.

        Raises:
            Exception: what a worker raised.
        """
        found: list[Delivery] = []
        while len(found) < self._per_update:
            began = time.perf_counter()
            self._meters.add("queue/length", self._queue.qsize())
            self._meters.add("queue/looks", 1)
            one = self._next()
            self._meters.add("learner_wait_s", time.perf_counter() - began)
            lag = self._version - one.experience.version
            self._meters.add(f"lag/{lag}", 1)
            if lag > self._lag:
                self._meters.add("dropped", 1)
                self._gate.replace()
            else:
                found.append(one)
        return [one.experience for one in sorted(found, key=lambda one: one[:2])]

    def _next(self) -> Delivery:
        while True:
            self._runtime.raise_if_interrupted()
            if self._failure is not None:
                raise self._failure
            try:
                return self._queue.get(timeout=MOMENT_S)
            except queue.Empty:
                continue

    def _serve(self, worker: Worker) -> None:
        try:
            while True:
                self._raise_if_stopped()
                if (newest := self._timed("gate_wait_s", self._gate.enter)) is None:
                    continue
                number = int(worker.state.number)
                made = self._timed("work_s", worker.segment, *newest, self._raise_if_stopped)
                delivery = Delivery(worker.index, number, made)
                while not self._timed("queue_wait_s", self._put, delivery):
                    self._raise_if_stopped()
        except _Stopped:
            return
        except Exception as error:  # raised by whoever waits for a segment
            self._failure = error

    def _timed(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        result = function(*arguments)
        self._meters.add(name, time.perf_counter() - began)
        return result

    def _put(self, delivery: Delivery) -> bool:
        """Whether there was room, if need be after a moment."""
        try:
            self._queue.put(delivery, timeout=MOMENT_S)
        except queue.Full:
            return False
        return True

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise _Stopped
