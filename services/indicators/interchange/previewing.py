"""Owns how a file becomes a preview: read, judged value by value against units, roles and rules, and kept."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal, covers
from chassis.db import new_id, now
from chassis.text import fold
from chassis.units import Unit
from services.indicators.criteria import catalogue as c
from services.indicators.interchange import importing, layout, reading, spreadsheets
from services.indicators.interchange.importing import BATCH, MAX_FAULTS, Entry, Fault, Source
from services.indicators.sources import evidence, intake

MEDIA_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".csv": "text/csv",
}
_CODE_LENGTHS = {"province": 2, "district": 3, "commune": 5}


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
_ADD = sa.text("""
    INSERT INTO import (id, document, unit, path, set_code, level, state, sheet, rows, valid, faults, created_by)
    VALUES (:id, :document, :unit, :path, :set_code, :level, 'previewed', :sheet, :rows, :valid, :faults, :by)
""")
_ADD_CHUNK = sa.text("INSERT INTO import_chunk (import, number, content) VALUES (:import, :number, :content)")


async def preview(tx: AsyncSession, me: Principal, upload: Upload, catalogue: c.Catalogue) -> uuid.UUID:
    """Read a file and keep it with what is right and wrong in it; raises FileRefused. Nothing counts yet."""
    me.require(STAFF, upload.unit.path)
    found = await reading.read(layout.columns(upload.criteria, upload.level, catalogue), upload.data)
    suffix = ".xlsx" if upload.data.startswith(b"PK") else ".csv"
    kept = evidence.Clean(evidence.file_name(upload.name, suffix), MEDIA_TYPES[suffix], upload.data)
    document = await evidence.keep(tx, me, upload.unit, kept, "import")
    source = Source(new_id(), kept.name, document)
    entries, faults, count = await _judge(tx, me, upload, source, found, catalogue)
    values = {
        "id": source.id,
        "document": document,
        "unit": upload.unit.code,
        "path": upload.unit.path,
        "set_code": upload.criteria.code,
        "level": upload.level,
        "sheet": found.head["sheet"],
        "rows": found.head["rows"],
        "valid": len(entries),
        "faults": count,
        "by": me.subject,
    }
    await tx.execute(_ADD, values)
    for number, start in enumerate(range(0, len(entries), BATCH)):
        chunk = await asyncio.to_thread(importing.pack, entries[start : start + BATCH])
        await tx.execute(_ADD_CHUNK, {"import": source.id, "number": number, "content": chunk})
    await importing.add_faults(tx, source.id, faults)
    return source.id


async def _judge(
    tx: AsyncSession, me: Principal, upload: Upload, source: Source, read: reading.Found, catalogue: c.Catalogue
) -> tuple[list[Entry], list[Fault], int]:
    """The values that stand before units, roles and rules; the faults in the order of the file, and their number."""
    found = read.head
    known = await _known(tx, set(found["units"]), upload.level)
    faults = [Fault(**fault) for fault in found["faults"]]
    count, clock = found["fault_count"], now()
    right: list[Entry] = []
    told: set[tuple[int, str]] = set()
    for batch in read.batches():
        entries = [_entry(value, known) for value in batch]
        verdicts = await intake.verdicts(tx, me, [e.observed(source, clock) for e in entries], catalogue)
        for value, entry, verdict in zip(batch, entries, verdicts, strict=True):
            fault = _fault_of(upload, found, value, entry, known)
            if fault is None and isinstance(verdict, str):
                fault = _of_verdict(verdict, value, entry, found["unit_column"])
            if fault is None:
                right.append(entry)
                continue
            # One word about the unit of a row is enough, however many figures the row holds.
            if fault.measure or (fault.row, fault.reason) not in told:
                told.add((fault.row, fault.reason))
                count += 1
                if len(faults) < MAX_FAULTS:
                    faults.append(fault)
        # Other requests go on between the batches of a large file.
        await asyncio.sleep(0)
    faults.sort(key=lambda fault: (fault.row, fault.column))
    return right, faults, count


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


def _of_verdict(verdict: str, value: dict[str, Any], entry: Entry, unit_column: int) -> Fault:
    reason = verdict if verdict in layout.FAULTS else "refused"
    if reason in _OF_THE_UNIT:
        return Fault(value["row"], unit_column, "", reason, {"code": entry.unit})
    params = {"code": entry.unit, **{k: v for k, v in value["value"].items() if k in ("numerator", "denominator")}}
    return Fault(value["row"], value["column"], value["measure"], reason, params)
