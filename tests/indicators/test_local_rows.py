"""Rows that only an overlay adds: suspended by an order and by another overlay, shown on pages and in every table."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis import units
from services.indicators import commands
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.upkeep import following
from services.indicators.web.shell import first_set
from tests.indicators.conftest import Stage
from tests.indicators.editing import ADMIN, API, follow_up, forget, put
from tests.support.running import commune

pytestmark = pytest.mark.usefixtures("restored")
SET = "hd-288-2023"
HEAD = """
overlay: {name}
on: hd-288-2023
unit: "{unit}"
title: {{vi: "Mục tiêu riêng", en: "Local targets"}}
legal_basis: {{number: "15/KH-UBND", date: 2026-01-10, issuer: "UBND", title: "Kế hoạch"}}
valid_from: 2026-01-10
"""
ROW = """items:
  - code: "XA.1"
    title: {vi: "Phủ sóng ít nhất một nửa địa bàn", en: "At least half of the area is covered"}
    short: {vi: "phủ sóng nửa địa bàn", en: "half covered"}
    rule: {ratio: village.signal_area, operator: ">=", target: 50%}
    feeds: [T]
"""
HALT = """suspend:
  - {item: "XA.1", reason: {vi: "Trạm đang xây", en: "The mast is being built"}, document: 7/TB-UBND}
"""


@pytest.fixture
async def local(stage: Stage) -> AsyncIterator[Stage]:
    """The commune has a row of its own in the set of villages."""
    await applied(stage, "thon-2026", HEAD.format(name="thon-2026", unit=stage.commune.code) + ROW)
    yield stage
    await forget(stage, "item_code = 'XA.1'")


async def applied(stage: Stage, name: str, text: str) -> None:
    answer = await put(stage, name, text)
    assert answer.status_code == 200, answer.text
    await follow_up(stage)


def order(unit: str, **changed: Any) -> dict[str, Any]:
    asked = {"unit": unit, "set": SET, "item": "XA.1", "reason": "Chưa có trạm", "document": "9/TB-UBND"}
    return {**asked, **changed}


async def suspend(stage: Stage, unit: str, headers: dict[str, str] = ADMIN, **changed: Any) -> Any:
    return await stage.client.post(f"{API}/suspensions", json=order(unit, **changed), headers=headers)


async def status(stage: Stage) -> str:
    return await stage.status(stage.villages[0], "XA.1")


@pytest.mark.parametrize("where", ["commune", "above", "village"])
async def test_an_order_suspends_a_row_that_an_overlay_adds_where_it_holds(local: Stage, where: str) -> None:
    unit = {"commune": local.commune.code, "above": "298", "village": local.villages[0].code}[where]
    assert await status(local) == "no_data"
    created = await suspend(local, unit)
    assert created.status_code == 201, created.text
    assert await status(local) == "suspended"
    lifted = await local.client.post(f"{API}/suspensions/{created.json()['id']}/lift", headers=ADMIN)
    assert lifted.status_code == 200, lifted.text
    assert await status(local) == "no_data"


async def test_a_row_is_unknown_where_its_overlay_does_not_hold(local: Stage) -> None:
    beside = replace(local.commune, code="11077", name="Xã bên cạnh", path="30/298/11077")
    await local.running.enter_units(beside)
    answer = await suspend(local, beside.code)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_item")
    nowhere = await suspend(local, local.commune.code, item="XA.9")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown_item")


async def test_an_order_whose_row_is_gone_can_still_be_lifted(local: Stage) -> None:
    created = await suspend(local, local.commune.code)
    gone = await local.client.delete(f"{API}/criteria/thon-2026", headers=ADMIN)
    assert gone.status_code == 200, gone.text
    await following.look(local.running.runner.runtime.sessions)
    answer = await local.client.post(f"{API}/suspensions/{created.json()['id']}/lift", headers=ADMIN)
    assert answer.status_code == 200
    assert answer.json()["lifted_at"]


async def test_an_order_for_such_a_row_ends_on_its_day(local: Stage) -> None:
    today = units.today()
    async with local.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), today)
    body = {"starts_on": str(today), "ends_on": str(today + timedelta(days=2))}
    assert (await suspend(local, local.commune.code, **body)).status_code == 201
    assert await status(local) == "suspended"
    async with local.running.tx() as tx:
        await tx.execute(sa.text("UPDATE calendar SET day = day - 3"))
        await tx.execute(sa.text("UPDATE suspension SET starts_on = starts_on - 2, ends_on = ends_on - 2"))
    async with local.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), today)
    assert await status(local) == "no_data"


async def test_an_overlay_suspends_a_row_of_another_and_of_its_own(local: Stage) -> None:
    await applied(local, "huyen-2026", HEAD.format(name="huyen-2026", unit="298") + HALT)
    assert await status(local) == "suspended"
    await local.client.delete(f"{API}/criteria/huyen-2026", headers=ADMIN)
    await applied(local, "thon-2026", HEAD.format(name="thon-2026", unit=local.commune.code) + ROW + HALT)
    assert await status(local) == "suspended"
    page = await local.client.get(f"/indicators/units/{local.villages[0].code}?set={SET}")
    assert "Chỉ tiêu địa phương thêm: Mục tiêu riêng (15/KH-UBND)." in page.text
    assert "Tạm hoãn: Trạm đang xây (7/TB-UBND)." in page.text


async def test_an_overlay_that_names_a_row_nobody_adds_is_refused(local: Stage) -> None:
    text = HEAD.format(name="huyen-2026", unit="298") + HALT.replace("XA.1", "XA.2")
    answer = await local.client.put(f"{API}/criteria/huyen-2026", json={"document": text}, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (422, "criteria_refused")
    [fault] = answer.json()["errors"]
    assert fault["field"] == "huyen-2026:9: suspend[0].item"
    assert "không có dòng XA.2" in fault["message"]
    assert "XA.1" in fault["message"]


async def table(stage: Stage, address: str) -> list[list[str]]:
    answer = await stage.client.get(address, params={"set": SET})
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


async def test_the_tables_show_what_the_pages_show(local: Stage) -> None:
    assert (await suspend(local, local.commune.code)).status_code == 201
    await local.settle()
    sheet = await table(local, f"/indicators/units/{local.villages[0].code}/sheet.csv")
    assert sheet[0][-2:] == ["Của địa phương", "Tạm hoãn"]
    row = next(line for line in sheet if line[2] == "XA.1")
    assert row[4] == "tạm hoãn"
    assert row[-2] == "Chỉ tiêu địa phương thêm: Mục tiêu riêng (15/KH-UBND)."
    assert "Chưa có trạm (9/TB-UBND)" in row[-1]
    matrix = await table(local, f"/indicators/units/{local.commune.code}/children.csv")
    page = await local.client.get("/indicators/", params={"unit": local.commune.code, "set": SET})
    assert matrix[0][-1] == "XA.1 phủ sóng nửa địa bàn"
    assert "XA.1 phủ sóng nửa địa bàn" in page.text
    assert {line[-1] for line in matrix[1:]} == {"tạm hoãn"}
    district = await table(local, "/indicators/units/298/children.csv")
    assert "XA.1" not in " ".join(district[0])


async def test_the_sheet_names_the_themes_and_goals_of_a_set_and_what_a_place_added(local: Stage) -> None:
    address = f"/indicators/units/{local.commune.code}?set=mard-2023-smart-commune"
    text = (await local.client.get(address)).text
    criteria = library.catalogue().sets["mard-2023-smart-commune"]
    headings = [f"<h3>{group.code}. {group.title.vi}</h3>" for group in criteria.groups]
    places = [text.index(heading) for heading in headings]
    assert len(places) > 5
    assert places == sorted(places)
    for theme in {group.theme.vi for group in criteria.groups}:
        assert text.count(f'<p class="theme">{theme}</p>') == 1
    for item in criteria.items:
        assert f"<h4>{item.title.vi}" in text
    plain = (await local.client.get(f"/indicators/units/{local.villages[0].code}?set={SET}")).text
    assert 'class="theme"' not in plain
    assert "<h3>Có hạ tầng mạng băng thông rộng" in plain


def test_the_first_set_is_the_most_recent_official_one_for_the_smallest_units() -> None:
    catalogue, here = library.catalogue(), commune()
    assert first_set(catalogue, date(2026, 1, 1), here).code == "hd-288-2023"
    later = replace(catalogue.sets["hd-288-2023"], code="hd-moi", valid_from=date(2026, 6, 1))
    fresh = c.catalogue(catalogue.attributes, catalogue.measures, {**catalogue.sets, "hd-moi": later})
    assert first_set(fresh, date(2026, 5, 31), here).code == "hd-288-2023"
    assert first_set(fresh, date(2026, 6, 1), here).code == "hd-moi"
