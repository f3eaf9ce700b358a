"""One run's folder: configuration, manifest, metrics, checkpoints, summary, and a lock."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hinterland.core.errors import UserError
from hinterland.core.reading import is_there, parse_json, parse_toml, read_as
from hinterland.record.checkpoints import (
    checkpoint_path,
    read_step,
    steps_in,
    way_back,
    write_atomically,
    write_checkpoint,
)
from hinterland.record.lock import Lock
from hinterland.record.manifest import circumstances
from hinterland.record.metrics import (
    append_metrics,
    check_lines,
    cut_metrics,
    read_metrics,
    sync_metrics,
)

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def models() -> Any:
    """The files' models, loaded with the first file: pydantic is no part of a quick start."""
    from hinterland.record import models

    return models


def is_folder(path: Path) -> bool:
    """Whether it is a folder, or a link to one; a name that cannot be is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_taken(path: Path) -> bool:
    """Whether a new folder cannot be made there: something else is, or a folder that is not empty.

    Raises:
        UserError: the folder cannot be read.
    """
    if not is_there(path):
        return False
    try:
        return not path.is_dir() or bool(os.listdir(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _half_made(path: Path) -> bool:
    """Whether `create` was killed there before it was done: a new run may begin in it."""
    if not path.is_dir():
        return False
    there = {entry.name for entry in path.iterdir() if not entry.name.endswith(".tmp")}
    ours = there <= {"checkpoints", ".lock", "config.toml"} and "checkpoints" in there
    return ours and not any((path / "checkpoints").iterdir())


class RunFolder:
    """Made by `create`, `open` (both lock it) or `read` (does not)."""

    def __init__(self, path: Path, lock: Lock | None) -> None:
        self.path = path
        self._lock = lock
        self._lines = 0
        self._touched = True
        """False: opened, and as the process before left it."""
        self._metrics = path / "metrics.jsonl"
        self._checkpoints = path / "checkpoints"

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def check_new(path: Path) -> None:
        """Whether a new run can begin there.

        Raises:
            UserError: the path exists and is not empty, or cannot be read.
        """
        if is_taken(path) and not _half_made(path):
            if not (path / "manifest.json").is_file():
                raise UserError(f"{path} already exists and is no run folder; choose another --out")
            raise UserError(
                f"run folder {path} already exists; resume it with 'hinterland train --resume "
                f"{path}' or choose another --out"
            )

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], manifest: dict) -> "RunFolder":
        """A new run folder with config.toml and manifest.json.

        Raises:
            UserError: the path exists and is not empty, or cannot be written; or the configuration
                could not be read back.
        """
        import tomli_w

        cls.check_new(path)
        if why := models().why_not(models().Settings, dict(config)):
            raise UserError(f"the configuration cannot be kept: {why}")
        whole = {**manifest, **circumstances()}
        try:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            folder = cls(path, Lock(path))
            write_atomically(path / "config.toml", tomli_w.dumps(dict(config)).encode())
            # Last: a folder with a manifest is a run folder that can be resumed.
            write_atomically(path / "manifest.json", json.dumps(whole, indent=2).encode())
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"could not write run folder {path}: {why}; choose another --out"
            ) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run, locked for writing; nothing in it changes before the first write.

        Raises:
            UserError: no run folder, or another process uses it, or its metrics are damaged.
        """
        folder = cls.read(path)
        try:
            folder._lock = Lock(path)
        except OSError as error:
            raise UserError(f"cannot write in run folder {path}: {error.strerror}") from error
        folder._touched = False
        try:
            folder._lines = len(folder.metrics())
        except UserError:
            folder.close()
            raise
        return folder

    @classmethod
    def read(cls, path: Path) -> "RunFolder":
        """An existing run, for reading only.

        Raises:
            UserError: there is none, or its configuration or manifest is damaged.
        """
        if not is_there(path):
            raise UserError(f"run folder {path} does not exist")
        if not is_folder(path):
            raise UserError(f"{path} is not a run folder but a file")
        for name in ("config.toml", "manifest.json"):
            if not is_there(path / name):
                raise UserError(f"{path} is not a run folder: it has no {name}")
        folder = cls(path, None)
        _ = folder.config, folder.manifest
        return folder

    def close(self) -> None:
        """Gives up the lock; of a folder that was only opened, nothing stays."""
        if self._lock is not None:
            self._lock.release(keep_file=self._touched)
            self._lock = None

    def _touch(self) -> None:
        """Before the first write: what a killed process left half done goes.

        Raises:
            OSError: it could not be removed.
            UserError: the metrics are damaged.
        """
        if self._touched:
            return
        self._touched = True
        for left in (*self.path.glob(".*.tmp"), *self._checkpoints.glob(".*.tmp")):
            if left.is_dir() and not left.is_symlink():  # an export that was to be made in here
                shutil.rmtree(left)
            else:
                left.unlink()
        self._lines = cut_metrics(self._metrics, self._lines)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as in config.toml."""
        path = self.path / "config.toml"
        found = read_as(parse_toml, path, models().CONFIG_SIZE)
        models().check(models().Settings, found, path)
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        """Command, versions, devices, git state."""
        return self._read_json("manifest.json", models().Manifest)

    def summary(self) -> dict[str, Any] | None:
        """The run's result, once it has one."""
        if not is_there(self.path / "summary.json"):
            return None
        return self._read_json("summary.json", models().Summary)

    def result(self) -> dict[str, Any] | None:
        """The summary of a run that is finished, with all that is shown of it.

        Raises:
            UserError: it lacks something.
        """
        summary = self.summary()
        if not summary or not summary.get("finished"):
            return None
        path = self.path / "summary.json"
        if why := models().why_not(models().Result, summary):
            raise UserError(f"{path} is damaged: {why}; delete it to have it made again")
        return summary

    def _read_json(self, name: str, model: Any) -> dict[str, Any]:
        found = read_as(parse_json, self.path / name, models().JSON_SIZE)
        models().check(model, found, self.path / name)
        return found

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line torn by a kill is left out.

        Raises:
            UserError: any other line is damaged.
        """
        return read_metrics(self._metrics)

    @property
    def logged(self) -> int:
        """Lines of metrics so far."""
        return self._lines

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, Any]) -> None:
        """Appends one line; values that are not finite become null.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        with self._explained(self._metrics):
            self._touch()
            append_metrics(self._metrics, step, wall_s, phase, values)
        self._lines += 1

    def check_metrics(self, lines: int) -> None:
        """Whether so many lines are there to be kept; nothing changes.

        Raises:
            UserError: the metrics are damaged or have fewer lines.
        """
        check_lines(self._metrics, lines)

    def truncate_metrics(self, lines: int) -> None:
        """Forgets lines after the first `lines`: a resumed run writes them again.

        Raises:
            UserError: the metrics are damaged or have fewer lines, or the disk is full.
        """
        self.check_metrics(lines)
        with self._explained(self._metrics):
            self._touch()
            self._lines = cut_metrics(self._metrics, lines)

    def checkpoint_steps(self) -> list[int]:
        """Steps of all complete checkpoints, oldest first."""
        return steps_in(self._checkpoints)

    def save_checkpoint(
        self, step: int, arrays: Mapping[str, np.ndarray], meta: dict[str, Any], keep: int = 2
    ) -> None:
        """Writes a checkpoint, then removes all but this one and the newest others, `keep` in all.

        Raises:
            UserError: the disk is full or the folder cannot be written; older ones are untouched.
        """
        path = checkpoint_path(self._checkpoints, step)
        with self._explained(path, "checkpoint "):
            self._touch()
            whole = {"step": step, "config": self.config, "metrics_lines": self._lines, **meta}
            sync_metrics(self._metrics)  # a checkpoint must not count lines that a crash can lose
            write_checkpoint(path, arrays, whole)
        others = [other for other in self.checkpoint_steps() if other != step]
        for old in others[: max(0, len(others) - (keep - 1))]:
            path = checkpoint_path(self._checkpoints, old)
            if path.is_file():  # what else may have that name is not ours
                path.unlink()

    def load_checkpoint(
        self, step: int | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, metadata) of the newest checkpoint, or of the one at `step`.

        Raises:
            UserError: none there, damaged (the message names an older intact one), or of another
                configuration.
        """
        steps = self.checkpoint_steps()
        if not steps:
            raise UserError(f"run {self.path} has no checkpoint yet")
        if step is not None and step not in steps:
            raise UserError(f"run {self.path} has no checkpoint at step {step}; it has {steps}")
        chosen = steps[-1] if step is None else step
        try:
            arrays, meta = read_step(self._checkpoints, chosen)
        except UserError as error:
            # Never an older one in silence: the user would take old policies for new ones.
            raise UserError(f"{error}; {way_back(self._checkpoints, chosen)}") from error
        then, now = meta["config"], self.config
        if then != now:
            changed = sorted(n for n in {*then, *now} if then.get(n) != now.get(n))
            raise UserError(
                f"{self.path / 'config.toml'} was changed since the checkpoint was written "
                f"({', '.join(changed)}); undo that, or start a new run with --config"
            )
        return arrays, meta

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Stores the result.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        path = self.path / "summary.json"
        with self._explained(path):
            self._touch()
            write_atomically(path, json.dumps(summary, indent=2).encode())

    @contextlib.contextmanager
    def _explained(self, path: Path, kind: str = "") -> Generator[None, None, None]:
        """Turns a failure to write into a sentence with its cure."""
        try:
            yield
        except OSError as error:
            cure = "free some space" if error.errno in NO_ROOM else "mend that"
            raise UserError(
                f"could not write {kind}{path}: {error.strerror or error}; {cure} and continue "
                f"with 'hinterland train --resume {self.path}'"
            ) from error
