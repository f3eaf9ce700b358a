"""Domains as PettingZoo environments: PettingZoo's own tests, seeds, ends and bad input."""

import subprocess
import sys

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from hinterland.core import UserError
from hinterland.domains.adapters.pettingzoo import ParallelDomain, parallel_env
from hinterland.domains.traffic import make

DOMAINS = pytest.mark.parametrize("domain", ["traffic", "warehouse"])


def _play(env: ParallelDomain, seed: int | None = None, steps: int = 30) -> np.ndarray:
    """Rewards [step, agent] of an episode's beginning under always the same actions."""
    rng = np.random.default_rng(0)
    env.reset(seed)
    rewards = []
    for _ in range(steps):
        actions = {agent: int(rng.integers(2)) for agent in env.agents}
        rewards.append(list(env.step(actions)[1].values()))
    return np.array(rewards)


@DOMAINS
def test_passes_the_tests_of_pettingzoo(domain: str) -> None:
    env = parallel_env(domain, agents=4, seed=1)
    parallel_api_test(env, num_cycles=700)
    env.close()
    parallel_seed_test(lambda: parallel_env(domain, agents=4))


@DOMAINS
def test_a_seed_gives_a_series_of_episodes(domain: str) -> None:
    env = parallel_env(domain, agents=4, seed=5)
    first, second = _play(env), _play(env)
    assert not np.array_equal(first, second)
    again, following = _play(env, seed=5), _play(env)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(following, second)
    assert not np.array_equal(_play(env, seed=6), second), "neighbouring seeds share an episode"
    env.close()


def test_traffic_is_what_its_session_says() -> None:
    domain = make(4)
    horizon = domain.spec.horizon
    env = ParallelDomain(domain, seed=3)
    observations, infos = env.reset()
    assert infos == {agent: {} for agent in env.possible_agents}
    assert {one.dtype for one in observations.values()} == {np.dtype(np.float32)}
    rng = np.random.default_rng(0)
    for t in range(horizon):
        assert env.agents == env.possible_agents
        actions = {agent: int(rng.integers(2)) for agent in env.agents}
        observations, rewards, terminations, truncations, infos = env.step(actions)
        assert set(truncations.values()) == {t == horizon - 1}
        assert not any(terminations.values())
        assert all(env.observation_space(a).contains(observations[a]) for a in observations)
    assert env.agents == []
    assert infos["agent_3"]["vehicles"] > 50
    assert 0 < rewards["agent_0"] <= 1
    with pytest.raises(UserError, match="call reset"):
        env.step(actions)
    seed = int(np.random.SeedSequence([3, 0]).generate_state(1)[0]) % 2**31
    session = domain.global_simulator.sessions(1)[0]
    session.begin("reset", seed, None, True)
    rng = np.random.default_rng(0)
    for _ in range(horizon):
        last = session.call("step", rng.integers(0, 2, 4, dtype=np.int64))
    np.testing.assert_array_equal(np.stack(list(observations.values())), last["observation"])
    env.close()


def test_bad_input_is_one_sentence() -> None:
    env = parallel_env("warehouse", agents=4)
    env.reset()
    good = dict.fromkeys(env.agents, 0)
    for actions, words in (
        ({**good, "agent_1": 4}, "agent_1: action 4 is not an integer in 0 .. 3"),
        ({**good, "robot": 0}, "missing or unknown: robot"),
        ({"agent_0": 0}, "missing or unknown: agent_1, agent_2, agent_3"),
    ):
        with pytest.raises(UserError, match=words):
            env.step(actions)
    for seed in (-1, 2**31, 0.5):
        with pytest.raises(UserError, match=r"must be an integer in 0 \.\."):
            env.reset(seed=seed)
    with pytest.raises(UserError, match="square number"):
        parallel_env("traffic", agents=5)


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['pettingzoo'] = None\n"
        "from hinterland.core import UserError\n"
        "try:\n    import hinterland.domains.adapters.pettingzoo\n"
        "except UserError as error:\n    sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == (
        "the PettingZoo adapter needs pettingzoo: pip install 'hinterland[pettingzoo]'"
    )
