"""One run's folder: configuration, manifest, metrics, checkpoints, summary, and a lock."""

import fcntl
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hinterland.core.errors import UserError
from hinterland.record.checkpoints import read_checkpoint, write_atomically, write_checkpoint

KEPT_CHECKPOINTS = 2
PACKAGES = ("hinterland", "jax", "jaxlib", "equinox", "optax", "numpy")


class RunFolder:
    """Made by `create`, `open` (both lock it) or `read` (does not)."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock
        self._lines = 0

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], manifest: dict) -> "RunFolder":
        """A new run folder with config.toml and manifest.json.

        Raises:
            UserError: the path exists and is not empty, or cannot be written.
        """
        import tomli_w

        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(
                f"run folder {path} already exists; continue it with 'hinterland train --resume "
                f"{path}' or choose another --out"
            )
        try:
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
            folder = cls(path, _take_lock(path))
            whole = {**manifest, **_circumstances()}
            write_atomically(path / "config.toml", tomli_w.dumps(dict(config)).encode())
            write_atomically(path / "manifest.json", json.dumps(whole, indent=2).encode())
        except OSError as error:
            raise UserError(f"cannot write run folder {path}: {error.strerror}") from error
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run, locked for writing.

        Raises:
            UserError: no run folder, or another process uses it.
        """
        folder = cls.read(path)
        folder._lock = _take_lock(path)
        folder._lines = len(folder.metrics())
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
            return tomllib.loads((self.path / "config.toml").read_text())
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
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / name} is damaged: {error}") from error

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line torn by a kill is left out.

        Raises:
            UserError: any other line is damaged.
        """
        path = self.path / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        if lines and lines[-1] == b"":
            lines.pop()
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(json.loads(line))
            except ValueError as error:
                if number == len(lines):
                    break
                raise UserError(f"{path} is damaged in line {number}: {error}") from error
        return found

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, Any]) -> None:
        """Appends one line; values that are not finite become null.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        plain = {name: float(value) for name, value in values.items()}
        finite = {name: x if math.isfinite(x) else None for name, x in plain.items()}
        line = {"step": step, "wall_s": round(wall_s, 3), "phase": phase, **finite}
        with self._explained("metrics.jsonl"), open(self.path / "metrics.jsonl", "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        self._lines += 1

    def truncate_metrics(self, lines: int) -> None:
        """Forgets lines after the first `lines`: a resumed run writes them again."""
        kept = self.metrics()[:lines]
        content = "".join(json.dumps(line) + "\n" for line in kept).encode()
        with self._explained("metrics.jsonl"):
            write_atomically(self.path / "metrics.jsonl", content)
        self._lines = len(kept)

    def checkpoint_steps(self) -> list[int]:
        """Steps of all complete checkpoints, oldest first."""
        return sorted(
            int(path.stem.removeprefix("step-"))
            for path in (self.path / "checkpoints").glob("step-*.safetensors")
        )

    def _checkpoint(self, step: int) -> Path:
        return self.path / "checkpoints" / f"step-{step:012d}.safetensors"

    def save_checkpoint(
        self, step: int, arrays: Mapping[str, np.ndarray], meta: dict[str, Any]
    ) -> None:
        """Writes a checkpoint, then removes all but the newest two.

        Raises:
            UserError: the disk is full or the folder cannot be written; older ones are untouched.
        """
        path = self._checkpoint(step)
        whole = {"step": step, "config": self.config, "metrics_lines": self._lines, **meta}
        with self._explained(f"checkpoints/{path.name}"):
            write_checkpoint(path, arrays, whole)
            for old in self.checkpoint_steps()[:-KEPT_CHECKPOINTS]:
                self._checkpoint(old).unlink()

    def load_checkpoint(
        self, step: int | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, metadata) of the newest checkpoint, or of the one at `step`.

        Raises:
            UserError: none there, damaged (the message names an older good one), or of another
                configuration.
        """
        steps = self.checkpoint_steps()
        if not steps:
            raise UserError(f"run {self.path} has no checkpoint yet")
        if step is not None and step not in steps:
            raise UserError(f"run {self.path} has no checkpoint at step {step}; it has {steps}")
        chosen = steps[-1] if step is None else step
        path = self._checkpoint(chosen)
        try:
            arrays, meta = read_checkpoint(path)
        except UserError as error:
            older = [s for s in steps if s < chosen]
            cure = f"; delete it to continue from step {older[-1]:,}" if older else ""
            raise UserError(f"{error}{cure}") from error
        if meta.get("config") != self.config:
            changed = sorted(
                name
                for name in {*meta["config"], *self.config}
                if meta["config"].get(name) != self.config.get(name)
            )
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
        with self._explained("summary.json"):
            write_atomically(self.path / "summary.json", json.dumps(summary, indent=2).encode())

    def _explained(self, name: str) -> "_Explained":
        return _Explained(self.path, name)


class _Explained:
    """Turns a failure to write into a sentence with its cure."""

    def __init__(self, run: Path, name: str) -> None:
        self._run, self._name = run, name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise UserError(
                f"could not write {self._run / self._name}: {error.strerror}; make room and "
                f"continue with 'hinterland train --resume {self._run}'"
            ) from error


def _take_lock(path: Path) -> int:
    """A file descriptor; the lock ends with `RunFolder.close` or with the process, however."""
    lock = os.open(path / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(
            f"run folder {path} is in use by another process; wait for it or choose another --out"
        ) from None
    return lock


def _circumstances() -> dict[str, Any]:
    """When, with what versions, on what machine, from what source."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "unknown"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Commit and whether files were changed, of the source this code runs from."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None  # an installed package, or no git: nothing to tell
