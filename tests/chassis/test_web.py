"""HTTP entry points: the transaction, idempotency keys, forged forms, bad input, problems and pages."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import sqlalchemy as sa

from chassis import errors, idempotency
from chassis.db import idempotency_table, outbox_table
from tests.support.ledger.app import LedgerSettings, writer
from tests.support.running import Running, bearer, csrf, running, settings_for, token

ENTRIES = "/ledger/api/v1/entries"


@pytest.fixture(scope="module")
async def ledger(database: Callable[[str], str]) -> AsyncIterator[Running]:
    async with running(writer, settings_for(LedgerSettings, database("ledger"))) as service:
        yield service


async def entries(service: Running, entry: str) -> int:
    async with service.tx() as tx:
        found = await tx.scalar(sa.text("SELECT count(*) FROM entry WHERE id = :id"), {"id": entry})
        events = await tx.scalar(sa.select(sa.func.count()).where(outbox_table.c.subject == f"s-{entry}"))
    assert found == events, "an entry and its event are written together or not at all"
    return int(found)


def body(entry: str, n: int = 1) -> dict[str, object]:
    return {"id": entry, "subject": f"s-{entry}", "n": n}


async def test_commits_before_it_answers(ledger: Running) -> None:
    """The entry is visible to another connection when the first byte of the answer leaves."""
    seen: list[int] = []
    app = ledger.runner.asgi

    async def watching(scope: dict, receive: Callable, send: Callable) -> None:
        async def first_look(message: dict) -> None:
            if message["type"] == "http.response.start":
                seen.append(await entries(ledger, "early"))
            await send(message)

        await app({**scope, "path": "/api/v1/entries", "root_path": ""}, receive, first_look)

    transport = httpx.ASGITransport(app=watching)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        response = await client.post("/api/v1/entries", json=body("early"))
    assert response.status_code == 201
    assert seen == [1]


async def test_failed_commit_is_not_answered_with_success(ledger: Running) -> None:
    """A constraint that PostgreSQL checks only at commit turns the answer into an error."""
    async with ledger.tx() as tx:
        await tx.execute(sa.text("CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)"))
        await tx.execute(
            sa.text("""
            CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO late VALUES (1); INSERT INTO late VALUES (1); RETURN NULL; END $$
            """)
        )
        await tx.execute(
            sa.text(
                "CREATE TRIGGER late AFTER INSERT ON entry FOR EACH ROW WHEN (NEW.id = 'late') EXECUTE FUNCTION late()"
            )
        )
    response = await ledger.client.post(ENTRIES, json=body("late"))
    assert response.status_code == 500
    assert await entries(ledger, "late") == 0


@pytest.mark.parametrize(("fault", "status"), [("refuse", 409), ("bug", 500)])
async def test_an_error_leaves_nothing_behind(ledger: Running, fault: str, status: int) -> None:
    response = await ledger.client.post(ENTRIES, json=body(f"no-{fault}"), headers={"x-fault": fault})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert "a bug of the service" not in response.text
    assert await entries(ledger, f"no-{fault}") == 0


async def test_same_key_gives_the_same_answer_once(ledger: Running) -> None:
    headers = {"idempotency-key": "k-1"}
    first = await ledger.client.post(ENTRIES, json=body("once"), headers=headers)
    again = await ledger.client.post(ENTRIES, json=body("once"), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await entries(ledger, "once") == 1


async def test_concurrent_requests_with_one_key_have_one_effect(ledger: Running) -> None:
    headers = {"idempotency-key": "k-2"}
    answers = await asyncio.gather(
        *(ledger.client.post(ENTRIES, json=body("raced"), headers=headers) for _ in range(6))
    )
    assert {a.status_code for a in answers} == {201}
    assert sum("idempotency-replayed" not in a.headers for a in answers) == 1
    assert await entries(ledger, "raced") == 1


async def test_key_used_for_another_content_is_refused(ledger: Running) -> None:
    headers = {"idempotency-key": "k-3"}
    await ledger.client.post(ENTRIES, json=body("mine"), headers=headers)
    other = await ledger.client.post(ENTRIES, json=body("other"), headers=headers)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"
    assert await entries(ledger, "other") == 0


async def test_keys_of_two_principals_do_not_meet(ledger: Running) -> None:
    path = "/ledger/api/v1/mine"
    for entry in ("anna", "binh"):
        headers = {"idempotency-key": "shared", **bearer(("officer", "30"))}
        response = await ledger.client.post(path, json=body(entry), headers=headers)
        assert response.status_code == 201
        assert await entries(ledger, entry) == 1


async def test_an_error_does_not_use_up_the_key(ledger: Running) -> None:
    headers = {"idempotency-key": "k-4"}
    refused = await ledger.client.post(ENTRIES, json=body("later"), headers={**headers, "x-fault": "refuse"})
    accepted = await ledger.client.post(ENTRIES, json=body("later"), headers=headers)
    assert (refused.status_code, accepted.status_code) == (409, 201)


async def test_old_keys_are_forgotten(ledger: Running) -> None:
    await ledger.client.post(ENTRIES, json=body("old"), headers={"idempotency-key": "k-old"})
    async with ledger.tx() as tx:
        await tx.execute(
            sa.update(idempotency_table)
            .where(idempotency_table.c.key == "k-old")
            .values(created_at=sa.text("now() - interval '25 hours'"))
        )
        assert await idempotency.prune(tx) == 1


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"{", 400, None),
        (b'{"id":"a"}', 422, "subject"),
        (b'{"id":"a\\u0000b","subject":"s","n":1}', 422, "id"),
        (b'{"id":"","subject":"s","n":1}', 422, "id"),
        (b'{"id":"a","subject":"s","n":-1}', 422, "n"),
        (b'{"id":"a","subject":"s","n":"many"}', 422, "n"),
        (b'{"id":"a","subject":"s","n":99999999999999999999999}', 422, "n"),
        (b'["a"]', 422, "body"),
        (b"\xff\xfe", 400, None),
    ],
)
async def test_malformed_bodies_are_named(ledger: Running, content: bytes, status: int, field: str | None) -> None:
    response = await ledger.client.post(ENTRIES, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status, response.text
    problem = response.json()
    assert problem["type"].startswith("urn:xaso:problem:")
    if field:
        assert field in {e["field"] for e in problem["errors"]}


@pytest.mark.parametrize(
    ("query", "cookie", "header", "locale"),
    [
        ("", "", "", "vi"),
        ("", "", "en-GB,en;q=0.9", "en"),
        ("", "", "de", "vi"),
        ("", "vi", "en", "vi"),
        ("?lang=vi", "en", "en", "vi"),
        ("?lang=en", "", "vi", "en"),
        ("", "en", "", "en"),
    ],
)
async def test_a_problem_is_told_in_the_callers_language(
    ledger: Running, query: str, cookie: str, header: str, locale: str
) -> None:
    """What was chosen, then what the program says it likes, then Vietnamese; a cache keeps the languages apart."""
    words = {"vi": "Chưa nhập mục này.", "en": "This field is required."}
    headers = {"accept-language": header} if header else {}
    if cookie:
        headers["cookie"] = f"xaso_lang={cookie}"
    refused = await ledger.client.post(f"{ENTRIES}{query}", json={"id": "a"}, headers=headers)
    unknown = await ledger.client.get(f"/ledger/nowhere{query}", headers=headers)
    assert {e["field"]: e["message"] for e in refused.json()["errors"]}["subject"] == words[locale]
    for answer in (refused, unknown):
        assert answer.headers["content-language"] == locale
        assert {"Accept-Language", "Cookie"} == set(answer.headers["vary"].split(", "))


async def test_pages_stay_vietnamese_in_an_english_browser(ledger: Running) -> None:
    """Devices here are often set up in English; who wants English pages chooses them."""
    headers = {"accept": "text/html", "accept-language": "en-US,en;q=0.9"}
    for query, locale in (("", "vi"), ("?lang=en", "en")):
        page = await ledger.client.get(f"/ledger/nowhere{query}", headers=headers)
        assert (page.headers["content-language"], page.headers["cache-control"]) == (locale, "no-store")
        assert f'<html lang="{locale}"' in page.text
    ledger.client.cookies.clear()


async def test_decomposed_vietnamese_is_stored_composed(ledger: Running) -> None:
    response = await ledger.client.post(ENTRIES, json={"id": "đươ\u0300ng hỏng", "subject": "s-nfc", "n": 1})
    assert response.status_code == 201
    async with ledger.tx() as tx:
        assert await tx.scalar(sa.text("SELECT id FROM entry WHERE subject = 's-nfc'")) == "đường hỏng"


async def test_a_body_over_the_limit_is_refused_whatever_its_length_says(ledger: Running) -> None:
    big = b'{"id":"' + b"x" * 2_000_000 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    for content in (big, chunks()):
        response = await ledger.client.post(ENTRIES, content=content, headers={"content-type": "application/json"})
        assert response.status_code == 413
        assert response.json()["code"] == "too_large"


@pytest.mark.parametrize("path", ["/ledger/api/v1/whoami?a=%00", "/ledger/api/v1/%00"])
async def test_nul_in_the_address_is_a_clients_mistake(ledger: Running, path: str) -> None:
    assert (await ledger.client.get(path)).status_code in (400, 404)


async def test_unknown_address_and_wrong_method(ledger: Running) -> None:
    lost = await ledger.client.get("/ledger/api/v1/nothing")
    assert (lost.status_code, lost.json()["code"]) == (404, "http_404")
    wrong = await ledger.client.delete(ENTRIES)
    assert wrong.status_code == 405
    page = await ledger.client.get("/ledger/nothing", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "Không tìm thấy" in page.text


async def test_who_asks(ledger: Running) -> None:
    path = "/ledger/api/v1/whoami"
    assert (await ledger.client.get(path)).json() == {"subject": None}
    signed_in = await ledger.client.get(path, headers=bearer(subject="someone"))
    assert signed_in.json() == {"subject": "someone"}
    assert (await ledger.client.get(path, headers={"authorization": "Bearer nonsense"})).status_code == 401
    assert (await ledger.client.get(path, headers=bearer(lifetime=-3600))).json()["code"] == "token_expired"
    assert (await ledger.client.post("/ledger/api/v1/mine", json=body("nobody"))).status_code == 401


async def test_a_session_cookie_needs_the_csrf_token(ledger: Running) -> None:
    async with ledger.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", "30")))
        forged = await browser.post("/ledger/api/v1/mine", json=body("forged"))
        assert (forged.status_code, forged.json()["code"]) == (403, "csrf")
        browser.cookies.set("xaso_csrf", "a" * 43)
        wrong = await browser.post("/ledger/api/v1/mine", json=body("forged"), headers={"x-csrf-token": "b" * 43})
        assert wrong.status_code == 403
        right = await browser.post("/ledger/api/v1/mine", json=body("meant"), headers={"x-csrf-token": "a" * 43})
        assert right.status_code == 201
        away = await browser.post(
            "/ledger/api/v1/mine",
            json=body("forged"),
            headers={"x-csrf-token": "a" * 43, "origin": "http://elsewhere.example"},
        )
        assert away.status_code == 403
    assert await entries(ledger, "forged") == 0
    assert await entries(ledger, "meant") == 1


async def test_a_form_posts_once_and_says_what_is_wrong(ledger: Running) -> None:
    async with ledger.fresh_client() as browser:
        html = {"accept": "text/html"}
        without = await browser.post("/ledger/form", data=body("page"), headers=html)
        assert without.status_code == 403
        value = await csrf(browser, "/ledger/nothing-page")
        wrong = await browser.post("/ledger/form", data={"csrf_token": value, "id": "page"}, headers=html)
        assert wrong.status_code == 422
        assert "Chưa nhập mục này." in wrong.text
        sent = {"csrf_token": value, "idempotency_key": "f-1", **body("page")}
        for _ in range(2):
            done = await browser.post("/ledger/form", data=sent, headers=html)
            assert (done.status_code, done.headers["location"]) == (303, "/ledger/api/v1/whoami")
    assert await entries(ledger, "page") == 1


async def test_answers_carry_security_headers(ledger: Running) -> None:
    for path in ("/ledger/nothing", "/ledger/api/v1/whoami"):
        headers = (await ledger.client.get(path, headers={"accept": "text/html"})).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


async def test_health_and_metrics(ledger: Running) -> None:
    """Everybody learns whether the service is ready; figures and reasons are for the operator's own port."""
    assert (await ledger.client.get("/ledger/healthz")).json() == {"status": "ok"}
    assert (await ledger.client.get("/ledger/readyz")).json() == {"status": "ready"}
    assert (await ledger.client.get("/ledger/metrics")).status_code == 404
    await ledger.client.post(ENTRIES, json=body("counted"))
    inside = httpx.ASGITransport(app=ledger.runner.internals())
    async with httpx.AsyncClient(transport=inside, base_url="http://127.0.0.1:9090") as operator:
        assert (await operator.get("/healthz")).status_code == 200
        ready = await operator.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["database"]) == (200, "ok")
        metrics = (await operator.get("/metrics")).text
    line = next(
        x for x in metrics.splitlines() if x.startswith("xaso_http_request_duration_seconds_count") and "POST" in x
    )
    assert 'route="/api/v1/entries"' in line or 'route="/ledger/api/v1/entries"' in line


def test_every_kind_has_a_status() -> None:
    assert {kind.http_status for kind in errors.Kind} >= {400, 401, 403, 404, 409, 413, 422, 429, 503}
