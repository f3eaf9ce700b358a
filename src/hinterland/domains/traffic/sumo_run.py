"""The SUMO of this process (libsumo is a singleton): its start, its end, its errors, its trips."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.core import UserError
from hinterland.domains.traffic.trips import means, read_trips

OPTIONS = (
    "--step-length", "1", "--no-step-log", "true", "--no-warnings", "true",
    "--time-to-teleport", "-1", "--xml-validation", "never", "--duration-log.disable", "true",
)  # fmt: skip


class SumoRun:
    """What all simulators in SUMO share; one episode at a time.

    Args:
        folder: where the folder for its own files is made; whoever removes it removes that too,
            should this process be killed. None: the system's place for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="hinterland-sumo-", dir=folder)
        self._folder = Path(self._files.name)
        self._log = self._folder / "errors.txt"
        self._trips: Path | None = None
        self._running = False

    def _start(self, network: Path, routes: Path, seed: int, *more: Any) -> None:
        """Starts an episode.

        Raises:
            UserError: SUMO refuses its files; with its own first error.
        """
        options = ["-n", network, "-r", routes, *OPTIONS, "--seed", seed, *more]
        with self._own_words():
            libsumo.start(["sumo", *map(str, options), "--error-log", str(self._log)])
        self._running = True

    @contextmanager
    def _own_words(self) -> Generator[None]:
        """SUMO's exceptions mostly say nothing; what it was is in its log."""
        try:
            yield
        except (libsumo.TraCIException, libsumo.FatalTraCIError) as error:
            said = self._log.read_text().splitlines() if self._log.exists() else []
            first = next((line for line in said if line.startswith("Error")), str(error))
            reason = " ".join(first.split())
            raise UserError(
                f"SUMO cannot simulate this network with these routes: {reason}"
            ) from None

    def _trip_options(self, wanted: bool) -> list[str | Path]:
        """So that SUMO keeps its record of every trip for `_trip_figures`, if it is wanted."""
        self._trips = self._folder / "trips.xml" if wanted else None
        if self._trips is None:
            return []
        # Cars that never found room count too: otherwise full roads would look quick.
        return ["--tripinfo-output", self._trips, "--tripinfo-output.write-unfinished", "true",
                "--tripinfo-output.write-undeparted", "true"]  # fmt: skip

    def _trip_figures(self, queue: float) -> dict[str, float]:
        """Ends the episode; vehicle-level figures from SUMO's record of its trips (`trips.means`).

        Unfinished trips count, and vehicles that waited to enter from when they wanted to; queue
        in standing cars per light, as it is given.
        """
        assert self._trips is not None
        self._end()
        return {**means(read_trips(self._trips, {})[0]), "queue": queue}

    def _cars_on_map(self) -> np.ndarray:
        """Every car's [x (m), y (m), speed (m/s)]."""
        cars = [
            (*libsumo.vehicle.getPosition(car), libsumo.vehicle.getSpeed(car))
            for car in libsumo.vehicle.getIDList()
        ]
        return np.array(cars, np.float32).reshape(-1, 3)

    def close(self) -> None:
        """Ends SUMO and removes its files."""
        self._end()
        self._files.cleanup()

    def _end(self) -> None:
        if self._running:
            libsumo.close()
            self._running = False
