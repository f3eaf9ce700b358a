"""Pure functions on arrays that turn experience into better policies."""

from hinterland.learn.cells import Cells, Credit, as_cells, as_groups, cell_weights, windows_of
from hinterland.learn.ppo import How, Learner, PPOSettings, first_learner, measures, update
from hinterland.learn.separation import (
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
from hinterland.learn.targets import gae, vtrace
