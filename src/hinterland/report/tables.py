"""Tables as rows of text, rendered as HTML, Markdown or CSV."""

import csv
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from hinterland.report import paper
from hinterland.report.gather import Run, by_variant
from hinterland.report.statistics import interquartile_mean, intervals_overlap, mean_interval

Rows = list[dict[str, str]]


def final_returns(runs: Sequence[Run]) -> Rows:
    """Final return per variant over seeds, with the hand-written policies below."""
    rows: Rows = []
    groups = {
        name: np.array([r.summary["eval"]["learned"]["return_mean"] for r in group if r.summary])
        for name, group in by_variant(runs).items()
    }
    first = next((values for values in groups.values() if len(values)), None)
    for name, values in groups.items():
        group = [run for run in by_variant(runs)[name] if run.summary]
        if not len(values):
            rows.append({"policy": name, "seeds": "0 finished"})
            continue
        greedy = [run.summary["eval"]["learned_greedy"]["return_mean"] for run in group]  # type: ignore[index]
        apart = "" if values is first or first is None else _apart(values, first)
        rows.append(
            {
                "policy": name,
                "seeds": str(len(values)),
                "return, sampled": _interval(values),
                "return, greedy": _interval(np.array(greedy)),
                "interquartile mean": f"{interquartile_mean(values):.2f}",
                "lowest … highest": f"{values.min():.2f} … {values.max():.2f}",
                "95 % intervals against the first row": apart,
            }
        )
    for name in ("random", "heuristic"):
        found = [
            run.summary["eval"][name]["return_mean"]
            for run in runs
            if run.summary and name in run.summary["eval"]
        ]
        if found:
            rows.append({"policy": name, "seeds": str(len(found)),
                         "return, sampled": _interval(np.array(found))})  # fmt: skip
    return rows


def _apart(values: np.ndarray, first: np.ndarray) -> str:
    if min(len(values), len(first)) < 2:
        return "one seed: unknown"
    return "overlap" if intervals_overlap(values, first) else "do not overlap"


def _interval(values: np.ndarray) -> str:
    mean, half = mean_interval(values)
    return f"{mean:.2f}" if np.isnan(half) else f"{mean:.2f} ± {half:.2f}"


def runtimes(runs: Sequence[Run]) -> Rows:
    """As the paper's Tables 1 and 2: seconds per 100K steps per agent, and per refresh."""
    rows: Rows = []
    for name, group in by_variant(runs).items():
        done = [run for run in group if run.summary]
        if not done:
            continue
        hundred = [r.summary["time"]["train_s"] / r.summary["step"] * 1e5 for r in done]  # type: ignore[index]
        rate = [r.summary["agent_steps_per_s"] for r in done]  # type: ignore[index]
        row = {
            "variant": name,
            "wall time (s)": f"{np.mean([r.summary['wall_s'] for r in done]):.0f}",  # type: ignore[index]
            "agent-steps/s": f"{np.median(rate):,.0f}",
            "simulate and learn, 100K steps (s)": f"{np.mean(hundred):.0f}",
        }
        refreshes = [len(r.series("influence/cross_entropy/after")[1]) for r in done]
        if max(refreshes):
            each = [
                (r.summary["time"]["fit_s"] + r.summary["time"]["collect_s"]) / n  # type: ignore[index]
                for r, n in zip(done, refreshes, strict=True)
                if n
            ]
            row["one refresh (s)"] = f"{np.mean(each):.1f}"
        config = done[0].config
        published = paper.SECONDS_PER_100K.get(config["agents"])
        if config["domain"] == "warehouse" and published:
            on_global = config["simulation"] == "global"
            row["paper: 100K steps (s)"] = f"{published[0 if on_global else 1]:,}"
            if config["simulation"] == "dials":
                row["paper: one refresh (s)"] = f"{published[2]:,}"
        rows.append(row)
    return rows


def memory(runs: Sequence[Run]) -> Rows:
    """As the paper's Table 3: peak resident memory of the whole run."""
    rows: Rows = []
    for name, group in by_variant(runs).items():
        peaks = [run.last("memory/peak_mb") for run in group]
        known = [peak for peak in peaks if peak is not None]
        if not known:
            continue
        row = {"variant": name, "peak, in total (MB)": f"{max(known):,.0f}"}
        config = group[0].config
        published = paper.MEMORY_MB.get(config["agents"])
        if config["domain"] == "warehouse" and published:
            alone, each = published
            on_global = config["simulation"] == "global"
            total = alone if on_global else each * config["agents"]
            row["paper, in total (MB)"] = f"{total:,}"
        rows.append(row)
    return rows


def _columns(rows: Rows) -> list[str]:
    columns: list[str] = []
    for row in rows:
        columns += [name for name in row if name not in columns]
    return [name for name in columns if any(row.get(name) for row in rows)]


def as_html(rows: Rows) -> str:
    """An HTML table; missing cells are empty."""
    columns = _columns(rows)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row.get(c, ''))}</td>" for c in columns) + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="table">{table}</div>'


def as_markdown(rows: Rows) -> str:
    """A Markdown table, for the README."""
    columns = _columns(rows)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row.get(name, "") for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Comma-separated values with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
