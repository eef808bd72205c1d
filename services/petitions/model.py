"""The tables of petitions and the one transition table that says what may happen to a petition, and by whom."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.auth import STAFF, Principal
from chassis.db import NAMING, UtcDateTime
from chassis.errors import DomainError, Forbidden, Kind

MAX_PHOTOS = 3
MAX_DESCRIPTION = 2000
MAX_ANSWER = 4000


class Status(StrEnum):
    FILED = "filed"
    ROUTED = "routed"
    ANSWERED = "answered"
    CLOSED = "closed"
    REOPENED = "reopened"


OPEN = (Status.FILED, Status.ROUTED, Status.REOPENED)
"""The commune has to act: these can be late."""


class Action(StrEnum):
    ROUTE = "route"
    ANSWER = "answer"
    CLOSE = "close"
    REOPEN = "reopen"
    RATE = "rate"


class Actor(StrEnum):
    STAFF = "staff"
    REPORTER = "reporter"


@dataclass(frozen=True)
class Transition:
    """Where an action leads, and who may take it."""

    to: Status
    by: frozenset[Actor]


_STAFF, _REPORTER = frozenset({Actor.STAFF}), frozenset({Actor.REPORTER})

TRANSITIONS: dict[tuple[Status, Action], Transition] = {
    (Status.FILED, Action.ROUTE): Transition(Status.ROUTED, _STAFF),
    (Status.ROUTED, Action.ROUTE): Transition(Status.ROUTED, _STAFF),
    (Status.ROUTED, Action.ANSWER): Transition(Status.ANSWERED, _STAFF),
    (Status.ANSWERED, Action.CLOSE): Transition(Status.CLOSED, _STAFF | _REPORTER),
    (Status.ANSWERED, Action.RATE): Transition(Status.ANSWERED, _REPORTER),
    (Status.ANSWERED, Action.REOPEN): Transition(Status.REOPENED, _REPORTER),
    (Status.CLOSED, Action.RATE): Transition(Status.CLOSED, _REPORTER),
    (Status.CLOSED, Action.REOPEN): Transition(Status.REOPENED, _REPORTER),
    (Status.REOPENED, Action.ROUTE): Transition(Status.ROUTED, _STAFF),
}
"""Everything that may happen to a filed petition. What is not here is refused with 409."""


class Channel(StrEnum):
    WEB = "web"
    PHONE = "phone"
    PARTNER = "partner"


class EntryKind(StrEnum):
    ROUTED = "routed"
    ANSWERED = "answered"
    CLOSED = "closed"
    REOPENED = "reopened"
    RATED = "rated"
    NOTE = "note"


class PetitionNotFound(DomainError):
    code = "petition_not_found"
    kind = Kind.NOT_FOUND
    message = "Không tìm thấy phản ánh này."


class PetitionClosed(DomainError):
    code = "petition_closed"
    kind = Kind.CONFLICT
    message = "Phản ánh này đã đóng."


class ActionNotPossible(DomainError):
    code = "action_not_possible"
    kind = Kind.CONFLICT
    message = "Phản ánh đang ở trạng thái khác nên chưa làm được việc này. Xin tải lại trang."


class ReopenTooLate(DomainError):
    code = "reopen_too_late"
    kind = Kind.CONFLICT
    message = "Đã quá {days} ngày kể từ khi đóng nên không mở lại được. Xin gửi phản ánh mới."


class NotAnsweredYet(DomainError):
    code = "not_answered_yet"
    kind = Kind.CONFLICT
    message = "Phản ánh chưa được trả lời nên chưa đánh giá được."


class AlreadyRated(DomainError):
    code = "already_rated"
    kind = Kind.CONFLICT
    message = "Phản ánh này đã được đánh giá."


class TooManyPhotos(DomainError):
    code = "too_many_photos"
    kind = Kind.CONFLICT
    message = "Mỗi phản ánh có tối đa {most} ảnh."


class PhotosNoLongerTaken(DomainError):
    code = "photos_no_longer_taken"
    kind = Kind.CONFLICT
    message = "Cán bộ đã tiếp nhận phản ánh nên không thêm ảnh được nữa."


class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention=NAMING)


class Petition(Base):
    """One petition. `due_at` is stored when it is filed and never changes afterwards."""

    __tablename__ = "petition"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.Text, unique=True)
    commune: Mapped[str] = mapped_column(sa.Text)
    village: Mapped[str | None] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    category: Mapped[str] = mapped_column(sa.Text)
    status: Mapped[Status] = mapped_column(
        sa.Enum(Status, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    channel: Mapped[Channel] = mapped_column(
        sa.Enum(Channel, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    public: Mapped[bool]
    description: Mapped[str] = mapped_column(sa.Text)
    place: Mapped[str] = mapped_column(sa.Text, server_default="")
    lat: Mapped[float | None]
    lon: Mapped[float | None]
    reporter: Mapped[str | None] = mapped_column(sa.Text)
    contact_phone: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    department: Mapped[str | None] = mapped_column(sa.Text)
    assignee: Mapped[str | None] = mapped_column(sa.Text)
    rating: Mapped[int | None] = mapped_column(sa.SmallInteger)
    rating_comment: Mapped[str] = mapped_column(sa.Text, server_default="")
    fold: Mapped[str] = mapped_column(sa.Text, sa.Computed("xaso_fold(description || ' ' || place)"), deferred=True)

    __table_args__ = (
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        sa.CheckConstraint("(lat IS NULL) = (lon IS NULL)", name="position"),
        sa.Index("ix_petition_filed", "commune", "filed_at", "id"),
        sa.Index("ix_petition_newest", "filed_at", "id"),
        sa.Index("ix_petition_due", "commune", "due_at", "id"),
        sa.Index("ix_petition_public", "filed_at", "id", postgresql_where=sa.text("public")),
        sa.Index(
            "ix_petition_open", "due_at", "id", postgresql_where=sa.text("status IN ('filed', 'routed', 'reopened')")
        ),
        sa.Index("ix_petition_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
        sa.Index("ix_petition_reporter", "reporter", "filed_at", postgresql_where=sa.text("reporter IS NOT NULL")),
    )

    @property
    def unit(self) -> str:
        """The smallest unit the petition concerns: its village, or else its commune."""
        return self.village or self.commune

    def is_reporter(self, me: Principal | None) -> bool:
        return me is not None and self.reporter is not None and me.subject == self.reporter

    def is_handler(self, me: Principal | None) -> bool:
        return me is not None and me.may(STAFF, self.path)

    def is_visible_to(self, me: Principal | None) -> bool:
        return self.public or self.is_reporter(me) or self.is_handler(me)

    def is_late(self, now: datetime) -> bool:
        return self.status in OPEN and self.due_at < now

    def actors(self, me: Principal) -> frozenset[Actor]:
        found = {Actor.STAFF} if self.is_handler(me) else set()
        return frozenset(found | ({Actor.REPORTER} if self.is_reporter(me) else set()))

    def reopen_until(self, reopen_days: int) -> datetime | None:
        return self.closed_at + timedelta(days=reopen_days) if self.closed_at else None

    def can(self, action: Action, me: Principal | None, now: datetime, reopen_days: int) -> bool:
        """Whether `me` could take `action` now: what a page offers."""
        if me is None:
            return False
        try:
            self.check(action, me, now, reopen_days)
        except DomainError:
            return False
        return True

    def check(self, action: Action, me: Principal, now: datetime, reopen_days: int) -> Transition:
        """The transition that `action` means now; raises Forbidden, or why it is not possible (409)."""
        able = {actor for (_, a), t in TRANSITIONS.items() if a is action for actor in t.by}
        mine = self.actors(me)
        if not able & mine:
            raise Forbidden()
        transition = TRANSITIONS.get((self.status, action))
        if transition is None:
            raise self._refusal(action)
        if not transition.by & mine:
            raise Forbidden()
        until = self.reopen_until(reopen_days)
        if action is Action.REOPEN and until is not None and now > until:
            raise ReopenTooLate(days=reopen_days)
        if action is Action.RATE and self.rating is not None:
            raise AlreadyRated()
        return transition

    def _refusal(self, action: Action) -> DomainError:
        if action is Action.RATE:
            return NotAnsweredYet()
        return PetitionClosed() if self.status is Status.CLOSED else ActionNotPossible()

    def route(self, me: Principal, now: datetime, *, department: str | None, assignee: str | None) -> None:
        self.status = self.check(Action.ROUTE, me, now, 0).to
        self.department, self.assignee = department, assignee

    def answer(self, me: Principal, now: datetime) -> None:
        self.status = self.check(Action.ANSWER, me, now, 0).to
        self.answered_at = now

    def close(self, me: Principal, now: datetime) -> None:
        self.status = self.check(Action.CLOSE, me, now, 0).to
        self.closed_at = now

    def reopen(self, me: Principal, now: datetime, reopen_days: int) -> None:
        """Back to the commune: the earlier answer stays in the timeline, its rating and times are taken back."""
        self.status = self.check(Action.REOPEN, me, now, reopen_days).to
        self.answered_at = self.closed_at = None
        self.rating, self.rating_comment = None, ""

    def rate(self, me: Principal, now: datetime, rating: int, comment: str) -> None:
        self.status = self.check(Action.RATE, me, now, 0).to
        self.rating, self.rating_comment = rating, comment


class Entry(Base):
    """One line of a petition's timeline. `public` lines are shown to whoever sees the petition, notes to staff only."""

    __tablename__ = "entry"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    petition_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("petition.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[EntryKind] = mapped_column(
        sa.Enum(EntryKind, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    public: Mapped[bool]
    by_staff: Mapped[bool]
    author: Mapped[str] = mapped_column(sa.Text)
    author_name: Mapped[str] = mapped_column(sa.Text, server_default="")
    body: Mapped[str] = mapped_column(sa.Text, server_default="")

    __table_args__ = (sa.Index("ix_entry_petition", "petition_id", "id"),)


class Photo(Base):
    """A redrawn photo of a petition, or of a draft that is not sent yet."""

    __tablename__ = "photo"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    petition_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("petition.id"))
    draft_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("draft.id", ondelete="CASCADE"))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    width: Mapped[int]
    height: Mapped[int]
    image: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    thumb: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)

    __table_args__ = (
        sa.CheckConstraint("(petition_id IS NULL) <> (draft_id IS NULL)", name="owner"),
        sa.Index("ix_photo_petition", "petition_id", postgresql_where=sa.text("petition_id IS NOT NULL")),
        sa.Index("ix_photo_draft", "draft_id", postgresql_where=sa.text("draft_id IS NOT NULL")),
    )


class Draft(Base):
    """A report that is not sent yet: kept over a sign-in or the question about similar cases, then thrown away."""

    __tablename__ = "draft"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(sa.LargeBinary, unique=True)
    owner: Mapped[str | None] = mapped_column(sa.Text)
    sealed: Mapped[bytes] = mapped_column(sa.LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (sa.Index("ix_draft_created", "created_at"),)


class Officer(Base):
    """Staff who have acted here: whom a case can be given to. Learnt from what they do, not from a list of persons."""

    __tablename__ = "officer"

    subject: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    unit: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    path: Mapped[str] = mapped_column(sa.Text)
    name: Mapped[str] = mapped_column(sa.Text)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (sa.Index("ix_officer_path", "path", postgresql_ops={"path": "text_pattern_ops"}),)
