"""Regions of several kinds in one system: wells that fill the tank of a town with two valves."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hinterland
from hinterland.api.policies import policies_of
from hinterland.config import Config, make_config
from hinterland.core import (
    AgentSpec,
    GlobalStep,
    Kind,
    Step,
    UserError,
    View,
    kinds_of,
    largest,
    possible_actions,
)
from hinterland.domains.corridor import Corridor
from hinterland.rollout import Regions, whole_system
from hinterland.runtime import LocalRuntime
from hinterland.testing import check_domain
from hinterland.testing.attributes import check_attributes
from hinterland.training import Experiment, check_config, trained
from hinterland.training.experiment import from_arrays
from runs import assert_same

HORIZON, KEY = 6, jax.random.key(0)
REFILL = np.array([0.2, 0.9], np.float32)
"""How likely the two wells refill in a step: what tells them apart."""


class WellState(NamedTuple):
    water: Any
    refill: Any


class Well:
    """Holds 0, 1 or 2; action 1 pumps all of it. Influence: is the town's tank full?"""

    def reset(self, key: Any, refill: Any) -> WellState:
        return WellState(jax.random.randint(key, (), 0, 3), refill)

    def observe(self, state: WellState) -> Any:
        return jax.nn.one_hot(state.water, 3, dtype=jnp.uint8)

    dset = observe

    def noise(self, key: Any) -> Any:
        return jax.random.uniform(key)

    def step(self, state: WellState, action: Any, influence: Any, noise: Any) -> Step:
        pumped = jnp.where(action == 1, state.water, 0)
        reward = jnp.where(influence[0] == 1, -0.5, 1.0) * pumped
        water = jnp.minimum(state.water - pumped + (noise < state.refill), 2)
        return Step(state._replace(water=water), reward, jnp.asarray(False))


class Town:
    """A tank of 0 .. 6 and two agents, who draw 0, 1 or 2 each, one after the other."""

    def reset(self, key: Any) -> Any:
        return jax.random.randint(key, (), 0, 7)

    def observe(self, state: Any) -> Any:
        tank = jnp.broadcast_to(jax.nn.one_hot(state, 7), (2, 7))
        return jnp.concatenate([tank, jnp.array([[0.0], [1.0]])], 1)

    def dset(self, state: Any) -> Any:
        return jax.nn.one_hot(state, 7)

    def noise(self, key: Any) -> tuple[()]:
        return ()

    def step(self, state: Any, actions: Any, influence: Any, noise: tuple[()]) -> Step:
        drawn = jnp.diff(jnp.minimum(jnp.cumsum(actions), state), prepend=0)
        tank = jnp.minimum(state - drawn.sum() + influence.sum(), 6)
        return Step(tank, drawn.astype(jnp.float32), jnp.asarray(False))


class Whole:
    """Agents 0 and 3 are the town's, 1 and 2 the wells."""

    well, town = Well(), Town()

    def reset(self, key: Any) -> Any:
        mine, others = jax.random.split(key)
        wells = jax.vmap(self.well.reset)(jax.random.split(others), jnp.asarray(REFILL))
        return wells, self.town.reset(mine)

    def noise(self, key: Any) -> Any:
        return jax.random.uniform(key, (2,))

    def step(self, state: Any, actions: Any, noise: Any) -> GlobalStep:
        wells, tank = state
        full = jnp.full((2, 1), tank == 6).astype(jnp.int32)
        sent = jnp.where(actions[1:3] == 1, wells.water, 0)
        moved = jax.vmap(self.well.step)(wells, actions[1:3], full, noise)
        town = self.town.step(tank, actions[jnp.array([0, 3])], sent, ())
        reward = jnp.stack([town.reward[0], *moved.reward, town.reward[1]])
        state = (moved.state, town.state)
        return GlobalStep(state, reward, jnp.asarray(False), (full, sent[None]))

    def regions(self, state: Any) -> Any:
        return state[0], state[1][None]

    def region_noise(self, noise: Any) -> Any:
        return noise, ()


class Always:
    """The same action for everybody in a region."""

    initial = None

    def __init__(self, *action: int) -> None:
        self.action = action

    def __call__(self, key: Any, memory: None, state: Any) -> tuple[Any, None]:
        action = jnp.array(self.action, jnp.int32)
        return (action if len(self.action) > 1 else action[0]), None


class Waterworks:
    """Kinds that differ in every size, in k and in whether they are told anything."""

    name, agents = "waterworks", 4
    well_spec = AgentSpec(3, 2, dset=3, sources=1, classes=2, horizon=HORIZON)
    town_spec = AgentSpec(8, 3, dset=7, sources=2, classes=3, horizon=HORIZON)

    def __init__(self, **changes: Any) -> None:
        self.kinds: Any = (
            Kind(Well(), self.well_spec, np.array([[1], [2]]), REFILL),
            Kind(Town(), self.town_spec, np.array([[0, 3]])),
        )
        self.spec = largest([self.well_spec, self.town_spec])
        self.global_simulator: Any = Whole()
        self.scripted = {"random": (Always(1), Always(2, 1))}
        for name, value in changes.items():
            setattr(self, name, value)


TINY: dict[str, Any] = {
    "copies": 2, "window": 3, "minibatches": 2, "epochs": 1, "hidden": 4, "trunk": 4,
    "predictor_hidden": 4, "predictor_episodes": 4, "predictor_batch": 2, "predictor_epochs": 1,
    "evaluate_episodes": 2, "final_episodes": 2, "steps": 12, "evaluate_every": 6, "refresh": 6,
}  # fmt: skip


def config_of(**changes: Any) -> Config:
    """Of a run in an object; the name stands for it."""
    values = {"domain": "corridor", "agents": 4, "simulation": "dials", **TINY, **changes}
    if values["simulation"] != "dials":
        values = {n: x for n, x in values.items() if not n.startswith(("predictor_e", "refresh"))}
        values.pop("predictor_batch")
    if values["simulation"] == "global":
        values.pop("predictor_hidden")
    return make_config(values)


class Record:
    """What was logged, and all checkpoints."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.checkpoints: list[tuple[Any, Any]] = []

    @property
    def logged(self) -> int:
        return len(self.lines)

    def log(self, step: int, wall_s: float, phase: str, values: Any) -> None:
        told = {n: x for n, x in values.items() if not n.endswith("_per_s")}
        self.lines.append({"step": step, "phase": phase, **told})

    def save_checkpoint(self, step: int, arrays: Any, meta: dict[str, Any]) -> None:
        self.checkpoints.append((dict(arrays), {**meta, "step": step}))

    def write_summary(self, summary: dict[str, Any]) -> None:
        raise AssertionError


def run(domain: Any, config: Config, checkpoint: Any = None) -> Record:
    record = Record()
    trained(Experiment(config, domain, LocalRuntime(devices=1), record), checkpoint)
    return record


@cache
def waterworks() -> Waterworks:
    return Waterworks()


@cache
def whole_run(simulation: str) -> Record:
    return run(waterworks(), config_of(simulation=simulation))


def test_sizes_and_masks_follow_from_the_kinds() -> None:
    domain = waterworks()
    assert domain.spec == AgentSpec(8, 3, dset=7, sources=2, classes=3, horizon=HORIZON)
    wanted = [[True] * 3, [True, True, False], [True, True, False], [True] * 3]
    assert possible_actions(domain).tolist() == wanted
    system = whole_system(domain)
    view = system.look(system.reset(jax.random.split(jax.random.key(0), 2)))
    seen = np.asarray(view.observation)
    assert seen.shape == (2, 4, 8)
    assert not seen[:, 1:3, 3:].any()
    np.testing.assert_array_equal(seen[:, 1:3, :3].sum(2), 1)
    np.testing.assert_array_equal(seen[:, [0, 3], 7], [[0, 1]] * 2)
    (only,) = kinds_of(Corridor(3))
    assert only.regions.tolist() == [[0], [1], [2]]
    assert only.parameters is None


def test_each_region_is_told_its_own_parameters() -> None:
    domain, key = waterworks(), jax.random.key(0)
    predictors = hinterland_predictors(domain)
    both = Regions(domain, predictors)
    state = both.reset(jax.random.split(key, 6))
    np.testing.assert_array_equal(state.local.refill, np.tile(REFILL, 3))
    second = Regions(domain, jax.tree.map(lambda x: x[:1], predictors), jnp.array([1]))
    state = second.reset(jax.random.split(key, 2))
    np.testing.assert_array_equal(state.local.refill, REFILL[[1, 1]])


def hinterland_predictors(domain: Any) -> Any:
    plan = check_config(config_of(), domain)
    return plan.by_kind(plan.predictor)[0]


def test_the_check_follows_each_kind() -> None:
    lines = check_domain(waterworks(), episodes=1)
    assert any("local simulators equal their regions exactly" in line for line in lines), lines

    class Greedy(Town):
        def step(self, state: Any, actions: Any, influence: Any, noise: Any) -> Step:
            return super().step(state, actions, influence[:1], noise)

    kinds = waterworks().kinds
    wrong = Kind(Greedy(), kinds[1].spec, kinds[1].regions)
    said = r"factorisation: state of region 2 \(agents 0, 3\) .*kinds\[1\].local_simulator.step"
    with pytest.raises(UserError, match=said):
        check_domain(Waterworks(kinds=(kinds[0], wrong)), episodes=1)


def _kinds(**changes: Any) -> dict[str, Any]:
    """The wells changed."""
    well, town = waterworks().kinds
    given = {name: getattr(well, name) for name in ("local_simulator", "spec", "regions")}
    return {"kinds": (Kind(**{**given, "parameters": REFILL, **changes}), town)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (_kinds(regions=np.array([[1]]), parameters=REFILL[:1]), "names agent 2 0 times"),
        (_kinds(regions=np.array([[1], [3]])), "names agent 2 0 times"),
        (_kinds(regions=np.array([[1], [2], [2]]), parameters=None), "names agent 2 2 times"),
        (_kinds(regions=np.array([[1], [4]])), "names agent 4; agents are 0 .. 3"),
        (_kinds(spec=AgentSpec(9, 2, 3, 1, 2, HORIZON)), "observation: is 9, more than .* 8"),
        (_kinds(spec=AgentSpec(3, 4, 3, 1, 2, HORIZON)), "actions: is 4, more than .* 3"),
        (_kinds(spec=AgentSpec(3, 2, 3, 1, 2, 5)), "horizon: is 5, where domain.spec has 6"),
        (_kinds(parameters=np.zeros(3)), r"parameters: have shape \[3\], expected \[2, ...\]"),
        (_kinds(spec=None), "spec: is a NoneType"),
        ({"kinds": ()}, r"are \(\)"),
        ({"kinds": (Town(),)}, r"kinds\[0\]: is a Town"),
        ({"regions": np.arange(4)[:, None]}, "beside domain.regions"),
        ({"scripted": {"random": (Always(0),)}}, "has 1 policies for 2 kinds"),
    ],
)
def test_kinds_declared_badly_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_attributes(Waterworks(**changes))


def test_a_table_of_regions_is_one_of_numbers() -> None:
    for regions in ([[0], [1, 2]], [0, 1], [[0.5]]):
        with pytest.raises(UserError, match="Kind: regions"):
            Kind(Well(), Waterworks.well_spec, regions)  # type: ignore[arg-type]


def test_influence_has_an_entry_for_each_kind() -> None:
    class Merged(Whole):
        def step(self, state: Any, actions: Any, noise: Any) -> GlobalStep:
            moved = super().step(state, actions, noise)
            return moved._replace(influence=moved.influence[0])

    with pytest.raises(UserError, match="influence: is ShapeDtypeStruct, expected a tuple of 2"):
        check_domain(Waterworks(global_simulator=Merged()), episodes=1)


@pytest.mark.parametrize("simulation", ["dials", "untrained"])
def test_each_kind_trains_in_its_own_sizes(simulation: str) -> None:
    """A run that goes on from its middle ends as the uninterrupted one, bit for bit."""
    config, domain, whole = config_of(simulation=simulation), waterworks(), whole_run(simulation)
    middle = next(one for one in whole.checkpoints if 0 < one[1]["step"] < config.steps)
    last = whole.checkpoints[-1]
    assert last[1]["step"] == 12
    rest = run(domain, config, middle)
    assert_same(last[0], rest.checkpoints[-1][0])
    shapes = {name: x.shape for name, x in last[0].items() if "predictors" in name}
    assert {shape[0] for name, shape in shapes.items() if "[0]" in name} == {2}
    assert {shape[0] for name, shape in shapes.items() if "[1]" in name} == {1}
    actors = {n: x.shape for n, x in last[0].items() if "network.actors.actor.weight" in n}
    assert sorted(shape[-2:] for shape in actors.values()) in ([(2, 4), (3, 4)], [(4, 2), (4, 3)])
    returns = [line["eval/greedy/return"] for line in whole.lines if line["phase"] == "evaluate"]
    assert len(returns) == 3
    fits = [line for line in whole.lines if "influence/cross_entropy/after/head/1" in line]
    assert len(fits) == (2 if simulation == "dials" else 0)


def test_the_whole_system_trains_on_padded_observations() -> None:
    record = run(waterworks(), config_of(simulation="global", slot_networks="shared"))
    assert record.checkpoints[-1][1]["step"] == 12


def test_kinds_share_no_network() -> None:
    with pytest.raises(UserError, match="2 kinds, with sizes of their own"):
        check_config(config_of(slot_networks="shared"), waterworks())


def test_policies_of_a_checkpoint_act_as_in_training_for_every_slot() -> None:
    domain, config = waterworks(), config_of(simulation="untrained")
    arrays, meta = whole_run("untrained").checkpoints[-1]
    policies = policies_of((arrays, meta), config, domain)
    learners = from_arrays(arrays, check_config(config, domain).shapes()).learners
    system = whole_system(domain)
    state = system.reset(jax.random.split(jax.random.key(3), 5))
    view = system.look(state)
    seen = np.asarray(view.observation)
    actions, memory = policies(seen, policies.initial(5), greedy=True)
    for number, kind in enumerate(domain.kinds):
        spec = kind.spec
        for place, slots in enumerate(kind.regions):
            network = jax.tree.map(lambda x, at=place: x[at], learners[number].network)
            mine = View(
                seen[:, slots, : spec.observation],
                np.ones((5, len(slots), spec.actions), bool),
                *(np.ones((5, len(slots)), bool) for _ in range(2)),
                np.zeros((5, 0)),
            )
            act = jax.jit(lambda network, view: network.act(KEY, network.initial(5), view, True))
            after, chosen = act(network, mine)
            np.testing.assert_array_equal(actions[:, slots], chosen.action)
            np.testing.assert_allclose(memory[:, slots], after, rtol=1e-6)
    found = hinterland.evaluate(policies, episodes=2, devices=1)
    assert found["episodes"] == 2


def test_own_networks_may_remember_more_in_one_kind_than_in_another() -> None:
    """The policy of all slots pads to the widest, and each kind gets back what it gave."""
    domain, config = waterworks(), config_of(network="own_networks:sized")
    plan = check_config(config, domain)
    learners = plan.first_state().learners
    policy, system = plan.policy(learners), whole_system(domain)
    view = system.look(system.reset(jax.random.split(KEY, 5)))
    assert policy.initial(5).shape == (5, 4, 3)
    memory = policy.initial(5)
    for _ in range(2):
        memory, chosen = policy.act(KEY, memory, view, True)
    assert not np.asarray(memory)[:, 1:3, 2].any()
    well = domain.kinds[0].spec
    network = jax.tree.map(lambda x: x[1], learners[0].network)
    seen = view.observation[:, 2:3, : well.observation]
    mine = View(
        seen, np.ones((5, 1, well.actions), bool), *[np.ones((5, 1), bool)] * 2, seen[..., :0]
    )
    remembered = network.initial(5)
    for _ in range(2):
        remembered, alone = network.act(KEY, remembered, mine, True)
    np.testing.assert_array_equal(chosen.action[:, 2:3], alone.action)
    np.testing.assert_allclose(memory[:, 2:3, :2], remembered, rtol=1e-5)


class Halves(Corridor):
    """A corridor whose stations are of two kinds, which are alike."""

    def __init__(self, agents: int) -> None:
        super().__init__(agents)
        half = agents // 2
        table = np.arange(agents)[:, None]
        self.kinds = (
            Kind(self.local_simulator, self.spec, table[:half]),
            Kind(self.local_simulator, self.spec, table[half:]),
        )
        whole = self.global_simulator

        class Cut:
            reset, noise = staticmethod(whole.reset), staticmethod(whole.noise)

            def step(self, state: Any, actions: Any, noise: Any) -> GlobalStep:
                moved = whole.step(state, actions, noise)
                halves = (moved.influence[:half], moved.influence[half:])
                return moved._replace(influence=halves)

            def regions(self, state: Any) -> Any:
                return state[:half], state[half:]

            def region_noise(self, noise: Any) -> Any:
                return (), ()

        self.global_simulator: Any = Cut()


def test_two_kinds_that_are_alike_give_the_numbers_of_one() -> None:
    config = config_of(network="feed-forward", predictor="feed-forward")
    one, two = run(Corridor(4), config), run(Halves(4), config)
    for a, b in zip(one.lines, two.lines, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"phase"}:
            if not name.startswith(("time/", "memory/")) and "wall" not in name:
                np.testing.assert_allclose(a[name], b[name], rtol=1e-6, err_msg=name)
    (first, _), (second, _) = one.checkpoints[-1], two.checkpoints[-1]
    for name, array in first.items():
        halves = [second[name.replace("[0]", f"[{kind}]", 1)] for kind in (0, 1)]
        np.testing.assert_array_equal(array, np.concatenate(halves), err_msg=name)
