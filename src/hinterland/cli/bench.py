"""`hinterland bench`: the figures that the README quotes, measured here and now.

Rates are medians of several repetitions after a warm-up, with lowest and highest beside them.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from hinterland.api.display import note
from hinterland.api.start import make_runtime
from hinterland.cli.arguments import DEMO, Parser, whole
from hinterland.cli.bench_cluster import add_cluster_options, cluster
from hinterland.cli.setup import add_machine_options
from hinterland.core.errors import UserError
from hinterland.domains.declared import light

OURS = {
    "simulator": "the global simulator alone, random actions: learner-steps/s",
    "training": "a whole DIALS training (simulate, predict, learn): agent-steps/s, the share of "
    "the machine's matrix-product peak, and where the time goes",
    "growth": "4, 25, 49 and 100 agents (or --agents), each in a process of its own: rate, "
    "compilation, peak memory",
    "cluster": f"a DIALS round in {DEMO} on 1, 2 and 4 Ray workers (or --workers): the same "
    "policies, seconds, bytes; 100 agents (or --agents)",
}
"""Of the library itself, all in one domain."""

Measure = Callable[[Any], dict[str, Any]]


class Bench(Protocol):
    """A benchmark of a domain: a module that `DomainOptions.benches` names.

    Beside these it may have REPEAT, the repetitions of --repeat by default (5); None: the option
    is not for it.
    """

    SUMMARY: str
    """What it measures, for --help."""
    add_options: Callable[[argparse.ArgumentParser], None]
    """Adds its options; --repeat and --json are there."""
    measure: Measure
    """Measures and prints, given the options; the figures, as JSON takes them."""


def run(arguments: Sequence[str]) -> int:
    """Measures; returns the exit status."""
    parser = Parser(prog="hinterland bench", description="Benchmarks, by name.")
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    measures = {**_ours(names), **_of_domains(names)}
    options = parser.parse_args(arguments)
    figures = measures[options.name](options)
    if options.json:
        print(json.dumps(figures))
    return 0


def _ours(names: Any) -> dict[str, Measure]:
    """Adds the benchmarks of the library itself; what measures, by name."""
    for name, text in OURS.items():
        one = _add(names, name, text, None if name == "cluster" else 5)
        if name == "cluster":
            add_cluster_options(one)
            continue
        sizes = "+" if name == "growth" else None
        default: Any = {"simulator": 25, "training": 4, "growth": [4, 25, 49, 100]}[name]
        one.add_argument(
            "--agents", type=whole(1, 10_000), nargs=sizes, default=default, metavar="N"
        )
        if name != "simulator":
            one.add_argument("--preset", choices=("fast", "paper"), default="fast")
        add_machine_options(one)
    return {"simulator": simulator, "training": training, "growth": growth, "cluster": cluster}


def _of_domains(names: Any) -> dict[str, Measure]:
    """Adds the benchmarks that installed domains declare; what measures, by name.

    Raises:
        UserError: one cannot be imported, or has a name that is taken.
    """
    measures: dict[str, Measure] = {}
    for domain, declared in light():
        for name, module in declared.benches.items():
            if name in OURS or name in measures:
                raise UserError(
                    f"domain {domain!r}: there is another benchmark {name!r}; rename it"
                )
            try:
                bench: Bench = cast(Bench, importlib.import_module(module))
            except ImportError as error:
                raise UserError(
                    f"domain {domain!r}: its benchmark {name!r} cannot be imported: {error}"
                ) from error
            bench.add_options(_add(names, name, bench.SUMMARY, getattr(bench, "REPEAT", 5)))
            measures[name] = bench.measure
    return measures


def _add(names: Any, name: str, text: str, repeat: int | None) -> argparse.ArgumentParser:
    """The parser of one benchmark."""
    one = names.add_parser(name, help=text, description=text)
    one.add_argument("--json", action="store_true", help="last line: the figures as JSON")
    if repeat is not None:
        one.add_argument("--repeat", type=whole(1, 1_000), default=repeat, metavar="R",
                         help=f"default: {repeat}")  # fmt: skip
    return one


def _spread(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:,.0f} ({min(values):,.0f} … {max(values):,.0f}, n = {len(values)})"


def simulator(options: Any) -> dict[str, Any]:
    """Learner-steps/s of the global simulator on all devices together."""
    runtime = make_runtime(options.devices)
    import jax

    from hinterland.core import stream
    from hinterland.domains import load_domain

    domain = load_domain(DEMO, options.agents)
    whole, copies, steps = domain.global_simulator, 64, 400

    @jax.jit
    def roll(key: Any) -> Any:
        state = jax.vmap(whole.reset)(jax.random.split(key, copies))

        def step(state: Any, key: Any) -> tuple[Any, Any]:
            noise = jax.vmap(whole.noise)(jax.random.split(key, copies))
            actions = jax.random.randint(key, (copies, domain.agents), 0, domain.spec.actions)
            moved = jax.vmap(whole.step)(state, actions, noise)
            return moved.state, moved.reward.sum()

        return jax.lax.scan(step, state, jax.random.split(key, steps))[1].sum()

    units = [(stream(i, "bench"),) for i in range(2 * len(runtime.devices))]
    note("compiling ...")
    runtime.map(roll, units)
    rates = []
    for _ in range(options.repeat):
        start = time.perf_counter()
        runtime.map(roll, units)
        rates.append(len(units) * copies * steps * domain.agents / (time.perf_counter() - start))
    print(f"global simulator, {domain.agents} learners: {_spread(rates)} learner-steps/s")
    return {"agents": domain.agents, "learner_steps_per_s": rates}


def training(options: Any) -> dict[str, Any]:
    """Agent-steps/s of collection, fitting and training together; evaluation is left out."""
    runtime = make_runtime(options.devices)
    from hinterland.config import make_config
    from hinterland.domains import load_domain
    from hinterland.training import Experiment, train

    domain = load_domain(DEMO, options.agents)
    # One refresh period of a full run: 1M steps, F = 50K (fast); 4M steps, F = 4M (paper), of
    # which a part is run and the one training of the predictors is charged in proportion.
    fast = options.preset == "fast"
    steps = 50_000 if fast else 20_000
    values = {"domain": DEMO, "agents": options.agents, "preset": options.preset}
    config = make_config(
        {**values, "steps": steps, "refresh": steps, "evaluate_every": steps,
         "evaluate_episodes": 2, "final_episodes": 2}
    )  # fmt: skip
    share = 1.0 if fast else steps / 4_000_000
    rates, phases = [], []
    for repetition in range(options.repeat + 1):
        note("warming up (compiling) ..." if repetition == 0 else f"repetition {repetition} ...")
        experiment = Experiment(config, domain, runtime)
        summary = train(experiment, None)
        # The last measurement of drift collects and diagnoses once more than a refresh does.
        seconds = summary["time"]
        spent = seconds["train_s"] + share * (seconds["collect_s"] / 2 + seconds["fit_s"])
        if repetition:
            rates.append(summary["step"] * domain.agents / spent)
            phases.append(seconds)
    middle = statistics.median(rates)
    peak = _matrix_peak(runtime)
    work = flops_per_step(config, domain.spec)
    print(f"{options.preset}, {domain.agents} agents: {_spread(rates)} agent-steps/s, compiled")
    print(
        f"{work / 1e6:.2f} MFLOP of matrix products per agent-step: "
        f"{middle * work / 1e9:.1f} of {peak / 1e9:.1f} GFLOP/s, {middle * work / peak:.0%} of "
        "the machine's own peak (float32, 1024 x 1024)"
    )
    parts = _parts(runtime, config, domain)
    whole = parts["whole"]
    for name, seconds in parts.items():
        if name != "whole":
            print(f"  {name:<34}{seconds / whole:6.0%}")
    return {"preset": options.preset, "agents": domain.agents, "agent_steps_per_s": rates,
            "flops_per_step": work, "peak_flops": peak, "parts_s": parts}  # fmt: skip


def flops_per_step(config: Any, spec: Any) -> float:
    """Floating-point operations of the matrix products that one agent-step needs.

    A forward pass in the rollout; a forward and a backward one (twice the products) in each epoch;
    one forward pass of the predictor. Gates, sampling and the simulator are not counted.
    """
    gates = 3 if config.network == "gru" else 1
    recurrent = config.hidden * gates * config.hidden if config.network == "gru" else 0
    policy = spec.observation * gates * config.hidden + recurrent
    policy += config.hidden * config.trunk + config.trunk * (spec.actions + 1)
    width = config.predictor_hidden
    gates = 3 if config.predictor == "gru" else 1
    predictor = spec.dset * gates * width + (gates * width**2 if gates == 3 else 0)
    predictor += width * spec.sources * spec.classes
    return 2.0 * (policy * (1 + 3 * config.epochs) + predictor)


def _matrix_peak(runtime: Any) -> float:
    """Float32 operations per second of 1024 x 1024 products on all devices together."""
    import jax
    import jax.numpy as jnp

    size, times = 1024, 20

    @jax.jit
    def products(x: Any) -> Any:
        return jax.lax.fori_loop(0, times, lambda _, y: (y @ x) * (1 / size), x)

    units = [(jnp.ones((size, size)),)] * len(runtime.devices)
    runtime.map(products, units)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        runtime.map(products, units)
        seconds = time.perf_counter() - start
        best = max(best, len(units) * times * 2 * size**3 / seconds)
    return best


def _parts(runtime: Any, config: Any, domain: Any) -> dict[str, float]:
    """Seconds of the parts of an update, by leaving them out one by one."""
    import jax
    import jax.numpy as jnp

    from hinterland.core import stream
    from hinterland.learn import update, windows_of
    from hinterland.rollout import Regions, begin, traced_segment
    from hinterland.training.plan import Plan

    updates = max(4, 20_000 // config.steps_per_update)
    how = Plan(config, domain).how()

    def timed(learns: bool, tiny_policy: bool, tiny_predictor: bool) -> float:
        small = {"hidden": 1, "trunk": 1, "network": "feed-forward"} if tiny_policy else {}
        few = {"predictor_hidden": 1, "predictor": "feed-forward"} if tiny_predictor else {}
        plan = Plan(config.model_copy(update=small | few), domain)
        learner = plan.learner(0)
        predictors = jax.tree.map(lambda x: x[None], plan.predictor(0))
        place = begin(
            stream(0, "parts"), Regions(domain, predictors), learner.network, config.copies
        )

        @jax.jit
        def several(learner: Any, predictors: Any, place: Any) -> Any:
            def one(i: Any, state: Any) -> Any:
                learner, place, total = state
                keys = jax.random.split(stream(0, "parts", i))
                place, data, _ = traced_segment(
                    keys[0], Regions(domain, predictors), learner.network, place, config.window,
                    config.windows,
                )  # fmt: skip
                total += data.reward.sum() + data.next_value.sum()
                if learns:
                    data = windows_of(data, config.windows)
                    learner, _ = update(keys[1], learner, data, how)
                return learner, place, total

            return jax.lax.fori_loop(0, updates, one, (learner, place, jnp.zeros(())))[2]

        units = [(learner, predictors, place)] * len(runtime.devices)
        runtime.map(several, units)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            runtime.map(several, units)
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    note("measuring the parts ...")
    whole = timed(True, False, False)
    acting = timed(False, False, False)
    without_policy = timed(False, True, False)
    bare = timed(False, True, True)
    return {
        "whole": whole,
        "learning (PPO)": whole - acting,
        "acting (policy inference)": acting - without_policy,
        "predicting influence": without_policy - bare,
        "simulating and drawing numbers": bare,
    }


def growth(options: Any) -> dict[str, Any]:
    """Rate, compilation and memory against the number of agents."""
    rows = []
    print("agent-steps/s of a run's last stretch alone; wall seconds in which something compiled")
    print(f"{'agents':>6} {'agent-steps/s':>14} {'compile (s)':>12} {'peak memory (MB)':>17}")
    for agents in options.agents:
        rates: list[float] = []
        for repetition in range(options.repeat):
            note(f"{agents} agents, repetition {repetition + 1} ...")
            summary, rate = _one_run(agents, options)
            rates.append(rate)
        row = {
            "agents": agents,
            "agent_steps_per_s": rates,
            "compile_s": summary["time"]["compile_s"],
            "peak_mb": summary["memory"]["peak_mb"],
        }
        rows.append(row)
        print(
            f"{agents:>6} {statistics.median(rates):>14,.0f} {row['compile_s']:>12.1f} "
            f"{row['peak_mb']:>17,.0f}",
            flush=True,
        )
    middle = [statistics.median(row["agent_steps_per_s"]) for row in rows]
    print(f"slowest / fastest: {min(middle) / max(middle):.2f}")
    return {"rows": rows}


def _one_run(agents: int, options: Any) -> tuple[dict[str, Any], float]:
    """A short run in its own process: its summary, and the rate of its last stretch."""
    from hinterland.record import RunFolder

    # At least 400,000 agent-steps, in two stretches: the first one compiles.
    steps = max(16_384, 400_000 // agents)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [
            sys.executable, "-m", "hinterland", "train", DEMO, "--preset", options.preset,
            "--agents", agents, "--steps", steps, "--refresh", steps,
            "--evaluate-every", steps // 2, "--evaluate-episodes", 2, "--final-episodes", 2,
            "--quiet", "--no-report", "--out", out,
        ]  # fmt: skip
        if options.devices:
            command += ["--devices", options.devices]
        # Compilation is one of the figures: the cache of earlier runs must not hide it.
        environment = {**os.environ, "HINTERLAND_CACHE": "off"}
        subprocess.run([str(word) for word in command], check=True, env=environment)
        run = RunFolder.read(out)
        rates = [x["train/steps_per_s"] for x in run.metrics() if "train/steps_per_s" in x]
        summary = run.summary()
    assert summary is not None
    return summary, rates[-1]
