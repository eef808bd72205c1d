"""Owns the protocol endpoints programs call: discovery, keys, token, revocation, user info.

They answer in the shapes of their standards (RFC 6749, 7009, 8414, 6750), never in problem+json, and write in a
transaction of their own: a refused code or token must stay recorded as used although the answer is an error.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chassis import audit
from chassis.auth import Principal
from chassis.errors import Unauthenticated
from chassis.tokens import Verifier
from chassis.web import ApiRouter, Sessions
from services.identity.accounts.model import Account
from services.identity.desk import Desk
from services.identity.oidc import clients, grants
from services.identity.oidc import server as oauth
from services.identity.oidc.model import TokenFamily
from services.identity.sessions import endings
from services.identity.web import AtDesk

api = ApiRouter(include_in_schema=False)

NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
FORM = "application/x-www-form-urlencoded"


@api.get("/.well-known/openid-configuration")
async def discovery(desk: AtDesk) -> Response:
    issuer = desk.settings.issuer
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "revocation_endpoint": f"{issuer}/revoke",
            "jwks_uri": f"{issuer}/jwks.json",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": [*clients.PEOPLE_SCOPES, *clients.PARTNER_SCOPES],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "name", "preferred_username"],
            "token_endpoint_auth_methods_supported": grants.AUTH_METHODS,
            "revocation_endpoint_auth_methods_supported": grants.AUTH_METHODS,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "ui_locales_supported": ["vi", "en"],
        },
        headers={"cache-control": "public, max-age=300"},
    )


@api.get("/jwks.json")
async def jwks(sessions: Sessions, desk: AtDesk) -> Response:
    async with sessions.begin() as tx:
        keys = await desk.keys.published(tx)
    return JSONResponse(keys, headers={"cache-control": "public, max-age=300"})


@api.get("/ended.json")
async def ended_sessions(sessions: Sessions, since: Annotated[float, Query(ge=0, le=1e10)] = 0.0) -> Response:
    """Which sessions ended before their time, for every verifier: fingerprints of random ids and instants."""
    async with sessions.read() as tx:
        found = await endings.ended(tx, since)
    return JSONResponse({"ended": found}, headers=NO_STORE)


@api.post("/token", csrf=False)
async def token(request: Request, sessions: Sessions, desk: AtDesk) -> Response:
    return await _protocol(request, sessions, desk, "token")


@api.post("/revoke", csrf=False)
async def revoke(request: Request, sessions: Sessions, desk: AtDesk) -> Response:
    return await _protocol(request, sessions, desk, "revoke")


@api.get("/userinfo")
@api.post("/userinfo", csrf=False)
async def userinfo(request: Request, sessions: Sessions) -> Response:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        return _challenge(401, None)
    verifier: Verifier = request.app.state.runtime.verifier
    try:
        me = await verifier.verify(text.strip())
    except Unauthenticated:
        return _challenge(401, "invalid_token")
    if me.kind != "person" or "openid" not in me.scopes:
        return _challenge(403, "insufficient_scope")
    async with sessions.read() as tx:
        info = await _user_info(tx, me)
    return JSONResponse(info, headers=NO_STORE) if info else _challenge(401, "invalid_token")


async def _user_info(tx: Any, me: Principal) -> dict[str, str] | None:
    account = await tx.get(Account, uuid.UUID(me.subject))
    if account is None or not account.usable:
        return None
    if me.client_id is not None:
        family = await tx.get(TokenFamily, uuid.UUID(me.session_id)) if me.session_id else None
        if family is None or family.revoked_at is not None:
            return None
    return grants.user_info(account, " ".join(me.scopes))


def _challenge(status: int, error: str | None) -> Response:
    """RFC 6750 §3: no reason where no token was shown."""
    detail = f', error="{error}"' if error else ""
    body = {"error": error} if error else {}
    return JSONResponse(body, status, {**NO_STORE, "www-authenticate": f'Bearer realm="xaso"{detail}'})


async def _protocol(request: Request, sessions: Sessions, desk: Desk, name: str) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return JSONResponse(
            {"error": "invalid_request", "error_description": f"The body must be {FORM}."}, 400, NO_STORE
        )
    encoded = (await request.body()).decode("ascii", "replace")
    async with sessions.begin() as tx:
        signer = await desk.keys.signer(tx)
        noted: list[grants.Noted] = []

        def answer(session: Any) -> oauth.Answer:
            server = oauth.Server(grants.Context(session, signer, desk.settings, noted))
            return server.answer(name, request.method, encoded, request.headers)

        made = await tx.run_sync(answer)
        for note in noted:
            # Whether the client did it or a thief cannot be told, so the line names whom and which client it concerns.
            told = {"client": note.client}
            await audit.record(tx, None, action=note.action, target=str(note.account), unit="", detail=told)
    return JSONResponse(dict(made.body or {}), made.status, {**made.headers, **NO_STORE})
