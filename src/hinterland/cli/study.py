"""`hinterland study`: a grid of runs, resumable, into one report."""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hinterland.cli import interrupts
from hinterland.cli.arguments import Parser, path_name, whole
from hinterland.config import SEEDS
from hinterland.core.errors import UserError
from hinterland.core.names import printable
from hinterland.core.reading import is_there, parse_toml, read_bytes
from hinterland.record import check_output, write_output

PATIENCE_S = interrupts.PATIENCE_S + 5
"""Seconds that runs get to end, of which each has its own measure."""


def parser() -> Parser:
    """The command's options."""
    made = Parser(
        prog="hinterland study",
        description="Runs every variant of a study file with every seed, each in a process of its "
        "own, then writes one report. Finished runs are kept, interrupted ones continue.",
    )
    made.add_argument("file", type=path_name, metavar="FILE.toml")
    made.add_argument(
        "--out", type=path_name, metavar="STUDY", help="folder (default: runs/study-NAME)"
    )
    made.add_argument("--resume", action="store_true", help="continue a study that has begun")
    made.add_argument(
        "--jobs",
        type=whole(1, 256),
        default=1,
        metavar="J",
        help="runs at a time; the cores are shared out among them, results do not change "
        "(default: 1)",
    )
    made.add_argument(
        "--only", metavar="VARIANT", action="append", help="only this variant (may be repeated)"
    )
    made.add_argument(
        "--seeds", type=_seeds, metavar="K,K,...", help="only these seeds (default: the file's)"
    )
    return made


def _seeds(text: str) -> list[int]:
    return [whole(0, SEEDS)(part) for part in text.split(",")]


def read_study(path: Path, content: bytes) -> dict[str, Any]:
    """A study file, checked down to each run's configuration.

    Args:
        path: where it lies, for messages.
        content: of the file.

    Raises:
        UserError: not TOML, no study, or a setting that a run would refuse.
    """
    from hinterland.config import given_options
    from hinterland.record.models import Study, why_not

    try:
        study = parse_toml(content)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    if why := why_not(Study, study):
        raise UserError(f"{path}: {why} (see studies/demo.toml)")
    unread = set(given_options(study["base"]))
    for name, variant in study["variants"].items():
        for seed in study["seeds"]:
            try:
                unheard = _ignored(_settings(study, name, seed))
                for option, reason in unheard.items():
                    if option in given_options(variant):
                        raise UserError(f"{option}: {reason}; leave it out")
            except UserError as error:
                raise UserError(f"{path}: variant {name!r}, seed {seed}: {error}") from None
            unread &= set(unheard)
    if unread:
        raise UserError(f"{path}: {min(unread)} of [base] is read by none of the variants")
    return study


def _settings(study: dict[str, Any], name: str, seed: int) -> dict[str, Any]:
    """What the file says of one run, the domain's own options beside the others."""
    from hinterland.config import given_options

    variant = given_options(study["variants"][name])
    return {**given_options(study["base"]), **variant, "seed": seed}


def _ignored(settings: dict[str, Any]) -> dict[str, str]:
    """`applies.ignored` of a run with these settings, without a start of the domain.

    Raises:
        UserError: a run would refuse the settings.
    """
    from hinterland.applies import ignored
    from hinterland.config import make_config

    config = make_config(settings)
    return ignored(config)


def values_of(study: dict[str, Any], name: str, seed: int) -> dict[str, Any]:
    """The settings of one run: of [base] those that this variant reads, and its own."""
    from hinterland.config import declared_by, given_options

    whole, base = _settings(study, name, seed), given_options(study["base"])
    unread = _ignored(whole).keys() & base.keys() - given_options(study["variants"][name]).keys()
    kept = {option: x for option, x in whole.items() if option not in unread}
    fields = declared_by(str(whole["domain"])).model_fields
    own = {option: x for option, x in kept.items() if option in fields}
    general = {option: x for option, x in kept.items() if option not in fields}
    return {**general, "domain_options": own} if own else general


def run(arguments: Sequence[str]) -> int:
    """Runs the study; returns the exit status."""
    from hinterland.record.models import CONFIG_SIZE
    from hinterland.report import check_report, write_report

    options = parser().parse_args(arguments)
    content = read_bytes(options.file, CONFIG_SIZE)
    study = read_study(options.file, content)
    folder = options.out or Path("runs") / f"study-{study['name']}"
    for name in options.only or ():
        if name not in study["variants"]:
            raise UserError(f"--only {name}: the study has {', '.join(study['variants'])}")
    seeds = options.seeds or study["seeds"]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {','.join(map(str, seeds))}: one is there twice")
    _check_folder(folder, options.file, content, options.resume)
    check_report(folder / "report.html")
    grid = [
        (name, seed)
        for seed in seeds
        for name in study["variants"]
        if not options.only or name in options.only
    ]
    if not is_there(folder / "study.toml"):
        write_output(folder / "study.toml", content)
    commands = [_command(folder, study, name, seed) for name, seed in grid]
    failed = _run_grid(folder, grid, commands, options.jobs)
    print(printable(str(write_report([folder], folder / "report.html"))))
    if failed:
        print(f"{len(failed)} of {len(grid)} runs failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _check_folder(folder: Path, file: Path, content: bytes, resume: bool) -> None:
    """Whether the study can be made, or go on, in this folder.

    Raises:
        UserError: it cannot.
    """
    from hinterland.record import check_new
    from hinterland.record.models import CONFIG_SIZE
    from hinterland.record.run_folder import is_taken

    kept = folder / "study.toml"
    if not is_there(kept):
        if is_taken(folder):
            raise UserError(
                f"{folder} is there already and is no study folder; choose another --out"
            )
        check_new(folder)
        return
    if not resume:
        raise UserError(f"study folder {folder} already exists; add --resume to continue it")
    if read_bytes(kept, CONFIG_SIZE) != content:
        raise UserError(f"{file} is no longer what {folder} began with; choose another --out")


def _command(folder: Path, study: dict[str, Any], name: str, seed: int) -> list[str]:
    """What starts or continues one run; the configuration of a new one is written.

    Raises:
        UserError: it cannot be written.
    """
    import tomli_w

    out = folder / "runs" / name / f"seed-{seed}"
    command = [sys.executable, "-m", "hinterland", "train", "--quiet", "--no-report"]
    if is_there(out / "manifest.json"):
        return [*command, "--resume", str(out)]
    config = folder / "configs" / f"{name}-seed-{seed}.toml"
    written = tomli_w.dumps(values_of(study, name, seed)).encode()
    check_output(config, written)
    write_output(config, written)
    return [*command, "--config", str(config), "--out", str(out)]


def _run_grid(
    folder: Path, grid: list[tuple[str, int]], commands: list[list[str]], jobs: int
) -> list[str]:
    """Runs the grid, `jobs` at a time; names of the runs that failed."""
    import os

    cores = sorted(os.sched_getaffinity(0))
    shares = [cores[job::jobs] or cores for job in range(jobs)]
    waiting, failed, lock = (
        list(reversed([*zip(grid, commands, strict=True)])),
        [],
        threading.Lock(),
    )
    began, finished = time.perf_counter(), 0
    running: list[subprocess.Popen[bytes]] = []
    stopped = threading.Event()

    def work(share: list[int]) -> None:
        nonlocal finished
        while True:
            with lock:
                if stopped.is_set() or not waiting:
                    return
                (name, seed), command = waiting.pop()
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # what a terminal sends reaches it through us, and once
                preexec_fn=lambda: os.sched_setaffinity(0, share),
            )
            running.append(process)
            if stopped.is_set():  # while it was started
                process.terminate()
            complaint = process.communicate()[1].decode(errors="replace").strip()
            if stopped.is_set():
                return
            with lock:
                finished += 1
                seconds = time.perf_counter() - started
                left = (time.perf_counter() - began) / finished * (len(grid) - finished)
                what = "done"
                if process.returncode != 0:
                    said = printable(complaint[-500:]) or f"exit status {process.returncode}"
                    what = f"FAILED: {said}"
                    failed.append(f"{name}/seed-{seed}")
                print(
                    f"[{finished}/{len(grid)}] {name} seed {seed}: {what} in {seconds:.0f} s, "
                    f"about {left / 60:.0f} min left",
                    file=sys.stderr,
                    flush=True,
                )

    threads = [threading.Thread(target=work, args=(share,), daemon=True) for share in shares]
    for thread in threads:
        thread.start()

    def stop() -> None:
        """No new runs; those under way end as they do when they are told by themselves."""
        stopped.set()
        for process in running:
            if process.poll() is None:
                process.terminate()

    interrupts.say(
        f"continue with 'hinterland study {folder / 'study.toml'} --out {folder} --resume'"
    )
    with interrupts.stopping(stop, PATIENCE_S):
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)
    return failed
