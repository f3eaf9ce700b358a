"""Tables as rows of plain numbers, and their renderers."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from hinterland.core.figures import in_words, is_number, part_of, parts_of
from hinterland.core.names import as_file_name, printable
from hinterland.report import paper
from hinterland.report.gather import Run, by_system, by_variant, scripted_return
from hinterland.report.statistics import (
    bootstrap_interval,
    interquartile_mean,
    intervals_overlap,
    mean,
    probability_of_improvement,
    t_interval,
)
from hinterland.report.style import as_csv

__all__ = [
    "as_csv",
    "as_html",
    "as_markdown",
    "by_part",
    "cluster",
    "final_returns",
    "influence",
    "memory",
    "over_seeds",
    "own_figures",
    "populations",
    "runtimes",
]

Row = dict[str, Any]
"""Text, numbers, intervals as (low, high), or None for what is not known."""

APART = "95 % interval apart from"
SCRIPTED = ("random", "heuristic")
POPULATION = ("length", "alive", "finished", "ice", "ice/factory", "factories/alive")
"""Figures of entities that evaluation may give."""
CLUSTER = tuple(f"cluster/{x}" for x in ("units", "nodes", "processors", "up_mb", "down_mb"))
"""Figures of messages, none of which is 0 where there were any."""


def final_returns(runs: Sequence[Run]) -> list[Row]:
    """Final returns per variant over seeds, then the hand-written policies of each system."""
    rows: list[Row] = []
    for suffix, members in _systems(runs):
        own: list[Row] = []
        for variant, group in by_variant(members).items():
            values, greedy = final_values(group), final_values(group, "learned_greedy")
            row: Row = {"policy": variant + suffix, "seeds": len(values)}
            if len(values):
                row |= {"return": mean(values), "95 % interval": _interval(group, values)}
                row["interval over"] = "seeds" if len(values) > 1 else "episodes"
                row["greedy actions"] = mean(greedy) if len(greedy) else None
            own.append(row | _shown(group, "learned"))
        for name in SCRIPTED:
            if (found := scripted_return(members, name)) is not None:
                level, half = found
                row = {"policy": name + suffix, "seeds": None, "return": level}
                if half is not None:
                    row |= {"95 % interval": (level - half, level + half)}
                    row["interval over"] = "episodes"
                own.append(row | _shown(members, name))
        rows += [row | {APART: _apart(row, own)} for row in own]
    return rows


def _shown(runs: Sequence[Run], policy: str) -> Row:
    """What stands beside the return, mean over seeds."""
    names = dict.fromkeys(name for run in runs for name in run.shown)
    found = [run.final(policy) or {} for run in runs]
    return {_head(name): _mean_figure(found, name) for name in names}


def _mean_figure(found: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return _mean_of([x if is_number(x := one.get(name)) else None for one in found])


def _head(name: str) -> str:
    what, unit = in_words(name)
    return f"{what} ({unit})" if unit else what


def own_figures(runs: Sequence[Run]) -> list[Row]:
    """All figures of systems that show some beside the return, at the end, mean over seeds."""
    rows: list[Row] = []
    for name, found in _finals(runs):
        own = dict.fromkeys(x.removesuffix("_std") for one in found for x in one)
        own = [x for x in own if any(f"{x}_std" in one for one in found)]
        whole = [x for x in own if x != "return" and part_of(x, own) is None]
        row = {_head(x): _mean_figure(found, x) for x in whole}
        rows.append({"policy": name, **row})
    return rows


def by_part(runs: Sequence[Run]) -> dict[str, list[Row]]:
    """By kind of parts: figures of each part and policy at the end, mean over seeds."""
    tables: dict[str, list[Row]] = {}
    for name, found in _finals(runs):
        several = [parts_of(one) for one in found]
        for kind in dict.fromkeys(kind for one in several for kind in one):
            every = [one.get(kind, {}) for one in several]
            for part in dict.fromkeys(part for one in every for part in one):
                known = [one.get(part, {}) for one in every]
                figures = dict.fromkeys(x for one in known for x in one)
                row = {_head(x): _mean_figure(known, x) for x in figures}
                row = {"policy": name, kind: printable(part), **row}
                tables.setdefault(as_file_name(kind), []).append(row)
    return tables


def _finals(runs: Sequence[Run]) -> list[tuple[str, list[dict[str, Any]]]]:
    """(name, what each seed's final evaluation gave) of every policy, where some is shown."""
    found = []
    for suffix, members in _systems([run for run in runs if run.shown]):
        policies = [(name, group, "learned") for name, group in by_variant(members).items()]
        policies += [
            (f"{name}, greedy", group, "learned_greedy")
            for name, group in by_variant(members).items()
        ]
        for name, group, policy in (*policies, *((x, members, x) for x in SCRIPTED)):
            each = [one for run in group if (one := run.final(policy))]
            if each:
                found.append((name + suffix, each))
    return found


def populations(runs: Sequence[Run]) -> list[Row]:
    """Figures of entities at the end, mean over seeds; how soon shares and lengths were reached.

    Such a share is over the games of all seeds of one evaluation; the length is the longest that
    the shortest-lived variant ever had in one (mean over seeds).
    """
    rows: list[Row] = []
    for suffix, members in _systems(runs):
        groups = by_variant(members)
        lengths = {name: _means(group, "length") for name, group in groups.items()}
        least = min((max(x.values()) for x in lengths.values() if x), default=None)
        for name, group in groups.items():
            rows.append(_population(name + suffix, [run.final("learned") for run in group]))
            rows[-1] |= _finished(group)
            if least is not None and len(groups) > 1:
                head = f"mean length {least:.0f} by step"
                rows[-1][head] = _reached(lengths[name], least)
        for name in SCRIPTED:
            rows.append(_population(name + suffix, [run.final(name) for run in members]))
    return [row for row in rows if len(row) > 1]


def _population(name: str, found: Sequence[dict[str, Any] | None]) -> Row:
    known = [one for one in found if one]
    names = [x for x in POPULATION if known and all(one.get(x) is not None for one in known)]
    return {"policy": name, **{x: mean(np.array([one[x] for one in known])) for x in names}}


def _finished(group: Sequence[Run]) -> Row:
    shares = _means(group, "finished")
    return {f"{x:.0%} finished by step": _reached(shares, x) for x in (0.1, 0.95) if shares}


def _means(group: Sequence[Run], figure: str) -> dict[int, float]:
    """By step, over seeds, where all of them were evaluated."""
    found = [dict(zip(*run.series(f"eval/sampled/{figure}"), strict=True)) for run in group]
    steps = sorted(set.intersection(*map(set, found)))
    return {step: mean(np.array([one[step] for one in found])) for step in steps}


def _reached(values: dict[int, float], least: float) -> int | None:
    return next((step for step, x in values.items() if x >= least), None)


def over_seeds(runs: Sequence[Run]) -> list[Row]:
    """Statistics that need several seeds, per variant that has them."""
    rows: list[Row] = []
    for suffix, members in _systems(runs):
        first: tuple[str, np.ndarray] | None = None
        for variant, group in by_variant(members).items():
            values = final_values(group)
            if len(values) < 2:
                continue
            row: Row = {
                "policy": variant + suffix,
                "interquartile mean": interquartile_mean(values),
                "95 % bootstrap interval": bootstrap_interval([values]),
                "lowest to highest": (float(values.min()), float(values.max())),
            }
            if first is None:
                first = variant, values
            else:
                improvement = probability_of_improvement(first[1], values)
                row[f"probability that {first[0]} is better"] = improvement
            rows.append(row)
    return rows


def _systems(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """(what to add to a name, runs) of each system."""
    systems = by_system(runs)
    if len(systems) == 1:
        return [("", list(runs))]
    return [(f" ({domain}, {agents} agents)", m) for (domain, agents), m in systems.items()]


def final_values(group: Sequence[Run], policy: str = "learned") -> Float[np.ndarray, " seeds"]:
    """Final mean returns, one per seed."""
    return np.array([found["return_mean"] for run in group if (found := run.final(policy))])


def _interval(group: Sequence[Run], values: np.ndarray) -> tuple[float, float] | None:
    if len(values) > 1:
        return t_interval(values)
    half = next(found.get("return_ci95") for run in group if (found := run.final("learned")))
    return None if half is None else (float(values[0] - half), float(values[0] + half))


def _apart(row: Row, rows: Sequence[Row]) -> str | None:
    if row.get("95 % interval") is None:
        return None
    if row["seeds"] == 1:
        return "unknown: one seed"
    names = [
        other["policy"]
        for other in rows
        if other is not row
        and other["seeds"] != 1
        and other.get("95 % interval") is not None
        and not intervals_overlap(row["95 % interval"], other["95 % interval"])
    ]
    return ", ".join(names) or "none"


def runtimes(runs: Sequence[Run]) -> list[Row]:
    """As the paper's Tables 1 and 2: seconds per 100K steps per agent, and per refresh."""
    rows: list[Row] = []
    for variant, group in by_variant(runs).items():
        chosen = [r for r in group if r.total("time", "train_s") and r.step]
        if not chosen:
            continue
        refreshes = [
            ((r.total("time", "fit_s") or 0.0) + (r.total("time", "collect_s") or 0.0)) / n
            for r in chosen
            if (n := len(r.series("influence/cross_entropy/after")[1]))
        ]
        row: Row = {
            "variant": variant,
            "wall time (s)": _mean_of([r.total("wall_s") for r in chosen]),
            "agent-steps/s in training": _mean_of([r.total("agent_steps_per_s") for r in chosen]),
            "simulate and learn, s per 100K steps": _mean_of(
                [(r.total("time", "train_s") or 0.0) / r.step * 1e5 for r in chosen]
            ),
            "influence, s per refresh": _mean_of(refreshes),
        }
        domain, agents = chosen[0].system
        if published := paper.seconds(domain, agents, chosen[0].simulation):
            row["paper: s per 100K steps"], row["paper: s per refresh"] = published
        rows.append(row)
    return rows


def memory(runs: Sequence[Run]) -> list[Row]:
    """As the paper's Table 3: peak resident memory, all processes of the run together."""
    rows: list[Row] = []
    for variant, group in by_variant(runs).items():
        # A resumed run is several processes in turn: the summary knows the last one's peak only.
        peaks = [v for run in group for v in run.series("memory/peak_mb")[1]]
        peaks += [v for run in group if (v := run.total("memory", "peak_mb")) is not None]
        if not peaks:
            continue
        row: Row = {"variant": variant, "peak (MB)": max(peaks)}
        domain, agents = group[0].system
        if published := paper.memory(domain, agents, group[0].simulation):
            low, high = published
            row["paper (MB)"] = low if low == high else published
        rows.append(row)
    return rows


def cluster(runs: Sequence[Run]) -> list[Row]:
    """Messages of runs with `--runtime ray`, by phase, all seeds together."""
    rows: list[Row] = []
    for variant, group in by_variant(runs).items():
        lines = [
            x for run in group for x in run.metrics if all((x.get(n) or 0) > 0 for n in CLUSTER)
        ]
        for phase in dict.fromkeys(line.get("phase") for line in lines):
            told = [line for line in lines if line.get("phase") == phase]
            units = sum(line["cluster/units"] for line in told)
            rows.append(
                {
                    "variant": variant,
                    "phase": phase and printable(phase),
                    "nodes": min(line["cluster/nodes"] for line in told),
                    "processors": min(line["cluster/processors"] for line in told),
                    "messages each way": units,
                    "MB up, of one": sum(line["cluster/up_mb"] for line in told) / units,
                    "MB down, of one": sum(line["cluster/down_mb"] for line in told) / units,
                    "lost": sum(line.get("cluster/lost") or 0 for line in told),
                }
            )
    return rows


def influence(runs: Sequence[Run]) -> list[Row]:
    """How well the predictors know their influence, mean over seeds."""
    rows: list[Row] = []
    prefix = "influence/cross_entropy/"
    for variant, group in by_variant(runs).items():
        chosen = [run for run in group if run.series(prefix + "after")[1]]
        if not chosen:
            continue
        rows.append(
            {
                "variant": variant,
                "trainings": max(len(r.series(prefix + "after")[1]) for r in chosen),
                "untrained": _mean_of([_first(r, prefix + "before") for r in chosen]),
                "after the first": _mean_of([_first(r, prefix + "after") for r in chosen]),
                "after the last": _mean_of([r.last(prefix + "after") for r in chosen]),
                "at the end of the run": _mean_of([r.last(prefix + "end") for r in chosen]),
                "best constant": _mean_of([r.last(prefix + "marginal") for r in chosen]),
                "calibration error": _mean_of(
                    [r.last("influence/calibration/after") for r in chosen]
                ),
            }
        )
    return rows


def _first(run: Run, name: str) -> float | None:
    return next(iter(run.series(name)[1]), None)


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(np.array(known)) if known else None


def text(value: Any) -> str:
    """A cell in words: three digits or two decimals, whichever is more; unknown is a dash."""
    if isinstance(value, tuple):
        return "–" if any(v is None or v != v for v in value) else " to ".join(map(text, value))
    if value is None or value != value:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}" if isinstance(value, int) or abs(value) >= 100 else f"{value:.2f}"
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _columns(rows: Sequence[Row]) -> list[str]:
    """All columns that hold something, in order of appearance; verdicts last."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    columns.sort(key=lambda name: name == APART)
    return [name for name in columns if any(row.get(name) not in (None, "") for row in rows)]


def _is_text(rows: Sequence[Row], name: str) -> bool:
    return any(isinstance(row.get(name), str) for row in rows)


def as_html(rows: Sequence[Row], caption: str) -> str:
    """An HTML table whose first column heads its rows; wide ones scroll by themselves."""
    columns = _columns(rows)
    kinds = {name: "" if _is_text(rows, name) else ' class="number"' for name in columns}
    kinds[APART] = ' class="verdict"'
    head = "".join(f'<th scope="col"{kinds[n]}>{html.escape(n)}</th>' for n in columns)
    body = ""
    for row in rows:
        cells = [f'<th scope="row">{html.escape(text(row.get(columns[0])))}</th>']
        cells += [f"<td{kinds[n]}>{html.escape(text(row.get(n)))}</td>" for n in columns[1:]]
        body += f"<tr>{''.join(cells)}</tr>"
    # Above the table and not in it: a wide table scrolls, its caption must not.
    said = html.escape(caption)
    return (
        f'<p class="note">{said}</p><div class="table" role="region" aria-label="{said}" '
        f'tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    columns = _columns(rows)
    rule = ["---" if _is_text(rows, name) else "---:" for name in columns]
    lines = [columns, rule, *([text(row.get(name)) for name in columns] for row in rows)]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)
