"""What is odd about a domain, and allowed."""

from typing import Any

NOTE = "note: "
"""Begins a line that says so."""
LARGE = 100_000_000
"""Bytes of an episode that are worth a word."""


def horizon_note(domain: Any, bytes_: int) -> list[str]:
    """Where whole episodes, of so many bytes a step, are large: the predictors' data are of them."""
    size = domain.spec.horizon * bytes_
    if size < LARGE:
        return []
    return [
        f"{NOTE}an episode of {domain.spec.horizon:,} steps has {size / 1e9:,.1f} GB of d-sets and "
        "influence, and the predictors learn from many (--predictor-episodes): is spec.horizon "
        "that long on purpose?"
    ]
