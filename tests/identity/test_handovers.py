"""Roles that did not go over in a reorganisation: whoever administers the new unit gives them anew or leaves them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from chassis.service import origin
from services.identity import seed
from services.identity.app import service
from services.identity.settings import Settings
from services.identity.units import packages, reorganising
from tests.identity.people import CHEAP, SECRETS
from tests.identity.provinces import HTML, PLACES, UNITS, VILLAGES
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import Running, bearer, csrf, running, serving, settings_for, token

PAGE = "/identity/handovers"
ACCOUNTS = "/identity/api/v1/accounts"
OLD, NEW = bearer(("admin", "30")), bearer(("admin", "31"))
PEOPLE = {"Chu Văn Chia": "officer", "Lê Thị Chờ": "leader", "Đỗ Văn Để": "viewer"}
"""Who works in Hưng Đạo, which is split between the new Đại Sơn (11086) and Tân Kỳ (11113)."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def after(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """Hải Dương after its reorganisation, with people whose roles wait."""
    settings = settings_for(Settings, database("handovers"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        for commune, names in VILLAGES.items():
            for name in names:
                made = await run.client.post(UNITS, json={"parent": commune, "name": name}, headers=OLD)
                assert made.status_code == 201, made.text
        for number, (name, role) in enumerate(PEOPLE.items()):
            person = {"name": name, "username": f"hungdao{number}", "password": "một câu thật dài của người thử"}
            made = await run.client.post(ACCOUNTS, json={**person, "role": role, "unit": "11086"}, headers=OLD)
            assert made.status_code == 201, made.text
        async with run.tx() as tx:
            await reorganising.apply(tx, replace(packages.reorganisation(["30"]), villages=PLACES))
        yield run


@pytest.fixture
async def stage(after: Running) -> AsyncIterator[Running]:
    """The same for every test: nothing is settled, and nobody holds a role given here."""
    yield after
    async with after.tx() as tx:
        await tx.execute(sa.text("UPDATE unsettled_role SET settled_at = NULL, settled_by = NULL"))
        given_here = "granted_by NOT LIKE 'change_set:%' AND granted_at > (SELECT max(applied_at) FROM change_set)"
        await tx.execute(sa.text(f"DELETE FROM role_grant WHERE {given_here}"))


async def text(run: Running, headers: dict[str, str], path: str = PAGE) -> str:
    answer = await run.client.get(path, headers={**HTML, **headers})
    assert answer.status_code == 200, answer.text
    return answer.text


async def waiting(run: Running, name: str) -> str:
    """The id under which the role of somebody waits."""
    async with run.tx() as tx:
        found = await tx.execute(
            sa.text("""
                SELECT u.id FROM unsettled_role u JOIN role_grant g ON g.id = u.grant_id
                JOIN account a ON a.id = g.account_id WHERE a.name = :name
            """),
            {"name": name},
        )
        return str(found.scalar_one())


async def post(run: Running, path: str, headers: dict[str, str], **form: str) -> Any:
    mark = await csrf(run.client, "/identity/login")
    return await run.client.post(f"{PAGE}/{path}", data={**form, "csrf_token": mark}, headers={**HTML, **headers})


async def roles(run: Running, name: str) -> list[tuple[str, str]]:
    items = (await run.client.get(ACCOUNTS, params={"q": name}, headers=NEW)).json()["items"]
    return [(grant["role"], grant["unit"]) for one in items if one["name"] == name for grant in one["grants"]]


async def test_the_administrator_of_the_new_unit_sees_who_waits_why_and_where_to_give_it(stage: Running) -> None:
    shown = await text(stage, NEW)
    for name in (*PEOPLE, "Lãnh đạo xã Đại Sơn"):
        assert name in shown, name
    assert "Xã Hưng Đạo" in shown
    assert "đơn vị cũ được chia cho nhiều đơn vị" in shown
    assert "đơn vị cũ được sáp nhập, các chức vụ được giao lại" in shown
    assert shown.count("Giao ở Xã Tân Kỳ") == len(PEOPLE)
    # The leader of the old Đại Sơn can be given the post in the new one only.
    assert shown.count("Giao ở Xã Đại Sơn") == len(PEOPLE) + 1
    assert "vai trò chưa bàn giao sau sắp xếp đơn vị" in await text(stage, NEW, "/identity/accounts")
    assert "Roles not handed over" in await text(stage, NEW, f"{PAGE}?lang=en")
    # The language is remembered by a cookie.
    await text(stage, NEW, f"{PAGE}?lang=vi")


async def test_a_leader_sees_what_lies_in_reach_and_gives_only_what_a_leader_may(stage: Running) -> None:
    shown = await text(stage, bearer(("leader", "31/11113")))
    assert "Lãnh đạo xã Đại Sơn" not in shown
    assert shown.count("Giao ở Xã Tân Kỳ") == 2
    assert "Giao ở Xã Đại Sơn" not in shown
    assert shown.count("Người quản trị cấp trên giao lại vai trò này.") == 1
    for headers, status in ((bearer(("officer", "31/11113")), 403), (bearer(("admin", "36")), 200)):
        answer = await stage.client.get(PAGE, headers={**HTML, **headers})
        assert answer.status_code == status
        assert "Chu Văn Chia" not in answer.text


async def test_a_role_is_given_anew_where_the_person_goes_on_and_waits_no_more(stage: Running) -> None:
    id = await waiting(stage, "Chu Văn Chia")
    answer = await post(stage, f"{id}/give", NEW, unit="11113")
    assert answer.status_code == 303, answer.text
    assert await roles(stage, "Chu Văn Chia") == [("officer", "11113")]
    assert "Chu Văn Chia" not in await text(stage, NEW)
    again = await post(stage, f"{id}/give", NEW, unit="11113")
    assert again.status_code == 404


async def test_a_role_given_under_the_account_waits_no_more(stage: Running) -> None:
    found = (await stage.client.get(ACCOUNTS, params={"q": "Đỗ Văn Để"}, headers=NEW)).json()["items"]
    body = {"role": "viewer", "unit": "11086"}
    given = await stage.client.post(f"{ACCOUNTS}/{found[0]['id']}/grants", json=body, headers=NEW)
    assert given.status_code in (200, 201), given.text
    assert "Đỗ Văn Để" not in await text(stage, NEW)


async def test_a_role_can_be_left(stage: Running) -> None:
    id = await waiting(stage, "Lê Thị Chờ")
    assert (await post(stage, f"{id}/leave", NEW)).status_code == 303
    assert "Lê Thị Chờ" not in await text(stage, NEW)
    assert await roles(stage, "Lê Thị Chờ") == []
    async with stage.tx() as tx:
        done = await tx.execute(sa.text("SELECT settled_at, settled_by FROM unsettled_role WHERE id = :id"), {"id": id})
        at, by = done.one()
        deeds = await tx.execute(sa.text("SELECT count(*) FROM audit WHERE action = 'role.not_handed_over'"))
        assert (at is not None, bool(by), deeds.scalar_one()) == (True, True, 1)


@pytest.mark.parametrize(
    ("headers", "unit", "status"),
    [
        (NEW, "11074", 422),
        (NEW, "99999", 422),
        (NEW, "", 422),
        (NEW, "x" * 50, 422),
        (bearer(("leader", "31/11113")), "11086", 422),
        (bearer(("admin", "36")), "11113", 404),
        (bearer(("officer", "31/11113")), "11113", 404),
    ],
)
async def test_a_role_is_given_only_on_a_successor_in_reach(
    stage: Running, headers: dict[str, str], unit: str, status: int
) -> None:
    id = await waiting(stage, "Chu Văn Chia")
    answer = await post(stage, f"{id}/give", headers, unit=unit)
    assert answer.status_code == status, answer.text
    assert await roles(stage, "Chu Văn Chia") == []
    assert "Chu Văn Chia" in await text(stage, NEW)


async def test_who_may_not_give_a_role_does_not_leave_it_either(stage: Running) -> None:
    id = await waiting(stage, "Lê Thị Chờ")
    assert (await post(stage, f"{id}/leave", bearer(("leader", "31/11113")))).status_code == 422
    assert "Lê Thị Chờ" in await text(stage, NEW)
    nothing = "00000000-0000-7000-8000-000000000000"
    assert (await post(stage, f"{nothing}/leave", NEW)).status_code == 404
    assert (await post(stage, "x/leave", NEW)).status_code == 422


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_the_page_is_readable_by_everybody(stage: Running, open_page: OpenPage, size: tuple[int, int]) -> None:
    async with serving(origin([stage.runner])) as address:
        page = await open_page(size)
        await page.context.add_cookies([{"name": "xaso_session", "value": token(("admin", "31")), "url": address}])
        for path in (PAGE, "/identity/accounts"):
            await page.goto(address + path)
            await screenshot(page, f"identity-{size[0]}{path.replace('/', '-')}")
            assert await axe(page) == [], path
            assert page_errors(page) == [], path
            await assert_no_sideways_scroll(page)
