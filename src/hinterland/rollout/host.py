"""All agents on a host simulator: SUMO and others that live in processes of their own.

Several sessions step side by side, each in its process, under one batched inference. Their number
is fixed, so that results do not depend on the machine.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from hinterland.core import Domain, HostSession, Trajectory, stream
from hinterland.core.spec import integers_for
from hinterland.rollout.answers import TRUTHS, WHOLE, figures_of, gathered
from hinterland.rollout.episodes import Episodes
from hinterland.rollout.joint import independent_steps
from hinterland.rollout.windows import in_windows, log_probability_of

SESSIONS = 8
"""Sessions that step together in evaluation and data collection."""


class HostCopies(NamedTuple):
    """Where the sessions stand between two rollouts.

    A process cannot be stored in a checkpoint, but what was asked of it can: its episode and all
    actions since that began. A resumed run asks for the same again.
    """

    episode: Int[np.ndarray, " copy"]
    """Number of the episode under way; it gives its seed."""
    clock: Int[np.ndarray, " copy"]
    """Steps since it began."""
    actions: Int[np.ndarray, "copy horizon agent"]
    policy: Float[np.ndarray, "copy agent hidden"]


def episode_seed(key: Key[Array, ""]) -> int:
    """A seed for simulators that take 31 bits."""
    return int(jax.random.bits(key, dtype=jnp.uint32) >> 1)


def ask_all(sessions: Sequence[HostSession], method: str, *each: Sequence[Any]) -> list[Any]:
    """One call to every session; they work at the same time."""
    for session, *arguments in zip(sessions, *each, strict=True):
        session.ask(method, *arguments)
    return [session.answer() for session in sessions]


def _observations(domain: Domain, seen: list[dict[str, Any]]) -> np.ndarray:
    """[copy, agent, observation], in the sessions' own type."""
    return gathered(domain.name, seen, "observation", (domain.agents, domain.spec.observation))


def _rewards(domain: Domain, moved: list[dict[str, Any]]) -> np.ndarray:
    """[copy, agent], float32."""
    return gathered(domain.name, moved, "reward", (domain.agents,)).astype(np.float32)


def _terminated(domain: Domain, moved: list[dict[str, Any]]) -> np.ndarray:
    """[copy]."""
    return gathered(domain.name, moved, "terminated", (), TRUTHS)


class NetworkActor:
    """Trained networks as the actors of whole episodes; a stream of random numbers per episode."""

    def __init__(self, networks: Any, greedy: bool, keys: Key[Array, " copy"]) -> None:
        self._networks = jax.device_put(networks)
        self._greedy, self._keys = greedy, keys
        one = jax.tree.map(lambda x: x[0], networks).initial(len(keys))
        agents = jax.tree.leaves(networks)[0].shape[0]
        self._memory = jnp.broadcast_to(one[:, None], (len(keys), agents, one.shape[-1]))

    def __call__(self, t: int, observation: np.ndarray) -> np.ndarray:
        """Actions [copy, agent] at step t."""
        actions, self._memory = _act(
            self._networks, self._greedy, self._keys, t, self._memory, observation
        )
        return np.asarray(actions)


@jax.jit
def _act(networks, greedy, keys, t, memory, observation):  # type: ignore[no-untyped-def]
    memory, logits, _ = independent_steps(networks, memory, observation)
    keys = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
    sampled = jax.vmap(jax.random.categorical)(keys, logits)
    return jnp.where(greedy, logits.argmax(-1), sampled), memory


def play_host(
    sessions: Sequence[HostSession],
    domain: Domain,
    actor: Callable[[int, np.ndarray], np.ndarray] | str,
    seeds: Sequence[int],
    *,
    with_influence: bool = False,
    with_figures: bool = False,
    with_pictures: bool = False,
    stopping: Callable[[], None] = lambda: None,
) -> tuple[Episodes, list[dict[str, float]]]:
    """One whole episode in every session.

    Args:
        sessions: where.
        domain: the system.
        actor: (step, observations [copy, agent, observation]) -> actions [copy, agent], or the
            name of a controller inside of the simulator.
        seeds: of the episodes.
        with_influence: also return (d-set, influence) pairs.
        with_figures: also return the domain's own figures.
        with_pictures: also return what pictures are drawn from.
        stopping: called at every step; raises to end the work.

    Returns:
        The episodes, and the domain's own figures of each, if they are wanted.

    Raises:
        UserError: a session raised, hung, or gave something missing, of a wrong shape or type, or
            not finite.
    """
    horizon, agents = domain.spec.horizon, domain.agents
    controller = actor if isinstance(actor, str) else None
    seen = [
        session.begin("reset", seed, controller, with_figures)
        for session, seed in zip(sessions, seeds, strict=True)
    ]
    reward = np.zeros((horizon, len(sessions), agents), np.float32)
    alive = np.zeros((horizon, len(sessions)), bool)
    going = np.ones(len(sessions), bool)
    dsets, influences, pictures = [], [], []
    sizes = {"dset": (agents, domain.spec.dset), "influence": (agents, domain.spec.sources)}
    idle = np.zeros((len(sessions), agents), np.int32)
    for t in range(horizon):
        stopping()
        observation = _observations(domain, seen)
        if with_influence:
            dsets.append(gathered(domain.name, seen, "dset", sizes["dset"]))
        if with_pictures:
            pictures.append(ask_all(sessions, "picture"))
        actions = idle if isinstance(actor, str) else actor(t, observation)
        seen = ask_all(sessions, "step", list(actions))
        alive[t] = going
        reward[t] = np.where(going[:, None], _rewards(domain, seen), 0.0)
        if with_influence:
            influences.append(gathered(domain.name, seen, "influence", sizes["influence"], WHOLE))
        going = going & ~_terminated(domain, seen)
    figures = figures_of(domain.name, [s.call("metrics") for s in sessions if with_figures])
    return (
        Episodes(
            reward=reward,
            dset=np.stack(dsets) if with_influence else None,
            influence=np.stack(influences) if with_influence else None,
            alive=alive,
            state=pictures if with_pictures else None,
        ),
        figures,
    )


class HostCollector:
    """Experience of all agents for training, from sessions that go on from rollout to rollout."""

    def __init__(self, domain: Domain, seed: int, sessions: Sequence[HostSession]) -> None:
        self._domain, self._seed, self._sessions = domain, seed, sessions
        self._seen: list[dict[str, Any]] | None = None

    def begin(self, hidden: Float[Array, "copy agent hidden"]) -> HostCopies:
        """All copies before their first episodes."""
        copies, (horizon, agents) = len(self._sessions), self._sizes
        zeros = np.zeros(copies, np.int32)
        actions = np.zeros((copies, horizon, agents), integers_for(self._domain.spec.actions))
        return HostCopies(zeros, zeros.copy(), actions, np.asarray(hidden))

    @property
    def _sizes(self) -> tuple[int, int]:
        return self._domain.spec.horizon, self._domain.agents

    def _episode_seed(self, copy: int, episode: int) -> int:
        return episode_seed(stream(self._seed, "train/host", copy, episode))

    def _length(self, copy: int, episode: int) -> int:
        """First episodes end early, each at another time, so that copies do not reset together."""
        horizon, count = self._sizes[0], len(self._sessions)
        return horizon - (copy * horizon // count if episode == 0 else 0)

    def _catch_up(self, copies: HostCopies) -> list[dict[str, Any]]:
        """Leads new processes to where the copies stand."""
        seen = [
            session.begin("reset", self._episode_seed(copy, int(copies.episode[copy])))
            for copy, session in enumerate(self._sessions)
        ]
        for t in range(copies.clock.max()):
            behind = [copy for copy, clock in enumerate(copies.clock) if t < clock]
            sessions = [self._sessions[copy] for copy in behind]
            moved = ask_all(sessions, "step", list(copies.actions[behind, t].astype(np.int32)))
            for copy, one in zip(behind, moved, strict=True):
                seen[copy] = one
        return seen

    def leave(self) -> None:
        """Others may use the sessions now; the next rollout leads them back to where they were."""
        self._seen = None

    def rollout(
        self,
        key: Key[Array, ""],
        networks: Any,
        copies: HostCopies,
        windows: int,
        window: int,
        stopping: Callable[[], None] = lambda: None,
    ) -> tuple[HostCopies, Trajectory]:
        """`windows` x `window` steps of every copy; with an agent axis.

        Args:
            key: consumed.
            networks: stacked on the agent axis.
            copies: where the copies stand.
            windows: number of windows.
            window: steps per window; recurrent states are stored at the start of each.
            stopping: called at every step; raises to end the work.

        Returns:
            Where the copies stand after it, and [windows, time, copy, agent, ...].
        """
        domain, sessions = self._domain, self._sessions
        if self._seen is None:
            self._seen = self._catch_up(copies)
        networks = jax.device_put(networks)
        episode, clock = copies.episode.copy(), copies.clock.copy()
        actions_so_far, hidden = copies.actions.copy(), copies.policy
        record: list[Trajectory] = []
        for t in range(windows * window):
            stopping()
            observation, reset = _observations(domain, self._seen), clock == 0
            hidden, *chosen = _choose(networks, key, t, hidden, reset, observation)
            action, log_probability, value, before = map(np.asarray, chosen)
            for copy in range(len(sessions)):
                actions_so_far[copy, clock[copy]] = action[copy]
            moved = ask_all(sessions, "step", list(action))
            clock += 1
            terminated = _terminated(domain, moved)
            lengths = [self._length(c, int(e)) for c, e in enumerate(episode)]
            truncated = (clock >= np.array(lengths)) & ~terminated
            done = terminated | truncated
            ended_value = np.zeros_like(value)
            if truncated.any():
                last = np.asarray(_values(networks, hidden, _observations(domain, moved)))
                ended_value = np.where(truncated[:, None], last, 0.0)
            record.append(
                Trajectory(
                    observation=observation,
                    action=action,
                    log_probability=log_probability,
                    value=value,
                    next_value=ended_value,
                    reward=_rewards(domain, moved),
                    done=np.repeat(done[:, None], domain.agents, 1),
                    reset=np.repeat(reset[:, None], domain.agents, 1),
                    carry=before,
                )
            )
            for copy in np.flatnonzero(done):
                episode[copy] += 1
                clock[copy] = 0
                seed = self._episode_seed(copy, int(episode[copy]))
                moved[copy] = sessions[copy].begin("reset", seed)
            self._seen = moved
        zeroed = jnp.where((clock == 0)[:, None, None], 0.0, hidden)
        following = np.asarray(_values(networks, zeroed, _observations(domain, self._seen)))
        steps = jax.tree.map(lambda *x: np.stack(x), *record)
        copies = HostCopies(episode, clock, actions_so_far, np.asarray(hidden))
        return copies, in_windows(steps, following, windows, window)


@jax.jit
def _choose(networks, key, t, hidden, reset, observation):  # type: ignore[no-untyped-def]
    before = jnp.where(reset[:, None, None], 0.0, hidden)
    hidden, logits, value = independent_steps(networks, before, observation)
    action = jax.random.categorical(jax.random.fold_in(key, t), logits)
    return hidden, action, log_probability_of(action, logits), value, before


@jax.jit
def _values(networks, hidden, observation):  # type: ignore[no-untyped-def]
    return independent_steps(networks, hidden, observation)[2]
