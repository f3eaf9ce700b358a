"""The circumstances of a run: when, with what versions, on what machine, from what source."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hinterland import __version__

PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy")
NUMBERS = {"cpu family": "family", "model": "model", "stepping": "stepping"}
VECTORS = ("sse4_2", "avx", "avx2", "avx512f")
"""Vector instructions, wider ones later."""


def circumstances() -> dict[str, Any]:
    """What nobody has to type and everybody wants to know a year later."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions(),
        "git": git_state(Path(__file__).parent, Path(__file__)),
        "git_here": git_state(Path.cwd()),
    }


def versions() -> dict[str, str]:
    """Of this package and those that decide its results."""
    found = {"hinterland": __version__}
    for name in PACKAGES:
        try:
            # From the installed metadata: asking the packages themselves would start JAX.
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def processor() -> str:
    """The processor's model: XLA compiles for it, and other code may round otherwise.

    Virtual machines often hide the name; what the processor can do tells more of them apart.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n\n")[0].splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    told = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    widest = [flag for flag in VECTORS if flag in told.get("flags", "").split()]
    name = told.get("model name") or platform.machine()
    numbers = [f"{word} {told[key]}" for key, word in NUMBERS.items() if key in told]
    return ", ".join([name, *numbers, *widest[-1:]])


def moved(began: Mapping[str, Any], devices: Sequence[str]) -> str | None:
    """What is no longer as in a run's manifest and can change the last bits of what it computes.

    Args:
        began: the manifest.
        devices: that work now.

    Returns:
        A sentence; None: nothing, as far as the manifest tells.
    """
    kinds = [_kinds(began.get("devices") or []), _kinds(devices)]
    then = {
        "processor": began.get("processor"),
        "devices": kinds[0],
        **(began.get("versions") or {}),
    }
    now = {"processor": processor(), "devices": kinds[1], **versions()}
    changed = [name for name, value in now.items() if then.get(name) not in (None, "", value)]
    if not changed:
        return None
    before, here = (", ".join(f"{name} {one[name]}" for name in changed) for one in (then, now))
    return f"this run began with {before}; here is {here}: from here on the last bits may differ"


def _kinds(devices: Iterable[str]) -> str:
    """Without their numbers: how many there are changes no result."""
    return ", ".join(sorted({str(one).partition(" ")[2] for one in devices}))


def git_state(folder: Path, tracked: Path | None = None) -> dict[str, Any] | None:
    """Commit of a folder and whether files were changed; None outside a checkout.

    Args:
        folder: any folder of the checkout.
        tracked: a file that the checkout must know. A package installed inside somebody's checkout
            (`.venv/`) is not described by the commit around it.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        if tracked is not None:
            git("ls-files", "--error-unmatch", str(tracked))
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None  # no git, no checkout, or no answer in time: nothing to tell
