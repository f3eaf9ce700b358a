"""The judge of a domain of entities: shapes, determinism, and that nobody comes back to life."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import EntityDomain, UserError, stream


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
    if "random" not in domain.scripted:
        raise UserError("scripted: has no policy 'random'; evaluation compares with it")
    state = simulator.reset(stream(seed, "check/entities"))
    for name, shape in (
        ("observe", (slots, spec.observation)),
        ("alive", (slots,)),
        ("action_mask", (slots, spec.actions)),
    ):
        found = jnp.shape(getattr(simulator, name)(state))
        if found != shape:
            raise UserError(f"entity_simulator.{name}: shape {found}, expected {shape}")
    steps = 0
    for episode in range(episodes):
        steps += _follow(domain, stream(seed, "check/entities", episode))
    return [
        "sizes agree with the spec",
        f"observations and rewards are finite over {steps} steps",
        "empty slots can do nothing and earn nothing, and no slot is used twice in an episode",
        "the same noise gives the same step",
    ]


@partial(jax.jit, static_argnames="domain")
def _step(key, state, domain):  # type: ignore[no-untyped-def]
    """(what is seen before the step, the step)."""
    simulator = domain.entity_simulator
    action_key, noise_key = jax.random.split(key)
    seen = (simulator.observe(state), simulator.alive(state), simulator.action_mask(state))
    action = jax.random.categorical(action_key, jnp.where(seen[2], 0.0, -1e9))
    return seen, simulator.step(state, action, simulator.noise(noise_key))


def _follow(domain: EntityDomain, key: jax.Array) -> int:
    """One episode; the number of its steps."""
    state = domain.entity_simulator.reset(key)
    used = np.zeros(domain.agents, bool)
    before = used
    for t in range(domain.spec.horizon):
        here = jax.random.fold_in(key, t)
        (observation, alive, mask), moved = jax.tree.map(np.asarray, _step(here, state, domain))
        again = jax.tree.map(np.asarray, _step(here, state, domain)[1])
        same = jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), moved, again)
        faults = {
            "observation: not finite": not np.isfinite(observation).all(),
            "reward: not finite": not np.isfinite(moved.reward).all(),
            f"reward: shape {list(moved.reward.shape)}, expected [{domain.agents}]": (
                moved.reward.shape != (domain.agents,)
            ),
            "action_mask: an empty slot can do something": bool(mask[~alive].any()),
            "alive: a slot came back to life": bool((alive & used & ~before).any()),
            "step: not a function of state, actions and noise": not all(jax.tree.leaves(same)),
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
    if "random" not in domain.scripted:
        raise UserError("scripted: has no policy 'random'; first statistics come from its games")
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
        for name in ("alive", "acting", "reward"):
            if one[name].shape != shape:
                raise UserError(f"{name}: shape {one[name].shape}, expected {shape} {where}")
        if not np.isfinite(one["reward"]).all() or one["reward"][~before].any():
            raise UserError(f"reward: not finite, or an empty slot earned something {where}")
        if (one["acting"] & ~one["alive"]).any():
            raise UserError(f"acting: an empty slot has something to choose {where}")
    if "return" not in session.call("metrics"):
        raise UserError("entity_simulator.metrics: has no 'return'")
    for one in seen:
        one.pop("seconds")
    return seen
