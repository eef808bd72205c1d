"""When a place to visit is open, what may be asked of it, and its map: rules that need no database."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from chassis.errors import Invalid
from chassis.units import VIETNAM
from services.ecommerce.tourism import drawing
from services.ecommerce.tourism.bookings import AskToCome, check
from services.ecommerce.tourism.model import AHEAD, PointStatus, TourismPoint
from services.ecommerce.tourism.views import opening


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """An instant of the week of Monday 2 March 2026, by the clock of Việt Nam."""
    return datetime(2026, 3, 1 + day, hour, minute, tzinfo=UTC) - timedelta(hours=7)


def a_point(**changed: Any) -> TourismPoint:
    """Open on Monday and Saturday from eight to five, to groups of up to ten."""
    said = {"open_days": [1, 6], "opens": time(8), "closes": time(17), "opens_again_on": None, "group_limit": 10}
    return TourismPoint(status=PointStatus.PUBLISHED.value, **{**said, **changed})


def test_opening_is_told_to_the_minute_and_over_the_week() -> None:
    point = a_point()
    assert not point.is_open(at(1, 7, 59))
    assert point.is_open(at(1, 8))
    assert point.is_open(at(1, 16, 59))
    assert not point.is_open(at(1, 17))
    assert not point.is_open(at(2, 12))
    assert point.next_opening(at(1, 7)) == at(1, 8)
    assert point.next_opening(at(1, 8)) == at(6, 8)
    assert point.next_opening(at(6, 18)) == at(8, 8)
    point.opens_again_on = at(7, 12).date()
    assert not point.is_open(at(6, 12))
    assert point.next_opening(at(1, 7)) == at(8, 8)
    point.open_days = []
    assert point.next_opening(at(1, 7)) is None


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([1, 2, 3, 4, 5], "thứ Hai đến thứ Sáu"),
        ([1, 2, 4, 5, 6], "thứ Hai, thứ Ba, thứ Năm đến thứ Bảy"),
        ([6, 7], "thứ Bảy, Chủ nhật"),
        ([1, 2, 3, 4, 5, 6, 7], "hằng ngày"),
    ],
)
def test_days_in_a_row_are_said_as_people_say_them(days: list[int], said: str) -> None:
    assert opening(a_point(open_days=days), str) == f"{said}, 08:00–17:00"
    assert opening(a_point(open_days=days, opens=None, closes=None), str) == said


@pytest.mark.parametrize(
    ("asked_at", "day", "people", "field"),
    [
        (at(1, 16, 59), at(1, 0), 10, None),
        (at(1, 17), at(1, 0), 10, "day"),
        (at(6, 17), at(8, 0), 10, None),
        (at(1, 9), at(2, 0), 1, "day"),
        (at(2, 9), at(1, 0), 1, "day"),
        (at(1, 9), at(1, 9) + AHEAD + timedelta(days=5), 1, "day"),
        (at(1, 9), at(6, 0), 11, "people"),
    ],
)
def test_what_may_be_asked_ends_when_it_closes(
    asked_at: datetime, day: datetime, people: int, field: str | None
) -> None:
    wanted = AskToCome(day.astimezone(VIETNAM).date(), people, "Bình", "0912345678", "")
    try:
        check(a_point(), wanted, asked_at)
        found = None
    except Invalid as error:
        found = error.field
    assert found == field
    check(a_point(opens=None, closes=None), AskToCome(at(1, 9).date(), 1, "Bình", "0912345678", ""), at(1, 23, 59))


def test_no_dot_of_the_map_lies_on_another_and_a_free_place_is_true() -> None:
    far = a_point(lat=20.84, lon=106.43)
    same = [a_point(lat=20.82, lon=106.40) for _ in range(40)]
    drawn = drawing.draw([far, *same, a_point(lat=None, lon=None)])
    assert drawn is not None
    assert [dot.number for dot in drawn.dots] == list(range(1, 42))
    places = [(dot.x, dot.y) for dot in drawn.dots]
    assert all(math.dist(one, other) >= 2 * drawing.RADIUS - 0.2 for one, other in itertools.combinations(places, 2))
    assert all(0 < x < drawing.WIDTH and 0 < y < drawn.height for x, y in places)
    # The first two lie where they are: in opposite corners, the northern one above.
    (x, y), (west, south) = places[:2]
    assert (x + west, y + south) == pytest.approx((drawing.WIDTH, drawn.height), abs=0.2)
    assert x > west
    assert y < south
    assert drawing.draw([a_point(lat=None, lon=None)]) is None
