"""The judge of a domain of entities: shapes, determinism, and that nobody comes back to life."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import EntityDomain, EntityStep, UserError, stream
from hinterland.rollout.answers import TRUTHS as TRUTHS_ONLY
from hinterland.rollout.answers import figures_of, gathered
from hinterland.testing.expectations import (
    NUMBERS,
    TRUTHS,
    attempt,
    equal,
    expect_array,
    expect_entity_policies,
    expect_fields,
    expect_function,
    expect_methods,
    expect_pictures,
    expect_same_structure,
    fail,
)


def check_entity_domain(domain: EntityDomain, seed: int, episodes: int) -> list[str]:
    """Follows episodes of random possible actions; returns one line per check passed.

    Args:
        domain: the domain to judge.
        seed: of the episodes.
        episodes: how many to follow.

    Raises:
        UserError: the first check that failed.
    """
    simulator, spec, slots = domain.entity_simulator, domain.spec, domain.agents
    names = ("reset", "observe", "alive", "action_mask", "noise", "step")
    expect_methods("entity_simulator", simulator, names, "EntitySimulator")
    key = stream(seed, "check/entities")
    state = attempt("entity_simulator.reset", simulator.reset, key)
    expect_same_structure("entity_simulator.reset", state, state)
    for name, shape, kinds in (
        ("observe", (slots, spec.observation), NUMBERS),
        ("alive", (slots,), TRUTHS),
        ("action_mask", (slots, spec.actions), TRUTHS),
    ):
        where = f"entity_simulator.{name}"
        value = attempt(where, getattr(simulator, name), state)
        expect_array(where, value, shape, kinds, "mend it or the spec")
    noise = attempt("entity_simulator.noise", simulator.noise, key)
    given: dict[str, tuple] = {
        "reset": (key,),
        "noise": (key,),
        "observe": (state,),
        "alive": (state,),
        "action_mask": (state,),
        "step": (state, jnp.zeros(slots, jnp.int32), noise),
    }
    for name, arguments in given.items():
        expect_function(f"entity_simulator.{name}", getattr(simulator, name), *arguments)
    _check_step(domain, given["step"])
    _check_extras(simulator, state)
    seen = (simulator.observe(state), simulator.action_mask(state))
    expect_entity_policies(domain, *seen)
    steps = 0
    for episode in range(episodes):
        steps += _follow(domain, stream(seed, "check/entities", episode))
    expect_pictures(domain, lambda: jax.tree.map(np.asarray, state))
    return [
        "sizes agree with the spec",
        f"observations and rewards are finite over {steps} steps",
        "empty slots can do nothing and earn nothing, and no slot is used twice in an episode",
        "the same noise gives the same step",
    ]


def _check_step(domain: EntityDomain, arguments: tuple) -> None:
    """The form of what a step gives; nothing is computed."""
    where, step = "entity_simulator.step", domain.entity_simulator.step
    moved = attempt(where, lambda: jax.eval_shape(step, *arguments))
    expect_fields(where, moved, EntityStep)
    expect_array(f"{where} reward", moved.reward, (domain.agents,), NUMBERS, "one per slot")
    expect_array(f"{where} terminated", moved.terminated, (), TRUTHS, "one truth per step")
    expect_same_structure(f"{where} state", moved.state, arguments[0])


def _check_extras(simulator: Any, state: Any) -> None:
    """What a simulator may have besides: a central state, and figures."""
    if hasattr(simulator, "central"):
        where = "entity_simulator.central"
        value = attempt(where, lambda: jax.eval_shape(simulator.central, state))
        if len(value.shape) != 1:
            fail(where, f"shape {list(value.shape)}", "give one vector, [central]")
        expect_array(where, value, value.shape, NUMBERS, "give numbers")
    if hasattr(simulator, "figures"):
        where = "entity_simulator.figures"
        found = attempt(where, lambda: jax.eval_shape(simulator.figures, state))
        if not isinstance(found, dict):
            fail(where, f"gave a {type(found).__name__}", "give numbers by name")
        for name, value in found.items():
            expect_array(f"{where} {name!r}", value, (), NUMBERS, "give one number")


@partial(jax.jit, static_argnames="domain")
def _step(key, state, domain):  # type: ignore[no-untyped-def]
    """(what is seen before the step, the central state included, and the step)."""
    simulator = domain.entity_simulator
    action_key, noise_key = jax.random.split(key)
    seen = (simulator.observe(state), simulator.alive(state), simulator.action_mask(state))
    central = simulator.central(state) if hasattr(simulator, "central") else jnp.zeros(0)
    action = jax.random.categorical(action_key, jnp.where(seen[2], 0.0, -1e9))
    return (*seen, central), simulator.step(state, action, simulator.noise(noise_key))


def _follow(domain: EntityDomain, key: jax.Array) -> int:
    """One episode; the number of its steps."""
    state = domain.entity_simulator.reset(key)
    used = np.zeros(domain.agents, bool)
    before = used
    for t in range(domain.spec.horizon):
        here = jax.random.fold_in(key, t)
        traced = "a step of entity_simulator, traced by JAX"
        seen, moved = jax.tree.map(np.asarray, attempt(traced, _step, here, state, domain))
        observation, alive, mask, central = seen
        again = attempt(traced, _step, here, state, domain)[1]
        faults = {
            "observation: not finite": not np.isfinite(np.asarray(observation, np.float32)).all(),
            "central: not finite": not np.isfinite(np.asarray(central, np.float32)).all(),
            "reward: not finite": not np.isfinite(moved.reward).all(),
            "action_mask: an empty slot can do something": bool(mask[~alive].any()),
            "alive: a slot came back to life": bool((alive & used & ~before).any()),
            "step: not a function of state, actions and noise": not equal(moved, again),
        }
        for fault, found in faults.items():
            if found:
                raise UserError(f"entity_simulator.{fault} (step {t}); see docs/separation.md")
        if moved.reward[~alive].any():
            raise UserError(
                f"entity_simulator.reward: an empty slot earned something (step {t}); pay entities "
                "at their last step"
            )
        used, before, state = used | alive, alive, moved.state
        if moved.terminated:
            return t + 1
    return domain.spec.horizon


def check_games(domain: Any, seed: int, episodes: int) -> list[str]:
    """The same for entities outside of JAX, in games of their random controller.

    Args:
        domain: a `HostEntityDomain`, to be judged.
        seed: of the games.
        episodes: how many to follow.

    Raises:
        UserError: the first check that failed.
    """
    steps = 0
    for episode in range(seed, seed + episodes):
        game = _game(domain, episode)
        for one, again in zip(game, _game(domain, episode), strict=True):
            same = jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), one, again)
            if not all(jax.tree.leaves(same)):
                raise UserError("entity_simulator.step: the same seed gave another game")
        steps += len(game) - 1
    return [
        "sizes agree with the spec",
        f"rewards are finite over {steps} steps, and empty slots earn nothing",
        "the same seed gives the same game",
    ]


def _game(domain: Any, seed: int) -> list[dict]:
    """What a session told of one game, but for the time it took."""
    session = domain.entity_simulator.sessions(1)[0]
    seen = [session.begin("reset", seed, (domain.scripted["random"],) * domain.sides)]
    shape = (domain.sides, domain.agents)
    while len(seen) <= domain.spec.horizon and not seen[-1].get("terminated"):
        before = seen[-1]["alive"]
        one = session.call("step", None)
        seen.append(one)
        where = f"(step {len(seen) - 1}); see hinterland.core.HostEntitySimulator"
        system = f"{domain.name} {where}"
        for name in ("alive", "acting"):
            gathered(system, [one], name, shape, TRUTHS_ONLY)
        gathered(system, [one], "reward", shape)
        gathered(system, [one], "terminated", (), TRUTHS_ONLY)
        if one["reward"][~before].any():
            raise UserError(f"reward: an empty slot earned something {where}")
        if (one["acting"] & ~one["alive"]).any():
            raise UserError(f"acting: an empty slot has something to choose {where}")
    (figures,) = figures_of(domain.name, [session.call("metrics")])
    if "return" not in figures:
        raise UserError("entity_simulator.metrics: has no 'return'")
    for one in seen:
        one.pop("seconds")
    return seen
