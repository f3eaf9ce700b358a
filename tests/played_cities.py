"""Episodes of cities and of copies in one process: what every reward would have given."""

import libsumo
import numpy as np

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.city_simulation import CityTraffic
from hinterland.domains.traffic.costs import REWARDS, Costs
from hinterland.domains.traffic.cutting import Copies
from hinterland.domains.traffic.local_batch import LocalBatch

ASKS_MOST = "wait"
"""The reward for which more is read than for others."""


def _every(costs: Costs) -> np.ndarray:
    """[reward, light]"""
    return np.stack([reward(costs) for reward in REWARDS.values()])


class Played:
    """For a `HostProcess`: a process holds one simulation at a time."""

    def episode(self, city: City, controller: str, seconds: int, seed: int = 1) -> dict:
        """Returns by reward, the episode's figures, and how many wait to enter at its end."""
        simulator = CityTraffic(city, reward=ASKS_MOST)
        simulator.reset(seed, controller, True)
        nothing, returns = np.zeros(len(city.lights), int), np.zeros(len(REWARDS))
        for _ in range(seconds // city.scenario.decision):
            simulator.step(nothing)
            returns += _every(simulator._costs).mean(1)
        waiting = len(libsumo.simulation.getPendingVehicles())
        figures = simulator.metrics()
        simulator.close()
        returns = dict(zip(REWARDS, returns.tolist(), strict=True))
        return {"returns": returns, "figures": figures, "waiting": waiting}

    def city(self, city: City, actions: np.ndarray) -> dict:
        """[step, reward, light], [step, light, lane] influence, and what was counted of ways."""
        simulator = CityTraffic(city, reward=ASKS_MOST)
        simulator.reset(1)
        rewards, influence = [], []
        for one in actions:
            influence.append(simulator.step(one)["influence"])
            rewards.append(_every(simulator._costs))
        counted = simulator.ways(), simulator.departures()
        simulator.close()
        return {"rewards": rewards, "influence": influence, "counted": counted}

    def copies(self, copies: Copies, actions: np.ndarray, influence: np.ndarray) -> dict:
        """[step, reward, copy], and how many wait to enter each copy after each step.

        Args:
            copies: of one region.
            actions: [step], the same of all copies.
            influence: [step, lanes]
        """
        simulator, count = LocalBatch(copies, reward=ASKS_MOST), len(copies.lights)
        simulator.reset(1)
        rewards, waiting = [], []
        for action, came in zip(actions, influence, strict=True):
            simulator.step(np.full(count, action), np.repeat(came[None], count, 0))
            rewards.append(_every(simulator._costs))
            waiting.append(simulator._waiting.vehicles.copy())
        waited = simulator._waiting.vehicles.copy()
        simulator.reset_some(np.arange(count) == 0)
        nobody = np.zeros((count, copies.lanes), int)
        simulator.step(np.zeros(count, int), nobody)
        left = simulator._waiting.vehicles.copy()
        simulator.close()
        return {"rewards": rewards, "waiting": waiting, "emptied": (waited, left)}
