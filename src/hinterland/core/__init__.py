"""The vocabulary of Hinterland; imports nothing else of ours.

Names are loaded when first used: `UserError` and the configuration must not cost a start of JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.core.errors import UserError
    from hinterland.core.keys import stream
    from hinterland.core.protocols import (
        Domain,
        EntityDomain,
        EntityPolicy,
        EntitySimulator,
        GlobalSimulator,
        HostEntityDomain,
        HostEntitySimulator,
        HostSession,
        HostSimulator,
        LocalSimulator,
        Policy,
        ScriptedPolicy,
        is_entity_domain,
        is_game,
        is_host,
        regions_of,
    )
    from hinterland.core.spec import AgentSpec
    from hinterland.core.types import (
        Chosen,
        EntityStep,
        GlobalStep,
        InfluenceBatch,
        Segment,
        Step,
        View,
    )

__all__ = [
    "AgentSpec",
    "Chosen",
    "Domain",
    "EntityDomain",
    "EntityPolicy",
    "EntitySimulator",
    "EntityStep",
    "GlobalSimulator",
    "GlobalStep",
    "HostEntityDomain",
    "HostEntitySimulator",
    "HostSession",
    "HostSimulator",
    "InfluenceBatch",
    "LocalSimulator",
    "Policy",
    "ScriptedPolicy",
    "Segment",
    "Step",
    "UserError",
    "View",
    "is_entity_domain",
    "is_game",
    "is_host",
    "regions_of",
    "stream",
]

_HOMES = {
    "errors": ("UserError",),
    "keys": ("stream",),
    "protocols": (
        "Domain",
        "EntityDomain",
        "EntityPolicy",
        "EntitySimulator",
        "GlobalSimulator",
        "HostEntityDomain",
        "HostEntitySimulator",
        "HostSession",
        "HostSimulator",
        "LocalSimulator",
        "Policy",
        "ScriptedPolicy",
        "is_entity_domain",
        "is_game",
        "is_host",
        "regions_of",
    ),
    "spec": ("AgentSpec",),
    "types": (
        "Chosen",
        "EntityStep",
        "GlobalStep",
        "InfluenceBatch",
        "Segment",
        "Step",
        "View",
    ),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"hinterland.core.{module}"), name)
    raise AttributeError(f"module 'hinterland.core' has no attribute {name!r}")
