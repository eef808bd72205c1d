"""Owns how a file becomes a preview: kept as it came, read, judged value by value against units, roles and rules.

A small file is read while its sender waits. A large one is kept and read in the background (`backlog`), in the name and
with the roles of who sent it; what is right is kept heap by heap, so that it never lies in memory as a whole.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.auth import STAFF, Principal, covers
from chassis.db import new_id, now
from chassis.errors import DomainError, Kind
from chassis.text import fold
from chassis.units import Unit
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import importing, layout, reading, spreadsheets, underway
from services.indicators.interchange.importing import BATCH, MAX_FAULTS, Entry, Fault, Import, ImportDone, Source
from services.indicators.interchange.reading import FileRefused
from services.indicators.interchange.underway import Tell
from services.indicators.sources import evidence, intake

MEDIA_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".csv": "text/csv",
}
SMALL_BYTES = 256 * 1024
"""Largest file that is read while its sender waits, in bytes; any other is read in the background."""
SMALL_VALUES = 1_000
"""Most values that are judged while the sender waits."""
SMALL_SECONDS = 10
"""Longest time, in seconds, that reading a small file keeps its sender waiting."""
LOOK_SECONDS = 1.0
"""Time, in seconds, between two looks whether a file that is being read was put aside."""
_CODE_LENGTHS = {"province": 2, "district": 3, "commune": 5}


MOST_WAITING = 10
"""Files of one sender that wait to be read: each is kept whole, and they are read one by one."""


class TooManyWaiting(DomainError):
    code: ClassVar[str] = "too_many_files_waiting"
    kind: ClassVar[Kind] = Kind.RATE_LIMITED
    message: ClassVar[str] = "Chị/anh đã có {most} tệp đang chờ đọc. Xin đợi đọc xong rồi gửi tiếp."


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent, and what it is about: measures of a set for units of `level` on or below `unit`."""

    unit: Unit
    criteria: c.CriteriaSet
    level: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Named:
    """What a code of the file names: the code as it is written officially, the name, every path it ever had."""

    code: str
    name: str
    paths: tuple[str, ...]


_UNITS = sa.text("""
    SELECT code, (array_agg(name ORDER BY valid_from DESC))[1] AS name, array_agg(path) AS paths
    FROM unit WHERE code = ANY(CAST(:codes AS text[])) GROUP BY code
""")
_WAITING = sa.text("SELECT count(*) FROM import WHERE state = 'reading' AND created_by = :by")
_ADD = sa.text("""
    INSERT INTO import (id, document, unit, path, set_code, level, state, sheet, rows, valid, faults, created_by)
    VALUES (:id, :document, :unit, :path, :set_code, :level, 'reading', '', 0, 0, 0, :by)
""")
_ADD_CHUNK = sa.text("INSERT INTO import_chunk (import, number, content) VALUES (:import, :number, :content)")
_READ = sa.text("""
    UPDATE import SET state = 'previewed', actor = NULL, sheet = :sheet, rows = :rows, valid = :valid, faults = :faults
    WHERE id = :id
""")
# Whoever reads it at this moment holds the row: that one is asked to stop instead.
_PUT_ASIDE = sa.text("""
    UPDATE import SET state = 'discarded', actor = NULL WHERE id = (
        SELECT id FROM import WHERE id = :id AND state IN ('reading', 'previewed') FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id
""")
_STILL_HERE = sa.text("SELECT 1")


async def hand_in(tx: AsyncSession, me: Principal, upload: Upload, catalogue: c.Catalogue) -> tuple[uuid.UUID, str]:
    """Keep a file and read it, or leave a large one to the background; returns the import and its state.

    The state is previewed or reading. Raises FileTooLarge, FileRefused where that can be told at once, and
    TooManyWaiting. Nothing counts yet.
    """
    me.require(STAFF, upload.unit.path)
    suffix = reading.suffix_of(upload.data)
    found = await _at_once(upload, catalogue)
    if found is None and (await tx.execute(_WAITING, {"by": me.subject})).scalar_one() >= MOST_WAITING:
        raise TooManyWaiting(field="file", most=MOST_WAITING)
    kept = evidence.Clean(evidence.file_name(upload.name, suffix), MEDIA_TYPES[suffix], upload.data)
    document = await evidence.keep(tx, me, upload.unit, kept, "import")
    source = Source(new_id(), kept.name, document)
    values = {
        "id": source.id,
        "document": document,
        "unit": upload.unit.code,
        "path": upload.unit.path,
        "set_code": upload.criteria.code,
        "level": upload.level,
        "by": me.subject,
    }
    await tx.execute(_ADD, values)
    if found is None:
        await importing.enqueue(tx, me, await importing.find(tx, source.id), "reading", None)
        return source.id, "reading"
    await _fill(tx, me, upload, source, found, catalogue)
    return source.id, "previewed"


async def _at_once(upload: Upload, catalogue: c.Catalogue) -> reading.Found | None:
    """What a small file holds; None where reading or judging it would keep the sender waiting."""
    if len(upload.data) > SMALL_BYTES:
        return None
    try:
        async with asyncio.timeout(SMALL_SECONDS):
            found = await reading.read(layout.columns(upload.criteria, upload.level, catalogue), upload.data)
    except TimeoutError:
        return None
    return found if found.head["count"] <= SMALL_VALUES else None


async def read(tx: AsyncSession, me: Principal, one: Import, catalogue: c.Catalogue, tell: Tell) -> None:
    """Make a preview of a file that was handed in; raises FileRefused, and Stopped where it was put aside."""
    await tell(0, 0)
    unit, criteria = await units.find(tx, one.unit), catalogue.sets.get(one.set_code)
    if unit is None:
        raise FileRefused("unit_gone", unit=one.unit)
    if criteria is None:
        raise FileRefused("set_gone")
    data = await evidence.content(tx, one.document)
    upload = Upload(unit, criteria, one.level, one.name, data)
    work = asyncio.create_task(reading.read(layout.columns(criteria, one.level, catalogue), data))
    try:
        while not (await asyncio.wait({work}, timeout=LOOK_SECONDS))[0]:
            await tell(0, 0)
            # A transaction in which nothing is asked for a minute is ended by the database.
            await tx.execute(_STILL_HERE)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    await _fill(tx, me, upload, one.source, work.result(), catalogue, tell)
    await underway.last_look(tx, one.id)


async def put_aside(tx: AsyncSession, me: Principal, import_id: uuid.UUID) -> str:
    """Drop a preview, or stop the reading of a file; raises ImportDone where its figures count or counted.

    Returns the state: discarded, or reading where who reads it was asked to stop.
    """
    one = await importing.get(tx, me, import_id)
    if one.state not in ("reading", "previewed"):
        raise ImportDone
    if await discard(tx, import_id):
        return "discarded"
    await underway.stop(tx, import_id)
    # It may have been finished while its end was waited for.
    if await discard(tx, import_id):
        return "discarded"
    if (await importing.find(tx, import_id)).state != "reading":
        raise ImportDone
    return "reading"


async def discard(tx: AsyncSession, import_id: uuid.UUID) -> bool:
    """Drop a preview, or a file nobody reads at this moment; returns whether it was there to be dropped."""
    return (await tx.execute(_PUT_ASIDE, {"id": import_id})).first() is not None


async def _fill(
    tx: AsyncSession,
    me: Principal,
    upload: Upload,
    source: Source,
    found: reading.Found,
    catalogue: c.Catalogue,
    tell: Tell | None = None,
) -> None:
    """Keep what is right in a file heap by heap, then what is wrong, and say that it can be looked at."""
    judged = _Judged(faults=[Fault(**fault) for fault in found.head["faults"]], count=found.head["fault_count"])
    known = await _known(tx, set(found.head["units"]), upload.level)
    number, heap, done = 0, list[Entry](), 0
    for batch in found.batches():
        heap += await _judge(tx, me, _About(upload, source, found.head, known), batch, judged, catalogue)
        done += len(batch)
        while len(heap) >= BATCH:
            await _keep(tx, source.id, number, heap[:BATCH])
            number, heap = number + 1, heap[BATCH:]
        if tell is not None:
            await tell(done, found.head["count"])
        # Other requests go on between the batches of a large file.
        await asyncio.sleep(0)
    if heap:
        await _keep(tx, source.id, number, heap)
    judged.faults.sort(key=lambda fault: (fault.row, fault.column))
    await importing.add_faults(tx, source.id, judged.faults)
    head = {"id": source.id, "sheet": found.head["sheet"], "rows": found.head["rows"]}
    await tx.execute(_READ, {**head, "valid": judged.valid, "faults": judged.count})


async def _keep(tx: AsyncSession, import_id: uuid.UUID, number: int, entries: list[Entry]) -> None:
    content = await asyncio.to_thread(importing.pack, entries)
    await tx.execute(_ADD_CHUNK, {"import": import_id, "number": number, "content": content})


@dataclass
class _Judged:
    """What was found so far: faults with their places (the first of them), and how many of both there are."""

    faults: list[Fault]
    count: int
    valid: int = 0
    told: set[tuple[int, str]] = field(default_factory=set)

    def add(self, fault: Fault) -> None:
        # One word about the unit of a row is enough, however many figures the row holds.
        if not fault.measure and (fault.row, fault.reason) in self.told:
            return
        self.told.add((fault.row, fault.reason))
        self.count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


@dataclass(frozen=True, slots=True)
class _About:
    """What a value of a file is judged by beside itself."""

    upload: Upload
    source: Source
    head: dict[str, Any]
    known: dict[str, _Named]


async def _judge(
    tx: AsyncSession,
    me: Principal,
    about: _About,
    batch: list[dict[str, Any]],
    judged: _Judged,
    catalogue: c.Catalogue,
) -> list[Entry]:
    """The values of a batch that stand before units, roles and rules; what is wrong with the others is noted."""
    clock, head = now(), about.head
    entries = [_entry(value, about.known) for value in batch]
    verdicts = await intake.verdicts(tx, me, [e.observed(about.source, clock) for e in entries], catalogue)
    right: list[Entry] = []
    for value, entry, verdict in zip(batch, entries, verdicts, strict=True):
        fault = _fault_of(about.upload, head, value, entry, about.known)
        if not isinstance(verdict, str) and isinstance(entry.read, bool) and not entry.document:
            # The file is kept with each of its figures, and proves that somebody said so, but not that it is so.
            verdict = "evidence_missing"
        if fault is None and isinstance(verdict, str):
            fault = _of_verdict(verdict, value, entry, head)
        if fault is None:
            right.append(entry)
        else:
            judged.add(fault)
    judged.valid += len(right)
    return right


async def _known(tx: AsyncSession, codes: set[str], level: str) -> dict[str, _Named]:
    """What the codes of the file name. A spreadsheet program takes the zeros off 00123: they are put back."""
    length = _CODE_LENGTHS.get(level, 0)
    official = {code: code.zfill(length) if code.isascii() and code.isdigit() else code for code in codes}
    asked = sorted({*codes, *official.values()})
    rows = {row.code: row for row in await tx.execute(_UNITS, {"codes": asked})}
    found: dict[str, _Named] = {}
    for code in codes:
        row = rows.get(code) or rows.get(official[code])
        if row is not None:
            found[code] = _Named(row.code, row.name, tuple(row.paths))
    return found


def _entry(value: dict[str, Any], known: dict[str, _Named]) -> Entry:
    named = known.get(value["unit"])
    return Entry(
        cell=spreadsheets.place(value["row"], value["column"]),
        unit=named.code if named else value["unit"],
        measure=value["measure"],
        value=value["value"],
        period=value["period"],
        document=value["document"],
        day=value["day"],
    )


def _fault_of(
    upload: Upload, found: dict[str, Any], value: dict[str, Any], entry: Entry, known: dict[str, _Named]
) -> Fault | None:
    """What is wrong with the unit of a row, beside what any observation is judged by."""
    row, column = value["row"], found["unit_column"]
    named = known.get(value["unit"])
    if named is None:
        return Fault(row, column, "", "unknown_unit", {"code": entry.unit})
    if not any(covers(upload.unit.path, path) for path in named.paths):
        return Fault(row, column, "", "outside", {"code": entry.unit, "parent": upload.unit.name})
    written = found["names"].get(str(row), "")
    if written and " ".join(fold(written).split()) != " ".join(fold(named.name).split()):
        params = {"code": entry.unit, "name": named.name, "value": written[:40]}
        return Fault(row, found["name_column"], "", "name_mismatch", params)
    return None


_OF_THE_UNIT = ("unknown_unit", "unit_ended", "unit_not_yet", "not_granted")


_OF_THE_DAY = ("from_the_future", "time_malformed")


def _of_verdict(verdict: str, value: dict[str, Any], entry: Entry, head: dict[str, Any]) -> Fault:
    reason = verdict if verdict in layout.FAULTS else "refused"
    if reason in _OF_THE_UNIT:
        return Fault(value["row"], head["unit_column"], "", reason, {"code": entry.unit})
    if reason in _OF_THE_DAY and entry.day:
        # The day stands once for all figures of the row.
        return Fault(value["row"], head["day_column"], "", reason, {})
    params = {"code": entry.unit, **{k: v for k, v in value["value"].items() if k in ("numerator", "denominator")}}
    return Fault(value["row"], value["column"], value["measure"], reason, params)
