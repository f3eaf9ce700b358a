"""Figures of an episode's vehicles and people, out of SUMO's own record of their trips."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHOWN = ("delay_s", "travel_time_s")
"""What of these figures stands beside the return."""
PEOPLE = "person"
"""Their class; those of vehicles are SUMO's, such as "passenger" and "tram"."""


class Trip(NamedTuple):
    """Of one vehicle or person, in seconds, up to the episode's end."""

    kind: str
    """Its class."""
    delay: float
    """timeLoss + departDelay."""
    lasted: float
    """duration + departDelay."""
    late: float
    """departDelay."""
    waited: float
    """waitingTime + departDelay."""
    stops: float
    co2_g: float | None
    finished: bool


def read_trips(
    file: Path, kinds: Mapping[str, str], since: float, ended: float
) -> tuple[list[Trip], list[Trip]]:
    """(vehicles, people) that wanted to depart in an episode, let in or not.

    Those that were taken off the road, since there is no way to where they go, do not count.

    Args:
        file: written with unfinished and undeparted trips.
        kinds: the class of each vehicle type.
        since: when the episode began to count, in seconds of SUMO's clock.
        ended: when it ended.
    """
    vehicles, people = [], []
    for trip in ElementTree.parse(str(file)).getroot():
        if (
            trip.tag == "tripinfo"
            and trip.get("vaporized") != "traci"
            and _wanted(trip, since, ended)
        ):
            vehicles.append(_vehicle(trip, kinds))
        elif trip.tag == "personinfo" and _number(trip, "depart") >= max(0.0, since):
            people.append(_person(trip, ended))
    return vehicles, people


def _vehicle(trip: ElementTree.Element, kinds: Mapping[str, str]) -> Trip:
    late, emissions = _number(trip, "departDelay"), trip.find("emissions")
    return Trip(
        kind=kinds.get(trip.get("vType", ""), "passenger"),
        delay=_number(trip, "timeLoss") + late,
        lasted=_number(trip, "duration") + late,
        late=late,
        waited=_number(trip, "waitingTime") + late,
        stops=_number(trip, "waitingCount"),
        co2_g=None if emissions is None else _number(emissions, "CO2_abs") / 1000,
        finished=float(trip.get("arrival", -1)) >= 0,
    )


def _person(trip: ElementTree.Element, ended: float) -> Trip:
    stages = [stage for stage in trip if stage.tag in ("walk", "ride")]
    finished = all(float(stage.get("arrival", -1)) >= 0 for stage in stages)
    # SUMO computes what a walk has lost at its end: until then it is the time for which one stood.
    delay = sum(
        max(_number(stage, "timeLoss"), _number(stage, "waitingTime"))
        if stage.tag == "walk"
        else _number(stage, "timeLoss")
        for stage in stages
    )
    return Trip(
        kind=PEOPLE,
        delay=delay,
        lasted=_number(trip, "duration") if finished else ended - _number(trip, "depart"),
        late=0.0,
        waited=_number(trip, "waitingTime"),
        stops=0.0,
        co2_g=None,
        finished=finished,
    )


def _number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name, 0))


def _wanted(trip: ElementTree.Element, since: float, ended: float) -> bool:
    """Whether it was to depart since then and before the episode's end, of which SUMO records
    those of that very moment too; all in seconds of its clock, which has milliseconds."""
    departs, late = _number(trip, "depart"), _number(trip, "departDelay")
    there = departs if departs >= 0 else ended
    return (departs >= 0 or late > 0) and there - late > since - 0.0005


def means(trips: Sequence[Trip]) -> dict[str, float]:
    """Delay, travel time, waits to enter and waiting time in seconds per trip, stops per trip, g of
    CO2 per trip where SUMO has computed it; trips that ended, and trips."""
    found = {
        "delay_s": _mean([trip.delay for trip in trips]),
        "travel_time_s": _mean([trip.lasted for trip in trips]),
        "depart_delay_s": _mean([trip.late for trip in trips]),
        "waiting_time_s": _mean([trip.waited for trip in trips]),
        "stops": _mean([trip.stops for trip in trips]),
        "throughput": float(sum(trip.finished for trip in trips)),
        "vehicles": float(len(trips)),
    }
    if any(trip.co2_g is not None for trip in trips):  # who never departed has emitted nothing
        found["co2_g"] = _mean([trip.co2_g or 0.0 for trip in trips])
    return found


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values or [0.0]))


def by_class(
    vehicles: Sequence[Trip], people: Sequence[Trip], classes: Iterable[str]
) -> dict[str, float | None]:
    """`means` as "FIGURE/class/CLASS"; None where nobody of that class wanted to depart."""
    found: dict[str, float | None] = {}
    for kind in sorted({*classes, PEOPLE}):
        trips = people if kind == PEOPLE else [trip for trip in vehicles if trip.kind == kind]
        figures = {"co2_g": 0.0, **means(trips)}
        if kind == PEOPLE:
            del figures["depart_delay_s"], figures["stops"], figures["co2_g"]
        found |= {f"{name}/class/{kind}": x if trips else None for name, x in figures.items()}
    return found
