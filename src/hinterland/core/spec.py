"""Sizes come from the domain; nobody types `observation: 37` into a configuration."""

from dataclasses import dataclass


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
