"""What the two teaching domains declare: no option, as each is one short file of rules."""

from typing import Any

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
    "entropy_weight": 0.01,
    "discount": 0.95,
    "trace": 0.9,
}


class ColonyOptions(DomainOptions):
    """Of foragers around a nest."""

    summary = "foragers around a nest, born and dying: the smallest domain of entities"
    kind = "entities"
    presets = {"fast": COLONY_FAST}  # noqa: RUF012 - never mutated


class CorridorOptions(DomainOptions):
    """Of a conveyor of stations."""

    summary = "a conveyor of stations: the smallest domain that has influence"
    kind = "agents"
