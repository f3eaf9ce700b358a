"""Finds domains: those installed under the entry-point group, or MODULE:OBJECT of a user."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hinterland.core import UserError
from hinterland.core.blame import blaming
from hinterland.core.spec import is_whole

if TYPE_CHECKING:
    from hinterland.core import Domain  # it would start JAX, also in a host simulator's process

GROUP = "hinterland.domains"

Source = tuple[str, int, tuple[tuple[str, Any], ...]]
_SOURCES: dict[int, tuple[Any, Source]] = {}
"""By the identity of a domain; the domain is kept, or another could take its place in memory."""


def known_domains() -> list[str]:
    """Names of all installed domains, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_domain(name: str, agents: int, options: Mapping[str, Any] | None = None) -> "Domain":
    """The domain called `name` with `agents` learning agents.

    Args:
        name: an installed domain's name, or "module:factory", where the factory takes the number
            of agents and returns a `Domain`; modules of the current folder are found too.
        agents: number of learning agents.
        options: of that domain alone, such as traffic's grid.

    Raises:
        UserError: no such domain, module or factory, one of the two raises, or the domain refuses
            this many agents.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    options = options or {}
    if name in points:
        return _make(name, points[name].load(), agents, options)
    module_name, separator, attribute = name.partition(":")
    if not separator:
        raise UserError(
            f"domain {name!r} is not known; known: {', '.join(sorted(points))}; "
            "for your own give MODULE:FACTORY (docs/own-domain.md)"
        )
    _look_here()
    try:
        with blaming(f"domain {name!r}: importing module {module_name!r}"):
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise UserError(
            f"domain {name!r}: cannot import module {module_name!r}: {error}"
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise UserError(f"domain {name!r}: module {module_name!r} has no function {attribute!r}")
    return _make(name, factory, agents, options)


def _make(
    name: str, factory: "Callable[..., Domain]", agents: int, options: Mapping[str, Any]
) -> "Domain":
    for option in options:
        if option not in inspect.signature(factory).parameters:
            flag = option.replace("_", "-")
            raise UserError(f"--{flag} is not an option of domain {name!r}")
    with blaming(f"domain {name!r}: its factory, called with {agents} agents"):
        domain = factory(agents, **options)
    has = getattr(domain, "agents", None)
    if has is not None and not (is_whole(has) and has == agents):
        raise UserError(
            f"domain {name!r}: its factory, called with {agents} agents, made a domain whose "
            f"'agents' is {has!r}; ask for as many as it has (--agents), or mend the factory"
        )
    _SOURCES[id(domain)] = (domain, (name, agents, tuple(options.items())))
    return domain


def file_of(name: str) -> str | None:
    """The file of the module in "module:factory" as it would be imported from here.

    None if there is no such module, and for the name of an installed domain.
    """
    module, separator, _ = name.partition(":")
    if not separator:
        return None
    _look_here()
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return found.origin if found is not None and found.has_location else None


def _look_here() -> None:
    """Modules of the current folder are found too."""
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)


def source_of(thing: Any) -> Source | None:
    """(name, agents, options) of a domain that `load_domain` made; None for anything else."""
    found = _SOURCES.get(id(thing))
    return found[1] if found is not None else None
