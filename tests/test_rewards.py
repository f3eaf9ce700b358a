"""What lights get in a user's own network: it agrees with what SUMO says that vehicles lost."""

import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from generated_cities import make_cities
from hinterland.cli import main
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.city import City, read_city
from hinterland.domains.traffic.costs import REWARDS, Waiting
from hinterland.domains.traffic.cutting import batch
from hinterland.domains.traffic.network import sumo_tool
from hinterland.domains.traffic.scenario import DECISION_S

CASES = Path(__file__).parent / "data" / "traffic"
SIMULATION = "hinterland.domains.traffic.city_simulation:CityTraffic"
BATCH = "hinterland.domains.traffic.local_batch:LocalBatch"
FILES = {"net": "net.net.xml", "routes": "r.rou.xml"}
RANKED = ("grid", "spider", "stub-lane", "tram-phase", "ped-phase", "no-yellow")
CONTROLLERS = ("random", "fixed-time", "actuated", "max-pressure")
TIE = 0.03
"""Delays that differ by less, as a share, may change places."""


def case(name: str, routes: Path | None = None) -> City:
    return read_city(CASES / name / "net.net.xml", routes or CASES / name / "r.rou.xml")


def crowd(folder: Path, kind: str = "trip", every: int = 1) -> Path:
    """More cars than find room, behind the stub: one every so many seconds."""
    file = folder / f"{kind}s.rou.xml"
    way = {"trip": 'from="W0" to="Eout"/>', "vehicle": '><route edges="W0 Win Eout"/></vehicle>'}
    file.write_text(
        "<routes>"
        + "".join(f'<{kind} id="{i}" depart="{every * i}" {way[kind]}' for i in range(900))
        + "</routes>"
    )
    return file


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, City]:
    return make_cities(tmp_path_factory.mktemp("cities"))


@pytest.fixture(scope="module")
def player() -> Iterator[HostProcess]:
    with HostProcess("played_cities:Played") as process:
        yield process


@pytest.mark.parametrize("name", RANKED)
def test_return_and_delay_agree_on_who_is_better(name: str, cities, player) -> None:
    city = cities[name] if name in cities else case(name)
    found = [player.call("episode", city, one, 300) for one in CONTROLLERS]
    delay = np.array([one["figures"]["delay_s"] for one in found])
    earned = np.array([one["returns"]["delay"] for one in found])
    assert delay.max() > 1.3 * delay.min(), "nothing to rank"
    for i, one in enumerate(delay):
        for j, other in enumerate(delay):
            if other > (1 + TIE) * one:
                assert earned[i] > earned[j], (CONTROLLERS[i], CONTROLLERS[j], delay, earned)
    # The regions of the grid are all of it but for the roads that lead out: nothing counts twice.
    if name == "grid":
        lost = -DECISION_S * city.room * len(city.lights) * earned
        vehicles = [one["figures"]["vehicles"] for one in found]
        assert lost == pytest.approx(delay * vehicles, rel=0.02)


@pytest.mark.parametrize("kind", ["trip", "vehicle"])
def test_who_waits_to_enter_costs_as_sumo_counts_it(kind: str, player, tmp_path: Path) -> None:
    city = case("stub-lane", crowd(tmp_path, kind))
    found = player.call("episode", city, "max-pressure", 400)
    figures, earned = found["figures"], found["returns"]
    assert found["waiting"] > 50
    assert figures["vehicles"] == figures["vehicles/light/C"] == 400
    lost = -DECISION_S * city.room * earned["delay"]
    assert lost == pytest.approx(figures["delay_s"] * 400, rel=0.05)
    assert 400 * figures["delay_s/light/C"] == pytest.approx(lost)
    assert figures["waiting_time_s/light/C"] == pytest.approx(figures["waiting_time_s"], rel=0.01)
    assert earned["wait"] < earned["queue"] < 0


def test_delay_is_what_plain_sumo_says(player, tmp_path: Path) -> None:
    """Its own program and nobody else's figures: SUMO as a user starts it."""
    routes, seconds = crowd(tmp_path, "vehicle"), 400
    city = case("stub-lane", routes)
    figures = player.call("episode", city, "fixed-time", seconds, 7)["figures"]
    out = tmp_path / "statistics.xml"
    subprocess.run(
        [sumo_tool("sumo"), "-n", city.network, "-r", routes, "--begin", "0", "--end", str(seconds),
         "--seed", "7", "--time-to-teleport", "-1", "--statistic-output", out,
         "--duration-log.statistics", "--no-step-log", "--tripinfo-output.write-unfinished",
         "--xml-validation", "never"],
        check=True, capture_output=True,
    )  # fmt: skip
    root = ElementTree.parse(out).getroot()
    trips, counts = root.find("vehicleTripStatistics"), root.find("vehicles")
    assert trips is not None
    assert counts is not None
    let_in, waiting = int(counts.attrib["inserted"]), int(counts.attrib["waiting"])
    late = float(trips.attrib["totalDepartDelay"])  # of those that still wait, too
    assert waiting > 100
    assert figures["vehicles"] == let_in + waiting
    assert figures["throughput"] == let_in - int(counts.attrib["running"])
    assert figures["depart_delay_s"] == pytest.approx(late / (let_in + waiting), abs=0.01)
    names = {"delay_s": "timeLoss", "travel_time_s": "duration", "waiting_time_s": "waitingTime"}
    for ours, theirs in names.items():
        total = let_in * float(trips.attrib[theirs]) + late
        assert figures[ours] == pytest.approx(total / (let_in + waiting), abs=0.01), ours


@pytest.mark.parametrize("name", ["grid", "stub-lane"])
def test_copies_get_what_the_city_gives(name: str, cities, player, tmp_path: Path) -> None:
    """By every reward, given the true influence; with a crowd that waits to enter, and without."""
    crowded = name == "stub-lane"
    city = case(name, crowd(tmp_path, every=2)) if crowded else cities[name]
    agent = 0 if crowded else 4
    actions = np.random.default_rng(0).integers(0, city.phases, (60, len(city.lights)))
    whole = player.call("city", city, actions)
    light = city.lights[agent].id
    pieces = batch(city, light, 4, tmp_path, *whole["counted"])
    influence = np.array(whole["influence"])[:, agent]
    alone = player.call("copies", pieces, actions[:, agent], influence)
    truth, mine = np.array(whole["rewards"])[..., agent], np.array(alone["rewards"])
    for i, reward in enumerate(REWARDS):
        means = truth[:, i].mean(), mine[:, i].mean()
        # of what a few cars waited at a few moments chance makes more than of sums over seconds
        assert means[1] == pytest.approx(means[0], rel=0.35 if reward == "wait" else 0.2), reward
        assert np.corrcoef(truth[:, i], mine[:, i].mean(1))[0, 1] > 0.7, reward
    waiting = np.array(alone["waiting"])
    assert (waiting[-1] > 20).all() == crowded
    before, after = alone["emptied"]
    assert after[0] == 0
    assert (after[1:] >= before[1:] - 5).all()


def test_who_stands_at_a_stop_of_its_own_loses_no_time(player, tmp_path: Path) -> None:
    routes = tmp_path / "bus.rou.xml"
    routes.write_text(
        '<routes><vType id="bus" vClass="bus"/><vehicle id="b" type="bus" depart="0">'
        '<route edges="W0 Win Eout"/><stop lane="W0_0" endPos="100" duration="60"/></vehicle>'
        "</routes>"
    )
    city = case("stub-lane", routes)
    found = player.call("episode", city, "fixed-time", 200)
    figures, each = found["figures"], DECISION_S * city.room
    assert figures["travel_time_s"] > 60 + figures["delay_s"]
    # braking for it and starting again, about 6 s, count here and not in SUMO
    assert -each * found["returns"]["delay"] == pytest.approx(figures["delay_s"], abs=8)
    assert 0 < -each * found["returns"]["queue"] < figures["delay_s"]
    assert figures["delay_s/class/bus"] == figures["delay_s"]
    assert figures["delay_s/class/passenger"] is None


def test_check_takes_figures_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """Of classes that are not there; with a reward that is not the default."""
    files = [f"--{what}={CASES / 'stub-lane' / name}" for what, name in FILES.items()]
    words = ["check", "traffic", *files, "--seconds", "50", "--reward", "pressure"]
    assert main(words) == 0, capsys.readouterr().err


def test_waiting_is_counted_by_the_second() -> None:
    waiting = Waiting(3, lambda car: {"a": (0,), "b": (0, 2)}.get(car, ()))
    assert waiting.second(["a"]) == ["a"]
    assert waiting.second(["a", "b", "elsewhere"]) == ["b", "elsewhere"]
    assert waiting.vehicles.tolist() == [2, 0, 1]
    assert waiting.seconds.tolist() == [3, 0, 1]
    assert waiting.second(["b"]) == []
    assert not waiting.knows("a")
    assert waiting.seconds.tolist() == [2, 0, 2]
    assert waiting.second([]) == []
    assert waiting.vehicles.tolist() == [0, 0, 0]
