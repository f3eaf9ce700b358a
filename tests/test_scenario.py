"""A user's whole scenario: what SUMO takes is taken, what it refuses is refused, in its words."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hinterland.api.systems import completed, with_anew
from hinterland.applies import check_applies
from hinterland.cli import main
from hinterland.cli.arguments import given_config
from hinterland.cli.train import parser
from hinterland.config import make_config
from hinterland.core import UserError
from hinterland.domains import load_domain
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.city import City, city_of
from hinterland.domains.traffic.city_domain import make_city
from hinterland.domains.traffic.netfile import pieces
from hinterland.domains.traffic.options import Options
from hinterland.domains.traffic.scenario import Scenario, check, make_scenario
from scenarios import plain_sumo, write_cross, write_town

CAR = '<trip id="a" depart="7" from="Win" to="Eout"/>'
FLOWS = "".join(
    f'<flow id="{a}" begin="0" end="100" period="9" from="{a}in" to="{b}out"/>'
    for a, b in ("WE", "EW", "NS", "SN")
)


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cross(tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="module")
def stage() -> Iterator[HostProcess]:
    with HostProcess("scenarios:Stage") as process:
        yield process


def files(folder: Path, **texts: str) -> dict[str, Path]:
    """Files of these texts; `a_b` is a.b.xml."""
    made = {name: folder / f"{name.replace('_', '.')}.xml" for name in texts}
    for name, text in texts.items():
        made[name].write_text(text)
    return made


def checked(scenario: Scenario) -> tuple[City, tuple[str, ...]]:
    """The city, and what SUMO warns of."""
    city = city_of(scenario)
    return city, check(scenario, city.begin, city.first)


# --- A scenario as it stands in a configuration


def test_a_configuration_runs_as_in_sumo(town: Path, stage: HostProcess) -> None:
    """The networks' own programs: to the last vehicle and millisecond what plain SUMO gives."""
    folder = town.parent
    before = sorted(folder.rglob("*"))
    domain = make_city(sumocfg=str(town))
    scenario = domain.city.scenario
    assert (scenario.begin, scenario.seconds, scenario.step, scenario.teleport) == (
        100,
        600,
        0.5,
        120,
    )
    assert len(scenario.routes) == 2
    assert len(scenario.additionals) == 4
    assert "--lateral-resolution" in scenario.driving()
    found = stage.call("play", domain.city, "fixed-time")
    assert sorted(folder.rglob("*")) == before  # neither detectors nor outputs write there
    notes = " ".join(domain.notes)
    assert "summary-output" in notes
    assert "in place of seed of" in notes
    plain = plain_sumo(["-c", town], folder)
    assert plain["vehicles"] > 100
    assert {name: found[name] for name in plain} == pytest.approx(plain, abs=1e-6)


def test_times_are_said_to_the_millisecond(cross: Path) -> None:
    words = Scenario(cross, step=0.125, teleport=1_234_567).arguments(7_654_321.25)
    assert {"7654321.250", "0.125", "1234567"} <= {*words}


def test_what_is_given_beside_a_configuration_wins(town: Path) -> None:
    scenario = make_scenario(
        sumocfg=str(town), begin=200, seconds=60, warm_up=20, teleport=-1, program="day"
    )
    words = scenario.arguments(200.0)
    assert words[words.index("--begin") + 1] == "200"
    assert words[words.index("--time-to-teleport") + 1] == "-1"
    assert words[words.index("--end") + 1] == "700"  # flows without an end have it
    assert make_scenario(sumocfg=str(town), warm_up=100).seconds == 500
    assert city_of(scenario).programs == (("A0", "day"),)


CONFIGURED = '<configuration><input><net-file value="{net}"/>{files}</input>{more}</configuration>'


def more(option: str, value: object) -> str:
    """A configuration that also says this."""
    return CONFIGURED.replace("{more}", f'<a><{option} value="{value}"/></a>')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no such file; a SUMO configuration"),
        ("<configuration", "SUMO refuses .*unexpected end of input"),
        ("<routes/>", "names no network: it has no net-file"),
        ("<configuration/>", "names no network: it has no net-file"),
        (more("bigin", 3), "No option with the name 'bigin'"),
        (more("begin", "noon"), "begin 'noon' is no time"),
        (more("end", "late"), "end 'late' is no time"),
        (more("step-length", "0"), "step-length 0 does not divide"),
        (more("mesosim", "true"), "mesosim has no lanes"),
        (more("step-length", 0.3), "step-length 0.3 does not divide a second"),
        (more("step-length", 2), "step-length 2 does not"),
        (more("end", 0), "ends at 0 s: no time is left"),
        (more("scale", -1), "SUMO refuses"),
        (CONFIGURED.replace("{files}", ""), "has no traffic"),
        (CONFIGURED.replace("{files}", '<route-files value="gone.xml"/>'), "gone.xml: there is no"),
    ],
)
def test_a_bad_configuration_gets_one_sentence(
    cross: Path, tmp_path: Path, text: str | None, message: str
) -> None:
    made = files(tmp_path, r_rou=f"<routes>{CAR}</routes>")
    file = tmp_path / "a.sumocfg"
    if text is not None:
        own = f'<route-files value="{made["r_rou"]}"/>'
        file.write_text(
            text.replace("{net}", str(cross)).replace("{files}", own).replace("{more}", "")
        )
    with pytest.raises(UserError, match=message) as raised:
        make_city(sumocfg=str(file))
    assert "\n" not in str(raised.value)


# --- Additional files

ADDITIONALS = {
    # what a file defines, and traffic that needs it; SUMO's word without it
    "busStop": (
        '<busStop id="x" lane="Win_0" startPos="100" endPos="120"/>',
        '<flow id="a" begin="0" end="90" period="30" from="Win" to="Eout">'
        '<stop busStop="x" duration="40"/></flow>',
        "SUMO refuses .*The busStop 'x' is not known in vehicle 'a'",
    ),
    "parkingArea": (
        '<parkingArea id="x" lane="Win_0" startPos="100" endPos="120" roadsideCapacity="2"/>',
        CAR.replace("/>", '><stop parkingArea="x" duration="40"/></trip>'),
        "SUMO refuses .*The parkingArea 'x' is not known",
    ),
    "containerStop": (
        '<containerStop id="x" lane="Win_0" startPos="100" endPos="120"/>',
        CAR.replace("/>", '><stop containerStop="x" duration="40"/></trip>'),
        "SUMO refuses .*'x' is not known",
    ),
    "vType": (
        '<vType id="x" maxSpeed="5"/>',
        CAR.replace("/>", ' type="x"/>'),
        "names the vehicle type 'x', which the file does not define",
    ),
    "route": (
        '<route id="x" edges="Win Eout"/>',
        '<vehicle id="a" depart="7" route="x"/>',
        "names the route 'x', which the file does not define",
    ),
    "taz": (
        '<taz id="x" edges="Win"/><taz id="y" edges="Eout"/>',
        '<trip id="a" depart="7" fromTaz="x" toTaz="y"/>',
        "SUMO refuses .*'x' not known",
    ),
}


@pytest.mark.parametrize("kind", ADDITIONALS)
def test_additional_files(cross: Path, stage: HostProcess, tmp_path: Path, kind: str) -> None:
    defined, traffic, message = ADDITIONALS[kind]
    made = files(
        tmp_path, x_add=f"<additional>{defined}</additional>", r_rou=f"<routes>{traffic}</routes>"
    )
    with pytest.raises(UserError, match=message) as raised:
        make_city(net=str(cross), routes=str(made["r_rou"]))
    assert "\n" not in str(raised.value)
    scenario = Scenario(cross, (made["r_rou"],), (made["x_add"],), seconds=200)
    city, warnings = checked(scenario)
    assert not warnings
    found = stage.call("play", city, "fixed-time")
    begin = f"{city.begin:g}"
    plain = plain_sumo(
        ["-n", cross, "-r", made["r_rou"], "-a", made["x_add"], "--begin", begin,
         "--end", f"{city.begin + 200:g}"], tmp_path,
    )  # fmt: skip
    assert {name: found[name] for name in plain} == pytest.approx(plain, abs=1e-6)


def test_traffic_may_lie_in_additional_files_alone(cross: Path, tmp_path: Path) -> None:
    late = CAR.replace("7", "70").replace('"a"', '"b"')
    made = files(tmp_path, x_add=f"<additional>{late}{CAR}</additional>")
    domain = make_city(net=str(cross), additional=str(made["x_add"]), seconds=60)
    assert domain.city.begin == 7  # those need no order


# --- Route files: includes, roots, several


def test_includes_are_read(cross: Path, stage: HostProcess, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    made = files(
        tmp_path,
        flat=f"<routes>{FLOWS}</routes>",
        outer='<routes><include href="deep/inner.xml"/></routes>',
        further=f"<flows>{FLOWS}</flows>",
    )
    (tmp_path / "deep" / "inner.xml").write_text('<a><include href="../further.xml"/></a>')
    found = []
    for name in ("flat", "outer"):
        city, _ = checked(Scenario(cross, (made[name],), seconds=150))
        found.append(stage.call("play", city, "fixed-time"))
    assert found[0] == found[1]
    assert found[0]["vehicles"] == 48


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("gone.xml", r"gone.xml: there is no such file \(included by .*inner.xml"),
        ("outer.xml", "inner.xml includes .*outer.xml, which includes it in turn"),
        ("./inner.xml", "inner.xml, which includes it in turn"),
        ("", "a folder, not a file"),
    ],
)
def test_bad_includes_get_one_sentence(
    cross: Path, tmp_path: Path, inner: str, message: str
) -> None:
    made = files(
        tmp_path,
        outer='<routes><include href="inner.xml"/></routes>',
        inner=f'<routes><include href="{inner}"/></routes>',
    )
    with pytest.raises(UserError, match=message):
        city_of(Scenario(cross, (made["outer"],)))


@pytest.mark.parametrize("root", ["trips", "flows", "additional", "demand", "vehicles"])
def test_any_root_is_taken_and_sumo_warns(cross: Path, tmp_path: Path, root: str) -> None:
    made = files(tmp_path, r_rou=f"<{root}>{CAR}</{root}>")
    city, warnings = checked(Scenario(cross, (made["r_rou"],)))
    assert (city.begin, city.end) == (7, 7)
    (warning,) = warnings
    assert warning.startswith(f"SUMO warns: Found root element '{root}' in file '{made['r_rou']}'")


def test_what_holds_traffic_is_looked_into(tmp_path: Path) -> None:
    text = (
        '<routes><trips><trip id="a"/></trips><interval begin="3" end="9"><flow id="b"/>'
        '<flow id="c" end="8"/></interval><rerouter id="d"><interval begin="0"/></rerouter>'
        "</routes>"
    )
    made = files(tmp_path, r_rou=text, alone=CAR)
    found = [dict(one.attrib) for one, _ in pieces(made["r_rou"], "routes", "a route file")]
    assert found == [
        {"id": "a"},
        {"id": "b", "begin": "3", "end": "9"},
        {"id": "c", "begin": "3", "end": "8"},
        {"id": "d"},
    ]
    assert [one.tag for one, _ in pieces(made["alone"], "routes", "a route file")] == ["trip"]


def test_several_route_files_run_together(cross: Path, stage: HostProcess, tmp_path: Path) -> None:
    """Each is sorted by itself; a vehicle type of the first one holds in all."""
    half = len(FLOWS) // 2
    kind = '<vType id="slow" maxSpeed="6"/>'
    made = files(
        tmp_path,
        both=f"<routes>{kind}{FLOWS}</routes>",
        one=f"<routes>{kind}{FLOWS[:half]}</routes>",
        two=f"<routes>{FLOWS[half:]}</routes>",
    )
    domain = make_city(net=str(cross), routes=f"{made['one']},{made['two']}", seconds=100)
    whole = city_of(Scenario(cross, (made["both"],), seconds=100))
    assert stage.call("play", domain.city, "fixed-time")["vehicles"] == 48
    assert stage.call("play", whole, "fixed-time")["vehicles"] == 48


PEOPLE = (
    '<person id="p" depart="3"><walk from="Win" to="Eout"/></person>',
    '<personFlow id="p" begin="3" end="60" period="30"><walk from="Win" to="Eout"/></personFlow>',
    '<container id="p" depart="3"><tranship from="Win" to="Win" arrivalPos="50"/></container>',
)


@pytest.mark.parametrize("people", PEOPLE)
def test_people_and_goods_may_travel_beside_cars(cross: Path, tmp_path: Path, people: str) -> None:
    made = files(
        tmp_path, r_rou=f"<routes>{people}{CAR}</routes>", p_rou=f"<routes>{people}</routes>"
    )
    assert checked(Scenario(cross, (made["r_rou"],)))[0].begin == 3
    with pytest.raises(UserError, match="no <vehicle>, <trip> or <flow>"):
        city_of(Scenario(cross, (made["p_rou"],)))


@pytest.mark.parametrize(
    "traffic",
    [
        '<trip id="a" depart="9" from="Win" to="Eout"/><person id="p" depart="3">'
        '<walk from="Win" to="Eout"/></person>',
        '<flow id="a" begin="9" end="99" number="3" from="Win" to="Eout"/>' + CAR,
    ],
)
def test_what_sumo_would_drop_is_refused(cross: Path, tmp_path: Path, traffic: str) -> None:
    made = files(tmp_path, r_rou=f"<routes>{traffic}</routes>")
    with pytest.raises(UserError, match="is not sorted by departure, so that SUMO would drop"):
        city_of(Scenario(cross, (made["r_rou"],)))
    # Where SUMO reads all at once, and those of public transport, need no order.
    city_of(Scenario(cross, (made["r_rou"],), options=(("route-steps", "0"),)))
    bus = traffic.replace('id="a"', 'line="1" id="a"')
    city_of(Scenario(cross, (files(tmp_path, bus=f"<routes>{bus}</routes>")["bus"],)))


LOST = {
    "trip": '<trip id="b" depart="{}" from="Eout" to="Win"/>',
    "flow": '<flow id="b" begin="{}" end="2000" number="2" from="Eout" to="Win"/>',
    "gap": '<vehicle id="b" depart="{}"><route edges="Win Ein"/></vehicle>',
}


@pytest.mark.parametrize("kind", LOST)
def test_vehicles_without_a_way_are_refused_as_in_sumo(
    cross: Path, tmp_path: Path, kind: str
) -> None:
    """Unless the user has SUMO go on, or the episode ends before them."""
    made = files(tmp_path, r_rou=f"<routes>{CAR}{LOST[kind].format(900)}</routes>")
    scenario = Scenario(cross, (made["r_rou"],))
    with pytest.raises(UserError, match=r"'b' of .*r.rou.xml has no way .* SUMO refuses"):
        city_of(scenario)
    assert not city_of(replace(scenario, seconds=600)).notes
    going_on = replace(scenario, options=(("ignore-route-errors", "true"),))
    assert "'b' of" in city_of(going_on).notes[0]
    # What is no car may have ways that cars have not: SUMO says it when it gets there.
    tram = LOST[kind].format(900).replace('id="b"', 'id="b" type="rail"')
    made["r_rou"].write_text(f'<routes><vType id="rail" vClass="tram"/>{CAR}{tram}</routes>')
    city_of(scenario)


# --- Programs of lights, and networks that SUMO refuses


def two_programs(cross: Path, folder: Path) -> tuple[Path, Path]:
    """(the cross with programs day and night, the same with day alone)."""
    text = cross.read_text().replace('programID="0"', 'programID="day"')
    end = text.index("</tlLogic>") + len("</tlLogic>")
    night = '<tlLogic id="C" type="static" programID="night" offset="0">' \
            '<phase duration="1000" state="oooooooooooo"/></tlLogic>'  # fmt: skip
    made = files(folder, both=text[:end] + night + text[end:], day=text)
    return made["both"], made["day"]


def test_the_program_of_lights_that_have_several(
    cross: Path, stage: HostProcess, tmp_path: Path
) -> None:
    both, day = two_programs(cross, tmp_path)
    routes = (files(tmp_path, r_rou=f"<routes>{FLOWS}</routes>")["r_rou"],)
    with pytest.raises(UserError, match="programs day, night of light C the last one runs, night"):
        city_of(Scenario(both, routes))
    with pytest.raises(UserError, match=r"--program dusk: no light of .*; there are day, night"):
        city_of(Scenario(both, routes, program="dusk"))
    chosen = city_of(Scenario(both, routes, program="day", seconds=120, begin=5))
    single = city_of(Scenario(day, routes, seconds=120, begin=5))
    assert (chosen.lights, chosen.notes) == (single.lights, ())
    assert (chosen.programs, single.programs) == ((("C", "day"),), ())
    for controller in ("fixed-time", "actuated", "max-pressure"):
        found = stage.call("play", chosen, controller)
        assert found == stage.call("play", single, controller)
    assert city_of(replace(single.scenario, program="day")) == replace(
        single, scenario=replace(single.scenario, program="day")
    )


WAUT = (
    '<additional><WAUT id="w" startProg="day" refTime="0"><wautSwitch time="0:01:00" to="night"/>'
    '</WAUT><wautJunction wautID="w" junctionID="C"/></additional>'
)


def test_a_schedule_of_programs_is_followed(
    cross: Path, stage: HostProcess, tmp_path: Path
) -> None:
    both, _ = two_programs(cross, tmp_path)
    text = both.read_text()
    day = text[text.index("<tlLogic") : text.index("</tlLogic>")]
    night = day.replace('"day"', '"night"').replace('"42"', '"11"') + "</tlLogic>"
    start = text.index("<tlLogic", text.index("</tlLogic>"))
    end = text.index("</tlLogic>", start) + len("</tlLogic>")
    both.write_text(text[:start] + night + text[end:])
    made = files(tmp_path, r_rou=f"<routes>{FLOWS}</routes>", w_add=WAUT)
    scenario = Scenario(both, (made["r_rou"],), (made["w_add"],), begin=0, seconds=150)
    city = city_of(scenario)
    assert city.lights[0].plan.cycle[0]["duration"] == "42"
    assert "a WAUT switches the programs of light C" in city.notes[0]
    assert city_of(replace(scenario, begin=60)).lights[0].plan.cycle[0]["duration"] == "11"
    words = ["-n", both, "-r", made["r_rou"], "-a", made["w_add"], "--end", "150"]
    plain = plain_sumo(words, tmp_path)
    found = stage.call("play", city, "fixed-time")
    assert {name: found[name] for name in plain} == pytest.approx(plain, abs=1e-6)
    # Who compares does so without it.
    alone = city_of(replace(scenario, additionals=(), program="day"))
    for controller in ("actuated", "max-pressure"):
        found = stage.call("play", city, controller)
        assert found == stage.call("play", alone, controller)


def test_programs_of_additional_files_come_last(town: Path) -> None:
    scenario = make_scenario(sumocfg=str(town))
    last, day, first = (city_of(replace(scenario, program=name)) for name in (None, "day", "0"))
    seconds = [city.lights[0].plan.cycle[0]["duration"] for city in (last, day, first)]
    assert seconds[:2] == ["60", "20"]
    assert seconds[2] not in seconds[:2]
    assert [city.programs for city in (last, day)] == [(), (("A0", "day"),)]
    assert {light for light, _ in first.programs} == {"A0"}  # others have no other one


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("rrrGGgrrrGGg", "rrrGGgrrrG", "Invalid linkIndex '10' in connection controlled by 'C'"),
        ("rrrGGgrrrGGg", "rrrGGgrrrXGg", "Illegal character 'X' in tlLogic 'C'"),
        ('duration="42"', 'duration="-3"', "duration"),
        ('to="Sout"', 'to="nowhere"', "nowhere"),
        ('speed="13.89"', 'speed="fast"', "damaged SUMO network: .*'fast'"),
    ],
)
def test_a_network_that_sumo_refuses(
    cross: Path, tmp_path: Path, before: str, after: str, message: str
) -> None:
    text = cross.read_text()
    assert before in text
    if before.startswith("r"):  # all states of the light are shorter
        cut = 12 - len(after)
        text = text.replace(before, after)
        for state in ("GGgrrrGGgrrr", "yyyrrryyyrrr", "rrryyyrrryyy") if cut else ():
            text = text.replace(state, state[:-cut])
    made = files(tmp_path, net=text.replace(before, after), r_rou=f"<routes>{CAR}</routes>")
    with pytest.raises(UserError, match=message) as raised:
        make_city(net=str(made["net"]), routes=str(made["r_rou"]))
    assert "\n" not in str(raised.value)


# --- Time


def test_a_warm_up_is_played_by_the_networks_own_programs_and_does_not_count(
    cross: Path, stage: HostProcess, tmp_path: Path
) -> None:
    flows = FLOWS.replace('end="100"', 'end="1000"').replace("9", "10")
    routes = (files(tmp_path, r_rou=f"<routes>{flows}</routes>")["r_rou"],)
    scenario = Scenario(cross, routes, seconds=200, warm_up=100)
    cold = replace(scenario, seconds=300, warm_up=0)
    for controller in ("fixed-time", "max-pressure"):
        found = stage.call("play", city_of(scenario), controller)
        assert found["vehicles"] == 80  # four each ten seconds
        assert stage.call("play", city_of(cold), controller)["vehicles"] == 120


def test_an_episode_begins_when_it_should(cross: Path, stage: HostProcess, tmp_path: Path) -> None:
    routes = (files(tmp_path, r_rou=f"<routes>{FLOWS}</routes>")["r_rou"],)
    for begin, wanted in ((None, 24), (45, 24), (81, 12)):
        city = city_of(Scenario(cross, routes, begin=begin, seconds=50))
        assert stage.call("play", city, "fixed-time")["vehicles"] == wanted
    for late in ({"begin": 200.0}, {"begin": 101.0}):
        with pytest.raises(UserError, match="nothing departs in an episode"):
            city_of(Scenario(cross, routes, **late))


def test_cars_are_moved_on_if_asked(cross: Path, stage: HostProcess, tmp_path: Path) -> None:
    stop = '<stop lane="Win_0" endPos="250" duration="900" />'
    traffic = CAR.replace("/>", f">{stop}</trip>") + CAR.replace('id="a"', 'id="b"')
    routes = (files(tmp_path, r_rou=f"<routes>{traffic}</routes>")["r_rou"],)
    stuck = Scenario(cross, routes, seconds=600)
    finished = [
        stage.call("play", city_of(replace(stuck, teleport=after)), "fixed-time")
        for after in (-1, 60)
    ]
    assert finished[0]["throughput"] < finished[1]["throughput"]


# --- The command line


def test_files_are_given_with_commas_or_again(tmp_path: Path) -> None:
    words = "train traffic --net n --routes a.xml,b.xml --routes c.xml --additional d.xml".split()
    given = given_config(parser("traffic").parse_args(words[1:]), "traffic")
    assert (given["routes"], given["additional"]) == ("a.xml,b.xml,c.xml", "d.xml")
    whole = Options.completed({"routes": given["routes"], "agents": 3})
    assert whole["routes"] == ",".join(
        str(Path(name).resolve()) for name in ("a.xml", "b.xml", "c.xml")
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sumocfg {cfg} --net {net}", "--net and --sumocfg exclude each other"),
        ("--sumocfg {cfg} --routes {net}", "--routes and --sumocfg exclude each other"),
        ("--sumocfg {cfg} --additional {net}", "--additional and --sumocfg exclude each other"),
        ("--sumocfg {cfg} --grid 2x2", "--grid and --sumocfg exclude each other"),
        ("--sumocfg {cfg} --inflow 0.3", "--inflow 0.3: is for grids"),
        ("--sumocfg {cfg} --seconds 4", "--seconds 4: an episode has at least one step of 5 s"),
        ("--sumocfg {cfg} --warm-up 700", "ends at 700 s: no time is left"),
        ("--sumocfg {cfg} --begin 9000", "ends at 700 s: no time is left"),
        ("--sumocfg {cfg} --begin 9000 --seconds 60", "nothing departs in an episode"),
        ("--sumocfg {cfg} --program dawn", "--program dawn: no light of"),
        ("--sumocfg {cfg} --teleport -2", "--teleport -2: must be at least -1"),
        ("--sumocfg {cfg} --agents 3", "--agents 3: .* has 4 lights that can learn"),
        ("--net {net}", "needs --routes"),
        ("--begin 3", "--begin 3: is for your own network"),
        ("--warm-up 3", "--warm-up 3: is for your own network"),
        ("--teleport 3", "--teleport 3: is for your own network"),
        ("--program 3", "--program 3: is for your own network"),
        ("--additional {net}", "--additional .*: is for your own network"),
        ("--routes {net}", "--routes .*: is for your own network"),
    ],
)
def test_an_option_that_cannot_apply_is_refused(town: Path, words: str, message: str) -> None:
    given = words.format(cfg=town, net=town.parent / "town.net.xml").split()

    def begin() -> None:
        options = parser("traffic").parse_args(["traffic", *given])
        config = make_config(completed({**given_config(options, "traffic"), "domain": "traffic"}))
        check_applies(config)
        load_domain("traffic", config.agents, config.domain_options)

    with pytest.raises(UserError, match=message):
        begin()


@pytest.mark.parametrize(
    ("settings", "anew", "message"),
    [
        ({"domain": "corridor"}, {"seconds": 9}, "--seconds is an option of traffic and not of"),
        ({"domain": "traffic"}, {"seconds": 9}, "--seconds 9: is for your own network"),
        (
            {"domain": "traffic", "net": "a", "routes": "b"},
            {"routes": "c"},
            "--routes is of training; an evaluation may change: --begin, --seconds, --warm-up, --t",
        ),
        ({"domain": "traffic", "net": "a", "routes": "b"}, {"begin": -1}, "--begin -1: must be at"),
    ],
)
def test_an_evaluation_may_not_change_all(
    settings: dict[str, Any], anew: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        with_anew(make_config(settings), anew)


def test_a_town_from_its_configuration_end_to_end(
    town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained, with a report; evaluated on another window; watched."""
    run = tmp_path / "run"
    little = (
        f"--out {run} --simulation global --steps 8 --hidden 8 --trunk 8 --copies 1 --windows 1 "
        "--window 8 --epochs 1 --minibatches 1 --evaluations 1 --evaluate-episodes 2 "
        "--final-episodes 2 --seconds 20 --warm-up 10 --devices 1"
    )
    assert main(["train", "traffic", "--sumocfg", str(town), *little.split()]) == 0
    said = capsys.readouterr().err
    assert "note: SUMO warns: Not using public transport line '1'" in said
    assert (run / "report.html").exists()
    words = ["evaluate", str(run), "--policy", "fixed-time", "--episodes", "2", "--seconds", "60"]
    assert main([*words, "--warm-up", "0", "--json"]) == 0
    out = capsys.readouterr().out
    assert ", --seconds 60, --warm-up 0" in out
    assert '"options": {"seconds": 60, "warm_up": 0}' in out
    assert main(["watch", str(run), "--out", str(tmp_path / "a.html")]) == 0
