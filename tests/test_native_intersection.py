"""The native intersection against its rules, hand-worked cases and trajectories read off SUMO."""

import importlib.util
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hinterland.domains.traffic import fidelity, native
from hinterland.domains.traffic.native import EW_GREEN, NOWHERE, NS_GREEN, IntersectionState

SIMULATOR = native.NativeIntersection()
START = SIMULATOR.reset(jax.random.key(0))
STEP = jax.jit(SIMULATOR.step)
AVERAGE = jnp.zeros((4, 2))
"""Noise of a driver whose speed factor is 1."""
WEST, SOUTH = 0, 1


@jax.jit
def _play(key: jax.Array, insertion: float, switch: float):
    """300 seconds of random insertions and switches: (insertions, actions, states, rewards)."""

    def second(state, key):
        a, b, c = jax.random.split(key, 3)
        action = jax.random.bernoulli(a, switch).astype(jnp.int32)
        influence = jax.random.bernoulli(b, insertion, (4,)).astype(jnp.int32)
        after, reward, _ = SIMULATOR.step(state, action, influence, SIMULATOR.noise(c))
        return after, (influence, action, after, reward)

    return jax.lax.scan(second, START, jax.random.split(key, 300))[1]


def _state(light: int, **lanes: list[tuple[float, float]]) -> IntersectionState:
    """A state with the given cars, (position, speed) front to back, by lane name."""
    state = jax.tree.map(np.array, START)
    for name, cars in lanes.items():
        lane = ("west", "south", "east", "north").index(name)
        state.tail[lane] = len(cars)
        for slot, (position, speed) in enumerate(cars):
            state.position[lane, slot], state.speed[lane, slot] = position, speed
    return jax.tree.map(jnp.asarray, state._replace(light=np.asarray(light, np.int32)))


def _follow(state: IntersectionState, seconds: int, enters: int | None = None):
    """States under a kept light; with `enters` a car enters that lane in the first second."""
    for t in range(seconds):
        influence = jnp.zeros(4, jnp.int32)
        if t == 0 and enters is not None:
            influence = influence.at[enters].set(1)
        state = STEP(state, jnp.asarray(0), influence, AVERAGE).state
        yield state


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_cars_keep_the_rules(seed: int, insertion: float, switch: float) -> None:
    _, _, states, rewards = jax.tree.map(np.asarray, _play(jax.random.key(seed), insertion, switch))
    position, speed = states.position, states.speed
    present = position < NOWHERE
    assert (speed >= 0).all()
    assert (speed <= native.MAXIMUM_SPEED + 1e-5).all()
    assert (present.sum(2) < native.SLOTS).all()
    # Nobody overlaps: along each lane the gaps between front bumpers are a car's length at least
    ahead = np.sort(position, 2)
    both = ahead[:, :, 1:] < NOWHERE
    assert (np.diff(ahead, axis=2)[both] >= native.LENGTH - 1e-3).all()
    # Nobody drives backwards: a slot's car moves on, leaves at the end, or is new at the entry
    moves = np.diff(position, axis=0)
    stays = present[1:] & present[:-1] & (position[1:] != native.ENTRY_POSITION)
    np.testing.assert_allclose(moves[stays], speed[1:][stays], atol=1e-4)
    left = present[:-1] & ~present[1:]
    assert (position[:-1][left] > native.ROAD_END - native.MAXIMUM_SPEED).all()
    # Cars of crossing directions are never in the junction together
    inside = ((position >= native.STOP_LINE) & (position < native.JUNCTION_END)).any(2)
    assert not (inside[:, ::2].any(1) & inside[:, 1::2].any(1)).any()
    # The reward is the mean speed on the incoming edges
    on_lane = position < native.STOP_LINE
    cars = on_lane.sum((1, 2))
    mean = np.where(on_lane, speed, 0).sum((1, 2)) / np.maximum(cars, 1) / 10
    np.testing.assert_allclose(rewards, mean, atol=1e-5)
    assert (rewards[cars == 0] == 0).all()
    assert (rewards <= 1 + 1e-5).all()


def test_a_crowded_intersection_fills_and_is_not_overfilled() -> None:
    _, _, states, _ = _play(jax.random.key(0), 1.0, 0.1)
    most = np.asarray((states.position < native.STOP_LINE).sum(2)).max()
    assert 10 <= most <= 13  # 94 m behind the first car hold 12 more at 7.5 m each


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 1.0]))
def test_lights_follow_the_rule(seed: int, switch: float) -> None:
    """Yellow lasts 3 s and hides all actions until the other green has been seen."""
    _, actions, states, _ = _play(jax.random.key(seed), 0.0, switch)
    light, yellow = NS_GREEN, 0
    for action, seen in zip(np.asarray(actions), np.asarray(states.light), strict=True):
        if yellow == 3:
            light, yellow = {1: NS_GREEN, 2: EW_GREEN}[light], 0
        elif yellow:
            yellow += 1
        elif action:
            light, yellow = {NS_GREEN: 2, EW_GREEN: 1}[light], 1
        assert seen == light


@pytest.mark.parametrize("insertion", [0.1, 0.5])
def test_observation_is_the_picture_of_the_cars(insertion: float) -> None:
    _, _, states, _ = _play(jax.random.key(3), insertion, 0.1)
    seen = np.asarray(jax.vmap(SIMULATOR.observe)(states))
    positions, lights = np.asarray(states.position), np.asarray(states.light)
    for t in range(0, 300, 7):
        bits = np.zeros(40, np.uint8)
        for lane in range(4):
            for position in positions[t, lane]:
                cell = (100 - position) // 10
                if position < 100 and cell < 9:
                    bits[9 * lane + int(cell)] = 1
        bits[36 + lights[t]] = 1
        np.testing.assert_array_equal(seen[t], bits)
    np.testing.assert_array_equal(jax.vmap(SIMULATOR.dset)(states), seen[:, :36])


def test_the_same_noise_gives_the_same_run() -> None:
    key = jax.random.key(1)
    jax.tree.map(np.testing.assert_array_equal, _play(key, 0.2, 0.1), _play(key, 0.2, 0.1))


def test_a_free_car_moves_as_in_sumo() -> None:
    states = _follow(_state(EW_GREEN, west=[(6.0, 3.0)]), 11)
    speeds = [float(s.speed[WEST, 0]) for s in states]
    sumo = [5.524, 7.669, 9.045, 9.673, 9.897, 9.969, 9.991, 9.997, 9.999, 10, 10]
    np.testing.assert_allclose(speeds, sumo, atol=6e-4)


def test_a_car_stops_before_a_red_light_as_in_sumo() -> None:
    states = list(_follow(START, 40, enters=WEST))
    speeds = [float(s.speed[WEST, 0]) for s in states[:14]]
    sumo = [9.5, 9.745, 9.798, 9.777, 9.715, 9.607, 9.424, 9.086, 8.409, 6.989]
    sumo += [4.6, 2.522, 1.396, 0.794]
    np.testing.assert_allclose(speeds, sumo, atol=6e-4)
    assert float(states[-1].position[WEST, 0]) == pytest.approx(99, abs=0.01)
    assert float(states[-1].speed[WEST, 0]) == 0


@pytest.mark.parametrize(("position", "speed"), [(65.769, 9.126), (85.769, 5.625), (95.769, 1.736)])
def test_a_car_that_can_stop_on_yellow_does_as_in_sumo(position: float, speed: float) -> None:
    before = _state(EW_GREEN, west=[(position, 10.0)])
    after = STEP(before, jnp.asarray(1), jnp.zeros(4, jnp.int32), AVERAGE).state
    assert float(after.speed[WEST, 0]) == pytest.approx(speed, abs=6e-4)


def test_a_car_that_cannot_stop_on_yellow_drives_on() -> None:
    before = _state(EW_GREEN, west=[(97.6, 10.0)])  # 2.4 m; braking at 7.5 it would need 2.5 m
    after = STEP(before, jnp.asarray(1), jnp.zeros(4, jnp.int32), AVERAGE).state
    assert float(after.position[WEST, 0]) == pytest.approx(107.6)


def test_a_queue_discharges_as_in_sumo() -> None:
    """Three standing cars, a green: the speeds of SUMO's second car."""
    queue = [(99.0, 0.0), (91.499, 0.001), (83.996, 0.004)]
    states = list(_follow(_state(EW_GREEN, west=queue), 7))
    speeds = [float(s.speed[WEST, 1]) for s in states]
    np.testing.assert_allclose(speeds, [0.001, 1.642, 3.596, 5.581, 7.25, 8.328, 8.869], atol=3e-3)
    assert (states[-1].position[WEST, :3] > native.STOP_LINE).all()


def test_nobody_enters_a_junction_that_a_crossing_car_is_in() -> None:
    blocked = _state(EW_GREEN, west=[(99.0, 0.0)], south=[(105.0, 0.0)])
    free = _state(EW_GREEN, west=[(99.0, 0.0)], east=[(105.0, 0.0)])
    for state, moves in ((blocked, False), (free, True)):
        after = next(_follow(state, 1))
        assert (float(after.speed[WEST, 0]) > 0) == moves


def test_entries_need_room_and_slow_down_when_crowded() -> None:
    queue = [(99.0 - 7.5 * k, 0.0) for k in range(10)] + [(24.9, 0.0)]

    def after_entry(*cars: tuple[float, float]) -> IntersectionState:
        return next(_follow(_state(NS_GREEN, west=list(cars)), 1, enters=WEST))

    assert float(after_entry(*queue[:8]).speed[WEST, 8]) == 9.5
    assert float(after_entry(*queue[:9]).speed[WEST, 9]) == 3.0
    # s* of a car at 3 m/s behind a standing one: 2.5 + 3 + 9 / (2 sqrt(2.6 * 7.5)) = 6.52 m
    for last, cars in ((17.4, 12), (17.6, 13)):
        assert int(after_entry(*queue, (last, 0.0)).tail[WEST]) == cars


def test_drivers_are_drawn_as_in_sumo() -> None:
    """Too slow a driver for its entry is drawn again: closed forms with Φ, the normal law."""
    noise = jax.random.normal(jax.random.key(0), (100_000, 4, 2))
    fast = jax.vmap(native.speed_factor, (0, None))(noise, jnp.full(4, 9.5))
    slow = jax.vmap(native.speed_factor, (0, None))(noise, jnp.full(4, 3.0))
    below = NormalDist().cdf(-0.5)  # 0.95 lies half a deviation below 1
    above = (1 - below) + 0.1 * NormalDist().pdf(0.5)  # of a factor, times its being >= 0.95
    assert float(fast.min()) == pytest.approx(0.95)
    assert float((fast <= 0.95).mean()) == pytest.approx(below**2, abs=2e-3)
    assert float(fast.mean()) == pytest.approx(above * (1 + below) + 0.95 * below**2, abs=1e-3)
    assert float(slow.mean()) == pytest.approx(1, abs=1e-3)
    assert float(slow.std()) == pytest.approx(0.1, abs=1e-3)


SUMO = all(importlib.util.find_spec(name) for name in ("libsumo", "sumo"))


@pytest.mark.skipif(not SUMO, reason="needs libsumo and eclipse-sumo")
def test_follows_sumo() -> None:
    case = fidelity.Case(0.1, "random")
    (found,) = fidelity.compare([case], seconds=300)
    assert found.native.reward == pytest.approx(found.sumo.reward, abs=0.02)
    assert found.native.inserted == pytest.approx(found.sumo.inserted, abs=3)
    assert found.native.queue == pytest.approx(found.sumo.queue, abs=0.2)
    assert found.agreement.reward_correlation > 0.95
    assert found.agreement.bits > 0.95
    assert found.agreement.light == 1
    assert "0.1 random" in fidelity.table([found])
