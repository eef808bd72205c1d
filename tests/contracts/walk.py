"""Owns the walk of route × role × foreign unit: who is foreign, how a route is asked, and what must not change.

Commune A owns every object; each case below asks one route about such an object in the name of everybody who has no
business there, expects a refusal, finds the database as it was, and then has an owner do the same with success, so that
a refusal for another reason (a wrong body, a wrong address) does not pass for a safe route.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import httpx
import sqlalchemy as sa
from fastapi.routing import iter_route_contexts
from xaso.identity.v1 import events_pb2 as identity_events

from chassis.db import dead_letter_table, new_id, now
from chassis.units import Unit
from tests.support.running import Running, bearer, commune, village

A = commune()
A_VILLAGE = village(A)
A_OTHER_VILLAGE = village(A, 2, "Thôn An Lao")
B = commune("11086", "Xã Hưng Đạo")
B_VILLAGE = village(B, 1, "Thôn Lạc Dục")
# Its code begins with the code of A: a comparison of paths without the separator takes it for a part of A.
LOOKALIKE = commune("110741", "Xã Giống Mã")
OTHER_PROVINCE = Unit("31", "Thành phố Hải Phòng", "province", "thanh_pho", "", "31", date(2020, 1, 1))
OTHER_DISTRICT = Unit("299", "Huyện Thanh Miện", "district", "huyen", "30", "30/299", date(2020, 1, 1))
UNITS = (A, A_VILLAGE, A_OTHER_VILLAGE, B, B_VILLAGE, LOOKALIKE, OTHER_PROVINCE, OTHER_DISTRICT)

PARTNER_SCOPES = (
    "identity.units.read identity.teams.read petitions.read petitions.write ecommerce.read ecommerce.notices.write "
    "indicators.read indicators.observations.write media.read media.write"
)

Headers = dict[str, str]


def partner(path: str, scope: str) -> Headers:
    return bearer(("partner", path), kind="partner", client_id="doi-tac", scope=scope, subject="client:doi-tac")


FOREIGN: dict[str, Headers] = {
    "anonymous": {},
    "resident of another commune": bearer(("resident", B.path)),
    "village head of another commune": bearer(("village_head", B_VILLAGE.path)),
    "officer of another commune": bearer(("officer", B.path)),
    "leader of another commune": bearer(("leader", B.path)),
    "viewer of another commune": bearer(("viewer", B.path)),
    "producer of another commune": bearer(("producer", B.path)),
    "administrator of another commune": bearer(("admin", B.path)),
    "officer of a commune with a longer code": bearer(("officer", LOOKALIKE.path)),
    "viewer of another district": bearer(("viewer", OTHER_DISTRICT.path)),
    "administrator of another province": bearer(("admin", OTHER_PROVINCE.path)),
    "leader of another province": bearer(("leader", OTHER_PROVINCE.path)),
    "partner of another commune": partner(B.path, PARTNER_SCOPES),
}
"""Those whose grants all lie elsewhere."""
INSIDE: dict[str, Headers] = {
    "another resident": bearer(("resident", A.path), subject="resident-else"),
    "another producer": bearer(("producer", A.path), subject="producer-else"),
    "village head of another village": bearer(("village_head", A_OTHER_VILLAGE.path)),
    "partner without scope": partner(A.path, "openid"),
    "somebody without any role": bearer(),
}
"""Those of the same commune who have no more to say here than the public."""
ONLOOKERS: dict[str, Headers] = {"viewer": bearer(("viewer", A.path))}
"""Those who may look, and change nothing."""
OWNERS: dict[str, Headers] = {
    "resident": bearer(("resident", A.path), subject="resident-1", name="Nguyễn Thị An"),
    "officer": bearer(("officer", A.path), subject="officer-1", name="Lê Thị Chi"),
    "leader": bearer(("leader", A.path), subject="leader-1"),
    "producer": bearer(("producer", A.path), subject="producer-1"),
    "admin": bearer(("admin", "30"), subject="admin-1"),
}
"""Those of commune A in whose names things are arranged and done in the end."""

SAFE = ("GET", "HEAD")
Made = dict[str, str]
Arrange = Callable[["Stage"], Awaitable[Made]]


async def nothing(_stage: Stage) -> Made:
    return {}


@dataclass(frozen=True)
class Case:
    """One route asked about an object of commune A. Texts may hold `{names}` of what `arrange` returned.

    `allows` names principals of the lists above who may do it after all; `only` restricts the walk to some.
    `hidden` is for routes that answer everybody, each with their own: a text no foreign answer may hold, and the
    owner's must. `looks` is for a POST that only looks at what it is sent, and writes nothing.
    """

    route: str
    owner: str = "officer"
    arrange: Arrange = nothing
    json: Any = None
    form: Mapping[str, str] | None = None
    files: Mapping[str, tuple[str, bytes, str]] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    hidden: str = ""
    allows: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    streams: bool = False
    looks: bool = False

    @property
    def method(self) -> str:
        return self.route.split(" ", 1)[0]

    def path(self, made: Made) -> str:
        path = self.route.split(" ", 1)[1]
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda m: made[m[1]], path)

    def principals(self) -> dict[str, Headers]:
        everybody = FOREIGN | INSIDE | (ONLOOKERS if self.method not in SAFE else {})
        if self.only:
            return {name: everybody[name] for name in self.only}
        assert set(self.allows) <= set(everybody), f"{self.route} allows somebody unknown: {self.allows}"
        return {name: who for name, who in everybody.items() if name not in self.allows}


@dataclass
class Stage:
    """A running service and the ways to arrange things in it by its own API."""

    name: str
    running: Running

    async def ask(self, who: Headers, method: str, path: str, **more: Any) -> httpx.Response:
        """One request of one person, with no cookie of anybody; nobody's forms carry a matching CSRF token."""
        client = self.running.client
        client.cookies.clear()
        headers = dict(who)
        if not who and method not in SAFE:
            client.cookies.set("xaso_csrf", "token-of-the-walk")
            headers["x-csrf-token"] = "token-of-the-walk"
        page = "/api/" not in path
        headers["accept"] = "text/html" if page else "application/json"
        # An answer that streams would never end: whoever gets one fails by time.
        async with asyncio.timeout(20):
            return await client.request(method, f"/{self.name}{path}", headers=headers, **more)

    async def do(self, who: str, method: str, path: str, json: Any = None, **more: Any) -> dict[str, Any]:
        """One request of an owner that must succeed: its JSON."""
        response = await self.ask(OWNERS[who], method, path, json=json, **more)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return dict(response.json())

    async def digest(self) -> dict[str, str]:
        """Every table of the service's database and a hash of all its rows."""
        async with self.running.tx() as tx:
            names = await tx.scalars(
                sa.text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
            )
            # One statement for all tables, so that the walk stays quick.
            rows = "count(*) || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))"
            parts = [f"SELECT '{name}', {rows} FROM \"{name}\" t" for name in names]
            return {row[0]: row[1] for row in await tx.execute(sa.text(" UNION ALL ".join(parts)))}


def fill(value: Any, made: Made) -> Any:
    """`value` with `{names}` filled in, through dictionaries and lists."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: made.get(m[1], m[0]), value)
    if isinstance(value, Mapping):
        return {key: fill(one, made) for key, one in value.items()}
    if isinstance(value, list):
        return [fill(one, made) for one in value]
    return value


def refused(response: httpx.Response) -> bool:
    """Whether the answer is a refusal: 401, 403, 404, or the way to sign in."""
    if response.status_code == 303:
        return response.headers["location"].startswith("/identity/login?next=")
    return response.status_code in (401, 403, 404)


async def walk(stage: Stage, case: Case) -> list[str]:
    """Ask one route in everybody's name; returns what went wrong, in words."""
    made = await case.arrange(stage)
    request: dict[str, Any] = {"params": fill(case.query, made)}
    if case.json is not None:
        request["json"] = fill(case.json, made)
    if case.form is not None:
        request["data"] = fill(case.form, made)
    if case.files is not None:
        request["files"] = case.files
    path, wrong = case.path(made), []
    before = await stage.digest()
    hidden = fill(case.hidden, made)
    for name, who in case.principals().items():
        response = await stage.ask(who, case.method, path, **request)
        if case.hidden:
            if not (refused(response) or (response.status_code == 200 and hidden not in response.text)):
                wrong.append(f"{case.route}: {name} got {response.status_code} with {hidden}")
        elif not refused(response):
            wrong.append(f"{case.route}: {name} got {response.status_code}: {response.text[:200]}")
    after = await stage.digest()
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        wrong.append(f"{case.route}: tables changed though everybody was refused: {', '.join(changed)}")
    if wrong or case.streams:
        return wrong
    response = await stage.ask(OWNERS[case.owner], case.method, path, **request)
    if response.status_code >= 400 or refused(response):
        wrong.append(f"{case.route}: {case.owner} of the commune got {response.status_code}: {response.text[:300]}")
    elif case.hidden and hidden not in response.text:
        wrong.append(f"{case.route}: {case.owner} of the commune got an answer without {hidden}")
    elif case.method not in SAFE and (await stage.digest() == before) is not case.looks:
        what = "something" if case.looks else "nothing"
        wrong.append(f"{case.route}: {case.owner} of the commune changed {what}: {response.status_code}")
    return wrong


def routes(running: Running) -> set[str]:
    """Every route the application answers, as `METHOD /path` without the service's prefix."""
    found = set()
    for context in iter_route_contexts(running.runner.app.routes):
        for method in context.methods or ():
            if method != "HEAD":
                found.add(f"{method} {context.path}")
    return found


def described(running: Running) -> set[str]:
    """The routes of the OpenAPI description."""
    paths = running.runner.app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


EVERYWHERE = {
    "GET /openapi.json": "the description of the API, without data",
    "GET /healthz": "says that the process lives",
    "GET /readyz": "says whether the process is ready, and no more",
}
"""Routes of the chassis that every service has, open to everybody."""


async def dead_letter(stage: Stage) -> Made:
    """An event that waits to be replayed; it comes out of Kafka, so no public face makes one."""
    unit = Unit("11090", f"Xã Thử {uuid.uuid4()}", "commune", "xa", "298", "30/298/11090", date(2020, 1, 1))
    message = identity_events.UnitEntered(
        unit=identity_events.Unit(
            code=unit.code,
            name=unit.name,
            level=unit.level,
            kind=unit.kind,
            parent=unit.parent,
            path=unit.path,
            valid_from=unit.valid_from.isoformat(),
        )
    )
    letter, moment = new_id(), now()
    headers = {
        "ce_id": str(new_id()),
        "ce_source": "identity",
        "ce_type": message.DESCRIPTOR.full_name,
        "ce_subject": f"{unit.code}@2020-01-01",
        "ce_time": (moment - timedelta(minutes=1)).isoformat(),
        "ce_sequence": "1",
        "ce_unit": unit.code,
    }
    async with stage.running.tx() as tx:
        await tx.execute(
            sa.insert(dead_letter_table).values(
                id=letter,
                topic="xaso.identity.v1",
                partition=0,
                offset=letter.int % 10**9,
                key=unit.code.encode(),
                type=headers["ce_type"],
                subject=headers["ce_subject"],
                unit=unit.code,
                headers=headers,
                payload=message.SerializeToString(),
                reason="because the test says so",
                tries=5,
                cluster="test",
            )
        )
    return {"letter_id": str(letter)}


# Dead letters concern the platform, not a unit: whoever administers a province may see and replay them.
DEAD_LETTERS = (
    Case("GET /dead-letters", "admin", dead_letter, allows=("administrator of another province",)),
    Case("POST /dead-letters/{letter_id}/replay", "admin", dead_letter, allows=("administrator of another province",)),
)


def covered(cases: Iterable[Case], open_to_all: Iterable[str]) -> set[str]:
    return {case.route for case in cases} | set(open_to_all)
