"""Owns what an access token says and how it is signed (RFC 9068: typ at+jwt, RS256, audience xaso)."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass

from joserfc import jwt

from chassis.auth import ALL_SCOPES, AUDIENCE
from chassis.db import new_id
from services.identity.accounts.grants import as_claims
from services.identity.accounts.model import RoleGrant
from services.identity.sessions.keys import Signer

SESSION_SCOPE = f"openid profile {ALL_SCOPES}"


@dataclass(frozen=True)
class Subject:
    """Whom a token is about: a person (kind person) or a partner's client (kind partner), and the roles they hold."""

    id: str
    name: str
    kind: str
    grants: list[RoleGrant]


def sign(
    signer: Signer,
    issuer: str,
    subject: Subject,
    *,
    scope: str,
    seconds: int,
    client_id: str | None = None,
    family: str | None = None,
) -> str:
    """A signed access token good for `seconds`; `family` ties it to the sign-in or authorization it came from."""
    # To the fraction, as RFC 7519 allows: a new sign-in may follow the end of an old one within the second.
    at = time.time()
    claims = {
        "iss": issuer,
        "sub": subject.id,
        "aud": AUDIENCE,
        "iat": at,
        "exp": int(at) + seconds,
        "jti": str(new_id()),
        "name": subject.name,
        "kind": subject.kind,
        "scope": scope,
        "grants": as_claims(subject.grants),
    }
    if client_id:
        claims["client_id"] = client_id
    if family:
        claims["sid"] = family
    return jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": signer.kid}, claims, signer.key)


def issued_at(verified: str) -> int:
    """When a token that was already verified was signed, in seconds since the epoch."""
    body = verified.split(".")[1]
    return int(json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))["iat"])
