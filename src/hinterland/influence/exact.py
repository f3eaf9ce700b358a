"""Exact influence by enumeration, for systems small enough to list every history.

Here the theory of DIALS can be checked to numerical precision. A `TinySystem` is a factored
multi-agent decision process: region i has a local state x_i, its agent sees it and acts, and what
touches the region from outside is the influence source u_i, a function of all states and of the
other agents' actions.

The d-separating set at step t is l_t = (x_0, a_0, x_1, ..., a_{t-1}, x_t): given it, u_t does not
depend on the action a_t, because other agents act on what they saw, not on what this one is about
to do. The induced influence is I(u_t | l_t), and the influence-augmented local model replaces the
rest of the system by it: P(x_{t+1} | l_t, a_t) = sum_u I(u | l_t) T(x_{t+1} | x_t, a_t, u).
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

History = tuple[int, ...]
"""(x_0, a_0, x_1, ..., x_t): alternating local states and actions, ending in a state."""
Policy = Callable[[History], np.ndarray]
"""Probabilities of one agent's actions after a history."""
Influence = Mapping[History, np.ndarray]
"""I(u | l): probabilities of the influence source's classes after each history."""


@dataclass(frozen=True)
class TinySystem:
    """A system of N regions with finite states, actions and influence classes.

    Attributes:
        initial: [N, states], distribution of each region's first state (independent regions).
        transition: [N, states, actions, classes, states], T(x' | x, a, u).
        source: [N, *(states,) * N, *(actions,) * N], the class of u_i for all states and actions;
            it must not vary along agent i's own action, which acts on the region directly.
        reward: [N, states, actions].
        horizon: number of actions in an episode.

    Raises:
        ValueError: a distribution does not sum to 1, or a source depends on the own action.
    """

    initial: np.ndarray
    transition: np.ndarray
    source: np.ndarray
    reward: np.ndarray
    horizon: int

    def __post_init__(self) -> None:
        for name in ("initial", "transition"):
            table = getattr(self, name)
            if (table < 0).any() or not np.allclose(table.sum(-1), 1):
                raise ValueError(f"{name}: each distribution must be non-negative and sum to 1")
        for agent, table in enumerate(self.source):
            if (np.diff(table, axis=self.agents + agent) != 0).any():
                raise ValueError(f"source: u_{agent} depends on agent {agent}'s own action")

    @property
    def agents(self) -> int:
        """Number of regions N."""
        return self.initial.shape[0]

    @property
    def states(self) -> int:
        """Local states of a region."""
        return self.initial.shape[1]

    @property
    def actions(self) -> int:
        """Actions of an agent."""
        return self.reward.shape[2]

    @property
    def classes(self) -> int:
        """Classes of an influence source."""
        return self.transition.shape[3]


def _joint_step(
    system: TinySystem, policies: list[Policy], joint: tuple[History, ...]
) -> list[tuple[float, tuple[int, ...], tuple[int, ...]]]:
    """(probability, joint action, sources) after a joint history."""
    choices = [policy(history) for policy, history in zip(policies, joint, strict=True)]
    x = tuple(history[-1] for history in joint)
    found = []
    for action in itertools.product(range(system.actions), repeat=system.agents):
        chance = math.prod(float(p[a]) for p, a in zip(choices, action, strict=True))
        if chance > 0:
            sources = tuple(int(system.source[(i, *x, *action)]) for i in range(system.agents))
            found.append((chance, action, sources))
    return found


def _enumerate(
    system: TinySystem, policies: list[Policy], agent: int
) -> tuple[dict[History, float], dict[History, np.ndarray]]:
    """Local trajectory distribution, and P(l_t, u_t) for every reachable l_t."""
    weights: dict[History, np.ndarray] = defaultdict(lambda: np.zeros(system.classes))
    level: dict[tuple[History, ...], float] = {}
    for x in itertools.product(range(system.states), repeat=system.agents):
        chance = math.prod(float(system.initial[i, s]) for i, s in enumerate(x))
        if chance > 0:
            level[tuple((s,) for s in x)] = chance
    for _ in range(system.horizon):
        following: dict[tuple[History, ...], float] = defaultdict(float)
        for joint, mass in level.items():
            for chance, action, sources in _joint_step(system, policies, joint):
                weights[joint[agent]][sources[agent]] += mass * chance
                rows = [
                    system.transition[i, history[-1], action[i], sources[i]].tolist()
                    for i, history in enumerate(joint)
                ]
                for x in itertools.product(range(system.states), repeat=system.agents):
                    share = math.prod(row[s] for row, s in zip(rows, x, strict=True))
                    if share > 0:
                        longer = tuple((*h, a, s) for h, a, s in zip(joint, action, x, strict=True))
                        following[longer] += mass * chance * share
        level = following
    local: dict[History, float] = defaultdict(float)
    for joint, mass in level.items():
        local[joint[agent]] += mass
    return dict(local), dict(weights)


def global_distribution(
    system: TinySystem, policies: list[Policy], agent: int
) -> dict[History, float]:
    """Probability of each complete local trajectory of one agent in the global system."""
    return _enumerate(system, policies, agent)[0]


def exact_influence(
    system: TinySystem, policies: list[Policy], agent: int
) -> dict[History, Float[np.ndarray, " classes"]]:
    """I(u | l) for every l that has positive probability under the joint policy."""
    weights = _enumerate(system, policies, agent)[1]
    return {history: mass / mass.sum() for history, mass in weights.items()}


def local_distribution(
    system: TinySystem, policy: Policy, agent: int, influence: Influence
) -> dict[History, float]:
    """Probability of each local trajectory in the influence-augmented local simulator.

    Raises:
        KeyError: the influence lacks a history that this policy reaches.
    """
    level = {(x,): float(p) for x, p in enumerate(system.initial[agent]) if p > 0}
    for _ in range(system.horizon):
        following: dict[History, float] = defaultdict(float)
        for history, mass in level.items():
            for action, chance in enumerate(policy(history)):
                row = influence[history] @ system.transition[agent, history[-1], action]
                for x, share in enumerate(row):
                    if chance * share > 0:
                        following[(*history, action, x)] += mass * float(chance * share)
        level = following
    return dict(level)


def all_histories(system: TinySystem, length: int) -> list[History]:
    """Every history of `length` actions, reachable or not."""
    steps = [range(system.states)]
    for _ in range(length):
        steps += [range(system.actions), range(system.states)]
    return list(itertools.product(*steps))


def action_values(
    system: TinySystem, agent: int, influence: Influence, policy: Policy | None = None
) -> dict[History, Float[np.ndarray, " actions"]]:
    """Q(l, a) in the influence-augmented local model, undiscounted, by backward induction.

    Args:
        system: the system.
        agent: whose local model.
        influence: for every history, reachable or not.
        policy: the policy whose values these are; None for the optimal one.
    """
    values: dict[History, np.ndarray] = {}
    for t in reversed(range(system.horizon)):
        for history in all_histories(system, t):
            x = history[-1]
            q = system.reward[agent, x].astype(np.float64).copy()
            if t + 1 < system.horizon:
                for action in range(system.actions):
                    row = influence[history] @ system.transition[agent, x, action]
                    q[action] += sum(
                        share * _state_value(values, policy, (*history, action, y))
                        for y, share in enumerate(row)
                    )
            values[history] = q
    return values


def _state_value(values: dict[History, np.ndarray], policy: Policy | None, at: History) -> float:
    q = values[at]
    return float(q.max() if policy is None else policy(at) @ q)


def value_gap_bound(distance: float, reward_span: float, horizon: int, t: int) -> float:
    """How far Q-values at step t can lie apart in two local models with close influence.

    Our statement of the paper's Lemma 2 (a simulation lemma): if the influence distributions differ
    by at most `distance` in L1 norm after every history, then each of the steps t .. H-2 adds at
    most half that distance times the span of the values that are still to come,
    (H - k - 1) * reward_span, so |Q_1 - Q_2| <= distance * reward_span * (H-t)(H-t-1) / 4.

    Args:
        distance: largest L1 distance, between 0 and 2.
        reward_span: largest minus smallest reward.
        horizon: H.
        t: step of the history that is valued.
    """
    left = horizon - t
    return distance * reward_span * left * (left - 1) / 4


def influence_distance(first: Influence, second: Influence) -> float:
    """Largest L1 distance over the histories that both know."""
    common = first.keys() & second.keys()
    return max(float(np.abs(first[h] - second[h]).sum()) for h in common)
