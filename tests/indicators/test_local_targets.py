"""Targets for rows that another overlay adds: what holds where and when, which word is the last, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from chassis.units import Unit
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.criteria.documents import BadDefinition, Document, shipped
from tests.indicators.conftest import Stage
from tests.indicators.editing import ADMIN, API, follow_up, forget, put
from tests.support.running import bearer, commune, village

pytestmark = pytest.mark.usefixtures("restored")
SET = "hd-288-2023"
HEAD = """
overlay: {name}
on: hd-288-2023
unit: "{unit}"
title: {{vi: "Mục tiêu của {unit}", en: "Targets of {unit}"}}
legal_basis: {{number: "15/KH-{name}", date: 2026-01-10, issuer: "UBND", title: "Kế hoạch"}}
valid_from: {first}
valid_to: {last}
"""
ROW = """items:
  - code: "HD.1"
    title: {vi: "Phủ sóng ít nhất một nửa địa bàn", en: "At least half of the area is covered"}
    short: {vi: "phủ sóng nửa địa bàn", en: "half covered"}
    rule: {ratio: village.signal_area, operator: ">=", target: 50%}
    feeds: [T]
"""
COMPOSED = ROW.replace(
    "rule: {ratio", 'rule: {all: [{flag: village.digital_dialogue}, {ratio'
).replace("50%}", "50%}]}")  # fmt: skip
HERE = village(commune())
MAY = date(2026, 5, 1)


def overlay(name: str, unit: str, body: str, first: str = "2026-01-10", last: str = "null") -> Document:
    text = HEAD.format(name=name, unit=unit, first=first, last=last) + body
    return Document(f"overlays/{name}.yaml", text)


def target(asked: str = "80%", item: str = "HD.1", operator: str = ">=", more: str = "") -> str:
    return f'targets:\n  - {{item: "{item}", operator: "{operator}", target: {asked}{more}}}\n'


def built(*documents: Document) -> c.Catalogue:
    return library.build([*shipped(), *documents])


def asked(catalogue: c.Catalogue, day: date = MAY, unit: Unit = HERE) -> tuple[str, str | None] | None:
    """What the added row asks, and whose word that is; None where there is no such row."""
    item = catalogue.item_for(SET, "HD.1", unit, day)
    return (item.rule.text, item.overlay) if item is not None else None


def refused(*documents: Document) -> list[Any]:
    with pytest.raises(BadDefinition) as caught:
        built(*documents)
    return caught.value.faults


def test_another_overlay_sets_the_target_of_an_added_row_within_its_unit() -> None:
    found = built(overlay("tinh", "30", ROW), overlay("huyen", "298", target()))
    beside = replace(HERE, path=HERE.path.replace("/298/", "/288/"))
    assert asked(found) == (">= 80%", "huyen")
    assert asked(found, unit=beside) == (">= 50%", "tinh")
    item = found.item_for(SET, "HD.1", HERE, MAY)
    assert item is not None
    assert item.base_rule is not None
    assert item.base_rule.text == ">= 50%"


def test_the_smaller_area_has_the_last_word_and_in_one_area_the_later_day() -> None:
    adds = overlay("tinh", "30", ROW)
    huyen, xa = overlay("huyen", "298", target("90%")), overlay("xa", "11074", target("70%"))
    assert asked(built(adds, xa, huyen)) == (">= 70%", "xa")
    earlier = overlay("zz", "298", target("60%"), "2026-01-10")
    later = overlay("aa", "298", target("65%"), "2026-03-01")
    both = built(adds, later, earlier)
    assert asked(both) == (">= 65%", "aa")
    assert asked(both, date(2026, 2, 1)) == (">= 60%", "zz")


def test_a_target_counts_on_the_days_of_both_overlays_whichever_began_first() -> None:
    found = built(
        overlay("them", "30", ROW, "2026-03-01", "2026-09-01"),
        overlay("muc", "30", target(), "2026-02-01", "2026-07-01"),
    )
    days = [date(2026, month, 1) for month in (2, 3, 6, 7, 8, 9)]
    own, local = (">= 50%", "them"), (">= 80%", "muc")
    assert [asked(found, day) for day in days] == [None, local, local, own, own, None]


def test_a_condition_of_an_added_row_and_a_suspension_of_it() -> None:
    halt = 'suspend:\n  - {item: "HD.1", reason: {vi: "Chờ", en: "Waiting"}, document: 9/CV}\n'
    measure = ", measure: village.signal_area"
    found = built(overlay("tinh", "30", COMPOSED), overlay("huyen", "298", target(more=measure) + halt))
    item = found.item_for(SET, "HD.1", HERE, MAY)
    assert item is not None
    assert isinstance(item.rule, c.Suspended)
    assert isinstance(item.rule.rule, c.Composed)
    assert [part.text for part in item.rule.rule.rules] == ["có", ">= 80%"]


ADDS = overlay("tinh", "298", ROW)


@pytest.mark.parametrize(
    ("documents", "file", "line", "place", "words"),
    [
        ([overlay("a", "30", ROW + target())], "a", 16, "targets[0].item", "do chính lớp phủ này thêm"),
        ([ADDS, overlay("a", "30", target())], "a", 10, "targets[0].item", "chỉ 298 hoặc đơn vị nằm trong đó"),
        ([ADDS, overlay("a", "299", target())], "a", 10, "targets[0].item", "299 thì không"),
        ([overlay("t", "30", ROW, last="2026-03-01"), overlay("a", "30", target(), "2026-03-01")], "a", 10,
         "targets[0].item", "không có ngày nào cùng hiệu lực"),
        ([ADDS, overlay("a", "11074", target(item="HD.2"))], "a", 10, "targets[0].item", "không có dòng HD.2"),
        ([ADDS, overlay("a", "11074", target("7"))], "a", 10, "targets[0].target", "số nguyên"),
        ([ADDS, overlay("a", "11074", target("170%"))], "a", 10, "targets[0].target", "phải vượt 100%"),
        ([ADDS, overlay("a", "11074", target(more=", measure: village.households"))], "a", 10, "targets[0].measure",
         "không đọc chỉ số village.households"),
        ([overlay("t", "298", COMPOSED), overlay("a", "11074", target())], "a", 10, "targets[0]", "nêu measure"),
        ([ADDS, overlay("a", "11074", target() + target().split("\n")[1] + "\n")], "a", 11, "targets[1].item",
         "được nêu hai lần"),
        ([ADDS, overlay("a", "11074", target()), overlay("b", "11074", target("81%"))], "b", 10, "targets[0].item",
         "a (overlays/a.yaml) đã đặt mục tiêu khác cho dòng HD.1"),
        ([overlay("a", "30", target("81%", "288.5")), overlay("b", "30", target("82%", "288.5"))], "b", 10,
         "targets[0].item", "đã đặt mục tiêu khác cho dòng 288.5"),
    ],
)  # fmt: skip
def test_what_cannot_hold_or_contradicts_is_refused_with_file_and_line(
    documents: list[Document], file: str, line: int, place: str, words: str
) -> None:
    faults = refused(*documents)
    assert [(fault.file, fault.line, fault.place) for fault in faults] == [(f"overlays/{file}.yaml", line, place)]
    assert words in faults[0].message


def test_the_same_word_twice_from_one_day_on_is_no_contradiction() -> None:
    found = built(ADDS, overlay("a", "11074", target()), overlay("b", "11074", target()))
    assert asked(found) == (">= 80%", "b")


@pytest.fixture
async def local(stage: Stage) -> AsyncIterator[Stage]:
    """The district has a row of its own in the set of villages."""
    assert (await brought(stage, overlay("huyen", "298", ROW))).status_code == 200
    yield stage
    await forget(stage, "item_code = 'HD.1'")


async def brought(stage: Stage, document: Document) -> Any:
    answer = await put(stage, document.code, document.text)
    await follow_up(stage)
    return answer


async def test_a_village_is_judged_by_the_target_of_its_commune_for_the_row_of_its_district(local: Stage) -> None:
    unit = local.villages[0]
    body = {
        "unit": unit.code,
        "measure": "village.signal_area",
        "value": {"numerator": 6, "denominator": 10},
        "evidence": {"document": "BC 12/BC-UBND"},
    }
    entered = await local.client.post(f"{API}/observations", json=body, headers=bearer(("officer", unit.path)))
    assert entered.status_code == 201, entered.text
    assert await local.status(unit, "HD.1") == "met"
    assert (await brought(local, overlay("xa", local.commune.code, target("70%")))).status_code == 200
    row = await local.item(unit, "HD.1")
    assert (row["status"], row["overlay"]) == ("unmet", "xa")
    assert (row["target"]["numerator"], row["base_target"]["numerator"]) == (70, 50)
    page = (await local.client.get(f"/indicators/units/{unit.code}?set={SET}")).text
    assert "Chỉ tiêu địa phương thêm: Mục tiêu của 298 (15/KH-huyen)." in page
    assert "Mức do địa phương đặt: Mục tiêu của 11074 (15/KH-xa); văn bản gốc: từ 50% trở lên." in page
    of_the_set = (await local.client.get(f"/indicators/sets/{SET}")).text
    assert "Huyện Tứ Kỳ thêm theo 15/KH-huyen" in of_the_set
    assert 'id="row-HD.1"' in of_the_set
    assert "từ 70% trở lên" in of_the_set
    # What others aim at cannot be taken away from under them.
    gone = await local.client.delete(f"{API}/criteria/huyen", headers=ADMIN)
    assert (gone.status_code, gone.json()["code"]) == (422, "criteria_refused"), gone.text
    [fault] = gone.json()["errors"]
    assert fault["field"] == "overlay/xa:10: targets[0].item"
    assert (await local.client.delete(f"{API}/criteria/xa", headers=ADMIN)).status_code == 200
    await follow_up(local)
    assert await local.status(unit, "HD.1") == "met"


async def test_a_unit_that_lies_elsewhere_sets_no_target_for_the_row(local: Stage) -> None:
    beside = replace(commune("10660", "Xã Liên Hồng", "288"))
    await local.running.enter_units(beside)
    answer = await brought(local, overlay("xa", beside.code, target("70%")))
    assert answer.status_code == 422, answer.text
    [fault] = answer.json()["errors"]
    assert fault["field"] == "xa:10: targets[0].item"
    assert "chỉ 298 hoặc đơn vị nằm trong đó đặt được mục tiêu, 10660 thì không" in fault["message"]
