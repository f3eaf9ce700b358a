"""Settings of every test: two CPU devices, programs compiled once, the same examples each time."""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

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
    # and the commands that tests start in a subprocess see the same devices.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
    os.environ.setdefault("XLA_FLAGS", QUICK)
    # Compilation is most of what tests cost. Each of xdist's workers keeps its programs apart: JAX
    # does not write them in one piece, and another worker might read half of one.
    config.stash[PROGRAMS] = tempfile.mkdtemp(prefix="hinterland-programs-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = config.stash[PROGRAMS]
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    os.environ["HINTERLAND_CACHE"] = config.stash[PROGRAMS]


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[PROGRAMS], ignore_errors=True)


# Derandomised: a failure belongs to the change at hand, never to the day. No deadline: the first
# example of a jitted function pays for its compilation.
settings.register_profile("hinterland", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("hinterland")
