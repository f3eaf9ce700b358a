"""Combat worked by hand: radars, jammers, missiles, results; both sides alike; graded policies."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from hinterland.config import make_config
from hinterland.core import UserError, stream
from hinterland.domains.combat import BLUE, RED, SCRIPTED, CombatGame, State, make, swapped
from hinterland.domains.combat import actions as do
from hinterland.domains.combat.observation import OBSERVATION, read
from hinterland.domains.combat.rules import BARRAGE, COURSES, FIGHTER_SPEED, STEPS
from hinterland.domains.combat.state import direction, turned, under_way
from hinterland.runtime import LocalRuntime
from hinterland.testing import check_domain

# On each side a detector with L radar (0), a fighter that jams X (1) and one that jams L (2).
DOMAIN = make(3, detectors=1)
GAME = DOMAIN.entity_simulator.game
STEP, OBSERVE, MASK = (
    jax.jit(f, static_argnums=n)
    for f, n in ((GAME.step, ()), (GAME.observe, 1), (GAME.action_mask, 1))
)
START = jax.jit(GAME.reset)(stream(0, "x"))
FAR = np.array([[-90.0, 90.0], [-90.0, 80.0], [-90.0, 70.0]])
WAIT = jnp.zeros(3, jnp.int32)
MISS, KILL = jnp.ones((2, 3, 6)), jnp.zeros((2, 3, 6))
BACK = COURSES // 2


def _state(red: dict, blue: dict, **whole: object) -> State:
    """Radars off; each {unit: place} is where that unit will be after a step, in red's frame.

    Other settings are named parts of `Side`, as {unit: value}.
    """
    sides = jax.tree.map(np.array, START.sides)._replace(radar=np.zeros((2, 3), np.int32))
    for side, given in enumerate((red, blue)):
        given, sign = dict(given), 1 - 2 * side
        place = given.pop("place", {})
        sides.position[side] = FAR
        for name, values in given.items():
            for unit, value in values.items():
                getattr(sides, name)[side, unit] = value
        for unit, at in place.items():
            way = GAME.forces.speed[unit] * np.asarray(direction(sides.course[side, unit]))
            sides.position[side, unit] = sign * np.array(at, float) - way
    return START._replace(sides=jax.tree.map(jnp.asarray, sides), **whole)


def _run(state: State, *steps: dict, noise: jax.Array = MISS) -> State:
    """After steps of {unit: action} of red, while blue carries on."""
    for actions in steps:
        red = WAIT.at[jnp.array(list(actions), int)].set(jnp.array(list(actions.values()), int))
        state = STEP(state, red, WAIT, noise)[0]
    return state


def _polar(distance: float, degrees: float) -> tuple[float, float]:
    angle = np.radians(degrees)
    return distance * np.cos(angle), distance * np.sin(angle)


@pytest.mark.parametrize(
    ("course", "distance", "degrees", "seen"),
    [
        (0, 79.9, 0, True),
        (0, 80.1, 0, False),
        (0, 50, 59, True),
        (0, 50, -59, True),
        (0, 50, 61, False),
        (0, 50, 180, False),
        (BACK, 50, 180, True),
        (4, 50, 90, True),  # courses count counter-clockwise
    ],
)
def test_a_fighters_radar_sees_a_cone(course, distance, degrees, seen) -> None:  # type: ignore[no-untyped-def]
    looks = {"place": {1: (0, 0)}, "radar": {1: 1}, "course": {1: course}}
    after = _run(_state(looks, {"place": {2: _polar(distance, degrees)}}), {})
    contact = np.array(after.sides.contact[RED])
    assert contact.sum() == contact[1, 2] == seen
    assert int(after.sides.track_age[RED, 2] == 0) == seen
    if seen:
        np.testing.assert_allclose(
            after.sides.track_position[RED, 2], _polar(distance, degrees), atol=1e-4
        )


def test_a_detector_sees_all_round_and_further_and_a_radar_that_is_off_nothing() -> None:
    looks = {"place": {0: (-90, 0)}, "radar": {0: 1}}
    for far, seen in ((49, True), (51, False)):
        there = {"place": {1: (-99, 0), 2: (far, 0)}}
        contact = _run(_state(looks, there), {}).sides.contact
        assert contact[RED, 0].tolist() == [False, True, seen]
        assert contact[RED].sum() == 1 + seen
    assert not _run(_state({"place": {0: (-90, 0)}}, there), {}).sides.contact.any()


@pytest.mark.parametrize(
    ("place", "course", "jammer", "radar", "blinded"),
    [
        ((60, 0), 0, 2, 2, True),
        ((60, 0), 0, 2, 3, False),  # another frequency
        ((99, 0), 0, 2, 2, True),  # further than the radar sees
        ((60, 0), BACK, 2, 2, False),  # jams the other way
        ((60, 0), 0, BARRAGE, 3, False),  # too far for a barrage
        ((49, 0), 0, BARRAGE, 3, True),
        ((-40, 0), BACK, 2, 2, False),  # jams from behind the radar's back
    ],
)
def test_a_jammer_blinds_radars_of_its_frequency_in_its_beam(  # type: ignore[no-untyped-def]
    place, course, jammer, radar, blinded
) -> None:
    looks = {"place": {1: (0, 0)}, "radar": {1: radar}}
    jams = {"place": {1: place, 2: (70, 0)}, "jammer": {1: jammer}, "course": {1: course}}
    after = _run(_state(looks, jams), {})
    assert after.sides.blinded[RED].tolist() == [False, blinded, False]
    assert after.sides.contact[RED, 1, 2] == (not blinded)


def test_jammers_are_for_one_band_and_blind_their_own_unit() -> None:
    both = {"place": {0: (0, 0), 1: (0, 5)}, "radar": {0: 2, 1: 2}}
    of_l = {"place": {2: (40, 0)}, "jammer": {2: 2}}
    assert _run(_state(both, of_l), {}).sides.blinded[RED].tolist() == [True, False, False]
    own = {"place": {1: (0, 0), 2: (0, 5)}, "radar": {1: 2, 2: 2}, "jammer": {1: 2, 2: 2}}
    after = _run(_state(own, {"place": {1: (40, 0)}}), {})
    assert after.sides.blinded[RED].tolist() == [False, True, False]  # the last one jams L
    assert after.sides.contact[RED].sum(1).tolist() == [0, 0, 1]


def _duel(distance: float, unit: int = 1) -> State:
    """Red `unit` sees blue 1 at this distance, which keeps its distance."""
    looks = {"place": {unit: (0, 0)}, "radar": {unit: 1}}
    return _run(_state(looks, {"place": {1: (distance, 0)}, "course": {1: BACK}}), {})


@pytest.mark.parametrize(
    ("distance", "action", "steps", "left"),
    [(33, do.FIRE_MID, 4, [2, 3]), (55, do.FIRE_LONG, 6, [1, 4]), (9, do.FIRE_MID, 1, [2, 3])],
)
def test_a_missile_flies_as_many_steps_as_it_has_tens_of_km(distance, action, steps, left) -> None:  # type: ignore[no-untyped-def]
    state, rewards = STEP(_duel(distance), WAIT.at[1].set(action), WAIT, KILL)
    assert rewards.launch[RED].tolist() == pytest.approx([0, 0.05, 0])
    assert state.sides.missiles[RED, 1].tolist() == left
    for t in range(steps):
        assert bool(state.sides.alive[BLUE, 1]), t
        assert under_way(jax.tree.map(lambda x: x[RED], state.sides)).tolist() == [0, 1, 0]
        state, rewards = STEP(state, WAIT, WAIT, KILL)
    assert state.sides.alive.tolist() == [[True] * 3, [True, False, True]]
    assert rewards.hit.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert rewards.lost.tolist() == [[0, 0, 0], [0, -1, 0]]
    assert not (state.sides.flight > 0).any()
    assert not read(OBSERVE(state, RED))[1]["known"].any(), "a wreck is no track"


@pytest.mark.parametrize(
    ("action", "radar_off", "chance"),
    [
        (do.FIRE_MID, False, 0.8),
        (do.FIRE_LONG, False, 0.6),
        (do.FIRE_MID, True, 0.2),
        (do.FIRE_LONG, True, 0.15),
    ],
)
def test_the_probability_of_a_hit(action: int, radar_off: bool, chance: float) -> None:
    then = {1: do.RADAR} if radar_off else {}
    state = _run(_duel(25), {1: action}, then, {})
    numbers = (np.arange(100) + 0.5) / 100
    killed = [not STEP(state, WAIT, WAIT, MISS * x)[0].sides.alive[BLUE, 1] for x in numbers]
    assert np.mean(killed) == pytest.approx(chance)


def test_two_hits_at_once_share_the_kill() -> None:
    looks = {"place": {1: (0, 0), 2: (0, 1)}, "radar": {1: 1, 2: 1}}
    state = _run(_state(looks, {"place": {1: (15, 0)}, "course": {1: BACK}}), {})
    state = _run(state, {1: do.FIRE_MID, 2: do.FIRE_MID}, {})
    grid = (np.arange(10) + 0.5) / 10
    killed, credit = 0, np.zeros(3)
    for first in grid:
        for second in grid:
            noise = MISS.at[RED, 1].set(first).at[RED, 2].set(second)
            after, rewards = STEP(state, WAIT, WAIT, noise)
            killed += not bool(after.sides.alive[BLUE, 1])
            credit += np.asarray(rewards.hit[RED])
    assert killed == 96
    np.testing.assert_allclose(credit, [0, 48, 48], rtol=1e-6)


def test_a_launch_out_of_range_costs_and_keeps_the_missile() -> None:
    for distance, action in ((40, do.FIRE_MID), (65, do.FIRE_LONG)):
        state, rewards = STEP(_duel(distance), WAIT.at[1].set(action), WAIT, KILL)
        assert rewards.launch[RED].tolist() == pytest.approx([0, -0.05, 0])
        assert state.sides.missiles[RED, 1].tolist() == [2, 4]
        assert not state.sides.flight.any()


def test_the_first_detection_is_paid_once_and_shared() -> None:
    looks = {"place": {1: (0, 0), 2: (0, 1)}, "radar": {1: 1, 2: 1}}
    state = _state(looks, {"place": {0: (50, 0), 1: (60, 0)}})
    state, rewards = STEP(state, WAIT, WAIT, MISS)
    assert rewards.detect[RED].tolist() == pytest.approx([0, 0.15, 0.15])
    assert rewards.total.tolist() == rewards.detect.tolist()
    state = _run(state, {1: do.RADAR, 2: do.RADAR})
    assert state.sides.track_age[RED].tolist()[:2] == [1, 1]
    state, rewards = STEP(state, WAIT.at[1].set(do.RADAR + 1), WAIT, MISS)
    assert state.sides.track_age[RED].tolist()[:2] == [0, 0]
    assert not rewards.detect.any()


@pytest.mark.parametrize(
    ("red", "blue", "armed", "time", "over", "won", "reward"),
    [
        ([1, 1, 1], [0, 0, 0], True, 5, True, [True, False], 2.0),
        ([0, 1, 0], [0, 0, 0], False, 5, True, [True, False], 2.0),
        ([0, 0, 0], [0, 0, 0], True, 5, True, [False, False], 0.0),
        ([1, 1, 0], [0, 1, 0], True, 5, False, [False, False], 0.0),
        ([1, 1, 0], [0, 1, 0], False, 5, True, [True, False], 1.0),
        ([0, 1, 0], [1, 1, 0], False, 5, True, [False, True], -1.0),
        ([1, 1, 0], [0, 1, 1], False, 5, True, [False, False], 0.0),
        ([0, 1, 0], [0, 1, 1], True, STEPS - 2, False, [False, False], 0.0),
        ([0, 1, 0], [0, 1, 1], True, STEPS - 1, True, [False, True], -1.0),
    ],
)
def test_who_wins(red, blue, armed, time, over, won, reward) -> None:  # type: ignore[no-untyped-def]
    alive = jnp.array([red, blue], bool)
    sides = START.sides._replace(alive=alive, missiles=START.sides.missiles * armed)
    state = START._replace(sides=sides, time=jnp.int32(time))
    after, rewards = STEP(state, WAIT, WAIT, MISS)
    assert (bool(after.over), after.won.tolist()) == (over, won)
    np.testing.assert_allclose(rewards.win, reward * np.array([[1], [-1]]) * alive)
    assert DOMAIN.entity_simulator.figures(after) == {
        "won": won[RED], "lost": won[BLUE], "drawn": over and not any(won),
        "survivors": pytest.approx(sum(red) / 3), "enemies_left": pytest.approx(sum(blue) / 3),
    }  # fmt: skip
    if over:
        again, nothing = STEP(after, WAIT + do.COURSE + 3, WAIT, KILL)
        jax.tree.map(np.testing.assert_array_equal, again, after)
        assert not nothing.total.any()


def test_a_missile_outlives_its_shooter_and_the_dead_earn_nothing() -> None:
    state = _run(_duel(25), {1: do.FIRE_MID}, {})
    state = state._replace(
        sides=state.sides._replace(alive=state.sides.alive.at[RED, 1].set(False))
    )
    state, rewards = STEP(_run(state, {}), WAIT, WAIT, KILL)
    assert state.sides.alive.tolist() == [[True, False, True], [True, False, True]]
    assert not rewards.total[RED].any()


def _episode(seed: int, noise: jax.Array | None = None, red_only: bool = False):  # type: ignore[no-untyped-def]
    """States, actions, numbers of a random engagement that begins at close quarters."""
    rng, state = np.random.default_rng(seed), jax.jit(GAME.reset)(stream(seed, "x"))
    position = state.sides.position * 0.2
    state = state._replace(sides=state.sides._replace(position=position))
    for _ in range(60):
        chosen = []
        for side in (RED, BLUE):
            score = rng.random((3, do.ACTIONS)) + 0.5 * (np.arange(do.ACTIONS) >= do.FIRE_LONG)
            mask = np.asarray(MASK(state, side))
            chosen.append(jnp.asarray(np.where(mask, score, -1).argmax(1)))
        red, blue = chosen[RED], WAIT if red_only else chosen[BLUE]
        numbers = jnp.asarray(rng.random((2, 3, 6)), jnp.float32) if noise is None else noise
        after, rewards = STEP(state, red, blue, numbers)
        yield state, red, blue, numbers, after, rewards
        state = after


def test_swapping_the_sides_swaps_everything_exactly() -> None:
    launched = fallen = 0
    for state, red, blue, noise, after, rewards in _episode(1):
        mirror, paid = STEP(swapped(state), blue, red, noise[::-1])
        jax.tree.map(np.testing.assert_array_equal, mirror, swapped(after))
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[::-1]), paid, rewards)
        np.testing.assert_array_equal(OBSERVE(mirror, RED), OBSERVE(after, BLUE))
        np.testing.assert_array_equal(MASK(mirror, BLUE), MASK(after, RED))
        launched += int((rewards.launch > 0).sum())
        fallen += int((rewards.lost < 0).sum())
    assert launched > 5, "the episode shows too little"
    assert fallen > 1, "the episode shows too little"


def test_blue_can_be_played_from_outside_and_sees_what_red_would() -> None:
    simulator = DOMAIN.entity_simulator
    noise = simulator.noise(stream(3, "noise"))
    seen, mask, alive = simulator.opposing(START)
    as_red = swapped(START)
    np.testing.assert_array_equal(seen, simulator.observe(as_red))
    np.testing.assert_array_equal(mask, simulator.action_mask(as_red))
    np.testing.assert_array_equal(alive, simulator.alive(as_red))
    blue = jax.vmap(simulator.opponent)(noise.opponents, seen, mask)
    inside, outside = (
        jax.jit(step)(START, WAIT, *more, noise)
        for step, more in ((simulator.step, ()), (simulator.step_both, (blue,)))
    )
    same = jax.tree.map(lambda a, b: bool((a == b).all()), inside, outside)
    assert all(jax.tree.leaves(same))
    turned_away = jax.jit(simulator.step_both)(START, WAIT, WAIT + 1 + BACK, noise)
    assert (turned_away.state.sides.course[BLUE] == BACK).all()
    assert (turned_away.state.sides.course[RED] == START.sides.course[RED]).all()


def test_a_team_trains_against_itself_its_past_and_the_rules(tmp_path: Path) -> None:
    config = make_config(
        {"domain": "combat", "agents": 3, "detectors": 1, "schedule": "lockstep", "steps": 128,
         "opponents": "latest=1,past=1,coordinated=1", "snapshot_every": 1, "pool": 2,
         "copies": 4, "window": 16, "hidden": 8, "trunk": 8, "epochs": 1, "minibatches": 1,
         "evaluate_every": 128, "refreshes": 1, "evaluate_episodes": 2, "final_episodes": 2}
    )  # fmt: skip
    record = runs.run(tmp_path / "run", config, DOMAIN, LocalRuntime(1))
    assert record.summary()["eval"]["learned"]["won"] <= 1  # type: ignore[index]
    last = [line for line in record.metrics() if line["phase"] == "train"][-1]
    assert any(name.startswith("opponents/") for name in last)


def test_nobody_hits_friends_and_nobody_returns() -> None:
    """With numbers at which every missile hits, and only red fires."""
    for state, _, _, _, after, rewards in _episode(2, KILL, red_only=True):
        assert after.sides.alive[RED].all()
        assert not (after.sides.alive & ~state.sides.alive).any()
        alive = np.asarray(state.sides.alive)
        assert not any(np.asarray(part)[~alive].any() for part in rewards)
        for side in (RED, BLUE):
            assert (np.asarray(MASK(after, side)).any(1) == after.sides.alive[side]).all()
    assert not after.sides.alive[BLUE].all()


def test_what_units_may_do() -> None:
    state = _duel(33)
    detector, fighter, _ = np.asarray(MASK(state, RED))
    possible = set(np.flatnonzero(fighter))
    assert possible >= {do.CARRY_ON, do.COURSE + 1, do.RADAR, do.RADAR + 2, do.JAMMER + BARRAGE}
    assert not possible & {do.COURSE, do.RADAR + 1, do.JAMMER}, "what it does already"
    assert {a for a in possible if a >= do.FIRE_LONG} == {do.FIRE_LONG, do.FIRE_MID}
    assert not detector[do.JAMMER :].any()
    lost = _run(state, {1: do.RADAR})
    assert read(OBSERVE(lost, RED))[1]["known"][1].tolist() == [1, 0, 0, 0, 0]
    assert not np.asarray(MASK(lost, RED))[1, do.FIRE_LONG :].any(), "a remembered track"
    empty = state._replace(
        sides=state.sides._replace(missiles=state.sides.missiles.at[RED, 1, 0].set(0))
    )
    assert np.flatnonzero(np.asarray(MASK(empty, RED))[1, do.FIRE_LONG :]).tolist() == [do.TRACKS]
    # What is impossible does nothing
    idle = STEP(state, WAIT, WAIT, MISS)[0]
    for unit, action in ((0, do.JAMMER + 1), (0, do.FIRE_MID), (1, do.FIRE_MID + 1)):
        after, rewards = STEP(state, WAIT.at[unit].set(action), WAIT, MISS)
        jax.tree.map(np.testing.assert_array_equal, after, idle)
        assert not rewards.launch.any()


def test_what_a_unit_sees_of_a_track_a_friend_and_a_missile() -> None:
    looks = {"place": {1: (0, 0), 2: (0, 20)}, "radar": {1: 1}}
    theirs = {"place": {1: (30, 0)}, "radar": {1: 3}}
    state = _run(_state(looks, theirs), {}, {1: do.FIRE_MID})
    own, track, friend = jax.tree.map(np.asarray, read(OBSERVE(state, RED)))
    # A step after the radar saw it both have come closer by a step.
    near = 30 - 2 * FIGHTER_SPEED
    assert track["known"][1:, 0].tolist() == track["held"][1:, 0].tolist() == [1, 1]
    assert track["own"][1:, 0].tolist() == [1, 0]
    np.testing.assert_allclose(track["offset"][1, 0], [near / 100, 0], atol=1e-6)
    assert track["nearer"][1:, 0].tolist() == [0, 0.25]
    assert track["under_way"][1, 0] == 0.5
    assert track["heading"][1, 0].tolist() == [-1, 0]
    assert track["threat"][1, 0] == 1
    assert track["frequency"][1, 0].tolist() == [0, 0, 1, 0]
    assert own["heard_radars"][1].tolist() == [0.25, 0, 0, 0, 0, 0, 0, 0]
    assert own["heard_radars"][2].tolist() == [0, 0, 0, 0, 0, 0, 0, 0.25]  # 39 degrees to the right
    np.testing.assert_allclose(friend["offset"][1, 0], [0, 0.2], atol=1e-6)
    shot_at = read(OBSERVE(state, BLUE))[0]
    assert shot_at["incoming"].tolist() == [0, 0.25, 0]
    assert shot_at["soonest"].tolist() == pytest.approx([0, 1 / 3, 0])


def test_nothing_is_seen_of_enemies_that_nobody_sees_or_hears() -> None:
    hidden = [_state({}, {"place": {1: at}, "course": {1: 2}}) for at in ((40, 0), (-20, 70))]
    first, second = (np.asarray(OBSERVE(_run(state, {}), RED)) for state in hidden)
    np.testing.assert_array_equal(first, second)
    first, second = (np.asarray(GAME.central(state, RED)) for state in hidden)
    assert (first != second).any()
    np.testing.assert_array_equal(GAME.central(swapped(hidden[0]), BLUE), first)


def test_opposite_courses_are_exactly_opposite() -> None:
    course = jnp.arange(COURSES)
    np.testing.assert_array_equal(direction(turned(course)), -direction(course))
    np.testing.assert_allclose(direction(jnp.array([0, 4])), [[1, 0], [0, 1]], atol=1e-7)


def test_combat_conforms() -> None:
    assert len(check_domain(DOMAIN, episodes=1)) == 4


def test_a_network_fits_any_size() -> None:
    for agents in (1, 2, 7):
        domain = make(agents)
        simulator = domain.entity_simulator
        key = jax.random.key(0)
        state = jax.eval_shape(simulator.reset, key)
        moved = jax.eval_shape(
            lambda key, state, of=simulator, n=agents: of.step(
                state, jnp.zeros(n, jnp.int32), of.noise(key)
            ),
            key,
            state,
        )
        assert moved.reward.shape == (agents,)
        assert jax.eval_shape(simulator.observe, state).shape == (agents, OBSERVATION)
        assert jax.eval_shape(simulator.action_mask, state).shape == (agents, do.ACTIONS)


def test_policies_are_of_graded_strength() -> None:
    """5 against 5, 64 engagements each; equals would win as often as they lose."""
    game, copies = CombatGame(5), 64
    policies = list(SCRIPTED.values())

    def decide(key, state, side, which):  # type: ignore[no-untyped-def]
        seen = game.observe(state, side), game.action_mask(state, side)
        choose = jax.vmap(lambda *x: jax.lax.switch(which, policies, *x))
        return choose(jax.random.split(key, 5), *seen)

    @jax.jit
    def won(key, red, blue):  # type: ignore[no-untyped-def]
        def step(state, key):  # type: ignore[no-untyped-def]
            keys = jax.random.split(key, 3)
            chosen = decide(keys[0], state, RED, red), decide(keys[1], state, BLUE, blue)
            return game.step(state, *chosen, game.noise(keys[2]))[0], None

        def engage(key):  # type: ignore[no-untyped-def]
            state = game.reset(key)
            return jax.lax.scan(step, state, jax.random.split(key, STEPS))[0].won

        return jax.vmap(engage)(jax.random.split(key, copies)).mean(0)

    weak, middle, strong = range(3)
    for better, worse, least in ((strong, middle, 0.6), (strong, weak, 0.8), (middle, weak, 0.6)):
        wins, losses = np.asarray(won(stream(0, "tournament"), better, worse))
        assert wins >= least, (better, worse, wins, losses)
        assert losses <= 1 - least, (better, worse, wins, losses)


def test_the_picture_shows_who_lives() -> None:
    state = jax.tree.map(np.asarray, _run(_duel(33), {1: do.FIRE_MID}, {1: do.JAMMER + BARRAGE}))
    shapes = DOMAIN.frame(state)
    kinds = [shape["kind"] for shape in shapes]
    assert kinds.count("rect") == 2
    # four fighters with a nose each, one jammer's halo, one missile
    assert kinds.count("circle") == 4 * 2 + 1 + 1
    side = DOMAIN.scene()["width"]
    assert all(-5 <= shape[axis] <= side + 5 for shape in shapes for axis in "xy")
    dead = state._replace(sides=state.sides._replace(alive=np.zeros((2, 3), bool)))
    assert len(DOMAIN.frame(dead)) == 1


@pytest.mark.parametrize(
    ("agents", "options", "words"),
    [
        (3, {"detectors": 3}, "--detectors 3: of 3 units on a side at least one must be a fighter"),
        (3, {"detectors": -1}, "--detectors -1"),
        (3, {"opponent": "ace"}, "--opponent ace: combat has random, nearest, coordinated"),
    ],
)
def test_impossible_forces_are_refused(agents: int, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(agents, **options)
