"""Figures. Each function gives an SVG element for a page, or None where no run has the data.

With a folder it also writes the figure as PNG and SVG and the numbers behind it as CSV.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hinterland.report import paper
from hinterland.report.gather import PHASES, Run, by_variant, scripted_return
from hinterland.report.statistics import t_interval
from hinterland.report.style import (
    INK,
    PAPER,
    SOFT,
    Table,
    colour,
    finish,
    legend,
    literal,
    new_axes,
    short,
    short_steps,
    steps_axis,
    stroke,
    time_unit,
)

RETURN = "eval/sampled/return"


def aggregated(runs: Sequence[Run]) -> list[Run]:
    """The runs whose mean is shown: the finished ones; while there are none, all."""
    return [run for run in runs if run.finished] or list(runs)


def _seeds(group: Sequence[Run]) -> str:
    n = len(aggregated(group))
    return f"n = {n}" + (f" of {len(group)}" if n < len(group) else "")


def learning_curve(
    runs: Sequence[Run],
    against: str = "step",
    folder: Path | None = None,
    name: str = "learning",
    figure_of: str = "return",
) -> str | None:
    """A figure of evaluation with sampled actions, of runs of one system.

    Args:
        runs: of one domain with one number of agents.
        against: "step" or "wall_s".
        folder: where PNG, SVG and CSV go.
        name: of these files.
        figure_of: evaluation, such as "length".
    """
    metric = f"eval/sampled/{figure_of}"
    figure, axes = new_axes(4.3)
    table: Table = []
    drawn: dict[str, int] = {}
    longest = max((x for r in runs for x in r.series(metric, against)[0]), default=0.0)
    scale, unit = (1.0, "") if against == "step" else time_unit(longest)
    for index, (variant, group) in enumerate(by_variant(runs).items()):
        chosen = [r for r in aggregated(group) if r.series(metric)[1]]
        for run in group:
            x, y = run.series(metric, against)
            if len(group) > 1:
                axes.plot(np.array(x) / scale, y, color=colour(index), lw=0.7, alpha=0.5)
        if not chosen:
            continue
        drawn.setdefault(chosen[0].simulation, index)
        x, centre, low, high = _band(chosen, metric, against)
        look = {"color": colour(index), "ls": stroke(index), "lw": 2}
        marker = "o" if len(x) == 1 else None
        axes.plot(x / scale, centre, **look, marker=marker, label=f"{variant} ({_seeds(group)})")
        axes.fill_between(x / scale, low, high, color=colour(index), alpha=0.18, lw=0)
        for row in zip(x, centre, low, high, strict=True):
            values = [None if np.isnan(v) else float(v) for v in row]
            place = int(row[0]) if against == "step" else values[0]
            table.append(
                {"variant": variant, "n": len(chosen), against: place, figure_of: values[1],
                 "ci95": (values[2], values[3])}
            )  # fmt: skip
    if not table:
        return None
    if against == "step":
        steps_axis(axes)
        if metric == RETURN:
            _add_paper(axes, runs, drawn, longest, table)
    else:
        axes.set_xlabel(f"wall time ({unit})")
    _add_scripted(axes, runs, figure_of)
    axes.set_ylabel(f"{figure_of} per episode" if metric == RETURN else f"{figure_of} of episodes")
    # By the lines, not the bands: those of two seeds (12.7 standard errors) would flatten the rest.
    heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    bottom, top = min(0.0, float(heights.min())), max(0.0, float(heights.max()))
    room = 0.08 * (top - bottom or 1)
    axes.set_ylim(bottom - (room if bottom < 0 else 0), top + room)
    axes.set_xlim(0, longest / scale or None)
    legend(figure, axes)
    ends = {row["variant"]: row[figure_of] for row in table if "paper" not in row["variant"]}
    last = ", ".join(f"{variant} ends at {value:.2f}" for variant, value in ends.items())
    over = "steps per agent" if against == "step" else "wall time"
    said = f"{figure_of.capitalize()} per episode over {over}: {last}"
    return finish(figure, name, said, table, folder)


def _band(runs: Sequence[Run], metric: str, against: str) -> tuple[np.ndarray, ...]:
    """(x, mean, low, high): over seeds within their common reach, or of one seed over episodes."""
    series = [run.series(metric, against) for run in runs]
    end = min(x[-1] for x, _ in series)
    grid = np.array([x for x in series[0][0] if x <= end] or series[0][0][:1])
    values = np.stack([np.interp(grid, x, y) for x, y in series])
    if len(runs) > 1:
        low, high = np.array([t_interval(values[:, i]) for i in range(len(grid))]).T
        return grid, values.mean(0), low, high
    x, half = runs[0].series(f"{metric}_ci95", against)
    half = np.interp(grid, x, half) if half else np.full(len(grid), np.nan)
    return grid, values[0], values[0] - half, values[0] + half


def _add_paper(
    axes: Any, runs: Sequence[Run], drawn: dict[str, int], longest: float, table: Table
) -> None:
    domain, agents = runs[0].system
    for simulation, index in drawn.items():
        if (found := paper.curve(domain, agents, simulation)) is None:
            continue
        x, y = found
        inside = [i for i, step in enumerate(x) if step < longest]
        at = [*(x[i] for i in inside), longest]
        values = [*(y[i] for i in inside), float(np.interp(longest, x, y))]
        end = f"{y[-1]:.2f} at {short_steps(x[-1])}"
        period = f" F={paper.refresh(domain)}" if simulation == "dials" else ""
        label = f"paper, {simulation}{period} ({end})"
        axes.plot(at, values, color=colour(index), lw=1.3, ls=(0, (4, 2)), label=label)
        table += [
            {"variant": f"paper, {simulation}", "step": s, "return": v}
            for s, v in zip(x, y, strict=True)
        ]


def _add_scripted(axes: Any, runs: Sequence[Run], figure_of: str) -> None:
    for name, style in (("heuristic", (0, (6, 2))), ("random", (0, (1, 2)))):
        if found := scripted_return(runs, name, figure_of):
            level = found[0]
            axes.axhline(level, color=INK, ls=style, lw=1, label=f"{name} ({short(level, 2)})")


def cross_entropy(
    runs: Sequence[Run], folder: Path | None = None, name: str = "cross-entropy"
) -> str | None:
    """On fresh held-out global trajectories, before and after each training of the predictors."""
    prefix = "influence/cross_entropy/"
    figure, axes = new_axes(3.9)
    table: Table = []
    labelled = False
    for index, (variant, group) in enumerate(by_variant(runs).items()):
        first = True
        for run in group:
            x, after = run.series(prefix + "after")
            before = dict(zip(*run.series(prefix + "before"), strict=True))
            marginal = dict(zip(*run.series(prefix + "marginal"), strict=True))
            if not after:
                continue
            alpha = 1 if len(group) == 1 else 0.6
            saw = [(s, v) for s, a in zip(x, after, strict=True) for v in (before.get(s), a)]
            saw += list(zip(*run.series(prefix + "end"), strict=True))
            known = [(s, v) for s, v in saw if v is not None]
            axes.plot(*zip(*known, strict=True), color=colour(index), lw=1, alpha=alpha)
            dots = {"color": colour(index), "ls": "", "ms": 4.5, "alpha": alpha}
            axes.plot(before.keys(), before.values(), marker="o", mfc=PAPER, **dots,
                      label=f"{variant}, before" if first and before else None)  # fmt: skip
            axes.plot(x, after, marker="o", **dots, label=f"{variant}, after" if first else None)
            if marginal:
                axes.plot(marginal.keys(), marginal.values(), color=SOFT, lw=1, ls=(0, (1, 2)),
                          label=None if labelled else "best constant prediction")  # fmt: skip
                labelled = True
            first = False
            table += [
                {"variant": variant, "seed": run.seed, "step": s, "before": before.get(s),
                 "after": a, "marginal": marginal.get(s)}
                for s, a in zip(x, after, strict=True)
            ]  # fmt: skip
    if not table:
        return None
    steps_axis(axes)
    axes.set_ylabel("cross-entropy (nats)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
    legend(figure, axes)
    text = f"Cross-entropy of the predictors: {table[0]['after']:.2f} nats after the first "
    text += f"training, {table[-1]['after']:.2f} after the last"
    return finish(figure, name, text, table, folder)


def runtime_breakdown(
    runs: Sequence[Run], folder: Path | None = None, name: str = "runtime"
) -> str | None:
    """Where the wall time went, mean over seeds; compilation, which lies within it, apart."""
    groups = {
        variant: chosen
        for variant, group in by_variant(runs).items()
        if (chosen := [r for r in aggregated(group) if r.total("time", "train_s") is not None])
    }
    if not groups:
        return None
    table: Table = []
    for variant, chosen in groups.items():
        for phase in (*PHASES, "compile"):
            spent = [run.total("time", f"{phase}_s") or 0.0 for run in chosen]
            table.append({"variant": variant, "phase": phase, "seconds": float(np.mean(spent))})
    seconds = {(row["variant"], row["phase"]): row["seconds"] for row in table}
    scale, unit = time_unit(max(sum(seconds[v, p] for p in PHASES) for v in groups))
    figure, axes = new_axes(1.5 + 0.5 * len(groups), grid="x")
    rows = np.arange(len(groups))
    left = np.zeros(len(groups))
    for index, phase in enumerate(PHASES):
        width = np.array([seconds[variant, phase] for variant in groups]) / scale
        axes.barh(rows, width, 0.5, left=left, color=colour(index), label=phase, lw=0)
        left += width
    compiling = np.array([seconds[variant, "compile"] for variant in groups]) / scale
    axes.barh(rows + 0.34, compiling, 0.1, color=SOFT, label="compiling (meanwhile)", lw=0)
    axes.set_yticks(rows, [literal(variant) for variant in groups])
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.invert_yaxis()
    axes.set_xlabel(f"wall time ({unit})")
    legend(figure, axes, 3)
    text = "; ".join(
        f"{variant}: " + ", ".join(f"{p} {seconds[variant, p]:.0f} s" for p in PHASES)
        for variant in groups
    )
    return finish(figure, name, f"Wall time by phase. {text}", table, folder)


def throughput(
    runs: Sequence[Run], folder: Path | None = None, name: str = "throughput"
) -> str | None:
    """Agent-steps/s in training, a bar for the mean over seeds; a dot for every stretch."""
    figure, axes = new_axes(1.2 + 0.5 * len(by_variant(runs)), grid="x")
    table: Table = []
    names: list[str] = []
    means: list[str] = []
    largest: list[float] = []
    for index, (variant, group) in enumerate(by_variant(runs).items()):
        found = [
            {"variant": variant, "seed": run.seed, "step": step, "agent-steps/s of a stretch": rate}
            for run in group
            for step, rate in zip(*run.series("train/steps_per_s"), strict=True)
        ]
        if not found:
            continue
        rates = [rate for run in group for rate in run.series("train/steps_per_s")[1]]
        whole = [rate for run in group if (rate := run.total("agent_steps_per_s")) is not None]
        y = len(names)
        axes.barh(y, np.mean(whole) if whole else 0.0, 0.5, color=colour(index), alpha=0.35, lw=0)
        spread = y + 0.16 * np.sin(2.4 * np.arange(len(rates)))
        axes.plot(rates, spread, "o", color=colour(index), ms=3, mew=0)
        names.append(variant)
        largest += [*rates, *whole]
        means.append(f"{variant} {np.mean(whole):,.0f}" if whole else f"{variant} unknown")
        table += found
    if not table:
        return None
    axes.set_yticks(range(len(names)), [literal(variant) for variant in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.invert_yaxis()
    axes.set_xlim(0, max(0.0, *largest) * 1.05 or 1)
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.set_xlabel("agent-steps/s in training")
    text = f"Agent-steps/s in training: {', '.join(means)}"
    return finish(figure, name, text, table, folder)
