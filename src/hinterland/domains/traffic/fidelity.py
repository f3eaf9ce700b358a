"""How closely the native intersection follows SUMO: one intersection, equal arrivals and switches.

`compare` plays recorded insertions and switches through SUMO and through `NativeIntersection`, and
through SUMO once more with another seed: the drivers' speeds alone make two runs of SUMO differ
by that much, so no simulator can be asked to come closer. SUMO runs in a child process, as
libsumo holds one simulation per process.
"""

import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.core import UserError
from hinterland.domains.traffic import native


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

    insertions: np.ndarray  # bool [time, 4]
    actions: np.ndarray  # int [time]


class Record(NamedTuple):
    """What one simulator did; cars are those on the four incoming edges after each second."""

    observation: np.ndarray  # uint8 [time, 40]
    reward: np.ndarray  # float [time]
    entry: np.ndarray  # bool [time, 4]: a car in the tenth cell
    cars: np.ndarray  # int [time, 4]
    halted: np.ndarray  # int [time, 4]: cars slower than HALTED
    speed: np.ndarray  # float [time, 4]: sum over cars, m/s
    crossed: np.ndarray  # int [time, 4]: cars that passed the stop line in this second
    inserted: np.ndarray  # bool [time, 4]


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


HALTED = 0.1
"""m/s; SUMO's own bound for a car that stands."""


def compare(cases: Sequence[Case] = CASES, seconds: int = 3000, seed: int = 0) -> list[Comparison]:
    """SUMO and the native simulator over `seconds` in each case.

    Starts a child process by spawning: call it from an importable module or under
    `if __name__ == "__main__":`.
    """
    inputs = [make_inputs(case, seconds, seed) for case in cases]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        first, second = pool.submit(record_sumo, inputs, (2 * seed + 1, 2 * seed + 2)).result()
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
            jnp.any(after.position <= native.STOP_LINE - native.CELL * native.CELLS, 1),
            jnp.sum(on_lane, 1),
            jnp.sum(on_lane & (after.speed < HALTED), 1),
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

_EDGES = {"W": (-100, 0), "S": (0, -100), "E": (100, 0), "N": (0, 100)}
_OPPOSITE = {"W": "E", "S": "N", "E": "W", "N": "S"}
_VEHICLE_TYPE = (
    '<vType id="idm" carFollowModel="IDM" accel="2.6" decel="7.5" sigma="0.5" tau="1" '
    'minGap="2.5" maxSpeed="10" speedFactor="1" speedDev="0.1"/>'
)
# netconvert orders the links north, east, south, west
_GREENS = ("GrGr", "rGrG")
_YELLOWS = ("yryr", "ryry")
_LIGHT_BIT = {"rGrG": 0, "ryry": 1, "yryr": 2, "GrGr": 3}


def record_sumo(inputs: Sequence[Inputs], seeds: Sequence[int]) -> list[list[Record]]:
    """SUMO's runs, for each seed and each of the inputs; replaces this process's simulation."""
    libsumo = _libsumo()
    with tempfile.TemporaryDirectory() as folder:
        files = _network(Path(folder))
        return [[_run_sumo(libsumo, files, given, seed) for given in inputs] for seed in seeds]


def time_sumo(case: Case, seconds: int, seed: int, repeat: int) -> list[float]:
    """CPU time in s per second simulated by one libsumo in a child process; `repeat` figures.

    Its start is left out; what it is asked for `Record` is in. Spawns, as `compare` does.
    """
    inputs = make_inputs(case, seconds, seed)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_time_sumo, inputs, 2 * seed + 1, repeat).result()


def _time_sumo(inputs: Inputs, seed: int, repeat: int) -> list[float]:
    # The difference to a run of one second is all but the start
    first = Inputs(*(values[:1] for values in inputs))
    libsumo, times = _libsumo(), []
    with tempfile.TemporaryDirectory() as folder:
        files = _network(Path(folder))
        for _ in range(repeat + 1):
            start = time.process_time()
            _run_sumo(libsumo, files, first, seed)
            between = time.process_time()
            _run_sumo(libsumo, files, inputs, seed)
            end = time.process_time()
            times.append(((end - between) - (between - start)) / (len(inputs.actions) - 1))
    return times[1:]  # the first round warms up


def _libsumo():
    try:
        import libsumo
    except ImportError:
        raise UserError("libsumo is missing; pip install libsumo eclipse-sumo") from None
    return libsumo


def _network(folder: Path) -> list[str]:
    """SUMO's arguments for a 1x1 network of the paper's geometry, built by netconvert."""
    nodes = '<node id="C" x="0" y="0" type="traffic_light" radius="6.2"/>'
    edges = connections = routes = ""
    for k, (x, y) in _EDGES.items():
        nodes += f'<node id="{k}" x="{x}" y="{y}" type="priority"/>'
        for name, ends in ((f"{k}C", f'from="{k}" to="C"'), (f"C{k}", f'from="C" to="{k}"')):
            edges += (
                f'<edge id="{name}" {ends} numLanes="1" speed="10" priority="78" length="100"/>'
            )
        connections += f'<connection from="{k}C" to="C{_OPPOSITE[k]}" fromLane="0" toLane="0"/>'
        routes += f'<route id="{k}" edges="{k}C C{_OPPOSITE[k]}"/>'

    def scratch(content: str) -> str:
        with tempfile.NamedTemporaryFile("w", suffix=".xml", dir=folder, delete=False) as file:
            file.write(content)
        return file.name

    output = str(folder / "net.xml")
    arguments = ["-n", scratch(f"<nodes>{nodes}</nodes>"), "-e", scratch(f"<edges>{edges}</edges>")]
    arguments += ["-x", scratch(f"<connections>{connections}</connections>"), "-o", output]
    arguments += ["--no-turnarounds", "true", "--xml-validation", "never"]
    subprocess.run([_netconvert(), *arguments], check=True, capture_output=True)
    return ["-n", output, "-r", scratch(f"<routes>{_VEHICLE_TYPE}{routes}</routes>")]


def _netconvert() -> str:
    """The program's path in the eclipse-sumo package."""
    try:
        import sumo
    except ImportError:
        raise UserError("netconvert is missing; pip install eclipse-sumo") from None
    return str(Path(sumo.SUMO_HOME) / "bin" / "netconvert")


def _run_sumo(libsumo, files: list[str], inputs: Inputs, seed: int) -> Record:
    """One run, as the authors' local simulator drives SUMO (insertions dropped without room)."""
    options = ["--step-length", "1", "--seed", str(seed), "--time-to-teleport", "-1"]
    options += ["--no-step-log", "true", "--no-warnings", "true", "--xml-validation", "never"]
    libsumo.start(["sumo", *files, *options])
    libsumo.trafficlight.setRedYellowGreenState("C", _GREENS[0])
    direction = yellow_for = 0
    on_lane: list[set[str]] = [set() for _ in _EDGES]
    rows = []
    for t, (insertions, action) in enumerate(zip(*inputs, strict=True)):
        light = None
        if yellow_for:
            yellow_for = (yellow_for + 1) % 4
            light = None if yellow_for else _GREENS[direction]
        elif action:
            light, direction, yellow_for = _YELLOWS[direction], 1 - direction, 1
        if light:
            libsumo.trafficlight.setRedYellowGreenState("C", light)
        libsumo.simulation.clearPending()
        for edge in np.flatnonzero(insertions):
            crowded = len(on_lane[edge]) > native.CROWDED
            libsumo.vehicle.add(
                f"{edge}-{t}",
                "WSEN"[edge],
                typeID="idm",
                departPos=str(native.ENTRY_POSITION),
                departSpeed=str(native.CROWDED_ENTRY_SPEED if crowded else native.ENTRY_SPEED),
            )
        libsumo.simulationStep()
        bits = np.zeros((4, 10), bool)
        speeds: list[list[float]] = []
        inserted, crossed = [], []
        for edge, k in enumerate(_EDGES):
            names = libsumo.lane.getLastStepVehicleIDs(f"{k}C_0")
            for name in names:
                distance = native.STOP_LINE - libsumo.vehicle.getLanePosition(name)
                bits[edge, min(int(distance // native.CELL), native.CELLS)] = True
            speeds.append([libsumo.vehicle.getSpeed(name) for name in names])
            inserted.append(f"{edge}-{t}" in names)
            crossed.append(len(on_lane[edge].difference(names)))
            on_lane[edge] = set(names)
        state = libsumo.trafficlight.getRedYellowGreenState("C")
        cars = np.array([len(s) for s in speeds])
        total = np.array([sum(s) for s in speeds])
        rows.append(
            Record(
                np.append(bits[:, :9], np.arange(4) == _LIGHT_BIT[state]).astype(np.uint8),
                total.sum() / (native.MAXIMUM_SPEED * max(cars.sum(), 1)),
                bits[:, 9],
                cars,
                np.array([sum(v < HALTED for v in s) for s in speeds]),
                total,
                np.array(crossed),
                np.array(inserted),
            )
        )
    libsumo.close()
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
    cells = equal[:, :36].reshape(-1, native.LANES, native.CELLS).mean((0, 1))
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
