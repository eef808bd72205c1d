"""Owns the tables of OAuth 2.0: client applications, authorization codes, refresh tokens and consent to clients.

The mapped classes also speak Authlib's small interfaces, so that its grants can judge them as they are.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest

import sqlalchemy as sa
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oidc.core import AuthorizationCodeMixin
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, now
from services.identity.model import Base


def digest(secret: str) -> bytes:
    """The fingerprint a long random secret (code, token, client secret) is kept as; guessing it is out of reach."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Client(Base, ClientMixin):  # type: ignore[misc] # Authlib ships no types, so its classes are Any to mypy.
    """An application that asks for tokens: a partner's program (client credentials) or an app people sign in to."""

    __tablename__ = "client"

    client_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    secret_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    name: Mapped[str] = mapped_column(sa.Text)
    redirect_uris: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text), default=list)
    grant_types: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text), default=list)
    scopes: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text), default=list)
    first_party: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    created_by: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        # A default would make the match depend on what the request leaves out: the address is always named.
        return None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        asked = (scope or "").split() or [s for s in self.scopes if s != "offline_access"]
        allowed = [s for s in asked if s in self.scopes]
        # RFC 6749 §3.3: asking for something one may not have is an error, not silently less.
        return " ".join(dict.fromkeys(allowed)) if len(allowed) == len(asked) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret_hash is not None and compare_digest(self.secret_hash, digest(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        confidential = ("client_secret_basic", "client_secret_post")
        return method in confidential if self.secret_hash is not None else method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


class AuthorizationCode(Base, AuthorizationCodeMixin):  # type: ignore[misc] # See Client.
    """A code, good once and for minutes; the row outlives its use so that a second use is noticed."""

    __tablename__ = "authorization_code"

    code_hash: Mapped[bytes] = mapped_column(sa.LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(sa.ForeignKey("client.client_id"), index=True)
    account_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("account.id"), index=True)
    redirect_uri: Mapped[str] = mapped_column(sa.Text)
    scope: Mapped[str] = mapped_column(sa.Text)
    nonce: Mapped[str | None] = mapped_column(sa.Text)
    code_challenge: Mapped[str] = mapped_column(sa.Text)
    code_challenge_method: Mapped[str] = mapped_column(sa.Text)
    auth_time: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    family: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True))

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(self.auth_time.timestamp())

    def get_acr(self) -> str | None:
        return None

    def get_amr(self) -> list[str]:
        return ["pwd"]


class TokenFamily(Base):
    """Everything that came from one authorization; it ends at a fixed time, or at once when a token is used twice."""

    __tablename__ = "token_family"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True)
    client_id: Mapped[str] = mapped_column(sa.ForeignKey("client.client_id"), index=True)
    account_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("account.id"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RefreshToken(Base, TokenMixin):  # type: ignore[misc] # See Client.
    """One refresh token of a family; using it spends it and makes the next one."""

    __tablename__ = "refresh_token"

    token_hash: Mapped[bytes] = mapped_column(sa.LargeBinary, primary_key=True)
    family_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("token_family.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(sa.Text)
    account_id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True))
    scope: Mapped[str] = mapped_column(sa.Text)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    spent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope


class ClientConsent(Base):
    """A person let an application of others see them; asked once per set of scopes."""

    __tablename__ = "client_consent"

    account_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("account.id"), primary_key=True)
    client_id: Mapped[str] = mapped_column(sa.ForeignKey("client.client_id"), primary_key=True, index=True)
    scopes: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text))
    given_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
