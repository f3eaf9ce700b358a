"""Options and presets of combat."""

from typing import Any

from pydantic import Field

from hinterland.core.options import DomainOptions

FAST: dict[str, Any] = {
    # Paid for their own deeds only, units win three of four and stay there; with half, nine of ten.
    "agents": 10,
    "steps": 400_000,
    "simulation": "global",
    "network": "feed-forward",
    "hidden": 128,
    "trunk": 128,
    "credit": 0.5,
    "copies": 32,
    "window": 32,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 2e-3,
    "entropy_weight": 0.01,
    "discount": 0.97,
    "trace": 0.95,
}


class Options(DomainOptions):
    """An engagement of two sides."""

    detectors: int = Field(
        0, ge=0, le=1_000_000, description="how many of a side's units are detectors"
    )
    opponent: str = Field(
        "coordinated", description="who plays the other side: random, nearest or coordinated"
    )

    summary = "two sides of fighters and detectors with radar, jammers and missiles"
    kind = "entities"
    presets = {"fast": FAST}  # noqa: RUF012 - never mutated
    benches = {"pipeline": "hinterland.domains.combat.bench_pipeline"}  # noqa: RUF012
