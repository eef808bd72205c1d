"""For whom an overlay is: the unit that its code named on its first day, also where that code was given out again.

And which edition a question about a past day is judged by, where the documents came later than that day.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from chassis.units import VIETNAM, Unit
from services.indicators.app import service
from services.indicators.calculation import applying
from services.indicators.criteria import editions, whereabouts
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage, entered
from tests.indicators.editing import API, ROBOT, follow_up, put, trial_set
from tests.support.running import bearer, running, settings_for

pytestmark = pytest.mark.usefixtures("restored")
SINCE, TURN, EVE = date(2020, 1, 1), date(2025, 7, 1), "2025-06-30"
PROVINCE = Unit("30", "Tỉnh Hải Dương", "province", "tinh", "", "30", SINCE, TURN)
DISTRICT = Unit("298", "Huyện Tứ Kỳ", "district", "huyen", "30", "30/298", SINCE, TURN)
FORMER = Unit("11086", "Xã Hưng Đạo", "commune", "xa", "298", "30/298/11086", SINCE, TURN)
FORMER_VILLAGE = Unit("11086-01", "Thôn Lạc Dục", "village", "thon", "11086", "30/298/11086/11086-01", SINCE, TURN)
CITY = Unit("31", "Thành phố Hải Phòng", "province", "thanh_pho", "", "31", SINCE)
PRESENT = Unit("11086", "Xã Đại Sơn", "commune", "xa", "31", "31/11086", TURN)
PRESENT_VILLAGE = Unit("11086-01", "Thôn Mỹ Ân", "village", "thon", "11086", "31/11086/11086-01", TURN)
BEFORE = (PROVINCE, DISTRICT, FORMER, FORMER_VILLAGE, CITY)
AFTER = (PRESENT, PRESENT_VILLAGE)
TRIAL = trial_set(2024)
OVERLAY = """
overlay: {name}
on: thu-2024
unit: "{unit}"
title: {{vi: "Mục tiêu riêng", en: "Local targets"}}
legal_basis: {{number: "15/KH", date: 2024-01-10, issuer: "UBND", title: "Kế hoạch"}}
valid_from: {first}
"""
HALT = """suspend:
  - {{item: "1", reason: {{vi: "Chờ", en: "Waiting"}}, document: 9/CV, unit: "{unit}"}}
"""


def target(percent: int, item: str = "1") -> str:
    return f'targets: [{{item: "{item}", operator: ">=", target: {percent}%}}]\n'


def overlay(name: str, first: str, body: str, unit: str = "11086") -> str:
    return OVERLAY.format(name=name, unit=unit, first=first) + body


@pytest.fixture
async def clean(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """A province before the reorganisation, on a database of each test; the trial is in force."""
    async with running(service, settings_for(Settings, database("overlays"))) as live:
        await live.enter_units(*BEFORE)
        stage = Stage(live, FORMER, [FORMER_VILLAGE])
        async with stage.running.tx() as tx:
            await applying.keep_shipped(tx)
        await applied(stage, "thu-2024", TRIAL)
        yield stage


async def applied(stage: Stage, name: str, text: str, headers: dict[str, str] = ROBOT) -> None:
    answer = await put(stage, name, text, headers)
    assert answer.status_code == 200, answer.text
    await follow_up(stage)


async def reorganised(stage: Stage) -> None:
    await stage.tell(*(stage.event(entered(one), f"unit/{one.code}/{one.valid_from}") for one in AFTER))
    await follow_up(stage)
    body = {
        "unit": PRESENT_VILLAGE.code,
        "measure": "village.fibre_households",
        "value": {"numerator": 70, "denominator": 100},
        "evidence": {"document": "BC 12/BC-UBND"},
    }
    officer = bearer(("officer", PRESENT_VILLAGE.path))
    answer = await stage.client.post(f"{API}/observations", json=body, headers=officer)
    assert answer.status_code == 201, answer.text
    await follow_up(stage)


async def row(stage: Stage, **params: str) -> tuple[str, str | None, int]:
    """Status, whose word the target is, and the target in percent of the first row of 11086-01."""
    answer = await stage.client.get(f"{API}/units/11086-01/sets/thu-2024", params=params)
    assert answer.status_code == 200, answer.text
    found = answer.json()["items"][0]
    asked: dict[str, Any] = found["target"]
    return found["status"], found["overlay"], asked["numerator"] * 100 // asked["denominator"]


@pytest.mark.parametrize("turned_first", [False, True])
async def test_a_unit_that_got_the_code_of_another_is_not_asked_for_its_targets(
    clean: Stage, turned_first: bool
) -> None:
    """Whether the overlay came before the reorganisation or is entered late, for the unit that was."""
    if turned_first:
        await reorganised(clean)
    await applied(clean, "cu", overlay("cu", "2024-02-01", target(90)))
    if not turned_first:
        await reorganised(clean)
    assert await row(clean) == ("met", None, 60)
    assert await row(clean, as_of=EVE) == ("no_data", "cu", 90)
    assert await row(clean, as_of="2025-07-01") == ("no_data", None, 60)
    history = await clean.client.get(f"{API}/units/11086-01/sets/thu-2024/items/1/history")
    assert history.status_code == 200, history.text


async def test_an_overlay_from_a_day_after_the_turn_is_of_the_new_unit(clean: Stage) -> None:
    """Also where it was put before anybody told of that unit: the sheets follow when it is described."""
    await applied(clean, "moi", overlay("moi", "2025-08-01", target(65)))
    await applied(clean, "cu", overlay("cu", "2024-02-01", target(90)))
    await reorganised(clean)
    assert await row(clean) == ("met", "moi", 65)
    assert await row(clean, as_of="2025-07-31") == ("no_data", None, 60)
    assert await row(clean, as_of=EVE) == ("no_data", "cu", 90)


async def test_a_unit_that_an_overlay_suspends_a_row_for_is_that_of_the_first_day_too(clean: Stage) -> None:
    await applied(clean, "halt", overlay("halt", "2024-02-01", HALT.format(unit="11086"), "31"))
    await applied(clean, "was", overlay("was", "2024-02-01", HALT.format(unit="11086-01"), "30"))
    await reorganised(clean)
    assert (await row(clean))[0] == "met"
    assert (await row(clean, as_of=EVE))[0] == "suspended"


async def test_an_overlay_older_than_the_first_description_is_of_the_first_unit(clean: Stage) -> None:
    await reorganised(clean)
    async with clean.running.tx() as tx:
        document = applying.read("overlay/x", overlay("x", "2019-01-01", target(90)))
        found = await whereabouts.path_of(tx, document)
    assert found == FORMER.path


async def test_who_has_the_code_now_cannot_set_targets_of_the_unit_that_was(clean: Stage) -> None:
    await reorganised(clean)
    mine = bearer(("admin", PRESENT.path))
    body = {"document": overlay("cu", "2024-02-01", target(90))}
    answer = await clean.client.put(f"{API}/criteria/cu", json=body, headers=mine)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    await applied(clean, "moi", overlay("moi", "2025-08-01", target(65)), mine)
    assert await row(clean) == ("met", "moi", 65)


async def test_a_first_edition_counts_from_its_first_day_and_later_ones_from_when_they_came(clean: Stage) -> None:
    before = datetime.now(UTC)
    await applied(clean, "cu", overlay("cu", "2024-02-01", target(70)))
    between = datetime.now(UTC)
    await applied(clean, "cu", overlay("cu", "2024-02-01", target(90)))
    after = datetime.now(UTC)
    early, march = datetime(2024, 1, 20, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)

    async def asked(at: datetime, known_at: datetime | None = None) -> str | None:
        async with clean.running.tx() as tx:
            catalogue = await editions.asked(tx, at, at.astimezone(VIETNAM).date(), known_at)
        found = catalogue.overlays.get("cu")
        return found.targets[0].target_text if found else None

    told = [await asked(at) for at in (early, march, before, between, after)]
    assert told == [None, "70%", "70%", "70%", "90%"]
    known = [await asked(*at) for at in ((march, before), (march, between), (march, after), (after, between))]
    assert known == [None, "70%", "70%", "70%"]
    assert await row(clean, as_of="2025-03-01") == ("no_data", "cu", 70)
    assert await row(clean, as_of="2024-01-31") == ("no_data", None, 60)
    assert (await row(clean, as_of="2025-03-01", known_at=between.isoformat()))[1:] == ("cu", 70)
    unknown = await clean.client.get(
        f"{API}/units/11086-01/sets/thu-2024", params={"as_of": "2025-03-01", "known_at": "2025-03-01"}
    )
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_set")


async def test_a_document_that_lies_on_a_later_edition_of_another_does_not_count_before_it(clean: Stage) -> None:
    more = TRIAL[TRIAL.index('  - code: "1"') :].replace('code: "1"', 'code: "2"')
    await applied(clean, "thu-2024", TRIAL + more)
    await applied(clean, "hai", overlay("hai", "2024-02-01", target(90, "2")))
    await applied(clean, "cu", overlay("cu", "2024-02-01", target(70)))
    assert await row(clean, as_of="2025-03-01") == ("no_data", "cu", 70)
