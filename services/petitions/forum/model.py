"""Owns the tables of the forum, its topics, and what may happen to a thread and to a post."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from chassis.auth import STAFF, Principal
from chassis.db import UtcDateTime
from chassis.errors import Forbidden
from services.petitions.forum.errors import NotPossibleNow
from services.petitions.model import Base

MAX_BODY = 4000
MAX_TITLE = 150
MAX_NAME = 40
MAX_REASON = 500

TOPICS = {
    "ntm": "Kinh nghiệm nông thôn mới",
    "digital": "Chuyển đổi số",
    "production": "Sản xuất, kinh doanh",
    "environment": "Môi trường",
    "culture": "Văn hóa",
}
"""What a thread can be about."""


class ThreadStatus(StrEnum):
    OPEN = "open"
    LOCKED = "locked"
    HIDDEN = "hidden"


class ThreadAction(StrEnum):
    LOCK = "lock"
    UNLOCK = "unlock"
    HIDE = "hide"
    RESTORE = "restore"
    PIN = "pin"
    UNPIN = "unpin"


THREAD_TRANSITIONS: dict[tuple[ThreadStatus, ThreadAction], ThreadStatus] = {
    (ThreadStatus.OPEN, ThreadAction.LOCK): ThreadStatus.LOCKED,
    (ThreadStatus.LOCKED, ThreadAction.UNLOCK): ThreadStatus.OPEN,
    (ThreadStatus.OPEN, ThreadAction.HIDE): ThreadStatus.HIDDEN,
    (ThreadStatus.LOCKED, ThreadAction.HIDE): ThreadStatus.HIDDEN,
    (ThreadStatus.HIDDEN, ThreadAction.RESTORE): ThreadStatus.OPEN,
    (ThreadStatus.OPEN, ThreadAction.PIN): ThreadStatus.OPEN,
    (ThreadStatus.LOCKED, ThreadAction.PIN): ThreadStatus.LOCKED,
    (ThreadStatus.OPEN, ThreadAction.UNPIN): ThreadStatus.OPEN,
    (ThreadStatus.LOCKED, ThreadAction.UNPIN): ThreadStatus.LOCKED,
}
"""What the staff of its commune may do to a thread; what is not here is refused with 409."""


class PostStatus(StrEnum):
    PENDING = "pending"
    VISIBLE = "visible"
    HIDDEN = "hidden"
    WITHDRAWN = "withdrawn"


class PostAction(StrEnum):
    APPROVE = "approve"
    HIDE = "hide"
    RESTORE = "restore"
    DISMISS = "dismiss"


POST_TRANSITIONS: dict[tuple[PostStatus, PostAction], PostStatus] = {
    (PostStatus.PENDING, PostAction.APPROVE): PostStatus.VISIBLE,
    (PostStatus.PENDING, PostAction.HIDE): PostStatus.HIDDEN,
    (PostStatus.VISIBLE, PostAction.HIDE): PostStatus.HIDDEN,
    (PostStatus.HIDDEN, PostAction.RESTORE): PostStatus.VISIBLE,
    (PostStatus.VISIBLE, PostAction.DISMISS): PostStatus.VISIBLE,
}
"""What the staff of its thread's commune may do to a post; to dismiss is to find that reports of it are unfounded."""

# Also an address without https:// in front: who advertises leaves it out where it is refused.
_LINK = re.compile(
    r"https?:|www\.|\b[a-z0-9-]+\.(?:vn|com|net|org|info|biz|xyz|shop|top|site|online|click|link|io|me|ly|cc|tk|app)\b",
    re.IGNORECASE,
)


def has_link(text: str) -> bool:
    """Whether a text leads somewhere else: the mark of advertisements by those who come for nothing else."""
    return _LINK.search(text) is not None


class Author(Base):
    """Who writes, under a name of their own choice; nothing is copied from the account."""

    __tablename__ = "forum_author"
    # Whoever writes a name with other marks or capitals would pass for the person who has it.
    __table_args__ = (sa.UniqueConstraint("fold"),)

    account: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text)
    fold: Mapped[str] = mapped_column(sa.Text, sa.Computed("xaso_fold(name)"), deferred=True)
    shows_village: Mapped[bool]
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Thread(Base):
    """A thread in the forum of a commune or village. `posts` and `last_posted_at` are of visible posts."""

    __tablename__ = "forum_thread"
    __table_args__ = (
        sa.CheckConstraint("posts >= 0", name="posts"),
        sa.Index("ix_forum_thread_active", "last_posted_at", "id"),
        sa.Index("ix_forum_thread_newest", "begun_at", "id"),
        sa.Index("ix_forum_thread_commune", "commune", "last_posted_at", "id"),
        sa.Index("ix_forum_thread_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
        sa.Index("ix_forum_thread_author", "author", postgresql_where=sa.text("author IS NOT NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    commune: Mapped[str] = mapped_column(sa.Text)
    village: Mapped[str | None] = mapped_column(sa.Text)
    path: Mapped[str] = mapped_column(sa.Text)
    topic: Mapped[str] = mapped_column(sa.Text)
    title: Mapped[str] = mapped_column(sa.Text)
    author: Mapped[str | None] = mapped_column(sa.ForeignKey("forum_author.account", ondelete="SET NULL"))
    status: Mapped[ThreadStatus] = mapped_column(
        sa.Enum(ThreadStatus, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    reason: Mapped[str] = mapped_column(sa.Text, server_default="")
    pinned: Mapped[bool]
    posts: Mapped[int]
    told: Mapped[bool]
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_posted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    fold: Mapped[str] = mapped_column(sa.Text, sa.Computed("xaso_fold(title)"), deferred=True)

    def is_moderated_by(self, me: Principal | None) -> bool:
        return me is not None and me.may(STAFF, self.path)

    def is_visible_to(self, me: Principal | None) -> bool:
        """Public while a post of it is; its author and the staff of its commune see it before and after that, too."""
        if self.status is not ThreadStatus.HIDDEN and self.posts > 0:
            return True
        return self.is_moderated_by(me) or (me is not None and self.author == me.subject)

    def actions(self, me: Principal | None) -> list[ThreadAction]:
        """What `me` may do to it now."""
        if not self.is_moderated_by(me):
            return []
        possible = {action for status, action in THREAD_TRANSITIONS if status is self.status}
        possible.discard(ThreadAction.PIN if self.pinned else ThreadAction.UNPIN)
        return [action for action in ThreadAction if action in possible]

    def act(self, me: Principal, action: ThreadAction, reason: str) -> None:
        """Moderate it; raises Forbidden, NotPossibleNow."""
        if not self.is_moderated_by(me):
            raise Forbidden()
        if action not in self.actions(me):
            raise NotPossibleNow()
        self.status = THREAD_TRANSITIONS[self.status, action]
        self.reason = reason if self.status is ThreadStatus.HIDDEN else ""
        if action in (ThreadAction.PIN, ThreadAction.UNPIN):
            self.pinned = action is ThreadAction.PIN


class Post(Base):
    """One post. `commune` and `village` are the place its writer spoke for when it was written."""

    __tablename__ = "forum_post"
    __table_args__ = (
        sa.Index("ix_forum_post_thread", "thread_id", "id"),
        sa.Index("ix_forum_post_author", "author", "id", postgresql_where=sa.text("author IS NOT NULL")),
        sa.Index("ix_forum_post_pending", "id", postgresql_where=sa.text("status = 'pending'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    thread_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("forum_thread.id"))
    author: Mapped[str | None] = mapped_column(sa.ForeignKey("forum_author.account", ondelete="SET NULL"))
    commune: Mapped[str | None] = mapped_column(sa.Text)
    village: Mapped[str | None] = mapped_column(sa.Text)
    by_staff: Mapped[bool]
    status: Mapped[PostStatus] = mapped_column(
        sa.Enum(PostStatus, native_enum=False, values_callable=lambda e: [*e], length=16)
    )
    reason: Mapped[str] = mapped_column(sa.Text, server_default="")
    body: Mapped[str] = mapped_column(sa.Text)
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fold: Mapped[str] = mapped_column(sa.Text, sa.Computed("xaso_fold(body)"), deferred=True)

    def is_by(self, me: Principal | None) -> bool:
        return me is not None and self.author == me.subject

    def actions(self) -> list[PostAction]:
        """What a moderator may do to it now."""
        return [action for action in PostAction if (self.status, action) in POST_TRANSITIONS]

    def act(self, action: PostAction, reason: str) -> None:
        """Moderate it; raises NotPossibleNow. Who may is for the thread to say."""
        to = POST_TRANSITIONS.get((self.status, action))
        if to is None:
            raise NotPossibleNow()
        self.status = to
        self.reason = reason if to is PostStatus.HIDDEN else ""

    def is_editable(self, at: datetime, minutes: int) -> bool:
        standing = self.status in (PostStatus.PENDING, PostStatus.VISIBLE)
        return standing and at <= self.written_at + timedelta(minutes=minutes)

    @property
    def is_withdrawable(self) -> bool:
        """Also while it is hidden: whose words they are may always delete them."""
        return self.status is not PostStatus.WITHDRAWN


class Report(Base):
    """That a reader finds a post wrong; settled once staff hid the post or found the report unfounded."""

    __tablename__ = "forum_report"
    __table_args__ = (
        sa.UniqueConstraint("post_id", "reporter"),
        sa.Index("ix_forum_report_open", "post_id", postgresql_where=sa.text("settled_at IS NULL")),
        sa.Index("ix_forum_report_reporter", "reporter", postgresql_where=sa.text("reporter IS NOT NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    post_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("forum_post.id"))
    reporter: Mapped[str | None] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
