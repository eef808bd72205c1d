"""Owns what loudspeakers and cameras have in common in the database: the declarative base and the village row."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import NAMING, UtcDateTime


class Base(DeclarativeBase):
    """Tables of the media service."""

    metadata = sa.MetaData(naming_convention=NAMING)


class Village(Base):
    """What the service knows of a village as a whole.

    Every change of a village's devices locks this row last, so that changes of one village take turns and the counts
    are computed from what is committed. `version` grows with every change; open pages watch it.
    """

    __tablename__ = "village"

    unit: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    commune: Mapped[str] = mapped_column(sa.Text, index=True)
    clusters: Mapped[int] = mapped_column(sa.Integer, default=0)
    clusters_in_earshot: Mapped[int] = mapped_column(sa.Integer, default=0)
    version: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
