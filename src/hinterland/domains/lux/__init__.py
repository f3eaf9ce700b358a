"""Lux AI Season 2: the real engine, both players' entities as slots with masks.

Names are loaded when first used: a session's own process needs `session` and no more.
"""

from typing import TYPE_CHECKING

from hinterland.core.lazy import names_of

if TYPE_CHECKING:
    from hinterland.domains.lux.domain import LuxDomain, make
    from hinterland.domains.lux.games import LuxSessions, play, replay, seconds, table
    from hinterland.domains.lux.options import Options
    from hinterland.domains.lux.rules import Payment, Rules

__getattr__ = names_of(__name__)
