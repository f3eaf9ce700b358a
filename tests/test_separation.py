"""Separated trajectories: worked examples, invariants, and a second implementation in NumPy."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core import Chosen, Segment, View, stream
from hinterland.learn import (
    PARTS,
    Cells,
    Credit,
    Groups,
    How,
    PPOSettings,
    Separation,
    advantages,
    apart_by_kind,
    as_cells,
    as_groups,
    by_entity,
    by_nearest,
    by_remainder,
    cell_weights,
    first_learner,
    gae,
    into_groups,
    kept_cells,
    measures,
    mix_rewards,
    single,
    update,
)
from hinterland.learn.cells import normalised
from hinterland.learn.ppo import Batch, gradient, loss
from hinterland.nets import TeamNetwork, team_network

SETTINGS = PPOSettings(
    epochs=2,
    minibatches=2,
    learning_rate=1e-2,
    clip=0.2,
    clip_value=True,
    value_weight=0.5,
    entropy_weight=0.01,
    gradient_norm=0.5,
    adam_epsilon=1e-5,
    discount=0.99,
    trace=0.95,
    anneal_rate=False,
    anneal_clip=False,
    anneal_entropy=False,
    annealing=10,
)


# Goldens: three groups, six steps, no episode end. Group 0 lives throughout, group 1 at t = 2, 3,
# group 2 at t = 0, 1, 4, 5.
REWARD = np.array([[1, 0, 0], [0, 0, 2], [0.5, 1, 0], [0, -1, 0], [2, 0, 1], [1, 0, 3]])
VALUE = np.array([[0.5, 0, 0.2], [0.4, 0, 0.3], [0.3, 0.6, 0], [0.2, 0.1, 0], [0.1, 0, 0.4],
                  [0.6, 0, 0.5]])  # fmt: skip
ALIVE = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]], bool)
LAST_VALUE, LAST_ALIVE = np.array([0.7, 0, 0.9]), np.array([1, 0, 1], bool)
ADVANTAGE = np.array([
    [3.8228, 0, 1.6958], [3.1119, 0, 1.7], [3.4183, -0.5356, 0], [3.2114, -1.1, 0],
    [3.522, 0, 4.2842], [1.093, 0, 3.391],
])  # fmt: skip


def _groups(reward, value, alive, last_value, last_alive, ended=None) -> Groups:
    """Groups of one copy out of [time, group] arrays."""
    ended = np.zeros(len(reward), bool) if ended is None else ended
    add = [np.concatenate([x[1:], last[None]]) for x, last in
           ((value, last_value), (alive, last_alive))]  # fmt: skip
    reward, value, next_value = (jnp.float32(x)[:, None] for x in (reward, value, add[0]))
    alive, next_alive = jnp.asarray(alive)[:, None], jnp.asarray(add[1])[:, None]
    return Groups(jnp.zeros_like(value), value, next_value, reward, alive,
                  alive.astype(jnp.int32), next_alive,
                  jnp.broadcast_to(jnp.asarray(ended)[:, None, None], alive.shape))  # fmt: skip


GOLDEN = _groups(REWARD, VALUE, ALIVE, LAST_VALUE, LAST_ALIVE)


@partial(jax.jit, static_argnames=("separation", "discount", "trace"))
def _advantages(groups, separation, discount, trace):
    return advantages(groups, separation, discount, trace)


def _advantage(groups: Groups, separation: Separation = Separation()) -> np.ndarray:  # noqa: B008
    return np.asarray(_advantages(groups, separation, 0.99, 0.95)[0])[:, 0]


def test_advantages_across_births_and_deaths() -> None:
    found = _advantage(GOLDEN)
    np.testing.assert_allclose(found, ADVANTAGE, atol=5e-5)
    active = found[ALIVE]
    assert active.size == 12
    assert active.mean() == pytest.approx(2.30125, abs=1e-5)
    assert active.std() == pytest.approx(1.66989, abs=1e-5)
    np.testing.assert_allclose(advantages(GOLDEN, Separation(), 0.99, 0.95)[1][:, 0],
                               np.where(ALIVE, ADVANTAGE + VALUE, 0), atol=5e-5)  # fmt: skip


def test_what_stands_before_a_birth_is_left_out() -> None:
    """Computed on the full grid, the steps before a birth get values; they must not count."""
    everywhere = GOLDEN._replace(alive=jnp.ones_like(GOLDEN.alive), size=jnp.ones_like(GOLDEN.size))
    spurious = _advantage(everywhere)
    assert spurious[1, 1] == pytest.approx(0.0903, abs=5e-5)
    assert spurious[3, 2] == pytest.approx(4.4253, abs=5e-5)
    found = _advantage(GOLDEN)
    assert found[1, 1] == found[3, 2] == 0.0
    cells = normalised(jnp.asarray(found), jnp.asarray(ALIVE))
    np.testing.assert_allclose(
        np.asarray(cells), np.where(ALIVE, (ADVANTAGE - 2.30125) / 1.66989, 0), atol=1e-4
    )


def test_global_dones_only_change_what_comes_back_to_life() -> None:
    found = _advantage(GOLDEN, Separation(global_parts=frozenset({"dones"})))
    expected = ADVANTAGE.copy()
    expected[:2, 2] = 5.3773, 5.6144
    np.testing.assert_allclose(found[:, [0, 2]], expected[:, [0, 2]], atol=5e-5)


# The poster's policy loss: ratio x advantage of nine active cells, a row for each step.
POSTER = np.array([[0.67, -4.0, -5.0], [1.5, 0, 4.0], [-1.33, 5.6, 0], [2.5, 3.0, 0]])
POSTER_ACTIVE = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 0]], bool)


NOTHING = Segment(*[None] * len(Segment._fields))


class _Table:
    """Stands for a network: fixed log-probabilities, entropies and values, a row for each step."""

    def __init__(self, log_probability, entropy, value):
        self.table = tuple(jnp.float32(x)[:, None] for x in (log_probability, entropy, value))

    def unroll(self, segment):
        return self.table


def _cells(shape, **parts) -> Cells:
    """Cells [time, 1, group], a row for each step; what is not given is 0."""
    given = {name: jnp.asarray(x)[:, None] for name, x in parts.items()}
    zeros = jnp.zeros((shape[0], 1, shape[1]))
    kept = given.get("kept", jnp.ones(zeros.shape, bool))
    blank = Cells(zeros, zeros, zeros, zeros, None, kept.astype(jnp.int32), kept, kept)
    return blank._replace(**given)


def _loss(table, cells, weight, entropy_weight=0.0, separation=Separation(), group=None):  # noqa: B008
    """Of entities that live and act where cells are kept, or, with a grouping, everywhere."""
    alive = cells.kept if group is None else jnp.ones(table.table[0].shape, bool)
    batch = Batch(NOTHING._replace(alive=alive, acting=alive), cells, weight, weight)
    return loss(table, batch, 0.2, entropy_weight, How(SETTINGS, Credit(separation, group)))


@pytest.mark.parametrize(
    ("normaliser", "expected"),
    [
        ("cells", 6.94 / 9),
        ("steps", (-8.33 / 3 + 5.5 / 2 + 4.27 / 2 + 5.5 / 2) / 4),
        ("fixed", 6.94 / (4 * 2.5)),
    ],
)
def test_the_posters_policy_loss(normaliser: str, expected: float) -> None:
    cells = _cells((4, 3), kept=POSTER_ACTIVE, advantage=POSTER)
    weight = cell_weights(cells.kept, normaliser, 2.5)
    table = _Table(np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3)))
    _, terms = _loss(table, cells, weight)
    assert -float(terms["loss/policy"]) == pytest.approx(expected, rel=1e-6)
    if normaliser == "cells":
        assert expected == pytest.approx(0.7711, abs=5e-5)
        assert -float(terms["loss/policy"]) != pytest.approx(6.94 / 12, abs=0.1)


# A second implementation, written cell by cell.


def _numpy_advantages(reward, value, next_value, alive, next_alive, ended, discount, trace):
    """[time, group]; the definition: discounted differences up to death or the episode's end."""
    found = np.zeros(reward.shape)
    for t, g in np.argwhere(alive):
        weight = 1.0
        for k in range(t, len(reward)):
            after = next_value[k, g] if next_alive[k, g] else 0.0
            found[t, g] += weight * (reward[k, g] + discount * after - value[k, g])
            if ended[k] or not next_alive[k, g]:
                break
            weight *= discount * trace
    return found


def _numpy_loss(new, old, entropy, value, old_value, advantage, target, kept, clip, c_v, c_e):
    """The mean over kept cells of the published loss."""
    chosen = advantage[kept]
    total = []
    for row, g in np.argwhere(kept):
        normal = (advantage[row, g] - chosen.mean()) / (chosen.std() + 1e-8)
        ratio = np.exp(new[row, g] - old[row, g])
        policy = min(ratio * normal, np.clip(ratio, 1 - clip, 1 + clip) * normal)
        near = old_value[row, g] + np.clip(value[row, g] - old_value[row, g], -clip, clip)
        error = max((value[row, g] - target[row, g]) ** 2, (near - target[row, g]) ** 2)
        total.append(-policy + c_v * error - c_e * entropy[row, g])
    return np.mean(total)


def _lives(random: np.random.Generator, time: int, slots: int, pauses: bool = False) -> dict:
    """A random rollout of one copy: each slot holds one entity, born and dead at random steps."""
    birth = random.integers(0, time, slots)
    death = birth + random.integers(1, time + 2, slots)
    clock = np.arange(time + 1)[:, None]
    exists = (clock >= birth) & (clock < death)
    ended = random.random(time) < 0.15
    value = random.normal(size=(time + 1, slots))
    return {
        "reward": random.normal(size=(time, slots)),
        "value": value[:-1],
        "next_value": np.where(exists[1:], value[1:], 0.0),
        "alive": exists[:-1],
        "next_alive": exists[1:],
        "ended": ended,
        "log_probability": -random.random((time, slots)),
        "acting": exists[:-1] & (random.random((time, slots)) < (0.7 if pauses else 1.1)),
    }


def _segment(lives: dict) -> Segment:
    slots = lives["alive"].shape[1]
    lives = {**lives, "ended": np.repeat(lives["ended"][:, None], slots, 1)}
    parts = {name: jnp.asarray(x)[:, None] for name, x in lives.items()}
    parts = {n: x.astype(jnp.float32) if x.dtype.kind == "f" else x for n, x in parts.items()}
    return NOTHING._replace(**parts)


_as_groups = jax.jit(as_groups, static_argnums=2)


def _separated(lives: dict, group=None, groups: int | None = None, **how) -> np.ndarray:
    slots = lives["reward"].shape[1]
    group = by_entity(slots) if group is None else group
    grouped = _as_groups(_segment(lives), group, groups or slots)
    return np.asarray(_advantages(grouped, Separation(**how), 0.97, 0.9)[0])[:, 0]


SEEDS = st.integers(0, 10_000)
VARIANTS = [{}, {"own": 0.5}, *({"global_parts": frozenset({p})} for p in ("advantage", "critic"))]


@given(SEEDS)
def test_advantages_equal_their_definition(seed: int) -> None:
    lives = _lives(np.random.default_rng(seed), 6, 4)
    names = ("reward", "value", "next_value", "alive", "next_alive", "ended")
    expected = _numpy_advantages(*(lives[name] for name in names), 0.97, 0.9)
    np.testing.assert_allclose(_separated(lives), expected, rtol=2e-4, atol=2e-5)


@given(SEEDS)
def test_the_loss_equals_its_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (5, 3)
    new, old, entropy, value, old_value, advantage, target = random.normal(size=(7, *shape))
    kept = random.random(shape) < 0.6
    kept[0, 0] = True
    cells = _cells(shape, kept=kept, log_probability=old, value=old_value, advantage=advantage,
                   target=target)  # fmt: skip
    cells = cells._replace(advantage=normalised(cells.advantage, cells.kept))
    weight = cell_weights(cells.kept, "cells", 0.0)
    table = _Table(*(np.where(kept, x, np.nan) for x in (new, entropy, value)))
    found, _ = _loss(table, cells, weight, 0.01)
    expected = _numpy_loss(
        new, old, entropy, value, old_value, advantage, target, kept, 0.2, 0.5, 0.01
    )
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_one_immortal_entity_is_plain_gae() -> None:
    random = np.random.default_rng(0)
    reward, value, next_value = random.normal(size=(3, 7)).astype(np.float32)
    ended = np.array([0, 0, 1, 0, 0, 1, 0], bool)
    whole = np.ones((7, 1), bool)
    lives = {"reward": reward[:, None], "value": value[:, None], "next_value": next_value[:, None],
             "alive": whole, "next_alive": whole, "ended": ended, "acting": whole,
             "log_probability": np.zeros((7, 1))}  # fmt: skip
    expected = gae(*map(jnp.asarray, (reward, value, next_value, ended)), 0.97, 0.9)
    np.testing.assert_allclose(_separated(lives)[:, 0], expected, rtol=1e-5)


def test_truncation_bootstraps_and_cuts_termination_does_neither() -> None:
    """Two steps, gamma 0.97: the first episode ends after step 0, its successor is worth 10."""
    base = {"reward": np.ones((2, 1)), "value": np.zeros((2, 1)), "acting": np.ones((2, 1), bool),
            "alive": np.ones((2, 1), bool), "log_probability": np.zeros((2, 1)),
            "ended": np.array([True, False])}  # fmt: skip
    cut = _separated({**base, "next_value": np.array([[10.0], [0]]),
                      "next_alive": np.array([[True], [True]])})  # fmt: skip
    np.testing.assert_allclose(cut[:, 0], [1 + 0.97 * 10, 1], rtol=1e-6)
    # Who alone is truncated is gone, and worth the value of the state reached.
    alone = _separated({**base, "next_value": np.array([[10.0], [0]]),
                        "ended": np.zeros(2, bool),
                        "next_alive": np.array([[False], [True]])})  # fmt: skip
    np.testing.assert_array_equal(alone, cut)
    dead = _separated({**base, "next_value": np.zeros((2, 1)),
                       "next_alive": np.array([[False], [True]])})  # fmt: skip
    np.testing.assert_allclose(dead[:, 0], [1, 1], rtol=1e-6)


def test_a_pause_is_no_death() -> None:
    """An entity that has nothing to choose at step 1 is paid for step 0 by what comes later."""
    lives = {"reward": np.array([[0.0], [0], [1]]), "value": np.zeros((3, 1)),
             "next_value": np.zeros((3, 1)), "alive": np.ones((3, 1), bool),
             "next_alive": np.array([[True], [True], [False]]), "ended": np.zeros(3, bool),
             "acting": np.array([[True], [False], [True]]),
             "log_probability": np.zeros((3, 1))}  # fmt: skip
    cells = as_cells(stream(0, "k"), _segment(lives), Credit(), 0.97, 0.9)
    found, kept, valued = (np.ravel(x) for x in (cells.advantage, cells.kept, cells.valued))
    # There is no policy to learn at step 1, but a value.
    np.testing.assert_allclose(found, [(0.97 * 0.9) ** 2, 0.97 * 0.9, 1], rtol=1e-6)
    assert (kept.tolist(), valued.tolist()) == ([True, False, True], [True] * 3)


@given(SEEDS, st.permutations(range(4)))
def test_permuting_slots_permutes_results(seed: int, order: list[int]) -> None:
    lives = _lives(np.random.default_rng(seed), 5, 4, pauses=True)
    mixed = {name: x if x.ndim == 1 else x[:, order] for name, x in lives.items()}
    for how in VARIANTS:
        np.testing.assert_allclose(
            _separated(mixed, **how), _separated(lives, **how)[:, order], rtol=1e-4, atol=1e-5
        )


@given(SEEDS, st.sampled_from(VARIANTS))
def test_padding_with_dead_slots_changes_nothing(seed: int, how: dict) -> None:
    lives = _lives(np.random.default_rng(seed), 5, 3)

    def pad(name: str, x: np.ndarray) -> np.ndarray:
        fill = False if x.dtype == bool or name == "next_value" else np.nan
        return x if x.ndim == 1 else np.concatenate([x, np.full((5, 2), fill)], 1)

    padded = _separated({name: pad(name, x).astype(x.dtype) for name, x in lives.items()}, **how)
    np.testing.assert_allclose(padded[:, :3], _separated(lives, **how), rtol=1e-5, atol=1e-6)
    assert not padded[:, 3:].any()


@given(SEEDS, st.integers(0, 2), st.floats(-5, 5, width=32))
def test_anothers_reward_leaves_the_advantage_unchanged(seed: int, j: int, reward: float) -> None:
    lives = _lives(np.random.default_rng(seed), 5, 3)
    changed = {**lives, "reward": lives["reward"].copy()}
    changed["reward"][:, j] += reward
    others = [i for i in range(3) if i != j]
    np.testing.assert_array_equal(_separated(changed)[:, others], _separated(lives)[:, others])


@given(SEEDS, st.integers(1, 4))
def test_separated_rewards_sum_to_the_teams(seed: int, groups: int) -> None:
    lives = _lives(np.random.default_rng(seed), 5, 4)
    segment = _segment(lives)
    separate = _as_groups(segment, by_remainder(jnp.arange(4), groups), groups)
    together = _as_groups(segment, single(4), 1)
    for part in ("reward", "value", "log_probability"):
        total = getattr(separate, part).sum(-1)
        np.testing.assert_allclose(total, getattr(together, part)[..., 0], rtol=1e-5, atol=1e-6)
    expected = np.where(lives["alive"], lives["reward"], 0).sum(1)
    np.testing.assert_allclose(together.reward[:, 0, 0], expected, rtol=1e-5, atol=1e-6)


def test_the_mixing_weight_goes_from_own_to_team() -> None:
    reward, alive = jnp.array([3.0, 1.0, 9.0]), jnp.array([True, True, False])
    np.testing.assert_allclose(mix_rewards(reward, alive, 1.0, "mean"), [3, 1, 0])
    np.testing.assert_allclose(mix_rewards(reward, alive, 0.0, "mean"), [2, 2, 0])
    np.testing.assert_allclose(mix_rewards(reward, alive, 0.0, "sum"), [4, 4, 0])
    np.testing.assert_allclose(mix_rewards(reward, alive, 0.75, "sum"), [3.25, 1.75, 0])
    nobody = mix_rewards(reward, jnp.zeros(3, bool), 0.0, "mean")
    np.testing.assert_array_equal(nobody, [0, 0, 0])


@given(SEEDS)
def test_a_global_reward_is_the_mixing_weight_0(seed: int) -> None:
    lives = _lives(np.random.default_rng(seed), 5, 3)
    np.testing.assert_array_equal(
        _separated(lives, global_parts=frozenset({"reward"})), _separated(lives, own=0.0)
    )


@given(SEEDS)
def test_a_global_advantage_is_that_of_the_single_group(seed: int) -> None:
    lives = _lives(np.random.default_rng(seed), 5, 3)
    lives["next_alive"] |= True  # the single group then lives throughout
    lives["alive"] |= True
    lives["acting"] |= True
    parts = frozenset({"advantage"})
    found = _separated(lives, global_parts=parts, team_reward="sum")
    team = _separated(lives, single(3), 1)
    np.testing.assert_allclose(found, np.repeat(team, 3, 1), rtol=1e-4, atol=1e-5)


def test_a_global_critic_is_the_sum_of_living_groups_values() -> None:
    found = advantages(GOLDEN, Separation(global_parts=frozenset({"critic"})), 0.99, 0.95)
    expected = np.where(ALIVE, VALUE.sum(1, keepdims=True), 0)
    np.testing.assert_allclose(found[2][:, 0], expected, rtol=1e-6)
    # Group 1 at its last step, by hand: -1 + 0 - (0.2 + 0.1).
    assert float(found[0][3, 0, 1]) == pytest.approx(-1.3)


def test_groupings() -> None:
    assert by_entity(3).tolist() == [0, 1, 2]
    assert single(3).tolist() == [0, 0, 0]
    assert by_remainder(jnp.array([7, 8, 12]), 4).tolist() == [3, 0, 0]
    position = jnp.array([[0.0, 0.0], [5.0, 0.0], [9.0, 9.0]])
    centre = jnp.array([[1.0, 0.0], [6.0, 0.0], [9.0, 9.0]])
    assert by_nearest(position, centre, jnp.array([True, True, False])).tolist() == [0, 1, 1]
    # Two factories apart from four units in two groups.
    kind, within = jnp.array([0, 0, 1, 1, 1, 1]), jnp.array([0, 1, 0, 1, 0, 1])
    assert apart_by_kind(within, kind, (2, 2)).tolist() == [0, 1, 2, 3, 2, 3]


def test_only_members_are_summed() -> None:
    x, member = jnp.array([[1.0, 2.0, jnp.nan, 4.0]]), jnp.array([[True, True, False, True]])
    assert into_groups(x, jnp.array([0, 1, 1, 0]), member, 3).tolist() == [[5, 2, 0]]
    moved = into_groups(x, jnp.array([[2, 2, 0, 1]]), member, 3)
    assert moved.tolist() == [[0, 4, 3]]


def test_sample_reduction_by_hand() -> None:
    advantage = jnp.array([[1.0, -3.0, 2.0, 0.5, 9.0]])
    target = jnp.array([[0.0, 5.0, 1.0, 7.0, 9.0]])
    active = jnp.array([[True, True, True, True, False]])
    units = jnp.array([[True, True, True, False, True]])  # slot 3 is of another kind

    def kept(rule: str, count: int, eligible=None) -> list[int]:
        found = kept_cells(stream(0, "keep"), rule, count, advantage, target, active, eligible)
        return np.flatnonzero(np.asarray(found)[0]).tolist()

    assert kept("all", 0) == [0, 1, 2, 3]
    assert kept("top", 1) == [2]
    assert kept("top-abs", 1) == [1]
    assert kept("top-return", 2) == [1, 3]
    assert kept("top", 1, units) == [2, 3]
    assert len(kept("random", 2)) == 2
    assert len(kept("random", 2, units)) == 3
    assert kept("top", 9) == [0, 1, 2, 3]


def test_random_reduction_is_even() -> None:
    """Of 3 of 4 active cells one is kept, 3000 times; 4.5 standard deviations are 116."""
    active = jnp.broadcast_to(jnp.array([True, True, False, True]), (3000, 4))
    zero = jnp.zeros(active.shape)
    count = np.asarray(kept_cells(stream(1, "keep"), "random", 1, zero, zero, active).sum(0))
    assert count[2] == 0
    assert count.sum() == 3000
    assert abs(count[[0, 1, 3]] - 1000).max() < 116


# Networks and updates.


def _view(observation: jax.Array, mask: jax.Array, alive: jax.Array) -> View:
    return View(observation, mask, alive, mask.any(-1), jnp.zeros((len(alive), 0)))


def _alone(view: View, chosen: Chosen, **parts: jax.Array) -> Segment:
    """What is the same whatever came of it; leading axes as the view's."""
    zeros = jnp.zeros_like(chosen.value)
    blank = NOTHING._replace(
        observation=view.observation, mask=chosen.mask, central=view.central, action=chosen.action,
        log_probability=chosen.log_probability, value=chosen.value, next_value=zeros, reward=zeros,
        alive=view.alive, acting=view.acting, next_alive=view.alive,
        ended=jnp.zeros_like(view.alive), reset=jnp.zeros_like(view.alive),
        carry=jnp.zeros((*view.alive.shape[1:], 0)),
    )  # fmt: skip
    return blank._replace(**parts)


def _rollout(net: TeamNetwork, seed: int, time: int = 4, copies: int = 4, slots: int = 3):
    """Steps without a system behind them: action 1 is paid; deaths and pauses at random."""
    keys = jax.random.split(stream(seed, "rollout"), 5)
    shape = (time, copies, slots)
    observation = jax.random.normal(keys[0], (*shape, 5))
    alive = jnp.cumsum(jax.random.uniform(keys[1], shape) < 0.15, 0) == 0
    mask = (jax.random.uniform(keys[2], (*shape, 3)) < 0.8) & alive[..., None]
    flat = [x.reshape(-1, *x.shape[2:]) for x in (observation, mask, alive)]
    _, chosen = _act(net, keys[3], net.initial(time * copies), _view(*flat))
    view, chosen = jax.tree.map(
        lambda x: x.reshape(time, copies, *x.shape[1:]), (_view(*flat), chosen)
    )
    next_alive = jnp.concatenate([alive[1:], alive[-1:]])
    return _alone(
        view, chosen,
        next_value=jnp.where(next_alive, jnp.roll(chosen.value, -1, 0), 0.0),
        reward=(chosen.action == 1).astype(jnp.float32),
        next_alive=next_alive,
    )  # fmt: skip


_act, _unroll = jax.jit(TeamNetwork.act), jax.jit(TeamNetwork.unroll)
_gradient = jax.jit(gradient, static_argnames="how")
_as_cells = jax.jit(as_cells, static_argnames=("credit", "discount", "trace"))
_update = jax.jit(update, static_argnames="how")


def _network(own: bool = False) -> TeamNetwork:
    roles = (0, 1, 2) if own else (0, 0, 0)
    return team_network(stream(0, "net"), roles, 5, 3, kind="feed-forward", hidden=8, trunk=6)


def _prepared(data: Segment, seed: int, separation: Separation = Separation()) -> Cells:  # noqa: B008
    return _as_cells(
        stream(seed, "k"), data, credit=Credit(separation), discount=SETTINGS.discount,
        trace=SETTINGS.trace,
    )  # fmt: skip


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_acting_and_evaluating_agree(own: bool) -> None:
    net = _network(own)
    observation = jax.random.normal(stream(1, "x"), (6, 3, 5))
    mask = jnp.ones((6, 3, 3), bool).at[0, 0].set(False).at[1, 1, 2].set(False)
    view = _view(observation, mask, jnp.ones((6, 3), bool))
    _, chosen = _act(net, stream(2, "a"), net.initial(6), view)
    segment = _alone(*jax.tree.map(lambda x: x[None], (view, chosen)))
    again, entropy, value_again = (x[0] for x in _unroll(net, segment))
    np.testing.assert_array_equal(chosen.log_probability, again)
    np.testing.assert_array_equal(chosen.value, value_again)
    assert np.asarray(jnp.take_along_axis(mask, chosen.action[..., None], -1)).sum() == 17
    # Nothing possible: probability 1, no entropy, and a finite gradient.
    assert float(again[0, 0]) == float(entropy[0, 0]) == 0.0
    one = jax.tree.map(lambda x: x[net.roles[1]], net.actors)
    logits = np.asarray(one.step(one.initial(6), observation[:, 1])[1][1, :2], np.float64)
    p = np.exp(logits) / np.exp(logits).sum()
    assert float(entropy[1, 1]) == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)
    slope = jax.jit(jax.grad(lambda n: sum(x.sum() for x in n.unroll(segment))))(net)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))


def test_own_networks_are_apart() -> None:
    net = _network(own=True)
    view = _view(jnp.ones((1, 3, 5)), jnp.ones((1, 3, 3), bool), jnp.ones((1, 3), bool))

    def first_value(n: TeamNetwork) -> jax.Array:
        return n.value(n.initial(1), view)[0, 0]

    slope = jax.grad(first_value)(net).actors.critic.weight
    assert np.abs(slope[0]).sum() > 0
    assert not np.asarray(slope[1:]).any()


@pytest.mark.parametrize("normaliser", ["cells", "steps", "fixed"])
def test_pieces_give_the_gradient_of_the_whole(normaliser: str) -> None:
    net = _network()
    data = _rollout(net, 1, 2, 8)
    cells = _prepared(data, 1)
    cells = cells._replace(advantage=normalised(cells.advantage, cells.kept))
    weights = (cell_weights(x, normaliser, 1.7) for x in (cells.kept, cells.valued))
    batch = Batch(data, cells, *weights)
    how = How(SETTINGS, Credit(Separation(normaliser=normaliser)))
    moved = jax.tree.map(lambda x: 1.3 * x, net)
    whole, sums = _gradient(moved, batch, 0.2, 0.01, how=how)
    for pieces in (2, 8):
        parts, part_sums = _gradient(moved, batch, 0.2, 0.01, how=how._replace(pieces=pieces))
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        for name, x in sums.items():
            np.testing.assert_allclose(x, part_sums[name], rtol=1e-5, atol=1e-6, err_msg=name)


SEPARATIONS: dict[str, Callable[[], dict]] = {
    "agent": dict,
    **{part: lambda part=part: {"global_parts": frozenset({part})} for part in PARTS},
    "mix": lambda: {"own": 0.75, "normaliser": "steps"},
    "top": lambda: {"keep": "top", "keep_count": 1, "normaliser": "fixed"},
    "random": lambda: {"keep": "random", "keep_count": 1},
}


@pytest.mark.parametrize("name", SEPARATIONS)
def test_a_first_pass_over_own_experience_has_ratio_1(name: str) -> None:
    separation = Separation(**SEPARATIONS[name]())
    net = _network()
    settings = SETTINGS._replace(epochs=1, minibatches=1)
    data = _rollout(net, 2)
    how = How(settings, Credit(separation), by_step=True)
    _, sums = _update(stream(3, "u"), first_learner(net, settings), data, how=how)
    found = measures({name: float(x) for name, x in sums.items()})
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
    assert found["clip_fraction"] == 0.0
    assert int(sums["cells/1"]) > 0
    assert set(found) >= {"loss/policy", "loss/value", "entropy", "active_fraction"}
    acting = np.asarray(data.acting)
    assert found["active_fraction"] == pytest.approx(acting.sum() / acting.size)
    if separation.keep != "all":
        kept = np.asarray(_prepared(data, 2, separation).kept)
        assert int(sums["cells/1"]) == kept.sum() <= kept.size // kept.shape[-1]


def test_clipping_is_told_by_group_size() -> None:
    """Three slots, two of them in one group; each ratio is 1.15, the product of two 1.3225."""
    kept = np.array([[True, True]])
    cells = _cells((1, 2), kept=kept, size=np.array([[2, 1]]))
    table = _Table(np.log([[1.15, 1.15, 1.15]]), np.zeros((1, 3)), np.zeros((1, 3)))
    weight = cell_weights(cells.kept, "cells", 0.0)
    _, sums = _loss(table, cells, weight, group=(0, 0, 1))
    assert (int(sums["cells/2-3"]), int(sums["clipped/2-3"])) == (1, 1)
    assert (int(sums["cells/1"]), int(sums["clipped/1"])) == (1, 0)
    found = measures({name: float(x) for name, x in sums.items()}
                     | {"minibatches": 1, "active": 2, "grid": 2})  # fmt: skip
    assert (found["clip_fraction/size/2-3"], found["clip_fraction/size/1"]) == (1.0, 0.0)
    assert found["clip_fraction"] == 0.5
    # One ratio for the team: 1.15 cubed, also for the entity alone.
    team = Separation(global_parts=frozenset({"probabilities"}))
    _, sums = _loss(table, cells, weight, separation=team, group=(0, 0, 1))
    assert int(sums["clipped/1"]) == 1


def test_global_entropy_is_the_sum() -> None:
    cells = _cells((1, 2))
    table = _Table(np.zeros((1, 2)), [[0.5, 0.25]], np.zeros((1, 2)))
    weight = cell_weights(cells.kept, "cells", 0.0)
    for parts, expected in ((frozenset(), 0.375), (frozenset({"entropy"}), 0.75)):
        _, terms = _loss(table, cells, weight, separation=Separation(global_parts=parts))
        assert float(terms["entropy"]) == pytest.approx(expected)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_separated_learning_finds_what_pays(own: bool) -> None:
    """A bandit for three entities: action 1 pays 1. Random about 0.36 with these masks, asked 0.9
    of the cells in which it is allowed."""
    settings = SETTINGS._replace(discount=0.0, learning_rate=2e-2)
    learner = first_learner(_network(own), settings)

    @jax.jit
    def learned(key, learner, seed):
        data = _rollout(learner.network, seed, 8, 16)
        return update(key, learner, data, How(settings, pieces=2, by_step=True))[0]

    for i in range(40):
        learner = learned(stream(i, "u"), learner, i)
    data = _rollout(learner.network, 99, 8, 16)
    allowed = np.asarray(data.mask[..., 1])
    assert np.asarray(data.action == 1)[allowed].mean() >= 0.9


def test_nothing_is_learned_from_an_empty_system() -> None:
    net = _network()
    data = _rollout(net, 4)
    nobody = jnp.zeros_like(data.alive)
    data = data._replace(alive=nobody, acting=nobody, next_alive=nobody)
    how = How(SETTINGS, by_step=True)
    after, sums = _update(stream(0, "u"), first_learner(net, SETTINGS), data, how=how)
    for a, b in zip(jax.tree.leaves(net), jax.tree.leaves(after.network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(float(x)) for x in sums.values())
