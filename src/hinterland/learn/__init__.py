"""Pure functions on arrays that turn experience into better policies."""

from hinterland.learn.cells import Cells, Credit, as_cells, as_groups, cell_weights, windows_of
from hinterland.learn.gae import gae
from hinterland.learn.ppo import (
    How,
    Learner,
    PPOSettings,
    first_learner,
    make_optimiser,
    measures,
    update,
)
from hinterland.learn.separation import (
    KEEP_RULES,
    PARTS,
    Groups,
    Separation,
    advantages,
    apart_by_kind,
    by_entity,
    by_nearest,
    by_remainder,
    into_groups,
    kept_cells,
    mix_rewards,
    single,
)
from hinterland.learn.vtrace import Corrected, vtrace

__all__ = [
    "KEEP_RULES",
    "PARTS",
    "Cells",
    "Corrected",
    "Credit",
    "Groups",
    "How",
    "Learner",
    "PPOSettings",
    "Separation",
    "advantages",
    "apart_by_kind",
    "as_cells",
    "as_groups",
    "by_entity",
    "by_nearest",
    "by_remainder",
    "cell_weights",
    "first_learner",
    "gae",
    "into_groups",
    "kept_cells",
    "make_optimiser",
    "measures",
    "mix_rewards",
    "single",
    "update",
    "vtrace",
    "windows_of",
]
