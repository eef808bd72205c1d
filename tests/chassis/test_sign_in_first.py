"""Who is not signed in costs nothing: uploads are refused unread, streams end with the session that opened them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chassis.auth import session_mark
from chassis.service import origin
from chassis.web import MiB
from tests.support.ledger.app import LedgerSettings, writer
from tests.support.running import Running, bearer, running, serving, settings_for, token

TICKS = "/ledger/api/v1/ticks"
BIG = 20 * MiB
CHUNK = b"x" * 65_536


ended: dict[str, float] = {}
"""The sessions that the issuer of these tests says were ended."""


@pytest.fixture(scope="module")
async def ledger(database: Callable[[str], str]) -> AsyncIterator[Running]:
    async def told(_request: Request) -> JSONResponse:
        return JSONResponse({"ended": ended})

    async with serving(Starlette(routes=[Route("/ended.json", told)]), at_once=True) as address:
        settings = settings_for(LedgerSettings, database("sign_in_first"), ended_url=f"{address}/ended.json")
        async with running(writer, settings) as service:
            yield service


async def test_a_stream_ends_with_its_session(ledger: Running) -> None:
    """Whichever way the session is shown; those of others and of nobody go on."""
    ending = ({"cookie": f"xaso_session={token(sid='session-1')}"}, bearer(sid="session-1"))
    lasting: tuple[dict[str, str], ...] = (bearer(sid="session-2"), {})
    async with (
        serving(origin([ledger.runner]), at_once=True) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as browser,
        AsyncExitStack() as open_streams,
    ):

        async def opened(headers: dict[str, str]) -> AsyncIterator[bytes]:
            answer = await open_streams.enter_async_context(browser.stream("GET", TICKS, headers=headers))
            assert answer.status_code == 200
            chunks = answer.aiter_raw()
            assert await anext(chunks)
            return chunks

        over = [await opened(headers) for headers in ending]
        others = [await opened(headers) for headers in lasting]
        ended[session_mark("session-1")] = time.time() + 1
        # The service asks every five seconds; here it is asked to ask now.
        await ledger.runner.runtime.verifier.refresh_ended()
        for chunks in over:
            async for _ in chunks:
                pass
        for chunks in others:
            for _ in range(20):
                assert await anext(chunks)


async def test_a_stream_ends_with_its_token_and_the_connection_is_good_for_the_next(ledger: Running) -> None:
    async with (
        serving(origin([ledger.runner]), at_once=True) as address,
        httpx.AsyncClient(trust_env=False, timeout=60) as browser,
    ):
        # Clocks may differ by a minute, so that a token is good for so long after its end.
        headers = bearer(lifetime=3 - 60)
        async with browser.stream("GET", f"{address}{TICKS}", headers=headers) as answer:
            assert answer.status_code == 200
            seen = [chunk async for chunk in answer.aiter_raw()]
        assert len(seen) > 1
        again = await browser.get(f"{address}{TICKS}", headers=headers)
        assert (again.status_code, again.json()["code"]) == (401, "token_expired")


UPLOADS = {
    "multipart": ("/ledger/api/v1/files", "multipart/form-data; boundary=b"),
    "json": ("/ledger/api/v1/mine", "application/json"),
    "raw": ("/ledger/api/v1/raw", "application/octet-stream"),
    "form": ("/ledger/picture", "multipart/form-data; boundary=b"),
}


async def upload(address: str, path: str, kind: str, *, more: str = "") -> tuple[bytes, bytes]:
    """The status line of an upload that is announced and never sent, and that of a request behind it once it is."""
    reader, writing = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
    try:
        head = f"POST {path} HTTP/1.1\r\nhost: xaso\r\ncontent-type: {kind}\r\ncontent-length: {BIG}\r\n{more}\r\n"
        writing.write(head.encode())
        refusal = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in refusal.splitlines() if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        for _ in range(BIG // len(CHUNK)):
            writing.write(CHUNK)
            await writing.drain()
        writing.write(b"GET /ledger/healthz HTTP/1.1\r\nhost: xaso\r\n\r\n")
        return refusal.splitlines()[0], await reader.readline()
    finally:
        writing.close()
        await writing.wait_closed()


@pytest.mark.parametrize("upload_of", UPLOADS)
async def test_an_anonymous_upload_is_refused_before_it_is_sent(ledger: Running, upload_of: str) -> None:
    """The answer is there before the first byte of the body, and the connection stays good for the next request."""
    path, kind = UPLOADS[upload_of]
    async with serving(origin([ledger.runner]), at_once=True) as address:
        refused, after = await asyncio.wait_for(upload(address, path, kind), 60)
        assert refused.split()[1] == b"401"
        assert after.split()[1] == b"200"
        stale, _ = await asyncio.wait_for(upload(address, path, kind, more="authorization: Bearer nonsense\r\n"), 60)
        assert stale.split()[1] == b"401"


async def test_who_is_signed_in_uploads(ledger: Running) -> None:
    big = b"x" * (8 * MiB)
    answer = await ledger.client.post("/ledger/api/v1/files", files={"file": ("a.bin", big)}, headers=bearer())
    assert (answer.status_code, answer.json()) == (200, {"size": len(big)})
    raw = await ledger.client.post("/ledger/api/v1/raw", content=big, headers=bearer())
    assert raw.json() == {"size": len(big)}
