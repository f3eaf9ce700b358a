"""The judge of a domain: shapes, finiteness, determinism, and the factorisation test.

The factorisation test defines the project: given the influence that really happened and its share
of the noise, a local simulator must move exactly as its region of the global simulator does,
reward and observation included.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import Domain, GlobalStep, Step, is_entity_domain, is_game, is_host, stream
from hinterland.testing.attributes import check_attributes
from hinterland.testing.entities import check_entity_domain, check_games
from hinterland.testing.expectations import (
    NUMBERS,
    TRUTHS,
    WHOLE,
    attempt,
    equal,
    expect_array,
    expect_classes,
    expect_fields,
    expect_finite,
    expect_function,
    expect_methods,
    expect_pictures,
    expect_rows,
    expect_same_structure,
    fail,
)
from hinterland.testing.host_agents import check_host_agents
from hinterland.testing.host_entities import check_host_entities

NOTE = "note: "
"""Begins a line that says what is odd, and allowed."""
KEYS = 10
"""Whose first states are compared."""


def check_domain(domain: Domain, *, seed: int = 0, episodes: int = 2) -> list[str]:
    """Runs every check; returns one line per check passed, and notes (which begin with `NOTE`).

    Args:
        domain: the domain to judge.
        seed: of the random states and actions it is judged on.
        episodes: episodes of random actions to follow.

    Raises:
        UserError: the first check that failed: what was expected, what came, and where to look.
    """
    check_attributes(domain)
    if is_entity_domain(domain):
        if is_game(domain):
            return check_games(domain, seed, episodes)
        on_host = is_host(domain.entity_simulator)
        return (check_host_entities if on_host else check_entity_domain)(domain, seed, episodes)
    if not is_host(domain.local_simulator):
        _check_local(domain, seed)
    if is_host(domain.global_simulator):
        return check_host_agents(domain, seed, episodes)
    notes = _check_global(domain, seed)
    steps, regions = _check_episodes(domain, seed, episodes)
    _check_scripted(domain, regions, seed)
    return [
        "sizes agree with the spec",
        "the same noise gives the same step",
        "scripted policies act within the action range",
        f"all values are finite and in range over {steps} global steps",
        f"local simulators equal their regions exactly over {steps} global steps",
        *notes,
    ]


def _check_local(domain: Domain, seed: int) -> None:
    """Shapes, types and determinism of the local simulator."""
    spec, local = domain.spec, domain.local_simulator
    names = ("reset", "observe", "dset", "noise", "step")
    expect_methods("local_simulator", local, names, "LocalSimulator")
    key = stream(seed, "check/shapes")
    state = attempt("local_simulator.reset", local.reset, key)
    expect_same_structure("local_simulator.reset", state, state)
    for name, size in (("observe", spec.observation), ("dset", spec.dset)):
        where, field = f"local_simulator.{name}", "observation" if name == "observe" else "dset"
        value = attempt(where, getattr(local, name), state)
        value = expect_array(where, value, (size,), NUMBERS, f"mend it or spec.{field}")
        expect_finite(f"{where} of a first state", value)
    noise = attempt("local_simulator.noise", local.noise, key)
    influence = jnp.zeros(spec.sources, jnp.int32)
    arguments = (state, jnp.int32(0), influence, noise)
    moved = attempt("local_simulator.step", local.step, *arguments)
    _expect_step("local_simulator.step", moved, Step, (), "one number per step")
    expect_same_structure("local_simulator.step state", moved.state, state)
    for name, given in (
        ("reset", (key,)),
        ("noise", (key,)),
        ("observe", (state,)),
        ("dset", (state,)),
        ("step", arguments),
    ):
        expect_function(f"local_simulator.{name}", getattr(local, name), *given)


def _expect_step(where: str, moved: Any, kind: Any, shape: tuple[int, ...], cure: str) -> None:
    """Of a region, or of the whole system."""
    expect_fields(where, moved, kind)
    expect_array(f"{where} reward", moved.reward, shape, NUMBERS, cure)
    expect_array(f"{where} terminated", moved.terminated, (), TRUTHS, "one truth per step")


def _check_global(domain: Domain, seed: int) -> list[str]:
    """Shapes, types and determinism of the global simulator; what is odd about it."""
    spec, whole, agents = domain.spec, domain.global_simulator, domain.agents
    names = ("reset", "noise", "step", "regions", "region_noise")
    expect_methods("global_simulator", whole, names, "GlobalSimulator")
    key = stream(seed, "check/shapes")
    system = attempt("global_simulator.reset", whole.reset, key)
    noise = attempt("global_simulator.noise", whole.noise, key)
    arguments = (system, jnp.zeros(agents, jnp.int32), noise)
    moved = attempt("global_simulator.step", whole.step, *arguments)
    _expect_step("global_simulator.step", moved, GlobalStep, (agents,), "one per agent")
    shape, cure = (agents, spec.sources), "mend it or spec.sources; classes are integers"
    expect_array("global_simulator.step influence", moved.influence, shape, WHOLE, cure)
    expect_same_structure("global_simulator.step state", moved.state, system)
    if not equal(moved, attempt("global_simulator.step", whole.step, *arguments)):
        fail("global_simulator.step", "two calls differ", "draw all random numbers in noise(key)")
    for name, given in (
        ("reset", (key,)),
        ("noise", (key,)),
        ("step", arguments),
        ("regions", (system,)),
        ("region_noise", (noise,)),
    ):
        expect_function(f"global_simulator.{name}", getattr(whole, name), *given)
    for name, given in (("regions", system), ("region_noise", noise)):
        where = f"global_simulator.{name}"
        found = attempt(where, getattr(whole, name), given)
        expect_rows(where, found, agents, f"{agents} agents")
        if name == "regions":
            state = domain.local_simulator.reset(key)
            one = jax.tree.map(lambda x: x[0], found)
            expect_same_structure(where, one, state, giver="local_simulator.reset")
    expect_pictures(domain, lambda: jax.tree.map(np.asarray, system))
    begin = jax.jit(jax.vmap(whole.reset))
    first = attempt("global_simulator.reset", begin, jax.random.split(key, KEYS))
    if all(bool((leaf == leaf[:1]).all()) for leaf in jax.tree.leaves(first)):
        return [f"{NOTE}global_simulator.reset gives the same state for {KEYS} keys"]
    return []


def _check_episodes(domain: Domain, seed: int, episodes: int) -> tuple[int, Any]:
    """Follows random actions and compares every region with its local simulator at each step.

    Returns:
        The number of steps, and the regions of all states that were met, [steps x agents, ...].
    """
    spec, local, whole = domain.spec, domain.local_simulator, domain.global_simulator
    mask = getattr(domain, "action_mask", None)

    @jax.jit
    def compare(state: Any, key: Any) -> tuple[Any, Any, Any, Any, Any]:
        noise_key, action_key = jax.random.split(key)
        noise = whole.noise(noise_key)
        if mask is None:
            actions = jax.random.randint(action_key, (domain.agents,), 0, spec.actions)
        else:
            actions = jax.random.categorical(action_key, jnp.where(jnp.asarray(mask), 0.0, -1e9))
        moved = whole.step(state, actions, noise)
        before = whole.regions(state)
        alone = jax.vmap(local.step)(before, actions, moved.influence, whole.region_noise(noise))
        regions = whole.regions(moved.state)
        observe = jax.vmap(local.observe)
        return (
            before,
            moved,
            {"observe": observe(regions), "dset": jax.vmap(local.dset)(regions)},
            (alone.state, alone.reward, observe(alone.state)),
            (regions, moved.reward, observe(regions)),
        )

    met = []
    for episode in range(episodes):
        state = whole.reset(stream(seed, "check/episode", episode))
        for t in range(spec.horizon):
            key = stream(seed, "check/step", episode, t)
            traced = "a step of all simulators, traced by JAX"
            before, moved, seen, alone, together = attempt(traced, compare, state, key)
            expect_same_structure("global_simulator.step state", moved.state, state)
            expect_finite(f"global_simulator.step reward at step {t}", moved.reward)
            for name, value in seen.items():
                expect_finite(f"local_simulator.{name} at step {t}", value)
            where = f"global_simulator.step influence at step {t}"
            expect_classes(where, moved.influence, spec.classes)
            for part, mine, theirs in zip(
                ("state", "reward", "observation"), alone, together, strict=True
            ):
                if not equal(mine, theirs):
                    agent = _first_agent_that_differs(mine, theirs)
                    fail(
                        f"factorisation: {part} of agent {agent} at step {t}",
                        "the local simulator, given the true influence and noise, moved "
                        "otherwise than its region of the global simulator",
                        "compare local_simulator.step with global_simulator.step, "
                        "regions and region_noise",
                    )
            met.append(before)
            state = moved.state
            if bool(moved.terminated):
                break
    return len(met), jax.tree.map(lambda *x: jnp.concatenate(x), *met)


def _first_agent_that_differs(a: Any, b: Any) -> int:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        wrong = (np.asarray(x) != np.asarray(y)).reshape(len(x), -1).any(1)
        if wrong.any():
            return int(wrong.argmax())
    raise AssertionError("equal")


def _check_scripted(domain: Domain, regions: Any, seed: int) -> None:
    """Every hand-written policy in every region that was met, as evaluation calls it."""
    count = len(jax.tree.leaves(regions)[0]) if jax.tree.leaves(regions) else domain.agents
    policies: dict[str, Any] = dict(domain.scripted)
    last = domain.spec.actions - 1
    for name, policy in policies.items():
        where, memory = f"scripted[{name!r}]", policy.initial
        keys = jax.random.split(stream(seed, name), count)
        found = attempt(where, policy, keys[0], memory, jax.tree.map(lambda x: x[0], regions))
        if not isinstance(found, tuple) or len(found) != 2:
            fail(where, f"gave a {type(found).__name__}", "return (action, memory)")
        expect_array(f"{where} action", found[0], (), WHOLE, "one integer per agent")
        expect_same_structure(f"{where} memory", found[1], memory, giver="initial")
        act = jax.jit(jax.vmap(policy, (0, None, 0)))
        actions = np.asarray(attempt(where, act, keys, memory, regions)[0])
        wrong = (actions < 0) | (actions > last)
        if wrong.any():
            fail(where, f"action {actions[wrong][0]}", f"actions are 0 .. {last}")
