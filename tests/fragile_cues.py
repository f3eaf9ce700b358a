"""`testing.cues` with faults on demand, for `test_pipeline.py`; the children import this file."""

import time
from typing import Any

import numpy as np

from hinterland.testing.cues import CueDomain, CueSession, CueSessions


class Faulty(CueSession):
    """Goes wrong in the given way at step 9 of an episode."""

    def __init__(self, slots: int, fault: str) -> None:
        super().__init__(slots)
        self._fault = fault

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        seen = super().step(actions)
        if self._clock != 9:
            return seen
        if self._fault == "nan":
            seen["observation"] = seen["observation"] * np.nan
        if self._fault == "shape":
            seen["reward"] = seen["reward"][:-1]
        if self._fault == "lacks":
            del seen["mask"]
        if self._fault == "raises":
            raise ValueError("the sluice is shut")
        if self._fault == "hangs":
            time.sleep(1000)
        return seen


class FaultySessions(CueSessions):
    target = "fragile_cues:Faulty"


class FaultyDomain(CueDomain):
    def __init__(self, agents: int, fault: str, patience_s: int = 60) -> None:
        super().__init__(agents)
        self.entity_simulator = FaultySessions(agents, fault, patience_s=patience_s)
