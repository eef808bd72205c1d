"""What OpenID Connect and OAuth 2.0 must refuse, revoke and rotate; the happy way is driven by openid-client."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt

from chassis.auth import SessionEnded, TokenInvalid
from chassis.db import audit_table, now
from chassis.token_source import TokenSource
from services.identity.accounts.model import Account
from services.identity.desk import Desk
from services.identity.oidc import clients, operator
from services.identity.oidc.model import AuthorizationCode, Client, TokenFamily
from tests.identity.flow import BACK, Flow, refresh, returned, settings_of
from tests.identity.people import SECRETS, Live, sign_in

PARTNER = (SECRETS["partner"]["client_id"], SECRETS["partner"]["client_secret"])


def error(answer: httpx.Response, status: int = 400) -> str:
    """The error of a protocol answer, which must be in its standard's shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["error"])


async def test_the_answer_names_its_issuer_and_keeps_the_state(live: Live, shop: httpx.AsyncClient) -> None:
    back = returned(await Flow(shop).authorize())
    assert back.keys() == {"tenant", "code", "state", "iss"}
    assert (back["state"], back["iss"]) == ("xyz", live.base)


async def test_a_code_is_good_once_and_its_reuse_ends_what_it_gave(shop: httpx.AsyncClient) -> None:
    flow = Flow(shop)
    code = await flow.code()
    first = (await flow.redeem(code)).json()
    bearer = {"authorization": f"Bearer {first['access_token']}"}
    assert (await shop.get("/identity/userinfo", headers=bearer)).status_code == 200
    assert error(await flow.redeem(code)) == "invalid_grant"
    assert error(await refresh(shop, first["refresh_token"])) == "invalid_grant"
    assert (await shop.get("/identity/userinfo", headers=bearer)).status_code == 401


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"code_verifier": "a" * 50}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "ngắn"}, "invalid_request"),
        ({"redirect_uri": "https://app.example/back"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"client_id": "other"}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"code": None}, "invalid_request"),
        ({"code": "mã"}, "invalid_grant"),
    ],
)
async def test_a_code_is_only_redeemed_as_it_was_asked_for(
    shop: httpx.AsyncClient, changed: dict[str, str | None], expected: str
) -> None:
    flow = Flow(shop)
    answer = await flow.redeem(**{"code": await flow.code(), **changed})
    assert error(answer) == expected


async def test_a_code_runs_out(live: Live, shop: httpx.AsyncClient) -> None:
    flow = Flow(shop)
    code = await flow.code()
    async with live.run.tx() as tx:
        hashed = hashlib.sha256(code.encode()).digest()
        stored = await tx.get(AuthorizationCode, hashed)
        assert stored is not None
        assert stored.expires_at - now() <= timedelta(minutes=10)
        stored.expires_at = now() - timedelta(seconds=1)
    assert error(await flow.redeem(code)) == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"scope": "xaso"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_of_a_known_application_goes_back_to_it(
    shop: httpx.AsyncClient, changed: dict[str, str | None], expected: str
) -> None:
    back = returned(await Flow(shop).authorize(**changed))
    assert (back["error"], back["state"]) == (expected, "xyz")


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": BACK + "&more=1"},
        {"redirect_uri": 'https://ác.example/"'},
        {"redirect_uri": None},
        {"client_id": "nobody"},
        {"client_id": None},
        {"client_id": "a\x7f"},
        {"state": "s" * 5000},
    ],
)
async def test_nobody_is_sent_where_the_application_did_not_register(
    shop: httpx.AsyncClient, changed: dict[str, str | None]
) -> None:
    answer = await Flow(shop).authorize(**changed)
    assert answer.status_code == 400, answer.text
    assert "location" not in answer.headers
    assert "yêu cầu đăng nhập không hợp lệ" in answer.text


async def test_a_parameter_said_twice_is_refused(shop: httpx.AsyncClient) -> None:
    flow = Flow(shop)
    query = urlencode([*flow.params.items(), ("client_id", "other")])
    assert (await shop.get(f"/identity/authorize?{query}")).status_code == 400
    body = "grant_type=client_credentials&grant_type=refresh_token"
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert error(await shop.post("/identity/token", content=body, headers=form)) == "invalid_request"


async def test_silent_requests_never_show_a_page(live: Live, shop: httpx.AsyncClient) -> None:
    assert "code" in returned(await Flow(shop).authorize(prompt="none"))
    async with live.browser() as stranger:
        assert returned(await Flow(stranger).authorize(prompt="none"))["error"] == "login_required"


async def test_a_client_may_ask_for_a_new_sign_in(live: Live) -> None:
    async with live.browser() as browser:
        await sign_in(browser, "officer")
        fresh = await Flow(browser).authorize(prompt="login")
        assert fresh.status_code == 302, "a sign-in of a moment ago is the one that is asked for"
        async with live.run.tx() as tx:
            signer = await Desk.of(settings_of(live)).keys.signer(tx)
        old = browser.cookies["xaso_session"]
        claims = aged(old, signer, seconds=600)
        browser.cookies.set("xaso_session", claims, domain="127.0.0.1", path="/")
        for asked in ({"prompt": "login"}, {"max_age": "300"}):
            answer = await Flow(browser).authorize(**asked)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/identity/login?next=")


def aged(text: str, signer: Any, seconds: int) -> str:
    """The same session, signed `seconds` ago."""
    claims = jwt.decode(text, signer.key, algorithms=["RS256"]).claims
    header = {"alg": "RS256", "typ": "at+jwt", "kid": signer.kid}
    return jwt.encode(header, {**claims, "iat": claims["iat"] - seconds}, signer.key)


@pytest.mark.parametrize(
    ("body", "expected", "status"),
    [
        ("", "unsupported_grant_type", 400),
        ("grant_type=", "unsupported_grant_type", 400),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type", 400),
        ("grant_type=m%E1%BB%9Bi", "unsupported_grant_type", 400),
        ("grant_type=%00", "invalid_request", 400),
        ("grant_type=%ff", "invalid_request", 400),
        ("grant_type=client_credentials", "invalid_client", 401),
        ("grant_type=client_credentials&client_id=nobody&client_secret=x", "invalid_client", 400),
        ("grant_type=client_credentials&client_id=vienthong-test&client_secret=wrong", "invalid_client", 401),
        ("grant_type=authorization_code&code=x&client_id=vienthong-test", "invalid_client", 401),
        ("grant_type=refresh_token&client_id=app", "invalid_request", 400),
        ("grant_type=refresh_token&refresh_token=x&client_id=app", "invalid_grant", 400),
        ("&".join(f"p{n}=1" for n in range(60)), "invalid_request", 400),
    ],
)
async def test_bad_token_requests_answer_in_the_shape_of_the_standard(
    shop: httpx.AsyncClient, body: str, expected: str, status: int
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert error(await shop.post("/identity/token", content=body, headers=form), status) == expected


async def test_token_requests_of_another_kind_are_refused(shop: httpx.AsyncClient) -> None:
    assert error(await shop.post("/identity/token", json={"grant_type": "client_credentials"})) == "invalid_request"
    form = {"content-type": "application/x-www-form-urlencoded"}
    for basic in ("Basic", "Basic !!!", "Basic //8=", "Basic Zm9v", "Bearer x", "Basic " + "eA==" * 9000):
        answer = await shop.post(
            "/identity/token",
            content="grant_type=client_credentials",
            headers={**form, "authorization": basic},
        )
        assert answer.status_code in (400, 401), (basic[:20], answer.text)
        assert answer.json()["error"] in ("invalid_client", "invalid_request")
    big = await shop.post("/identity/token", content=b"grant_type=" + b"a" * 3_000_000, headers=form)
    assert big.status_code == 413


async def test_a_partner_speaks_for_itself_with_its_scopes_only(live: Live, shop: httpx.AsyncClient) -> None:
    form = {"grant_type": "client_credentials", "scope": "indicators.observations.write identity.units.read"}
    good = await shop.post("/identity/token", data=form, auth=PARTNER)
    assert good.status_code == 200
    assert good.json()["scope"] == form["scope"]
    assert "refresh_token" not in good.json()
    me = await live.run.runner.runtime.verifier.verify(good.json()["access_token"])
    assert (me.kind, me.subject, me.client_id) == ("partner", PARTNER[0], PARTNER[0])
    assert not me.has_scope("petitions.write")
    more = await shop.post("/identity/token", data={**form, "scope": "xaso"}, auth=PARTNER)
    assert error(more) == "invalid_scope"
    async with TokenSource(f"{live.base}/token", *PARTNER) as source:
        every = await live.run.runner.runtime.verifier.verify(await source.token())
    assert every.scopes == set(clients.PARTNER_SCOPES)


async def test_an_operator_registers_the_program_of_an_authority(
    live: Live, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["--name", "Trung ta\u0302m điều hành", "--role", "viewer", "--unit", "298", "--scope", "indicators.read"]

    async def run(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(operator.main, arguments, lambda: settings_of(live))
        return code, *capsys.readouterr()

    code, secret, _ = await run("ioc-huyen", *said)
    assert code == 0
    async with TokenSource(f"{live.base}/token", "ioc-huyen", secret.strip()) as source:
        me = await live.run.runner.runtime.verifier.verify(await source.token())
    assert (me.kind, me.name, me.scopes) == ("partner", "Trung tâm điều hành", {"indicators.read"})
    assert [(grant.role, grant.path) for grant in me.grants] == [("viewer", "30/298")]
    async with live.run.tx() as tx:
        audited = (await tx.execute(sa.select(audit_table).where(audit_table.c.target == "ioc-huyen"))).one()
    assert (audited.actor, audited.action, audited.unit) == ("system", "program.registered", "298")
    assert secret.strip() not in str(audited.detail)
    # Whoever has the old secret is not shut out by a second registration.
    assert await run("ioc-huyen", *said) == (1, "", "ioc-huyen is registered already\n")
    for wrong in (
        ["IOC", *said],
        ["ioc-2", *said, "--unit", "999"],
        ["ioc-2", *said, "--unit", "298\0"],
        ["ioc-2", *said, "--name", "hai\ndòng"],
    ):
        code, out, why = await run(*wrong)
        assert (code, out, bool(why)) == (1, "", True), wrong
    with pytest.raises(SystemExit):
        await run("ioc-2", *said, "--role", "admin")
    async with live.run.tx() as tx:
        assert await tx.get(Client, "ioc-2") is None


async def test_a_disabled_client_gets_nothing(live: Live, shop: httpx.AsyncClient) -> None:
    async with live.run.tx() as tx:
        new = clients.NewClient("gone", "Đã dừng", ("client_credentials",), ("media.read",), secret="s" * 40)
        await clients.ensure(tx, new, by="test")
        await tx.execute(sa.update(Client).where(Client.client_id == "gone").values(disabled_at=now()))
    answer = await shop.post("/identity/token", data={"grant_type": "client_credentials"}, auth=("gone", "s" * 40))
    assert error(answer, 401) == "invalid_client"


async def test_an_id_token_opens_nothing(live: Live, shop: httpx.AsyncClient) -> None:
    tokens = await Flow(shop).tokens()
    with pytest.raises(TokenInvalid):
        await live.run.runner.runtime.verifier.verify(tokens["id_token"])
    headers = {"authorization": f"Bearer {tokens['id_token']}"}
    refused = await shop.get("/identity/userinfo", headers=headers)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert (await shop.get("/identity/api/v1/me", headers=headers)).status_code == 401


async def test_userinfo_asks_for_a_person_who_said_openid(shop: httpx.AsyncClient) -> None:
    assert (await shop.get("/identity/userinfo")).headers["www-authenticate"] == 'Bearer realm="xaso"'
    machine = await shop.post("/identity/token", data={"grant_type": "client_credentials"}, auth=PARTNER)
    headers = {"authorization": f"Bearer {machine.json()['access_token']}"}
    refused = await shop.post("/identity/userinfo", headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")


async def test_an_application_token_holds_no_more_than_was_allowed(live: Live, shop: httpx.AsyncClient) -> None:
    tokens = await Flow(shop).tokens()
    me = await live.run.runner.runtime.verifier.verify(tokens["access_token"])
    assert me.client_id == "app"
    assert not me.has_scope("identity.units.read"), "only `xaso` lends an application the person's own rights"


async def noted(live: Live, action: str) -> list[Any]:
    """The lines of the audit log about `action`, oldest first."""
    async with live.run.tx() as tx:
        c = audit_table.c
        return list((await tx.execute(sa.select(audit_table).where(c.action.like(action)).order_by(c.id))).all())


async def test_what_ends_an_applications_tokens_is_on_record_and_ends_them(live: Live, shop: httpx.AsyncClient) -> None:
    """Whom, which client, when; the access token of a thief who used the refresh token first counts no longer."""
    tokens = await Flow(shop).tokens()
    verifier = live.run.runner.runtime.verifier
    me = await verifier.verify(tokens["access_token"])
    before = len(await noted(live, "refresh_token.reused"))
    stolen = (await refresh(shop, tokens["refresh_token"])).json()
    for _ in range(2):
        assert error(await refresh(shop, tokens["refresh_token"])) == "invalid_grant"
    rows = (await noted(live, "refresh_token.reused"))[before:]
    assert [(row.actor, row.target, row.detail) for row in rows] == [("system", me.subject, {"client": "app"})]
    await verifier.refresh_ended()
    with pytest.raises(SessionEnded):
        await verifier.verify(stolen["access_token"])
    other = await Flow(shop).tokens()
    await verifier.verify(other["access_token"])
    await shop.post("/identity/revoke", data={"token": other["refresh_token"], "client_id": "app"})
    assert (await noted(live, "app_tokens.revoked"))[-1].target == me.subject
    await verifier.refresh_ended()
    with pytest.raises(SessionEnded):
        await verifier.verify(other["access_token"])


async def test_either_token_revokes_the_family(shop: httpx.AsyncClient) -> None:
    for kind in ("refresh_token", "access_token"):
        tokens = await Flow(shop).tokens()
        form = {"token": tokens[kind], "client_id": "other"}
        assert error(await shop.post("/identity/revoke", data=form)) == "invalid_grant"
        assert (await shop.post("/identity/revoke", data={**form, "client_id": "app"})).status_code == 200
        assert error(await refresh(shop, tokens["refresh_token"])) == "invalid_grant"
    unknown = await shop.post("/identity/revoke", data={"token": "nothing", "client_id": "app"})
    assert unknown.status_code == 200, "RFC 7009: an unknown token is as good as revoked"
    assert error(await shop.post("/identity/revoke", data={"client_id": "app"})) == "invalid_request"


async def test_refresh_ends_with_the_family_and_with_the_account(live: Live, shop: httpx.AsyncClient) -> None:
    tokens = await Flow(shop).tokens()
    assert error(await refresh(shop, tokens["refresh_token"], "other")) == "invalid_grant"
    me = await live.run.runner.runtime.verifier.verify(tokens["access_token"])
    assert me.session_id
    async with live.run.tx() as tx:
        family = await tx.get(TokenFamily, uuid.UUID(me.session_id))
        assert family is not None
        family.expires_at = now() - timedelta(seconds=1)
    assert error(await refresh(shop, tokens["refresh_token"])) == "invalid_grant"
    async with live.browser() as browser:
        await sign_in(browser, "producer")
        mine = await Flow(browser).tokens()
        person = await live.run.runner.runtime.verifier.verify(mine["access_token"])
        async with live.run.tx() as tx:
            await tx.execute(
                sa.update(Account).where(Account.id == uuid.UUID(person.subject)).values(disabled_at=now())
            )
        assert error(await refresh(browser, mine["refresh_token"])) == "invalid_request"
        assert (await Flow(browser).authorize()).headers["location"].startswith("/identity/login")


async def test_a_person_may_say_no(live: Live) -> None:
    async with live.run.tx() as tx:
        third = clients.NewClient("third", "Bên thứ ba", ("authorization_code",), ("openid",), redirect_uris=(BACK,))
        await clients.ensure(tx, third, by="test")
    async with live.browser() as browser:
        await sign_in(browser, "resident")
        flow = Flow(browser, "third")
        page = await flow.authorize(scope="openid")
        assert page.status_code == 200
        assert returned(await flow.authorize(scope="openid", prompt="none"))["error"] == "consent_required"
        found = re.search(r'name="asked" value="([^"]*)"', page.text)
        assert found
        asked = found.group(1).replace("&amp;", "&")
        form = {"asked": asked, "csrf_token": browser.cookies["xaso_csrf"]}
        no = await browser.post("/identity/authorize", data={**form, "decision": "deny"})
        assert returned(no)["error"] == "access_denied"
        forged = await browser.post("/identity/authorize", data={"asked": asked, "decision": "allow"})
        assert forged.status_code == 403
        yes = await browser.post("/identity/authorize", data={**form, "decision": "allow"})
        tokens = (await flow.redeem(returned(yes)["code"])).json()
        assert "refresh_token" not in tokens
        assert "id_token" in tokens
    rows = await noted(live, "app_consent.%")
    assert [row.action for row in rows] == ["app_consent.refused", "app_consent.given"]
    assert {row.target for row in rows} == {"third"}
    me = await live.run.runner.runtime.verifier.verify(tokens["access_token"])
    assert {row.actor for row in rows} == {me.subject}
    assert rows[1].detail == {"scopes": ["openid"]}
