"""What can be read of petitions, and by whom: every read passes the one visibility condition."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from chassis.auth import Principal
from chassis.db import now, unit_table
from chassis.text import fold
from chassis.units import Unit
from services.petitions.access import CODE, inside, visible_to
from services.petitions.model import OPEN, Entry, EntryKind, Petition, PetitionNotFound, Photo, Status

SIMILAR_WHOLE, SIMILAR_PART = 0.35, 0.6
"""From which trigram similarity two texts count as telling of the same thing: as a whole, or one inside the other."""

Cursor = tuple[datetime, uuid.UUID]


@dataclass(frozen=True)
class Filter:
    """What a list is narrowed to; empty fields narrow nothing.

    `units` are units of any level with all below them, `q` words in any spelling; `nobody` finds nothing (a visitor
    who asks for what is theirs).
    """

    units: tuple[Unit, ...] = ()
    statuses: tuple[Status, ...] = ()
    category: str | None = None
    village: str | None = None
    reporter: str | None = None
    assignee: str | None = None
    department: str | None = None
    nobody: bool = False
    late: bool = False
    public: bool = False
    q: str | None = None
    now: datetime = field(default_factory=now)

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = []
        if self.units:
            found.append(sa.or_(*(inside(unit) for unit in self.units)))
        if self.statuses:
            found.append(Petition.status.in_(self.statuses))
        if self.late:
            found += [Petition.status.in_(OPEN), Petition.due_at < self.now]
        if self.nobody:
            found.append(sa.false())
        if self.public:
            found.append(Petition.public.is_(True))
        for column, value in (
            (Petition.category, self.category),
            (Petition.village, self.village),
            (Petition.reporter, self.reporter),
            (Petition.assignee, self.assignee),
            (Petition.department, self.department),
        ):
            if value:
                found.append(column == value)
        code, words = (self.q or "").strip().upper(), fold(self.q or "").split()[:8]
        if CODE.match(code):
            found.append(Petition.code == code)
        elif words:
            found.append(sa.and_(*(Petition.fold.contains(word, autoescape=True) for word in words)))
        return found


async def listing(
    tx: AsyncSession, me: Principal | None, narrowed: Filter, *, limit: int, after: Cursor | None = None
) -> list[Petition]:
    """Petitions newest first, keyset-paged on (filed_at, id); up to `limit` + 1 rows so that a caller sees more."""
    query = sa.select(Petition).where(visible_to(me), *narrowed.conditions())
    if after:
        query = query.where(sa.tuple_(Petition.filed_at, Petition.id) < sa.tuple_(*map(sa.literal, after)))
    query = query.order_by(Petition.filed_at.desc(), Petition.id.desc()).limit(limit + 1)
    return list((await tx.scalars(query)).all())


async def waiting(
    tx: AsyncSession, me: Principal | None, narrowed: Filter, *, limit: int, after: Cursor | None = None
) -> list[Petition]:
    """Petitions by deadline, the latest first, keyset-paged on (due_at, id); up to `limit` + 1 rows."""
    query = sa.select(Petition).where(visible_to(me), *narrowed.conditions())
    if after:
        query = query.where(sa.tuple_(Petition.due_at, Petition.id) > sa.tuple_(*map(sa.literal, after)))
    return list((await tx.scalars(query.order_by(Petition.due_at, Petition.id).limit(limit + 1))).all())


@dataclass(frozen=True)
class Counts:
    """How many petitions of a unit wait for its staff; `soon` are due within a day and not late."""

    open: int
    late: int
    soon: int
    unrouted: int
    answered: int


async def counts(tx: AsyncSession, of: Sequence[Unit]) -> Counts:
    """The counts of units and of everything below them, in one statement."""
    at = now()
    is_open = Petition.status.in_(OPEN)
    n = sa.func.count()
    row = (
        await tx.execute(
            sa.select(
                n.filter(is_open),
                n.filter(is_open, Petition.due_at < at),
                n.filter(is_open, Petition.due_at.between(at, at + timedelta(days=1))),
                n.filter(Petition.status.in_((Status.FILED, Status.REOPENED))),
                n.filter(Petition.status == Status.ANSWERED),
            ).where(sa.or_(*(inside(unit) for unit in of)), Petition.status != Status.CLOSED)
        )
    ).one()
    return Counts(*row)


async def timeline(tx: AsyncSession, of: Petition, *, notes: bool) -> list[Entry]:
    """What happened to a petition after it was filed, oldest first; internal notes only where asked for."""
    query = sa.select(Entry).where(Entry.petition_id == of.id).order_by(Entry.id)
    if not notes:
        query = query.where(Entry.public)
    return list((await tx.scalars(query)).all())


async def photos(tx: AsyncSession, of: Petition) -> list[Photo]:
    """The photos of a petition without their pixels, in the order they were added."""
    return list((await tx.scalars(sa.select(Photo).where(Photo.petition_id == of.id).order_by(Photo.id))).all())


async def first_photos(tx: AsyncSession, of: Sequence[Petition]) -> dict[uuid.UUID, uuid.UUID]:
    """For a list of petitions, the id of the first photo of each that has one, in one statement."""
    if not of:
        return {}
    query = (
        sa.select(Photo.petition_id, Photo.id)
        .ext(distinct_on(Photo.petition_id))
        .where(Photo.petition_id.in_([p.id for p in of]))
        .order_by(Photo.petition_id, Photo.id)
    )
    return {row.petition_id: row.id for row in await tx.execute(query)}


async def picture(tx: AsyncSession, me: Principal | None, photo_id: uuid.UUID, *, thumb: bool) -> bytes:
    """The pixels of a photo as JPEG; PetitionNotFound where `me` may not see its petition."""
    query = (
        sa.select(Photo, Petition)
        .join(Petition, Petition.id == Photo.petition_id)
        .where(Photo.id == photo_id)
        .options(undefer(Photo.thumb if thumb else Photo.image))
    )
    row = (await tx.execute(query)).first()
    if row is None or not row.Petition.is_visible_to(me):
        raise PetitionNotFound
    found: Photo = row.Photo
    return found.thumb if thumb else found.image


async def similar(tx: AsyncSession, *, unit: Unit, text: str, since: datetime, limit: int = 3) -> list[Petition]:
    """Public petitions of `unit`, still in work, whose words are close to `text`, the closest first."""
    folded = fold(text)
    score = sa.func.greatest(
        sa.func.similarity(Petition.fold, folded) / SIMILAR_WHOLE,
        sa.func.word_similarity(folded, Petition.fold) / SIMILAR_PART,
    )
    query = (
        sa.select(Petition)
        .where(
            inside(unit), Petition.public, Petition.status != Status.CLOSED, Petition.filed_at >= since, score >= 1.0
        )
        .order_by(score.desc(), Petition.filed_at.desc())
        .limit(limit)
    )
    return list((await tx.scalars(query)).all())


async def newest_answers(tx: AsyncSession, of: Sequence[Petition]) -> dict[uuid.UUID, str]:
    """For a list of petitions, the newest answer of each that stands answered, in one statement."""
    ids = [p.id for p in of if p.answered_at is not None]
    if not ids:
        return {}
    query = (
        sa.select(Entry.petition_id, Entry.body)
        .ext(distinct_on(Entry.petition_id))
        .where(Entry.petition_id.in_(ids), Entry.kind == EntryKind.ANSWERED)
        .order_by(Entry.petition_id, Entry.id.desc())
    )
    return {row.petition_id: row.body for row in await tx.execute(query)}


async def unit_names(tx: AsyncSession, codes: Collection[str]) -> dict[str, str]:
    """The present names of units, by code, in one statement; codes without a unit are left out."""
    if not codes:
        return {}
    c = unit_table.c
    query = sa.select(c.code, c.name).where(c.code.in_(codes)).order_by(c.code, c.valid_from)
    return {row.code: row.name for row in await tx.execute(query)}


@dataclass(frozen=True)
class Overview:
    """The public petitions of a unit in the last 90 days."""

    filed: int
    answered: int
    late: int


async def public_overview(tx: AsyncSession, unit: Unit | None) -> Overview:
    """How many petitions were filed in 90 days, how many of them are answered, how many wait too long."""
    at = now()
    n = sa.func.count()
    query = sa.select(
        n,
        n.filter(Petition.status.in_((Status.ANSWERED, Status.CLOSED))),
        n.filter(Petition.status.in_(OPEN), Petition.due_at < at),
    ).where(Petition.public, Petition.filed_at >= at - timedelta(days=90))
    if unit:
        query = query.where(inside(unit))
    return Overview(*(await tx.execute(query)).one())
