"""Named random streams.

A key is made from (seed, purpose, and the integers that say where in the run we are: round, agent,
block), never from the order in which work happens to run. That is why one core, two devices and
five machines draw the same numbers.
"""

import zlib

import jax
from jaxtyping import Array, Key


def stream(seed: int, purpose: str, *place: int) -> Key[Array, ""]:
    """The key of one purpose at one place of a run; each caller consumes it exactly once.

    Args:
        seed: the run's seed.
        purpose: a name such as "train" or "evaluate"; other names give independent streams.
        place: integers such as (round, agent) or (update, copy block), folded in one by one.
    """
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
    for index in place:
        key = jax.random.fold_in(key, index)
    return key
