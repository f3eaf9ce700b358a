"""Live progress: a panel on a terminal, one plain line now and then elsewhere; and notes."""

import sys
import threading
import time
from collections.abc import Mapping

WORDS = {
    "collect": "collecting influence data on the global simulator",
    "fit": "training the influence predictors",
    "train": "training the agents",
    "evaluate": "evaluating on the global simulator",
}
PLAIN_LINE_EVERY_S = 5.0


def note(text: str) -> None:
    """One line about what is under way, apart from results."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """1:05 or 2:03:04."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Display:
    """Draws what a main loop tells (`training.Progress`).

    Args:
        total: agent-steps of the whole run.
        done: agent-steps made before (a resumed run).
        quiet: say nothing.
        spent: seconds of each phase so far (a resumed run).
    """

    def __init__(
        self,
        total: int,
        done: int,
        agents: int,
        quiet: bool = False,
        spent: Mapping[str, float] | None = None,
    ) -> None:
        self._total, self._done, self._agents = total, done, agents
        self._quiet = quiet
        self._phase, self._returns = "", ""
        self._spent, self._under_way = dict(spent or {}), ("", 0.0)
        self._part, self._whole = 0, 0  # of the phase
        self._first: tuple[float, int] | None = None
        self._last_line = 0.0
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._bar = None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            self._bar = Progress(
                TaskProgressColumn(),
                BarColumn(bar_width=28),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self) -> "Display":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, name: str, total: int) -> None:
        """A phase begins; the first of each kind includes compilation, and says so."""
        with self._lock:
            first = name not in self._seen
            self._seen.add(name)
            self._phase = WORDS[name] + (" (compiling, first time only)" if first else "")
            self._under_way = (name, time.perf_counter())
            self._part, self._whole = 0, total
            self._draw(force=first)

    def advance(self, amount: int) -> None:
        """Work of the phase is done; only training moves the bar, others say their share."""
        with self._lock:
            self._part = min(self._whole, self._part + amount)
            if not self._phase.startswith(WORDS["train"]):
                self._draw()
                return
            self._phase = WORDS["train"]
            self._done += amount
            if self._first is None:
                # The first call compiled: what is left is judged by what comes after it.
                self._first = (time.perf_counter(), self._done)
            self._draw()

    def overall(self, step: int, values: dict[str, float]) -> None:
        """New metrics."""
        with self._lock:
            for name in self._seen:  # a phase has ended, and tells its seconds
                self._spent[name] = values.get(f"time/{name}_s", self._spent.get(name, 0.0))
            self._under_way = ("", 0.0)
            if "eval/sampled/return" in values:
                kinds = [k for k in ("sampled", "greedy") if f"eval/{k}/return" in values]
                self._returns = "return " + ", ".join(
                    f"{values[f'eval/{kind}/return']:.2f} {kind}" for kind in kinds
                )
                self._draw(force=True)

    def _rate(self) -> float:
        """As in the summary, with the phase under way counted so far."""
        from hinterland.training.clocks import agent_steps_per_s

        spent = dict(self._spent)
        name, began = self._under_way
        if name:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
        return agent_steps_per_s(self._done, spent)

    def _draw(self, force: bool = False) -> None:
        if self._quiet:
            return
        training = self._phase.startswith(WORDS["train"])
        share = f", {self._part / max(1, self._whole):.0%}" if self._part and not training else ""
        parts = [self._phase + share]
        if self._first is not None and self._done > self._first[1]:
            seconds = time.perf_counter() - self._first[0]
            pace = (self._done - self._first[1]) / max(seconds, 1e-9)
            parts.append(f"{self._rate():,.0f} agent-steps/s in training")
            parts.append(f"ETA {duration((self._total - self._done) / pace)}")
        if self._returns:
            parts.insert(0, self._returns)
        text = " · ".join(parts)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=text)
            return
        now = time.perf_counter()
        if force or now - self._last_line >= PLAIN_LINE_EVERY_S:
            self._last_line = now
            step = self._done // self._agents
            share = 100 * self._done / self._total
            print(f"step {step:>9,} {share:5.1f}%  {text}", file=sys.stderr, flush=True)


class Played:
    """Says now and then how many episodes have been played.

    Args:
        episodes: how many there will be.
    """

    def __init__(self, episodes: int) -> None:
        self._episodes, self._played = episodes, 0
        self._last_line = time.perf_counter()

    def __call__(self, more: int) -> None:
        """So many more."""
        self._played = min(self._episodes, self._played + more)
        now = time.perf_counter()
        if now - self._last_line >= PLAIN_LINE_EVERY_S:
            self._last_line = now
            note(f"{self._played:,} of {self._episodes:,} episodes")
