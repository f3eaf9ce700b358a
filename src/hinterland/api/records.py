"""Where the lines of a run go that a script began: its folder, the script's own logger, or both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from hinterland.record import RunFolder


class Logger(Protocol):
    """What hears every line of a run's metrics beside the run folder: an object with `log`."""

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, float]) -> None:
        """One line.

        Args:
            step: environment steps per agent so far.
            wall_s: seconds since the run began.
            phase: collect, fit, train or evaluate.
            values: metrics by name; docs/metrics.md says what each is.
        """
        ...


class Recorder:
    """A `training.Record`: into a folder, or of the newest checkpoint in memory without one.

    Args:
        folder: of the run; None: nothing is written.
        logger: hears every line too.
    """

    def __init__(self, folder: "RunFolder | None", logger: Logger | None) -> None:
        self._folder, self._logger = folder, logger
        self._lines = 0
        self._kept: tuple[Mapping[str, np.ndarray], dict[str, Any]] | None = None

    @property
    def logged(self) -> int:
        """Lines of metrics so far."""
        return self._lines if self._folder is None else self._folder.logged

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, Any]) -> None:
        """One more line."""
        self._lines += 1
        if self._folder is not None:
            self._folder.log(step, wall_s, phase, values)
        if self._logger is not None:
            self._logger.log(step, wall_s, phase, values)

    def save_checkpoint(
        self, step: int, arrays: Mapping[str, "np.ndarray"], meta: dict[str, Any]
    ) -> None:
        """Everything that the run needs to continue."""
        if self._folder is None:
            self._kept = arrays, {"step": step, **meta}
        else:
            self._folder.save_checkpoint(step, arrays, meta)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """The run's result."""
        if self._folder is not None:
            self._folder.write_summary(summary)

    def newest(self) -> tuple[Mapping[str, "np.ndarray"], dict[str, Any]]:
        """(arrays, metadata) of the newest checkpoint."""
        if self._folder is not None:
            return self._folder.load_checkpoint()
        assert self._kept is not None  # there is one at a run's end
        return self._kept
