"""Does a long run survive lost SUMO processes? Kills them for a while and looks for any harm.

    python benchmarks/soak_traffic.py --minutes 20 --kills 20

Four sessions of a 2x2 grid play episode after episode under random actions. At random moments,
spread evenly over the time, one of their processes is killed (SIGKILL) or stopped (SIGSTOP). At the
end every disturbed episode and a sample of the others are played again in a session that nobody
disturbs. Exits with 1 if an episode differs, a process is missing or left over, memory has grown,
or a kill was not noticed.
"""

import argparse
import hashlib
import os
import random
import signal
import statistics
import sys
import threading
import time
from typing import NamedTuple

import numpy as np
import psutil

from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.domain import HORIZON, INFLOW, SumoSessions

SESSIONS, SIDE = 4, 2
PATIENCE_S = 5
SAMPLE = 40
"""Undisturbed episodes that are played again, at most."""
GROWTH = 1.1
"""Memory of the last quarter by that of the first, at most."""


class Episode(NamedTuple):
    """One episode of one session."""

    seed: int
    disturbed: bool
    digest: str
    """Of all observations, rewards and final figures."""


class Killer(threading.Thread):
    """Sends signals until all are sent; never two to the same loss."""

    def __init__(self, sessions: list[HostProcess], kills: int, seconds: float, seed: int) -> None:
        super().__init__(daemon=True)
        numbers = random.Random(seed)
        slot = seconds / max(1, kills)
        # Not close to the end of its share of the time: SIGSTOP is noticed seconds later.
        self._times = [(i + numbers.uniform(0.1, 0.5)) * slot for i in range(kills)]
        self._numbers, self._sessions = numbers, sessions
        self.sent: list[signal.Signals] = []
        self.stop = threading.Event()

    def run(self) -> None:
        start = time.monotonic()
        for moment in self._times:
            waits = start + moment - time.monotonic()
            if self.stop.wait(max(0.0, waits)):
                return
            while sum(session.restarts for session in self._sessions) < len(self.sent):
                if self.stop.wait(0.1):
                    return
            what = self._numbers.choice((signal.SIGKILL, signal.SIGSTOP))
            self._send(self._numbers.choice(self._sessions), what)

    def _send(self, session: HostProcess, what: signal.Signals) -> None:
        while not self.stop.wait(0.05):
            try:
                os.kill(session.pid, what)
            except ProcessLookupError:
                continue  # it is being replaced
            self.sent.append(what)
            return


def ask_all(sessions: list[HostProcess], method: str, each: list[tuple]) -> list:
    """One call to every session; they work at the same time."""
    for session, arguments in zip(sessions, each, strict=True):
        session.ask(method, *arguments)
    return [session.answer() for session in sessions]


def play(sessions: list[HostProcess], seeds: list[int]) -> list[Episode]:
    """One episode in every session; a seed gives the cars and the actions."""
    actions = [
        np.random.default_rng(seed).integers(0, 2, (HORIZON, SIDE**2)).astype(np.int8)
        for seed in seeds
    ]
    digests = [hashlib.sha256() for _ in seeds]
    restarts = [session.restarts for session in sessions]
    # As `begin` does, but at the same time
    for session, seed in zip(sessions, seeds, strict=True):
        session.begin("reset", seed, None, True)
    for t in range(HORIZON):
        for digest, seen in zip(
            digests, ask_all(sessions, "step", [(one[t],) for one in actions]), strict=True
        ):
            for name in ("observation", "reward", "influence"):
                digest.update(seen[name].tobytes())
    for digest, figures in zip(
        digests, ask_all(sessions, "metrics", [()] * len(sessions)), strict=True
    ):
        digest.update(repr(sorted(figures.items())).encode())
    return [
        Episode(seed, session.restarts > before, digest.hexdigest())
        for seed, session, before, digest in zip(seeds, sessions, restarts, digests, strict=True)
    ]


def main() -> int:
    """Soaks, replays, prints; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20, help="default: 20")
    parser.add_argument("--kills", type=int, default=20, help="default: 20")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    options = parser.parse_args()
    seconds = 60 * options.minutes
    least = 4 * PATIENCE_S  # a stopped process costs half of it
    if seconds <= 0 or not 0 <= least * options.kills <= seconds:
        parser.error(f"--kills {options.kills}: must be 0 or more, each needs {least} s")

    sessions = SumoSessions(SIDE, SIDE, INFLOW, PATIENCE_S).sessions(SESSIONS)
    me, numbers = psutil.Process(), random.Random(options.seed)
    killer = Killer(sessions, options.kills, seconds, options.seed)
    episodes: list[Episode] = []
    memory: list[tuple[float, float]] = []
    counts = set()
    start = time.monotonic()
    killer.start()
    try:
        while time.monotonic() - start < seconds:
            episodes += play(sessions, [numbers.randrange(2**31) for _ in sessions])
            children = [session.pid for session in sessions]
            counts.add(len(me.children(recursive=True)))
            memory.append((sum(map(resident_mb, children)), resident_mb(me.pid)))
    finally:
        killer.stop.set()
    played_s = time.monotonic() - start
    restarts = sum(session.restarts for session in sessions)
    for session in sessions:
        session.close()
    left = len(me.children(recursive=True))

    disturbed = [one for one in episodes if one.disturbed]
    calm = [one for one in episodes if not one.disturbed]
    again = disturbed + numbers.sample(calm, min(SAMPLE, len(calm)))
    fresh = SumoSessions(SIDE, SIDE, INFLOW).sessions(1)
    differing = sum(play(fresh, [one.seed])[0].digest != one.digest for one in again)
    fresh[0].close()

    quarter = max(1, len(memory) // 4)
    first, last = memory[:quarter], memory[-quarter:]
    children, parent = (
        [statistics.median(one[i] for one in part) for part in (first, last)] for i in (0, 1)
    )
    stopped = killer.sent.count(signal.SIGSTOP)
    rows = [
        ("episodes played", f"{len(episodes)} in {played_s:.0f} s", bool(episodes)),
        (
            "kills sent",
            f"{len(killer.sent)} ({len(killer.sent) - stopped} SIGKILL, {stopped} SIGSTOP)",
            len(killer.sent) == options.kills,
        ),
        ("restarts", f"{restarts}", restarts == len(killer.sent)),
        (
            "episodes that differ",
            f"{differing} of {len(again)} played again ({len(disturbed)} disturbed)",
            differing == 0,
        ),
        (
            "processes",
            f"{' or '.join(map(str, sorted(counts)))}; {left} after the end",
            counts == {SESSIONS} and left == 0,
        ),
        ("memory of the sessions", growth(children), children[1] <= GROWTH * children[0]),
        ("memory of the parent", growth(parent), parent[1] <= GROWTH * parent[0]),
    ]
    for name, text, good in rows:
        print(f"{name:<24}{text:<52}{'ok' if good else 'FAILED'}")
    return 0 if all(good for *_, good in rows) else 1


def resident_mb(pid: int) -> float:
    """Resident memory of a process; 0 if it was killed just now."""
    try:
        return psutil.Process(pid).memory_info().rss / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def growth(quarters: list[float]) -> str:
    """First and last quarter, in words."""
    return f"{quarters[0]:.1f} MB in the first quarter, {quarters[1]:.1f} MB in the last"


if __name__ == "__main__":
    sys.exit(main())
