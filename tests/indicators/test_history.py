"""How a row came about: every change page by page, a course to draw, and what was asked over time."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, datetime, timedelta
from fractions import Fraction

import pytest
from sqlalchemy import text

from chassis import units
from chassis.units import VIETNAM
from services.indicators.answers import history
from services.indicators.answers.history import Course, Point
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from services.indicators.views.courses import LEFT, Chart
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, record, said

SET = "hd-288-2023"
HTML = {"accept": "text/html"}
PAIR = (SET, "288.5")


async def walked(stage: Stage, shares: list[tuple[int, int]]) -> str:
    """A village whose fibre went through these shares, `shares[i]` that many days ago; its code."""
    unit = await stage.new_village()
    for numerator, days in shares:
        await record(stage, said(unit, "village.fibre_households", Ratio(numerator, 100)))
        async with stage.running.tx() as tx:
            await tx.execute(
                text("UPDATE change SET at = at - make_interval(days => :days) WHERE code = :code AND numerator = :n"),
                {"days": days, "code": unit.code, "n": numerator},
            )
    return unit.code


async def test_changes_come_page_by_page_newest_first(stage: Stage) -> None:
    code = await walked(stage, [(60, 30), (70, 20), (81, 10), (80, 0)])
    path = f"{API}/units/{code}/sets/{SET}/items/288.5/history"
    found, after = [], None
    for _ in range(9):
        page = (await stage.client.get(path, params={"limit": "3", **({"after": after} if after else {})})).json()
        found += page["items"]
        after = page["next"]
        if after is None:
            break
    assert [(one["before"], one["after"], one["value"]["numerator"]) for one in found] == [
        ("met", "unmet", 80), ("unmet", "met", 81), ("unmet", "unmet", 70), ("no_data", "unmet", 60),
    ]  # fmt: skip
    assert all(one["because"].startswith("observation:") for one in found)
    assert [one["value"]["numerator"] for one in page["points"]] == [60, 70, 81, 80]
    assert page["targets"] == [
        {
            "since": page["targets"][0]["since"],
            "operator": ">",
            "numerator": 4,
            "denominator": 5,
            "text": "> 80%",
            "overlay": None,
        }
    ]


async def test_of_one_day_the_last_is_drawn_and_what_held_before_the_year_begins_it(stage: Stage) -> None:
    code = await walked(stage, [(10, 800), (20, 700), (30, 5), (40, 5), (50, 0)])
    async with stage.running.tx() as tx:
        unit = await units.get(tx, code)
        course = await history.course(tx, unit, PAIR, library.catalogue(), today=units.today())
    assert [point.figure for point in course.points] == [Ratio(20, 100), Ratio(40, 100), Ratio(50, 100)]
    assert course.points[0].at.astimezone(VIETNAM).date() == units.today() - timedelta(days=364)


async def test_what_is_asked_follows_the_overlays_of_the_time(stage: Stage) -> None:
    catalogue = library.catalogue()
    basis = catalogue.sets[SET].legal_basis
    turn = units.today() - timedelta(days=10)
    aim = c.Target("288.5", ">=", Fraction(9, 10), "90%")
    overlay = c.Overlay("local", SET, "30", c.Text("Mức của tỉnh", "Local"), basis, turn, None, targets=(aim,))
    with_overlay = c.catalogue(catalogue.attributes, catalogue.measures, catalogue.sets, {"local": overlay})
    code = await walked(stage, [(60, 30), (81, 5)])
    async with stage.running.tx() as tx:
        unit = await units.get(tx, code)
        course = await history.course(tx, unit, PAIR, with_overlay, today=units.today())
    assert [(one.operator, one.number, one.overlay) for one in course.asked] == [
        (">", Fraction(4, 5), None), (">=", Fraction(9, 10), "local"),
    ]  # fmt: skip
    assert course.asked[1].since == turn
    chart = Chart(course, units.today(), "vi", lambda message: message)
    assert chart.target.count("V") == 1
    assert chart.line.startswith(f"M{LEFT}")


def test_a_chart_cuts_off_and_does_not_round() -> None:
    at = datetime(2026, 1, 1, tzinfo=VIETNAM)
    course = Course(
        (Point(at, "unmet", Ratio(7996, 10000)), Point(at + timedelta(days=1), "met", Ratio(1, 1))), (), True
    )
    chart = Chart(course, date(2026, 1, 2), "vi", lambda message: message)
    assert "từ 79,9% đến 100%" in chart.words
    assert (chart.ups[0].text, chart.ups[2].text) == ("0%", "100%")
    assert chart.line.endswith(f"V{chart.top}.0H{chart.right}")
    nothing = Chart(Course((Point(at, "no_data", None),), (), False), date(2026, 1, 2), "vi", lambda message: message)
    assert nothing.empty


async def test_the_page_draws_the_course_and_the_table_can_be_taken_home(stage: Stage) -> None:
    code = await walked(stage, [(60, 30), (81, 5)])
    for address in (
        f"/indicators/units/{code}/items/288.5/history?set={SET}",
        f"/indicators/units/{code}/items/288.5/history",
    ):
        page = await stage.client.get(address, headers=HTML)
        assert page.status_code == 200
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
        assert "từ 60% đến 81%" in page.text
        assert "Nét đứt là mức yêu cầu." in words
        assert f'class="course__line" d="M{LEFT}' in page.text
    answer = await stage.client.get(f"/indicators/units/{code}/items/288.5/history.csv?set={SET}")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][:3] == ["Mã đơn vị", "Bộ", "Mã"]
    assert [(row[5], row[6], row[7]) for row in rows[1:]] == [("đạt", "81", "100"), ("chưa đạt", "60", "100")]
    empty = await stage.client.get(f"/indicators/units/{code}/items/288.2/history", headers=HTML)
    assert "Chưa có thay đổi nào được ghi." in empty.text


@pytest.mark.parametrize("after", ["x", "WyJhIl0", "Wy0xXQ", "WzFlMzBd", "WzEsMl0"])
async def test_a_broken_cursor_is_refused(stage: Stage, after: str) -> None:
    code = stage.villages[0].code
    for path in (f"{API}/units/{code}/sets/{SET}/items/288.5/history", f"/indicators/units/{code}/items/288.5/history"):
        answer = await stage.client.get(path, params={"after": after})
        assert answer.status_code == 400, answer.text
