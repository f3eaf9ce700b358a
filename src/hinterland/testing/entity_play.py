"""What is met where entities act by lot, by hand, and all in the same way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import EntityDomain, UserError, stream
from hinterland.testing.expectations import attempt, fail_as_over_at_once, quickly_compiled
from hinterland.testing.plays import LONGEST

DRAWN = ("random actions", "the first possible action", "the last possible action")
"""What is played beside the scripted policies."""
FAULTS = (
    "entity_simulator.observation: not finite",
    "entity_simulator.central: not finite",
    "entity_simulator.reward: not finite",
    "entity_simulator.action_mask: an empty slot can do something; give mask & alive[:, None]",
    "entity_simulator.alive: a slot came back to life; whoever is born needs a slot that nobody "
    "had before in this episode",
    "entity_simulator.reward: an empty slot earned something; pay entities at their last step",
    "an action that its mask does not allow; choose among the true entries of its mask",
)
"""What may be wrong with a step, and the cure, if it is not in docs/separation.md."""


class Lived(NamedTuple):
    """What was met."""

    steps: int
    """Of all episodes together."""
    born: int
    """After an episode's beginning."""
    died: int
    """Before an episode's end."""


class _Seen(NamedTuple):
    """Of one step of all episodes; of all steps [time, ...]."""

    faults: Any  # [fault, policy], as in `FAULTS`
    ended: Any  # [policy]
    born: Any  # [policy], at the state that the step began in
    died: Any  # [policy]


def play_entities(domain: EntityDomain, seed: int, rounds: int) -> Lived:
    """Plays an episode of every policy in each round.

    Raises:
        UserError: the first fault in time; or every episode ended at once.
    """
    length = min(domain.spec.horizon, LONGEST)
    names = [*DRAWN, *(f"scripted[{name!r}]" for name in domain.scripted)]
    episodes, lived, at_once = _program(domain, length), np.zeros(3, int), True
    for number in range(rounds):
        key = stream(seed, "check/entities", number)
        traced = "a step of entity_simulator, traced by JAX"
        seen = jax.device_get(attempt(traced, episodes, key))
        counts = np.cumsum(seen.ended, 0) == seen.ended
        for t, fault, row in np.argwhere(seen.faults & counts[:, None])[:1]:
            what, cure = FAULTS[fault].partition("; ")[::2]
            said = f"{what} (step {t}, {names[row]})"
            raise UserError(f"{said}; {cure or 'see docs/separation.md'}")
        lived += [counts.sum(), (seen.born * counts)[1:].sum(), (seen.died * counts)[1:].sum()]
        at_once &= bool(seen.ended[0].all())
    if at_once and domain.spec.horizon > 1:
        fail_as_over_at_once("entity_simulator.step terminated")
    return Lived(*map(int, lived))


def _program(domain: EntityDomain, length: int) -> Any:
    """One round of episodes as one function of its key."""
    simulator, policies = domain.entity_simulator, list(domain.scripted.values())
    count = len(DRAWN) + len(policies)

    def acted(key: Any, observation: Any, mask: Any) -> Any:
        """Actions [policy, slots], of every policy in its own episode."""
        last = mask.shape[-1] - 1
        lots = jax.random.categorical(key, jnp.where(mask[0], 0.0, -1e9))
        rows = [lots, mask[1].argmax(-1), last - mask[2, :, ::-1].argmax(-1)]
        for number, policy in enumerate(policies, len(DRAWN)):
            keys = jax.random.split(jax.random.fold_in(key, number), domain.agents)
            rows.append(jax.vmap(policy)(keys, observation[number], mask[number]))
        return jnp.stack([row.astype(jnp.int32) for row in rows])

    def look(state: Any) -> tuple[Any, Any, Any, Any]:
        central = simulator.central(state) if hasattr(simulator, "central") else jnp.zeros(0)
        mask = simulator.action_mask(state)
        return simulator.observe(state), simulator.alive(state), mask, central

    def step(carry: Any, t: Any) -> tuple[Any, _Seen]:
        key, states, used, before = carry
        acting, moving = jax.random.split(jax.random.fold_in(key, t))
        observation, alive, mask, central = jax.vmap(look)(states)
        actions = acted(acting, observation, mask)
        noise = jax.vmap(simulator.noise)(jax.random.split(moving, count))
        moved = jax.vmap(simulator.step)(states, actions, noise)
        possible = jnp.take_along_axis(mask, actions[..., None], -1)[..., 0]
        inside = (actions >= 0) & (actions < mask.shape[-1])
        faults = jnp.stack([
            ~_finite(observation),
            ~_finite(central),
            ~_finite(moved.reward),
            (mask & ~alive[..., None]).any((1, 2)),
            (alive & used & ~before).any(1),
            ((moved.reward != 0) & ~alive).any(1),
            (~(possible & inside) & mask.any(-1)).any(1),
        ])  # fmt: skip
        ended = jnp.broadcast_to(moved.terminated, (count,))
        born, died = (alive & ~before).sum(1), (before & ~alive).sum(1)
        return (key, moved.state, used | alive, alive), _Seen(faults, ended, born, died)

    @quickly_compiled
    def episodes(key: Any) -> _Seen:
        begin, on = jax.random.split(key)
        states = jax.vmap(simulator.reset)(jax.random.split(begin, count))
        nobody = jnp.zeros((count, domain.agents), bool)
        return jax.lax.scan(step, (on, states, nobody, nobody), jnp.arange(length))[1]

    return episodes


def _finite(values: Any) -> Any:
    """Of each policy; networks compute in 32 bits."""
    numbers = jnp.asarray(values).astype(jnp.float32)
    return jnp.isfinite(numbers).reshape(len(numbers), -1).all(1)
