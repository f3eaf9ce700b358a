"""Figures, in one style. Each function returns a Matplotlib figure and the data behind it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hinterland.report import paper
from hinterland.report.gather import Run, by_variant
from hinterland.report.statistics import mean_interval

# Okabe and Ito's colours, told apart with any colour vision.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
Table = list[dict[str, Any]]


def _axes(height: float = 3.6) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "hinterland"
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#000000", alpha=0.1)
    return figure, axes


def _steps(value: float, _: Any = None) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}K" if value else "0"


def _on_grid(runs: Sequence[Run], name: str, against: str) -> tuple[np.ndarray, np.ndarray]:
    """(x, values [run, x]) interpolated to the first run's points within all runs' reach."""
    series = [run.series(name, against) for run in runs]
    series = [(x, y) for x, y in series if len(x) > 1]
    if not series:
        return np.zeros(0), np.zeros((0, 0))
    end = min(x[-1] for x, _ in series)
    grid = np.array([x for x in series[0][0] if x <= end])
    return grid, np.stack([np.interp(grid, x, y) for x, y in series])


def learning_curves(runs: Sequence[Run], against: str = "step") -> tuple[Any, Table]:
    """Sampled return on the global simulator; band: 95 % t-interval over seeds, thin: each seed."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = _axes(4.2)
    table: Table = []
    name = "eval/sampled/return"
    for colour, (variant, group) in zip(PALETTE, by_variant(runs).items(), strict=False):
        grid, values = _on_grid(group, name, against)
        if not len(grid):
            continue
        intervals = [mean_interval(values[:, i]) for i in range(len(grid))]
        mean = np.array([m for m, _ in intervals])
        half = np.nan_to_num(np.array([h for _, h in intervals]))
        axes.plot(grid, mean, color=colour, lw=2, label=f"{variant} (n = {len(values)})")
        if len(values) > 1:
            axes.fill_between(grid, mean - half, mean + half, color=colour, alpha=0.18, lw=0)
            for one in values:
                axes.plot(grid, one, color=colour, lw=0.6, alpha=0.5)
        table += [
            {"variant": variant, against: x, "mean": m, "ci95": h, "n": len(values)}
            for x, m, h in zip(grid, mean, half, strict=True)
        ]
    if against == "step":
        _add_paper(axes, runs)
        axes.xaxis.set_major_formatter(FuncFormatter(_steps))
        axes.set_xlabel("environment steps per agent")
    else:
        axes.set_xlabel("wall time (s)")
    _add_scripted(axes, runs)
    axes.set_ylabel("return per episode")
    axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
    return figure, table


def _add_paper(axes: Any, runs: Sequence[Run]) -> None:
    """The paper's curves of the same systems, dashed, as far as ours go."""
    end = max((run.metrics[-1]["step"] for run in runs if run.metrics), default=0)
    seen = []
    for run in runs:
        key = (run.config["domain"], run.config["agents"], run.config["simulation"])
        points = paper.curve(*key)
        if points is None or key in seen:
            continue
        seen.append(key)
        x, y = np.array(points[0]), np.array(points[1])
        inside = x <= max(end, x[1])
        label = f"paper: {key[2]} ({y[-1]:.1f} after {_steps(x[-1])})"
        style = ("--", ":", "-.")[len(seen) % 3]
        axes.plot(x[inside], y[inside], style, color="#666666", lw=1.2, label=label)


def _add_scripted(axes: Any, runs: Sequence[Run]) -> None:
    for name, style in (("heuristic", (0, (6, 2))), ("random", (0, (1, 2)))):
        values = [
            run.summary["eval"][name]["return_mean"]
            for run in runs
            if run.summary and name in run.summary.get("eval", {})
        ]
        if values:
            level = float(np.mean(values))
            axes.axhline(level, color="#333333", ls=style, lw=1, label=f"{name} {level:.2f}")


def cross_entropy(runs: Sequence[Run]) -> tuple[Any, Table] | None:
    """On fresh held-out global trajectories, before and after each training of the predictors."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = _axes()
    table: Table = []
    for colour, (variant, group) in zip(PALETTE, by_variant(runs).items(), strict=False):
        for number, run in enumerate(group):
            x, before = run.series("influence/cross_entropy/before")
            _, after = run.series("influence/cross_entropy/after")
            _, marginal = run.series("influence/cross_entropy/marginal")
            if not after:
                continue
            label = variant if number == 0 else None
            zigzag_x = np.repeat(x, 2)
            zigzag_y = np.stack([before, after], 1).reshape(-1)
            axes.plot(zigzag_x, zigzag_y, color=colour, lw=1.2, marker=".", label=label)
            grey = "best constant prediction" if not table else None
            axes.plot(x, marginal[: len(x)], color="#888888", lw=1, ls=":", label=grey)
            table += [
                {"variant": variant, "seed": run.config["seed"], "step": s, "before": b, "after": a}
                for s, b, a in zip(x, before, after, strict=True)
            ]
    if not table:
        return None
    axes.xaxis.set_major_formatter(FuncFormatter(_steps))
    axes.set_xlabel("environment steps per agent")
    axes.set_ylabel("cross-entropy (nats)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return figure, table


PHASES = ("train", "collect", "fit", "evaluate")


def runtime_breakdown(runs: Sequence[Run]) -> tuple[Any, Table] | None:
    """Where the wall time went, mean over seeds; compilation is inside each phase's first call."""
    groups = {
        name: [run for run in group if run.summary] for name, group in by_variant(runs).items()
    }
    groups = {name: group for name, group in groups.items() if group}
    if not groups:
        return None
    figure, axes = _axes(1.2 + 0.5 * len(groups))
    table: Table = []
    left = np.zeros(len(groups))
    for colour, phase in zip(PALETTE, PHASES, strict=False):
        seconds = np.array(
            [np.mean([run.summary["time"][f"{phase}_s"] for run in group])  # type: ignore[index]
             for group in groups.values()]
        )  # fmt: skip
        axes.barh(list(groups), seconds, left=left, color=colour, label=phase)
        left += seconds
        table += [
            {"variant": name, "phase": phase, "seconds": s}
            for name, s in zip(groups, seconds, strict=True)
        ]
    axes.invert_yaxis()
    axes.grid(False)
    axes.set_xlabel("wall time (s)")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure, table
