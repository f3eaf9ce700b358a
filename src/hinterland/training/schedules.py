"""When workers act and when the learner waits.

All workers on all devices, then the learner (`Fused`); one after the other in one thread
(`InTurn`), the oracle of the tests, and the debugger; or side by side with the learner
(`Pipeline`). All hand it the same thing: the experience of one update, by workers that are the
same.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

from hinterland.runtime import LocalRuntime, Meters
from hinterland.training.workers import Experience, Snapshot, Worker

STOP_S = 4.0
"""Seconds that workers get to end by themselves."""
MOMENT_S = 0.2
"""Who waits looks up so often: is it time to stop?"""


class _Schedule(AbstractContextManager):
    """In which workers act.

    Args:
        workers: prepared ones.
        per_update: segments that one update learns from.
        meters: where waits, lags and drops are counted.
        runtime: asked whether to go on.
    """

    def __init__(
        self, workers: Sequence[Worker], per_update: int, meters: Meters, runtime: LocalRuntime
    ) -> None:
        self._workers, self._per_update = workers, per_update
        self._meters, self._runtime = meters, runtime
        self._newest: Any = None

    def __exit__(self, *_: object) -> None:
        pass

    def publish(self, version: int, snapshot: Snapshot) -> None:
        """The newest policy; it must be ready, or who acts by it would wait for the learner."""
        self._newest = version, snapshot


class Fused(_Schedule):
    """`--schedule fused` of a traced system: all copies act on all devices, and the learner waits.

    On hosts one worker has all copies, and takes turns with the learner.
    """

    def batch(self) -> list[Experience]:
        """The experience of the next update."""
        units = [worker.unit(self._newest[1]) for worker in self._workers]
        found = self._runtime.map(self._workers[0].program, units)
        parts = zip(self._workers, found, strict=True)
        return [worker.take(one, *self._newest) for worker, one in parts]


class InTurn(_Schedule):
    """`--schedule lockstep`: workers and learner take turns in one thread."""

    def batch(self) -> list[Experience]:
        """The experience of the next update."""
        found, stopping = [], self._runtime.raise_if_interrupted
        first = self._newest[0] * self._per_update
        for turn in range(first, first + self._per_update):
            stopping()
            worker = self._workers[turn % len(self._workers)]
            with self._meters.timing("work_s"):
                found.append(worker.segment(*self._newest, stopping))
            self._meters.add("lag/0")
        return found


class _Stopped(Exception):
    """Nobody waits for the worker any more."""


class Pipeline(_Schedule):
    """`--schedule pipeline`: a thread per worker, a bounded queue to the learner.

    The thread acts itself on a traced system, where JAX releases Python's lock, and else waits for
    the worker's process. A segment that update u will learn from begins once there is version
    u - lag: as long as no worker is left behind by others, nothing is ever too old; and with lag 0
    nobody acts while the learner learns.

    Args:
        parts: as of the others.
        lag: largest number of versions that a segment may be behind.
        room: segments that the queue holds.
    """

    def __init__(self, *parts: Any, lag: int, room: int) -> None:
        super().__init__(*parts)
        self._lag, self._room = lag, room
        self._changed = threading.Condition()
        """Held by whoever writes what follows."""
        self._begun = 0
        self._queue: deque[tuple[tuple[int, int], Experience]] = deque()
        """Segments, and whose they are: (worker, number)."""
        self._failure: Exception | None = None
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True)
            for worker in self._workers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        end = time.perf_counter() + STOP_S / 2
        for thread in self._threads:
            thread.join(max(0.0, end - time.perf_counter()))
        for thread, worker in zip(self._threads, self._workers, strict=True):
            if thread.is_alive():  # its environments hang, or are very slow
                worker.abandon()
                thread.join(STOP_S / 2)
            worker.close()

    def publish(self, version: int, snapshot: Snapshot) -> None:
        """As of the others."""
        with self._changed:
            if self._newest is None:
                self._begun = version * self._per_update  # a resumed run
            self._newest = version, snapshot
            self._changed.notify_all()

    def batch(self) -> list[Experience]:
        """The experience of the next update, in an order that no race decides.

        Raises:
            Exception: what a worker raised.
        """
        found: dict[tuple[int, int], Experience] = {}
        while len(found) < self._per_update:
            self._meters.add("queue/length", len(self._queue))
            self._meters.add("queue/looks")
            with self._once(lambda: self._queue, self._raise_if_over, "learner_wait_s"):
                whose, made = self._queue.popleft()
                lag = self._newest[0] - made.version
                self._meters.add(f"lag/{lag}")
                if lag > self._lag:
                    self._meters.add("dropped")
                    self._begun -= 1  # one more may begin
                else:
                    found[whose] = made
        return [found[whose] for whose in sorted(found)]

    def _raise_if_over(self) -> None:
        self._runtime.raise_if_interrupted()
        if self._failure is not None:
            raise self._failure

    def _raise_if_stopped(self) -> None:
        if self._stopped:
            raise _Stopped

    @contextmanager
    def _once(
        self, ready: Callable[[], Any], stopping: Callable[[], None], waits: str
    ) -> Generator[None]:
        """Holds what was changed once something is so; `stopping` raises to end the wait."""
        with self._changed:
            stopping()
            while not ready():
                with self._meters.timing(waits):
                    self._changed.wait(MOMENT_S)
                stopping()
            yield
            self._changed.notify_all()

    def _may_begin(self) -> bool:
        due = self._begun // self._per_update
        return self._newest is not None and due <= self._newest[0] + self._lag

    def _serve(self, worker: Worker) -> None:
        stopping = self._raise_if_stopped
        try:
            while True:
                with self._once(self._may_begin, stopping, "gate_wait_s"):
                    self._begun += 1
                    newest = self._newest
                whose = worker.index, int(worker.state.number)
                with self._meters.timing("work_s"):
                    made = worker.segment(*newest, stopping)
                with self._once(lambda: len(self._queue) < self._room, stopping, "queue_wait_s"):
                    self._queue.append((whose, made))
        except _Stopped:
            return
        except Exception as error:  # raised by whoever waits for a segment
            self._failure = error
