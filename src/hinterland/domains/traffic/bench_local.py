"""The benchmark of the native intersection: how much faster it is than SUMO."""

import os
import statistics
import time
from typing import Any

from hinterland.api.display import note
from hinterland.domains.traffic.bench_fidelity import add_options

__all__ = ["SUMMARY", "add_options", "measure"]

SUMMARY = (
    "the native intersection, 128 copies, and one intersection in libsumo: µs of a core per "
    "intersection-step"
)


def measure(options: Any) -> dict[str, Any]:
    """µs of a core per intersection-step: native with 128 copies, and one libsumo."""
    # One core for everything that follows, the child and JAX's threads included; and CPU time,
    # which other programs on that core do not lengthen as they do wall time.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax

    jax.config.update("jax_platforms", "cpu")
    from hinterland.domains.traffic import fidelity

    case = fidelity.Case(0.1, "random")
    note("libsumo ...")
    sumo = fidelity.time_sumo(case, options.seconds, options.seed, options.repeat)
    note("native ...")
    native = _native_seconds(case.probability, options)
    ratio = statistics.median(sumo) / statistics.median(native)
    for name, values in (("native, 128 copies", native), ("libsumo, 1 copy", sumo)):
        middle, low, high = (1e6 * f(values) for f in (statistics.median, min, max))
        print(
            f"{name:<20}{middle:>9.3f} µs per intersection-step ({low:.3f} … {high:.3f}, "
            f"n = {len(values)}): {1e6 / middle:>11,.0f} steps/s per core"
        )
    print(f"native / libsumo: {ratio:,.0f} times the intersection-steps per second and core")
    return {"seconds": options.seconds, "seed": options.seed, "ratio": ratio,
            "native_us": [1e6 * x for x in native],
            "libsumo_us": [1e6 * x for x in sumo]}  # fmt: skip


def _native_seconds(probability: float, options: Any) -> list[float]:
    """CPU time in s per intersection-step of the whole loop: inputs drawn, step, observation."""
    import jax
    import jax.numpy as jnp

    from hinterland.domains.traffic.native import LANES, NativeIntersection

    simulator, copies = NativeIntersection(), 128

    def second(states: Any, key: Any) -> tuple[Any, Any]:
        given, switching, noise = jax.random.split(key, 3)
        cars = jax.random.bernoulli(given, probability, (copies, LANES)).astype(jnp.int32)
        actions = jax.random.bernoulli(switching, 0.1, (copies,)).astype(jnp.int32)
        noises = jax.vmap(simulator.noise)(jax.random.split(noise, copies))
        moved = jax.vmap(simulator.step)(states, actions, cars, noises)
        return moved.state, (jax.vmap(simulator.observe)(moved.state), moved.reward)

    @jax.jit
    def roll(key: Any) -> Any:
        states = jax.vmap(simulator.reset)(jax.random.split(key, copies))
        return jax.lax.scan(second, states, jax.random.split(key, options.seconds))[1]

    keys = jax.random.split(jax.random.key(options.seed), options.repeat + 1)
    jax.block_until_ready(roll(keys[0]))
    seconds = []
    for key in keys[1:]:
        start = time.process_time()
        jax.block_until_ready(roll(key))
        seconds.append((time.process_time() - start) / (options.seconds * copies))
    return seconds
