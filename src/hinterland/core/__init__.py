"""The vocabulary of Hinterland; imports nothing else of ours.

Names are loaded when first used: `UserError` and the configuration must not cost a start of JAX.
"""

from typing import TYPE_CHECKING

from hinterland.core.lazy import names_of

if TYPE_CHECKING:
    from hinterland.core.errors import UserError
    from hinterland.core.keys import stream
    from hinterland.core.kinds import (
        Kind,
        by_kind,
        for_each_kind,
        has_kinds,
        kinds_of,
        largest,
        observations_of,
        places_of,
        possible_actions,
        regions_of,
    )
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
        global_simulator_of,
        is_entity_domain,
        is_game,
        is_host,
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
    "Kind",
    "LocalSimulator",
    "Policy",
    "ScriptedPolicy",
    "Segment",
    "Step",
    "UserError",
    "View",
    "by_kind",
    "for_each_kind",
    "global_simulator_of",
    "has_kinds",
    "is_entity_domain",
    "is_game",
    "is_host",
    "kinds_of",
    "largest",
    "observations_of",
    "places_of",
    "possible_actions",
    "regions_of",
    "stream",
]

_HOMES = {
    "errors": ("UserError",),
    "keys": ("stream",),
    "kinds": (
        "Kind",
        "by_kind",
        "for_each_kind",
        "has_kinds",
        "kinds_of",
        "largest",
        "observations_of",
        "places_of",
        "possible_actions",
        "regions_of",
    ),
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
        "global_simulator_of",
        "is_entity_domain",
        "is_game",
        "is_host",
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

__getattr__ = names_of(
    __name__, {name: module for module, names in _HOMES.items() for name in names}
)
