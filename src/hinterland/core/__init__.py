"""The vocabulary of Hinterland; imports nothing else of ours.

Names are loaded when first used: `UserError` and the configuration must not cost a start of JAX.
"""

from typing import TYPE_CHECKING

from hinterland.core.lazy import names_of

if TYPE_CHECKING:
    from hinterland.core.errors import UserError as UserError
    from hinterland.core.keys import stream as stream
    from hinterland.core.kinds import (
        Kind as Kind,
        by_kind as by_kind,
        for_each_kind as for_each_kind,
        has_kinds as has_kinds,
        kinds_of as kinds_of,
        largest as largest,
        numbers_of as numbers_of,
        observations_of as observations_of,
        places_of as places_of,
        possible_actions as possible_actions,
        simulators_of as simulators_of,
    )
    from hinterland.core.protocols import (
        Domain as Domain,
        EntityDomain as EntityDomain,
        EntityPolicy as EntityPolicy,
        EntitySimulator as EntitySimulator,
        GlobalSimulator as GlobalSimulator,
        HostEntityDomain as HostEntityDomain,
        HostEntitySimulator as HostEntitySimulator,
        HostLocalSimulator as HostLocalSimulator,
        HostSession as HostSession,
        HostSimulator as HostSimulator,
        LocalSimulator as LocalSimulator,
        Policy as Policy,
        ScriptedPolicy as ScriptedPolicy,
        global_simulator_of as global_simulator_of,
        is_entity_domain as is_entity_domain,
        is_game as is_game,
        is_host as is_host,
    )
    from hinterland.core.spec import AgentSpec as AgentSpec
    from hinterland.core.types import (
        Chosen as Chosen,
        EntityStep as EntityStep,
        GlobalStep as GlobalStep,
        InfluenceBatch as InfluenceBatch,
        Segment as Segment,
        Step as Step,
        View as View,
    )

__getattr__ = names_of(__name__)
