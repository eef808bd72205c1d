"""Owns what people do with figures that could not be carried over: accept what is proposed, or put the question aside.

Entering another figure is an entry like any other (`commands.enter`), after which the question is answered by itself.
A successor may itself have ended since: its questions stay open, since what is settled for it goes on to what came
after it like any word said late.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, VIEWERS, Principal
from chassis.db import now
from chassis.errors import DomainError, Kind, Malformed, NotFound
from chassis.paging import decode_cursor
from chassis.units import Unit
from services.indicators import commands
from services.indicators.answers.handovers import SETTLED
from services.indicators.answers.queries import unit_of as unit_of_row
from services.indicators.calculation.engine import Origin
from services.indicators.calculation.model import code_of, restore
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Value
from services.indicators.reorganisation import carrying
from services.indicators.reorganisation.inheriting import Carried, Link, Part
from services.indicators.sources.intake import Observed

REASONS = {
    "renew": "Bằng chứng là của đơn vị cũ, cần xác nhận lại.",
    "no_share": "Đơn vị cũ bị chia, chưa có văn bản nào nói phần nào về đơn vị này.",
    "not_shared": "Đơn vị cũ bị chia, số liệu này không chia theo tỷ lệ được.",
    "entities": "Đơn vị cũ bị chia, từng đối tượng chờ dịch vụ quản lý báo thuộc đơn vị nào.",
    "mixed": "Một phần đếm từng đối tượng, một phần là số liệu báo cáo.",
    "unknown": "Có đơn vị cũ chưa từng có số liệu này.",
    "not_open": "Số liệu này chỉ đếm từ đối tượng.",
}
"""Why a figure could not be carried over, in words."""


class UnknownSettlement(NotFound):
    code: ClassVar[str] = "unknown_settlement"
    message: ClassVar[str] = "Không có việc cần giải quyết này."


class AlreadySettled(DomainError):
    code: ClassVar[str] = "already_settled"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Việc này đã được giải quyết."


class NothingProposed(DomainError):
    code: ClassVar[str] = "nothing_proposed"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Không có con số đề nghị; xin nhập số liệu."


@dataclass(frozen=True, slots=True)
class Settlement:
    """One figure of a successor that people must settle. `unit` is the key, `path` where the successor lies.

    `ended_on` is the first day without the successor, where it has ended by now.
    """

    id: uuid.UUID
    unit: str
    name: str
    path: str
    measure: str
    change_set: str
    effective_on: date
    reason: str
    parts: Sequence[dict[str, Any]]
    proposal: Value | None
    status: str
    document: str
    decided_at: datetime | None
    ended_on: date | None


_COLUMNS = """
    SELECT s.*, u.name, u.valid_to FROM settlement s
    LEFT JOIN unit u ON u.code = split_part(s.unit, '@', 1) AND u.valid_from = CAST(split_part(s.unit, '@', 2) AS date)
"""
# Once anybody has said anything of the figure for the new unit, there is nothing left to ask.
_ANSWERED = """
    EXISTS (SELECT FROM fact f WHERE f.unit = s.unit AND f.attribute = s.measure AND f.source <> 'succession'
        AND NOT f.withdrawn AND f.observed_at >= CAST(s.effective_on AS timestamp) AT TIME ZONE 'Asia/Ho_Chi_Minh')
"""
_WAITS = f"s.status = 'open' AND (s.path = :path OR s.path LIKE :below) AND NOT {_ANSWERED}"
# Those of one unit stand together: who settles them has its papers on the table.
_OPEN = sa.text(f"""
    {_COLUMNS} WHERE {_WAITS} AND (CAST(:reason AS text) IS NULL OR s.reason = :reason)
      AND (CAST(:after_path AS text) IS NULL OR (s.path, s.measure, s.id) > (:after_path, :after_measure, :after_id))
    ORDER BY s.path, s.measure, s.id LIMIT :most
""")
_COUNTS = sa.text(f"SELECT s.reason, count(*) AS n FROM settlement s WHERE {_WAITS} GROUP BY s.reason")
_HEIRS = sa.text("""
    SELECT s.predecessor, s.successor, u.code, u.name,
        (s.numerator || '/' || s.denominator) AS share
    FROM succession s LEFT JOIN unit u
      ON u.code = split_part(s.successor, '@', 1) AND u.valid_from = CAST(split_part(s.successor, '@', 2) AS date)
    WHERE s.predecessor = ANY(CAST(:keys AS text[])) AND s.successors > 1
    ORDER BY s.predecessor, s.successor
""")
_HAVE = sa.text("""
    SELECT DISTINCT ON (unit) unit, state, numerator, denominator FROM fact
    WHERE unit = ANY(CAST(:keys AS text[])) AND attribute = :measure AND NOT withdrawn
    ORDER BY unit, observed_at DESC, sequence DESC
""")
_ONE = sa.text(f"{_COLUMNS} WHERE s.id = :id FOR UPDATE OF s")
_DECIDE = sa.text("""
    UPDATE settlement SET status = :status, document = :document, decided_by = :by, decided_at = :at WHERE id = :id
""")


def _settlement(row: Any) -> Settlement:
    return Settlement(
        row.id, row.unit, row.name or code_of(row.unit), row.path, row.measure, row.change_set, row.effective_on,
        row.reason, row.parts, restore(row.state, row.numerator, row.denominator), row.status, row.document,
        row.decided_at, row.valid_to if row.valid_to is not None and row.valid_to <= units.today() else None,
    )  # fmt: skip


Place = tuple[str, str, uuid.UUID]
"""Where a question stands in the list: path of its unit, measure, id."""


def place_of(after: str | None) -> Place | None:
    """The place in the list behind which a page begins; raises Malformed."""
    cursor = decode_cursor(after, 3)
    try:
        return (str(cursor[0]), str(cursor[1]), uuid.UUID(str(cursor[2]))) if cursor else None
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error


_GENERATION = sa.text("""
    SELECT * FROM unit WHERE code = :code AND (CAST(:since AS date) IS NULL OR valid_from = :since)
    ORDER BY valid_from DESC LIMIT 1
""")
_ONWARD = sa.text("""
    WITH RECURSIVE onward AS (
        SELECT s.predecessor AS start, s.successor AS key FROM succession s
        WHERE s.predecessor = ANY(CAST(:keys AS text[]))
        UNION
        SELECT o.start, s.successor FROM onward o JOIN succession s ON s.predecessor = o.key
    )
    SELECT o.start, u.* FROM onward o
    JOIN unit u ON u.code = split_part(o.key, '@', 1) AND u.valid_from = CAST(split_part(o.key, '@', 2) AS date)
    WHERE u.valid_to IS NULL OR u.valid_to > :day ORDER BY o.start, u.code
""")


async def place(tx: AsyncSession, code: str) -> Unit:
    """The unit a code names today, or named last; raises UnknownUnit."""
    return await units.find(tx, code) or await _generation(tx, code, None)


async def unit_of(tx: AsyncSession, found: Settlement) -> Unit:
    """The unit whose figure is to be settled, also where it has ended or its code names another one today."""
    return await _generation(tx, code_of(found.unit), date.fromisoformat(found.unit.partition("@")[2]))


async def _generation(tx: AsyncSession, code: str, since: date | None) -> Unit:
    row = (await tx.execute(_GENERATION, {"code": code, "since": since})).first()
    if row is None:
        raise units.UnknownUnit(unit=code[:40])
    return unit_of_row(row)


async def onward(tx: AsyncSession, ended: Collection[str]) -> dict[str, list[Unit]]:
    """The units of today that came after each of some ended ones (by key), through all reorganisations since."""
    found: dict[str, list[Unit]] = {}
    if ended:
        for row in await tx.execute(_ONWARD, {"keys": sorted(ended), "day": units.today()}):
            found.setdefault(row.start, []).append(unit_of_row(row))
    return found


def speaks_at(unit: Unit) -> datetime:
    """The instant of a figure that is entered for a unit now: of one that has ended, its last one."""
    if unit.valid_to is None or unit.valid_to > units.today():
        return now()
    return datetime.combine(unit.valid_to, time.min, units.VIETNAM) - timedelta(microseconds=1)


async def waiting(
    tx: AsyncSession, me: Principal, unit: Unit, *, limit: int, after: Place | None = None, reason: str | None = None
) -> list[Settlement]:
    """What waits to be settled at a unit and below it (for one reason), unit by unit; up to `limit` + 1."""
    me.require(VIEWERS, unit.path)
    place = dict(zip(("after_path", "after_measure", "after_id"), after or (None, None, None), strict=True))
    values = {"path": unit.path, "below": f"{unit.path}/%", "reason": reason, "most": limit + 1, **place}
    return [_settlement(row) for row in await tx.execute(_OPEN, values)]


async def counts(tx: AsyncSession, me: Principal, unit: Unit) -> dict[str, int]:
    """How many questions wait at a unit and below it, by reason, the weightiest reason first."""
    me.require(VIEWERS, unit.path)
    rows = await tx.execute(_COUNTS, {"path": unit.path, "below": f"{unit.path}/%"})
    found = {row.reason: int(row.n) for row in rows}
    return {reason: found[reason] for reason in REASONS if reason in found}


@dataclass(frozen=True, slots=True)
class Heir:
    """One of several units that a former unit was split among; `share` as its document says it, None: nobody said."""

    key: str
    code: str
    name: str
    share: str | None


async def heirs(tx: AsyncSession, former: Collection[str]) -> dict[str, list[Heir]]:
    """Who shared each of the former units (by key) that were split; those that went over whole are left out."""
    found: dict[str, list[Heir]] = {}
    for row in await tx.execute(_HEIRS, {"keys": sorted(former)}):
        code = row.code or code_of(row.successor)
        found.setdefault(row.predecessor, []).append(Heir(row.successor, code, row.name or code, row.share))
    return found


async def figures_of(tx: AsyncSession, keys: Collection[str], measure: str) -> dict[str, Value]:
    """What was last said of a measure for each of some units, by key."""
    rows = await tx.execute(_HAVE, {"keys": sorted(keys), "measure": measure})
    said = {row.unit: restore(row.state, row.numerator, row.denominator) for row in rows}
    return {key: value for key, value in said.items() if value is not None}


async def _take(tx: AsyncSession, me: Principal, settlement: uuid.UUID) -> Settlement:
    row = (await tx.execute(_ONE, {"id": settlement})).first()
    if row is None:
        raise UnknownSettlement
    found = _settlement(row)
    me.require(STAFF, found.path)
    if found.status != "open":
        raise AlreadySettled
    return found


async def accept(tx: AsyncSession, me: Principal, settlement: uuid.UUID, document: str, catalogue: c.Catalogue) -> None:
    """Take what is proposed as the figure; `document` names what confirms it."""
    found = await _take(tx, me, settlement)
    if found.proposal is None:
        raise NothingProposed
    measure = catalogue.measures.get(found.measure)
    givers = tuple(Part(part["unit"], None, None, True) for part in found.parts if part["given"] is not None)
    origin: Origin = "staff" if measure is None or "staff" in measure.prefer else "partner"
    carried = Carried(found.unit, found.measure, found.proposal, "", givers, "", origin)
    last = Link(found.change_set, "", found.unit, found.effective_on, "", None, {}, "", 0, 0, "")
    await carrying.put(tx, carried, last, f"{SETTLED}{found.id}", catalogue)
    await _decide(tx, me, found, "accepted", document)


async def enter(
    tx: AsyncSession, me: Principal, settlement: uuid.UUID, unit: Unit, observed: Observed, catalogue: c.Catalogue
) -> None:
    """Answer with another figure, which rests on evidence like any entry; raises ObservationRejected."""
    found = await _take(tx, me, settlement)
    await commands.enter(tx, me, unit, observed, catalogue)
    await _decide(tx, me, found, "entered", observed.source)


async def dismiss(tx: AsyncSession, me: Principal, settlement: uuid.UUID, reason: str) -> None:
    """Put the question aside: the figure is not needed, or will come by itself."""
    await _decide(tx, me, await _take(tx, me, settlement), "dismissed", reason)


async def get(tx: AsyncSession, me: Principal, settlement: uuid.UUID) -> Settlement:
    """One settlement for its staff; raises UnknownSettlement."""
    row = (await tx.execute(_ONE, {"id": settlement})).first()
    if row is None:
        raise UnknownSettlement
    found = _settlement(row)
    me.require(VIEWERS, found.path)
    return found


async def _decide(tx: AsyncSession, me: Principal, found: Settlement, status: str, document: str) -> None:
    values = {"id": found.id, "status": status, "document": document, "by": me.subject, "at": now()}
    await tx.execute(_DECIDE, values)
    detail = {"measure": found.measure, "status": status, "change_set": found.change_set}
    await audit.record(
        tx, me, "indicators.settlement.decided", target=str(found.id), unit=code_of(found.unit), detail=detail
    )
