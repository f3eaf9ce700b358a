"""Runs and studies as plain data for tables and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.record import RunFolder


@dataclass(frozen=True)
class Run:
    """One run: its variant's name, configuration, metrics and (if finished) summary."""

    variant: str
    path: Path
    config: dict[str, Any]
    manifest: dict[str, Any]
    metrics: list[dict[str, Any]]
    summary: dict[str, Any] | None

    def series(self, name: str, against: str = "step") -> tuple[list[float], list[float]]:
        """(x, y) of one metric; lines without it, or with null, are skipped."""
        pairs = [(line[against], line[name]) for line in self.metrics if line.get(name) is not None]
        return [x for x, _ in pairs], [y for _, y in pairs]

    def last(self, name: str) -> float | None:
        """The newest value of a metric."""
        values = self.series(name)[1]
        return values[-1] if values else None


def read_run(path: Path, variant: str | None = None) -> Run:
    """One run folder.

    Raises:
        UserError: it is none, or is damaged.
    """
    folder = RunFolder.read(path)
    name = variant or folder.config.get("simulation", path.name)
    return Run(name, path, folder.config, folder.manifest, folder.metrics(), folder.summary())


def gather(paths: Sequence[Path]) -> list[Run]:
    """All runs of the given run and study folders, in the order given.

    Raises:
        UserError: a path is neither, or a study has no run yet.
    """
    runs: list[Run] = []
    for path in paths:
        if (path / "study.toml").is_file():
            found = sorted((path / "runs").glob("*/seed-*"))
            runs += [read_run(run, run.parent.name) for run in _in_study_order(path, found)]
            if not found:
                raise UserError(f"study {path} has no runs yet")
        elif path.is_dir():
            runs.append(read_run(path))
        else:
            raise UserError(f"{path} is neither a run folder nor a study folder")
    return runs


def _in_study_order(path: Path, found: list[Path]) -> list[Path]:
    import tomllib

    order = list(tomllib.loads((path / "study.toml").read_text()).get("variants", {}))

    def place(run: Path) -> tuple[int, str]:
        name = run.parent.name
        return (order.index(name) if name in order else len(order), str(run))

    return sorted(found, key=place)


def by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs grouped by variant and number of agents, in order of appearance."""
    groups: dict[str, list[Run]] = {}
    several_sizes = len({run.config["agents"] for run in runs}) > 1
    for run in runs:
        name = f"{run.variant}, {run.config['agents']} agents" if several_sizes else run.variant
        groups.setdefault(name, []).append(run)
    return groups
