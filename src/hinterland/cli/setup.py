"""What several commands need before JAX starts: cores, cache, domain, run folder."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.config import Config
    from hinterland.core import Domain
    from hinterland.record import RunFolder
    from hinterland.runtime import LocalRuntime

MOST_DEVICES = 256
"""Each device of a CPU is a thread or more, each of a cluster started here a process."""


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Where work happens; none of these changes a result."""
    from hinterland.cli.arguments import whole

    parser.add_argument(
        "--devices",
        type=whole(1, MOST_DEVICES),
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
    """All cores as JAX devices, or the accelerators that JAX sees; or a Ray cluster."""
    from hinterland.core.errors import UserError

    if address is not None and kind != "ray":
        raise UserError("--address is a part of --runtime ray")
    if address is not None and devices is not None:
        raise UserError("--devices is of this machine; the nodes at --address know their own")
    cores = len(os.sched_getaffinity(0))
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
        if devices is not None:
            from hinterland.training import check_processors

            check_processors(devices)
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


def completed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings given explicitly, and what the files or programs that they name decide.

    Raises:
        UserError: those cannot be read, or there is no such domain.
    """
    from hinterland.config import declared_by, given_options

    given = given_options(values)
    if not isinstance(domain := given.get("domain"), str):
        return given  # refused later
    declared = declared_by(domain)
    if declared.model_fields.keys() & given.keys():
        start_jax()  # domains want it
    return declared.completed(given)


def prepare_for(domain: str | None, devices: int | None = None, kind: str = "local") -> None:
    """What comes before the options of a user's own domain are read: its module may use JAX.

    Raises:
        UserError: JAX does not start.
    """
    if domain is None or ":" not in domain:
        return
    start_jax()
    from hinterland.runtime import use_cores

    use_cores(1 if kind == "ray" else max(len(os.sched_getaffinity(0)), devices or 1))


def get_domain(config: "Config", folder: "RunFolder | None" = None) -> "Domain":
    """The domain; one of the user's own is checked before anything is trained in it.

    Args:
        config: names it.
        folder: of a run that began with it, when simulators from outside were checked.

    Raises:
        UserError: it cannot be made here, or does not keep the contracts.
    """
    from hinterland.config import declared_by
    from hinterland.core.errors import UserError
    from hinterland.domains import known_domains, load_domain
    from hinterland.domains.pool import SharingPool

    domain = load_domain(config.domain, config.agents, config.domain_options)
    own, each = config.domain not in known_domains(), config.copies_per_process or 1
    ours = type(domain).__module__.startswith("hinterland.")
    outside = declared_by(config.domain).from_outside
    if own or not ours or (outside and folder is None):
        from hinterland.testing import check_domain
        from hinterland.testing.host_entities import DISTURBED

        for line in check_domain(domain, episodes=1):
            if each > 1 and line.startswith(DISTURBED):
                raise UserError(f"--copies-per-process {each}: {line}")
    simulator: Any = getattr(domain, "entity_simulator", None)
    if isinstance(simulator, SharingPool):
        simulator.together = each
        if each > 1:
            simulator.close()  # the judge's processes, which nobody asks again
    return domain


def look_where_it_was(folder: "RunFolder") -> None:
    """Whether a run's own module is found, and is the one it began with; before it is imported.

    Raises:
        UserError: it is not found.
    """
    from hinterland.core.errors import UserError
    from hinterland.domains.registry import file_of

    name, before = str(folder.config["domain"]), folder.manifest.get("domain_file")
    if not isinstance(before, str):
        return
    module, here = name.partition(":")[0], file_of(name)
    if here is None:
        packages = module.count(".") + (Path(before).name == "__init__.py")
        raise UserError(
            f"module {module!r} is not found from here; when the run began it was {before}: go to "
            f"{Path(before).parents[packages]}, or put that folder on PYTHONPATH"
        )
    if os.path.realpath(here) != os.path.realpath(before):
        _note(f"module {module!r} is {here}; when the run began it was {before}")


@cache
def _note(text: str) -> None:
    """Said once, however often the domain is made."""
    print(f"note: {text}", file=sys.stderr)


def trained_networks(folder: "RunFolder", step: int | None = None) -> tuple[Any, Any, Any, int]:
    """(configuration, domain, networks, step) of a run's newest or named checkpoint."""
    from hinterland.config import make_config
    from hinterland.training.networks import check_step, load_networks

    look_where_it_was(folder)
    config = make_config(folder.config)
    # What is damaged is said before a domain, which may be a thousand processes, is made.
    arrays, meta = folder.load_checkpoint(step)
    check_step(meta, config)
    domain = get_domain(config, folder)
    return config, domain, load_networks(arrays, config, domain), meta["step"]
