"""Owns community digital teams and their activities, and the named errors about them."""

from __future__ import annotations

import uuid
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import UtcDateTime, new_id, now
from chassis.errors import DomainError, Kind, NotFound
from services.identity.model import Base

CONTENTS = {
    "public_services": "Sử dụng dịch vụ công trực tuyến",
    "cashless": "Thanh toán không dùng tiền mặt",
    "ecommerce": "Mua bán trên sàn thương mại điện tử",
    "safety": "Kỹ năng bảo đảm an toàn thông tin mạng cơ bản",
}
"""The four contents a team guides people in, as the province's and the telecom's guidance lists them."""


KINDS = {
    "class": "Lớp kỹ năng số",
    "support": "Hướng dẫn tại chỗ, tại nhà",
    "other": "Việc khác",
}
"""What an activity was. Classes are counted per year for the commune, every kind counts as activity of the team."""


class Team(Base):
    """A team of one village, from its registration to its dissolution."""

    __tablename__ = "team"
    __table_args__ = (
        sa.Index("ix_team_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
        sa.CheckConstraint("member_count > 0", name="members"),
    )

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    unit: Mapped[str] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    member_count: Mapped[int] = mapped_column(sa.Integer)
    registered_on: Mapped[date] = mapped_column(sa.Date)
    registered_by: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    dissolved_on: Mapped[date | None] = mapped_column(sa.Date)
    dissolved_by: Mapped[str | None] = mapped_column(sa.Text)

    def dissolve(self, on: date, by: str) -> None:
        """End the team; raises TeamDissolved where it already ended."""
        self.require_standing()
        self.dissolved_on, self.dissolved_by = on, by

    def require_standing(self) -> None:
        """Raise TeamDissolved where the team has ended."""
        if self.dissolved_on is not None:
            raise TeamDissolved()


class Activity(Base):
    """One logged activity of a team: when, of which kind, which content, with how many people."""

    __tablename__ = "team_activity"
    __table_args__ = (
        sa.Index("ix_team_activity_team", "team_id", "held_on", "id"),
        sa.CheckConstraint("participants >= 0", name="participants"),
    )

    id: Mapped[uuid.UUID] = mapped_column(pg.UUID(as_uuid=True), primary_key=True, default=new_id)
    team_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("team.id"))
    held_on: Mapped[date] = mapped_column(sa.Date)
    content: Mapped[str] = mapped_column(sa.Text)
    kind: Mapped[str] = mapped_column(sa.Text, server_default="support")
    note: Mapped[str] = mapped_column(sa.Text)
    participants: Mapped[int] = mapped_column(sa.Integer)
    logged_by: Mapped[str] = mapped_column(sa.Text)
    logged_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class NoSuchTeam(NotFound):
    code = "no_such_team"
    message = "Không có tổ công nghệ số cộng đồng này."


class NotAVillage(DomainError):
    code = "not_a_village"
    kind = Kind.CONFLICT
    message = "Tổ công nghệ số cộng đồng được lập ở thôn hoặc khu dân cư."


class TeamDissolved(DomainError):
    code = "team_dissolved"
    kind = Kind.CONFLICT
    message = "Tổ này đã giải thể."


class InTheFuture(DomainError):
    code = "in_the_future"
    message = "Ngày này chưa tới."


class BeforeTheTeam(DomainError):
    code = "before_the_team"
    message = "Ngày này trước khi tổ được lập ({on})."
