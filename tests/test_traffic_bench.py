"""`hinterland bench` on traffic: tables, verdict and JSON, with tiny settings; what is charged."""

import json
import os
import subprocess
import sys
import time

import pytest

from hinterland.domains.traffic.bench_cost import Part, Schedule, charge
from hinterland.domains.traffic.bench_growth import (
    SIMULATIONS,
    charged,
    in_own_process,
    phase_lines,
    ratio_lines,
    ratios,
    table,
)
from hinterland.runtime.machine import cpu_seconds


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hinterland", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_fidelity_prints_a_table_and_a_verdict() -> None:
    done = bench("traffic-fidelity", "--seconds", 60, "--seed", 1, "--json")
    assert done.returncode == 0, done.stderr
    *table, verdict, line = done.stdout.splitlines()
    figures = json.loads(line)
    assert len(table) == 2 + len(figures["cases"])
    assert figures["meets_bar"] == (
        figures["reward_difference"] <= 0.02 and figures["bits_equal"] >= 0.95
    )
    assert verdict.startswith(f"verdict: {'within' if figures['meets_bar'] else 'NOT within'}")
    assert figures["meets_bar"], verdict
    assert figures["cases"][0]["sumo"]["inserted"] == figures["cases"][0]["native"]["inserted"]


def test_local_compares_native_with_libsumo() -> None:
    done = bench("traffic-local", "--seconds", 200, "--repeat", 2, "--json")
    assert done.returncode == 0, done.stderr
    *_, ratio, line = done.stdout.splitlines()
    figures = json.loads(line)
    assert len(figures["native_us"]) == len(figures["libsumo_us"]) == 2
    assert 0 < max(figures["native_us"]) < min(figures["libsumo_us"])
    assert f"{figures['ratio']:,.0f} times" in ratio


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("traffic-fidelity --seconds 5", "--seconds 5: must be at least 60"),
        ("traffic-local --seed -1", "--seed -1: must be at least 0"),
        ("traffic-local --repeat 0", "--repeat 0: must be at least 1"),
        ("traffic-fidelity --agents 4", "unrecognized arguments: --agents"),
        ("traffic-growth --agents 4 5", "--agents 5: the traffic grid needs a square number"),
        ("traffic-growth --steps 0", "--steps 0: "),
        ("traffic-growth --repeat 0", "--repeat 0: must be at least 1"),
        ("traffic-growth --updates 0", "--updates 0: must be at least 1"),
    ],
)
def test_bad_input_is_one_sentence(arguments: str, words: str) -> None:
    done = bench(*arguments.split())
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_run_is_charged_for_its_refreshes_and_in_proportion_for_training() -> None:
    # Ten refreshes of 5 s + 2 s, and 147 updates of which 4 took 8 s: 70 + 147 x 2.
    assert charge(Part(collect=5.0, fit=2.0, train=8.0), Schedule(147, 10, 4)) == 364.0
    assert charge(Part(collect=0.0, fit=0.0, train=8.0), Schedule(147, 0, 4)) == 294.0


def _case(name: str, agents: int, refreshes: int, *parts: tuple[float, float, float]) -> dict:
    """What `measure_one` gives where CPU seconds are twice the wall's, the critical path half."""
    seconds = [dict(zip(Part._fields, part, strict=True)) for part in parts]

    def times(factor: float) -> list[dict[str, float]]:
        return [{phase: factor * value for phase, value in one.items()} for one in seconds]

    return {
        "agents": agents, "simulation": name, "steps_per_update": 2048, "compile_s": 30.0,
        "peak_mb": 900.0, "schedules": {"40960": Schedule(20, refreshes, 2)._asdict()},
        "wall": times(1.0), "cpu": times(2.0), "critical": times(0.5)[0],
    }  # fmt: skip


def test_the_table_of_a_case_worked_by_hand() -> None:
    cases = [
        _case("global", 100, 0, (0, 0, 30.0), (0, 0, 33.0), (0, 0, 36.0)),
        _case("sumo", 100, 4, (3.0, 2.0, 28.0)),
        _case("native", 100, 4, (3.0, 0.5, 1.0), (2.0, 1.0, 1.0), (3.0, 1.0, 2.0)),
    ]
    whole, sumo, native = charged(cases, "40960")
    assert whole["wall_s"] == [300.0, 330.0, 360.0]
    assert sumo["cpu_s"] == [2 * (4 * 5 + 10 * 28)]
    assert native["wall_s"] == [24.0, 22.0, 36.0]
    assert native["critical_path_s"] == [12.0]
    assert native["cpu_by_phase_s"] == {"collect": 24.0, "fit": 8.0, "train": 20.0}
    assert whole["agent_steps_per_s"][1] == pytest.approx(20 * 2048 * 100 / 330)
    assert ratios([whole, sumo, native], 100, "native")["cpu_s"] == [330 / 24, 300 / 36, 360 / 22]
    lines = ratio_lines([whole, sumo, native])
    assert "13.8 times less" in lines[1]
    assert "NOT" not in lines[1]
    assert "wall 1.10 (1.00 … 1.20)" in lines[2]
    assert "330 (300 … 360)" in table([whole, sumo, native])[1]
    assert phase_lines([whole, native]) == [
        "   100 native: CPU collect 46%, fit 15%, train 38%; not charged, as it only measures: one "
        "more collection at the end, 6 s"
    ]


def test_cpu_seconds_count_children_alive_and_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(1, flush=True)\ninput()"
    before = cpu_seconds()
    child = subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    alive = cpu_seconds()
    assert alive - before >= 0.48  # the kernel counts children in ticks of 10 ms
    child.communicate(b"\n")
    assert cpu_seconds() >= alive - 0.02
    time.sleep(0.3)
    assert cpu_seconds() - alive < 0.3


TINY = {
    "domain": "traffic", "agents": 4, "hidden": 8, "trunk": 8, "copies": 2, "window": 8,
    "windows": 2, "minibatches": 2, "predictor_hidden": 8, "predictor_episodes": 4,
    "predictor_epochs": 1, "refreshes": 10, "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", ["global", "sumo"])
def test_a_tiny_run_is_measured(name: str) -> None:
    found = in_own_process({**TINY, **SIMULATIONS[name]}, [320, 640], 2, 1, 1)
    (wall,), (cpu,), critical = found["wall"], found["cpu"], found["critical"]
    refreshes = 0 if name == "global" else 10
    # 32 steps an update, and ten refreshes, every 32 and every 64 steps.
    assert found["schedules"] == {
        "320": {"updates": 10, "refreshes": refreshes, "measured": 2},
        "640": {"updates": 20, "refreshes": refreshes, "measured": 2},
    }
    cores = len(os.sched_getaffinity(0))
    for phase in ("train",) if name == "global" else Part._fields:
        assert 0 < cpu[phase] <= 1.1 * cores * wall[phase] + 0.2
        assert critical[phase] > 0
    # Eight sessions work in a collection, one of them on the critical path.
    assert critical["collect"] < cpu["collect"] or name == "global"
    assert found["compile_s"] > 0
    assert found["peak_mb"] > 100
