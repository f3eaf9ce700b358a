"""Pure functions on arrays that turn experience into better policies."""

from hinterland.learn.gae import gae
from hinterland.learn.ppo import Learner, PPOSettings, make_optimiser, ppo_update
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
from hinterland.learn.separation_cells import Cells, as_cells, as_groups, cell_weights
from hinterland.learn.separation_loss import measures, separated_loss, separated_update
from hinterland.learn.team import Credit, credited, prepared, team_loss, team_update
from hinterland.learn.vtrace import Corrected, vtrace

__all__ = [
    "KEEP_RULES",
    "PARTS",
    "Cells",
    "Corrected",
    "Credit",
    "Groups",
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
    "credited",
    "gae",
    "into_groups",
    "kept_cells",
    "make_optimiser",
    "measures",
    "mix_rewards",
    "ppo_update",
    "prepared",
    "separated_loss",
    "separated_update",
    "single",
    "team_loss",
    "team_update",
    "vtrace",
]
