"""Finds domains: those installed under the entry-point group, or MODULE:OBJECT of a user."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
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


def points(group: str = GROUP) -> dict[str, EntryPoint]:
    """Entry points of a group, that of all installed domains by default, by name."""
    return {point.name: point for point in _read(group, tuple(sys.path))}


@cache
def _read(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Of what is installed where Python looks; read once, as it takes a command's time to start."""
    return tuple(entry_points(group=group))


def known_domains() -> list[str]:
    """Names of all installed domains, sorted."""
    return sorted(points())


def load_domain(name: str, agents: int, options: Mapping[str, Any] | None = None) -> "Domain":
    """The domain called `name` with `agents` learning agents.

    Args:
        name: an installed domain's name, or "module:factory", where the factory takes the number
            of agents and returns a `Domain`; modules of the current folder are found too.
        agents: number of learning agents.
        options: of that domain alone; the others are as it declares them.

    Raises:
        UserError: no such domain, module or factory, one of the two raises, or the domain refuses
            this many agents.
    """
    factory = factory_of(name)
    domain = _make(name, factory, agents, options or {})
    if ":" in name and (isinstance(domain, type) or not is_domain(domain)):
        raise UserError(
            f"domain {name!r}: its factory returned {named.kind_of(domain)} and no domain, which "
            "is an object with name, agents, spec, scripted and simulators (docs/own-domain.md)"
        )
    return domain


def factory_of(name: str) -> "Callable[..., Domain]":
    """What makes the domain called `name`; see `load_domain`.

    Raises:
        UserError: no such domain, module or factory.
    """
    found = points()
    if name in found:
        return found[name].load()
    if ":" not in name:
        raise UserError(
            f"domain {name!r} is not known; known: {', '.join(sorted(found))}; "
            "for your own give MODULE:FACTORY (docs/own-domain.md)"
        )
    look_here()
    return named.load(name, f"domain {name!r}")


def is_domain(thing: Any) -> bool:
    """Whether it was meant to be one; what is wrong with it the conformance kit says."""
    return hasattr(thing, "global_simulator") or hasattr(thing, "entity_simulator")


def _make(
    name: str, factory: "Callable[..., Domain]", agents: int, options: Mapping[str, Any]
) -> "Domain":
    from hinterland.core.bounds import flag_of
    from hinterland.domains.checked import checked
    from hinterland.domains.declared import options_of

    declared = options_of(name)
    whole = checked(name, declared, options).model_dump() if declared.model_fields else options
    for option in whole:
        if not _takes(factory, option):
            raise UserError(f"{flag_of(option)} is not an option of domain {name!r}")
    what = f"domain {name!r}: its factory, called with {agents} agents"
    domain = named.call(factory, what, agents, **whole)
    has = getattr(domain, "agents", None)
    if has is not None and not (is_whole(has) and has == agents):
        raise UserError(
            f"{what}, made a domain whose 'agents' is {has!r}; ask for as "
            "many as it has (--agents), or mend the factory"
        )
    _SOURCES[id(domain)] = (domain, (name, agents, tuple(options.items())))
    return domain


def _takes(factory: "Callable[..., Domain]", option: str) -> bool:
    """Whether it can be called with that keyword."""
    known = inspect.signature(factory).parameters
    return option in known or any(x.kind is x.VAR_KEYWORD for x in known.values())


def file_of(name: str) -> str | None:
    """The file of the module in "module:factory" as it would be imported from here.

    None if there is no such module, and for the name of an installed domain.
    """
    module, separator, _ = name.partition(":")
    if not separator:
        return None
    look_here()
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return found.origin if found is not None and found.has_location else None


def look_here() -> None:
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
