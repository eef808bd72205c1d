"""Owns how a document comes into force: checked with all others, stored, told to every process, and followed by work.

The work is done in bounded transactions: the units of a set are judged again some hundred at a time, and how far it got
is stored with them, so that a process that dies leaves nothing half done.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import Principal
from chassis.db import now
from chassis.errors import DomainError, FieldError, Forbidden, Kind, NotFound, Said
from chassis.units import Unit
from services.indicators.calculation import evaluation, leaving
from services.indicators.calculation.engine import Summary
from services.indicators.calculation.model import unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import differing, editions, judging, library, whereabouts
from services.indicators.criteria.documents import BadDefinition, Document, Fault

SCOPE = "indicators.criteria.write"
"""What a client needs to change sets and measures; nobody has it by a role."""
CHUNK = 500
"""Units judged again in one transaction."""
TOLD = 50
"""Most faults told in one answer."""

_WORK = sa.text("INSERT INTO criteria_work (set_code, cause) VALUES (:set_code, :cause)")
_ONLY_ONE = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended('indicators-criteria-work', 288))")
_NEXT = sa.text("SELECT id, set_code, cause, after FROM criteria_work ORDER BY id LIMIT 1")
_DONE = sa.text("DELETE FROM criteria_work WHERE id = :id")
_STEP = sa.text("UPDATE criteria_work SET after = :after WHERE id = :id")
_PENDING = sa.text("SELECT count(*) FROM criteria_work")
_UNITS = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE level = :level AND path > :after AND valid_from <= :today AND (valid_to IS NULL OR valid_to > :today)
    ORDER BY path LIMIT :most
""")
_STATUSES = sa.text("""
    SELECT unit, item_code, status FROM item WHERE set_code = :set_code AND unit = ANY(CAST(:units AS text[]))
""")
_SHEETS = sa.text("""
    SELECT unit, status, met, total FROM sheet WHERE set_code = :set_code AND unit = ANY(CAST(:units AS text[]))
""")
_FORGET_ROWS = sa.text("""
    DELETE FROM item WHERE set_code = :set_code AND NOT item_code = ANY(CAST(:rows AS text[]))
""")
_FORGET_SHEETS = sa.text("DELETE FROM sheet WHERE set_code = :set_code")
_STALE = sa.text("""
    INSERT INTO stale (path, set_code, cause)
    SELECT path, :set_code, :cause FROM unnest(CAST(:paths AS text[])) AS path
""")


class CriteriaRefused(DomainError):
    """A document cannot be used, by itself or together with the others; `errors` says where and why."""

    code: ClassVar[str] = "criteria_refused"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Tài liệu không dùng được: {count} lỗi, lỗi đầu tiên ở {file}, dòng {line}."

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(count=len(faults), file=faults[0].file, line=faults[0].line)
        self.faults = list(faults)

    @property
    def field_errors(self) -> tuple[FieldError, ...]:
        told = self.faults[:TOLD]
        return tuple(FieldError(_where(fault), fault.said.text, fault.said.params) for fault in told)


def _where(fault: Fault) -> str:
    return f"{fault.file}:{fault.line}" + (f": {fault.place}" if fault.place else "")


class NameDiffers(DomainError):
    code: ClassVar[str] = "name_differs"
    kind: ClassVar[Kind] = Kind.INVALID
    message: ClassVar[str] = "Tài liệu tự gọi là “{said}”, không phải “{asked}”."


class UnknownDocument(NotFound):
    code: ClassVar[str] = "unknown_document"
    message: ClassVar[str] = "Không có tài liệu bộ chỉ tiêu mã {name}."


class NothingApplied(DomainError):
    code: ClassVar[str] = "nothing_applied"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Tài liệu {name} đang dùng bản đi kèm phần mềm, không có gì để rút lại."


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did: `version` 0 and no difference where the document was in force already."""

    kind: str
    code: str
    version: int
    catalogue: c.Catalogue
    differences: tuple[differing.Difference, ...]
    sets: tuple[str, ...]


def read(name: str, text: str) -> Document:
    """A document by itself; raises CriteriaRefused."""
    try:
        return Document(name, text)
    except BadDefinition as error:
        raise CriteriaRefused(error.faults) from error


async def may(tx: AsyncSession, me: Principal, document: Document) -> None:
    """Raise unless `me` may put this document: administrators overlays of their unit, operators' clients the rest.

    Of an overlay for a unit that is not there, administrators are told so with its line; raises CriteriaRefused.
    """
    if me.kind == "partner":
        me.require_scope(SCOPE)
    elif document.kind == "overlay":
        path = await whereabouts.path_of(tx, document)
        if path is not None:
            me.require(("admin",), path)
        elif "admin" in me.roles:
            raise CriteriaRefused(await _of_nowhere(tx, document))
        else:
            raise Forbidden
    else:
        raise Forbidden


async def _of_nowhere(tx: AsyncSession, document: Document) -> list[Fault]:
    """That there is no such unit, and all else that is wrong: whoever mends one shall know of the others."""
    said = Said("không có đơn vị hành chính mã {unit}", unit=document.data["unit"])
    found = [document.fault(("unit",), said)]
    try:
        await preview(tx, document)
    except CriteriaRefused as error:
        found += error.faults
    return found


async def preview(tx: AsyncSession, document: Document | None, gone: tuple[str, str] | None = None) -> Applied:
    """What the catalogue would be with this document, or without an applied one; raises CriteriaRefused."""
    held = await editions.in_force(tx)
    old = library.build(held, await editions.number(tx))
    named = (document.kind, document.code) if document else gone
    others = [one for one in held if (one.kind, one.code) != named]
    fresh = [document] if document else [one for one in editions.shipped() if (one.kind, one.code) == named]
    try:
        new = library.build([*others, *fresh], old.number + 1)
    except BadDefinition as error:
        raise CriteriaRefused(error.faults) from error
    unknown = await whereabouts.faults(tx, document, [*others, *fresh]) if document else []
    if unknown:
        raise CriteriaRefused(unknown)
    kind, code = named or ("", "")
    differences = tuple(differing.compare(old, new))
    return Applied(kind, code, 0, new, differences, tuple(differing.touched(old, new)))


async def apply(tx: AsyncSession, document: Document, by: str) -> Applied:
    """Bring a document into force; applying it twice changes nothing. Raises CriteriaRefused."""
    await editions.lock(tx)
    held = {(one.kind, one.code): one.text for one in await editions.in_force(tx)}
    found = await preview(tx, document)
    if held.get((document.kind, document.code)) == document.text:
        return found
    newest = (await editions.newest(tx, "applied")).get((document.kind, document.code))
    version = newest.version + 1 if newest else 1
    await editions.put(tx, document, "applied", version, by)
    await _follow(tx, found, f"criteria:{document.kind}/{document.code}@{version}")
    return Applied(found.kind, found.code, version, found.catalogue, found.differences, found.sets)


async def withdraw(tx: AsyncSession, kind: str, code: str, by: str) -> Applied:
    """Take an applied document out of force; the shipped one of that name counts again. Raises NothingApplied."""
    await editions.lock(tx)
    newest = (await editions.newest(tx, "applied")).get((kind, code))
    if newest is None or newest.withdrawn:
        raise NothingApplied(name=code)
    held = next(one for one in await editions.in_force(tx) if (one.kind, one.code) == (kind, code))
    found = await preview(tx, None, (kind, code))
    await editions.put(tx, held, "applied", newest.version + 1, by, withdrawn=True)
    await _follow(tx, found, f"criteria:{kind}/{code}@{newest.version + 1}")
    return Applied(kind, code, newest.version + 1, found.catalogue, found.differences, found.sets)


async def _follow(tx: AsyncSession, found: Applied, cause: str) -> None:
    for set_code in found.sets:
        await tx.execute(_WORK, {"set_code": set_code, "cause": cause})
    await editions.announce(tx)


@contextlib.asynccontextmanager
async def following_units(tx: AsyncSession, described: Collection[Unit], cause: str) -> AsyncIterator[None]:
    """Around whatever stores descriptions of units: a code that is given out again may change where overlays hold.

    Then every process places them anew, and the units of their sets are judged again.
    """
    catalogue, codes = library.catalogue(), {unit.code for unit in described}
    named = {one for one in whereabouts.namings(catalogue) if one[0] in codes}
    before = await whereabouts.places(tx, named)
    yield
    after = await whereabouts.places(tx, named)
    if after == before:
        return
    moved = {naming[0] for naming, _ in before.items() ^ after.items()}
    laid = [o for o in catalogue.overlays.values() if {o.unit, *(s.unit for s in o.suspensions)} & moved]
    for set_code in dict.fromkeys(overlay.set_code for overlay in laid):
        await tx.execute(_WORK, {"set_code": set_code, "cause": cause})
    await editions.announce(tx)


async def audited(tx: AsyncSession, me: Principal, found: Applied, action: str) -> None:
    """Who did it, beside the edition itself."""
    detail = {"kind": found.kind, "version": str(found.version)}
    overlay = found.catalogue.overlays.get(found.code)
    unit = overlay.unit if overlay else ""
    await audit.record(tx, me, f"indicators.criteria.{action}", target=found.code, unit=unit, detail=detail)


async def keep_shipped(tx: AsyncSession) -> int:
    """Record the shipped documents of this release where they are other than those recorded; returns how many are.

    A release that changes a set changes sheets: its units are judged again like those of an applied one.
    """
    await editions.lock(tx)
    known = await editions.newest(tx, "shipped")
    fresh = [d for d in editions.shipped() if _other(known.get((d.kind, d.code)), d)]
    if not fresh:
        return 0
    for document in fresh:
        held = known.get((document.kind, document.code))
        await editions.put(tx, document, "shipped", held.version + 1 if held else 1, "release")
    catalogue = library.build(await editions.in_force(tx), 0)
    sets = tuple(_in_order(catalogue))
    await _follow(tx, Applied("", "", 0, catalogue, (), sets), f"criteria:release@{catalogue.version}")
    return len(fresh)


def _other(held: editions.Newest | None, document: Document) -> bool:
    return held is None or held.digest != editions.digest(document.text)


async def turn(tx: AsyncSession, catalogue: c.Catalogue, before: date, today: date) -> int:
    """Have units judged again by sets, overlays and suspensions that begin or end after `before` up to `today`."""
    found = [code for code in _in_order(catalogue) if any(before < day <= today for day in _days(catalogue, code))]
    for set_code in found:
        await tx.execute(_WORK, {"set_code": set_code, "cause": f"calendar:{today}"})
    if found:
        await editions.wake(tx)
    return len(found)


def _in_order(catalogue: c.Catalogue) -> list[str]:
    return list(dict.fromkeys(set_code for set_code, _ in catalogue.order))


def _days(catalogue: c.Catalogue, set_code: str) -> list[date]:
    """The days on which other rows may hold than on the day before."""
    criteria, overlays = catalogue.sets[set_code], catalogue.overlays_of(set_code)
    days = [criteria.valid_from, criteria.valid_to]
    days += [day for overlay in overlays for day in (overlay.valid_from, overlay.valid_to)]
    days += [day for overlay in overlays for s in overlay.suspensions for day in (s.starts_on, s.ends_on)]
    return [day for day in days if day is not None]


async def pending(tx: AsyncSession) -> int:
    """How many sets still wait for their units to be judged."""
    return int((await tx.execute(_PENDING)).scalar_one())


async def work(tx: AsyncSession) -> bool:
    """Judge the next units of what waits; returns whether there was anything. One process at a time."""
    if not (await tx.execute(_ONLY_ONE)).scalar_one():
        return False
    row = (await tx.execute(_NEXT)).first()
    if row is None:
        return False
    await editions.refresh(tx)
    catalogue = library.catalogue()
    criteria = catalogue.sets.get(row.set_code)
    if not row.after:
        rows = [item.code for item in catalogue.rows_of(row.set_code)] if criteria else []
        await tx.execute(_FORGET_ROWS, {"set_code": row.set_code, "rows": rows})
        if criteria is None:
            await tx.execute(_FORGET_SHEETS, {"set_code": row.set_code})
        elif await leaving.clear(tx, criteria, catalogue, row.cause, CHUNK):
            # There may be more of them: this step is taken again.
            return True
    found = [] if criteria is None else await _next_units(tx, criteria.level, row.after)
    if criteria is not None and found:
        await evaluation.touch(
            tx, [unit_key(unit) for unit in found], [c.rows_input(row.set_code)], row.cause, catalogue
        )
        await _mend_sheets(tx, found, criteria, catalogue, row.cause)
    if len(found) < CHUNK:
        await tx.execute(_DONE, {"id": row.id})
    else:
        await tx.execute(_STEP, {"id": row.id, "after": found[-1].path})
    return True


async def _next_units(tx: AsyncSession, level: str, after: str) -> list[Unit]:
    asked = {"level": level, "after": after, "today": units.today(), "most": CHUNK}
    rows = await tx.execute(_UNITS, asked)
    return [Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to) for r in rows]


async def _mend_sheets(
    tx: AsyncSession, found: Sequence[Unit], criteria: c.CriteriaSet, catalogue: c.Catalogue, cause: str
) -> None:
    """Bring met and total of sheets up to date that changed by a row more or less and not by a status."""
    asked: dict[str, Any] = {"set_code": criteria.code, "units": [unit_key(unit) for unit in found]}
    statuses: dict[str, dict[str, str]] = {}
    for row in await tx.execute(_STATUSES, asked):
        statuses.setdefault(row.unit, {})[row.item_code] = row.status
    held = {row.unit: Summary(row.status, row.met, row.total) for row in await tx.execute(_SHEETS, asked)}
    summaries: dict[tuple[str, str], Summary] = {}
    for unit in found:
        key = unit_key(unit)
        fresh = _summary(unit, criteria, catalogue, statuses.get(key, {}))
        if fresh is not None and fresh != held.get(key):
            summaries[key, criteria.code] = fresh
    await evaluation.write(tx, [], summaries, now())
    paths = sorted({unit.path for unit in found if (unit_key(unit), criteria.code) in summaries})
    if paths:
        await tx.execute(_STALE, {"paths": paths, "set_code": criteria.code, "cause": cause})


def _summary(
    unit: Unit, criteria: c.CriteriaSet, catalogue: c.Catalogue, statuses: Mapping[str, str]
) -> Summary | None:
    rows = catalogue.items_for(criteria.code, unit, units.today())
    if not rows:
        return None
    return judging.summarise([statuses.get(item.code, "no_data") for item in rows], criteria.needed)
