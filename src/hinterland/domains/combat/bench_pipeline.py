"""The benchmark of the pipeline: environment steps per second beside lockstep's.

Combat twice: on hosts, one copy or several in a process, where a step of a process takes a given
time more in which nobody computes (an engine that keeps its own pace, a network); and traced by
JAX. An update learns from the same number of steps in every row. Lockstep has the same parts, in
turn.
"""

import argparse
import statistics
from typing import Any

import numpy as np

from hinterland.api.display import note
from hinterland.api.start import make_runtime
from hinterland.cli.arguments import real, whole
from hinterland.cli.setup import add_machine_options
from hinterland.config import MILLION
from hinterland.core.bounds import Range
from hinterland.core.errors import UserError

SUMMARY = (
    "environment steps/s of --schedule pipeline beside lockstep, on hosts with an artificial step "
    "of --step-ms and on a traced system; lags, waits and drops"
)
BAR = 1.7
"""On hosts the best pipeline must be so many times as fast as the best lockstep."""
ARRANGEMENTS: dict[str, tuple[dict[str, Any], ...]] = {
    # 8 and 16 copies, in one worker and in two.
    "host": tuple(
        {"workers": workers, "actors": actors, "copies_per_process": each}
        for workers, actors, each in ((1, 2, 1), (1, 2, 4), (2, 1, 4), (1, 4, 8), (2, 2, 8))
    ),
    "traced": tuple(
        {"workers": workers, "actors": actors} for workers, actors in ((1, 2), (2, 1), (1, 4))
    ),
}
SIZES = {"network": "gru", "copies": 4, "window": 16, "windows": 4, "refreshes": 1}
"""The rest is as in combat's preset."""
SHOWN = ("pipeline/lag/mean", "pipeline/lag/max", "pipeline/dropped", "pipeline/share/learner",
         "pipeline/share/learner_wait", "pipeline/share/gate_wait",
         "pipeline/share/queue_wait")  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Sizes of the runs."""
    parser.add_argument("--step-ms", type=real(Range(0, 10_000)), default=2.0, metavar="X",
                        help="waited in a step on hosts, milliseconds (default: 2)")  # fmt: skip
    parser.add_argument("--agents", type=whole(1, 1_000), default=10, metavar="N",
                        help="units of each side (default: 10)")  # fmt: skip
    parser.add_argument("--updates", type=whole(2, MILLION), default=40, metavar="U",
                        help="policy updates of each repetition, after half as many more that "
                        "start everything (default: 40)")  # fmt: skip
    parser.add_argument("--lag", type=whole(0, 1_000), default=1, metavar="L", help="default: 1")
    add_machine_options(parser)


def measure(options: Any) -> dict[str, Any]:
    """A table of rates, lags and waits for each system, and whether the bar is met."""
    if options.updates % 2:
        raise UserError(f"--updates {options.updates}: must be even")
    runtime = make_runtime(options.devices)
    from hinterland.domains import load_domain
    from hinterland.testing.hosted import HostedDomain

    hosts = HostedDomain("combat", options.agents, options.step_ms)
    found: dict[str, Any] = {"step_ms": options.step_ms, "agents": options.agents}
    systems = (("host", hosts), ("traced", load_domain("combat", options.agents)))
    for name, domain in systems:
        note(f"{name} ({domain.name}): {options.repeat} repetitions of each row")
        rows = _measured(domain, runtime, ARRANGEMENTS[name], options)
        print(f"{name}: {domain.name}, {options.agents} slots", _table(rows), sep="\n")
        found[name] = {"rows": rows, **_compared(rows)}
    same, best = max(found["host"]["same"]), found["host"]["best"]
    meets = best >= BAR
    print(
        f"verdict: on hosts the best pipeline is {best:.2f} times as fast as the best lockstep, "
        f"{'at least' if meets else 'BELOW'} {BAR}; with the same parts up to {same:.2f} times"
    )
    return {**found, "meets_bar": meets}


def _measured(
    domain: Any, runtime: Any, arrangements: tuple[dict[str, Any], ...], options: Any
) -> list[dict[str, Any]]:
    """All rows, in turn in each repetition: what the machine does meanwhile hits them all."""
    rows = [{"schedule": one, **how} for one in ("lockstep", "pipeline") for how in arrangements]
    lines: list[list[dict[str, float]]] = [[] for _ in rows]
    for _ in range(options.repeat):
        for row, how in zip(lines, rows, strict=True):
            row.append(_line(domain, runtime, how, options))
    return [_row(how, row) for how, row in zip(rows, lines, strict=True)]


def _line(domain: Any, runtime: Any, how: dict[str, Any], options: Any) -> dict[str, float]:
    """What one run says of itself, after a first stretch in which all of its processes compile."""
    from hinterland.config import make_config
    from hinterland.training import Lines, Unevaluated, trained

    values: dict[str, Any] = {
        "domain": domain.name, "agents": options.agents, **SIZES, **how,
    }  # fmt: skip
    if how["schedule"] == "pipeline":
        values["lag"] = options.lag
    stretch = options.updates * make_config(values).steps_per_update // 2
    config = make_config({**values, "steps": 3 * stretch, "evaluate_every": stretch})
    told = Lines()
    # Without evaluation: while it lasts, workers would run ahead.
    experiment = Unevaluated(config, domain, runtime, progress=told)
    trained(experiment)
    after = told.lines[1:]
    names = {name for line in after for name in line}
    found = {name: statistics.fmean(line.get(name, 0.0) for line in after) for name in names}
    rates = [line["train/env_steps_per_s"] for line in after]
    return {**found, "train/env_steps_per_s": statistics.harmonic_mean(rates)}


def _row(how: dict[str, Any], lines: list[dict[str, float]]) -> dict[str, Any]:
    """The median rate; means of everything else."""
    rates = [line["train/env_steps_per_s"] for line in lines]
    names = {n for line in lines for n in line if n.startswith("pipeline/lag/") or n in SHOWN}
    figures = {name: sum(line.get(name, 0.0) for line in lines) / len(lines) for name in names}
    return {**how, "env_steps_per_s": statistics.median(rates), "rates": rates, **figures}


def _compared(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Pipeline beside lockstep; ratios are of one repetition, then their median."""
    rates = {
        schedule: np.array([row["rates"] for row in rows if row["schedule"] == schedule])
        for schedule in ("lockstep", "pipeline")
    }
    best = rates["pipeline"].max(0) / rates["lockstep"].max(0)
    same = rates["pipeline"] / rates["lockstep"]
    # In lockstep, workers and learner take turns; at best only the longest of them is left.
    most = []
    print("pipeline / lockstep with the same parts (at most, if nobody needed the same core):")
    lockstep = [row for row in rows if row["schedule"] == "lockstep"]
    for row, ratios in zip(lockstep, same, strict=True):
        learns = row["pipeline/share/learner"]
        most.append(1 / max(learns, (1 - learns) / row["workers"]))
        print(f"  {_parts(row)}: {_spread(ratios)}, at most {most[-1]:.2f}")
    print(f"best pipeline row / best lockstep row: {_spread(best)}")
    return {"best": float(np.median(best)), "same": np.median(same, 1).tolist(), "most": most}


def _parts(row: dict[str, Any]) -> str:
    words = f"{row['workers']} x {row['actors'] * SIZES['copies']} copies"
    each = row.get("copies_per_process")
    return words + (f", {each} in a process" if each else "")


def _spread(ratios: np.ndarray) -> str:
    return f"{np.median(ratios):.2f} ({ratios.min():.2f} … {ratios.max():.2f})"


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ("schedule", "workers x copies", "env steps/s (lowest … highest)", "lag", "most",
             "dropped", "learner", "waits: learner", "gate", "queue")  # fmt: skip
    table = [
        [row["schedule"], _parts(row),
         f"{row['env_steps_per_s']:,.0f} ({min(row['rates']):,.0f} … {max(row['rates']):,.0f})",
         f"{row['pipeline/lag/mean']:.2f}", f"{row['pipeline/lag/max']:.0f}",
         f"{row['pipeline/dropped']:.0f}", *(f"{row[name]:.0%}" for name in SHOWN[3:])]
        for row in rows
    ]  # fmt: skip
    cells = [list(map(str, line)) for line in (heads, *table)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
