"""What the two teaching domains declare."""

from typing import Any

from pydantic import Field

from hinterland.core.options import DomainOptions

COLONY_FAST: dict[str, Any] = {
    "agents": 16,
    "steps": 100_000,
    "simulation": "global",
    "network": "feed-forward",
    "hidden": 64,
    "trunk": 64,
    "copies": 32,
    "window": 32,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 2e-3,
    "value_weight": 0.25,
    "entropy_weight": 0.01,
    "discount": 0.95,
    "trace": 0.9,
}


class ColonyOptions(DomainOptions):
    """Of foragers around a nest."""

    regions: int = Field(
        1,
        ge=1,
        le=10_000,
        description="colonies in a ring, whose foragers may pass from one to "
        "the next; each is a region with a local simulator",
    )

    summary = "foragers around a nest, born and dying: the smallest domain of entities"
    kind = "entities"
    presets = {"fast": COLONY_FAST}  # noqa: RUF012 - never mutated


class CorridorOptions(DomainOptions):
    """Of a conveyor of stations."""

    summary = "a conveyor of stations: the smallest domain that has influence"
    kind = "agents"
