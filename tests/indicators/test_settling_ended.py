"""A successor that has itself ended: its open questions stay readable and can be settled, and say where to go on."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape
from typing import Any

from chassis.units import Unit
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from services.indicators.reorganisation.lateness import Lateness
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, record, said
from tests.indicators.test_carrying import SUBSCRIBERS, as_event, asked, before_turn, enter, figure, new, old, succeeded
from tests.indicators.test_settling import merged
from tests.support.running import bearer, csrf, token

HTML = {"accept": "text/html"}
STANDARD = "commune.telecom_standard"
AGAIN = date(2026, 6, 1)
PROVINCE = bearer(("admin", "30"))


async def ended(stage: Stage) -> tuple[Unit, Unit, dict[str, Any]]:
    """Two communes merged on 1 July 2025 into one that went into another on 1 June 2026; its open questions."""
    a, b, mid = old("Xã T"), old("Xã U"), new("Xã TU")
    mid = replace(mid, valid_to=AGAIN)
    heir = replace(new("Xã TUV"), valid_from=AGAIN)
    await enter(stage, a, b)
    await record(
        stage,
        said(a, SUBSCRIBERS, Ratio(80, 100), at=before_turn()),
        said(a, STANDARD, True, at=before_turn()),
        said(b, STANDARD, True, at=before_turn()),
    )
    await stage.tell(*(as_event(stage, e) for e in succeeded([(a, mid, "1/1"), (b, mid, "1/1")])))
    events = succeeded([(mid, heir, "1/1")])
    for event in events:
        event.effective_on = AGAIN.isoformat()
    await stage.tell(*(as_event(stage, e) for e in events))
    listed = await stage.client.get(f"{API}/settlements", params={"unit": mid.code}, headers=PROVINCE)
    assert listed.status_code == 200, listed.text
    return mid, heir, {one["measure"]: one for one in listed.json()["items"]}


async def test_its_questions_say_that_it_ended_and_what_came_after_it(stage: Stage) -> None:
    mid, heir, waiting = await ended(stage)
    assert set(waiting) == {SUBSCRIBERS, STANDARD}
    for one in waiting.values():
        assert (one["unit"], one["unit_ended_on"], one["continued_by"]) == (mid.code, "2026-06-01", [heir.code])
    _standing, questions, _ = await merged(stage)
    assert {(one["unit_ended_on"], tuple(one["continued_by"])) for one in questions.values()} == {(None, ())}


async def test_a_figure_entered_for_it_is_one_of_its_last_day_and_goes_on_to_what_came_after(stage: Stage) -> None:
    mid, heir, waiting = await ended(stage)
    assert await figure(stage, heir, SUBSCRIBERS) is None
    path = f"{API}/settlements/{waiting[SUBSCRIBERS]['id']}/enter"
    body = {"value": {"numerator": 120, "denominator": 150}, "evidence": {"document": "Báo cáo 9/BC"}}
    done = await stage.client.post(path, json=body, headers=PROVINCE)
    assert (done.status_code, done.json().get("status")) == (200, "entered"), done.text
    assert done.json()["continued_by"] == [heir.code]
    sheet = f"{API}/units/{mid.code}/sets/mard-2023-eligible-smart"
    last = await stage.client.get(sheet, params={"as_of": "2026-05-31"})
    assert last.json()["items"][4]["value"] == {"numerator": 120, "denominator": 150}
    before = await stage.client.get(sheet, params={"as_of": "2026-05-30"})
    assert before.json()["items"][4]["value"] is None
    await Lateness(stage.running.runner.runtime.sessions, library.catalogue).look()
    assert await figure(stage, heir, SUBSCRIBERS) == Ratio(120, 150)
    assert SUBSCRIBERS not in await asked(stage, heir)


async def test_a_code_that_names_another_unit_today_is_not_mistaken_for_it(stage: Stage) -> None:
    mid, _heir, waiting = await ended(stage)
    namesake = Unit(mid.code, "Xã Trùng Mã", "commune", "xa", "298", mid.path, AGAIN)
    await enter(stage, namesake)
    path = f"{API}/settlements/{waiting[SUBSCRIBERS]['id']}/enter"
    body = {"value": {"numerator": 1, "denominator": 2}, "evidence": {"document": "Báo cáo 10/BC"}}
    assert (await stage.client.post(path, json=body, headers=PROVINCE)).status_code == 200
    today = await stage.client.get(f"{API}/units/{mid.code}/sets/mard-2023-eligible-smart")
    assert today.json()["items"][4]["value"] is None
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("admin", "30")))
        page = await browser.get(f"/indicators/settlements/{waiting[STANDARD]['id']}", headers=HTML)
        assert "Xã TU, từ 01/07/2025" in page.text
        assert "Xã Trùng Mã" not in page.text


async def test_the_pages_show_it_and_lead_to_what_came_after(stage: Stage) -> None:
    mid, heir, waiting = await ended(stage)
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("admin", "30")))
        listed = await browser.get("/indicators/settlements", params={"unit": mid.code}, headers=HTML)
        assert listed.status_code == 200
        address = f"/indicators/settlements/{waiting[STANDARD]['id']}"
        assert address in listed.text
        page = await browser.get(address, headers=HTML)
        text = unescape(page.text)
        assert "Xã TU đã kết thúc từ 01/06/2026." in text
        entry = f"/indicators/units/{heir.code}/entry?measure={STANDARD}"
        assert f'<a href="{entry}">Xã TUV</a>' in text
        # Every way out of the page leads to something, the unit itself as it was on its last day.
        links = {link for link in re.findall(r'href="(/indicators/[^"]*)"', text) if not link.endswith(".ics")}
        assert any("as_of=2026-05-31" in link for link in links)
        for link in links:
            assert (await browser.get(link, headers=HTML)).status_code in (200, 303), link
        form = {"csrf_token": await csrf(browser, address), "action": "accept", "document": "Biên bản 8"}
        done = await browser.post(address, data=form, headers=HTML)
        assert done.status_code == 303
        assert (await browser.get(done.headers["location"], headers=HTML)).status_code == 200
    assert await figure(stage, mid, STANDARD) == "true"


async def test_a_code_nobody_had_is_still_not_found(stage: Stage) -> None:
    answer = await stage.client.get(f"{API}/settlements", params={"unit": "99999"}, headers=PROVINCE)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_unit")
