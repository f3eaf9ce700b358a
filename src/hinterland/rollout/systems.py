"""Systems: many copies of a domain's simulator as slots to act for. They own no policy.

Whatever the domain is, who steps it sees the same: what all copies show (`core.View`) and what came
of the actions. A `TracedSystem` is stepped by JAX: the global simulator (`whole_system`), or
regions in their influence-augmented local simulators (`Regions`, the paper's Algorithm 3), which
the learner cannot tell from any other system. A `HostSystem` (`answers`) lives in processes.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import UserError, View, global_simulator_of, is_entity_domain, is_host
from hinterland.core.kinds import by_kind, has_kinds, kinds_of, observations_of, possible_actions
from hinterland.core.types import HostOrDevice


class Copies(NamedTuple):
    """Where the parallel copies of a traced system stand between two segments."""

    state: Any
    clock: Int[Array, " stream"]
    """Steps since the episode began; the rollout owns the time limit, simulators know no time.
    One for each copy, or for each copy and region."""


def shown(observation: Any, mask: Any, alive: Any, central: Any = None) -> View:
    """What slots show: who is not there may do nothing, and who may do nothing does not act."""
    mask = mask & alive[..., None]
    nothing = np.zeros((len(alive), 0), np.float32)
    return View(observation, mask, alive, mask.any(-1), nothing if central is None else central)


def select(condition: Bool[Array, " stream"], yes: Any, no: Any) -> Any:
    """Leaf by leaf, `yes` where the condition holds and `no` elsewhere."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(condition.reshape(-1, *(1,) * (b.ndim - 1)), a, b)

    return jax.tree.map(choose, yes, no)


class Moved(NamedTuple):
    """One step of all copies, before any reset."""

    state: Any
    reward: Float[Array, "copy slots"]
    terminated: Bool[Array, " stream"]
    influence: Any = None
    """[copy, regions, sources] of each kind: what really touched a global simulator's regions."""


class System:
    """What every kind of system says about itself.

    Args:
        domain: any.
        central: give the critic the whole system's state.

    Raises:
        UserError: there is no such state.
    """

    is_host = False
    teams = 1
    """So many stand side by side in the slots, and know nothing of each other."""

    def __init__(self, domain: Any, simulator: Any, central: bool = False) -> None:
        self.name, self.slots, self.spec = domain.name, domain.agents, domain.spec
        self.horizon = domain.spec.horizon
        self.of_entities, self.sides = is_entity_domain(domain), 1
        self.simulator = simulator
        self.possible = possible_actions(domain)
        self.kinds = kinds_of(domain)
        """Of its regions, where there are any."""
        self.declares_kinds = has_kinds(domain)
        self.by_kind = partial(by_kind, domain)
        self.roles = tuple(int(r) for r in getattr(domain, "roles", (0,) * self.slots))
        if central and (show := getattr(simulator, "show_central", None)):
            show()
        if central and not hasattr(simulator, "central"):
            raise UserError(
                f"--critic central: {domain.name} does not show the whole system's state (its "
                "simulator has no 'central'); use --critic own"
            )
        self.central = self._central_size() if central else 0

    @property
    def has_regions(self) -> bool:
        """Whether there are local simulators."""
        return self.kinds[0].local_simulator is not None

    def by_slot(self, x: Any) -> Any:
        """What is true of an episode [stream], for each of its slots, [copy, slots]."""
        each = x.repeat(self.sides).reshape(-1, self.teams)
        return each.repeat(self.slots // self.teams, 1)

    def _central_size(self) -> int:
        simulator = self.simulator
        if is_host(simulator):
            return int(simulator.central)
        shape = jax.eval_shape(lambda: simulator.central(simulator.reset(jax.random.key(0))))
        return shape.shape[0]


class TracedSystem(System):
    """The global simulator of a domain of entities, or of one whose agents are always there.

    Raises:
        UserError: what it shows of regions must come from local simulators that JAX does not trace.
    """

    def __init__(self, domain: Any, central: bool = False) -> None:
        if is_host(kinds_of(domain)[0].local_simulator):
            raise UserError(
                f"{domain.name}: local simulators outside of JAX cannot read the states of a "
                "global simulator that JAX traces; give one outside of JAX too, whose sessions "
                "show d-sets"
            )
        super().__init__(domain, global_simulator_of(domain), central)
        self._domain = domain

    def reset(self, keys: Key[Array, " stream"]) -> Any:
        """First states of that many episodes."""
        return jax.vmap(self.simulator.reset)(keys)

    def renewed(self, key: Key[Array, ""], done: Bool[Array, " stream"], state: Any) -> Any:
        """First states in place of those that are done; nothing is computed where none is."""

        def renew() -> Any:
            return select(done, self.reset(jax.random.split(key, done.shape[0])), state)

        return jax.lax.cond(done.any(), renew, lambda: state)

    def alive(self, state: Any) -> Bool[Array, "copy slots"]:
        """Which slots hold an entity; agents are always there."""
        if self.of_entities:
            return jax.vmap(self.simulator.alive)(self._simulated(state)).reshape(-1, self.slots)
        return jnp.ones((len(jax.tree.leaves(state)[0]) // self.teams, self.slots), bool)

    def look(self, state: Any) -> View:
        """What every copy shows."""
        alive, simulated = self.alive(state), self._simulated(state)
        seen = jax.vmap(self._observed)(simulated).reshape(*alive.shape, -1)
        mask = jnp.broadcast_to(self.possible, (len(alive), *self.possible.shape))
        if self.of_entities:
            mask = jax.vmap(self.simulator.action_mask)(simulated).reshape(mask.shape)
        central = jax.vmap(self.simulator.central)(state) if self.central else None
        return shown(seen, mask, alive, central)

    def _simulated(self, state: Any) -> Any:
        """What of a state is the simulator's."""
        return state

    def _observed(self, one: Any) -> Array:
        """What slots see in one of its states."""
        if self.of_entities:
            return self.simulator.observe(one)
        return observations_of(self._domain, self.simulator.regions(one))

    def regions(self, state: Any) -> tuple[Any, ...]:
        """The local states of each kind's regions, [copy, region, ...]."""
        return self.by_kind(jax.vmap(self.simulator.regions)(state))

    def dsets(self, state: Any) -> tuple[Array, ...]:
        """What their predictors see, [copy, region, dset]."""
        every = zip(self.kinds, self.regions(state), strict=True)
        return tuple(jax.vmap(jax.vmap(k.local_simulator.dset))(regions) for k, regions in every)

    def move(
        self,
        noise_key: Key[Array, ""],
        other_key: Key[Array, ""],
        state: Any,
        actions: Int[Array, "copy slots"],
        opposing: Int[Array, "copy slots"] | None = None,
    ) -> Moved:
        """One step of all copies, before any reset; influence is by kind.

        With `opposing`, the other side's actions are those, not the simulator's own. Both keys are
        consumed; the second one by what is learned about a system's surroundings.
        """
        del other_key
        simulator = self.simulator
        noise = jax.vmap(simulator.noise)(jax.random.split(noise_key, actions.shape[0]))
        if opposing is not None:
            found = jax.vmap(simulator.step_both)(state, actions, opposing, noise)
        else:
            found = jax.vmap(simulator.step)(state, actions, noise)
        influence = getattr(found, "influence", None)
        influence = None if influence is None else self.by_kind(influence)
        return Moved(found.state, found.reward, found.terminated, influence)


class RegionState(NamedTuple):
    """Of local simulators, each with its predictor's recurrent state."""

    local: Any
    predictor: Float[Array, "stream hidden"]


class Regions(TracedSystem):
    """Regions of one kind side by side, each in its local simulator, played by its predictor.

    Each region has episodes of its own: a stream for each copy and region. Outside of JAX it only
    says who they are, and `hosts.HostRegions` plays them.

    Args:
        domain: with local simulators.
        predictors: the regions' influence predictors, stacked.
        regions: their numbers among those of the kind; all by default.
        kind: its number.
    """

    def __init__(
        self,
        domain: Any,
        predictors: Any,
        regions: Int[HostOrDevice, " region"] | None = None,
        kind: int = 0,
    ) -> None:
        self.kind = kinds_of(domain)[kind]
        System.__init__(self, domain, self.kind.local_simulator)
        self.spec, self.predictors = self.kind.spec, predictors
        self.one = jax.tree.map(lambda x: x[0], predictors)
        self.teams, each = len(jax.tree.leaves(predictors)[0]), self.kind.regions.shape[1]
        self.slots = self.teams * each
        self._numbers = jnp.arange(self.teams) if regions is None else regions
        slots = jnp.asarray(self.kind.regions)[self._numbers].reshape(-1)
        self.possible = jnp.asarray(self.possible[:, : self.spec.actions])[slots]
        self.shape = () if each == 1 and not self.of_entities else (each,)
        """Axes of what the local simulator tells of each slot: none of agents that live alone."""

    def reset(self, keys: Key[Array, " stream"]) -> RegionState:
        """As `TracedSystem.reset`."""
        times = len(keys) // self.teams
        told = self.kind.told(self._numbers)
        told = jax.tree.map(lambda x: jnp.tile(x, (times, *[1] * (x.ndim - 1))), told)
        first = jax.vmap(self.simulator.reset)(keys, *told)
        return RegionState(first, self.one.initial(len(keys)))

    def _simulated(self, state: RegionState) -> Any:
        return state.local

    def _observed(self, one: Any) -> Array:
        return self.simulator.observe(one)

    def move(
        self,
        noise_key: Key[Array, ""],
        other_key: Key[Array, ""],
        state: RegionState,
        actions: Int[Array, "copy slots"],
        opposing: Int[Array, "copy slots"] | None = None,
    ) -> Moved:
        """As `TracedSystem.move`; influence is drawn from the predictors."""
        assert opposing is None
        dset = jax.vmap(self.simulator.dset)(state.local)
        hidden, logits = self._predicted(state.predictor, dset)
        influence = jax.random.categorical(other_key, logits)
        noise = jax.vmap(self.simulator.noise)(jax.random.split(noise_key, len(dset)))
        each = actions.reshape(-1, *self.shape)
        found = jax.vmap(self.simulator.step)(state.local, each, influence, noise)
        reward = found.reward.reshape(actions.shape)
        return Moved(RegionState(found.state, hidden), reward, found.terminated)

    def _predicted(self, hidden: Array, dset: Array) -> tuple[Array, Array]:
        """(recurrent states, logits) of each stream's predictor."""
        count = len(hidden)

        def by_team(x: Array) -> Array:
            return x.reshape(count // self.teams, self.teams, *x.shape[1:]).swapaxes(0, 1)

        found = predicted(self.predictors, by_team(hidden), by_team(dset))
        return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(count, *x.shape[2:]), found)


def predicted(predictors: Any, hidden: Array, dset: Array) -> tuple[Array, Array]:
    """(recurrent states, logits) [region, copy, ...] of stacked predictors at a step."""
    if len(dset) == 1:
        one = jax.tree.map(lambda x: x[0], predictors)
        return jax.tree.map(lambda x: x[None], one.step(hidden[0], dset[0]))
    return jax.vmap(lambda net, h, d: net.step(h, d))(predictors, hidden, dset)
