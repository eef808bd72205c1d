"""Owns the tables of signing keys and of counted sign-in attempts, and the named errors of signing in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, now
from chassis.errors import DomainError, Kind, Unauthenticated
from services.identity.model import Base


class SigningKey(Base):
    """An RSA key. It is published from `created_at` to `retires_at` and signs from `signs_from` until the next does."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(pg.JSONB)
    private_sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    signs_from: Mapped[datetime] = mapped_column(UtcDateTime)
    retires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Attempts(Base):
    """Attempts counted in a window under a keyed fingerprint, which tells neither the account nor the address."""

    __tablename__ = "attempts"

    key: Mapped[bytes] = mapped_column(sa.LargeBinary, primary_key=True)
    count: Mapped[int] = mapped_column(sa.Integer)
    window_ends: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class EndedSession(Base):
    """An account or a sign-in (`mark`, a fingerprint of its id) whose tokens signed before `ended_at` are void."""

    __tablename__ = "ended_session"

    mark: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class SignInRefused(Unauthenticated):
    code = "sign_in_refused"
    message = "Tên đăng nhập, số điện thoại hoặc mật khẩu chưa đúng."


class TooManyAttempts(DomainError):
    code = "too_many_attempts"
    kind = Kind.RATE_LIMITED
    message = "Đã thử quá nhiều lần. Xin đợi {minutes} phút rồi thử lại."
