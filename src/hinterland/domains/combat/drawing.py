"""Pictures of an engagement, as plain shapes in km from the field's upper left corner."""

from typing import Any

import numpy as np
from jaxtyping import Float

from hinterland.core.types import HostOrDevice
from hinterland.domains.combat.rules import BARRAGE, HALF, MISSILE_SPEED, Forces
from hinterland.domains.combat.state import BLUE, DIRECTIONS, RED, Side, State

Shape = dict[str, Any]
SEA, MISSILE, JAMMING = "#eef3f6", "#333333", "#e69f00"
FILL = {RED: "#d55e00", BLUE: "#0072b2"}
SIGN = {RED: 1.0, BLUE: -1.0}
"""Red's frame is the picture's, blue's is turned by 180 degrees."""
UNIT = 2.2
"""Half the size of a unit on the picture, km."""


def scene() -> dict[str, Any]:
    """The empty field."""
    field = {"kind": "rect", "x": 0, "y": 0, "w": 2 * HALF, "h": 2 * HALF, "fill": SEA}
    return {"width": 2 * HALF, "height": 2 * HALF, "shapes": [field]}


def _at(position: Float[HostOrDevice, " 2"]) -> tuple[float, float]:
    """Place on the picture; y grows downwards there."""
    return round(float(HALF + position[0]), 2), round(float(HALF - position[1]), 2)


def frame(state: State, forces: Forces) -> list[Shape]:
    """Fighters are circles with a dot ahead, detectors squares, missiles dark dots.

    A unit with its radar off, or blinded, is pale; a jammer has a yellow halo, wide in barrage.
    """
    shapes: list[Shape] = []
    sides = [Side(*(np.asarray(x)[i] for x in state.sides)) for i in (RED, BLUE)]
    for side, of in enumerate(sides):
        for unit in np.flatnonzero(of.alive):
            shapes += _unit(of, unit, forces, SIGN[side], FILL[side])
    for side, of in enumerate(sides):
        targets = sides[1 - side].position * SIGN[1 - side]
        for unit, missile in zip(*np.nonzero(of.flight), strict=True):
            goal = targets[of.target[unit, missile]]
            back = SIGN[side] * of.position[unit] - goal
            length = max(float(np.hypot(*back)), 1e-6)
            way = min(MISSILE_SPEED * int(of.flight[unit, missile]), length)
            x, y = _at(goal + back / length * way)
            shapes.append({"kind": "circle", "x": x, "y": y, "r": 0.8, "fill": MISSILE})
    return shapes


def _unit(of: Side, unit: int, forces: Forces, sign: float, fill: str) -> list[Shape]:
    position = sign * of.position[unit]
    x, y = _at(position)
    shapes: list[Shape] = []
    if of.jammer[unit]:
        wide = 2.6 if of.jammer[unit] == BARRAGE else 1.8
        halo = {"kind": "circle", "x": x, "y": y, "r": wide * UNIT, "fill": JAMMING}
        shapes.append({**halo, "opacity": 0.35})
    sees = of.radar[unit] and not of.blinded[unit]
    look = {"fill": fill, "opacity": 1.0 if sees else 0.45}
    if forces.detector[unit]:
        box = {"x": round(x - UNIT, 2), "y": round(y - UNIT, 2), "w": 2 * UNIT, "h": 2 * UNIT}
        return [*shapes, {"kind": "rect", **box, **look}]
    nose = _at(position + sign * 1.4 * UNIT * DIRECTIONS[of.course[unit]])
    ahead = {"kind": "circle", "x": nose[0], "y": nose[1], "r": 0.4 * UNIT, **look}
    return [*shapes, {"kind": "circle", "x": x, "y": y, "r": UNIT, **look}, ahead]
