"""A simulator in a process of its own: one that JAX cannot trace, or of which a process has one.

The process may crash or hang: everything asked of it since its last `begin` is then asked again of
a new one. A simulator that is a function of its seed and its inputs comes back exactly where it
was, so that a lost process costs time and nothing else.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from hinterland.core import UserError
from hinterland.domains.scratch import scratch
from hinterland.domains.worker import ENDS, START_S, raise_what_was_told

PATIENCE_S = 60
"""Seconds after which one call counts as hung."""
ATTEMPTS = 3
"""New processes that may fail in a row, at the same call, before the run gives up."""


class _Lost(Exception):
    """The process has died or hangs."""


class Calls(ABC):
    """What a session's `forget`, `ask` and `answer` make possible."""

    @abstractmethod
    def forget(self) -> None:
        """The next call makes everything before it irrelevant."""

    @abstractmethod
    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """Starts a call."""

    @abstractmethod
    def answer(self) -> Any:
        """Waits for the call under way."""

    def begin(self, method: str, *arguments: Any, **named: Any) -> Any:
        """A call that makes everything before it irrelevant, such as a reset with a seed."""
        self.forget()
        return self.call(method, *arguments, **named)

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """The result of a method.

        Raises:
            UserError: the method raised, or processes were lost over and over at this call.
        """
        self.ask(method, *arguments, **named)
        return self.answer()


class HostProcess(Calls):
    """One simulator object in a child process; a context manager.

    Args:
        target: "module:class" of the simulator.
        arguments: of its constructor.
        patience_s: whole seconds after which one call counts as hung; 0: it takes what it takes.
        wait: until the simulator stands; else `ready` must be called before anything else.
        name: of it in messages; the class's by default.
        family: processes that it starts end with it, whatever they are doing.

    Raises:
        UserError: the constructor raised, or processes were lost over and over in it.
    """

    def __init__(
        self,
        target: str,
        *arguments: Any,
        patience_s: int = PATIENCE_S,
        wait: bool = True,
        name: str | None = None,
        family: bool = False,
    ) -> None:
        self._target, self._arguments, self._patience = target, arguments, patience_s
        self._name, self._family = name or target.split(":")[1], family
        self._journal: list[tuple[str, tuple, dict]] = []
        self._pending: tuple[str, tuple, dict] | None = None
        self.restarts = 0
        """How often a lost process was replaced."""
        self._abandoned = False
        self._launch()
        if wait:
            self.ready()

    def ready(self) -> None:
        """Waits for the simulator's constructor; errors as of our own."""
        try:
            self._receive(self._start_patience)
        except _Lost:
            self._recover(None)

    @property
    def pid(self) -> int:
        """Of the process that is there now."""
        return self._process.pid

    @property
    def sessions(self) -> Sequence[Calls]:
        """Whom it may be asked through: itself."""
        return [self]

    def forget(self) -> None:
        """The next call makes everything before it irrelevant; `begin`, for use with `ask`."""
        self._journal.clear()

    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """Starts a call; `answer` waits for it. Several processes can so work at the same time."""
        assert self._pending is None, "a call is under way"
        self._pending = (method, arguments, named)
        try:
            if not self._finalizer.alive:
                self._start()
            self._send(self._pending)
        except _Lost:
            pass  # found out, and mended, by `answer`

    def answered(self, seconds: float) -> bool:
        """Whether there is an answer, or a loss, to look at; if need be after so many seconds."""
        return bool(self._answered.poll(1000 * seconds))

    def answer(self) -> Any:
        """Waits for the call under way; errors as `call`."""
        assert self._pending is not None, "no call is under way"
        request, self._pending = self._pending, None
        try:
            result = self._receive()
        except _Lost:
            result = self._recover(request)
        self._remember(request, result)
        return result

    def _remember(self, request: tuple[str, tuple, dict], result: Any) -> None:
        """What a new process has to be asked again."""
        self._journal.append(request)

    def close(self) -> None:
        """Ends the process; should there be another call, it goes to a new one."""
        self._journal.clear()
        self._finalizer()

    def abandon(self) -> None:
        """Ends the process for good, from any thread: a call under way in another one fails."""
        self._abandoned = True
        _kill(self._process, self._family)

    def __enter__(self) -> "HostProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._launch()
        self._receive(self._start_patience)

    @property
    def _start_patience(self) -> int:
        return max(START_S, self._patience) if self._patience else 0

    def _launch(self) -> None:
        # Its temporary files, and those of what it starts, go with it, however it ends.
        files = tempfile.mkdtemp(prefix="", dir=scratch())
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile(dir=files)
        # Held back until the child heeds them in its own way: it ends when we say so.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hinterland.domains.worker", self._target,
                 str(theirs.fileno()), str(self._patience), files, os.pathsep.join(sys.path)],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=self._errors, stderr=subprocess.STDOUT, start_new_session=self._family,
                env={**os.environ, "TMPDIR": files},
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._connection = Connection(ours.detach())
        # Made once, where `Connection.poll` makes a selector at every call.
        self._answered = select.poll()
        self._answered.register(self._connection, select.POLLIN)
        self._finalizer = weakref.finalize(
            self, _end, self._process, self._connection, self._errors, files, self._family
        )
        with suppress(_Lost):  # found out by whoever waits for the answer
            self._send(("__init__", self._arguments, {}))

    def _send(self, request: tuple[str, tuple, dict]) -> None:
        try:
            self._connection.send(request)
        except OSError as error:
            raise _Lost from error

    def _receive(self, patience_s: int | None = None) -> Any:
        patience = patience_s or self._patience
        # The child ends itself by then; the margin is for one that is stopped from outside.
        try:
            if not self._answered.poll(1000 * (patience + 5) if patience else None):
                raise _Lost
            kind, result = self._connection.recv()
        except (EOFError, OSError) as error:
            raise _Lost from error
        raise_what_was_told(self._name, kind, result)
        return result

    def _recover(self, request: tuple[str, tuple, dict] | None) -> Any:
        """A new process is led to where the lost one was, and asked once more.

        Without a request it was lost while it started.
        """
        last_words = ""
        for _ in range(ATTEMPTS):
            if self._abandoned:
                raise UserError(f"{self._name}: its process was given up")
            last_words = self._last_words() or last_words
            self._finalizer()
            self.restarts += 1
            try:
                self._start()
                for earlier in self._journal:
                    self._send(earlier)
                    self._receive()
                if request is None:
                    return None
                self._send(request)
                return self._receive()
            except _Lost:
                continue
        where = f"at the same call ({self._method(request)})" if request else "while it started"
        raise UserError(
            f"{self._name} crashed or hung {ATTEMPTS + 1} times {where}: "
            f"{self._last_words() or last_words or 'it left no message'}"
        )

    def _method(self, request: tuple[str, tuple, dict]) -> str:
        """What was asked, in messages."""
        return request[0]

    def _last_words(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _end(
    process: subprocess.Popen, connection: Connection, errors: Any, files: str, family: bool
) -> None:
    connection.close()
    # Nothing in a simulator is worth saving, and a hung one would not listen to anything kinder.
    _kill(process, family)
    process.wait()
    errors.close()
    shutil.rmtree(files, ignore_errors=True)


def _kill(process: subprocess.Popen, family: bool) -> None:
    if not family:
        process.kill()
    elif process.returncode is None:  # not waited for, so the number is still its own
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
