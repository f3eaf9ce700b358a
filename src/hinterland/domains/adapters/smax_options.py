"""Options and presets of SMAX."""

from typing import Any, Literal

from pydantic import Field

from hinterland.core.options import DomainOptions

FAST: dict[str, Any] = {
    # Three marines: with 64 copies, windows of 32 and less entropy they win four battles of five.
    "agents": 3,
    "steps": 3_000_000,
    "simulation": "global",
    "network": "gru",
    "hidden": 64,
    "trunk": 64,
    "copies": 128,
    "window": 64,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 2e-3,
    "entropy_weight": 0.02,
    "discount": 0.99,
    "trace": 0.95,
}


class Options(DomainOptions):
    """A battle of JaxMARL's."""

    scenario: str = Field("3m", description="JaxMARL's name of the battle, such as 2s3z")
    fallen: Literal["leave", "stay"] = Field(
        "leave",
        description="whether allies that fall leave, unpaid, or stay and share the team's reward "
        "until the end",
    )

    summary = "SMAX, JaxMARL's battles after StarCraft"
    kind = "entities"
    presets = {"fast": FAST}  # noqa: RUF012 - never mutated
