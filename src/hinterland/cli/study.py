"""`hinterland study`: a grid of runs, resumable, into one report."""

import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hinterland.cli import interrupts
from hinterland.cli.arguments import Parser, path_name, whole_number
from hinterland.core.errors import UserError

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
        type=whole_number,
        default=1,
        metavar="J",
        help="runs at a time; the cores are shared out among them, results do not change "
        "(default: 1)",
    )
    made.add_argument(
        "--only", metavar="VARIANT", action="append", help="only this variant (may be repeated)"
    )
    made.add_argument("--seeds", metavar="K,K,...", help="only these seeds (default: the file's)")
    return made


def read_study(path: Path) -> dict[str, Any]:
    """A study file, checked down to each run's configuration.

    Raises:
        UserError: not readable, not TOML, or a setting that a run would refuse.
    """
    from hinterland.config import make_config

    try:
        study = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file: {error}") from error
    for name, kind in (("name", str), ("seeds", list), ("base", dict), ("variants", dict)):
        if not isinstance(study.get(name), kind) or not study[name]:
            raise UserError(f"{path}: {name!r} is missing or empty (see studies/warehouse-4.toml)")
    for name, variant in study["variants"].items():
        for seed in study["seeds"]:
            try:
                make_config({**study["base"], **variant, "seed": seed})
            except UserError as error:
                raise UserError(f"{path}: variant {name!r}, seed {seed}: {error}") from None
    return study


def run(arguments: Sequence[str]) -> int:
    """Runs the study; returns the exit status."""
    options = parser().parse_args(arguments)
    study = read_study(options.file)
    folder = options.out or Path("runs") / f"study-{study['name']}"
    if options.jobs < 1:
        raise UserError(f"--jobs {options.jobs}: must be at least 1")
    for name in options.only or ():
        if name not in study["variants"]:
            raise UserError(f"--only {name}: the study has {', '.join(study['variants'])}")
    _prepare(folder, options.file, options.resume)
    seeds = study["seeds"]
    if options.seeds:
        seeds = [int(text) for text in options.seeds.split(",") if text.strip().isdigit()]
        if not seeds:
            raise UserError(f"--seeds {options.seeds}: give whole numbers such as 0,1,2")
    grid = [
        (name, seed)
        for seed in seeds
        for name in study["variants"]
        if not options.only or name in options.only
    ]
    failed = _run_grid(folder, study, grid, options.jobs)
    from hinterland.report import write_report

    print(write_report([folder], folder / "report.html"))
    if failed:
        print(f"{len(failed)} of {len(grid)} runs failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _prepare(folder: Path, file: Path, resume: bool) -> None:
    kept = folder / "study.toml"
    if kept.exists():
        if not resume:
            raise UserError(f"study folder {folder} already exists; add --resume to continue it")
        if kept.read_bytes() != file.read_bytes():
            raise UserError(f"{file} is no longer what {folder} began with; choose another --out")
        return
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not a study folder and not empty; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, kept)


def _run_grid(
    folder: Path, study: dict[str, Any], grid: list[tuple[str, int]], jobs: int
) -> list[str]:
    """Runs the grid, `jobs` at a time; names of the runs that failed."""
    import os

    import tomli_w

    cores = sorted(os.sched_getaffinity(0))
    shares = [cores[job::jobs] or cores for job in range(jobs)]
    waiting, failed, lock = list(reversed(grid)), [], threading.Lock()
    began, finished = time.perf_counter(), 0
    running: list[subprocess.Popen[bytes]] = []
    stopped = threading.Event()

    def work(share: list[int]) -> None:
        nonlocal finished
        while True:
            with lock:
                if stopped.is_set() or not waiting:
                    return
                name, seed = waiting.pop()
            out = folder / "runs" / name / f"seed-{seed}"
            command = [sys.executable, "-m", "hinterland", "train", "--quiet", "--no-report"]
            if (out / "manifest.json").exists():
                command += ["--resume", str(out)]
            else:
                config = folder / "configs" / f"{name}-seed-{seed}.toml"
                config.parent.mkdir(exist_ok=True)
                values = {**study["base"], **study["variants"][name], "seed": seed}
                config.write_text(tomli_w.dumps(values))
                command += ["--config", str(config), "--out", str(out)]
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
                what = "done" if process.returncode == 0 else f"FAILED: {complaint[-500:]}"
                if process.returncode != 0:
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
