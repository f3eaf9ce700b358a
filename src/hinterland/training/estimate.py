"""What a run will take, before it takes anything: memory, and long stretches of one kind of work.

From the shapes of networks and simulators; nothing is computed, compiled or allocated. Known runs
take between half and twice of what is estimated here.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import psutil

from hinterland.config import Config
from hinterland.core import UserError, global_simulator_of, is_host
from hinterland.rollout import SESSIONS
from hinterland.runtime import LocalRuntime
from hinterland.training.apart import STEPS_PER_CALL, first_place
from hinterland.training.evaluate import BLOCK
from hinterland.training.messages import bytes_of
from hinterland.training.plan import Plan
from hinterland.training.run import simulator_processes

BASE = 0.8e9
"""Bytes of JAX, its compiler and a few programs."""
PROCESS = {"simulator": 60e6, "worker": 300e6, "ray": 150e6}
"""Bytes of one process of each kind, before it has much to do."""
CLEARLY, NEAR = 1.5, 0.8
"""Refused is what takes so many times the machine's memory, noted what takes this share of what is
free: the estimate is one."""
PASS_S = 1 / 20e9
"""Seconds of a core for a floating-point operation, and, of an accelerator, a tenth of it."""
STEP_S = {"traced": 2e-6, "host": 1e-4}
"""Seconds of an agent-step beside its networks."""
START_S = 1.0
"""Seconds until a worker is there."""
LONG_S = 600
"""So long a stretch is worth a note."""


class Part(NamedTuple):
    """Bytes of one kind of thing."""

    name: str
    size: float
    options: tuple[str, ...]
    """What to lower, most effective first."""


class Stretch(NamedTuple):
    """Work of one kind, during which the run gets no further."""

    name: str
    seconds: float
    cure: str
    """What shortens it."""


class _Sizes(NamedTuple):
    """Bytes, each of one."""

    network: int
    """Of an agent, or of the team."""
    learner: int
    predictor: int
    copy: float
    """Of the simulator, as it lies between two updates; with everybody in it, or of one region."""
    state: int
    """Of the global simulator."""
    step: float
    """Of one agent's experience."""
    pair: float
    """Of a d-set with its influence."""


def check_resources(config: Config, domain: Any, runtime: LocalRuntime) -> list[str]:
    """Whether the machine bears the run; notes of what is near, or will take long.

    Raises:
        UserError: it clearly does not.
    """
    sizes = _sizes(config, domain)
    notes = check_memory(memory(config, domain, runtime, sizes))
    if (device := runtime.devices[0]).platform != "cpu":
        limit = (device.memory_stats() or {}).get("bytes_limit", 0)
        notes += _judged(on_device(config, domain, runtime, sizes), limit, limit, "an accelerator")
    return notes + [
        f"{one.name} may take about {_span(one.seconds)}; {one.cure} would shorten it"
        for one in stretches(config, domain, runtime, sizes)
        if one.seconds > LONG_S
    ]


def check_memory(parts: list[Part], machine: tuple[float, float] | None = None) -> list[str]:
    """Whether they fit into this machine; a note if they nearly do not.

    Args:
        parts: of the memory.
        machine: bytes in all and bytes that are free, if it is not this one.

    Raises:
        UserError: they clearly do not.
    """
    return _judged(parts, *(machine or machine_memory()), "this machine")


def check_processors(count: int) -> None:
    """Whether a Ray of so many processors can be started here.

    Raises:
        UserError: it clearly cannot.
    """
    check_memory([Part(f"{count:,} processes of Ray", count * PROCESS["ray"], ("devices",))])


def _judged(parts: list[Part], total: float, free: float, where: str) -> list[str]:
    needed = sum(part.size for part in parts)
    largest = sorted(parts, key=lambda part: -part.size)[:3]
    named = ", ".join(f"{x.name} {_gb(x.size)}" for x in largest if x.size > 0.02 * needed)
    options = [f"--{x.replace('_', '-')}" for x in largest[0].options]
    cure = f"lower {' or '.join(options)}" if options else "close other programs"
    if needed > CLEARLY * total > 0:
        raise UserError(
            f"this would take about {_gb(needed)} ({named}), and {where} has {_gb(total)}: {cure}"
        )
    if needed > NEAR * free > 0:
        return [f"this may take about {_gb(needed)} ({named}), and {where} has {_gb(free)} free: "
                f"if that is too little, {cure}"]  # fmt: skip
    return []


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size < 1e10 else f"{size / 1e9:,.0f} GB"


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.0f} h"


def machine_memory() -> tuple[float, float]:
    """(all, free) in bytes, swap included; what this control group may have, if that is less."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    total, free = memory.total + swap.total, memory.available + swap.free
    root, groups = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    lines = groups.read_text().splitlines() if groups.is_file() else []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    for folder, limit, used, cached in (
        (root / own.strip("/"), "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now, details = ((folder / name).read_text().strip()
                                  for name in (limit, used, "memory.stat"))  # fmt: skip
        except OSError:
            continue  # there is no such group
        if most.isdigit() and int(most) < total:
            told = dict(line.split(" ", 1) for line in details.splitlines())
            total = int(most)
            free = min(free, total - int(now) + int(told.get(cached, 0)))
    return float(total), float(max(free, 0))


def _sizes(config: Config, domain: Any) -> _Sizes:
    """From shapes alone."""
    plan, spec = Plan(config, domain), domain.spec
    learner, predictor = plan.shapes()
    learners, regions = plan.learners, len(plan.regions)
    sizes = {"network": bytes_of(learner.network) // learners,
             "learner": bytes_of(learner) // learners,
             "predictor": bytes_of(predictor) // max(regions, 1) if plan.local else 0}  # fmt: skip
    carried = 4 * plan.memory
    whole = global_simulator_of(domain)
    key = jax.random.key(0)
    state = 0 if is_host(whole) else bytes_of(jax.eval_shape(whole.reset, key))
    step = 4 * spec.observation + 48 + carried + spec.actions
    if not plan.local:
        copy: float = state + domain.agents * carried
        return _Sizes(**sizes, copy=copy, state=state, step=step, pair=0)
    local, pair, copy = domain.local_simulator, 4.0 * spec.dset, 0.0
    if not plan.is_host:
        small = Plan(config.model_copy(update={"slot_networks": "own"}), domain)
        place = jax.eval_shape(lambda: first_place(small, jax.numpy.int32(0)))
        copy = bytes_of(place) / config.copies
        pair = bytes_of(jax.eval_shape(lambda: local.dset(local.reset(key))))
        seen = bytes_of(jax.eval_shape(lambda: local.observe(local.reset(key))))
        step = seen / plan.regions.shape[1] + 48 + carried
    return _Sizes(**sizes, copy=copy, state=state, step=step, pair=pair + 2 * spec.sources + 1)


def memory(
    config: Config, domain: Any, runtime: LocalRuntime, sizes: _Sizes | None = None
) -> list[Part]:
    """Parts of the largest memory of a run on this machine, its processes included."""
    one, plan = sizes or _sizes(config, domain), Plan(config, domain)
    agents, local, learners = domain.agents, plan.local, plan.learners
    workers, actors = config.workers or 1, config.actors or 1
    several = config.schedule != "fused" and not plan.apart
    copies = config.copies * (workers * actors if several else 1) * (agents if local else 1)
    dials = config.simulation == "dials"
    # Before and after an update lie side by side; each device has the networks for evaluation.
    networks = learners * (2 * one.learner + len(runtime.devices) * one.network)
    if config.opponents is not None:
        networks += (config.pool or 1) * one.network
    episodes = -(-config.predictor_episodes // BLOCK) * BLOCK
    data = dials * agents * episodes * domain.spec.horizon * one.pair
    travels = learners * (one.learner + one.predictor) + copies * one.copy + data
    widths = ("agents", "hidden") if plan.maker is None else ()
    parts = [
        Part("JAX and its programs", BASE, ()),
        Part("networks and optimisers", networks, widths),
        Part("predictors", local * 2 * agents * one.predictor, ("agents", "predictor_hidden")),
        Part("simulator copies", 2 * copies * one.copy,
             ("copies", "actors", "workers") if several else ("copies", "agents")),
        Part("datasets of the predictors", 3 * data, ("predictor_episodes", "agents")),
        Part("experience of an update", _experience(config, domain, runtime, one),
             ("copies", "windows", "window")),
        Part("episodes of an evaluation", len(runtime.devices) * _evaluation(config, domain, one),
             ("agents", "hidden")),
        _processes(config, domain, runtime),
    ]  # fmt: skip
    if runtime.units_travel:
        parts.append(Part("messages", 2 * travels, ("agents", "copies")))
    return parts


def on_device(
    config: Config, domain: Any, runtime: LocalRuntime, sizes: _Sizes | None = None
) -> list[Part]:
    """Parts of the largest memory of one accelerator: its share of the agents, all at a time."""
    one, plan = sizes or _sizes(config, domain), Plan(config, domain)
    block = min(plan.learners, runtime.block(domain.agents))
    copies = config.copies * (block if plan.apart else domain.agents if plan.local else 1)
    return [
        Part("networks and optimisers", 2 * block * one.learner, ("agents", "hidden")),
        Part("simulator copies", copies * one.copy, ("copies", "agents")),
        Part("experience of an update", _experience(config, domain, runtime, one)
             / len(runtime.devices), ("copies", "windows", "window")),
        Part("episodes of an evaluation", _evaluation(config, domain, one), ("agents", "hidden")),
    ]  # fmt: skip


def _experience(config: Config, domain: Any, runtime: LocalRuntime, one: _Sizes) -> float:
    """Of one update wherever it lies, with what a minibatch's gradients keep."""
    steps = config.steps_per_update
    rows = steps / config.minibatches / (config.pieces or 1)
    orders = 8 * config.epochs * config.copies * config.windows  # of the samples in each epoch
    kept = 4 * (8 * config.hidden + 3 * config.trunk)  # of one agent's step
    plan = Plan(config, domain)
    kept = kept if plan.maker is None else 0
    if plan.learners == 1:
        return domain.agents * (3 * steps * one.step + rows * kept) + orders
    block = runtime.block(domain.agents) * len(runtime.devices)
    block = min(block, domain.agents)
    if not plan.apart:
        return 3 * steps * domain.agents * one.step + block * (rows * kept + orders)
    return block * (2 * steps * one.step + rows * kept + orders)


def _evaluation(config: Config, domain: Any, one: _Sizes) -> float:
    """Of the episodes that one device plays side by side, and of their records."""
    systems = (getattr(domain, name, None) for name in ("entity_simulator", "global_simulator"))
    count = SESSIONS if any(is_host(system) for system in systems) else BLOCK
    playing = 2 * one.state + domain.agents * 4 * (4 * config.hidden + domain.spec.observation)
    records = domain.spec.horizon * domain.agents * (5 + one.pair)
    return count * (playing + records)


def _processes(config: Config, domain: Any, runtime: LocalRuntime) -> Part:
    """Of simulators outside of JAX, and of workers."""
    plan, simulators = Plan(config, domain), simulator_processes(config, domain)
    workers = 0
    if plan.is_host and config.schedule == "pipeline" and not plan.apart:
        workers = config.workers or 1
        simulators -= workers
    options: tuple[str, ...] = ("copies",)
    if config.schedule != "fused":
        options = ("copies", "workers") if hasattr(plan.system.simulator, "shared_sessions") else (
            "copies", "actors", "workers"
        )  # fmt: skip
    if runtime.joined:  # other machines' memory; evaluation's are here
        simulators, workers = min(simulators, SESSIONS), 0
    size = simulators * PROCESS["simulator"] + workers * PROCESS["worker"]
    return Part(f"{simulators + workers:,.0f} processes", size, options)


def stretches(
    config: Config, domain: Any, runtime: LocalRuntime, sizes: _Sizes | None = None
) -> list[Stretch]:
    """What is done between two signs of progress, and how long it lasts at a low speed."""
    one, plan = sizes or _sizes(config, domain), Plan(config, domain)
    systems = (getattr(domain, name, None) for name in ("entity_simulator", "global_simulator"))
    kind = "host" if any(is_host(system) for system in systems) else "traced"
    speed = PASS_S / (1 if runtime.devices[0].platform == "cpu" else 10)
    forward = one.network / 4 * 2 * speed
    agents, steps = domain.agents, config.steps_per_update
    learning = forward * (1 + 3 * config.epochs)
    if not plan.apart:
        update = steps * agents * (learning + STEP_S[kind])
        update /= 1 if plan.learners == 1 else len(runtime.devices)
    else:
        each = 1 if runtime.units_travel else runtime.block(agents)
        update = max(steps, STEPS_PER_CALL) * each * (learning + STEP_S["traced"])
    cure = "a lower --windows, --window, --copies or --epochs"
    found = [Stretch("one policy update", update, cure)]
    if config.schedule != "fused" and not plan.apart:
        found.append(Stretch("the start of the workers", START_S * (config.workers or 1),
                             "a lower --workers"))  # fmt: skip
    if config.simulation == "dials":
        rows = config.predictor_epochs * config.predictor_episodes * domain.spec.horizon
        fit = rows * runtime.block(agents) * (3 * one.predictor / 4 * 2 * speed + 1e-7)
        found.append(Stretch("the training of one predictor", fit,
                             "a lower --predictor-epochs or --predictor-episodes"))  # fmt: skip
        collected = config.predictor_episodes * domain.spec.horizon * agents
        found.append(Stretch("each collection for the predictors",
                             collected * (forward + STEP_S[kind]) / len(runtime.devices),
                             "a lower --predictor-episodes"))  # fmt: skip
    played = domain.spec.horizon * agents * (forward + STEP_S[kind])
    for option in ("evaluate_episodes", "final_episodes"):
        whole = 2 * getattr(config, option) * played / len(runtime.devices)
        name = "the last evaluation" if option == "final_episodes" else "each evaluation"
        found.append(Stretch(name, whole, f"a lower --{option.replace('_', '-')}"))
    return found


def check_evaluation(
    config: Config, domain: Any, runtime: LocalRuntime, episodes: int
) -> list[str]:
    """As `check_resources`, of the command that only evaluates so many episodes."""
    one = _sizes(config, domain)
    learners = Plan(config, domain).learners
    networks = learners * one.network * (2 + len(runtime.devices))
    playing = len(runtime.devices) * _evaluation(config, domain, one)
    return check_memory([
        Part("JAX and its programs", BASE, ()),
        Part("networks", networks, ("devices",)),
        Part("episodes", playing + 8.0 * episodes, ("devices",)),
    ])  # fmt: skip
