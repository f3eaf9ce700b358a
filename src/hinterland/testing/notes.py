"""What is odd about a domain, and allowed."""

from typing import Any

from hinterland.testing.plays import LONGEST

NOTE = "note: "
"""Begins a line that says so."""
LARGE = 100_000_000
"""Bytes of an episode that are worth a word."""


def horizon_notes(domain: Any, bytes_: int) -> list[str]:
    """Where episodes are too long to be played here, or large at so many bytes a step."""
    horizon, notes = domain.spec.horizon, []
    if horizon > LONGEST:
        notes.append(f"{NOTE}of episodes of {horizon:,} steps the first {LONGEST:,} were followed")
    if horizon * bytes_ >= LARGE:
        notes.append(
            f"{NOTE}an episode of {horizon:,} steps has {horizon * bytes_ / 1e9:,.1f} GB of d-sets "
            "and influence, and the predictors learn from many (--predictor-episodes): is "
            "spec.horizon that long on purpose?"
        )
    return notes
