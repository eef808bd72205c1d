"""Documents applied while the service runs: overlays, new sets, refusals, history, and that every process follows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from xaso.media.v1 import events_pb2 as media

from chassis import units
from chassis.units import Unit
from services.indicators.calculation import applying
from services.indicators.calculation.engine import Ratio
from services.indicators.criteria import editions, library
from services.indicators.settings import Settings
from services.indicators.upkeep import following
from tests.indicators.conftest import Stage
from tests.indicators.editing import ADMIN, API, ROBOT, follow_up, forget, overlay, put, trial_set
from tests.support.running import bearer, village
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("restored")
OFFICER = bearer(("officer", "30"))
ELSEWHERE = bearer(("admin", "36"))
READER = bearer(("partner", "30"), kind="partner", client_id="reader", scope="indicators.read")
STAFF = bearer(("officer", "30/298/11074"))


@pytest.fixture
async def clean(stage: Stage) -> AsyncIterator[Stage]:
    """The database without applied documents before and after."""

    items = "set_code = 'thu-2026' OR item_code = 'HD.1'"
    await forget(stage, items)
    yield stage
    await forget(stage, items)


async def tell(stage: Stage, unit: Unit, measure: str, value: Ratio) -> None:
    body = {
        "unit": unit.code,
        "measure": measure,
        "value": {"numerator": value.numerator, "denominator": value.denominator},
        "evidence": {"document": "BC 12/BC-UBND"},
    }
    answer = await stage.client.post(f"{API}/observations", json=body, headers=STAFF)
    assert answer.status_code == 201, answer.text


async def test_a_task_that_was_slow_to_read_does_not_put_an_older_catalogue_over_a_newer_one(
    clean: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = clean.running.runner.runtime.sessions
    read = editions.in_force

    async def slowly(tx: Any) -> Any:
        """What was in force when it began to read; meanwhile a document comes, and another task hears of it."""
        found = await read(tx)
        monkeypatch.setattr(editions, "in_force", read)
        assert (await put(clean, "hd-2026", overlay())).status_code == 200
        await following.look(sessions)
        return found

    library.install(replace(library.catalogue(), number=-1))
    monkeypatch.setattr(editions, "in_force", slowly)
    await following.look(sessions)
    assert "hd-2026" in library.catalogue().overlays


async def test_an_overlay_sets_a_target_and_adds_a_row_without_a_restart(clean: Stage) -> None:
    unit = await clean.new_village()
    await tell(clean, unit, "village.fibre_households", Ratio(75, 100))
    await tell(clean, unit, "village.signal_area", Ratio(5, 9))
    assert await clean.status(unit, "288.5") == "unmet"
    answer = await put(clean, "hd-2026", overlay())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["version"], answer.json()["stored"], answer.json()["sets"]) == (1, True, ["hd-288-2023"])
    await follow_up(clean)
    row = await clean.item(unit, "288.5")
    assert (row["status"], row["overlay"]) == ("met", "hd-2026")
    assert (row["target"]["operator"], row["target"]["numerator"]) == (">=", 70)
    assert (row["base_target"]["operator"], row["base_target"]["numerator"]) == (">", 80)
    assert row["because"] == "criteria:overlay/hd-2026@1"
    added = await clean.item(unit, "HD.1")
    assert (added["status"], added["overlay"]) == ("met", "hd-2026")
    sheet = await clean.sheet(unit)
    assert (sheet["met"], sheet["total"]) == (2, 10)
    above = await clean.sheet(clean.commune)
    assert next(i for i in above["items"] if i["code"] == "HD.1")["value"]["numerator"] >= 1
    assert (await put(clean, "hd-2026", overlay())).json()["stored"] is False
    again = await put(clean, "hd-2026", overlay(target="76%"))
    assert again.json()["version"] == 2
    await follow_up(clean)
    assert await clean.status(unit, "288.5") == "unmet"
    gone = await clean.client.delete(f"{API}/criteria/hd-2026", headers=ADMIN)
    assert gone.status_code == 200, gone.text
    await follow_up(clean)
    row = await clean.item(unit, "288.5")
    assert (row["status"], row["overlay"], row["base_target"]) == ("unmet", None, None)
    assert (await clean.sheet(unit))["total"] == 9
    missing = await clean.client.delete(f"{API}/criteria/hd-2026", headers=ADMIN)
    assert missing.status_code == 404


async def test_an_overlay_holds_within_its_unit_only(clean: Stage) -> None:
    inside, outside = await clean.new_village(), await clean.new_village()
    for unit in (inside, outside):
        await tell(clean, unit, "village.fibre_households", Ratio(75, 100))
    answer = await put(clean, "hd-2026", overlay(inside))
    assert answer.status_code == 200, answer.text
    await follow_up(clean)
    assert (await clean.status(inside, "288.5"), await clean.status(outside, "288.5")) == ("met", "unmet")


async def test_a_new_set_is_there_for_every_unit(clean: Stage) -> None:
    async with clean.running.tx() as tx:
        await applying.keep_shipped(tx)
    unit, silent = await clean.new_village(), await clean.new_village()
    await tell(clean, unit, "village.fibre_households", Ratio(61, 100))
    assert (await put(clean, "thu-2026", trial_set(2026), ROBOT)).status_code == 200
    await follow_up(clean)
    found = await clean.client.get(f"{API}/units/{unit.code}/sets/thu-2026")
    assert (found.json()["status"], found.json()["met"], found.json()["total"]) == ("met", 1, 1)
    empty = await clean.client.get(f"{API}/units/{silent.code}/sets/thu-2026")
    assert (empty.json()["status"], empty.json()["total"]) == ("no_data", 1)
    above = await clean.client.get(f"{API}/units/30/sets/thu-2026")
    assert above.json()["items"][0]["value"]["numerator"] >= 1
    await put(clean, "thu-2026", trial_set(2026).replace("60%", "61%"), ROBOT)
    await follow_up(clean)
    found = await clean.client.get(f"{API}/units/{unit.code}/sets/thu-2026")
    assert found.json()["status"] == "unmet"
    listed = await clean.client.get(f"{API}/criteria/thu-2026")
    assert [one["version"] for one in listed.json()["editions"]] == [1, 2]
    before, row = datetime.now(UTC).isoformat(), found.json()["items"][0]["code"]
    await clean.client.delete(f"{API}/criteria/thu-2026", headers=ROBOT)
    await follow_up(clean)
    for path in (
        f"{API}/units/{unit.code}/sets/thu-2026",
        f"{API}/units/{unit.code}/sets/thu-2026/items/{row}/explanation",
        *(f"/indicators/units/{unit.code}{way}?set=thu-2026" for way in ("", "/sheet.csv", f"/items/{row}")),
        *(f"/indicators/units/{unit.code}/items/{row}/{way}?set=thu-2026" for way in ("history", "history.csv")),
    ):
        assert (await clean.client.get(path)).status_code == 404, path
        then = await clean.client.get(f"{path}{'&' if '?' in path else '?'}as_of={before.replace('+', '%2B')}")
        assert then.status_code == 200, (path, then.text)
        assert "61" in then.text, path
    async with clean.running.tx() as tx:
        left = await tx.execute(sa.text("SELECT count(*) FROM item WHERE set_code = 'thu-2026'"))
        assert left.scalar_one() == 0


async def test_work_goes_on_where_a_process_left_it(clean: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    units = [await clean.new_village() for _ in range(5)]
    for unit in units:
        await tell(clean, unit, "village.fibre_households", Ratio(75, 100))
    assert (await put(clean, "hd-2026", overlay())).status_code == 200
    monkeypatch.setattr(applying, "CHUNK", 2)
    sessions = clean.running.runner.runtime.sessions
    async with sessions.begin() as tx:
        assert await applying.work(tx)
    async with sessions.begin() as tx:
        after = (await tx.execute(sa.text("SELECT after FROM criteria_work ORDER BY id LIMIT 1"))).scalar_one()
    assert after, "the first units are done and the place is kept"
    with contextlib.suppress(ZeroDivisionError):
        async with sessions.begin() as tx:
            assert await applying.work(tx)
            raise ZeroDivisionError
    assert await following.catch_up(sessions) >= 2
    assert {await clean.status(unit, "288.5") for unit in units} == {"met"}


@pytest.mark.parametrize(
    ("name", "text", "headers", "status", "code"),
    [
        ("hd-2026", overlay(), OFFICER, 403, "forbidden"),
        ("hd-2026", overlay(), ELSEWHERE, 403, "forbidden"),
        ("hd-2026", overlay("99999"), ADMIN, 422, "criteria_refused"),
        ("thu-2026", trial_set(2026), ADMIN, 403, "forbidden"),
        ("thu-2026", trial_set(2026), READER, 403, "scope_missing"),
        ("hd-2026", overlay(), {}, 401, "unauthenticated"),
        ("khac", overlay(), ADMIN, 422, "name_differs"),
        ("hd-2026", overlay(target="170%"), ADMIN, 422, "criteria_refused"),
        ("hd-2026", overlay().replace("288.5", "288.50"), ADMIN, 422, "criteria_refused"),
        ("hd-2026", "a: [", ADMIN, 422, "criteria_refused"),
        ("hd-2026", "- 1", ADMIN, 422, "criteria_refused"),
        ("hd-2026", "8: 9", ADMIN, 422, "criteria_refused"),
        ("hd-2026", "a: &a [1]\nb: *a", ADMIN, 422, "criteria_refused"),
        ("hd-2026", overlay().replace("riêng", "ri\0êng"), ADMIN, 422, "criteria_refused"),
        ("hd-2026", "[" * 20000, ADMIN, 422, "criteria_refused"),
        ("hd-2026", overlay().replace("2026-01-10", "2026-13-10"), ADMIN, 422, "criteria_refused"),
    ],
)  # fmt: skip
async def test_what_may_not_or_cannot_be_applied_is_refused_and_nothing_stored(
    clean: Stage, name: str, text: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await put(clean, name, text, headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    if code == "criteria_refused":
        assert answer.json()["errors"]
    async with clean.running.tx() as tx:
        stored = await tx.execute(
            sa.text("SELECT (SELECT count(*) FROM criteria_edition) + (SELECT count(*) FROM criteria_work)")
        )
        assert (stored.scalar_one(), await editions.number(tx)) == (0, 0)


async def test_a_measure_that_sets_read_cannot_be_taken_away(clean: Stage) -> None:
    text = "theme: telecom\nmeasures: []\n"
    answer = await put(clean, "telecom", text, ROBOT)
    assert (answer.status_code, answer.json()["code"]) == (422, "criteria_refused")
    assert any("không có chỉ số" in error["message"] for error in answer.json()["errors"])
    answer = await put(clean, "telecom", text, ROBOT, lang="en")
    assert any("unknown measure" in error["message"] for error in answer.json()["errors"])


async def test_checking_stores_nothing_and_says_what_would_change(clean: Stage) -> None:
    answer = await put(clean, "hd-2026", overlay(), check="true", lang="en")
    assert (answer.status_code, answer.json()["stored"]) == (200, False)
    assert any("hd-2026" in line for line in answer.json()["changes"])
    assert (await clean.client.get(f"{API}/criteria/hd-2026")).status_code == 404


async def test_the_rules_of_a_day_in_the_past_are_kept(clean: Stage) -> None:
    async with clean.running.tx() as tx:
        assert await applying.keep_shipped(tx) > 20
    async with clean.running.tx() as tx:
        assert await applying.keep_shipped(tx) == 0
    before = datetime.now(UTC)
    await put(clean, "hd-2026", overlay())
    between = datetime.now(UTC)
    await put(clean, "hd-2026", overlay(target="90%"))
    after = datetime.now(UTC)
    async with clean.running.tx() as tx:
        targets = []
        for at in (datetime(2001, 1, 1, tzinfo=UTC), before, between, after):
            found = (await editions.as_of(tx, at)).overlays.get("hd-2026")
            targets.append(found.targets[0].target_text if found else None)
        assert targets == [None, None, "70%", "90%"]
    await clean.client.delete(f"{API}/criteria/hd-2026", headers=ADMIN)
    async with clean.running.tx() as tx:
        assert "hd-2026" not in (await editions.as_of(tx, datetime.now(UTC))).overlays
        assert (await editions.as_of(tx, after)).overlays["hd-2026"].targets[0].target_text == "90%"


FOLLOWER = """
import asyncio, sys
from chassis.db import Sessions, make_engine
from services.indicators.criteria import library
from services.indicators.settings import Settings
from services.indicators.upkeep import following

async def main() -> None:
    settings = Settings(database_url=sys.argv[1], secret="a secret of the tests, long enough to be one")
    sessions = Sessions(make_engine(settings))
    task = asyncio.create_task(following.follow(sessions, settings))
    told = None
    while not task.done():
        found = (library.catalogue().number, "hd-2026" in library.catalogue().overlays)
        if found != told:
            print(*found, flush=True)
            told = found
        await asyncio.sleep(0.02)
    await task

asyncio.run(main())
"""


async def test_every_process_swaps_its_catalogue(clean: Stage) -> None:
    address = str(clean.running.runner.settings.database_url)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOLLOWER, address, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]

    async def says(process: asyncio.subprocess.Process, words: bytes) -> None:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while (line := await process.stdout.readline()) != words:
                assert line, (await process.stderr.read()).decode() if process.stderr else ""

    try:
        for process in processes:
            await says(process, b"0 False\n")
        await put(clean, "hd-2026", overlay())
        for process in processes:
            await says(process, b"1 True\n")
        await clean.client.delete(f"{API}/criteria/hd-2026", headers=ADMIN)
        for process in processes:
            await says(process, b"2 False\n")
    finally:
        for process in processes:
            process.kill()
            await process.communicate()


async def test_the_tasks_of_a_running_service_do_it_by_themselves(clean: Stage) -> None:
    settings, sessions = clean.running.runner.settings, clean.running.runner.runtime.sessions
    assert isinstance(settings, Settings)
    unit = await clean.new_village()
    await tell(clean, unit, "village.fibre_households", Ratio(75, 100))
    tasks = [asyncio.create_task(run(sessions, settings)) for run in (following.follow, following.work)]
    try:
        assert (await put(clean, "hd-2026", overlay())).status_code == 200

        async def met() -> bool:
            return await clean.status(unit, "288.5") == "met"

        await eventually(met)
        assert [task for task in tasks if task.done()] == []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_sheet_says_which_condition_is_suspended_and_why(clean: Stage) -> None:
    village_of_town = village(clean.commune, 95, "Thôn xa")
    await clean.running.enter_units(village_of_town)
    found = await clean.client.get(f"{API}/units/{clean.commune.code}/sets/hd-1414-ntm-advanced-8")
    assert found.status_code == 200, found.text
    row = next(item for item in found.json()["items"] if item["code"] == "8.4")
    assert [(p["measures"], p["whole_row"], p["document"]) for p in row["suspended"]] == [
        (["commune.digital_addresses"], False, "1414/STTTT-BCVTCNTT, mục 5.1")
    ]
    described = await clean.client.get(f"{API}/sets/hd-1414-ntm-advanced-8")
    assert json.dumps(described.json()["overlays"]).count("hd-1414-digital-addresses-advanced") == 1


async def test_nobody_judges_by_rules_that_are_no_more(clean: Stage) -> None:
    """A process that has not heard of a document yet notices behind its fence, and judges by the new rules instead."""
    unit = await clean.new_village()
    subject = f"audibility-{unit.code}"
    message = media.VillageAudibilityChanged(unit=unit.code, clusters=4, clusters_in_earshot=3)
    text = overlay().replace("288.5", "288.7").replace('operator: ">=", target: 70%', 'operator: ">=", target: 75%')
    assert (await put(clean, "hd-2026", text)).status_code == 200
    with pytest.raises(editions.CatalogueChanged):
        await clean.tell(clean.event(message, subject, sequence=1))
    assert await clean.status(unit, "288.7") == "no_data"
    await clean.tell(clean.event(message, subject, sequence=1))
    assert await clean.status(unit, "288.7") == "met"


async def test_an_overlay_begins_and_ends_on_its_days(clean: Stage) -> None:
    unit = await clean.new_village()
    await tell(clean, unit, "village.fibre_households", Ratio(75, 100))
    today = units.today()
    text = overlay().replace("valid_from: 2026-01-10", f"valid_from: 2026-01-10\nvalid_to: {today + timedelta(days=1)}")
    assert (await put(clean, "hd-2026", text)).status_code == 200
    await follow_up(clean)
    assert await clean.status(unit, "288.5") == "met"
    ended = text.replace(str(today + timedelta(days=1)), str(today))
    library.install(library.build([*editions.shipped(), applying.read("overlay/hd-2026", ended)], 1))
    async with clean.running.tx() as tx:
        # As if the day of the change were today: what was judged yesterday is judged again.
        assert await applying.turn(tx, library.catalogue(), today - timedelta(days=1), today) == 1
        assert await applying.turn(tx, library.catalogue(), today, today) == 0
        assert await applying.pending(tx) == 1
    await following.catch_up(clean.running.runner.runtime.sessions)
    assert await clean.status(unit, "288.5") == "unmet"


HALT = """suspend:
  - {{item: "288.5", reason: {{vi: "Đang đo lại", en: "Being measured"}}, document: 7/TB, {days}}}
"""


@pytest.mark.parametrize(
    ("starts", "ends", "before", "turns"),
    [(0, None, 1, 1), (0, 9, 1, 1), (-9, 0, 1, 1), (-9, 0, 0, 0), (-9, 9, 1, 0), (1, None, 1, 0), (-1, None, 1, 0)],
)
async def test_a_suspension_within_an_overlay_begins_and_ends_on_its_days(
    clean: Stage, starts: int, ends: int | None, before: int, turns: int
) -> None:
    """Days counted from today; the set is judged again where one of them has come since the day before."""
    today = units.today()
    days = f"from: {today + timedelta(days=starts)}"
    if ends is not None:
        days += f", to: {today + timedelta(days=ends)}"
    document = applying.read("overlay/hd-2026", overlay() + HALT.format(days=days))
    library.install(library.build([*editions.shipped(), document], 1))
    async with clean.running.tx() as tx:
        assert await applying.turn(tx, library.catalogue(), today - timedelta(days=before), today) == turns


async def test_an_overlay_for_a_unit_that_is_not_there_is_told_with_its_line_and_all_else(clean: Stage) -> None:
    answer = await put(clean, "hd-2026", overlay("99999"))
    assert (answer.status_code, answer.json()["code"]) == (422, "criteria_refused")
    [fault] = answer.json()["errors"]
    assert fault == {"field": "hd-2026:4: unit", "message": "không có đơn vị hành chính mã 99999"}
    both = await put(clean, "hd-2026", overlay("99999", target="170%"), lang="en", check="true")
    assert [error["field"].split(": ")[1] for error in both.json()["errors"]] == ["unit", "targets[0].target"]
    assert (await put(clean, "hd-2026", overlay("99999"), OFFICER)).status_code == 403
