"""Whole runs on tiny sizes, for tests of the trainers."""

from pathlib import Path
from typing import Any

import numpy as np

from hinterland.config import Config
from hinterland.record import RunFolder
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, train


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
