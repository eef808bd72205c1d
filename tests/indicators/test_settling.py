"""Figures that could not be carried over: seen by who looks after the unit, accepted, answered otherwise, put aside."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.units import Unit
from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API, record, said
from tests.indicators.test_carrying import SUBSCRIBERS, as_event, asked, before_turn, enter, figure, new, old, succeeded
from tests.support.running import bearer, csrf, token

HTML = {"accept": "text/html"}


async def merged(stage: Stage) -> tuple[Unit, dict[str, Any], dict[str, str]]:
    """A merged commune one of whose predecessors had no figure; its open questions, and its officer."""
    a, b, heir = old("Xã P"), old("Xã Q"), new("Xã PQ")
    await enter(stage, a, b)
    await record(
        stage,
        said(a, SUBSCRIBERS, Ratio(80, 100), at=before_turn()),
        said(a, "commune.telecom_standard", True, at=before_turn()),
        said(b, "commune.telecom_standard", True, at=before_turn()),
    )
    await stage.tell(*(as_event(stage, e) for e in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    return heir, await asked(stage, heir), bearer(("officer", heir.path))


async def test_what_is_proposed_is_accepted_with_a_document(stage: Stage) -> None:
    heir, waiting, officer = await merged(stage)
    one = waiting["commune.telecom_standard"]
    assert one["proposal"] == {"flag": True}
    path = f"{API}/settlements/{one['id']}"
    assert (await stage.client.post(f"{path}/accept", json={}, headers=officer)).status_code == 422
    done = await stage.client.post(f"{path}/accept", json={"document": "Biên bản 5/BB-UBND"}, headers=officer)
    assert (done.status_code, done.json()["status"], done.json()["document"]) == (200, "accepted", "Biên bản 5/BB-UBND")
    assert await figure(stage, heir, "commune.telecom_standard") == "true"
    again = await stage.client.post(f"{path}/accept", json={"document": "x"}, headers=officer)
    assert (again.status_code, again.json()["code"]) == (409, "already_settled")
    # Working the successor out anew leaves what people decided.
    await record(stage, said(heir, "village.households", 5))
    assert set(await asked(stage, heir)) == {SUBSCRIBERS}


async def test_another_figure_is_entered_with_its_evidence(stage: Stage) -> None:
    heir, waiting, officer = await merged(stage)
    path = f"{API}/settlements/{waiting[SUBSCRIBERS]['id']}/enter"
    evidence = {"document": "Báo cáo 7/BC"}
    wrong = await stage.client.post(
        path, json={"value": {"numerator": 9, "denominator": 8}, "evidence": evidence}, headers=officer
    )
    assert wrong.status_code == 422
    body = {"value": {"numerator": 150, "denominator": 180}, "evidence": evidence}
    assert (await stage.client.post(path, json=body, headers=officer)).json()["status"] == "entered"
    row = (await stage.client.get(f"{API}/units/{heir.code}/sets/mard-2023-eligible-smart")).json()["items"][4]
    assert row["value"] == {"numerator": 150, "denominator": 180}


async def test_a_question_is_put_aside_or_answers_itself(stage: Stage) -> None:
    heir, waiting, officer = await merged(stage)
    path = f"{API}/settlements/{waiting['commune.telecom_standard']['id']}/dismiss"
    assert (await stage.client.post(path, json={"reason": "Không còn xét."}, headers=officer)).status_code == 200
    assert set(await asked(stage, heir)) == {SUBSCRIBERS}
    await record(stage, said(heir, SUBSCRIBERS, Ratio(1, 2)))
    assert await asked(stage, heir) == {}


async def test_without_a_proposal_there_is_nothing_to_accept(stage: Stage) -> None:
    whole, one, two = old("Xã R"), new("Xã R1"), new("Xã R2")
    await enter(stage, whole)
    await record(stage, said(whole, SUBSCRIBERS, Ratio(5, 10), at=before_turn()))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(whole, one, None), (whole, two, None)])))
    path = f"{API}/settlements/{(await asked(stage, one))[SUBSCRIBERS]['id']}/accept"
    answer = await stage.client.post(path, json={"document": "x"}, headers=bearer(("officer", one.path)))
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_proposed")


@pytest.mark.parametrize("who", [("officer", "30/298/11074"), ("viewer", "30"), ("resident", "30")])
async def test_only_staff_of_the_unit_settle(stage: Stage, who: tuple[str, str]) -> None:
    _heir, waiting, _ = await merged(stage)
    path = f"{API}/settlements/{waiting[SUBSCRIBERS]['id']}"
    for name, body in (("accept", {"document": "x"}), ("dismiss", {"reason": "x"})):
        assert (await stage.client.post(f"{path}/{name}", json=body, headers=bearer(who))).status_code == 403
    unknown = f"{API}/settlements/00000000-0000-7000-8000-000000000000/accept"
    assert (
        await stage.client.post(unknown, json={"document": "x"}, headers=bearer(("admin", "30")))
    ).status_code == 404


async def test_the_page_lists_the_questions_and_takes_the_answer(stage: Stage) -> None:
    heir, waiting, _ = await merged(stage)
    one = waiting["commune.telecom_standard"]
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", heir.path)))
        listed = await browser.get(f"/indicators/settlements?unit={heir.code}", headers=HTML)
        assert "Bằng chứng là của đơn vị cũ, cần xác nhận lại." in listed.text
        address = f"/indicators/settlements/{one['id']}"
        assert address in listed.text
        secret = await csrf(browser, address)
        page = await browser.get(address, headers=HTML)
        assert "Xã P" in page.text
        form = {"csrf_token": secret, "action": "accept", "document": ""}
        bare = await browser.post(address, data=form, headers=HTML)
        assert bare.status_code == 422
        assert 'aria-invalid="true"' in bare.text
        done = await browser.post(address, data={**form, "document": "Biên bản 6"}, headers=HTML)
        assert done.status_code == 303
        after = await browser.get(f"/indicators/settlements?unit={heir.code}&lang=en", headers=HTML)
        assert "Figures to settle after the reorganisation" in after.text
        assert address not in after.text


async def test_a_number_that_is_proposed_says_whose_part_it_leaves_out(stage: Stage) -> None:
    """Who accepts it takes it for the whole unit; a yes or no leaves nobody out."""
    _heir, waiting, officer = await merged(stage)
    assert waiting[SUBSCRIBERS]["proposal"] == {"numerator": 80, "denominator": 100}
    said_of = {}
    for measure in (SUBSCRIBERS, "commune.telecom_standard"):
        address = f"/indicators/settlements/{waiting[measure]['id']}"
        said_of[measure] = (await stage.client.get(address, headers={**HTML, **officer})).text
    assert "Con số đề nghị chưa gồm phần của: Xã Q." in said_of[SUBSCRIBERS]
    assert "chưa gồm phần" not in said_of["commune.telecom_standard"]


async def split(stage: Stage) -> tuple[Unit, Unit, Unit]:
    """A commune split in two by nobody knows what parts, with two figures."""
    whole, one, two = old("Xã S"), new("Xã S1"), new("Xã S2")
    await enter(stage, whole)
    await record(
        stage,
        said(whole, SUBSCRIBERS, Ratio(5, 10), at=before_turn()),
        said(whole, "commune.telecom_standard", True, at=before_turn()),
    )
    await stage.tell(*(as_event(stage, e) for e in succeeded([(whole, one, None), (whole, two, None)])))
    return whole, one, two


async def test_the_page_says_which_unit_was_split_among_whom_and_what_the_others_have(stage: Stage) -> None:
    _whole, one, two = await split(stage)
    await record(stage, said(two, SUBSCRIBERS, Ratio(2, 4)))
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", one.path)))
        listed = await browser.get(f"/indicators/settlements?unit={one.code}", headers=HTML)
        assert "Còn 2 số liệu cần giải quyết." in listed.text
        assert "Xã S chia cho Xã S1, Xã S2" in listed.text or "Xã S chia cho Xã S2, Xã S1" in listed.text
        waiting = await asked(stage, one)
        page = await browser.get(f"/indicators/settlements/{waiting[SUBSCRIBERS]['id']}", headers=HTML)
        assert "được chia cho" in page.text
        assert "chưa rõ phần" in page.text
        assert "2/4" in page.text, "what the other one has said by now"
        assert f'href="/indicators/units/{two.code}"' in page.text
        english = await browser.get(f"/indicators/settlements/{waiting[SUBSCRIBERS]['id']}?lang=en", headers=HTML)
        assert "was split among" in english.text


async def test_questions_are_chosen_by_their_reason_and_stand_unit_by_unit(stage: Stage) -> None:
    _whole, one, two = await split(stage)
    admin = bearer(("admin", "30"))

    async def listed(**params: str) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        after: str | None = None
        while True:
            asked_for = {"unit": "30", "limit": "1", **params, **({"after": after} if after else {})}
            answer = await stage.client.get(f"{API}/settlements", params=asked_for, headers=admin)
            assert answer.status_code == 200, answer.text
            found += [(i["unit"], i["measure"], i["reason"]) for i in answer.json()["items"]]
            after = answer.json()["next"]
            if after is None:
                return found

    everything = await listed()
    assert len(everything) == len(set(everything))
    for unit in (one, two):
        places = [n for n, (code, _, _) in enumerate(everything) if code == unit.code]
        assert places == list(range(places[0], places[0] + len(places))), "those of one unit stand together"
    no_share = await listed(reason="no_share")
    assert {reason for _, _, reason in no_share} == {"no_share"}
    assert {(one.code, SUBSCRIBERS, "no_share"), (two.code, SUBSCRIBERS, "no_share")} <= set(no_share)
    assert set(no_share) == {row for row in everything if row[2] == "no_share"}
    wrong = await stage.client.get(f"{API}/settlements", params={"unit": "30", "reason": "x"}, headers=admin)
    assert wrong.status_code == 422
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", one.path)))
        page = await browser.get(f"/indicators/settlements?unit={one.code}&reason=no_share", headers=HTML)
        assert "<strong>Đơn vị cũ bị chia, chưa có văn bản nào nói phần nào về đơn vị này.</strong> (1)" in page.text
        none = await browser.get(f"/indicators/settlements?unit={one.code}&reason=mixed", headers=HTML)
        assert "Không còn số liệu nào vì lý do này" in none.text
        assert (await browser.get("/indicators/settlements?unit=30&after=WzFd", headers=HTML)).status_code == 400
