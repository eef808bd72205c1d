"""Owns documents that figures rest on: recognised by their content, bounded, kept in the database, given back.

Pictures are drawn anew, so only their pixels are kept (see `chassis.pictures`). PDF is kept as it came and is only ever
given out as a download. Documents are for those who may see explanations of the unit.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import pictures
from chassis.auth import VIEWERS, Principal
from chassis.db import new_id
from chassis.errors import DomainError, Kind, NotFound
from chassis.units import Unit
from services.indicators.calculation.engine import Ratio, Value

MAX_BYTES = 10 * 1024 * 1024
"""Largest document handed in with an entry, in bytes."""
MAX_NAME = 120


class DocumentTooLarge(DomainError):
    code: ClassVar[str] = "document_too_large"
    kind: ClassVar[Kind] = Kind.TOO_LARGE
    message: ClassVar[str] = "Tài liệu không quá 10 MB. Xin chọn tệp nhỏ hơn."


class NotADocument(DomainError):
    code: ClassVar[str] = "not_a_document"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Tệp này không phải PDF, JPEG hoặc PNG đọc được."


class UnknownDocument(NotFound):
    code: ClassVar[str] = "unknown_evidence"
    message: ClassVar[str] = "Không có tài liệu này."


class DocumentCleared(NotFound):
    """An imported file that came to nothing and was kept long enough."""

    code: ClassVar[str] = "document_cleared"
    message: ClassVar[str] = "Nội dung tệp này đã được xóa vì hết thời hạn lưu."


@dataclass(frozen=True, slots=True)
class Clean:
    """A document ready to be kept."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A kept document without its content; `digest` is SHA-256."""

    id: uuid.UUID
    unit: str
    path: str
    name: str
    media_type: str
    size: int
    digest: bytes
    created_by: str
    created_at: datetime


_KINDS = {b"\xff\xd8\xff": ("JPEG", "image/jpeg", ".jpg"), b"\x89PNG\r\n\x1a\n": ("PNG", "image/png", ".png")}


def file_name(name: str, suffix: str) -> str:
    """A name that is safe on every system, in NFC, with the suffix of what the file really is."""
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    base = "".join(c for c in base if c.isprintable() and c not in '<>:"|?*')
    stem = (base.rsplit(".", 1)[0] if "." in base else base).strip(" .")
    return (stem[: MAX_NAME - len(suffix)].strip() or "tai-lieu") + suffix


def recognise(data: bytes, name: str) -> Clean:
    """The document as it is kept; raises DocumentTooLarge (413) or NotADocument (422). Takes up to a second."""
    if len(data) > MAX_BYTES:
        raise DocumentTooLarge(field="file")
    if data.startswith(b"%PDF-") and b"%%EOF" in data[-2048:]:
        return Clean(file_name(name, ".pdf"), "application/pdf", data)
    for mark, (form, media_type, suffix) in _KINDS.items():
        if data.startswith(mark):
            try:
                return Clean(file_name(name, suffix), media_type, _redraw(data, form))
            except pictures.Unreadable as error:
                raise NotADocument(field="file") from error
    raise NotADocument(field="file")


def _redraw(data: bytes, form: str) -> bytes:
    """The same picture with nothing but its pixels."""
    drawn = pictures.pixels(data, (form,))
    return pictures.encoded(drawn, form, quality=88) if form == "JPEG" else pictures.encoded(drawn, form)


async def clean(data: bytes, name: str) -> Clean:
    """`recognise` on a worker thread, so that the event loop goes on."""
    return await pictures.in_turn(recognise, data, name)


_KEEP = sa.text("""
    INSERT INTO evidence_file (id, unit, path, purpose, name, media_type, size, digest, content, created_by)
    VALUES (:id, :unit, :path, :purpose, :name, :media_type, :size, :digest, :content, :by)
""")
_FIND = sa.text("""
    SELECT id, unit, path, name, media_type, size, digest, created_by, created_at FROM evidence_file WHERE id = :id
""")
_CONTENT = sa.text("SELECT content FROM evidence_file WHERE id = :id")
_OF_OBSERVATIONS = sa.text("""
    SELECT 'document:' || o.client || '/' || o.id AS cause, d.id, d.unit, d.path, d.name, d.media_type, d.size,
        d.digest, d.created_by, d.created_at
    FROM observation o JOIN evidence_file d ON d.id = o.document
    WHERE (o.client, o.id) IN (SELECT * FROM unnest(CAST(:clients AS text[]), CAST(:ids AS text[])))
""")


_RECENT = sa.text("""
    SELECT o.content, o.source, o.evidence, o.received_at, o.document, d.name AS document_name
    FROM observation o LEFT JOIN evidence_file d ON d.id = o.document
    WHERE o.unit = :unit AND o.client LIKE 'person.%' ORDER BY o.received_at DESC, o.id DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Entered:
    """One figure staff entered for a unit, with what it rests on."""

    measure: str
    value: Value | None
    period: str
    withdrawn: bool
    source: str
    evidence: str
    received_at: datetime
    document: uuid.UUID | None
    document_name: str | None


async def recent(tx: AsyncSession, unit: Unit, most: int) -> list[Entered]:
    """What staff entered for a unit last, newest first."""
    return [
        Entered(
            measure=row.content["measure"],
            value=_value(row.content["value"]),
            period=row.content["period"],
            withdrawn=row.content["withdrawn"],
            source=row.source,
            evidence=row.evidence,
            received_at=row.received_at,
            document=row.document,
            document_name=row.document_name,
        )
        for row in await tx.execute(_RECENT, {"unit": unit.code, "most": most})
    ]


def _value(kept: Any) -> Value | None:
    if not isinstance(kept, dict):
        return kept if isinstance(kept, str) else None
    if "numerator" in kept:
        return Ratio(kept["numerator"], kept["denominator"])
    found: Value = next(iter(kept.values()))
    return found


async def keep(tx: AsyncSession, me: Principal, unit: Unit, document: Clean, purpose: str = "evidence") -> uuid.UUID:
    """Keep a document of a unit; the caller has checked that `me` may."""
    made = new_id()
    values = {
        "id": made,
        "unit": unit.code,
        "path": unit.path,
        "purpose": purpose,
        "name": document.name,
        "media_type": document.media_type,
        "size": len(document.content),
        "digest": hashlib.sha256(document.content).digest(),
        "content": document.content,
        "by": me.subject,
    }
    await tx.execute(_KEEP, values)
    return made


async def get(tx: AsyncSession, me: Principal, document: uuid.UUID) -> Document:
    """A document `me` may see; raises UnknownDocument, also where it is none of theirs."""
    row = (await tx.execute(_FIND, {"id": document})).first()
    if row is None or not me.may(VIEWERS, row.path):
        raise UnknownDocument
    return _document(row)


async def content(tx: AsyncSession, document: uuid.UUID) -> bytes:
    """What a document holds; the caller has checked who may see it. Raises DocumentCleared."""
    held = bytes((await tx.execute(_CONTENT, {"id": document})).scalar_one())
    if not held:
        raise DocumentCleared
    return held


def root(cause: str) -> str:
    """The cause behind any number of undos: the document or observation that first said it; "" for a withdrawal."""
    while cause.startswith("undo:"):
        cause = cause.partition("|")[2]
    return cause


async def behind(tx: AsyncSession, causes: list[str]) -> dict[str, Document]:
    """The documents kept with observations, by the cause their facts carry (`document:<client>/<id>`)."""
    named = [cause.partition(":")[2].partition("/") for cause in causes if cause.startswith("document:")]
    asked = {"clients": [client for client, _, _ in named], "ids": [id for _, _, id in named]}
    return {row.cause: _document(row) for row in await tx.execute(_OF_OBSERVATIONS, asked)}


def _document(row: sa.Row[tuple[object, ...]]) -> Document:
    return Document(
        row.id,
        row.unit,
        row.path,
        row.name,
        row.media_type,
        row.size,
        bytes(row.digest),
        row.created_by,
        row.created_at,
    )
