"""A session of `testing.cues` with faults on demand; children of `test_pipeline.py` import it."""

import time
from typing import Any

import numpy as np

from hinterland.testing.cue_session import CueSession


class Faulty(CueSession):
    """Goes wrong in the given way at step 9 of an episode."""

    numbers = np.random.default_rng(0)

    def __init__(self, slots: int, fault: str) -> None:
        super().__init__(slots)
        self._fault = fault

    def reset(self, seed: int, *_: Any, **__: Any) -> dict[str, Any]:
        seen = super().reset(seed)
        if self._fault == "shares":  # one generator for all copies of the process
            Faulty.numbers = self._random
        return seen

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        if self._fault == "shares":
            self._random = Faulty.numbers
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
