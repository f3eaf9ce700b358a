"""Figures of an episode by light, beside those of the whole."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import libsumo
import numpy as np

if TYPE_CHECKING:
    from hinterland.domains.traffic.costs import Costs


class LightFigures:
    """What the region of each light has seen in an episode.

    Args:
        lights: their ids.
    """

    def __init__(self, lights: Sequence[str]) -> None:
        self._lights = lights
        self._sums = np.zeros((3, len(lights)))
        self._co2_mg = np.zeros(len(lights))
        self._stops = np.zeros(len(lights))
        self._stood: set[tuple[int, str]] = set()
        self._stand: set[tuple[int, str]] = set()
        self._came: set[tuple[int, str]] = set()
        self._here: set[tuple[int, str]] = set()
        self._waiting = np.zeros(len(lights))
        self._seconds = 0

    def begin(self) -> None:
        """Before the vehicles of a second."""
        self._here, self._stood, self._stand = set(), self._stand, set()

    def vehicle(self, light: int, car: str, stands: bool) -> None:
        """One that is in a light's region."""
        self._here.add((light, car))
        if stands:
            self._stand.add((light, car))
            self._stops[light] += (light, car) not in self._stood
        self._co2_mg[light] += libsumo.vehicle.getCO2Emission(car)

    def close(self, waiting: np.ndarray) -> None:
        """After the vehicles of a second; those that wait to enter, [light]."""
        self._came |= self._here
        self._waiting = waiting.copy()
        self._seconds += 1

    def step(self, costs: "Costs") -> None:
        """After a step, whose sums `costs` has."""
        self._sums += (costs.lost, costs.stood, costs.outside)

    def queue(self) -> float:
        """Vehicles that stand in a light's region, mean over lights and seconds."""
        _, stood, outside = self._sums
        return float((stood - outside).sum()) / max(1, self._seconds) / len(self._lights)

    def figures(self) -> dict[str, float | None]:
        """As "FIGURE/light/ID"; None where there was nobody.

        Seconds, stops and grams are per vehicle that came into the region or waits to enter it, and
        of its time there; throughput is of those that have left it.
        """
        came, here = (self._counts(cars) for cars in (self._came, self._here))
        vehicles = came + self._waiting
        lost, stood, outside = self._sums
        means = {"delay_s": lost, "waiting_time_s": stood, "stops": self._stops,
                 "co2_g": self._co2_mg / 1000}  # fmt: skip
        sums = {"queue": (stood - outside) / max(1, self._seconds), "throughput": came - here,
                "vehicles": vehicles}  # fmt: skip
        found: dict[str, float | None] = {}
        for place, light in enumerate(self._lights):
            there = vehicles[place]
            for name, values in means.items():
                found[f"{name}/light/{light}"] = float(values[place] / there) if there else None
            found |= {f"{name}/light/{light}": float(x[place]) for name, x in sums.items()}
        return found

    def _counts(self, cars: set[tuple[int, str]]) -> np.ndarray:
        return np.bincount([light for light, _ in cars], minlength=len(self._lights))
