"""A tiny simulator that crashes, hangs and raises on demand, for `test_host.py`."""

import os
import random
import time
from pathlib import Path


class Fragile:
    """Adds what it is told to numbers that it draws."""

    def __init__(self, first: int = 0) -> None:
        self.total = first

    def reset(self, seed: int) -> int:
        self.random = random.Random(seed)
        self.total = 0
        return self.total

    def step(self, number: int) -> int:
        self.total += number + self.random.randrange(1000)
        return self.total

    def fail(self, text: str) -> None:
        raise ValueError(text)

    def crash(self) -> None:
        print("first line\nlast words", flush=True)
        os._exit(3)

    def hang_once(self, marker: Path) -> int:
        """Hangs unless the file is there."""
        if not marker.exists():
            marker.touch()
            time.sleep(1000)
        return self.total


class Together(Fragile):
    """Counts how often it stepped together with all others."""

    def __init__(self) -> None:
        super().__init__()
        self._together = 0

    @staticmethod
    def step_all(objects: "list[Together]", numbers: list[int]) -> list[int]:
        found = [one.step(number) for one, number in zip(objects, numbers, strict=True)]
        for one in objects:
            one._together += 1
        return found

    def together(self) -> int:
        return self._together


class FirstFails(Fragile):
    """Its first process dies in the constructor."""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        if not marker.exists():
            marker.touch()
            os._exit(3)


class NeverStarts:
    def __init__(self) -> None:
        print("no licence", flush=True)
        os._exit(3)
