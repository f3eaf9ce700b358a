"""Pictures of a game, as plain shapes; a cell is 10 wide.

The ground is another one in each game: `scene` draws that of the first picture, and `frame` what
has changed since.
"""

from typing import Any

import numpy as np

from hinterland.domains.lux.state import FACTORY, HEAVY, ICE, KIND, ORE, WATER, X, Y

Shape = dict[str, Any]
CELL = 10
GROUND, RUBBLE, LICHEN = "#f3ece4", "#7d6a5a", "#2e8b57"
ICE_COLOUR, ORE_COLOUR = "#5fb4e5", "#a67c2e"
PLAYER = ("#0072b2", "#d55e00")
CARGO_COLOUR, WORDS = "#ffffff", "#222222"


def scene(start: dict[str, Any]) -> dict[str, Any]:
    """The ground at the beginning.

    Args:
        start: the first `picture` of a session.
    """
    boards = start["boards"]
    size = len(boards["ice"])
    shapes = [_rect(0, 0, size * CELL, size * CELL, GROUND)]
    shapes += _rubble(boards["rubble"], boards["rubble"] > 0)
    for board, colour in ((boards["ice"], ICE_COLOUR), (boards["ore"], ORE_COLOUR)):
        shapes += [_cell(x, y, colour) for y, x in np.argwhere(board)]
    return {"width": size * CELL, "height": size * CELL, "shapes": shapes}


def frame(picture: dict[str, Any], start: dict[str, Any]) -> list[Shape]:
    """Rubble that changed, lichen, factories with their water, units with what they carry.

    Args:
        picture: of the moment.
        start: the picture of the scene.
    """
    boards = picture["boards"]
    changed = (boards["rubble"] != start["boards"]["rubble"]) & ~(boards["ice"] | boards["ore"])
    shapes = [_cell(x, y, GROUND) for y, x in np.argwhere(changed)]
    shapes += _rubble(boards["rubble"], changed & (boards["rubble"] > 0))
    for y, x in np.argwhere(boards["lichen"] > 0):
        opacity = round(0.3 + 0.6 * min(1.0, boards["lichen"][y, x] / 100), 2)
        shapes.append(_circle(x, y, 3, LICHEN) | {"opacity": opacity})
    for colour, rows in zip(PLAYER, picture["rows"], strict=True):
        for row in rows.tolist():
            x, y = row[X], row[Y]
            if row[KIND] == FACTORY:
                left, top = (x - 1) * CELL, (y - 1) * CELL
                shapes.append(_rect(left, top, 3 * CELL, 3 * CELL, colour) | {"opacity": 0.55})
                shapes.append(_text(left + 2, top + 9, str(row[WATER])))
            else:
                shapes.append(_circle(x, y, 4.6 if row[HEAVY] else 3, colour))
                if row[ICE] or row[ORE]:
                    shapes.append(_circle(x, y, 1.4, CARGO_COLOUR))
    shapes.append(_text(2, 9, f"step {picture['step']}"))
    return shapes


def _rubble(rubble: np.ndarray, where: np.ndarray) -> list[Shape]:
    return [
        _cell(x, y, RUBBLE) | {"opacity": round(0.75 * int(rubble[y, x]) / 100, 2)}
        for y, x in np.argwhere(where)
    ]


def _rect(x: int, y: int, width: int, height: int, fill: str) -> Shape:
    return {"kind": "rect", "x": x, "y": y, "w": width, "h": height, "fill": fill}


def _cell(x: int, y: int, fill: str) -> Shape:
    return _rect(int(x) * CELL, int(y) * CELL, CELL, CELL, fill)


def _circle(x: int, y: int, radius: float, fill: str) -> Shape:
    middle = CELL // 2
    return {"kind": "circle", "x": int(x) * CELL + middle, "y": int(y) * CELL + middle,
            "r": radius, "fill": fill}  # fmt: skip


def _text(x: int, y: int, text: str) -> Shape:
    return {"kind": "text", "x": x, "y": y, "text": text, "fill": WORDS}
