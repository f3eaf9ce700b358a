"""Does a run survive being killed at any moment? Kills small runs, resumes and compares them.

    python benchmarks/soak_kills.py --kills 30

Runs of one configuration are killed (SIGKILL) over and over: while they start, at random moments,
and while they write a checkpoint, their summary or their report; some are told to stop instead
(SIGTERM, SIGHUP, one or two SIGINT). Each is resumed until it ends, and then compared with a run
that nobody disturbed. Exits with 1 if parameters or metrics differ, a folder cannot be resumed, a
signal gives a traceback, or a process or a temporary file is left.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from hinterland.record import RunFolder

CONFIG = (
    "corridor", "--agents", "2", "--network", "feed-forward", "--predictor", "feed-forward",
    "--hidden", "8", "--trunk", "8", "--copies", "8", "--predictor-episodes", "16",
    "--predictor-epochs", "2", "--evaluate-episodes", "4", "--final-episodes", "4",
    "--steps", "8192", "--refreshes", "4", "--evaluations", "8",
)  # fmt: skip
PER_RUN = ("start", "anywhere", "checkpoint", "signal", "summary", "report")
"""Moments of one run, in this order; the next run begins anew."""
SIGNALS = {
    "SIGTERM": (signal.SIGTERM,),
    "SIGHUP": (signal.SIGHUP,),
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
}
PATIENCE_S = 300
TIMES = ("wall_s", "time/", "memory/", "train/steps_per_s", "agent_steps_per_s")
"""Beginnings of names in the metrics that tell of the machine, not of the run."""


class Kill(NamedTuple):
    """One disturbance."""

    moment: str
    hit: bool
    """Whether it came before the process had ended, and where it was aimed at."""
    complaint: str
    """What was wrong with how it ended, or with what it left."""


class Soak:
    """Runs under a folder, all alike.

    Args:
        place: the folder.
        numbers: where random moments come from.
    """

    def __init__(self, place: Path, numbers: random.Random) -> None:
        self._place, self._numbers = place, numbers
        (place / "tmp").mkdir()
        self._environment = {**os.environ, "TMPDIR": str(place / "tmp")}
        self._environment.setdefault("HINTERLAND_CACHE", str(place / "programs"))

    def start(self, run: Path) -> subprocess.Popen[str]:
        """A new run, or the rest of one."""
        told = (
            ("--resume", str(run))
            if (run / "manifest.json").exists()
            else (*CONFIG, "--out", str(run))
        )
        return subprocess.Popen(
            [sys.executable, "-m", "hinterland", "train", "--checkpoint-every", "1e-9", *told],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self._environment,
        )  # fmt: skip

    def finish(self, run: Path) -> str:
        """Undisturbed to the end; what was wrong."""
        _, said = (process := self.start(run)).communicate(timeout=PATIENCE_S)
        return "" if process.returncode == 0 else f"not resumed: {said.strip()[-300:]}"

    def disturb(self, run: Path, moment: str) -> Kill:
        """Goes on with a run and ends it at that moment."""
        process = self.start(run)
        hit = self._wait(process, run, moment)
        children = psutil.Process(process.pid).children(recursive=True) if hit else []
        what = self._numbers.choice(list(SIGNALS)) if moment == "signal" else "SIGKILL"
        for number in SIGNALS.get(what, (signal.SIGKILL,)):
            process.send_signal(number)
            time.sleep(self._numbers.choice((0.02, 0.4)))
        _, said = process.communicate(timeout=PATIENCE_S)
        _, alive = psutil.wait_procs(children, timeout=10)
        complaint = f"{len(alive)} processes left" if alive else ""
        # As a shell says it: while it shuts down, Python leaves a second signal to the system.
        status = 128 - process.returncode if process.returncode < 0 else process.returncode
        if hit and moment == "signal" and status not in (0, 129, 130, 143):  # 0: it had just ended
            complaint = f"exit status {status}"
        if not hit and process.returncode:
            complaint = f"not resumed: {said.strip()[-300:]}"
        if "Traceback" in said:
            complaint = f"traceback: {said.strip()[-300:]}"
        return Kill(moment if what == "SIGKILL" else what, hit, complaint)

    def _wait(self, process: subprocess.Popen[str], run: Path, moment: str) -> bool:
        """Until the moment has come; False: the process has ended before."""
        checkpoints, began = run / "checkpoints", time.monotonic()
        fresh = _names(checkpoints)

        def half_written(folder: Path) -> bool:
            return any(name.endswith(".tmp") for name in _names(folder))

        if moment == "summary":
            sign: Callable[[], bool] = lambda: ".summary.json.tmp" in _names(run)  # noqa: E731
        elif moment == "report":
            chosen = self._numbers.choice((".replay.json.tmp", ".report.html.tmp", "report"))
            sign = lambda: chosen in _names(run)  # noqa: E731
        elif moment == "checkpoint":
            sign = lambda: half_written(checkpoints)  # noqa: E731
        elif moment == "start":
            seconds = self._numbers.uniform(0.2, 6.0)
            sign = lambda: time.monotonic() - began > seconds  # noqa: E731
        else:  # so long after its first new checkpoint, if there is another one
            seconds = self._numbers.uniform(0.0, 1.5)
            while process.poll() is None and not _names(checkpoints) - fresh:
                time.sleep(0.01)
            began = time.monotonic()
            sign = lambda: time.monotonic() - began > seconds  # noqa: E731
        while process.poll() is None:
            if sign():
                return True
            if moment in ("start", "anywhere", "signal"):
                time.sleep(0.005)
        return False

    def left_over(self) -> list[str]:
        """Temporary files, and processes that know this folder."""
        files = [str(x) for x in self._place.rglob("*.tmp")] + sorted(_names(self._place / "tmp"))
        words = [p.info["cmdline"] or () for p in psutil.process_iter(["cmdline"])]
        mine = [" ".join(x) for x in words if any(str(self._place / "run") in word for word in x)]
        return files + mine


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def differences(run: Path, whole: Path) -> str:
    """In what two finished runs differ; nothing, if in times only."""
    ours, theirs = RunFolder.read(run), RunFolder.read(whole)
    a, b = ours.load_checkpoint()[0], theirs.load_checkpoint()[0]
    for name in sorted({*a, *b}):
        same = name in a and name in b and a[name].dtype == b[name].dtype
        if not same or a[name].tobytes() != b[name].tobytes() or np.shape(a[name]) != b[name].shape:
            return f"parameters differ: {name}"
    for ours_line, their_line in zip(ours.metrics(), theirs.metrics(), strict=False):
        for name in {*ours_line, *their_line}:
            if not name.startswith(TIMES) and ours_line.get(name) != their_line.get(name):
                return f"metrics differ at step {their_line['step']}: {name}"
    if len(ours.metrics()) != len(theirs.metrics()):
        return "metrics have another number of lines"
    summaries = ours.summary(), theirs.summary()
    return "" if summaries[0] and summaries[0]["eval"] == summaries[1]["eval"] else "summaries"  # type: ignore[index]


def main() -> int:
    """Soaks and prints; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="default: 30")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    options = parser.parse_args()
    if options.kills < 1:
        parser.error(f"--kills {options.kills}: must be at least 1")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        good = _soak(Path(folder), options.kills, random.Random(options.seed))
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if good else 1


def _soak(place: Path, kills: int, numbers: random.Random) -> bool:
    soak, done, good = Soak(place, numbers), 0, True
    if complaint := soak.finish(place / "whole"):
        print(complaint)
        return False
    print(f"{'kill':>4}  {'run':>3}  {'moment':<14}{'resumed':<10}end")
    number = 0
    while done < kills:
        number += 1
        run, rows = place / f"run-{number}", list[Kill]()
        for moment in PER_RUN:
            if done + sum(row.hit for row in rows) == kills:
                break
            rows.append(soak.disturb(run, moment))
            if not rows[-1].hit:
                break  # it has ended
        end = soak.finish(run) or differences(run, place / "whole")
        for row in rows:
            done += row.hit
            good &= not row.complaint
            resumed = row.complaint or ("yes" if row.hit else "missed")
            print(f"{done:>4}  {number:>3}  {row.moment:<14}{resumed:<10}{end or 'identical'}")
        sys.stdout.flush()
        good &= not end
        if number > 2 * kills:
            print("most kills miss: the runs are too short for this machine")
            return False
    left = soak.left_over()
    print(f"{done} kills in {number} runs; left over: {', '.join(left) or 'nothing'}")
    return good and not left


if __name__ == "__main__":
    sys.exit(main())
