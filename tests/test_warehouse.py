"""The warehouse against its rules, the reference's measured returns, and a plain NumPy twin."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hinterland.core import UserError, stream
from hinterland.domains.warehouse import Warehouse, make
from hinterland.domains.warehouse.state import EMPTY, SLOT_COLUMN, SLOT_ROW, RegionState
from hinterland.rollout import whole_system
from hinterland.rollout.episodes import scripted_player, traced_episodes
from hinterland.testing import check_domain


@cache
def _warehouse(agents: int, ring: bool = False) -> Warehouse:
    """The same object for the same system: its programs are compiled once for all examples."""
    return Warehouse(agents, ring)


@partial(jax.jit, static_argnums=(0, 1))
def _act(domain: Warehouse, policy: str, key, memory, state):
    keys = jax.random.split(key, domain.agents)
    regions = domain.global_simulator.regions(state)
    return jax.vmap(domain.scripted[policy])(keys, memory, regions)


@partial(jax.jit, static_argnums=0)
def _whole_step(domain: Warehouse, state, action, noise):
    return domain.global_simulator.step(state, action, noise)


@partial(jax.jit, static_argnums=0)
def _local_step(domain: Warehouse, state, action, influence, noise):
    whole = domain.global_simulator
    step = jax.vmap(domain.local_simulator.step)
    return step(whole.regions(state), action, influence, whole.region_noise(noise))


@partial(jax.jit, static_argnums=0)
def _observe(domain: Warehouse, regions):
    return jax.vmap(domain.local_simulator.observe)(regions)


@partial(jax.jit, static_argnums=0)
def _regions(domain: Warehouse, state):
    return domain.global_simulator.regions(state)


@partial(jax.jit, static_argnums=0)
def _noise(domain: Warehouse, key):
    return domain.global_simulator.noise(key)


def _follow(domain: Warehouse, seed: int, policy: str, steps: int):
    """States, actions and noises of one global trajectory under a hand-written policy."""
    state = domain.global_simulator.reset(stream(seed, "reset"))
    (memory,) = scripted_player(whole_system(domain), domain.scripted[policy]).memory(1)
    memory = jax.tree.map(lambda x: x[0], memory)
    for t in range(steps):
        action, memory = _act(domain, policy, stream(seed, "act", t), memory, state)
        noise = _noise(domain, stream(seed, "noise", t))
        yield state, action, noise
        state = _whole_step(domain, state, action, noise).state


@settings(max_examples=12)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 4, 9]),
    st.booleans(),
    st.sampled_from(["random", "oldest", "nearest"]),
)
def test_local_simulators_equal_their_regions(
    seed: int, agents: int, ring: bool, policy: str
) -> None:
    """The factorisation test, exactly, as a property over seeds, sizes and policies."""
    domain = _warehouse(agents, ring)
    for state, action, noise in _follow(domain, seed, policy, 12):
        moved = _whole_step(domain, state, action, noise)
        alone = _local_step(domain, state, action, moved.influence, noise)
        regions = _regions(domain, moved.state)
        for a, b in zip(jax.tree.leaves(alone.state), jax.tree.leaves(regions), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(alone.reward, moved.reward)
        np.testing.assert_array_equal(_observe(domain, alone.state), _observe(domain, regions))


def test_a_wrong_influence_breaks_the_equality() -> None:
    """The factorisation test can fail: neighbours that never come leave items behind."""
    domain = _warehouse(4)
    differences = 0
    for state, action, noise in _follow(domain, 0, "oldest", 30):
        moved = _whole_step(domain, state, action, noise)
        nobody = jnp.full_like(moved.influence, 3)
        alone = _local_step(domain, state, action, nobody, noise)
        differences += int((alone.state.age != _regions(domain, moved.state).age).any())
    assert differences > 0


class _PlainWarehouse:
    """The rules again, cell by cell, on a dictionary of items; no arrays, no shared code."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.robot = {(i, j): (4 * i + 2, 4 * j + 2) for i in range(side) for j in range(side)}
        self.items: dict[tuple[int, int], int] = {}

    def shelf(self, cell: tuple[int, int]) -> bool:
        return (cell[0] % 4 == 0) != (cell[1] % 4 == 0)

    def region(self, i: int, j: int) -> list[tuple[int, int]]:
        return [(4 * i + r, 4 * j + c) for r, c in zip(SLOT_ROW, SLOT_COLUMN, strict=True)]

    def step(self, actions, spawned) -> np.ndarray:
        self.items = {cell: age + 1 for cell, age in self.items.items()}
        for (i, j), (row, column) in self.robot.items():
            r, c = row - 4 * i, column - 4 * j
            dr, dc = [(-1, 0), (1, 0), (0, -1), (0, 1)][actions[i, j]]
            if dr and c in (0, 4):
                dr = 0
            if dc and r in (0, 4):
                dc = 0
            if 0 <= r + dr <= 4 and 0 <= c + dc <= 4:
                self.robot[i, j] = (row + dr, column + dc)
        reward = np.zeros((self.side, self.side), np.float32)
        for (i, j), cell in self.robot.items():
            if cell in self.items:
                ages = [self.items[c] for c in self.region(i, j) if c in self.items]
                reward[i, j] = np.float32(self.items[cell]) / np.float32(max(ages))
        for cell in self.robot.values():
            self.items.pop(cell, None)
        for cell in spawned:
            self.items.setdefault(cell, 0)
        return reward


def _cells_with_items(state) -> dict[tuple[int, int], int]:
    """The arrays of a state as {cell: age}."""
    found = {}
    for i, j, k in np.argwhere(np.asarray(state.horizontal) != EMPTY):
        found[4 * i, 4 * j + k + 1] = int(state.horizontal[i, j, k])
    for i, j, k in np.argwhere(np.asarray(state.vertical) != EMPTY):
        found[4 * i + k + 1, 4 * j] = int(state.vertical[i, j, k])
    return {(int(r), int(c)): age for (r, c), age in found.items()}


@settings(max_examples=5)
@given(st.integers(0, 10_000))
def test_the_arrays_follow_the_rules_cell_by_cell(seed: int) -> None:
    domain = Warehouse(9, ring=False)
    whole, plain = domain.global_simulator, _PlainWarehouse(3)
    step = jax.jit(whole.step)
    state = whole.reset(stream(seed, "reset"))
    plain.items = _cells_with_items(state)
    for t in range(60):
        action = jax.random.randint(stream(seed, "act", t), (9,), 0, 4)
        noise = whole.noise(stream(seed, "noise", t))
        new_horizontal, new_vertical = (np.asarray(x) < 0.02 for x in noise[:2])
        spawned = [(4 * i, 4 * j + k + 1) for i, j, k in np.argwhere(new_horizontal)]
        spawned += [(4 * i + k + 1, 4 * j) for i, j, k in np.argwhere(new_vertical)]
        assert all(plain.shelf(cell) for cell in spawned)
        reward = plain.step(np.asarray(action).reshape(3, 3), spawned)
        moved = step(state, action, noise)
        state = moved.state
        assert _cells_with_items(state) == plain.items
        np.testing.assert_array_equal(np.asarray(moved.reward).reshape(3, 3), reward)


def test_the_observation_has_the_documented_order() -> None:
    age = jnp.full(12, EMPTY).at[jnp.array([0, 7])].set(3)
    local = make(4).local_simulator
    bits = local.observe(RegionState(age.astype(jnp.int32), jnp.int32(1), jnp.int32(3)))
    assert bits.shape == (37,)
    assert list(np.flatnonzero(bits)) == [1 * 5 + 3, 25 + 0, 25 + 7]


def test_sizes_of_the_papers_systems() -> None:
    for agents, robots in ((4, 16), (25, 49), (49, 81), (100, 144)):
        assert make(agents).global_simulator.side ** 2 == robots


def test_a_number_of_robots_that_is_no_square_is_refused() -> None:
    with pytest.raises(UserError, match=r"--agents 5: the warehouse needs a square .* 4 or 9"):
        make(5)


@pytest.mark.parametrize(
    ("agents", "policy", "ring", "expected", "error", "episodes"),
    [
        # Measured on the original code (mean and standard error).
        (4, "random", True, 1.53, 0.07, 256),
        (25, "random", True, 1.99, 0.06, 64),
        (4, "oldest", True, 13.31, 0.09, 512),
        (25, "oldest", True, 13.09, 0.10, 128),
        (4, "nearest", True, 13.28, 0.12, 512),
        (4, "random", False, 2.52, 0.06, 256),
        (25, "random", False, 2.28, 0.07, 64),
    ],
)
def test_hand_written_returns_agree_with_the_original(
    agents: int, policy: str, ring: bool, expected: float, error: float, episodes: int
) -> None:
    domain = Warehouse(agents, ring)
    system = whole_system(domain)
    player = scripted_player(system, domain.scripted[policy])
    reward = jax.jit(lambda key: traced_episodes(key, system, player, episodes).reward)(
        stream(0, policy)
    )
    each = np.asarray(reward).sum(0).mean(1)
    own_error = each.std() / episodes**0.5
    # Three standard errors of the difference: a false alarm in 1 of 370 per row.
    assert abs(each.mean() - expected) < 3 * np.hypot(error, own_error)


def test_what_blocks_leave_over_makes_smaller_ones() -> None:
    square = np.arange(25).reshape(5, 5)
    expected = {
        (2, 2): [square[r : r + 2, c : c + 2] for r in (0, 2) for c in (0, 2)],
        (2, 1): [square[:2, 4:], square[2:4, 4:]],
        (1, 2): [square[4:, :2], square[4:, 2:4]],
        (1, 1): [square[4:, 4:]],
    }
    domain = make(25, "2x2")
    assert len(domain.kinds) == 4
    for kind, ((rows, columns), blocks) in zip(domain.kinds, expected.items(), strict=True):
        assert kind.regions.tolist() == [block.ravel().tolist() for block in blocks]
        assert kind.spec.sources == 2 * (rows + columns)
    assert domain.spec.sources == 8


def test_uneven_blocks_are_exact_regions() -> None:
    check_domain(make(9, "2x2"))


def test_blocks_of_one_robot_are_the_robots() -> None:
    whole, uneven = make(9).global_simulator, make(9, "2x2").global_simulator
    state, noise = whole.reset(jax.random.key(0)), whole.noise(jax.random.key(1))
    actions = jnp.arange(9) % 4
    for _ in range(3):
        one, other = whole.step(state, actions, noise), uneven.step(state, actions, noise)
        jax.tree.map(np.testing.assert_array_equal, one[:3], other[:3])
        # The robot in the corner is a region of its own in both.
        np.testing.assert_array_equal(one.influence[8], other.influence[3][0])
        state = one.state
