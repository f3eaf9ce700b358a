"""What lights may show: greens and clearances in programs of every kind, and who is served."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hinterland.core import UserError
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.city import City, read_city
from hinterland.domains.traffic.city_controllers import actuated_file, programs
from hinterland.domains.traffic.city_domain import CityDomain
from hinterland.domains.traffic.city_drawing import CityDrawing
from hinterland.domains.traffic.cutting import batch
from hinterland.domains.traffic.netfile import Program
from hinterland.domains.traffic.network import run_tool
from hinterland.domains.traffic.phases import Plan, read_plan
from hinterland.domains.traffic.signals import Signals

CASES = Path(__file__).parent / "data" / "traffic"
SIMULATION = "hinterland.domains.traffic.city_simulation:CityTraffic"
BATCH = "hinterland.domains.traffic.local_batch:LocalBatch"
STEPS = 60


def case(name: str) -> City:
    return read_city(CASES / name / "net.net.xml", CASES / name / "r.rou.xml")


def program(text: str, kind: str = "static", **parameters: str) -> Program:
    """Phases, each in a line: state, seconds, other attributes."""
    phases = []
    for line in text.strip().splitlines():
        state, lasts, *others = line.split()
        phases.append({"state": state, "duration": lasts} | dict(one.split("=") for one in others))
    return Program(kind, tuple(phases), parameters)


def plan(text: str, people: str = "", **how: str) -> Plan:
    """Ways are numbered; `people` names those that are crossings."""
    one = program(text, **how)
    crossings = {int(word) for word in people.split()}
    return read_plan("C", one, set(range(one.width)) - crossings, crossings)


def said(shown: tuple) -> str:
    return " ".join(f"{state}{lasts}" for state, lasts in shown)


def test_left_turns_of_their_own() -> None:
    """A left turn that must give way keeps its green until it need not."""
    found = plan("GgrG 30\nygry 4\nrGrr 6\nryrr 4\nrrGr 30\nrryr 4")
    assert found.greens == ("GgrG", "rGrr", "rrGr")
    assert said(found.between[0][1]) == "ygry4"
    assert said(found.between[0][2]) == "yyry4"
    assert said(found.between[1][0]) == ""  # nobody loses green
    assert not found.yellow_added
    assert not found.unseen


def test_permanent_green_is_no_phase() -> None:
    found = plan("GGrr 30\nGyrr 4\nGrrr 2\nGrGg 30\nGryy 4\nGrrr 1")
    assert found.greens == ("GGrr", "GrGg")
    assert said(found.between[0][1]) == "Gyrr4 Grrr2"
    assert said(found.between[1][0]) == "Gryy4 Grrr1"


def test_who_goes_first_may_be_all_that_changes() -> None:
    found = plan("Gg 30\ngG 30")
    assert found.greens == ("Gg", "gG")
    assert found.driven == (0, 1)
    assert said(found.between[0][1]) == ""


def test_arrows_that_turn_right_on_red() -> None:
    """They are there in every phase, and green in one: all red but for them is no phase."""
    found = plan("GsG 30\nysy 3\nsss 2\nsGr 30\nsyr 3\nsss 2")
    assert found.greens == ("GsG", "sGr")
    assert said(found.between[0][1]) == "ysy3 sss2"
    # a way that never has more than an arrow is served by it
    assert plan("Grs 30\nyrs 3\nrGr 30\nryr 3").greens == ("Grs", "rGr")


def test_red_with_yellow() -> None:
    found = plan("Grr 30\nyrr 3\nrur 1\nrGr 30\nryr 3\nrru 2\nrrG 30\nrry 3\nurr 1")
    assert found.greens == ("Grr", "rGr", "rrG")
    assert said(found.between[0][1]) == "yrr3 rur1"
    assert said(found.between[0][2]) == "yrr2 yru1 rru1"  # never in the program


def test_lights_that_are_off() -> None:
    """Off ways may be taken; a light that is off altogether is no phase, nor on the way to one."""
    found = plan("OGr 30\nyyr 3\nrrG 15\nrrr 6", people="2")
    assert found.greens == ("OGr", "rrG")
    assert said(found.between[0][1]) == "yyr3"
    off = plan("Gr 30\nyr 3\noo 60\nrG 30\nry 3")
    assert off.greens == ("Gr", "rG")
    assert said(off.between[0][1]) == "yr3"
    assert not off.yellow_added
    assert len(plan("oO 90").greens) < 2


def test_people_are_cleared_before_cars() -> None:
    """The crossing is closed first: that is no green of its own, but part of the way to the next;
    nor is a head start."""
    found = plan("GrGr 30\nGrrr 6\nyrrr 3\nrrrr 2\nrrrG 2\nrGrG 30\nryrr 3\nrrrr 2", people="2 3")
    assert found.greens == ("GrGr", "rGrG")
    assert said(found.between[0][1]) == "Grrr6 yrrr3 rrrr2 rrrG2"
    assert found.crossings == ((0,), (1,))
    assert found.driven == (0, 1)
    # where what is left lasts, or varies, it is a phase
    assert len(plan("GrGr 30\nGrrr 20\nyrrr 3\nrGrG 30\nryrr 3", people="2 3").greens) == 3
    varies = "GrGr 30\nGrrr 6 minDur=5 maxDur=9\nyrrr 3\nrGrG 30\nryrr 3"
    assert len(plan(varies, people="2 3").greens) == 3


def test_ways_close_as_in_the_program_wherever_it_never_goes() -> None:
    found = plan(
        """gGrrG 30
           gGrrr 5
           yyrrr 3
           rrGrr 6
           rryrr 3
           rrrrr 2
           rrrGr 30
           rrryr 4
           rrrrr 1""",
        people="4",
    )
    assert found.greens == ("gGrrG", "rrGrr", "rrrGr")
    assert said(found.between[0][1]) == "gGrrr5 yyrrr3"
    assert said(found.between[0][2]) == "gGrrr5 yyrrr3"
    assert said(found.between[1][0]) == "rryrr3 rrrrr2"
    assert said(found.between[2][1]) == "rrryr4 rrrrr1"


def test_no_yellow_at_all() -> None:
    found = plan("GGrG 30\nrrGr 30", people="3")
    assert said(found.between[0][1]) == "yyrr3"
    assert said(found.between[1][0]) == "rryr3"
    assert found.yellow_added
    assert [phase["state"] for phase in found.cycle] == ["GGrG", "yyrr", "rrGr", "rryr"]
    # red is a clearance as well
    red = plan("GGr 30\nrrr 4\nrrG 30\nrrr 4")
    assert said(red.between[0][1]) == "rrr4"
    assert not red.yellow_added
    # one way without: its own comes before, so that all are closed at the same moment
    some = plan("GGr 30\nyGr 3\nrrG 30\nrry 3\nrGr 20\nrGr 3")
    assert some.greens == ("GGr", "rrG", "rGr")
    assert some.yellow_added
    assert said(some.between[0][1]) == "yyr3"


def test_programs_that_branch() -> None:
    """`next` leads over other transitions, which are played as they are."""
    found = plan(
        """Grr 30 minDur=5 maxDur=50 next=1,3
           yrr 3
           rGr 30 minDur=7 maxDur=50 next=4
           yrr 5 next=5
           ryr 3 next=0
           rrG 30 minDur=5 maxDur=50 next=6
           rry 3 next=0""",
        kind="actuated",
    )
    assert found.greens == ("Grr", "rGr", "rrG")
    assert found.least_green == (5, 7, 5)
    assert said(found.between[0][1]) == "yrr3"
    assert said(found.between[0][2]) == "yrr5"
    assert said(found.between[1][2]) == "ryr3"
    # the round has all of them, so that no controller leaves somebody out
    assert {"Grr", "rGr", "rrG"} <= {phase["state"] for phase in found.cycle}


def test_times() -> None:
    found = plan("Gr 0:00:30 minDur=-1\nyr 2.5\nrG 30 minDur=6.5\nry 3")
    assert said(found.between[0][1]) == "yr3"
    assert found.least_green == (5, 7)
    with pytest.raises(UserError, match="light 'C' is damaged: duration=\"soon\" is no time"):
        plan("Gr soon\nrG 30")
    with pytest.raises(UserError, match="light 'C' is damaged: next=\"7\" of 2 phases"):
        plan("Gr 30 next=7\nrG 30")


def test_who_waits_by_hand_clears_nothing() -> None:
    """Red for a day, as of lights that a user switches, lies between no two greens."""
    found = plan("Gr 30\nyr 3\nrr 86400\nrG 30\nry 3")
    assert said(found.between[0][1]) == "yr3"


def test_ways_that_nobody_takes() -> None:
    one = program("GrG 30\nyry 3\nrGr 24\nryr 3\nrrG 20\nrry 3")
    found = read_plan("C", one, {0, 2}, set())
    assert found.greens == ("GrG", "rrG")
    two = read_plan("C", program("Grr 30\nyrr 3\nrGr 24\nryr 3\nrrG 20\nrry 3"), {0, 2}, set())
    assert said(two.between[0][1]) == "yrr3"


def test_green_only_while_others_change_is_said() -> None:
    found = plan("Grr 30\nyGr 3\nrrG 30\nrry 3")
    assert found.greens == ("Grr", "rrG")
    assert found.unseen == (1,)


@pytest.mark.parametrize("kind", ["static", "actuated", "delay_based", "off"])
def test_lists_of_states_are_read_alike(kind: str) -> None:
    text = "Gr 30\nyr 3\nrr 2\nrG 30\nry 3\nrr 2"
    assert plan(text, kind=kind) == plan(text)


def test_two_rings() -> None:
    """Of each ring one phase is green, on one side of a barrier: eight pairs of eight phases."""
    states = ["r" * i + "G" + "r" * (7 - i) for i in range(8)]
    text = "\n".join(
        f"{state} 99 minDur={5 + i} maxDur=40 yellow={3 + (i > 3)} red=1 name={i + 1}"
        for i, state in enumerate(states)
    )
    found = plan(text, kind="NEMA", ring1="1,2,3,4", ring2="5,6,7,8")
    pairs = {frozenset(i + 1 for i, sign in enumerate(one) if sign == "G") for one in found.greens}
    sides = ((1, 2), (5, 6)), ((3, 4), (7, 8))
    assert pairs == {frozenset((a, b)) for one, two in sides for a in one for b in two}
    assert len(found.greens) == 8
    first = found.greens.index("GrrrGrrr")
    assert found.least_green[first] == 9
    assert said(found.between[first][found.greens.index("GrrrrGrr")]) == "Grrryrrr4 Grrrrrrr1"
    # yellow of 3 s in one ring, of 4 s in the other; then a second of red
    shown = said(found.between[first][found.greens.index("rrGrrrGr")])
    assert shown == "Grrryrrr1 yrrryrrr3 rrrrrrrr1"
    with pytest.raises(UserError, match="light 'C' is damaged: a ring names phase 9"):
        plan(text, kind="NEMA", ring1="1,2,3,9", ring2="5,6,7,8")
    order = [phase["state"] for phase in found.cycle if phase["state"] in found.greens]
    assert order == ["GrrrGrrr", "rGrrrGrr", "rrGrrrGr", "rrrGrrrG"]


def test_cases() -> None:
    """The lights of real kinds that failed: greens, and seconds between the first two."""
    found = {name: case(name).lights[0].plan for name in
             ("tram-phase", "ped-phase", "always-green", "no-yellow", "nema")}  # fmt: skip
    assert {name: len(one.greens) for name, one in found.items()} == {
        "tram-phase": 3, "ped-phase": 3, "always-green": 2, "no-yellow": 2, "nema": 2,
    }  # fmt: skip
    seconds = {name: [lasts for _, lasts in one.between[0][1]] for name, one in found.items()}
    assert seconds == {"tram-phase": [3], "ped-phase": [3], "always-green": [4, 2],
                       "no-yellow": [3], "nema": [3, 2]}  # fmt: skip
    assert found["tram-phase"].greens[2] == "rrrrrrrrrGrrr"
    assert found["ped-phase"].greens[2] == "rrrrrrrrrrrrGGGG"
    assert found["ped-phase"].driven == (0, 1)
    assert set(found["nema"].greens) == {"GGgrrrGGgrrr", "rrrGGgrrrGGg"}  # both approaches


def test_trams_alone_are_traffic(tmp_path: Path) -> None:
    routes = tmp_path / "trams.rou.xml"
    routes.write_text(
        '<routes><vType id="tram" vClass="tram"/>'
        '<flow id="f" type="tram" begin="0" end="900" period="90" from="Tin" to="Tout"/></routes>'
    )
    city = read_city(CASES / "tram-phase/net.net.xml", routes)
    assert city.lights[0].plan.driven == (0, 1, 2)


def test_notes() -> None:
    notes = {name: " ".join(case(name).notes) for name in ("ped-phase", "no-yellow", "nema")}
    assert "light 'C': agents do not see people on foot wait" in notes["ped-phase"]
    assert "light 'C': some greens end without yellow" in notes["no-yellow"]
    assert "(lights by kind: 1 NEMA)" in notes["nema"]
    assert "a pair of NEMA phases" in notes["nema"]
    assert not case("tram-phase").notes


@pytest.mark.parametrize(
    ("kind", "name"),
    [("static", "fixed-time"), ("actuated", "actuated"), ("delay_based", "delay-based")],
)
def test_baselines_have_the_names_of_what_runs(tmp_path: Path, kind: str, name: str) -> None:
    net = tmp_path / "net.net.xml"
    net.write_text(
        (CASES / "always-green/net.net.xml").read_text().replace('"static"', f'"{kind}"')
    )
    city = read_city(net, CASES / "always-green/r.rou.xml")
    assert set(programs(city)) == {"own-program", "actuated", name}
    # what is actuated in the network keeps its own rules
    assert ("tlLogic" in actuated_file(city)) == (kind != "actuated")
    assert CityDomain(city).scripted["heuristic"] == "actuated"


def test_nema_is_no_fixed_time() -> None:
    assert set(programs(case("nema"))) == {"own-program", "actuated", "nema"}
    phases = [one.get("state") for one in ElementTree.fromstring(actuated_file(case("nema")))[0]]
    assert phases == ["GGgrrrGGgrrr", "yyyrrryyyrrr", "r" * 12,
                      "rrrGGgrrrGGg", "rrryyyrrryyy", "r" * 12]  # fmt: skip


def shown_by(session: HostProcess, city: City, controller: str | None, seconds: int) -> list[str]:
    """States of the first light, second by second; without a controller agents choose at random."""
    actions = np.random.default_rng(0).integers(0, city.phases, (seconds, len(city.lights)))
    session.begin("reset", 1, controller)
    states = []
    for action in actions:
        session.call("step", action)
        states.append(session.call("picture")["states"][0])
    return states


def changes(states: list[str]) -> set[tuple]:
    """What was shown between two greens, with the seconds of each state."""
    runs: list[list] = []
    for state in states:
        if not runs or runs[-1][0] != state:
            runs.append([state, 0])
        runs[-1][1] += 1
    greens = [i for i, (state, _) in enumerate(runs) if "G" in state and "y" not in state]
    return {
        (runs[a][0], tuple(map(tuple, runs[a + 1 : b])), runs[b][0]) for a, b in pairwise(greens)
    }


def test_all_that_are_compared_are_cleared_alike() -> None:
    """Agents, max-pressure and actuated: the same yellow, though the network has none."""
    city = case("no-yellow")
    city = replace(city, scenario=replace(city.scenario, decision=1))
    a, b = city.lights[0].greens
    both = {(a, (("yyyrrryyyrrr", 3),), b), (b, (("rrryyyrrryyy", 3),), a)}
    with HostProcess(SIMULATION, city) as session:
        for controller in (None, "max-pressure", "actuated"):
            assert changes(shown_by(session, city, controller, 160)) == both, controller
        # the network's own, untouched
        assert set(shown_by(session, city, "fixed-time", 20)) == {a}


def test_fixed_time_is_what_sumo_does(tmp_path: Path) -> None:
    city = case("ped-phase")
    with HostProcess(SIMULATION, city) as session:
        session.begin("reset", 1, "fixed-time", True)
        for _ in range(STEPS):
            session.call("step", [0])
        ours = session.call("metrics")
    run_tool("sumo", [
        "-n", city.network, "-r", *city.routes, "--end", 5 * STEPS, "--seed", 1, "--no-step-log",
        "--no-warnings", "--tripinfo-output", tmp_path / "trips.xml",
        "--tripinfo-output.write-unfinished", "--time-to-teleport", -1,
    ])  # fmt: skip
    trips = ElementTree.parse(tmp_path / "trips.xml").getroot().findall("tripinfo")
    theirs = [float(one.get("waitingTime", 0)) + float(one.get("departDelay", 0)) for one in trips]
    assert ours["waiting_time_s"] == pytest.approx(np.mean(theirs), rel=1e-9)


def test_people_cross_whatever_agents_want() -> None:
    """A light that is to hold its first phase for ever lets them cross once in a round."""
    city = case("ped-phase")
    (light,) = city.lights
    signals = Signals(city.lights, city.people)
    shown, least = [], light.plan.longest_wait
    for second in range(3 * least + 60):
        if second % 5 == 0:
            signals.decide(np.zeros(1, int))
        signals.second()
        shown.append(int(signals.phase[0]) if signals.age[0] else None)
        assert 0 <= signals.features(3)[0, -1] <= 1
    crossed = [second for second, phase in enumerate(shown) if phase == 2]
    assert least == 86
    assert crossed
    assert max(b - a for a, b in pairwise(crossed)) <= least + 5 + 3 + 5
    assert shown.count(1) == 0
    # where nobody walks, nobody is let across
    alone = Signals(city.lights)
    for _ in range(200):
        alone.decide(np.zeros(1, int))
        alone.second()
    assert alone.phase[0] == 0


def test_trams_are_seen_and_served(tmp_path: Path) -> None:
    """By max-pressure in the city, and in copies, into which they come on their track."""
    city = case("tram-phase")
    (light,) = city.lights
    assert light.users[light.lanes.index("Tin_0")] == "tram"
    with HostProcess(SIMULATION, city) as session:
        session.begin("reset", 1, "max-pressure", True)
        influence = np.zeros(city.lanes, int)
        greens = set()
        for _ in range(STEPS):
            influence += session.call("step", [0])["influence"][0]
            picture = session.call("picture")
            greens.add(int(picture["phase"][0]))
        ways = session.call("ways")
    slot = light.lanes.index("Tin_0")
    assert influence[slot] > 1
    assert greens == {0, 1, 2}
    drawing = CityDrawing(city)
    assert drawing.scene()["shapes"]
    assert drawing.frame(picture)
    pieces = batch(city, "C", 2, tmp_path, ways)
    assert pieces.kinds[slot] == ("tram",)
    assert pieces.ways[slot] == (("Tin", "Tout"),)
    with HostProcess(BATCH, pieces) as local:
        local.begin("reset", 1)
        comes = np.zeros((2, city.lanes), int)
        comes[0, slot] = 1
        numbers = np.zeros(local.call("numbers_shape"))
        local.call("step", np.full(2, 2), comes, numbers)
        rewards = [local.call("step", np.full(2, 2), 0 * comes, numbers) for _ in range(12)]
        seen = np.array([one["dset"].reshape(2, -1, 3)[:, slot, :2].sum(1) for one in rewards])
    assert seen[:, 0].max() > 0
    assert seen[-1, 0] == 0  # it went on at its green
    assert not seen[:, 1].any()
