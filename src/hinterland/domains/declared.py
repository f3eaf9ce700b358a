"""Finds what domains declare: options, presets and benchmarks; JAX starts only if it must."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

from hinterland.core.errors import UserError
from hinterland.core.options import DomainOptions
from hinterland.domains import named, registry

GROUP = "hinterland.options"


class _Undeclared(DomainOptions):
    """Of a domain that declares nothing."""


def options_of(name: str) -> type[DomainOptions]:
    """What the domain called `name` declares; an empty class if that is nothing.

    Args:
        name: of an installed domain, or "module:factory", whose module is imported.

    Raises:
        UserError: no such domain, or what it declares has another form.
    """
    points = registry.points(GROUP)
    if name in points:
        found = _loaded(points[name], f"domain {name!r}: its options")
    else:
        factory = registry.factory_of(name)
        module = sys.modules.get(_module_of(name, factory))
        found = getattr(factory, "Options", getattr(module, "Options", _Undeclared))
    if not (isinstance(found, type) and issubclass(found, DomainOptions)):
        raise UserError(
            f"domain {name!r}: its 'Options' is {named.kind_of(found)} and no subclass of "
            "hinterland.core.options.DomainOptions (docs/own-domain.md)"
        )
    return found


def _module_of(name: str, factory: Any) -> str:
    """Of the factory, as it was named."""
    if ":" in name:
        return name.partition(":")[0]
    return registry.points()[name].module


def _loaded(point: EntryPoint, what: str) -> Any:
    """What an entry point names.

    Raises:
        UserError: it cannot be loaded.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UserError(f"{what} ({point.value}) cannot be loaded: {error}") from error


def installed() -> Iterator[tuple[str, type[DomainOptions]]]:
    """(name, options) of every installed domain, by name."""
    for name in registry.known_domains():
        yield name, options_of(name)


def light() -> Iterator[tuple[str, type[DomainOptions]]]:
    """The same of those that can be asked without a start of JAX; broken ones are left out."""
    for name in sorted(registry.points(GROUP)):
        try:
            yield name, options_of(name)
        except UserError:  # said where somebody asks for that domain
            continue


def installed_options(name: str) -> type[DomainOptions]:
    """What a domain declares if it can be asked without a start of JAX, else an empty class.

    For readers of old runs, whose domains need not be here any more.
    """
    return dict(light()).get(name, _Undeclared)


def owners_of(option: str) -> list[str]:
    """The domains, of those that can be asked quickly, which have this option."""
    return [name for name, options in light() if option in options.model_fields]
