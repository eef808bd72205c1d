"""Sets whose rows are mostly watched: what people read counts met and lacking among the rows that name a level."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import pytest

from services.indicators.criteria import library
from services.indicators.criteria.figures import Outcome, Ratio
from services.indicators.criteria.judging import judge
from services.indicators.criteria.rules import Composed, FlagRule, RatioRule
from tests.indicators.conftest import Stage
from tests.indicators.editing import API, follow_up, forget, put
from tests.indicators.inquiring import record, said
from tests.support.running import commune

pytestmark = pytest.mark.usefixtures("restored")
SET = "mard-2023-smart-commune"
OVERLAY = """
overlay: xa-2026
on: mard-2023-smart-commune
unit: "{unit}"
title: {{vi: "Mục tiêu riêng", en: "Local targets"}}
legal_basis: {{number: "15/KH-UBND", date: 2026-01-10, issuer: "UBND", title: "Kế hoạch"}}
valid_from: 2026-01-10
targets:
  - {{item: "{rows[0]}", operator: ">=", target: 80%}}
  - {{item: "{rows[1]}", operator: ">=", target: 80%}}
  - {{item: "{rows[2]}", operator: ">=", target: 80%}}
"""
MEASURES = ("commune.wifi_points", "commune.mobile_coverage", "commune.internet_subscriptions")


def codes() -> list[str]:
    """The rows that rest on the measures."""
    items = library.catalogue().sets[SET].items
    return [next(item.code for item in items if measure in item.measures) for measure in MEASURES]


@pytest.fixture
async def judged(stage: Stage) -> AsyncIterator[Stage]:
    """A commune that sets targets for three of 39 watched rows and meets two, and one that sets none."""
    await stage.running.enter_units(commune("11077", "Xã Hưng Đạo"))
    answer = await put(stage, "xa-2026", OVERLAY.format(unit=stage.commune.code, rows=codes()))
    assert answer.status_code == 200, answer.text
    await follow_up(stage)
    await record(
        stage,
        said(stage.commune, MEASURES[0], Ratio(9, 10)),
        said(stage.commune, MEASURES[1], Ratio(8, 10)),
        said(stage.commune, MEASURES[2], Ratio(7, 10)),
        said(stage.commune, "commune.data_system", True),
    )
    await stage.settle()
    yield stage
    await forget(stage, f"set_code = '{SET}'")


async def page(stage: Stage, address: str) -> str:
    answer = await stage.client.get(address, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return str(answer.text)


async def test_a_sheet_counts_met_and_lacking_among_the_rows_that_name_a_level(judged: Stage) -> None:
    code = judged.commune.code
    text = await page(judged, f"/indicators/units/{code}?set={SET}&lang=vi")
    assert f"{judged.commune.name} đạt 2/3 chỉ tiêu có mức yêu cầu, 36 chỉ tiêu chỉ theo dõi." in text
    assert "2/39" not in text
    assert "Chưa có số liệu:" not in text
    lacking = await page(judged, f"/indicators/units/{code}?set={SET}&show=missing")
    assert lacking.count('class="criteria__status"') == 1
    assert f'data-live-key="{codes()[2]}"' in lacking
    english = await page(judged, f"/indicators/units/{code}?set={SET}&lang=en")
    assert "meets 2 of 3 criteria that name a level; 36 are only watched." in english
    what_if = await page(judged, f"/indicators/units/{code}/what-if?set={SET}&lang=vi")
    assert "hiện đạt 2/3 chỉ tiêu có mức yêu cầu." in what_if
    # Programs read what they always read.
    sheet = (await judged.client.get(f"{API}/units/{code}/sets/{SET}")).json()
    assert (sheet["met"], sheet["total"]) == (2, 39)


async def test_other_pages_and_tables_count_likewise_and_a_unit_without_levels_is_watched(judged: Stage) -> None:
    code = judged.commune.code
    other_set = await page(judged, f"/indicators/units/{code}?set=mard-2023-eligible-smart&lang=vi")
    assert "2/3 chỉ tiêu có mức yêu cầu" in other_set
    district = await page(judged, f"/indicators/?unit=298&set={SET}&lang=vi")
    line = district.partition(f'data-live-key="row-{code}"')[2].partition("</tr>")[0]
    assert "<strong>2/3</strong>" in line
    assert "2/39" not in district
    assert "0/39" not in district
    assert "theo dõi ở 2 xã" in district
    assert 'href="#gan-dat-nhat"' in district
    assert 'id="gan-dat-nhat"' in district
    answer = await judged.client.get(f"/indicators/units/298/children.csv?set={SET}")
    rows = {row[0]: row for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))}
    assert rows[code][2:4] == ["2", "3"]
    assert rows["11077"][2:4] == ["", ""]


async def test_who_is_nearest_lacks_only_what_is_judged(judged: Stage) -> None:
    """The overlay adds a row here too, so that the page above judges something."""
    added = """items:
  - code: "XA.1"
    title: {vi: "Phủ sóng ít nhất một nửa địa bàn", en: "At least half of the area is covered"}
    short: {vi: "phủ sóng nửa địa bàn", en: "half covered"}
    rule: {ratio: commune.mobile_coverage, operator: ">=", target: 50%}
    feeds: [T]
"""
    text = OVERLAY.format(unit="298", rows=codes()) + added
    answer = await put(judged, "xa-2026", text)
    assert answer.status_code == 200, answer.text
    await follow_up(judged)
    await judged.settle()
    district = await page(judged, f"/indicators/?unit=298&set={SET}&lang=vi")
    near = district.partition('<li class="near">')[2].partition("</li>")[0]
    assert judged.commune.name in near
    assert "3/4" in near
    lacking = near.partition("Còn thiếu: ")[2].partition("</p>")[0]
    short = next(item.short.vi for item in library.catalogue().sets[SET].items if item.code == codes()[2])
    assert lacking == f"{short} (thêm 1)."


@pytest.mark.parametrize(
    ("needed", "first", "second", "status", "figure"),
    [
        (None, True, True, "measured", True),
        (None, True, None, "no_data", None),
        (None, False, None, "measured", False),
        (None, None, None, "no_data", None),
        (1, True, None, "measured", True),
        (1, False, None, "no_data", None),
        (1, False, False, "measured", False),
    ],
)
def test_watched_conditions_are_a_yes_or_no_together(
    needed: int | None, first: bool | None, second: bool | None, status: str, figure: bool | None
) -> None:
    rule = Composed((FlagRule("a", judged=False), FlagRule("b", judged=False)), needed)
    assert judge(rule, {"a": first, "b": second}) == Outcome(status, figure)
    # A share beside them is no yes or no: then they are only watched.
    mixed = Composed((*rule.rules, RatioRule("c")), needed)
    assert judge(mixed, {"a": True, "b": True, "c": Ratio(1, 2)}) == Outcome("measured", None)
