"""The run folder: what it promises when processes die, disks fill up and files are damaged."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core.errors import UserError
from hinterland.record import RunFolder, read_checkpoint, write_checkpoint

SOURCE = str(Path(__file__).parents[1] / "src")
CONFIG = {"domain": "corridor", "steps": 1000, "learning_rate": 2e-3, "anneal_rate": True}
FULL = Path("/dev/full")


@pytest.fixture
def run(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", CONFIG, {"command": ["hinterland", "train"]})
    yield folder
    folder.close()


def _child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A real second process, which imports the package as users do."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _save(run: RunFolder, *steps: int) -> None:
    for step in steps:
        run.save_checkpoint(step, {"weight": np.full(50, step, np.float32)}, {})


def _file(run: RunFolder, step: int) -> Path:
    return run.path / "checkpoints" / f"step-{step:012d}.safetensors"


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# --- the folder ---------------------------------------------------------------------------------


def test_a_new_folder_says_what_was_run_and_with_what(run: RunFolder) -> None:
    assert RunFolder.read(run.path).config == CONFIG
    manifest = run.manifest
    assert manifest["command"] == ["hinterland", "train"]
    assert {"started", "python", "platform", "cores", "git", "git_here"} <= manifest.keys()
    packages = {"hinterland", "jax", "jaxlib", "equinox", "optax", "numpy"}
    assert manifest["versions"].keys() == packages
    assert manifest["versions"]["numpy"] == np.__version__
    assert run.summary() is None
    assert run.metrics() == []


def test_an_existing_folder_is_never_overwritten(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        RunFolder.create(run.path, {}, {})
    assert str(error.value) == (
        f"run folder {run.path} already exists; resume it with 'hinterland train --resume "
        f"{run.path}' or choose another --out"
    )
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    for path in (tmp_path / "thesis", tmp_path / "thesis" / "chapter.tex"):
        with pytest.raises(UserError, match="already exists and is no run folder"):
            RunFolder.create(path, {}, {})
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", CONFIG, {}).close()


def test_what_is_no_run_folder_is_refused_in_one_sentence(run: RunFolder, tmp_path: Path) -> None:
    run.close()
    for make in (RunFolder.open, RunFolder.read):
        with pytest.raises(UserError, match=r"run folder .*/none does not exist$"):
            make(tmp_path / "none")
        with pytest.raises(UserError, match=r"is not a run folder: it has no config\.toml$"):
            make(tmp_path)
    for name, junk in (
        ("manifest.json", b'{"torn": '),
        ("manifest.json", b"[1]"),
        ("config.toml", b"steps = "),
        ("config.toml", b"\xff\xfe"),
    ):
        good = (run.path / name).read_bytes()
        (run.path / name).write_bytes(junk)
        with pytest.raises(UserError, match=f"{name} is damaged: "):
            RunFolder.read(run.path)
        (run.path / name).write_bytes(good)
    (run.path / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"it has no manifest\.json$"):
        RunFolder.read(run.path)


def test_two_processes_never_write_one_folder(run: RunFolder) -> None:
    run.close()
    hold = (
        "import sys; from pathlib import Path; from hinterland.record import RunFolder\n"
        "run = RunFolder.open(Path(sys.argv[1])); print('held', 'jax' in sys.modules, flush=True)\n"
        "sys.stdin.read()"
    )
    with _child(hold, run.path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held False\n"  # and the record starts no JAX
        with pytest.raises(UserError) as error:
            RunFolder.open(run.path)
        assert str(error.value) == (
            f"run folder {run.path} is in use by another process; wait for it or choose another "
            "--out"
        )
        assert RunFolder.read(run.path).config == CONFIG
        holder.kill()
    RunFolder.open(run.path).close()  # a dead process holds nothing


# --- metrics ------------------------------------------------------------------------------------


def test_metrics_come_back_and_what_is_not_finite_is_null(run: RunFolder) -> None:
    run.log(np.int64(5), 1.23456, "train", {"train/local/return": np.float32(0.5), "bad": np.nan})
    run.log(6, 2.0, "fit", {"worse": float("-inf")})
    assert run.metrics() == [
        {"step": 5, "wall_s": 1.235, "phase": "train", "train/local/return": 0.5, "bad": None},
        {"step": 6, "wall_s": 2.0, "phase": "fit", "worse": None},
    ]


@pytest.mark.parametrize("torn", [b'{"step": 2, "wal', b"{", b'{"step": 2}', b"\x00\x00\xff"])
def test_a_torn_last_line_is_forgotten_and_never_continued(run: RunFolder, torn: bytes) -> None:
    run.log(1, 0, "train", {})
    run.close()
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(torn)
    whole = [1, 2] if torn.endswith(b"}") else [1]  # only its end was missing
    assert [line["step"] for line in RunFolder.read(run.path).metrics()] == whole
    again = RunFolder.open(run.path)
    again.log(3, 0, "train", {})
    _save(again, 3)
    assert [line["step"] for line in again.metrics()] == [*whole, 3]
    assert again.load_checkpoint()[1]["metrics_lines"] == len(whole) + 1
    again.close()


@pytest.mark.parametrize("junk", [b'{"step": ', b"17", b"", b"\x00\x00\x00"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_damage_elsewhere_names_its_line(run: RunFolder, junk: bytes, number: int) -> None:
    lines = [b'{"step": 1}', b'{"step": 2}', b'{"step": 3}']
    lines[number - 1] = junk
    (run.path / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(UserError, match=rf"metrics\.jsonl is damaged in line {number} "):
        run.metrics()


def test_a_resumed_run_holds_each_step_once(run: RunFolder) -> None:
    run.log(1, 0.1, "train", {"x": 0.1})
    run.log(2, 0.2, "train", {"x": 1 / 3})
    _save(run, 2)
    before = (run.path / "metrics.jsonl").read_bytes()
    run.log(3, 0.3, "train", {"x": 7.0})
    run.close()
    again = RunFolder.open(run.path)
    again.truncate_metrics(again.load_checkpoint()[1]["metrics_lines"])
    assert (run.path / "metrics.jsonl").read_bytes() == before
    again.log(3, 0.4, "train", {"x": 7.0})
    _save(again, 3)
    assert [line["step"] for line in again.metrics()] == [1, 2, 3]
    assert again.load_checkpoint()[1]["metrics_lines"] == 3
    with pytest.raises(UserError, match="has 3 lines but its checkpoint was written after 5"):
        again.truncate_metrics(5)
    (run.path / "metrics.jsonl").unlink()
    again.truncate_metrics(5)  # deleted on purpose: the cure that the message above names
    assert again.metrics() == []
    again.close()


# --- checkpoints --------------------------------------------------------------------------------

ARRAYS = {
    "scalar": np.float32(-0.0),
    "bool": np.array([True, False, True]),
    "count": np.array(7, np.int32),
    "key": np.array([[0, 2**32 - 1]], np.uint32),
    "grey": np.arange(256, dtype=np.uint8),
    "odd bits": np.array([0x7FC00001, 0xFF800000, 1], np.uint32).view(np.float32),
    "double": np.array([np.pi, np.nextafter(0, 1)]),
    "none": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6, dtype=np.int32).reshape(2, 3).T,
    "strided": np.arange(10, dtype=np.float32)[::3],
    ".learners.network/Größe": np.ones((1, 1, 1), np.float32),
}


def test_arrays_come_back_to_the_last_bit(run: RunFolder) -> None:
    meta = {"updates": 3, "notes": {1: 2.5, 10: [1, "θ"], 9: None}}
    run.save_checkpoint(1_024_000, ARRAYS, meta)
    assert _file(run, 1_024_000).name == "step-000001024000.safetensors"
    arrays, found = RunFolder.read(run.path).load_checkpoint()
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype, name
        assert arrays[name].shape == array.shape, name
        assert arrays[name].tobytes() == array.tobytes(), name
    assert found["step"] == 1_024_000
    assert found["config"] == CONFIG
    assert found["updates"] == 3
    assert found["notes"] == {"1": 2.5, "10": [1, "θ"], "9": None}


def test_big_endian_arrays_come_back_with_their_values(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", {"x": np.arange(3, dtype=">f4")}, {})
    assert read_checkpoint(tmp_path / "c")[0]["x"].tolist() == [0, 1, 2]


def test_only_the_newest_are_kept(run: RunFolder) -> None:
    (run.path / "checkpoints" / "step-best.safetensors").touch()  # a user's own copy stays
    _save(run, 10, 20, 30)
    assert run.checkpoint_steps() == [20, 30]
    assert run.load_checkpoint()[1]["step"] == 30
    assert run.load_checkpoint(20)[0]["weight"][0] == 20
    with pytest.raises(UserError, match=r"no checkpoint at step 10; it has \[20, 30\]"):
        run.load_checkpoint(10)
    _save(run, 25)  # continued from step 20 on purpose: what was just written is never deleted
    assert run.checkpoint_steps() == [25, 30]
    run.save_checkpoint(40, {}, {}, keep=1)
    assert run.checkpoint_steps() == [40]
    assert (run.path / "checkpoints" / "step-best.safetensors").exists()


def test_a_run_without_checkpoints_says_so(run: RunFolder) -> None:
    with pytest.raises(UserError, match="has no checkpoint yet"):
        run.load_checkpoint()


def test_any_changed_bit_and_any_missing_end_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, {"a": np.arange(8, dtype=np.float32), "b": np.int32(1)}, {"step": 4})
    good = path.read_bytes()
    rng = random.Random(0)
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
        try:
            arrays, meta = read_checkpoint(path)
        except UserError:
            continue
        # Only where nothing is lost, as in the name of the metadata's checksum.
        assert arrays["a"].tolist() == list(range(8))
        assert arrays["b"] == 1
        assert meta["step"] == 4
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(UserError, match="damaged or no checkpoint"):
            read_checkpoint(path)


def test_a_damaged_checkpoint_names_the_file_and_the_way_back(run: RunFolder) -> None:
    _save(run, 10, 20)
    _flip(_file(run, 20), -1)
    with pytest.raises(UserError) as error:
        run.load_checkpoint()
    damage = f"checkpoint {_file(run, 20)} is damaged: its checksum does not fit"
    assert str(error.value) == f"{damage}; delete {_file(run, 20)} to continue from step 10"
    assert run.load_checkpoint(10)[1]["step"] == 10
    _flip(_file(run, 10), -1)  # a way back that is damaged too is no way back
    with pytest.raises(UserError, match="no older checkpoint is intact, so start the run again"):
        run.load_checkpoint()


def test_foreign_files_are_no_checkpoints(run: RunFolder) -> None:
    import safetensors.numpy

    plain = {"x": np.zeros(2, np.float32)}
    path = _file(run, 10)
    for stamp in (None, {"hinterland": "[]"}, {"hinterland": '{"step": 10}'}, {"hinterland": "x"}):
        safetensors.numpy.save_file(plain, path, stamp)
        with pytest.raises(UserError, match="is not a checkpoint of Hinterland"):
            run.load_checkpoint()
    safetensors.numpy.save_file(plain, path, {"hinterland": '{"format": 2, "sha256": ""}'})
    with pytest.raises(UserError, match="has format 2; this version reads 1"):
        run.load_checkpoint()
    head = b'{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'  # a type NumPy has not
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"\0\0")
    # JAX, once it is started, teaches NumPy the type.
    with pytest.raises(UserError, match=r"(no|not a) checkpoint"):
        run.load_checkpoint()
    _save(run, 10)
    _file(run, 10).rename(_file(run, 30))
    with pytest.raises(UserError, match="was renamed: it holds step 10"):
        run.load_checkpoint()


def test_a_changed_configuration_is_named(run: RunFolder) -> None:
    _save(run, 10)
    config = run.path / "config.toml"
    config.write_text(config.read_text().replace("steps = 1000", "steps = 2000"))
    with pytest.raises(UserError, match=r"config\.toml was changed .* \(steps\); undo that"):
        run.load_checkpoint()


def test_checkpoints_of_the_first_versions_are_read(tmp_path: Path) -> None:
    """They had no checksum of the metadata."""
    import safetensors.numpy

    write_checkpoint(tmp_path / "new", {"x": np.ones(2, np.float32)}, {"step": 1})
    arrays, meta = read_checkpoint(tmp_path / "new")
    del meta["meta_sha256"]
    safetensors.numpy.save_file(arrays, tmp_path / "old", {"hinterland": json.dumps(meta)})
    assert read_checkpoint(tmp_path / "old")[1]["step"] == 1


# --- killed, and out of space -------------------------------------------------------------------

SAVE_FOREVER = """
import sys, numpy as np
from pathlib import Path
from hinterland.record import RunFolder
run = RunFolder.open(Path(sys.argv[1]))
step = max(run.checkpoint_steps(), default=0)
while True:
    step += 1
    run.log(step, 0.0, "train", {"a/long/name": 0.1} | {f"x/{i}": i for i in range(100)})
    run.save_checkpoint(step, {"big": np.full(1_000_000, step, np.int32)}, {})
    print(step, flush=True)
"""


def _stop_in_a_write(child: subprocess.Popen[str], folder: Path) -> None:
    """Stops the child while a half-written file lies in the folder."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if list(folder.glob(".*.tmp")):
            child.send_signal(signal.SIGSTOP)
            os.waitpid(child.pid, os.WUNTRACED)
            if list(folder.glob(".*.tmp")):
                return
            child.send_signal(signal.SIGCONT)  # it was faster
    raise AssertionError("no checkpoint was caught half written in 20 s")


@pytest.mark.parametrize("wait", [0.0, 0.04, 0.11, 0.19, None])  # None: in the act, for certain
def test_kill_9_at_any_moment_leaves_a_run_that_continues(
    run: RunFolder, wait: float | None
) -> None:
    _save(run, 1)
    run.log(1, 0.0, "train", {})
    run.close()
    checkpoints = run.path / "checkpoints"
    with _child(SAVE_FOREVER, run.path) as child:
        try:
            assert child.stdout is not None
            told = int(child.stdout.readline())  # a step that the child saw saved
            if wait is None:
                _stop_in_a_write(child, checkpoints)
            else:
                time.sleep(wait)
        finally:
            child.kill()
    assert wait is not None or list(checkpoints.glob(".*.tmp"))
    again = RunFolder.open(run.path)
    arrays, meta = again.load_checkpoint()
    assert meta["step"] >= told
    assert np.all(arrays["big"] == meta["step"])
    again.truncate_metrics(meta["metrics_lines"])
    assert list(checkpoints.glob(".*")) == []  # the half file is gone
    assert [line["step"] for line in again.metrics()] == list(range(1, meta["step"] + 1))
    again.close()


WRITE_PAST_A_LIMIT = """
import resource, signal, sys, numpy as np
from pathlib import Path
from hinterland.core.errors import UserError
from hinterland.record import RunFolder
run = RunFolder.open(Path(sys.argv[1]))
run.log(1, 0.0, "train", {"x": 1.0})
run.save_checkpoint(1, {"x": np.ones(10, np.float32)}, {})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def attempt(limit, write):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write()
    except UserError as error:
        print(error)
metrics = run.path / "metrics.jsonl"
attempt(65536, lambda: run.save_checkpoint(2, {"x": np.ones(100_000, np.float32)}, {}))
attempt(metrics.stat().st_size + 10, lambda: run.log(2, 0.0, "train", {"x": 2.0}))
attempt(10, lambda: run.write_summary({"step": 2}))
attempt(65536, lambda: run.log(3, 0.0, "train", {"x": 3.0}))
"""


def test_a_real_failure_to_write_leaves_what_was_there(run: RunFolder) -> None:
    run.close()
    with _child(WRITE_PAST_A_LIMIT, run.path) as child:
        said = child.communicate()[0].splitlines()
    cure = (
        f"File too large; free some space and continue with 'hinterland train --resume {run.path}'"
    )
    assert said == [
        f"could not write checkpoint {_file(run, 2)}: {cure}",
        f"could not write {run.path / 'metrics.jsonl'}: {cure}",
        f"could not write {run.path / 'summary.json'}: {cure}",
    ]
    again = RunFolder.read(run.path)
    assert again.load_checkpoint()[1]["step"] == 1
    assert [line["step"] for line in again.metrics()] == [1, 3]  # no half line in between
    assert again.summary() is None
    assert list(run.path.rglob("*.tmp")) == []


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_a_full_disk_is_explained(run: RunFolder, tmp_path: Path) -> None:
    _save(run, 1)
    for target in (_file(run, 2), run.path / "summary.json"):
        target.with_name(f".{target.name}.tmp").symlink_to(FULL)
    cure = f"free some space and continue with 'hinterland train --resume {run.path}'"
    with pytest.raises(UserError) as error:
        _save(run, 2)
    path = _file(run, 2)
    assert str(error.value) == f"could not write checkpoint {path}: No space left on device; {cure}"
    with pytest.raises(UserError, match=r"summary\.json: No space left on device; free some space"):
        run.write_summary({"step": 1})
    (run.path / "metrics.jsonl").symlink_to(FULL)
    with pytest.raises(UserError, match=r"metrics\.jsonl: No space left on device; free some spa"):
        run.log(1, 0.0, "train", {})
    (run.path / "metrics.jsonl").unlink()
    assert run.checkpoint_steps() == [1]
    assert run.load_checkpoint()[1]["step"] == 1
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"could not write run folder .*: Not a directory; choose"):
        RunFolder.create(tmp_path / "file" / "run", CONFIG, {})


def test_any_other_failure_names_its_own_cure(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(run, 1, 2)

    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="Permission denied; mend that and continue with"):
        _save(run, 3)
    monkeypatch.undo()
    assert run.checkpoint_steps() == [1, 2]  # the oldest too: it goes once the new one is there
    assert list(run.path.rglob("*.tmp")) == []


def test_ctrl_c_in_a_checkpoint_leaves_nothing_half_done(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _save(run, 1)
    assert list((run.path / "checkpoints").iterdir()) == []


def test_the_summary_is_replaced_in_one_step(run: RunFolder) -> None:
    run.write_summary({"step": 1, "finished": False})
    run.write_summary({"step": 2, "finished": True})
    assert RunFolder.read(run.path).summary() == {"step": 2, "finished": True}
    (run.path / "summary.json").write_text('{"step"')
    with pytest.raises(UserError, match=r"summary\.json is damaged"):
        run.summary()


@given(st.binary(min_size=4, max_size=64))
def test_any_bits_survive(tmp_path_factory: pytest.TempPathFactory, bits: bytes) -> None:
    array = np.frombuffer(bits[: len(bits) // 4 * 4], np.float32)  # NaNs of all kinds too
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    write_checkpoint(path, {"x": array}, {})
    assert read_checkpoint(path)[0]["x"].tobytes() == array.tobytes()
