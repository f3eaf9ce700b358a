"""The judge of a domain: shapes, finiteness, determinism, and the factorisation test.

The factorisation test defines the project: given the influence that really happened and its share
of the noise, a local simulator must move exactly as its region of the global simulator does,
reward and observation included.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, UserError, is_entity_domain, is_game, is_host, stream
from hinterland.testing.entities import check_entity_domain, check_games
from hinterland.testing.host_entities import check_host_entities


def check_domain(domain: Domain, *, seed: int = 0, episodes: int = 2) -> list[str]:
    """Runs every check; returns one line per check passed.

    Args:
        domain: the domain to judge.
        seed: of the random states and actions it is judged on.
        episodes: episodes of random actions to follow.

    Raises:
        UserError: the first check that failed: what was expected, what came, and where to look.
    """
    if is_entity_domain(domain):
        if is_game(domain):
            return check_games(domain, seed, episodes)
        on_host = is_host(domain.entity_simulator)
        return (check_host_entities if on_host else check_entity_domain)(domain, seed, episodes)
    passed = []
    for name in ("name", "agents", "spec", "local_simulator", "global_simulator", "scripted"):
        if not hasattr(domain, name):
            _fail("domain", f"has no attribute {name!r}", "see hinterland.core.Domain")
    if is_host(domain.global_simulator):
        _check_local(domain, seed)
        steps = _check_sessions(domain, seed, episodes)
        return [
            "sizes of the local simulator agree with the spec",
            f"all values are finite and in range over {steps} global steps",
            "the same seed and actions give the same episode",
        ]
    for title, check in (
        ("sizes agree with the spec", _check_shapes),
        ("the same noise gives the same step", _check_determinism),
        ("scripted policies act within the action range", _check_scripted),
    ):
        check(domain, seed)
        passed.append(title)
    steps = _check_episodes(domain, seed, episodes)
    passed.append(f"all values are finite and in range over {steps} global steps")
    passed.append(f"local simulators equal their regions exactly over {steps} global steps")
    return passed


def _fail(where: str, problem: str, cure: str) -> None:
    raise UserError(f"{where}: {problem}; {cure}")


def _attempt(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls the user's code; whatever it raises is named by the method it came from."""
    try:
        return function(*arguments)
    except UserError:
        raise
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{where}: raised {type(error).__name__}: {text}") from error


def _expect_shape(where: str, value: Any, shape: tuple[int, ...], cure: str) -> None:
    found = tuple(jnp.shape(value))
    if found != shape:
        _fail(where, f"shape {list(found)}, expected {list(shape)}", cure)


def _check_local(domain: Domain, seed: int) -> Any:
    """Shapes of the local simulator; a state of it."""
    spec, local = domain.spec, domain.local_simulator
    key = stream(seed, "check/shapes")
    state = _attempt("local_simulator.reset", local.reset, key)
    for name, size in (("observe", spec.observation), ("dset", spec.dset)):
        value = _attempt(f"local_simulator.{name}", getattr(local, name), state)
        field = "observation" if name == "observe" else "dset"
        _expect_shape(f"local_simulator.{name}", value, (size,), f"mend it or spec.{field}")
    noise = _attempt("local_simulator.noise", local.noise, key)
    influence = jnp.zeros(spec.sources, jnp.int32)
    step = _attempt("local_simulator.step", local.step, state, jnp.int32(0), influence, noise)
    _expect_shape("local_simulator.step reward", step.reward, (), "one number per step")
    _expect_shape("local_simulator.step terminated", step.terminated, (), "one truth per step")
    _expect_same_structure("local_simulator.step state", step.state, state)
    return state


def _check_sessions(domain: Domain, seed: int, episodes: int) -> int:
    """Follows random actions in two sessions of a host simulator, with the same seeds."""
    spec, agents = domain.spec, domain.agents
    sizes = {"observation": spec.observation, "dset": spec.dset, "influence": spec.sources}
    sessions = domain.global_simulator.sessions(2)
    steps = 0
    for episode in range(episodes):
        numbers = np.random.default_rng((seed, episode))
        first, second = (session.begin("reset", seed + episode) for session in sessions)
        for t in range(spec.horizon):
            for name in first:
                if not np.array_equal(first[name], second[name]):
                    _fail(
                        f"{name} at step {t}",
                        "two episodes with the same seed and actions differ",
                        "draw all random numbers from the seed given to reset",
                    )
                if name in sizes:
                    _expect_shape(name, first[name], (agents, sizes[name]), "mend it or the spec")
                if not np.isfinite(first[name]).all():
                    _fail(f"{name} at step {t}", "is not finite", "look at its division or log")
            if "influence" in first:
                _expect_shape("reward", first["reward"], (agents,), "one per agent")
                low, high = first["influence"].min(), first["influence"].max()
                if low < 0 or high >= spec.classes:
                    _fail(
                        f"influence at step {t}",
                        f"holds {low} .. {high}",
                        f"classes are 0 .. {spec.classes - 1}",
                    )
            actions = numbers.integers(0, spec.actions, agents)
            first, second = (session.call("step", actions) for session in sessions)
            steps += 1
            if first["terminated"]:
                break
    return steps


def _check_shapes(domain: Domain, seed: int) -> None:
    spec, whole = domain.spec, domain.global_simulator
    key = stream(seed, "check/shapes")
    state = _check_local(domain, seed)
    system = _attempt("global_simulator.reset", whole.reset, key)
    noise = _attempt("global_simulator.noise", whole.noise, key)
    actions = jnp.zeros(domain.agents, jnp.int32)
    moved = _attempt("global_simulator.step", whole.step, system, actions, noise)
    _expect_shape("global_simulator.step reward", moved.reward, (domain.agents,), "one per agent")
    _expect_shape("global_simulator.step terminated", moved.terminated, (), "one for all agents")
    _expect_shape(
        "global_simulator.step influence",
        moved.influence,
        (domain.agents, spec.sources),
        "mend it or spec.sources",
    )
    _expect_same_structure("global_simulator.step state", moved.state, system)
    regions = _attempt("global_simulator.regions", whole.regions, system)
    one = jax.tree.map(lambda x: x[0], regions)
    _expect_same_structure("global_simulator.regions", one, state)


def _expect_same_structure(where: str, found: Any, expected: Any) -> None:
    if jax.tree.structure(found) != jax.tree.structure(expected):
        _fail(where, "another structure than reset gives", "return the same pytree")
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if jnp.shape(a) != jnp.shape(b) or jnp.asarray(a).dtype != jnp.asarray(b).dtype:
            _fail(
                where,
                f"{jnp.asarray(a).dtype}{list(jnp.shape(a))} where reset gives "
                f"{jnp.asarray(b).dtype}{list(jnp.shape(b))}",
                "keep shapes and types through a step",
            )


def _check_determinism(domain: Domain, seed: int) -> None:
    whole = domain.global_simulator
    key = stream(seed, "check/determinism")
    state, noise = whole.reset(key), whole.noise(key)
    actions = jnp.zeros(domain.agents, jnp.int32)
    first, second = (whole.step(state, actions, noise) for _ in range(2))
    if not _equal(first, second):
        _fail("global_simulator.step", "two calls differ", "draw all random numbers in noise(key)")


def _check_scripted(domain: Domain, seed: int) -> None:
    if "random" not in domain.scripted:
        _fail("domain.scripted", "has no policy 'random'", "evaluation compares with it")
    state = domain.local_simulator.reset(stream(seed, "check/scripted"))
    policies: dict[str, Any] = dict(domain.scripted)
    for name, policy in policies.items():
        where = f"scripted[{name!r}]"
        action, _ = _attempt(where, policy, stream(seed, name), policy.initial, state)
        if not 0 <= int(action) < domain.spec.actions:
            _fail(where, f"action {int(action)}", f"actions are 0 .. {domain.spec.actions - 1}")


def _equal(a: Any, b: Any) -> bool:
    # NaN equals NaN here: that it appeared at all is another check's business.
    return all(
        np.array_equal(np.asarray(x), np.asarray(y), equal_nan=np.asarray(x).dtype.kind == "f")
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _check_episodes(domain: Domain, seed: int, episodes: int) -> int:
    """Follows random actions and compares every region with its local simulator at each step."""
    spec, local, whole = domain.spec, domain.local_simulator, domain.global_simulator

    @jax.jit
    def compare(state: Any, key: Any) -> tuple[Any, Any, Any, Any]:
        noise_key, action_key = jax.random.split(key)
        noise = whole.noise(noise_key)
        actions = jax.random.randint(action_key, (domain.agents,), 0, spec.actions)
        moved = whole.step(state, actions, noise)
        alone = jax.vmap(local.step)(
            whole.regions(state), actions, moved.influence, whole.region_noise(noise)
        )
        regions = whole.regions(moved.state)
        observe = jax.vmap(local.observe)
        return (
            moved,
            observe(regions),
            (alone.state, alone.reward, observe(alone.state)),
            (regions, moved.reward, observe(regions)),
        )

    steps = 0
    for episode in range(episodes):
        state = whole.reset(stream(seed, "check/episode", episode))
        for t in range(spec.horizon):
            key = stream(seed, "check/step", episode, t)
            moved, observed, alone, together = _attempt(
                "global_simulator.step", compare, state, key
            )
            _check_values(domain, moved, observed, t)
            for part, mine, theirs in zip(
                ("state", "reward", "observation"), alone, together, strict=True
            ):
                if not _equal(mine, theirs):
                    agent = _first_agent_that_differs(mine, theirs)
                    _fail(
                        f"factorisation: {part} of agent {agent} at step {t}",
                        "the local simulator, given the true influence and noise, moved "
                        "otherwise than its region of the global simulator",
                        "compare local_simulator.step with global_simulator.step, "
                        "regions and region_noise",
                    )
            state = moved.state
            steps += 1
            if bool(moved.terminated):
                break
    return steps


def _first_agent_that_differs(a: Any, b: Any) -> int:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        wrong = (np.asarray(x) != np.asarray(y)).reshape(len(x), -1).any(1)
        if wrong.any():
            return int(wrong.argmax())
    raise AssertionError("equal")


def _check_values(domain: Domain, moved: Any, observed: Any, t: int) -> None:
    if not np.isfinite(np.asarray(moved.reward)).all():
        _fail(f"global_simulator.step reward at step {t}", "not finite", "look for 0/0 and log 0")
    if not np.isfinite(np.asarray(observed, dtype=np.float64)).all():
        _fail(f"local_simulator.observe at step {t}", "not finite", "look for 0/0 and log 0")
    influence = np.asarray(moved.influence)
    if not np.issubdtype(influence.dtype, np.integer):
        _fail("global_simulator.step influence", f"type {influence.dtype}", "give integers")
    if influence.min() < 0 or influence.max() >= domain.spec.classes:
        _fail(
            f"global_simulator.step influence at step {t}",
            f"class {int(influence.max())}",
            f"classes are 0 .. {domain.spec.classes - 1}",
        )
