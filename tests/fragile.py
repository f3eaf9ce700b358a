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
