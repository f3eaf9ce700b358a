"""What the vehicles of a light's region lose, and the rewards that are made of it.

All of it is read from the SUMO of this process, second by second, in the same way in a whole city
and in copies of one region: so a reward is a function of the region and its influence alone.
"""

from collections.abc import Callable, Sequence

import libsumo
import numpy as np

from hinterland.domains.traffic.city import Light
from hinterland.domains.traffic.light_figures import LightFigures
from hinterland.domains.traffic.network import HALTING

MINUTE = 60.0
LEAVING_M = 50.0
"""Cars are followed so far behind a light: until they have their speed again, and hardly ever into
a queue from further on, which a region does not know."""


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
        if not pending and not self._since:
            self._now += 1
            return []
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


def behind(lights: Sequence[Light]) -> list[tuple[str, ...]]:
    """The lanes behind each light that are no other light's, so that who loses time there would
    count nowhere."""
    taken = {lane for light in lights for lane in light.seen}
    return [tuple(dict.fromkeys(out for *_, out in x.links if out not in taken)) for x in lights]


class Costs:
    """Sums over the vehicles of each region since `begin`; arrays are [light].

    A region's vehicles are those on its lanes, which others tell of; and of those that have left
    them the ones inside of a junction, and on the first `LEAVING_M` of a lane behind the light that
    is no other light's. A second of simulation is `second`, then `vehicle` for each vehicle on its
    lanes, then `close`. A vehicle at a stop of its own (a bus) neither loses time nor stands, as in
    SUMO.

    Args:
        lights: whose regions.
        lanes: behind each light (see `behind`).
        reward: a name of `REWARDS`.
        room: of the city, by which rewards are divided. It is one number for all of its lights, or
            their returns could not be added up.
    """

    def __init__(
        self,
        lights: Sequence[Light],
        lanes: Sequence[Sequence[str]],
        reward: str,
        room: float,
    ) -> None:
        self.room = room
        self._reward = REWARDS[reward]
        self.figures: LightFigures | None = None
        """Told of all too, once they are there."""
        self._count = len(lights)
        self._waits = reward == "wait"
        self._behind = [set(some) for some in lanes]
        self._onward = [{out for *_, out in light.links} for light in lights]
        self._last: dict[tuple[int, str], None] = {}
        self._passed: dict[tuple[int, str], None] = {}
        self._stopped: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Before the first second of a step."""
        self.lost, self.stood, self.pace, self.cars = np.zeros((4, self._count))
        self.before, self.behind, self.outside, self.waited = np.zeros((4, self._count))
        self.seconds = 0

    def second(self) -> None:
        """Before the vehicles of a second are told."""
        self._stopped.update(libsumo.simulation.getStopStartingVehiclesIDList())
        self._stopped.difference_update(libsumo.simulation.getStopEndingVehiclesIDList())
        self._cars: list[tuple[int, str]] = []
        self._speeds: list[float] = []
        self._allowed: list[float] = []
        self.waited = np.zeros(self._count)
        if self.figures is not None:
            self.figures.begin()

    def vehicle(self, light: int, car: str, speed: float) -> None:
        """One of a light's region, with its speed in metres per second."""
        # SUMO's own timeLoss: by the limit, the vehicle's fastest and its driver's habit.
        allowed = libsumo.vehicle.getAllowedSpeed(car)
        if self._stopped and car in self._stopped:
            speed = allowed = 1.0
        self._cars.append((light, car))
        self._speeds.append(speed)
        self._allowed.append(allowed)
        if self.figures is not None:
            self.figures.vehicle(light, car, speed < HALTING)
        if self._waits and speed < HALTING:
            self.waited[light] += libsumo.vehicle.getWaitingTime(car)

    def close(self, waiting: Waiting) -> None:
        """After the vehicles of a second were told, with those that wait to enter."""
        told = dict.fromkeys(self._cars)
        passed = [one for one in (*self._last, *self._passed) if one not in told]
        self._last, self._passed, count = told, {}, len(self._cars)
        for light, car in passed:
            self._leaves(light, car)
        lights, speeds = np.array([light for light, _ in self._cars], int), np.array(self._speeds)
        paces = speeds / np.maximum(self._allowed, HALTING)
        cars, pace, stand = (
            np.bincount(lights, weights, self._count) for weights in (None, paces, speeds < HALTING)
        )
        self.cars += cars
        self.before += np.bincount(lights[:count], minlength=self._count)
        self.pace += pace
        self.lost += cars - pace + waiting.vehicles
        self.stood += stand + waiting.vehicles
        self.outside += waiting.vehicles
        self.waited += waiting.seconds
        self.seconds += 1
        if self.figures is not None:
            self.figures.close(waiting.vehicles)

    def _leaves(self, light: int, car: str) -> None:
        """One that has left a region's lanes: it is followed until it has its speed again."""
        try:
            lane = libsumo.vehicle.getLaneID(car)
        except libsumo.TraCIException:  # it has arrived, or was taken off the road
            return
        inner = lane.startswith(":")
        if inner or (
            lane in self._onward[light] and libsumo.vehicle.getLanePosition(car) < LEAVING_M
        ):
            self._passed[light, car] = None
            self.behind[light] += not inner
            if inner or lane in self._behind[light]:
                self.vehicle(light, car, libsumo.vehicle.getSpeed(car))

    def reward(self) -> np.ndarray:
        """[light], for the seconds since `begin`."""
        return self._reward(self).astype(np.float32)


def _share(costs: Costs, sums: np.ndarray) -> np.ndarray:
    return -sums / max(1, costs.seconds) / costs.room


def _delay(costs: Costs) -> np.ndarray:
    """- mean over seconds of the sum over vehicles of (1 - speed / allowed speed), 1 for each that
    waits to enter, by `room`. It is SUMO's timeLoss + departDelay, as far as it arises here."""
    return _share(costs, costs.lost)


def _wait(costs: Costs) -> np.ndarray:
    """- sum over vehicles, at the step's end, of the minutes for which each has stood without a
    break, or has waited to enter, by `room`."""
    return -costs.waited / MINUTE / costs.room


def _pressure(costs: Costs) -> np.ndarray:
    """- mean over seconds of (vehicles on the region's lanes or waiting to enter it - vehicles that
    have passed its light and are on the first `LEAVING_M` behind it), by `room`."""
    return _share(costs, costs.before + costs.outside - costs.behind)


def _queue(costs: Costs) -> np.ndarray:
    """- mean over seconds of the vehicles that stand or wait to enter, by `room`."""
    return _share(costs, costs.stood)


def _speed(costs: Costs) -> np.ndarray:
    """Mean over seconds and vehicles of speed / allowed speed, 0 for those that wait to enter;
    1 if there are none."""
    there = costs.cars + costs.outside
    return np.where(there > 0, costs.pace / np.maximum(there, 1), 1.0)


REWARDS: dict[str, Callable[[Costs], np.ndarray]] = {
    "delay": _delay,
    "wait": _wait,
    "pressure": _pressure,
    "queue": _queue,
    "speed": _speed,
}
"""By name. -1: as many lose all their time as there is room for before a light of mean size."""
