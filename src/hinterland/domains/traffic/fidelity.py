"""How closely the native intersection follows SUMO: one intersection, equal arrivals and switches.

`compare` plays recorded insertions and switches through SUMO and through `NativeIntersection`, and
through SUMO once more with another seed: the drivers' speeds alone make two runs of SUMO differ
by that much, so no simulator can be asked to come closer. SUMO runs in a child process, as
libsumo holds one simulation per process.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from hinterland.core import UserError
from hinterland.core.types import HostOrDevice
from hinterland.domains.traffic import native
from hinterland.domains.traffic.network import HALTING, make_isolated


class Case(NamedTuple):
    """What is played: how many cars come, and how the light is switched."""

    probability: float
    """Of an insertion per edge and second."""
    switching: str
    """"fixed": 20 s green, 3 s yellow; "random": switch with probability 0.1 in each second."""


CASES = (
    Case(0.05, "fixed"),
    Case(0.1, "fixed"),
    Case(0.2, "fixed"),
    Case(0.1, "random"),
    Case(0.2, "random"),
)


class Inputs(NamedTuple):
    """What both simulators are given."""

    insertions: Bool[np.ndarray, "time 4"]
    actions: Int[np.ndarray, " time"]


class Record(NamedTuple):
    """What one simulator did; cars are those on the four incoming edges after each second."""

    observation: Integer[HostOrDevice, "time 40"]
    reward: Float[HostOrDevice, " time"]
    entry: Bool[HostOrDevice, "time 4"]
    """A car in the tenth cell."""
    cars: Int[HostOrDevice, "time 4"]
    halted: Int[HostOrDevice, "time 4"]
    """Cars that stand."""
    speed: Float[HostOrDevice, "time 4"]
    """Sum over cars, m/s."""
    crossed: Int[HostOrDevice, "time 4"]
    """Cars that passed the stop line in this second."""
    inserted: Bool[HostOrDevice, "time 4"]


class Figures(NamedTuple):
    """One simulator's means over time."""

    reward: float
    speed: float
    """Mean over cars and seconds, m/s."""
    cars: float
    """On the four edges together."""
    queue: float
    """Standing cars of a lane in the last second of its red."""
    headway: float
    """Seconds per car from the start of green until a queue of three or more has crossed."""
    inserted: int
    entry: float
    """Share of seconds with a car in an edge's tenth cell."""


class Agreement(NamedTuple):
    """Two simulators second by second."""

    reward_correlation: float
    bits: float
    """Share of equal car bits."""
    cells: tuple[float, ...]
    """The same for each of the nine cells, from the stop line out."""
    light: float
    """Share of equal light bits."""


class Comparison(NamedTuple):
    """One case. `floor` and `other_seed`: SUMO against SUMO with another seed."""

    case: Case
    sumo: Figures
    native: Figures
    other_seed: Figures
    agreement: Agreement
    floor: Agreement


def compare(cases: Sequence[Case] = CASES, seconds: int = 3000, seed: int = 0) -> list[Comparison]:
    """SUMO and the native simulator over `seconds` in each case.

    Starts a child process by spawning: call it from an importable module or under
    `if __name__ == "__main__":`.
    """
    inputs = [make_inputs(case, seconds, seed) for case in cases]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        first, second = pool.submit(
            record_sumo, inputs, (_for_sumo(2 * seed + 1), _for_sumo(2 * seed + 2))
        ).result()
    found = []
    for case, given, sumo, other in zip(cases, inputs, first, second, strict=True):
        ours = record_native(given, seed)
        found.append(
            Comparison(
                case,
                figures(sumo),
                figures(ours),
                figures(other),
                agreement(sumo, ours),
                agreement(sumo, other),
            )
        )
    return found


def _for_sumo(seed: int) -> int:
    """SUMO's seeds have 31 bits."""
    return seed % 2**31


def make_inputs(case: Case, seconds: int, seed: int) -> Inputs:
    """Bernoulli insertions and a switching sequence."""
    random = np.random.default_rng(seed)
    insertions = random.random((seconds, native.LANES)) < case.probability
    if case.switching == "fixed":
        actions = np.arange(seconds) % 23 == 20
    elif case.switching == "random":
        actions = random.random(seconds) < 0.1
    else:
        raise UserError(f"unknown switching '{case.switching}'; known: fixed, random")
    return Inputs(insertions, actions.astype(np.int32))


def record_native(inputs: Inputs, seed: int) -> Record:
    """The native simulator's run."""
    simulator = native.NativeIntersection()

    def second(state, given):
        action, insertion, key = given
        after, reward, _ = simulator.step(state, action, insertion, simulator.noise(key))
        on_lane = after.position < native.STOP_LINE
        crossed = (state.position < native.STOP_LINE) & ~on_lane
        return after, Record(
            simulator.observe(after),
            reward,
            jnp.any(after.position <= native.STOP_LINE - native.CELL * native.OBSERVED, 1),
            jnp.sum(on_lane, 1),
            jnp.sum(on_lane & (after.speed < HALTING), 1),
            jnp.sum(jnp.where(on_lane, after.speed, 0), 1),
            jnp.sum(crossed, 1),
            after.tail != state.tail,
        )

    keys = jax.random.split(jax.random.key(seed), len(inputs.actions))
    given = (jnp.asarray(inputs.actions), jnp.asarray(inputs.insertions, jnp.int32), keys)
    start = simulator.reset(jax.random.key(seed))
    record = jax.jit(lambda start, given: jax.lax.scan(second, start, given))(start, given)[1]
    return jax.tree.map(np.asarray, record)


# SUMO ---------------------------------------------------------------------------------------------


def record_sumo(inputs: Sequence[Inputs], seeds: Sequence[int]) -> list[list[Record]]:
    """SUMO's runs, for each seed and each of the inputs; replaces this process's simulation."""
    with _one_intersection() as (simulator, lanes):
        return [[_run_sumo(simulator, lanes, given, seed) for given in inputs] for seed in seeds]


def time_sumo(case: Case, seconds: int, seed: int, repeat: int) -> list[float]:
    """CPU time in s per second of one intersection in libsumo; `repeat` figures.

    Its start is left out; reading what agents see is in. Spawns, as `compare` does.
    """
    inputs = make_inputs(case, seconds, seed)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_time_sumo, inputs, _for_sumo(2 * seed + 1), repeat).result()


def _time_sumo(inputs: Inputs, seed: int, repeat: int) -> list[float]:
    times = []
    with _one_intersection() as (simulator, _):
        for _ in range(repeat + 1):
            simulator.reset(seed)
            start = time.process_time()
            for insertions, action in zip(*inputs, strict=True):
                simulator.step(action[None], insertions[None])
            times.append((time.process_time() - start) / len(inputs.actions))
    return times[1:]  # the first round warms up


@contextmanager
def _one_intersection() -> Generator[tuple[Any, tuple[str, ...]]]:
    """The local simulator in SUMO with one copy, and its four incoming lanes."""
    with tempfile.TemporaryDirectory() as folder:
        grid = make_isolated(1, Path(folder))
        from hinterland.domains.traffic.local_simulation import LocalTraffic

        simulator = LocalTraffic(grid)
        try:
            yield simulator, grid.incoming[0]
        finally:
            simulator.close()


def _run_sumo(simulator: Any, lanes: tuple[str, ...], inputs: Inputs, seed: int) -> Record:
    import libsumo

    simulator.reset(seed)
    on_lane: list[set[str]] = [set() for _ in lanes]
    rows = []
    for insertions, action in zip(*inputs, strict=True):
        moved = simulator.step(action[None], insertions[None])
        now = [set(libsumo.lane.getLastStepVehicleIDs(lane)) for lane in lanes]
        speeds = [[libsumo.vehicle.getSpeed(car) for car in cars] for cars in now]
        places = [[libsumo.vehicle.getLanePosition(car) for car in cars] for cars in now]
        rows.append(
            Record(
                moved["observation"][0],
                moved["reward"][0],
                np.array([any(x <= native.CELL for x in lane) for lane in places]),
                np.array([len(cars) for cars in now]),
                np.array([sum(v < HALTING for v in lane) for lane in speeds]),
                np.array([sum(lane) for lane in speeds]),
                np.array([len(old - new) for old, new in zip(on_lane, now, strict=True)]),
                np.array([bool(new - old) for old, new in zip(on_lane, now, strict=True)]),
            )
        )
        on_lane = now
    return Record(*(np.stack(column) for column in zip(*rows, strict=True)))


# Figures ------------------------------------------------------------------------------------------


def figures(record: Record) -> Figures:
    """Means of one record."""
    queues, headways = [], []
    for lane in range(native.LANES):
        green = record.observation[:, 36 + (native.NS_GREEN if lane % 2 else native.EW_GREEN)]
        starts = np.flatnonzero(np.diff(green.astype(int)) == 1) + 1
        ends = np.flatnonzero(np.diff(green.astype(int)) == -1) + 1
        for start in starts:
            queue = record.halted[start - 1, lane]
            queues.append(queue)
            end = next((end for end in ends if end > start), len(green))
            crossed = np.cumsum(record.crossed[start:end, lane])
            if queue >= 3 and crossed[-1] >= queue:
                headways.append((1 + int(np.argmax(crossed >= queue))) / queue)
    return Figures(
        float(record.reward.mean()),
        float(record.speed.sum() / max(record.cars.sum(), 1)),
        float(record.cars.sum(1).mean()),
        float(np.mean(queues)) if queues else float("nan"),
        float(np.mean(headways)) if headways else float("nan"),
        int(record.inserted.sum()),
        float(record.entry.mean()),
    )


def agreement(first: Record, second: Record) -> Agreement:
    """Two records second by second."""
    equal = first.observation == second.observation
    cells = equal[:, :36].reshape(-1, native.LANES, native.OBSERVED).mean((0, 1))
    return Agreement(
        float(np.corrcoef(first.reward, second.reward)[0, 1]),
        float(equal[:, :36].mean()),
        tuple(float(cell) for cell in cells),
        float(equal[:, 36:].mean()),
    )


def table(comparisons: Sequence[Comparison]) -> str:
    """A Markdown table; each figure as SUMO / native / SUMO with another seed."""
    names = ("reward", "speed m/s", "cars", "queue", "headway s", "inserted", "entry cell")
    head = ("case", *names, "reward correlation", "bits equal", "light equal")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for c in comparisons:
        row = [f"{c.case.probability:g} {c.case.switching}"]
        for values in zip(c.sumo, c.native, c.other_seed, strict=True):
            row.append(" / ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in values))
        for ours, floor in zip(c.agreement, c.floor, strict=True):
            if isinstance(ours, float):
                row.append(f"{ours:.3f} / {floor:.3f}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
