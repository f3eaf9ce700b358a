"""Approaches that go on beyond the lane before the light: who is seen, counted, served and cut out.

Without the roads upstream (`view=0`) max-pressure never serves the western approach of "stub": its
cars need 102.6 s there and 60.9 s under the network's own program, yet its return is twice as good.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from branched_cities import BRANCHES, branched
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.approaches import Approaches
from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.cutting import batch, cut
from hinterland.domains.traffic.netfile import read_network
from hinterland.domains.traffic.unseen import unseen

SIMULATION = "hinterland.domains.traffic.city_simulation:CityTraffic"
BATCH = "hinterland.domains.traffic.local_batch:LocalBatch"
STEPS = 80
UPSTREAM = {
    "stub": "W0_0",
    "stubs": "W1_0 W2_0 W0_0",
    "merge": "A0_0 B0_0",
    "roundabout": "OR_0 PO_0 QP_0 W0_0 A0_0 RQ_0 Wout_0",
    "loop": "LM_0 W0_0 NL_0 Nout_0",
    "shared": "W0_0",
    "widening": "W0_0",
}


@pytest.fixture(scope="module", params=BRANCHES)
def city(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> City:
    return branched(request.param, tmp_path_factory.mktemp("branched"))


@pytest.fixture(scope="module")
def session(city: City) -> Iterator[HostProcess]:
    with HostProcess(SIMULATION, city) as started:
        yield started


def kind_of(city: City) -> str:
    return city.network.name.split(".")[0]


def test_regions_go_on_to_the_next_light(city: City, tmp_path: Path) -> None:
    light = city.lights[0]
    assert " ".join(light.upstream) == UPSTREAM[kind_of(city)]
    assert len(city.lights) == (2 if kind_of(city) == "shared" else 1)
    assert all(metres == 200 for lane, metres in zip(light.lanes, light.reach, strict=True)
               if lane.startswith("Win"))  # fmt: skip
    near = branched(kind_of(city), tmp_path, view=0)
    assert not any(one.upstream for one in near.lights)
    assert [one.lanes for one in near.lights] == [one.lanes for one in city.lights]


def test_a_cut_has_the_region(city: City, tmp_path: Path) -> None:
    whole = read_network(city.network)
    for light in city.lights:
        piece = read_network(cut(city, light.id, tmp_path))
        assert list(piece.programs) == [light.id]
        assert all(piece.lanes[lane] == whole.lanes[lane] for lane in light.seen)
        for edge in light.through:
            assert piece.successors[edge] == whole.successors[edge]


def greedy(city: City, seen: np.ndarray) -> np.ndarray:
    """The green for most of the cars that an agent's own observation shows before it."""
    shown = seen[:, : city.dset].reshape(len(seen), city.lanes, 3)[..., :2].sum(2)
    actions = []
    for light, lanes in zip(city.lights, shown, strict=True):
        ways = Counter(slot for _, slot, _ in light.links)
        cars = [lanes[slot] * metres / ways[slot] for slot, metres in enumerate(light.reach)]
        served = [
            sum(cars[slot] for index, slot, _ in light.links if state[index] in "Gg")
            for state in light.greens
        ]
        actions.append(np.argmax(served))
    return np.array(actions)


def test_it_is_served_and_returns_agree_with_travel_times(city: City, session: HostProcess) -> None:
    returns, travel = {}, {}
    for name in ("fixed-time", "max-pressure", "random", "greedy"):
        seen = session.begin("reset", 1, None if name == "greedy" else name, True)
        rewards, came, actions = [], np.zeros(len(city.lights)), np.zeros(len(city.lights), int)
        for step in range(STEPS):
            if step % 2 == 0:  # a green lasts ten seconds
                actions = greedy(city, seen["observation"])
            seen = session.call("step", actions)
            rewards.append(seen["reward"].mean())
            came += seen["influence"].sum(1)
        figures = session.call("metrics")
        returns[name], travel[name] = np.sum(rewards), figures["travel_time_s"]
        # each once, however often it passes and over however many lanes of the region
        assert figures["vehicles"] - 4 <= came.min() <= came.max() <= figures["vehicles"]
    assert max(travel["max-pressure"], travel["greedy"]) < travel["fixed-time"]
    for a, b in combinations(travel, 2):
        if abs(travel[a] / travel[b] - 1) > 0.05:
            assert (travel[a] < travel[b]) == (returns[a] > returns[b]), (a, b, travel, returns)


def test_copies_look_like_the_region(city: City, session: HostProcess, tmp_path: Path) -> None:
    """The true influence played into copies gives what the region of the whole city gives."""
    session.begin("reset", 2)
    counts = np.array([len(light.greens) for light in city.lights])
    played = [np.full(len(city.lights), step // 6) % counts for step in range(STEPS)]
    truths = [session.call("step", actions) for actions in played]
    counted, copies = (session.call("ways"), session.call("departures")), 2
    for agent, light in enumerate(city.lights):
        folder = tmp_path / light.id
        folder.mkdir()
        with HostProcess(BATCH, batch(city, light.id, copies, folder, *counted)) as local:
            local.begin("reset", 1)
            numbers = np.random.default_rng(1)
            shape, mine = local.call("numbers_shape"), []
            for actions, truth in zip(played, truths, strict=True):
                influence = np.repeat(truth["influence"][agent][None], copies, 0)
                given = np.full(copies, actions[agent]), influence, numbers.random(shape)
                mine.append(local.call("step", *given))
        ours = {name: np.array([one[name].mean(0) for one in mine]) for name in ("reward", "dset")}
        theirs = {name: np.array([one[name][agent] for one in truths]) for name in ours}
        for name in ours:
            assert ours[name].mean() == pytest.approx(theirs[name].mean(), rel=0.2)
        assert np.corrcoef(ours["reward"], theirs["reward"])[0, 1] > 0.8
        slots = [one["dset"].mean(0) for one in (ours, theirs)]
        assert np.corrcoef(*slots)[0, 1] > 0.9


def test_lanes_that_no_cars_were_counted_on_have_ways(city: City, tmp_path: Path) -> None:
    for light in city.lights:
        copies = batch(city, light.id, 1, tmp_path)
        successors = read_network(copies.network).successors
        for lane, ways in zip(light.seen, copies.ways, strict=True):
            for way in ways:
                assert way[0] == lane.rsplit("_", 1)[0]
                assert all(f"c0_{b}" in successors[f"c0_{a}"] for a, b in pairwise(way))
                assert way[-1] not in light.through


def test_what_is_not_seen_is_said(tmp_path: Path) -> None:
    behind = branched("behind", tmp_path)
    (note,) = behind.notes
    assert note.startswith("traffic light 'C': lanes with another light less than 15 m upstream")
    network = read_network(behind.network)
    lanes = {light.id: light.lanes for light in behind.lights}
    assert list(unseen(Approaches(network), lanes)) == [note]
