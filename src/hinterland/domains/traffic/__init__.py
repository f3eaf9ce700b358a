"""The paper's traffic: every light of a grid is an agent, SUMO is the global simulator.

Names are loaded when first used: SUMO's own process needs `simulation` and no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.domains.traffic.domain import Traffic, make
    from hinterland.domains.traffic.options import Options

__all__ = ["Options", "Traffic", "make"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "options" if name == "Options" else "domain"
        return getattr(importlib.import_module(f"hinterland.domains.traffic.{home}"), name)
    raise AttributeError(f"module 'hinterland.domains.traffic' has no attribute {name!r}")
