"""What is read from disk is checked at the door: edited folders, names that lead away, targets.

One finished run is made once. Every case edits a copy of it and gives it to the commands. Each must
end with status 0 or 2 within its time, with one sentence and never with a traceback (an exception
that `main` lets through fails the test), and a command that refuses changes nothing in the folder.
To spare compiling, what would succeed is stopped by a last obstacle: an unknown opponent, or a
folder where the report's page should go. `report` has none and is played to its end.
"""

import contextlib
import gzip
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from hinterland.cli import main
from hinterland.cli.study import read_study
from hinterland.config import make_config
from hinterland.core.errors import UserError
from hinterland.core.names import as_file_name, printable
from hinterland.domains import load_domain
from hinterland.record import RunFolder, check_output, read_checkpoint, write_checkpoint
from hinterland.record.models import why_no_name
from hinterland.report import save_replay, write_report
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment
from hinterland.training.plan import Plan

SOURCE = str(Path(__file__).parents[1] / "src")
CONFIG = {
    "domain": "corridor", "agents": 2, "simulation": "dials", "network": "feed-forward",
    "predictor": "feed-forward", "hidden": 8, "trunk": 8, "predictor_hidden": 8, "copies": 8,
    "window": 8, "steps": 128, "refresh": 64,
}  # fmt: skip
SECONDS = 120
"""Of one command; what waits for ever is found out by this. All here take about one."""
ODD = "\x1b[31m\u202egnp.\ud800\n\x00"
"""A colour for terminals, a sign that turns the direction, half a character, a line's end."""
ANNOUNCED = ("evaluating (", "playing ")
REPLAY = {
    "title": "corridor", "seconds_per_frame": 0.2,
    "scene": {"width": 6, "height": 4, "shapes": [{"kind": "rect", "x": 0, "y": 1, "w": 2, "h": 2,
                                                    "fill": "#d9cfbd"}]},
    "frames": [[{"kind": "circle", "x": 1, "y": 2, "r": 0.4, "fill": "#d55e00"}]] * 2,
    "info": [{"step": t, "return": 0.5, "text": ""} for t in range(2)],
}  # fmt: skip

Edit = Callable[[Path], None]


def figures(level: float, **more: Any) -> dict[str, Any]:
    return {"return_mean": level, "return_std": 1.0, "return_ci95": 0.2, "episodes": 4, **more}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as its own parts write it: everything but the training itself."""
    path = tmp_path_factory.mktemp("door") / "run"
    config = make_config(CONFIG)
    domain = load_domain(config.domain, config.agents)
    manifest = {"command": ["hinterland", "train", "corridor"], "devices": ["cpu:0 cpu"]}
    with RunFolder.create(path, config.model_dump(exclude_none=True), manifest) as folder:
        experiment = Experiment(config, domain, LocalRuntime(devices=1), folder)

        def meet(state: Any, updates: int) -> Any:
            measured = {f"eval/sampled/{n}": x for n, x in figures(5.0 + updates).items()}
            measured = {name.replace("return_mean", "return"): x for name, x in measured.items()}
            experiment.log(updates, "evaluate", measured)
            predicted = {f"influence/cross_entropy/{n}": 0.5 for n in ("before", "after")}
            experiment.log(updates, "fit", predicted)
            return state

        def learn(state: Any, updates: int, stop: int) -> Any:
            experiment.log(stop, "train", {"train/steps_per_s": 100.0})
            return state

        plan = Plan(config, domain)
        state = plan.first_state()
        assert experiment.config.total_updates == 2
        experiment.in_stretches(state, 0, meet, learn)
        names = ("learned", "learned_greedy", "random", "heuristic")
        summary = experiment.summary({n: figures(6.0, policy=n) for n in names})
        folder.write_summary(summary)
        save_replay(REPLAY, path / "replay.json")
    (path / ".lock").unlink()
    (path / "report.html").mkdir()  # the last obstacle of `train --resume`
    return path


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is plotted; only the pictures of what was plotted are left out."""

    def savefig(_: Any, out: Any, **how: Any) -> None:
        out.write("<?xml?><svg></svg>" if how["format"] == "svg" else b"\x89PNG")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def state_of(folder: Path) -> dict[str, Any]:
    """Kind and content of all that lies in a folder."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name, small = path.relative_to(folder).as_posix(), path.lstat().st_size < 10**6
        found[name] = (stat.S_IFMT(mode), stat.S_ISREG(mode) and small and path.read_bytes())
    return found


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Tries:
    """Runs commands on edited folders and counts them."""

    def __init__(self, finished: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.finished, self.place, self.capsys = finished, place, capsys
        self.folders = self.commands = self.refused = 0

    def edited(self, edit: Edit) -> Path:
        run = self.place / f"case-{self.folders}"
        shutil.copytree(self.finished, run)
        edit(run)
        self.folders += 1
        return run

    def command(self, folder: Path, *words: object) -> tuple[int, str]:
        """(status, complaint); whoever refuses has changed nothing."""
        before = state_of(folder)
        with in_time():
            status = main([*map(str, words)])
        said = self.capsys.readouterr()
        lines = [x for x in said.err.splitlines() if not x.startswith(ANNOUNCED)]
        assert status in (0, 2), words
        assert status == 0 or len(lines) == 1, (words, lines)
        assert (said.out + said.err).replace("\n", "").isprintable(), (words, said)
        assert status == 0 or len(lines[0]) < 1000, lines
        assert state_of(folder) == before, (words, said)
        self.commands += 1
        self.refused += status == 2
        return status, lines[0] if lines else ""

    def all_of(self, run: Path, names: str) -> list[tuple[int, str]]:
        page = self.place / f"page-{self.folders}.html"
        commands: dict[str, list[object]] = {
            "report": ["report", run, "--out", page],
            "evaluate": ["evaluate", run, "--opponent", "nobody", "--devices", 1],
            "watch": ["watch", run, "--opponent", "nobody", "--out", page],
            "resume": ["train", "--resume", run, "--devices", 1],
            "export": ["export", "corridor", run, "--out", self.place / "submission"],
        }
        return [self.command(run, *commands[name]) for name in names.split()]


@pytest.fixture
def tries(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Tries]:
    made = Tries(finished, tmp_path, capsys)
    yield made
    print(f"{made.folders} folders, {made.commands} commands, {made.refused} refused")  # -rP shows


# --- whole files --------------------------------------------------------------------------------

CHECKPOINT = "checkpoints/step-000000000128.safetensors"
FILES = ("config.toml", "manifest.json", "metrics.jsonl", "summary.json", "replay.json", CHECKPOINT)


EVERY = "report evaluate watch resume export"


def put(content: bytes) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_bytes(content)

    return edit


def change(function: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: put(function(path.read_bytes()))(path)


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.unlink()
        make(path)

    return edit


def grown(path: Path) -> None:
    os.truncate(path, 10**13)


WHOLE: dict[str, Callable[[Path], None]] = {
    "empty": put(b""),
    "half": change(lambda x: x[: len(x) // 2]),
    "without its first byte": change(lambda x: x[1:]),
    "not UTF-8": change(lambda x: x[:20] + b"\xff\xfe" + x[20:]),
    "NUL bytes": change(lambda x: b"\0" * 64 + x),
    "a byte order mark": change(lambda x: b"\xef\xbb\xbf" + x),
    "FIFO": instead(os.mkfifo),
    "folder": instead(Path.mkdir),
    "link to itself": instead(lambda path: path.symlink_to(path)),
    "endless device": instead(lambda path: path.symlink_to("/dev/zero")),
    "terminal": instead(lambda path: path.symlink_to("/dev/tty")),
    "gone": lambda path: path.unlink(),
    "larger than any disk": grown,
    "deep": put(b"[" * 200_000),
    "deep and closed": put(b'{"a":' * 500 + b"1" + b"}" * 500),
    "a list": put(b"[1]\n"),
    "a text": put(b'"x"\n'),
    "null": put(b"null\n"),
    "a number": put(b"1e400\n"),
    "digits": put(b"9" * 6000 + b"\n"),
    "deep tables": put(b"a" + b".a" * 5000 + b" = 1\n"),
    "deep arrays": put(b"a = " + b"[" * 5000 + b"]" * 5000 + b"\n"),
}


@pytest.mark.parametrize(
    ("file", "commands"),
    [("config.toml", EVERY), ("manifest.json", EVERY), ("metrics.jsonl", "report resume"),
     ("summary.json", "report resume"), ("replay.json", "report"), (CHECKPOINT, EVERY[7:])],
)  # fmt: skip
def test_whole_files(tries: Tries, quick_figures: None, file: str, commands: str) -> None:
    for name, edit in WHOLE.items():
        if name == "larger than any disk" and not _sparse(tries.place):
            continue
        run = tries.edited(lambda folder, edit=edit: edit(folder / file))
        results = tries.all_of(run, commands)
        if file in ("config.toml", "manifest.json"):
            assert all(status == 2 for status, _ in results), (name, results)
        if file == CHECKPOINT and name != "gone":
            assert all("checkpoint" in said for _, said in results[:2]), (name, results)
        shutil.rmtree(run)
    assert tries.folders >= 21
    assert tries.refused >= 16


def _sparse(place: Path) -> bool:
    try:
        with open(place / "sparse", "wb") as file:
            file.truncate(10**13)
    except OSError:
        return False
    return True


# --- each key of each file ----------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "text": "x", "null": None, "list": [1], "table": {"a": 1}, "negative": -1, "half": 0.5,
    "large": 1e300, "true": True, "long": 10**15, "odd": ODD, "path": "../../x", "empty": "",
}  # fmt: skip


def paths_in(value: Any, depth: int = 3) -> Iterator[tuple[Any, ...]]:
    """Every place in tables (and in the first entry of lists)."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for name, one in inner:
        yield (name,)
        if isinstance(one, dict | list) and depth > 1:
            yield from ((name, *path) for path in paths_in(one, depth - 1))


def edits_of(value: Any) -> Iterator[Any]:
    """Copies of a value in which one thing is removed, or of another type or size."""
    for path in paths_in(value):
        for change in ("remove", *VALUES):
            copy = json.loads(json.dumps(value))
            inside = copy
            for step in path[:-1]:
                inside = inside[step]
            if change == "remove":
                del inside[path[-1]]
            elif inside[path[-1]] != VALUES[change]:
                inside[path[-1]] = VALUES[change]
            else:
                continue
            yield copy
    if isinstance(value, dict):
        for one in VALUES.values():
            yield {**value, "unheard of": one}
            yield {**value, ODD: one}


def _each(values: list[Any], most: int) -> list[Any]:
    """So many of them, evenly spread."""
    return values[:: max(1, len(values) // most)]


@pytest.mark.parametrize(
    ("file", "commands", "most"),
    [("manifest.json", "report evaluate", 35), ("summary.json", "report resume", 60),
     ("replay.json", "report", 50), ("metrics.jsonl", "report resume", 50)],
)  # fmt: skip
def test_keys_of_json(
    tries: Tries, quick_figures: None, file: str, commands: str, most: int
) -> None:
    text = (tries.finished / file).read_text()
    lines = text.splitlines() if file == "metrics.jsonl" else [text]
    for edited in _each(list(edits_of(json.loads(lines[-1]))), most):
        content = "\n".join([*lines[:-1], json.dumps(edited)]) + "\n"
        run = tries.edited(lambda folder, content=content: put(content.encode())(folder / file))
        tries.all_of(run, commands)
        shutil.rmtree(run)
    assert tries.folders >= most * 0.8
    assert tries.refused >= tries.folders // 5


def test_keys_of_the_configuration(tries: Tries, quick_figures: None) -> None:
    config = RunFolder.read(tries.finished).config
    for edited in _each(list(edits_of(config)), 50):
        with contextlib.suppress(TypeError, UnicodeEncodeError):  # what TOML has no way to say
            content = tomli_w.dumps(edited).encode()
            run = tries.edited(lambda folder, x=content: put(x)(folder / "config.toml"))
            results = tries.all_of(run, "report evaluate resume")
            assert results[2][0] == 2 or "is finished" in results[2][1]
            shutil.rmtree(run)
    assert tries.folders >= 40


def test_keys_of_checkpoints(tries: Tries) -> None:
    """With checksums that are right again, as an old version or a tool would leave them."""
    arrays, meta = read_checkpoint(tries.finished / CHECKPOINT)
    given = {n: x for n, x in meta.items() if n not in ("format", "sha256", "meta_sha256")}
    given["config"] = {"domain": "corridor"}
    for edited in _each(list(edits_of(given)), 40):
        edited.setdefault("config", meta["config"])
        if edited["config"] == {"domain": "corridor"}:
            edited["config"] = meta["config"]

        def edit(run: Path, edited: Any = edited) -> None:
            write_checkpoint(run / CHECKPOINT, arrays, edited)
            (run / "summary.json").unlink()

        run = tries.edited(edit)
        assert all(status == 2 for status, _ in tries.all_of(run, "evaluate resume"))
        shutil.rmtree(run)
    assert tries.folders >= 35


def test_arrays_of_checkpoints(tries: Tries) -> None:
    """What resume refuses, evaluate, watch and export refuse in the same words."""
    arrays, meta = read_checkpoint(tries.finished / CHECKPOINT)
    for number, (name, array) in enumerate(arrays.items()):
        odd: list[tuple[str, np.ndarray]] = [
            ("does not fit", array[..., None]),
            ("does not fit", array.astype(np.float64)),
            ("does not fit", array[:1]),
            ("does not fit", np.array(0, array.dtype)),
        ][number % 4 :: 4]
        if array.dtype.kind == "f" and array.size and name.startswith(".learners[0].network"):
            odd.append(("not finite", np.full_like(array, np.nan)))
        for what, other in odd:

            def edit(run: Path, name: str = name, other: Any = other) -> None:
                write_checkpoint(run / CHECKPOINT, arrays | {name: other}, meta)
                (run / "summary.json").unlink()

            results = tries.all_of(run := tries.edited(edit), "evaluate resume")
            said = {text.partition(": ")[2] for _, text in results}
            assert len(said) == 1, (name, what, said)
            assert all(word in min(said) for word in (what, name)), (name, what, said)
            shutil.rmtree(run)
    for changed in ({**arrays, ".learners.evil": arrays[".learners[0].updates"]}, dict(arrays)):
        changed.pop(".places[0].copies.clock", None) if ".learners.evil" not in changed else None

        def edit(run: Path, changed: Any = changed) -> None:
            write_checkpoint(run / CHECKPOINT, changed, meta)
            (run / "summary.json").unlink()

        results = tries.all_of(tries.edited(edit), "evaluate watch resume export")
        assert all("does not fit" in said for _, said in results), results
    assert tries.folders >= 40


def test_headers_of_checkpoints(tries: Tries) -> None:
    good = (tries.finished / CHECKPOINT).read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    name = ".learners[0].updates"

    def with_header(made: Any) -> bytes:
        text = made if isinstance(made, bytes) else json.dumps(made).encode()
        return len(text).to_bytes(8, "little") + text + good[8 + length :]

    contents = [
        *(n.to_bytes(8, "little") + good[8:] for n in (0, 2, length - 1, length + 8, 2**40, 2**63)),
        with_header(b'{"a":' * 100_000),
        *(with_header(header | {name: header[name] | x}) for x in (
            {"shape": [2**62, 2**62]}, {"shape": [2**64, 0]}, {"shape": [-1]}, {"dtype": "F8_E5M2"},
            {"dtype": "x"}, {"data_offsets": [0, 2**60]}, {"data_offsets": [8, 0]}, {"shape": []},
        )),
        with_header(header | {"__metadata__": {"hinterland": "[" * 5000}}),
        with_header(header | {"__metadata__": {"hinterland": '{"format": 1e999}'}}),
        with_header(header | {"__metadata__": {"hinterland": '{"format": [1], "sha256": 3}'}}),
        with_header(header | {"__metadata__": {}}),
    ]  # fmt: skip
    for content in contents:
        run = tries.edited(lambda folder, x=content: put(x)(folder / CHECKPOINT))
        results = tries.all_of(run, "evaluate watch export")
        assert all("heckpoint" in said for _, said in results), results
        shutil.rmtree(run)


def test_a_page_is_drawn_of_odd_figures_too(tries: Tries) -> None:
    """With pictures: the largest and the smallest that the door lets in."""
    for value in (1e100, 5e-324):

        def edit(run: Path, value: float = value) -> None:
            lines = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
            odd = [
                {n: value if isinstance(x, float) else x for n, x in line.items()} for line in lines
            ]
            (run / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in odd))

        assert tries.all_of(tries.edited(edit), "report") == [(0, "")]


# --- a refused resume ---------------------------------------------------------------------------


def test_a_refused_resume_leaves_every_byte(tries: Tries) -> None:
    """Half-written files and torn lines too, which a resume that goes on removes."""

    def torn(run: Path) -> None:
        (run / "summary.json").unlink()
        with open(run / "metrics.jsonl", "ab") as file:
            file.write(b'{"step": 12')
        (run / ".summary.json.tmp").write_text("half")
        (run / "checkpoints" / ".step-000000000192.safetensors.tmp").write_text("half")

    arrays, meta = read_checkpoint(tries.finished / CHECKPOINT)
    reasons: dict[str, tuple[Edit, str]] = {
        "the page's place": (lambda _: None, "is no file"),
        "shape": (
            lambda run: write_checkpoint(
                run / CHECKPOINT, arrays | {".places[0].copies.clock": np.zeros(3)}, meta
            ),
            "does not fit",
        ),
        "fewer lines": (lambda run: put(b"")(run / "metrics.jsonl"), "its checkpoint was written"),
        "updates": (
            lambda run: write_checkpoint(run / CHECKPOINT, arrays, {**meta, "updates": 7}),
            "after 7 updates",
        ),
        "checkpoints": (lambda run: (run / "checkpoints").rename(run / "moved"), "is no file"),
        "no folder": (
            lambda run: (shutil.rmtree(run / "checkpoints"), put(b"")(run / "checkpoints")),
            "cannot read",
        ),
        "lock": (lambda run: (run / ".lock").mkdir(), "cannot write in run folder"),
    }
    for reason, words in reasons.values():
        run = tries.edited(lambda folder, reason=reason: (torn(folder), reason(folder)))
        ((status, said),) = tries.all_of(run, "resume")
        assert status == 2
        assert words in said
        assert not (run / ".lock").is_file()
    locked = tries.edited(lambda folder: (torn(folder), (folder / ".lock").touch()))
    tries.all_of(locked, "resume")
    assert (locked / ".lock").exists(), "it was there before"


def test_two_who_open_and_refuse_leave_no_gap(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    first = RunFolder.open(run)
    with pytest.raises(UserError, match="in use by another process"):
        RunFolder.open(run)
    assert (run / ".lock").exists()
    first.close()
    assert not (run / ".lock").exists()
    second = RunFolder.open(run)
    second.truncate_metrics(3)
    second.close()
    assert (run / ".lock").exists()
    assert len(RunFolder.read(run).metrics()) == 3


# --- where something of another kind lies -------------------------------------------------------

PAGE_START = b'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'


@pytest.mark.parametrize("command", ["report", "watch", "gif"])
def test_nothing_of_another_kind_is_replaced(tries: Tries, command: str) -> None:
    run = tries.edited(lambda _: None)
    (run / "report.html").rmdir()
    (run / "notes").mkdir()
    own = [run / x for x in (*FILES, ".lock", "checkpoints/x.html", "checkpoints", ".")]
    ending = ".gif" if command == "gif" else ".html"
    taken = {
        "thesis": b"<!doctype html><title>My thesis</title>",
        "page": b"GIF89a" if ending == ".html" else PAGE_START,
        "text": b"PK\3\4",
    }
    targets = [*own, run / "config.toml" / f"x{ending}"]
    for name, content in taken.items():
        targets.append(tries.place / f"{name}{ending}")
        targets[-1].write_bytes(content)
    for name, make in (("fifo", os.mkfifo), ("folder", Path.mkdir)):
        targets.append(tries.place / f"{name}{ending}")
        make(targets[-1])
    for name, to in (
        ("zero", "/dev/zero"),
        ("config", run / "config.toml"),
        ("loop", "loop" + ending),
    ):
        targets.append(tries.place / f"{name}{ending}")
        targets[-1].symlink_to(to)
    outside = state_of(tries.place)
    for target in targets:
        words = [command.replace("gif", "watch"), run, "--out", target]
        status, said = tries.command(run, *words)
        assert status == 2, target
        assert "--out" in said or "could not write" in said or "must end" in said, said
    assert state_of(tries.place) == outside
    assert len(targets) >= 16


def test_the_pages_figures_replace_figures_only(tries: Tries, quick_figures: None) -> None:
    run = tries.edited(lambda _: None)
    place = tries.place / "beside"
    for name, content in (("learning.svg", b"my drawing"), ("memory.md", b"# Memories"),
                          ("returns.csv", b"a;b"), ("learning-x-4.png", b"GIF89a")):  # fmt: skip
        (place / "report").mkdir(parents=True)
        (place / "report" / name).write_bytes(content)
        status, said = tries.command(place, "report", run, "--out", place / "page.html")
        assert (status, f"{name} is there already" in said) == (2, True), said
        shutil.rmtree(place)
    place.mkdir()
    (place / "report").write_text("a file")
    assert tries.command(place, "report", run, "--out", place / "page.html")[0] == 2
    (place / "report").unlink()
    (place / "report").mkdir()
    (place / "report" / "notes.md").write_text("mine")
    for _ in range(2):  # a page and figures of ours may be replaced
        assert main(["report", str(run), "--out", str(place / "page.html")]) == 0
    assert (place / "report" / "notes.md").read_text() == "mine"
    assert not list(place.rglob("*.tmp"))


def test_what_fails_leaves_the_old_page(
    tries: Tries, quick_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, page = tries.edited(lambda _: None), tries.place / "page.html"
    write_report([run], page)
    before = page.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    assert tries.command(run, "report", run, "--out", page)[0] == 2
    assert page.read_bytes() == before
    assert not list(tries.place.rglob("*.tmp"))


def test_export_and_studies_ask_before_they_work(tries: Tries) -> None:
    run = tries.edited(lambda _: None)
    (tries.place / "full").mkdir()
    (tries.place / "full" / "x").touch()
    os.mkfifo(tries.place / "fifo")
    for out in ("full", "fifo", "full/x", "full/x/y", run):
        status, said = tries.command(run, "export", "corridor", run, "--out", out)
        assert (status, "no competition" in said) == (2, False), said
    study = tries.place / "s.toml"
    study.write_text(tomli_w.dumps(STUDY))
    for name in ("report.html", "report"):
        folder = tries.place / "study"
        folder.mkdir()
        shutil.copy(study, folder / "study.toml")
        (folder / name).write_text("mine")
        assert tries.command(folder, "study", study, "--out", folder, "--resume")[0] == 2
        shutil.rmtree(folder)


# --- names that become paths --------------------------------------------------------------------

STUDY: dict[str, Any] = {
    "name": "s", "title": "t", "seeds": [0, 1], "base": {"domain": "corridor", "agents": 2},
    "variants": {"one": {"simulation": "dials"}, "two": {"simulation": "global"}},
}  # fmt: skip
NAMES = ["../x", "/tmp/x", "..", ".", "", " ", "a/b", "a\\b", "-x", ".hidden", "x" * 101, "a\nb",
         "\x1b[31m", "\u202eabc", "a\x00b", " x", "x "]  # fmt: skip


def test_names_of_studies(tries: Tries) -> None:
    for name in NAMES:
        for study in ({**STUDY, "name": name}, {**STUDY, "variants": {name: {}}}):
            Path("s.toml").write_text(tomli_w.dumps(study))
            before = state_of(tries.place)
            assert tries.command(tries.place, "study", "s.toml")[0] == 2, name
            assert state_of(tries.place) == before
            tries.folders += 1
    for name in ("dials", "mod-4", "a b", "größer", "F=4M", "2s3z", "a.b"):
        assert why_no_name(name) == ""


def test_keys_of_studies(tries: Tries) -> None:
    for study in edits_of(STUDY):
        with contextlib.suppress(TypeError, UnicodeEncodeError, AttributeError):
            Path("s.toml").write_text(tomli_w.dumps(study))
            if not _runs(Path("s.toml")):
                assert tries.command(tries.place, "study", "s.toml")[0] == 2, study
                tries.folders += 1
    for edit in WHOLE.values():
        if edit is grown:
            continue
        Path("s.toml").unlink(missing_ok=True)
        with contextlib.suppress(IsADirectoryError):
            Path("s.toml").write_text(tomli_w.dumps(STUDY))
        edit(Path("s.toml"))
        assert tries.command(tries.place, "study", "s.toml")[0] == 2
        tries.folders += 1
        if Path("s.toml").is_dir():
            Path("s.toml").rmdir()
    for seeds in ("", "x", "1,1", "²", "9" * 30, "1,-1", "1e400"):
        Path("s.toml").write_text(tomli_w.dumps(STUDY))
        assert tries.command(tries.place, "study", "s.toml", "--seeds", seeds)[0] == 2
    assert tries.folders >= 100


def _runs(file: Path) -> bool:
    """Whether a study would start: then the edit did no harm."""
    with contextlib.suppress(UserError):
        read_study(file, file.read_bytes())
        return True
    return False


def test_a_domains_name_leads_nowhere(tries: Tries, quick_figures: None) -> None:
    """Its figures are named after it where there are several systems."""
    for name in ("../../x", "/tmp/x", "a:b.c", "..", ODD.replace("\ud800", ""), "x" * 300, "<b>"):

        def edit(run: Path, name: str = name) -> None:
            config = {**RunFolder.read(run).config, "domain": name}
            (run / "config.toml").write_text(tomli_w.dumps(config))

        other, page = tries.edited(edit), tries.place / "pages" / "page.html"
        before = {x for x in tries.place.rglob("*") if "pages" not in x.parts}
        assert main(["report", str(tries.finished), str(other), "--out", str(page)]) == 0
        assert {x for x in tries.place.rglob("*") if "pages" not in x.parts} == before
        assert {x.parent.name for x in page.parent.rglob("*.svg")} == {"report"}
        assert page.read_text().replace("\n", "").isprintable()


def test_file_names_are_plain_words() -> None:
    for name in (*NAMES, ODD, "my.module:factory", "größe" * 50):
        made = as_file_name(name)
        assert made == Path(made).name
        assert not why_no_name(made), (name, made)
        assert len(made.encode()) <= 100
    assert as_file_name("my.module:factory") == "my-module-factory"
    assert as_file_name("corridor") == "corridor"
    assert printable("größer – ±") == "größer – ±"
    assert printable(ODD) == r"\x1b[31m\u202egnp.\ud800\n\x00"


# --- read-only folders and unreadable files -----------------------------------------------------


@pytest.fixture
def stranger() -> list[str]:
    """A command in front of another that runs it as nobody; for who runs tests as himself, none."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to become somebody else")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_what_cannot_be_written_or_read_is_one_sentence(
    finished: Path, stranger: list[str]
) -> None:
    """As another user, in processes of its own, for permissions do not bind root."""
    import tempfile

    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are closed to others
        place = Path(made)
        place.chmod(0o755)
        run = place / "run"
        shutil.copytree(finished, run)
        (run / "report.html").rmdir()
        (place / "free").mkdir()
        (place / "free").chmod(0o777)
        for path in run.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        run.chmod(0o555)
        hidden = place / "hidden"
        shutil.copytree(finished, hidden)
        (hidden / "metrics.jsonl").chmod(0)
        (hidden / "summary.json").unlink()
        code = (
            "import sys\nfrom hinterland.cli import main\n"
            "for line in sys.stdin:\n    print(main(line.split()), flush=True)\n"
        )
        lines = [
            f"report {run}", f"watch {run}", f"report {run} --out {place}/free/page.html",
            f"watch {run} --opponent nobody --out {place}/free/replay.html",
            f"report {hidden} --out page.html",
            f"train --resume {hidden}", f"train --resume {run}",
            f"export corridor {run} --out {run}/x",
        ]  # fmt: skip
        before = state_of(run)
        done = subprocess.run(
            [*stranger, sys.executable, "-c", code],
            input="\n".join(lines), capture_output=True, text=True, timeout=300, cwd=place / "free",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, "JAX_PLATFORMS": "cpu",
                 "HINTERLAND_CACHE": "off", "HOME": str(place / "free")},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        statuses = [x for x in done.stdout.splitlines() if x.isdecimal()]
        assert statuses == ["2", "2", "0", "2", "2", "2", "0", "2"], (done.stdout, done.stderr)
        said = [x for x in done.stderr.splitlines() if x.startswith("hinterland ")]
        for text, words in zip(
            said,
            ("with --out", "with --out", "--opponent", "metrics.jsonl: Permission denied",
             "cannot write in run folder", "cannot be written"),
            strict=True,
        ):  # fmt: skip
            assert words in text
        assert (place / "free" / "report" / "learning.svg").is_file()
        assert state_of(run) == before
        run.chmod(0o755)
        (run / "checkpoints").chmod(0o755)


# --- networks -----------------------------------------------------------------------------------


def test_a_small_network_does_not_become_a_large_one(tmp_path: Path) -> None:
    from hinterland.domains.traffic.netfile import read_network

    def packed(*pieces: tuple[bytes, int]) -> Path:
        path = tmp_path / "a.net.xml.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            for piece, times in pieces:
                for _ in range(times):
                    file.write(piece)
        return path

    spaces = b" " * 1_000_000
    for path in (
        packed((b"<net><edge id='", 1), (spaces, 300)),
        packed((b"<net>", 1), (b"<edge/>" * 10_000 + spaces * 3, 40)),
        packed((b"<net><!--", 1), (spaces, 300)),
    ):
        began = time.process_time()
        with pytest.raises(UserError, match="is too large"):
            read_network(path)
        assert time.process_time() - began < 15
    for make in (
        os.mkfifo,
        Path.mkdir,
        lambda x: x.symlink_to("/dev/zero"),
        lambda x: x.symlink_to(x),
    ):
        for name in ("b.net.xml", "b.net.xml.gz"):
            path = tmp_path / name
            make(path)
            with pytest.raises(UserError), in_time():
                read_network(path)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_configurations_given_by_hand(tries: Tries) -> None:
    for name, edit in WHOLE.items():
        path = Path("c.toml")
        path.write_text(tomli_w.dumps(CONFIG))
        if edit is not grown or _sparse(tries.place):
            edit(path)
            assert tries.command(tries.place, "train", "--config", path)[0] == 2, name
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def test_outputs_are_known_by_how_they_begin(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    check_output(page, b"<!doctype")
    page.touch()
    check_output(page, b"<!doctype")
    page.write_text("<!doctype html>")
    check_output(page, b"<!doctype")
    with pytest.raises(UserError, match="of another kind; choose another file with --out"):
        check_output(page, b"GIF8")
    with pytest.raises(UserError, match="is not a folder"):
        check_output(page / "x.html", b"<!doctype")
    for name in ("\0", "x" * 300):
        with pytest.raises(UserError):
            check_output(tmp_path / name, b"<!doctype")
