"""SMAX and other environments of JaxMARL: the same battle as without us, ends, bad input."""

import importlib.util
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hinterland.core import UserError, stream
from hinterland.domains.adapters import smax
from hinterland.testing import check_domain

needs_jaxmarl = pytest.mark.skipif(
    importlib.util.find_spec("jaxmarl") is None,
    reason="jaxmarl is not installed: pip install 'hinterland[jaxmarl]'",
)


@pytest.fixture(scope="module")
def marines() -> smax.Smax:
    """One domain, so that its programs are compiled once."""
    return smax.make(3, "3m")


@pytest.fixture(scope="module")
def battle(marines: smax.Smax) -> list[tuple]:
    """[(state, actions, key, what the step gave)] until the battle is over; allies fire or wait."""
    simulator = marines.entity_simulator
    step, mask = jax.jit(simulator.step), jax.jit(simulator.action_mask)
    state, steps = jax.jit(simulator.reset)(stream(0, "battle")), []
    for t in range(marines.spec.horizon):
        key = stream(0, "battle/step", t)
        possible = np.asarray(mask(state))
        actions = jnp.asarray(possible.shape[1] - 1 - possible[:, ::-1].argmax(1))
        moved = step(state, actions, key)
        steps.append((state, actions, key, moved))
        state = moved.state
        if moved.terminated:
            break
    return steps


@needs_jaxmarl
def test_the_sizes_are_those_of_the_scenario(marines: smax.Smax) -> None:
    # Five features of the own unit's kind and place, and 13 of each of five others
    assert marines.agents == 3
    assert marines.spec.actions == 5 + 3
    assert marines.spec.observation == 5 * 13 + 10
    assert marines.spec.horizon == 100


@needs_jaxmarl
def test_a_battle_is_the_one_of_the_environment_itself(
    marines: smax.Smax, battle: list[tuple]
) -> None:
    """Stepped without the adapter: the same states, observations and rewards, to the last bit."""
    environment = marines.environment
    names = [f"ally_{i}" for i in range(3)]
    inner = battle[0][0].inner
    fallen = 0
    for state, actions, key, moved in battle:
        chosen = dict(zip(names, actions, strict=True))
        seen, inner, reward, done, _ = environment.step_env(key, inner, chosen)
        jax.tree.map(np.testing.assert_array_equal, moved.state.inner, inner)
        for i, name in enumerate(names):
            np.testing.assert_array_equal(moved.state.observation[i], seen[name])
            assert bool(moved.state.alive[i]) == (not done[name])
            before = float(state.inner.state.unit_health[i]) > 0
            assert float(moved.reward[i]) == (float(reward[name]) if before else 0.0)
            fallen += before and bool(done[name])
        assert bool(moved.terminated) == bool(done["__all__"])
    assert len(battle) < 100
    assert fallen, "nobody fell: the battle shows too little"


@needs_jaxmarl
def test_an_ended_battle_stays_and_says_who_won(marines: smax.Smax, battle: list[tuple]) -> None:
    simulator = marines.entity_simulator
    last = battle[-1][3].state
    again = jax.jit(simulator.step)(last, jnp.zeros(3, jnp.int32), stream(0, "later"))
    jax.tree.map(np.testing.assert_array_equal, again.state, last)
    assert again.terminated
    assert not again.reward.any()
    health = np.asarray(last.inner.state.unit_health)
    allies, enemies = (health[:3] > 0).sum(), (health[3:] > 0).sum()
    figures = simulator.figures(last)
    assert figures["won"] == (allies > 0 and enemies == 0)
    assert figures["survivors"] == pytest.approx(allies / 3)
    assert figures["enemies_left"] == pytest.approx(enemies / 3)
    assert simulator.central(last).shape == (marines.environment.state_size,)


@needs_jaxmarl
def test_masks_are_the_environments_and_the_dead_may_do_nothing(
    marines: smax.Smax, battle: list[tuple]
) -> None:
    simulator = marines.entity_simulator
    for state, *_ in battle:
        mask = np.asarray(simulator.action_mask(state))
        available = marines.environment.get_avail_actions(state.inner)
        for i in range(3):
            expected = np.asarray(available[f"ally_{i}"]).astype(bool)
            np.testing.assert_array_equal(mask[i], expected & bool(state.alive[i]))


@needs_jaxmarl
def test_the_fallen_who_stay_may_do_nothing_but_are_paid(battle: list[tuple]) -> None:
    simulator = smax.make(3, fallen="stay").entity_simulator
    state, actions, key, left = next(
        step for step in battle if not step[0].alive.all() and step[3].reward.any()
    )
    moved = jax.jit(simulator.step)(state, actions, key)
    np.testing.assert_array_equal(moved.reward, np.full(3, left.reward.max()))
    jax.tree.map(np.testing.assert_array_equal, moved.state, left.state)
    assert simulator.alive(state).all()
    np.testing.assert_array_equal(simulator.action_mask(state).any(1), state.alive)
    assert not jax.jit(simulator.step)(battle[-1][3].state, actions, key).reward.any()


@needs_jaxmarl
def test_smax_conforms_and_is_drawn(marines: smax.Smax, battle: list[tuple]) -> None:
    assert len(check_domain(marines, episodes=1)) == 4
    state = jax.tree.map(np.asarray, battle[-1][3].state)
    shapes = marines.frame(state)
    assert len(shapes) == state.inner.state.unit_alive.sum()
    side = marines.scene()["width"]
    assert all(0 <= shape[axis] <= side for shape in shapes for axis in "xy")
    assert all(0.25 < shape["opacity"] <= 1 for shape in shapes)
    fresh = jax.tree.map(np.asarray, battle[0][0])
    assert [shape["fill"] for shape in marines.frame(fresh)] == [smax.ALLY] * 3 + [smax.ENEMY] * 3
    assert {shape["opacity"] for shape in marines.frame(fresh)} == {1.0}


@needs_jaxmarl
@pytest.mark.parametrize(
    ("scenario", "allies"), [("2s3z", 5), ("smacv2_5_units", 5), ("smacv2_10_units", 10)]
)
def test_other_scenarios_have_their_sizes(scenario: str, allies: int) -> None:
    domain = smax.make(allies, scenario)
    simulator = domain.entity_simulator
    state = jax.eval_shape(simulator.reset, jax.random.key(0))
    assert simulator.observation == domain.spec.observation == (2 * allies - 1) * 13 + 10
    assert jax.eval_shape(simulator.action_mask, state).shape == (allies, 5 + allies)
    with pytest.raises(UserError, match=f"--agents 4: scenario {scenario} has {allies} allies"):
        smax.make(4, scenario)


@needs_jaxmarl
def test_the_list_of_scenarios_is_jaxmarls() -> None:
    from jaxmarl.environments.smax import smax_env

    assert set(smax.SCENARIOS) == set(smax_env.MAP_NAME_TO_SCENARIO)


@needs_jaxmarl
def test_another_environment_is_a_domain_too() -> None:
    from hinterland.domains.adapters.jaxmarl import JaxMARLDomain, make_environment

    domain = JaxMARLDomain(make_environment("MPE_simple_spread_v3"), horizon=25)
    assert domain.agents == 3
    assert len(check_domain(domain, episodes=1)) == 4
    with pytest.raises(UserError, match="JaxMARL has no environment 'chess'; known: MPE_simple_v3"):
        make_environment("chess")
    unequal = make_environment("MPE_simple_speaker_listener_v4")
    with pytest.raises(UserError, match="the same number of discrete actions for every agent"):
        JaxMARLDomain(unequal, horizon=25)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(UserError, match="--scenario 4m: SMAX has 3m, 2s3z"):
        smax.make(4, "4m")


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['jaxmarl'] = None\n"
        "from hinterland.core import UserError\n"
        "from hinterland.domains.adapters.smax import make\n"
        "try:\n    make(3)\n"
        "except UserError as error:\n    sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == (
        "the JaxMARL adapter needs jaxmarl: pip install 'hinterland[jaxmarl]'"
    )
