"""Owns the table of staff who agreed to be listed with their office's contact."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, now
from services.identity.model import Base


class StaffContact(Base):
    """What a member of staff agreed to show the public; only present while they agree."""

    __tablename__ = "staff_contact"
    __table_args__ = (sa.Index("ix_staff_contact_path", "path", postgresql_ops={"path": "text_pattern_ops"}),)

    account_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("account.id"), primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    position: Mapped[str] = mapped_column(sa.Text)
    phone: Mapped[str] = mapped_column(sa.Text)
    email: Mapped[str] = mapped_column(sa.Text)
    agreed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
