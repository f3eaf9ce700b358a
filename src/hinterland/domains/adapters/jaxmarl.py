"""JaxMARL's environments as domains of entities.

from hinterland.domains.adapters.jaxmarl import JaxMARLDomain, make_environment

def mine(agents):
    return JaxMARLDomain(make_environment("MPE_simple_spread_v3", num_agents=agents), horizon=25)

Any environment works whose agents have the same discrete actions; shorter observations are filled
up with zeros. SMAX, with its battles, figures and drawing, is in `adapters/smax.py`.
"""

import contextlib
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import AgentSpec, EntityStep, UserError
from hinterland.core.blame import blamed


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
        UserError: JaxMARL is not installed or has no such environment, or it cannot be made so.
    """
    jaxmarl = import_jaxmarl()
    if name not in jaxmarl.registered_envs:
        known = ", ".join(jaxmarl.registered_envs)
        raise UserError(f"JaxMARL has no environment {name!r}; known: {known}")
    try:
        return jaxmarl.make(name, **options)
    except Exception as error:
        raise UserError(f"JaxMARL cannot make {name}: {blamed(error)}") from error


class JaxMARLSimulator:
    """An `EntitySimulator` of an environment's agents, in its order; it never resets by itself.

    An agent that has ended leaves its slot: its trajectory ends with it, and what JaxMARL pays it
    afterwards is not paid here. An episode that is over stays as it is.

    Args:
        environment: a JaxMARL environment.
        fallen_stay: an agent that has ended keeps its slot, without a choice, and is paid on.

    Raises:
        UserError: agents with different actions, or actions that are not discrete; observations,
            rewards or ends that are not by agent.
    """

    def __init__(self, environment: Any, fallen_stay: bool = False) -> None:
        self.environment, self._fallen_stay = environment, fallen_stay
        self.names = list(environment.agents)
        spaces = [environment.action_space(name) for name in self.names]
        counts = {name: getattr(x, "n", None) for name, x in zip(self.names, spaces, strict=True)}
        actions = counts[self.names[0]]
        if actions is None or len(set(counts.values())) > 1:
            said = ", ".join(f"{name} {n or 'none'}" for name, n in counts.items())
            raise UserError(
                f"{environment.name}: the adapter needs the same number of discrete actions for "
                f"every agent; here: {said}"
            )
        self.actions = int(actions)
        self._legal = _legal_actions(environment)
        try:
            begun, _, _ = jax.eval_shape(self._first_step, jax.random.key(0))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{environment.name}: its reset or step raised {blamed(error)}"
            ) from error
        self.observation = begun.observation.shape[1]

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
        if self._legal is None:
            return jnp.repeat(state.alive[:, None], self.actions, 1)
        return (
            self._stacked(self._legal(state.inner), "legal actions").astype(bool)
            & state.alive[:, None]
        )

    def noise(self, key: Key[Array, ""]) -> Key[Array, ""]:
        """The environment's key of the step: it draws its numbers itself."""
        return key

    def step(
        self, state: State, actions: Int[Array, " slots"], noise: Key[Array, ""]
    ) -> EntityStep[State]:
        """One step, without the environment's automatic reset."""
        chosen = {name: actions[i] for i, name in enumerate(self.names)}
        seen, inner, reward, done, _ = self.environment.step_env(noise, state.inner, chosen)
        alive = state.alive & ~self._ended(done)
        after = State(inner, self._filled(seen), alive, jnp.asarray(done["__all__"]))
        earned = jnp.where(self.alive(state) & ~state.over, self._stacked(reward, "rewards"), 0.0)

        def keep(new: Any, old: Array) -> Array:
            new = jnp.asarray(new)
            if new.dtype != old.dtype:  # some environments change types from the first step on
                if not jnp.can_cast(new.dtype, old.dtype, "same_kind"):
                    raise UserError(
                        f"{self.environment.name}: numbers of its state turn from {old.dtype} into "
                        f"{new.dtype} in a step, which would be cut; JAX's loops keep types"
                    )
                new = new.astype(old.dtype)
            return jnp.where(state.over, old, new)

        kept = jax.tree.map(keep, after, state)
        return EntityStep(kept, earned.astype(jnp.float32), kept.over)

    def _begin(self, key: Key[Array, ""]) -> State:
        seen, inner = self.environment.reset(key)
        # As arrays: a plain number in a state would change its type in the first step.
        inner = jax.tree.map(jnp.asarray, inner)
        alive = jnp.ones(len(self.names), bool)
        return State(inner, self._filled(seen), alive, jnp.asarray(False))

    def _first_step(self, key: Key[Array, ""]) -> tuple[State, EntityStep[State], Array]:
        begun = self._begin(key)
        idle = jnp.zeros(len(self.names), jnp.int32)
        return begun, self.step(begun, idle, key), self.action_mask(begun)

    def _by_agent(self, given: Any, what: str) -> list[Any]:
        """What is given for each agent, by its name, or in agents' order."""
        if isinstance(given, dict):
            if missing := [name for name in self.names if name not in given]:
                raise UserError(
                    f"{self.environment.name}: its {what} have {', '.join(map(str, given))}; "
                    f"expected one for each agent, such as {missing[0]}"
                )
            return [given[name] for name in self.names]
        if not isinstance(given, tuple | list) and not jnp.ndim(given):
            raise UserError(f"{self.environment.name}: its {what} are one number for all agents")
        if len(given) != len(self.names):
            raise UserError(
                f"{self.environment.name}: {len(given)} {what} for {len(self.names)} agents"
            )
        return list(given)

    def _stacked(self, given: Any, what: str) -> Array:
        return jnp.stack([jnp.asarray(x) for x in self._by_agent(given, what)])

    def _ended(self, done: dict[Any, Array]) -> Bool[Array, " slots"]:
        """Of an agent that is not named it is everybody's end."""
        everybody = done["__all__"]
        each = [done.get(name, done.get(f"agent_{name}", everybody)) for name in self.names]
        return jnp.stack([jnp.asarray(x, bool) for x in each])

    def _filled(self, seen: Any) -> Float[Array, "slots observation"]:
        flat = [
            jnp.concatenate([jnp.ravel(x).astype(jnp.float32) for x in jax.tree.leaves(one)])
            for one in self._by_agent(seen, "observations")
        ]
        size = max(len(x) for x in flat)
        return jnp.stack([jnp.pad(x, (0, size - len(x))) for x in flat])


def _legal_actions(environment: Any) -> Callable[[Any], Any] | None:
    """Its function of a state that says what each agent may do; None: it has none."""
    for name in ("get_avail_actions", "get_legal_moves"):
        found = getattr(type(environment), name, None)
        # The base class of all environments has the first one, which raises.
        if found is not None and found is not _base_class(environment).get("get_avail_actions"):
            return getattr(environment, name)
    return None


def _base_class(environment: Any) -> dict[str, Any]:
    bases = [x for x in type(environment).__mro__ if x.__name__ == "MultiAgentEnv"]
    return dict(vars(bases[-1])) if bases else {}


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
