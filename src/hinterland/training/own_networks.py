"""Networks of one's own by name: MODULE:FUNCTION, or a function that a script gave."""

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from hinterland.config import Config
from hinterland.core import UserError
from hinterland.domains import named
from hinterland.domains.registry import look_here

_GIVEN: dict[str, Callable[..., Any]] = {}
"""Functions of a script, which no name finds again."""


@dataclass(frozen=True)
class Maker:
    """The function of that name, in whatever process; called as itself.

    Args:
        name: as in the configuration.
        function: of a script; None: `name` finds it.
    """

    name: str
    function: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """What it returns."""
        return self.__wrapped__(*arguments)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function itself.

        Raises:
            UserError: its module cannot be imported, or has none of that name.
        """
        if self.function is not None:
            return self.function
        look_here()
        return named.load(self.name, f"network {self.name!r}")


def is_own(config: Config) -> bool:
    """Whether the network is a user's."""
    return ":" in config.network


def is_given(config: Config) -> bool:
    """Whether it is a function of a script, which other processes cannot import."""
    return config.network in _GIVEN


def give(function: Any, name: str | None = None) -> str:
    """The name by which `maker_of` finds a function from now on.

    Args:
        function: of a script or a module.
        name: that a run has for it; None: where it can be imported, or its own.

    Raises:
        UserError: it is no function.
    """
    if not (callable(function) and isinstance(function, Hashable)):
        raise UserError(
            f"network is {named.kind_of(function)}: give gru, feed-forward, MODULE:FUNCTION, or a "
            "function (docs/python.md)"
        )
    module, own = getattr(function, "__module__", "script"), getattr(function, "__name__", "")
    text = f"{module}:{own if own.isidentifier() else 'network'}"
    home = sys.modules.get(module) if module != "__main__" else None
    if name in (None, text) and getattr(home, own, None) is function:
        _GIVEN.pop(text, None)
    else:
        _GIVEN[name or text] = function
    return name or text


def maker_of(config: Config, domain: Any) -> Callable[..., Any] | None:
    """What makes networks in place of ours: the configuration's, or else the domain's function."""
    if is_own(config):
        return Maker(config.network, _GIVEN.get(config.network))
    return getattr(domain, "own_network", None)
