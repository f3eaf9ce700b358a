"""Two towns to train in: one that SUMO's netgenerate makes, and ten lights of Berlin.

    python examples/city.py towns
    hinterland study towns/made.toml
    hinterland study towns/berlin.toml

writes networks, routes and study files into the folder `towns`. All of it is SUMO's own: the tools
are in the installed package eclipse-sumo, and so is Berlin's network, which stays where it is.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MADE = ["--rand", "--rand.iterations", "20", "--rand.min-distance", "150", "--rand.max-distance",
        "300", "--default-junction-type", "traffic_light", "--no-turnarounds", "true",
        "--seed", "1"]  # fmt: skip
BERLIN = "tools/game/DRT/osm.net.xml"
EVERY_S = {"made": 1.5, "berlin": 1.0}
"""Seconds from one car to the next in the whole town: queues, but no gridlock."""
SECONDS = 600
FLOWS = 60
"""Pairs of first and last edge; cars come at random on each, others with every seed."""

STUDY = """\
# {title}
name = "{name}"
title = "{title}"
seeds = [0, 1]

[base]
domain = "traffic"
net = {net}
routes = {routes}
seconds = {seconds}
steps = 30_000
windows = 1
refreshes = 3
predictor_episodes = 8
evaluations = 2
evaluate_episodes = 8
final_episodes = 16

[variants.dials]
simulation = "dials"

[variants.untrained]
simulation = "untrained"
"""
TITLES = {
    "made": "A town that netgenerate made",
    "berlin": "Ten lights of Berlin",
}


def sumo_home() -> Path:
    """The folder of the installed package, which is not imported."""
    spec = find_spec("sumo")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("SUMO is missing: pip install 'hinterland[sumo]'")
    return Path(next(iter(spec.submodule_search_locations)))


def run(home: Path, *command: str | Path) -> None:
    """Runs one of SUMO's tools to its end; what it says is shown if it fails."""
    environment = {**os.environ, "SUMO_HOME": str(home)}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


def write_traffic(home: Path, net: Path, routes: Path, every: float) -> None:
    """Random flows through a network, mostly from border to border."""
    run(
        home, sys.executable, home / "tools" / "randomTrips.py", "-n", net,
        "-o", routes.with_suffix(".trips.xml"), "-r", routes, "-e", SECONDS, "-p", every,
        "--flows", FLOWS, "--poisson", "--fringe-factor", 5, "--min-distance", 300,
        "--vehicle-class", "passenger", "--validate", "--seed", 1,
    )  # fmt: skip


def main(folder: Path) -> None:
    """Writes both towns into the folder."""
    home = sumo_home()
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()  # study files name their networks from anywhere
    nets = {"made": folder / "made.net.xml", "berlin": home / BERLIN}
    run(home, home / "bin" / "netgenerate", *MADE, "-o", nets["made"])
    for name, net in nets.items():
        routes, study = folder / f"{name}.rou.xml", folder / f"{name}.toml"
        write_traffic(home, net, routes, EVERY_S[name])
        study.write_text(
            STUDY.format(
                name=f"city-{name}",
                title=TITLES[name],
                net=repr(str(net)),
                routes=repr(str(routes)),
                seconds=SECONDS,
            )
        )
        print(f"hinterland study {study}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/city.py FOLDER")
    main(Path(sys.argv[1]))
