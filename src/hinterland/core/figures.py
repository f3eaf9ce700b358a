"""Names of an evaluation's figures: in words, and which of them are parts of others.

A figure's name ends with its unit ("travel_time_s"). "FIGURE/KIND/PART", where FIGURE is one too,
is that figure of a part of the system: "delay_s/class/tram", "queue/light/A1".
"""

from collections.abc import Container, Mapping
from typing import Any, NamedTuple

UNITS = ("s", "m", "g", "kg", "kwh")
"""What a name may end with, after "_"."""


class Part(NamedTuple):
    """What the name of such a figure says."""

    figure: str
    kind: str
    part: str


def part_of(name: str, figures: Container[str]) -> Part | None:
    """What a name says if it is of a part; `figures` are the names of all."""
    words = name.split("/", 2)
    return Part(*words) if len(words) == 3 and words[0] in figures else None


def in_words(name: str) -> tuple[str, str]:
    """(what it is, its unit or ""): "travel_time_s" is ("travel time", "s")."""
    said, _, unit = name.rpartition("_")
    if not said or unit not in UNITS:
        said, unit = name, ""
    return said.replace("_", " "), unit


def parts_of(figures: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by kind, part and name: {"class": {"tram": {"delay_s": 30.0}}}; numbers alone, and
    not their standard deviations ("_std")."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, value in figures.items():
        if name.endswith("_std") and name.removesuffix("_std") in figures:
            continue
        if (of := part_of(name, figures)) and is_number(value):
            found.setdefault(of.kind, {}).setdefault(of.part, {})[of.figure] = value
    return found


def is_number(value: Any) -> bool:
    """Whether it can be shown as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def beside(figures: Mapping[str, Any], shown: Any) -> str:
    """Figures as they stand beside a return: "delay 24.7 s, travel time 88.1 s"."""
    said = []
    for name in shown:
        if is_number(value := figures.get(name)):
            what, unit = in_words(name)
            said.append(f"{what} {value:,.1f}{unit and ' '}{unit}")
    return ", ".join(said)
