"""A session of `testing.cues` with faults on demand; children of `test_pipeline.py` import it."""

import time
from typing import Any

import numpy as np

from hinterland.testing.cue_session import CueSession


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
