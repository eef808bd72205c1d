"""The register of households: entered, changed, ended; each change told without address, and the register with it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import units
from chassis.auth import Grant, Principal
from chassis.db import audit_table, outbox_table
from chassis.units import today
from services.identity.app import keep
from services.identity.households import commands, importing, register
from services.identity.households.commands import Details
from services.identity.households.model import CommuneRegister, Household
from services.identity.sealing import Sealer
from services.identity.settings import Settings
from tests.support.running import Running, bearer
from tests.support.waiting import eventually

API = "/identity/api/v1"
HOUSEHOLDS = f"{API}/households"
DISTRICT = "30/298"
YEAR = today().year
PLACE = {"address": "Số 7 ngõ Đình", "digital_code": "TK-00712", "lat": 20.8265, "lon": 106.3907}
ECONOMY = {"livelihood": "crafts", "poverty": "near_poor", "reviewed_year": YEAR}


def officer(commune: str) -> dict[str, str]:
    return bearer(("officer", f"{DISTRICT}/{commune}"))


async def ask(run: Running, method: str, path: str, who: dict[str, str], status: int, json: Any = None) -> Any:
    answer = await run.client.request(method, path, json=json, headers=who)
    assert answer.status_code == status, answer.text
    return answer.json()


async def village(run: Running, commune: str, name: str = "Đông") -> str:
    made = await ask(run, "POST", f"{API}/units", officer(commune), 201, {"parent": commune, "name": name})
    return str(made["code"])


async def told(run: Running, subject: str) -> list[Any]:
    """The events about one thing, in their order."""
    c = outbox_table.c
    async with run.tx() as tx:
        rows = (await tx.execute(sa.select(outbox_table).where(c.subject == subject).order_by(c.sequence))).all()
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    return [getattr(events, row.type.rpartition(".")[2]).FromString(row.payload) for row in rows]


async def last_register(run: Running, commune: str) -> events.HouseholdRegister:
    return (await told(run, f"households/{commune}"))[-1].register  # type: ignore[no-any-return]  # as its type says.


async def count(run: Running, table: Any) -> int:
    async with run.tx() as tx:
        return int(await tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def test_a_household_is_entered_changed_and_ended(identity: Running) -> None:
    commune = "11074"
    who, here, there = officer(commune), await village(identity, commune), await village(identity, commune, "Tây")
    new = {"unit": here, "number": 12, "people": 4, **PLACE}
    made = await ask(identity, "POST", HOUSEHOLDS, who, 201, new)
    assert (made["number"], made["digital_address"]) == ("012", True)
    assert not {"address", "lat", "lon", "digital_code"} & made.keys(), "answers to writes are kept for replays"
    one = f"{HOUSEHOLDS}/{made['id']}"
    assert PLACE.items() <= (await ask(identity, "GET", one, who, 200)).items()
    taken = await ask(identity, "POST", HOUSEHOLDS, who, 409, {**new, "number": "12"})
    assert taken["code"] == "household_number_taken"
    changed = {**new, "unit": there, "people": 5, **ECONOMY}
    await ask(identity, "PUT", one, who, 200, changed)
    await ask(identity, "PUT", one, who, 200, changed)
    assert (await ask(identity, "POST", f"{one}/end", who, 200, {"why": "moved"}))["ended"] == "moved"
    assert (await ask(identity, "PUT", one, who, 409, changed))["code"] == "household_ended"
    assert (await ask(identity, "POST", f"{one}/end", who, 409, {"why": "merged"}))["code"] == "household_ended"
    await ask(identity, "POST", HOUSEHOLDS, who, 201, {**new, "unit": there})
    seen = [event.household for event in await told(identity, made["id"])]
    assert [(h.unit, h.number, h.people, h.economy_known, h.reviewed_year, h.ended) for h in seen] == [
        (here, "012", 4, False, 0, False),
        (there, "012", 5, True, YEAR, False),
        (there, "012", 5, True, YEAR, True),
    ], "what is recorded already is not told again"
    assert all(h.changed_at.seconds for h in seen)


async def test_the_register_of_a_commune_is_told_with_every_change_of_what_it_comes_to(identity: Running) -> None:
    commune = "11110"
    who, first, second = officer(commune), await village(identity, commune), await village(identity, commune, "Tây")
    assert await told(identity, f"households/{commune}") == [], "no register was begun"

    async def now() -> tuple[int, ...]:
        r = await last_register(identity, commune)
        return r.villages, r.villages_recorded, r.villages_reviewed, r.households, r.households_located

    made = await ask(identity, "POST", HOUSEHOLDS, who, 201, {"unit": first, "number": "1", "people": 2, **PLACE})
    assert await now() == (2, 1, 0, 1, 1)
    other = {"unit": second, "number": "1", "people": 3, **ECONOMY}
    await ask(identity, "POST", HOUSEHOLDS, who, 201, other)
    assert await now() == (2, 2, 1, 2, 1)
    # The review of another year is none of this year's.
    await ask(
        identity, "POST", HOUSEHOLDS, who, 201, {**other, "unit": first, "number": "2", "reviewed_year": YEAR - 1}
    )
    assert await now() == (2, 2, 1, 3, 1)
    public = (await identity.client.get(f"{HOUSEHOLDS}/summary", params={"unit": commune})).json()
    assert [one["reviewed"] for one in public["below"]] == [0, 1]
    said = {"unit": commune, "households_in_all": 3, "offices": 2, "offices_located": 1}
    await ask(identity, "PUT", f"{HOUSEHOLDS}/totals", who, 200, said)
    totals = await last_register(identity, commune)
    assert (totals.households_in_all, totals.offices, totals.offices_located, totals.year) == (3, 2, 1, YEAR)
    third = await village(identity, commune, "Nam")
    assert await now() == (3, 2, 1, 3, 1), "a new village has no register yet"
    ending = {"on": today().isoformat()}
    await ask(identity, "POST", f"{API}/units/{third}/end", who, 200, ending)
    await ask(identity, "POST", f"{API}/units/{first}/end", who, 200, ending)
    assert await now() == (1, 1, 1, 1, 0), "households of a village that ended wait to be moved to another one"
    moved = {"unit": second, "number": "7", "people": 2, **PLACE}
    await ask(identity, "PUT", f"{HOUSEHOLDS}/{made['id']}", who, 200, moved)
    assert await now() == (1, 1, 1, 2, 1)
    summary = (await identity.client.get(f"{HOUSEHOLDS}/summary", params={"unit": commune})).json()
    counts = {"villages": 1, "recorded": 1, "households": 2, "people": 5, "located": 1, "reviewed": 1}
    assert counts.items() <= summary.items()
    elsewhere = await village(identity, "11083")
    above = (await identity.client.get(f"{HOUSEHOLDS}/summary", params={"unit": "298"})).json()
    assert above["villages"] > sum(one["villages"] for one in above["below"]), "those without a register are there, too"
    assert elsewhere not in str(above)
    assert [one for one in above["below"] if one["unit"] == commune] == [
        {"unit": commune, "name": summary["name"], **counts}
    ]


async def test_a_new_year_begins_without_a_review(identity: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    commune = "11113"
    place = await village(identity, commune)
    await ask(
        identity, "POST", HOUSEHOLDS, officer(commune), 201, {"unit": place, "number": "1", "people": 2, **ECONOMY}
    )
    before = await told(identity, f"households/{commune}")
    async with identity.tx() as tx:
        await register.tell_stale(tx)
    assert await told(identity, f"households/{commune}") == before, "nothing is stale today"
    monkeypatch.setattr(units, "today", lambda: today().replace(year=YEAR + 1, day=1))
    keeping = asyncio.create_task(keep(identity.runner.runtime))

    async def begun() -> bool:
        r = await last_register(identity, commune)
        return (r.year, r.villages_recorded, r.villages_reviewed) == (YEAR + 1, 1, 0)

    await eventually(begun)
    keeping.cancel()


async def test_a_village_that_ends_later_leaves_the_register_on_its_day(
    identity: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    commune = "11134"
    who, first, second = officer(commune), await village(identity, commune), await village(identity, commune, "Tây")
    for place in (first, second):
        await ask(identity, "POST", HOUSEHOLDS, who, 201, {"unit": place, "number": "1", "people": 2})
    day = today() + timedelta(days=1)
    await ask(identity, "POST", f"{API}/units/{first}/end", who, 200, {"on": day.isoformat()})
    assert (await last_register(identity, commune)).villages == 2
    monkeypatch.setattr(units, "today", lambda: day)
    async with identity.tx() as tx:
        assert await register.tell_stale(tx) > 0
        assert await register.tell_stale(tx) == 0
    r = await last_register(identity, commune)
    assert (r.villages, r.villages_recorded, r.households) == (1, 1, 1)


async def test_a_household_that_was_ended_is_put_back_while_its_number_is_free(identity: Running) -> None:
    commune = "11137"
    who, place = officer(commune), await village(identity, commune)
    body = {"unit": place, "number": "1", "people": 3, **PLACE}
    made = await ask(identity, "POST", HOUSEHOLDS, who, 201, body)
    one = f"{HOUSEHOLDS}/{made['id']}"
    await ask(identity, "POST", f"{one}/end", who, 200, {"why": "mistake"})
    assert (await last_register(identity, commune)).households == 0
    for _ in range(2):
        assert (await ask(identity, "POST", f"{one}/return", who, 200))["ended"] is None
    assert PLACE.items() <= (await ask(identity, "GET", one, who, 200)).items()
    assert (await last_register(identity, commune)).households == 1
    assert [e.household.ended for e in await told(identity, made["id"])] == [False, True, False]
    await ask(identity, "POST", f"{one}/end", who, 200, {"why": "mistake"})
    await ask(identity, "POST", HOUSEHOLDS, who, 201, body)
    assert (await ask(identity, "POST", f"{one}/return", who, 409))["code"] == "household_number_taken"
    async with identity.tx() as tx:
        t = audit_table.c
        done = await tx.scalars(sa.select(t.action).where(t.target == made["id"]).order_by(t.id))
        assert list(done) == [f"household.{name}" for name in ("entered", "ended", "put_back", "ended")]


async def test_every_command_holds_the_order_of_units_and_the_register_of_its_commune(identity: Running) -> None:
    """Else two could be given one number, or a household enter a commune that a reorganisation is just ending."""
    commune = "11140"
    path, place = f"{DISTRICT}/{commune}", await village(identity, commune)
    me = Principal("a", "A", "person", (Grant("officer", commune, path),), frozenset(), None, "s")
    settings = identity.runner.runtime.settings
    assert isinstance(settings, Settings)
    sealer, new, ids = Sealer(settings), Details(place, "001", 1), list[uuid.UUID]()
    file = importing.Sent(commune, f"Thôn,Số thứ tự hộ,Số người\n{place},2,1\n", "vi")

    async def enter(tx: AsyncSession) -> None:
        ids.append((await commands.enter(tx, sealer, me, new)).id)

    deeds: list[Callable[[AsyncSession], Awaitable[Any]]] = [
        enter,
        lambda tx: commands.change(tx, sealer, me, ids[0], replace(new, people=2)),
        lambda tx: commands.end(tx, me, ids[0], "moved"),
        lambda tx: commands.put_back(tx, me, ids[0]),
        lambda tx: commands.state(tx, me, commune, 3, 2, 1),
        lambda tx: importing.run(tx, sealer, me, file, "all"),
    ]
    for deed in deeds:
        async with identity.tx() as tx:
            await deed(tx)
            async with identity.tx() as other:
                for name in ("order-of-units", f"households-of-{path}"):
                    free = sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext(name)))
                    assert await other.scalar(free) is False, name


async def test_who_lost_the_household_while_waiting_does_not_end_it(identity: Running) -> None:
    commune = "11143"
    path, first = f"{DISTRICT}/{commune}", await village(identity, commune)
    second = await village(identity, commune, "Tây")
    head = bearer(("village_head", f"{path}/{first}"))
    made = await ask(identity, "POST", HOUSEHOLDS, head, 201, {"unit": first, "number": "1", "people": 3})
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with identity.tx() as tx:
        await register.lock(tx, [path])
        await tx.execute(
            sa.update(Household)
            .where(Household.id == uuid.UUID(made["id"]))
            .values(unit=second, path=f"{path}/{second}")
        )
        ending = asyncio.create_task(
            ask(identity, "POST", f"{HOUSEHOLDS}/{made['id']}/end", head, 403, {"why": "moved"})
        )
        await eventually(lambda: tx.scalar(waits))
    await ending


async def test_two_who_enter_one_number_do_not_both_get_it(identity: Running) -> None:
    commune = "11089"
    who, place = officer(commune), await village(identity, commune)
    body = {"unit": place, "number": "5", "people": 1}
    answers = await asyncio.gather(*(identity.client.post(HOUSEHOLDS, json=body, headers=who) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]
    many = [{**body, "number": str(n)} for n in range(10, 18)]
    answers = await asyncio.gather(*(identity.client.post(HOUSEHOLDS, json=one, headers=who) for one in many))
    assert {a.status_code for a in answers} == {201}
    assert (await last_register(identity, commune)).households == 9, "everybody counts what others entered before"


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"number": "0"}, 422, "number"),
    ({"number": "12a"}, 422, "number"),
    ({"number": "²"}, 422, "number"),
    ({"number": "10000"}, 422, "number"),
    ({"number": True}, 422, "number"),
    ({"people": 0}, 422, "people"),
    ({"people": 100}, 422, "people"),
    ({"address": "Số 7\x00"}, 422, "address"),
    ({"address": "a" * 201}, 422, "address"),
    ({"digital_code": "TK"}, 422, "lat"),
    ({"lat": 20.8, "lon": 106.4}, 422, "digital_code"),
    ({"digital_code": "TK", "lat": 48.8, "lon": 2.3}, 422, "lat"),
    ({"digital_code": "TK", "lat": 1e400, "lon": 106.4}, 422, "lat"),
    ({"livelihood": "Nông nghiệp"}, 422, "livelihood"),
    ({"poverty": "poor"}, 422, "reviewed_year"),
    ({"reviewed_year": YEAR}, 422, "poverty"),
    ({"poverty": "poor", "reviewed_year": YEAR + 1}, 422, "reviewed_year"),
    ({"unit": "11092"}, 409, "unit"),
    ({"unit": "99999-01"}, 404, ""),
    ({"name": "Nguyễn Văn A"}, 422, "name"),
    ({"digital_code": "TK", "lat": 20.8, "lon": 2.3}, 422, "lat"),
]


@pytest.mark.parametrize(("wrong", "status", "field"), WRONG, ids=[f"{n}" for n in range(len(WRONG))])
async def test_what_cannot_be_is_refused_and_nothing_written(
    identity: Running, wrong: dict[str, Any], status: int, field: str
) -> None:
    commune, place = "11092", "11092-01"
    if (await identity.client.get(f"{API}/units/{place}")).status_code == 404:
        assert await village(identity, commune) == place
    before = await count(identity, Household)
    body = {"unit": place, "number": "1", "people": 3, **wrong}
    content = json.dumps(body).replace("Infinity", "1e400")
    headers = {**officer(commune), "content-type": "application/json"}
    answer = await identity.client.post(HOUSEHOLDS, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    if field:
        assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert await count(identity, Household) == before


async def test_who_keeps_another_unit_sees_and_changes_nothing(identity: Running) -> None:
    commune, other = "11095", "11098"
    place, beside = await village(identity, commune), await village(identity, commune, "Tây")
    foreign = await village(identity, other)
    head = bearer(("village_head", f"{DISTRICT}/{commune}/{place}"))
    body = {"unit": place, "number": "1", "people": 3, **PLACE}
    made = await ask(identity, "POST", HOUSEHOLDS, head, 201, body)
    one = f"{HOUSEHOLDS}/{made['id']}"
    neighbour = bearer(("village_head", f"{DISTRICT}/{commune}/{beside}"))
    for who in (neighbour, officer(other), bearer(("resident", f"{DISTRICT}/{commune}"))):
        await ask(identity, "GET", one, who, 404)
        await ask(identity, "PUT", one, who, 404, body)
        await ask(identity, "POST", f"{one}/end", who, 404, {"why": "moved"})
        await ask(identity, "POST", f"{one}/return", who, 404)
        await ask(identity, "POST", HOUSEHOLDS, who, 403, {**body, "number": "2"})
        await ask(identity, "GET", f"{HOUSEHOLDS}?unit={place}", who, 403)
        await ask(identity, "POST", f"{HOUSEHOLDS}/imports", who, 403, {"unit": place, "csv": "x", "mode": "all"})
    viewer = bearer(("viewer", f"{DISTRICT}/{commune}"))
    assert (await ask(identity, "GET", one, viewer, 200))["address"] == PLACE["address"]
    await ask(identity, "PUT", one, viewer, 403, body)
    await ask(identity, "POST", f"{one}/end", viewer, 403, {"why": "moved"})
    await ask(identity, "POST", f"{one}/return", viewer, 403)
    # Neither over the border of the own village nor of the commune.
    await ask(identity, "PUT", one, head, 403, {**body, "unit": beside})
    both = bearer(("officer", f"{DISTRICT}/{commune}"), ("officer", f"{DISTRICT}/{other}"))
    assert (await ask(identity, "PUT", one, both, 409, {**body, "unit": foreign}))["code"] == "other_commune"
    await ask(identity, "PUT", f"{HOUSEHOLDS}/totals", head, 403, {
        "unit": commune, "households_in_all": 1, "offices": 0, "offices_located": 0,
    })  # fmt: skip
    assert len(await told(identity, made["id"])) == 1
    await ask(identity, "GET", f"{HOUSEHOLDS}/{uuid.uuid4()}", head, 404)


async def test_totals_that_cannot_be_are_refused(identity: Running) -> None:
    said = {"unit": "11101", "households_in_all": 900, "offices": 4, "offices_located": 5}
    wrong = await ask(identity, "PUT", f"{HOUSEHOLDS}/totals", officer("11101"), 422, said)
    assert [e["field"] for e in wrong["errors"]] == ["offices_located"]
    await ask(identity, "PUT", f"{HOUSEHOLDS}/totals", officer("11101"), 422, {**said, "households_in_all": 0})
    assert await told(identity, "households/11101") == []
    district = bearer(("admin", DISTRICT))
    assert (await ask(identity, "PUT", f"{HOUSEHOLDS}/totals", district, 409, {**said, "unit": "298", "offices": 9}))[
        "code"
    ] == "not_a_commune"


async def test_the_list_is_searched_with_and_without_marks_and_paged(identity: Running) -> None:
    commune = "11116"
    who, place = officer(commune), await village(identity, commune)
    for number in range(1, 6):
        body = {"unit": place, "number": number, "people": 2, "address": f"Ngõ Giếng Đồn {number}"}
        await ask(identity, "POST", HOUSEHOLDS, who, 201, body)
    await ask(identity, "POST", HOUSEHOLDS, who, 201, {"unit": place, "number": "1000", "people": 2, **PLACE})

    async def found(**asked: Any) -> tuple[list[str], str | None]:
        answer = await identity.client.get(HOUSEHOLDS, params={"unit": commune, **asked}, headers=who)
        assert answer.status_code == 200, answer.text
        return [h["number"] for h in answer.json()["items"]], answer.json()["next"]

    everything = [*(f"{n:03d}" for n in range(1, 6)), "1000"]
    assert await found() == (everything, None)
    paged, after = list[str](), ""
    for _ in range(3):
        page, following = await found(limit=2, after=after)
        paged, after = paged + page, following or ""
    assert (paged, after) == (everything, "")
    assert (await found(q="gieng don 4"))[0] == ["004"]
    assert (await found(q="NGÕ ĐÌNH"))[0] == ["1000"]
    assert (await found(q="tk-00712"))[0] == ["1000"]
    first, following = await found(q="ngo", limit=4)
    assert first == ["001", "002", "003", "004"]
    assert (await found(q="ngo", after=following))[0] == ["005", "1000"]
    assert (await found(q="không có"))[0] == []
    assert (
        await identity.client.get(HOUSEHOLDS, params={"unit": commune, "after": "x"}, headers=who)
    ).status_code == 400


async def test_where_people_live_rests_sealed_and_leaves_by_no_event(identity: Running) -> None:
    commune = "11119"
    who, place = officer(commune), await village(identity, commune)
    body = {"unit": place, "number": "1", "people": 3, **PLACE}
    made = (
        await identity.client.post(HOUSEHOLDS, json=body, headers={**who, "idempotency-key": str(uuid.uuid4())})
    ).json()
    async with identity.tx() as tx:
        kept = []
        for table in ("household", "outbox", "audit", "idempotency"):
            kept += list(await tx.scalars(sa.text(f"SELECT t::text FROM {table} t")))
    assert len(await told(identity, made["id"])) == 1
    for secret in (PLACE["address"], PLACE["digital_code"], str(PLACE["lat"]), str(PLACE["lon"])):
        text = str(secret)
        assert not [row[:200] for row in kept if text in row or text.encode().hex() in row], text


async def test_a_register_is_forgotten_where_its_commune_is_gone(identity: Running) -> None:
    async with identity.tx() as tx:
        zeros = dict.fromkeys((*register.TOLD, "people"), 0)
        tx.add(CommuneRegister(unit="99998", path="30/298/99998", since=today(), **zeros))
    async with identity.tx() as tx:
        await register.tell_everywhere(tx)
    async with identity.tx() as tx:
        assert await tx.get(CommuneRegister, "99998") is None
