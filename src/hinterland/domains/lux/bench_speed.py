"""The benchmark of Lux AI S2: what a step costs in training, part by part, and in the engine."""

import argparse
import statistics
from typing import Any, cast

from hinterland.api.display import note
from hinterland.api.start import make_runtime
from hinterland.api.systems import get_domain
from hinterland.cli.arguments import add_config_options, given_config
from hinterland.cli.setup import add_machine_options

SUMMARY = (
    "training in Lux AI S2: environment steps/s of the whole loop and of the bare engine, where "
    "the time goes, memory; takes the options of train"
)
STEPS = 150
"""Of the bare engine's game; idle factories die at 151."""
PARTS = {
    "engine": "engine",
    "state": "reading its state",
    "masks": "masks",
    "observation": "observation",
    "actions": "wording actions",
    "reward": "reward",
}
"""Parts of a session, in processor time."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of `hinterland train lux`."""
    add_config_options(parser, domain="lux")
    add_machine_options(parser)


def measure(options: Any) -> dict[str, Any]:
    """Rates of some updates after one that compiles, and shares of their time."""
    from hinterland.config import make_config

    config = make_config({"domain": "lux", **given_config(options, "lux")})
    runtime, domain = make_runtime(options.devices), cast(Any, get_domain(config))
    from hinterland.domains.lux import seconds
    from hinterland.training import Experiment, Lines, check_config, check_resources
    from hinterland.training.loop import Loop

    check_resources(config, domain, runtime)
    told = Lines()
    experiment = Experiment(config, domain, runtime, progress=told)
    plan = check_config(config, domain)
    note("compiling ...")
    loop = Loop(experiment, plan)
    state = loop.start()
    with loop.beginning(state) as learning:
        for update in range(options.repeat + 1):
            state = learning.learn(state, update, update + 1)
            rate = told.lines[-1]["train/env_steps_per_s"]
            note(f"update {update}: {rate:,.0f} environment steps/s")
    network = plan.policy(state.learners)
    note("the bare engine ...")
    alone = [seconds(domain.rules, 0, seed, STEPS) for seed in range(options.repeat)]
    rates = [one["train/env_steps_per_s"] for one in told.lines[1:]]
    engine = [1 / one["engine"] for one in alone]
    parts = {name[len("train/seconds/") :]: statistics.median(one[name] for one in told.lines[1:])
             for name in told.lines[-1] if name.startswith("train/seconds/")}  # fmt: skip
    figures = {
        "map": domain.rules.map_size,
        "parameters": _parameters(network.network),
        "env_steps_per_s": rates,
        "engine_steps_per_s": engine,
        "seconds": parts,
        "steps_per_update": config.steps_per_update,
        "peak_mb": experiment.peak_memory_mb(),
    }
    _say(figures)
    return figures


def _parameters(network: Any) -> int:
    import jax

    from hinterland.domains.lux.entity_grid import trainable

    sizes = jax.tree.map(lambda x, learned: x.size * learned, network, trainable(network))
    return sum(jax.tree.leaves(sizes))


def _say(figures: dict[str, Any]) -> None:
    side, steps, parts = figures["map"], figures["steps_per_update"], figures["seconds"]
    whole = statistics.median(figures["env_steps_per_s"])
    engine = statistics.median(figures["engine_steps_per_s"])
    print(
        f"{side} x {side}, {figures['parameters']:,} parameters: {whole:,.0f} environment steps/s "
        f"of the whole loop, {engine:,.0f} of the engine alone on one core; "
        f"{figures['peak_mb']:,.0f} MB"
    )
    print("ms per environment step, by the clock:")
    for name, text in (("acting", "network, acting"), ("waiting", "waiting for the games"),
                       ("learning", "learning")):  # fmt: skip
        print(f"  {text:<26}{1e3 * parts[name] / steps:>8.3f}")
    print("of a core in the games' processes:")
    for name, text in PARTS.items():
        print(f"  {text:<26}{1e3 * parts.get(name, 0.0) / steps:>8.3f}")
