"""A reorganisation applied to a province with people: all or nothing, once, published whole, history kept."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as events

from chassis import units
from chassis.auth import Grant, Principal
from chassis.db import outbox_table, unit_table
from chassis.service import origin, web_server
from services.identity import seed
from services.identity.accounts.model import Account, RoleGrant
from services.identity.app import service
from services.identity.settings import Settings
from services.identity.units import commands, operator, packages, reading, reorganising, settling
from services.identity.units.changeset import ChangeSet, Link, Placed, Refused
from services.identity.units.model import Succession
from tests.identity.people import CHEAP, SECRETS
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import Running, bearer, running, settings_for
from tests.support.waiting import eventually

UNITS = "/identity/api/v1/units"
HOUSEHOLDS = "/identity/api/v1/households"
DAY = date(2025, 7, 1)
EVE = DAY - timedelta(days=1)
HTML = {"accept": "text/html"}
ADMIN = bearer(("admin", "30"))
# The villages of two communes: Đại Sơn goes over whole, Hưng Đạo is split between the new Đại Sơn and Tân Kỳ.
VILLAGES = {"11083": ("Nghĩa Dũng", "Mỹ Ân"), "11086": ("Lạc Dục", "Xuân Nẻo")}
PLACES = (Placed(0, "11086-01", "11086"), Placed(0, "11086-02", "11113"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def before(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """Hải Dương on the eve of its reorganisation, with people and villages."""
    settings = settings_for(Settings, database("before"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        for commune, names in VILLAGES.items():
            for name in names:
                made = await run.client.post(UNITS, json={"parent": commune, "name": name}, headers=ADMIN)
                assert made.status_code == 201, made.text
        yield run


def hai_duong() -> ChangeSet:
    return packages.reorganisation(["30"])


async def everything(run: Running) -> list[Any]:
    """The rows that an application would touch."""
    tables = ("unit", "succession", "change_set", "unsettled_role", "role_grant", "outbox", "outbox_sequence")
    async with run.tx() as tx:
        return [(await tx.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1, 2"))).all() for table in tables]


def shares(change_set: ChangeSet, of: str, *given: Fraction | None) -> ChangeSet:
    left = iter(given)
    links = tuple(replace(k, share=next(left)) if k.predecessor == of else k for k in change_set.links)
    return replace(change_set, links=links)


BAD: list[tuple[str, Callable[[ChangeSet], ChangeSet]]] = [
    ("left without a parent: 11086 Xã Hưng Đạo was split", lambda c: replace(c, villages=PLACES[:1])),
    ("there is no unit of this code", lambda c: replace(c, links=(*c.links, Link(0, "99999", "11086", Fraction(1))))),
    ("left without a parent", lambda c: replace(c, links=tuple(k for k in c.links if k.predecessor != "11092"))),
    ("is still to come", lambda c: replace(c, effective_on=units.today() + timedelta(days=1))),
    ("not before the day of the change", lambda c: replace(c, effective_on=date(2019, 12, 1))),
    ("left without a parent: 31", lambda c: replace(c, begins=tuple(u for u in c.begins if u.code != "31"))),
]


@pytest.mark.parametrize(("reason", "spoil"), BAD, ids=[reason for reason, _ in BAD])
async def test_nothing_is_written_of_what_is_refused(
    before: Running, reason: str, spoil: Callable[[ChangeSet], ChangeSet]
) -> None:
    was = await everything(before)
    with pytest.raises(Refused) as refused:
        async with before.tx() as tx:
            await reorganising.apply(tx, spoil(replace(hai_duong(), villages=PLACES)))
    assert reason in str(refused.value)
    assert await everything(before) == was


@pytest.mark.parametrize(
    ("module", "step"),
    [(reorganising, "_row"), (settling, "_listed"), (settling, "_moves"), (reorganising, "succeeded")],
    ids=["links", "roles", "places", "events"],
)
async def test_nothing_is_written_where_it_breaks_off(
    before: Running, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    """Whichever of its steps fails, in the middle of its rows, all that was written before it is gone as well."""
    was = await everything(before)
    real, called = getattr(module, step), 0

    def broken(*given: Any, **more: Any) -> Any:
        nonlocal called
        called += 1
        # The second row of those that make rows; the one call of those that make them all.
        if called > 1 or step in ("_moves", "succeeded"):
            raise OSError("the power went")
        return real(*given, **more)

    monkeypatch.setattr(module, step, broken)
    with pytest.raises(OSError, match="the power went"):
        async with before.tx() as tx:
            await reorganising.apply(tx, replace(hai_duong(), villages=PLACES))
    assert await everything(before) == was


async def test_a_preview_writes_nothing_and_names_the_villages_to_place(
    before: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    was = await everything(before)
    async with before.tx() as tx:
        made, roles = await reorganising.preview(tx, hai_duong())
    assert [o.unit.code for o in made.unsettled if o.what == "village of a split commune"] == ["11086-01", "11086-02"]
    moved = {k.predecessor.code: k.successor.path for k in made.links if k.predecessor.level == "village"}
    assert moved == {"11083-01": "31/11086/11083-01", "11083-02": "31/11086/11083-02"}
    assert len(made.faults) == 2
    # Resident, producer and officer of Đại Sơn go over; its leader, the province's administrator and partner do not.
    assert Counter(g.role for g, _ in roles.carried) == {"resident": 1, "producer": 1, "officer": 1}
    assert Counter(u.grant.role for u in roles.unsettled) == {"leader": 1, "admin": 1, "partner": 1}
    assert await everything(before) == was


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = web_server(origin([after.runner]), "127.0.0.1", port)
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    page = await open_page(size)
    for path in ("11083", "11086", "11086?as_of=2025-06-30", "11083-01?as_of=2025-06-30", "30", "31?lang=en"):
        await page.goto(f"http://127.0.0.1:{port}/identity/units/{path}")
        await screenshot(page, f"identity-{size[0]}-unit-{re.sub('[^0-9a-z]+', '-', path)}")
        assert await axe(page) == [], path
        assert page_errors(page) == [], path
        await assert_no_sideways_scroll(page)
    server.should_exit = True
    await serving


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


async def test_the_tool_imports_previews_and_applies(
    database: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(Settings, database("tool"), **CHEAP)
    async with running(service, settings):
        pass

    def tool(*arguments: str) -> tuple[int, str, str]:
        code = operator.main(arguments, lambda: settings)
        return code, *capsys.readouterr()

    async def run(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(tool, *arguments)

    old, new = tmp_path / "before.yaml", tmp_path / "reorganisation.yaml"
    assert (await run("import", "--province", "30", "--what", "before", "--out", str(old)))[0] == 0
    assert (await run("import", "--province", "30", "--out", str(new)))[0] == 0
    code, out, _ = await run("preview", str(new))
    assert code == 1
    assert "there is no unit of this code" in out
    assert "This is a preview" in out
    assert (await run("apply", str(old)))[0] == 0
    code, out, _ = await run("preview", str(new), "--json")
    said = json.loads(out)
    assert (code, said["faults"], said["counts"]["commune begins"]) == (0, [], 65)
    code, out, _ = await run("apply", str(new))
    assert code == 0
    assert "commune      235 end      65 begin" in out
    code, out, _ = await run("apply", str(new))
    assert (code, "was applied before: nothing was done" in out) == (0, True)
    bad = tmp_path / "bad.yaml"
    bad.write_text(new.read_text(encoding="utf-8").replace("kind: phuong", "kind: làng", 1), encoding="utf-8")
    code, _, told = await run("apply", str(bad))
    assert code == 1
    line = next(n for n, text in enumerate(bad.read_text(encoding="utf-8").splitlines(), 1) if "làng" in text)
    assert f"{bad}: line {line}: units: " in told
    assert "Refused; nothing was written." in told
    assert (await run("import", "--province", "99"))[0] == 1
    assert (await run("preview", str(tmp_path / "none.yaml")))[0] == 1


async def test_the_whole_country_is_loaded_and_reorganised(database: Callable[[str], str]) -> None:
    settings = settings_for(Settings, database("country"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        async with run.tx() as tx:
            loaded = await reorganising.apply(tx, packages.founding(None, new=False))
        # Hải Dương was there: it is not entered a second time.
        assert loaded.plan.there == 248
        async with run.tx() as tx:
            await reorganising.apply(tx, packages.reorganisation(None))
        c = unit_table.c
        async with run.tx() as tx:
            standing = await tx.execute(
                sa.select(c.level, sa.func.count()).where(c.valid_to.is_(None)).group_by(c.level)
            )
            assert {row[0]: row[1] for row in standing} == {"province": 34, "commune": 3321}
            ended = await tx.execute(sa.select(c.level, sa.func.count()).where(c.valid_to == DAY).group_by(c.level))
            assert {row[0]: row[1] for row in ended} == {"province": 63, "district": 705, "commune": 10_599}
        found = await run.client.get(UNITS, params={"level": "province", "limit": 200})
        assert len(found.json()["items"]) == 34


async def test_who_enters_a_village_and_a_reorganisation_wait_for_each_other(before: Running) -> None:
    """Else a village could be entered under a commune that is just ending."""
    free = sa.select(sa.func.pg_try_advisory_xact_lock_shared(sa.func.hashtext("order-of-units")))
    alone = sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext("order-of-units")))
    async with before.tx() as tx:
        with pytest.raises(Refused):
            await reorganising.apply(tx, hai_duong())
        async with before.tx() as other:
            assert await other.scalar(free) is False
    async with before.tx() as tx:
        me = Principal("a", "A", "person", (Grant("admin", "30", "30"),), frozenset(), None, "s")
        with pytest.raises(commands.VillageExists):
            await commands.enter_village(tx, me, commands.EnterVillage("11083", "Mỹ Ân", "thon"))
        async with before.tx() as other:
            assert await other.scalar(alone) is False


async def test_a_rename_and_a_move_begin_a_new_generation(before: Running) -> None:
    """One commune gets another name, another goes under another district; nothing else changes."""
    change_set = reading.parse(
        "format: xaso-units/1\nid: names\ntitle: Thử\neffective_on: 2024-12-01\nlegal_basis: Nghị quyết thử\nunits:\n"
        "  - {code: 11092, name: Xã Bình Lãng, level: commune, kind: xa, parent: 298}\n"
        "  - {code: 11095, name: Xã Chí Minh, level: commune, kind: xa, parent: 288, legal_basis: Văn bản riêng}\n"
        "links:\n  - {from: 11092, to: 11092}\n  - {from: 11095, to: 11095}\n"
    )
    async with before.tx() as tx:
        save = await tx.begin_nested()
        done = await reorganising.apply(tx, change_set)
        assert (len(done.plan.ends), len(done.plan.begins), done.plan.counts()["merged"]) == (2, 2, 0)
        assert (await units.get(tx, "11092", date(2024, 11, 30))).name == "Xã Bình Lăng"
        assert (await units.get(tx, "11092", date(2024, 12, 1))).name == "Xã Bình Lãng"
        assert (await units.get(tx, "11095")).path == "30/288/11095"
        assert (await units.get(tx, "11095", date(2024, 11, 30))).path == "30/298/11095"
        told = {link.successor.code: link.legal_basis for link in done.plan.links}
        assert told == {"11092": "Nghị quyết thử", "11095": "Văn bản riêng"}
        await save.rollback()


async def test_neighbours_that_become_one_province_go_in_one_set_or_one_after_the_other(
    database: Callable[[str], str],
) -> None:
    """Hải Phòng keeps its code: where both are loaded, a set of Hải Dương alone would leave two units of one code."""
    settings = settings_for(Settings, database("neighbours"), **CHEAP)
    async with running(service, settings) as run:
        async with run.tx() as tx:
            await reorganising.apply(tx, packages.founding(["30", "31"], new=False))
        with pytest.raises(Refused, match="two units of one code would be valid at once"):
            async with run.tx() as tx:
                await reorganising.apply(tx, packages.reorganisation(["30"]))
        async with run.tx() as tx:
            done = await reorganising.apply(tx, packages.reorganisation(["30", "31"]))
        assert done.plan.counts()["commune begins"] == 114
        assert done.plan.counts()["province begins"] == 1
    # The other way about: Hải Dương first, on a platform that gets Hải Phòng's units of today afterwards.
    settings = settings_for(Settings, database("later"), **CHEAP)
    async with running(service, settings) as run:
        for change_set in (packages.founding(["30"], new=False), packages.reorganisation(["30"])):
            async with run.tx() as tx:
                await reorganising.apply(tx, change_set)
        async with run.tx() as tx:
            done = await reorganising.apply(tx, packages.founding(["31"], new=True))
        assert (done.plan.there, len(done.plan.begins)) == (66, 115 - 66)
