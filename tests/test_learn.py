"""GAE by hand and against plain NumPy; the PPO loss by hand; the GRU against autodiff; the one
update against a second, naive one."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core import Segment, View, stream
from hinterland.learn import (
    Cells,
    Credit,
    How,
    Learner,
    PPOSettings,
    Separation,
    first_learner,
    gae,
    measures,
    update,
)
from hinterland.learn.cells import cell_weights, normalised
from hinterland.learn.ppo import Batch, loss
from hinterland.nets import GRU, ActorCritic, PredictorNetwork, TeamNetwork, team_network

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
    discount=0.9,
    trace=0.8,
    anneal_rate=True,
    anneal_clip=True,
    anneal_entropy=True,
    annealing=10,
)


def test_gae_of_a_worked_example() -> None:
    # Five steps, gamma 0.5, lambda 0.5. Step 1 ends by truncation (its successor is worth 4),
    # step 3 by termination (its successor is worth 0).
    reward = jnp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    value = jnp.array([1.0, 1.0, 1.0, 1.0, 1.0])
    next_value = jnp.array([1.0, 4.0, 1.0, 0.0, 2.0])
    done = jnp.array([False, True, False, True, False])
    # deltas: 1+.5-1=.5, 2+2-1=3, 3+.5-1=2.5, 4+0-1=3, 5+1-1=5
    # advantages: .5+.25*3=1.25, 3, 2.5+.25*3=3.25, 3, 5
    expected = [1.25, 3.0, 3.25, 3.0, 5.0]
    np.testing.assert_allclose(gae(reward, value, next_value, done, 0.5, 0.5), expected)


def _gae_by_sums(reward, value, next_value, done, discount, trace):
    """The definition: discounted sums of temporal differences up to the end of the episode."""
    delta = reward + discount * next_value - value
    result = np.zeros_like(delta)
    for t in range(len(delta)):
        weight = 1.0
        for k in range(t, len(delta)):
            result[t] += weight * delta[k]
            if done[k]:
                break
            weight *= discount * trace
    return result


_gae = jax.jit(gae)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_gae_equals_its_definition(seed: int, length: int) -> None:
    random = np.random.default_rng(seed)
    reward, value, next_value = random.normal(size=(3, length)).astype(np.float32)
    done = random.random(length) < 0.3
    found = _gae(*map(jnp.asarray, (reward, value, next_value, done)), 0.97, 0.9)
    expected = _gae_by_sums(reward, value, next_value, done, 0.97, 0.9)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_gae_with_lambda_1_is_the_discounted_return_minus_the_value() -> None:
    reward = jnp.array([1.0, 0.0, 2.0])
    value = jnp.array([0.3, 0.2, 0.1])
    done = jnp.array([False, False, True])
    next_value = jnp.array([0.2, 0.1, 0.0])
    returns = jnp.array([1 + 0.81 * 2, 0.9 * 2, 2.0])
    np.testing.assert_allclose(
        gae(reward, value, next_value, done, 0.9, 1.0), returns - value, rtol=1e-6
    )


class _Table:
    """Stands for a network: fixed log-probabilities, entropies and values."""

    def __init__(self, *table):
        self.table = tuple(jnp.float32(x)[:, None, None] for x in table)

    def unroll(self, segment):
        return self.table


def test_ppo_loss_of_three_samples_by_hand() -> None:
    probability = np.array([0.5, 0.8, 0.3])  # of the action taken, now
    before = np.array([0.5, 0.5, 0.6])
    entropy = -(probability * np.log(probability) + (1 - probability) * np.log(1 - probability))
    advantage = np.array([1.0, 2.0, -3.0])
    value, old, target = np.array([1.0, 2.0, 0.0]), np.array([1.0, 1.5, 0.1]), np.array([2.0, 2, 1])
    every = jnp.ones((3, 1, 1), bool)
    parts = (jnp.float32(x)[:, None, None] for x in (np.log(before), old, advantage, target))
    cells = Cells(*parts, None, every.astype(jnp.int32), every, every)
    cells = cells._replace(advantage=normalised(cells.advantage, every))
    blank = Segment(*[None] * len(Segment._fields))._replace(alive=every, acting=every)
    weight = cell_weights(every, "cells", 0.0)
    table = _Table(np.log(probability), entropy, value)
    batch = Batch(blank, cells, weight, weight)
    total, terms = loss(table, batch, 0.2, 0.01, How(SETTINGS))
    # ratios 1, 1.6, 0.5; advantages normalised by mean 0 and standard deviation sqrt(14/3).
    normal = advantage / np.sqrt(14 / 3)
    surrogate = [normal[0], 1.2 * normal[1], min(0.5 * normal[2], 0.8 * normal[2])]
    assert float(terms["loss/policy"]) == pytest.approx(-np.mean(surrogate), rel=1e-4)
    # values moved by 0, 0.5 -> 0.2, -0.1; the larger of the two squared errors counts.
    squares = [1.0, max(0.0, (1.7 - 2) ** 2), 1.0]
    assert float(terms["loss/value"]) == pytest.approx(np.mean(squares), rel=1e-5)
    assert int(terms["clipped/1"]) == 2
    assert int(terms["cells/1"]) == 3
    assert float(terms["entropy"]) == pytest.approx(entropy.mean(), rel=1e-5)
    expected = -np.mean(surrogate) + 0.5 * np.mean(squares) - 0.01 * entropy.mean()
    assert float(total) == pytest.approx(expected, rel=1e-4)


def test_the_gru_gives_pytorchs_numbers() -> None:
    """The equations of torch.nn.GRU, evaluated in NumPy, with resets."""
    net = GRU(stream(0, "gru"), 3, 4)
    random = np.random.default_rng(0)
    x = random.normal(size=(5, 2, 3)).astype(np.float32)
    reset = np.array([[0, 0], [0, 1], [0, 0], [1, 0], [0, 0]], bool)
    hidden = random.normal(size=(2, 4)).astype(np.float32)
    found = net.unroll(jnp.asarray(hidden), jnp.asarray(x), jnp.asarray(reset))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    w, b = np.asarray(net.project.weight), np.asarray(net.project.bias)
    u, c = np.asarray(net.weight), np.asarray(net.bias)
    for t in range(5):
        hidden = np.where(reset[t][:, None], 0, hidden)
        i, h = x[t] @ w + b, hidden @ u + c
        r, z = sigmoid(i[:, :4] + h[:, :4]), sigmoid(i[:, 4:8] + h[:, 4:8])
        n = np.tanh(i[:, 8:] + r * h[:, 8:])
        hidden = (1 - z) * n + z * hidden
        np.testing.assert_allclose(found[t], hidden, rtol=1e-5, atol=1e-6)


def test_the_grus_own_gradient_is_automatic_differentiations() -> None:
    net = GRU(stream(1, "gru"), 3, 4)
    keys = jax.random.split(stream(2, "data"), 3)
    x, hidden = jax.random.normal(keys[0], (6, 2, 3)), jax.random.normal(keys[1], (2, 4))
    reset = jax.random.uniform(keys[2], (6, 2)) < 0.3

    def by_steps(net, hidden, x):
        total = 0.0
        for t in range(6):
            hidden = jnp.where(reset[t][:, None], 0.0, hidden)
            hidden = net.step(hidden, x[t])
            total += (hidden**2 * (t + 1)).sum()
        return total

    def by_unroll(net, hidden, x):
        weight = jnp.arange(1.0, 7.0)[:, None, None]
        return (net.unroll(hidden, x, reset) ** 2 * weight).sum()

    expected = jax.grad(by_steps, (0, 1, 2))(net, hidden, x)
    found = jax.grad(by_unroll, (0, 1, 2))(net, hidden, x)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_networks_have_the_papers_sizes() -> None:
    def size(net):
        return sum(x.size for x in jax.tree.leaves(net))

    assert size(ActorCritic(stream(0, "net"), 37, 4)) == 260_101
    assert size(PredictorNetwork(stream(0, "net"), 37, 4, 4)) == 20_816


@pytest.mark.parametrize("kind", ["gru", "feed-forward"])
def test_stepping_a_network_is_unrolling_it(kind: str) -> None:
    net = ActorCritic(stream(0, "net"), 5, 3, kind=kind, hidden=8, trunk=6)
    x = jax.random.normal(stream(1, "x"), (4, 2, 5))
    carry = net.initial(2)
    logits, values = net.unroll(carry, x, jnp.zeros((4, 2), bool))
    for t in range(4):
        carry, logits_t, value_t = net.step(carry, x[t])
        np.testing.assert_allclose(logits[t], logits_t, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(values[t], value_t, rtol=1e-5, atol=1e-6)


def _view(observation: jax.Array) -> View:
    every = jnp.ones(observation.shape[:2], bool)
    mask = jnp.repeat(every[..., None], 3, -1)
    return View(observation, mask, every, every, jnp.zeros((len(every), 0)))


@jax.jit
def _segment(net: TeamNetwork, seed: int) -> Segment:
    """Three steps of eight copies of one slot; log-probabilities are the network's own."""
    keys = jax.random.split(stream(seed, "segment"), 4)
    shape = (3, 8, 1)
    observation = jax.random.normal(keys[0], (*shape, 5))
    carry = before = net.initial(8)
    steps = []
    for t in range(3):
        carry, chosen = net.act(keys[1 + t], carry, _view(observation[t]))
        steps.append(chosen)
    chosen = jax.tree.map(lambda *x: jnp.stack(x), *steps)
    every, never = jnp.ones(shape, bool), jnp.zeros(shape, bool)
    return Segment(
        observation=observation,
        mask=chosen.mask,
        central=jnp.zeros((3, 8, 0)),
        action=chosen.action,
        log_probability=chosen.log_probability,
        value=chosen.value,
        next_value=jnp.zeros(shape),
        reward=(chosen.action == 1).astype(jnp.float32),
        alive=every,
        acting=every,
        next_alive=every,
        ended=every,
        reset=never,
        carry=before,
    )


def _learner(settings: PPOSettings, roles: Sequence[int] = (0,), kind: str = "gru") -> Learner:
    net = team_network(stream(0, "net"), roles, 5, 3, kind=kind, hidden=8, trunk=6)
    return first_learner(net, settings)


def test_a_first_pass_over_own_experience_has_ratio_1() -> None:
    """What the shared-policy bug of the paper's code breaks (reference: 0.04 to 0.08)."""
    settings = SETTINGS._replace(epochs=1, minibatches=1)
    learner = _learner(settings)
    _, sums = update(stream(3, "u"), learner, _segment(learner.network, 0), How(settings))
    found = measures({name: float(x) for name, x in sums.items()})
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
    assert found["clip_fraction"] == 0.0


def test_ppo_learns_which_action_pays() -> None:
    """A bandit: action 1 pays 1, the others 0. Random 0.33, best 1.0, asked 0.9."""
    settings = SETTINGS._replace(anneal_rate=False, anneal_clip=False)
    learner = _learner(settings)

    @jax.jit
    def learned(key, learner, seed):
        return update(key, learner, _segment(learner.network, seed), How(settings))[0]

    for i in range(40):
        learner = learned(stream(i, "u"), learner, i)
    assert float(_segment(learner.network, 99).reward.mean()) >= 0.9


def test_learning_stands_still_when_the_schedule_has_ended() -> None:
    learner = _learner(SETTINGS)._replace(updates=jnp.int32(SETTINGS.annealing))
    after, _ = update(stream(0, "u"), learner, _segment(learner.network, 0), How(SETTINGS))
    for a, b in zip(jax.tree.leaves(learner.network), jax.tree.leaves(after.network), strict=True):
        np.testing.assert_array_equal(a, b)


# The one update, a second time: slot by slot, step by step, cell by cell.

TIME, COPIES, SLOTS = 5, 2, 3


def _experience(seed: int, memory: int, lives: bool) -> Segment:
    """By another policy than the one that learns, with ends of episodes; of entities, if these
    `lives`, that die, are cut and pause."""
    random = np.random.default_rng(seed)
    shape = (TIME, COPIES, SLOTS)
    alive, next_alive = np.ones(shape, bool), np.ones(shape, bool)
    mask = random.random((*shape, 3)) < 0.8
    mask[..., 0] |= ~mask.any(-1)
    ended = np.zeros(shape, bool)
    ended[1, 0] = ended[2, 1] = True
    next_alive[2, 1] = False  # that episode was terminated; the other one was truncated
    cut = np.zeros(shape, bool)
    if lives:
        alive[:2, 0, 1] = next_alive[0, 0, 1] = False  # born in the new episode
        next_alive[3, 0, 2] = alive[4, 0, 2] = False  # dies
        next_alive[0, 1, 0] = alive[1:3, 1, 0] = next_alive[1, 1, 0] = False  # is cut, and gone
        cut[0, 1, 0] = True
        mask[3, 1, 1] = False  # pauses
    mask &= alive[..., None]
    scores = np.where(mask, random.random((*shape, 3)), -1.0)
    value, next_value = random.normal(size=(2, *shape))
    inside = next_alive[:-1] & ~ended[:-1]
    next_value[:-1][inside] = value[1:][inside]
    reset = np.concatenate([random.random((1, COPIES, SLOTS)) < 0.5, ended[:-1] | ~alive[:-1]])
    parts = {
        "observation": random.normal(size=(*shape, 5)),
        "mask": mask,
        "central": np.zeros((TIME, COPIES, 0)),
        "action": scores.argmax(-1),
        "log_probability": np.where(mask.any(-1), np.log(random.uniform(0.15, 0.6, shape)), 0.0),
        "value": value,
        "next_value": np.where(next_alive | cut, next_value, 0.0),
        "reward": np.where(alive, random.normal(size=shape), 0.0),
        "alive": alive,
        "acting": mask.any(-1),
        "next_alive": next_alive,
        "ended": ended,
        "reset": reset,
        "carry": random.normal(size=(COPIES, SLOTS, memory)),
    }
    parts = {n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in parts.items()}
    return Segment(**parts)


_step, _update = jax.jit(ActorCritic.step), jax.jit(update, static_argnames="how")


def _naive_unroll(network: TeamNetwork, seen: Segment) -> dict[tuple, tuple]:
    """(log-probability, entropy, value) by (time, copy, slot), each slot a step at a time."""
    found = {}
    for copy, slot in np.ndindex(COPIES, SLOTS):
        actor = jax.tree.map(lambda x, s=slot: x[network.roles[s]], network.actors)
        memory = jnp.asarray(seen.carry[copy, slot])[None]
        for t in range(TIME):
            if seen.reset[t, copy, slot]:
                memory = jnp.zeros_like(memory)
            memory, logits, value = _step(actor, memory, seen.observation[t, copy, slot][None])
            allowed = np.flatnonzero(seen.mask[t, copy, slot])
            if len(allowed):
                odds = jnp.exp(logits[0][allowed])
                p = odds / odds.sum()
                picked = jnp.log(p[list(allowed).index(seen.action[t, copy, slot])])
                found[t, copy, slot] = (picked, -(p * jnp.log(p)).sum(), value[0])
            else:
                found[t, copy, slot] = (0.0, 0.0, value[0])
    return found


class _Given(NamedTuple):
    """What the loss takes as given of a cell."""

    reference: float
    value: float
    advantage: float
    target: float
    weight: float
    acts: bool


def _naive_cells(
    seen: Segment, group: tuple[int, ...], own: float, now: dict | None, how: PPOSettings
) -> dict[tuple, _Given]:
    """Of every living cell (time, copy, group). `now` is the learner's own view, for V-trace."""
    sizes = (TIME, COPIES, max(group) + 1)
    old, reference, value, after, reward = np.zeros((5, *sizes))
    alive, goes_on, acts, ended = np.zeros((4, *sizes), bool)
    for t, c, s in np.ndindex(TIME, COPIES, SLOTS):
        at = (t, c, group[s])
        last = t == TIME - 1 or seen.ended[t, c, s] or not seen.next_alive[t, c, s]
        after[at] += seen.next_value[t, c, s] if last or now is None else float(now[t + 1, c, s][2])
        goes_on[at] |= bool(seen.next_alive[t, c, s])
        ended[at] |= bool(seen.ended[t, c, s])
        if seen.alive[t, c, s]:
            alive[at] = True
            reward[at] += seen.reward[t, c, s]
            value[at] += seen.value[t, c, s] if now is None else float(now[t, c, s][2])
        if seen.acting[t, c, s]:
            acts[at] = True
            old[at] += seen.log_probability[t, c, s]
            mine = seen.log_probability[t, c, s] if now is None else float(now[t, c, s][0])
            reference[at] += mine
    weight = np.minimum(1.0, np.exp(reference - old))
    over = ended | ~goes_on
    over[-1] = True  # nothing is known of later steps

    def surprise(t: int, c: int, g: int) -> float:
        team = reward[t, c][alive[t, c]].mean()
        paid = own * reward[t, c, g] + (1 - own) * team
        return paid + how.discount * after[t, c, g] - value[t, c, g]

    def corrected(t: int, c: int, g: int) -> float:
        """v_t - V_t of Espeholt et al. 2018, equation 1; of one's own policy GAE."""
        total, product = 0.0, 1.0
        for k in range(t, TIME):
            total += product * weight[k, c, g] * surprise(k, c, g)
            if over[k, c, g]:
                break
            product *= how.discount * how.trace * weight[k, c, g]
        return total

    cells = {}
    for t, c, g in map(tuple, np.argwhere(alive)):
        later = 0.0 if over[t, c, g] else how.discount * how.trace * corrected(t + 1, c, g)
        cells[t, c, g] = _Given(
            reference[t, c, g],
            value[t, c, g],
            surprise(t, c, g) + later,
            value[t, c, g] + corrected(t, c, g),
            weight[t, c, g] if now is not None else 1.0,
            bool(acts[t, c, g]),
        )
    return cells


def _naive_loss(
    network: TeamNetwork, seen: Segment, group: tuple[int, ...], cells: dict, how: PPOSettings
) -> tuple[jax.Array, tuple]:
    """The published loss, cell by cell; and its parts."""
    found = _naive_unroll(network, seen)
    chosen = np.array([x.advantage for x in cells.values() if x.acts])
    policy = error = entropy = 0.0
    for (t, c, g), cell in cells.items():
        each = [found[t, c, s] for s in range(SLOTS) if group[s] == g and seen.alive[t, c, s]]
        value = sum(one[2] for one in each)
        near = cell.value + jnp.clip(value - cell.value, -how.clip, how.clip)
        error += jnp.maximum((value - cell.target) ** 2, (near - cell.target) ** 2)
        if cell.acts:
            normal = cell.weight * (cell.advantage - chosen.mean()) / (chosen.std() + 1e-8)
            ratio = jnp.exp(sum(one[0] for one in each) - cell.reference)
            policy -= jnp.minimum(
                ratio * normal, jnp.clip(ratio, 1 - how.clip, 1 + how.clip) * normal
            )
            entropy += sum(one[1] for one in each)
    policy, error, entropy = policy / len(chosen), error / len(cells), entropy / len(chosen)
    total = policy + how.value_weight * error - how.entropy_weight * entropy
    return total, (policy, error, entropy)


ALONE, PAIRED = (0, 1, 2), (0, 0, 1)
CASES = {  # kind of network, roles, are there births and deaths, grouping, own reward, correction
    "agents with memory": ("gru", (0, 1, 2), False, None, 1.0, "clip"),
    "separated cells": ("feed-forward", (0, 1, 0), True, PAIRED, 0.75, "clip"),
    "V-trace": ("gru", (0, 0, 0), True, None, 1.0, "vtrace"),
    "V-trace of groups": ("gru", (0, 1, 0), True, PAIRED, 0.75, "vtrace"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_update_is_that_of_a_naive_second_computation(name: str) -> None:
    """One step of Adam, on the whole batch, from a gradient that is clipped."""
    kind, roles, lives, group, own, correction = CASES[name]
    settings = SETTINGS._replace(epochs=1, minibatches=1, gradient_norm=0.1, adam_epsilon=0.1)
    how = How(settings, Credit(Separation(own=own), group), correction, 1, kind == "feed-forward")
    learner = _learner(settings, roles, kind)
    net, seen = learner.network, _experience(3, 8 if kind == "gru" else 0, lives)
    now = _naive_unroll(net, seen) if correction == "vtrace" else None
    whose = group or ALONE
    cells = _naive_cells(seen, whose, own, now, settings)
    slope, parts = jax.grad(_naive_loss, has_aux=True)(net, seen, whose, cells, settings)
    after, sums = _update(stream(0, "u"), learner, seen, how=how)
    found = [float(sums[part]) for part in ("loss/policy", "loss/value", "entropy")]
    np.testing.assert_allclose(found, [float(x) for x in parts], rtol=1e-4, atol=1e-5)
    leaves = [np.asarray(x) for x in jax.tree.leaves(slope)]
    norm = np.sqrt(sum((x**2).sum() for x in leaves))
    assert norm > settings.gradient_norm
    for g, before, new in zip(leaves, *map(jax.tree.leaves, (net, after.network)), strict=True):
        g = g * settings.gradient_norm / norm
        expected = settings.learning_rate * g / (np.abs(g) + 0.1)
        np.testing.assert_allclose(before - new, expected, rtol=2e-3, atol=2e-6)
