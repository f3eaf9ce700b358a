"""The theory of DIALS on systems small enough to enumerate."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hinterland.influence.exact import (
    History,
    Policy,
    TinySystem,
    action_values,
    all_histories,
    exact_influence,
    global_distribution,
    influence_distance,
    local_distribution,
    value_gap_bound,
)


def _system(seed: int, agents: int = 2, horizon: int = 3, classes: int = 2) -> TinySystem:
    random = np.random.default_rng(seed)
    shape = (agents, *(2,) * agents, *(2,) * agents)
    source = random.integers(0, classes, shape)
    for i in range(agents):
        source[i] = np.take(source[i], [0, 0], axis=agents + i)
    return TinySystem(
        initial=random.dirichlet(np.ones(2), agents),
        transition=random.dirichlet(np.ones(2), (agents, 2, 2, classes)),
        source=source,
        reward=random.random((agents, 2, 2)),
        horizon=horizon,
    )


def _policy(seed: int) -> Policy:
    """A random stochastic policy with full memory."""

    @cache
    def act(history: History) -> np.ndarray:
        return np.random.default_rng([seed, *history, len(history)]).dirichlet(np.ones(2))

    return act


def _distance(a: dict[History, float], b: dict[History, float]) -> float:
    return max(abs(a.get(h, 0.0) - b.get(h, 0.0)) for h in a.keys() | b.keys())


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([(2, 3), (3, 2)]), st.integers(2, 3))
def test_local_simulator_with_exact_influence_is_the_global_simulator(
    seed: int, size: tuple[int, int], classes: int
) -> None:
    """The claim on which everything rests: the same distribution over local trajectories."""
    system = _system(seed, *size, classes)
    policies = [_policy(seed * 10 + i) for i in range(system.agents)]
    for agent in range(system.agents):
        whole = global_distribution(system, policies, agent)
        influence = exact_influence(system, policies, agent)
        local = local_distribution(system, policies[agent], agent, influence)
        assert sum(whole.values()) == pytest.approx(1, abs=1e-12)
        assert _distance(whole, local) < 1e-12


def test_a_predictor_without_memory_is_not_exact() -> None:
    """The test above can fail: the marginal influence of each step gives another distribution."""
    system = _system(1)
    policies = [_policy(1), _policy(2)]
    exact = exact_influence(system, policies, 0)
    marginal = {h: np.mean([p for g, p in exact.items() if len(g) == len(h)], 0) for h in exact}
    whole = global_distribution(system, policies, 0)
    assert _distance(whole, local_distribution(system, policies[0], 0, marginal)) > 1e-3


def test_influence_does_not_depend_on_the_own_policy() -> None:
    """I(u | l) is a property of the others: only which histories are reached changes with ours."""
    system = _system(3)
    first = exact_influence(system, [_policy(1), _policy(2)], 0)
    second = exact_influence(system, [_policy(9), _policy(2)], 0)
    assert first.keys() == second.keys()
    assert influence_distance(first, second) < 1e-12


def test_the_influence_of_a_hand_worked_system() -> None:
    """Agent 1 starts in 0 or 1 with probability 1/4, 3/4 and stays; it acts 1 with probability 1/5
    in state 0 and 4/5 in state 1; u_0 is its action. So I(u=1) = 1/4*1/5 + 3/4*4/5 = 13/20.
    State 0 moves to u_0; seeing x_1 = 1 tells that u was 1, so P(state 1 | u=1) = (3/5)/(13/20)
    = 12/13 and I(u=1 | x_1=1) = 1/13*1/5 + 12/13*4/5 = 49/65.
    """
    stay = np.eye(2)
    transition = np.zeros((2, 2, 2, 2, 2))
    transition[0] = np.eye(2)[None, None]  # x' = u
    transition[1] = stay[:, None, None]  # x' = x
    source = np.zeros((2, 2, 2, 2, 2), int)
    source[0] = np.arange(2)  # the other's action, the last axis
    system = TinySystem(
        initial=np.array([[1.0, 0.0], [0.25, 0.75]]),
        transition=transition,
        source=source,
        reward=np.zeros((2, 2, 2)),
        horizon=2,
    )
    other = {0: np.array([0.8, 0.2]), 1: np.array([0.2, 0.8])}
    influence = exact_influence(system, [lambda h: np.array([1.0, 0.0]), lambda h: other[h[-1]]], 0)
    assert influence[0,][1] == pytest.approx(13 / 20)
    assert influence[0, 0, 1][1] == pytest.approx(49 / 65)


def _everywhere(system: TinySystem, seed: int) -> dict[History, np.ndarray]:
    """A random influence after every history."""
    random = np.random.default_rng(seed)
    return {
        h: random.dirichlet(np.ones(system.classes))
        for t in range(system.horizon)
        for h in all_histories(system, t)
    }


def _perturbed(influence: dict[History, np.ndarray], size: float, seed: int):
    random = np.random.default_rng(seed)
    return {
        h: (1 - size) * p + size * random.dirichlet(np.ones(len(p))) for h, p in influence.items()
    }


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.1, 0.5, 1.0]), st.booleans())
def test_lemma_2_values_differ_at_most_by_the_bound(seed: int, size: float, best: bool) -> None:
    """For any policy, and for the optimal values, under random perturbations of the influence."""
    system = _system(seed)
    first = _everywhere(system, seed)
    second = _perturbed(first, size, seed + 1)
    policy = None if best else _policy(seed)
    span = float(np.ptp(system.reward[0]))
    distance = influence_distance(first, second)
    one, two = (action_values(system, 0, i, policy) for i in (first, second))
    for history, q in one.items():
        bound = value_gap_bound(distance, span, system.horizon, len(history) // 2)
        assert np.abs(q - two[history]).max() <= bound + 1e-12


def test_lemma_2_is_tight_where_influence_decides_everything() -> None:
    """x' = u, reward 1 in state 1. With u never and always 1, Q differs by 1 at two steps left:
    distance 2, span 1, (2)(1)/4 * 2 = 1: the bound is reached.
    """
    transition = np.zeros((1, 2, 2, 2, 2))
    transition[0] = np.eye(2)[None, None]
    system = TinySystem(
        initial=np.array([[1.0, 0.0]]),
        transition=transition,
        source=np.zeros((1, 2, 2), int),
        reward=np.array([[[0.0, 0.0], [1.0, 1.0]]]),
        horizon=2,
    )
    histories = [h for t in range(2) for h in all_histories(system, t)]
    never = {h: np.array([1.0, 0.0]) for h in histories}
    always = {h: np.array([0.0, 1.0]) for h in histories}
    gap = action_values(system, 0, always)[0,] - action_values(system, 0, never)[0,]
    assert gap == pytest.approx(value_gap_bound(2.0, 1.0, 2, 0))


def test_theorem_1_a_large_action_gap_keeps_the_optimal_policy() -> None:
    """Where the gap exceeds twice the bound in one model, the best action is the other's too."""
    premise_held, policies_differed = 0, 0
    for seed in range(300):
        system = _system(seed)
        first = _everywhere(system, seed)
        second = _perturbed(first, 0.05 if seed % 2 else 0.8, seed + 1)
        distance = influence_distance(first, second)
        span = float(np.ptp(system.reward[0]))
        one, two = (action_values(system, 0, i) for i in (first, second))
        for history, q in one.items():
            bound = value_gap_bound(distance, span, system.horizon, len(history) // 2)
            same = q.argmax() == two[history].argmax()
            if np.ptp(q) > 2 * bound:
                premise_held += bound > 0  # at the last step nothing is bounded: no evidence
                assert same
            policies_differed += not same
    # Neither vacuous nor trivial: the premise is met often, and without it policies do differ.
    assert premise_held > 100
    assert policies_differed > 20


def test_lemma_1_every_joint_policy_induces_one_influence_and_several_may_share_it() -> None:
    """Our statement: the map from joint policies to influence is a function and is not injective,
    so there are no more influence distributions than joint policies. Enumerated over all
    deterministic memoryless policies of the other agent, whose action in state 1 never matters.
    """
    system = _system(5, horizon=2)
    source = np.zeros_like(system.source)
    source[0] = np.array([[0, 1], [0, 0]])[None, :, None, :]  # u_0 = a_1 if x_1 = 0, else 0
    system = TinySystem(system.initial, system.transition, source, system.reward, 2)
    induced = {}
    for choice in itertools.product(range(2), repeat=2):
        other = {x: np.eye(2)[a] for x, a in enumerate(choice)}
        policies = [_policy(1), lambda h, other=other: other[h[-1]]]
        again = exact_influence(system, policies, 0)
        induced[choice] = exact_influence(system, policies, 0)
        assert influence_distance(induced[choice], again) == 0
    # In state 1 the other's first action steers its own second state only, and so does matter a
    # little through it; a region whose transition ignores actions closes even that path.
    deaf = system.transition.copy()
    deaf[1] = deaf[1][:, :1]
    system = TinySystem(system.initial, deaf, source, system.reward, 2)
    induced = {}
    for choice in itertools.product(range(2), repeat=2):
        other = {x: np.eye(2)[a] for x, a in enumerate(choice)}
        induced[choice] = exact_influence(
            system, [_policy(1), lambda h, other=other: other[h[-1]]], 0
        )
    assert influence_distance(induced[0, 0], induced[0, 1]) < 1e-12
    assert influence_distance(induced[1, 0], induced[1, 1]) < 1e-12
    assert influence_distance(induced[0, 0], induced[1, 0]) > 0.1


def test_corollary_1_joint_policies_of_equal_influence_pose_the_same_local_problem() -> None:
    """Our statement: an agent's optimal values cannot tell such joint policies apart, so a change
    of the others' policies need not call for another predictor.
    """
    system = _system(7, horizon=2)
    source = np.zeros_like(system.source)
    system = TinySystem(system.initial, system.transition, source, system.reward, 2)
    first = exact_influence(system, [_policy(1), _policy(2)], 0)
    second = exact_influence(system, [_policy(1), _policy(3)], 0)
    assert global_distribution(system, [_policy(1), _policy(2)], 1) != global_distribution(
        system, [_policy(1), _policy(3)], 1
    )
    one, two = (action_values(system, 0, influence) for influence in (first, second))
    for history in one:
        np.testing.assert_allclose(one[history], two[history], atol=1e-12)


def test_tables_that_are_no_distributions_are_refused() -> None:
    system = _system(0)
    with pytest.raises(ValueError, match="initial: each distribution must"):
        TinySystem(system.initial * 2, system.transition, system.source, system.reward, 3)
    own = np.broadcast_to(np.arange(2)[:, None], system.source.shape).copy()
    with pytest.raises(ValueError, match="u_0 depends on agent 0's own action"):
        TinySystem(system.initial, system.transition, own, system.reward, 3)
