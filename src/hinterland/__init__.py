"""Train very many learning agents in one large coupled system.

Data flow: global simulator → (d-set, influence) datasets → influence predictors → local simulators
→ trajectories → credit → PPO → policies → evaluation on the global simulator.

Names are loaded when first used: neither JAX nor anything else is imported by `import hinterland`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.api.checking import check
    from hinterland.api.evaluation import evaluate
    from hinterland.api.policies import Policies, load
    from hinterland.api.records import Logger
    from hinterland.api.runs import Run, train
    from hinterland.config import Config
    from hinterland.core import (
        AgentSpec,
        Domain,
        EntityDomain,
        EntitySimulator,
        EntityStep,
        GlobalSimulator,
        GlobalStep,
        HostSimulator,
        Kind,
        LocalSimulator,
        Step,
        UserError,
        largest,
    )
    from hinterland.domains import load_domain
    from hinterland.domains.pool import Processes

__version__ = "0.1.0"

__all__ = [
    "AgentSpec",
    "Config",
    "Domain",
    "EntityDomain",
    "EntitySimulator",
    "EntityStep",
    "GlobalSimulator",
    "GlobalStep",
    "HostSimulator",
    "Kind",
    "LocalSimulator",
    "Logger",
    "Policies",
    "Processes",
    "Run",
    "Step",
    "UserError",
    "check",
    "evaluate",
    "largest",
    "load",
    "load_domain",
    "train",
]

_HOMES = {
    "api.checking": ("check",),
    "api.evaluation": ("evaluate",),
    "api.policies": ("Policies", "load"),
    "api.records": ("Logger",),
    "api.runs": ("Run", "train"),
    "config": ("Config",),
    "domains": ("load_domain",),
    "domains.pool": ("Processes",),
}
"""Where a name comes from; all others come from `core`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hinterland' has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "core")
    return getattr(importlib.import_module(f"hinterland.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
