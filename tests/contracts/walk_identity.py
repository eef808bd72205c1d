"""Owns the cases of identity in the walk, and its routes that are open to everybody, each with its reason."""

from __future__ import annotations

import itertools
import uuid
from datetime import timedelta

import sqlalchemy as sa

from chassis import units
from tests.contracts.walk import A_OTHER_VILLAGE, A_VILLAGE, A, Case, Made, Stage

API = "/api/v1"
PASSWORD = "một câu thật dài của người thử"
numbers = itertools.count(1)
"""Of households, each of another one."""


def person() -> dict[str, str]:
    return {
        "name": f"Nguyễn Văn {uuid.uuid4()}",
        "username": f"u{uuid.uuid4().hex[:12]}",
        "password": PASSWORD,
        "role": "officer",
        "unit": A.code,
    }


async def account(stage: Stage) -> Made:
    made = await stage.do("admin", "POST", f"{API}/accounts", person())
    return {"account_id": made["id"], "grant_id": made["grants"][0]["id"], "name": made["name"]}


async def handover(stage: Stage) -> Made:
    """A role on a unit that ended, with A as its successor; a reorganisation makes one, no public face does."""
    made, waits, change = await account(stage), uuid.uuid4(), f"walk-{uuid.uuid4()}"
    given = {"id": waits, "change": change, "grant": uuid.UUID(made["grant_id"]), "code": A.code, "since": A.valid_from}
    async with stage.running.tx() as tx:
        for statement in (
            "INSERT INTO change_set (id, title, effective_on, legal_basis, sources, digest, counts, applied_at)"
            " VALUES (:change, 'Sắp xếp', '2020-01-01', 'NQ', '{}', :change, '{}', now())",
            "INSERT INTO succession (predecessor, predecessor_from, successor, successor_from, change_set, numerator,"
            " denominator, legal_basis, note) VALUES (:change, '2010-01-01', :code, :since, :change, 1, 1, 'NQ', '')",
            "INSERT INTO unsettled_role (id, change_set, grant_id, role, unit, unit_from, reason)"
            " VALUES (:id, :change, :grant, 'officer', :change, '2010-01-01', 'the unit was split')",
            "UPDATE role_grant SET revoked_at = now(), revoked_by = :change WHERE id = :grant",
        ):
            await tx.execute(sa.text(statement), {k: v for k, v in given.items() if f":{k}" in statement})
    return {**made, "handover_id": str(waits)}


async def team(stage: Stage) -> Made:
    body = {"unit": A_VILLAGE.code, "name": "Tổ công nghệ số cộng đồng", "member_count": 5}
    made = await stage.do("officer", "POST", f"{API}/teams", body)
    return {"team_id": made["id"]}


async def logged(stage: Stage) -> Made:
    made, note = await team(stage), f"Hướng dẫn bà {uuid.uuid4()}"
    body = {"content": "cashless", "participants": 20, "note": note}
    await stage.do("officer", "POST", f"{API}/teams/{made['team_id']}/activities", body)
    return {**made, "note": note}


async def household(stage: Stage) -> Made:
    where = f"Ngõ {uuid.uuid4()}"
    body = {"unit": A_VILLAGE.code, "number": next(numbers), "people": 4, "address": where}
    made = await stage.do("officer", "POST", f"{API}/households", body)
    return {"household_id": made["id"], "number": made["number"], "where": where}


async def ended_household(stage: Stage) -> Made:
    made = await household(stage)
    await stage.do("officer", "POST", f"{API}/households/{made['household_id']}/end", {"why": "mistake"})
    return made


async def free_number(_stage: Stage) -> Made:
    return {"number": f"{next(numbers):03d}"}


async def here(_stage: Stage) -> Made:
    return {"code": A.code}


async def disabled(stage: Stage) -> Made:
    made = await account(stage)
    await stage.do("leader", "POST", f"{API}/accounts/{made['account_id']}/disable")
    return made


async def new_village(stage: Stage) -> Made:
    made = await stage.do("officer", "POST", f"{API}/units", {"parent": A.code, "name": f"Thôn {uuid.uuid4()}"})
    return {
        "code": made["code"],
        "new": f"Thôn {uuid.uuid4()}",
        "tomorrow": (units.today() + timedelta(days=1)).isoformat(),
    }


async def today(stage: Stage) -> Made:
    found = await stage.do("officer", "GET", f"{API}/teams/{(await team(stage))['team_id']}")
    return {"team_id": found["id"], "day": found["registered_on"]}


OPEN = {
    f"GET {API}/me": "says what the token of the request itself says",
    f"GET {API}/units": "administrative units are public",
    f"GET {API}/units/{{code}}": "administrative units are public",
    f"GET {API}/units/{{code}}/history": "administrative units are public, also those that ended",
    f"GET {API}/teams": "teams and their counts are public figures",
    f"GET {API}/teams/{{team_id}}": "teams and their counts are public figures",
    f"GET {API}/households/summary": "counts of households are public figures",
    f"GET {API}/directory": "staff who agreed to be listed",
    "GET /.well-known/openid-configuration": "protocol: discovery",
    "GET /jwks.json": "protocol: public keys",
    "GET /ended.json": "protocol: fingerprints of sessions that ended early, for every verifier",
    "POST /token": "protocol: the client's secret or the code is what is checked (tests/identity/test_oidc.py)",
    "POST /revoke": "protocol: the client's secret is what is checked (tests/identity/test_oidc.py)",
    "GET /userinfo": "protocol: says what the token of the request itself stands for",
    "POST /userinfo": "protocol: says what the token of the request itself stands for",
    "GET /authorize": "protocol: about the signed-in person alone",
    "POST /authorize": "protocol: about the signed-in person alone",
    "GET /": "counts and listed staff of a unit, all public",
    "GET /directory": "staff who agreed to be listed",
    "GET /directory.csv": "staff who agreed to be listed",
    "GET /login": "the form",
    "POST /login": "the password is what is checked (tests/identity/test_pages.py)",
    "POST /logout": "ends the session of the cookie itself",
    "GET /register": "the form",
    "POST /register": "anybody may register as a resident, and gets no other role",
    "GET /account": "one's own account, found by the token's subject",
    "POST /account/password": "one's own account, found by the token's subject",
    "GET /account/export": "one's own account, found by the token's subject",
    "GET /account/erase": "one's own account, found by the token's subject",
    "POST /account/erase": "one's own account, found by the token's subject",
    "POST /account/contact": "one's own entry, found by the token's subject",
    "POST /account/contact/withdraw": "one's own entry, found by the token's subject",
    "POST /account/smartphone": "one's own answer, found by the token's subject",
    "GET /units": "administrative units are public",
    "GET /units/{code}": "administrative units are public",
    "GET /teams": "teams and their counts are public figures",
}
TOTALS = {"unit": A.code, "households_in_all": 9, "offices": 2, "offices_located": 1}
FILE = f"Thôn,Số thứ tự hộ,Số người\n{A_VILLAGE.name},{{number}},3\n"
OF_ACCOUNT = f"{API}/accounts/{{account_id}}"

CASES = (
    Case(f"GET {API}/accounts", "leader", account, hidden="{account_id}"),
    Case(f"POST {API}/accounts", "leader", json=person()),
    Case(f"GET {OF_ACCOUNT}", "leader", account),
    Case(f"POST {OF_ACCOUNT}/grants", "leader", account, json={"role": "viewer", "unit": A.code}),
    Case(f"POST {OF_ACCOUNT}/grants/{{grant_id}}/revoke", "leader", account),
    Case(f"POST {OF_ACCOUNT}/disable", "leader", account),
    Case(f"POST {OF_ACCOUNT}/enable", "leader", disabled),
    Case(f"POST {OF_ACCOUNT}/password", "leader", account, json={"password": f"{PASSWORD} 2"}),
    Case(f"POST {API}/units", json={"parent": A.code, "name": "Thôn Mới"}),
    Case(f"POST {API}/units/{{code}}/rename", arrange=new_village, json={"name": "{new}"}),
    Case(f"POST {API}/units/{{code}}/end", arrange=new_village, json={"on": "{tomorrow}"}),
    Case(f"POST {API}/teams", json={"unit": A_VILLAGE.code, "name": "Tổ mới", "member_count": 3}),
    Case(f"GET {API}/teams/{{team_id}}/activities", arrange=logged, hidden="{note}"),
    Case(f"POST {API}/teams/{{team_id}}/activities", arrange=team, json={"content": "safety", "participants": 3}),
    Case(f"POST {API}/teams/{{team_id}}/dissolve", arrange=team),
    Case(f"GET {API}/households", arrange=household, query={"unit": A_VILLAGE.code}, hidden="{where}"),
    Case(
        f"POST {API}/households",
        arrange=free_number,
        json={"unit": A_VILLAGE.code, "number": "{number}", "people": 3},
    ),
    Case(f"PUT {API}/households/totals", json=TOTALS),
    Case(f"POST {API}/households/imports", arrange=free_number, json={"unit": A.code, "csv": FILE, "mode": "all"}),
    Case(f"GET {API}/households/{{household_id}}", arrange=household),
    Case(
        f"PUT {API}/households/{{household_id}}",
        arrange=household,
        json={"unit": A_VILLAGE.code, "number": "{number}", "people": 9},
    ),
    Case(f"POST {API}/households/{{household_id}}/end", arrange=household, json={"why": "moved"}),
    Case(f"POST {API}/households/{{household_id}}/return", arrange=ended_household),
    Case("GET /households", arrange=household, query={"unit": A_VILLAGE.code}, hidden="{where}"),
    Case("GET /households.csv", arrange=household, query={"unit": A.code}, hidden="{where}"),
    Case("GET /households/template.csv", query={"unit": A.code}),
    Case("GET /households/new", query={"unit": A_VILLAGE.code}, hidden=f'value="{A_VILLAGE.code}"'),
    Case(
        "POST /households/new",
        arrange=free_number,
        form={"unit": A_VILLAGE.code, "number": "{number}", "people": "3"},
    ),
    Case("POST /households/totals", form={name: str(value) for name, value in TOTALS.items()}),
    Case("GET /households/import", query={"unit": A.code}),
    Case(
        "POST /households/import",
        form={"unit": A.code},
        files={"file": ("so-ho.csv", FILE.replace("{number}", "990").encode(), "text/csv")},
        looks=True,
    ),
    Case(
        "POST /households/import/apply",
        arrange=free_number,
        form={"unit": A.code, "content": FILE, "mode": "valid"},
    ),
    Case("GET /households/{household_id}", arrange=household),
    Case(
        "POST /households/{household_id}",
        arrange=household,
        form={"unit": A_VILLAGE.code, "number": "{number}", "people": "8"},
    ),
    Case("POST /households/{household_id}/end", arrange=household, form={"why": "merged"}),
    Case("POST /households/{household_id}/return", arrange=ended_household),
    Case("GET /accounts", "leader", account, hidden="{account_id}"),
    Case("GET /accounts/new", "leader", query={"unit": A.code}, hidden=f"({A_OTHER_VILLAGE.code})"),
    Case("POST /accounts/new", "leader", form=person()),
    Case("GET /accounts/{account_id}", "leader", account),
    Case("POST /accounts/{account_id}/grants", "leader", account, form={"role": "viewer", "unit": A.code}),
    Case("POST /accounts/{account_id}/grants/{grant_id}/revoke", "leader", account),
    Case("POST /accounts/{account_id}/smartphone", "leader", account, form={"smartphone": "yes"}),
    Case("POST /accounts/{account_id}/disable", "leader", account),
    Case("POST /accounts/{account_id}/enable", "leader", disabled),
    Case("POST /accounts/{account_id}/password", "leader", account, form={"password": f"{PASSWORD} 3"}),
    Case("GET /handovers", "leader", handover, hidden="{name}"),
    Case("POST /handovers/{handover_id}/give", "leader", handover, form={"unit": A.code}),
    Case("POST /handovers/{handover_id}/leave", "leader", handover),
    Case("POST /units/{code}/rename", arrange=new_village, form={"name": "{new}"}),
    Case("POST /units/{code}/villages", arrange=here, form={"name": "Thôn Mới Nữa", "kind": "thon"}),
    Case("GET /teams/new", query={"unit": A_VILLAGE.code}, hidden=f'value="{A_VILLAGE.code}"'),
    Case(
        "POST /teams/new",
        arrange=today,
        form={"unit": A_VILLAGE.code, "name": "Tổ mới nữa", "member_count": "4", "registered_on": "{day}"},
    ),
    Case("GET /teams/{team_id}", arrange=logged, hidden="{note}"),
    Case(
        "POST /teams/{team_id}/activities",
        arrange=today,
        form={"held_on": "{day}", "kind": "class", "content": "safety", "participants": "3"},
    ),
    Case("GET /teams/{team_id}/dissolve", arrange=team),
    Case("POST /teams/{team_id}/dissolve", arrange=team),
)
