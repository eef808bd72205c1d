"""Owns the table of posts that were told of: one person at one unit, under an id that names neither."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import new_id
from services.identity.model import Base


class StaffPost(Base):
    """A post as it was last told; it goes when the person leaves the unit, and with it what led from the id to them."""

    __tablename__ = "staff_post"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "unit"),
        sa.Index("ix_staff_post_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
    )

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    # No foreign key: checking it waits for whoever holds the row of a colleague's account, who may be waiting to tell
    # of the same commune. Accounts are never deleted.
    account_id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True))
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    level: Mapped[str] = mapped_column(sa.Text)
    contact_public: Mapped[bool] = mapped_column(sa.Boolean)
    mobile_internet: Mapped[str] = mapped_column(sa.Text)
