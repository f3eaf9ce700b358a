"""Finds domains: those installed under the entry-point group, or MODULE:OBJECT of a user."""

import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from hinterland.core import UserError

if TYPE_CHECKING:
    from hinterland.core import Domain  # it would start JAX, also in a host simulator's process

GROUP = "hinterland.domains"


def known_domains() -> list[str]:
    """Names of all installed domains, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_domain(name: str, agents: int) -> "Domain":
    """The domain called `name` with `agents` learning agents.

    Args:
        name: an installed domain's name, or "module:factory", where the factory takes the number
            of agents and returns a `Domain`; modules of the current folder are found too.
        agents: number of learning agents.

    Raises:
        UserError: no such domain, module or factory, or the domain refuses this many agents.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name in points:
        return points[name].load()(agents)
    module_name, separator, attribute = name.partition(":")
    if not separator:
        raise UserError(
            f"domain {name!r} is not known; known: {', '.join(sorted(points))}; "
            "for your own give MODULE:FACTORY (docs/own-domain.md)"
        )
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UserError(
            f"domain {name!r}: cannot import module {module_name!r}: {error}"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise UserError(f"domain {name!r}: module {module_name!r} has no function {attribute!r}")
    return factory(agents)
