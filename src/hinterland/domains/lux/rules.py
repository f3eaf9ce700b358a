"""What one game is: its board, its length, what is drawn from it and what is paid for."""

from dataclasses import dataclass

from hinterland.core import UserError
from hinterland.domains.lux.state import LENGTH

SMALLEST, LARGEST = 16, 64
"""Sides of a board. Below 16 most have no ice at all; above 64 the engine was never played."""


def usual_factories(map_size: int) -> tuple[int, int]:
    """(fewest, most) factories of each side: Season 2's on 48 x 48 and 64 x 64, fewer below."""
    for side, factories in ((64, (4, 10)), (48, (2, 5)), (32, (1, 3)), (24, (1, 2))):
        if map_size >= side:
            return factories
    return 1, 1


@dataclass(frozen=True)
class Payment:
    """Weights of the reward; the three additions are 0 in the paper's final version.

    Args:
        scale: of all of it. The paper divides by a number that it does not state.
        mined: for ice that a unit digs, of what it gets for delivering as much.
        survival: to each unit for each step it survives.
        unit_death: added to a unit's reward at the step that ends it.
        factory_death: the same of a factory.
    """

    scale: float = 0.01
    mined: float = 0.1
    survival: float = 0.0
    unit_death: float = 0.0
    factory_death: float = 0.0


@dataclass(frozen=True)
class Rules:
    """A game's settings.

    Args:
        map_size: cells on a side; 48 is the paper's.
        factories: (fewest, most) of each side; None: `usual_factories`.
        length: steps of a whole game, after which it is truncated; at 1000 the engine itself
            ends.
        slots: entities of each side that can act; None: 64, or 128 from 48 x 48 on.
        water: whether factories may water lichen; the paper's separation tests forbid it.
        validate: have the engine validate every action, and refuse what the mask forbids.
        payment: the reward.

    Raises:
        UserError: numbers that make no game.
    """

    map_size: int = 48
    factories: tuple[int, int] | None = None
    length: int = LENGTH
    slots: int | None = None
    water: bool = False
    validate: bool = False
    payment: Payment = Payment()

    def __post_init__(self) -> None:
        if not SMALLEST <= self.map_size <= LARGEST:
            raise UserError(
                f"map size {self.map_size}: a Lux board has {SMALLEST} to {LARGEST} cells on a side"
            )
        most_here = usual_factories(self.map_size)[1]
        fewest, most = self.team
        if not 1 <= fewest <= most <= most_here:
            raise UserError(
                f"factories {fewest} to {most}: a {self.map_size} x {self.map_size} board takes "
                f"1 to {most_here} of each side, the fewest first"
            )
        if not 1 <= self.length <= LENGTH:
            raise UserError(f"length {self.length}: a Lux game has 1 to {LENGTH} steps")
        if self.seats <= most:
            raise UserError(f"slots {self.seats}: {most} factories leave none for units")

    @property
    def team(self) -> tuple[int, int]:
        """(fewest, most) factories of each side."""
        return self.factories or usual_factories(self.map_size)

    @property
    def seats(self) -> int:
        """Entities of each side that can act."""
        return self.slots or (128 if self.map_size >= 48 else 64)
