"""Run folders survive kills, full disks and strangers' files."""

import fcntl
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core import UserError
from hinterland.record import RunFolder, read_checkpoint, write_checkpoint

CONFIG = {"domain": "corridor", "agents": 2, "refresh": "auto", "clip": 0.2}
ARRAYS = {
    ".a": np.arange(6, dtype=np.float32).reshape(2, 3),
    ".b[0]": np.array(True),
    ".c": np.array([2**32 - 1], np.uint32),
    ".empty": np.zeros((3, 0), np.float32),
    ".count": np.int32(7).reshape(()),
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder.create(tmp_path / "run", CONFIG, {"command": ["hinterland"]})
    yield made
    made.close()


def test_arrays_come_back_bit_by_bit(folder: RunFolder) -> None:
    folder.log(0, 0.0, "train", {"x": 1.0})
    folder.save_checkpoint(10, ARRAYS, {"updates": 3})
    arrays, meta = folder.load_checkpoint()
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)
    assert (meta["step"], meta["updates"], meta["metrics_lines"]) == (10, 3, 1)


@given(st.binary(min_size=4, max_size=64))
def test_any_bits_survive(tmp_path_factory: pytest.TempPathFactory, bits: bytes) -> None:
    array = np.frombuffer(bits[: len(bits) // 4 * 4], np.float32)  # NaNs of all kinds too
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    write_checkpoint(path, {"x": array}, {})
    assert read_checkpoint(path)[0]["x"].tobytes() == array.tobytes()


def test_only_the_newest_two_checkpoints_are_kept(folder: RunFolder) -> None:
    for step in (5, 10, 15, 20):
        folder.save_checkpoint(step, ARRAYS, {})
    assert folder.checkpoint_steps() == [15, 20]
    assert folder.load_checkpoint(15)[1]["step"] == 15


def test_a_folder_that_exists_is_never_overwritten(folder: RunFolder) -> None:
    with pytest.raises(UserError, match=r"already exists; continue it with .* --resume"):
        RunFolder.create(folder.path, CONFIG, {})


def test_a_folder_in_use_is_refused(folder: RunFolder) -> None:
    with pytest.raises(UserError, match="in use by another process"):
        RunFolder.open(folder.path)
    RunFolder.read(folder.path)  # reading does no harm
    with open(folder.path / ".lock", "ab") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("damage", ["truncated", "altered", "foreign", "empty"])
def test_a_damaged_checkpoint_is_named_with_its_cure(folder: RunFolder, damage: str) -> None:
    folder.save_checkpoint(5, ARRAYS, {})
    folder.save_checkpoint(10, ARRAYS, {})
    path = folder.path / "checkpoints" / "step-000000000010.safetensors"
    content = path.read_bytes()
    changed = bytearray(content)
    changed[-1] ^= 1
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "altered": bytes(changed),
            "foreign": b"PK\x03\x04 a zip file",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(UserError, match=r"step-000000000010.*delete it to continue from step 5"):
        folder.load_checkpoint()
    assert folder.load_checkpoint(5)[1]["step"] == 5


def test_a_changed_configuration_is_named(folder: RunFolder) -> None:
    folder.save_checkpoint(5, ARRAYS, {})
    text = (folder.path / "config.toml").read_text()
    (folder.path / "config.toml").write_text(text.replace("clip = 0.2", "clip = 0.3"))
    with pytest.raises(UserError, match=r"was changed since .* \(clip\)"):
        folder.load_checkpoint()


def test_no_run_folder_and_no_checkpoint(tmp_path: Path, folder: RunFolder) -> None:
    with pytest.raises(UserError, match="does not exist"):
        RunFolder.read(tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"is not a run folder: it has no config\.toml"):
        RunFolder.read(tmp_path / "other")
    with pytest.raises(UserError, match="has no checkpoint yet"):
        folder.load_checkpoint()


def test_a_torn_last_line_is_forgotten_and_other_damage_is_not(folder: RunFolder) -> None:
    for step in range(3):
        folder.log(step, float(step), "train", {"x": float("nan") if step == 1 else 1.0})
    path = folder.path / "metrics.jsonl"
    with open(path, "a") as file:
        file.write('{"step": 3, "wal')
    assert [line["step"] for line in folder.metrics()] == [0, 1, 2]
    assert folder.metrics()[1]["x"] is None
    folder.truncate_metrics(2)
    folder.log(2, 2.0, "train", {})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]
    path.write_text("{}\nnonsense\n{}\n")
    with pytest.raises(UserError, match="damaged in line 2"):
        folder.metrics()


def test_a_disk_that_is_full_leaves_the_old_checkpoint(folder: RunFolder) -> None:
    """A real failure to write: the process may not make files larger than 100 kB."""
    folder.save_checkpoint(5, ARRAYS, {})
    big = {"x": np.zeros(100_000, np.float32)}
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old_limit[1]))
    try:
        with pytest.raises(UserError, match=r"could not write .*File too large; make room and"):
            folder.save_checkpoint(10, big, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert folder.checkpoint_steps() == [5]
    assert folder.load_checkpoint()[1]["step"] == 5
    assert [p.name for p in (folder.path / "checkpoints").iterdir() if "tmp" in p.name] == []


WRITER = """
import sys, numpy as np
from pathlib import Path
from hinterland.record import RunFolder
folder = RunFolder.create(Path(sys.argv[1]), {"a": 1}, {})
for step in range(1, 10_000):
    folder.log(step, 0.0, "train", {"x": 1.0})
    folder.save_checkpoint(step, {"x": np.full(200_000, step, np.float32)}, {})
    print(step, flush=True)
"""


@pytest.mark.parametrize("attempt", range(4))
def test_a_kill_at_any_moment_leaves_a_good_checkpoint(tmp_path: Path, attempt: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    time.sleep(random.Random(attempt).uniform(0, 0.05))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    folder = RunFolder.open(tmp_path / "run")  # the lock died with its holder
    arrays, meta = folder.load_checkpoint()
    assert (arrays["x"] == meta["step"]).all()
    assert len(folder.metrics()) >= meta["metrics_lines"]
    folder.close()
