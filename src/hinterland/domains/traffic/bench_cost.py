"""What a whole run costs in wall time, in CPU time and on its critical path, from a part of it.

The part is really run, by the main loops' own functions, and charged in proportion. Evaluation is
left out, and so is compilation: the first part is not counted.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psutil

from hinterland.config import Config
from hinterland.core import Domain, is_host
from hinterland.rollout import SESSIONS
from hinterland.runtime import LocalRuntime
from hinterland.runtime.machine import cpu_seconds, cpu_seconds_of
from hinterland.training import Experiment, apart, dials, loop
from hinterland.training.plan import Plan


class Part(NamedTuple):
    """Seconds of one collection, one fit of all predictors, and some updates of all agents."""

    collect: float
    fit: float
    train: float


class Schedule(NamedTuple):
    """How much of that a whole run has."""

    updates: int
    """Policy updates of each agent in the run."""
    refreshes: int
    """Collections and fits in the run."""
    measured: int
    """Policy updates of each agent in the part."""


def charge(part: Part, schedule: Schedule) -> float:
    """Seconds of the whole run: each refresh in full, training in proportion to its updates."""
    refreshes = schedule.refreshes * (part.collect + part.fit)
    return refreshes + part.train * schedule.updates / schedule.measured


def schedule(experiment: Experiment, measured: int) -> Schedule:
    """Of a run of that configuration."""
    config, updates = experiment.config, experiment.config.total_updates
    due = [experiment.due(update, config.refresh_steps) for update in range(updates)]
    return Schedule(updates, sum(due) * (config.simulation == "dials"), measured)


def measure(
    config: Config, domain: Domain, runtime: LocalRuntime, updates: int, repeat: int
) -> dict[str, Any]:
    """Runs `repeat` parts after one that compiles, then one agent after the other.

    Args:
        config: of the whole run.
        domain: the system; its global simulator lives in sessions.
        runtime: where the parts run.
        updates: of each agent in a part.
        repeat: counted parts.

    Returns:
        Parts by name, one for each repetition: "wall", on this machine's devices, and "cpu", all
        cores and the simulators' processes together. "critical": one part, CPU seconds of what
        cannot be done side by side, had each session of the global simulator and each agent a core
        of its own: there it is their wall time, for nothing else waits. "compile_s" and "peak_mb".
    """
    experiment = Experiment(config, domain, runtime)
    one: Any = _Global(experiment) if config.simulation == "global" else _Dials(experiment)
    spent = []
    for _ in range(repeat + 1):
        before = dict(experiment.time)
        one.part(experiment, updates)
        spent.append({name: value - before[name] for name, value in experiment.time.items()})
    found = {"compile_s": experiment.compile_s, "peak_mb": experiment.peak_memory_mb()}
    alone = OneByOne(domain, config)
    critical = one.critical(Experiment(config, domain, alone), alone, updates)
    for kind, suffix in (("wall", ""), ("cpu", "_cpu")):
        found[kind] = [{name: x[name + suffix] for name in Part._fields} for x in spent[1:]]
    return found | {"critical": critical._asdict()}


class OneByOne(LocalRuntime):
    """One agent after the other on one device; notes the CPU seconds of each.

    Args:
        domain: whose local simulators' session, if they live in one, works for the agent.
        config: of the run.
    """

    def __init__(self, domain: Domain, config: Config) -> None:
        super().__init__(devices=1, block=1)
        local: Any = domain.local_simulator
        on_host = is_host(local) and config.simulation != "global"
        self._sessions = local.sessions(1, config.copies) if on_host else []
        self.agents: list[list[float]] = []
        """For each call of `map_agents` so far, CPU seconds by agent."""

    def map_agents(
        self,
        function: Callable[..., Any],
        stacked: Any,
        common: tuple[Any, ...] = (),
        finished: Callable[[int], None] | None = None,
        at_once: int | None = None,
    ) -> Any:
        """As `LocalRuntime.map_agents`."""
        import jax

        del at_once
        seconds: list[float] = []
        self.agents.append(seconds)

        def timed(*arguments: Any) -> Any:
            before = self._cpu()
            result = jax.block_until_ready(function(*arguments))
            seconds.append(self._cpu() - before)
            return result

        return super().map_agents(timed, stacked, common, finished)

    def _cpu(self) -> float:
        return time.process_time() + sum(_by_session(self._sessions))


def _by_session(sessions: Sequence[Any]) -> list[float]:
    return [cpu_seconds_of(psutil.Process(session.pid)) for session in sessions]


def _side_by_side(sessions: Sequence[Any], work: Callable[[], Any]) -> tuple[Any, float]:
    """(result, CPU seconds of the busiest session and of all that is no session)."""
    before, all_before = _by_session(sessions), cpu_seconds()
    result = work()
    spent = [b - a for a, b in zip(before, _by_session(sessions), strict=True)]
    return result, max(spent) + cpu_seconds() - all_before - sum(spent)


class _Dials:
    """Algorithm 1: a refresh, then updates."""

    def __init__(self, experiment: Experiment) -> None:
        self._plan, self._at = Plan(experiment.config, experiment.domain), 0
        self._state = self._plan.first_state()

    def part(self, experiment: Experiment, updates: int) -> None:
        """As between two meetings of the agents."""
        self._datasets, self._collecting = _side_by_side(
            experiment.domain.global_simulator.sessions(SESSIONS),
            lambda: dials.collect(experiment, self._plan, self._state.learners, self._at),
        )
        self._learn(experiment, updates)

    def _learn(self, experiment: Experiment, updates: int) -> None:
        state, stop = self._state._replace(datasets=self._datasets), self._at + updates
        state = dials.refresh(experiment, self._plan, state, self._at)
        self._state = apart.learn_apart(experiment, self._plan, state, self._at, stop)
        self._at = stop

    def critical(self, experiment: Experiment, runtime: OneByOne, updates: int) -> Part:
        """The last collection, the slowest agent's fit, the slowest agent's updates."""
        self._learn(experiment, updates)
        fit, train = runtime.agents
        return Part(self._collecting, max(fit), max(train))


class _Global:
    """The global simulator: updates only."""

    def __init__(self, experiment: Experiment) -> None:
        self._plan, self._at = Plan(experiment.config, experiment.domain), 0
        self._state = loop.Loop(experiment, self._plan).start()

    def part(self, experiment: Experiment, updates: int) -> None:
        """As between two evaluations."""
        stop = self._at + updates
        with loop.Loop(experiment, self._plan).beginning(self._state) as learning:
            self._state = learning.learn(self._state, self._at, stop)
        self._at = stop

    def critical(self, experiment: Experiment, runtime: OneByOne, updates: int) -> Part:
        """The busiest session, acting for all agents, and the slowest agent of each update."""
        sessions = experiment.domain.global_simulator.sessions(experiment.config.copies)
        _, seconds = _side_by_side(sessions, lambda: self.part(experiment, updates))
        return Part(0.0, 0.0, seconds - sum(sum(each) - max(each) for each in runtime.agents))
