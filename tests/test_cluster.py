"""The cluster gives the bits of one machine, also when processes and nodes are lost.

Real Ray nodes on this machine, one processor each; one start of them for the whole module.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
import pytest

import runs
from hinterland.api.start import make_runtime
from hinterland.config import make_config
from hinterland.core import UserError
from hinterland.domains import load_domain
from hinterland.record import RunFolder
from hinterland.report import tables
from hinterland.report.gather import read_run
from hinterland.runtime import ClusterRuntime, LocalRuntime, wire
from hinterland.runtime import cluster as module
from hinterland.training import check_config
from hinterland.training.carriers import workers_elsewhere
from hinterland.training.workers import Snapshot, made_workers

pytest.importorskip("ray")

# Ray forks to start its programs at once: no thread of JAX's is missed. And it leaves its files to
# the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TINY = {
    "domain": "corridor",
    "agents": 4,
    "steps": 384,
    "network": "feed-forward",
    "predictor": "feed-forward",
    "hidden": 8,
    "trunk": 8,
    "copies": 8,
    "window": 8,
    "predictor_hidden": 4,
    "predictor_episodes": 32,
    "predictor_epochs": 1,
    "refresh": 192,
    "evaluate_every": 384,
    "evaluate_episodes": 4,
    "final_episodes": 4,
}
TEAM = {
    "domain": "corridor",
    "agents": 4,
    "simulation": "global",
    "schedule": "lockstep",
    "workers": 2,
    "steps": 256,
    "network": "feed-forward",
    "hidden": 8,
    "trunk": 8,
    "copies": 4,
    "window": 8,
    "windows": 2,
    "minibatches": 2,
    "evaluate_every": 256,
    "evaluate_episodes": 4,
    "final_episodes": 4,
}
WAIT_S = 120
"""A busy machine takes long to start a process."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    # Of the processes that take a killed one's place, none compiles anew.
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    # Its programs inherit them.
    os.environ |= {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()
    jax.config.update("jax_compilation_cache_dir", None)


@pytest.fixture(scope="module")
def runtime(nodes: Any) -> Iterator[ClusterRuntime]:
    with ClusterRuntime(nodes.address) as joined:
        yield joined


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return _run(tmp_path_factory.mktemp("local") / "run", LocalRuntime(devices=2), TINY)


def _run(folder: Path, runtime: LocalRuntime, values: dict[str, Any]) -> RunFolder:
    config = make_config(values)
    return runs.run(folder, config, runs.domain_of(config), runtime)


def _working() -> list[psutil.Process]:
    """Processes of Ray that are doing something for us."""
    everybody = psutil.Process().children(recursive=True)
    titles = [(process, _title(process)) for process in everybody]
    return [p for p, title in titles if "ray::unit" in title or "ray::Resident" in title]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return ""


@contextmanager
def _killing(*kills: Callable[[], bool]) -> Iterator[list[float]]:
    """Meanwhile these are called in turn, each until it has found its victim; when each did."""
    when: list[float] = []
    over = threading.Event()

    def serve() -> None:
        while len(when) < len(kills) and not over.wait(0.05):
            if kills[len(when)]():
                when.append(time.monotonic())
                over.wait(1.0)

    killer = threading.Thread(target=serve)
    killer.start()
    try:
        yield when
    finally:
        over.set()
        killer.join()


def _kill_worker() -> bool:
    found = _working()
    for process in found[:1]:
        os.kill(process.pid, signal.SIGKILL)
    return bool(found)


def test_the_same_bits_as_on_one_machine(
    tmp_path: Path, here: RunFolder, runtime: ClusterRuntime
) -> None:
    there = _run(tmp_path / "run", runtime, TINY)
    runs.assert_same(here.load_checkpoint()[0], there.load_checkpoint()[0])
    lines = [x for x in there.metrics() if x["phase"] == "train"]
    assert [x["step"] for x in lines] == [192, 384]
    assert all(line["cluster/units"] == 4 for line in lines)  # 2 processors, 2 shards for each
    assert all(line["cluster/up_mb"] > 0 and line["cluster/down_mb"] > 0 for line in lines)
    assert {line["cluster/nodes"] for line in lines} == {2.0}
    assert _influence(there) == _influence(here)
    rows = {row["phase"]: row for row in tables.cluster([read_run(there.path)])}
    assert rows["train"]["messages each way"] == 8
    assert rows["train"]["MB up, of one"] == sum(x["cluster/up_mb"] for x in lines) / 8
    assert not tables.cluster([read_run(here.path)])


def _influence(run: RunFolder) -> list[tuple[int, dict[str, float]]]:
    """Figures of all predictors, as measured where they were trained."""
    named = [(x["step"], x, [n for n in x if n.startswith("influence/")]) for x in run.metrics()]
    return [(step, {name: line[name] for name in names}) for step, line, names in named if names]


KILLS = int(os.environ.get("HINTERLAND_KILLS", "3"))
"""At random moments: every third is of a whole node; each run begins with a new one."""


def test_the_same_bits_when_workers_and_nodes_are_lost(
    tmp_path: Path, here: RunFolder, runtime: ClusterRuntime, nodes: Any
) -> None:
    moments, doomed = random.Random(0), []

    def kill_node() -> bool:
        if not doomed:
            return False
        nodes.remove_node(doomed.pop(), allow_graceful=False)
        return True

    def kill(number: int) -> bool:
        time.sleep(moments.uniform(0, 3))
        return bool(_working()) and (kill_node if number % 3 == 1 else _kill_worker)()

    left, lost, run = [partial(kill, number) for number in range(KILLS)], 0.0, 0
    while left:
        if not doomed:
            doomed.append(nodes.add_node(num_cpus=1))
        with _killing(*left) as killed:
            there = _run(tmp_path / str(run), runtime, TINY)
        left, run = left[len(killed) :], run + 1
        runs.assert_same(here.load_checkpoint()[0], there.load_checkpoint()[0])
        assert there.summary()["step"] == here.summary()["step"]  # ty: ignore
        lost += sum(line.get("cluster/lost", 0.0) for line in there.metrics())
    kill_node()
    assert lost >= 1


def test_shards_share_the_agents_and_stay_small(runtime: ClusterRuntime) -> None:
    assert runtime.block(4) == 1
    assert runtime.block(100) == -(-100 // (2 * runtime.processors))
    assert runtime.block(10_000) == 64


def test_pipeline_workers_elsewhere(tmp_path: Path, runtime: ClusterRuntime) -> None:
    local = _run(tmp_path / "local", LocalRuntime(devices=1), TEAM)
    with _killing(_kill_worker) as killed:
        there = _run(tmp_path / "there", runtime, TEAM)
    assert killed
    runs.assert_same(local.load_checkpoint()[0], there.load_checkpoint()[0])


def test_pipeline_goes_on_when_a_worker_is_killed(tmp_path: Path, runtime: ClusterRuntime) -> None:
    values = {**TEAM, "schedule": "pipeline", "lag": 1, "queue": 2}
    with _killing(_kill_worker) as killed:
        there = _run(tmp_path / "there", runtime, values)
    assert killed
    assert there.summary()["step"] == 256  # ty: ignore


def _slow() -> Callable[..., Any]:
    def double(x: Any) -> Any:  # made here: workers cannot import a test module
        time.sleep(0.5)
        return x * 2

    return double


def test_units_of_killed_workers_are_done_again(runtime: ClusterRuntime) -> None:
    runtime.figures()
    with _killing(_kill_worker, _kill_worker) as killed:
        found = runtime.map(_slow(), [(np.int32(i),) for i in range(8)])
    assert [int(x) for x in found] == [2 * i for i in range(8)]
    assert killed
    assert runtime.figures()["cluster/lost"] >= 1


def test_errors_of_units_arrive_as_they_are(
    runtime: ClusterRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(x: Any) -> Any:
        raise UserError(f"unit {int(x)} has no sense")

    with pytest.raises(UserError, match="unit 3 has no sense"):
        runtime.map(fails, [(np.int32(3),)])

    def dies(x: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)
        return x

    monkeypatch.setattr(module, "ATTEMPTS", 2)
    with pytest.raises(UserError, match="lost 2 times"):
        runtime.map(dies, [(np.int32(0),)])


def test_another_version_on_a_node_is_refused(
    tmp_path: Path, runtime: ClusterRuntime, nodes: Any
) -> None:
    package = tmp_path / "hinterland"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "0.0.1"\n')
    odd = nodes.add_node(num_cpus=8, env_vars={"PYTHONPATH": str(tmp_path)})
    try:
        with pytest.raises(UserError, match=r"has hinterland 0\.0\.1, the run has"):
            runtime.map(_slow(), [(np.int32(i),) for i in range(12)])
    finally:
        nodes.remove_node(odd, allow_graceful=False)


def test_another_version_of_what_decides_bits_is_refused(
    runtime: ClusterRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = wire.loads(runtime.settings)
    versions = tuple((name, "0.4" if name == "jax" else x) for name, x in ours.versions)
    monkeypatch.setattr(runtime, "settings", wire.dumps(ours._replace(versions=versions)))
    with pytest.raises(UserError, match=r"has jax .*, the run has 0\.4: install the same versions"):
        runtime.map(_slow(), [(np.int32(0),)])


def test_an_address_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"--address {address}: nobody listens there"):
        ClusterRuntime(address)
    with pytest.raises(UserError, match="must be HOST:PORT"):
        ClusterRuntime("somewhere")
    with pytest.raises(UserError, match="--address is a part of --runtime ray"):
        make_runtime(None, "local", address)
    with pytest.raises(UserError, match="the nodes at --address know their own"):
        make_runtime(2, "ray", address)


def test_what_does_not_run_on_a_cluster_is_refused() -> None:
    config = make_config({**TINY, "simulation": "global"})
    domain = load_domain("corridor", 4)
    check_config(config, domain)
    with pytest.raises(UserError, match="--runtime ray runs regions with learners of their own"):
        check_config(config, domain, "ray")


def test_what_units_have_in_common_travels_once(runtime: ClusterRuntime) -> None:
    large = np.arange(250_000, dtype=np.float64)
    runtime.figures()
    found = runtime.map(lambda x, i: x[i], [(large, np.int32(i)) for i in range(8)])
    assert [float(x) for x in found] == list(range(8))
    assert 2 <= runtime.figures()["cluster/up_mb"] < 3


TRAIN = (sys.executable, "-m", "hinterland", "train", "--runtime", "ray", "--devices", "2")


@contextmanager
def _driver(out: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A run in a process of its own, with a Ray of its own; all they start bears a mark."""
    mark = str(uuid.uuid4())
    child = subprocess.Popen(
        [*TRAIN, *runs.TINY_DIALS, *options, "--out", str(out)],
        env={**os.environ, "MARK": mark}, start_new_session=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield child, mark
    finally:
        child.kill()
        child.communicate()


def test_an_interrupt_ends_everything(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with _driver(out, "--steps", "50M", "--refreshes", "1") as (child, mark):
        runs.wait_for(child, lambda: runs.has_logged(out, "fit"), WAIT_S)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: everybody in the group gets it
        began = time.monotonic()
        _, said = child.communicate(timeout=WAIT_S)
    assert child.returncode == 130, said.decode()
    assert "continue with" in said.decode()
    assert time.monotonic() - began < 20  # 5 s on a quiet machine
    assert _gone(mark, began + 20)


def test_a_killed_driver_leaves_nothing_and_its_run_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--agents", "4", "--steps", "4000", "--refresh", "400", "--checkpoint-every", "1e-9")
    with _driver(out, *options) as (child, mark):
        checkpoints = out / "checkpoints"
        runs.wait_for(child, lambda: len(list(checkpoints.glob("step-*"))) > 1, WAIT_S)
        child.kill()
        began = time.monotonic()
        child.wait()
    assert RunFolder.read(out).summary() is None, "the run ended before it could be killed"
    resume = [*TRAIN, "--resume", str(out), "--quiet", "--no-report"]
    done = subprocess.run(resume, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    assert _gone(mark, began + WAIT_S)
    runs.assert_as_here(RunFolder.read(out), tmp_path / "whole")


def _gone(mark: str, until: float) -> bool:
    """Whether all processes with that mark end in time."""
    while (left := _marked(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    return left == []


def _marked(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark and process.status() != "zombie":
                found.append(_title(process))
        except psutil.Error:  # it has just ended, or is nobody of ours
            continue
    return found


def test_a_worker_elsewhere_gets_the_predictors_of_each_stretch(runtime: ClusterRuntime) -> None:
    values = {**TEAM, "simulation": "untrained", "schedule": "pipeline", "slot_networks": "shared",
              "workers": 1, "predictor": "feed-forward", "predictor_hidden": 4}  # fmt: skip
    config = make_config(values)
    plan = check_config(config, load_domain(config.domain, config.agents))
    state = plan.first_state()
    certain = jax.tree.map(lambda x: 100 * x, state.predictors)
    stretches = [
        Snapshot(plan.policy(state.learners), predictors, since)
        for since, predictors in enumerate((state.predictors, certain))
    ]
    [worker] = made_workers(plan, (), jax.devices()[:1])
    first = worker.first_state(stretches[0].policy, state.predictors)
    worker.prepare(first)
    here = [worker.segment(0, snapshot) for snapshot in stretches]
    [other] = workers_elsewhere(plan, runtime, [first], ())
    there = [other.segment(0, snapshot) for snapshot in stretches]
    other.abandon()
    jax.tree.map(np.testing.assert_array_equal, here, there)
