"""The benchmark of the cluster: DIALS on several numbers of Ray workers.

Each case starts a Ray of its own on this machine. The first round compiles, the second is measured.
The policies at the end are compared with those of the local runtime, bit for bit.
"""

import argparse
import hashlib
import time
from typing import Any

from hinterland.api.display import note
from hinterland.api.start import MOST_DEVICES, make_runtime
from hinterland.cli.arguments import DEMO, whole
from hinterland.config import Config
from hinterland.core.bounds import range_of
from hinterland.core.errors import UserError

PHASES = ("collect", "fit", "train")
FIGURES = ("up_mb", "down_mb", "units", "lost", "driver_s")
HEADS = ("agents", "workers", "CPU (s)", "round (s)", "collect", "fit and train",
         "messages each way", "lost", "MB up", "MB down", "driver (s)")  # fmt: skip


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Sizes of the runs."""
    for name, least, most, default, text in (
        ("agents", 1, 10_000, [100], "agents, a case for each"),
        (
            "workers",
            0,
            MOST_DEVICES,
            [1, 2, 4],
            "Ray workers, a case for each; 0: the local runtime",
        ),
    ):
        parser.add_argument(f"--{name}", type=whole(least, most), nargs="+", default=default,
                            metavar="N", help=f"{text} (default: {default})")  # fmt: skip
    for name, default, text in (
        ("updates", 2, "policy updates of each agent in a round"),
        ("copies", 16, "copies of each local simulator"),
        ("predictor-episodes", 32, "global episodes collected in a round"),
        ("predictor-epochs", 1, "passes over them"),
    ):
        field = {"updates": "windows"}.get(name, name.replace("-", "_"))
        allowed = range_of(Config.model_fields[field])
        number = whole(allowed.least, allowed.most)
        parser.add_argument(f"--{name}", type=number, default=default, metavar="N",
                            help=f"{text} (default: {default})")  # fmt: skip


def cluster(options: Any) -> dict[str, Any]:
    """A table: seconds of a round and of its phases, bytes, and whether policies are the same."""
    rows: list[dict[str, Any]] = []
    print("  ".join(head.rjust(7) for head in HEADS))
    for agents in options.agents:
        digests = set()
        for workers in options.workers:
            note(f"{agents} agents, {workers or 'no'} Ray workers ...")
            row = _measured(agents, workers, options)
            digests.add(row["policies"])
            rows.append(row)
            print(_line(row), flush=True)
        if len(digests) > 1:
            raise UserError(f"policies of {agents} agents differ between numbers of workers")
    if len(options.workers) > 1:
        print("the policies are the same on every number of workers, bit for bit")
    return {"rows": rows}


def _measured(agents: int, workers: int, options: Any) -> dict[str, Any]:
    """One row."""
    from hinterland.config import make_config
    from hinterland.domains import load_domain
    from hinterland.training import Lines, Unevaluated, message_sizes, trained
    from hinterland.training.experiment import to_arrays

    told = Lines()
    values = {"domain": DEMO, "agents": agents, "copies": options.copies,
              "predictor_episodes": options.predictor_episodes,
              "predictor_epochs": options.predictor_epochs}  # fmt: skip
    each = options.updates * make_config(values).steps_per_update
    config = make_config({**values, "steps": 2 * each, "refresh": each, "evaluate_every": 2 * each})
    began = time.perf_counter()
    with make_runtime(workers or None, "ray" if workers else "local") as runtime:
        started = time.perf_counter() - began
        # Without evaluation: it is no part of a round.
        experiment = Unevaluated(config, load_domain(DEMO, agents), runtime, progress=told)
        _, state = trained(experiment)
        sizes = message_sizes(config, experiment.domain)
    digest = hashlib.sha256()
    for array in to_arrays(state).values():
        digest.update(array.tobytes())
    # The first round's line of each phase, and the second's: clocks count from the run's beginning.
    rounds = {x: [line for line in told.lines if f"time/{x}_s" in line][:2] for x in PHASES}
    seconds, cpu = (
        {name: b[f"time/{name}{of}_s"] - a[f"time/{name}{of}_s"] for name, (a, b) in rounds.items()}
        for of in ("", "_cpu")
    )
    figures = {
        name: {x: second.get(f"cluster/{x}", 0.0) for x in FIGURES}
        for name, (_, second) in rounds.items()
    }
    return {
        "agents": agents, "workers": workers, "start_s": started, "seconds": seconds,
        "round_s": sum(seconds.values()), "cpu_s": sum(cpu.values()), "messages": figures,
        "policies": digest.hexdigest()[:16],
        "mb_per_agent": {name: message._asdict() for name, message in sizes.items()},
        "peak_mb": experiment.peak_memory_mb(),
    }  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    told, seconds = row["messages"].values(), row["seconds"]
    total = {name: sum(x[name] for x in told) for name in FIGURES}
    # What a lost process had used is not known any more.
    cpu = "-" if total["lost"] else f"{row['cpu_s']:.1f}"
    cells = (
        f"{row['agents']:,}", str(row["workers"] or "local"), cpu,
        f"{row['round_s']:.1f}", f"{seconds['collect']:.1f}",
        f"{seconds['fit'] + seconds['train']:.1f}", f"{total['units']:.0f}",
        f"{total['lost']:.0f}", f"{total['up_mb']:,.1f}", f"{total['down_mb']:,.1f}",
        f"{total['driver_s']:.2f}",
    )  # fmt: skip
    return "  ".join(cell.rjust(max(7, len(head))) for cell, head in zip(cells, HEADS, strict=True))
