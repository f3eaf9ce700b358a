"""The command line as a user meets it: real processes, real kills, one sentence for bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hinterland.cli import main
from hinterland.record import RunFolder

PREDICTED = "--predictor-hidden 8 --predictor-episodes 10 --predictor-epochs 2".split()
SMALL = (
    "--hidden 16 --trunk 8 --copies 4 --window 8 --evaluate-episodes 4 --final-episodes 4 "
    "--quiet --no-report"
).split()
TINY = [*PREDICTED, *SMALL]


def hinterland(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hinterland", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run with its report."""
    run = tmp_path_factory.mktemp("cli") / "run"
    options = [x for x in TINY if x not in ("--no-report", "--quiet")]
    done = hinterland("train", "corridor", "--agents", 3, "--steps", 128, "--refresh", 64,
                      "--out", run, "--json", *options)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["finished"]
    assert "hand-written heuristic" in done.stdout
    assert "compiling" in done.stderr
    return run


def test_a_run_folder_holds_what_is_documented(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {"config.toml", "manifest.json", "metrics.jsonl", "summary.json",
                     "checkpoints", "report.html", "replay.json"}  # fmt: skip
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["command"][:3] == ["hinterland", "train", "corridor"]
    assert manifest["versions"]["jax"] != "unknown"


def test_evaluate_gives_the_documented_figures(finished: Path) -> None:
    for options in ((), ("--greedy",), ("--policy", "heuristic")):
        done = hinterland("evaluate", finished, "--episodes", 8, "--json", *options)
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout.splitlines()[-1])
        assert set(figures) >= {"return_mean", "return_std", "return_ci95", "episodes", "policy",
                                "greedy", "step"}  # fmt: skip
        assert figures["episodes"] == 8
        assert figures["greedy"] == ("--greedy" in options)


def test_watch_and_report_write_pages_that_need_no_network(finished: Path) -> None:
    for command, name in (("watch", "replay.html"), ("report", "report.html")):
        done = hinterland(command, finished)
        assert done.returncode == 0, done.stderr
        page = (finished / name).read_text()
        assert page.startswith("<!doctype html>")
        for outside in ("src=", 'href="http', "url(http", "@import", "fetch("):
            assert outside not in page, outside
    assert hinterland("watch", finished, "--out", finished / "x.gif").returncode == 0
    assert (finished / "x.gif").read_bytes()[:4] == b"GIF8"


def test_a_run_can_be_made_again_from_its_configuration(finished: Path, tmp_path: Path) -> None:
    done = hinterland("train", "--config", finished / "config.toml", "--out", tmp_path / "again",
                      "--quiet", "--no-report")  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, again = (RunFolder.read(p).load_checkpoint()[0] for p in (finished, tmp_path / "again"))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)


@pytest.mark.parametrize("simulation", ["dials", "global"])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path, simulation: str) -> None:
    predicted = ["--refresh", "4k", *PREDICTED] if simulation == "dials" else []

    def arguments(name: str) -> list[str]:
        return ["train", "corridor", "--agents", "3", "--steps", "20k", *predicted,
                "--evaluate-every", "320", "--simulation", simulation, "--checkpoint-every", "1e-9",
                "--out", str(tmp_path / name), *SMALL]  # fmt: skip

    process = subprocess.Popen(
        [sys.executable, "-m", "hinterland", *arguments("killed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    checkpoints = tmp_path / "killed" / "checkpoints"
    for _ in range(2000):
        if len(list(checkpoints.glob("step-*"))) >= 2:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = RunFolder.read(tmp_path / "killed")
    assert before.summary() is None, "the run ended before it could be killed"
    done = hinterland("train", "--resume", tmp_path / "killed", "--quiet", "--no-report")
    assert done.returncode == 0, done.stderr
    whole = hinterland(*arguments("whole"))
    assert whole.returncode == 0, whole.stderr
    killed, uninterrupted = (RunFolder.read(tmp_path / name) for name in ("killed", "whole"))
    a, b = killed.load_checkpoint()[0], uninterrupted.load_checkpoint()[0]
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    # Each step stands once in the metrics, with the same values.
    keys = ("step", "phase", "eval/sampled/return", "train/loss/policy")
    pick = [
        [tuple(line.get(key) for key in keys) for line in folder.metrics()]
        for folder in (killed, uninterrupted)
    ]
    assert pick[0] == pick[1]


def test_ctrl_c_says_how_to_continue(tmp_path: Path) -> None:
    options = [x for x in TINY if x != "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hinterland", "train", "corridor", "--agents", "3", "--steps",
         "10M", "--evaluate-every", "640", "--checkpoint-every", "1e-9",
         "--out", str(tmp_path / "run"), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(2000):
        if list((tmp_path / "run" / "checkpoints").glob("step-*")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "continue with 'hinterland train --resume" in complaint
    assert "Traceback" not in complaint


BROKEN_DOMAIN = """
from hinterland.domains.corridor import Conveyor, Corridor
import jax.numpy as jnp

class Late(Conveyor):
    "Returns NaN once five parcels lie about, which random first checks may not meet."
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        bad = jnp.where(state.sum() >= self.limit, jnp.nan, 0.0)
        return moved._replace(reward=moved.reward + bad)

class Short(Conveyor):
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        return moved._replace(reward=moved.reward[:-1])

def nan(agents):
    domain = Corridor(agents)
    domain.global_simulator = Late(agents)
    domain.global_simulator.limit = 2
    return domain

def short(agents):
    domain = Corridor(agents)
    domain.global_simulator = Short(agents)
    return domain
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train warehous", "'warehous' is not known; known: colony, co"),
        ("train warehouse --agents 5", "--agents 5: the warehouse needs a square number"),
        ("train warehouse --agents 0", "--agents 0: must be at least 1"),
        ("train corridor --refresh 0", "--refresh 0: must be at least 1"),
        ("train corridor --refresh -5", "--refresh -5: must be at least 1"),
        ("train corridor --steps many", "'many' is not a whole number"),
        ("train corridor --steps 1.5", "'1.5' is not a whole number"),
        ("train corridor --clip nan", "'nan' is not a finite number"),
        ("train corridor --bogus 1", "unrecognized arguments: --bogus"),
        ("train corridor --simulation dail", "invalid choice: 'dail'"),
        ("train corridor --shared-policy", "--shared-policy needs --simulation global"),
        ("train corridor --minibatches 7", "--minibatches 7: must divide copies x windows"),
        ("train corridor --devices 0", "--devices 0: must be at least 1"),
        ("train", "which DOMAIN?"),
        ("train --resume nowhere", "run folder nowhere does not exist"),
        ("train --config nowhere.toml", "nowhere.toml: No such file"),
        ("evaluate nowhere", "run folder nowhere does not exist"),
        ("report nowhere", "nowhere is neither a run folder nor a study folder"),
        ("watch nowhere --out x.mov", "must end in .html or .gif"),
        ("study nowhere.toml", "nowhere.toml: No such file"),
        ("check broken:nan --agents 3", "reward at step"),
        ("check broken:short --agents 3", "reward: shape [2], expected [3]"),
        ("train broken:short --agents 3 --out never", "reward: shape [2], expected [3]"),
        ("bench nothing", "invalid choice: 'nothing'"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, arguments: str, words: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In this process: two dozen that each start Python and JAX cost a minute."""
    (tmp_path / "broken.py").write_text(BROKEN_DOMAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    try:
        status: Any = main(arguments.split())
    except SystemExit as end:  # of argparse
        status = end.code
    printed, complaint = capsys.readouterr()
    assert status == 2, (printed, complaint)
    lines = [line for line in complaint.splitlines() if not line.startswith("checking")]
    assert len(lines) == 1, complaint
    assert words in lines[0]
    assert {p.name for p in tmp_path.iterdir()} <= {"broken.py", "__pycache__"}


def test_an_existing_folder_and_a_damaged_checkpoint_cost_nothing(
    finished: Path, tmp_path: Path
) -> None:
    done = hinterland("train", "corridor", "--out", finished)
    assert done.returncode == 2
    assert "already exists" in done.stderr
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "summary.json").unlink()
    newest = sorted((copy / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    for command in (("evaluate", copy), ("train", "--resume", copy)):
        done = hinterland(*command)
        assert done.returncode == 2
        assert "is damaged" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_study_runs_resumes_and_reports(tmp_path: Path) -> None:
    numbers = "\n".join(
        f"{name.removeprefix('--').replace('-', '_')} = {value}"
        for name, value in zip(TINY[:-2:2], TINY[1:-2:2], strict=True)
    )
    (tmp_path / "s.toml").write_text(
        f'name = "s"\nseeds = [0, 1]\n[base]\ndomain = "corridor"\nagents = 2\nsteps = 64\n'
        f'{numbers}\n[variants.dials]\nsimulation = "dials"\n[variants.global]\n'
        'simulation = "global"\n'
    )
    done = hinterland("study", "s.toml", "--jobs", 2, "--only", "dials", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert hinterland("study", "s.toml", cwd=tmp_path).returncode == 2
    done = hinterland("study", "s.toml", "--resume", "--jobs", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "runs" / "study-s" / "report.html").read_text()
    assert "global" in page
    assert "n = 2" in page


def test_help_is_quick_and_complete() -> None:
    whole = hinterland("--help")
    assert whole.returncode == 0
    for command in "train evaluate study report watch check bench doctor".split():
        assert command in whole.stdout
        assert hinterland(command, "--help").returncode == 0
    text = hinterland("train", "--help").stdout
    assert "--refresh" in text
    assert "default: 128; preset paper: 1" in " ".join(text.split())
