"""The benchmarks of traffic: how close the native intersection is to SUMO, and how much faster."""

import math
import os
import statistics
import time
from typing import Any

from hinterland.api.display import note

REWARD_BAR, BITS_BAR, BITS_BAR_UP_TO = 0.02, 0.95, 0.1
"""Of fidelity: difference of mean rewards; share of equal bits, up to this insertion rate."""


def traffic_fidelity(options: Any) -> dict[str, Any]:
    """The native intersection against SUMO, second by second, and whether it is close enough."""
    from hinterland.domains.traffic import fidelity

    note("SUMO twice and the native simulator, in each case ...")
    cases = fidelity.compare(seconds=options.seconds, seed=options.seed)
    print(fidelity.table(cases))
    reward = max(abs(case.native.reward - case.sumo.reward) for case in cases)
    sparse = [case for case in cases if case.case.probability <= BITS_BAR_UP_TO]
    bits = min(case.agreement.bits for case in sparse)
    meets = reward <= REWARD_BAR and bits >= BITS_BAR
    print(
        f"verdict: {'within' if meets else 'NOT within'} the bar: mean reward differs by "
        f"{reward:.3f} at most (bar: {REWARD_BAR}); with p <= {BITS_BAR_UP_TO} at least {bits:.3f} "
        f"of the bits are equal (bar: {BITS_BAR})"
    )
    rows = [
        {"probability": one.case.probability, "switching": one.case.switching}
        | {name: _plain(getattr(one, name)) for name in ("sumo", "native", "other_seed")}
        | {name: _plain(getattr(one, name)) for name in ("agreement", "floor")}
        for one in cases
    ]
    return {"seconds": options.seconds, "seed": options.seed, "reward_difference": reward,
            "bits_equal": bits, "meets_bar": meets, "cases": rows}  # fmt: skip


def _plain(figures: Any) -> dict[str, Any]:
    """A named tuple as JSON takes it: what could not be measured is null."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures._asdict().items()
    }


def traffic_local(options: Any) -> dict[str, Any]:
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
