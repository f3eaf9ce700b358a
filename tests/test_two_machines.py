"""docs/cluster.md's two machines: network namespaces with a cable between them.

Needs Linux and the rights to make them (root); elsewhere it is skipped.
"""

import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import runs
from hinterland.record import RunFolder

pytest.importorskip("ray")

PATIENCE_S = 240
PYTHON = Path(sys.executable)
RAY = str(PYTHON.with_name("ray"))
A, B = "10.213.0.1", "10.213.0.2"


class Machine:
    """One end of the cable.

    Args:
        name: of its namespace, and of its network card.
        address: in the network of the two.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")

    def run(self, *command: str) -> str:
        """What that prints there."""
        done = self.start(*command)
        said, complaint = done.communicate(timeout=PATIENCE_S)
        assert done.returncode == 0, complaint
        return said

    def start(self, *command: str) -> subprocess.Popen[str]:
        """That, running there."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], text=True, **pipes)

    def unplug(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        _ip("-n", self.name, "link", "set", self.name, "down")

    def end(self) -> None:
        """With all its processes."""
        for process in _ip("netns", "pids", self.name).split():
            subprocess.run(["kill", "-9", process], check=False)
        _ip("netns", "del", self.name)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Machine, Machine]]:
    if not shutil.which("ip"):
        pytest.skip("this machine has no 'ip'")
    tag, made = uuid.uuid4().hex[:6], []
    try:
        made.append(Machine(f"hl{tag}a", A))
        made.append(Machine(f"hl{tag}b", B))
        a, b = (machine.name for machine in made)
        _ip("link", "add", a, "netns", a, "type", "veth", "peer", "name", b, "netns", b)
        for machine in made:
            _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", machine.name)
            _ip("-n", machine.name, "link", "set", machine.name, "up")
    except OSError as error:
        for machine in made:
            machine.end()
        pytest.skip(f"this machine gives us no network of our own: {error}")
    for name, value in (("MODE", "token"), ("TOKEN", uuid.uuid4().hex)):
        monkeypatch.setenv(f"RAY_AUTH_{name}", value)
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Sockets have short names.
    folder = Path(f"/tmp/hl{tag}")
    made[0].run(
        RAY, "start", "--head", "--port", "6379", "--node-ip-address", A, "--num-cpus", "1",
        "--include-dashboard", "false", "--temp-dir", str(folder),
    )  # fmt: skip
    made[1].run(RAY, "start", "--address", f"{A}:6379", "--node-ip-address", B, "--num-cpus", "1")
    yield made[0], made[1]
    for machine in made:
        machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_run_outlives_a_pulled_cable(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    a, b = machines
    there, out = ("--runtime", "ray", "--address", f"{A}:6379"), tmp_path / "run"
    assert _nodes(a, there) == [A, B]
    driver = a.start(
        str(PYTHON), "-m", "hinterland", "train", *runs.TINY_DIALS, "--agents", "4", "--steps",
        "800", "--refresh", "400", "--quiet", "--no-report", "--out", str(out), *there,
    )  # fmt: skip
    # The next thing is to train, for which both machines compile first.
    runs.wait_for(driver, lambda: runs.has_logged(out, "evaluate"), PATIENCE_S)
    time.sleep(1)
    b.unplug()
    _, complaint = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, complaint
    run = RunFolder.read(out)
    assert next(x["cluster/nodes"] for x in run.metrics() if "cluster/nodes" in x) == 2.0
    assert sum(line.get("cluster/lost", 0.0) for line in run.metrics()) >= 1
    runs.assert_as_here(run, tmp_path / "whole")
    # Ray may count the other one as alive for longer than such a short run lasts.
    until = time.monotonic() + PATIENCE_S
    while (nodes := _nodes(a, there)) != [A] and time.monotonic() < until:
        time.sleep(1)
    assert nodes == [A]


def _nodes(machine: Machine, there: tuple[str, ...]) -> list[str]:
    """Addresses that `doctor` shows."""
    said = machine.run(str(PYTHON), "-m", "hinterland", "doctor", *there)
    return sorted(re.findall(rf"ray:({A}|{B}) 1 processors", said))
