"""What browsers are told for safety, on plain HTTP at home and over HTTPS in service."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from chassis.service import origin
from tests.support.ledger.app import LedgerSettings, writer
from tests.support.running import Running, running, settings_for, token

EVERYWHERE = ("/", "/ledger", "/nothing", "/static/nothing.css", "/ledger/nothing", "/ledger/api/v1/whoami")


@pytest.fixture(scope="module")
async def tls(database: Callable[[str], str]) -> AsyncIterator[Running]:
    settings = settings_for(LedgerSettings, database("tls_ledger"), public_url="https://xaso.test", issuer="https://i")
    async with running(writer, settings) as service:
        yield service


def browser(service: Running, base_url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=origin([service.runner])), base_url=base_url)


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_every_answer_carries_them(tls: Running, path: str) -> None:
    async with browser(tls, "https://xaso.test") as client:
        headers = (await client.get(path, headers={"accept": "text/html"})).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers.get_list("content-security-policy") == [policy]


async def test_over_https_cookies_belong_to_this_host_alone(tls: Running) -> None:
    async with browser(tls, "https://xaso.test") as client:
        page = await client.get("/ledger/nothing?lang=en", headers={"accept": "text/html"})
        cookies = page.headers.get_list("set-cookie")
        assert {cookie.split("=")[0] for cookie in cookies} == {"__Host-xaso_csrf", "__Host-xaso_lang"}
        for cookie in cookies:
            words = [word.strip().lower() for word in cookie.split(";")]
            assert words.count("secure") == words.count("path=/") == 1
            assert not any(word.startswith("domain") for word in words)
        # They come back by the names that services know: a form is taken, and the language stays.
        value = client.cookies["__Host-xaso_csrf"]
        sent = {"csrf_token": value, "id": "tls", "subject": "s-tls", "n": "1"}
        done = await client.post("/ledger/form", data=sent, headers={"accept": "text/html"})
        assert done.status_code == 303
        assert (await client.get("/ledger/nothing", headers={"accept": "text/html"})).headers[
            "content-language"
        ] == "en"


async def test_over_https_a_planted_cookie_is_not_seen(tls: Running) -> None:
    planted = token(subject="thief", iss="https://i")
    async with browser(tls, "https://xaso.test") as client:
        plain = await client.get("/ledger/api/v1/whoami", headers={"cookie": f"xaso_session={planted}"})
        assert plain.json() == {"subject": None}
        ours = await client.get("/ledger/api/v1/whoami", headers={"cookie": f"a=b; __Host-xaso_session={planted}"})
        assert ours.json() == {"subject": "thief"}


async def test_on_plain_http_nothing_asks_for_tls(database: Callable[[str], str]) -> None:
    async with running(writer, settings_for(LedgerSettings, database("plain_ledger"))) as service:
        page = await service.client.get("/ledger/nothing", headers={"accept": "text/html"})
        assert "strict-transport-security" not in page.headers
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("xaso_csrf=")
        assert "secure" not in cookie.lower()
