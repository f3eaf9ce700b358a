"""`hinterland bench` on traffic: tables, verdict and JSON, with tiny settings."""

import json
import subprocess
import sys

import pytest


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
        ("traffic-local --seed -1", "--seed -1: must be in 0 .."),
        ("traffic-local --repeat 0", "--repeat 0: must be at least 1"),
        ("traffic-fidelity --agents 4", "unrecognized arguments: --agents"),
    ],
)
def test_bad_input_is_one_sentence(arguments: str, words: str) -> None:
    done = bench(*arguments.split())
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
