"""What a run will take, before it takes anything: memory, and long stretches of one kind of work.

From the shapes of networks and simulators; nothing is computed, compiled or allocated. Known runs
take between half and twice of what is estimated here.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hinterland.config import Config
from hinterland.core import Kind, UserError, global_simulator_of, is_host
from hinterland.core.bounds import flag_of
from hinterland.rollout import SESSIONS
from hinterland.runtime import LocalRuntime
from hinterland.runtime.machine import machine_memory
from hinterland.training.apart import STEPS_PER_CALL, at_a_time
from hinterland.training.evaluate import BLOCK
from hinterland.training.plan import Plan

BASE = 0.8e9
"""Bytes of JAX, its compiler and a few programs."""
PROCESS = {"simulator": 60e6, "worker": 300e6, "ray": 150e6}
"""Bytes of one process of each kind, before it has much to do."""
CLEARLY, NEAR = 1.5, 0.8
"""Refused is what takes so many times the machine's memory, noted what takes this share of what is
free: the estimate is one."""
PASS_S = 1 / 20e9
"""Seconds of a core for a floating-point operation, and, of an accelerator, a tenth of it."""
STEP_S = {False: 2e-6, True: 1e-4}
"""Seconds of an agent-step beside its networks: traced, and on hosts."""
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


def check_resources(config: Config, domain: Any, runtime: LocalRuntime) -> list[str]:
    """Whether the machine bears the run; notes of what is near, or will take long.

    Raises:
        UserError: it clearly does not.
    """
    estimate = Estimate(config, domain, runtime)
    notes = check_memory(estimate.memory())
    if (device := runtime.devices[0]).platform != "cpu":
        limit = (device.memory_stats() or {}).get("bytes_limit", 0)
        notes += check_memory(estimate.on_device(), (limit, limit), "an accelerator")
    for name, seconds, options in estimate.stretches():
        if seconds > LONG_S:
            minutes = seconds / 60
            span = f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.0f} h"
            notes.append(f"{name} may take about {span}; a lower {options} would shorten it")
    return notes


def check_memory(
    parts: list[Part], machine: tuple[float, float] | None = None, where: str = "this machine"
) -> list[str]:
    """Whether they fit into this machine; a note if they nearly do not.

    Args:
        parts: of the memory.
        machine: bytes in all and bytes that are free, if it is not this one.
        where: what it is called.

    Raises:
        UserError: they clearly do not.
    """
    total, free = machine or machine_memory()
    needed = sum(part.size for part in parts)
    largest = sorted(parts, key=lambda part: -part.size)[:3]
    named = ", ".join(f"{x.name} {_gb(x.size)}" for x in largest if x.size > 0.02 * needed)
    options = [flag_of(x) for x in largest[0].options]
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


def bytes_of(parts: Any) -> int:
    """Of all leaves; of arrays or only of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(parts))


class Message(NamedTuple):
    """One agent's part of a shard's messages, in MB (10^6 bytes)."""

    up: float
    down: float


def message_sizes(config: Config, domain: Any) -> dict[str, Message]:
    """By phase: of `train`, as a round begins, and what the others need of every agent.

    Args:
        config: of a run with local simulators that JAX traces.
        domain: the system.
    """
    plan = Plan(config, domain)
    learners, predictors, places = plan.shapes()[:3]
    # Of the regions' mean. Influence and who is alive are bytes.
    pairs = [len(k.regions) * (bytes_of(dset_shape(k)) + k.spec.sources + 1) for k in plan.kinds]
    regions, steps = len(plan.regions), config.predictor_episodes * domain.spec.horizon
    dataset = steps * sum(pairs) / regions / 1e6
    network, own, state = (
        bytes_of(x) / regions / 1e6
        for x in ([one.network for one in learners], predictors, (learners, places))
    )
    return {
        "collect": Message(network, dataset),
        "train": Message(state + own + dataset, state + own),
        "evaluate": Message(network, 0.0),
    }


def dset_shape(kind: Kind) -> Any:
    """What a predictor of this kind sees at one step."""
    return jax.eval_shape(lambda: kind.local_simulator.dset(kind.reset(jax.random.key(0))))


def processes_of(plan: Plan) -> tuple[int, int]:
    """Processes that a run keeps: (for simulators outside of JAX, of workers beside them)."""
    config, each = plan.config, plan.config.copies_per_process or 1
    workers, copies = config.workers or 1, plan.worker_copies
    acting = workers * (config.schedule == "pipeline")
    shares = hasattr(plan.system.simulator, "games")
    evaluating = -(-SESSIONS // (each if shares else 1))
    evaluating *= is_host(global_simulator_of(plan.domain))
    if not plan.is_host:
        return evaluating, 0
    if plan.apart:  # sessions beside one for each device
        return evaluating + at_a_time(config, devices=1), 0
    if plan.local:
        held = len(plan.regions) * (1 if config.schedule == "fused" else workers)
        return evaluating + held, acting
    if config.schedule == "fused":  # processes of one copy are evaluation's too
        return max(SESSIONS, copies) if each == 1 else evaluating + copies // each, 0
    held = workers * copies // each
    if acting and each >= copies:
        held = workers * (each == 1)
    return evaluating + held, acting


class Estimate:
    """Of one run on one machine.

    Args:
        config: of the run.
        domain: the system.
        runtime: where it would happen.
    """

    def __init__(self, config: Config, domain: Any, runtime: LocalRuntime) -> None:
        self._config, self._domain, self._runtime = config, domain, runtime
        self._plan = plan = Plan(config, domain)
        self._agents, self._devices = domain.agents, len(runtime.devices)
        # Bytes, each of one: of an agent's network, or of the team's, and of what it learns with.
        learner, predictor = plan.shapes()[:2]
        networks = [one.network for one in learner] if plan.apart else learner.network
        self._network = bytes_of(networks) // plan.learners
        self._learner = bytes_of(learner) // plan.learners
        self._predictor = bytes_of(predictor) // max(len(plan.regions), 1) if plan.local else 0
        spec, carried = domain.spec, 4 * plan.memory
        whole, key = global_simulator_of(domain), jax.random.key(0)
        self._on_host = is_host(whole)
        self._state = 0 if self._on_host else bytes_of(jax.eval_shape(whole.reset, key))
        # A simulator's copy, as it lies between two updates, with everybody in it, or of a region;
        # one agent's experience at a step; a d-set with its influence.
        self._copy: float = self._state + domain.agents * carried
        self._step: float = 4 * spec.observation + 48 + carried + spec.actions
        self._pair = 0.0
        if not plan.local:
            return
        self._copy, dset = 0.0, 4.0 * spec.dset
        if not plan.is_host:  # of the regions' mean
            small = Plan(config.model_copy(update={"slot_networks": "own"}), domain)
            seen = dset = 0.0
            for number, kind in enumerate(plan.kinds):
                share = len(kind.regions) / len(plan.regions)
                place = jax.eval_shape(lambda n=number: small.place(jnp.int32(0), n))
                self._copy += share * bytes_of(place) / config.copies
                dset += share * bytes_of(dset_shape(kind))
                shown = jax.eval_shape(lambda k=kind: k.local_simulator.observe(k.reset(key)))
                seen += len(kind.regions) / domain.agents * bytes_of(shown)
            self._step = seen + 48 + carried
        self._pair = dset + 2 * spec.sources + 1

    def memory(self) -> list[Part]:
        """Parts of the largest memory of a run on this machine, its processes included."""
        config, plan, agents = self._config, self._plan, self._agents
        several = config.schedule != "fused" and not plan.apart
        copies = plan.worker_copies * (config.workers or 1) if several else config.copies
        copies *= agents if plan.local else 1
        # Before and after an update lie side by side; each device has the networks for evaluation.
        networks = plan.learners * (2 * self._learner + self._devices * self._network)
        if config.opponents is not None:
            networks += (config.pool or 1) * self._network
        episodes = -(-config.predictor_episodes // BLOCK) * BLOCK
        dials = config.simulation == "dials"
        data = dials * agents * episodes * self._domain.spec.horizon * self._pair
        widths = ("agents", "hidden") if plan.maker is None else ()
        parts = [
            Part("JAX and its programs", BASE, ()),
            Part("networks and optimisers", networks, widths),
            Part("predictors", plan.local * 2 * agents * self._predictor,
                 ("agents", "predictor_hidden")),
            Part("simulator copies", 2 * copies * self._copy,
                 ("copies", "actors", "workers") if several else ("copies", "agents")),
            Part("datasets of the predictors", 3 * data, ("predictor_episodes", "agents")),
            self._experience(1),
            self._evaluation(self._devices),
            self._processes(),
        ]  # fmt: skip
        if self._runtime.units_travel:
            travels = plan.learners * (self._learner + self._predictor) + copies * self._copy + data
            parts.append(Part("messages", 2 * travels, ("agents", "copies")))
        return parts

    def on_device(self) -> list[Part]:
        """Parts of the largest memory of one accelerator: its share of the agents, all at once."""
        plan, agents = self._plan, self._agents
        block = min(plan.learners, self._runtime.block(agents))
        copies = self._config.copies * (block if plan.apart else agents if plan.local else 1)
        return [
            Part("networks and optimisers", 2 * block * self._learner, ("agents", "hidden")),
            Part("simulator copies", copies * self._copy, ("copies", "agents")),
            self._experience(self._devices),
            self._evaluation(1),
        ]

    def memory_of_evaluation(self, episodes: int) -> list[Part]:
        """Of the command that only evaluates so many."""
        networks = self._plan.learners * self._network * (2 + self._devices)
        playing = self._evaluation(self._devices).size
        return [
            Part("JAX and its programs", BASE, ()),
            Part("networks", networks, ("devices",)),
            Part("episodes", playing + 8.0 * episodes, ("devices",)),
        ]

    def _experience(self, devices: int) -> Part:
        """Of one update, with what a minibatch's gradients keep; of one of so many devices."""
        config, plan, agents = self._config, self._plan, self._agents
        steps = config.steps_per_update
        rows = steps / config.minibatches / (config.pieces or 1)
        orders = 8 * config.epochs * config.copies * config.windows  # of the samples in each epoch
        # Of one agent's step.
        kept = rows * 4 * (8 * config.hidden + 3 * config.trunk) * (plan.maker is None)
        block = min(self._runtime.block(agents) * self._devices, agents)
        if plan.learners == 1:
            size = agents * (3 * steps * self._step + kept) + orders
        elif plan.apart:
            size = block * (2 * steps * self._step + kept + orders)
        else:
            size = 3 * steps * agents * self._step + block * (kept + orders)
        return Part("experience of an update", size / devices, ("copies", "windows", "window"))

    def _evaluation(self, devices: int) -> Part:
        """Of the episodes that so many devices play side by side, and of their records."""
        spec = self._domain.spec
        playing = 2 * self._state + self._agents * 4 * (4 * self._config.hidden + spec.observation)
        records = spec.horizon * self._agents * (5 + self._pair)
        size = devices * (SESSIONS if self._on_host else BLOCK) * (playing + records)
        return Part("episodes of an evaluation", size, ("agents", "hidden"))

    def _processes(self) -> Part:
        """Of simulators outside of JAX, and of workers."""
        simulators, workers = processes_of(self._plan)
        options: tuple[str, ...] = ("copies",)
        if self._config.schedule != "fused":
            shared = hasattr(self._plan.system.simulator, "shared_sessions")
            options = ("copies", "workers") if shared else ("copies", "actors", "workers")
        if self._runtime.joined:  # other machines' memory; evaluation's are here
            simulators, workers = min(simulators, SESSIONS), 0
        size = simulators * PROCESS["simulator"] + workers * PROCESS["worker"]
        return Part(f"{simulators + workers:,.0f} processes", size, options)

    def stretches(self) -> Iterator[tuple[str, float, str]]:
        """What is done between two signs of progress: its name, seconds at a low speed, options."""
        config, plan, runtime = self._config, self._plan, self._runtime
        agents, steps, horizon = self._agents, config.steps_per_update, self._domain.spec.horizon
        speed = PASS_S / (1 if runtime.devices[0].platform == "cpu" else 10)
        forward, step_s = self._network / 4 * 2 * speed, STEP_S[self._on_host]
        learning = forward * (1 + 3 * config.epochs)
        if plan.apart:
            each = 1 if runtime.units_travel else runtime.block(agents)
            update = max(steps, STEPS_PER_CALL) * each * (learning + STEP_S[False])
        else:
            update = steps * agents * (learning + step_s)
            update /= 1 if plan.learners == 1 else self._devices
        yield "one policy update", update, "--windows, --window, --copies or --epochs"
        if config.schedule != "fused" and not plan.apart:
            yield "the start of the workers", START_S * (config.workers or 1), "--workers"
        played = horizon * agents * (forward + step_s) / self._devices
        if config.simulation == "dials":
            rows = config.predictor_epochs * config.predictor_episodes * horizon
            fit = rows * runtime.block(agents) * (3 * self._predictor / 4 * 2 * speed + 1e-7)
            options = "--predictor-epochs or --predictor-episodes"
            yield "the training of one predictor", fit, options
            collected = config.predictor_episodes * played
            yield "each collection for the predictors", collected, "--predictor-episodes"
        yield "each evaluation", 2 * config.evaluate_episodes * played, "--evaluate-episodes"
        yield "the last evaluation", 2 * config.final_episodes * played, "--final-episodes"
