"""Owns the reads: catalogue, a producer's own products, what a commune has, and photos."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager, selectinload

from chassis import units
from chassis.db import unit_table
from chassis.text import fold
from services.ecommerce.model import Listing, Photo, Producer, Product, Status


@dataclass(frozen=True)
class Row:
    """A product in a list, with its producer loaded and the number of its live listings."""

    product: Product
    live: int


@dataclass(frozen=True)
class Filter:
    """What a list shows. `path` is a unit path, "" for everywhere; `statuses` empty for all."""

    path: str = ""
    q: str = ""
    key_only: bool = False
    live_only: bool = False
    unlisted_only: bool = False
    statuses: tuple[Status, ...] = ()
    account: str | None = None
    producer_id: uuid.UUID | None = None


@dataclass(frozen=True)
class Tally:
    """Counts of a unit: products published, key products among them, those with a live listing, and drafts.

    Key products are counted as criterion 288.9 counts them: published ones only.
    """

    published: int
    key: int
    key_live: int
    drafts: int


def _under(path: str, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.or_(column == path, column.startswith(f"{path}/", autoescape=True))


def _is_live(at: datetime) -> sa.ColumnElement[bool]:
    open_now = sa.and_(Listing.valid_from <= at, sa.or_(Listing.valid_to.is_(None), Listing.valid_to > at))
    return sa.and_(Product.status == Status.PUBLISHED.value, Listing.product_id == Product.id, open_now)


def _matching(filter_: Filter, at: datetime) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if filter_.path:
        wanted.append(_under(filter_.path, Product.path.expression))
    if filter_.statuses:
        wanted.append(Product.status.in_([status.value for status in filter_.statuses]))
    if filter_.key_only:
        wanted.append(Product.key_product.is_(True))
    if filter_.live_only:
        wanted.append(sa.exists().where(_is_live(at)))
    if filter_.unlisted_only:
        wanted.append(~sa.exists().where(_is_live(at)))
    if filter_.account is not None:
        wanted.append(Producer.account == filter_.account)
    if filter_.producer_id is not None:
        wanted.append(Product.producer_id == filter_.producer_id)
    words = fold(filter_.q).split()[:8]
    return wanted + [Product.fold.contains(word, autoescape=True) for word in words]


def _rows(filter_: Filter, at: datetime) -> sa.Select[Product, int]:
    live = sa.select(sa.func.count()).select_from(Listing).where(_is_live(at)).correlate(Product).scalar_subquery()
    return (
        sa.select(Product, live)
        .join(Producer, Producer.id == Product.producer_id)
        .options(contains_eager(Product.producer))
        .where(*_matching(filter_, at))
    )


async def catalogue(
    tx: AsyncSession,
    filter_: Filter,
    at: datetime,
    limit: int,
    after: tuple[datetime, uuid.UUID] | None = None,
    *,
    with_listings: bool = False,
) -> list[Row]:
    """Published products, newest publication first; up to `limit` + 1 rows after the position `after`."""
    query = _rows(filter_, at).where(Product.status == Status.PUBLISHED.value)
    if after is not None:
        query = query.where(sa.tuple_(Product.published_at, Product.id) < sa.tuple_(*map(sa.literal, after)))
    if with_listings:
        query = query.options(selectinload(Product.listings))
    query = query.order_by(Product.published_at.desc(), Product.id.desc()).limit(limit + 1)
    return [Row(product, live) for product, live in await tx.execute(query)]


async def products(
    tx: AsyncSession, filter_: Filter, at: datetime, limit: int, after: uuid.UUID | None = None
) -> list[Row]:
    """Products in any state, newest first, for those who may see drafts; up to `limit` + 1 rows after `after`."""
    query = _rows(filter_, at)
    if after is not None:
        query = query.where(Product.id < after)
    query = query.order_by(Product.id.desc()).limit(limit + 1)
    return [Row(product, live) for product, live in await tx.execute(query)]


async def tally(tx: AsyncSession, path: str, at: datetime) -> Tally:
    """What a unit has, counted in one statement."""
    live = sa.exists().where(_is_live(at))
    key = sa.and_(Product.key_product.is_(True), Product.status == Status.PUBLISHED.value)
    count = sa.func.count()
    query = sa.select(
        count.filter(Product.status == Status.PUBLISHED.value),
        count.filter(key),
        count.filter(sa.and_(key, live)),
        count.filter(Product.status == Status.DRAFT.value),
    )
    if path:
        query = query.where(_under(path, Product.path.expression))
    row = (await tx.execute(query)).one()
    return Tally(*row)


async def producer(tx: AsyncSession, producer_id: uuid.UUID) -> Producer | None:
    return await tx.get(Producer, producer_id)


async def producers(
    tx: AsyncSession,
    *,
    path: str = "",
    account: str | None = None,
    limit: int,
    after: uuid.UUID | None = None,
) -> list[Producer]:
    """Producers of a unit or of an account, newest first; up to `limit` + 1."""
    query = sa.select(Producer)
    if path:
        query = query.where(_under(path, Producer.path.expression))
    if account is not None:
        query = query.where(Producer.account == account)
    if after is not None:
        query = query.where(Producer.id < after)
    return list((await tx.execute(query.order_by(Producer.id.desc()).limit(limit + 1))).scalars())


async def listings(
    tx: AsyncSession, product_id: uuid.UUID, limit: int, after: uuid.UUID | None = None
) -> Sequence[Listing]:
    """Listings of a product, newest first; up to `limit` + 1."""
    query = sa.select(Listing).where(Listing.product_id == product_id)
    if after is not None:
        query = query.where(Listing.id < after)
    return (await tx.execute(query.order_by(Listing.id.desc()).limit(limit + 1))).scalars().all()


async def photo(tx: AsyncSession, product_id: uuid.UUID, *, small: bool) -> bytes | None:
    """The JPEG of a product, or the square of it for lists; only the one asked for is read."""
    wanted = Photo.thumb if small else Photo.jpeg
    return (await tx.execute(sa.select(wanted).where(Photo.product_id == product_id))).scalar_one_or_none()


async def unit_names(tx: AsyncSession, codes: Iterable[str]) -> dict[str, str]:
    """Names of units by code, as they are today; a code nobody knows is left out."""
    wanted = set(codes)
    if not wanted:
        return {}
    today = units.today()
    c = unit_table.c
    query = sa.select(c.code, c.name).where(
        c.code.in_(wanted), c.valid_from <= today, sa.or_(c.valid_to.is_(None), c.valid_to > today)
    )
    return {row.code: row.name for row in await tx.execute(query)}


async def villages(tx: AsyncSession, communes: Iterable[str]) -> list[units.Unit]:
    """The villages of the communes, by name of commune code and code: the choices of a form."""
    found: list[units.Unit] = []
    for commune in sorted(set(communes)):
        found.extend(unit for unit in await units.children(tx, commune) if unit.level == "village")
    return found
