"""Ctrl-C, SIGTERM, SIGHUP: the first ends a command, in order where something can be saved.

SIGTERM is what schedulers of clusters send some seconds before they kill, and SIGHUP comes with a
terminal that is closed. A second signal ends all at once. The exit status is 128 + the signal's
number, as shells have it.

No handler raises an exception: it could land in a callback of a library, and be lost there, or in
one that starts, and abort it. A thread of its own hears signals, wherever the main thread is.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TOGETHER_S = 0.25
"""Signals this close to the first are one with it: `timeout`, and who wraps a command, send theirs
to a process and again to its group, and keys bounce."""
PATIENCE_S = 6.0
"""Seconds that a run gets to end in order; it goes on from its last checkpoint in any case."""


class _Interrupts:
    """Of the command that this process is for; does nothing until it is installed."""

    def __init__(self) -> None:
        self.name, self.words = "", ""
        self.heard: list[int] = []
        """Nothing until it is installed. What is ignored, as SIGHUP under nohup, stays ignored."""
        self.number = int(signal.SIGINT)
        self.told = False
        self.stop: Callable[[], None] | None = None
        self.patience_s = 0.0

    def install(self) -> None:
        """From the main thread."""
        if not self.heard:
            # Python tells its handlers once the main thread is back from whatever library it is in;
            # the system writes to the pipe at once.
            hears, speaks = os.pipe()
            os.set_blocking(speaks, False)
            signal.set_wakeup_fd(speaks, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(hears,), daemon=True).start()
            self.heard = [n for n in SIGNALS if signal.getsignal(n) != signal.SIG_IGN]
        for number in self.heard:
            signal.signal(number, _nothing)

    def _watch(self, hears: int) -> None:
        poll, began = select.poll(), 0.0
        poll.register(hears, select.POLLIN)
        while True:
            left = 1000 * max(0.0, began + self.patience_s - time.monotonic())
            if not poll.poll(left if self.told else None):
                self.end(f"it did not stop within {self.patience_s:.0f} s and was ended")
            for number in os.read(hears, 64):
                if number not in self.heard:
                    continue
                if not self.told:
                    self.number, began = number, time.monotonic()
                    self.told = True
                    if (stop := self.stop) is None:
                        self.end("interrupted")
                    else:
                        stop()
                elif time.monotonic() - began > TOGETHER_S:
                    self.end("ended at once")

    def end(self, what: str) -> None:
        """Ends this process and all that it has started, now; what is half written is removed."""
        with suppress(Exception):
            import psutil

            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
        with suppress(Exception):
            self._tidy()
        cursor = "\033[?25h" if os.isatty(2) else ""  # a progress bar may have hidden it
        with suppress(OSError):
            text = f"{cursor}\nhinterland {self.name}: {what}{said()}\n"
            os.write(2, text.encode(errors="backslashreplace"))
        os._exit(128 + self.number)

    def _tidy(self) -> None:
        import shutil

        # Only of what has been imported: who has not, has left nothing.
        if (files := sys.modules.get("hinterland.record.checkpoints")) is not None:
            for path in list(files.unfinished):
                path.unlink(missing_ok=True)
        if (files := sys.modules.get("hinterland.domains.scratch")) is not None and files.made():
            shutil.rmtree(files.made(), ignore_errors=True)


def _nothing(*_: Any) -> None:
    """A handler: the system only writes to the pipe where there is one."""


_this = _Interrupts()


def install() -> None:
    """Signals are heeded from here on; for a process that runs one command and nothing else."""
    if threading.current_thread() is threading.main_thread():
        _this.install()


def running(name: str) -> None:
    """The command's name, for messages."""
    _this.name = name


def say(words: str) -> None:
    """What an interrupted user should know from now on, such as where the run goes on."""
    _this.words = words


def said() -> str:
    """That, after a semicolon; or nothing."""
    return f"; {_this.words}" if _this.words else ""


def status() -> int:
    """The exit status of a command that was interrupted."""
    return 128 + _this.number


@contextmanager
def stopping(
    stop: Callable[[], None], patience_s: float = PATIENCE_S
) -> Generator[None, None, None]:
    """Work that ends in order: the first signal only calls `stop`, in a thread of its own.

    Args:
        stop: asks the work to end soon, by KeyboardInterrupt or by itself.
        patience_s: seconds that it gets; all is ended then.

    Raises:
        KeyboardInterrupt: there was a signal, and the work ended by itself.
    """
    if not _this.heard:  # Python's own handler raises it here
        try:
            yield
        except KeyboardInterrupt:
            stop()
            raise
        return
    _this.stop, _this.patience_s = stop, patience_s
    _this.install()  # libraries such as Ray set handlers of their own
    try:
        yield
    finally:
        if not _this.told:  # else what follows ends in order too
            _this.stop = None
    if _this.told:
        raise KeyboardInterrupt
