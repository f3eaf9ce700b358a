"""One third-party PettingZoo parallel environment, in a process of its own (see `parallel`).

What the environment gives is checked here, where it is known which agent it is of and what was
asked; everything that is refused is one sentence.
"""

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import numpy as np

from hinterland.core.blame import blamed
from hinterland.core.errors import UserError
from hinterland.domains import named

LIMITS = ("max_cycles", "max_steps", "max_episode_steps", "_max_episode_steps")
"""Where environments say, as an attribute or in their metadata, how long an episode is."""


class ParallelSession:
    """A `core.HostSession`'s simulator; slots are `possible_agents`, in their order.

    Observations are flattened and padded with zeros to the longest, actions padded and masked. An
    episode is over when every agent was terminated or truncated or has left `agents`, whatever
    `agents` says afterwards. An agent that ends before the others is dead; if it was truncated,
    "cut" marks it and its last observation is shown once more, so that its value can be
    bootstrapped. When all who are left are truncated at once, the episode is truncated, and they
    live on in its last state. Masks are taken from `infos[agent]["action_mask"]`, or from an
    observation that is a dictionary with "observation" and "action_mask" (what else it holds is
    observed too).

    Args:
        environment: "module:function" that returns the environment.
        options: keyword arguments of that function.
        central: show the environment's `state()`.

    Raises:
        UserError: it cannot be made, is no parallel environment, or has spaces that do not fit.
    """

    def __init__(self, environment: str, options: Mapping[str, Any], central: bool = False) -> None:
        self._with_central = central
        what = "the environment"
        self._env = named.call(named.load(environment, what), what, **options)
        self._agents = _possible_agents(self._env)
        self._actions = [self._action_space(agent) for agent in self._agents]
        self._spaces = [self._observation_space(agent) for agent in self._agents]
        self._width = max(self._length(*of) for of in zip(self._agents, self._spaces, strict=True))
        self._wide = max(int(space.n) for space in self._actions)

    def sizes(self) -> dict[str, Any]:
        """Agents' names, "observation", "actions" and "limit", a whole number or None."""
        self.reset(0)
        return {
            "agents": [str(agent) for agent in self._agents],
            "observation": self._width,
            "actions": self._wide,
            "limit": _limit(self._env),
        }

    def central_size(self) -> int | None:
        """Length of the environment's global state; None: it has none.

        Raises:
            UserError: its `state()` raises, or is no array of numbers.
        """
        self.reset(0)
        if not hasattr(self._env, "state"):
            return None
        try:
            return len(self._central())
        except UserError as error:
            if isinstance(error.__cause__, NotImplementedError):
                return None
            raise UserError(f"{error}; --critic central needs it: use --critic own") from error

    def reset(self, seed: int, controller: None = None, figures: bool = False) -> dict[str, Any]:
        """The first state of an episode."""
        del controller, figures
        self._clock = 0
        found = self._call("reset", self._env.reset, seed=seed)
        if not isinstance(found, tuple) or len(found) != 2:
            self._refuse(f"reset() gave {_kind(found)}; expected (observations, infos)")
        observations, infos = (
            self._by_agent("reset", name, x)
            for name, x in zip(("observations", "infos"), found, strict=True)
        )
        self._present = self._in_play()
        self._living, self._left = set(self._present), set[Hashable]()
        if not self._living:
            self._refuse("reset() left 'agents' empty; an episode begins with one agent at least")
        return self._seen("reset", observations, infos, self._living)

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """One step of all who live."""
        before, self._clock = self._living, self._clock + 1
        found = self._call("step", self._env.step, self._chosen(actions))
        if not isinstance(found, tuple) or len(found) != 5:
            self._refuse(
                f"step() gave {_kind(found)}; expected (observations, rewards, terminations, "
                "truncations, infos)"
            )
        names = ("observations", "rewards", "terminations", "truncations", "infos")
        observations, rewards, terminations, truncations, infos = (
            self._by_agent("step", name, x) for name, x in zip(names, found, strict=True)
        )
        present = self._in_play()
        if back := (present - self._present) & self._left:
            self._refuse(
                f"{min(map(str, back))} is in 'agents' again after step {self._clock}, having left "
                "it; agents of a parallel environment leave for good"
            )
        ended = _flagged(terminations, before)
        cut = _flagged(truncations, before) - ended
        alive = present - ended - cut - self._left
        truncated = not alive and bool(cut)
        self._left |= before - alive
        self._present, self._living = present, cut if truncated else alive
        return {
            **self._seen("step", observations, infos, self._living, cut),
            "reward": np.array([self._reward(rewards, a, before) for a in self._agents]),
            "terminated": not self._living,
            "truncated": truncated,
            "cut": self._marked(cut if not truncated else ()),
        }

    def metrics(self) -> dict[str, float]:
        """None of its own."""
        return {}

    def _call(self, method: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except Exception as error:
            shown = ", ".join([*("..." for _ in given), *(f"{x}=..." for x in named)])
            raise UserError(f"{method}({shown}) raised {blamed(error)}") from error

    def _refuse(self, said: str) -> None:
        raise UserError(said)

    def _by_agent(self, method: str, name: str, value: Any) -> Mapping[Any, Any]:
        if not isinstance(value, Mapping):
            self._refuse(
                f"{method}() gave {_kind(value)} as {name}; expected a dictionary by agent"
            )
        return value

    def _in_play(self) -> set[Hashable]:
        present = set(self._env.agents)
        if strangers := present - set(self._agents):
            self._refuse(f"{min(map(str, strangers))} is in 'agents' and not in 'possible_agents'")
        return present

    def _chosen(self, actions: np.ndarray) -> dict[Hashable, int]:
        """Actions of all in `agents`: who has ended but is still there does the first one."""
        chosen = {}
        for agent, space, action in zip(self._agents, self._actions, actions, strict=True):
            if agent in self._present:
                # Who may do nothing at all has an action of the padding, perhaps.
                counts = agent in self._living and action < space.n
                chosen[agent] = int(space.start + (action if counts else 0))
        return chosen

    def _reward(self, rewards: Mapping[Any, Any], agent: Hashable, before: set) -> np.float32:
        if agent not in before or agent not in rewards:
            return np.float32(0)
        given = np.asarray(rewards[agent])
        if given.size != 1 or given.dtype.kind not in "bifu" or not np.isfinite(given).all():
            self._refuse(
                f"{agent}'s reward at step {self._clock} is {rewards[agent]!r}; expected one "
                "finite number"
            )
        return np.float32(given.item())

    def _marked(self, which: Collection[Hashable]) -> np.ndarray:
        return np.array([agent in which for agent in self._agents])

    def _seen(
        self,
        method: str,
        observations: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        alive: set,
        cut: Collection[Hashable] = (),
    ) -> dict[str, Any]:
        observation = np.zeros((len(self._agents), self._width), np.float32)
        mask = np.zeros((len(self._agents), self._wide), bool)
        for slot, agent in enumerate(self._agents):
            if agent not in alive and agent not in cut:
                continue
            if agent not in observations:
                why = ", which was truncated: its last one is needed to value what comes after"
                self._refuse(
                    f"{method}() gave no observation of {agent} at step {self._clock}"
                    f"{why if agent in cut else ''}"
                )
            seen, info = observations[agent], infos.get(agent, {})
            if not isinstance(info, Mapping):
                self._refuse(
                    f"{method}() gave {_kind(info)} as the info of {agent}; expected a dictionary"
                )
            possible = info.get("action_mask")
            if _masked(self._env.observation_space(agent)) and isinstance(seen, Mapping):
                possible = seen.get("action_mask", possible)
            flat = self._flat(self._spaces[slot], seen, agent)
            observation[slot, : len(flat)] = flat
            if agent in alive:
                mask[slot, : int(self._actions[slot].n)] = self._possible(slot, possible)
        found = {"observation": observation, "alive": self._marked(alive), "mask": mask}
        return found | ({"central": self._central()} if self._with_central else {})

    def _possible(self, slot: int, given: Any) -> Any:
        if given is None:
            return True
        mask, count = np.asarray(given), int(self._actions[slot].n)
        if mask.shape != (count,):
            self._refuse(
                f"{self._agents[slot]}'s action_mask has shape {list(mask.shape)}; its action "
                f"space, {self._actions[slot]}, wants [{count}]"
            )
        return mask.astype(bool)

    def _flat(self, space: Any, value: Any, agent: Hashable) -> np.ndarray:
        """A value of any Gymnasium space as a vector; boxes of bytes by their bounds to 0 .. 1."""
        from gymnasium.spaces import Box, Dict, Tuple, flatten

        if isinstance(space, Box):
            shown = np.asarray(value)
            if shown.shape != space.shape or shown.dtype.kind not in "bifu":
                self._refuse(
                    f"{agent}'s observation is {_kind(value)}; its observation space, {space}, "
                    f"wants numbers of shape {list(space.shape)}"
                )
            vector = shown.astype(np.float32).ravel()
            if space.dtype != np.uint8:
                return vector
            low, high = (x.astype(np.float32).ravel() for x in (space.low, space.high))
            return (vector - low) / np.maximum(high - low, 1)
        if isinstance(space, Dict):
            parts = [(key, of) for key, of in space.spaces.items()]
        elif isinstance(space, Tuple):
            parts = list(enumerate(space.spaces))
        else:
            try:
                return np.asarray(flatten(space, value), np.float32)
            except Exception as error:
                raise UserError(
                    f"{agent}'s observation is {value!r}; its observation space is "
                    f"{space} ({blamed(error)})"
                ) from error
        try:
            return np.concatenate([self._flat(of, value[key], agent) for key, of in parts])
        except (KeyError, IndexError, TypeError):
            raise UserError(
                f"{agent}'s observation is {_kind(value)}; its observation space is {space}"
            ) from None

    def _action_space(self, agent: Hashable) -> Any:
        from gymnasium.spaces import Discrete

        space = self._call("action_space", self._env.action_space, agent)
        if not isinstance(space, Discrete):
            self._refuse(f"{agent} acts in {space}; only Discrete actions can be learned")
        return space

    def _observation_space(self, agent: Hashable) -> Any:
        """What is observed: without the mask."""
        from gymnasium.spaces import Dict, Space

        space = self._call("observation_space", self._env.observation_space, agent)
        if not isinstance(space, Space):
            self._refuse(f"{agent}'s observation space is {space!r}; expected one of Gymnasium's")
        if not _masked(space):
            return space
        if "observation" not in space.spaces:
            self._refuse(
                f"{agent}'s observation is a Dict of {', '.join(map(str, space.spaces))}; beside "
                "'action_mask' the key 'observation' is expected"
            )
        return Dict({key: of for key, of in space.spaces.items() if key != "action_mask"})

    def _length(self, agent: Hashable, space: Any) -> int:
        from gymnasium.spaces import flatdim

        try:
            return int(flatdim(space))
        except (ValueError, NotImplementedError):
            raise UserError(
                f"{agent} observes {space}, which has no fixed length; expected a "
                "space that Gymnasium can flatten to a vector"
            ) from None

    def _central(self) -> np.ndarray:
        state = np.asarray(self._call("state", lambda: self._env.state()))
        if state.dtype.kind not in "bifu":
            self._refuse(f"state() gave {_kind(state)}; expected an array of numbers")
        return (state / 255 if state.dtype == np.uint8 else state).astype(np.float32).ravel()


def _possible_agents(env: Any) -> list[Hashable]:
    """Of a parallel environment.

    Raises:
        UserError: it is something else.
    """
    kind, expected = type(env).__name__, "expected a PettingZoo parallel environment"
    if hasattr(env, "agent_iter"):
        raise UserError(
            f"{kind} is an AEC environment, whose agents act in turn; {expected}: often "
            "the same module's parallel_env, else pettingzoo.utils.conversions.aec_to_parallel or "
            "turn_based_aec_to_parallel"
        )
    if hasattr(env, "step") and not callable(getattr(env, "action_space", None)):
        raise UserError(
            f"{kind} is an environment of one agent, as Gymnasium's are; {expected}, which "
            "has 'possible_agents'"
        )
    for part in ("possible_agents", "reset", "step", "action_space", "observation_space"):
        if not hasattr(env, part):
            raise UserError(f"{kind} has no {part!r}; {expected}")
    agents = list(env.possible_agents)
    if len(set(map(str, agents))) < len(agents) or not agents:
        raise UserError(f"'possible_agents' is {agents}; expected different names")
    return agents


def _limit(env: Any) -> int | None:
    """Steps of an episode, if the environment says so."""
    bare = getattr(env, "unwrapped", env)
    said = getattr(bare, "metadata", None)
    for limit in LIMITS:
        for found in (getattr(bare, limit, None), getattr(env, limit, None),
                      said.get(limit) if isinstance(said, Mapping) else None):  # fmt: skip
            if isinstance(found, int | np.integer) and found > 0:
                return int(found)
    return None


def _flagged(flags: Mapping[Any, Any], who: set[Hashable]) -> set[Hashable]:
    """Who of them is marked, by itself or with all."""
    return {agent for agent in who if bool(flags.get(agent, flags.get("__all__", False)))}


def _masked(space: Any) -> bool:
    from gymnasium.spaces import Dict

    return isinstance(space, Dict) and "action_mask" in space.spaces


def _kind(value: Any) -> str:
    """What it is, in a few words."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, Mapping):
        return f"a dictionary of {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {list(value.shape)}"
    return (
        f"{value!r}"
        if value is None or isinstance(value, str | int | float)
        else (f"of type {type(value).__name__}")
    )
