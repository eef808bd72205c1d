"""Owns the map of tourism points: dots true to scale, apart where one would lie on another, without foreign tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.ecommerce.tourism.model import TourismPoint

WIDTH = 400.0
"""Units of the drawing from west to east: about the pixels of a phone, so that a dot is a thumb wide."""
EDGE = 28.0
LOWEST, HIGHEST = 160.0, 400.0
RADIUS = 15.0
APART = 31.0
RINGS = 14
"""Rings around a place, `APART` from one to the next, on which a dot may lie whose own place is taken."""
METRES_A_DEGREE = 111_320.0
LEAST_METRES = 400.0
"""A map never shows less than this: the coordinates of a lone point are no better than some metres."""


@dataclass(frozen=True, slots=True)
class Dot:
    point: TourismPoint
    number: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Map:
    """Dots and a bar of `bar_metres` that is `bar` units long."""

    dots: list[Dot]
    height: float
    bar: float
    bar_metres: int
    radius: float = RADIUS


def draw(points: Sequence[TourismPoint]) -> Map | None:
    """The points that have a place, numbered as in the list they come from; None where none has."""
    placed = [(n, p, p.lon, p.lat) for n, p in enumerate(points, 1) if p.lon is not None and p.lat is not None]
    if not placed:
        return None
    west, east = min(lon for _, _, lon, _ in placed), max(lon for _, _, lon, _ in placed)
    south, north = min(lat for _, _, _, lat in placed), max(lat for _, _, _, lat in placed)
    narrow = math.cos(math.radians((south + north) / 2)) * METRES_A_DEGREE
    wide, tall = (east - west) * narrow, (north - south) * METRES_A_DEGREE
    scale = min((WIDTH - 2 * EDGE) / max(wide, LEAST_METRES), (HIGHEST - 2 * EDGE) / max(tall, LEAST_METRES / 2))
    height = min(max(tall * scale + 2 * EDGE, LOWEST), HIGHEST)

    def place(lon: float, lat: float) -> tuple[float, float]:
        x = WIDTH / 2 + (lon - (west + east) / 2) * narrow * scale
        return round(x, 1), round(height / 2 - (lat - (south + north) / 2) * METRES_A_DEGREE * scale, 1)

    metres = _round_length(WIDTH / 4 / scale)
    dots: list[Dot] = []
    for number, point, lon, lat in placed:
        dots.append(Dot(point, number, *_apart(*place(lon, lat), height, dots)))
    return Map(dots, round(height, 1), round(metres * scale, 1), metres)


def _apart(x: float, y: float, height: float, dots: Sequence[Dot]) -> tuple[float, float]:
    """The free place nearest to x and y: a dot below another one is neither seen nor tapped."""
    near = [(x, y)]
    near += [
        (
            x + ring * APART * math.cos(turn * math.tau / (6 * ring)),
            y + ring * APART * math.sin(turn * math.tau / (6 * ring)),
        )
        for ring in range(1, RINGS)
        for turn in range(6 * ring)
    ]
    free = (
        (round(east, 1), round(south, 1))
        for east, south in near
        if RADIUS <= east <= WIDTH - RADIUS and RADIUS <= south <= height - RADIUS
        if all(math.dist((east, south), (dot.x, dot.y)) >= 2 * RADIUS for dot in dots)
    )
    return next(free, (x, y))


def _round_length(most: float) -> int:
    """The longest of 1, 2, 5, 10, 20, 50, … metres that is no longer than `most`."""
    ten = 10 ** math.floor(math.log10(max(most, 1)))
    return int(max(step * ten for step in (1, 2, 5) if step * ten <= max(most, 1)))
