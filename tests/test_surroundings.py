"""Paths, names of modules, environment variables, terminals and signals: one sentence, never more.

Each table is one kind of surroundings; the file counts its cases.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hinterland.cli import main
from hinterland.domains.host import HostProcess
from hinterland.domains.scratch import remove_abandoned, scratch
from runs import wait_for
from test_report import make_run

GLOBAL = (
    "corridor", "--simulation", "global", "--agents", "2", "--network", "feed-forward",
    "--hidden", "8", "--trunk", "8", "--copies", "8", "--evaluate-episodes", "4",
)  # fmt: skip
TINY = (*GLOBAL, "--steps", "32", "--final-episodes", "2", "--evaluations", "1")

COUNTS = (182, 110, 37)
"""Paths, names and variables that are tried, each with a command."""


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
    "train --sumocfg": (lambda path, run: ["train", "traffic", "--sumocfg", path], ()),
    "evaluate": (lambda path, run: ["evaluate", path], ()),
    "report": (lambda path, run: ["report", path], ()),
    # What lies there is looked at when all has been drawn, or played.
    "report --out": (lambda path, run: ["report", run, "--out", path], OF_ANOTHER_KIND),
    "watch": (lambda path, run: ["watch", path], ()),
    "watch --out": (lambda path, run: ["watch", run, "--out", path], OF_ANOTHER_KIND),
    "watch --replay": (lambda path, run: ["watch", run, "--replay", path], OF_ANOTHER_KIND),
    "export": (lambda path, run: ["export", "lux", path], ()),
    "export --out": (lambda path, run: ["export", "lux", run, "--out", path], OF_ANOTHER_KIND),
    "study": (lambda path, run: ["study", path], ()),
    "study --out": (lambda path, run: ["study", "a.toml", "--out", path], ("missing", "folder")),
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
    (tmp_path / "a.toml").write_text(STUDY)
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


# --- MODULE:NAME

MODULES = {
    "odd_good": """
from hinterland.domains.corridor import Corridor

number = 3

def none(agents): return None
def kind(agents): return Corridor
def text(agents): return "x"
def two(agents, other): return Corridor(agents)
def zero(): return Corridor(2)
def keyword(*, agents): return Corridor(agents)
def leaves(agents): raise SystemExit(0)
def empty(): return object()
""",
    "odd_syntax": "def f(:",
    "odd_raising": "raise ValueError('first line\\nsecond line')",
    "odd_leaving": "raise SystemExit(0)",
    "odd_missing": "import nowhere_at_all",
}
FORMS = {
    **dict.fromkeys((":f", "m:", ":", "m:a:b", "../x:f", "a/b:f", "x.py:f", "./odd_good.py:none",
                     "a b:f", "a:b c", "a\0b:f", "a:\0", "\udcff:f", "a:\udcff", "..:f", "....:",
                     ".x:f", "m.:f", "1:2", "a\nb:f"), "must be MODULE:NAME"),
    "nowhere_at_all:f": "No module named 'nowhere_at_all'",
    "odd_good:missing": "has no function 'missing'",
    "odd_good:number": "'number' is 'int' and no function",
    "math:pi": "'pi' is 'float' and no function",
    "odd_syntax:f": "odd_syntax.py, line 1",
    "odd_raising:f": "ValueError: first line",
    "odd_leaving:f": "SystemExit",
    "odd_missing:f": "No module named 'nowhere_at_all'",
}  # fmt: skip
"""Of domains and of environments: what is given, words of the sentence."""
FACTORIES = {
    "odd_good:none": "returned None and no domain",
    "odd_good:kind": "returned the class Corridor and no domain",
    "odd_good:text": "returned 'str' and no domain",
    "odd_good:two": "missing 1 required positional argument: 'other'",
    "odd_good:zero": "takes 0 positional arguments",
    "odd_good:keyword": "takes 0 positional arguments",
    "odd_good:leaves": "SystemExit",
    "math:floor": "returned 'int' and no domain",
    "builtins:print": "returned None and no domain",
    "json:loads": "TypeError",
    "json:JSONDecoder": "TypeError",
    "os:system": "TypeError",
    "builtins:exit": "SystemExit",
    "": "is not known",
    "corridors": "is not known",
}
ENVIRONMENTS = {"odd_good:empty": "object has no 'possible_agents'", "odd_good:two": "missing 2"}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder has them, for this test and for its processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("command", ["check", "train"])
def test_a_name_of_no_domain_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in {**FORMS, **FACTORIES}.items():
        sentence = refused(capsys, command, name, "--agents", "2")
        assert words in sentence, name
        assert sentence.isprintable(), name


@pytest.mark.usefixtures("modules")
def test_a_name_of_no_environment_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in {**FORMS, **ENVIRONMENTS}.items():
        # Forms are seen here; for the rest a process is started, of which a few show it.
        if words == FORMS[":f"] or name in (*ENVIRONMENTS, "odd_raising:f", "math:pi"):
            sentence = refused(capsys, "train", "pettingzoo", "--env", name)
            assert words in sentence, name
            assert sentence.isprintable(), name


# --- Environment variables, terminals, folders

JAX_VARIABLES = {
    "JAX_PLATFORMS=nonsense": "JAX_PLATFORMS='nonsense'",
    "JAX_PLATFORMS=cuda": "JAX_PLATFORMS='cuda'",
    "JAX_ENABLE_X64=maybe": "JAX_ENABLE_X64",
    "JAX_DISABLE_JIT=1": "JAX_DISABLE_JIT",
    "JAX_NUM_CPU_DEVICES=nonsense": "jax_num_cpu_devices",
    "XLA_FLAGS=--nonsense": "XLA_FLAGS='--nonsense'",
}
"""What is refused, and words of the sentence."""
HARMLESS = {
    "doctor": ("TERM=dumb", "COLUMNS=1", "OMP_NUM_THREADS=nonsense", "NPROC=nonsense",
               "HOME=/dev/null", "HINTERLAND_CACHE=/dev/null", "TMPDIR=/dev/null",
               "JAX_NUM_CPU_DEVICES=-1", "JAX_DEBUG_NANS=1", "JAX_ENABLE_X64=1",
               "PYTHONOPTIMIZE=2"),
    "report RUN": ("TERM=dumb", "COLUMNS=1", "MPLBACKEND=nonsense", "MPLCONFIGDIR=/dev/null/x",
                   "XDG_CACHE_HOME=/dev/null", "TMPDIR=/nowhere", "PYTHONIOENCODING=ascii"),
    "train --help": ("COLUMNS=1", "PYTHONIOENCODING=latin-1"),
}  # fmt: skip
"""All at once: none of them changes anything."""
STREAMS = {
    # (what the shell adds, environment, exit status, words on what is left of the streams)
    "ascii": ("", "PYTHONIOENCODING=ascii", 0, "+/- 0.25"),
    "latin-1": ("", "PYTHONIOENCODING=latin-1", 0, "± 0.25"),
    "posix": ("", "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0", 0, "+/- 0.25"),
    "no input": ("<&-", "", 0, "± 0.25"),
    "no output": (">&-", "", 0, "is finished"),
    "no error": ("2>&-", "", 0, "± 0.25"),
    "nothing": ("<&- >&- 2>&-", "", 0, ""),
    "full output": (">/dev/full", "", 2, "standard output cannot be written: No space left"),
    "full error": ("2>/dev/full", "", 0, "± 0.25"),
    "few files": ("", "ulimit=16", 0, "± 0.25"),
    "no folder": ("", "gone=1", 0, "± 0.25"),
}


def command(
    *arguments: str, environment: str = "", before: str = "", after: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """A command in a shell of its own, with more of an environment."""
    words = " ".join(f"'{word}'" for word in arguments)
    line = f"{before} exec '{sys.executable}' -m hinterland {words} {after}"
    chosen = dict(pair.split("=", 1) for pair in environment.split())
    return subprocess.run(
        ["bash", "-c", line], env={**os.environ, **chosen}, capture_output=True, timeout=120
    )


@pytest.mark.parametrize("variable", JAX_VARIABLES)
def test_a_variable_that_keeps_jax_from_starting_is_named(variable: str) -> None:
    done = command("doctor", environment=variable)
    said = done.stderr.decode().splitlines()
    assert done.returncode == 2, said
    assert len(said) == 1, said
    assert JAX_VARIABLES[variable] in said[0]


@pytest.mark.parametrize("what", HARMLESS)
def test_a_variable_that_is_none_of_our_business_changes_nothing(what: str, finished: Path) -> None:
    words = [str(finished) if word == "RUN" else word for word in what.split()]
    done = command(*words, environment=" ".join(HARMLESS[what]))
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", STREAMS)
def test_results_are_said_on_any_terminal(name: str, finished: Path, tmp_path: Path) -> None:
    after, environment, status, words = STREAMS[name]
    before = ""
    if environment.startswith("ulimit"):
        before = f"ulimit -n {environment.partition('=')[2]};"
    if environment.startswith("gone"):
        (tmp_path / "gone").mkdir()
        before = f"cd '{tmp_path / 'gone'}'; rmdir '{tmp_path / 'gone'}';"
    done = command(
        "train", "--resume", str(finished), after=after, before=before, environment=environment
    )
    said = (done.stdout + done.stderr).decode("latin-1" if name == "latin-1" else "utf-8")
    assert done.returncode == status, said
    assert words in said
    assert "Traceback" not in said
    assert "Exception" not in said


def test_numbers_have_32_bits_whatever_the_environment_says() -> None:
    import jax

    from hinterland.api.start import make_runtime

    jax.config.update("jax_enable_x64", True)
    make_runtime(None)
    assert not jax.config.values["jax_enable_x64"]


# --- Signals

ENDLESS = (*GLOBAL, "--steps", "10M", "--evaluate-every", "640", "--no-report")


def started(*arguments: str) -> subprocess.Popen[str]:
    """A command in a session of its own, as one in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "hinterland", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], *signals: tuple[float, signal.Signals]) -> str:
    """What a process says that gets these signals, each after some seconds; it ends with them."""
    began = time.monotonic()
    for seconds, number in signals:
        time.sleep(seconds)
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 12
    assert "Traceback" not in said, said
    assert process.returncode == 128 + signals[0][1], said
    time.sleep(0.5)  # who was killed is gone soon
    assert not left_in_session(process.pid)
    return said


def left_in_session(session: int) -> list[psutil.Process]:
    """Living processes of the session that this process began."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(one.pid) == session and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


@pytest.mark.parametrize("seconds", [0.0, 0.4])
@pytest.mark.parametrize(
    "signals",
    [
        ((0, signal.SIGINT),),
        ((0, signal.SIGTERM),),
        ((0, signal.SIGHUP),),
        ((0, signal.SIGINT), (0.03, signal.SIGINT), (0.02, signal.SIGINT)),
        ((0, signal.SIGTERM), (0.3, signal.SIGTERM)),
    ],
    ids=lambda signals: "-".join(number.name for _, number in signals),
)
def test_a_signal_ends_a_command_that_begins(
    signals: tuple, seconds: float, tmp_path: Path
) -> None:
    process = started("train", *ENDLESS, "--out", str(tmp_path / "run"))
    # Before Python has begun with our own modules its own handlers are in charge.
    while process.poll() is None and not _heeds(process.pid):
        time.sleep(0.005)
    time.sleep(seconds)
    said = ended(process, *((wait, number) for wait, number in signals))
    assert "interrupted" in said or "continue with" in said


def _heeds(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM, which Python itself has not."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def test_a_run_says_where_it_goes_on_and_does(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def checkpoints() -> set[Path]:
        return set((run / "checkpoints").glob("step-*"))

    often = ["--checkpoint-every", "1e-9"]
    arguments = [*ENDLESS, *often, "--out", str(run)]
    for signals in ([(0, signal.SIGTERM)], [(0, signal.SIGINT), (0.02, signal.SIGINT)]):
        process = started("train", *arguments)
        before = checkpoints()
        wait_for(process, lambda: bool(checkpoints() - before), 300)  # noqa: B023
        said = ended(process, *signals)
        assert f"continue with 'hinterland train --resume {run}'" in said
        arguments = ["--resume", str(run), *often]


def test_a_study_passes_it_on_to_its_runs(tmp_path: Path) -> None:
    options = [word.removeprefix("--").replace("-", "_") for word in ENDLESS[1:-1]]
    base = "".join(
        f"{name} = {value if value.isdigit() else repr(value)}\n"
        for name, value in zip(options[::2], ENDLESS[2:-1:2], strict=True)
    ).replace("'10M'", "10000000")
    (tmp_path / "s.toml").write_text(
        f'name = "s"\nseeds = [0]\n[base]\ndomain = "corridor"\n{base}[variants.a]\nseed = 0\n'
    )
    out = tmp_path / "study"
    process = started("study", str(tmp_path / "s.toml"), "--out", str(out))
    run = out / "runs" / "a" / "seed-0"
    wait_for(process, (run / "manifest.json").exists, 60)
    runs = psutil.Process(process.pid).children(recursive=True)
    said = ended(process, (0, signal.SIGTERM))
    assert "--resume'" in said
    assert runs
    assert not psutil.wait_procs(runs, timeout=5)[1]


def test_a_simulator_ends_when_its_driver_says_so_and_leaves_nothing() -> None:
    before = set(scratch().glob("*/*"))  # simulators of other tests that are kept
    process = HostProcess("tempfile:TemporaryDirectory")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process.pid, number)
    made = Path(process.call("__enter__"))
    assert process.restarts == 0
    assert made.is_dir()
    assert scratch() in made.parents
    os.kill(process.pid, signal.SIGKILL)
    process.close()
    assert set(scratch().glob("*/*")) <= before


def test_what_killed_runs_left_is_removed_by_the_next(tmp_path: Path) -> None:
    for name in ("old", "young", "used"):
        (tmp_path / f"hinterland-{name}").mkdir()
        (tmp_path / f"hinterland-{name}" / ".lock").touch()
    (tmp_path / "hinterland-foreign").mkdir()
    (tmp_path / "hinterland-link").symlink_to(tmp_path / "hinterland-foreign")
    for path in tmp_path.iterdir():
        if path.name != "hinterland-young":
            os.utime(path, (0, 0))
    with open(tmp_path / "hinterland-used" / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_abandoned(tmp_path)
    left = {path.name.removeprefix("hinterland-") for path in tmp_path.iterdir()}
    assert left == {"young", "used", "foreign", "link"}


def test_it_tries_as_many_surroundings_as_it_should() -> None:
    kinds = len(NOT_TO_BE_SAID) + len(OF_ANOTHER_KIND)
    paths = sum(kinds - len(right) for _, right in PATH_OPTIONS.values())
    names = 2 * len({**FORMS, **FACTORIES}) + len(ENVIRONMENTS) + 22
    variables = len(JAX_VARIABLES) + sum(map(len, HARMLESS.values())) + len(STREAMS)
    assert (paths, names, variables) == COUNTS
