"""Petitions over JSON: what is refused, by which field, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import unicodedata
import uuid
from typing import Any

import pytest

from tests.petitions.people import (
    API,
    ELSEWHERE,
    NGHIA_DUNG,
    People,
    count,
    file,
    report,
)
from tests.support.running import Running

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no category", {"category": None}, "category"),
    ("unknown category", {"category": "chuyen_nha"}, "category"),
    ("no place at all", {"commune": None, "village": None}, "commune"),
    ("unknown commune", {"commune": "99999", "village": None}, "commune"),
    ("a district for a commune", {"commune": "298", "village": None}, "commune"),
    ("a village for a commune", {"commune": NGHIA_DUNG.code, "village": None}, "commune"),
    ("unknown village", {"village": "11074-99"}, "village"),
    ("village of another commune", {"village": ELSEWHERE.code}, "village"),
    ("NUL", {"description": "Đường hỏng\x00 nặng"}, "description"),
    ("control character", {"place": "ngõ\x1b[31m 3"}, "place"),
    ("line break in a line", {"place": "ngõ 3\nThôn khác"}, "place"),
    ("empty words", {"description": "     "}, "description"),
    ("too many words", {"description": "a" * 2001}, "description"),
    ("half a position", {"lat": 20.8}, "lat"),
    ("position abroad", {"lat": 48.85, "lon": 2.35}, "lat"),
    ("position off the globe", {"lat": 200, "lon": 106}, "lat"),
    ("no number", {"contact_phone": "gọi tôi nhé"}, "contact_phone"),
    ("unknown channel", {"channel": "fax"}, "channel"),
    ("foreign field", {"status": "closed"}, "status"),
    ("a resident with a time of receipt", {"received_at": "2026-11-20T08:00:00+07:00"}, "received_at"),
    ("a time without zone", {"received_at": "2026-11-20T08:00:00"}, "received_at"),
]


@pytest.mark.parametrize(("name", "changed", "field"), BAD, ids=[b[0] for b in BAD])
async def test_bad_input_is_named_and_leaves_nothing(
    app: Running, who: People, name: str, changed: dict[str, Any], field: str
) -> None:
    before = await count(app)
    answer = await app.client.post(API, json=report(**changed), headers=who.resident)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert await count(app) == before


async def test_malformed_and_oversized_bodies_are_refused(app: Running, who: People) -> None:
    headers = {**who.resident, "content-type": "application/json"}
    assert (await app.client.post(API, content=b"{", headers=headers)).status_code == 400
    assert (await app.client.post(API, content=b"[]", headers=headers)).status_code == 422
    big = await app.client.post(API, content=b"x" * 10_000_000, headers=headers)
    assert big.status_code == 413
    assert (await app.client.post(API, json=report())).status_code == 401


async def test_decomposed_vietnamese_is_kept_composed_and_found_however_it_is_typed(app: Running, who: People) -> None:
    words = "Cầu ao bị sạt lở sau mưa bão"
    petition = await file(app, who.resident, description=unicodedata.normalize("NFD", words))
    assert petition["description"] == words
    for typed in ("cau ao sat lo", "CẦU AO", unicodedata.normalize("NFD", "sạt lở"), petition["code"].lower()):
        found = (await app.client.get(API, params={"q": typed})).json()["items"]
        assert petition["id"] in {item["id"] for item in found}, typed
    assert (await app.client.get(API, params={"q": "cầu vượt trên cao"})).json()["items"] == []
    assert (await app.client.get(API, params={"q": "100%_"})).json()["items"] == []


async def test_a_replayed_request_files_once_and_answers_the_same(app: Running, who: People) -> None:
    key = {"idempotency-key": str(uuid.uuid4())}
    before = await count(app)
    answers = await asyncio.gather(
        *(app.client.post(API, json=report(), headers={**who.resident, **key}) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["code"] for answer in answers}) == 1
    assert await count(app) == (before[0] + 1, before[1] + 1)
    other = await app.client.post(API, json=report(place="Chỗ khác"), headers={**who.resident, **key})
    assert other.json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    "id",
    ["5f0c2a4e-6d0b-4f57-9a53-2f1f8f3f9b11", "PA-2026-999999", "PA-2026-1", "khong-co", "0", "%00", "..", "a" * 60],
)
async def test_what_does_not_exist_is_not_found(app: Running, who: People, id: str) -> None:
    answer = await app.client.get(f"{API}/{id}", headers=who.officer)
    assert answer.status_code in (400, 404, 422)
    assert (await app.client.post(f"{API}/{id}/route", json={}, headers=who.officer)).status_code in (
        400,
        404,
        405,
        422,
    )
