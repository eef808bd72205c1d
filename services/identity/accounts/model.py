"""Owns the tables of accounts, the roles held on units, recorded consent, and the named errors about them."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id, now
from chassis.errors import DomainError, Kind, NotFound
from services.identity.model import Base

ROLE_LEVELS: dict[str, tuple[str, ...]] = {
    "resident": ("commune", "village"),
    "village_head": ("village",),
    "officer": ("commune",),
    "leader": ("commune",),
    "viewer": ("province", "district", "commune"),
    "producer": ("commune", "village"),
    "admin": ("province", "district", "commune"),
}
"""The levels of unit on which each role may be held by a person."""

GRANTABLE: dict[str, tuple[str, ...]] = {
    "admin": tuple(ROLE_LEVELS),
    "leader": ("resident", "village_head", "officer", "viewer", "producer"),
}
"""Which roles the holder of a role may grant and revoke, within the unit the holder's own grant covers."""

ROLE_TITLES = {
    "resident": "Người dân",
    "village_head": "Trưởng thôn",
    "officer": "Công chức",
    "leader": "Lãnh đạo",
    "viewer": "Theo dõi",
    "producer": "Nhà sản xuất",
    "admin": "Quản trị",
    "partner": "Đối tác",
}

LISTED_ROLES = ("officer", "leader", "village_head", "admin")
"""Roles whose holders serve the public: they may be listed in the directory, and are the staff of their unit."""

MOST_GRANTS = 20
"""Grants travel inside the session cookie, which browsers cut at 4 KB."""

CONSENT_REGISTER = "register"
CONSENT_CONTACT = "public_contact"


class Account(Base):
    """A person's account. Phone and citizen number rest encrypted, each beside a keyed index to find it by."""

    __tablename__ = "account"

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    username: Mapped[str | None] = mapped_column(sa.Text, unique=True)
    name: Mapped[str] = mapped_column(sa.Text)
    password_hash: Mapped[str] = mapped_column(sa.Text)
    phone_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(sa.LargeBinary, unique=True)
    citizen_sealed: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    citizen_index: Mapped[bytes | None] = mapped_column(sa.LargeBinary, unique=True)
    home_unit: Mapped[str] = mapped_column(sa.Text)
    uses_smartphone: Mapped[bool | None] = mapped_column(sa.Boolean)
    created_by: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def usable(self) -> bool:
        """Whether its holder may sign in."""
        return self.disabled_at is None and self.erased_at is None

    def erase(self, at: datetime) -> None:
        """Forget the person; the row stays so that what others recorded about the account id still resolves."""
        self.username = self.phone_sealed = self.phone_index = self.citizen_sealed = self.citizen_index = None
        self.uses_smartphone = None
        self.name = ""
        self.password_hash = ""
        self.erased_at = at


class RoleGrant(Base):
    """A role held on a unit by one account or by one client application of a partner, until it is revoked."""

    __tablename__ = "role_grant"
    __table_args__ = (
        sa.CheckConstraint("(account_id IS NULL) <> (client_id IS NULL)", name="one_holder"),
        sa.Index(
            "uq_role_grant_account",
            "account_id",
            "role",
            "unit",
            unique=True,
            postgresql_where=sa.text("revoked_at IS NULL"),
        ),
        sa.Index(
            "uq_role_grant_client",
            "client_id",
            "role",
            "unit",
            unique=True,
            postgresql_where=sa.text("revoked_at IS NULL"),
        ),
        sa.Index("ix_role_grant_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
    )

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    account_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("account.id"), index=True)
    client_id: Mapped[str | None] = mapped_column(sa.Text)
    role: Mapped[str] = mapped_column(sa.Text)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    granted_by: Mapped[str] = mapped_column(sa.Text)
    granted_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    revoked_by: Mapped[str | None] = mapped_column(sa.Text)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Consent(Base):
    """What a person agreed to, to which wording, and when; withdrawing keeps the row."""

    __tablename__ = "consent"
    __table_args__ = (sa.Index("ix_consent_account_id", "account_id"),)

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    account_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("account.id"))
    purpose: Mapped[str] = mapped_column(sa.Text)
    wording: Mapped[str] = mapped_column(sa.Text)
    given_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class NoSuchAccount(NotFound):
    code = "no_such_account"
    message = "Không có tài khoản này."


class NameTaken(DomainError):
    code = "name_taken"
    kind = Kind.CONFLICT
    message = "Tên đăng nhập này đã có người dùng."


class PhoneTaken(DomainError):
    code = "phone_taken"
    kind = Kind.CONFLICT
    message = "Số điện thoại này đã có tài khoản. Xin đăng nhập."


class CitizenTaken(DomainError):
    code = "citizen_taken"
    kind = Kind.CONFLICT
    message = "Số căn cước này đã có tài khoản."


class WrongPassword(DomainError):
    code = "wrong_password"
    kind = Kind.INVALID
    message = "Mật khẩu chưa đúng."


class RoleNotHere(DomainError):
    code = "role_not_here"
    kind = Kind.CONFLICT
    message = "Vai trò này không giao được ở cấp của {unit}."


class RoleNotGrantable(DomainError):
    code = "role_not_grantable"
    kind = Kind.FORBIDDEN
    message = "Tài khoản của chị/anh không giao hoặc thu được vai trò này ở đơn vị đó."


class TooManyGrants(DomainError):
    code = "too_many_grants"
    kind = Kind.CONFLICT
    message = "Một tài khoản giữ tối đa {most} vai trò. Xin thu bớt vai trò cũ."


class HeldElsewhere(DomainError):
    code = "held_elsewhere"
    kind = Kind.FORBIDDEN
    message = "Người này giữ vai trò ngoài phạm vi của chị/anh, nên chỉ cấp trên mới làm được việc đó."


class OwnAdmin(DomainError):
    code = "own_admin"
    kind = Kind.CONFLICT
    message = "Không tự thu vai trò quản trị của chính mình được."


class NoSuchGrant(NotFound):
    code = "no_such_grant"
    message = "Tài khoản không giữ vai trò này."
