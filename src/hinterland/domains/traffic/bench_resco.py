"""RESCO's eight networks of real cities under RESCO's rules, beside its published delays.

(Ault & Sharon, Reinforcement Learning Benchmarks for Traffic Signal Control, NeurIPS 2021 Datasets
and Benchmarks.) The networks are in the package sumo-rl, of which nothing is imported or copied.
Every result is kept in a folder; what is there already is not done again, and a run that was
interrupted goes on.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from hinterland.api.display import note
from hinterland.cli.arguments import path_name, whole
from hinterland.cli.setup import add_machine_options
from hinterland.config import MILLION, SEEDS
from hinterland.core import UserError
from hinterland.core.reading import is_there, parse_json, read_as

SUMMARY = (
    "RESCO's eight city networks under its rules: delay of hand-written and learned lights, beside "
    "the published ones; networks: pip install 'hinterland[resco]'"
)
REPEAT = None
"""Seeds are its repetitions."""
NETWORKS = (
    "ingolstadt1", "cologne1", "cologne3", "cologne8", "grid4x4", "ingolstadt7", "arterial4x4",
    "ingolstadt21",
)  # fmt: skip
"""Those whose episodes cost least first."""
BY_HAND = {"fixed-time": "own-program", "max-pressure": "max-pressure", "greedy": "greedy"}
"""The domain's policy, by row."""
LEARNERS: dict[str, dict[str, Any]] = {
    "dials": {"simulation": "dials"},
    "global": {"simulation": "global"},
    "global-shared": {"simulation": "global", "slot_networks": "shared"},
}
"""Settings by row."""
RESULT_SIZE = 10_000_000
ROWS = (*BY_HAND, *LEARNERS)
EVALUATIONS = {"evaluations": 10, "evaluate_episodes": 2}
"""While a learner trains: as many chances of a good one as there are, at little cost."""
KINDS = {"best": "best evaluation in training", "sampled": "held-out", "greedy": "held-out, greedy"}
"""Delays of a row, and what they are called; those of hand-written lights are held-out."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is compared, and how long."""
    names = ", ".join(NETWORKS)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS,
                        metavar="NAME", help=f"of {names} (default: all)")  # fmt: skip
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW",
                        help=f"of {', '.join(ROWS)} (default: all)")  # fmt: skip
    parser.add_argument("--seeds", type=whole(1, 1_000), default=3, metavar="N",
                        help="of each learner: 0, 1, ... (default: 3)")  # fmt: skip
    parser.add_argument("--first-seed", type=whole(0, SEEDS - 1_000), default=0, metavar="K",
                        help="in place of 0")  # fmt: skip
    parser.add_argument("--episodes", type=whole(1, MILLION), default=100, metavar="E",
                        help="simulated time for which each light learns, in episodes (default: "
                        "100, as IDQN and MPLight had)")  # fmt: skip
    parser.add_argument("--held-out", type=whole(2, MILLION), default=10, metavar="E",
                        help="episodes after training, of seeds that it has not seen (default: "
                        "10)")  # fmt: skip
    parser.add_argument("--out", type=path_name, default=Path("runs/resco"), metavar="FOLDER",
                        help="results and run folders; what is there is kept (default: "
                        "runs/resco)")  # fmt: skip
    add_machine_options(parser)


def measure(options: Any) -> dict[str, Any]:
    """All rows of one network after the other, and the table."""
    found = networks_folder()
    configurations = {name: found / name / f"{name}.sumocfg" for name in options.networks}
    for name, file in configurations.items():
        if not file.is_file():
            raise UserError(f"{file.parent} has no {file.name}: {name} is not in this sumo-rl")
    published = published_table()
    results: dict[str, dict[str, Any]] = {}
    for name, file in configurations.items():
        rules = {**published["rules"].get(name, published["rules"]["usual"]), "sumocfg": str(file)}
        results[name] = _network(name, rules, options)
        print("\n".join(_lines(name, results[name], published)), flush=True)
    print("\n".join(table(results, published)), flush=True)
    return {"results": results, "published": published}


def networks_folder() -> Path:
    """Where sumo-rl keeps RESCO's networks; it is found, not imported.

    Raises:
        UserError: the package, or the folder in it, is missing.
    """
    package = find_spec("sumo_rl")
    places = list(package.submodule_search_locations or ()) if package else []
    if not places:
        raise UserError(
            "RESCO's networks are in the package sumo-rl: pip install --no-deps sumo-rl==1.4.5, or "
            "pip install 'hinterland[resco]' with all that it asks for"
        )
    folder = Path(places[0]) / "nets" / "RESCO"
    if not folder.is_dir():
        raise UserError(f"{folder}: this sumo-rl has no such folder; 1.4.5 has it")
    return folder


def published_table() -> dict[str, Any]:
    """The published delays in seconds by row and network, with their source; the rules."""
    return json.loads((files("hinterland.domains.traffic") / "resco.json").read_text())


def _network(name: str, rules: dict[str, Any], options: Any) -> dict[str, Any]:
    """Delays and times of every row, by its name; a learner has those of each seed."""
    results: dict[str, Any] = {}
    for row in options.rows:
        if row in BY_HAND:
            results[row] = [_by_hand(name, row, rules, options)]
        else:
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            results[row] = [_learned(name, row, rules, seed, options) for seed in seeds]
    return results


def _by_hand(name: str, row: str, rules: dict[str, Any], options: Any) -> dict[str, Any]:
    from hinterland.record import write_output

    file = options.out / name / f"{row}.json"
    settings = {**rules, "episodes": options.held_out}
    if is_there(file):
        kept = read_as(_kept, file, RESULT_SIZE)
        if kept["settings"] == settings:
            note(f"{name}, {row}: kept in {file}")
            return kept["result"]
    note(f"{name}, {row}: {options.held_out} episodes ...")
    from hinterland.api.display import Played
    from hinterland.api.runs import end_processes
    from hinterland.api.start import make_runtime
    from hinterland.api.systems import completed
    from hinterland.config import make_config
    from hinterland.domains import load_domain
    from hinterland.training import evaluate_scripted

    config = make_config(completed({"domain": "traffic", **rules}))
    domain = load_domain(config.domain, config.agents, config.domain_options)
    begun = time.perf_counter()
    try:
        figures = evaluate_scripted(
            make_runtime(options.devices), domain, BY_HAND[row], seed=config.seed,
            episodes=options.held_out, told=Played(options.held_out),
        )  # fmt: skip
    finally:
        end_processes(domain)
    result = {
        "delay_s": {"sampled": figures["delay_s"]},
        "wall_s": time.perf_counter() - begun,
        "lights": config.agents,
        "figures": figures,
    }
    write_output(file, json.dumps({"settings": settings, "result": result}, indent=1).encode())
    return result


def _kept(content: bytes) -> dict[str, Any]:
    """A result as `_by_hand` keeps it."""
    found = parse_json(content)
    if not (isinstance(found, dict) and {"settings", "result"} <= found.keys()):
        raise ValueError("it is no result of this benchmark")
    return found


def _learned(name: str, row: str, rules: dict[str, Any], seed: int, options: Any) -> dict[str, Any]:
    """A run of its own folder: begun, continued, or finished already.

    Raises:
        UserError: the folder has a run with other settings.
    """
    from hinterland.api.runs import train
    from hinterland.api.systems import completed
    from hinterland.config import make_config
    from hinterland.domains.traffic.scenario import make_scenario
    from hinterland.record import RunFolder

    scenario = make_scenario(sumocfg=rules["sumocfg"], decision=rules["decision"])
    values = completed(
        {
            **rules, **EVALUATIONS, **LEARNERS[row], "domain": "traffic", "seed": seed,
            "steps": options.episodes * (scenario.seconds // scenario.decision),
            "final_episodes": options.held_out,
        }
    )  # fmt: skip
    path = options.out / name / row / f"seed-{seed}"
    what = f"{name}, {row}, seed {seed}"
    if path.is_dir():
        kept = RunFolder.read(path)
        if make_config(kept.config) != make_config(values):
            raise UserError(
                f"{path} is a run with other settings: remove it, or take another --out"
            )
        note(f"{what}: {'kept' if kept.result() else 'continued'} in {path}")
        run = train(resume=path, devices=options.devices, progress=kept.result() is None)
    else:
        note(f"{what}: {options.episodes} episodes' worth of steps ...")
        values = dict(values)
        run = train(
            values.pop("domain"), out=path, devices=options.devices, progress=True, **values
        )
    folder, summary = RunFolder.read(path), run.summary
    best = min(line["eval/sampled/delay_s"] for line in folder.metrics()
               if "eval/sampled/delay_s" in line)  # fmt: skip
    learned, greedy = summary["eval"]["learned"], summary["eval"]["learned_greedy"]
    spent = summary["time"]
    return {
        "seed": seed,
        "delay_s": {"best": best, "sampled": learned["delay_s"], "greedy": greedy["delay_s"]},
        "wall_s": summary["wall_s"],
        "cpu_s": sum(spent.get(f"{phase}_cpu_s", 0.0) for phase in ("collect", "fit", "train")),
        "time": spent,
        "steps": summary["step"],
        "figures": learned,
    }


def _lines(name: str, rows: dict[str, Any], published: dict[str, Any]) -> Iterator[str]:
    """One network's delays, with lowest and highest over seeds."""
    yield f"{name}: delay in seconds"
    for row, of_seeds in rows.items():
        for kind in of_seeds[0]["delay_s"]:
            delays = [one["delay_s"][kind] for one in of_seeds]
            span = f" ({min(delays):,.2f} … {max(delays):,.2f})" if len(delays) > 1 else ""
            yield f"  {row + ', ' + KINDS[kind]:<48}{fmean(delays):>9,.2f}{span}"
        if row not in BY_HAND:
            seconds = fmean(one["cpu_s"] for one in of_seeds)
            yield f"  {row + ', CPU seconds without evaluation':<48}{seconds:>9,.0f}"
    known = {row: delays[name] for row, delays in published["delay_s"].items() if name in delays}
    for row, delay in known.items():
        yield f"  published: {row:<37}{delay:>9,.2f}"


def table(results: dict[str, dict[str, Any]], published: dict[str, Any]) -> list[str]:
    """Lines: means over seeds, a column for each network; the published ones below."""

    def line(name: str, cells: Sequence[float | None]) -> str:
        numbers = ("–" if cell is None else f"{cell:,.2f}" for cell in cells)
        return f"{name:<42}" + "".join(f"{number:>13}" for number in numbers)

    lines = [f"{'delay in seconds':<42}" + "".join(f"{name:>13}" for name in results)]
    rows = dict.fromkeys(
        (row, kind) for one in results.values() for row, of_seeds in one.items()
        for kind in of_seeds[0]["delay_s"]
    )  # fmt: skip
    for row, kind in rows:
        delays = [
            fmean(seed["delay_s"][kind] for seed in one[row]) if row in one else None
            for one in results.values()
        ]
        lines.append(line(f"{row}, {KINDS[kind]}", delays))
    for row, known in published["delay_s"].items():
        lines.append(line(f"published: {row}", [known.get(name) for name in results]))
    return [*lines, f"published: {published['source']}"]
