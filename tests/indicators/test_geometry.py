"""Maps of real shapes: what a province's GeoJSON must hold, what is drawn of it, and what happens with a bad file."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.indicators.app import service
from services.indicators.settings import Settings
from services.indicators.views import geometry
from tests.indicators.conftest import Stage
from tests.indicators.test_drilling import NEIGHBOUR, page
from tests.support.running import commune, ladder, running, settings_for, village

# Squares, not places: the test is of the drawing.
SQUARE = [[106.40, 20.80], [106.50, 20.80], [106.50, 20.90], [106.40, 20.90], [106.40, 20.80]]
HOLE = [[106.44, 20.84], [106.46, 20.84], [106.46, 20.86], [106.44, 20.86], [106.44, 20.84]]


def feature(code: str, kind: str, coordinates: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"code": code}, "geometry": {"type": kind, "coordinates": coordinates}}


def write(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}), "utf-8")
    return path


def test_outlines_points_and_holes_are_drawn_true_to_shape(tmp_path: Path) -> None:
    path = write(
        tmp_path / "map.json",
        feature("1", "Polygon", [SQUARE, HOLE]),
        feature("2", "MultiPolygon", [[SQUARE], [HOLE]]),
        feature("3", "Point", [106.45, 20.85]),
    )
    drawing = geometry.draw(geometry.read(path), ["1", "2", "3", "4"])
    assert drawing is not None
    assert set(drawing.paths) == {"1", "2", "3"}
    assert drawing.paths["1"].count("M") == 2
    assert "a14.0 14.0" in drawing.paths["3"]
    # A degree of longitude is shorter than one of latitude here by the cosine of 20.85°.
    inner_width, inner_height = drawing.width - 4 * geometry.DOT, drawing.height - 4 * geometry.DOT
    assert inner_width / inner_height == pytest.approx(0.9345, abs=0.001)


def test_corners_nobody_would_see_are_left_out(tmp_path: Path) -> None:
    fine = [[106.40 + step / 10_000, 20.80] for step in range(1001)]
    ring = [*fine, [106.50, 20.90], [106.40, 20.90], [106.40, 20.80]]
    shapes = geometry.read(write(tmp_path / "map.json", feature("1", "Polygon", [ring])))
    drawing = geometry.draw(shapes, ["1"])
    assert drawing is not None
    assert drawing.paths["1"].count("L") <= 6


def test_nothing_is_drawn_where_nothing_is_known(tmp_path: Path) -> None:
    assert geometry.draw(geometry.read(None), ["1"]) is None
    shapes = geometry.read(write(tmp_path / "map.json", feature("1", "Polygon", [SQUARE])))
    assert geometry.draw(shapes, ["2"]) is None


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"features": [{"properties": {"code": "1"}, "geometry": {"type": "Point", "coordinates": [900, 1]}}]}',
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_leaves_the_tiles(tmp_path: Path, content: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content, "utf-8")
    with capture_logs() as logs:
        assert geometry.read(path) == {}
        assert geometry.read(tmp_path / "absent.json") == {}
    assert [entry["event"] for entry in logs] == ["map_file_unreadable", "map_file_unreadable"]


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Two communes, of which the province's file knows one."""
    path = write(tmp_path_factory.mktemp("map") / "map.json", feature("11074", "Polygon", [SQUARE]))
    async with running(service, settings_for(Settings, database("geometry"), map_file=path)) as live:
        here = commune()
        villages = [village(here, 1)]
        await live.enter_units(*ladder(), here, NEIGHBOUR, *villages)
        yield Stage(live, here, villages)


async def test_a_known_shape_is_a_link_that_says_its_state_and_the_rest_are_tiles(stage: Stage) -> None:
    text = await page(stage, "/indicators/?unit=298")
    shape = re.search(
        r'<a href="([^"]*)" aria-label="([^"]*)"><title>[^<]*</title><path class="shape shape--(\w+)"', text
    )
    assert shape is not None
    assert shape.groups() == (
        "/indicators/?unit=11074&amp;set=hd-288-2023", "Xã Đại Sơn: chưa có số liệu", "no_data",
    )  # fmt: skip
    tiles = re.findall(r'<a class="tile tile--\w+" href="[^"]*unit=(\d+)', text)
    assert tiles == ["11077"]
