"""Pictures of a city, as plain shapes in metres; north is up."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hinterland.domains.traffic.city import City
from hinterland.domains.traffic.drawing import CAR, GREEN, GROUND, RED, ROAD, SLOW_CAR, YELLOW
from hinterland.domains.traffic.netfile import ROADS, elements, for_vehicles

Shape = dict[str, Any]
Point = tuple[float, float]
MARGIN_M, AROUND = 20.0, 0.1
"""Around the whole network, in metres; around the lanes before lights, by their extent."""
DOTS = 12_000
"""Most dots that roads are drawn with; shapes have no lines."""
SLOW = 3.0
"""Metres per second below which a car is drawn as slow; as on the grids."""
COLOURS = {"G": GREEN, "g": GREEN, "y": YELLOW, "Y": YELLOW, "u": YELLOW}
RANK = {colour: rank for rank, colour in enumerate((RED, YELLOW, GREEN))}


class CityDrawing:
    """The part of a city where its agents are: roads for vehicles, lights and vehicles.

    Args:
        city: its network is read again, for the shapes of its lanes.
    """

    def __init__(self, city: City) -> None:
        self._city = city
        self._lanes: dict[str, list[Point]] = {}
        for element in elements(city.network, "net", "a SUMO network (.net.xml)"):
            if element.tag == "edge" and element.get("function") in (*ROADS, "internal"):
                for lane in filter(for_vehicles, element.iter("lane")):
                    points = [point.split(",") for point in lane.get("shape", "").split()]
                    self._lanes[lane.get("id", "")] = [(float(p[0]), float(p[1])) for p in points]
        watched = [point for light in city.lights for x in light.lanes for point in self._lanes[x]]
        every = [point for points in self._lanes.values() for point in points]
        (self._west, east), (south, self._north) = (
            _extent([point[axis] for point in watched], [point[axis] for point in every])
            for axis in (0, 1)
        )
        self._width, self._height = east - self._west, self._north - south
        size = max(self._width, self._height)
        self._dot = max(1.6, size / 500)
        self._car = max(2.4, size / 350)

    def scene(self) -> dict[str, Any]:
        """The ground and the roads."""
        fine = [
            point
            for points in self._lanes.values()
            for point in _along(points, self._dot)
            if self._shows(*point)
        ]
        ground = {"kind": "rect", "x": 0, "y": 0, "w": self._width, "h": self._height}
        shapes: list[Shape] = [{**ground, "fill": GROUND}]
        # Where a network has many roads, dots are fewer but stay evenly apart.
        apart = self._dot * max(1.0, len(fine) / DOTS)
        for points in self._lanes.values():
            for x, y in _along(points, apart):
                if self._shows(x, y):
                    shapes.append(self._circle(x, y, self._dot, ROAD))
        return {"width": self._width, "height": self._height, "shapes": shapes}

    def frame(self, state: dict[str, Any]) -> list[Shape]:
        """Cars, orange where slow; over them, where lanes end, the best colour of their light."""
        shapes = [
            self._circle(x, y, self._car, CAR if speed > SLOW else SLOW_CAR)
            for x, y, speed in state["cars"].tolist()
            if self._shows(x, y)
        ]
        for light, shown in zip(self._city.lights, state["states"], strict=True):
            best = dict.fromkeys(light.lanes, RED)
            for index, slot, _ in light.links:
                colour = COLOURS.get(shown[index], RED)
                best[light.lanes[slot]] = max(best[light.lanes[slot]], colour, key=RANK.__getitem__)
            for lane, colour in best.items():
                shapes.append(self._circle(*self._lanes[lane][-1], self._car, colour))
        return shapes

    def _shows(self, x: float, y: float) -> bool:
        right, down = x - self._west, self._north - y
        return 0 <= right <= self._width and 0 <= down <= self._height

    def _circle(self, x: float, y: float, radius: float, fill: str) -> Shape:
        return {"kind": "circle", "x": round(x - self._west, 1), "y": round(self._north - y, 1),
                "r": round(radius, 1), "fill": fill}  # fmt: skip


def _extent(watched: list[float], every: list[float]) -> tuple[float, float]:
    """From where to where a picture shows what is watched, and no empty land."""
    low, high = min(watched), max(watched)
    around = MARGIN_M + AROUND * (high - low)
    return max(low - around, min(every) - MARGIN_M), min(high + around, max(every) + MARGIN_M)


def _along(points: list[Point], apart: float) -> Iterator[Point]:
    """Points on a line, so many metres apart."""
    left = 0.0
    for a, b in pairwise(points):
        length = math.dist(a, b)
        while left <= length > 0:
            share = left / length
            yield a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
            left += apart
        left -= length
