"""Owns shapes of units on a map: reading a province's own GeoJSON file, and drawing what of it is wanted as SVG paths.

No open package holds the boundaries of Vietnamese communes under a licence to pass them on, so the platform ships none
and invents none: a province names its file (`XASO_INDICATORS_MAP_FILE`), and without one the map is made of tiles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from chassis import telemetry

log = telemetry.logger(__name__)

WIDTH = 1000.0
"""Units of the drawing from west to east."""
FINE = 0.8
"""A corner nearer than this to the line between its neighbours is left out of the drawing."""
DOT = 14.0
"""Radius of a unit of which only a point is known."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Shape:
    """The outline of a unit in degrees (longitude, latitude); a single point where no outline is known."""

    rings: tuple[tuple[Point, ...], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """SVG paths by code, and the size of the picture."""

    paths: dict[str, str]
    width: float
    height: float


@lru_cache(maxsize=4)
def _read(path: Path, _changed: float) -> dict[str, Shape]:
    found = {}
    for feature in json.loads(path.read_text("utf-8"))["features"]:
        code = feature["properties"].get("code")
        rings = tuple(_rings(feature["geometry"] or {}))
        if code and rings:
            found[str(code)] = Shape(rings)
    return found


def read(path: Path | None) -> dict[str, Shape]:
    """The shapes in a GeoJSON file (WGS 84; `properties.code` names the unit); none where it cannot be read."""
    if path is None:
        return {}
    try:
        return _read(path, path.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        # A map is an extra: the tiles and the table say the same, so the page is drawn without it.
        log.warning("map_file_unreadable", error=type(error).__name__)
        return {}


def _rings(geometry: dict[str, Any]) -> Iterator[tuple[Point, ...]]:
    coordinates = geometry.get("coordinates", ())
    match geometry.get("type"):
        case "Point":
            yield (_point(coordinates),)
        case "Polygon":
            yield from (tuple(map(_point, ring)) for ring in coordinates if len(ring) > 3)
        case "MultiPolygon":
            yield from (tuple(map(_point, ring)) for part in coordinates for ring in part if len(ring) > 3)


def _point(pair: Sequence[float]) -> Point:
    longitude, latitude = float(pair[0]), float(pair[1])
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise ValueError(pair)
    return longitude, latitude


def draw(shapes: dict[str, Shape], codes: Iterable[str]) -> Drawing | None:
    """The shapes of `codes` fitted into one picture, true to shape at their latitude; None where there is none."""
    wanted = {code: shapes[code] for code in codes if code in shapes}
    corners = [point for shape in wanted.values() for ring in shape.rings for point in ring]
    if not corners:
        return None
    west, east = min(x for x, _ in corners), max(x for x, _ in corners)
    south, north = min(y for _, y in corners), max(y for _, y in corners)
    narrow = math.cos(math.radians((south + north) / 2))
    scale = (WIDTH - 4 * DOT) / max((east - west) * narrow, (north - south) / 2, 1e-6)

    def place(point: Point) -> Point:
        return (point[0] - west) * narrow * scale + 2 * DOT, (north - point[1]) * scale + 2 * DOT

    paths = {code: _path([[place(p) for p in ring] for ring in shape.rings]) for code, shape in wanted.items()}
    width = (east - west) * narrow * scale + 4 * DOT
    return Drawing(paths, round(width, 1), round((north - south) * scale + 4 * DOT, 1))


def _path(rings: Sequence[Sequence[Point]]) -> str:
    parts = []
    for ring in rings:
        if len(ring) == 1:
            x, y = ring[0]
            parts.append(f"M{x - DOT:.1f} {y:.1f}a{DOT} {DOT} 0 1 0 {2 * DOT} 0a{DOT} {DOT} 0 1 0 {-2 * DOT} 0z")
            continue
        kept = _simple(ring)
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in kept) + "z")
    return "".join(parts)


def _simple(ring: Sequence[Point]) -> list[Point]:
    """The ring without corners nobody would see (Douglas and Peucker, without recursion)."""
    half = len(ring) // 2
    keep = {0, half, len(ring) - 1}
    spans = [(0, half), (half, len(ring) - 1)]
    while spans:
        first, last = spans.pop()
        farthest, distance = first, FINE
        for index in range(first + 1, last):
            away = _off(ring[index], ring[first], ring[last])
            if away > distance:
                farthest, distance = index, away
        if farthest != first:
            keep.add(farthest)
            spans += [(first, farthest), (farthest, last)]
    return [ring[index] for index in sorted(keep)]


def _off(point: Point, start: Point, end: Point) -> float:
    """How far a point lies off the line from `start` to `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    long = math.hypot(dx, dy)
    if long == 0:
        return math.hypot(point[0] - start[0], point[1] - start[1])
    return abs(dx * (start[1] - point[1]) - (start[0] - point[0]) * dy) / long
