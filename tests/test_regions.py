"""Regions of several agents: blocks of warehouse robots, and a corridor's stations in pairs."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array

from environments import pairs, wells
from environments.pairs import AtRandom, Belt, Pair, Pairs, Session
from hinterland.config import make_config
from hinterland.core import UserError, kinds_of, stream
from hinterland.domains import load_domain
from hinterland.domains.corridor import Corridor
from hinterland.domains.warehouse import Warehouse, make
from hinterland.domains.warehouse.cutting import Block
from hinterland.domains.warehouse.local_block import LocalBlock
from hinterland.domains.warehouse.state import DOWN, EMPTY, LEFT, RIGHT, UP, WarehouseState
from hinterland.nets import PredictorNetwork
from hinterland.rollout import HostRegions
from hinterland.runtime import LocalRuntime
from hinterland.testing import check_domain
from hinterland.testing.host_locals import check_host_locals
from hinterland.training import Experiment, Lines, trained

BLOCKS = [
    # (agents, ring, region, agents of each region)
    (4, True, "2x2", [[0, 1, 2, 3]]),
    (4, True, "1x2", [[0, 1], [2, 3]]),
    (4, False, "2x1", [[0, 2], [1, 3]]),
    (16, True, "2x2", [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]),
    (16, False, "1x2", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15]]),
    (16, True, "2x4", [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]]),
    (16, False, "4x4", [list(range(16))]),
]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (Corridor(3), [[0], [1], [2]]),
        (make(4), [[0], [1], [2], [3]]),
        (make(4, "1x1"), [[0], [1], [2], [3]]),
        (Pairs(4), [[3, 2], [1, 0]]),
        *((Warehouse(n, ring, region), table) for n, ring, region, table in BLOCKS),
    ],
)
def test_the_agents_of_each_region(domain: Any, expected: list[list[int]]) -> None:
    np.testing.assert_array_equal(kinds_of(domain)[0].regions, expected)


def test_one_robot_a_region_is_the_default() -> None:
    """Same simulators, sizes and episodes, to the last bit."""
    unsaid, said = make(4), make(4, "1x1")
    assert type(unsaid.local_simulator) is type(said.local_simulator)
    assert unsaid.spec == said.spec
    key = stream(0, "one robot")
    for domain in (unsaid, said):
        whole = domain.global_simulator
        moved = whole.step(whole.reset(key), jnp.arange(4), whole.noise(key))
        assert moved.influence.shape == (4, 4)
        assert whole.regions(moved.state).age.shape == (4, 12)


@cache
def _warehouse(agents: int, ring: bool, region: str | None) -> Warehouse:
    """The same object for the same system: its programs are compiled once for all examples."""
    return Warehouse(agents, ring, region)


@partial(jax.jit, static_argnums=(0, 1))
def _advance(domain: Any, policy: str, key: Any, memory: Any, state: Any) -> Any:
    """(state after, memory, pairs of what must be equal, influence) of one global step."""
    whole, local, table = domain.global_simulator, domain.local_simulator, domain.regions
    acting, moving = jax.random.split(key)
    before, noise = whole.regions(state), whole.noise(moving)
    keys = jax.random.split(acting, len(table))
    actions, memory = jax.vmap(domain.scripted[policy])(keys, memory, before)
    by_agent = jnp.zeros(domain.agents, jnp.int32)
    for region, agents in enumerate(table):
        by_agent = by_agent.at[agents].set(actions[region])
    moved = whole.step(state, by_agent, noise)
    alone = jax.vmap(local.step)(before, actions, moved.influence, whole.region_noise(noise))
    pairs = (
        (alone.state, whole.regions(moved.state)),
        (alone.reward, jnp.stack([moved.reward[agents] for agents in table])),
    )
    return moved.state, memory, pairs, moved.influence


def _memory(domain: Any, policy: str) -> Any:
    regions = len(domain.regions)
    first = domain.scripted[policy].initial
    return jax.tree.map(lambda x: np.broadcast_to(x, (regions, *np.shape(x))), first)


def _follow(domain: Any, seed: int, policy: str, steps: int) -> Any:
    """Plays an episode; regions must move as the local simulators do. Returns all influence."""
    state, memory = domain.global_simulator.reset(stream(seed, "reset")), _memory(domain, policy)
    seen = []
    for t in range(steps):
        key = stream(seed, "step", t)
        state, memory, pairs, influence = _advance(domain, policy, key, memory, state)
        for mine, theirs in pairs:
            for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
                np.testing.assert_array_equal(a, b)
        seen.append(influence)
    return np.stack(seen)


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.sampled_from([case[:3] for case in BLOCKS]),
    st.sampled_from(["random", "oldest", "nearest"]),
)
def test_local_blocks_equal_their_regions(
    seed: int, system: tuple[int, bool, str], policy: str
) -> None:
    """The factorisation test, exactly, as a property over seeds, sizes and policies."""
    domain = _warehouse(*system)
    influence = _follow(domain, seed, policy, 25)
    sources = sum(2 * int(size) for size in system[2].split("x"))
    assert influence.shape[1:] == (len(domain.regions), sources)


@settings(max_examples=5)
@given(st.integers(0, 10_000), st.sampled_from(["random", "heuristic"]))
def test_local_pairs_equal_their_regions(seed: int, policy: str) -> None:
    assert set(np.unique(_follow(PAIRS, seed, policy, 20))) == {0, 1}


PAIRS = Pairs(6)

# Robots (row, column) of 4 x 4 without a ring, in 2 x 2 blocks; the sources of a block are two
# robots at the right, two below, two at the left, two above.
# (robot, its action, what it touches as (block, source))
TOUCHES = [
    ((0, 2), LEFT, [(0, 0)]),
    ((1, 2), LEFT, [(0, 1)]),
    ((2, 0), UP, [(0, 2)]),
    ((2, 1), UP, [(0, 3)]),
    ((2, 1), RIGHT, [(3, 4)]),
    ((3, 1), RIGHT, [(3, 5)]),
    ((1, 2), DOWN, [(3, 6)]),
    ((1, 3), DOWN, [(3, 7)]),
    # The border is shared: block 0's own robot is a source of the block beside it.
    ((1, 1), RIGHT, [(1, 5)]),
    ((1, 1), DOWN, [(2, 7)]),
    # Shelves inside of a block, and at the outer wall.
    ((0, 0), RIGHT, []),
    ((0, 0), DOWN, []),
    ((0, 0), UP, []),
    ((3, 3), RIGHT, []),
]
STEPS = {UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1)}


def _one_at_a_shelf(robot: tuple[int, int], action: int, cell: int) -> tuple[Any, np.ndarray]:
    """(state, actions): that robot is a step from a shelf's cell, all shelves are full.

    All others stand at their centres, from where no action leads onto a shelf.
    """
    row, column = np.full((2, 4, 4), 2, np.int32)
    down, right = STEPS[action]
    row[robot] = 2 + down if down else 1 + cell
    column[robot] = 2 + right if right else 1 + cell
    full = np.arange(60, dtype=np.int32)
    state = WarehouseState(full.reshape(5, 4, 3) + 1, full.reshape(4, 5, 3) + 1, row, column)
    actions = np.zeros((4, 4), np.int32)
    actions[robot] = action
    return jax.tree.map(jnp.asarray, state), actions.ravel()


@pytest.mark.parametrize(("robot", "action", "touched"), TOUCHES)
def test_influence_along_the_border(
    robot: tuple[int, int], action: int, touched: list[tuple[int, int]]
) -> None:
    domain = _warehouse(16, False, "2x2")
    whole = domain.global_simulator
    nothing = jax.tree.map(jnp.ones_like, whole.noise(jax.random.key(0)))
    step = jax.jit(whole.step)
    for cell in range(3):
        state, actions = _one_at_a_shelf(robot, action, cell)
        moved = step(state, actions, nothing)
        expected = np.full((4, 8), 3)
        for place in touched:
            expected[place] = cell
        np.testing.assert_array_equal(moved.influence, expected)
        paid = np.zeros((4, 4), bool)
        paid[robot] = True
        np.testing.assert_array_equal(moved.reward > 0, paid.ravel())


# (source, the cells that class 0, 1, 2 empties: "horizontal" or "vertical", line and place)
REACHED = [
    (0, "vertical", (0, 2)),
    (1, "vertical", (1, 2)),
    (2, "horizontal", (2, 0)),
    (3, "horizontal", (2, 1)),
    (4, "vertical", (0, 0)),
    (5, "vertical", (1, 0)),
    (6, "horizontal", (0, 0)),
    (7, "horizontal", (0, 1)),
]


@pytest.mark.parametrize(("source", "lines", "shelf"), REACHED)
def test_a_source_empties_its_cell_and_no_other(
    source: int, lines: str, shelf: tuple[int, int]
) -> None:
    local = _warehouse(16, False, "2x2").local_simulator
    step, centre = jax.jit(local.step), jnp.full((2, 2), 2, jnp.int32)
    state = WarehouseState(
        jnp.full((3, 2, 3), 4, jnp.int32), jnp.full((2, 3, 3), 4, jnp.int32), centre, centre
    )
    nothing_new = jax.tree.map(jnp.ones_like, local.noise(jax.random.key(0)))
    for cell in range(4):
        influence = jnp.full(8, 3).at[source].set(cell)
        moved = step(state, jnp.zeros(4, jnp.int32), influence, nothing_new)
        expected = {"horizontal": np.full((3, 2, 3), 5), "vertical": np.full((2, 3, 3), 5)}
        if cell < 3:
            expected[lines][(*shelf, cell)] = EMPTY
        np.testing.assert_array_equal(moved.state.horizontal, expected["horizontal"])
        np.testing.assert_array_equal(moved.state.vertical, expected["vertical"])
        np.testing.assert_array_equal(moved.reward, np.zeros(4))


def test_a_wrong_influence_breaks_the_equality() -> None:
    """The factorisation test can fail: robots outside that never come leave items behind."""
    domain = _warehouse(16, True, "2x2")
    influence = _follow(domain, 0, "oldest", 30)
    assert (influence != 3).any((0, 1)).all(), "every source is met"

    class Deaf(LocalBlock):
        def step(self, state, actions, influence, noise):
            return super().step(state, actions, jnp.full_like(influence, 3), noise)

    broken = Warehouse(4, True, "1x2")
    broken.local_simulator = Deaf(Block(1, 2))
    with pytest.raises(UserError, match=r"factorisation: state\..* of region \d \(agents \d+, \d"):
        check_domain(broken, episodes=1)


def test_a_dset_by_hand() -> None:
    """A block of 1 x 2: right, below twice, left, above twice; items, new items, own robots."""
    local = _warehouse(4, True, "1x2").local_simulator
    horizontal, vertical = np.full((2, 2, 3), EMPTY), np.full((1, 3, 3), EMPTY)
    vertical[0, 2] = [EMPTY, 7, 0]
    horizontal[1, 1, 0] = 0
    vertical[0, 1] = 3  # inside
    row, column = np.array([[0, 2]]), np.array([[3, 0]])  # above, and inside
    state = WarehouseState(*map(jnp.asarray, (horizontal, vertical, row, column)))
    expected = [
        [0, 1, 1, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(local.dset(state).reshape(6, 9), expected)
    assert local.dset(state).shape == (_warehouse(4, True, "1x2").spec.dset,)


@partial(jax.jit, static_argnums=0)
def _played(domain: Warehouse, actions: Array) -> Any:
    """(d-sets before each step, influence, ages of the border's cells) of block 0."""
    whole, local = domain.global_simulator, domain.local_simulator

    def step(state: Any, given: Any) -> Any:
        t, acts = given
        region = jax.tree.map(lambda x: x[0], whole.regions(state))
        moved = whole.step(state, acts, whole.noise(stream(0, "moves", t)))
        ages = [region.vertical[:, -1], region.horizontal[-1], region.vertical[:, 0]]
        border = jnp.concatenate([*ages, region.horizontal[0]])
        return moved.state, (local.dset(region), moved.influence[0], border)

    first = whole.reset(stream(0, "begins"))
    return jax.lax.scan(step, first, (jnp.arange(len(actions)), actions))[1]


def test_dset_separates() -> None:
    """What happens inside tells nothing that the d-set does not.

    Two episodes differ in what a block's middle robot does: d-sets, and who comes, are the same.
    And the history of d-sets has the ages of the border's items, which scripted robots outside
    look at, though it shows only which are new.
    """
    domain = Warehouse(9, True, "3x3")
    actions = np.random.default_rng(0).integers(0, 4, (100, 9))
    other = actions.copy()
    other[:, 4] = np.random.default_rng(1).integers(0, 4, 100)
    (dsets, influence, ages), second = (_played(domain, jnp.asarray(x)) for x in (actions, other))
    np.testing.assert_array_equal(dsets, second[0])
    np.testing.assert_array_equal(influence, second[1])
    assert (influence != 3).mean() > 0.01
    items, new, _ = np.asarray(dsets).reshape(100, 12, 3, 3).transpose(2, 0, 1, 3).astype(bool)
    told = np.full((12, 3), EMPTY)
    for t in range(100):
        told = np.where(new[t], 0, np.where(items[t], told + 1, EMPTY))
        np.testing.assert_array_equal(told, ages[t])


def test_hand_written_policies_act_for_every_robot_by_itself() -> None:
    """As each would alone in its region; where there is nothing to go for, by lot."""
    alone, blocks = _warehouse(16, True, None), _warehouse(16, True, "2x2")
    state = alone.global_simulator.reset(stream(0, "full"))
    state = state._replace(
        horizontal=jnp.arange(6 * 6 * 3 + 18, dtype=jnp.int32).reshape(7, 6, 3) % 89,
        vertical=jnp.arange(7 * 6 * 3, dtype=jnp.int32).reshape(6, 7, 3) % 83,
    )
    for name in ("oldest", "nearest"):
        memories = _memory(alone, name), _memory(blocks, name)
        acted = []
        for domain, memory in zip((alone, blocks), memories, strict=True):
            keys = jax.random.split(jax.random.key(0), len(domain.regions))
            regions = domain.global_simulator.regions(state)
            acted.append(jax.jit(jax.vmap(domain.scripted[name]))(keys, memory, regions))
        (actions, kept), (in_blocks, kept_in_blocks) = acted
        np.testing.assert_array_equal(actions[blocks.regions], in_blocks)
        if kept is not None:
            np.testing.assert_array_equal(kept[blocks.regions], kept_in_blocks)


def test_observations_are_of_one_robot_each() -> None:
    alone, blocks = _warehouse(16, True, None), _warehouse(16, True, "2x2")
    state = alone.global_simulator.reset(stream(0, "seen"))
    seen, in_blocks = (
        jax.vmap(domain.local_simulator.observe)(domain.global_simulator.regions(state))
        for domain in (alone, blocks)
    )
    np.testing.assert_array_equal(seen[blocks.regions], in_blocks)


@pytest.mark.parametrize("domain", [Pairs(4), make(4, "1x2")], ids=["pairs", "warehouse"])
def test_regions_of_several_agents_pass_the_check(domain: Any) -> None:
    lines = check_domain(domain)
    assert any("local simulators equal their regions exactly" in line for line in lines), lines


class OnHost:
    """Pairs in NumPy, a whole system behind `HostSimulator`, in this process."""

    restarts = 0

    def sessions(self, count: int) -> list["Here"]:
        return [Here(4) for _ in range(count)]


class _InThisProcess:
    """Makes a session out of the class behind one."""

    restarts = 0

    def forget(self) -> None:
        pass

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self, method)(*arguments)

    begin = call

    def ask(self, method: str, *arguments: Any) -> None:
        self._answer = self.call(method, *arguments)

    def answer(self) -> Any:
        return self._answer


class Here(_InThisProcess, Session):
    """All pairs."""


class _Here(_InThisProcess, pairs.LocalSession):
    """Copies of a region of pairs."""


class _Well(_InThisProcess, wells.LocalSession):
    """Copies of a well, whose episodes end where nobody is left."""

    def step(self, actions: np.ndarray, influence: np.ndarray) -> Any:
        moved = super().step(actions, influence)
        return {**moved, "terminated": ~moved["alive"].any(-1)}


def test_regions_on_hosts_are_checked_too() -> None:
    """Observations and rewards by agent, d-sets, influence and regions by region."""
    hosted = {"global_simulator": OnHost(), "scripted": {"random": "random"}}
    lines = check_domain(Pairs(4, **hosted))
    assert any("local simulators equal their regions" in line for line in lines), lines
    for local, said in (
        (_PaidInWrongOrder(), r"factorisation: reward of agent \d at step \d"),
        (_Blind(), r"observation\[0\] of agent \d at reset: local 0, global 1"),
    ):
        with pytest.raises(UserError, match=said):
            check_domain(Pairs(4, local_simulator=local, **hosted))


class _Blind(Pair):
    def observe(self, state):
        return super().observe(state).at[:, 0].set(0)


class _PaidInWrongOrder(Pair):
    def step(self, state, actions, influence, noise):
        moved = super().step(state, actions, influence, noise)
        return moved._replace(reward=moved.reward[::-1])


class _PaidTogether(Pair):
    def step(self, state, actions, influence, noise):
        moved = super().step(state, actions, influence, noise)
        return moved._replace(reward=moved.reward.sum())


class _Ends(Pair):
    def step(self, state, actions, influence, noise):
        return super().step(state, actions, influence, noise)._replace(terminated=state[1] == 2)


class _SeenTogether(Pair):
    def observe(self, state):
        return super().observe(state).ravel()


class _NoClass(Belt):
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        return moved._replace(influence=moved.influence.at[1].set(2))


class _ByAgent(Belt):
    def regions(self, state):
        return state


class _Half(AtRandom):
    def __call__(self, key, memory, state):
        return jax.random.randint(key, (), 0, 2), memory


FAULTS = [
    # (attributes of Pairs(4), what the check must say)
    (
        {"local_simulator": _PaidInWrongOrder()},
        r"factorisation: reward of agent [0-3] at step \d+: local",
    ),
    (
        {"local_simulator": _Ends()},
        r"factorisation: terminated of region \d \(agents \d, \d\) at step \d+: local True",
    ),
    (
        {"local_simulator": _PaidTogether()},
        r"local_simulator.step reward: shape \[\], expected \[2\]; one number per agent of the",
    ),
    (
        {"local_simulator": _SeenTogether()},
        r"local_simulator.observe: shape \[6\], expected \[2, 3\]",
    ),
    (
        {"global_simulator": _NoClass(4)},
        r"influence at step 0: region 1 \(agents 1, 0\), source 0 has class 2; classes are 0 \.\. ",
    ),
    (
        {"global_simulator": _ByAgent(4)},
        r"global_simulator.regions: shape \[4\], expected \[2, ...\]; stack all 2 regions on a",
    ),
    (
        {"scripted": {"random": _Half()}},
        r"scripted\['random'\] action: shape \[\], expected \[2\]; one integer per agent",
    ),
    (
        {"regions": np.arange(4)},
        r"domain.regions: shape \[4\], expected \[regions, agents of each\]; one row per region",
    ),
    ({"regions": np.zeros((2, 2))}, "domain.regions: type float64, expected integers; one row"),
    ({"regions": [[0, 1], [2]]}, "domain.regions: its rows have different lengths; give each"),
    ({"regions": [[0, 1], [2, 4]]}, r"domain.regions: names agent 4; agents are 0 \.\. 3"),
    ({"regions": [[0, 1]]}, "domain.regions: names agent 2 0 times; name every agent exactly once"),
    ({"regions": [[0, 1], [1, 2]]}, "domain.regions: names agent 1 2 times"),
]


@pytest.mark.parametrize(("changed", "said"), FAULTS)
def test_the_check_names_the_fault(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_domain(Pairs(4, **changed))


@pytest.mark.parametrize(
    ("agents", "region", "said"),
    [
        (16, "2x8", "2x8: is larger than the 4 x 4 learning robots; ROWS and COLUMNS may each be"),
        (4, "3x1", "may each be 1 to 2"),
        (4, "2", "must be ROWSxCOLUMNS"),
        (4, "0x1", "must be ROWSxCOLUMNS"),
        (4, "2x2x2", "must be ROWSxCOLUMNS"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(agents: int, region: str, said: str) -> None:
    with pytest.raises(UserError, match=f"--region {region}: ") as refused:
        make(agents, region)
    assert said in str(refused.value)


def test_the_option_is_the_warehouse_s_alone() -> None:
    config = make_config({"domain": "warehouse", "agents": 16, "region": "2x2"})
    domain: Any = load_domain(config.domain, config.agents, config.domain_options)
    assert domain.regions.shape == (4, 4)
    with pytest.raises(UserError, match="--region is not an option of domain 'corridor'"):
        load_domain("corridor", 4, config.domain_options)
    with pytest.raises(UserError, match="--region 2by2: must be ROWSxCOLUMNS, for example 2x2"):
        make_config({"domain": "warehouse", "region": "2by2"})


def test_regions_on_hosts_are_their_traced_twins() -> None:
    """Two regions of two agents, five copies: the same actions and influence, the same numbers."""
    domain, copies, random = pairs.make_all_hosted(6), 5, np.random.default_rng(1)
    twin, sessions = pairs.Pair(), [_Here(copies), _Here(copies)]
    nets = [PredictorNetwork(jax.random.key(i), 3, 1, 2, hidden=3) for i in (0, 1)]
    predictors = jax.tree.map(lambda *x: np.stack(x), *nets)
    actor = HostRegions(domain, sessions, predictors, [2, 0], copies, [7, 8])
    over = np.zeros(2, int)
    for _ in range(2 * domain.spec.horizon + 1):
        state = jnp.asarray(np.concatenate([one.held for one in sessions]))
        shown = jax.vmap(twin.observe)(state).reshape(2, copies, 2, 3)
        actions = random.integers(0, 2, (copies, 4)).astype(np.int32)
        np.testing.assert_array_equal(actor.view.observation, beside(shown))
        np.testing.assert_array_equal(actor.predicting.dset, shown[:, :, 0])
        influence = random.integers(0, 2, (2, copies, 1))
        given = actions.reshape(copies, 2, 2).swapaxes(0, 1).reshape(-1, 2)
        found = jax.vmap(twin.step)(state, given, influence.reshape(-1, 1), ())
        outcome, reached = actor.act(actions, (actor.predicting.hidden, influence))
        later = jax.vmap(twin.observe)(found.state).reshape(2, copies, 2, 3)
        np.testing.assert_array_equal(reached.observation, beside(later))
        np.testing.assert_array_equal(
            outcome.reward, beside(found.reward.reshape(2, copies, 2, 1))[..., 0]
        )
        ends = outcome.truncated.reshape(copies, 2, 2)
        assert (ends[..., 0] == ends[..., 1]).all()  # the agents of a region end together
        over += ends[..., 0].sum(0)
    assert over.tolist() == [2 * copies] * 2  # the first episodes are shorter


def beside(x: Any) -> np.ndarray:
    """[region, copy, agent, ...] as [copy, agents of all regions, ...]."""
    return np.moveaxis(np.asarray(x), 0, 1).reshape(x.shape[1], -1, *x.shape[3:])


def test_entities_on_hosts_are_their_traced_twins() -> None:
    """They are born and die, their masks change, and some episodes end before the horizon."""
    domain, copies, random = wells.make(9), 5, np.random.default_rng(2)
    twin, sessions = wells.Well(), [_Well(copies), _Well(copies)]
    nets = [PredictorNetwork(jax.random.key(i), 2, 1, 2, hidden=3) for i in (0, 1)]
    predictors = jax.tree.map(lambda *x: np.stack(x), *nets)
    actor = HostRegions(domain, sessions, predictors, [2, 0], copies, [7, 8])

    def shown(state: Any) -> Any:
        names = ("observe", "action_mask", "alive", "dset")
        return [jax.vmap(jax.vmap(getattr(twin, name)))(state) for name in names]

    @jax.jit
    def alone(state: Any, actions: Any, influence: Any) -> Any:
        found = jax.vmap(jax.vmap(twin.step))(state, actions, influence, ())
        return shown(state), shown(found.state), found.reward

    born, ends, truncations = 0, 0, 0
    for _ in range(3 * domain.spec.horizon):
        view, dset = actor.view, actor.predicting.dset
        each = zip(*(one.state for one in sessions), strict=True)
        state = tuple(np.stack(x).astype(np.int32) for x in each)
        actions = np.where(view.mask, random.random(view.mask.shape), -1).argmax(-1)
        influence = random.integers(0, 2, (2, copies, 1))
        given = actions.astype(np.int32).reshape(copies, 2, 3).swapaxes(0, 1)
        (*first, dsets), (*later, _), reward = alone(state, given, influence)
        outcome, reached = actor.act(actions, (actor.predicting.hidden, influence))
        for seen, twins in ((view, first), (reached, later)):
            for mine, theirs in zip((seen.observation, seen.mask, seen.alive), twins, strict=True):
                np.testing.assert_array_equal(mine, beside(theirs))
            np.testing.assert_array_equal(seen.acting, seen.mask.any(-1))
        np.testing.assert_array_equal(dset, dsets)
        np.testing.assert_array_equal(outcome.reward, beside(reward))
        np.testing.assert_array_equal(outcome.alive, reached.alive)
        over = ~reached.alive.reshape(copies, 2, 3).any(-1)
        np.testing.assert_array_equal(outcome.terminated, np.repeat(over, 3, 1))
        assert not (outcome.terminated & outcome.truncated).any()
        new = outcome.terminated | outcome.truncated
        founders = actor.view.alive == (np.arange(6) % 3 < 2)
        assert founders[new].all()  # whoever ended began anew
        born += (reached.alive & ~view.alive).sum()
        ends, truncations = ends + over.sum(), truncations + outcome.truncated.sum()
    assert min(born, ends, truncations) > 5


def test_a_session_of_regions_that_forgets_an_agent_is_told() -> None:
    class Forgets(_Here):
        def _shown(self) -> Any:
            shown = super()._shown()
            return {**shown, "observation": shown["observation"][:, 0]}

    domain = pairs.make_all_hosted(4)
    predictors = jax.tree.map(lambda x: x[None], PredictorNetwork(jax.random.key(0), 3, 1, 2))
    said = r"pairs: observation has shape \[5, 3\], expected \[5, 2, 3\]"
    with pytest.raises(UserError, match=said):
        HostRegions(domain, [Forgets(5)], predictors, [0], 5, [0])


@cache
def _all_hosted() -> Any:
    return load_domain("tests.environments.pairs:make_all_hosted", 4)


def test_schedules_of_regions_on_hosts_learn_the_same() -> None:
    """Their processes each hold all copies of a region of two agents."""
    learned = []
    for schedule in ("lockstep", "pipeline"):
        config = make_config(
            {
                "domain": "tests.environments.pairs:make_all_hosted", "agents": 4, "copies": 4,
                "window": 4, "windows": 2, "minibatches": 2, "epochs": 1, "hidden": 4, "trunk": 4,
                "simulation": "untrained", "evaluations": 1, "evaluate_episodes": 2,
                "final_episodes": 2, "schedule": schedule, "steps": 64, "credit": "team",
            }
        )  # fmt: skip
        _, state = trained(Experiment(config, _all_hosted(), LocalRuntime()))
        learned.append(state.learners)
    jax.tree.map(np.testing.assert_array_equal, *learned)


@pytest.mark.parametrize("sharing", ["shared", "own"])
def test_entities_in_regions_on_hosts_train(sharing: str) -> None:
    """One network for all, side by side; and a learner for each region."""
    domain: Any = load_domain("tests.environments.wells:make", 6)
    config = make_config(
        {
            "domain": "tests.environments.wells:make", "agents": 6, "copies": 4, "window": 4,
            "minibatches": 2, "epochs": 1, "hidden": 4, "trunk": 4, "simulation": "untrained",
            "evaluations": 1, "evaluate_episodes": 2, "final_episodes": 2, "steps": 32,
            "slot_networks": sharing,
        }
    )  # fmt: skip
    plan, state = trained(Experiment(config, domain, LocalRuntime(), progress=(told := Lines())))
    every = state.learners if plan.apart else [state.learners]
    assert [x for one in every for x in one.updates.tolist()] == [2] * (1 + (sharing == "own"))
    learned = [line for line in told.lines if "train/loss/policy" in line]
    assert learned
    assert all(np.isfinite(line["train/loss/policy"]) for line in learned)


def test_entities_in_regions_on_hosts_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    domain: Any = load_domain("tests.environments.wells:make", 6)
    monkeypatch.setattr(domain.local_simulator, "sessions", lambda count, copies: [_Well(copies)])
    assert "the same seed and actions give the same episode" in check_domain(domain)
    whole = _Well.step
    monkeypatch.setattr(_Well, "step", lambda self, *x: {**whole(self, *x), "mask": np.ones(2)})
    with pytest.raises(UserError, match=r"local simulator of region 0 at step 0: mask has shape"):
        check_domain(domain)


def test_local_simulators_on_hosts_are_checked() -> None:
    class Restless(_Here):
        def reset(self, seed: int, region: int) -> Any:
            self.count = getattr(self, "count", 0) + 1
            return super().reset(seed + self.count, region)

    class Forgets(_Here):
        def _shown(self) -> Any:
            return {"observation": super()._shown()["observation"]}

    class Sessions:
        def __init__(self, one: Any) -> None:
            self.one, self.restarts = one, 0

        def sessions(self, count: int, copies: int) -> Any:
            return [self.one(copies) for _ in range(count)]

    hosted = pairs.make_hosted(4)
    for one, said in (
        (_Here, None),
        (Restless, "two episodes with the same seed, actions and influence differ"),
        (Forgets, "local simulator of region 0 at reset: .* lacks 'dset'"),
    ):
        hosted.local_simulator = Sessions(one)
        if said is None:
            check_host_locals(hosted, 0)
            continue
        with pytest.raises(UserError, match=said):
            check_host_locals(hosted, 0)
    with pytest.raises(
        UserError, match="pairs: local simulators outside of JAX cannot read the st"
    ):
        check_domain(Pairs(4, local_simulator=hosted.local_simulator))
