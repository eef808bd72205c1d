"""The shapes of the forum in JSON and in forms: what is asked for with its limits, and what is shown to whom."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from chassis.auth import Principal
from chassis.text import Line, Paragraph
from services.petitions.forum import queries
from services.petitions.forum.commands import Words
from services.petitions.forum.model import (
    MAX_BODY,
    MAX_NAME,
    MAX_REASON,
    MAX_TITLE,
    PostAction,
    PostStatus,
    Thread,
    ThreadAction,
    ThreadStatus,
)

if TYPE_CHECKING:
    # At run time these are strings with rules for pydantic; a type checker only needs to know that they are strings.
    Code = str
    Title = str
    Body = str
    Name = str
    Reason = str
    ReasonOrNone = str
    Searched = str
else:
    Code, Title, Body = Line(30), Line(MAX_TITLE, min_length=5), Paragraph(MAX_BODY, min_length=2)
    Name, Searched = Line(MAX_NAME, min_length=0), Line(200, min_length=0)
    Reason, ReasonOrNone = Paragraph(MAX_REASON, min_length=2), Paragraph(MAX_REASON)

Topic = Literal["ntm", "digital", "production", "environment", "culture"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PostIn(_In):
    """A post. `name` and `shows_village` are needed with the first post only and kept; later ones are not read."""

    body: Body
    name: Name = ""
    shows_village: bool = False

    def words(self) -> Words:
        return Words(self.body, self.name, self.shows_village)


class ThreadIn(PostIn):
    """A thread with its first post; without commune and village it is begun in the writer's own commune."""

    topic: Topic
    title: Title
    commune: Code | None = None
    village: Code | None = None


class EditIn(_In):
    body: Body


class ReportIn(_In):
    reason: Reason


class ModerateThreadIn(_In):
    action: ThreadAction
    reason: ReasonOrNone = ""


class ModeratePostIn(_In):
    """`edited_at` is that of the post as it was read, to approve it: what was mended since is refused with 409."""

    action: PostAction
    reason: ReasonOrNone = ""
    edited_at: datetime | None = None


class TopicOut(BaseModel):
    code: str
    title: str


class TopicsOut(BaseModel):
    items: list[TopicOut]


class ThreadOut(BaseModel):
    """A thread; `reason` says to its writer and the staff why it is hidden, `actions` what the caller may do to it."""

    id: UUID
    topic: str
    title: str
    commune: str
    village: str | None
    status: ThreadStatus
    reason: str | None
    pinned: bool
    posts: int
    begun_at: datetime
    last_posted_at: datetime | None
    mine: bool
    actions: list[ThreadAction]

    @classmethod
    def of(cls, thread: Thread, me: Principal | None) -> ThreadOut:
        return cls(
            id=thread.id,
            topic=thread.topic,
            title=thread.title,
            commune=thread.commune,
            village=thread.village,
            status=thread.status,
            reason=thread.reason or None,
            pinned=thread.pinned,
            posts=thread.posts,
            begun_at=thread.begun_at,
            last_posted_at=thread.last_posted_at if thread.posts else None,
            mine=me is not None and thread.author == me.subject,
            actions=thread.actions(me),
        )


class ThreadsPage(BaseModel):
    items: list[ThreadOut]
    next: str | None


class PostOut(BaseModel):
    """A post; `author` is the name chosen for the forum, null once the account was erased."""

    id: UUID
    thread_id: UUID
    author: str | None
    by_staff: bool
    commune: str | None
    village: str | None
    status: PostStatus
    reason: str | None
    body: str
    written_at: datetime
    edited_at: datetime | None
    mine: bool
    actions: list[PostAction]

    @classmethod
    def of(cls, one: queries.Written, thread: Thread, me: Principal | None) -> PostOut:
        post = one.post
        return cls(
            id=post.id,
            thread_id=post.thread_id,
            author=one.name,
            by_staff=post.by_staff,
            commune=post.commune,
            village=post.village if one.shows_village else None,
            status=post.status,
            reason=post.reason or None,
            body=post.body,
            written_at=post.written_at,
            edited_at=post.edited_at,
            mine=post.is_by(me),
            actions=post.actions() if thread.is_moderated_by(me) else [],
        )


class PostsPage(BaseModel):
    items: list[PostOut]
    next: str | None


class WaitingOut(BaseModel):
    """A post that waits for the staff, its thread, and what readers said about it."""

    post: PostOut
    thread: ThreadOut
    reports: list[str]


class QueuePage(BaseModel):
    items: list[WaitingOut]
    next: str | None
