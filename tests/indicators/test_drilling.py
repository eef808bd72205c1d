"""Drilling down: all sets at once, the map, the matrix chosen and sorted, who is nearest, named with its commune."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any

import pytest

from chassis.units import Unit, today
from services.indicators.app import service
from services.indicators.calculation import sequencer
from services.indicators.criteria import library
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.test_events import speaker
from tests.support.running import bearer, commune, ladder, running, settings_for, village
from tests.support.statements import sent_by

HTML = {"accept": "text/html"}
SINCE = date(2020, 1, 1)
WARD = Unit("10537", "Phường Bình Hàn", "commune", "phuong", "288", "30/288/10537", SINCE)
CITY = Unit("288", "Thành phố Hải Dương", "district", "thanh_pho", "30", "30/288", SINCE)
NEIGHBOUR = commune("11077", "Xã Hưng Đạo")


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """Two districts, two rural communes with villages, one ward without."""
    async with running(service, settings_for(Settings, database("drilling"))) as live:
        here = commune()
        villages = [village(here, 1), village(here, 2, "Thôn Đại Hà"), village(NEIGHBOUR, 1, "Thôn Kim Xuyên")]
        await live.enter_units(*ladder(), CITY, WARD, here, NEIGHBOUR, *villages)
        made = Stage(live, here, villages)
        await made.tell(
            *(made.event(speaker(unit, "ready", id=f"loa-{unit.code}"), f"loa-{unit.code}") for unit in villages)
        )
        await tell(made, villages[0], "village.fibre_households", {"numerator": 81, "denominator": 100})
        await tell(made, villages[1], "village.fibre_households", {"numerator": 80, "denominator": 100})
        async with live.tx() as tx:
            # What a unit's own event would do: the units above it count it from now on.
            for unit in (WARD, here, NEIGHBOUR):
                await sequencer.mark_stale(tx, unit.path)
        await made.settle()
        yield made


async def tell(stage: Stage, unit: Unit, measure: str, value: dict[str, Any], **changed: Any) -> None:
    """A figure as an officer of the unit enters it."""
    body = {"unit": unit.code, "measure": measure, "value": value, "evidence": {"document": "Biên bản 12"}, **changed}
    answer = await stage.client.post("/indicators/api/v1/observations", json=body, headers=bearer(("officer", "30")))
    assert answer.status_code == 201, answer.text


async def page(stage: Stage, path: str) -> str:
    answer = await stage.client.get(path, headers=HTML)
    assert answer.status_code == 200, (path, answer.text[:300])
    return str(answer.text)


def rows(text: str) -> list[str]:
    """Names of the units in the matrix, in its order."""
    table = text.split("table--matrix", 1)[1].split("</table>", 1)[0]
    return re.findall(r'<th scope="row"><a href="[^"]*">([^<]*)</a>', table)


async def overview(stage: Stage, code: str, **params: str) -> dict[str, Any]:
    answer = await stage.client.get(f"/indicators/api/v1/units/{code}/overview", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_one_answer_holds_every_set_of_every_unit_below(stage: Stage) -> None:
    found = await overview(stage, "30", level="commune")
    assert [child["unit"] for child in found["children"]] == ["10537", "11074", "11077"]
    here = next(child for child in found["children"] if child["unit"] == "11074")
    sets = {one["set"]: one for one in here["sets"]}
    wanted = {
        code
        for code, one in library.catalogue().sets.items()
        if one.holds_on(today()) and one.level in ("commune", "village")
    }
    assert set(sets) == wanted
    assert sets["hd-288-2023"] == {
        "set": "hd-288-2023", "status": "measured", "met": 0, "total": 2, "counts": "village",
    }  # fmt: skip
    assert sets["hd-1414-ntm-8"]["counts"] == "items"
    assert (sets["hd-1414-ntm-8"]["met"], sets["hd-1414-ntm-8"]["total"]) == (0, 4)
    assert found["unit"]["unit"] == "30"


async def test_a_ward_has_no_sheet_of_a_set_for_rural_communes(stage: Stage) -> None:
    rural = next(code for code, one in library.catalogue().sets.items() if one.kinds == ("xa",))
    found = await overview(stage, "30", level="commune")
    by_code = {child["unit"]: {one["set"] for one in child["sets"]} for child in found["children"]}
    assert rural in by_code["11074"]
    assert rural not in by_code["10537"]
    text = await page(stage, f"/indicators/?unit=30&set={rural}&level=commune")
    assert rows(text) == ["Xã Đại Sơn", "Xã Hưng Đạo"]
    refused = await stage.client.get(f"/indicators/units/10537?set={rural}", headers=HTML)
    assert refused.status_code == 404


async def test_the_overview_goes_to_the_first_level_below_that_has_units(stage: Stage) -> None:
    found = await overview(stage, "30")
    assert [child["unit"] for child in found["children"]] == ["288", "298"]
    assert (await overview(stage, "298"))["children"][0]["level"] == "commune"
    village_below = (await overview(stage, "11074"))["children"][0]
    assert village_below["level"] == "village"
    assert (await stage.client.get("/indicators/api/v1/units/99999/overview")).status_code == 404


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("/indicators/api/v1/units/30/overview?level=commune", 2),
        ("/indicators/?unit=30&level=village", 8),
        ("/indicators/units/30/quality", 7),
    ],
)
async def test_the_number_of_statements_does_not_grow_with_the_units(stage: Stage, path: str, statements: int) -> None:
    async with sent_by(stage.running.runner.runtime.engine.sync_engine) as sent:
        answer = await stage.client.get(path, headers=HTML if "api" not in path else {})
    assert answer.status_code == 200
    assert 0 < len(sent) <= statements, sent


async def test_the_map_has_a_tile_for_every_commune_and_says_its_state_in_words(stage: Stage) -> None:
    text = await page(stage, "/indicators/?unit=30")
    tiles = re.findall(r'<a class="tile tile--(\w+)" href="([^"]*)" title="([^"]*)"', text)
    assert ("unmet", "/indicators/?unit=11074&amp;set=hd-288-2023", "Xã Đại Sơn: chưa đạt, 0/2 thôn") in tiles
    assert ("no_data", "/indicators/?unit=10537&amp;set=hd-288-2023", "Phường Bình Hàn: chưa có số liệu") in tiles
    assert "vị trí trên lưới không phải vị trí địa lý" in text
    own = await page(stage, "/indicators/?unit=30&set=hd-1414-ntm-8")
    assert 'title="Xã Đại Sơn: chưa có số liệu, 0/4 chỉ tiêu"' in own


async def test_the_nearest_is_named_with_its_commune(stage: Stage) -> None:
    text = await page(stage, "/indicators/?unit=298")
    assert "Gần đạt nhất: Thôn Nghĩa Dũng, Xã Đại Sơn." in text
    assert "cáp quang (thêm 1)" in text
    inside = await page(stage, "/indicators/?unit=11074")
    assert "Gần đạt nhất: Thôn Nghĩa Dũng." in inside


async def test_the_table_is_chosen_and_sorted_by_address(stage: Stage) -> None:
    assert rows(await page(stage, "/indicators/?unit=298&level=village")) == [
        "Thôn Nghĩa Dũng", "Thôn Đại Hà", "Thôn Kim Xuyên",
    ]  # fmt: skip
    assert rows(await page(stage, "/indicators/?unit=298&level=village&sort=least"))[-1] == "Thôn Nghĩa Dũng"
    assert rows(await page(stage, "/indicators/?unit=298&level=village&sort=most"))[0] == "Thôn Nghĩa Dũng"
    short = "/indicators/?unit=298&level=village&item=288.5&status="
    assert rows(await page(stage, f"{short}met")) == ["Thôn Nghĩa Dũng"]
    assert rows(await page(stage, f"{short}unmet")) == ["Thôn Đại Hà"]
    assert rows(await page(stage, f"{short}no_data")) == ["Thôn Kim Xuyên"]
    none = await page(stage, f"{short}suspended")
    assert "Không có đơn vị nào như vậy" in none
    assert 'href="/indicators/?unit=298&amp;set=hd-288-2023"' in none


async def test_every_cell_opens_its_explanation(stage: Stage) -> None:
    text = await page(stage, "/indicators/?unit=11074")
    assert 'href="/indicators/units/11074-01/items/288.5?set=hd-288-2023"' in text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("level=hamlet", 422),
        ("sort=random", 422),
        ("status=fine", 422),
        ("item=288.99&status=met", 404),
        ("after=zz", 400),
    ],
)
async def test_a_choice_that_does_not_exist_is_refused(stage: Stage, query: str, status: int) -> None:
    answer = await stage.client.get(f"/indicators/?unit=298&{query}", headers=HTML)
    assert answer.status_code == status, answer.text[:200]


async def test_pages_of_the_sorted_table_follow_each_other_without_a_gap(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.indicators.web.overview.CHILDREN", 1)
    for order in ("code", "most", "least"):
        seen, address = [], f"/indicators/?unit=298&level=village&sort={order}"
        while address:
            text = await page(stage, address)
            seen += rows(text)
            following = re.search(r'href="([^"]*)" rel="next"', text)
            address = following[1].replace("&amp;", "&") if following else ""
        assert sorted(seen) == ["Thôn Kim Xuyên", "Thôn Nghĩa Dũng", "Thôn Đại Hà"], order


async def test_only_sets_that_say_something_of_the_unit_are_offered(stage: Stage) -> None:
    below = await page(stage, "/indicators/units/11074-01")
    offered = set(re.findall(r'<li><a href="/indicators/units/11074-01\?set=([^"]*)"', below))
    assert offered == {code for code, one in library.catalogue().sets.items() if one.level == "village"}
    above = await page(stage, "/indicators/units/11074?set=hd-1414-ntm-8")
    assert 'href="/indicators/?unit=11074&amp;set=hd-288-2023"' in above
    assert "tuky-2025&" not in above


async def test_a_target_by_trait_is_that_of_the_unit(stage: Stage) -> None:
    address = "/indicators/units/11077?set=mard-2023-eligible-smart"
    unknown = await page(stage, address)
    assert "50% / 80%" in unknown
    await tell(stage, NEIGHBOUR, "commune.terrain", {"state": "island"})
    assert "Cần từ 50% trở lên (mức của nơi này)" in await page(stage, address)
    await tell(stage, NEIGHBOUR, "commune.terrain", {"state": "other"})
    assert "Cần từ 80% trở lên (mức của nơi này)" in await page(stage, address)


async def test_what_a_province_suspends_is_said_on_the_sheet(stage: Stage) -> None:
    text = await page(stage, "/indicators/units/11074?set=hd-1414-ntm-advanced-8")
    assert "Tạm hoãn riêng điều kiện" in text
    assert "1414/STTTT-BCVTCNTT, mục 5.1" in text


async def test_staff_are_led_to_import_and_entry_and_others_are_not(stage: Stage) -> None:
    for grants, seen in (([("officer", "30/298")], True), ([("officer", "30/288")], False), ([], False)):
        headers = {**HTML, **(bearer(*grants) if grants else {})}
        for path in ("/indicators/?unit=11074", "/indicators/units/11074-01", "/indicators/units/11074/quality"):
            answer = await stage.client.get(path, headers=headers)
            assert ("/imports" in answer.text) is seen, (path, grants)


async def test_a_set_without_levels_is_watched_and_nobody_is_said_to_fail(stage: Stage) -> None:
    watched = "mard-2023-smart-commune"
    sheet = await page(stage, f"/indicators/units/11077?set={watched}")
    assert "chỉ tiêu theo dõi." in sheet
    assert "/39 chỉ tiêu." not in sheet
    above = await page(stage, f"/indicators/?unit=298&set={watched}")
    assert "văn bản không nêu mức đạt" in above
    assert "0/39" not in above


async def test_what_is_only_watched_shows_what_is_known_and_never_that_nobody_meets_it(stage: Stage) -> None:
    """On the map, in the matrix at both levels, in its table, and in the explanation of the unit above."""
    watched = "mard-2023-smart-commune"
    code = stage.commune.code
    await tell(stage, stage.commune, "commune.wifi_points", {"numerator": 3, "denominator": 4})
    await tell(stage, stage.commune, "commune.data_system", {"flag": True})
    await stage.settle()
    district = await page(stage, f"/indicators/?unit=298&set={watched}")
    tile = re.search(rf'href="/indicators/units/{code}\?set={watched}" title="([^"]*)"', district)
    assert tile is not None
    # The row for answered reports and the like stay unknown: nobody has told of them.
    assert re.fullmatch(r"Xã Đại Sơn: theo dõi, \d+/39 chỉ tiêu có số liệu", tile[1])
    known = int(tile[1].split("/")[0].rsplit(" ", 1)[1])
    assert known >= 2
    line = re.search(rf'data-live-key="row-{code}".*?</tr>', district, re.S)
    assert line is not None
    assert f">{known}/39<" in line[0]
    assert ">75%<" in line[0].replace("\n", "")
    assert ">có<" in line[0]
    province = await page(stage, f"/indicators/?unit=30&set={watched}")
    assert "1/2 xã có số liệu" in province
    assert "xã đạt" not in province
    cell = re.search(rf'href="/indicators/units/298/items/4.3\?set={watched}">(.*?)</a>', province, re.S)
    assert cell is not None
    assert cell[1].startswith("1/2<")
    assert "có số liệu" in cell[1]
    rows = (await page(stage, f"/indicators/units/30/children.csv?set={watched}")).splitlines()
    at = next(n for n, name in enumerate(rows[0].split(",")) if name.startswith("4.3 "))
    assert next(row for row in rows if row.startswith("298,")).split(",")[at : at + 2] == ["1", "2"]
    own = (await page(stage, f"/indicators/units/298/children.csv?set={watched}")).splitlines()
    at = next(n for n, name in enumerate(own[0].split(",")) if name.startswith("4.3 "))
    assert next(row for row in own if row.startswith(f"{code},")).split(",")[at] == "75%"
    why = await page(stage, f"/indicators/units/30/items/4.3?set={watched}")
    assert "1/2 có số liệu" in why
    assert "0% (0/2)" not in why
