"""`hinterland doctor`: what works on this machine."""

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Sequence

from hinterland.cli.arguments import Parser

PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "safetensors", "matplotlib")

EXTRAS = {
    "libsumo": "sumo",
    "eclipse-sumo": "sumo",
    "luxai-s2": "lux",
    "pettingzoo": "pettingzoo",
    "jaxmarl": "jaxmarl",
}


def run(arguments: Sequence[str]) -> int:
    """Prints one line per finding; returns the exit status."""
    Parser(
        prog="hinterland doctor", description="Devices, versions, domains: what works here."
    ).parse_args(arguments)
    import psutil

    from hinterland import __version__
    from hinterland.cli.setup import make_runtime
    from hinterland.domains import known_domains

    cores = len(os.sched_getaffinity(0))
    print(f"hinterland   {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in PACKAGES:
        print(f"{name:<13}{importlib.metadata.version(name)}")
    for name, extra in EXTRAS.items():
        try:
            print(f"{name:<13}{importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:<13}not installed: pip install 'hinterland[{extra}]'")
    print(f"memory       {psutil.virtual_memory().available / 1e9:.1f} GB available")
    print(f"cores        {cores}")
    runtime = make_runtime(None)
    for line in runtime.describe():
        print(f"device       {line}")
    if runtime.devices[0].platform == "cpu" and importlib.util.find_spec("jax_cuda13_plugin"):
        print("warning      the CUDA plugin is installed, but JAX sees no GPU", file=sys.stderr)
    print(f"domains      {', '.join(known_domains())}")
    return 0
