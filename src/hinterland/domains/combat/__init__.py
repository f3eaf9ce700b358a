"""A two-sided engagement of fighters and detectors with radar, jammers and missiles.

After the family of MaCA (Multi-agent Combat Arena): radars of limited range and field of view,
frequencies and jammers, missiles of two ranges, fog of war, passive reception. The rules are ours
(docs/combat.md). `CombatGame` is the game of both sides; the domain plays one of them.

Names are loaded when first used: the options must not cost a start of JAX.
"""

from typing import TYPE_CHECKING

from hinterland.core.lazy import names_of

if TYPE_CHECKING:
    from hinterland.domains.combat.domain import Combat, CombatSimulator, make
    from hinterland.domains.combat.game import CombatGame, Rewards
    from hinterland.domains.combat.options import Options
    from hinterland.domains.combat.policies import SCRIPTED
    from hinterland.domains.combat.state import BLUE, RED, Side, State, swapped

__getattr__ = names_of(__name__)
