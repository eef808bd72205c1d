"""Owns file imports as they are kept, and how one is applied.

A file becomes a preview in `previewing`; the way back is `undoing`; `underway` says how far one is. Applying hands the
values of the preview to `intake.submit` in batches within one transaction: all of them count, or none.
"""

from __future__ import annotations

import asyncio
import uuid
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, ClassVar, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.auth import STAFF, Grant, Principal
from chassis.db import now
from chassis.errors import DomainError, Kind, NotFound
from chassis.units import VIETNAM, Unit
from services.indicators.calculation.engine import Ratio, Value
from services.indicators.calculation.model import columns as as_columns
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import layout, spreadsheets, underway
from services.indicators.interchange.reading import FileRefused
from services.indicators.interchange.underway import Tell
from services.indicators.sources import intake
from services.indicators.sources.intake import Observed

BATCH = 500
"""Values handed on together: what is done for them at once stays bounded however large the file is."""
AT_ONCE = 1_000
"""Most values that are applied or undone while the reader waits for the page; more are done in the background."""
MAX_FAULTS = 1_000
"""Faults that are kept with their place; all are counted."""

Mode = Literal["all", "valid"]


class UnknownImport(NotFound):
    code: ClassVar[str] = "unknown_import"
    message: ClassVar[str] = "Không có lần nhập tệp này."


class ImportDone(DomainError):
    code: ClassVar[str] = "import_done"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Lần nhập tệp này đã được xử lý rồi. Xin tải lại trang."


class ImportFaulty(DomainError):
    code: ClassVar[str] = "import_faulty"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Tệp còn {count} chỗ sai nên không ghi gì. Sửa tệp rồi gửi lại, hoặc chỉ ghi phần đúng."


class ImportEmpty(DomainError):
    code: ClassVar[str] = "import_empty"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Tệp không có số liệu nào dùng được."


class ImportOutdated(DomainError):
    """A value that was right in the preview no longer is: a unit has ended meanwhile, or a role was taken back."""

    code: ClassVar[str] = "import_outdated"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Không ghi gì: số liệu ở ô {cell} nay không còn nhận được. Xin gửi lại tệp."

    def __init__(self, entry: Entry, reason: str) -> None:
        super().__init__(cell=entry.cell)
        self.entry, self.reason = entry, reason


@dataclass(frozen=True, slots=True)
class Source:
    """The import an entry belongs to and the file it stands in."""

    id: uuid.UUID
    name: str
    document: uuid.UUID


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a file: where it stands and what it says. `value` is as in the JSON API; `day` may be empty."""

    cell: str
    unit: str
    measure: str
    value: dict[str, Any]
    period: str
    document: str
    day: str

    @property
    def read(self) -> Value:
        if "numerator" in self.value:
            return Ratio(self.value["numerator"], self.value["denominator"])
        found: Value = next(iter(self.value.values()))
        return found

    def observed(self, of: Source, at: datetime) -> Observed:
        """The observation it states; without a day of its own, or on the day of `at` itself, observed `at`."""
        today = at.astimezone(VIETNAM).date()
        day = date.fromisoformat(self.day) if self.day else today
        if day != today:
            moment = time(23, 59, 59) if day < today else time()
            at = datetime.combine(day, moment, VIETNAM).astimezone(UTC)
        return Observed(
            id=f"{of.id}/{self.cell}",
            unit=self.unit,
            observed_at=at,
            value=self.read,
            measure=self.measure,
            period=self.period,
            source=self.document,
            evidence=f"{of.name}, {self.cell}",
            attachment=of.document,
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong, with its cell; `reason` is a key of layout.FAULTS."""

    row: int
    column: int
    measure: str
    reason: str
    params: dict[str, Any]

    @property
    def cell(self) -> str:
        return spreadsheets.place(self.row, self.column)


@dataclass(frozen=True, slots=True)
class Import:
    """One import as it is kept. `document` is the file itself; counts are of values, not of rows.

    `refusal` says why the file cannot be read at all: a `reason` of layout.FILE_FAULTS and its `params`. `cleared`: it
    came to nothing, and what it held is kept no longer (see `forgetting`).
    """

    id: uuid.UUID
    document: uuid.UUID
    unit: str
    path: str
    set_code: str
    level: str
    state: str
    mode: str | None
    sheet: str
    rows: int
    valid: int
    faults: int
    accepted: int
    restored: int
    kept: int
    actor: dict[str, Any] | None
    created_by: str
    created_at: datetime
    applied_by: str | None
    applied_at: datetime | None
    undone_by: str | None
    undone_at: datetime | None
    refusal: dict[str, Any] | None
    name: str
    media_type: str
    size: int
    digest: bytes
    cleared: bool

    @property
    def source(self) -> Source:
        return Source(self.id, self.name, self.document)


_ADD_FAULTS = sa.text("""
    INSERT INTO import_fault (import, number, cell, measure, reason, params)
    SELECT :import, * FROM unnest(CAST(:number AS integer[]), CAST(:cell AS text[]), CAST(:measure AS text[]),
        CAST(:reason AS text[]), CAST(:params AS jsonb[]))
""")
_IMPORT = """
    SELECT i.*, d.name, d.media_type, d.size, d.digest, octet_length(d.content) = 0 AS cleared
    FROM import i JOIN evidence_file d ON d.id = i.document
"""
_ONE = sa.text(f"{_IMPORT} WHERE i.id = :id")
_LOCK = sa.text("SELECT state FROM import WHERE id = :id FOR NO KEY UPDATE")
_LIST = sa.text(f"""
    {_IMPORT} WHERE (i.path = :path OR i.path LIKE :below) AND i.id < :before ORDER BY i.id DESC LIMIT :most
""")
_SAME_FILE = sa.text(f"""
    {_IMPORT} WHERE d.digest = :digest AND i.id <> :id AND i.state IN ('queued', 'applied', 'undoing', 'undone')
      AND (i.path = :path OR i.path LIKE :below) ORDER BY i.id DESC LIMIT 1
""")
_CHUNKS = sa.text("SELECT number FROM import_chunk WHERE import = :id ORDER BY number")
_CHUNK = sa.text("SELECT content FROM import_chunk WHERE import = :id AND number = :number")
_FAULTS = sa.text("""
    SELECT * FROM import_fault WHERE import = :id AND number > :after ORDER BY number LIMIT :most
""")
_QUEUE = sa.text("""
    UPDATE import SET state = :state, mode = :mode, actor = CAST(:actor AS jsonb) WHERE id = :id
""")
_APPLIED = sa.text("""
    UPDATE import SET state = 'applied', mode = :mode, accepted = :accepted, faults = faults + :late, actor = NULL,
        applied_by = :by, applied_at = :at WHERE id = :id
""")
_REFUSED = sa.text("""
    UPDATE import SET actor = NULL,
        state = CASE state WHEN 'undoing' THEN 'applied' WHEN 'reading' THEN 'unreadable' ELSE 'refused' END,
        refusal = CASE state WHEN 'reading' THEN CAST(:refusal AS jsonb) END
    WHERE id = :id AND state IN ('reading', 'queued', 'undoing')
""")


def pack(entries: Sequence[Entry]) -> bytes:
    return zlib.compress(
        orjson.dumps([[e.cell, e.unit, e.measure, e.value, e.period, e.document, e.day] for e in entries]), 6
    )


def unpack(content: bytes) -> list[Entry]:
    return [Entry(*row) for row in orjson.loads(zlib.decompress(content))]


async def add_faults(tx: AsyncSession, made: uuid.UUID, faults: Sequence[Fault], first: int = 0) -> None:
    if faults:
        rows = [
            {
                "number": first + number,
                "cell": fault.cell,
                "measure": fault.measure,
                "reason": fault.reason,
                "params": orjson.dumps(fault.params).decode(),
            }
            for number, fault in enumerate(faults, 1)
        ]
        await tx.execute(_ADD_FAULTS, {**as_columns(rows), "import": made})


async def get(tx: AsyncSession, me: Principal, import_id: uuid.UUID) -> Import:
    """An import of a unit `me` is staff of; raises UnknownImport, also where it is none of theirs."""
    row = (await tx.execute(_ONE, {"id": import_id})).first()
    if row is None or not me.may(STAFF, row.path):
        raise UnknownImport
    return _import(row)


async def find(tx: AsyncSession, import_id: uuid.UUID) -> Import:
    """An import, whoever asks; for what runs in the background."""
    return _import((await tx.execute(_ONE, {"id": import_id})).one())


def _import(row: Any) -> Import:
    return Import(**{name: getattr(row, name) for name in Import.__dataclass_fields__})


async def listed(tx: AsyncSession, unit: Unit, *, limit: int, before: uuid.UUID | None = None) -> list[Import]:
    """Imports for a unit and everything below it, newest first; up to `limit` + 1, so that a caller sees more."""
    asked = {"path": unit.path, "below": f"{unit.path}/%", "most": limit + 1, "before": before or _LAST}
    return [_import(row) for row in await tx.execute(_LIST, asked)]


_LAST = uuid.UUID(int=2**128 - 1)


async def same_file(tx: AsyncSession, one: Import) -> Import | None:
    """The last import of the very same file within the same unit that was applied before."""
    asked = {"digest": one.digest, "id": one.id, "path": one.path, "below": f"{one.path}/%"}
    row = (await tx.execute(_SAME_FILE, asked)).first()
    return _import(row) if row is not None else None


async def faults(tx: AsyncSession, import_id: uuid.UUID, *, limit: int, after: int = 0) -> list[Any]:
    """What is wrong, in the order of the file; up to `limit` + 1."""
    return list((await tx.execute(_FAULTS, {"id": import_id, "after": after, "most": limit + 1})).all())


async def entries(tx: AsyncSession, import_id: uuid.UUID) -> AsyncIterator[list[Entry]]:
    """The values that are right, in the order of the file, some hundreds at a time."""
    for number in (await tx.execute(_CHUNKS, {"id": import_id})).scalars().all():
        content = (await tx.execute(_CHUNK, {"id": import_id, "number": number})).scalar_one()
        yield await asyncio.to_thread(unpack, bytes(content))


async def first_entries(tx: AsyncSession, import_id: uuid.UUID, most: int) -> list[Entry]:
    """The first values, to be shown."""
    async for some in entries(tx, import_id):
        return some[:most]
    return []


async def page_of_entries(tx: AsyncSession, import_id: uuid.UUID, after: int) -> tuple[int | None, list[Entry]]:
    """One heap of the values that are right, `after` heaps left out, and the `after` of the next; None: the last."""
    row = (await tx.execute(_CHUNK, {"id": import_id, "number": after})).first()
    if row is None:
        return None, []
    more = (await tx.execute(_CHUNK, {"id": import_id, "number": after + 1})).first() is not None
    return (after + 1 if more else None), await asyncio.to_thread(unpack, bytes(row.content))


async def lock(tx: AsyncSession, import_id: uuid.UUID, state: str) -> None:
    """Keep others from this import; raises ImportDone unless it is still in `state`."""
    if (await tx.execute(_LOCK, {"id": import_id})).scalar_one_or_none() != state:
        raise ImportDone


async def confirm(tx: AsyncSession, me: Principal, import_id: uuid.UUID, mode: Mode, catalogue: c.Catalogue) -> str:
    """Apply a preview, or leave a large one to the background; returns the state: applied or queued."""
    one = await get(tx, me, import_id)
    if one.state != "previewed":
        # Before the lock: who works on one in the background keeps it for long.
        raise ImportDone
    await lock(tx, import_id, "previewed")
    if mode == "all" and one.faults:
        raise ImportFaulty(count=one.faults)
    if not one.valid:
        raise ImportEmpty
    if one.valid > AT_ONCE:
        await enqueue(tx, me, one, "queued", mode)
        return "queued"
    await apply(tx, me, one, mode, catalogue)
    return "applied"


async def enqueue(tx: AsyncSession, me: Principal, one: Import, state: str, mode: str | None) -> None:
    """Leave an import to the background, in the name and with the roles of who asks now."""
    actor = {"subject": me.subject, "name": "", "grants": [[g.role, g.unit, g.path] for g in me.grants]}
    values = {"id": one.id, "state": state, "mode": mode, "actor": orjson.dumps(actor).decode()}
    await tx.execute(_QUEUE, values)
    # An undo does not begin where the import ended.
    await underway.tell(tx, one.id, 0, one.valid)


def actor_of(one: Import) -> Principal:
    """Who asked for what waits in the background."""
    actor = one.actor or {}
    return Principal(actor["subject"], "", "person", tuple(Grant(*grant) for grant in actor["grants"]))


async def apply(
    tx: AsyncSession, me: Principal, one: Import, mode: str, catalogue: c.Catalogue, progress: Tell | None = None
) -> None:
    """Make the values of a preview count, within `tx`; raises ImportOutdated where `mode` is all and one no longer may.

    With `valid` such a value is left out and listed among the faults.
    """
    clock, accepted, done = now(), 0, 0
    late: list[Fault] = []
    async for some in entries(tx, one.id):
        receipt = await intake.submit(tx, me, [entry.observed(one.source, clock) for entry in some], catalogue)
        if receipt.rejections and mode == "all":
            first = receipt.rejections[0]
            raise ImportOutdated(*_of(some, first))
        late += [_late(*_of(some, rejection)) for rejection in receipt.rejections]
        accepted += receipt.accepted
        done += len(some)
        if progress is not None:
            await progress(done, one.valid)
    await add_faults(tx, one.id, late[:MAX_FAULTS], MAX_FAULTS)
    await tx.execute(
        _APPLIED, {"id": one.id, "mode": mode, "accepted": accepted, "late": len(late), "by": me.subject, "at": clock}
    )
    detail = {"set": one.set_code, "mode": mode, "accepted": accepted, "digest": one.digest.hex()}
    await audit.record(tx, me, "indicators.import.applied", target=str(one.id), unit=one.unit, detail=detail)


def _of(entries: Sequence[Entry], rejection: intake.Rejection) -> tuple[Entry, str]:
    """The entry a rejection is about, and why."""
    cell = rejection.id.partition("/")[2]
    return next(entry for entry in entries if entry.cell == cell), rejection.reason


def _late(entry: Entry, reason: str) -> Fault:
    row, column = spreadsheets.position(entry.cell)
    known = reason if reason in layout.FAULTS else "refused"
    return Fault(row, column, entry.measure, known, {"code": entry.unit})


async def refuse(tx: AsyncSession, import_id: uuid.UUID, error: Exception) -> None:
    """What waited in the background cannot be done: nothing of an import counts, nothing of an undo happened.

    Of a file that cannot be read the reason is kept.
    """
    reason, params = (error.reason, error.params) if isinstance(error, FileRefused) else ("failed", {})
    refusal = orjson.dumps({"reason": reason, "params": params}).decode()
    await tx.execute(_REFUSED, {"id": import_id, "refusal": refusal})
    if isinstance(error, ImportOutdated):
        await add_faults(tx, import_id, [_late(error.entry, error.reason)], MAX_FAULTS)
