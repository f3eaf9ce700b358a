"""What each entity is paid for a step: ice on its way into factories, half to either end.

"Performance-based environment" of the thesis, read off the originals' code where its two formulas
contradict each other: f(t) multiplies. For ice only; ore earns nothing.
"""

from typing import NamedTuple

import numpy as np

from hinterland.domains.lux.actions import ICE_CARGO, RESOURCE, TRANSFER, TRANSFER_TO, TYPE, targets
from hinterland.domains.lux.rules import Payment
from hinterland.domains.lux.state import FACTORY, ICE, ID, KIND, LENGTH, UNIT, State

ICE_FOR_WATER = 4


class Paid(NamedTuple):
    """Of one step."""

    reward: np.ndarray
    """[player, slot], by the slots before the step."""
    ice: np.ndarray
    """[player] ice that reached own factories."""


def pay(before: State, actions: np.ndarray, after: State, payment: Payment) -> Paid:
    """The rewards of one step.

    reward = scale f(t) / 2 x [mined x ice dug / 4 + ice delivered / 4], a factory's the ice
    it received / 4, f(t) = 1 + 0.1 (1000 - t) / 1000. An entity is paid for steps at whose start it
    existed, the one that ends it included; so nobody is paid for the step that makes it.

    Args:
        before: the state in which the actions were chosen.
        actions: [player, slot, 6], which their masks permit.
        after: the next state.
        payment: its weights.
    """
    seats, then = before.seats, after.seats
    exists = seats[..., ID] >= 0
    unit, factory = exists & (seats[..., KIND] == UNIT), exists & (seats[..., KIND] == FACTORY)
    lives = exists & (then[..., ID] == seats[..., ID])
    gives = unit & (actions[..., TYPE] == TRANSFER) & (actions[..., RESOURCE] == ICE_CARGO)
    delivered = np.where(gives, seats[..., ICE], 0)
    dug = np.where(unit & lives, np.maximum(then[..., ICE] - seats[..., ICE], 0), 0)
    received = _received(before, actions, delivered)
    early = 1 + 0.1 * (LENGTH - before.step) / LENGTH
    water = (payment.mined * dug + delivered + received) / ICE_FOR_WATER
    reward = early / 2 * water + payment.survival * (unit & lives)
    reward += payment.unit_death * (unit & ~lives) + payment.factory_death * (factory & ~lives)
    return Paid((payment.scale * reward).astype(np.float32), delivered.sum(1))


def _received(before: State, actions: np.ndarray, delivered: np.ndarray) -> np.ndarray:
    """[player, slot] the ice that got to each factory."""
    seats = before.seats
    player, slot = np.nonzero(delivered)
    cells, _ = targets(seats, before.size)
    cell = cells[player, slot, actions[player, slot, TRANSFER_TO]]
    home = before.territory.reshape(2, -1)[player, cell]
    received = np.zeros(delivered.shape)
    is_home = (seats[player, :, ID] == home[:, None]) & (seats[player, :, KIND] == FACTORY)
    np.add.at(received, (player, is_home.argmax(1)), delivered[player, slot])
    return received
