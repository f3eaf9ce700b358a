"""Cities for tests, made by SUMO's own generators, and what must be true of every one."""

import os
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from hinterland.domains.traffic.city import City, read_city
from hinterland.domains.traffic.demand import reached
from hinterland.domains.traffic.netfile import read_network
from hinterland.domains.traffic.network import run_tool

KINDS = {
    "rand": ["--rand", "--rand.iterations", "30", "--tls.guess", "true",
             "--tls.guess.threshold", "40", "--default.lanenumber", "2", "--seed", "4"],
    "spider": ["--spider", "--spider.arm-number", "5", "--spider.circle-number", "2",
               "--default-junction-type", "traffic_light"],
    "grid": ["--grid", "--grid.number", "3", "--grid.length", "150", "--grid.attach-length", "150",
             "--default-junction-type", "traffic_light"],
}  # fmt: skip


def package(name: str) -> Path | None:
    """Folder of an installed package, which is not imported."""
    spec = find_spec(name)
    places = spec and spec.submodule_search_locations
    return Path(next(iter(places))) if places else None


def random_trips(net: Path, file: Path, count: int, every: float = 1.0) -> Path:
    """Trips between random edges that cars may use; those that have no way are left out."""
    numbers = random.Random(3)
    network = read_network(net)
    edges = [edge for edge, successors in network.successors.items() if successors]
    pairs = [(numbers.choice(edges), numbers.choice(edges)) for _ in range(count)]
    trips = "".join(
        f'<trip id="t{i}" depart="{i * every}" from="{start}" to="{end}"/>'
        for i, (start, end) in enumerate(pairs)
        if reached(network.successors, start) >= {end}
    )
    file.write_text(f"<routes>{trips}</routes>")
    return file


def make_cities(folder: Path) -> dict[str, City]:
    """One city of each of netgenerate's kinds; the spider's traffic is SUMO's own tool's."""
    found = {}
    for kind, options in KINDS.items():
        net, routes = folder / f"{kind}.net.xml", folder / f"{kind}.rou.xml"
        run_tool("netgenerate", [*options, "--no-turnarounds", "true", "-o", net])
        random_trips(net, routes, 200, every=2.0)
        found[kind] = read_city(net, routes)
    home = package("sumo")
    assert home is not None
    subprocess.run(
        [sys.executable, home / "tools" / "randomTrips.py", "-n", folder / "spider.net.xml",
         "-o", folder / "spider.rou.xml", "-e", "200", "--seed", "1"],
        env={**os.environ, "SUMO_HOME": str(home)}, cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    found["spider"] = read_city(folder / "spider.net.xml", folder / "spider.rou.xml")
    return found


def check_light_by_light(city: City) -> None:
    """What must be true of every agent whatever the network."""
    assert city.action_mask.sum() == sum(len(light.greens) for light in city.lights)
    assert [light.id for light in city.lights] == sorted(light.id for light in city.lights)
    for light in city.lights:
        assert 1 <= len(light.lanes) == len(set(light.lanes)) <= city.lanes
        assert 2 <= len(light.greens) == len(set(light.greens)) <= city.phases
        cars = [index for index, _, _ in light.links]
        assert cars == sorted(cars)
        for a, before in enumerate(light.greens):
            # or it is for people on foot
            assert a not in light.plan.driven or any(before[i] in "Gg" for i in cars)
            for b, after in enumerate(light.greens):
                stops = [i for i in cars if before[i] in "Gg" and after[i] not in "Gg"]
                between = light.plan.between[a][b]
                # people on foot may be cleared before: cars still have green then
                assert all(any(state[i] in "yY" for state, _ in between) for i in stops)
                assert all(between[-1][0][i] not in "Gg" for i in stops)
                assert all(duration >= 1 for _, duration in between)
