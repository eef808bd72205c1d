"""What a thief or a curious application gets: sessions that end early, tokens that open nothing, sign-ins on record."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from chassis.db import audit_table, idempotency_table
from services.identity.accounts.passwords import Passwords
from services.identity.oidc.model import TokenFamily
from tests.identity.flow import Flow
from tests.identity.people import SECRETS, Live, sign_in
from tests.support.running import Running, bearer

ACCOUNTS = "/identity/api/v1/accounts"
ME = "/identity/api/v1/me"
HTML = {"accept": "text/html"}
OLD, NEW = "một câu thật dài và cũ", "một câu thật dài và mới"


@pytest_asyncio.fixture
async def admin(live: Live) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's browser."""
    async with live.browser() as browser:
        assert (await sign_in(browser, "admin")).status_code == 303
        browser.headers["x-csrf-token"] = browser.cookies["xaso_csrf"]
        yield browser


async def somebody(admin: httpx.AsyncClient) -> dict[str, Any]:
    """A new officer, whose password is OLD."""
    body = {"name": "Vũ Văn Nam", "username": f"u{uuid.uuid4().hex[:10]}", "password": OLD, "unit": "11083"}
    answer = await admin.post(ACCOUNTS, json={**body, "role": "officer"})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def still_in(live: Live, browser: httpx.AsyncClient) -> bool:
    """Whether the session of `browser` counts, once the verifier has asked for what was ended."""
    await live.run.runner.runtime.verifier.refresh_ended()
    answer = await browser.get(ME)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


@pytest.mark.parametrize("deed", ["disable", "password", "revoke"])
async def test_a_session_ends_when_staff_takes_away_what_it_rests_on(
    live: Live, admin: httpx.AsyncClient, deed: str
) -> None:
    person = await somebody(admin)
    async with live.browser() as browser, live.browser() as bystander:
        await sign_in(browser, person["username"], OLD)
        await sign_in(bystander, "resident")
        assert await still_in(live, browser)
        path = f"{ACCOUNTS}/{person['id']}/{deed}"
        if deed == "revoke":
            path = f"{ACCOUNTS}/{person['id']}/grants/{person['grants'][0]['id']}/revoke"
        answer = await admin.post(path, json={"password": NEW} if deed == "password" else None)
        assert answer.status_code == 200, answer.text
        assert not await still_in(live, browser)
        page = await browser.get("/identity/account", headers=HTML)
        assert page.headers["location"].startswith("/identity/login")
        assert await still_in(live, bystander), "only the account concerned is signed out"
        if deed == "revoke":
            await sign_in(browser, person["username"], OLD)
            assert await still_in(live, browser), "whoever signs in again goes on, without the role"
            assert (await browser.get(ME)).json()["grants"] == []


async def test_another_password_ends_the_other_sessions_and_what_applications_hold(
    live: Live, admin: httpx.AsyncClient, shop: httpx.AsyncClient
) -> None:
    person = await somebody(admin)
    async with live.browser() as browser, live.browser() as thief:
        await sign_in(browser, person["username"], OLD)
        await sign_in(thief, person["username"], OLD)
        tokens = await Flow(thief).tokens()
        form = {"old": OLD, "password": NEW, "csrf_token": browser.cookies["xaso_csrf"]}
        assert (await browser.post("/identity/account/password", data=form, headers=HTML)).status_code == 303
        assert not await still_in(live, thief)
        assert await still_in(live, browser)
        refreshed = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "app"}
        assert (await shop.post("/identity/token", data=refreshed)).json()["error"] == "invalid_grant"
        async with live.run.tx() as tx:
            open_families = sa.select(TokenFamily.id).where(
                TokenFamily.account_id == uuid.UUID(person["id"]), TokenFamily.revoked_at.is_(None)
            )
            assert (await tx.scalars(open_families)).all() == []


async def test_signing_out_ends_a_copied_cookie(live: Live) -> None:
    async with live.browser() as browser, live.browser() as thief, live.browser() as other:
        await sign_in(browser, "producer")
        await sign_in(other, "producer")
        thief.cookies.set("xaso_session", browser.cookies["xaso_session"])
        assert await still_in(live, thief)
        form = {"csrf_token": browser.cookies["xaso_csrf"]}
        assert (await browser.post("/identity/logout", data=form, headers=HTML)).status_code == 303
        assert not await still_in(live, thief)
        assert await still_in(live, other), "another device of the same person stays signed in"


async def test_the_list_of_ended_sessions_names_nobody(live: Live, admin: httpx.AsyncClient) -> None:
    person = await somebody(admin)
    await admin.post(f"{ACCOUNTS}/{person['id']}/disable")
    async with live.browser() as stranger:
        told = await stranger.get("/identity/ended.json")
        assert told.status_code == 200
        assert told.json()["ended"]
        assert person["id"] not in told.text
        assert (await stranger.get("/identity/ended.json", params={"since": "nan"})).status_code == 422
        assert (await stranger.get("/identity/ended.json", params={"since": "1e300"})).status_code == 422


async def test_an_application_that_may_know_who_i_am_may_not_act_for_me(live: Live, shop: httpx.AsyncClient) -> None:
    """Its token carries the person as subject; without the scope it must not carry their roles anywhere."""
    tokens = await Flow(shop).tokens()
    theirs = {"authorization": f"Bearer {tokens['access_token']}"}
    async with live.browser() as app:
        assert (await app.get("/identity/userinfo", headers=theirs)).status_code == 200
        for path in (ME, "/identity/account/export", "/identity/teams"):
            assert (await app.get(path, headers=theirs)).status_code == 403, path
        team = {"unit": "11083-01", "name": "Tổ", "member_count": 1}
        refused = await app.post("/identity/api/v1/teams", json=team, headers=theirs)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        app.cookies.set("xaso_session", tokens["access_token"])
        assert (await app.get("/identity/account/export")).status_code == 403


async def test_an_application_that_acts_for_me_keeps_away_from_my_personal_data(identity: Running) -> None:
    acting = bearer(("officer", "30/298/11083"), scope="openid xaso", client_id="app")
    assert (await identity.client.get(ME, headers=acting)).status_code == 200
    assert (await identity.client.get("/identity/account/export", headers=acting)).status_code == 404


async def test_sign_ins_are_on_record_without_what_was_typed(identity: Running) -> None:
    async with identity.fresh_client() as browser:
        typed = f"0987{uuid.uuid4().int % 10**6:06d}"
        assert (await sign_in(browser, "leader", "sai mật khẩu 123")).status_code == 422
        assert (await sign_in(browser, typed, "sai mật khẩu 123")).status_code == 422
        assert (await sign_in(browser, "leader")).status_code == 303
    async with identity.tx() as tx:
        rows = (await tx.execute(sa.select(audit_table).order_by(audit_table.c.id.desc()).limit(3))).all()
    accepted, unknown, refused = rows
    assert [r.action for r in rows] == ["sign_in.accepted", "sign_in.refused", "sign_in.refused"]
    assert accepted.actor == accepted.target == refused.target
    assert (unknown.target, refused.actor) == ("", "system")
    assert all(typed not in str(r) and SECRETS["leader"]["user"] not in str(r) for r in rows)


async def test_no_transaction_is_open_while_a_password_is_hashed(
    identity: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashes wait for a core: requests that held a connection meanwhile would leave none to anybody else."""
    taken: list[int] = []
    plain = Passwords.verify

    async def looking(self: Passwords, encoded: str | None, password: str) -> bool:
        taken.append(identity.runner.runtime.engine.pool.checkedout())  # type: ignore[attr-defined]  # its own pool.
        return await plain(self, encoded, password)

    monkeypatch.setattr(Passwords, "verify", looking)
    async with identity.fresh_client() as browser:
        assert (await sign_in(browser, "officer")).status_code == 303
        assert (await sign_in(browser, "officer", "sai mật khẩu 123")).status_code == 422
    assert taken == [0, 0]


async def test_a_session_left_open_is_no_place_to_guess_its_password(live: Live, admin: httpx.AsyncClient) -> None:
    person = await somebody(admin)
    async with live.browser() as browser:
        await sign_in(browser, person["username"], OLD)
        form = {"old": "sai", "password": NEW, "csrf_token": browser.cookies["xaso_csrf"]}
        tries = [await browser.post("/identity/account/password", data=form, headers=HTML) for _ in range(21)]
        assert [t.status_code for t in tries] == [422] * 20 + [429]
        erase = {"password": OLD, "csrf_token": browser.cookies["xaso_csrf"]}
        assert (await browser.post("/identity/account/erase", data=erase, headers=HTML)).status_code == 429


async def test_the_token_endpoint_keeps_no_answer(live: Live) -> None:
    form = {"grant_type": "client_credentials", **SECRETS["partner"]}
    key = {"idempotency-key": f"k-{uuid.uuid4()}"}
    async with live.browser() as partner:
        first = await partner.post("/identity/token", data=form, headers=key)
        again = await partner.post("/identity/token", data=form, headers=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["access_token"] != again.json()["access_token"]
    async with live.run.tx() as tx:
        kept = sa.select(sa.func.count()).where(idempotency_table.c.key == key["idempotency-key"])
        assert await tx.scalar(kept) == 0
