"""The circumstances of a run: when, with what versions, on what machine, from what source."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hinterland import __version__

PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy")


def circumstances() -> dict[str, Any]:
    """What nobody has to type and everybody wants to know a year later."""
    versions = {"hinterland": __version__}
    for name in PACKAGES:
        try:
            # From the installed metadata: asking the packages themselves would start JAX.
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "unknown"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
        "git": git_state(Path(__file__).parent, Path(__file__)),
        "git_here": git_state(Path.cwd()),
    }


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
