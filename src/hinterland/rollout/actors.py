"""Actors: many copies of one system, stepped side by side. They own no policy.

Whatever the system is (entities or plain agents, traced by JAX or in processes of its own), a
worker sees the same: what an actor shows (`View`) and what came of the actions (`Outcome`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Real

from hinterland.core import (
    Domain,
    EntityDomain,
    EntityStep,
    HostSession,
    UserError,
    is_entity_domain,
    is_host,
    stream,
)
from hinterland.core.spec import integers_for
from hinterland.core.types import HostOrDevice
from hinterland.rollout.answers import FLAGS, TRUTHS, gathered
from hinterland.rollout.autoreset import reset_where
from hinterland.rollout.entities import EntityCopies
from hinterland.rollout.host import episode_seed


class View(NamedTuple):
    """What all copies show before a step."""

    observation: Real[HostOrDevice, "copy slots observation"]
    mask: Bool[HostOrDevice, "copy slots actions"]
    alive: Bool[HostOrDevice, "copy slots"]
    central: Float[HostOrDevice, "copy central"]


class Outcome(NamedTuple):
    """What a step led to. `alive` is of the state reached, before any reset.

    `cut` marks slots that were truncated while the episode goes on: empty, and worth their value.
    """

    reward: Float[HostOrDevice, "copy slots"]
    terminated: Bool[HostOrDevice, " copy"]
    truncated: Bool[HostOrDevice, " copy"]
    alive: Bool[HostOrDevice, "copy slots"]
    cut: Bool[HostOrDevice, "copy slots"]


class System:
    """Any domain as the pipeline sees it: slots with entities, masks, and perhaps a central state.

    Args:
        domain: of entities, or of agents (who are always alive and may do everything).
        central: give the critic the whole system's state.

    Raises:
        UserError: there is no such state.
    """

    def __init__(self, domain: Domain | EntityDomain, central: bool = False) -> None:
        self.name, self.slots, self.spec = domain.name, domain.agents, domain.spec
        self.horizon = domain.spec.horizon
        self.of_entities = is_entity_domain(domain)
        simulator: Any = getattr(domain, "entity_simulator", None) or _agents_of(domain)
        self.is_host = is_host(simulator)
        self.simulator = simulator
        possible = getattr(domain, "action_mask", None)
        shape = (self.slots, self.spec.actions)
        self.possible = np.ones(shape, bool) if possible is None else np.asarray(possible, bool)
        self.roles = tuple(int(r) for r in getattr(domain, "roles", (0,) * self.slots))
        if central and (show := getattr(simulator, "show_central", None)):
            show()
        if central and not hasattr(simulator, "central"):
            raise UserError(
                f"--critic central: {domain.name} does not show the whole system's state (its "
                "simulator has no 'central'); use --critic own"
            )
        self.central = self._central_size() if central else 0

    def _central_size(self) -> int:
        if self.is_host:
            return int(self.simulator.central)
        simulator = self.simulator
        shape = jax.eval_shape(lambda: simulator.central(simulator.reset(jax.random.key(0))))
        return shape.shape[0]

    def look(self, state: Any) -> View:
        """What every copy of a traced system shows."""
        simulator = self.simulator
        alive = jax.vmap(simulator.alive)(state)
        return View(
            jax.vmap(simulator.observe)(state),
            jax.vmap(simulator.action_mask)(state) & alive[..., None],
            alive,
            jax.vmap(simulator.central)(state) if self.central else jnp.zeros((len(alive), 0)),
        )

    def act(
        self,
        key: Key[Array, ""],
        copies: EntityCopies,
        actions: Int[Array, "copy slots"],
        opposing: Int[Array, "copy slots"] | None = None,
    ) -> tuple[EntityCopies, Outcome, Any]:
        """(where the copies stand, the outcome, the states reached before any reset), traced.

        With `opposing`, the other side's actions are those instead of the simulator's own.
        """
        simulator = self.simulator
        noise_key, reset_key = jax.random.split(key)
        noise = jax.vmap(simulator.noise)(jax.random.split(noise_key, actions.shape[0]))
        if opposing is None:
            moved = jax.vmap(simulator.step)(copies.state, actions, noise)
        else:
            moved = jax.vmap(simulator.step_both)(copies.state, actions, opposing, noise)
        clock = copies.clock + 1
        truncated = (clock >= self.horizon) & ~moved.terminated
        ended = truncated | moved.terminated
        state = reset_where(ended, moved.state, simulator.reset, reset_key)
        alive = jax.vmap(simulator.alive)(moved.state)
        outcome = Outcome(moved.reward, moved.terminated, truncated, alive, jnp.zeros_like(alive))
        return EntityCopies(state, jnp.where(ended, 0, clock)), outcome, moved.state


def _agents_of(domain: Any) -> Any:
    """The global simulator of a domain of agents; a traced one as one of entities."""
    whole = domain.global_simulator
    return whole if is_host(whole) else _AllAlive(domain)


class _AllAlive:
    """A global simulator of agents as one of entities that never die."""

    def __init__(self, domain: Domain) -> None:
        self._domain, self._whole = domain, domain.global_simulator
        self.reset, self.noise = self._whole.reset, self._whole.noise
        possible = getattr(domain, "action_mask", None)
        shape = (domain.agents, domain.spec.actions)
        self._possible = np.ones(shape, bool) if possible is None else np.asarray(possible, bool)
        for name in ("central", "figures"):
            if hasattr(self._whole, name):
                setattr(self, name, getattr(self._whole, name))

    def observe(self, state: Any) -> Array:
        observe = self._domain.local_simulator.observe
        return jax.vmap(observe)(self._whole.regions(state))

    def alive(self, state: Any) -> Array:
        return jnp.ones(self._domain.agents, bool)

    def action_mask(self, state: Any) -> Array:
        return jnp.asarray(self._possible)

    def step(self, state: Any, actions: Array, noise: Any) -> EntityStep:
        moved = self._whole.step(state, actions, noise)
        return EntityStep(moved.state, moved.reward, moved.terminated)


class HostPlace(NamedTuple):
    """Where the sessions of an actor stand; enough to lead new processes there.

    A process cannot be stored in a checkpoint, but what was asked of it can.
    """

    episode: Int[np.ndarray, " copy"]
    """Number of the episode under way; it gives its seed."""
    clock: Int[np.ndarray, " copy"]
    """Steps since it began."""
    actions: Int[np.ndarray, "copy horizon slots"]


def first_place(system: System, count: int) -> HostPlace:
    """So many copies before their first episodes."""
    zeros = np.zeros(count, np.int32)
    kept = integers_for(system.spec.actions)
    actions = np.zeros((count, system.horizon, system.slots), kept)
    return HostPlace(zeros, zeros.copy(), actions)


class HostActor:
    """Sessions of a system outside of JAX that step together, each in its process.

    Args:
        system: what they simulate.
        sessions: where.
        seed: of the run.
        first: number of the first copy; copies have different streams of episodes.
    """

    def __init__(
        self, system: System, sessions: Sequence[HostSession], seed: int, first: int
    ) -> None:
        self._system, self._sessions = system, sessions
        self._seed, self._first = seed, first

    def lead(self, place: HostPlace) -> View:
        """Brings the sessions to where the copies stand; what they show there."""
        self._episode, self._clock, self._actions = (x.copy() for x in place)
        seen = [self._reset(copy) for copy in range(len(self._sessions))]
        for t in range(self._clock.max()):
            behind = np.flatnonzero(t < self._clock)
            for copy, one in zip(behind, self._ask(behind, self._actions[:, t]), strict=True):
                seen[copy] = one
        return view_of(self._system, seen)

    @property
    def place(self) -> HostPlace:
        """Where the copies stand now."""
        return HostPlace(self._episode.copy(), self._clock.copy(), self._actions.copy())

    def act(self, actions: Int[np.ndarray, "copy slots"]) -> tuple[Outcome, View, View]:
        """(the outcome, what the states reached show, what is shown after resets).

        Raises:
            UserError: the simulator raised, hung, or gave something of a wrong shape or not finite.
        """
        copies = np.arange(len(self._sessions))
        self._actions[copies, self._clock] = actions
        moved = self._ask(copies, actions)
        self._clock += 1
        reached = view_of(self._system, moved)
        terminated, stopped = ends_of(self._system, moved)
        truncated = (stopped | (self._clock >= self._lengths())) & ~terminated
        reward, alive = rewards_of(self._system, moved), reached.alive
        outcome = Outcome(reward, terminated, truncated, alive, cut_of(self._system, moved))
        over = np.flatnonzero(terminated | truncated)
        for copy in over:
            self._episode[copy] += 1
            self._clock[copy] = 0
            moved[copy] = self._reset(copy)
        return outcome, reached, view_of(self._system, moved) if over.size else reached

    def _reset(self, copy: int) -> dict[str, Any]:
        place = (self._first + copy, int(self._episode[copy]))
        seed = episode_seed(stream(self._seed, "pipeline/host", *place))
        return self._sessions[copy].begin("reset", seed)

    def _lengths(self) -> Int[np.ndarray, " copy"]:
        """First episodes end early, each at another time, so that copies do not reset together."""
        horizon, count = self._system.horizon, len(self._sessions)
        return horizon - np.where(self._episode == 0, np.arange(count) * horizon // count, 0)

    def _ask(self, copies: np.ndarray, actions: np.ndarray) -> list[dict[str, Any]]:
        """One step of these copies, all at the same time."""
        for copy in copies:
            # int32 always, however narrowly they are kept: simulators may compute with them.
            self._sessions[copy].ask("step", np.asarray(actions[copy], np.int32))
        return [self._sessions[copy].answer() for copy in copies]


def view_of(system: System, seen: Sequence[dict[str, Any]]) -> View:
    """What sessions answered, side by side.

    Raises:
        UserError: a part is missing, has a wrong shape or type, or is not finite.
    """
    slots, spec = system.slots, system.spec
    observation = _floats(system, seen, "observation", (slots, spec.observation))
    if system.of_entities:
        alive = gathered(system.name, seen, "alive", (slots,), FLAGS).astype(bool)
        mask = gathered(system.name, seen, "mask", (slots, spec.actions), FLAGS).astype(bool)
        mask &= alive[..., None]
    else:
        alive = np.ones((len(seen), slots), bool)
        mask = np.broadcast_to(system.possible, (len(seen), *system.possible.shape))
    if system.central:
        central = _floats(system, seen, "central", (system.central,))
    else:
        central = np.zeros((len(seen), 0), np.float32)
    return View(observation, mask, alive, central)


def rewards_of(system: System, moved: Sequence[dict[str, Any]]) -> np.ndarray:
    """[copy, slots]; errors as `view_of`."""
    return _floats(system, moved, "reward", (system.slots,))


def ends_of(system: System, moved: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """(terminated, truncated by the simulator itself) [copy]; errors as `view_of`."""
    terminated = gathered(system.name, moved, "terminated", (), TRUTHS)
    told = [{"truncated": False, **one} for one in moved]
    return terminated, gathered(system.name, told, "truncated", (), TRUTHS)


def cut_of(system: System, moved: Sequence[dict[str, Any]]) -> np.ndarray:
    """[copy, slots], who was truncated alone; errors as `view_of`."""
    nobody = np.zeros(system.slots, bool)
    told = [{"cut": nobody, **one} for one in moved]
    return gathered(system.name, told, "cut", (system.slots,), FLAGS).astype(bool)


def _floats(system: System, seen: Sequence[Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    return gathered(system.name, seen, name, shape).astype(np.float32)
