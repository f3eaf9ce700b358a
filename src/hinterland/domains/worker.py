"""The child's side of `HostProcess`: `python -m hinterland.domains.worker` and five arguments.

Imports little but the simulator's own module. It dies with its parent (the socket closes), and by
an alarm if one call takes too long, even inside of a library that never returns to Python (with a
patience of 0: never).
"""

import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from hinterland.core.blame import blamed, place_of
from hinterland.core.errors import UserError
from hinterland.domains.scratch import adopt

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal or a scheduler sends to everybody at once."""
CALLERS = tuple(os.path.join(os.path.dirname(__file__), x) for x in ("worker.py", "several.py"))
"""Our files that call the simulator's methods."""
START_S = 60
"""Seconds that an object gets to be made, at least: its module's imports may be slow."""


def main(target: str, descriptor: str, patience: str, files: str, folders: str) -> None:
    """Makes one object of class `target` and answers calls of its methods until the socket ends.

    Modules are looked for where the parent found them too, in its `folders`: a script's own folder
    is on nobody else's path.
    """
    sys.path += [folder for folder in folders.split(os.pathsep) if folder not in sys.path]
    # These go to the whole group; the parent, which held them back, decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave_it(os.getpid()))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    adopt(files)
    _give_way()
    connection = Connection(socket.socket(fileno=int(descriptor)).detach())
    simulator = None
    while True:
        try:
            method, arguments, named = connection.recv()
        except (EOFError, ConnectionError):  # an unread answer of ours makes it the latter
            return
        if int(patience):
            signal.alarm(max(START_S if method == "__init__" else 0, int(patience)))
        try:
            if method == "__init__":
                simulator = class_of(target)(*arguments, **named)
                result = None
            else:
                result = method_of(simulator, method)(*arguments, **named)
            answer = ("result", result)
        except Exception as error:  # told to the parent, who raises it
            answer = told(error)
        signal.alarm(0)
        try:
            connection.send(answer)
        except ConnectionError:
            return
        if method == "close":
            return


def _leave_it(us: int) -> Callable[..., None]:
    """A handler that does nothing here, and lets processes end that a simulator forks.

    Those that it starts as programs have the system's handlers: a function is not inherited.
    """

    def handler(number: int, _: Any) -> None:
        if os.getpid() != us:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return handler


def class_of(target: str) -> Any:
    """The class that "module:class" names.

    Raises:
        UserError: the module has no such class.
    """
    module, name = target.split(":")
    return _part(importlib.import_module(module), name, f"module {module!r}")


def method_of(simulator: Any, name: str) -> Any:
    """That method of it.

    Raises:
        UserError: there is none.
    """
    return _part(simulator, name, "the simulator's class")


def _part(of: Any, name: str, what: str) -> Any:
    if not hasattr(of, name):
        raise UserError(f"{what} has no {name!r}; see hinterland.core.HostSession")
    return getattr(of, name)


def told(error: Exception) -> tuple[str, str]:
    """What the parent is told of an error that was caught where the simulator was called.

    ("error", a sentence), or ("fault", the traceback) where it is ours. A call that never arrived
    (the last frame is a caller's) has other arguments than the simulator takes. A full disk or
    memory is nobody's fault.
    """
    outside = isinstance(error, UserError | ImportError | OSError | MemoryError)
    frames = traceback.extract_tb(error.__traceback__)
    never_arrived = not frames or frames[-1].filename in CALLERS
    if outside or never_arrived or place_of(error) is not None:
        return "error", blamed(error)
    return "fault", "".join(traceback.format_exception(error))


def raise_what_was_told(name: str, kind: str, result: Any) -> None:
    """In the parent, of an answer's parts.

    Raises:
        UserError: what the user's code raised.
        RuntimeError: what ours raised, with the traceback of there.
    """
    if kind == "error":
        raise UserError(f"{name}: {result}")
    if kind == "fault":
        raise RuntimeError(f"{name}: its process raised\n{result}")


def _give_way() -> None:
    """Waits for its turn when it wakes up, instead of taking a core from who computes there.

    Where many sessions wake up at every step, the learner would be interrupted all the time, and
    each interruption costs it its caches. Linux only; the share of the cores stays the same.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a sandbox may forbid it: it is slower then, nothing else
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


if __name__ == "__main__":
    main(*sys.argv[1:])
