"""Simulators in processes of their own: lost ones come back where they were, none is left over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from hinterland.core import UserError
from hinterland.domains.host import ATTEMPTS, HostProcess
from hinterland.domains.pool import Processes
from hinterland.domains.shared import SharedProcess
from hinterland.domains.traffic.domain import INFLOW, SumoSessions

CLOSED = r"^Fragile: ValueError: lane 3 is closed \(.*fragile.py, line \d+\)$"


@pytest.fixture(autouse=True)
def _children_find_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(found))


@pytest.fixture
def fragile() -> Iterator[HostProcess]:
    with HostProcess("fragile:Fragile", patience_s=1) as process:
        yield process


def _gone(pid: int, within_s: float = 10) -> bool:
    """Whether the process ends in time; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid):
            return True
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def _totals(process: HostProcess, *events: tuple[int, int]) -> list[int]:
    """Ten steps of an episode; (step, signal): the process is sent the signal before the step."""
    process.begin("reset", 7)
    totals = []
    for t in range(10):
        for when, what in events:
            if when == t:
                os.kill(process.pid, what)
        totals.append(process.call("step", t))
    return totals


def test_a_killed_process_comes_back_where_it_was(fragile: HostProcess) -> None:
    undisturbed = _totals(fragile)
    pid = fragile.pid
    assert _totals(fragile, (0, signal.SIGKILL), (6, signal.SIGSEGV)) == undisturbed
    assert fragile.restarts == 2
    assert fragile.pid != pid
    assert _gone(pid)


def test_a_process_killed_at_work_is_asked_again(fragile: HostProcess) -> None:
    undisturbed = _totals(fragile)
    fragile.begin("reset", 7)
    fragile.call("step", 0)
    os.kill(fragile.pid, signal.SIGSTOP)
    fragile.ask("step", 1)
    os.kill(fragile.pid, signal.SIGKILL)
    assert fragile.answer() == undisturbed[1]
    assert fragile.restarts == 1


def test_a_stopped_process_is_replaced(fragile: HostProcess) -> None:
    undisturbed = _totals(fragile)
    pid = fragile.pid
    start = time.monotonic()
    assert _totals(fragile, (5, signal.SIGSTOP)) == undisturbed
    assert time.monotonic() - start < 30
    assert fragile.restarts == 1
    assert _gone(pid), "a stopped process was left over"


def test_a_hanging_call_is_ended_and_asked_again(fragile: HostProcess, tmp_path: Path) -> None:
    fragile.begin("reset", 7)
    total = fragile.call("step", 1)
    assert fragile.call("hang_once", tmp_path / "hung") == total
    assert fragile.restarts == 1


def test_an_exception_is_told_and_costs_nothing(fragile: HostProcess) -> None:
    undisturbed = _totals(fragile)
    fragile.begin("reset", 7)
    with pytest.raises(UserError, match=CLOSED):
        fragile.call("fail", "lane 3 is closed")
    assert fragile.call("step", 0) == undisturbed[0]
    assert fragile.restarts == 0


def test_a_crash_over_and_over_ends_with_the_last_words(fragile: HostProcess) -> None:
    undisturbed = _totals(fragile)
    fragile.begin("reset", 7)
    with pytest.raises(UserError, match=r"4 times at the same call \(crash\): last words"):
        fragile.call("crash")
    assert fragile.restarts == ATTEMPTS
    assert _totals(fragile) == undisturbed


def test_a_start_that_fails(tmp_path: Path) -> None:
    with HostProcess("fragile:FirstFails", tmp_path / "failed") as process:
        assert process.restarts == 1
        assert process.begin("reset", 7) == 0
    with pytest.raises(UserError, match="NeverStarts crashed or hung 4 times while it started: no"):
        HostProcess("fragile:NeverStarts")
    with pytest.raises(UserError, match="Missing: ModuleNotFoundError: No module named 'nothing'"):
        HostProcess("nothing:Missing")


def _shared_totals(process: SharedProcess, *killed: int) -> list[list[int]]:
    """Ten steps of three simulators, the last of which begins anew halfway."""
    sessions, totals = process.sessions, []
    for number, session in enumerate(sessions):
        session.begin("reset", number)
    for t in range(10):
        if t == 5:
            sessions[2].begin("reset", 9)
        if t in killed:
            os.kill(process.pid, signal.SIGKILL)
        for session in sessions:
            session.ask("step", t)
        totals.append([session.answer() for session in sessions])
    return totals


def test_several_in_one_process_are_several_and_come_back_where_they_were() -> None:
    alone = []
    with HostProcess("fragile:Fragile") as process:
        for seeds in ((0,), (1,), (2, 9)):
            totals: list[int] = []
            for t in range(10):
                if t % 5 == 0 and t // 5 < len(seeds):
                    process.begin("reset", seeds[t // 5])
                totals.append(process.call("step", t))
            alone.append(totals)
    with SharedProcess("fragile:Fragile", 3, patience_s=5) as shared:
        assert np.transpose(_shared_totals(shared)).tolist() == alone
        assert shared.restarts == 0
        assert np.transpose(_shared_totals(shared, 0, 4, 8)).tolist() == alone
        assert shared.restarts == 3


def test_one_of_several_may_be_asked_alone_and_may_fail_alone() -> None:
    with SharedProcess("fragile:Fragile", 3, patience_s=5) as shared:
        undisturbed = _shared_totals(shared)
        first, second, third = shared.sessions
        for number, session in enumerate((first, second, third)):
            session.begin("reset", number)
        assert first.call("step", 0) == undisturbed[0][0]
        second.ask("fail", "lane 3 is closed")
        third.ask("step", 0)
        assert third.answer() == undisturbed[0][2]
        with pytest.raises(UserError, match=CLOSED):
            second.answer()
        assert second.call("step", 0) == undisturbed[0][1]
        with pytest.raises(UserError, match=r"Fragile crashed or hung 4 times .*: last words"):
            third.call("crash")


def test_those_that_step_as_one_do_so_only_together() -> None:
    with SharedProcess("fragile:Together", 2, patience_s=5) as shared:
        one, other = shared.sessions
        for session in shared.sessions:
            session.begin("reset", 7)
        expected = [one.call("step", t) for t in range(3)]
        for t in range(3):  # the other catches up
            assert other.call("step", t) == expected[t]
        for session in shared.sessions:
            session.ask("step", 3)
        assert one.answer() == other.answer()
        assert [session.call("together") for session in shared.sessions] == [1, 1]
        os.kill(shared.pid, signal.SIGKILL)
        for session in shared.sessions:
            session.ask("step", 4)
        assert one.answer() == other.answer()
        # The way back was led one by one.
        assert [session.call("together") for session in shared.sessions] == [1, 1]
        one.ask("step", "four")
        other.ask("step", 5)
        for session in shared.sessions:
            with pytest.raises(UserError, match="TypeError"):
                session.answer()


def test_close_leaves_no_process_and_a_later_call_starts_anew() -> None:
    process = HostProcess("fragile:Fragile", 5)
    undisturbed = _totals(process)
    pid = process.pid
    process.close()
    process.close()
    assert not psutil.pid_exists(pid)
    assert _totals(process) == undisturbed
    assert process.restarts == 0
    pid = process.pid
    del process
    assert not psutil.pid_exists(pid), "a process outlived its owner"


def test_a_dead_parent_leaves_no_process() -> None:
    code = (
        "import time\n"
        "from hinterland.domains.host import HostProcess\n"
        "process = HostProcess('fragile:Fragile')\n"
        "process.begin('reset', 1)\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        pid = int(one.stdout.readline())
        assert psutil.pid_exists(pid)
        one.kill()
    assert _gone(pid)


def test_processes_find_the_session_where_the_script_found_it(tmp_path: Path) -> None:
    """Beside the script; its process imports that module, and no JAX."""
    (tmp_path / "engine.py").write_text(
        "import sys\n"
        "class Session:\n"
        "    def __init__(self, steps): self.steps = steps\n"
        "    def reset(self, seed): return self.steps + seed, 'jax' in sys.modules\n"
    )
    (tmp_path / "script.py").write_text(
        "from engine import Session\n"
        "from hinterland import Processes\n"
        "one, other = Processes(Session, 3).sessions(2)\n"
        "print(one.begin('reset', 4), one.pid != other.pid)\n"
    )
    script = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(script, cwd="/", capture_output=True, text=True)
    assert done.stdout == "(7, False) True\n", done.stderr


def test_a_class_that_other_processes_cannot_import_is_refused() -> None:
    class Inside:
        pass

    with pytest.raises(UserError, match=r"Processes: .*Inside of test_host cannot be imported"):
        Processes(Inside)


def test_the_process_of_sumo_starts_no_jax() -> None:
    code = (
        "import sys, hinterland.domains.worker, hinterland.domains.traffic.simulation\n"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def _episode(session: HostProcess, *events: tuple[int, int]) -> tuple[np.ndarray, dict]:
    """120 s of a 2x2 grid under random actions: rewards and observations, and figures."""
    rng = np.random.default_rng(0)
    session.begin("reset", 5, None, True)
    seen = []
    for t in range(120):
        for when, what in events:
            if when == t:
                os.kill(session.pid, what)
        moved = session.call("step", rng.integers(0, 2, 4).astype(np.int8))
        seen.append(np.concatenate([moved["reward"], moved["observation"].ravel()]))
    return np.stack(seen), session.call("metrics")


def test_sumo_comes_back_to_the_last_bit() -> None:
    one, other = SumoSessions(2, 2, INFLOW, patience_s=5).sessions(2)
    undisturbed, figures = _episode(one)
    seen, same = _episode(other, (3, signal.SIGKILL), (60, signal.SIGSTOP), (119, signal.SIGKILL))
    np.testing.assert_array_equal(seen, undisturbed)
    assert same == figures
    assert figures["vehicles"] > 10
    assert (one.restarts, other.restarts) == (0, 3)


def test_sumo_leaves_no_files() -> None:
    sessions = SumoSessions(1, 1, INFLOW)
    (session,) = sessions.sessions(1)
    folder = sessions.grid.network.parent
    session.begin("reset", 1)
    assert len(list(folder.glob("hinterland-sumo-*"))) == 1
    del sessions
    session.begin("reset", 2)  # its files outlive the object that made it
    del session
    assert not folder.exists()
