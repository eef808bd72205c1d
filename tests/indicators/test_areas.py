"""Sets that hold in a part of the country only: who is judged, listed and asked, and what a change of the part does."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa
from xaso.indicators.v1 import events_pb2

from chassis.units import Unit, today
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.criteria.areas import Area, overlapping
from services.indicators.criteria.documents import BadDefinition, Document
from services.indicators.settings import Settings
from services.indicators.web.shell import first_set
from tests.indicators.conftest import Stage, entered
from tests.indicators.editing import API, ROBOT, follow_up, forget, put
from tests.support.running import bearer, commune, ladder, running, settings_for, token, village

HTML = {"accept": "text/html"}
pytestmark = pytest.mark.usefixtures("restored")
SINCE = date(2020, 1, 1)
NAM_DINH = Unit("36", "Tỉnh Nam Định", "province", "tinh", "", "36", SINCE)
GIAO_THUY = Unit("365", "Huyện Giao Thủy", "district", "huyen", "36", "36/365", SINCE)
GIAO_PHONG = commune("13702", "Xã Giao Phong", "365", "36")
LAM_PHU = village(GIAO_PHONG, 1, "Xóm Lâm Phú")
CITY = Unit("288", "Thành phố Hải Dương", "district", "thanh_pho", "30", "30/288", SINCE)
SUBURB = commune("10660", "Xã Liên Hồng", "288")
SUBURBAN = village(SUBURB, 1, "Thôn Thanh Xá")
OF_THE_PROVINCE = {"hd-1414-ntm-8", "hd-1414-ntm-advanced-8", "hd-1414-ntm-model-4.7", "hd-1414-village", "hd-2025",
                   "hd-288-2023", "qd-2581-15"}  # fmt: skip
OF_THE_DISTRICT = {"tuky-2025", "tuky-2025-commune"}
TRIAL = """
set: thu-2026
title: {{vi: "Bộ thử 2026", en: "Trial 2026"}}
level: {level}
applies_to: {{units: [{units}]}}
legal_basis: {{number: "1/QĐ", date: 2026-01-05, issuer: "UBND tỉnh", title: "Quyết định"}}
valid_from: 2026-01-05
needs: all
items:
  - code: "1"
    title: {{vi: "Cáp quang trên 60%", en: "Fibre over 60%"}}
    short: {{vi: "cáp quang", en: "fibre"}}
    rule: {rule}
    feeds: [T]
"""


def trial(*units: str, level: str = "village", rule: str = "") -> str:
    fibre = '{ratio: village.fibre_households, operator: ">", target: 60%}'
    return TRIAL.format(units=", ".join(f'"{unit}"' for unit in units), level=level, rule=rule or fibre)


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """Two provinces; in Hải Dương two districts. Every village has fibre for 70 of 100 households."""
    async with running(service, settings_for(Settings, database("areas"))) as live:
        here = commune()
        first = village(here)
        above = [NAM_DINH, GIAO_THUY, GIAO_PHONG, CITY, SUBURB]
        await live.enter_units(*ladder(), *above, here, first, LAM_PHU, SUBURBAN)
        made = Stage(live, here, [first])
        for unit in (first, LAM_PHU, SUBURBAN):
            await tell(made, unit)
        await made.settle()
        yield made


async def tell(stage: Stage, unit: Unit) -> None:
    body = {
        "unit": unit.code,
        "measure": "village.fibre_households",
        "value": {"numerator": 70, "denominator": 100},
        "evidence": {"document": "BC 12/BC-UBND"},
    }
    officer = bearer(("officer", unit.path))
    answer = await stage.client.post(f"{API}/observations", json=body, headers=officer)
    assert answer.status_code == 201, answer.text


@pytest.fixture
async def clean(stage: Stage) -> AsyncIterator[Stage]:
    """The database without applied documents afterwards."""
    yield stage
    await forget(stage, "set_code = 'thu-2026'")
    async with stage.running.tx() as tx:
        await tx.execute(sa.text("DELETE FROM sheet WHERE set_code = 'thu-2026'"))


async def brought(stage: Stage, name: str, text: str, headers: dict[str, str] = ROBOT) -> Any:
    answer = await put(stage, name, text, headers)
    if answer.status_code == 200:
        await follow_up(stage)
    return answer


async def sheet(stage: Stage, unit: str, set_code: str = "thu-2026", **params: str) -> Any:
    return await stage.client.get(f"{API}/units/{unit}/sets/{set_code}", params=params)


async def stands(stage: Stage, unit: str, set_code: str = "thu-2026") -> tuple[str, int, int]:
    answer = await sheet(stage, unit, set_code)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["status"], found["met"], found["total"]


async def shows_nothing(stage: Stage, unit: str, set_code: str = "thu-2026") -> None:
    answer = await sheet(stage, unit, set_code)
    assert (answer.status_code, answer.json()["code"]) == (404, "set_not_for_level"), answer.text


def shipped(code: str) -> str:
    return (library.DATA / "sets" / f"{code}.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("paths", "path", "holds", "touches"),
    [
        ((), "30/298", True, True),
        (("30",), "30", True, True),
        (("30",), "30/298/11083/11083-01", True, True),
        (("30",), "301", False, False),
        (("30",), "31/11083", False, False),
        (("30/298",), "30", False, True),
        (("30/298",), "30/298", True, True),
        (("30/298",), "30/2981", False, False),
        (("30/298",), "30/288", False, False),
        (("30", "31/11083"), "31/11083/11083-01", True, True),
        (("30", "31/11083"), "31", False, True),
    ],
)
def test_an_area_holds_the_units_named_and_what_lies_below(
    paths: tuple[str, ...], path: str, holds: bool, touches: bool
) -> None:
    assert (Area(paths).holds(path), Area(paths).touches(path)) == (holds, touches)


def test_what_is_named_twice_or_within_another_is_found() -> None:
    assert overlapping(("30", "31", "33/301")) == []
    assert overlapping(("30/298", "31", "30")) == [(0, "30")]
    assert overlapping(("30", "30")) == [(1, "30")]


def test_the_sets_of_the_documents_hold_where_these_say() -> None:
    named = {code: one.area.paths for code, one in library.catalogue().sets.items()}
    assert {code for code, paths in named.items() if paths == ("30",)} == OF_THE_PROVINCE
    assert {code for code, paths in named.items() if paths == ("30/298",)} == OF_THE_DISTRICT
    assert {paths for code, paths in named.items() if code not in OF_THE_PROVINCE | OF_THE_DISTRICT} == {()}


@pytest.mark.parametrize(
    ("code", "old", "new", "line", "place", "words"),
    [
        ("hd-288-2023", '["30"]', '["30/"]', 4, "applies_to.units[0]", "không đúng dạng"),
        ("hd-288-2023", '{units: ["30"]}', "{units: []}", 4, "applies_to.units", "không đủ mục"),
        ("hd-288-2023", '{units: ["30"]}', '{unit: "30"}', 4, "applies_to", "được dùng: units"),
        ("hd-288-2023", '["30"]', '["30", "30/298"]', 4, "applies_to.units[1]", "30/298 đã nằm trong 30"),
        ("hd-2025", '["30"]', '["30/298"]', 6, "applies_to.units[0]", "thuộc cấp dưới cấp province"),
        ("tuky-2025", '["30/298"]', '["30/298", "33/323"]', None, "items[3].rule.children", "không áp dụng cho 33/323"),
        ("tuky-2025", 'applies_to: {units: ["30/298"]}\n', "", None, "items[3].rule.children", "cho mọi nơi"),
    ],
)  # fmt: skip
def test_a_wrong_area_is_refused_with_its_place(
    tmp_path: Path, code: str, old: str, new: str, line: int | None, place: str, words: str
) -> None:
    text = shipped(code)
    assert text.count(old) == 1
    files = [Document(path.name, path.read_text("utf-8")) for path in sorted(library.DATA.glob("*/*.yaml"))]
    others = [one for one in files if one.code != code]
    with pytest.raises(BadDefinition) as refusal:
        library.build([*others, Document(f"{code}.yaml", text.replace(old, new))])
    faults = [fault for fault in refusal.value.faults if fault.place == place]
    assert faults, refusal.value
    assert words in " ".join(fault.message for fault in faults)
    assert line in (None, faults[0].line)


async def test_a_set_of_one_province_says_nothing_of_another(stage: Stage) -> None:
    here = stage.villages[0].code
    assert (await stands(stage, here, "hd-288-2023"))[2] == 9
    for unit in (LAM_PHU.code, GIAO_PHONG.code, "365", "36"):
        await shows_nothing(stage, unit, "hd-288-2023")
    assert (await sheet(stage, "30", "tuky-2025-commune")).status_code == 200
    await shows_nothing(stage, "288", "tuky-2025")
    async with stage.running.tx() as tx:
        written = await tx.execute(
            sa.text("SELECT DISTINCT unit FROM item WHERE set_code = 'hd-288-2023' AND unit LIKE ANY(:codes)"),
            {"codes": [f"{code}@%" for code in ("36", "365", GIAO_PHONG.code, LAM_PHU.code)]},
        )
        assert written.all() == []


async def test_lists_and_overviews_leave_out_what_does_not_hold(stage: Stage) -> None:
    def sets(of: dict[str, Any]) -> set[str]:
        return {one["set"] for one in of["sets"]}

    there = (await stage.client.get(f"{API}/units/36/overview")).json()
    assert not (OF_THE_PROVINCE | OF_THE_DISTRICT) & set().union(*map(sets, [there["unit"], *there["children"]]))
    assert "pm-924-2025" in sets(there["unit"])
    here = (await stage.client.get(f"{API}/units/30/overview")).json()
    children = {child["unit"]: sets(child) for child in here["children"]}
    assert sets(here["unit"]) >= OF_THE_PROVINCE | OF_THE_DISTRICT
    assert children["298"] >= OF_THE_DISTRICT
    assert not children["288"] & OF_THE_DISTRICT
    matrix = (await stage.client.get(f"{API}/units/30/sets/tuky-2025/children")).json()
    assert [line["unit"] for line in matrix["lines"]] == ["298"]
    page = (await stage.client.get(f"/indicators/units/{LAM_PHU.code}", headers=HTML)).text
    assert "hd-288-2023" not in page
    assert "nd-smart-hamlet-2023" in page


def test_the_first_set_at_a_unit_is_one_that_holds_there(stage: Stage) -> None:
    catalogue = library.catalogue()
    assert first_set(catalogue, today(), stage.villages[0]).code == "hd-288-2023"
    assert first_set(catalogue, today(), LAM_PHU).code == "nd-smart-hamlet-2023"
    assert first_set(catalogue, today(), NAM_DINH).area.paths == ()


async def test_pages_and_json_say_where_a_set_holds(stage: Stage) -> None:
    pages = {
        code: (await stage.client.get(f"/indicators/sets/{code}", headers=HTML)).text
        for code in ("hd-288-2023", "tuky-2025", "pm-924-2025")
    }
    assert "Tỉnh Hải Dương" in pages["hd-288-2023"]
    assert "Huyện Tứ Kỳ, Tỉnh Hải Dương" in pages["tuky-2025"]
    assert "cả nước" in pages["pm-924-2025"]
    english = await stage.client.get("/indicators/sets/pm-924-2025?lang=en", headers=HTML)
    stage.client.cookies.clear()
    assert "the whole country" in english.text
    listed = (await stage.client.get("/indicators/sets", headers=HTML)).text
    assert "Huyện Tứ Kỳ, Tỉnh Hải Dương" in listed
    found = {one["set"]: one["applies_to"] for one in (await stage.client.get(f"{API}/sets")).json()["items"]}
    assert (found["tuky-2025"], found["pm-924-2025"]) == ({"units": ["30/298"]}, None)
    assert (await stage.client.get(f"{API}/sets/hd-2025")).json()["applies_to"] == {"units": ["30"]}


async def test_the_page_of_a_set_leads_to_a_unit_it_holds_for(stage: Stage) -> None:
    page = (await stage.client.get("/indicators/sets/tuky-2025", headers=HTML)).text
    assert 'href="/indicators/?set=tuky-2025"' in page
    led = await stage.client.get("/indicators/?set=tuky-2025", headers=HTML)
    assert (led.status_code, led.headers["location"]) == (303, "/indicators/units/298?set=tuky-2025")
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", GIAO_PHONG.path)))
        assert "Tỉnh Hải Dương" in (await browser.get("/indicators/?set=hd-288-2023", headers=HTML)).text
        own = await browser.get("/indicators/", headers=HTML)
        assert own.headers["location"].startswith(f"/indicators/units/{GIAO_PHONG.code}?set=mard-2023-")


async def test_no_question_about_another_province_is_answered(stage: Stage) -> None:
    unit, code = LAM_PHU.code, "hd-288-2023"
    past = str(today() - timedelta(days=1))
    refused = [
        await sheet(stage, unit, code, as_of=past),
        await stage.client.post(f"{API}/units/{unit}/sets/{code}/what-if", json={}),
        await stage.client.get(f"{API}/units/{unit}/sets/{code}/items/288.5/reasons"),
        await stage.client.get(f"{API}/units/{unit}/sets/{code}/items/288.5/explanation"),
        await stage.client.get(f"/indicators/units/{unit}?set={code}", headers=HTML),
        await stage.client.get(f"/indicators/units/{unit}/sheet.csv?set={code}"),
        await stage.client.get(f"/indicators/?unit=36&set={code}", headers=HTML),
        await stage.client.get(f"/indicators/units/36/quality?set={code}", headers=HTML),
    ]
    assert [answer.status_code for answer in refused] == [404] * len(refused)
    staff = bearer(("officer", "36"))
    template = await stage.client.get(f"/indicators/units/36/template.csv?set={code}", headers=staff)
    assert template.status_code == 404
    asked = {"dataSet": code, "period": str(today().year), "orgUnit": "36", "children": "true"}
    assert (await stage.client.get(f"{API}/dataValueSets", params=asked)).json()["dataValues"] == []
    here = (await stage.client.get(f"{API}/dataValueSets", params={**asked, "orgUnit": "30"})).json()["dataValues"]
    assert {one["orgUnit"] for one in here} >= {stage.villages[0].code}


async def test_a_template_holds_the_units_of_the_area_alone(clean: Stage) -> None:
    assert (await brought(clean, "thu-2026", trial("30/298", "36"))).status_code == 200
    staff = bearer(("officer", "30"))
    answer = await clean.client.get("/indicators/units/30/template.xlsx?set=thu-2026", headers=staff)
    assert answer.status_code == 200, answer.text
    table = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [row[0].value for row in table.iter_rows(min_row=2)] == [clean.villages[0].code]


async def told(stage: Stage, after: int) -> list[events_pb2.ComplianceChanged]:
    """What was published of the trial set since."""
    async with stage.running.tx() as tx:
        rows = await tx.execute(sa.text("SELECT payload FROM outbox WHERE id > :after ORDER BY id"), {"after": after})
        found = [events_pb2.ComplianceChanged.FromString(row.payload) for row in rows]
    return [one for one in found if one.set == "thu-2026"]


async def test_units_that_fall_out_vanish_and_those_that_come_in_are_judged_without_a_restart(clean: Stage) -> None:
    here = clean.villages[0].code
    assert (await brought(clean, "thu-2026", trial("30"))).status_code == 200
    assert await stands(clean, here) == ("met", 1, 1)
    assert (await stands(clean, "30"), await stands(clean, "288")) == (("measured", 2, 2), ("measured", 1, 1))
    await shows_nothing(clean, LAM_PHU.code)
    async with clean.running.tx() as tx:
        mark = (await tx.execute(sa.text("SELECT coalesce(max(id), 0) FROM outbox"))).scalar_one()
    assert (await brought(clean, "thu-2026", trial("30/298", "36"))).status_code == 200
    assert await stands(clean, LAM_PHU.code) == ("met", 1, 1)
    assert await stands(clean, "36") == ("measured", 1, 1)
    assert await stands(clean, here) == ("met", 1, 1)
    assert (await stands(clean, "30"), await stands(clean, "298")) == (("measured", 1, 1), ("measured", 1, 1))
    for unit in (SUBURBAN.code, SUBURB.code, "288"):
        await shows_nothing(clean, unit)
    async with clean.running.tx() as tx:
        for table in ("item", "sheet"):
            left = await tx.execute(
                sa.text(f"SELECT split_part(unit, '@', 1) FROM {table} WHERE set_code = 'thu-2026'")
            )
            assert set(left.scalars()) == {
                here, "11074", "298", "30", LAM_PHU.code, GIAO_PHONG.code, "365", "36",
            }  # fmt: skip
    changes = {one.unit: one for one in await told(clean, mark)}
    assert here not in changes
    gone = changes[SUBURBAN.code]
    assert (gone.before, gone.after, gone.met, gone.total) == ("met", "not_applicable", 0, 0)
    assert gone.because == "criteria:set/thu-2026@2"
    assert (changes[LAM_PHU.code].after, changes["288"].after) == ("met", "not_applicable")
    # Back again: judged from the facts, as if it had never been away.
    assert (await brought(clean, "thu-2026", trial("30"))).status_code == 200
    assert await stands(clean, SUBURBAN.code) == ("met", 1, 1)
    assert await stands(clean, "30") == ("measured", 2, 2)
    await shows_nothing(clean, "36")


async def test_a_change_of_kinds_takes_units_out_as_well(clean: Stage) -> None:
    text = trial("30", level="commune", rule="{flag: commune.post_sign}")
    body = {
        "unit": SUBURB.code,
        "measure": "commune.post_sign",
        "value": {"flag": True},
        "evidence": {"document": "BC 13/BC-UBND"},
    }
    answer = await clean.client.post(f"{API}/observations", json=body, headers=bearer(("officer", SUBURB.path)))
    assert answer.status_code == 201, answer.text
    assert (await brought(clean, "thu-2026", text)).status_code == 200
    assert await stands(clean, SUBURB.code) == ("met", 1, 1)
    assert (
        await brought(clean, "thu-2026", text.replace("applies_to", "kinds: [phuong]\napplies_to"))
    ).status_code == 200
    await shows_nothing(clean, SUBURB.code)
    async with clean.running.tx() as tx:
        left = await tx.execute(sa.text("SELECT count(*) FROM item WHERE set_code = 'thu-2026' AND status = 'met'"))
        assert left.scalar_one() == 0


async def test_many_units_fall_out_in_steps(clean: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.indicators.calculation import applying

    assert (await brought(clean, "thu-2026", trial("30"))).status_code == 200
    monkeypatch.setattr(applying, "CHUNK", 1)
    assert (await brought(clean, "thu-2026", trial("36"))).status_code == 200
    async with clean.running.tx() as tx:
        left = await tx.execute(
            sa.text("SELECT DISTINCT split_part(unit, '@', 1) FROM sheet WHERE set_code = 'thu-2026'")
        )
        assert set(left.scalars()) == {LAM_PHU.code, GIAO_PHONG.code, "365", "36"}


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (trial("36", "30/299"), "thu-2026:5: applies_to.units[1]", "không có và chưa từng có đơn vị nào ở 30/299"),
        (trial("298"), "thu-2026:5: applies_to.units[0]", "chưa từng có đơn vị nào ở 298"),
        (trial("36/365/13702", level="district", rule="{flag: district.x}"), "thu-2026:5: applies_to.units[0]",
         "thuộc cấp dưới cấp district"),
    ],
)  # fmt: skip
async def test_a_unit_that_never_was_is_refused_and_nothing_stored(
    clean: Stage, text: str, field: str, words: str
) -> None:
    answer = await brought(clean, "thu-2026", text)
    assert (answer.status_code, answer.json()["code"]) == (422, "criteria_refused"), answer.text
    assert any(one["field"] == field and words in one["message"] for one in answer.json()["errors"]), answer.text
    async with clean.running.tx() as tx:
        assert (await tx.execute(sa.text("SELECT count(*) FROM criteria_edition"))).scalar_one() == 0


async def test_an_overlay_of_a_province_outside_is_refused(clean: Stage) -> None:
    text = """
overlay: nd-2026
on: hd-288-2023
unit: "36"
title: {vi: "Mục tiêu riêng", en: "Local targets"}
legal_basis: {number: "15/KH-UBND", date: 2026-01-10, issuer: "UBND tỉnh", title: "Kế hoạch"}
valid_from: 2026-01-10
targets:
  - {item: "288.5", operator: ">=", target: 70%}
"""
    answer = await brought(clean, "nd-2026", text, bearer(("admin", "36")))
    assert answer.status_code == 422, answer.text
    [fault] = answer.json()["errors"]
    assert fault["field"] == "nd-2026:4: unit"
    assert "hd-288-2023 chỉ áp dụng cho 30, không áp dụng cho 36" in fault["message"]


async def test_what_a_province_became_is_not_asked_unless_the_set_says_so(clean: Stage) -> None:
    turn = today() - timedelta(days=30)
    old = Unit("11075", "Xã Cũ", "commune", "xa", "298", "30/298/11075", SINCE, turn)
    was = Unit("11075-01", "Thôn Cũ", "village", "thon", "11075", "30/298/11075/11075-01", SINCE, turn)
    city = Unit("31", "Thành phố Hải Phòng", "province", "thanh_pho", "", "31", turn)
    new = Unit("11075", "Xã Mới", "commune", "xa", "31", "31/11075", turn)
    now = Unit("11075-01", "Thôn Mới", "village", "thon", "11075", "31/11075/11075-01", turn)
    await clean.tell(
        *(clean.event(entered(one), f"unit/{one.code}/{one.valid_from}") for one in (old, was, city, new, now))
    )
    await tell(clean, now)
    await clean.settle()
    await shows_nothing(clean, now.code, "hd-288-2023")
    before = str(turn - timedelta(days=1))
    then = await sheet(clean, was.code, "hd-288-2023", as_of=before)
    assert (then.status_code, then.json()["total"]) == (200, 9)
    text = shipped("hd-288-2023").replace('["30"]', '["30", "31/11075"]')
    assert (await brought(clean, "hd-288-2023", text)).status_code == 200
    assert (await clean.status(now, "288.5")) == "unmet"
    assert (await stands(clean, "31", "hd-288-2023"))[2] == 1
