"""JaxMARL's environments as domains of entities.

from hinterland.domains.adapters.jaxmarl import JaxMARLDomain, make_environment

def mine(agents):
    return JaxMARLDomain(make_environment("MPE_simple_spread_v3", num_agents=agents), horizon=25)

Any environment works whose agents have the same discrete actions; shorter observations are filled
up with zeros. SMAX, with its battles, figures and drawing, is in `adapters/smax.py`.
"""

import contextlib
import io
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import AgentSpec, EntityStep, UserError


class State(NamedTuple):
    """An environment's own state, what its agents see of it, and who has not ended."""

    inner: Any
    observation: Float[Array, "slots observation"]
    alive: Bool[Array, " slots"]
    over: Bool[Array, ""]


def import_jaxmarl() -> Any:
    """The package; what it says on being imported is swallowed, as only the command line speaks.

    Raises:
        UserError: it is not installed, or lacks a package.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import jaxmarl
            import jaxmarl.environments
    except ImportError as error:
        raise UserError(
            f"the JaxMARL adapter needs {error.name}: pip install 'hinterland[jaxmarl]'"
        ) from None
    return jaxmarl


def make_environment(name: str, **options: Any) -> Any:
    """An environment by its name in JaxMARL.

    Raises:
        UserError: JaxMARL is not installed or has no such environment.
    """
    jaxmarl = import_jaxmarl()
    if name not in jaxmarl.registered_envs:
        known = ", ".join(jaxmarl.registered_envs)
        raise UserError(f"JaxMARL has no environment {name!r}; known: {known}")
    return jaxmarl.make(name, **options)


class JaxMARLSimulator:
    """An `EntitySimulator` of an environment's agents, in its order; it never resets by itself.

    An agent that has ended leaves its slot: its trajectory ends with it, and what JaxMARL pays it
    afterwards is not paid here. An episode that is over stays as it is.

    Args:
        environment: a JaxMARL environment.
        fallen_stay: an agent that has ended keeps its slot, without a choice, and is paid on.

    Raises:
        UserError: agents with different actions, or actions that are not discrete.
    """

    def __init__(self, environment: Any, fallen_stay: bool = False) -> None:
        self.environment, self._fallen_stay = environment, fallen_stay
        self.names = list(environment.agents)
        spaces = [environment.action_space(name) for name in self.names]
        counts = {name: getattr(x, "n", None) for name, x in zip(self.names, spaces, strict=True)}
        if None in counts.values() or len(set(counts.values())) > 1:
            said = ", ".join(f"{name} {n or 'none'}" for name, n in counts.items())
            raise UserError(
                f"{environment.name}: the adapter needs the same number of discrete actions for "
                f"every agent; here: {said}"
            )
        self.actions = int(counts[self.names[0]])
        inner = jax.eval_shape(self._begin, jax.random.key(0))
        self.observation = inner.observation.shape[1]
        self._masked = _has_masks(environment, inner.inner)

    def reset(self, key: Key[Array, ""]) -> State:
        """The environment's own first state."""
        return self._begin(key)

    def observe(self, state: State) -> Float[Array, "slots observation"]:
        """What the environment shows to each agent."""
        return state.observation

    def alive(self, state: State) -> Bool[Array, " slots"]:
        """Agents that have not ended, or all."""
        return state.alive | self._fallen_stay

    def action_mask(self, state: State) -> Bool[Array, "slots actions"]:
        """What the environment calls available; everything, if it does not say."""
        if not self._masked:
            return jnp.repeat(state.alive[:, None], self.actions, 1)
        available = self.environment.get_avail_actions(state.inner)
        return self._stacked(available).astype(bool) & state.alive[:, None]

    def noise(self, key: Key[Array, ""]) -> Key[Array, ""]:
        """The environment's key of the step: it draws its numbers itself."""
        return key

    def step(
        self, state: State, actions: Int[Array, " slots"], noise: Key[Array, ""]
    ) -> EntityStep[State]:
        """One step, without the environment's automatic reset."""
        chosen = {name: actions[i] for i, name in enumerate(self.names)}
        seen, inner, reward, done, _ = self.environment.step_env(noise, state.inner, chosen)
        alive = state.alive & ~self._stacked(done)
        after = State(inner, self._filled(seen), alive, jnp.asarray(done["__all__"]))
        earned = jnp.where(self.alive(state) & ~state.over, self._stacked(reward), 0.0)
        kept = jax.tree.map(lambda new, old: jnp.where(state.over, old, new), after, state)
        return EntityStep(kept, earned.astype(jnp.float32), kept.over)

    def _begin(self, key: Key[Array, ""]) -> State:
        seen, inner = self.environment.reset(key)
        # As arrays: a plain number in a state would change its type in the first step.
        inner = jax.tree.map(jnp.asarray, inner)
        alive = jnp.ones(len(self.names), bool)
        return State(inner, self._filled(seen), alive, jnp.asarray(False))

    def _stacked(self, each: dict[str, Array]) -> Array:
        return jnp.stack([jnp.asarray(each[name]) for name in self.names])

    def _filled(self, seen: dict[str, Array]) -> Float[Array, "slots observation"]:
        flat = [jnp.ravel(seen[name]).astype(jnp.float32) for name in self.names]
        size = max(len(x) for x in flat)
        return jnp.stack([jnp.pad(x, (0, size - len(x))) for x in flat])


def _has_masks(environment: Any, inner: Any) -> bool:
    try:
        jax.eval_shape(environment.get_avail_actions, inner)
    except NotImplementedError:
        return False
    return True


def random(
    key: Key[Array, ""], observation: Float[Array, " observation"], mask: Bool[Array, " actions"]
) -> Int[Array, ""]:
    """Any available action."""
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


class JaxMARLDomain:
    """An environment as a domain; it has no pictures.

    Args:
        environment: a JaxMARL environment.
        horizon: steps after which an episode is truncated, if it has not ended by itself.

    Raises:
        UserError: agents with different actions, or actions that are not discrete.
    """

    scripted = {"random": random}  # noqa: RUF012 - never mutated

    def __init__(self, environment: Any, horizon: int) -> None:
        self.name = environment.name
        self.entity_simulator = JaxMARLSimulator(environment)
        self.agents = len(self.entity_simulator.names)
        self.spec = AgentSpec(
            observation=self.entity_simulator.observation,
            actions=self.entity_simulator.actions,
            dset=0,
            sources=0,
            classes=0,
            horizon=horizon,
        )
