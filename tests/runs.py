"""Whole runs on tiny sizes, for tests of the trainers."""

import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hinterland.config import Config, make_config
from hinterland.domains import load_domain
from hinterland.record import RunFolder
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, train

TINY_DIALS = (
    "corridor", "--network", "feed-forward", "--predictor", "feed-forward", "--hidden", "8",
    "--trunk", "8", "--copies", "8", "--predictor-episodes", "32", "--evaluate-episodes", "4",
)  # fmt: skip
"""For `hinterland train`."""


def domain_of(config: Config) -> Any:
    """The same object for the same domain: its programs are compiled once for all runs."""
    return _domain(config.domain, config.agents, tuple(sorted(config.domain_options.items())))


@cache
def _domain(name: str, agents: int, options: tuple[tuple[str, Any], ...]) -> Any:
    return load_domain(name, agents, dict(options))


def run(folder: Path, config: Config, domain: Any, runtime: LocalRuntime) -> RunFolder:
    """A finished run in a new folder."""
    record = RunFolder.create(folder, config.model_dump(exclude_none=True), {})
    train(Experiment(config, domain, runtime, record), None)
    record.close()
    return record


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """Bit for bit."""
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def wait_for(driver: subprocess.Popen, sign: Callable[[], bool], seconds: float) -> None:
    """Until the run that goes on there gives a sign; it must neither end nor take longer."""
    until = time.monotonic() + seconds
    while not sign() and driver.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    assert driver.poll() is None, driver.communicate()[1]
    assert sign()


def has_logged(run: Path, phase: str) -> bool:
    """Whether its metrics have a line of that phase."""
    lines = run / "metrics.jsonl"
    return lines.exists() and f'"{phase}"' in lines.read_text()


def assert_as_here(made: RunFolder, folder: Path) -> None:
    """Its last checkpoint is that of the same run in one piece on one device, bit for bit."""
    config = make_config(made.config)
    here = run(folder, config, domain_of(config), LocalRuntime(devices=1))
    assert_same(here.load_checkpoint()[0], made.load_checkpoint()[0])
