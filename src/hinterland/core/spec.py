"""Sizes come from the domain; nobody types `observation: 37` into a configuration."""

import math
from dataclasses import dataclass

from hinterland.core.errors import UserError


@dataclass(frozen=True)
class AgentSpec:
    """What one agent sees, does and is touched by.

    Attributes:
        observation: length of the observation vector.
        actions: number of discrete actions.
        dset: length of the d-separating set's vector at one step (what the predictor may see).
        sources: number M of influence sources.
        classes: number of classes of each influence source (categorical, 0 .. classes-1).
        horizon: environment steps after which an episode is truncated.
    """

    observation: int
    actions: int
    dset: int
    sources: int
    classes: int
    horizon: int


def square_side(agents: int, what: str) -> int:
    """The side of a square of so many agents.

    Raises:
        UserError: there is none; `what` says what needs a square number of whom.
    """
    side = math.isqrt(max(agents, 0))
    if side * side != agents or agents < 1:
        below = max(1, side)
        raise UserError(f"--agents {agents}: {what}, for example {below**2} or {(below + 1) ** 2}")
    return side
