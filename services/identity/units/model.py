"""Owns the tables of reorganisations: which change sets were applied, what succeeded what, what people must settle."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id, now
from services.identity.model import Base


class AppliedChangeSet(Base):
    """A change set that was applied; `digest` is the fingerprint of what it said (`ChangeSet.digest`)."""

    __tablename__ = "change_set"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    title: Mapped[str] = mapped_column(sa.Text)
    effective_on: Mapped[date] = mapped_column(sa.Date)
    legal_basis: Mapped[str] = mapped_column(sa.Text)
    sources: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text))
    digest: Mapped[str] = mapped_column(sa.Text)
    counts: Mapped[dict[str, Any]] = mapped_column(pg.JSONB)
    applied_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Succession(Base):
    """One unit's whole or share going to another; the share is null where nobody has said how much."""

    __tablename__ = "succession"
    __table_args__ = (
        sa.Index("ix_succession_successor", "successor", "successor_from"),
        sa.Index("ix_succession_change_set", "change_set"),
        sa.CheckConstraint(
            "(numerator IS NULL) = (denominator IS NULL) AND numerator > 0 AND numerator <= denominator", name="share"
        ),
    )

    predecessor: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    predecessor_from: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    successor: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    successor_from: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    change_set: Mapped[str] = mapped_column(sa.ForeignKey("change_set.id"))
    numerator: Mapped[int | None] = mapped_column(sa.BigInteger)
    denominator: Mapped[int | None] = mapped_column(sa.BigInteger)
    legal_basis: Mapped[str] = mapped_column(sa.Text)
    note: Mapped[str] = mapped_column(sa.Text)


class UnsettledRole(Base):
    """A role that lay on an ended unit and could not go over by itself; people give it anew or leave it."""

    __tablename__ = "unsettled_role"
    __table_args__ = (
        sa.Index("ix_unsettled_role_change_set", "change_set"),
        sa.Index("ix_unsettled_role_grant_id", "grant_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    change_set: Mapped[str] = mapped_column(sa.ForeignKey("change_set.id"))
    grant_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("role_grant.id"))
    role: Mapped[str] = mapped_column(sa.Text)
    unit: Mapped[str] = mapped_column(sa.Text)
    unit_from: Mapped[date] = mapped_column(sa.Date)
    reason: Mapped[str] = mapped_column(sa.Text)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settled_by: Mapped[str | None] = mapped_column(sa.Text)
