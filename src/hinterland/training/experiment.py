"""One run's parts and its clockwork: what is due at which step, what is logged, what is saved."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, UserError, is_host, kinds_of, simulators_of
from hinterland.runtime import LocalRuntime
from hinterland.runtime.machine import cpu_seconds, memory_mb
from hinterland.training.clocks import COMPILING, agent_steps_per_s
from hinterland.training.own_networks import is_own
from hinterland.training.progress import Progress, Silent

State = TypeVar("State")
"""Everything a kind of training needs to continue."""

PHASES = ("collect", "fit", "train", "evaluate")
STRETCH_AGENT_STEPS = 1_500_000
"""At most so many steps of all agents together make a stretch (about a minute on two cores)."""
ACCELERATED = 20
"""So many times longer on accelerators, where between two stretches all state is moved."""


_WHY_NOT_FINITE = {
    "collect": "an observation of the domain's global simulator is not finite in some state",
    "fit": "numbers of the d-sets are too large, or --predictor-rate is too high",
    "train": "an observation, d-set or reward of the simulator that trains is not finite, or very "
    "large, in some state that the check at the beginning did not meet, or --learning-rate is too "
    "high",
    "evaluate": "a reward of the global simulator is not finite in some state",
}
"""By phase: d-sets and influences are looked at before they are learned from."""


class Record(Protocol):
    """What a run needs of its folder."""

    @property
    def logged(self) -> int:
        """Lines of metrics so far."""
        ...

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, Any]) -> None:
        """Appends one line of metrics."""

    def save_checkpoint(
        self, step: int, arrays: Mapping[str, np.ndarray], meta: dict[str, Any]
    ) -> None:
        """Stores everything that the run needs to continue."""

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Stores the run's result."""


class Experiment:
    """A configuration, a domain, a runtime, and where the record goes.

    Args:
        config: what decides the numbers.
        domain: the system.
        runtime: where work happens.
        record: the run folder; None keeps nothing.
        progress: who is told.
        spent: figures of an earlier part of the same run ("wall_s", "time", "compile_s").
        checkpoint_every_s: seconds between two checkpoints, as far as stretches allow; 0: after
            every stretch. It decides what a kill costs, and nothing else.
    """

    def __init__(
        self,
        config: Config,
        domain: Domain,
        runtime: LocalRuntime,
        record: Record | None = None,
        progress: Progress | None = None,
        spent: Mapping[str, Any] | None = None,
        checkpoint_every_s: float = 0.0,
    ) -> None:
        self.config, self.domain, self.runtime = config, domain, runtime
        self.record = record
        self.progress: Progress = progress or Silent()
        spent = spent or {}
        self._here = time.perf_counter()
        self._began = self._here - spent.get("wall_s", 0.0)
        self._checkpoint_every_s, self._saved = checkpoint_every_s, self._here
        clocks = [name for phase in PHASES for name in (phase, f"{phase}_cpu")]
        # Seconds of each phase, and CPU seconds, those of the simulators' processes included; and
        # seconds in which checkpoints were written.
        self.time: dict[str, float] = dict.fromkeys([*clocks, "save"], 0.0)
        self.time |= dict(spent.get("time", {}))
        self.lost = 0
        """Simulators' processes replaced so far that the domain here does not know of."""
        self._children_mb = 0.0
        self._figures: dict[str, dict[str, float]] = {}
        self._compiled_before = spent.get("compile_s", 0.0)

    @property
    def compile_s(self) -> float:
        """Seconds of wall time in which this process compiled something; earlier parts' too."""
        return self._compiled_before + COMPILING.seconds(since=self._here)

    @property
    def wall_s(self) -> float:
        """Seconds since the run began, earlier parts included."""
        return time.perf_counter() - self._began

    def step_of(self, updates: int) -> int:
        """Environment steps per agent after so many updates."""
        return updates * self.config.steps_per_update

    def due(self, updates: int, period: int) -> bool:
        """Whether a multiple of `period` steps has just been reached (0 included)."""
        return updates == self._next(updates - 1, period)

    def _next(self, updates: int, period: int) -> int:
        """The next update count at which a multiple of `period` steps is reached."""
        per = self.config.steps_per_update
        multiple = updates * per // period + 1
        return -(-multiple * period // per)

    def next_stop(self, updates: int) -> int:
        """Where the next stretch of training ends: evaluation, refresh, its most or the end.

        Never by the clock: the metrics have a line for each.
        """
        most = self._stretch_steps() // (self.config.steps_per_update * self.domain.agents)
        return min(
            self._next(updates, self.config.evaluation_steps),
            self._next(updates, self.config.refresh_steps),
            updates + max(1, most),
            self.config.total_updates,
        )

    def _stretch_steps(self) -> int:
        """Of all agents together, in about a minute on two cores; on a cluster, on all of it.

        Simulators outside of JAX begin anew with each stretch: theirs must not know the runtime.
        """
        on_host = is_host(kinds_of(self.domain)[0].local_simulator)
        if self.runtime.units_travel and self.config.schedule == "fused" and not on_host:
            return STRETCH_AGENT_STEPS * max(1, self.runtime.processors // 2)
        if self.runtime.devices[0].platform != "cpu" and not self._outside:
            return STRETCH_AGENT_STEPS * ACCELERATED
        return STRETCH_AGENT_STEPS

    @property
    def _outside(self) -> list[Any]:
        """The system's simulators that live outside of JAX."""
        return [simulator for simulator in simulators_of(self.domain) if is_host(simulator)]

    def refreshes(self, updates: int) -> bool:
        """Whether the influence predictors are trained anew here."""
        wanted = self.config.simulation == "dials" and updates < self.config.total_updates
        return wanted and self.due(updates, self.config.refresh_steps)

    def evaluates(self, updates: int) -> bool:
        """Whether the policies are evaluated here."""
        last = updates == self.config.total_updates
        return last or self.due(updates, self.config.evaluation_steps)

    def in_stretches(
        self,
        state: State,
        updates: int,
        meet: Callable[[State, int], State],
        learn: Callable[[State, int, int], State],
    ) -> State:
        """From `updates` to the end of the run, with checkpoints between stretches of learning.

        They are written when they are due; with simulators outside of JAX that is always.
        A resumed run repeats what was due at its checkpoint, with the same keys. Whoever ends the
        run before its end finds the newest finished stretch saved.

        Args:
            state: of the learners.
            updates: so many have been made.
            meet: (state, updates) -> state; does what is due between two stretches.
            learn: (state, updates, stop) -> state; learns until there were `stop` updates.
        """
        save: Callable[[], None] | None = None
        try:
            while True:
                state = meet(state, updates)
                if updates == self.config.total_updates:
                    return state
                stop = self.next_stop(updates)
                state = learn(state, updates, stop)
                updates, save = stop, self._saving(stop, state)
                late = time.perf_counter() - self._saved >= self._checkpoint_every_s
                last = updates == self.config.total_updates
                if save is not None and (late or last or self._outside):
                    saving, save = save, None
                    saving()
        except BaseException:  # Ctrl-C above all
            with suppress(UserError):  # what ended the run is what the user must hear
                if save is not None:
                    save()
            raise

    @contextmanager
    def phase(self, name: str, total: int) -> Generator[None]:
        """Times a phase and announces it."""
        self.progress.phase(name, total)
        start, cpu = time.perf_counter(), cpu_seconds()
        yield
        self.time[name] += time.perf_counter() - start
        self.time[f"{name}_cpu"] += cpu_seconds() - cpu
        self._figures[name] = self.runtime.figures()

    def log(self, updates: int, phase: str, values: Mapping[str, Any]) -> None:
        """One line of metrics, with the phase's duration so far and the memory's peak.

        Raises:
            UserError: a value is not finite; a domain or a hyperparameter has gone wrong, and
                training on would only hide where.
        """
        plain, why = {name: float(value) for name, value in values.items()}, _WHY_NOT_FINITE[phase]
        if phase == "train" and is_own(self.config):
            why = f"what network {self.config.network} gives is not finite, or {why}"
        for name, value in plain.items():
            if not np.isfinite(value):
                raise UserError(
                    f"{name} became {value} in phase {phase!r} before step "
                    f"{self.step_of(updates):,}: {why}; mend it, then resume from the last "
                    "checkpoint"
                )
        if outside := self._outside:
            plain["host/restarts"] = float(sum(one.restarts for one in outside) + self.lost)
        for clock in (phase, f"{phase}_cpu"):
            plain[f"time/{clock}_s"] = self.time[clock]
        plain |= self._figures.pop(phase, {})
        plain |= {"time/save_s": self.time["save"], "time/compile_s": self.compile_s}
        plain["agent_steps_per_s"] = self.agent_steps_per_s(updates)
        plain["memory/peak_mb"] = self.peak_memory_mb()
        self.progress.overall(self.step_of(updates), plain)
        if self.record is not None:
            self.record.log(self.step_of(updates), self.wall_s, phase, plain)

    def agent_steps_per_s(self, updates: int) -> float:
        """See `clocks.agent_steps_per_s`."""
        return agent_steps_per_s(self.step_of(updates) * self.domain.agents, self.time)

    def _saving(self, updates: int, state: Any) -> Callable[[], None] | None:
        """Saves it as it is now: a resumed run writes the lines again that come from here on."""
        if (record := self.record) is None:
            return None
        spent = {"wall_s": self.wall_s, "time": dict(self.time), "compile_s": self.compile_s}
        meta = {"updates": updates, "metrics_lines": record.logged, "spent": spent}

        def save() -> None:
            start = time.perf_counter()
            record.save_checkpoint(self.step_of(updates), to_arrays(state), meta)
            self._saved = time.perf_counter()
            self.time["save"] += self._saved - start

        return save

    def summary(self, evaluation: dict[str, Any]) -> dict[str, Any]:
        """The result of a finished run, as it stands in summary.json."""
        updates = self.config.total_updates
        return {
            "step": self.step_of(updates),
            "agents": self.domain.agents,
            "wall_s": self.wall_s,
            "agent_steps_per_s": self.agent_steps_per_s(updates),
            "eval": evaluation,
            "shown": list(getattr(self.domain, "shown_figures", ())),
            "time": {f"{name}_s": value for name, value in self.time.items()}
            | {"compile_s": self.compile_s},
            "memory": {"peak_mb": self.peak_memory_mb()},
            "finished": True,
        }

    def peak_memory_mb(self) -> float:
        """Largest resident memory of this process so far, in MB (10^6 bytes).

        With the memory of its simulators' processes, but for what they share, as it was largest
        when the run looked (at every line of metrics).
        """
        own, children = memory_mb()
        self._children_mb = max(self._children_mb, children)
        return own + self._children_mb


class Unevaluated(Experiment):
    """One that trains only, for benchmarks."""

    def evaluates(self, updates: int) -> bool:
        """Never."""
        return False


def to_arrays(state: Any) -> dict[str, np.ndarray]:
    """A pytree's leaves by their paths."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(arrays: Mapping[str, np.ndarray], template: Any) -> Any:
    """The pytree whose leaves `to_arrays` gave.

    Args:
        arrays: by their paths.
        template: of the same structure; its leaves have shapes and types.

    Raises:
        UserError: names, shapes or types are those of another run.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    expected = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    if odd := sorted(expected.keys() ^ arrays.keys()):
        raise UserError(
            f"the checkpoint does not fit this run's configuration: {odd[0]} differs (or another "
            "version of Hinterland wrote it)"
        )
    for name, leaf in expected.items():
        stored = arrays[name]
        if stored.shape != leaf.shape or stored.dtype != leaf.dtype:
            raise UserError(
                f"the checkpoint does not fit this run's configuration: {name} is "
                f"{stored.dtype}{list(stored.shape)}, expected {leaf.dtype}{list(leaf.shape)}"
            )
    return jax.tree_util.tree_unflatten(structure, [arrays[name] for name in expected])
