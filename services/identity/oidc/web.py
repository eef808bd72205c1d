"""Owns the authorization page: an application sends a person here, and the person comes back to it with a code."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chassis import audit
from chassis.db import now
from chassis.errors import DomainError, Kind, Unauthenticated
from chassis.incoming import SESSION_COOKIE
from chassis.web import Page, PageRouter, Tx
from services.identity.accounts.commands import as_person
from services.identity.accounts.model import Account
from services.identity.desk import Desk
from services.identity.oidc import clients, grants
from services.identity.oidc import server as oauth
from services.identity.oidc.server import EndUser
from services.identity.sessions import tokens
from services.identity.web import TEMPLATES, AtDesk

pages = PageRouter(templates=TEMPLATES)

FRESH = timedelta(seconds=120)
"""A sign-in this recent counts as the one that `prompt=login` asks for."""

SCOPE_WORDS = {
    "openid": "biết tài khoản là của chị/anh",
    "profile": "xem họ tên và tên đăng nhập",
    "offline_access": "giữ kết nối khi chị/anh không mở ứng dụng",
    "xaso": "làm thay những việc chị/anh được làm trên Xã Số",
}


class AuthorizationRefused(DomainError):
    code = "authorization_refused"
    kind = Kind.MALFORMED
    message = "Ứng dụng gửi yêu cầu đăng nhập không hợp lệ ({reason}). Xin báo cho người cung cấp ứng dụng."


@pages.get("/authorize")
async def authorize_page(page: Page, tx: Tx, desk: AtDesk) -> Response:
    asked = page.request.url.query
    user = await _end_user(page.request, tx)
    made = await _run(tx, desk, asked, lambda server, request: server.consent(request, user))
    if isinstance(made, oauth.Answer):
        return _back(made)
    params = made.request.payload.data
    prompts = str(params.get("prompt", "")).split()
    if user is None or _stale(user, params, prompts):
        if "none" in prompts:
            return _back(await _run(tx, desk, asked, lambda server, request: server.login_required(request)))
        return RedirectResponse(f"/identity/login?next={quote(f'/identity/authorize?{asked}', safe='')}", 303)
    scopes = made.request.scope.split()
    if "consent" not in prompts and await clients.agreed(tx, user.account.id, made.client, scopes):
        return await _finish(tx, desk, asked, user)
    if "none" in prompts:
        return _back(await _run(tx, desk, asked, lambda server, request: server.consent_required(request)))
    words = [SCOPE_WORDS.get(s, s) for s in scopes]
    return page.render("authorize.html", client=made.client, words=words, asked=asked, name=user.account.name)


@pages.post("/authorize")
async def decide(page: Page, tx: Tx, desk: AtDesk) -> Response:
    data = await page.request.form()
    asked = str(data.get("asked", ""))
    user = await _end_user(page.request, tx)
    if user is None:
        return RedirectResponse(f"/identity/login?next={quote(f'/identity/authorize?{asked}', safe='')}", 303)
    made = await _run(tx, desk, asked, lambda server, request: server.consent(request, user))
    if isinstance(made, oauth.Answer):
        return _back(made)
    allowed = data.get("decision") == "allow"
    scopes = made.request.scope.split()
    await audit.record(
        tx,
        as_person(user.account),
        action="app_consent.given" if allowed else "app_consent.refused",
        target=made.client.client_id,
        unit=user.account.home_unit,
        detail={"scopes": scopes},
    )
    if not allowed:
        return await _finish(tx, desk, asked, None)
    await clients.agree(tx, user.account.id, made.client, scopes)
    return await _finish(tx, desk, asked, user)


async def _finish(tx: Tx, desk: Desk, asked: str, user: EndUser | None) -> Response:
    return _back(await _run(tx, desk, asked, lambda server, request: server.authorize(request, user)))


async def _run(tx: Tx, desk: Desk, asked: str, act: Any) -> Any:
    """Let `act(server, request)` speak to Authlib's core on the request's own transaction."""
    signer = await desk.keys.signer(tx)

    def inside(session: Any) -> Any:
        server = oauth.Server(grants.Context(session, signer, desk.settings))
        return server.guarded("GET", "/authorize", asked, {}, lambda request: act(server, request))

    return await tx.run_sync(inside)


def _back(answer: oauth.Answer) -> Response:
    """The redirect to the client; where the client itself cannot be trusted, a page for the person instead."""
    if answer.location:
        return RedirectResponse(answer.location, 302, {"cache-control": "no-store"})
    raise AuthorizationRefused(reason=str((answer.body or {}).get("error", "invalid_request")))


async def _end_user(request: Request, tx: Tx) -> EndUser | None:
    """The person whose session cookie came along and whose account still stands."""
    cookie = request.cookies.get(SESSION_COOKIE)
    if not cookie:
        return None
    try:
        me = await request.app.state.runtime.verifier.verify(cookie)
    except Unauthenticated:
        return None
    if me.client_id is not None or me.kind != "person":
        return None
    account = await tx.get(Account, uuid.UUID(me.subject))
    if account is None or not account.usable:
        return None
    return EndUser(account, datetime.fromtimestamp(tokens.issued_at(cookie), UTC))


def _stale(user: EndUser, params: dict[str, str], prompts: list[str]) -> bool:
    """Whether the client wants a newer sign-in than the one there is (`prompt=login`, `max_age`)."""
    age = now() - user.auth_time
    oldest = params.get("max_age", "")
    if oldest.isascii() and oldest.isdigit() and age > max(timedelta(seconds=int(oldest[:9])), FRESH):
        return True
    return "login" in prompts and age > FRESH
