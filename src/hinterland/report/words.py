"""The sentences of a report: its title, its result, how it was measured, what is missing."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hinterland.core.names import printable
from hinterland.report.gather import Run, by_system, by_variant, read_study
from hinterland.report.plots import RETURN
from hinterland.report.statistics import intervals_overlap
from hinterland.report.tables import Row, final_returns, text

_SIMULATIONS = {
    "dials": "DIALS",
    "global": "the global simulator",
    "untrained": "untrained influence predictors",
}


def title(runs: Sequence[Run], paths: Sequence[Path]) -> str:
    """Of the study, or of the system."""
    studies = [study for path in paths if (study := read_study(path))]
    if studies and len(studies) == len(paths):
        return " and ".join(printable(s.get("title") or s["name"]) for s in studies)
    sizes: dict[str, list[str]] = {}
    for domain, agents in by_system(runs):
        sizes.setdefault(domain, []).append(str(agents))
    return " and ".join(f"{name}, {' and '.join(n)} agents" for name, n in sizes.items())


def headline(runs: Sequence[Run]) -> list[str]:
    """The result of each system in a few sentences, with intervals."""
    return [_result(members) for members in by_system(runs).values()]


def _result(runs: Sequence[Run]) -> str:
    rows = [row for row in final_returns(runs) if row.get("return") is not None]
    learned = [row for row in rows if row["seeds"] is not None]
    scripted = [row for row in rows if row["seeds"] is None]
    domain, agents = runs[0].system
    if not learned:
        return f"No run of {domain} with {agents} agents has finished yet. {_so_far(runs)}"
    steps = sorted({run.step for run in runs if run.finished})
    after = f"After {_range(steps)} steps per agent, {agents} agents"
    if len(by_variant(runs)) == 1:
        where = _SIMULATIONS.get(runs[0].simulation, runs[0].simulation)
        said = [f"{after} trained with {where} earn {_figure(learned[0])} per episode."]
    else:
        said = [f"{after} earn per episode: {_list(learned)}."]
    if scripted:
        said.append(f"For comparison: {_list(scripted)}.")
    counts = sorted({row["seeds"] for row in learned})
    if counts == [1]:
        said.append("In brackets: 95 % intervals over the episodes of one seed.")
    else:
        others = "where nothing is learned" + (" or there is one seed" if 1 in counts else "")
        several = _range([n for n in counts if n > 1])
        said.append(f"In brackets: 95 % intervals, over {several} seeds; {others}, over episodes.")
    best = max(learned, key=lambda row: row["return"])
    if heuristic := next((row for row in scripted if row["policy"] == "heuristic"), None):
        said.append(_verdict(best, heuristic, single=len(learned) == 1))
    return " ".join(said)


def _list(rows: Sequence[Row]) -> str:
    names = {"random": "random actions", "heuristic": "the hand-written heuristic"}
    return ", ".join(f"{names.get(r['policy'], r['policy'])} {_figure(r)}" for r in rows)


def _figure(row: Row) -> str:
    """12.34 [12.1 to 12.6]."""
    interval = row.get("95 % interval")
    return text(row["return"]) + (f" [{text(interval)}]" if interval else "")


def _verdict(row: Row, heuristic: Row, single: bool) -> str:
    ours, theirs = row.get("95 % interval"), heuristic.get("95 % interval")
    if not ours or not theirs or row["seeds"] < 2:
        return "One seed says nothing about other seeds."
    name = "The learned policies' interval" if single else f"The interval of {row['policy']}"
    if intervals_overlap(ours, theirs):
        return f"{name} overlaps with the heuristic's."
    side = "above" if ours[0] > theirs[1] else "below"
    return f"{name} lies {side} the heuristic's."


def _so_far(runs: Sequence[Run]) -> str:
    found = []
    for variant, group in by_variant(runs).items():
        for run in group:
            steps, returns = run.series(RETURN)
            if returns:
                place = f"at step {int(steps[-1]):,}"
                found.append(f"{variant} seed {run.seed} {text(returns[-1])} {place}")
    return f"So far: {'; '.join(found)}." if found else ""


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" + (f" to {values[-1]:,}" if len(values) > 1 else "")


def notes(runs: Sequence[Run]) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = []
    for variant, group in by_variant(runs).items():
        found += [f"{variant}, seed {r.seed}: {r.missing()}." for r in group if r.missing()]
        for seed, times in Counter(str(run.seed) for run in group).items():
            if times > 1:
                found.append(
                    f"{variant}: seed {seed} is here {times} times; equal seeds are no independent "
                    "evidence, and the intervals are too narrow."
                )
    return found


def protocol(runs: Sequence[Run]) -> str:
    """How the returns were measured."""
    learning = _episodes(
        [run.last("eval/sampled/episodes") or run.config.get("evaluate_episodes") for run in runs]
    )
    final = _episodes([(r.final("learned") or {}).get("episodes") for r in runs])
    counts = f"{learning} episodes per point" + (f", {final} at the end" if final else "")
    # Only episodes of entities, who may all die, have a length.
    of_entities = all("length" in (run.final("learned") or {}) for run in runs)
    whose = "all entities together" if of_entities else "mean over agents"
    return (
        f"Evaluation: sampled actions, global simulator, {counts}; undiscounted return of one "
        f"episode, {whose}."
    )


def _episodes(values: Sequence[Any]) -> str:
    known = sorted({int(value) for value in values if value})
    return " or ".join(f"{value:,}" for value in known)


def settings(runs: Sequence[Run], everything: bool = False) -> list[Row]:
    """Configuration, a column per variant: what is not the default, or all of it."""
    from hinterland.config import Config
    from hinterland.domains.declared import installed_options

    groups = {name: group[0].config for name, group in by_variant(runs).items()}
    names = dict.fromkeys(name for config in groups.values() for name in config)
    domains = {str(config.get("domain")) for config in groups.values()}
    own = {n: field for d in domains for n, field in installed_options(d).model_fields.items()}
    rows: list[Row] = []
    for name in names:
        if name == "seed":
            seeds = {v: ", ".join(str(r.seed) for r in g) for v, g in by_variant(runs).items()}
            rows.append({"setting": name, **seeds})
            continue
        field = Config.model_fields.get(name) or own.get(name)
        values = {variant: config.get(name) for variant, config in groups.items()}
        usual = field is not None and not field.is_required()
        changed = not usual or any(value != field.default for value in values.values())  # type: ignore[union-attr]
        if changed or everything:
            row: Row = {"setting": name, **{v: _plain(value) for v, value in values.items()}}
            row["default"] = _plain(field.default) if usual else None  # type: ignore[union-attr]
            if everything and field is not None:
                row["meaning"] = " ".join((field.description or "").split())
            rows.append(row)
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine(run: Run) -> str:
    """Where and with what a run was made, from its manifest; empty where that says nothing."""
    manifest = run.manifest
    parts = []
    if processor := manifest.get("processor"):
        parts.append(str(processor))
    if cores := manifest.get("cores"):
        parts.append(f"{cores} core" + ("s" if cores != 1 else ""))
    if devices := manifest.get("devices"):
        parts.append(f"devices {', '.join(map(str, devices))}")
    versions = manifest.get("versions") or {}
    parts += [f"{name} {versions[name]}" for name in ("hinterland", "jax") if name in versions]
    git = manifest.get("git") or {}
    if commit := git.get("commit"):
        parts.append(f"commit {commit[:10]}" + (" with changes" if git.get("changed") else ""))
    return ", ".join(parts)
