"""Whole cities in SUMO, and copies of one junction of theirs, in processes of their own."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from generated_cities import check_light_by_light, make_cities, package, random_trips
from hinterland.core import UserError
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.city import LIGHT_FEATURES, City, read_city
from hinterland.domains.traffic.city_controllers import RULES, programs
from hinterland.domains.traffic.city_drawing import CityDrawing
from hinterland.domains.traffic.cutting import batch
from hinterland.domains.traffic.drawing import GREEN, RED
from hinterland.domains.traffic.scenario import DECISION_S

SIMULATION = "hinterland.domains.traffic.city_simulation:CityTraffic"
BATCH = "hinterland.domains.traffic.local_batch:LocalBatch"
STEPS = 40


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, City]:
    return make_cities(tmp_path_factory.mktemp("cities"))


@pytest.fixture(scope="module")
def sessions(cities: dict[str, City]) -> Iterator[dict[str, HostProcess]]:
    started = {kind: HostProcess(SIMULATION, city) for kind, city in cities.items()}
    yield started
    for session in started.values():
        session.close()


def actions_of(city: City, steps: int) -> np.ndarray:
    """Random ones; where a light has fewer phases some are beyond its mask."""
    return np.random.default_rng(0).integers(0, city.phases, (steps, len(city.lights)))


def play(session: HostProcess, actions: np.ndarray, seed: int = 1, controller=None) -> list[dict]:
    seen = [session.begin("reset", seed, controller, True)]
    return seen + [session.call("step", action) for action in actions]


def test_junctions_of_different_size_are_padded(cities, sessions) -> None:
    city = cities["rand"]
    sizes = {len(light.lanes) for light in city.lights}
    assert len(sizes) > 1
    seen = play(sessions["rand"], actions_of(city, STEPS))
    agents, padding = len(city.lights), ~city.lane_mask
    assert max(one["dset"].sum() for one in seen) > 0
    for one in seen:
        assert one["observation"].shape == (agents, city.observation)
        assert one["dset"].shape == (agents, city.dset)
        assert (one["observation"][:, : city.dset] == one["dset"]).all()
        assert (one["observation"] >= 0).all()
        assert (one["observation"] <= 1).all()
        assert not one["dset"].reshape(agents, city.lanes, 3)[padding].any()
        phase = one["observation"][:, city.dset : -LIGHT_FEATURES]
        assert (phase.sum(1) == 1).all()
        assert not phase[~city.action_mask].any()
    for one in seen[1:]:
        assert not one["influence"][padding].any()
        assert 0 <= one["influence"].min() <= one["influence"].max() <= 3


def test_cars_come_from_somewhere(cities, sessions) -> None:
    # one lane per edge: what was empty, and was entered by nobody, stays empty
    city = cities["grid"]
    seen = play(sessions["grid"], actions_of(city, STEPS))
    entered = 0
    for before, after in pairwise(seen):
        lanes = [x["dset"].reshape(-1, city.lanes, 3)[..., :2].sum(2) > 0 for x in (before, after)]
        assert not (lanes[1] & ~lanes[0] & (after["influence"] == 0)).any()
        entered += after["influence"].sum()
    assert entered > 100
    rewards = np.array([one["reward"] for one in seen[1:]])
    assert -1 <= rewards.min() < rewards.mean() < rewards.max() <= 0


def test_a_car_costs_the_time_for_which_it_waits(cities, tmp_path: Path) -> None:
    """What the lights get differs by as much as one car's travel time, in SUMO's own record."""
    grid = cities["grid"]
    routes = tmp_path / "one.rou.xml"
    routes.write_text(
        '<routes><vehicle id="v" depart="0"><route edges="A0A1 A1A2"/></vehicle></routes>'
    )
    city = read_city(grid.network, routes)
    (light,) = (light for light in city.lights if light.id == "A1")
    slot = light.lanes.index("A0A1_0")
    (index,) = (i for i, lane, out in light.links if lane == slot and out == "A1A2_0")
    green = [state[index] in "Gg" for state in light.greens]
    lost, figures = [], []
    with HostProcess(SIMULATION, city) as session:
        for red_steps in (0, 8, 16):
            session.begin("reset", 1, None, True)
            cost = 0.0
            for step in range(40):
                actions = np.full(len(city.lights), green.index(step >= red_steps))
                cost -= DECISION_S * city.room * session.call("step", actions)["reward"].sum()
            lost.append(cost)
            figures.append(session.call("metrics"))
    lasted = [one["travel_time_s"] for one in figures]
    assert np.diff(lasted).min() > 20
    assert np.diff(lost) == pytest.approx(np.diff(lasted), abs=1)
    assert lost == pytest.approx([one["delay_s"] for one in figures], abs=1)


@pytest.mark.parametrize("kind", ["rand", "spider"])
def test_lights_keep_their_rules(cities, kind: str) -> None:
    """Second by second: no green ends without yellow, none early, and all are reached."""
    city = cities[kind]
    city = replace(city, scenario=replace(city.scenario, decision=1))
    with HostProcess(SIMULATION, city) as session:
        session.begin("reset", 1)
        shown = []
        for action in actions_of(city, 150):
            session.call("step", action)
            shown.append(session.call("picture")["states"])
    for place, light in enumerate(city.lights):
        states = [one[place] for one in shown]
        assert set(light.greens) <= set(states)
        cars = {index for index, _, _ in light.links}
        for before, after in pairwise(states):
            assert not any(before[i] in "Gg" and after[i] == "r" for i in cars)
        runs = [[states[0], 0]]
        for state in states:
            if state != runs[-1][0]:
                runs.append([state, 0])
            runs[-1][1] += 1
        yellows = {state: s for row in light.plan.between for pair in row for state, s in pair}
        for state, lasted in runs[:-1]:
            if state in light.greens:
                assert lasted >= light.plan.least_green[light.greens.index(state)]
            else:
                assert lasted == yellows[state]


def test_the_same_seed_and_actions_give_the_same(cities, sessions) -> None:
    actions = actions_of(cities["rand"], STEPS)
    first, again = (play(sessions["rand"], actions, seed=5) for _ in range(2))
    other = play(sessions["rand"], actions, seed=6)
    assert all((a[k] == b[k]).all() for a, b in zip(first, again, strict=True) for k in ("dset",))
    assert all(
        (a["reward"] == b["reward"]).all() and (a["influence"] == b["influence"]).all()
        for a, b in zip(first[1:], again[1:], strict=True)
    )
    assert any((a["dset"] != b["dset"]).any() for a, b in zip(first, other, strict=True))


def test_controllers(cities, sessions) -> None:
    figures = {}
    for name in (*RULES, *programs(cities["grid"])):
        play(sessions["grid"], actions_of(cities["grid"], 80), controller=name)
        figures[name] = sessions["grid"].call("metrics")
    assert figures["max-pressure"]["travel_time_s"] <= figures["random"]["travel_time_s"]
    assert figures["max-pressure"]["queue"] <= figures["random"]["queue"]
    assert figures["actuated"]["travel_time_s"] != figures["fixed-time"]["travel_time_s"]
    assert figures["own-program"] == figures["fixed-time"]
    assert all(one["throughput"] > 50 for one in figures.values())
    # everybody who wanted to drive counts, those who found no room too
    wanted = cities["grid"].routes[0].read_text().count("<trip ")
    assert {one["vehicles"] for one in figures.values()} == {wanted}


def test_copies_look_like_the_city(cities, sessions, tmp_path: Path) -> None:
    """The true influence played into copies of one junction gives what the city gives."""
    city, copies, agent = cities["grid"], 5, 4
    actions = actions_of(city, 60)
    seen = play(sessions["grid"], actions)
    pieces = batch(city, city.lights[agent].id, copies, tmp_path, sessions["grid"].call("ways"))
    with HostProcess(BATCH, pieces) as local:
        shape = local.call("numbers_shape")
        rewards = []
        one = local.begin("reset", 1)
        assert (one["observation"] == seen[0]["observation"][agent]).all()
        numbers = np.random.default_rng(1)
        for action, truth in zip(actions, seen[1:], strict=True):
            influence = np.repeat(truth["influence"][agent][None], copies, 0)
            one = local.call(
                "step", np.full(copies, action[agent]), influence, numbers.random(shape)
            )
            assert one["observation"].shape == (copies, city.observation)
            assert (one["observation"][:, : city.dset] == one["dset"]).all()
            # the light alone is a function of the actions
            expected = truth["observation"][agent, city.dset :]
            assert (one["observation"][:, city.dset :] == expected).all()
            rewards.append(one["reward"].mean())
    truths = [truth["reward"][agent] for truth in seen[1:]]
    assert np.mean(rewards) == pytest.approx(np.mean(truths), rel=0.15)
    assert np.corrcoef(rewards, truths)[0, 1] > 0.7


def test_copies_are_apart_and_reset_alone(cities, tmp_path: Path) -> None:
    city, copies = cities["spider"], 4
    pieces = batch(city, city.lights[0].id, copies, tmp_path)
    lanes = len(city.lights[0].lanes)
    influence = np.zeros((copies, city.lanes), int)
    influence[:2, :lanes] = 3  # two copies get cars, two none
    with HostProcess(BATCH, pieces) as local:

        def run() -> list[np.ndarray]:
            numbers = np.random.default_rng(1)
            local.begin("reset", 3)
            return [
                local.call("step", np.zeros(copies, int), influence,
                           numbers.random(local.call("numbers_shape")))["dset"]
                for _ in range(6)
            ]  # fmt: skip

        first, again = run(), run()
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
        assert first[-1][:2].any(1).all()
        assert not any(one[2:].any() for one in first)
        which = np.arange(copies) == 0
        after = local.call("reset_some", which)
        assert not after["dset"][0].any()
        assert after["observation"][0, -1] == 0
        assert (after["dset"][1] == first[-1][1]).all()
        numbers = np.zeros(local.call("numbers_shape"))
        idle = np.zeros_like(influence)
        moved = local.call("step", np.zeros(copies, int), idle, numbers)
        assert not moved["terminated"].any()
        assert not moved["dset"][0].any()
        assert moved["dset"][1].any()


def test_pictures(cities, sessions) -> None:
    city = cities["rand"]
    play(sessions["rand"], actions_of(city, 20))
    picture = sessions["rand"].call("picture")
    drawing = CityDrawing(city)
    scene, shapes = drawing.scene(), drawing.frame(picture)
    lanes, cars = sum(len(light.lanes) for light in city.lights), len(picture["cars"])
    assert lanes < len(shapes) <= lanes + cars
    assert {shape["fill"] for shape in shapes} >= {GREEN, RED}
    assert 200 < len(scene["shapes"]) < 15_000
    for shape in (*scene["shapes"], *shapes):
        assert 0 <= shape["x"] <= scene["width"]
        assert 0 <= shape["y"] <= scene["height"]


REAL = (
    ("sumo", "tools/game/DRT/osm.net.xml", None, 10),
    ("sumo", "tools/game/fokr_bs_demo/fokr_bs.net.xml.gz", None, 1),
    ("sumo_rl", "nets/RESCO/cologne8/cologne8.net.xml", "nets/RESCO/cologne8/cologne8.rou.xml", 8),
)
"""Real towns in packages: streets from OpenStreetMap in SUMO's own, RESCO's in sumo-rl."""


@pytest.mark.parametrize(("name", "net", "routes", "agents"), REAL, ids=lambda x: str(x)[-20:])
def test_a_real_town(name: str, net: str, routes: str | None, agents: int, tmp_path: Path) -> None:
    home = package(name)
    if home is None or not (home / net).exists():
        pytest.skip(f"{name} is not installed with its networks")
    traffic = (
        home / routes if routes else random_trips(home / net, tmp_path / "a.rou.xml", 400, 0.2)
    )
    city = read_city(home / net, traffic)
    check_light_by_light(city)
    assert len(city.lights) == agents
    with HostProcess(SIMULATION, city) as session:
        seen = play(session, actions_of(city, 12))
        assert sum(one["influence"].sum() for one in seen[1:]) > 0
        assert session.call("metrics")["vehicles"] > 0
    largest = max(city.lights, key=lambda light: len(light.lanes))
    pieces = batch(city, largest.id, 3, tmp_path)
    with HostProcess(BATCH, pieces) as local:
        local.begin("reset", 1)
        cars = np.repeat(city.lane_mask[city.lights.index(largest)][None], 3, 0)
        numbers = np.random.default_rng(0).random(local.call("numbers_shape"))
        assert local.call("step", np.ones(3, int), cars, numbers)["dset"].any(1).all()


@pytest.mark.parametrize("depart", [0, 400], ids=["at once", "on the way"])
def test_what_sumo_refuses_is_one_sentence(cities, tmp_path: Path, depart: int) -> None:
    city = cities["grid"]
    edge = city.lights[0].lanes[0].rsplit("_", 1)[0]
    routes = tmp_path / "a.rou.xml"
    trips = ((0, "max"), (350, "max"), (depart + 5, "sideways"))
    routes.write_text(
        "<routes>"
        + "".join(
            f'<trip id="t{i}" depart="{time}" departSpeed="{speed}" from="{edge}" to="{edge}"/>'
            for i, (time, speed) in enumerate(sorted(trips))
        )
        + "</routes>"
    )
    with HostProcess(SIMULATION, read_city(city.network, routes)) as session:
        with pytest.raises(UserError, match=r"SUMO cannot simulate .*'t[12]'") as raised:
            play(session, actions_of(city, 90))
    assert "\n" not in str(raised.value)
