"""Starts JAX: numbers of 32 bits, cache, a runtime; before anything of the user's is imported."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hinterland.runtime import LocalRuntime

MOST_DEVICES = 256
"""Each device of a CPU is a thread or more, each of a cluster started here a process."""


@cache
def start_jax() -> None:
    """Imports JAX; whoever imports it first would meet what is wrong with its surroundings.

    Raises:
        UserError: an environment variable keeps it from starting.
    """
    from hinterland.core.errors import UserError

    try:
        import jax
    except ValueError as error:
        raise UserError(f"JAX does not start: {error}; mend or unset it") from error
    del jax
    if flags := os.environ.get("XLA_FLAGS"):
        # XLA ends the process that gives it a flag it does not know.
        code = "from jaxlib import xla_client; xla_client.CompileOptions()"
        probe = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if probe.returncode:
            said = (probe.stderr.strip().splitlines() or ["it ended"])[-1].rpartition("] ")[2]
            raise UserError(f"XLA does not start with XLA_FLAGS={flags!r}: {said}; unset it")


def make_runtime(
    devices: int | None, kind: str = "local", address: str | None = None
) -> "LocalRuntime":
    """All cores of the CPU, or the accelerators that JAX sees; or a Ray cluster."""
    from hinterland.core.errors import UserError

    if address is not None and kind != "ray":
        raise UserError("--address is a part of --runtime ray")
    if address is not None and devices is not None:
        raise UserError("--devices is of this machine; the nodes at --address know their own")
    start_jax()
    import jax

    from hinterland.runtime import LocalRuntime, use_32_bits

    if jax.config.values["jax_disable_jit"]:
        raise UserError(
            "JAX_DISABLE_JIT is set: nothing would be compiled, and runs take thousands of times "
            "as long; unset it"
        )
    use_32_bits()
    if kind == "ray":
        from hinterland.runtime.cluster import ClusterRuntime

        jax.config.update("jax_platforms", "cpu")  # as the cluster's workers
        if devices is not None:
            from hinterland.training.estimate import PROCESS, Part, check_memory

            size = devices * PROCESS["ray"]
            check_memory([Part(f"{devices:,} processes of Ray", size, ("devices",))])
        _keep_compiled_programs()
        return ClusterRuntime(address, devices)
    _keep_compiled_programs()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where a plugin has no device
        platforms = os.environ.get("JAX_PLATFORMS", "")
        said = f": {error}".split("(set ")[0].rstrip(" .") if str(error) else ""
        raise UserError(
            f"JAX has no device for JAX_PLATFORMS={platforms!r}{said}; unset it, or set it to cpu"
        ) from error
    return LocalRuntime(devices)


@contextmanager
def machine(devices: int | None) -> "Generator[LocalRuntime]":
    """This machine's devices for a piece of work; what it changes of JAX's settings comes back."""
    from hinterland.core.bounds import Range
    from hinterland.core.errors import UserError

    if devices is not None and (problem := Range(1, MOST_DEVICES).problem(devices)):
        raise UserError(f"devices={devices}: {problem}")
    start_jax()
    import jax

    wide = jax.config.values["jax_enable_x64"]
    try:
        with make_runtime(devices) as runtime:
            yield runtime
    finally:
        jax.config.update("jax_enable_x64", wide)


@contextmanager
def stopping(stop: Callable[[], None]) -> Generator[None]:
    """Ctrl-C in a script or a notebook: the first asks the work to end, a second ends it at once.

    An exception raised by the signal's handler may land in a callback of a library, and be lost
    there. Where Python's own handler is not in place, or in other threads, nothing changes.

    Args:
        stop: asks; the work then raises KeyboardInterrupt by itself.

    Raises:
        KeyboardInterrupt: it was asked, and had just ended.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    heard: list[int] = []

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        heard.append(number)
        stop()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if heard:
        raise KeyboardInterrupt


def _keep_compiled_programs() -> None:
    """A later run of the same shape starts in seconds; HINTERLAND_CACHE=off turns it off."""
    from hinterland.runtime import keep_programs

    place = os.environ.get("HINTERLAND_CACHE", "")
    if place == "off":
        return
    if not place:
        try:
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        except RuntimeError:
            return  # there is no home to keep anything in
        place = str(home / "hinterland" / "jax")
    keep_programs(place)
