"""The judge of a domain of entities: shapes, determinism, and that nobody comes back to life."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import EntityDomain, EntityStep, UserError, stream
from hinterland.rollout.answers import TRUTHS as TRUTHS_ONLY
from hinterland.rollout.answers import figures_of, gathered
from hinterland.testing.entity_play import play_entities
from hinterland.testing.expectations import (
    NUMBERS,
    TRUTHS,
    attempt,
    expect_array,
    expect_entity_policies,
    expect_fields,
    expect_methods,
    expect_pictures,
    expect_same_structure,
    fail,
    outline,
    value_of,
)
from hinterland.testing.notes import horizon_notes
from hinterland.testing.resets import reset_notes


def check_entity_domain(domain: EntityDomain, seed: int, episodes: int) -> list[str]:
    """Plays random, scripted and constant actions; returns one line per check passed, and notes.

    Args:
        domain: the domain to judge.
        seed: of the episodes.
        episodes: how many to follow of each policy.

    Raises:
        UserError: the first check that failed.
    """
    simulator, spec, slots = domain.entity_simulator, domain.spec, domain.agents
    names = ("reset", "observe", "alive", "action_mask", "noise", "step")
    expect_methods("entity_simulator", simulator, names, "EntitySimulator")
    key = stream(seed, "check/entities")
    where = "entity_simulator.reset"
    form = outline(where, simulator.reset, key)
    expect_same_structure(where, form, form)
    state = value_of(where, simulator.reset, key)
    for name, shape, kinds in (
        ("observe", (slots, spec.observation), NUMBERS),
        ("alive", (slots,), TRUTHS),
        ("action_mask", (slots, spec.actions), TRUTHS),
    ):
        where = f"entity_simulator.{name}"
        value = outline(where, getattr(simulator, name), state)
        expect_array(where, value, shape, kinds, "mend it or the spec")
    seen = {
        name: value_of(f"entity_simulator.{name}", getattr(simulator, name), state)
        for name in ("observe", "alive", "action_mask")
    }
    noise = value_of("entity_simulator.noise", simulator.noise, key)
    arguments = (state, jnp.zeros(slots, jnp.int32), noise)
    _check_step(domain, arguments, form)
    value_of("entity_simulator.step", simulator.step, *arguments)
    _check_extras(simulator, state)
    expect_entity_policies(domain, seen["observe"], seen["action_mask"])
    lived = play_entities(domain, seed, episodes)
    expect_pictures(domain, lambda: jax.tree.map(np.asarray, state))
    return [
        "sizes agree with the spec",
        f"observations and rewards are finite over {lived.steps} steps of random, scripted, first "
        "and last actions",
        "empty slots can do nothing and earn nothing, and no slot is used twice in an episode: "
        f"{lived.born} were born and {lived.died} died meanwhile",
        "the same noise gives the same step",
        *reset_notes(key, {"entity_simulator.reset": simulator.reset}),
        *horizon_notes(domain, 0),
    ]


def _check_step(domain: EntityDomain, arguments: tuple, form: Any) -> None:
    """The form of what a step gives; nothing is computed."""
    where = "entity_simulator.step"
    moved = outline(where, domain.entity_simulator.step, *arguments)
    expect_fields(where, moved, EntityStep)
    expect_array(f"{where} reward", moved.reward, (domain.agents,), NUMBERS, "one per slot")
    expect_array(f"{where} terminated", moved.terminated, (), TRUTHS, "one truth per step")
    expect_same_structure(f"{where} state", moved.state, form)


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
