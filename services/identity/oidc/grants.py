"""Owns the grants the token endpoint knows: how Authlib's protocol core meets our tables.

Everything here runs inside `AsyncSession.run_sync`, on the synchronous session of the request's own transaction.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import InvalidRequestError, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from sqlalchemy.orm import Session

from chassis.db import new_id, now
from services.identity.accounts.model import Account, RoleGrant
from services.identity.oidc.model import AuthorizationCode, Client, RefreshToken, TokenFamily, digest
from services.identity.sessions import endings, tokens
from services.identity.sessions.keys import Signer
from services.identity.settings import Settings

AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]
PKCE_METHODS = ["S256"]


@dataclass(frozen=True)
class Noted:
    """Something for the audit log: what happened to the tokens that a client holds on a person's behalf."""

    action: str
    account: uuid.UUID
    client: str


@dataclass(frozen=True)
class Context:
    """What the grants need of this request: the transaction, the key that signs now, the settings.

    `noted` is what they did that belongs into the audit log; whoever made the context writes it there.
    """

    session: Session
    signer: Signer
    settings: Settings
    noted: list[Noted] = field(default_factory=list)

    def account(self, account_id: uuid.UUID) -> Account | None:
        """The account, if its holder may still sign in."""
        account: Account | None = self.session.get(Account, account_id)
        return account if account is not None and account.usable else None

    def subject(self, client: Client, account: Account | None) -> tokens.Subject:
        """Whom an access token is about: the person, or the partner's client itself."""
        holder = RoleGrant.account_id == account.id if account else RoleGrant.client_id == client.client_id
        held = self.session.scalars(
            sa.select(RoleGrant)
            .where(holder, RoleGrant.revoked_at.is_(None))
            .order_by(RoleGrant.granted_at, RoleGrant.id)
        ).all()
        if account is not None:
            return tokens.Subject(str(account.id), account.name, "person", list(held))
        return tokens.Subject(client.client_id, client.name, "partner", list(held))

    def revoke_family(self, family_id: uuid.UUID, why: str) -> None:
        """End everything that came from one authorization, its access tokens too; `why` is for the audit log."""
        ended = self.session.execute(
            sa.update(TokenFamily)
            .where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None))
            .values(revoked_at=now())
            .returning(TokenFamily.account_id, TokenFamily.client_id)
        ).one_or_none()
        if ended is not None:
            self.session.execute(endings.ending(str(family_id)))
            self.noted.append(Noted(why, ended.account_id, ended.client_id))


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc] # Authlib ships no types.
    """Code grant: a code is good once, to the client it was made for; a second use ends what the first one gave."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        context: Context = self.server.context
        data = request.payload.data
        family = uuid.UUID(int=new_id().int)
        expires = now() + timedelta(days=context.settings.refresh_days)
        context.session.add(
            TokenFamily(
                id=family, client_id=request.client.client_id, account_id=request.user.account.id, expires_at=expires
            )
        )
        context.session.flush()
        context.session.add(
            AuthorizationCode(
                code_hash=digest(code),
                client_id=request.client.client_id,
                account_id=request.user.account.id,
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope,
                nonce=data.get("nonce"),
                code_challenge=data["code_challenge"],
                code_challenge_method=data["code_challenge_method"],
                auth_time=request.user.auth_time,
                expires_at=now() + timedelta(seconds=context.settings.code_seconds),
                family=family,
            )
        )

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        context: Context = self.server.context
        # The lock makes two uses of one code take turns: the second sees that it was used.
        found = context.session.get(AuthorizationCode, digest(code), with_for_update=True)
        if found is None or found.client_id != client.client_id:
            return None
        if found.used_at is not None:
            context.revoke_family(found.family, "code.reused")
            return None
        return found if found.expires_at > now() else None

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        authorization_code.used_at = now()

    def authenticate_user(self, authorization_code: AuthorizationCode) -> Account | None:
        context: Context = self.server.context
        return context.account(authorization_code.account_id)


class RefreshTokenGrant(grants.RefreshTokenGrant):  # type: ignore[misc] # Authlib ships no types.
    """Refresh grant: each use gives a new token; a spent one that comes back ends its whole family."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        context: Context = self.server.context
        found = context.session.get(RefreshToken, digest(refresh_token), with_for_update=True)
        if found is None:
            return None
        family = context.session.get(TokenFamily, found.family_id, with_for_update=True)
        if family is None or family.revoked_at is not None or family.expires_at <= now():
            return None
        if found.spent_at is not None:
            # The client or a thief used it before; which one cannot be told, so neither goes on (RFC 9700 §4.14).
            context.revoke_family(found.family_id, "refresh_token.reused")
            return None
        return found

    def authenticate_user(self, refresh_token: RefreshToken) -> Account | None:
        context: Context = self.server.context
        return context.account(refresh_token.account_id)

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        refresh_token.spent_at = now()


class ClientCredentialsGrant(grants.ClientCredentialsGrant):  # type: ignore[misc] # Authlib ships no types.
    """A partner's program speaks for itself; it gets no refresh token."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS[:2]


class S256Only(CodeChallenge):  # type: ignore[misc] # Authlib ships no types.
    """PKCE for every client, by S256 only: plain would let whoever sees the request use the code."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = PKCE_METHODS

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with code_challenge_method=S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class IdToken(OpenIDCode):  # type: ignore[misc] # Authlib ships no types.
    """Adds the ID token to the answer of the code grant."""

    def __init__(self, context: Context) -> None:
        super().__init__(require_nonce=False)
        self._context = context

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        # A nonce is bound to its code, and a code works once; the client checks the nonce it gets back.
        return False

    def resolve_client_private_key(self, client: Client) -> Any:
        return self._context.signer.key

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": self._context.signer.kid, "typ": "JWT"}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self._context.settings.issuer, "aud": [client.client_id]}

    def generate_user_info(self, user: Account, scope: str) -> dict[str, str]:
        return user_info(user, scope)


def user_info(account: Account, scope: str) -> dict[str, str]:
    """The claims about a person that `scope` opens: sub always, the name with profile."""
    info = {"sub": str(account.id)}
    if "profile" in scope.split():
        info["name"] = account.name
        if account.username:
            info["preferred_username"] = account.username
    return info


def save_refresh_token(context: Context, refresh_token: str, request: OAuth2Request, scope: str) -> None:
    """Keep the fingerprint of a refresh token just made, in the family of the code or token it follows from."""
    before = request.authorization_code
    family = before.family if before is not None else request.refresh_token.family_id
    context.session.add(
        RefreshToken(
            token_hash=digest(refresh_token),
            family_id=family,
            client_id=request.client.client_id,
            account_id=request.user.id,
            scope=scope,
        )
    )
