"""One third-party PettingZoo parallel environment, in a process of its own (see `parallel`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hinterland.domains import named


def _flat(space: Any, value: Any) -> np.ndarray:
    """A value of any Gymnasium space as a vector; bytes become 0 .. 1."""
    from gymnasium.spaces import flatten

    vector = np.asarray(flatten(space, value))
    return (vector / 255 if vector.dtype == np.uint8 else vector).astype(np.float32)


class ParallelSession:
    """A `core.HostSession`'s simulator; slots are `possible_agents`, in their order.

    Observations are flattened and padded with zeros to the longest, actions padded and masked. An
    agent that leaves before the others (by termination, or truncated alone) is dead; when all who
    are left are truncated at once, the episode is truncated, and they live on in its last state.
    Masks are taken from `infos[agent]["action_mask"]`, or from an observation that is a dictionary
    of "observation" and "action_mask".

    Args:
        environment: "module:function" that returns the environment.
        options: keyword arguments of that function.

    Raises:
        ValueError: an agent's actions are not discrete.
    """

    def __init__(self, environment: str, options: Mapping[str, Any]) -> None:
        from gymnasium.spaces import Discrete, flatdim

        what = f"--env {environment}"
        self._env = named.call(named.load(environment, what), what, **options)
        if not hasattr(self._env, "possible_agents"):
            raise ValueError(
                f"{what} returned {named.kind_of(self._env)} and no parallel environment of "
                "PettingZoo, which has possible_agents"
            )
        self._agents = list(self._env.possible_agents)
        for agent in self._agents:
            if not isinstance(space := self._env.action_space(agent), Discrete):
                raise ValueError(f"{agent} acts in {space}; only Discrete actions can be learned")
        self._actions = [self._env.action_space(agent) for agent in self._agents]
        spaces = [self._env.observation_space(agent) for agent in self._agents]
        self._spaces = [space["observation"] if _masked(space) else space for space in spaces]
        self._width = max(flatdim(space) for space in self._spaces)
        self._wide = max(int(space.n) for space in self._actions)

    def sizes(self) -> dict[str, Any]:
        """Agents' names, "observation", "actions", "central" (0: none) and "limit" (or None)."""
        self.reset(0)
        limit = getattr(self._env.unwrapped, "max_cycles", None)
        return {
            "agents": self._agents,
            "observation": self._width,
            "actions": self._wide,
            "central": len(self._central()),
            "limit": None if limit is None else int(limit),
        }

    def reset(self, seed: int, controller: None = None, figures: bool = False) -> dict[str, Any]:
        """The first state of an episode."""
        del controller, figures
        observations, infos = self._env.reset(seed=seed)
        self._living = set(self._env.agents)
        return self._seen(observations, infos or {})

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """One step of all who live."""
        before = self._living
        chosen = {
            agent: int(space.start + action)
            for agent, space, action in zip(self._agents, self._actions, actions, strict=True)
            if agent in before
        }
        observations, rewards, terminations, truncations, infos = self._env.step(chosen)
        left = set(self._env.agents)
        cut = {a for a in before if truncations.get(a, False) and not terminations.get(a, False)}
        truncated = not left and bool(cut)
        self._living = cut if truncated else left
        reward = [rewards.get(agent, 0.0) if agent in before else 0.0 for agent in self._agents]
        return {
            **self._seen(observations, infos),
            "reward": np.array(reward, np.float32),
            "terminated": not left and not truncated,
            "truncated": truncated,
        }

    def metrics(self) -> dict[str, float]:
        """None of its own."""
        return {}

    def _seen(self, observations: Mapping[str, Any], infos: Mapping[str, Any]) -> dict[str, Any]:
        observation = np.zeros((len(self._agents), self._width), np.float32)
        mask = np.zeros((len(self._agents), self._wide), bool)
        for slot, agent in enumerate(self._agents):
            if agent not in self._living:
                continue
            mask[slot, : int(self._actions[slot].n)] = True
            seen, possible = observations[agent], infos.get(agent, {}).get("action_mask")
            if isinstance(seen, Mapping) and "action_mask" in seen:
                seen, possible = seen["observation"], seen["action_mask"]
            flat = _flat(self._spaces[slot], seen)
            observation[slot, : len(flat)] = flat
            if possible is not None:
                mask[slot, : len(possible)] = np.asarray(possible, bool)
        alive = np.array([agent in self._living for agent in self._agents])
        found = {"observation": observation, "alive": alive, "mask": mask}
        central = self._central()
        return found | ({"central": central} if len(central) else {})

    def _central(self) -> np.ndarray:
        """The environment's own global state; empty where it has none."""
        try:
            state = np.asarray(self._env.state())
        except (NotImplementedError, AttributeError):
            return np.zeros(0, np.float32)
        return (state / 255 if state.dtype == np.uint8 else state).astype(np.float32).ravel()


def _masked(space: Any) -> bool:
    from gymnasium.spaces import Dict

    return isinstance(space, Dict) and "action_mask" in space.spaces
