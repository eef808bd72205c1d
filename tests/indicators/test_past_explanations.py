"""Why it stood as it did: the tree and the facts of another day, of the unit the code named then; page and JSON."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text

from chassis.units import Unit
from services.indicators.answers import standing
from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage, entered
from tests.indicators.inquiring import API, of_entity, record, said
from tests.indicators.test_asof import ADMIN, viet
from tests.indicators.test_explanations import OFFICER, every
from tests.support.running import bearer

SET = "hd-288-2023"
HTML = {"accept": "text/html"}
HEAD = bearer(("officer", "30"))


async def why(stage: Stage, way: str, unit: Unit | str, item: str, as_of: str, **more: Any) -> dict[str, Any]:
    """The JSON of `explanation` or `reasons` as of a day, with what it rests on as `basis`."""
    code = unit if isinstance(unit, str) else unit.code
    set_code = more.pop("set_code", SET)
    headers = more.pop("headers", HEAD)
    answer = await stage.client.get(
        f"{API}/units/{code}/sets/{set_code}/items/{item}/{way}", params={"as_of": as_of, **more}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found | {"basis": answer.headers.get("xaso-answered-from")}


async def test_the_tree_and_the_facts_are_those_of_the_day(stage: Stage) -> None:
    unit = await stage.new_village()
    words = [
        said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 5, 10)),
        said(unit, "village.signal_area", Ratio(2, 2), at=viet(2024, 5, 20)),
        said(unit, "village.signal_area", None, at=viet(2024, 5, 25), withdrawn=True),
    ]
    await record(stage, words[0])
    between = datetime.now(UTC)
    await record(stage, *words[1:])
    seen = {}
    for day in ("2024-05-09", "2024-05-10", "2024-05-20", "2024-05-25"):
        tree = (await why(stage, "reasons", unit, "288.8", day))["tree"]
        listed = await why(stage, "explanation", unit, "288.8", day)
        assert listed["basis"] == "facts"
        assert (listed["item"]["status"], listed["item"]["value"]) == (tree["status"], tree["value"])
        facts = [one["evidence"]["id"] for one in every(tree, "fact")]
        assert [fact["source"]["id"] for fact in listed["facts"]] == facts
        seen[day] = (tree["status"], tree["value"] and tree["value"]["numerator"], facts)
    names = [word.cause.partition(":")[2] for word in words]
    assert seen == {
        "2024-05-09": ("no_data", None, []),
        "2024-05-10": ("unmet", 1, [names[0]]),
        "2024-05-20": ("met", 2, [names[1]]),
        "2024-05-25": ("no_data", None, []),
    }
    known = await why(stage, "reasons", unit, "288.8", "2024-05-20", known_at=between.isoformat())
    assert (known["tree"]["status"], [f["evidence"]["id"] for f in every(known["tree"], "fact")]) == (
        "unmet", [names[0]],
    )  # fmt: skip


async def test_things_are_counted_and_named_as_they_stood(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(
        stage,
        *(of_entity(unit, "household.fibre", f"H-{n}", n <= 4, at=viet(2024, 8, 1)) for n in range(1, 6)),
        of_entity(unit, "household.fibre", "H-5", True, at=viet(2024, 8, 2)),
    )
    counted = {}
    for day in ("2024-08-01", "2024-08-02"):
        tree = (await why(stage, "reasons", unit, "288.5", day))["tree"]
        counted[day] = {one["state"]: one["total"] for one in every(tree, "group")}
        hidden = (await why(stage, "reasons", unit, "288.5", day, headers={}))["tree"]
        assert every(hidden, "fact") == []
    assert counted == {"2024-08-01": {"false": 1, "true": 4}, "2024-08-02": {"true": 5}}
    first = await why(stage, "explanation", unit, "288.5", "2024-08-01", limit="3")
    rest = await why(stage, "explanation", unit, "288.5", "2024-08-01", limit="3", after=first["next"])
    assert rest["next"] is None
    values = [(fact["entity"][-3:], fact["value"]) for fact in (*first["facts"], *rest["facts"])]
    assert values == [(f"H-{n}", {"flag": n <= 4}) for n in range(1, 6)]


async def test_a_suspension_is_told_for_the_days_it_held(stage: Stage) -> None:
    unit = await stage.new_village()
    order = {
        "unit": unit.code, "set": SET, "item": "288.8", "reason": "Chờ trạm mới.", "document": "CV 9/UBND",
        "starts_on": "2024-02-01",
    }  # fmt: skip
    made = await stage.client.post(f"{API}/suspensions", json=order, headers=ADMIN)
    async with stage.running.tx() as tx:
        await tx.execute(
            text("UPDATE suspension SET lifted_at = :at, lifted_by = 'x' WHERE id = :id"),
            {"at": viet(2024, 2, 10), "id": made.json()["id"]},
        )
    told = {
        day: [one["document"] for one in (await why(stage, "explanation", unit, "288.8", day))["suspensions"]]
        for day in ("2024-01-31", "2024-02-01", "2024-02-09", "2024-02-10")
    }
    assert told == {"2024-01-31": [], "2024-02-01": ["CV 9/UBND"], "2024-02-09": ["CV 9/UBND"], "2024-02-10": []}
    now = await stage.client.get(f"{API}/units/{unit.code}/sets/{SET}/items/288.8/explanation")
    assert now.json()["suspensions"] == []
    early = await why(stage, "explanation", unit, "288.8", "2024-02-05", known_at="2024-06-01")
    assert early["suspensions"] == []


async def test_units_below_stand_as_they_stood(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 10, 1)))
    await record(stage, said(unit, "village.signal_area", Ratio(2, 2), at=viet(2024, 10, 2)))
    for day, status in (("2024-10-01", "unmet"), ("2024-10-02", "met")):
        found = await why(stage, "explanation", "11074", "288.8", day)
        tree = (await why(stage, "reasons", "11074", "288.8", day))["tree"]
        listed = {one["unit"]: (one["status"], one["value"]) for one in found["children"]}
        assert listed[unit.code][0] == status
        assert {one["unit"]: (one["status"], one["value"]) for one in every(tree, "unit")} == listed
        assert tree["value"] == found["item"]["value"]
        above = await why(stage, "explanation", "298", "288.8", day)
        assert next(one["value"] for one in above["children"] if one["unit"] == "11074") == found["item"]["value"]
    # Where too many units lie below, the log says what had been computed: nothing yet by that day, all of it by now.
    await stage.settle()
    monkeypatch.setattr(standing, "MOST_UNITS", 0)
    for at, status in (("2024-10-02", "no_data"), (datetime.now(UTC).isoformat(), "met")):
        logged = await why(stage, "explanation", "11074", "288.8", at)
        tree = (await why(stage, "reasons", "11074", "288.8", at))["tree"]
        assert logged["basis"] == "log"
        told = {one["unit"]: one["status"] for one in logged["children"]}
        assert told[unit.code] == status
        assert {one["unit"]: one["status"] for one in every(tree, "unit")} == told
    paged = await why(stage, "explanation", "11074", "288.8", "2024-10-02", limit="1")
    following = await why(stage, "explanation", "11074", "288.8", "2024-10-02", limit="1", after=paged["next"])
    assert [one["unit"] for one in (*paged["children"], *following["children"])] == sorted(told)[:2]


async def test_a_former_unit_explains_itself_and_every_link_stays_in_its_day(stage: Stage) -> None:
    turn, day = date(2025, 7, 1), "2025-06-30"
    commune = Unit("12905", "Xã Cũ", "commune", "xa", "298", "30/298/12905", date(2020, 1, 1), turn)
    village = Unit("12905-01", "Thôn Cũ", "village", "thon", "12905", "30/298/12905/12905-01", date(2020, 1, 1), turn)
    await stage.tell(*(stage.event(entered(unit), f"unit/{unit.code}") for unit in (commune, village)))
    await record(stage, said(village, "village.signal_area", Ratio(2, 3), at=datetime(2025, 5, 1, tzinfo=UTC)))

    async def page(path: str) -> str:
        answer = await stage.client.get(path, headers=HTML | HEAD)
        assert answer.status_code == 200, (path, answer.status_code)
        return unescape(answer.text)

    here = f"/indicators/units/{commune.code}/items/288.8"
    assert (await stage.client.get(f"{here}?set={SET}", headers=HTML)).status_code == 404
    sheet = await page(f"/indicators/units/{commune.code}?set={SET}&as_of={day}")
    assert f'href="{here}?set={SET}&as_of={day}"' in sheet
    seen, waiting = set(), [f"{here}?set={SET}&as_of={day}"]
    while waiting:
        path = waiting.pop()
        told = await page(path)
        seen.add(path)
        links = set(re.findall(r'href="(/indicators/units/1290[^"]*)"', told))
        assert links
        assert all(f"as_of={day}" in link for link in links), (path, links)
        waiting += [link for link in links - seen if "/items/" in link and ".csv" not in link]
    below = f"/indicators/units/{village.code}/items/288.8?set={SET}&as_of={day}"
    assert below in seen
    told = await page(below)
    assert "Đây là số liệu như đã biết vào 30/06/2025." in told
    assert "66,6% (2/3 phần địa bàn)" in told
    # What is to be done is a question of today.
    assert not {"Ít nhất cần gì để đạt", "Nhập số liệu kèm bằng chứng"} & set(re.findall(r"[^<>]+", told))


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"as_of": "hôm kia"}, 400, "malformed"),
        ({"as_of": "2024-05-10", "known_at": "hôm qua"}, 400, "malformed"),
        ({"as_of": "2022-01-01"}, 404, "set_not_in_force"),
        ({"as_of": "1990-01-01"}, 404, "unknown_unit"),
    ],
)
async def test_what_cannot_be_asked_of_a_day_is_refused(
    stage: Stage, params: dict[str, str], status: int, code: str
) -> None:
    unit = stage.villages[0]
    for way in ("explanation", "reasons"):
        path = f"{API}/units/{unit.code}/sets/{SET}/items/288.8/{way}"
        answer = await stage.client.get(path, params=params, headers=OFFICER)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    if "known_at" not in params:
        page = f"/indicators/units/{unit.code}/items/288.8"
        assert (await stage.client.get(page, params={"set": SET, **params}, headers=HTML)).status_code == status
