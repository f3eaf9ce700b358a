"""What the vehicles of a light's region lose, and the rewards that are made of it.

All of it is read from the SUMO of this process, second by second, in the same way in a whole city
and in copies of one region: so a reward is a function of the region and its influence alone.
"""

from collections.abc import Callable, Sequence

import libsumo
import numpy as np

from hinterland.domains.traffic.city import Light
from hinterland.domains.traffic.network import HALTING

MINUTE = 60.0
LEAVING_M = 50.0
"""Of the lanes behind a light, so much is its own: no queue from further on should reach it."""


class Waiting:
    """Vehicles that should have entered a region, and find no room.

    Args:
        count: of regions.
        where: the regions before which a vehicle waits, by its id; asked once of each.
    """

    def __init__(self, count: int, where: Callable[[str], Sequence[int]]) -> None:
        self._where = where
        self._now = 0
        self._since: dict[str, tuple[Sequence[int], int]] = {}
        self.vehicles = np.zeros(count)
        """[region], those that wait now."""
        self.seconds = np.zeros(count)
        """[region], for which these have waited, in all."""

    def second(self, pending: Sequence[str]) -> list[str]:
        """After a second of simulation; the vehicles that did not wait before it.

        Args:
            pending: those that wait now.
        """
        new = [car for car in pending if car not in self._since]
        for car in new:
            self._since[car] = (self._where(car), self._now)
        if len(self._since) > len(pending):
            self._since = {car: self._since[car] for car in pending}
        self._now += 1
        self.vehicles[:] = self.seconds[:] = 0
        for regions, since in self._since.values():
            for region in regions:
                self.vehicles[region] += 1
                self.seconds[region] += self._now - since
        return new

    def knows(self, car: str) -> bool:
        """Whether it waits, or did until this second."""
        return car in self._since


class Costs:
    """Sums over the vehicles of each region since `begin`; arrays are [light].

    A second of simulation is `second`, then `vehicle` for each vehicle of each region, then
    `close`. A vehicle at a stop of its own (a bus) neither loses time nor stands, as in SUMO.

    Args:
        lights: whose regions.
        reward: a name of `REWARDS`.
    """

    def __init__(self, lights: Sequence[Light], reward: str) -> None:
        self._reward = REWARDS[reward]
        self._count = len(lights)
        self._waits, self._presses = reward == "wait", reward == "pressure"
        self._behind = [dict.fromkeys(out for _, _, out in light.links) for light in lights]
        self._before = [{lane.rsplit("_", 1)[0] for lane in light.lanes} for light in lights]
        self._stopped: set[str] = set()
        self._stood: set[tuple[int, str]] = set()
        self.begin()

    def begin(self) -> None:
        """Before the first second of a step."""
        self.lost, self.stood, self.stops, self.pace = np.zeros((4, self._count))
        self.inside, self.outside, self.behind, self.waited = np.zeros((4, self._count))

    def second(self) -> None:
        """Before the vehicles of a second are told."""
        self._stopped.update(libsumo.simulation.getStopStartingVehiclesIDList())
        self._stopped.difference_update(libsumo.simulation.getStopEndingVehiclesIDList())
        self._stand: set[tuple[int, str]] = set()
        self.waited = np.zeros(self._count)

    def vehicle(self, light: int, car: str, speed: float) -> None:
        """One of a light's region, with its speed in metres per second."""
        self.inside[light] += 1
        if car in self._stopped:
            self.pace[light] += 1
            return
        # SUMO's own timeLoss: by the limit, the vehicle's fastest and its driver's habit.
        pace = speed / max(libsumo.vehicle.getAllowedSpeed(car), HALTING)
        self.pace[light] += pace
        self.lost[light] += 1 - pace
        if speed < HALTING:
            self._stand.add((light, car))
            if self._waits:
                self.waited[light] += libsumo.vehicle.getWaitingTime(car)

    def close(self, waiting: Waiting) -> None:
        """After the vehicles of a second were told, with those that wait to enter."""
        for light, car in self._stand:
            self.stood[light] += 1
            self.stops[light] += (light, car) not in self._stood
        self._stood = self._stand
        self.lost += waiting.vehicles
        self.stood += waiting.vehicles
        self.outside += waiting.vehicles
        self.waited += waiting.seconds
        if self._presses:
            self.behind += [self._leaving(light) for light in range(self._count)]

    def _leaving(self, light: int) -> int:
        """Vehicles that came over the light's line and are on the first metres behind it."""
        count = 0
        for lane in self._behind[light]:
            for car in libsumo.lane.getLastStepVehicleIDs(lane):
                if libsumo.vehicle.getLanePosition(car) < LEAVING_M:
                    place = libsumo.vehicle.getRouteIndex(car)
                    came = libsumo.vehicle.getRoute(car)[place - 1] if place > 0 else ""
                    count += came in self._before[light]
        return count

    def reward(self) -> np.ndarray:
        """[light], for the seconds since `begin`."""
        return self._reward(self).astype(np.float32)


def _delay(costs: Costs) -> np.ndarray:
    """- sum over seconds and vehicles of (1 - speed / allowed speed); 1 for each that waits to
    enter. It is SUMO's timeLoss + departDelay, as far as it arises in the region."""
    return -costs.lost / MINUTE


def _wait(costs: Costs) -> np.ndarray:
    """- sum over vehicles, at the step's end, of the seconds for which each has stood without a
    break, or has waited to enter."""
    return -costs.waited / MINUTE


def _pressure(costs: Costs) -> np.ndarray:
    """- sum over seconds of (vehicles in the region or waiting to enter it - vehicles that have
    passed its light and are on the first `LEAVING_M` behind it)."""
    return -(costs.inside + costs.outside - costs.behind) / MINUTE


def _queue(costs: Costs) -> np.ndarray:
    """- sum over seconds of the vehicles that stand or wait to enter."""
    return -costs.stood / MINUTE


def _speed(costs: Costs) -> np.ndarray:
    """Mean over seconds and vehicles of speed / allowed speed, 0 for those that wait to enter;
    1 if there are none."""
    there = costs.inside + costs.outside
    return np.where(there > 0, costs.pace / np.maximum(there, 1), 1.0)


REWARDS: dict[str, Callable[[Costs], np.ndarray]] = {
    "delay": _delay,
    "wait": _wait,
    "pressure": _pressure,
    "queue": _queue,
    "speed": _speed,
}
"""By name; all but "speed", which is at most 1, in vehicle-minutes."""
