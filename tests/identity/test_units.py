"""Administrative units: the official list, the villages staff enter, and what everybody else is refused."""

from __future__ import annotations

import asyncio
import unicodedata
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as events

from chassis.db import audit_table, outbox_table
from services.identity import seed
from services.identity.units import official
from services.identity.units.commands import village_name
from tests.identity.people import SECRETS
from tests.support.running import Running, bearer

UNITS = "/identity/api/v1/units"
DAI_SON = "30/298/11083"
HUNG_DAO = "11086"
OFFICER = bearer(("officer", DAI_SON))


def test_the_official_list_of_hai_duong_is_complete() -> None:
    units = official.hai_duong()
    assert Counter(u.level for u in units) == {"province": 1, "district": 12, "commune": 235}
    assert Counter(u.kind for u in units if u.level == "commune") == {"xa": 178, "phuong": 47, "thi_tran": 10}
    assert Counter(u.kind for u in units if u.level == "district") == {"huyen": 9, "thanh_pho": 2, "thi_xa": 1}
    assert len({u.code for u in units}) == len(units) == 248
    by_code = {u.code: u for u in units}
    for unit in units:
        above = unit.path.rpartition("/")[0]
        assert above == (by_code[unit.parent].path if unit.parent else "")
        assert unicodedata.is_normalized("NFC", unit.name)
        assert (unit.valid_from.isoformat(), unit.valid_to) == ("2019-12-01", None)
    named = [u.code for u in units if u.name == "Xã Đại Sơn"]
    assert named == [seed.COMMUNE]
    assert by_code["11074"].name == "Thị trấn Tứ Kỳ"


def test_a_province_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError):
        official.units_of("00", official.hai_duong()[0].valid_from, None)


@pytest.mark.parametrize(
    ("kind", "typed", "name"),
    [
        ("thon", "Nghĩa Dũng", "Thôn Nghĩa Dũng"),
        ("thon", "thôn Nghĩa Dũng", "Thôn Nghĩa Dũng"),
        ("khu", "La Tỉnh", "Khu dân cư La Tỉnh"),
        ("thon", "Thônnữ", "Thôn Thônnữ"),
    ],
)
def test_a_village_is_named_once(kind: str, typed: str, name: str) -> None:
    assert village_name(kind, typed) == name


async def test_units_are_published_once_each_under_their_commune(identity: Running) -> None:
    await seed.ensure(identity.runner.runtime, SECRETS)
    async with identity.tx() as tx:
        c = outbox_table.c
        rows = (await tx.execute(sa.select(outbox_table).where(c.type == "xaso.identity.v1.UnitEntered"))).all()
    official_rows = [r for r in rows if "-" not in r.unit]
    assert len(official_rows) == 248
    one = next(r for r in official_rows if r.unit == "11083")
    assert (one.topic, one.key, one.subject, one.sequence) == ("xaso.identity.v1", "11083", "11083@2019-12-01", 1)
    unit = events.UnitEntered.FromString(one.payload).unit
    assert (unit.name, unit.path, unit.valid_from, unit.valid_to) == ("Xã Đại Sơn", DAI_SON, "2019-12-01", "")


async def test_villages_entered_side_by_side_get_codes_without_gap(identity: Running) -> None:
    client = identity.client

    async def enter(number: int) -> Any:
        body = {"parent": "11083", "name": f"Thôn Số {number}"}
        return await client.post(UNITS, json=body, headers=OFFICER)

    answers = await asyncio.gather(*(enter(n) for n in range(8)))
    assert [a.status_code for a in answers] == [201] * 8
    assert sorted(a.json()["code"] for a in answers) == [f"11083-{n:02d}" for n in range(1, 9)]
    made = answers[0].json()
    assert made == {
        "code": made["code"],
        "name": "Thôn Số 0",
        "level": "village",
        "kind": "thon",
        "parent": "11083",
        "path": f"{DAI_SON}/{made['code']}",
        "valid_from": "2019-12-01",
        "valid_to": None,
    }
    async with identity.tx() as tx:
        row = (await tx.execute(sa.select(outbox_table).where(outbox_table.c.unit == made["code"]))).one()
        noted = await tx.scalar(sa.select(audit_table.c.action).where(audit_table.c.unit == made["code"]))
    assert (row.key, row.type, noted) == ("11083", "xaso.identity.v1.UnitEntered", "unit.entered")
    listed = await client.get(UNITS, params={"parent": "11083", "limit": 5})
    assert len(listed.json()["items"]) == 5
    rest = await client.get(UNITS, params={"parent": "11083", "limit": 5, "after": listed.json()["next"]})
    assert [u["code"] for u in rest.json()["items"]] == ["11083-06", "11083-07", "11083-08"]
    assert rest.json()["next"] is None


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ({}, 401),
        (bearer(("resident", DAI_SON)), 403),
        (bearer(("viewer", "30")), 403),
        (bearer(("officer", "30/298/11086")), 403),
        (bearer(("officer", "30/298/1108")), 403),
        ({"authorization": "Bearer nonsense"}, 401),
        ({"authorization": "Basic Zm9v"}, 401),
    ],
)
async def test_only_staff_of_the_commune_enter_villages(identity: Running, who: dict[str, str], status: int) -> None:
    answer = await identity.client.post(UNITS, json={"parent": "11083", "name": "Trộm"}, headers=who)
    assert answer.status_code == status, answer.text
    found = await identity.client.get(UNITS, params={"q": "Trộm", "level": "village"})
    assert found.json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"parent": "99999", "name": "A"}, 404, "unknown_unit"),
        ({"parent": "298", "name": "A"}, 409, "not_a_commune"),
        ({"parent": "11083", "name": ""}, 422, "invalid"),
        ({"parent": "11083", "name": "x" * 81}, 422, "invalid"),
        ({"parent": "11083", "name": "A\x00B"}, 422, "invalid"),
        ({"parent": "11083\x00", "name": "A"}, 422, "invalid"),
        ({"parent": "11083", "name": "A", "kind": "ấp"}, 422, "invalid"),
        ({"parent": 11083, "name": "A"}, 422, "invalid"),
        ({"parent": "11083"}, 422, "invalid"),
    ],
)
async def test_bad_villages_are_refused(identity: Running, body: dict[str, Any], status: int, code: str) -> None:
    answer = await identity.client.post(UNITS, json=body, headers=bearer(("admin", "30")))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_village_is_entered_once_also_when_typed_decomposed_or_sent_again(identity: Running) -> None:
    headers = {**OFFICER, "idempotency-key": "village-1"}
    body = {"parent": "11083", "name": unicodedata.normalize("NFD", "Mỹ Ân")}
    first = await identity.client.post(UNITS, json=body, headers=headers)
    assert first.status_code == 201
    assert first.json()["name"] == "Thôn Mỹ Ân"
    replay = await identity.client.post(UNITS, json=body, headers=headers)
    assert (replay.status_code, replay.json()) == (201, first.json())
    again = await identity.client.post(UNITS, json={"parent": "11083", "name": "thôn mỹ ân"}, headers=OFFICER)
    assert (again.status_code, again.json()["code"]) == (409, "village_exists")


async def test_units_are_found_without_marks_and_as_of_a_date(identity: Running) -> None:
    client = identity.client
    found = (await client.get(UNITS, params={"q": "dai son", "level": "commune"})).json()
    assert [u["code"] for u in found["items"]] == ["11083"]
    assert (await client.get(f"{UNITS}/11083", params={"as_of": "2019-11-30"})).status_code == 404
    assert (await client.get(f"{UNITS}/11083", params={"as_of": "2020-01-01"})).json()["name"] == "Xã Đại Sơn"
    districts = (await client.get(UNITS, params={"parent": "30", "limit": 200})).json()["items"]
    assert len(districts) == 12
    assert (await client.get(UNITS, params={"after": "%%%"})).status_code == 400
    assert (await client.get(UNITS, params={"limit": 0})).status_code == 422
    assert (await client.get(UNITS, params={"as_of": "hôm nay"})).status_code == 422
    assert (await client.get(UNITS, params={"q": "\x00"})).status_code == 400
    assert (await client.get(f"{UNITS}/{'9' * 50}")).status_code == 422


async def test_a_village_is_renamed_and_ended_and_its_code_is_not_given_again(identity: Running) -> None:
    client = identity.client
    made = (await client.post(UNITS, json={"parent": "11089", "name": "Cũ"}, headers=bearer(("admin", "30")))).json()
    await client.post(UNITS, json={"parent": "11089", "name": "Khác"}, headers=bearer(("admin", "30")))
    staff = bearer(("officer", "30/298/11089"))
    url = f"{UNITS}/{made['code']}"
    same = await client.post(f"{url}/rename", json={"name": "khac"}, headers=staff)
    assert (same.status_code, same.json()["code"]) == (409, "village_exists")
    for who, status in (({}, 401), (OFFICER, 403), (bearer(("village_head", made["path"])), 403)):
        assert (await client.post(f"{url}/rename", json={"name": "Trộm"}, headers=who)).status_code == status
        assert (await client.post(f"{url}/end", json={"on": "2026-01-01"}, headers=who)).status_code == status
    assert (await client.post(f"{url}/rename", json={"name": "Mới"}, headers=staff)).json()["name"] == "Thôn Mới"
    for on, code in (("2019-12-01", "end_out_of_range"), ("2999-01-01", "end_out_of_range"), ("mai", "invalid")):
        refused = await client.post(f"{url}/end", json={"on": on}, headers=staff)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    ended = await client.post(f"{url}/end", json={"on": "2026-01-01"}, headers=staff)
    assert ended.json()["valid_to"] == "2026-01-01"
    assert (await client.get(url)).status_code == 404
    assert (await client.get(url, params={"as_of": "2025-12-31"})).json()["name"] == "Thôn Mới"
    again = await client.post(UNITS, json={"parent": "11089", "name": "Mới"}, headers=staff)
    assert again.json()["code"] == "11089-03"
    commune = await client.post(f"{UNITS}/11089/end", json={"on": "2026-01-01"}, headers=bearer(("admin", "30")))
    assert (commune.status_code, commune.json()["code"]) == (409, "not_a_village")
    async with identity.tx() as tx:
        c = outbox_table.c
        rows = await tx.execute(sa.select(c.type, c.sequence).where(c.unit == made["code"]).order_by(c.sequence))
        kinds = [(row.type.rpartition(".")[2], row.sequence) for row in rows]
    assert kinds == [("UnitEntered", 1), ("UnitChanged", 2), ("UnitEnded", 3)]
