"""A two-sided engagement of fighters and detectors with radar, jammers and missiles.

After the family of MaCA (Multi-agent Combat Arena): radars of limited range and field of view,
frequencies and jammers, missiles of two ranges, fog of war, passive reception. The rules are ours
(docs/combat.md). `CombatGame` is the game of both sides; the domain plays one of them.
"""

from hinterland.domains.combat.domain import Combat, CombatSimulator, make
from hinterland.domains.combat.game import CombatGame, Rewards
from hinterland.domains.combat.policies import SCRIPTED
from hinterland.domains.combat.state import BLUE, RED, Side, State, swapped

__all__ = [
    "BLUE",
    "RED",
    "SCRIPTED",
    "Combat",
    "CombatGame",
    "CombatSimulator",
    "Rewards",
    "Side",
    "State",
    "make",
    "swapped",
]
