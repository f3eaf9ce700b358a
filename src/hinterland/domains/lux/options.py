"""Options and presets of Lux AI Season 2."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from hinterland.core.options import DomainOptions

PAPER: dict[str, Any] = {
    # The paper's (thesis, appendix; equal to its runs' arguments), but for the slots. Its
    # minibatches of 512 steps are of one side each, hence 16 of both.
    "agents": 128,
    "simulation": "global",
    "network": "feed-forward",
    "steps": 102_400,
    "refreshes": 1,
    "evaluations": 25,
    "evaluate_episodes": 36,
    "final_episodes": 36,
    "copies": 16,
    "window": 256,
    "windows": 1,
    "epochs": 10,
    "minibatches": 16,
    "pieces": 32,
    "learning_rate": 2e-4,
    "anneal_rate": False,
    "clip": 0.2,
    "anneal_clip": False,
    "clip_value": True,
    "value_weight": 0.25,  # its loss has a factor of one half
    "entropy_weight": 1e-3,
    "anneal_entropy": False,
    "gradient_norm": 0.5,
    "adam_epsilon": 1e-5,
    "discount": 0.99,
    "trace": 0.95,
}
FAST: dict[str, Any] = {
    **{name: value for name, value in PAPER.items() if name != "windows"},
    "map": 16,
    "agents": 32,
    "steps": 40_000,
    "evaluations": 10,
    "evaluate_episodes": 8,
    "final_episodes": 16,
    "channels": 16,
    "blocks": "1",
    "copies": 8,
    "window": 128,
    "epochs": 3,
    "minibatches": 8,
    "pieces": 16,
    "learning_rate": 3e-3,
}
SLOTS = ((48, 128), (24, 64), (0, 32))
"""(least side of the board, slots of each side), if --agents is not given."""


class Options(DomainOptions):
    """Rules of a game, and the size of the network, which is of boards."""

    map: int = Field(48, ge=1, le=1_000, description="cells on a side of the board")
    factories: str | None = Field(
        None, description="factories of each side, such as 2 or 1-3; by default 2-5 on 48 x 48"
    )
    length: int = Field(
        1000, ge=1, le=100_000, description="steps of a whole game, which evaluation plays"
    )
    train_length: int = Field(
        256, ge=1, le=100_000, description="steps after which games are truncated in training"
    )
    water: bool = Field(False, description="whether factories may water lichen")
    channels: int = Field(32, ge=2, le=4_096, description="channels of the network's convolutions")
    blocks: str = Field(
        "2,2", description="residual blocks before each further convolution, such as 2,2"
    )

    summary = "Lux AI Season 2: the competition's own engine, both sides learn"
    kind = "games"
    presets = {"fast": FAST, "paper": PAPER}  # noqa: RUF012 - never mutated
    benches = {"lux-speed": "hinterland.domains.lux.bench_speed"}  # noqa: RUF012

    @field_validator("blocks")
    @classmethod
    def _check_blocks(cls, text: str) -> str:
        if re.fullmatch(r"[0-9](,[0-9]){0,7}", text) is None:
            raise ValueError("must be up to eight numbers from 0 to 9, for example 2,2")
        return text

    @classmethod
    def unread(cls, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """What is for other networks."""
        if ":" in settings["network"]:
            return dict.fromkeys(("channels", "blocks"), "is for the network of lux itself")
        of_boards = "boards have convolutions: see --channels and --blocks"
        found = dict.fromkeys(("hidden", "trunk"), of_boards)
        return found | {"network": "boards are for networks without memory"}

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Larger boards have more slots."""
        preset = cls.presets.get(name, {})
        if isinstance(side := given.get("map"), int):
            return {**preset, "agents": next((n for least, n in SLOTS if side >= least), 1)}
        return preset
