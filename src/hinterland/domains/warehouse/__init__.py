"""The warehouse commissioning domain of DIALS (Suau et al., NeurIPS 2022, section 5.2).

n x n learning robots stand inside a ring of scripted robots; each collects items from the twelve
shelf cells of its 5 x 5 region, every one of which it shares with one neighbour.

Names are loaded when first used: the options must not cost a start of JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.domains.warehouse.domain import Warehouse, make
    from hinterland.domains.warehouse.options import Options

__all__ = [
    "Options",
    "Warehouse",
    "make",
]
_HOMES = {
    "Options": "options",
    "Warehouse": "domain",
    "make": "domain",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        home = importlib.import_module(f"hinterland.domains.warehouse.{_HOMES[name]}")
        return getattr(home, name)
    raise AttributeError(f"module 'hinterland.domains.warehouse' has no attribute {name!r}")
