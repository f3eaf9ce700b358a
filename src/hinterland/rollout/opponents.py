"""The other side of a two-sided system, played by seats: past selves, the newest, and scripts.

A worker's copies are divided among a few seats; each seat holds one opponent for a whole segment.
An episode counts for the opponent against whom it ends.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import View
from hinterland.core.types import HostOrDevice
from hinterland.rollout.systems import TracedSystem

MOST_SEATS = 4


class Seats(NamedTuple):
    """Who plays."""

    networks: Any
    """`nets.TeamNetwork`s, stacked on a leading seat axis."""
    script: Int[HostOrDevice, " seat"]
    """-1: the network; else the number of the hand-written policy."""


class Opposing(NamedTuple):
    """The opponents' recurrent states."""

    carry: Float[Array, "copy slots hidden"]
    fresh: Bool[Array, "copy slots"]


def seats_for(copies: int) -> int:
    """How many seats so many copies are divided among."""
    return math.gcd(copies, MOST_SEATS)


def opposing_actions(
    key: Key[Array, ""],
    view: View,
    seats: Seats,
    opposing: Opposing,
    scripts: Sequence[Callable[..., Array]],
) -> tuple[Float[Array, "copy slots hidden"], Int[Array, "copy slots"]]:
    """(recurrent states, actions) of the other side; each seat acts for its share of the copies."""
    count = seats.script.shape[0]
    carry = jnp.where(opposing.fresh[..., None], 0.0, opposing.carry)

    def shares(x: Any) -> Any:
        # Widths may be 0 (no memory, no central state): -1 would not do.
        return jax.tree.map(lambda y: y.reshape(count, len(y) // count, *y.shape[1:]), x)

    parts, carries, keys = shares(view), shares(carry), jax.random.split(key, count)
    found = []
    for seat in range(count):
        network, part, memory = jax.tree.map(
            lambda x, s=seat: x[s], (seats.networks, parts, carries)
        )
        # The value is not asked for: a central critic's is of the other side.
        choices = [_by_network, *(_by_script(policy) for policy in scripts)]
        found.append(
            jax.lax.switch(seats.script[seat] + 1, choices, keys[seat], network, memory, part)
        )
    carry, action = jax.tree.map(lambda *x: jnp.concatenate(x), *found)
    return carry, action


def _by_network(key: Array, network: Any, carry: Array, view: View) -> tuple[Array, Array]:
    carry, logits = network.decide(carry, view)
    return carry, jax.random.categorical(key, logits).astype(jnp.int32)


def _by_script(policy: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    def act(key: Array, network: Any, carry: Array, view: View) -> tuple[Array, Array]:
        keys = jax.random.split(key, view.mask.shape[:2])
        action = jax.vmap(jax.vmap(policy))(keys, view.observation, view.mask)
        return carry, action.astype(jnp.int32)

    return act


def results_of(
    system: TracedSystem, reached: Any, ended: Bool[Array, " copy"]
) -> Int[Array, "copy 3"]:
    """(games, won, lost) that ended in these states."""
    figures = jax.vmap(system.simulator.figures)(reached)
    one = jnp.ones_like(ended)
    columns = [one, figures["won"] > 0, figures["lost"] > 0]
    return jnp.stack([(x & ended).astype(jnp.int32) for x in columns], -1)
