"""`hinterland train`: a new run, or a resumed one."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hinterland.cli import interrupts
from hinterland.cli.arguments import Parser, add_config_options, given_config, path_name
from hinterland.cli.setup import add_runtime_options

WITH_PAPER = ("warehouse", "traffic", "lux")
"""Domains of which there are published hyperparameters."""

if TYPE_CHECKING:
    from hinterland.config import Config
    from hinterland.record import RunFolder


def parser() -> Parser:
    """The command's options."""
    made = Parser(
        prog="hinterland train",
        description="Train N agents; progress on standard error, everything else in the run "
        "folder. A run that was interrupted continues with --resume RUN.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "domain",
        nargs="?",
        help="warehouse, traffic, lux, combat, smax, colony, corridor, pettingzoo, or "
        "MODULE:FACTORY of your own",
    )
    made.add_argument(
        "--resume", metavar="RUN", type=path_name, help="continue this run to its --steps"
    )
    made.add_argument(
        "--out", metavar="RUN", type=path_name, help="run folder (default: runs/DOMAIN-1, -2, ...)"
    )
    made.add_argument(
        "--config", metavar="FILE", type=path_name, help="start from this config.toml"
    )
    made.add_argument("--json", action="store_true", help="last line: the summary as JSON")
    made.add_argument("--quiet", action="store_true", help="no progress")
    made.add_argument("--no-report", action="store_true", help="write no report at the end")
    add_runtime_options(made)
    add_config_options(made)
    return made


def run(arguments: Sequence[str]) -> int:
    """Trains; returns the exit status."""
    from hinterland.core.errors import UserError

    options = parser().parse_args(arguments)
    if options.resume is not None:
        return _resume(options)
    if options.domain is None and options.config is None:
        raise UserError("which DOMAIN? For example: hinterland train warehouse --agents 4")
    from hinterland.config import make_config
    from hinterland.record import RunFolder

    values: dict[str, Any] = given_config(options)
    if options.domain is None:
        values.pop("domain", None)
    if options.config is not None:
        values = {**_read_config(options.config), **values}
    from hinterland.cli.setup import get_domain, make_runtime, start_jax

    if "agents" not in values and ({"net", "routes"} <= values.keys() or "env" in values):
        start_jax()  # domains want it
    if "net" in values and "routes" in values and "agents" not in values:
        from hinterland.domains.traffic.city import read_city

        # Absolute: the run is resumed and evaluated from anywhere.
        values |= {name: str(Path(values[name]).resolve()) for name in ("net", "routes")}
        values["agents"] = len(read_city(Path(values["net"]), Path(values["routes"])).lights)
    if "env" in values and "agents" not in values:
        from hinterland.domains.adapters.parallel import from_parallel

        values["agents"] = from_parallel(values["env"]).agents
    config = make_config(values)
    if config.preset == "paper" and config.domain not in WITH_PAPER:
        print("note: preset paper holds the warehouse's hyperparameters", file=sys.stderr)

    with make_runtime(options.devices, options.runtime, options.address) as runtime:
        domain = get_domain(config)
        from hinterland.training import check_config

        check_config(config, domain, options.runtime)
        out = options.out or _free_folder(config.domain)
        manifest = {"command": ["hinterland", "train", *arguments], "devices": runtime.describe()}
        folder = RunFolder.create(out, config.model_dump(exclude_none=True), manifest)
        return _train(options, config, domain, runtime, folder, None)


def _read_config(path: Path) -> dict[str, Any]:
    import tomllib

    from hinterland.core.errors import UserError

    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path}: not a TOML file: {error}") from error


def _free_folder(domain: str) -> Path:
    number = 1
    stem = domain.replace(":", "-").replace(".", "-")
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


def _resume(options: argparse.Namespace) -> int:
    from hinterland.config import make_config
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder

    if given := sorted(given_config(options).items() - {("domain", None)}):
        raise UserError(
            f"--resume continues a run as it was configured; "
            f"leave out --{given[0][0].replace('_', '-')}"
        )
    folder = RunFolder.open(options.resume)
    config = make_config(folder.config)
    if (summary := folder.summary()) is not None and summary.get("finished"):
        print(f"{options.resume} is finished: {summary['step']:,} steps", file=sys.stderr)
        # It may have been killed after its summary.
        reported = options.no_report or (folder.path / "report.html").exists()
        if not reported and folder.checkpoint_steps():
            _write_report(options, folder)
        _say_result(options, folder, summary)
        return 0
    from hinterland.cli.setup import get_domain, make_runtime

    with make_runtime(options.devices, options.runtime, options.address) as runtime:
        domain = get_domain(config)
        from hinterland.training import check_config

        check_config(config, domain, options.runtime)
        checkpoint = folder.load_checkpoint() if folder.checkpoint_steps() else None
        folder.truncate_metrics(checkpoint[1]["metrics_lines"] if checkpoint else 0)
        return _train(options, config, domain, runtime, folder, checkpoint)


def _train(
    options: argparse.Namespace,
    config: "Config",
    domain: Any,
    runtime: Any,
    folder: "RunFolder",
    checkpoint: Any,
) -> int:
    from hinterland.cli.display import Display
    from hinterland.training import Experiment, train

    spent = checkpoint[1]["spent"] if checkpoint else None
    began_at = int(checkpoint[1]["step"]) if checkpoint else 0
    if not options.quiet:
        print(
            f"{config.domain}: {domain.agents} agents, {config.simulation} simulation, preset "
            f"{config.preset}, {config.steps:,} steps per agent, seed {config.seed}\n"
            f"run folder {folder.path}, devices: {', '.join(runtime.describe())}",
            file=sys.stderr,
            flush=True,
        )
        for note in getattr(domain, "notes", ()):
            print(f"note: {note}", file=sys.stderr)
        if began_at:
            print(f"resuming at step {began_at:,}", file=sys.stderr)
    whole = config.total_updates * config.steps_per_update
    display = Display(whole * domain.agents, began_at * domain.agents, domain.agents, options.quiet)

    interrupts.say(f"continue with 'hinterland train --resume {folder.path}'")
    try:
        with interrupts.stopping(runtime.interrupt), display:
            experiment = Experiment(config, domain, runtime, folder, display, spent)
            summary = train(experiment, checkpoint)
    except KeyboardInterrupt:
        steps = folder.checkpoint_steps()
        print(
            f"\ninterrupted; the newest checkpoint is at step {max(steps, default=0):,}"
            f"{interrupts.said()}",
            file=sys.stderr,
        )
        return interrupts.status()
    if not options.no_report:
        _write_report(options, folder)
    _say_result(options, folder, summary)
    return 0


def _write_report(options: argparse.Namespace, folder: "RunFolder") -> None:
    from hinterland.cli.watch import write_replay
    from hinterland.report import write_report

    interrupts.say(
        f"the run is finished; 'hinterland train --resume {folder.path}' writes its report"
    )
    write_replay(folder)
    page = write_report([folder.path], folder.path / "report.html")
    if not options.quiet:
        print(f"report: {page}", file=sys.stderr)


def _say_result(options: argparse.Namespace, folder: "RunFolder", summary: dict[str, Any]) -> None:
    if not options.quiet:
        print(result_table(summary))
        print(f"run folder: {folder.path}")
        if (folder.path / "report.html").exists():
            print(f"report:     {folder.path / 'report.html'}")
    if options.json:
        print(json.dumps(summary))


def result_table(summary: dict[str, Any]) -> str:
    """Learned, random and heuristic returns side by side."""
    words = {
        "learned": "learned, sampled actions",
        "learned_greedy": "learned, greedy actions",
        "random": "random",
        "heuristic": "hand-written heuristic",
    }
    of = "all entities together" if "length" in summary["eval"]["learned"] else "mean of agents"
    lines = [f"return per episode after {summary['step']:,} steps per agent ({of})"]
    for name, text in words.items():
        if figures := summary["eval"].get(name):
            length = f", length {figures['length']:,.0f}" if "length" in figures else ""
            lines.append(
                f"  {text:<26}{figures['return_mean']:7.2f} ± {figures['return_ci95']:.2f}"
                f"  (95 %, {figures['episodes']} episodes{length})"
            )
    lines.append(
        f"{summary['agent_steps_per_s']:,.0f} agent-steps/s in training, "
        f"{summary['wall_s']:.0f} s in all, {summary['memory']['peak_mb']:,.0f} MB peak memory"
    )
    return "\n".join(lines)
