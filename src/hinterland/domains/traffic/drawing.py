"""Pictures of the grid, as plain shapes in metres; north is up."""

from typing import Any

from hinterland.domains.traffic.network import BLOCK, SPEED

Shape = dict[str, Any]
GROUND, ROAD = "#eef1ea", "#b9bdb8"
CAR = "#1f3b57"
SLOW_CAR = "#d55e00"
GREEN, YELLOW, RED = "#009e73", "#e6a700", "#c0392b"
WIDE = 8.0
"""Width of a drawn road; wider than the real one, to be seen in a large grid."""


def scene(rows: int, columns: int) -> dict[str, Any]:
    """The ground and the roads."""
    width, height = (columns + 1) * BLOCK, (rows + 1) * BLOCK
    shapes: list[Shape] = [
        {"kind": "rect", "x": 0, "y": 0, "w": width, "h": height, "fill": GROUND}
    ]
    for column in range(columns):
        x = (column + 1) * BLOCK - WIDE / 2
        shapes.append({"kind": "rect", "x": x, "y": 0, "w": WIDE, "h": height, "fill": ROAD})
    for row in range(rows):
        y = (row + 1) * BLOCK - WIDE / 2
        shapes.append({"kind": "rect", "x": 0, "y": y, "w": width, "h": WIDE, "fill": ROAD})
    return {"width": width, "height": height, "shapes": shapes}


def frame(state: dict[str, Any], rows: int, columns: int) -> list[Shape]:
    """Stop lines in the colour of their light; cars, orange where they crawl or stand."""
    height = (rows + 1) * BLOCK
    shapes: list[Shape] = []
    for light, phase in enumerate(state["phase"]):
        row, column = divmod(light, columns)
        x, y = (column + 1) * BLOCK, height - (row + 1) * BLOCK
        colours = (GREEN, YELLOW, RED, RED)
        north_south, east_west = colours[phase], colours[(phase + 2) % 4]
        for way in (-1, 1):
            shapes.append(
                {"kind": "rect", "x": x - 5, "y": y + way * 11 - 1.5, "w": 10, "h": 3,
                 "fill": north_south}
            )  # fmt: skip
            shapes.append(
                {"kind": "rect", "x": x + way * 11 - 1.5, "y": y - 5, "w": 3, "h": 10,
                 "fill": east_west}
            )  # fmt: skip
    for x, y, speed in state["cars"].tolist():
        shapes.append(
            {"kind": "circle", "x": round(x, 1), "y": round(height - y, 1), "r": 2.4,
             "fill": CAR if speed > 0.3 * SPEED else SLOW_CAR}
        )  # fmt: skip
    return shapes
