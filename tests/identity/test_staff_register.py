"""The register of staff: each post is told when it changes, by an id that names nobody, and nothing else of the person.

Posts follow from roles, accounts, the directory and what people say of their smartphones; each occasion is tried here,
but for a reorganisation of units (test_reorganised.py).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as events

from chassis.db import outbox_table
from chassis.units import today
from services.identity import seed
from services.identity.accounts import commands as accounts
from services.identity.accounts.model import Account
from services.identity.app import service
from services.identity.desk import Desk
from services.identity.settings import Settings
from services.identity.staff import register
from services.identity.staff.model import StaffPost
from tests.identity.people import CHEAP, SECRETS
from tests.support.running import Running, bearer, csrf, running, settings_for
from tests.support.waiting import eventually

ACCOUNTS, UNITS = "/identity/api/v1/accounts", "/identity/api/v1/units"
DISTRICT = "30/298"
ADMIN = bearer(("admin", "30"))
HTML = {"accept": "text/html"}
PASSWORD = "một câu thật dài của người thử"
NAME, PHONE, EMAIL = "Vũ Thị Danh Bạ", "0220 3123 456", "danhba@xa.example"


async def person(run: Running, unit: str, role: str = "officer", **more: str) -> str:
    """A new account with its first role; returns its id."""
    body = {"name": NAME, "username": f"u{uuid.uuid4().hex[:12]}", "password": PASSWORD, "role": role, "unit": unit}
    answer = await run.client.post(ACCOUNTS, json={**body, **more}, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def village(run: Running, commune: str) -> str:
    made = await run.client.post(UNITS, json={"parent": commune, "name": f"Thôn {uuid.uuid4()}"}, headers=ADMIN)
    assert made.status_code == 201, made.text
    return str(made.json()["code"])


async def posts(run: Running, account: str) -> dict[str, str]:
    """The posts of a person: unit to id."""
    async with run.tx() as tx:
        rows = await tx.execute(
            sa.select(StaffPost.unit, StaffPost.id).where(StaffPost.account_id == uuid.UUID(account))
        )
        return {unit: str(id) for unit, id in rows}


async def told(run: Running, subject: str) -> list[events.StaffMember]:
    """What was told of a post, in order; the sequence has no gap."""
    c = outbox_table.c
    async with run.tx() as tx:
        rows = (await tx.execute(sa.select(outbox_table).where(c.subject == subject).order_by(c.sequence))).all()
    assert [r.sequence for r in rows] == list(range(1, len(rows) + 1))
    assert {r.type for r in rows} <= {"xaso.identity.v1.StaffMemberChanged"}
    return [events.StaffMemberChanged.FromString(r.payload).member for r in rows]


async def last(run: Running, account: str, unit: str) -> tuple[bool, bool, str]:
    """Whether they serve, whether a contact is public, and the answer, as last told."""
    member = (await told(run, (await posts(run, account))[unit]))[-1]
    return member.serving, member.contact_public, member.mobile_internet


async def form(run: Running, path: str, who: dict[str, str], **fields: str) -> int:
    mark = await csrf(run.client, "/identity/login")
    sent = await run.client.post(f"/identity{path}", data={**fields, "csrf_token": mark}, headers={**HTML, **who})
    return int(sent.status_code)


def oneself(account: str, role: str, path: str) -> dict[str, str]:
    return bearer((role, path), subject=account)


async def nothing_untold(run: Running) -> None:
    async with run.tx() as tx:
        assert await register.tell_everywhere(tx) == 0


async def test_a_post_is_told_when_a_role_is_given_and_taken(identity: Running) -> None:
    unit = "11092"
    account = await person(identity, unit)
    post = (await posts(identity, account))[unit]
    (first,) = await told(identity, post)
    assert (first.id, first.unit, first.level, first.serving) == (post, unit, "commune", True)
    assert (first.contact_public, first.mobile_internet) == (False, "")
    # A second working role at the same unit, and roles that are no work for the public, change nothing.
    grants = f"{ACCOUNTS}/{account}/grants"
    for role in ("leader", "viewer", "resident", "officer"):
        given = await identity.client.post(grants, json={"role": role, "unit": unit}, headers=ADMIN)
        assert given.status_code in (200, 201), given.text
    held = {
        g["role"]: g["id"] for g in (await identity.client.get(f"{ACCOUNTS}/{account}", headers=ADMIN)).json()["grants"]
    }
    await identity.client.post(f"{grants}/{held['leader']}/revoke", headers=ADMIN)
    assert len(await told(identity, post)) == 1
    # Another unit is another post, under an id of its own.
    there = await village(identity, unit)
    await identity.client.post(grants, json={"role": "village_head", "unit": there}, headers=ADMIN)
    second = (await posts(identity, account))[there]
    assert second != post
    assert [(m.level, m.serving) for m in await told(identity, second)] == [("village", True)]
    await identity.client.post(f"{grants}/{held['officer']}/revoke", headers=ADMIN)
    await identity.client.post(f"{grants}/{held['officer']}/revoke", headers=ADMIN)
    assert [m.serving for m in await told(identity, post)] == [True, False]
    assert await posts(identity, account) == {there: second}
    # Who comes back is told under a new id: nothing leads from the old one to them any more.
    await identity.client.post(grants, json={"role": "officer", "unit": unit}, headers=ADMIN)
    assert (await posts(identity, account))[unit] != post
    await nothing_untold(identity)


async def test_only_staff_of_communes_and_villages_are_told_of(identity: Running) -> None:
    for role, unit in (("resident", "11092"), ("producer", "11092"), ("viewer", "11092"), ("admin", "298")):
        assert await posts(identity, await person(identity, unit, role)) == {}, role
    assert list(await posts(identity, await person(identity, "11092", "admin"))) == ["11092"]


async def test_a_locked_account_serves_nobody_until_it_is_opened(identity: Running) -> None:
    account = await person(identity, "11095")
    post = (await posts(identity, account))["11095"]
    for _ in range(2):
        await identity.client.post(f"{ACCOUNTS}/{account}/disable", headers=ADMIN)
    assert [m.serving for m in await told(identity, post)] == [True, False]
    await identity.client.post(f"{ACCOUNTS}/{account}/enable", headers=ADMIN)
    assert await last(identity, account, "11095") == (True, False, "")


async def test_a_contact_is_told_as_public_while_the_directory_shows_a_way_to_reach_them(identity: Running) -> None:
    account = await person(identity, "11098")
    me = oneself(account, "officer", f"{DISTRICT}/11098")
    there = await village(identity, "11098")
    await identity.client.post(
        f"{ACCOUNTS}/{account}/grants", json={"role": "village_head", "unit": there}, headers=ADMIN
    )
    listing = {"position": "Công chức văn hóa", "consent": "1"}
    assert await form(identity, "/account/contact", me, **listing) == 303
    assert await last(identity, account, "11098") == (True, False, ""), "a name and a post are no contact"
    assert await form(identity, "/account/contact", me, **listing, phone=PHONE) == 303
    assert await last(identity, account, "11098") == (True, True, "")
    assert await last(identity, account, there) == (True, False, ""), "they are listed at the commune"
    assert await form(identity, "/account/contact", me, **listing, email=EMAIL) == 303
    assert len(await told(identity, (await posts(identity, account))["11098"])) == 2
    assert await form(identity, "/account/contact/withdraw", me) == 303
    assert await last(identity, account, "11098") == (True, False, "")
    await nothing_untold(identity)


async def test_who_was_not_asked_is_told_as_such_once_somebody_of_the_commune_was(identity: Running) -> None:
    unit, there = "11101", await village(identity, "11101")
    one, other = await person(identity, unit), await person(identity, unit, "leader")
    head, elsewhere = await person(identity, there, "village_head"), await person(identity, "11137")
    assert await form(identity, f"/accounts/{head}/smartphone", ADMIN, smartphone="no") == 303
    assert await last(identity, head, there) == (True, False, "no")
    for account in (one, other):
        assert await last(identity, account, unit) == (True, False, "unasked")
    assert await last(identity, elsewhere, "11137") == (True, False, "")
    me = oneself(one, "officer", f"{DISTRICT}/{unit}")
    assert await form(identity, "/account/smartphone", me, smartphone="yes") == 303
    assert await last(identity, one, unit) == (True, False, "yes")
    newcomer = await person(identity, unit)
    assert await last(identity, newcomer, unit) == (True, False, "unasked")
    # What was said by mistake is taken back; where nobody is left who was asked, nothing is known again.
    assert await form(identity, "/account/smartphone", me, smartphone="unasked") == 303
    assert await last(identity, one, unit) == (True, False, "unasked")
    assert await form(identity, f"/accounts/{head}/smartphone", ADMIN, smartphone="unasked") == 303
    assert {await last(identity, account, unit) for account in (one, other, newcomer)} == {(True, False, "")}
    await nothing_untold(identity)


async def test_answers_of_one_commune_at_the_same_moment_leave_nothing_untold(identity: Running) -> None:
    people = [await person(identity, "11131") for _ in range(6)]

    async def answer(account: str) -> int:
        me = oneself(account, "officer", f"{DISTRICT}/11131")
        return await form(identity, "/account/smartphone", me, smartphone="yes")

    async def lock(account: str) -> int:
        return int((await identity.client.post(f"{ACCOUNTS}/{account}/disable", headers=ADMIN)).status_code)

    assert set(await asyncio.gather(*map(answer, people[:3]), *map(lock, people[3:5]))) == {200, 303}
    assert [await last(identity, account, "11131") for account in people[:3]] == [(True, False, "yes")] * 3
    assert await last(identity, people[5], "11131") == (True, False, "unasked")
    await nothing_untold(identity)


async def test_two_first_answers_of_a_commune_take_turns(identity: Running) -> None:
    """Each makes it known of everybody that they were not asked: the second sees what the first told."""
    one, two, third = [await person(identity, "11140") for _ in range(3)]

    async def second() -> None:
        async with identity.tx() as tx:
            await tx.execute(sa.update(Account).where(Account.id == uuid.UUID(two)).values(uses_smartphone=False))
            await register.tell(tx, uuid.UUID(two))

    async def waits() -> bool:
        async with identity.tx() as tx:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(await tx.scalar(sa.text(query)))

    async with identity.tx() as tx:
        await tx.execute(sa.update(Account).where(Account.id == uuid.UUID(one)).values(uses_smartphone=True))
        await register.tell(tx, uuid.UUID(one))
        other = asyncio.create_task(second())
        await eventually(waits)
    await other
    assert [(await last(identity, account, "11140"))[2] for account in (one, two, third)] == ["yes", "no", "unasked"]
    assert len(await told(identity, (await posts(identity, third))["11140"])) == 2
    await nothing_untold(identity)


@pytest.mark.parametrize(
    ("who", "status"),
    [
        (bearer(("leader", f"{DISTRICT}/11110")), 303),
        (bearer(("admin", f"{DISTRICT}/11110")), 303),
        (bearer(("officer", f"{DISTRICT}/11110")), 404),
        (bearer(("leader", f"{DISTRICT}/11113")), 404),
        (bearer(("resident", f"{DISTRICT}/11110")), 404),
    ],
)
async def test_only_who_gives_the_role_answers_for_others(identity: Running, who: dict[str, str], status: int) -> None:
    account = await person(identity, "11110")
    page = (await identity.client.get(f"/identity/accounts/{account}", headers={**HTML, **who})).text
    assert ("Người này có dùng điện thoại thông minh" in page) == (status == 303)
    assert await form(identity, f"/accounts/{account}/smartphone", who, smartphone="yes") == status
    assert ((await last(identity, account, "11110"))[2] == "yes") == (status == 303)


async def test_nobody_answers_who_is_not_in_the_register(identity: Running) -> None:
    leader = bearer(("leader", f"{DISTRICT}/11110"))
    above, resident = await person(identity, "11110", "leader"), await person(identity, "11110", "resident")
    # A leader gives no other leader's role, and residents are not staff.
    for account in (above, resident):
        assert await form(identity, f"/accounts/{account}/smartphone", leader, smartphone="yes") == 403
    me = oneself(resident, "resident", f"{DISTRICT}/11110")
    assert (
        "Chị/anh có dùng điện thoại"
        not in (await identity.client.get("/identity/account", headers={**HTML, **me})).text
    )
    assert await form(identity, "/account/smartphone", me, smartphone="yes") == 403
    for wrong in ({}, {"smartphone": "maybe"}, {"smartphone": "yes\x00"}):
        mine = oneself(above, "leader", f"{DISTRICT}/11110")
        assert await form(identity, "/account/smartphone", mine, **wrong) == 422


async def test_a_village_that_ends_has_no_staff_any_more(identity: Running) -> None:
    there = await village(identity, "11116")
    account = await person(identity, there, "village_head")
    post = (await posts(identity, account))[there]
    ended = await identity.client.post(f"{UNITS}/{there}/end", json={"on": today().isoformat()}, headers=ADMIN)
    assert ended.status_code == 200, ended.text
    assert [m.serving for m in await told(identity, post)] == [True, False]


async def test_erasure_ends_the_post_and_forgets_whose_it_was(identity: Running) -> None:
    account = await person(identity, "11119")
    post, me = (await posts(identity, account))["11119"], oneself(account, "officer", f"{DISTRICT}/11119")
    listing = {"position": "Công chức văn hóa", "phone": PHONE, "consent": "1"}
    assert await form(identity, "/account/contact", me, **listing) == 303
    assert await form(identity, "/account/smartphone", me, smartphone="yes") == 303
    mine = (await identity.client.get("/identity/account/export", headers=me)).json()
    assert mine["account"]["uses_smartphone"] is True
    settings = identity.runner.runtime.settings
    assert isinstance(settings, Settings)
    async with identity.tx() as tx:
        await accounts.erase(tx, Desk.of(settings).tools, uuid.UUID(account), PASSWORD)
    assert [m.serving for m in await told(identity, post)] == [True, True, True, False]
    assert ((await told(identity, post))[-1].contact_public, (await told(identity, post))[-1].mobile_internet) == (
        False,
        "",
    )
    assert await posts(identity, account) == {}
    async with identity.tx() as tx:
        query = sa.text("SELECT uses_smartphone FROM account WHERE id = :id")
        assert await tx.scalar(query, {"id": uuid.UUID(account)}) is None
        for table, there in (("staff_contact", ""), ("consent", "AND withdrawn_at IS NULL")):
            left = sa.text(f"SELECT count(*) FROM {table} WHERE account_id = :id {there}")
            assert await tx.scalar(left, {"id": uuid.UUID(account)}) == 0, table


async def test_no_byte_of_the_events_is_about_a_person(identity: Running) -> None:
    account = await person(identity, "11122", phone="0911 222 333", citizen_id="030123456789")
    me = oneself(account, "officer", f"{DISTRICT}/11122")
    listing = {"position": "Công chức văn hóa", "phone": PHONE, "email": EMAIL, "consent": "1"}
    assert await form(identity, "/account/contact", me, **listing) == 303
    assert await form(identity, "/account/smartphone", me, smartphone="yes") == 303
    post = (await posts(identity, account))["11122"]
    async with identity.tx() as tx:
        rows = (await tx.execute(sa.select(outbox_table).where(outbox_table.c.subject == post))).all()
        username = await tx.scalar(sa.text("SELECT username FROM account WHERE id = :id"), {"id": uuid.UUID(account)})
    assert len(rows) == 3
    sent = b"\n".join(r.payload + "\n".join((r.subject, r.key, r.unit, r.type, r.traceparent)).encode() for r in rows)
    digits = PHONE.replace(" ", "")
    personal = (
        NAME,
        username,
        PHONE,
        digits,
        EMAIL,
        "0911222333",
        "0911 222 333",
        "030123456789",
        "Công chức",
        account,
    )
    for one in personal:
        assert one.encode() not in sent, one
    assert uuid.UUID(account).bytes not in sent
    # The message has no field that such things could stand in.
    assert {f.name for f in events.StaffMember.DESCRIPTOR.fields} == {
        "id", "unit", "level", "serving", "contact_public", "mobile_internet",
    }  # fmt: skip


async def test_staff_from_before_the_register_are_told_of_once_when_the_service_starts(
    database: Callable[[str], str],
) -> None:
    settings = settings_for(Settings, database("register"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        async with run.tx() as tx:
            # As the release before left it.
            await tx.execute(sa.text("DELETE FROM staff_post"))
            await tx.execute(sa.delete(outbox_table).where(outbox_table.c.type.endswith("StaffMemberChanged")))

    async def count(run: Running) -> int:
        async with run.tx() as tx:
            c = outbox_table.c
            query = sa.select(sa.func.count()).where(c.type == "xaso.identity.v1.StaffMemberChanged")
            return int(await tx.scalar(query) or 0)

    async def both_told(run: Running) -> None:
        async def told_of() -> bool:
            return await count(run) == 2

        await eventually(told_of)

    for _ in range(2):
        async with running(service, settings, parts=["tasks"]) as run:
            await both_told(run)
    async with running(service, settings) as run:
        await nothing_untold(run)
        assert await count(run) == 2, "the leader and the officer of the commune, once"
