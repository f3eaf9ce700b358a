"""What the two domains declare; needs no JAX."""

from typing import Literal

from pydantic import Field

from hinterland.core.options import DomainOptions, Published


class RowOptions(DomainOptions):
    """Of pickers in a row of trees."""

    basket: int = Field(2, ge=1, le=9, description="apples that a basket holds, pieces")
    ripening: float = Field(0.5, ge=0, le=1, description="apples per step of the first tree")
    weather: Literal["dry", "wet"] = Field("dry", description="in wet weather passing on pays half")
    ladders: bool = Field(False, description="whether a full basket still takes one apple")

    summary = "pickers who pass apples along a row of trees"
    kind = "agents"
    presets = {  # noqa: RUF012 - never mutated
        "fast": {
            "steps": 2_000, "refreshes": 1, "evaluations": 1, "evaluate_episodes": 4,
            "final_episodes": 4, "copies": 8, "hidden": 8, "trunk": 8, "network": "feed-forward",
            "predictor": "feed-forward", "predictor_episodes": 16, "basket": 3,
        },
    }  # fmt: skip
    benches = {"orchard-picking": "orchard.bench"}  # noqa: RUF012
    published = Published(
        seconds={3: (11, 22, 33)}, refresh="2K", curves="orchard:curves.json", memory={}
    )

    @classmethod
    def unread(cls, settings):
        """Ladders are for small baskets."""
        if settings.get("basket", 2) > 5:
            return {"ladders": "is for baskets of up to 5"}
        return {}


class AnthillOptions(DomainOptions):
    """Of ants."""

    summary = "ants around a hill"
    kind = "entities"
    presets = {  # noqa: RUF012 - never mutated
        "fast": {
            "agents": 6, "steps": 512, "simulation": "global", "schedule": "lockstep",
            "network": "feed-forward",
            "hidden": 8, "trunk": 8, "copies": 8, "window": 8, "minibatches": 2, "evaluations": 1,
            "evaluate_episodes": 4, "final_episodes": 4,
        },
    }  # fmt: skip
