"""`hinterland doctor`: what works on this machine."""

import importlib.metadata
import importlib.util
import operator
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hinterland.cli.arguments import DEMO, Parser
from hinterland.cli.setup import add_runtime_options

if TYPE_CHECKING:
    from hinterland.runtime import LocalRuntime

PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "safetensors", "matplotlib")


def run(arguments: Sequence[str]) -> int:
    """Prints one line per finding; returns the exit status."""
    parser = Parser(
        prog="hinterland doctor", description="Devices, versions, domains: what works here."
    )
    add_runtime_options(parser)
    options = parser.parse_args(arguments)
    import psutil

    from hinterland import __version__
    from hinterland.api.start import make_runtime
    from hinterland.domains import known_domains

    cores = len(os.sched_getaffinity(0))
    print(f"hinterland   {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in PACKAGES:
        print(f"{name:<13}{importlib.metadata.version(name)}")
    for name, extra in _optional():
        try:
            print(f"{name:<13}{importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:<13}not installed: pip install 'hinterland[{extra}]'")
    print(f"memory       {psutil.virtual_memory().available / 1e9:.1f} GB available")
    print(f"cores        {cores}")
    with make_runtime(options.devices, options.runtime, options.address) as runtime:
        _say_devices(runtime)
        if options.runtime == "ray":
            _say_messages(runtime)
    print(f"domains      {', '.join(known_domains())}")
    return 0


def _optional() -> list[tuple[str, str]]:
    """(package, extra) of all that this package's extras for users install."""
    found = []
    for line in importlib.metadata.requires("hinterland") or ():
        wanted = re.fullmatch(r"([\w.-]+)\W.*extra == ['\"](\w+)['\"]", line)
        if wanted and wanted[2] not in ("test", "cuda") and wanted[1] not in PACKAGES:
            found.append((wanted[1], wanted[2]))
    return found


def _say_devices(runtime: "LocalRuntime") -> None:
    for line in runtime.describe():
        print(f"device       {line}")
    if runtime.devices[0].platform == "cpu" and importlib.util.find_spec("jax_cuda13_plugin"):
        print("warning      the CUDA plugin is installed, but JAX sees no GPU", file=sys.stderr)


def _say_messages(runtime: "LocalRuntime") -> None:
    """How large they are, for an example; and whether a unit comes back from every processor."""
    from hinterland.config import make_config
    from hinterland.domains import load_domain
    from hinterland.training import message_sizes

    agents = 100
    config = make_config({"domain": DEMO, "agents": agents})
    for phase, message in message_sizes(config, load_domain(DEMO, agents)).items():
        print(
            f"message      {phase}: {message.up:.2f} MB up and {message.down:.2f} MB down for each "
            f"agent ({DEMO}, preset fast)"
        )
    shard = runtime.block(agents)
    print(f"placement    units of one processor each; {agents} agents would be shards of {shard}")
    began = time.perf_counter()
    runtime.map(operator.pos, [(number,) for number in range(8)])
    print(f"workers      8 units came back in {time.perf_counter() - began:.1f} s")
