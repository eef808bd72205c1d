"""What it was then: unit, set, overlay, suspensions and facts of the day, to the last moment of it in Việt Nam."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from chassis.units import VIETNAM, Unit
from services.indicators.answers import standing
from services.indicators.answers.standing import Moment, Standing, ground
from services.indicators.calculation import ledger
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage, entered
from tests.indicators.inquiring import API, of_entity, record, said
from tests.indicators.test_events import speaker
from tests.support.running import bearer, village

SET = "hd-288-2023"
ADMIN = bearer(("admin", "30"))


def viet(year: int, month: int, day: int, hour: int = 12, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=VIETNAM)


async def past(stage: Stage, unit: Unit | str, as_of: str, set_code: str = SET, **more: str) -> dict[str, Any]:
    code = unit if isinstance(unit, str) else unit.code
    response = await stage.client.get(f"{API}/units/{code}/sets/{set_code}", params={"as_of": as_of, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    answer["basis"] = response.headers["xaso-answered-from"]
    return answer


def item(sheet: dict[str, Any], code: str) -> tuple[str, Any]:
    found = next(one for one in sheet["items"] if one["code"] == code)
    return found["status"], found["value"]


async def test_a_day_ends_at_midnight_in_viet_nam(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(
        stage,
        said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 5, 10, 23, 59, 59)),
        said(unit, "village.signal_area", Ratio(2, 2), at=viet(2024, 5, 11, 0, 0, 0)),
    )
    assert item(await past(stage, unit, "2024-05-09"), "288.8") == ("no_data", None)
    assert item(await past(stage, unit, "2024-05-10"), "288.8") == ("unmet", {"numerator": 1, "denominator": 2})
    assert item(await past(stage, unit, "2024-05-11"), "288.8") == ("met", {"numerator": 2, "denominator": 2})
    assert item(await past(stage, unit, "2024-05-10T16:59:58Z"), "288.8") == ("no_data", None)
    assert item(await past(stage, unit, "2024-05-10T17:00:00Z"), "288.8")[0] == "met"


async def test_what_came_late_counts_for_its_day_unless_only_what_was_known_is_asked(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 6, 1)))
    between = datetime.now(UTC)
    await record(stage, said(unit, "village.signal_area", Ratio(2, 2), at=viet(2024, 6, 2)))
    assert item(await past(stage, unit, "2024-06-02"), "288.8")[0] == "met"
    known = await past(stage, unit, "2024-06-02", known_at=between.isoformat())
    assert item(known, "288.8") == ("unmet", {"numerator": 1, "denominator": 2})
    assert item(await past(stage, unit, "2024-06-02", known_at="2024-06-03"), "288.8")[0] == "no_data"


async def test_a_later_word_of_the_source_wins_whatever_came_first(stage: Stage) -> None:
    unit = await stage.new_village()
    words = [
        said(unit, "village.fibre_households", Ratio(70, 100), at=viet(2024, 1, 1)),
        said(unit, "village.fibre_households", Ratio(81, 100), at=viet(2024, 2, 1)),
        said(unit, "village.fibre_households", None, at=viet(2024, 3, 1), withdrawn=True),
        said(unit, "village.fibre_households", Ratio(90, 100), at=viet(2024, 4, 1)),
    ]
    for word in (words[2], words[0], words[3], words[1]):
        await record(stage, word)
    seen = [item(await past(stage, unit, f"2024-0{month}-15"), "288.5") for month in (1, 2, 3, 4)]
    assert [status for status, _ in seen] == ["unmet", "met", "no_data", "met"]
    assert seen[3][1] == {"numerator": 90, "denominator": 100}


async def test_entities_are_counted_where_they_were(stage: Stage) -> None:
    first, second = await stage.new_village(), await stage.new_village()
    id = f"moving-{first.code}"
    for unit, day, state in ((first, 1, "ready"), (second, 10, "ready"), (second, 20, "lost")):
        await stage.tell(stage.event(speaker(unit, state, id=id), id, at=viet(2024, 7, day)))
    answers = [
        [item(await past(stage, unit, f"2024-07-{day:02d}"), "288.2")[0] for unit in (first, second)]
        for day in (5, 15, 25)
    ]
    assert answers == [["met", "no_data"], ["no_data", "met"], ["no_data", "unmet"]]


async def test_households_are_counted_as_they_stood(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(
        stage,
        *(of_entity(unit, "household.fibre", f"H-{n}", n <= 4, at=viet(2024, 8, 1)) for n in range(1, 6)),
        of_entity(unit, "household.fibre", "H-5", True, at=viet(2024, 8, 2)),
    )
    assert item(await past(stage, unit, "2024-08-01"), "288.5") == ("unmet", {"numerator": 4, "denominator": 5})
    assert item(await past(stage, unit, "2024-08-02"), "288.5") == ("met", {"numerator": 5, "denominator": 5})


async def test_a_year_is_that_of_the_day(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(
        stage, said(unit, "village.digital_dialogue", True, at=viet(2024, 3, 3), origin="staff", source="staff.11074")
    )
    assert item(await past(stage, unit, "2024-12-31"), "288.1")[0] == "met"
    assert item(await past(stage, unit, "2025-01-01"), "288.1")[0] == "no_data"


async def test_a_code_names_the_unit_of_the_day(stage: Stage) -> None:
    code = "11074-990"
    old = Unit(code, "Thôn Cũ", "village", "thon", "11074", f"30/298/11074/{code}", date(2020, 1, 1), date(2024, 9, 1))
    new = Unit(code, "Thôn Mới", "village", "thon", "11074", f"30/298/11074/{code}", date(2024, 9, 1))
    await stage.tell(stage.event(entered(old), "old"), stage.event(entered(new), "new"))
    await record(
        stage,
        said(old, "village.signal_area", Ratio(3, 3), at=viet(2024, 8, 31, 23, 59, 59)),
        said(new, "village.signal_area", Ratio(1, 3), at=viet(2024, 9, 1, 0, 0, 0)),
    )
    assert item(await past(stage, code, "2024-08-31"), "288.8")[0] == "met"
    assert item(await past(stage, code, "2024-09-01"), "288.8")[0] == "unmet"
    # Whatever clock an instant is told by: 17:00 in Greenwich is the first minute of the next day here.
    asked = [(code, datetime(2024, 8, 31, 16, 59, 59, tzinfo=UTC)), (code, datetime(2024, 8, 31, 17, tzinfo=UTC))]
    async with stage.running.tx() as tx:
        found = await ledger.keys_of_units(tx, asked)
    assert [found[one] for one in asked] == [f"{code}@2020-01-01", f"{code}@2024-09-01"]


async def test_suspensions_are_those_of_the_day(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 1, 1)))
    order = {
        "unit": unit.code, "set": SET, "item": "288.8", "reason": "Chờ trạm mới.", "document": "CV 7/UBND",
        "starts_on": "2024-02-01", "ends_on": "2024-03-01",
    }  # fmt: skip
    created = await stage.client.post(f"{API}/suspensions", json=order, headers=ADMIN)
    assert created.status_code == 201, created.text
    seen = {
        day: item(await past(stage, unit, day), "288.8")
        for day in ("2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01")
    }
    assert [status for status, _ in seen.values()] == ["unmet", "suspended", "suspended", "unmet"]
    assert seen["2024-02-01"][1] == {"numerator": 1, "denominator": 2}
    early = await past(stage, unit, "2024-02-15", known_at="2024-06-01")
    assert item(early, "288.8")[0] == "no_data"
    async with stage.running.tx() as tx:
        await tx.execute(
            text("UPDATE suspension SET lifted_at = :at, lifted_by = 'x' WHERE id = :id"),
            {"at": viet(2024, 2, 10), "id": created.json()["id"]},
        )
    assert item(await past(stage, unit, "2024-02-09"), "288.8")[0] == "suspended"
    assert item(await past(stage, unit, "2024-02-10"), "288.8")[0] == "unmet"


async def test_a_unit_above_is_rolled_up_anew_while_that_is_bounded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = await stage.new_village()
    for day in ("2024-10-01", "2024-10-02"):
        await record(
            stage,
            said(unit, "village.signal_area", Ratio(int(day[-1]), 2), at=datetime.fromisoformat(f"{day}T05:00:00Z")),
        )
    one = await past(stage, "11074", "2024-10-01")
    two = await past(stage, "298", "2024-10-02")
    assert (one["basis"], two["basis"], two["counts"]) == ("facts", "facts", "village")
    before = item(one, "288.8")[1]
    assert (item(one, "288.8")[0], before["denominator"], one["total"]) == ("measured", two["total"], two["total"])
    assert item(two, "288.8")[1] == {"numerator": before["numerator"] + 1, "denominator": before["denominator"]}
    monkeypatch.setattr(standing, "MOST_UNITS", 0)
    logged = await past(stage, "298", "2024-10-02")
    assert (logged["basis"], item(logged, "288.8")) == ("log", ("no_data", None))


async def test_rules_about_villages_are_judged_by_the_villages_of_the_day(stage: Stage) -> None:
    units = [await stage.new_village() for _ in range(2)]
    async with stage.running.tx() as tx:
        codes = list(
            (
                await tx.execute(
                    text("SELECT code FROM unit WHERE level = 'village' AND valid_to IS NULL AND parent = '11074'")
                )
            ).scalars()
        )
    everybody = [village(stage.commune, int(code.split("-")[1])) for code in codes]
    for code, flags in (
        (units[0].code, viet(2024, 11, 2)),
        *((c, viet(2024, 11, 1)) for c in codes if c != units[0].code),
    ):
        here = next(u for u in everybody if u.code == code)
        await record(
            stage,
            said(here, "village.fixed_telephone", True, at=flags),
            said(here, "village.mobile_broadband", True, at=flags),
        )
    await record(stage, said(stage.commune, "commune.telecom_standard", True, at=viet(2024, 11, 1)))
    assert item(await past(stage, "11074", "2024-11-01", "hd-1414-ntm-8"), "8.2")[0] == "no_data"
    assert item(await past(stage, "11074", "2024-11-02", "hd-1414-ntm-8"), "8.2")[0] == "met"


async def test_overlays_are_those_of_the_day(stage: Stage) -> None:
    catalogue = library.catalogue()
    overlay = catalogue.overlays["hd-1414-digital-addresses-advanced"]
    day = overlay.valid_from
    before = catalogue.items_for("hd-1414-ntm-advanced-8", stage.commune, day)
    assert any(one.base_rule is not None for one in before)
    answer = await past(stage, "11074", str(day), "hd-1414-ntm-advanced-8")
    assert len(answer["items"]) == len(before)


async def test_a_set_that_was_not_in_force_is_not_judged(stage: Stage) -> None:
    start = library.catalogue().sets[SET].valid_from
    answer = await stage.client.get(
        f"{API}/units/{stage.villages[0].code}/sets/{SET}", params={"as_of": str(start - timedelta(days=1))}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "set_not_in_force")
    assert (await past(stage, stage.villages[0], str(start)))["total"] == 9
    bad = await stage.client.get(f"{API}/units/11074/sets/{SET}", params={"as_of": "2024-01-01", "known_at": "hôm qua"})
    assert bad.status_code == 400


async def test_now_worked_out_anew_is_what_the_live_sheets_say(stage: Stage) -> None:
    """The slow way over the history and the quick way over heaps must not differ, for any set."""
    dice = random.Random(4)
    units = [await stage.new_village() for _ in range(4)]
    catalogue = library.catalogue()
    for measure in catalogue.measures.values():
        at_level = [u for u in (*units, stage.commune) if u.level == measure.level]
        origin = next((o for o in measure.prefer if o in ("partner", "staff", "event")), None)
        for unit in at_level:
            if origin is None or dice.random() < 0.3:
                continue
            top = dice.randint(1, 9)
            value = {
                "ratio": Ratio(dice.randint(0, top), top),
                "flag": dice.random() < 0.6,
                "count": dice.randint(0, 300),
                "state": dice.choice(measure.states or ("",)),
            }[measure.kind]
            await record(stage, said(unit, measure.code, value, origin=origin))
    await record(
        stage, *(of_entity(u, "household.fibre", f"H-{n}", dice.random() < 0.8) for u in units for n in range(9))
    )
    await stage.settle()
    looked = 0
    for set_code, criteria in catalogue.sets.items():
        for unit in (u for u in (*units, stage.commune) if criteria.applies_to(u.level, u.kind)):
            live = (await stage.client.get(f"{API}/units/{unit.code}/sets/{set_code}")).json()
            anew = await past(stage, unit, datetime.now(UTC).isoformat(), set_code)
            anew.pop("basis")
            assert anew == live, (set_code, unit.code)
            async with stage.running.tx() as tx:
                pairs = [(set_code, one["code"]) for one in live["items"]]
                known = await ground(tx, [unit], pairs, Moment(), catalogue, deep=True)
            now = Standing(known, catalogue)
            assert [now.outcome(unit, pair).status for pair in pairs] == [one["status"] for one in live["items"]]
            looked += len(live["items"])
    assert looked > 100


async def test_the_page_of_another_day_keeps_to_that_day(stage: Stage) -> None:
    """Its tables are of that day, with the documents of that day; every link goes on with the day."""
    unit = await stage.new_village()
    await record(
        stage,
        said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 5, 10)),
        said(unit, "village.signal_area", Ratio(2, 2), at=viet(2024, 5, 20)),
    )
    here = f"/indicators/units/{unit.code}"
    today = (await stage.client.get(here, params={"set": SET})).text
    assert '<input type="date" id="pick-as_of" name="as_of"' in today
    page = (await stage.client.get(here, params={"set": SET, "as_of": "2024-05-12"})).text
    assert "50% (1/2 phần địa bàn)" in page
    for way in ("/sheet.xlsx", "/sheet.csv", "/items/288.8", "/items/288.8/history"):
        assert f'href="{here}{way}?set={SET}&amp;as_of=2024-05-12"' in page, way
    assert f'href="?set={SET}&amp;as_of=2024-05-12&amp;show=missing"' in page
    assert f'href="{here}/items/288.8?set={SET}"' not in page
    assert f'href="{here}?set={SET}"' in page
    answer = await stage.client.get(f"{here}/sheet.csv", params={"set": SET, "as_of": "2024-05-12"})
    assert f'filename="{unit.code}-{SET}-2024-05-12.csv"' in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    row = next(line for line in lines if line["Mã"] == "288.8")
    assert (row["Kết quả"], row["Tử số"], row["Mẫu số"]) == ("chưa đạt", "1", "2")
    now = await stage.client.get(f"{here}/sheet.csv", params={"set": SET})
    row = next(r for r in csv.DictReader(io.StringIO(now.content.decode("utf-8-sig"))) if r["Mã"] == "288.8")
    assert (row["Kết quả"], row["Tử số"], row["Mẫu số"]) == ("đạt", "2", "2")
    assert (await stage.client.get(f"{here}/sheet.xlsx", params={"set": SET, "as_of": "2024-05-12"})).status_code == 200
    assert (await stage.client.get(f"{here}/sheet.csv", params={"set": SET, "as_of": "hôm kia"})).status_code == 400


async def test_json_names_the_sources_of_a_day_where_they_are_asked_for(stage: Stage) -> None:
    unit = await stage.new_village()
    await record(stage, said(unit, "village.signal_area", Ratio(1, 2), at=viet(2024, 5, 10), source="vnpt"))
    plain = await past(stage, unit, "2024-05-12")
    assert all("sources" not in one for one in plain["items"])
    vnpt = {"kind": "partner", "source": "vnpt", "document": "", "observed_at": "2024-05-10T05:00:00Z"}
    for as_of, sources in (("2024-05-12", [{**vnpt, "former_units": []}]), ("2024-05-09", [])):
        found = await past(stage, unit, as_of, sources="true")
        assert next(one["sources"] for one in found["items"] if one["code"] == "288.8") == sources
    live = (await stage.client.get(f"{API}/units/{unit.code}/sets/{SET}", params={"sources": "true"})).json()
    assert next(one["sources"] for one in live["items"] if one["code"] == "288.8")[0]["kind"] == "partner"
    above = (await stage.client.get(f"{API}/units/11074/sets/{SET}", params={"sources": "true"})).json()
    assert {one["kind"] for item in above["items"] for one in item["sources"]} <= {"units"}
