"""Sizes come from the domain; nobody types `observation: 37` into a configuration."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

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

    A domain of entities has no d-set and no influence: 0, 0 and 0.

    Raises:
        UserError: one of them is not a whole number, or too small.
    """

    observation: int
    actions: int
    dset: int
    sources: int
    classes: int
    horizon: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = LEAST.get(field.name, 0)
            if not is_whole(value) or value < least:
                raise UserError(
                    f"AgentSpec: {field.name} is {value!r}; it must be a whole number of at least "
                    f"{least}"
                )
            object.__setattr__(self, field.name, int(value))
        if self.sources and not (self.dset and self.classes):
            raise UserError(
                f"AgentSpec: sources is {self.sources}, so dset and classes must be at least 1; "
                f"they are {self.dset} and {self.classes}"
            )


LEAST = {"observation": 1, "actions": 1, "horizon": 1}
"""Other numbers may be 0."""


def is_whole(value: Any) -> bool:
    """Whether it is an integer, Python's or NumPy's; a truth or a float is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def integers_for(count: int) -> type[np.signedinteger]:
    """The narrowest signed type that holds 0 .. count-1: how actions and classes are kept."""
    return np.min_scalar_type(-max(count, 1)).type
