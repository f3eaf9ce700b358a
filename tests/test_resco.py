"""`hinterland bench resco` on a tiny network in the place of RESCO's; decisions and yellow."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hinterland.cli import main
from hinterland.core import UserError
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic import bench_resco
from hinterland.domains.traffic.city import City, city_of
from hinterland.domains.traffic.city_controllers import Greedy, MaxPressure, actuated_file
from hinterland.domains.traffic.scenario import make_scenario

CASE = Path(__file__).parent / "data" / "traffic" / "stub-lane"
TINY = {"hidden": 8, "trunk": 8, "copies": 2, "windows": 1, "window": 2, "minibatches": 1}
"""For `global`, which fits no predictors: what compiles costs most here."""
CONFIGURATION = """<configuration>
<input><net-file value="net.net.xml"/><route-files value="r.rou.xml"/></input>
<time><begin value="0"/><end value="120"/></time>
</configuration>"""


def make_package(folder: Path) -> Path:
    """sumo_rl as it lies on the disk, with a network of one light under one of the names."""
    package = folder / "sumo_rl"
    network = package / "nets" / "RESCO" / "cologne1"
    network.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it is imported')")
    for name in ("net.net.xml", "r.rou.xml"):
        shutil.copy(CASE / name, network)
    (network / "cologne1.sumocfg").write_text(CONFIGURATION)
    return network


def bench(*words: object) -> int:
    return main(["bench", "resco", *map(str, words)])


def test_a_network_is_compared_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(bench_resco, "LEARNERS", {"global": {"simulation": "global", **TINY}})
    words = ["--networks", "cologne1", "--rows", "fixed-time", "greedy", "global", "--seeds", 1]
    words += ["--episodes", 1, "--held-out", 2, "--out", tmp_path / "out", "--json"]
    assert bench(*words) == 0
    first = capsys.readouterr()
    *lines, line = first.out.splitlines()
    found = json.loads(line)
    (learned,) = found["results"]["cologne1"]["global"]
    assert learned["delay_s"].keys() == {"best", "sampled", "greedy"}
    assert learned["steps"] >= 12  # a decision every ten seconds
    assert found["published"]["delay_s"]["IPPO"]["cologne1"] == 43.24
    (fixed,) = found["results"]["cologne1"]["fixed-time"]
    assert f"fixed-time, held-out{fixed['delay_s']['sampled']:>35.2f}" in "\n".join(lines)
    assert any(x.startswith("published: IPPO") and x.endswith("43.24") for x in lines)
    # again: nothing is played, and other settings are not mixed in
    assert bench(*words) == 0
    again = capsys.readouterr()
    assert json.loads(again.out.splitlines()[-1]) == found
    assert again.err.count("kept in") == 3
    words[words.index("--episodes") + 1] = 2
    assert bench(*words) == 2
    assert (
        "is a run with other settings: remove it, or take another --out"
        in (capsys.readouterr().err.splitlines()[-1])
    )


def test_where_the_package_is_missing_a_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sumo_rl", None)
    assert bench("--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install --no-deps sumo-rl==1.4.5" in line
    assert not (tmp_path / "out").exists()
    monkeypatch.delitem(sys.modules, "sumo_rl")
    network = make_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert bench("--networks", "cologne3") == 2
    assert "cologne3 is not in this sumo-rl" in capsys.readouterr().err
    shutil.rmtree(network.parent)
    with pytest.raises(UserError, match=r"no such folder; 1\.4\.5 has it"):
        bench_resco.networks_folder()


def test_the_published_table_has_what_is_compared() -> None:
    published = bench_resco.published_table()
    names = set(bench_resco.NETWORKS)
    assert {name for row in published["delay_s"].values() for name in row} == names
    for row in published["learners"]:
        assert published["delay_s"][row].keys() == names
    assert published["rules"].keys() - names == {"usual"}


def city(**how: Any) -> City:
    files = {"net": str(CASE / "net.net.xml"), "routes": str(CASE / "r.rou.xml")}
    return city_of(make_scenario(**files, seconds=120, **how))


def test_yellow_and_least_green_may_be_the_users() -> None:
    (own,), (light,) = city().lights, city(yellow=2, least_green=7).lights
    assert light.greens == own.greens
    for a, green in enumerate(light.greens):
        for b, following in enumerate(light.greens):
            shown = light.plan.between[a][b]
            if a == b:
                assert shown == ()
                continue
            ((state, lasts),) = shown
            assert lasts == 2
            for before, now, after in zip(green, state, following, strict=True):
                closes = before in "Gg" and after not in "Gg"
                assert now == ("y" if closes else before)
    assert set(light.plan.least_green) == {7}
    assert 'minDur="7"' in actuated_file(city(yellow=2, least_green=7))


def test_a_decision_may_last_longer() -> None:
    long = city(decision=10, yellow=3, least_green=7)
    assert (city().classes, long.classes) == (4, 7)
    with HostProcess("hinterland.domains.traffic.city_simulation:CityTraffic", long) as session:
        session.begin("reset", 1, None, True)
        phases = []
        for step in range(12):
            session.call("step", [step % len(long.lights[0].greens)])
            phases.append(int(session.call("picture")["phase"][0]))
        assert session.call("metrics")["vehicles"] > 0
    # each is heeded: 3 s of yellow and 7 of green are a decision
    assert phases == [step % len(long.lights[0].greens) for step in range(12)]


def test_greedy_does_not_look_behind() -> None:
    one = city()
    ((_, pressing),), ((_, wanting),) = MaxPressure(one, 0)._weights, Greedy(one, 0)._weights
    before = len(one.lights[0].lanes)
    assert np.array_equal(pressing[:, :before], wanting[:, :before])
    assert pressing[:, before:].min() < 0
    assert not wanting[:, before:].any()
