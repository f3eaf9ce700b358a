"""Paths, names of modules, environment variables, terminals and signals: one sentence, never more.

Each table is one kind of surroundings; the file counts its cases.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hinterland.cli import main
from runs import TINY_DIALS
from test_report import make_run

TINY = (*TINY_DIALS, "--simulation", "global", "--agents", "2", "--steps", "32",
        "--final-episodes", "2", "--evaluations", "1")  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder, but for its checkpoints."""
    return make_run(tmp_path_factory.mktemp("surroundings") / "run")


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for caches of compiled modules."""
    files = (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence with which a command refuses its arguments."""
    assert main(arguments) == 2
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if not line.startswith(("checking", "evaluating", "playing"))]
    assert len(lines) == 1, lines
    return lines[0]


# --- Paths

NOT_TO_BE_SAID = {
    "long": "x" * 300,
    "long path": "/".join(["x" * 200] * 30),
    "NUL": "a\0b",
    "surrogate": "a\udcffb",
    "control": "a\x1b[2Jb",
    "newline": "a\nb",
    "empty": "",
    "nobody": "~nobody-of-that-name/x",
}
"""Refused by their sight."""
OF_ANOTHER_KIND = ("missing", "file", "file/x", "broken", "loop", "folder")
"""Refused where they are used: see `places`; a folder where a file is wanted."""
PATH_OPTIONS: dict[str, tuple[Callable[[str, str], list[str]], tuple[str, ...]]] = {
    # (arguments from the path and the finished run, kinds that are right or made there)
    "train --out": (lambda path, run: ["train", *TINY, "--out", path], ("missing", "folder")),
    "train --resume": (lambda path, run: ["train", "--resume", path], ()),
    "train --config": (lambda path, run: ["train", "--config", path], ()),
    "train --net": (lambda path, run: ["train", "traffic", "--net", path, "--routes", path], ()),
    "evaluate": (lambda path, run: ["evaluate", path], ()),
    "report": (lambda path, run: ["report", path], ()),
    "report --out": (lambda path, run: ["report", run, "--out", path], ("missing", "broken", "file")),
    "watch": (lambda path, run: ["watch", path], ()),
    # What lies there is looked at when the episode was played.
    "watch --out": (lambda path, run: ["watch", run, "--out", path], OF_ANOTHER_KIND),
    "watch --replay": (lambda path, run: ["watch", run, "--replay", path], OF_ANOTHER_KIND),
    "export": (lambda path, run: ["export", "lux", path], ()),
    "export --out": (lambda path, run: ["export", "warehouse", run, "--out", path], OF_ANOTHER_KIND),
    "study": (lambda path, run: ["study", path], ()),
    "study --out": (lambda path, run: ["study", "study.toml", "--out", path], ("missing", "folder")),
}  # fmt: skip
STUDY = """
name = "s"
seeds = [0]
[base]
domain = "corridor"
[variants.a]
simulation = "dials"
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One path of each kind in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("neither TOML {{ nor XML")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to("nowhere/at/all")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


@pytest.mark.parametrize("option", PATH_OPTIONS)
def test_a_path_that_is_none_is_refused_and_nothing_written(
    option: str, finished: Path, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, right = PATH_OPTIONS[option]
    before, run_before = listing(places), listing(finished)
    for path in (*NOT_TO_BE_SAID.values(), *(x for x in OF_ANOTHER_KIND if x not in right)):
        sentence = refused(capsys, *arguments(path, str(finished)))
        assert sentence.isprintable(), path
        assert listing(places) == before, path
        assert listing(finished) == run_before, path
