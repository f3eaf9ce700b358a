"""Finds domains: those installed under the entry-point group, or MODULE:OBJECT of a user."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hinterland.core import UserError
from hinterland.core.spec import is_whole
from hinterland.domains import named

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
    if ":" not in name:
        raise UserError(
            f"domain {name!r} is not known; known: {', '.join(sorted(points))}; "
            "for your own give MODULE:FACTORY (docs/own-domain.md)"
        )
    _look_here()
    factory = named.load(name, f"domain {name!r}")
    domain = _make(name, factory, agents, options)
    if isinstance(domain, type) or not is_domain(domain):
        raise UserError(
            f"domain {name!r}: its factory returned {named.kind_of(domain)} and no domain, which "
            "is an object with name, agents, spec, scripted and simulators (docs/own-domain.md)"
        )
    return domain


def is_domain(thing: Any) -> bool:
    """Whether it was meant to be one; what is wrong with it the conformance kit says."""
    return hasattr(thing, "global_simulator") or hasattr(thing, "entity_simulator")


def _make(
    name: str, factory: "Callable[..., Domain]", agents: int, options: Mapping[str, Any]
) -> "Domain":
    for option in options:
        if option not in inspect.signature(factory).parameters:
            flag = option.replace("_", "-")
            raise UserError(f"--{flag} is not an option of domain {name!r}")
    what = f"domain {name!r}: its factory, called with {agents} agents"
    domain = named.call(factory, what, agents, **options)
    has = getattr(domain, "agents", None)
    if has is not None and not (is_whole(has) and has == agents):
        raise UserError(
            f"{what}, made a domain whose 'agents' is {has!r}; ask for as "
            "many as it has (--agents), or mend the factory"
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
    """Modules of the current folder are found too.

    Raises:
        UserError: it was deleted.
    """
    try:
        folder = str(Path.cwd())
    except OSError as error:
        raise UserError("the current folder is gone; change to another") from error
    if folder not in sys.path:
        sys.path.insert(0, folder)


def source_of(thing: Any) -> Source | None:
    """(name, agents, options) of a domain that `load_domain` made; None for anything else."""
    found = _SOURCES.get(id(thing))
    return found[1] if found is not None else None
