"""One run's folder: configuration, manifest, metrics, checkpoints, summary, and a lock."""

import contextlib
import errno
import json
import os
import tomllib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hinterland.core.errors import UserError
from hinterland.record.checkpoints import (
    checkpoint_path,
    read_step,
    steps_in,
    way_back,
    write_atomically,
    write_checkpoint,
)
from hinterland.record.lock import take_lock
from hinterland.record.manifest import circumstances
from hinterland.record.metrics import (
    append_metrics,
    cut_metrics,
    is_torn,
    read_metrics,
    sync_metrics,
)

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _half_made(path: Path) -> bool:
    """Whether `create` was killed there before it was done: a new run may begin in it."""
    if not path.is_dir():
        return False
    there = {entry.name for entry in path.iterdir() if not entry.name.endswith(".tmp")}
    ours = there <= {"checkpoints", ".lock", "config.toml"} and "checkpoints" in there
    return ours and not any((path / "checkpoints").iterdir())


class RunFolder:
    """Made by `create`, `open` (both lock it) or `read` (does not)."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock
        self._lines = 0
        self._metrics = path / "metrics.jsonl"
        self._checkpoints = path / "checkpoints"

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], manifest: dict) -> "RunFolder":
        """A new run folder with config.toml and manifest.json.

        Raises:
            UserError: the path exists and is not empty, or cannot be written.
        """
        import tomli_w

        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if taken and not _half_made(path):
            if not (path / "manifest.json").is_file():
                raise UserError(f"{path} already exists and is no run folder; choose another --out")
            raise UserError(
                f"run folder {path} already exists; resume it with 'hinterland train --resume "
                f"{path}' or choose another --out"
            )
        whole = {**manifest, **circumstances()}
        try:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            folder = cls(path, take_lock(path))
            write_atomically(path / "config.toml", tomli_w.dumps(dict(config)).encode())
            # Last: a folder with a manifest is a run folder that can be resumed.
            write_atomically(path / "manifest.json", json.dumps(whole, indent=2).encode())
        except OSError as error:
            raise UserError(
                f"could not write run folder {path}: {error.strerror}; choose another --out"
            ) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run, locked for writing; what a killed process left half done is removed.

        Raises:
            UserError: no run folder, or another process uses it, or its metrics are damaged.
        """
        folder = cls.read(path)
        try:
            folder._lock = take_lock(path)
        except OSError as error:
            raise UserError(f"cannot write in run folder {path}: {error.strerror}") from error
        try:
            with folder._explained(path):
                for left in (*path.glob(".*.tmp"), *path.glob("checkpoints/.*.tmp")):
                    left.unlink()
                folder._lines = len(folder.metrics())
                if is_torn(folder._metrics):
                    cut_metrics(folder._metrics, folder._lines)
        except UserError:
            folder.close()
            raise
        return folder

    @classmethod
    def read(cls, path: Path) -> "RunFolder":
        """An existing run, for reading only.

        Raises:
            UserError: there is none, or its configuration is damaged.
        """
        if not path.is_dir():
            raise UserError(f"run folder {path} does not exist")
        for name in ("config.toml", "manifest.json"):
            if not (path / name).is_file():
                raise UserError(f"{path} is not a run folder: it has no {name}")
        folder = cls(path, None)
        _ = folder.config, folder.manifest
        return folder

    def close(self) -> None:
        """Gives up the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as in config.toml."""
        try:
            return tomllib.loads((self.path / "config.toml").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / 'config.toml'} is damaged: {error}") from error

    @property
    def manifest(self) -> dict[str, Any]:
        """Command, versions, devices, git state."""
        return self._read_json("manifest.json")

    def summary(self) -> dict[str, Any] | None:
        """The run's result, once it has one."""
        return self._read_json("summary.json") if (self.path / "summary.json").exists() else None

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.path / name).read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError("not a JSON object")
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / name} is damaged: {error}") from error
        return found

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line torn by a kill is left out.

        Raises:
            UserError: any other line is damaged.
        """
        return read_metrics(self._metrics)

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, Any]) -> None:
        """Appends one line; values that are not finite become null.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        with self._explained(self._metrics):
            append_metrics(self._metrics, step, wall_s, phase, values)
        self._lines += 1

    def truncate_metrics(self, lines: int) -> None:
        """Forgets lines after the first `lines`: a resumed run writes them again.

        Raises:
            UserError: the metrics are damaged or have fewer lines, or the disk is full.
        """
        with self._explained(self._metrics):
            cut_metrics(self._metrics, lines)
        self._lines = len(self.metrics())

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
        whole = {"step": step, "config": self.config, "metrics_lines": self._lines, **meta}
        with self._explained(path, "checkpoint "):
            sync_metrics(self._metrics)  # a checkpoint must not count lines that a crash can lose
            write_checkpoint(path, arrays, whole)
        others = [other for other in self.checkpoint_steps() if other != step]
        for old in others[: max(0, len(others) - (keep - 1))]:
            checkpoint_path(self._checkpoints, old).unlink(missing_ok=True)

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
        then, now = meta.get("config", {}), self.config
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
