"""Any domain's global simulator as a PettingZoo parallel environment.

from hinterland.domains.adapters.pettingzoo import parallel_env

env = parallel_env("traffic", agents=4, seed=0)
observations, infos = env.reset()
"""

from typing import Any

import numpy as np

from hinterland.core import Domain, UserError, is_host, observations_of
from hinterland.domains.registry import load_domain

try:
    from gymnasium.spaces import Box, Discrete, Space
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise UserError(
        f"the PettingZoo adapter needs {error.name}: pip install 'hinterland[pettingzoo]'"
    ) from None

SEEDS = 2**31
"""Seeds are 0 .. SEEDS - 1, as SUMO takes them."""


class ParallelDomain(ParallelEnv):
    """All agents of a domain on its global simulator.

    Agents are called "agent_0", "agent_1", ... in the domain's order. A step's rewards, ends and
    observations are those of the state reached. An episode is truncated at the domain's horizon;
    the infos of its last step hold the figures of a host simulator's `metrics`. Nothing is
    rendered: `hinterland watch` draws.

    Args:
        domain: the system; of a host simulator the first session is used, so give every
            environment a domain of its own.
        seed: of the episodes until `reset` gets another; integer in 0 .. 2**31 - 1.

    Raises:
        UserError: a bad seed; SUMO is missing.
    """

    def __init__(self, domain: Domain, seed: int = 0) -> None:
        spec = domain.spec
        self.metadata = {"name": f"hinterland-{domain.name}", "render_modes": []}
        self.render_mode = None
        self.possible_agents = [f"agent_{i}" for i in range(domain.agents)]
        self.agents: list[str] = []
        shape = (spec.observation,)
        self.observation_spaces = {
            agent: Box(-np.inf, np.inf, shape, np.float32) for agent in self.possible_agents
        }
        self.action_spaces = {agent: Discrete(spec.actions) for agent in self.possible_agents}
        self._spec = spec
        self._seed, self._episode = _checked_seed(seed), 0
        self._simulator = _Host(domain) if is_host(domain.global_simulator) else _Traced(domain)

    def observation_space(self, agent: str) -> Space:
        """A `Box`, float32 [observation]."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        """A `Discrete`, 0 .. actions - 1."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
        """Begins an episode; what the agents see, and empty infos.

        Args:
            seed: begins a series of episodes that depends on nothing else; without it the series
                under way goes on.
            options: not used.

        Raises:
            UserError: a bad seed.
        """
        del options
        if seed is not None:
            self._seed, self._episode = _checked_seed(seed), 0
        # Mixed, so that environments with neighbouring seeds share no episodes
        mixed = np.random.SeedSequence([self._seed, self._episode]).generate_state(1)[0]
        self._episode += 1
        self._clock = 0
        self.agents = self.possible_agents.copy()
        return self._seen(self._simulator.reset(int(mixed) % SEEDS)), self._each({})

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict]
    ]:
        """One step of all agents: observations, rewards, terminations, truncations, infos.

        Raises:
            UserError: an agent lacks an action or has an impossible one, or the episode is over.
        """
        chosen = self._checked_actions(actions)
        observation, reward, terminated = self._simulator.step(chosen)
        self._clock += 1
        truncated = self._clock >= self._spec.horizon and not terminated
        infos = self._each(self._simulator.metrics() if terminated or truncated else {})
        rewards = dict(zip(self.agents, map(float, reward), strict=True))
        result = self._seen(observation), rewards, self._each(terminated), self._each(truncated)
        if terminated or truncated:
            self.agents = []
        return *result, infos

    def render(self) -> None:
        """Nothing: there is no render mode."""

    def close(self) -> None:
        """Ends the simulator's process, if it has one."""
        self._simulator.close()

    def _checked_actions(self, actions: dict[str, int]) -> np.ndarray:
        if not self.agents:
            raise UserError("no episode is under way: call reset() before step()")
        if wrong := set(self.agents) ^ set(actions):
            raise UserError(
                f"step() takes one action for each of {len(self.agents)} agents; missing or "
                f"unknown: {', '.join(sorted(wrong))}"
            )
        for agent, action in actions.items():
            if not self.action_spaces[agent].contains(action):
                raise UserError(
                    f"{agent}: action {action!r} is not an integer in 0 .. {self._spec.actions - 1}"
                )
        return np.array([actions[agent] for agent in self.agents], np.int32)

    def _seen(self, observation: Any) -> dict[str, np.ndarray]:
        return dict(zip(self.agents, np.asarray(observation, np.float32), strict=True))

    def _each(self, value: Any) -> dict[str, Any]:
        copies = [value.copy() if isinstance(value, dict) else value for _ in self.agents]
        return dict(zip(self.agents, copies, strict=True))


def parallel_env(domain: str = "traffic", agents: int = 4, seed: int = 0) -> ParallelDomain:
    """A domain by name ("module:factory" for your own) as a PettingZoo parallel environment.

    Raises:
        UserError: no such domain, or it refuses this many agents; a bad seed.
    """
    return ParallelDomain(load_domain(domain, agents), seed)


def _checked_seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or not 0 <= seed < SEEDS:
        raise UserError(f"seed {seed!r}: must be an integer in 0 .. {SEEDS - 1}")
    return int(seed)


class _Host:
    """A simulator in a process of its own."""

    def __init__(self, domain: Domain) -> None:
        self._session = domain.global_simulator.sessions(1)[0]

    def reset(self, seed: int) -> np.ndarray:
        return self._session.begin("reset", seed, None, True)["observation"]

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        moved = self._session.call("step", actions)
        return moved["observation"], moved["reward"], bool(moved["terminated"])

    def metrics(self) -> dict[str, float]:
        return self._session.call("metrics")

    def close(self) -> None:
        self._session.close()


class _Traced:
    """A simulator that JAX traces; compiled at the first reset and the first step."""

    def __init__(self, domain: Domain) -> None:
        import jax

        whole = domain.global_simulator

        def observe(state: Any) -> Any:
            return observations_of(domain, whole.regions(state))

        @jax.jit
        def begin(seed: Any) -> tuple[Any, Any, Any]:
            first, later = jax.random.split(jax.random.key(seed))
            state = whole.reset(first)
            return later, state, observe(state)

        @jax.jit
        def move(key: Any, state: Any, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
            now, later = jax.random.split(key)
            moved = whole.step(state, actions, whole.noise(now))
            return later, moved.state, observe(moved.state), moved.reward, moved.terminated

        self._begin, self._move = begin, move

    def reset(self, seed: int) -> Any:
        self._key, self._state, observation = self._begin(seed)
        return observation

    def step(self, actions: np.ndarray) -> tuple[Any, Any, bool]:
        self._key, self._state, observation, reward, terminated = self._move(
            self._key, self._state, actions.astype(np.int32)
        )
        return observation, np.asarray(reward), bool(terminated)

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass
