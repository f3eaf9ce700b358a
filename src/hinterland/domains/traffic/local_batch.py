"""Copies of one junction in one SUMO. Runs in a process of its own, where no JAX is.

Cars come in as the caller says, and on ways that the caller's random numbers choose. SUMO adds its
drivers' own imperfection, from its seed: all is a function of the seed and of every call since.
The same methods as of `local_simulation.LocalTraffic`, the grid's.
"""

import re
from bisect import bisect
from collections.abc import Sequence
from statistics import NormalDist
from xml.sax.saxutils import quoteattr

import libsumo
import numpy as np

from hinterland.domains.traffic.costs import Costs, Waiting
from hinterland.domains.traffic.cutting import Copies
from hinterland.domains.traffic.junctions import Junctions
from hinterland.domains.traffic.signals import Signals
from hinterland.domains.traffic.sumo_run import SumoRun

CAR = "passenger"
"""The kind of vehicle that the city's type of car stands for; others are as SUMO has them."""
DRAWS = 4
"""Random numbers of a car: its way, its pace, when in the step it comes, whether it begins here."""
BEGINS = "begins"
"""At the end of the names of cars that begin here."""
PACE = (1.0, 0.1)
"""Mean and spread of drivers' desired speed by the limit; SUMO's own for cars."""


def _pace(car: dict[str, str]) -> tuple[float, float]:
    """Mean and spread for a vehicle type."""
    numbers = [float(x) for x in re.findall(r"\d*\.?\d+", car.get("speedFactor", ""))]
    mean = numbers[0] if numbers else PACE[0]
    spread = numbers[1] if len(numbers) > 1 else float(car.get("speedDev", PACE[1]))
    return mean, spread


def _copy_of(car: str) -> int:
    return int(car.split("_")[0])


class LocalBatch(SumoRun):
    """K copies of one agent's region.

    Args:
        copies: network and lights.
        reward: of the agent, a name of `costs.REWARDS`.
    """

    def __init__(self, copies: Copies, reward: str = "delay") -> None:
        super().__init__(copies.network.parent)
        self._copies, self._delta, self._reward = copies, copies.decision, reward
        mean, spread = _pace(copies.car)
        self._mean, self._drivers = mean, NormalDist(0.0, max(spread, 1e-6))

    def numbers_shape(self) -> tuple[int, ...]:
        """Of the array of random numbers that `step` wants: [K, lanes, cars of a lane, draws]."""
        return (len(self._copies.lights), self._copies.lanes, self._copies.classes - 1, DRAWS)

    def reset(self, seed: int) -> dict[str, np.ndarray]:
        """All copies with empty roads and their first phase; what their agents see.

        Args:
            seed: of drivers, and of the random numbers that callers of `step` do not give.
        """
        self._end()
        routes = self._folder / "local.rou.xml"
        routes.write_text(self._routes())
        words = ["-n", self._copies.network, "-r", routes, *self._copies.driving]
        self._begin_with(words, seed)
        self._clock = 0
        self._signals = Signals(self._copies.lights, self._copies.people)
        lights, lanes = self._copies.lights, self._copies.lanes
        self._costs = Costs(lights, self._copies.behind, self._reward, self._copies.room)
        self._junctions = Junctions(lights, lanes, None, self._costs)
        self._waiting = Waiting(len(lights), self._junctions.waits_before)
        self._numbers = np.random.default_rng(seed)
        self._cars = 0
        return self._see()

    def reset_some(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Empties the roads of the copies of a mask [K] and starts their programs anew."""
        chosen = np.asarray(chosen, bool)
        for car in (*libsumo.vehicle.getIDList(), *libsumo.simulation.getPendingVehicles()):
            if chosen[_copy_of(car)]:
                libsumo.vehicle.remove(car)
        self._signals.reset(chosen)
        self._junctions.clear(chosen)
        return self._see()

    def step(
        self, actions: np.ndarray, influence: np.ndarray, numbers: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The seconds to the next decision, of every copy.

        Args:
            actions: [K], green phases to go to, as in the city.
            influence: [K, lanes], cars that come in on each lane (the most: or more).
            numbers: uniform in [0, 1), of shape `numbers_shape()`; what is behind the cars that
                come in is not looked at. None: the session's own.

        Returns:
            "observation" and "dset" of the state reached, "reward" and "terminated" (never), all
            with a leading copy axis.
        """
        if numbers is None:
            numbers = self._numbers.random(self.numbers_shape())
        self._signals.decide(np.asarray(actions, int))
        coming = self._coming(np.asarray(influence, int), numbers)
        self._junctions.begin()
        for second in range(self._delta):
            for car in coming[second]:
                self._insert(*car)
            for light, state in self._signals.second():
                name = self._copies.lights[light].id
                libsumo.trafficlight.setRedYellowGreenState(name, state)
            self._clock += 1
            libsumo.simulationStep(self._clock)  # one or several steps of SUMO's clock
            pending = libsumo.simulation.getPendingVehicles()
            self._waiting.second([car for car in pending if car.endswith(BEGINS)])
            self._junctions.second(self._waiting)
        for car in libsumo.simulation.getPendingVehicles():
            if not car.endswith(BEGINS):  # on roads from elsewhere others would wait further back
                libsumo.vehicle.remove(car)
        never = np.zeros(len(self._copies.lights), bool)
        return {**self._see(), "reward": self._costs.reward(), "terminated": never}

    def _coming(
        self, influence: np.ndarray, numbers: np.ndarray
    ) -> list[list[tuple[int, int, int, float, bool]]]:
        """For every second of a step, (copy, lane, way, pace, whether it begins its way here) of
        the cars that want to come in."""
        coming: list[list[tuple[int, int, int, float, bool]]] = [[] for _ in range(self._delta)]
        for copy, lane in np.argwhere(influence[:, : len(self._copies.ways)] > 0):
            shares, count = self._copies.shares[lane], int(influence[copy, lane])
            for car in range(count):
                choice, pace, moment, begins = numbers[copy, lane, car]
                second = int((car + moment) * self._delta / count)
                factor = self._mean + self._drivers.inv_cdf(min(max(pace, 1e-3), 1 - 1e-3))
                way = min(bisect(shares, choice), len(shares) - 1)
                begins = bool(begins < self._copies.begin[lane])
                coming[second].append((int(copy), int(lane), way, factor, begins))
        return coming

    def _insert(self, copy: int, lane: int, way: int, pace: float, begins: bool) -> None:
        name = f"{copy}_{self._cars}_{BEGINS if begins else ''}"
        kind = self._copies.kinds[lane][way]
        self._cars += 1
        libsumo.vehicle.add(
            name,
            f"{copy}/{lane}/{way}",
            typeID=kind,
            departLane=self._copies.lights[copy].seen[lane].rsplit("_", 1)[1],
            departPos="base",
            departSpeed="max",
        )
        if kind == CAR:
            libsumo.vehicle.setSpeedFactor(name, pace)

    def _routes(self) -> str:
        """Vehicle type and ways of all copies, as a route file."""
        car = {"speedFactor": str(self._mean), "speedDev": "0"}
        car = {**self._copies.car, **car, "id": CAR}
        attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in car.items())
        kinds = sorted({kind for one in self._copies.kinds for kind in one} - {CAR})
        others = "".join(f'<vType id="{kind}" vClass="{kind}"/>' for kind in kinds)
        routes = "".join(
            f'<route id="{copy}/{lane}/{number}" '
            f"edges={quoteattr(' '.join(prefix + edge for edge in way))}/>"
            for copy, prefix in enumerate(self._copies.prefixes)
            for lane, ways in enumerate(self._copies.ways)
            for number, way in enumerate(ways)
        )
        return f"<routes><vType {attributes}/>{others}{routes}</routes>"

    def _see(self) -> dict[str, np.ndarray]:
        dset = self._junctions.dset()
        light = self._signals.features(self._copies.phases)
        return {"observation": np.concatenate([dset, light], 1), "dset": dset}


class LocalBatches:
    """The copies of whichever agent trains here.

    Args:
        copies: of every agent.
        reward: as of `LocalBatch`.
    """

    def __init__(self, copies: Sequence[Copies], reward: str = "delay") -> None:
        self._copies, self._reward = copies, reward
        self._batch: LocalBatch | None = None
        self._agent = -1

    def reset(self, seed: int, agent: int) -> dict[str, np.ndarray]:
        """As `LocalBatch.reset`, for that agent's junction."""
        if self._batch is None or agent != self._agent:
            self.close()
            self._batch, self._agent = LocalBatch(self._copies[agent], self._reward), agent
        return self._batch.reset(seed)

    def reset_some(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """As `LocalBatch.reset_some`."""
        assert self._batch is not None
        return self._batch.reset_some(chosen)

    def step(self, actions: np.ndarray, influence: np.ndarray) -> dict[str, np.ndarray]:
        """As `LocalBatch.step`, with the session's own random numbers."""
        assert self._batch is not None
        return self._batch.step(actions, influence)

    def close(self) -> None:
        """Ends SUMO and removes its files."""
        if self._batch is not None:
            self._batch.close()
