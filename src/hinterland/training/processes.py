"""Workers of the pipeline in processes of their own, on this machine: for systems outside of JAX.

Inference, and Python beside it, then share neither XLA's threads nor Python's lock with the learner
or with each other. As in a cluster (`remote`), where a worker stands comes back with every segment:
a lost process is replaced, led there, and asked for the same segment again.
"""

import os
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import UserError
from hinterland.domains.host import HostProcess
from hinterland.runtime.wire import dumps, loads, prepare, settings
from hinterland.training.plan import Plan
from hinterland.training.schedules import MOMENT_S
from hinterland.training.workers import Experience, Snapshot, Worker, WorkerState, worker_apart


class ProcessWorker:
    """As `Worker`, in a process of its own; its actors are with it.

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

    def abandon(self) -> None:
        """Ends its process, whatever it is doing."""
        self._process.abandon()

    def close(self) -> None:
        """Ends its process, and those of its simulators."""
        self._process.close()


def workers(
    config: Config, domain: Any, states: Sequence[WorkerState], scripts: tuple[str, ...]
) -> list[ProcessWorker]:
    """One for each state; they start side by side.

    Raises:
        UserError: the domain cannot be sent to another process.
    """
    try:
        begun = dumps((config, domain, scripts))
    except (TypeError, pickle.PicklingError) as error:
        raise UserError(
            f"{domain.name} cannot be sent to the processes of workers ({error}): make it by "
            "load_domain('MODULE:FACTORY', agents), which they repeat"
        ) from error
    return [ProcessWorker(i, state, begun, domain.name) for i, state in enumerate(states)]


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
