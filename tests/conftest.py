"""Settings of every test: cheap programs, the same examples each time."""

import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Started first, so that both of xdist's workers end together: what waits for Ray, and what computes
# for more than half a minute.
LONGEST = (
    "test_cluster", "test_pipeline", "test_two_machines", "test_training", "test_cli",
    "test_traffic", "test_lux_training", "test_combat", "test_colony", "test_native_intersection",
    "test_separation",
)  # fmt: skip

# The rooms whose arrays are checked from here on, before a test imports them (`tests/shapes.py`).
# Functions of `runtime` and `training` travel to other processes, where a checked one cannot go;
# `cli` and `record` have no arrays. Code in processes that tests start is not checked.
ROOMS = ("core", "domains", "influence", "learn", "nets", "report", "rollout", "testing")
install_import_hook([f"hinterland.{room}" for room in ROOMS], "shapes.checked")

PROGRAMS = pytest.StashKey[str]()

# Tests compile far more than they compute. Four times cheaper to compile, a program computes the
# same to rounding; a test that compares bits has both sides from the same compiler. `XLA_FLAGS=
# make test` compiles as for users.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)


def pytest_configure(config: pytest.Config) -> None:
    # Through the environment: JAX reads it when a test first imports it, so collection stays light,
    # and the commands that tests start in a subprocess see the same.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("XLA_FLAGS", QUICK)
    # Who starts tests in the background has these ignored, and a command then leaves it at that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Compilation is most of what tests cost. Each of xdist's workers keeps its programs apart: JAX
    # does not write them in one piece, and another worker might read half of one.
    config.stash[PROGRAMS] = tempfile.mkdtemp(prefix="hinterland-programs-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = config.stash[PROGRAMS]
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    os.environ["HINTERLAND_CACHE"] = config.stash[PROGRAMS]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[PROGRAMS], ignore_errors=True)


# Derandomised: a failure belongs to the change at hand, never to the day. No deadline: the first
# example of a jitted function pays for its compilation.
settings.register_profile("hinterland", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("hinterland")
