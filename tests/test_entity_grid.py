"""The entity-grid network: enumerated probabilities, tiles, statistics, and its NumPy export."""

import ast
import inspect
import itertools
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core import UserError
from hinterland.domains.lux import heads as masked_heads
from hinterland.domains.lux import numpy_grid
from hinterland.domains.lux.embedding import BatchNorm, Conv, _convolve
from hinterland.domains.lux.entity_grid import EntityGrid, to_numpy, trainable

BATCH, SLOTS, HEIGHT, WIDTH = 3, 8, 4, 5  # not square: mixing up x and y must show
SIZE = (HEIGHT, WIDTH)
MASKS = {
    "factory_type": 4,
    "unit_type": 7,
    "move_direction": 5,
    "transfer_direction": 5,
    "transfer_resource": 5,
    "amount": 10,
}
TYPE, MOVE_DIRECTION = 0, 1
ONLY_MOVES = np.broadcast_to(np.arange(7) == 0, (BATCH, SLOTS, 7))
STEPS = np.array([[0, 0], [0, -1], [1, 0], [0, 1], [-1, 0]])  # x, y


measure = eqx.filter_jit(EntityGrid.with_statistics)
act = eqx.filter_jit(EntityGrid.act)
evaluate = eqx.filter_jit(EntityGrid.evaluate)
forward = eqx.filter_jit(lambda net, seen: (net.logits(seen), net.value(seen)))
sample = jax.jit(masked_heads.sample, static_argnames="board")
score = jax.jit(masked_heads.score)


@lru_cache
def network(seed: int = 0, **options: bool) -> EntityGrid:
    """Small, with measured statistics, and with heads that prefer something."""
    options = {"extra_scaling": False, **options}
    net = EntityGrid(jax.random.key(seed), 5, channels=4, residuals=(1,), **options)
    net = measure(net, observation(99))
    return eqx.tree_at(
        lambda n: (n.heads, n.local_value, n.global_value),
        net,
        replace_fn=lambda tree: jax.tree.map(lambda x: x * 100 + 0.1, tree),
    )


@lru_cache
def observation(seed: int) -> dict[str, np.ndarray]:
    """Random planes; units on distinct cells, some slots empty."""
    random = np.random.default_rng(seed)
    cells = [random.permutation(HEIGHT * WIDTH)[:SLOTS] for _ in range(BATCH)]
    return {
        "board": random.normal(size=(BATCH, 3, HEIGHT, WIDTH)).astype(np.float32),
        "scalars": random.normal(size=(BATCH, 2)).astype(np.float32),
        "cell": np.array(cells, np.int32),
        "kind": (random.random((BATCH, SLOTS)) < 0.75).astype(np.int32),
        "active": random.random((BATCH, SLOTS)) < 0.85,
    }


@lru_cache
def masks(seed: int, density: float = 0.6) -> dict[str, np.ndarray]:
    random = np.random.default_rng([seed, 1])
    return {name: random.random((BATCH, SLOTS, n)) < density for name, n in MASKS.items()}


def test_the_paper_sized_network_has_about_the_papers_parameters() -> None:
    net = jax.eval_shape(EntityGrid, jax.random.key(0))
    counted = jax.tree.map(lambda x, counts: x.size * counts, net, trainable(net))
    assert sum(jax.tree.leaves(counted)) == 205_746
    assert abs(205_746 / 208_457 - 1) < 0.02


def test_stored_actions_have_the_probability_they_were_drawn_with() -> None:
    net, seen = network(), observation(0)
    action, used, log_probability, value = act(net, jax.random.key(0), seen, masks(0))
    again, entropy, value_again = evaluate(net, seen, action, used)
    np.testing.assert_allclose(again, log_probability, atol=1e-6)
    np.testing.assert_allclose(value_again, value, atol=1e-6)
    decided = seen["active"] & (np.asarray(log_probability) < 0)
    assert decided.sum() > SLOTS
    assert np.asarray(value)[seen["active"]].std() > 0
    # an entity that had a choice has entropy; nobody else has
    assert (np.asarray(entropy)[decided] > 0).all()
    assert not np.asarray(entropy)[~seen["active"]].any()


def test_the_reservation_mask_matters_for_the_probability() -> None:
    # Else the test above would also pass with a mask that is returned unchanged.
    net, seen, mask = network(), observation(0), masks(0, 1.0)
    mask = {**mask, "unit_type": ONLY_MOVES}
    action, used, log_probability, _ = act(net, jax.random.key(0), seen, mask)
    again, _, _ = evaluate(net, seen, action, mask)
    assert np.abs(again - log_probability).max() > 1e-3
    assert (np.asarray(used["move_direction"]) & ~mask["move_direction"]).sum() == 0


def one_entity(seed: int, kind: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(logits [1, 1, 6, 10], masks) of one entity on a board, with few possible entries."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(1, 1, 6, 10)).astype(np.float32)
    return logits, {name: random.random((1, 1, n)) < 0.5 for name, n in MASKS.items()}


def possible_actions(mask: dict[str, np.ndarray], kind: int) -> list[tuple[int, ...]]:
    """Every action of one entity in the middle of a large empty board, by plain loops."""

    def entries(name: str) -> list[int]:
        return list(np.flatnonzero(mask[name][0, 0])) or [0]

    if kind == 0:
        types = np.flatnonzero(mask["factory_type"][0, 0])
        return [(int(t), 0, 0, 0, 0, 0) for t in types] or [(3, 0, 0, 0, 0, 0)]
    found = []
    for t in np.flatnonzero(mask["unit_type"][0, 0]):
        columns = [[int(t)], [0], [0], [0], [0], [0]]
        if t == 0:
            if not mask["move_direction"].any():
                continue
            columns[1] = entries("move_direction")
        elif t == 1:
            columns[2], columns[3] = entries("transfer_direction"), entries("transfer_resource")
        elif t == 2:
            columns[4] = entries("amount")
        elif t == 5:
            columns[5] = entries("amount")
        found += list(itertools.product(*columns))
    return found or [(6, 0, 0, 0, 0, 0)]


@given(st.integers(0, 10_000), st.integers(0, 1))
def test_probabilities_of_all_possible_actions_sum_to_1(seed: int, kind: int) -> None:
    logits, mask = one_entity(seed, kind)
    place = (np.full((1, 1), kind), np.ones((1, 1), bool))
    _, used = sample(jax.random.key(0), logits, mask, *place, np.full((1, 1), 12), (5, 5))
    actions = possible_actions(mask, kind)
    scored = [score(logits, np.array([[a]], np.int8), used, *place) for a in actions]
    log_probability, entropy = np.array(jax.device_get(scored))[..., 0, 0].T
    assert np.exp(log_probability).sum() == pytest.approx(1, abs=1e-5)
    # Given its type, the entropy of a decision is that of the type and of the type's parameters.
    by_type = {t: [i for i, a in enumerate(actions) if a[0] == t] for t in {a[0] for a in actions}}
    weight = {t: np.exp(log_probability[i]).sum() for t, i in by_type.items()}
    of_types = -sum(p * np.log(p) for p in weight.values())
    for t, members in by_type.items():
        p = np.exp(log_probability[members]) / weight[t]
        expected = of_types - (p * np.log(p)).sum()
        np.testing.assert_allclose(entropy[members], expected, atol=1e-5)


def test_actions_are_drawn_as_often_as_their_probability_says() -> None:
    draws = 20_000
    logits, mask = one_entity(3, 1)
    logits, mask = (
        np.repeat(logits, draws, 0),
        {name: np.repeat(m | (name == "unit_type"), draws, 0) for name, m in mask.items()},
    )
    place = (np.ones((draws, 1), int), np.ones((draws, 1), bool))
    cell = np.full((draws, 1), 12)
    action, used = sample(jax.random.key(0), logits, mask, *place, cell, (5, 5))
    log_probability, _ = score(logits, action, used, *place)
    found, first, counts = np.unique(
        np.asarray(action)[:, 0], axis=0, return_index=True, return_counts=True
    )
    assert len(found) > 15
    p = np.exp(np.asarray(log_probability)[first, 0])
    error = (counts / draws - p) / np.sqrt(p * (1 - p) / draws)
    # |z| of some tens of nearly normal errors: above 4.5 in one of about 5,000 such tests
    assert np.abs(error).max() < 4.5
    greedy, _ = sample(jax.random.key(1), logits, mask, *place, cell, (5, 5), True)
    assert (np.asarray(greedy) == np.asarray(greedy)[:1]).all()
    best = np.where(mask["unit_type"][0, 0], logits[0, 0, 0, :7], -np.inf).argmax()
    assert greedy[0, 0, TYPE] == best


def ends(seen: dict[str, np.ndarray], action: np.ndarray, b: int) -> list[tuple[int, int]]:
    """(x, y) of one board's active units after the action."""
    found = []
    for slot in np.flatnonzero(seen["active"][b] & (seen["kind"][b] == 1)):
        x, y = seen["cell"][b, slot] % WIDTH, seen["cell"][b, slot] // WIDTH
        if action[b, slot, TYPE] == 0:
            x, y = np.array([x, y]) + STEPS[action[b, slot, MOVE_DIRECTION]]
        found.append((int(x), int(y)))
    return found


@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.8, 1.0]), st.booleans(), st.booleans())
def test_two_units_never_take_one_tile(
    seed: int, density: float, all_move: bool, greedy: bool
) -> None:
    seen, mask = observation(seed), masks(seed, density)
    if all_move:
        mask = {**mask, "unit_type": ONLY_MOVES}
    action, used, _, _ = act(network(), jax.random.key(seed), seen, mask, jnp.asarray(greedy))
    action, used = np.asarray(action), {name: np.asarray(m) for name, m in used.items()}
    for b in range(BATCH):
        tiles = ends(seen, action, b)
        assert len(set(tiles)) == len(tiles)
        assert all(0 <= x < WIDTH and 0 <= y < HEIGHT for x, y in tiles)
    for name in MASKS:  # only ever narrower, and nothing else changes for those it concerns
        concerned = seen["active"] & (seen["kind"] == (name != "factory_type"))
        assert not (used[name] & ~mask[name]).any()
        assert not used[name][~concerned].any()
        if name not in {"unit_type", "move_direction"}:
            np.testing.assert_array_equal(used[name][concerned], mask[name][concerned])
    # whoever could choose chose something allowed
    unit = seen["active"] & (seen["kind"] == 1)
    for b, slot in zip(*np.nonzero(unit & used["unit_type"].any(-1)), strict=True):
        assert used["unit_type"][b, slot, action[b, slot, TYPE]]
        if action[b, slot, TYPE] == 0:
            assert used["move_direction"][b, slot, action[b, slot, MOVE_DIRECTION]]


def test_a_unit_may_follow_only_who_decided_before_it() -> None:
    # Three units in a row, 0 1 2, on a board of one row and four cells; all want to go right.
    logits = np.zeros((1, 3, 6, 10), np.float32)
    logits[..., TYPE, 0] = logits[..., MOVE_DIRECTION, 2] = 9.0
    mask = {name: np.ones((1, 3, n), bool) for name, n in MASKS.items()}
    mask["move_direction"][..., 0] = False
    place = (np.ones((1, 3), int), np.ones((1, 3), bool))

    def moves(cells: list[int]) -> tuple[list, list]:
        action, used = sample(
            jax.random.key(0), logits, mask, *place, np.array([cells]), (1, 4), True
        )
        return np.asarray(action)[0, :, :2].tolist(), np.asarray(used["unit_type"])[
            0, :, 0
        ].tolist()

    # the front unit first: each finds its target free
    assert moves([2, 1, 0]) == ([[0, 2], [0, 2], [0, 2]], [True, True, True])
    # the last first: 0 is stuck at the border, 1 between two others, 2 can go; entry 1 ("transfer")
    # is the next best of equals
    assert moves([0, 1, 2]) == ([[1, 0], [1, 0], [0, 2]], [False, False, True])


def test_nothing_allowed_means_nothing_done() -> None:
    net, seen, mask = network(), observation(0), masks(0, 0.0)
    action, used, log_probability, _ = act(net, jax.random.key(0), seen, mask)
    expected = np.where(seen["kind"] == 1, 6, 3)
    np.testing.assert_array_equal(action[..., TYPE], expected)
    again, entropy, _ = evaluate(net, seen, action, used)
    for x in (action[..., 1:], log_probability, again, entropy):
        assert not np.asarray(x).any()


def shuffled(tree: dict[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray]:
    whole = {"board", "scalars"}
    return {name: x if name in whole else x[:, order] for name, x in tree.items()}


@given(st.integers(0, 10_000))
def test_slots_may_be_permuted_and_empty_slots_hold_anything(seed: int) -> None:
    net, seen, mask = network(), observation(seed), masks(seed)
    action, used, *_ = map(jax.device_get, act(net, jax.random.key(seed), seen, mask))
    found = evaluate(net, seen, action, used)
    random = np.random.default_rng(seed)
    order = random.permutation(SLOTS)
    again = evaluate(net, shuffled(seen, order), action[:, order], shuffled(used, order))
    for x, y in zip(found, again, strict=True):
        np.testing.assert_allclose(np.asarray(x)[:, order], y, atol=1e-5)
    empty = ~seen["active"]
    other = {**seen, "kind": np.where(empty, 1 - seen["kind"], seen["kind"])}
    other["cell"] = np.where(empty, -1, seen["cell"])
    junk = {name: m | empty[..., None] for name, m in used.items()}
    again = evaluate(net, other, np.where(empty[..., None], 1, action).astype(np.int8), junk)
    for x, y in zip(found, again, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
        assert not np.asarray(y)[empty].any()


def test_boards_of_a_batch_do_not_touch_each_other() -> None:
    net, seen, mask = network(), observation(1), masks(1)
    action, used, *_ = act(net, jax.random.key(0), seen, mask)
    together = evaluate(net, seen, action, used)
    for b in range(BATCH):
        alone = jax.tree.map(lambda x, b=b: x[b : b + 1], (seen, action, used))
        for x, y in zip(together, evaluate(net, *alone), strict=True):
            np.testing.assert_allclose(x[b], y[0], atol=1e-5)


def slowly_convolved(conv: Conv, x: np.ndarray) -> np.ndarray:
    """Spectral norm by SVD, convolution by loops over output cells; [row, column, channel]."""
    weight = np.asarray(conv.weight, np.float64)
    if conv.spectral_norm:
        weight /= np.linalg.svd(weight.reshape(-1, weight.shape[-1]))[1][0]
    y = np.zeros((*x.shape[:2], weight.shape[-1]))
    for row, column in np.ndindex(*x.shape[:2]):
        for i, j in np.ndindex(3, 3):
            r, c = row + i - 1, column + j - 1
            if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                y[row, column] += x[r, c] @ weight[i, j]
    return y


def test_the_convolution_has_the_gradient_of_its_definition() -> None:
    shapes = (2, 5, 4, 3), (3, 3, 3, 6), (2, 5, 4, 6)
    keys = jax.random.split(jax.random.key(0), 3)
    x, weight, slope = (jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))

    def by_definition(x: jax.Array, weight: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        around = [padded[:, i : i + 5, j : j + 4] @ weight[i, j] for i, j in np.ndindex(3, 3)]
        return sum(around)

    for ours, theirs in zip(
        jax.vjp(_convolve, x, weight)[1](slope),
        jax.vjp(by_definition, x, weight)[1](slope),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def slowly_layered(conv: Conv, x: np.ndarray) -> np.ndarray:
    y = slowly_convolved(conv, x)
    if conv.norm is not None:
        norm = jax.tree.map(lambda a: np.asarray(a, np.float64), conv.norm)
        y = (y - norm.mean) / np.sqrt(norm.variance + 1e-5) * norm.scale + norm.shift
    return np.maximum(y, 0.01 * y)


@lru_cache
def trained(**options: bool) -> EntityGrid:
    """A network whose convolutions and norms are no longer as they were initialised."""
    net = network(**options)
    random = np.random.default_rng(5)
    flags, leaves = jax.tree.leaves(trainable(net)), map(np.asarray, jax.tree.leaves(net))
    noisy = [
        x + flag * np.float32(0.1) * random.normal(size=x.shape).astype(np.float32)
        for x, flag in zip(leaves, flags, strict=True)
    ]
    net = jax.tree.unflatten(jax.tree.structure(net), noisy)
    return measure(net, observation(98))


@pytest.mark.parametrize("norm", [True, False])
def test_values_are_those_of_a_slow_second_implementation(norm: bool) -> None:
    net, seen = trained(batch_norm=norm, spectral_norm=norm), observation(2)
    _, value = forward(net, seen)
    first, block, last = net.critic.layers
    for b in range(BATCH):
        x = np.moveaxis(seen["board"][b], 0, -1)
        x = np.concatenate([x, np.broadcast_to(seen["scalars"][b], (HEIGHT, WIDTH, 2))], -1)
        x = slowly_layered(first, x)
        y = slowly_layered(block.second, slowly_layered(block.first, x))
        hidden = y.mean((0, 1)) @ np.asarray(block.squeeze.weight) + np.asarray(block.squeeze.bias)
        hidden = np.maximum(hidden, 0.01 * hidden) @ np.asarray(block.excite.weight)
        x = x + y / (1 + np.exp(-hidden - np.asarray(block.excite.bias)))
        x = slowly_layered(last, x)
        local = x @ np.asarray(net.local_value.weight) + np.asarray(net.local_value.bias)
        whole = x @ np.asarray(net.global_value.weight) + np.asarray(net.global_value.bias)
        for slot in range(SLOTS):
            row, column = divmod(int(seen["cell"][b, slot]), WIDTH)
            channel = 1 - seen["kind"][b, slot]  # unit first, then factory
            expected = local[row, column, channel] + whole[..., channel].mean()
            expected *= seen["active"][b, slot]
            np.testing.assert_allclose(value[b, slot], expected, rtol=2e-3, atol=2e-3)


def norms_of(net: EntityGrid) -> list[BatchNorm]:
    leaves = jax.tree.leaves(net, is_leaf=lambda x: isinstance(x, BatchNorm))
    return [x for x in leaves if isinstance(x, BatchNorm)]


def test_the_first_measurement_makes_every_channel_standard() -> None:
    net, seen = network(), observation(99)  # measured on these when it was new
    first, block, last = net.actor.layers
    planes = np.moveaxis(seen["board"], 1, -1)
    scalars = np.broadcast_to(seen["scalars"][:, None, None], (*planes.shape[:3], 2))
    x = jnp.asarray(np.concatenate([planes, scalars], -1))
    for conv, inputs in ((first, x), (block.first, first(x)), (last, block(first(x)))):
        y = np.stack([slowly_convolved(conv, board) for board in np.asarray(inputs)])
        np.testing.assert_allclose(conv.norm.mean, y.mean((0, 1, 2)), atol=1e-4)
        np.testing.assert_allclose(conv.norm.variance, y.var((0, 1, 2)), rtol=1e-3)
    for norm in norms_of(net):
        np.testing.assert_array_equal(norm.scale, 1)
        np.testing.assert_array_equal(norm.shift, 0)


def test_later_measurements_change_the_coordinates_but_not_the_function() -> None:
    net, seen = trained(), observation(0)
    again = measure(net, observation(97))
    for before, after in zip(norms_of(net), norms_of(again), strict=True):
        assert np.abs(after.variance / before.variance - 1).max() > 0.01
    for x, y in zip(forward(net, seen), forward(again, seen), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4)


def test_extra_scaling_cancels_in_the_convolutions_and_quiets_the_heads() -> None:
    plain = EntityGrid(jax.random.key(0), 5, channels=4, residuals=(1,), extra_scaling=False)
    scaled = EntityGrid(jax.random.key(0), 5, channels=4, residuals=(1,), extra_scaling=True)
    for x, y in zip(plain.actor.layers, scaled.actor.layers, strict=True):
        if isinstance(x, Conv):
            np.testing.assert_allclose(x.weight, 100 * y.weight, rtol=1e-4)
            np.testing.assert_allclose(x.normalised(), y.normalised(), rtol=1e-4, atol=1e-6)
    head = plain.heads["unit_type"].weight
    np.testing.assert_allclose(scaled.heads["unit_type"].weight, 0.01 * head, rtol=1e-4)
    # orthogonal: with fewer inputs than outputs, rows are perpendicular, of length 0.01
    np.testing.assert_allclose(head @ head.T, 1e-4 * np.eye(4), atol=1e-9)


def test_a_ppo_step_changes_every_parameter_and_no_statistic() -> None:
    net, seen, mask = trained(), observation(0), masks(0, 1.0)
    # Every type is taken, so that every head decides something.
    unit = seen["kind"] == 1
    turn = np.cumsum(unit & seen["active"]).reshape(BATCH, SLOTS)
    action = np.zeros((BATCH, SLOTS, 6), np.int8)
    action[..., TYPE] = np.where(unit, turn % 7, turn % 4)
    old, _, value = evaluate(net, seen, action, mask)
    advantage = jax.random.normal(jax.random.key(1), old.shape)

    @jax.jit
    def step(net: EntityGrid) -> tuple[EntityGrid, jax.Array]:
        def loss(net: EntityGrid) -> tuple[jax.Array, jax.Array]:
            new, entropy, values = net.evaluate(seen, action, mask)
            ratio = jnp.exp(new - old)
            surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage)
            total = -surrogate.mean() + ((values - value - 1) ** 2).mean() - 1e-3 * entropy.mean()
            return total, ratio

        optimiser = optax.chain(optax.clip_by_global_norm(0.5), optax.scale_by_adam(eps=1e-5))
        gradient, ratio = jax.grad(loss, has_aux=True)(net)
        change, _ = optimiser.update(gradient, optimiser.init(net))
        return jax.tree.map(lambda p, c: p - 1e-3 * c, net, change), ratio

    after, ratio = step(net)
    np.testing.assert_allclose(ratio, 1, atol=1e-5)
    named = jax.tree_util.tree_leaves_with_path(net)
    flags = jax.tree.leaves(trainable(net))
    assert sum(not flag for flag in flags) == 2 * 4 * 2  # embeddings, convolutions, statistics
    for (path, x), y, flag in zip(named, jax.tree.leaves(after), flags, strict=True):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(y).all(), name
        assert np.array_equal(x, y) != flag, name


@given(st.integers(0, 10_000), st.booleans())
def test_the_numpy_export_decides_like_the_network(seed: int, all_move: bool) -> None:
    net, weights = exported(True)
    seen, mask = observation(seed), masks(seed, 0.8)
    if all_move:
        mask = {**mask, "unit_type": ONLY_MOVES}
    expected, *_ = act(net, jax.random.key(0), seen, mask, jnp.asarray(True))
    for b in range(BATCH):
        mine, allowed = ({k: x[b] for k, x in tree.items()} for tree in (seen, mask))
        np.testing.assert_array_equal(numpy_grid.decide(weights, mine, allowed), expected[b])


@lru_cache
def exported(norm: bool) -> tuple[EntityGrid, dict[str, np.ndarray]]:
    net = trained(batch_norm=norm, spectral_norm=norm)
    return net, to_numpy(net)


@pytest.mark.parametrize("norm", [True, False])
def test_the_numpy_export_has_the_networks_logits(norm: bool) -> None:
    net, weights = exported(norm)
    seen = observation(0)
    expected, _ = forward(net, seen)
    found = numpy_grid.logits(weights, {name: x[0] for name, x in seen.items()})
    for slot in range(SLOTS):
        kind = ("factory_type", "unit_type")[seen["kind"][0, slot]]
        for column, name in enumerate((kind, *masked_heads.PARAMETERS)):
            x = found[name][slot]
            np.testing.assert_allclose(x, expected[0, slot, column, : len(x)], rtol=1e-3, atol=1e-3)


def test_the_numpy_export_draws_from_its_logits() -> None:
    weights = exported(True)[1]
    mine, allowed = ({k: x[0] for k, x in tree.items()} for tree in (observation(0), masks(0, 0.9)))
    # the first unit's type does not depend on the others' tiles: its frequencies are a softmax
    slot = int(np.flatnonzero(mine["active"] & (mine["kind"] == 1))[0])
    random, draws = np.random.default_rng(0), 1_000
    types = [numpy_grid.decide(weights, mine, allowed, random)[slot, 0] for _ in range(draws)]
    x = numpy_grid.logits(weights, mine)["unit_type"][slot]
    x = np.where(allowed["unit_type"][slot], x, -np.inf)
    p = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    error = np.bincount(types, minlength=7) / draws - p
    assert np.abs(error / np.sqrt(np.maximum(p * (1 - p), 1e-9) / draws)).max() < 4.5


def test_the_exported_file_needs_python_3_7_and_numpy_only() -> None:
    tree = ast.parse(inspect.getsource(numpy_grid), feature_version=(3, 7))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(n) for n in imports] == ["import numpy as np"]
    newer = {"removeprefix", "removesuffix"}
    assert not {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} & newer
    assert numpy_grid.PARAMETERS[0][2] == masked_heads.MOVE
    assert tuple(row[0] for row in numpy_grid.PARAMETERS) == masked_heads.PARAMETERS
    assert tuple(row[2] for row in numpy_grid.PARAMETERS) == masked_heads.USED_BY
    assert numpy_grid.STEPS == masked_heads.STEPS


def test_a_wrong_number_of_planes_is_said_so() -> None:
    seen = {**observation(0), "scalars": np.zeros((BATCH, 1), np.float32)}
    with pytest.raises(UserError, match=r"4 planes \(board 3, scalars 1\) .* made for 5"):
        network().value(seen)
