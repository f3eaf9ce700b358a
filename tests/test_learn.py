"""GAE by hand and against plain NumPy; the PPO loss by hand; the GRU against autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core import Trajectory, stream
from hinterland.learn import Learner, PPOSettings, gae, make_optimiser, ppo_update
from hinterland.learn.ppo import loss
from hinterland.nets import GRU, ActorCritic, PredictorNetwork

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
    """Stands for a network: fixed logits and values."""

    def __init__(self, logits, value):
        self.logits, self.value = jnp.asarray(logits), jnp.asarray(value)

    def unroll(self, carry, observation, reset):
        return self.logits, self.value


def test_ppo_loss_of_three_samples_by_hand() -> None:
    probability = np.array([0.5, 0.8, 0.3])  # of the action taken, now
    before = np.array([0.5, 0.5, 0.6])
    logits = np.log(np.stack([probability, 1 - probability], -1))[:, None].astype(np.float32)
    advantage = np.array([1.0, 2.0, -3.0])
    value, old, target = np.array([1.0, 2.0, 0.0]), np.array([1.0, 1.5, 0.1]), np.array([2.0, 2, 1])
    batch = {
        "observation": None,
        "carry": None,
        "reset": None,
        "action": jnp.zeros((3, 1), jnp.int32),
        "log_probability": jnp.log(jnp.asarray(before, jnp.float32))[:, None],
        "advantage": jnp.asarray(advantage, jnp.float32)[:, None],
        "value": jnp.asarray(old, jnp.float32)[:, None],
        "target": jnp.asarray(target, jnp.float32)[:, None],
    }
    table = _Table(logits, value[:, None].astype(np.float32))
    _, terms = loss(table, batch, jnp.float32(0.2), jnp.float32(0.01), SETTINGS)
    # ratios 1, 1.6, 0.5; advantages normalised by mean 0 and standard deviation sqrt(14/3).
    normal = advantage / np.sqrt(14 / 3)
    surrogate = [normal[0], 1.2 * normal[1], min(0.5 * normal[2], 0.8 * normal[2])]
    assert float(terms["loss/policy"]) == pytest.approx(-np.mean(surrogate), rel=1e-4)
    # values moved by 0, 0.5 -> 0.2, -0.1; the larger of the two squared errors counts.
    squares = [1.0, max(0.0, (1.7 - 2) ** 2), 1.0]
    assert float(terms["loss/value"]) == pytest.approx(np.mean(squares), rel=1e-5)
    assert float(terms["clip_fraction"]) == pytest.approx(2 / 3)
    entropy = -(probability * np.log(probability) + (1 - probability) * np.log(1 - probability))
    assert float(terms["entropy"]) == pytest.approx(entropy.mean(), rel=1e-5)


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


def _trajectory(net: ActorCritic, seed: int) -> Trajectory:
    """Two windows of three steps of four copies; log-probabilities are the network's own."""
    keys = jax.random.split(stream(seed, "trajectory"), 4)
    shape = (2, 3, 4)
    observation = jax.random.normal(keys[0], (*shape, 5))
    reset = jnp.zeros(shape, bool)
    carry = jnp.stack([net.initial(4)] * 2)
    logits, value = jax.vmap(net.unroll)(carry, observation, reset)
    action = jax.random.categorical(keys[1], logits)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]
    return Trajectory(
        observation=observation,
        action=action,
        log_probability=chosen,
        value=value,
        next_value=jnp.zeros(shape),
        reward=(action == 1).astype(jnp.float32),
        done=jnp.ones(shape, bool),
        reset=reset,
        carry=carry,
    )


def _learner(settings: PPOSettings) -> Learner:
    net = ActorCritic(stream(0, "net"), 5, 3, hidden=8, trunk=6)
    return Learner(net, make_optimiser(settings).init(net), jnp.int32(0))


def test_a_first_pass_over_own_experience_has_ratio_1() -> None:
    """What the shared-policy bug of the paper's code breaks (reference: 0.04 to 0.08)."""
    settings = SETTINGS._replace(epochs=1, minibatches=1)
    learner = _learner(settings)
    _, terms = ppo_update(stream(3, "u"), learner, _trajectory(learner.network, 0), settings)
    assert float(terms["kl"]) == pytest.approx(0.0, abs=1e-6)
    assert float(terms["clip_fraction"]) == 0.0


def test_ppo_learns_which_action_pays() -> None:
    """A bandit: action 1 pays 1, the others 0. Random 0.33, best 1.0, asked 0.9."""
    settings = SETTINGS._replace(anneal_rate=False, anneal_clip=False)
    learner = _learner(settings)
    update = jax.jit(lambda key, learner, data: ppo_update(key, learner, data, settings)[0])
    for i in range(40):
        learner = update(stream(i, "u"), learner, _trajectory(learner.network, i))
    assert float(_trajectory(learner.network, 99).reward.mean()) >= 0.9


def test_learning_stands_still_when_the_schedule_has_ended() -> None:
    learner = _learner(SETTINGS)._replace(updates=jnp.int32(SETTINGS.annealing))
    after, _ = ppo_update(stream(0, "u"), learner, _trajectory(learner.network, 0), SETTINGS)
    for a, b in zip(jax.tree.leaves(learner.network), jax.tree.leaves(after.network), strict=True):
        np.testing.assert_array_equal(a, b)
