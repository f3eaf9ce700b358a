"""Settings of every test: two CPU devices, and the same examples each time."""

import os

from hypothesis import settings


def pytest_configure() -> None:
    # Through the environment: JAX reads it when a test first imports it, so collection stays light,
    # and the commands that tests start in a subprocess see the same devices.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")


# Derandomised: a failure belongs to the change at hand, never to the day. No deadline: the first
# example of a jitted function pays for its compilation.
settings.register_profile("hinterland", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("hinterland")
