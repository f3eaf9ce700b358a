"""The judge of a domain of entities: shapes, determinism, and that nobody comes back to life."""

from functools import partial

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
