"""What the same training of traffic lights costs, by where its experience is simulated.

As the DIALS paper's Table 1: the global simulator, DIALS with SUMO as local simulators, DIALS with
native ones, against the number of lights. Each case has a process of its own, so that memory,
compilation and SUMO's processes do not mix.
"""

import argparse
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from hinterland.api.display import note
from hinterland.api.start import make_runtime
from hinterland.cli.arguments import whole
from hinterland.cli.setup import add_machine_options
from hinterland.config import SEEDS, STEPS

SUMMARY = (
    "the same training on SUMO, in SUMO's local simulators and in native ones, 4, 25 and 100 "
    "lights (or --agents): wall time, CPU time, critical path"
)
REPEAT = 3
"""Repetitions, if nobody says how many."""
SIMULATIONS: dict[str, dict[str, Any]] = {
    "global": {"simulation": "global"},
    "sumo": {"simulation": "dials", "local": "sumo"},
    "native": {"simulation": "dials", "local": "native"},
}
"""Settings by the name in the table."""
LONGER = {"native": 8}
"""Parts are so many times longer: in a run, as many native updates as fit are one call."""
LESS_CPU, LESS_CPU_AT = 10, 100
"""The bar: native local simulators need this many times less CPU time, with so many lights."""
QUANTITIES = {"cpu_s": "CPU", "wall_s": "wall", "critical_path_s": "critical path"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Sizes, and the run that is charged for."""
    parser.add_argument("--agents", type=whole(1, 10_000), nargs="+", default=[4, 25, 100],
                        metavar="N", help="lights (default: 4 25 100)")  # fmt: skip
    parser.add_argument("--steps", type=whole(1, STEPS), nargs="+", default=[300_000], metavar="S",
                        help="of the run that is charged for, per agent; a table for each "
                        "(default: 300k)")  # fmt: skip
    parser.add_argument("--updates", type=whole(1, 100_000), default=4, metavar="U",
                        help="policy updates of each agent that are really run, in each "
                        f"repetition; {LONGER['native']} times as many of native ones "
                        "(default: 4)")  # fmt: skip
    parser.add_argument("--seed", type=whole(0, SEEDS), default=0, metavar="K", help="default: 0")
    add_machine_options(parser)


def measure(options: Any) -> dict[str, Any]:
    """A table for each number of steps, ratios, and whether the bar is met."""
    values = {"domain": "traffic", "seed": options.seed}
    _check(options.agents, options.steps, values)
    measured: list[dict[str, Any]] = []
    for agents in options.agents:
        for name, settings in SIMULATIONS.items():
            note(f"{agents} lights, {name}: {options.repeat} repetitions after one that compiles")
            case = {**values, **settings, "agents": agents}
            updates = options.updates * LONGER.get(name, 1)
            how = (case, options.steps, updates, options.repeat, options.devices)
            measured.append({"agents": agents, "simulation": name, **in_own_process(*how)})
            rows = charged(measured[-1:], str(options.steps[0]))
            note("\n".join(table(rows)))
    tables = {str(steps): charged(measured, str(steps)) for steps in options.steps}
    for steps, rows in tables.items():
        one = measured[0]["schedules"][steps]
        print(
            f"{int(steps):,} steps per agent; {options.updates} of {one['updates']} updates "
            f"({LONGER['native']} times as many of native ones) run and charged in proportion, "
            f"n = {options.repeat}"
        )
        print("\n".join([*table(rows), *ratio_lines(rows), *phase_lines(rows)]), flush=True)
    return {"measured": measured, "tables": tables}


def _check(sizes: list[int], steps: list[int], values: dict[str, Any]) -> None:
    """Complains of what no run could have before the first one has taken its minutes."""
    from hinterland.config import make_config
    from hinterland.domains import load_domain

    for agents in sizes:
        for number in steps:
            make_config({**values, "agents": agents, "steps": number})
        load_domain("traffic", agents)


def in_own_process(*arguments: Any) -> dict[str, Any]:
    """`measure_one(*arguments)` in a process of its own; its exceptions are raised here."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure_one, *arguments).result()


def measure_one(
    values: dict[str, Any], steps: list[int], updates: int, repeat: int, devices: int | None
) -> dict[str, Any]:
    """The parts of one case, and how many of them runs of so many steps have; as JSON takes it.

    Args:
        values: configuration but for the steps.
        steps: per agent, of the runs; the first one's configuration is measured.
        updates: of each agent in a part.
        repeat: counted parts.
        devices: to use; None: all.
    """
    os.environ["HINTERLAND_CACHE"] = "off"  # compilation is one of the figures
    import jax

    jax.config.update("jax_platforms", "cpu")
    runtime = make_runtime(devices)
    from hinterland.config import make_config
    from hinterland.domains import load_domain
    from hinterland.domains.traffic import bench_cost
    from hinterland.training import Experiment

    configs = {number: make_config({**values, "steps": number}) for number in steps}
    config = configs[steps[0]]
    domain = load_domain(config.domain, config.agents, config.domain_options)
    schedules = {
        str(number): bench_cost.schedule(Experiment(each, domain, runtime), updates)._asdict()
        for number, each in configs.items()
    }
    found = bench_cost.measure(config, domain, runtime, updates, repeat)
    return {"schedules": schedules, "steps_per_update": config.steps_per_update, **found}


def charged(measured: list[dict[str, Any]], steps: str) -> list[dict[str, Any]]:
    """Seconds of whole runs of that many steps, a row for each case."""
    from hinterland.domains.traffic.bench_cost import Part, Schedule, charge

    rows = []
    for one in measured:
        schedule = Schedule(**one["schedules"][steps])

        def whole(part: dict[str, float], schedule: Schedule = schedule) -> float:
            return charge(Part(**part), schedule)

        wall = [whole(part) for part in one["wall"]]
        agent_steps = schedule.updates * one["steps_per_update"] * one["agents"]
        phases = {
            name: statistics.median(
                whole({**dict.fromkeys(part, 0.0), name: part[name]}) for part in one["cpu"]
            )
            for name in Part._fields
        }
        rows.append(
            {
                "agents": one["agents"],
                "simulation": one["simulation"],
                "wall_s": wall,
                "cpu_s": [whole(part) for part in one["cpu"]],
                "critical_path_s": [whole(one["critical"])],
                "agent_steps_per_s": [agent_steps / seconds for seconds in wall],
                "cpu_by_phase_s": phases,
                "measurement_only_cpu_s": statistics.median(p["collect"] for p in one["cpu"]),
                "compile_s": one["compile_s"],
                "peak_mb": one["peak_mb"],
            }
        )
    return rows


def _spread(values: list[float], digits: int = 0) -> str:
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f} … {max(values):,.{digits}f})"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines: medians, with lowest and highest."""
    lines = [
        f"{'agents':>6} {'simulation':<11}{'wall (s)':>25}{'CPU (s)':>25}{'critical path (s)':>19}"
        f"{'agent-steps/s':>15}{'peak (MB)':>11}{'compile (s)':>13}"
    ]
    for row in rows:
        lines.append(
            f"{row['agents']:>6} {row['simulation']:<11}{_spread(row['wall_s']):>25}"
            f"{_spread(row['cpu_s']):>25}{_spread(row['critical_path_s']):>19}"
            f"{statistics.median(row['agent_steps_per_s']):>15,.0f}{row['peak_mb']:>11,.0f}"
            f"{row['compile_s']:>13,.0f}"
        )
    return lines


def ratios(rows: list[dict[str, Any]], agents: int, simulation: str) -> dict[str, list[float]]:
    """How many times more the global simulator takes: median of medians, lowest, highest."""
    whole, other = (
        next(row for row in rows if (row["agents"], row["simulation"]) == (agents, name))
        for name in ("global", simulation)
    )
    return {
        name: [
            statistics.median(whole[name]) / statistics.median(other[name]),
            min(whole[name]) / max(other[name]),
            max(whole[name]) / min(other[name]),
        ]
        for name in QUANTITIES
    }


def ratio_lines(rows: list[dict[str, Any]]) -> list[str]:
    """global / native and global / sumo at each size, and the verdict."""
    lines = []
    for agents in dict.fromkeys(row["agents"] for row in rows):
        for simulation in ("native", "sumo"):
            found = ratios(rows, agents, simulation)
            words = [f"{word} {_spread(found[name], 2)}" for name, word in QUANTITIES.items()]
            lines.append(f"{agents:>6} global / {simulation:<7} {', '.join(words)}")
            if (agents, simulation) == (LESS_CPU_AT, "native"):
                meets = found["cpu_s"][0] >= LESS_CPU
                lines.append(
                    f"verdict: with {agents} lights native local simulators need "
                    f"{found['cpu_s'][0]:.1f} times less CPU time than the global simulator: "
                    f"{'at least' if meets else 'NOT'} {LESS_CPU} times"
                )
    return lines


def phase_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Where the CPU time of DIALS goes, and what only measures."""
    lines = []
    for row in rows:
        if row["simulation"] != "global":
            phases = row["cpu_by_phase_s"]
            whole = sum(phases.values())
            words = [f"{name} {seconds / whole:.0%}" for name, seconds in phases.items()]
            extra = f"{row['measurement_only_cpu_s']:,.0f} s"
            lines.append(
                f"{row['agents']:>6} {row['simulation']}: CPU {', '.join(words)}; not charged, as "
                f"it only measures: one more collection at the end, {extra}"
            )
    return lines
