"""Runs and studies as plain data for tables and plots."""

import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.record import RunFolder

PHASES = ("train", "collect", "fit", "evaluate", "save")
OWN = ("seed",)
"""Settings in which the runs of one variant may differ."""


@dataclass(frozen=True)
class Run:
    """One run: its variant's name, configuration, metrics and (once it has one) summary."""

    variant: str
    path: Path
    config: dict[str, Any]
    manifest: dict[str, Any]
    metrics: list[dict[str, Any]]
    summary: dict[str, Any] | None

    @property
    def system(self) -> tuple[str, int]:
        """(domain, agents): only returns of the same system can be compared."""
        agents = self.config.get("agents")
        return str(self.config.get("domain", "unknown")), agents if isinstance(agents, int) else 0

    @property
    def seed(self) -> Any:
        """Its seed."""
        return self.config.get("seed", 0)

    @property
    def simulation(self) -> str:
        """Where it trains."""
        return str(self.config.get("simulation", "unknown"))

    @property
    def finished(self) -> bool:
        """Whether it trained to its end and was evaluated there."""
        return self.final("learned") is not None

    @property
    def step(self) -> int:
        """Steps per agent so far."""
        steps = [line["step"] for line in self.metrics if _is_number(line.get("step"))]
        return int(max(steps, default=0))

    def series(self, name: str, against: str = "step") -> tuple[list[float], list[float]]:
        """(x, y) of one metric; lines without it, or with null, are skipped."""
        pairs = [(line.get(against), line.get(name)) for line in self.metrics]
        known = [(x, y) for x, y in pairs if _is_number(x) and _is_number(y)]
        return [x for x, _ in known], [y for _, y in known]

    def last(self, name: str) -> float | None:
        """The newest value of a metric."""
        values = self.series(name)[1]
        return values[-1] if values else None

    def final(self, policy: str) -> dict[str, float] | None:
        """Figures of the last evaluation: return_mean, return_ci95, episodes."""
        found = ((self.summary or {}).get("eval") or {}).get(policy) or {}
        return found if _is_number(found.get("return_mean")) else None

    def total(self, *names: str) -> float | None:
        """A figure of the summary, or of the newest metrics while there is none."""
        found: Any = self.summary or {}
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found if _is_number(found) else self.last("/".join(names))

    def missing(self) -> str:
        """What the run lacks, in words; empty for a whole one."""
        if self.finished:
            return ""
        if not self.metrics:
            return "has measured nothing yet"
        steps = self.config.get("steps")
        text = f"stands at step {self.step:,}" + (f" of {steps:,}" if _is_number(steps) else "")
        if not self.series("eval/sampled/return")[1]:
            text += " and was not evaluated yet"
        return text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def read_run(path: Path, variant: str | None = None) -> Run:
    """One run folder.

    Raises:
        UserError: it is none, or is damaged.
    """
    folder = RunFolder.read(path)
    config = folder.config
    name = variant or str(config.get("simulation", path.name))
    return Run(name, path, config, folder.manifest, folder.metrics(), folder.summary())


def gather(paths: Sequence[Path]) -> list[Run]:
    """All runs of the given run and study folders, in the order given.

    Raises:
        UserError: a path is neither, is damaged, or is a study that has no run yet.
    """
    runs: list[Run] = []
    for path in paths:
        if study := read_study(path):
            order = list(study.get("variants", {}))
            found = [p for p in (path / "runs").glob("*/seed-*") if (p / "manifest.json").is_file()]
            if not found:
                raise UserError(f"study {path} has no runs yet; start it with 'hinterland study'")
            found.sort(key=lambda run: _place(run, order))
            runs += [read_run(run, run.parent.name) for run in found]
        elif path.is_dir() and any((path / n).is_file() for n in ("config.toml", "manifest.json")):
            runs.append(read_run(path))
        else:
            raise UserError(f"{path} is neither a run folder nor a study folder")
    if not runs:
        raise UserError("no run or study folder was given")
    unique = {run.path.resolve(): run for run in runs}
    return list(unique.values())


def read_study(path: Path) -> dict[str, Any] | None:
    """A study folder's study.toml; None where there is none.

    Raises:
        UserError: it is damaged.
    """
    file = path / "study.toml"
    if not file.is_file():
        return None
    try:
        return {"name": path.name, **tomllib.loads(file.read_text("utf-8"))}
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged: {error}") from error


def _place(run: Path, order: Sequence[str]) -> tuple[int, str, int, str]:
    name, seed = run.parent.name, run.name.removeprefix("seed-")
    place = order.index(name) if name in order else len(order)
    return place, name, int(seed) if seed.isdigit() else -1, seed


def by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs grouped so that only the seed differs within a group, in order of appearance.

    Groups of the same name are told apart by the settings in which they differ.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        settings = {k: v for k, v in run.config.items() if k not in OWN}
        key = (run.variant, json.dumps(settings, sort_keys=True, default=str))
        groups.setdefault(key, []).append(run)
    named: dict[str, list[Run]] = {}
    for (name, _), group in groups.items():
        twins = [other[0] for (other_name, _), other in groups.items() if other_name == name]
        parts = [f"{key} {group[0].config.get(key)}" for key in differing(twins)]
        named[", ".join([name, *parts])] = group
    return named


def differing(runs: Sequence[Run]) -> list[str]:
    """Settings, the seed apart, that are not the same in all these runs."""
    names = dict.fromkeys(key for run in runs for key in run.config if key not in OWN)
    return [n for n in names if len({str(run.config.get(n)) for run in runs}) > 1]


def scripted_return(
    runs: Sequence[Run], policy: str, figure_of: str = "return"
) -> tuple[float, float | None] | None:
    """(mean, half width of its 95 % interval) of a hand-written policy in runs of one system.

    Nothing is learned, so the episodes of all seeds count as one sample. Of other figures than the
    return the interval is not known.
    """
    name = "return_mean" if figure_of == "return" else figure_of
    by_seed = {str(run.seed): found for run in runs if name in (found := run.final(policy) or {})}
    if not by_seed:
        return None
    level = sum(found[name] for found in by_seed.values()) / len(by_seed)
    halves = [found.get(f"{figure_of}_ci95") for found in by_seed.values()]
    if not all(map(_is_number, halves)):
        return level, None
    return level, math.sqrt(sum(h**2 for h in halves if h)) / len(halves)


def by_system(runs: Sequence[Run]) -> dict[tuple[str, int], list[Run]]:
    """Runs of the same domain with the same number of agents."""
    systems: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        systems.setdefault(run.system, []).append(run)
    return systems


def read_replay(runs: Sequence[Run]) -> dict[str, Any] | None:
    """The first replay.json of these runs.

    Raises:
        UserError: it is damaged.
    """
    for run in runs:
        path = run.path / "replay.json"
        if not path.is_file():
            continue
        try:
            replay = json.loads(path.read_text("utf-8"))
            if not replay["frames"] or not replay["scene"]["width"]:
                raise ValueError("no frames")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error!r}); delete it") from error
        return replay
    return None
