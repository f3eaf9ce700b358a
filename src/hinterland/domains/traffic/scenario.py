"""What SUMO is given to run a user's city, and what it says of it before the first episode."""

import os
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from hinterland.core import UserError
from hinterland.core.reading import is_there, read_bytes
from hinterland.domains.scratch import scratch
from hinterland.domains.traffic.netfile import seconds
from hinterland.domains.traffic.network import sumo_tool

SECONDS = 1200
"""Of an episode, where nothing says how long it is."""
DECISION_S = 5
"""Seconds of an agents' step, as in sumo-rl; yellow is part of it."""
CONFIGURATION_SIZE = 10_000_000
PATIENCE_S = 1800
"""SUMO reads the largest networks and their traffic in less."""
AHEAD_S = 5
"""Seconds that SUMO goes on in a check after the first departure."""
SHOWN = 8
"""Warnings of SUMO that are said; of more, how many there are."""
OUTPUTS = ("output", "tripinfo_device")
"""Sections of a configuration that say what SUMO writes: each episode would write it anew."""
NOT_OURS = (*OUTPUTS, "report", "traci_server", "gui_only")
"""Sections that are not passed on; the others are, but for what `Scenario` has in fields."""
DRIVING = (
    "step-method", "lateral-resolution", "ignore-junction-blocker", "collision.", "default.",
    "lanechange.", "time-to-impatience", "time-to-teleport.", "tls.yellow.min-decel",
)  # fmt: skip
"""How options begin that decide how vehicles move, whatever the network."""
FIELDS = ("begin", "step-length", "time-to-teleport")
"""Options that `Scenario` has in fields."""
NEVER = -1
"""Seconds until a car that stands is moved on; as SUMO writes that it never is."""


@dataclass(frozen=True)
class Scenario:
    """A user's files and how SUMO is to run them; times in seconds.

    Attributes:
        net: path of the .net.xml file.
        routes: of route files.
        additionals: of additional files.
        begin: when an episode begins; None: with the first departure.
        seconds: that it lasts, after `warm_up`.
        warm_up: seconds before, in which the network's own programs run and nothing counts.
        step: of SUMO's clock.
        teleport: after so long a car that stands is moved on; not positive: never.
        program: of the lights that have it; None: of each light the one that SUMO reads last.
        decision: seconds from one decision of the lights to the next: a step of the agents.
        yellow: seconds of it between any two greens, and nothing else; None: what the network has.
        least_green: seconds that every green lasts at least; None: what the network has, or 5.
        options: further ones of a configuration, as they are.
        validation: its options about the validation of XML.
        notes: what a user should know of it.
    """

    net: Path
    routes: tuple[Path, ...] = ()
    additionals: tuple[Path, ...] = ()
    begin: float | None = None
    seconds: int = SECONDS
    warm_up: int = 0
    step: float = 1.0
    teleport: float = NEVER
    program: str | None = None
    decision: int = DECISION_S
    yellow: int | None = None
    least_green: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    validation: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether the user's own configuration lets SUMO go on with vehicles without a way."""
        return dict(self.options).get("ignore-route-errors") == "true"

    @property
    def in_order(self) -> bool:
        """Whether SUMO reads route files as it goes, so that they must be sorted."""
        ahead = seconds(dict(self.options).get("route-steps", "200"))
        return ahead is None or ahead > 0

    def files(self) -> tuple[Path, ...]:
        """All that are named here."""
        return (self.net, *self.routes, *self.additionals)

    def arguments(self, begin: float, *more: Path) -> list[str]:
        """SUMO's command line, but for what is said and written.

        Args:
            begin: of the episode.
            more: additional files that come last.
        """
        additionals = [*self.additionals, *more]
        return [
            *("--net-file", str(self.net)),
            *(["--route-files", ",".join(map(str, self.routes))] if self.routes else []),
            *(["--additional-files", ",".join(map(str, additionals))] if additionals else []),
            *("--begin", _time(begin)),
            *("--step-length", _time(self.step), "--time-to-teleport", _time(self.teleport)),
            *(word for name, value in self.options for word in (f"--{name}", value)),
        ]

    def driving(self) -> list[str]:
        """What of the command line decides how vehicles move, for other networks too."""
        return [
            *("--step-length", _time(self.step), "--time-to-teleport", _time(self.teleport)),
            *(
                word
                for name, value in self.options
                if name.startswith(DRIVING)
                for word in (f"--{name}", value)
            ),
        ]

    def __str__(self) -> str:
        """The files, for messages."""
        first, *others = self.routes or self.additionals or (self.net,)
        return f"{self.net} with {first}" + (f" and {len(others)} more" if others else "")


def _time(s: float) -> str:
    """As SUMO reads it, whose clock has milliseconds."""
    return str(int(s)) if s == int(s) else f"{s:.3f}"


def make_scenario(
    net: str | None = None,
    routes: str | None = None,
    additional: str | None = None,
    sumocfg: str | None = None,
    begin: int | None = None,
    seconds: int | None = None,
    warm_up: int = 0,
    teleport: int | None = None,
    program: str | None = None,
    decision: int = DECISION_S,
    yellow: int | None = None,
    least_green: int | None = None,
) -> Scenario:
    """Of the options of the domain; paths, several with commas in between.

    Raises:
        UserError: some exclude each other or are missing, or SUMO refuses the configuration.
    """
    if sumocfg is None:
        if net is None or not (routes or additional):
            raise UserError(f"--net {net} needs --routes: the file that says who drives where")
        found = Scenario(Path(net), _paths(routes), _paths(additional))
        end = None
    else:
        for flag, given in (("net", net), ("routes", routes), ("additional", additional)):
            if given is not None:
                raise UserError(
                    f"--{flag} and --sumocfg exclude each other: the configuration names its files"
                )
        found, end = _configured(Path(sumocfg))
    start = found.begin if begin is None else begin
    if seconds is None:
        seconds = SECONDS if end is None else int(end - (start or 0.0) - warm_up)
        if seconds < 1:
            raise UserError(
                f"{sumocfg} ends at {end:g} s: no time is left for an episode from {start:g} s on"
                + (f" and {warm_up} s of --warm-up" if warm_up else "")
            )
    return replace(
        found,
        begin=start,
        seconds=seconds,
        warm_up=warm_up,
        teleport=found.teleport if teleport is None else teleport,
        program=program,
        decision=decision,
        yellow=yellow,
        least_green=least_green,
    )


def _paths(files: str | None) -> tuple[Path, ...]:
    return tuple(Path(file.strip()) for file in (files or "").split(",") if file.strip())


def _saved(files: str) -> tuple[Path, ...]:
    """Of a configuration that SUMO has written: it escapes blanks, those after commas too."""
    paths = (Path(unquote(file)) for file in files.split(",") if file)
    return tuple(path.parent / path.name.strip() for path in paths)


def _configured(file: Path) -> tuple[Scenario, float | None]:
    """What a .sumocfg file says, and when it ends; SUMO itself reads it.

    Raises:
        UserError: SUMO refuses it, or it asks for something that has no meaning here.
    """
    if not is_there(file):
        raise UserError(f"{file}: there is no such file; a SUMO configuration (.sumocfg) is needed")
    read_bytes(file, CONFIGURATION_SIZE)  # a device would keep SUMO waiting
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        whole = Path(folder) / "whole.sumocfg"
        # Names of files in it become whole ones if its own is.
        _run(str(file), ["-c", str(file.resolve()), "--save-configuration", str(whole)])
        sections = {
            section.tag: {one.tag: one.get("value", "") for one in section}
            for section in ElementTree.parse(whole).getroot()
        }
    sections.pop("configuration", None)
    if sections.get("mesoscopic", {}).get("mesosim") == "true":
        raise UserError(f"{file}: mesosim has no lanes for a light to see; leave it out")
    options = {
        name: value
        for section, inside in sections.items()
        if section not in NOT_OURS
        for name, value in inside.items()
    }
    net = options.pop("net-file", None)
    if net is None:
        raise UserError(f"{file} names no network: it has no net-file")

    def time(name: str, default: str) -> float:
        value = seconds(text := options.get(name, default))
        if value is None:
            raise UserError(f"{file}: {name} '{text}' is no time")
        return value

    step, end = time("step-length", "1"), time("end", "-1")
    if step <= 0 or round(1 / step) * round(step * 1000) != 1000:
        raise UserError(f"{file}: step-length {step:g} does not divide a second")
    left_out = [name for section in OUTPUTS for name in sections.get(section, {})]
    own = [name for name in ("random", "seed") if options.pop(name, None) is not None]
    notes = []
    if left_out:
        notes.append(f"what {file} has SUMO write is not written: {', '.join(left_out)}")
    if own:
        notes.append(f"each episode has its own seed, in place of {' and '.join(own)} of {file}")
    return Scenario(
        net=Path(unquote(net)),
        routes=_saved(options.pop("route-files", "")),
        additionals=_saved(options.pop("additional-files", "")),
        begin=time("begin", "0"),
        step=step,
        teleport=time("time-to-teleport", "300"),
        options=tuple((name, value) for name, value in options.items() if name not in FIELDS),
        validation=tuple(
            (name, value)
            for name, value in sections.get("report", {}).items()
            if name.startswith("xml-validation")
        ),
        notes=tuple(notes),
    ), end if end >= 0 else None


def check(scenario: Scenario, begin: float, first: float) -> tuple[str, ...]:
    """Has SUMO read all that an episode needs, and go on a little; its warnings.

    Args:
        scenario: whose.
        begin: of the episode.
        first: the first departure; SUMO reads what comes later when it gets there.

    Raises:
        UserError: SUMO refuses it; in its own words.
    """
    options = {**dict(scenario.options), "end": _time(max(begin, first) + AHEAD_S)}
    if scenario.in_order:
        options["route-steps"] = str(scenario.warm_up + scenario.seconds)
    options |= {"no-step-log": "true", "aggregate-warnings": "3", **dict(scenario.validation)}
    whole = replace(scenario, options=tuple(options.items()))
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        said = _run(str(scenario), [*whole.arguments(begin), *into(Path(folder))])
    warnings = _messages(said, "Warning")
    more = len(warnings) - SHOWN
    return (
        *(f"SUMO warns: {text}" for text in warnings[:SHOWN]),
        *((f"SUMO warns of {more} more things",) if more > 0 else ()),
    )


def into(folder: Path) -> list[str]:
    """Options of SUMO that put what detectors and the like write into a folder.

    SUMO sets the prefix before the file's name, which lies in the folder of the additional file:
    from there the way leads up to the root first, and then down again.
    """
    return ["--output-prefix", "../" * 64 + str(folder.resolve()).lstrip("/") + "/"]


def _run(what: str, words: Sequence[str]) -> str:
    """What SUMO, run to its end, says on standard error.

    Raises:
        UserError: it refuses.
    """
    tool = sumo_tool("sumo")
    surroundings = {**os.environ, "SUMO_HOME": str(Path(tool).parents[1])}
    try:
        done = subprocess.run(
            [tool, *words],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=surroundings,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"SUMO has not read {what} within {PATIENCE_S} s") from None
    if done.returncode:
        ended = f"it crashed (status {done.returncode}) and did not say why"
        errors = _messages(done.stderr, "Error") or [ended]
        more = f" (and {len(errors) - 2} more)" if len(errors) > 2 else ""
        raise UserError(
            f"SUMO refuses {what}: {'; '.join(x.rstrip('.') for x in errors[:2])}{more}"
        )
    return done.stderr


def _messages(said: str, kind: str) -> list[str]:
    """SUMO's messages of a kind, each in one line; lines that go on with one are indented."""
    found: list[list[str]] = []
    inside = False
    for line in said.splitlines():
        if line.startswith(f"{kind}: "):
            found.append([line.removeprefix(f"{kind}: ")])
            inside = True
        elif line.startswith(" ") and inside:
            found[-1].append(line)
        else:
            inside = False
    return [" ".join(" ".join(lines).split()) for lines in found]
