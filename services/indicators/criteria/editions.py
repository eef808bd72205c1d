"""Owns the editions of the documents: which is in force, which was on a day, and how this process comes to know.

The documents that ship with the service lie in `data/`; an applied document of the same name takes their place until it
is withdrawn. Every edition is kept, the shipped ones too, so that a question about a day in the past finds its rules.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from services.indicators.criteria import documents, library, whereabouts
from services.indicators.criteria.catalogue import Catalogue
from services.indicators.criteria.documents import BadDefinition, Document

CHANNEL = "indicators_criteria"
"""PostgreSQL notifies here when another catalogue is in force."""

_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('indicators-criteria', 288))")
_NUMBER = sa.text("SELECT number FROM criteria_version")
_RAISE = sa.text("UPDATE criteria_version SET number = number + 1 RETURNING number")
_NOTIFY = sa.text(f"SELECT pg_notify('{CHANNEL}', '')")
_IN_FORCE = sa.text("""
    SELECT DISTINCT ON (kind, code) kind, code, content, withdrawn FROM criteria_edition
    WHERE origin = 'applied' ORDER BY kind, code, version DESC
""")
# Of the shipped ones the first of all stands for the time before it was recorded.
_ON_A_DAY = sa.text("""
    SELECT DISTINCT ON (kind, code, origin) kind, code, origin, content, withdrawn FROM criteria_edition
    WHERE applied_at <= :at OR (origin = 'shipped' AND version = 1)
    ORDER BY kind, code, origin, version DESC
""")
_FIRST_LATER = sa.text("""
    SELECT kind, code, content FROM criteria_edition
    WHERE origin = 'applied' AND version = 1 AND applied_at > :at
      AND (CAST(:known_at AS timestamptz) IS NULL OR applied_at <= :known_at)
    ORDER BY applied_at, kind, code
""")
_NEWEST = sa.text("""
    SELECT DISTINCT ON (kind, code) kind, code, version, digest, withdrawn FROM criteria_edition
    WHERE origin = :origin ORDER BY kind, code, version DESC
""")
_PUT = sa.text("""
    INSERT INTO criteria_edition (kind, code, origin, version, digest, content, withdrawn, applied_by, applied_at)
    VALUES (:kind, :code, :origin, :version, :digest, :content, :withdrawn, :by, :at)
""")
_HISTORY = sa.text("""
    SELECT kind, code, origin, version, digest, withdrawn, applied_by, applied_at FROM criteria_edition
    WHERE code = :code ORDER BY applied_at, origin DESC, version
""")
_ALL = sa.text("""
    SELECT DISTINCT ON (kind, code) kind, code, origin, version, digest, withdrawn, applied_by, applied_at
    FROM criteria_edition ORDER BY kind, code, (origin = 'applied' AND NOT withdrawn) DESC, version DESC
""")


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest edition of a document: its version and digest."""

    version: int
    digest: str
    withdrawn: bool


@functools.cache
def shipped() -> tuple[Document, ...]:
    """The documents that came with this release."""
    return tuple(documents.shipped())


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def name_of(kind: str, code: str) -> str:
    """How an applied document is called where a fault names it."""
    return f"{kind}/{code}"


async def lock(tx: AsyncSession) -> None:
    """Keep everyone else from applying a document until the end of the transaction."""
    await tx.execute(_LOCK)


async def in_force(tx: AsyncSession) -> list[Document]:
    """The documents in force now."""
    found = {(document.kind, document.code): document for document in shipped()}
    for row in await tx.execute(_IN_FORCE):
        if not row.withdrawn:
            found[row.kind, row.code] = documents.parsed(name_of(row.kind, row.code), row.content)
    return list(found.values())


async def number(tx: AsyncSession) -> int:
    """How many changes there were."""
    return int((await tx.execute(_NUMBER)).scalar_one())


class CatalogueChanged(TimeoutError):
    """Another catalogue came into force while one judged by the old one; trying again helps."""


async def refresh(tx: AsyncSession) -> bool:
    """Put the catalogue in force into this process; returns whether it had one of another content."""
    while True:
        newest, held = await number(tx), library.catalogue()
        if held.number == newest:
            return False
        fresh = await whereabouts.placed(tx, library.build(await in_force(tx), newest))
        if library.catalogue() is held:
            break
        # Another task of this process put one in meanwhile, and perhaps a newer one than we have read.
    if _same(fresh, held):
        library.install(replace(held, number=newest))
        return False
    library.install(fresh)
    return True


async def still(tx: AsyncSession, catalogue: Catalogue) -> None:
    """Raise CatalogueChanged unless `catalogue` is in force; called behind the fence of the units that are judged.

    Whoever judges units again because of a new document takes the same fence. So a process that has not yet heard of
    the document either writes before that, and is put right, or comes here after it.
    """
    if await number(tx) == catalogue.number:
        return
    await refresh(tx)
    if not _same(library.catalogue(), catalogue):
        raise CatalogueChanged


def _same(one: Catalogue, other: Catalogue) -> bool:
    """Whether they judge alike: the same documents, whose overlays hold for the same units."""
    return one.version == other.version and one.overlays == other.overlays


Name = tuple[str, str]
"""The kind and the code of a document."""

_AT: dict[tuple[str, ...], Catalogue] = {}


async def as_of(tx: AsyncSession, at: datetime) -> Catalogue:
    """The catalogue that was in force at an instant; before the first edition, the first one there was."""
    chosen, _ = await _on(tx, at)
    return await _kept(tx, chosen, []) if chosen else library.catalogue()


async def asked(tx: AsyncSession, at: datetime, day: date, known_at: datetime | None = None) -> Catalogue:
    """The catalogue that a question about an instant is judged by, of which `day` is the day in Việt Nam.

    That is what was in force then. A document that came later, and had no edition at all by then, counts with its first
    one from its `valid_from`, as facts do that were recorded late; `known_at` leaves out what was applied after it.
    """
    chosen, named = await _on(tx, min(at, known_at) if known_at else at)
    if not chosen:
        return library.catalogue()
    late = [
        documents.parsed(name_of(row.kind, row.code), row.content)
        for row in await tx.execute(_FIRST_LATER, {"at": at, "known_at": known_at})
        if (row.kind, row.code) not in named
    ]
    begun = [one for one in late if one.kind == "measures" or one.data["valid_from"] <= day.isoformat()]
    return await _kept(tx, chosen, begun)


async def _on(tx: AsyncSession, at: datetime) -> tuple[dict[Name, str], set[Name]]:
    """What stood at an instant, and what had an edition by then even if it was withdrawn."""
    chosen: dict[Name, str] = {}
    named: set[Name] = set()
    for row in await tx.execute(_ON_A_DAY, {"at": at}):
        named.add((row.kind, row.code))
        # `applied` sorts before `shipped`, so an applied edition that stands is found first.
        if not row.withdrawn:
            chosen.setdefault((row.kind, row.code), row.content)
    return chosen, named


async def _kept(tx: AsyncSession, chosen: dict[Name, str], late: list[Document]) -> Catalogue:
    key = (*(digest(text) for _, text in sorted(chosen.items())), "", *(digest(one.text) for one in late))
    if key not in _AT:
        stood = [documents.parsed(name_of(*named), text) for named, text in chosen.items()]
        while len(_AT) >= 8:
            del _AT[next(iter(_AT))]
        _AT[key] = _built(stood, late)
    return await whereabouts.placed(tx, _AT[key])


def _built(stood: list[Document], late: list[Document]) -> Catalogue:
    """What stood, with those of the later documents that fit it.

    One that lies on a later edition of another, for instance on a row that was not there then, does not.
    """
    while late:
        try:
            return library.build([*stood, *late])
        except BadDefinition as error:
            bad = {fault.file for fault in error.faults}
            late = [one for one in late if one.name not in bad] if bad & {one.name for one in late} else []
    return library.build(stood)


async def newest(tx: AsyncSession, origin: str) -> dict[tuple[str, str], Newest]:
    """The newest edition of each document of an origin, by (kind, code)."""
    rows = await tx.execute(_NEWEST, {"origin": origin})
    return {(r.kind, r.code): Newest(r.version, r.digest, r.withdrawn) for r in rows}


async def put(
    tx: AsyncSession, document: Document, origin: str, version: int, by: str, *, withdrawn: bool = False
) -> None:
    """Store one edition."""
    values = {
        "kind": document.kind,
        "code": document.code,
        "origin": origin,
        "version": version,
        "digest": digest(document.text),
        "content": document.text,
        "withdrawn": withdrawn,
        "by": by,
        "at": now(),
    }
    await tx.execute(_PUT, values)


async def announce(tx: AsyncSession) -> int:
    """Another catalogue is in force: raise the number and tell every process. Returns the number."""
    raised = int((await tx.execute(_RAISE)).scalar_one())
    await wake(tx)
    return raised


async def wake(tx: AsyncSession) -> None:
    """Tell every process to look at the number and the work."""
    await tx.execute(_NOTIFY)


async def history(tx: AsyncSession, code: str) -> list[Any]:
    """Every edition of the documents of that name, oldest first."""
    return list((await tx.execute(_HISTORY, {"code": code})).all())


async def overview(tx: AsyncSession) -> list[Any]:
    """Each document with the edition that stands."""
    return list((await tx.execute(_ALL)).all())
