"""A town with everything that a scenario of SUMO's may have, as its files stand in one folder."""

import os
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.network import run_tool, sumo_tool

PROGRAM = """<tlLogic id="A0" type="static" programID="{id}" offset="0">
<phase duration="{green}" state="GGgrrrGGgrrr"/><phase duration="3" state="yyyrrryyyrrr"/>
<phase duration="{green}" state="rrrGGgrrrGGg"/><phase duration="3" state="rrryyyrrryyy"/>
</tlLogic>"""
FILES = {
    "types.add.xml": """<additional>
<vType id="car" speedDev="0.1"/><vType id="bus" vClass="bus" accel="1.2"/>
<route id="line" edges="left0A0 A0B0 B0right0"/>
</additional>""",
    "stops.add.xml": """<additional>
<busStop id="west" lane="left0A0_0" startPos="60" endPos="80"/>
<busStop id="east" lane="B0right0_0" startPos="60" endPos="80"/>
</additional>""",
    "detectors.add.xml": """<additional>
<inductionLoop id="loop" lane="left0A0_0" pos="150" period="60" file="loop.xml"/>
<include href="more.add.xml"/>
</additional>""",
    "more.add.xml": """<additional>
<laneAreaDetector id="area" lane="A0B0_0" pos="10" endPos="100" period="60" file="area.xml"/>
<edgeData id="edges" file="edges.xml" period="60"/>
</additional>""",
    "lights.add.xml": f"""<additional>
{PROGRAM.format(id="day", green=20)}{PROGRAM.format(id="night", green=60)}
</additional>""",
    "cars.rou.xml": """<routes>
<interval begin="100" end="700"><flow id="west" type="car" period="8" from="left0A0" to="B0right0"/>
<flow id="north" type="car" period="8" from="top0A1" to="A0bottom0"/></interval>
<include href="inner/more.rou.xml"/>
</routes>""",
    "inner/more.rou.xml": """<trips>
<trip id="late" type="car" depart="120" from="right1B1" to="A1left1"/>
</trips>""",
    "buses.rou.xml": """<routes>
<flow id="bus" type="bus" line="1" route="line" begin="100" end="700" period="120">
<stop busStop="west" duration="20"/><stop busStop="east" duration="20"/></flow>
<personFlow id="people" begin="100" end="700" period="120">
<personTrip from="left0A0" busStop="west"/><ride busStop="east" lines="1"/></personFlow>
</routes>""",
    "town.sumocfg": """<sumoConfiguration>
<input><net-file value="town.net.xml"/><route-files value="cars.rou.xml,buses.rou.xml"/>
<additional-files value="types.add.xml, stops.add.xml, detectors.add.xml, lights.add.xml"/></input>
<time><begin value="0:01:40"/><end value="700"/><step-length value="0.5"/></time>
<processing><time-to-teleport value="120"/><lateral-resolution value="0.8"/></processing>
<output><summary-output value="summary.xml"/></output>
<random_number><seed value="42"/></random_number>
</sumoConfiguration>""",
}


def write_town(folder: Path) -> Path:
    """Writes it; its configuration."""
    options = "--grid --grid.number 2 --grid.length 200 --grid.attach-length 200 "
    options += "--default-junction-type traffic_light --no-turnarounds true -o"
    run_tool("netgenerate", [*options.split(), folder / "town.net.xml"])
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder / "town.sumocfg"


def write_cross(folder: Path) -> Path:
    """A light C between four roads of one lane: north, east, south and west; its network."""
    ends = {"N": (0, 300), "E": (300, 0), "S": (0, -300), "W": (-300, 0)}
    nodes = '<node id="C" x="0" y="0" type="traffic_light"/>' + "".join(
        f'<node id="{name}" x="{x}" y="{y}" type="dead_end"/>' for name, (x, y) in ends.items()
    )
    edges = "".join(
        f'<edge id="{name}in" from="{name}" to="C"/><edge id="{name}out" from="C" to="{name}"/>'
        for name in ends
    )
    (folder / "cross.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "cross.edg.xml").write_text(f"<edges>{edges}</edges>")
    net = folder / "cross.net.xml"
    run_tool("netconvert", ["-n", folder / "cross.nod.xml", "-e", folder / "cross.edg.xml",
                            "-o", net, "--no-turnarounds", "true"])  # fmt: skip
    return net


class Stage:
    """Plays whole episodes of whatever city, in one process for them all."""

    def play(self, city: City, controller: str, seed: int = 1) -> dict[str, float]:
        """The figures of an episode."""
        # SUMO is for the process in which this runs.
        from hinterland.domains.traffic.city_simulation import CityTraffic

        simulation = CityTraffic(city)
        try:
            simulation.reset(seed, controller, figures=True)
            for _ in range(city.scenario.seconds // city.scenario.decision):
                simulation.step(np.zeros(len(city.lights), int))
            return simulation.metrics()
        finally:
            simulation.close()


def plain_sumo(words: Sequence[str | Path], folder: Path, seed: int = 1) -> dict[str, float]:
    """The same figures of SUMO alone."""
    trips = folder / "plain.xml"
    tool = sumo_tool("sumo")
    subprocess.run(
        [tool, *words, "--seed", str(seed), "--tripinfo-output", trips, "--no-step-log", "true",
         "--tripinfo-output.write-unfinished", "true",
         "--tripinfo-output.write-undeparted", "true"],
        env={**os.environ, "SUMO_HOME": str(Path(tool).parents[1])}, cwd=folder, check=True,
        capture_output=True,
    )  # fmt: skip
    every = [
        trip
        for trip in ElementTree.parse(trips).getroot().findall("tripinfo")
        if float(trip.attrib["depart"]) >= 0 or float(trip.attrib["departDelay"]) > 0
    ]

    def mean(*names: str) -> float:
        return float(np.mean([sum(float(trip.attrib[name]) for name in names) for trip in every]))

    return {
        "delay_s": mean("timeLoss", "departDelay"),
        "travel_time_s": mean("duration", "departDelay"),
        "waiting_time_s": mean("waitingTime", "departDelay"),
        "throughput": float(sum(float(trip.attrib["arrival"]) >= 0 for trip in every)),
        "vehicles": float(len(every)),
    }
