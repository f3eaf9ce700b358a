"""`hinterland train`: a new run, or a resumed one."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hinterland.api.runs import (
    begin,
    display_of,
    go_on,
    header,
    manifest_of,
    steps_before,
    where_it_was,
)
from hinterland.cli import interrupts
from hinterland.cli.arguments import (
    DEMO,
    Parser,
    add_config_options,
    check_owners,
    given_config,
    named_domain,
    path_name,
    real,
)
from hinterland.cli.setup import add_runtime_options
from hinterland.config import MILLION
from hinterland.core.bounds import Range, flag_of
from hinterland.core.figures import beside
from hinterland.core.names import as_file_name
from hinterland.core.reading import is_there
from hinterland.domains import known_domains

MANY = 32
"""Processes that are worth a note."""

if TYPE_CHECKING:
    from hinterland.config import Config
    from hinterland.record import RunFolder


def parser(domain: str | None = None, add_help: bool = True) -> Parser:
    """The command's options, and those of a domain."""
    made = Parser(
        prog="hinterland train",
        description="Train N agents; progress on standard error, everything else in the run "
        "folder. A run that was interrupted continues with --resume RUN.",
        epilog=None
        if domain
        else "'hinterland train DOMAIN --help' shows a domain's own options "
        "too, 'hinterland domains' which domains there are.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    made.add_argument(
        "domain",
        nargs="?",
        help=f"{', '.join(known_domains())}, or MODULE:FACTORY of your own",
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
    made.add_argument(
        "--checkpoint-every",
        metavar="SECONDS",
        type=real(Range(0, MILLION, above=True)),
        default=60.0,
        help="how often to write a checkpoint, as far as stretches of training end (about a minute "
        "at most on two cores); changes no result (default: 60; systems outside of JAX: after "
        "every stretch)",
    )
    made.add_argument("--json", action="store_true", help="last line: the summary as JSON")
    made.add_argument("--quiet", action="store_true", help="no progress")
    made.add_argument("--no-report", action="store_true", help="write no report at the end")
    add_runtime_options(made)
    add_config_options(made, domain=domain)
    return made


def run(arguments: Sequence[str]) -> int:
    """Trains; returns the exit status."""
    from hinterland.api.systems import prepare_for
    from hinterland.core.errors import UserError

    first = named_domain(parser(add_help=False), arguments)
    if first.resume is not None:
        _check_as_configured(first)
        return _resume(parser().parse_args(arguments))
    read = _read_config(first.config) if first.config is not None else {}
    named = first.domain if first.domain is not None else read.get("domain")
    prepare_for(named)
    if named is not None:
        check_owners(arguments, named)
    options = parser(named).parse_args(arguments)
    if named is None:
        raise UserError(f"which DOMAIN? For example: hinterland train {DEMO} --agents 4")
    from hinterland.api.start import make_runtime
    from hinterland.api.systems import completed, get_domain
    from hinterland.applies import check_applies
    from hinterland.config import declared_by, make_config
    from hinterland.record import RunFolder

    values = {**read, **given_config(options, named), "domain": named}
    config = make_config(completed(values))
    check_applies(config)
    if options.out is not None:
        RunFolder.check_new(options.out)
    if config.preset == "paper" and "paper" not in declared_by(config.domain).presets:
        note = f"note: preset paper holds the DIALS paper's hyperparameters for {DEMO}"
        print(note, file=sys.stderr)
    with make_runtime(options.devices, options.runtime, options.address) as runtime:
        domain = get_domain(config)
        _say(options, begin(config, domain, runtime, options.runtime))
        out = options.out or _free_folder(config.domain)
        manifest = manifest_of(config, ["hinterland", "train", *arguments], runtime)
        with RunFolder.create(out, config.model_dump(exclude_none=True), manifest) as folder:
            return _train(options, config, domain, runtime, folder, None)


def _read_config(path: Path) -> dict[str, Any]:
    from hinterland.core.errors import UserError
    from hinterland.core.reading import parse_toml, read_as
    from hinterland.record.models import CONFIG_SIZE, Settings, check

    try:
        values = read_as(parse_toml, path, CONFIG_SIZE)
        check(Settings, {"domain": "", **values}, path)  # which may be given beside it
    except UserError as error:
        raise UserError(f"--config: {error}") from None
    return values


def _free_folder(domain: str) -> Path:
    number = 1
    while os.path.lexists(path := Path("runs") / f"{as_file_name(domain)}-{number}"):
        number += 1
    return path


def _check_as_configured(options: argparse.Namespace) -> None:
    """Whether no setting stands beside --resume.

    Raises:
        UserError: one does.
    """
    from hinterland.core.errors import UserError
    from hinterland.domains.declared import owners_of

    given = given_config(options).items() - {("domain", None)}
    names = sorted({name for name, _ in given} | {x for x in vars(options) if owners_of(x)})
    if names:
        raise UserError(
            f"--resume continues a run as it was configured; leave out {flag_of(names[0])}"
        )


def _resume(options: argparse.Namespace) -> int:
    from hinterland.api.start import make_runtime
    from hinterland.api.systems import get_domain
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder

    for name in ("out", "config"):
        if getattr(options, name) is not None:
            raise UserError(f"--{name} is for a new run; --resume goes on in its own folder")
    folder = RunFolder.read(options.resume)
    if (summary := folder.result()) is not None:
        print(f"{options.resume} is finished: {summary['step']:,} steps", file=sys.stderr)
        # It may have been killed after its summary; in a folder that is read only it is shown.
        reported = options.no_report or is_there(folder.path / "report.html")
        if not reported and folder.checkpoint_steps() and os.access(folder.path, os.W_OK):
            with RunFolder.open(options.resume) as folder, make_runtime(options.devices):
                _check_report(folder)
                _write_report(options, folder)
        _say_result(options, folder, summary)
        return 0
    # Until the run goes on, nothing in its folder changes: what is refused leaves no trace.
    with RunFolder.open(options.resume) as folder:
        from hinterland.api.systems import prepare_for

        prepare_for(folder.config["domain"])
        config, checkpoint = where_it_was(folder)
        with make_runtime(options.devices, options.runtime, options.address) as runtime:
            domain = get_domain(config, folder)
            _say(options, go_on(config, domain, runtime, checkpoint, options.runtime))
            return _train(options, config, domain, runtime, folder, checkpoint)


def _say(options: argparse.Namespace, notes: Sequence[str]) -> None:
    for text in notes:
        if not options.quiet:
            print(f"note: {text}", file=sys.stderr)


def _train(
    options: argparse.Namespace,
    config: "Config",
    domain: Any,
    runtime: Any,
    folder: "RunFolder",
    checkpoint: Any,
) -> int:
    from hinterland.api.display import note
    from hinterland.record.manifest import moved
    from hinterland.training import Experiment, train

    if not options.no_report:
        _check_report(folder)
    began_at, lines = steps_before(checkpoint)
    if not options.quiet:
        note(header(config, domain, runtime, folder))
        for said in (*getattr(domain, "notes", ()), *processes_note(config, domain)):
            note(f"note: {said}")
        if began_at:
            print(f"resuming at step {began_at:,}", file=sys.stderr)
            if change := moved(folder.manifest, runtime.describe()):
                note(f"note: {change}")
    display, spent = display_of(config, domain, checkpoint, options.quiet)
    interrupts.say(f"continue with 'hinterland train --resume {folder.path}'")
    try:
        with interrupts.stopping(runtime.interrupt), display:
            experiment = Experiment(
                config, domain, runtime, folder, display, spent, options.checkpoint_every
            )
            summary = train(experiment, checkpoint, lambda: folder.truncate_metrics(lines))
    except KeyboardInterrupt:
        steps = folder.checkpoint_steps()
        print(
            f"\ninterrupted; the newest checkpoint is at step {max(steps, default=0):,}"
            f"{interrupts.said()}",
            file=sys.stderr,
        )
        return interrupts.status()
    try:
        if not options.no_report:
            _write_report(options, folder)
    finally:  # the work is done, whatever becomes of its report
        _say_result(options, folder, summary)
    return 0


def _check_report(folder: "RunFolder") -> None:
    """Whether its files can be written; before the work, which would be for nothing."""
    from hinterland.record import check_output
    from hinterland.report import check_report

    check_report(folder.path / "report.html")
    check_output(folder.path / "replay.json", b"{", own=True)


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


def processes_note(config: "Config", domain: Any) -> list[str]:
    """A sentence where a run asks for very many processes."""
    from hinterland.training.estimate import PROCESS, processes_of
    from hinterland.training.plan import Plan

    if (count := sum(processes_of(Plan(config, domain)))) <= MANY:
        return []
    fewer = "--copies, --workers or --actors, or with more --copies-per-process"
    return [
        f"{count} processes of simulators take about {count * PROCESS['simulator'] / 1e9:.1f} GB "
        f"({PROCESS['simulator'] / 1e6:.0f} MB each, large engines more); fewer with less "
        f"{fewer if config.schedule != 'fused' else '--copies'}"
    ]


def _say_result(options: argparse.Namespace, folder: "RunFolder", summary: dict[str, Any]) -> None:
    if not options.quiet:
        print(result_table(summary))
        print(f"run folder: {folder.path}")
        if is_there(folder.path / "report.html"):
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
                + (f"  {said}" if (said := beside(figures, summary.get("shown", ()))) else "")
            )
            own = {name[7:]: x for name, x in figures.items() if name.startswith("return/")}
            if own and max(own.values()) > min(own.values()):
                lines.append("    " + ", ".join(f"{name} {x:.2f}" for name, x in own.items()))
    lines.append(
        f"{summary['agent_steps_per_s']:,.0f} agent-steps/s in training, "
        f"{summary['wall_s']:.0f} s in all, {summary['memory']['peak_mb']:,.0f} MB peak memory"
    )
    return "\n".join(lines)
