"""Runs and studies as plain data for tables and plots."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.core.names import printable
from hinterland.core.reading import is_there, parse_json, parse_toml, read_as
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
        return self.config["domain"], self.config.get("agents", 0)

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
    def shown(self) -> tuple[str, ...]:
        """Figures that stand beside the return; known once it has finished."""
        return tuple((self.summary or {}).get("shown") or ())

    @property
    def step(self) -> int:
        """Steps per agent so far."""
        return max((line["step"] for line in self.metrics), default=0)

    def series(self, name: str, against: str = "step") -> tuple[list[float], list[float]]:
        """(x, y) of one metric; lines without it, or with null, are skipped."""
        pairs = [(line.get(against), line.get(name)) for line in self.metrics]
        known = [(x, y) for x, y in pairs if x is not None and y is not None]
        return [x for x, _ in known], [y for _, y in known]

    def last(self, name: str) -> float | None:
        """The newest value of a metric."""
        values = self.series(name)[1]
        return values[-1] if values else None

    def final(self, policy: str) -> dict[str, Any] | None:
        """Figures of the last evaluation: return_mean, return_ci95, episodes."""
        found = ((self.summary or {}).get("eval") or {}).get(policy) or {}
        return None if found.get("return_mean") is None else found

    def total(self, *names: str) -> float | None:
        """A figure of the summary, or of the newest metrics while there is none."""
        found: Any = self.summary
        for name in names:
            found = (found or {}).get(name)
        return self.last("/".join(names)) if found is None else found

    def missing(self) -> str:
        """What the run lacks, in words; empty for a whole one."""
        if self.finished:
            return ""
        if not self.metrics:
            return "has measured nothing yet"
        steps = self.config.get("steps")
        text = f"stands at step {self.step:,}" + ("" if steps is None else f" of {steps:,}")
        if not self.series("eval/sampled/return")[1]:
            text += " and was not evaluated yet"
        return text


def read_run(path: Path, variant: str | None = None) -> Run:
    """One run folder.

    Raises:
        UserError: it is none, or is damaged.
    """
    folder = RunFolder.read(path)
    settings = dict(folder.config)
    settings |= settings.pop("domain_options", {})  # one list, as in older runs
    config, manifest = all_printable(settings), all_printable(folder.manifest)
    name = printable(variant or config.get("simulation", path.name))
    return Run(name, path, config, manifest, folder.metrics(), folder.summary())


def gather(paths: Sequence[Path]) -> list[Run]:
    """All runs of the given run and study folders, in the order given.

    Raises:
        UserError: a path is neither, is damaged, or is a study that has no run yet.
    """
    runs: list[Run] = []
    for path in paths:
        if study := read_study(path):
            order = list(study.get("variants", {}))
            found = [p for p in (path / "runs").glob("*/seed-*") if is_there(p / "manifest.json")]
            if not found:
                raise UserError(f"study {path} has no runs yet; start it with 'hinterland study'")
            found.sort(key=lambda run: _place(run, order))
            runs += [read_run(run, run.parent.name) for run in found]
        elif any(is_there(path / name) for name in ("config.toml", "manifest.json")):
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
    from hinterland.record.models import CONFIG_SIZE, KeptStudy, check

    file = path / "study.toml"
    if not is_there(file):
        return None
    found = read_as(parse_toml, file, CONFIG_SIZE)
    check(KeptStudy, found, file)
    return {"name": path.name, **found}


def _place(run: Path, order: Sequence[str]) -> tuple[int, str, int, str]:
    name, seed = run.parent.name, run.name.removeprefix("seed-")
    place = order.index(name) if name in order else len(order)
    return place, name, int(seed) if seed.isdecimal() else -1, seed


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
    finals = [(str(run.seed), run.final(policy) or {}) for run in runs]
    by_seed = {seed: found for seed, found in finals if found.get(name) is not None}
    if not by_seed:
        return None
    level = sum(found[name] for found in by_seed.values()) / len(by_seed)
    halves = [found.get(f"{figure_of}_ci95") for found in by_seed.values()]
    if any(half is None for half in halves):
        return level, None
    return level, math.sqrt(sum(half**2 for half in halves if half)) / len(halves)


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
    from hinterland.record.models import REPLAY_SIZE, Replay, check

    for run in runs:
        path = run.path / "replay.json"
        if is_there(path):
            replay = read_as(parse_json, path, REPLAY_SIZE)
            check(Replay, replay, path)
            return all_printable(replay)
    return None


def all_printable(value: Any) -> Any:
    """A value as JSON and TOML have them, each text in it `printable`, names of entries too."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name)): all_printable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [all_printable(one) for one in value]
    return value
