"""Community digital teams: registered, active, dissolved; each change told with the whole state."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as events

from chassis.db import outbox_table
from chassis.units import today
from tests.support.running import Running, bearer

TEAMS = "/identity/api/v1/teams"
DAI_SON = "30/298/11083"
OFFICER = bearer(("officer", DAI_SON))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def village(identity: Running) -> str:
    answer = await identity.client.post(
        "/identity/api/v1/units", json={"parent": "11083", "name": "Nghĩa Dũng"}, headers=OFFICER
    )
    return str(answer.json()["code"])


async def new_team(run: Running, village: str, **changed: Any) -> dict[str, Any]:
    body = {"unit": village, "name": "Tổ thôn Nghĩa Dũng", "member_count": 7, "registered_on": "2024-03-01", **changed}
    answer = await run.client.post(TEAMS, json=body, headers=OFFICER)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def told(run: Running, team: str) -> list[Any]:
    """The events of a team, decoded, in order."""
    async with run.tx() as tx:
        c = outbox_table.c
        rows = await tx.execute(sa.select(outbox_table).where(c.subject == team).order_by(c.sequence))
        return [getattr(events, r.type.rpartition(".")[2]).FromString(r.payload) for r in rows]


async def test_a_team_is_registered_logs_and_is_dissolved(identity: Running, village: str) -> None:
    client = identity.client
    team = await new_team(identity, village)
    url = f"{TEAMS}/{team['id']}"
    said = (
        ("2024-05-01", "cashless", "class"),
        ("2025-12-31", "safety", "support"),
        ("2025-01-01", "ecommerce", "class"),
    )
    for on, content, kind in said:
        body = {"held_on": on, "content": content, "kind": kind, "participants": 30, "note": "Ở nhà văn hóa"}
        assert (await client.post(f"{url}/activities", json=body, headers=OFFICER)).status_code == 201
    head = bearer(("village_head", f"{DAI_SON}/{village}"))
    body = {"content": "public_services", "participants": 12}
    assert (await client.post(f"{url}/activities", json=body, headers=head)).status_code == 201
    state = (await client.get(url)).json()
    assert state["activities_by_year"] == {"2024": 1, "2025": 2, str(today().year): 1}
    assert state["classes_by_year"] == {"2024": 1, "2025": 1}, "what is not said to be a class is none"
    assert state["last_activity_on"] == today().isoformat()
    public = (await client.get(f"{url}/activities", params={"limit": 3})).json()
    assert [a["note"] for a in public["items"]] == [None] * 3
    assert [a["kind"] for a in public["items"]] == ["support", "support", "class"]
    mine = await client.get(f"{url}/activities", params={"after": public["next"]}, headers=OFFICER)
    assert [(a["held_on"], a["note"]) for a in mine.json()["items"]] == [("2024-05-01", "Ở nhà văn hóa")]
    ended = await client.post(f"{url}/dissolve", headers=OFFICER)
    assert ended.json()["dissolved_on"] == today().isoformat()
    for late in ("activities", "dissolve"):
        answer = await client.post(f"{url}/{late}", json=body, headers=OFFICER)
        assert (answer.status_code, answer.json()["code"]) == (409, "team_dissolved")
    seen = await told(identity, team["id"])
    assert [type(e).__name__ for e in seen] == [
        "DigitalTeamRegistered",
        *["DigitalTeamActivityLogged"] * 4,
        "DigitalTeamDissolved",
    ]
    last = seen[-1].team
    assert (last.unit, last.member_count, last.registered_on) == (village, 7, "2024-03-01")
    assert dict(last.classes_by_year) == {2024: 1, 2025: 1}
    assert dict(last.activities_by_year) == {2024: 1, 2025: 2, today().year: 1}
    assert last.dissolved_on == today().isoformat()
    assert "nhà văn hóa" not in str(seen), "notes may name people and stay here"


async def test_activities_logged_side_by_side_are_all_counted(identity: Running, village: str) -> None:
    team = await new_team(identity, village)
    body = {"content": "safety", "participants": 1}
    url = f"{TEAMS}/{team['id']}/activities"
    answers = await asyncio.gather(*(identity.client.post(url, json=body, headers=OFFICER) for _ in range(6)))
    assert [a.status_code for a in answers] == [201] * 6
    counts = [dict(e.team.activities_by_year).get(today().year, 0) for e in await told(identity, team["id"])]
    assert counts == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"unit": "11083"}, 409, "not_a_village"),
        ({"unit": "11083-99"}, 404, "unknown_unit"),
        ({"member_count": 0}, 422, "invalid"),
        ({"member_count": 10**9}, 422, "invalid"),
        ({"member_count": 2.5}, 422, "invalid"),
        ({"registered_on": (today() + timedelta(days=1)).isoformat()}, 422, "in_the_future"),
        ({"registered_on": "0000-01-01"}, 422, "invalid"),
        ({"name": "x\x00"}, 422, "invalid"),
        ({"name": " "}, 422, "invalid"),
    ],
)
async def test_bad_teams_are_refused(
    identity: Running, village: str, changed: dict[str, Any], status: int, code: str
) -> None:
    body = {"unit": village, "name": "Tổ", "member_count": 5, **changed}
    answer = await identity.client.post(TEAMS, json=body, headers=OFFICER)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"held_on": (today() + timedelta(days=1)).isoformat()}, 422, "in_the_future"),
        ({"held_on": "2024-02-29"}, 422, "before_the_team"),
        ({"content": "karaoke"}, 422, "invalid"),
        ({"kind": "karaoke"}, 422, "invalid"),
        ({"participants": -1}, 422, "invalid"),
        ({"note": "x" * 2001}, 422, "invalid"),
        ({"note": "a\x00b"}, 422, "invalid"),
    ],
)
async def test_bad_activities_are_refused(
    identity: Running, village: str, changed: dict[str, Any], status: int, code: str
) -> None:
    team = await new_team(identity, village)
    body = {"content": "safety", "participants": 5, **changed}
    answer = await identity.client.post(f"{TEAMS}/{team['id']}/activities", json=body, headers=OFFICER)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert len(await told(identity, team["id"])) == 1


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ({}, 401),
        (bearer(("resident", DAI_SON)), 403),
        (bearer(("viewer", DAI_SON)), 403),
        (bearer(("officer", "30/298/11086")), 403),
        (bearer(("village_head", f"{DAI_SON}/11083-77")), 403),
    ],
)
async def test_others_only_read(identity: Running, village: str, who: dict[str, str], status: int) -> None:
    team = await new_team(identity, village)
    url = f"{TEAMS}/{team['id']}"
    body = {"content": "safety", "participants": 5}
    new = {"unit": village, "name": "Tổ", "member_count": 5}
    assert (await identity.client.post(TEAMS, json=new, headers=who)).status_code == status
    assert (await identity.client.post(f"{url}/activities", json=body, headers=who)).status_code == status
    assert (await identity.client.post(f"{url}/dissolve", headers=who)).status_code == status
    assert (await identity.client.get(url, headers=who)).json()["dissolved_on"] is None


async def test_teams_are_listed_below_a_unit(identity: Running, village: str) -> None:
    made = {(await new_team(identity, village))["id"] for _ in range(3)}
    seen: list[str] = []
    after = None
    while True:
        query = {"unit": "298", "limit": "2", **({"after": after} if after else {})}
        page = (await identity.client.get(TEAMS, params=query)).json()
        seen += [t["id"] for t in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    assert (await identity.client.get(TEAMS, params={"unit": "11086"})).json()["items"] == []
    assert (await identity.client.get(f"{TEAMS}/{uuid.uuid4()}")).status_code == 404
    assert (await identity.client.get(f"{TEAMS}/nonsense")).status_code == 422
