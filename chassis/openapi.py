"""Owns how a service's OpenAPI names who may call what: the ways to sign in, and which of them an operation needs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chassis.auth import ALL_SCOPES
from chassis.incoming import SESSION_COOKIE
from chassis.settings import ServiceSettings
from chassis.web import SignedIn, accesses

PEOPLE = "people"
PARTNERS = "partners"
BEARER = "bearer"
SESSION = "session"


def describe(app: FastAPI, settings: ServiceSettings) -> None:
    """Have `app.openapi()` name the security of every operation."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the description.


def _described(app: FastAPI, settings: ServiceSettings) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes, servers=app.servers)
    scopes: set[str] = set()
    for access in accesses(app.routes):
        operation = document["paths"].get(access.path, {}).get(access.method.lower())
        if operation is not None:
            operation["security"] = _needed(access.signed_in, access.scope)
            scopes |= {access.scope} - {""}
    document.setdefault("components", {})["securitySchemes"] = _schemes(settings, scopes)
    return document


def _needed(signed_in: SignedIn, scope: str) -> list[dict[str, list[str]]]:
    """The ways to call an operation, any of which will do; an empty one says that nobody needs to sign in."""
    if signed_in is SignedIn.NEVER:
        return []
    ways: list[dict[str, list[str]]] = [{PEOPLE: [ALL_SCOPES]}]
    ways += [{PARTNERS: [scope]}, {PEOPLE: [scope]}] if scope else []
    ways += [{BEARER: []}, {SESSION: []}]
    return ways if signed_in is SignedIn.ALWAYS else [{}, *ways]


def _schemes(settings: ServiceSettings, scopes: set[str]) -> dict[str, Any]:
    own = dict.fromkeys(sorted(scopes), "This service's own scope of that name.")
    everything = {ALL_SCOPES: "All that the person may do."}
    prefix = "__Host-" if settings.https else ""
    token = settings.token_endpoint
    return {
        PEOPLE: {
            "type": "oauth2",
            "description": "An application acts for a person (authorization code with PKCE, S256).",
            "flows": {
                "authorizationCode": {
                    "authorizationUrl": f"{settings.issuer}/authorize",
                    "tokenUrl": token,
                    "refreshUrl": token,
                    "scopes": {**everything, **own},
                }
            },
        },
        PARTNERS: {
            "type": "oauth2",
            "description": "A partner's program acts for itself; what it may touch are the units it has a role on.",
            "flows": {"clientCredentials": {"tokenUrl": token, "scopes": own}},
        },
        BEARER: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of the issuer, however it was got.",
        },
        SESSION: {
            "type": "apiKey",
            "in": "cookie",
            "name": f"{prefix}{SESSION_COOKIE}",
            "description": "The session of a browser; what writes must carry its CSRF token as X-CSRF-Token too.",
        },
    }
