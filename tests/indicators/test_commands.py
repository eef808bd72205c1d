"""Suspensions, the turn of the year, and the JSON API's lists and definitions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from xaso.media.v1 import events_pb2 as media

from chassis import units
from chassis.units import Unit
from services.indicators import commands
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from tests.indicators.conftest import Stage
from tests.indicators.test_events import YEAR, petition, product, speaker
from tests.support.running import bearer
from tests.support.statements import sent_by

API = "/indicators/api/v1"
ADMIN = bearer(("admin", "30"))


def order(unit: Unit | str, **changed: Any) -> dict[str, Any]:
    return {
        "unit": unit if isinstance(unit, str) else unit.code,
        "set": "hd-288-2023",
        "item": "288.7",
        "reason": "Chưa có hướng dẫn đo vùng nghe",
        "document": "CV 1414/STTTT-BCVTCNTT",
        **changed,
    }


async def heard(stage: Stage, unit: Unit, clusters: int, in_earshot: int) -> None:
    change = media.VillageAudibilityChanged(unit=unit.code, clusters=clusters, clusters_in_earshot=in_earshot)
    await stage.tell(stage.event(change, f"audibility-{unit.code}"))


async def test_a_suspended_item_is_shown_as_such_until_it_is_lifted(stage: Stage) -> None:
    unit = await stage.new_village()
    await heard(stage, unit, 3, 1)
    created = await stage.client.post(f"{API}/suspensions", json=order(unit), headers=ADMIN)
    assert created.status_code == 201, created.text
    item = await stage.item(unit, "288.7")
    assert (item["status"], item["value"]) == ("suspended", {"numerator": 1, "denominator": 3})
    assert item["because"] == f"suspension:{created.json()['id']}"
    found = await stage.client.get(f"{API}/units/{unit.code}/sets/hd-288-2023/items/288.7/explanation", headers=ADMIN)
    assert found.json()["suspensions"][0]["document"] == "CV 1414/STTTT-BCVTCNTT"
    await heard(stage, unit, 3, 2)
    assert (await stage.item(unit, "288.7"))["value"] == {"numerator": 2, "denominator": 3}
    lifted = await stage.client.post(f"{API}/suspensions/{created.json()['id']}/lift", headers=ADMIN)
    assert lifted.json()["lifted_at"]
    assert await stage.status(unit, "288.7") == "unmet"
    again = await stage.client.post(f"{API}/suspensions/{created.json()['id']}/lift", headers=ADMIN)
    assert (again.status_code, again.json()["code"]) == (409, "already_lifted")


async def test_a_suspension_counts_for_everything_below_its_unit_and_ends_on_its_day(stage: Stage) -> None:
    unit = await stage.new_village()
    today = units.today()
    body = order("298", item="288.8", starts_on=str(today), ends_on=str(today + timedelta(days=2)))
    created = await stage.client.post(f"{API}/suspensions", json=body, headers=ADMIN)
    assert created.status_code == 201
    assert await stage.status(unit, "288.8") == "suspended"
    listed = await stage.client.get(f"{API}/suspensions", params={"unit": unit.code})
    assert created.json()["id"] in [one["id"] for one in listed.json()["items"]]
    async with stage.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), today)
        # Two days pass: the order is dated back instead of waiting for them.
        await tx.execute(text("UPDATE calendar SET day = day - 3"))
        await tx.execute(text("UPDATE suspension SET starts_on = starts_on - 2, ends_on = ends_on - 2"))
    async with stage.running.tx() as tx:
        assert await commands.follow_calendar(tx, library.catalogue(), today) > 0
    assert await stage.status(unit, "288.8") == "no_data"


async def test_an_order_that_began_long_ago_ends_on_its_day_and_not_before(stage: Stage) -> None:
    unit = await stage.new_village()
    today = units.today()
    body = order(unit, item="288.8", starts_on=str(today), ends_on=str(today + timedelta(days=1)))
    created = await stage.client.post(f"{API}/suspensions", json=body, headers=ADMIN)
    assert created.status_code == 201, created.text
    for ends_on, yesterday, expected in ((today + timedelta(days=1), 0, "suspended"), (today, 1, "no_data")):
        async with stage.running.tx() as tx:
            await commands.follow_calendar(tx, library.catalogue(), today)
            # The day of the end comes: the order is dated back instead of waiting for it.
            await tx.execute(text("UPDATE calendar SET day = :day"), {"day": today - timedelta(days=yesterday)})
            await tx.execute(
                text("UPDATE suspension SET starts_on = :start, ends_on = :end WHERE id = :id"),
                {"start": today - timedelta(days=9), "end": ends_on, "id": created.json()["id"]},
            )
        async with stage.running.tx() as tx:
            await commands.follow_calendar(tx, library.catalogue(), today)
        assert await stage.status(unit, "288.8") == expected


@pytest.mark.parametrize(
    ("period", "before", "today", "begun"),
    [
        ("year", "2026-01-01", "2026-12-31", False), ("year", "2026-12-31", "2027-01-01", True),
        ("year", "2025-11-23", "2026-11-23", True), ("year", None, "2026-11-23", True),
        ("quarter", "2026-01-01", "2026-03-31", False), ("quarter", "2026-03-31", "2026-04-01", True),
        ("quarter", "2026-04-01", "2026-06-30", False), ("quarter", "2026-06-30", "2026-07-01", True),
        ("quarter", "2026-09-30", "2026-10-01", True), ("quarter", "2026-10-01", "2026-12-31", False),
        ("quarter", "2026-12-31", "2027-01-01", True), ("quarter", "2025-11-23", "2026-11-23", True),
        ("month", "2026-03-01", "2026-03-31", False), ("month", "2026-03-31", "2026-04-01", True),
        ("month", "2026-04-30", "2026-05-01", True), ("month", "2025-11-23", "2026-11-23", True),
        ("month", None, "2026-11-23", True),
    ],
)  # fmt: skip
def test_a_year_a_quarter_and_a_month_begin_on_their_first_day_and_on_no_other(
    period: c.Period, before: str | None, today: str, begun: bool
) -> None:
    since = date.fromisoformat(before) if before else None
    assert commands.begins(period, since, date.fromisoformat(today)) is begun


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"unit": "99999"}, 404),
        ({"set": "nope"}, 404),
        ({"item": "288.99"}, 404),
        ({"reason": ""}, 422),
        ({"document": ""}, 422),
        ({"starts_on": "2026-05-02", "ends_on": "2026-05-01"}, 422),
        ({"starts_on": "2026-02-30"}, 422),
        ({"reason": "a\u0000b"}, 422),
    ],
)
async def test_wrong_suspensions_are_refused(stage: Stage, changed: dict[str, Any], status: int) -> None:
    answer = await stage.client.post(f"{API}/suspensions", json={**order("298"), **changed}, headers=ADMIN)
    assert answer.status_code == status, answer.text


async def test_only_an_administrator_of_the_unit_suspends(stage: Stage) -> None:
    for grants in ([("officer", stage.commune.path)], [("leader", "30")], [("admin", "30/298/11077")]):
        answer = await stage.client.post(f"{API}/suspensions", json=order(stage.commune), headers=bearer(*grants))
        assert answer.status_code == 403
    created = await stage.client.post(f"{API}/suspensions", json=order("30", item="288.6"), headers=ADMIN)
    path = f"{API}/suspensions/{created.json()['id']}/lift"
    assert (await stage.client.post(path, headers=bearer(("admin", stage.commune.path)))).status_code == 403
    assert (await stage.client.post(path, headers=ADMIN)).status_code == 200
    unknown = f"{API}/suspensions/00000000-0000-7000-8000-000000000000/lift"
    assert (await stage.client.post(unknown, headers=ADMIN)).status_code == 404


async def test_a_new_year_begins_with_the_activity_of_the_new_year(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"p-{unit.code}"
    message = petition(unit, id, None)
    message.petition.answered_at.FromJsonString(f"{YEAR}-06-01T00:00:00Z")
    await stage.tell(stage.event(message, id))
    assert await stage.status(unit, "288.1") == "met"
    async with stage.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), units.today())
    # The engine asks what day it is; so the facts and the stored day are dated back by a year instead.
    async with stage.running.tx() as tx:
        await tx.execute(text("UPDATE calendar SET day = day - 365"))
        await tx.execute(
            text("UPDATE tally SET year = :year WHERE unit LIKE :unit"),
            {"year": str(YEAR - 1), "unit": f"{unit.code}@%"},
        )
    async with stage.running.tx() as tx:
        assert await commands.follow_calendar(tx, library.catalogue(), units.today()) >= 1
    item = await stage.item(unit, "288.1")
    assert (item["status"], item["because"]) == ("unmet", f"calendar:{YEAR}")
    async with stage.running.tx() as tx:
        assert await commands.follow_calendar(tx, library.catalogue(), units.today()) == 0


async def test_units_are_listed_by_level_parent_name_and_date(stage: Stage) -> None:
    async def codes(**params: str) -> list[str]:
        answer = await stage.client.get(f"{API}/units", params=params)
        assert answer.status_code == 200, answer.text
        return [unit["code"] for unit in answer.json()["items"]]

    assert await codes(level="district") == ["298"]
    assert await codes(parent="298") == ["11074"]
    assert await codes(q="dai son") == ["11074"]
    assert await codes(level="district", as_of="2019-12-31") == []
    assert await codes(level="district", as_of="2026-01-01T00:00:00+07:00") == ["298"]
    first = (await stage.client.get(f"{API}/units", params={"limit": "1"})).json()
    second = (await stage.client.get(f"{API}/units", params={"limit": "1", "after": first["next"]})).json()
    assert first["items"][0]["code"] < second["items"][0]["code"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/units?level=hamlet", 422),
        ("/units?limit=0", 422),
        ("/units?limit=201", 422),
        ("/units?as_of=yesterday", 400),
        ("/units?as_of=2026-01-01T00:00:00", 400),
        ("/units?after=%25", 400),
        ("/units?q=%00", 400),
        ("/sets/nope", 404),
        ("/units/99999/sets/hd-288-2023", 404),
        ("/units/11074/sets/nope", 404),
        ("/units/11074/sets/hd-288-2023?as_of=99999-01-01", 400),
        ("/units/11074%00/sets/hd-288-2023", 400),
        ("/suspensions?after=WyJ4Il0", 400),
        ("/suspensions?unit=99999", 404),
    ],
)
async def test_bad_questions_get_a_problem(stage: Stage, path: str, status: int) -> None:
    answer = await stage.client.get(API + path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_a_set_names_the_measures_of_each_row(stage: Stage) -> None:
    listed = (await stage.client.get(f"{API}/sets")).json()["items"]
    assert ("hd-288-2023", "village", 9) in [(one["set"], one["level"], one["total"]) for one in listed]
    found = (await stage.client.get(f"{API}/sets/hd-288-2023")).json()
    row = found["items"][4]
    assert (row["code"], row["measures"]) == ("288.5", ["village.fibre_households"])
    assert row["target"] == {
        "operator": ">", "numerator": 80, "denominator": 100, "count": None, "flag": None, "text": "> 80%",
    }  # fmt: skip
    assert {m["code"] for m in found["measures"]} == {code for item in found["items"] for code in item["measures"]}


async def test_an_explanation_pages_through_facts_down_to_their_events(stage: Stage) -> None:
    unit = await stage.new_village()
    told = [stage.event(product(unit, f"{n}-{unit.code}", n % 2), f"{n}-{unit.code}") for n in range(5)]
    await stage.tell(*told)
    path = f"{API}/units/{unit.code}/sets/hd-288-2023/items/288.9/explanation"
    officer = bearer(("officer", stage.commune.path))
    facts, after = [], None
    for _ in range(10):
        params = {"limit": "2", **({"after": after} if after else {})}
        page = (await stage.client.get(path, params=params, headers=officer)).json()
        facts += page["facts"]
        after = page["next"]
        if after is None:
            break
    assert {fact["source"]["id"] for fact in facts} == {str(event.id) for event in told}
    assert {fact["source"]["type"] for fact in facts} == {"xaso.ecommerce.v1.ProductChanged"}
    assert {fact["source"]["service"] for fact in facts} == {"ecommerce"}
    assert {fact["value"]["state"] for fact in facts} == {"key_listed", "key_unlisted"}
    assert page["item"]["value"] == {"numerator": 2, "denominator": 5}


async def test_an_explanation_above_the_village_names_the_children(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    await stage.tell(stage.event(speaker(unit, "ready", id=id), id))
    await stage.settle()
    path = f"{API}/units/11074/sets/hd-288-2023/items/288.2/explanation"
    found = (await stage.client.get(path, params={"limit": "200"}, headers=ADMIN)).json()
    assert {"unit": unit.code, "name": unit.name, "status": "met", "value": {"flag": True}} in found["children"]
    assert found["facts"] == []


async def test_a_village_that_ended_is_no_longer_counted_above(stage: Stage) -> None:
    await stage.settle()
    before = (await stage.sheet("11074"))["total"]
    unit = await stage.new_village()
    await stage.settle()
    assert (await stage.sheet("11074"))["total"] == before + 1
    async with stage.running.tx() as tx:
        await tx.execute(
            text("UPDATE unit SET valid_to = :today WHERE code = :code"), {"today": units.today(), "code": unit.code}
        )
        await commands.follow_calendar(tx, library.catalogue(), units.today())
        await tx.execute(text("UPDATE calendar SET day = :day"), {"day": date(2020, 1, 2)})
    async with stage.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), units.today())
    await stage.settle()
    assert (await stage.sheet("11074"))["total"] == before


async def test_a_sheet_is_one_statement(stage: Stage) -> None:
    async with sent_by(stage.running.runner.runtime.engine.sync_engine) as sent:
        for code in (stage.villages[0].code, "298"):
            await stage.sheet(code)
    assert len(sent) == 2
