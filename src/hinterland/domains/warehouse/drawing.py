"""Pictures of the warehouse, as plain shapes in cell units."""

from typing import Any

from hinterland.domains.warehouse.state import EMPTY, HORIZON, WarehouseState

Shape = dict[str, Any]
FLOOR, SHELF = "#f4f1ea", "#d9cfbd"
LEARNER, SCRIPTED_ROBOT, ITEM = "#0072b2", "#8c8c8c", "#d55e00"


def scene(side: int, ring: bool) -> dict[str, Any]:
    """Floor, shelves and the frame around the learners' regions."""
    cells = 4 * side + 1
    shapes: list[Shape] = [{"kind": "rect", "x": 0, "y": 0, "w": cells, "h": cells, "fill": FLOOR}]
    for line in range(side + 1):
        for other in range(side):
            across = {"x": 4 * other + 1, "y": 4 * line, "w": 3, "h": 1}
            along = {"x": 4 * line, "y": 4 * other + 1, "w": 1, "h": 3}
            shapes += [{"kind": "rect", **box, "fill": SHELF} for box in (across, along)]
    if ring:
        inner = 4 * (side - 2) + 1
        shapes.append(
            {
                "kind": "rect",
                "x": 4,
                "y": 4,
                "w": inner,
                "h": inner,
                "fill": LEARNER,
                "opacity": 0.08,
            }
        )
    return {"width": cells, "height": cells, "shapes": shapes}


def frame(state: WarehouseState, ring: bool) -> list[Shape]:
    """Items, the darker the older, and robots: blue learners, grey scripted ones."""
    side = state.row.shape[0]
    shapes: list[Shape] = []
    for ages, down, right in ((state.horizontal, 0, 1), (state.vertical, 1, 0)):
        for (i, j, k), age in _items(ages):
            x, y = 4 * j + (k + 1) * right, 4 * i + (k + 1) * down
            opacity = round(0.35 + 0.65 * min(age / (HORIZON // 2), 1), 2)
            shapes.append(
                {"kind": "rect", "x": x + 0.15, "y": y + 0.15, "w": 0.7, "h": 0.7,
                 "fill": ITEM, "opacity": opacity}
            )  # fmt: skip
    for i in range(side):
        for j in range(side):
            learns = not ring or (0 < i < side - 1 and 0 < j < side - 1)
            shapes.append(
                {"kind": "circle", "x": 4 * j + int(state.column[i, j]) + 0.5,
                 "y": 4 * i + int(state.row[i, j]) + 0.5, "r": 0.42,
                 "fill": LEARNER if learns else SCRIPTED_ROBOT}
            )  # fmt: skip
    return shapes


def _items(ages):  # type: ignore[no-untyped-def]
    for i in range(ages.shape[0]):
        for j in range(ages.shape[1]):
            for k in range(3):
                if ages[i, j, k] != EMPTY:
                    yield (i, j, k), int(ages[i, j, k])
