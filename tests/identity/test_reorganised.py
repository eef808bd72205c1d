"""A province after its reorganisation: published whole, people, teams and households in place, history kept."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import pytest
import pytest_asyncio
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as events

from chassis.db import outbox_table
from chassis.service import origin
from services.identity import seed
from services.identity.accounts.model import Account, RoleGrant
from services.identity.app import service
from services.identity.settings import Settings
from services.identity.units import reorganising
from services.identity.units.changeset import Refused
from services.identity.units.model import Succession
from tests.identity.people import CHEAP, SECRETS
from tests.identity.provinces import (
    ADMIN,
    DAY,
    EVE,
    HOUSEHOLDS,
    HTML,
    PLACES,
    UNITS,
    VILLAGES,
    everything,
    hai_duong,
    shares,
)
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import Running, bearer, running, serving, settings_for


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def after(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """The same province after its reorganisation."""
    settings = settings_for(Settings, database("after"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        for commune, names in VILLAGES.items():
            for name in names:
                await run.client.post(UNITS, json={"parent": commune, "name": name}, headers=ADMIN)
        team = {"unit": "11083-01", "name": "Tổ công nghệ số", "member_count": 5, "registered_on": "2024-01-01"}
        assert (await run.client.post("/identity/api/v1/teams", json=team, headers=ADMIN)).status_code == 201
        await run.client.post(f"{UNITS}/11083-02/end", json={"on": "2026-12-01"}, headers=ADMIN)
        for village in ("11083-01", "11086-01", "11086-02"):
            household = {"unit": village, "number": "012", "people": 4}
            assert (await run.client.post(HOUSEHOLDS, json=household, headers=ADMIN)).status_code == 201
        totals = {"unit": "11086", "households_in_all": 900, "offices": 4, "offices_located": 4}
        assert (await run.client.put(f"{HOUSEHOLDS}/totals", json=totals, headers=ADMIN)).status_code == 200
        third = shares(replace(hai_duong(), villages=PLACES), "11086", Fraction(1, 3), Fraction(2, 3))
        async with run.tx() as tx:
            done = await reorganising.apply(tx, third)
        assert not done.before
        yield run


async def test_a_code_and_a_day_name_a_unit(after: Running) -> None:
    async def on(code: str, day: date) -> tuple[str, str]:
        found = (await after.client.get(f"{UNITS}/{code}", params={"as_of": day.isoformat()})).json()
        return found["name"], found["path"]

    assert await on("11086", EVE) == ("Xã Hưng Đạo", "30/298/11086")
    assert await on("11086", DAY) == ("Xã Đại Sơn", "31/11086")
    assert await on("11074", EVE) == ("Thị trấn Tứ Kỳ", "30/298/11074")
    assert await on("11074", DAY) == ("Xã Tứ Kỳ", "31/11074")
    assert await on("11083-01", EVE) == ("Thôn Nghĩa Dũng", "30/298/11083/11083-01")
    assert await on("11083-01", DAY) == ("Thôn Nghĩa Dũng", "31/11086/11083-01")
    assert (await after.client.get(f"{UNITS}/11083")).status_code == 404
    assert (await after.client.get(f"{UNITS}/298", params={"as_of": DAY.isoformat()})).status_code == 404
    listed = await after.client.get(UNITS, params={"parent": "30", "as_of": EVE.isoformat(), "limit": 200})
    assert len(listed.json()["items"]) == 12
    listed = await after.client.get(UNITS, params={"parent": "31", "limit": 200})
    assert len(listed.json()["items"]) == 65
    # A village whose end was already set keeps it in its new place.
    villages = (await after.client.get(UNITS, params={"parent": "11086", "as_of": "2026-10-01"})).json()["items"]
    assert [v["code"] for v in villages] == ["11083-01", "11083-02", "11086-01"]
    assert [v["valid_to"] for v in villages] == [None, "2026-12-01", None]


async def test_every_link_is_published_with_both_units_whole(after: Running) -> None:
    c = outbox_table.c
    async with after.tx() as tx:
        rows = (await tx.execute(sa.select(outbox_table).order_by(c.id))).all()
        links = await tx.scalar(sa.select(sa.func.count()).select_from(Succession))
    told = [r for r in rows if r.type == "xaso.identity.v1.UnitSucceeded"]
    assert len(told) == links == 280 + 4
    of = {}
    for row in told:
        event = events.UnitSucceeded.FromString(row.payload)
        of[event.predecessor.code, event.successor.code] = (row, event)
        assert (event.predecessor.valid_to, event.successor.valid_from) == ("2025-07-01", "2025-07-01")
    row, whole = of["11083", "11086"]
    assert (row.key, row.unit, row.subject) == ("11083", "11083", "11083@2019-12-01>11086@2025-07-01")
    assert (whole.share.numerator, whole.share.denominator) == (1, 1)
    assert (whole.successors_of_predecessor, whole.predecessors_of_successor) == (1, 4)
    assert "202/2025/QH15" in whole.legal_basis
    assert whole.predecessor.path == "30/298/11083"
    third, rest = of["11086", "11086"][1], of["11086", "11113"][1]
    assert [(e.share.numerator, e.share.denominator) for e in (third, rest)] == [(1, 3), (2, 3)]
    assert third.successors_of_predecessor == 2
    assert not of["11143", "11140"][1].HasField("share")
    village = of["11083-01", "11083-01"]
    assert (village[0].key, village[1].successor.parent) == ("11083", "11086")
    # In order: what ends, what begins from the top down, what became what, registers of households, who serves where.
    kinds = [r.type.rpartition(".")[2] for r in rows if r.occurred_at >= told[0].occurred_at - timedelta(minutes=5)]
    staff = [kind for kind in kinds[-kinds[::-1].index("UnitSucceeded") :] if kind == "StaffMemberChanged"]
    assert len(staff) >= 2
    assert kinds[-len(staff) :] == staff
    kinds = kinds[: -len(staff)]
    assert kinds[-2:] == ["HouseholdRegisterChanged"] * 2
    tail = kinds[-(len(told) + 1 + 65 + 4 + 2) : -2]
    assert tail == ["UnitEntered"] * (1 + 65 + 4) + ["UnitSucceeded"] * len(told)
    async with after.tx() as tx:
        wrong = await tx.scalar(
            sa.text(
                "SELECT count(*) FROM unit JOIN outbox_sequence s ON s.subject = unit.code || '@' || unit.valid_from "
                "WHERE unit.sequence <> s.last"
            )
        )
    assert wrong == 0


async def test_staff_are_told_of_where_they_serve_now(after: Running) -> None:
    c = outbox_table.c
    async with after.tx() as tx:
        rows = (
            await tx.execute(sa.select(outbox_table).where(c.type.endswith("StaffMemberChanged")).order_by(c.id))
        ).all()
    last = {row.subject: (events.StaffMemberChanged.FromString(row.payload).member, row.key) for row in rows}
    state = sorted((member.unit, member.serving, key) for member, key in last.values())
    # The officer goes over; the leader's post is filled anew, so until then nobody holds it.
    assert state == [("11083", False, "11083"), ("11083", False, "11083"), ("11086", True, "11086")]


async def test_again_it_does_nothing_and_another_content_is_refused(after: Running) -> None:
    was = await everything(after)
    same = shares(replace(hai_duong(), villages=PLACES), "11086", Fraction(1, 3), Fraction(2, 3))
    async with after.tx() as tx:
        assert (await reorganising.apply(tx, same)).before
    with pytest.raises(Refused, match="with another content"):
        async with after.tx() as tx:
            await reorganising.apply(tx, shares(same, "11086", Fraction(1, 2), Fraction(1, 2)))
    with pytest.raises(Refused, match="has already ended, on 2025-07-01"):
        async with after.tx() as tx:
            await reorganising.apply(tx, replace(same, id="another"))
    assert await everything(after) == was


async def test_roles_go_over_or_are_found_by_whoever_has_the_successor(after: Running) -> None:
    async with after.tx() as tx:
        query = sa.select(RoleGrant).where(RoleGrant.revoked_at.is_(None))
        held = {g.role: (g.unit, g.path, g.granted_by) for g in await tx.scalars(query)}
    by = "change_set:reorganisation-30-2025-07-01"
    assert held == dict.fromkeys(("resident", "producer", "officer"), ("11086", "31/11086", by))
    url = "/identity/api/v1/accounts"
    waiting = (await after.client.get(url, params={"role": "leader"}, headers=bearer(("admin", "31")))).json()["items"]
    assert [(a["name"], a["grants"]) for a in waiting] == [("Lãnh đạo xã Đại Sơn", [])]
    foreign = bearer(("admin", "31/11113"))
    assert (await after.client.get(url, params={"role": "leader"}, headers=foreign)).json()["items"] == []
    old = bearer(("admin", "30"))
    assert (await after.client.get(url, params={"role": "officer"}, headers=old)).json()["items"] == []
    give = {"role": "leader", "unit": "11086"}
    grants = f"{url}/{waiting[0]['id']}/grants"
    assert (await after.client.post(grants, json=give, headers=foreign)).status_code == 404
    given = await after.client.post(grants, json=give, headers=bearer(("admin", "31")))
    assert given.status_code in (200, 201), given.text


async def test_teams_and_homes_go_along(after: Running) -> None:
    teams = (await after.client.get("/identity/api/v1/teams", params={"unit": "11086"})).json()["items"]
    assert [(t["unit"], t["name"]) for t in teams] == [("11083-01", "Tổ công nghệ số")]
    activity = {"content": "safety", "held_on": "2025-08-01", "participants": 9}
    url = f"/identity/api/v1/teams/{teams[0]['id']}/activities"
    old, new = bearer(("officer", "30/298/11083")), bearer(("officer", "31/11086"))
    assert (await after.client.post(url, json=activity, headers=old)).status_code == 403
    assert (await after.client.post(url, json=activity, headers=new)).status_code == 201
    async with after.tx() as tx:
        rows = await tx.execute(sa.select(Account.username, Account.home_unit, Account.id))
        homes = {row.username: (row.home_unit, row.id) for row in rows}
    assert {user: home for user, (home, _) in homes.items()} == {
        "admin": "31",
        **dict.fromkeys(("lanhdao", "canbo", "nguoidan", "htx"), "11086"),
    }
    # Somebody whose role waits to be given anew still gets to their account.
    waiting = bearer(subject=str(homes["lanhdao"][1]))
    page = await after.client.get("/identity/account", headers={**waiting, **HTML})
    assert page.status_code == 200


async def test_households_go_along_under_their_numbers_and_the_registers_are_told_anew(after: Running) -> None:
    async def listed(unit: str) -> list[tuple[str, str]]:
        new = bearer(("officer", f"31/{unit}"))
        items = (await after.client.get(HOUSEHOLDS, params={"unit": unit}, headers=new)).json()["items"]
        return [(one["unit"], one["number"]) for one in items]

    assert await listed("11086") == [("11083-01", "012"), ("11086-01", "012")]
    assert await listed("11113") == [("11086-02", "012")]
    c = outbox_table.c
    async with after.tx() as tx:
        query = sa.select(c.subject, c.payload).where(c.type == "xaso.identity.v1.HouseholdRegisterChanged")
        told = {
            row.subject: events.HouseholdRegisterChanged.FromString(row.payload).register
            for row in await tx.execute(query.order_by(c.subject, c.sequence))
        }
        kept = set(await tx.scalars(sa.text("SELECT path FROM household_register")))
    assert kept == {"31/11086", "31/11113"}
    counts = {subject: (r.villages_recorded, r.households, r.households_in_all) for subject, r in told.items()}
    # What was stated of the commune before is to be stated anew of the one it became.
    assert counts["households/11086"] == (2, 2, 0)
    assert counts["households/11113"] == (1, 1, 0)


async def test_history_is_read_under_the_old_unit(after: Running) -> None:
    told = (await after.client.get(f"{UNITS}/11086/history")).json()["generations"]
    assert [g["unit"]["name"] for g in told] == ["Xã Hưng Đạo", "Xã Đại Sơn"]
    assert [(r["unit"]["code"], r["share"]) for r in told[0]["successors"]] == [("11086", "1/3"), ("11113", "2/3")]
    came = {r["unit"]["name"]: r["share"] for r in told[1]["predecessors"]}
    assert came["Xã Đại Sơn"] == "1"
    assert came["Xã Hưng Đạo"] == "1/3"
    assert (await after.client.get(f"{UNITS}/99999/history")).status_code == 404
    ended = (await after.client.get("/identity/units/11083", headers=HTML)).text
    for words in (
        "Xã Đại Sơn đã hết hiệu lực từ 01/07/2025",
        "Nay thuộc",
        "202/2025/QH15",
        'href="/identity/units/11086"',
    ):
        assert words in ended, words
    assert "Nhập thôn" not in ended
    new = (await after.client.get("/identity/units/11086", headers=HTML)).text
    for words in ("Hình thành từ", "Xã Hưng Đạo", "phần 1/3", "as_of=2025-06-30", "Thành phố Hải Phòng"):
        assert words in new, words
    old = (await after.client.get("/identity/units/11086?as_of=2025-06-30", headers=HTML)).text
    assert "Tỉnh Hải Dương" in old
    assert "Lạc Dục" in old
    assert (await after.client.get("/identity/units/11086?as_of=mai", headers=HTML)).status_code == 422
    assert (await after.client.get("/identity/units/99999", headers=HTML)).status_code == 404


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_pages_over_time_are_readable_by_everybody(
    after: Running, open_page: OpenPage, size: tuple[int, int]
) -> None:
    async with serving(origin([after.runner])) as address:
        page = await open_page(size)
        for path in ("11083", "11086", "11086?as_of=2025-06-30", "11083-01?as_of=2025-06-30", "30", "31?lang=en"):
            await page.goto(f"{address}/identity/units/{path}")
            await screenshot(page, f"identity-{size[0]}-unit-{re.sub('[^0-9a-z]+', '-', path)}")
            assert await axe(page) == [], path
            assert page_errors(page) == [], path
            await assert_no_sideways_scroll(page)


async def test_villages_are_entered_on_in_the_new_commune(after: Running) -> None:
    staff = bearer(("officer", "31/11086"))
    made = await after.client.post(UNITS, json={"parent": "11086", "name": "Mới"}, headers=staff)
    assert (made.status_code, made.json()["code"], made.json()["valid_from"]) == (201, "11086-03", "2025-07-01")
    gone = await after.client.post(UNITS, json={"parent": "11083", "name": "Mới"}, headers=bearer(("admin", "30")))
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_unit")


async def test_the_platform_starts_again_after_it(after: Running) -> None:
    was = await everything(after)
    await seed.ensure(after.runner.runtime, SECRETS)
    assert (await everything(after))[0] == was[0]
