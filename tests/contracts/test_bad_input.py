"""Every route, pages and forms too, asked by somebody who may, with what no form and no program of ours would send.

Whatever comes: an answer below 500 in the shape of the face (a page or problem+json), and NUL goes nowhere.
"""

from __future__ import annotations

import zlib
from types import ModuleType
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.contracts import walk_ecommerce, walk_identity, walk_indicators, walk_media, walk_petitions
from tests.contracts.services import NAMES
from tests.contracts.walk import OWNERS, SAFE, Case, Made, Stage, fill
from tests.support.running import bearer

WALKS: dict[str, ModuleType] = {
    "identity": walk_identity,
    "petitions": walk_petitions,
    "ecommerce": walk_ecommerce,
    "indicators": walk_indicators,
    "media": walk_media,
}
HOSTILE = {
    "nothing": "",
    "NUL": "a\x00b",
    "control characters": "\x01\x1b[31m\x7f",
    "a line break": "x\r\nset-cookie: a=b",
    "decomposed": "Du\u031bo\u031b\u0300ng",
    "quotes": "'\";--${7*7}{{7*7}}<script>",
    "a long number": "9" * 400,
    "a negative number": "-1",
    "infinity": "1e999",
    "other digits": "٣४",
    "a long text": "ạ" * 20_000,
    "a path": "../../../etc/passwd",
    "half a percent": "%",
}
RAW_PATHS = ("%00", "%ff", "%0a", "%2e%2e%2f", "%ed%a0%80", "9" * 300)
BODIES: dict[str, tuple[str, bytes]] = {
    "half of JSON": ("application/json", b'{"a": '),
    "not a document": ("application/json", b"[1, 2]"),
    "NaN": ("application/json", b'{"rating": NaN, "value": {"count": Infinity}}'),
    "no UTF-8": ("application/json", b'{"name": "\xff\xfe"}'),
    "deep": ("application/json", b"[" * 5000),
    "NUL in JSON": ("application/json", b'{"name": "a\\u0000b", "description": "a\\u0000b", "text": "\\ud800"}'),
    "a broken form": ("multipart/form-data; boundary=x", b"--x\r\ncontent-disposition: form-data; name=\r\n\r\n--"),
    "a form without a boundary": ("multipart/form-data", b"--x--"),
    "another type": ("text/csv", b"a,b"),
    "a bad form": ("application/x-www-form-urlencoded", b"name=%ff%fe&=%00&csrf_token=%"),
}


def cases() -> list[tuple[str, Case]]:
    """One case per route that can be asked again and again."""
    found: dict[tuple[str, str], Case] = {}
    for name in NAMES:
        for case in WALKS[name].CASES:
            if not case.streams:
                found.setdefault((name, case.route), case)
        for route in WALKS[name].OPEN:
            if not route.endswith("/changes"):
                found.setdefault((name, route), Case(route))
    return [(name, case) for (name, _), case in found.items()]


ALL = cases()
PLACES = {"code": "11074", "set_code": "hd-288-2023", "item_code": "288.5"}


def judged(response: httpx.Response, place: str) -> list[str]:
    """What is wrong with an answer to nonsense."""
    if response.status_code >= 500:
        return [f"{place}: {response.status_code} {response.text[:300]}"]
    if response.status_code >= 400 and not response.headers.get("content-type", "").startswith(
        ("application/problem+json", "text/html", "application/json")
    ):
        return [f"{place}: {response.status_code} as {response.headers.get('content-type')}"]
    return []


async def send(stage: Stage, case: Case, path: str, **request: Any) -> httpx.Response:
    headers = {**OWNERS[case.owner], **request.pop("headers", {})}
    return await stage.ask(headers, case.method, path, **request)


def some(things: dict[str, Any], case: Case, count: int) -> list[tuple[str, Any]]:
    """`count` of the things, others for each route: together the routes meet all of them many times."""
    listed = list(things.items())
    first = zlib.crc32(case.route.encode()) % len(listed)
    return [listed[(first + step) % len(listed)] for step in range(count)]


@pytest.mark.parametrize(("name", "case"), ALL, ids=[f"{name} {case.route}" for name, case in ALL])
async def test_nonsense_is_answered_below_500(stages: dict[str, Stage], name: str, case: Case) -> None:
    stage = stages[name]
    made: Made = {**PLACES, **await case.arrange(stage)}
    route = case.route.split(" ", 1)[1]
    wrong: list[str] = []
    known = [part for part in route.split("/") if part.startswith("{")]
    if all(part.strip("{}").split(":")[0] in made for part in known):
        path = case.path(made)
        for what, value in some(HOSTILE, case, 6):
            # The test's own client refuses to send longer addresses.
            asked = dict.fromkeys(("unit", "q", "after", "limit", "as_of", "lang", *case.query), value[:500])
            request: dict[str, Any] = {"params": asked}
            if isinstance(case.json, dict):
                request["json"] = dict.fromkeys(case.json, value)
            elif case.method not in SAFE and "/api/" not in route:
                request["data"] = dict.fromkeys(case.form or ("name",), value)
            wrong += judged(await send(stage, case, path, **request), f"{case.route} with {what}")
        if case.method not in SAFE:
            for what, (kind, body) in some(BODIES, case, 5):
                answer = await send(
                    stage, case, path, params=fill(case.query, made), content=body, headers={"content-type": kind}
                )
                wrong += judged(answer, f"{case.route} with {what}")
    for raw in RAW_PATHS if known else ():
        path = "/".join(raw if part.startswith("{") else quote(part) for part in route.split("/"))
        wrong += judged(await send(stage, case, path), f"{case.route} at {raw[:20]}")
    assert wrong == []


async def test_a_body_past_the_limit_is_refused_as_such(stages: dict[str, Stage]) -> None:
    for name, path in (
        ("petitions", "/api/v1/petitions"),
        ("ecommerce", "/api/v1/producers"),
        ("indicators", "/api/v1/observations"),
        ("media", "/api/v1/clusters"),
        ("identity", "/api/v1/teams"),
    ):
        response = await stages[name].ask(
            {**OWNERS["officer"], "content-type": "application/json"}, "POST", path, content=b'"' + b"a" * 2**21 + b'"'
        )
        assert response.status_code == 413, name
        assert response.headers["content-type"].startswith("application/problem+json")


READS = {
    "identity": "/api/v1/me",
    "petitions": "/api/v1/petitions",
    "ecommerce": "/api/v1/products",
    "indicators": "/api/v1/units/11074/sets/hd-288-2023/items/288.5/explanation",
    "media": "/api/v1/villages",
}


@pytest.mark.parametrize("name", NAMES)
async def test_tokens_that_do_not_hold_are_refused(stages: dict[str, Stage], name: str) -> None:
    """Expired, of another issuer, for another audience, unsigned, or nonsense: 401, also where nobody need sign in."""
    for headers in (
        bearer(("admin", "30"), lifetime=-120),
        bearer(("admin", "30"), iss="https://elsewhere.example/identity"),
        bearer(("admin", "30"), aud="another"),
        {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        {"authorization": "Bearer x"},
        {"authorization": "Basic YTpi"},
    ):
        response = await stages[name].ask(headers, "GET", READS[name])
        assert response.status_code == 401, headers
        assert response.json()["code"]
