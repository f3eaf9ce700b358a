"""Lux AI Season 2: the real engine, both players' entities as slots with masks.

Names are loaded when first used: a session's own process needs `session` and no more.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.domains.lux.domain import LuxDomain, make
    from hinterland.domains.lux.games import LuxSessions, play, replay, seconds, table
    from hinterland.domains.lux.options import Options
    from hinterland.domains.lux.rules import Payment, Rules

__all__ = [
    "LuxDomain",
    "LuxSessions",
    "Options",
    "Payment",
    "Rules",
    "make",
    "play",
    "replay",
    "seconds",
    "table",
]
_HOMES = {"Payment": "rules", "Rules": "rules", "LuxDomain": "domain", "make": "domain",
          "Options": "options"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = importlib.import_module(f"hinterland.domains.lux.{_HOMES.get(name, 'games')}")
        return getattr(home, name)
    raise AttributeError(f"module 'hinterland.domains.lux' has no attribute {name!r}")
