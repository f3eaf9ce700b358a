"""Traffic lights on real SUMO: fidelity, contracts, and whole runs on tiny sizes."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import runs
from hinterland.config import make_config
from hinterland.core import UserError, stream
from hinterland.domains import load_domain
from hinterland.domains.traffic import Traffic
from hinterland.domains.traffic.native import NativeIntersection
from hinterland.domains.traffic.simulation import LIGHT_BIT, Lights
from hinterland.record import RunFolder
from hinterland.runtime import LocalRuntime
from hinterland.testing import check_domain
from hinterland.training import Experiment, evaluate_scripted, train

TINY = {
    "domain": "traffic",
    "agents": 2,
    "grid": "1x2",
    "steps": 256,
    "hidden": 16,
    "trunk": 8,
    "copies": 4,
    "window": 8,
    "windows": 2,
    "predictor_hidden": 8,
    "predictor_episodes": 10,
    "predictor_epochs": 2,
    "refresh": 128,
    "evaluate_every": 128,
    "evaluate_episodes": 4,
    "final_episodes": 4,
}


@pytest.fixture(scope="module")
def square() -> Traffic:
    """The paper's 2 x 2 grid."""
    domain = load_domain("traffic", 4)
    assert isinstance(domain, Traffic)
    return domain


def _short(**options: str) -> Traffic:
    """Two lights, episodes of 20 s: the rollouts own the time limit."""
    domain = Traffic(1, 2, **options)
    domain.spec = replace(Traffic.spec, horizon=20)
    return domain


@pytest.mark.parametrize(
    ("policy", "expected"), [("actuated", 173.1), ("random", 141.9), ("fixed-time", 135.6)]
)
def test_returns_are_those_of_an_earlier_re_creation(
    square: Traffic, policy: str, expected: float
) -> None:
    """Made with other code on SUMO 1.28 (± 1.1, 1.7 and 0.8, 95 %)."""
    figures = evaluate_scripted(LocalRuntime(1), square, policy, episodes=24, seed=1)
    assert abs(figures["return_mean"] - expected) < 2 * figures["return_ci95"] + 2


def test_the_green_wave_is_the_strongest_controller(square: Traffic) -> None:
    runtime = LocalRuntime(1)
    names = ("random", "fixed-time", "actuated", "green-wave")
    found = [evaluate_scripted(runtime, square, name, episodes=8, seed=2) for name in names]
    assert found[-1]["return_mean"] > 190 > max(x["return_mean"] for x in found[:-1])
    # The vehicles' own figures tell the same story.
    assert found[-1]["travel_time_s"] < min(x["travel_time_s"] for x in found[:-1])
    assert found[-1]["waiting_time_s"] < found[0]["waiting_time_s"]
    assert all(x["throughput"] <= x["vehicles"] for x in found)


def test_the_domain_keeps_the_contract(square: Traffic) -> None:
    *passed, note = check_domain(square, episodes=1)
    assert len(passed) == 3
    assert note.startswith("note: factorisation was not tested")


@jax.jit
def _native_bits(actions: jax.Array) -> jax.Array:
    """The four bits of the light after each action, without cars."""
    native = NativeIntersection()
    noise = native.noise(stream(0, "noise"))

    def step(state, action):  # type: ignore[no-untyped-def]
        moved = native.step(state, action, jnp.zeros(4, jnp.int32), noise)
        return moved.state, native.observe(moved.state)[-4:]

    return jax.lax.scan(step, native.reset(stream(0, "test")), actions)[1]


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_lights_in_sumo_and_natively_are_the_same(switches: list[bool]) -> None:
    lights = Lights(1)
    shown, actions = [], []
    for switch in switches:
        actions.append(int(switch))
        lights.apply(np.array([int(switch)]))
        shown.append(LIGHT_BIT[lights.phase[0]])
    padded = jnp.array(actions + [0] * (40 - len(actions)))
    bits = _native_bits(padded)
    assert np.asarray(bits).argmax(1)[: len(shown)].tolist() == shown


def test_a_switch_shows_three_seconds_of_yellow() -> None:
    lights = Lights(1)
    shown = []
    for action in (1, 1, 1, 1, 0, 1):
        lights.apply(np.array([action]))
        shown.append(int(lights.phase[0]))
    # Actions are ignored under yellow, and in the second in which the green appears.
    assert shown == [1, 1, 1, 2, 2, 3]


def _run(folder: Path, domain: Traffic, devices: int, **changes: object) -> RunFolder:
    return runs.run(folder, make_config({**TINY, **changes}), domain, LocalRuntime(devices))


def test_learners_on_sumo_resume_where_they_were(tmp_path: Path) -> None:
    domain = _short()
    whole = _run(tmp_path / "whole", domain, 1, simulation="global")
    steps = whole.checkpoint_steps()
    assert steps[-1] == 256
    assert steps[-2] == 128
    # As after kill -9: other processes, led to where the episodes under way were.
    config = make_config({**TINY, "simulation": "global"})
    resumed = RunFolder.create(tmp_path / "resumed", config.model_dump(exclude_none=True), {})
    train(Experiment(config, _short(), LocalRuntime(1), resumed), whole.load_checkpoint(128))
    resumed.close()
    runs.assert_same(whole.load_checkpoint()[0], resumed.load_checkpoint()[0])
    summary = whole.summary()
    assert summary is not None
    assert summary["eval"]["learned"]["travel_time_s"] > 0


@pytest.mark.parametrize("local", ["native", "sumo"])
def test_dials_gives_the_same_bits_on_one_and_two_devices(tmp_path: Path, local: str) -> None:
    domain = _short(local=local)
    one, two = (
        _run(tmp_path / str(n), domain, n, local=local).load_checkpoint()[0] for n in (1, 2)
    )
    runs.assert_same(one, two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": "2by3"}, "--grid 2by3: must be ROWSxCOLUMNS"),
        ({"grid": "2x3"}, "--grid 2x3 has 6 lights, --agents says 4"),
        ({"inflow": 0.0}, "--inflow 0.0"),
        ({"colour": "red"}, "--colour is not an option of domain 'traffic'"),
    ],
)
def test_bad_options_are_one_sentence(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_domain("traffic", 4, options)


def test_a_grid_needs_a_square_number_of_lights() -> None:
    with pytest.raises(UserError, match="for example 4 or 9"):
        load_domain("traffic", 5)


def test_the_grid_tells_how_many_agents_there_are() -> None:
    assert make_config({"domain": "traffic", "grid": "2x3"}).agents == 6
