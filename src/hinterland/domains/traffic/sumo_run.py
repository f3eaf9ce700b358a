"""The SUMO of this process (libsumo is a singleton): its start, its end, its errors, its trips."""

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import libsumo
import numpy as np

from hinterland.core import UserError
from hinterland.domains.traffic.trips import Trip, means, read_trips

QUIET = (
    "--no-step-log", "true", "--no-warnings", "true", "--xml-validation", "never",
    "--duration-log.disable", "true",
)  # fmt: skip
OPTIONS = ("--step-length", "1", "--time-to-teleport", "-1")
"""Where a user's scenario does not say it."""


class SumoRun:
    """What all simulators in SUMO share; one episode at a time.

    Args:
        folder: where the folder for its own files is made; whoever removes it removes that too,
            should this process be killed. None: the system's place for temporary files.
    """

    what = "this network with these routes"
    """What SUMO simulates, for messages."""

    def __init__(self, folder: Path | None = None) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="hinterland-sumo-", dir=folder)
        self._folder = Path(self._files.name)
        self._log = self._folder / "errors.txt"
        self._trips: Path | None = None
        self._counts_from = -inf
        """Seconds of SUMO's clock; trips that were to begin earlier are none of the figures'."""
        self._running = False

    def _start(self, network: Path, routes: Path, seed: int, *more: Any) -> None:
        """Starts an episode; see `_begin_with`."""
        self._begin_with(["-n", network, "-r", routes, *OPTIONS, *more], seed)

    def _begin_with(self, words: Sequence[Any], seed: int) -> None:
        """Starts an episode with these words of SUMO's command line.

        Raises:
            UserError: SUMO refuses its files; with its own first error.
        """
        options = [*words, *QUIET, "--seed", seed]
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
            raise UserError(f"SUMO cannot simulate {self.what}: {reason}") from None

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
        return {**means(self._read_trips({})[0]), "queue": queue}

    def _read_trips(self, kinds: Mapping[str, str]) -> tuple[list[Trip], list[Trip]]:
        """Ends the episode; as of `trips.read_trips`."""
        assert self._trips is not None
        ended = libsumo.simulation.getTime()
        self._end()
        return read_trips(self._trips, kinds, self._counts_from, ended)

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
