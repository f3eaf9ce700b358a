"""What several commands need before JAX starts: cores, cache, domain, run folder."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.config import Config
    from hinterland.core import Domain
    from hinterland.record import RunFolder
    from hinterland.runtime import LocalRuntime


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Where work happens; none of these changes a result."""
    from hinterland.cli.arguments import whole_number

    parser.add_argument(
        "--devices",
        type=whole_number,
        metavar="N",
        help="devices to use: cores of the CPU, or accelerators (default: all)",
    )


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """This machine, or a cluster."""
    add_machine_options(parser)
    parser.add_argument(
        "--runtime",
        choices=("local", "ray"),
        default="local",
        help="where units of work run: this machine's devices, or a Ray cluster (local)",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="--runtime ray: the cluster to join; unset: one of --devices processors is started "
        "here, and ended with the command",
    )


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
    """All cores as JAX devices, or the accelerators that JAX sees; or a Ray cluster."""
    from hinterland.core.errors import UserError

    if address is not None and kind != "ray":
        raise UserError("--address is a part of --runtime ray")
    if address is not None and devices is not None:
        raise UserError("--devices is of this machine; the nodes at --address know their own")
    cores = len(os.sched_getaffinity(0))
    if devices is not None and devices < 1:
        raise UserError(f"--devices {devices}: must be at least 1")
    start_jax()
    import jax

    from hinterland.runtime import LocalRuntime, use_cores

    if jax.config.values["jax_disable_jit"]:
        raise UserError(
            "JAX_DISABLE_JIT is set: nothing would be compiled, and runs take thousands of times "
            "as long; unset it"
        )
    if kind == "ray":
        from hinterland.runtime.cluster import ClusterRuntime

        jax.config.update("jax_platforms", "cpu")  # as the cluster's workers
        use_cores(1)
        _keep_compiled_programs()
        return ClusterRuntime(address, devices)
    use_cores(max(cores, devices or 1))
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


def get_domain(config: "Config") -> "Domain":
    """The domain; one of the user's own is checked before anything is trained in it."""
    from hinterland.domains import known_domains, load_domain

    domain = load_domain(config.domain, config.agents, config.domain_options)
    if config.domain not in known_domains():
        from hinterland.testing import check_domain

        check_domain(domain, episodes=1)
    return domain


def trained_networks(folder: "RunFolder", step: int | None = None) -> tuple[Any, Any, Any, int]:
    """(configuration, domain, networks, step) of a run's newest or named checkpoint."""
    from hinterland.config import make_config
    from hinterland.training.networks import load_networks

    config = make_config(folder.config)
    domain = get_domain(config)
    arrays, meta = folder.load_checkpoint(step)
    return config, domain, load_networks(arrays, config, domain), int(meta["step"])
