"""The gate: openid-client, written by others, runs every flow against a live identity."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from services.identity.oidc import clients
from tests.identity.people import SECRETS, Live, sign_in

SCRIPT = Path(__file__).parent / "openid_client.mjs"
REDIRECT = "http://127.0.0.1:9/callback"


async def test_openid_client_runs_code_with_pkce_refresh_and_client_credentials(live: Live) -> None:
    async with live.run.tx() as tx:
        app = clients.NewClient(
            client_id="app",
            name="Ứng dụng thử",
            grant_types=("authorization_code", "refresh_token"),
            scopes=("openid", "profile", "offline_access"),
            redirect_uris=(REDIRECT,),
        )
        await clients.ensure(tx, app, by="test")
    partner = SECRETS["partner"]
    command = ["node", str(SCRIPT), live.base, "app", REDIRECT, partner["client_id"], partner["client_secret"]]
    pipe = asyncio.subprocess.PIPE
    node = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with live.browser() as browser:
            seen = await _converse(node, browser)
    finally:
        if node.returncode is None:
            node.kill()
        await node.wait()
    assert seen["claims"]["iss"] == live.base
    assert seen["claims"]["aud"] in ("app", ["app"])
    assert seen["user"] == {"sub": seen["claims"]["sub"], "name": "Công chức xã Đại Sơn", "preferred_username": "canbo"}
    assert seen["refreshed"]
    assert seen["reuse"] == "invalid_grant"
    assert seen["family"] == "invalid_grant", "a refresh token used twice must end its whole family"
    assert seen["refused"] == "invalid_client"
    assert seen["machine"]["token_type"] == "bearer"
    assert seen["machine"]["scope"] == "indicators.observations.write"
    me = await live.run.runner.runtime.verifier.verify(seen["machine"]["access_token"])
    assert (me.kind, me.client_id, [(g.role, g.path) for g in me.grants]) == (
        "partner",
        partner["client_id"],
        [("partner", "30")],
    )


async def _converse(node: asyncio.subprocess.Process, browser: httpx.AsyncClient) -> dict[str, Any]:
    assert node.stdin
    assert node.stdout
    assert node.stderr
    first = await node.stdout.readline()
    assert first, (await node.stderr.read()).decode()
    address = json.loads(first)["authorize"]
    # Nobody is signed in: the application's request waits behind the sign-in page and goes on afterwards.
    answer = await browser.get(address)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/identity/login?next=")
    await sign_in(browser, "officer")
    question = await browser.get(address)
    assert question.status_code == 200
    assert "Ứng dụng thử" in question.text
    form = {
        "asked": address.partition("?")[2],
        "decision": "allow",
        "csrf_token": browser.cookies["xaso_csrf"],
    }
    back = await browser.post("/identity/authorize", data=form)
    assert back.status_code == 302, back.text
    again = await browser.get(address)
    assert again.status_code == 302, "consent once given is not asked for again"
    node.stdin.write((back.headers["location"] + "\n").encode())
    await node.stdin.drain()
    last = await node.stdout.readline()
    assert last, (await node.stderr.read()).decode()
    seen: dict[str, Any] = json.loads(last)
    await node.communicate()
    return seen
