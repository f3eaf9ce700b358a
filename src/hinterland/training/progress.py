"""What a main loop tells its watcher; the command line draws it, tests ignore it."""

from typing import Protocol


class Progress(Protocol):
    """Called from any thread; whoever inherits from it need not listen to everything."""

    def phase(self, name: str, total: int) -> None:
        """A phase of `total` units of work begins."""
        return

    def advance(self, amount: int) -> None:
        """So much of the phase's work is done."""
        return

    def overall(self, step: int, values: dict[str, float]) -> None:
        """The run has reached this step; the newest metrics."""
        return


class Silent(Progress):
    """Tells nobody."""


class Lines(Silent):
    """Keeps the lines of metrics, for benchmarks."""

    def __init__(self) -> None:
        self.lines: list[dict[str, float]] = []

    def overall(self, step: int, values: dict[str, float]) -> None:
        """One more line."""
        self.lines.append(values)
