"""Owns what can be done to compliance beside reporting facts: enter one figure, suspend an item, follow the calendar,
rebuild everything from the facts.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit, units
from chassis.auth import STAFF, Principal, covers
from chassis.db import new_id, now
from chassis.units import Unit
from services.indicators.answers import queries
from services.indicators.calculation import applying, evaluation, sequencer
from services.indicators.calculation.engine import Summary
from services.indicators.calculation.evaluation import Judge
from services.indicators.calculation.model import AlreadyLifted, UnknownItem, UnknownSuspension
from services.indicators.calculation.prepared import Prepared, prepared
from services.indicators.calculation.state import Known, State, alone, is_valid
from services.indicators.criteria import catalogue as c
from services.indicators.sources import intake, rejections
from services.indicators.sources.intake import ObservationRejected, Observed

_BELOW = sa.text("""
    SELECT code || '@' || valid_from AS key FROM unit
    WHERE level = :level AND (path = :path OR path LIKE :below) AND valid_from <= :today
      AND (valid_to IS NULL OR valid_to > :today)
    ORDER BY code
""")
_SUSPEND = sa.text("""
    INSERT INTO suspension (id, set_code, item_code, unit, path, starts_on, ends_on, reason, document, created_by)
    VALUES (:id, :set_code, :item_code, :unit, :path, :starts_on, :ends_on, :reason, :document, :by)
""")
_LIFT = sa.text("UPDATE suspension SET lifted_by = :by, lifted_at = :at WHERE id = :id")
_SUSPENSION = sa.text("SELECT * FROM suspension WHERE id = :id FOR UPDATE")


async def enter(tx: AsyncSession, me: Principal, unit: Unit, observed: Observed, catalogue: c.Catalogue) -> str:
    """One figure entered by an officer of the unit; returns accepted or duplicate, raises ObservationRejected."""
    me.require(STAFF, unit.path)
    if not observed.proven:
        raise ObservationRejected("evidence_missing")
    receipt = await intake.submit(tx, me, [observed], catalogue)
    if receipt.rejections:
        raise ObservationRejected(receipt.rejections[0].reason)
    if receipt.accepted:
        detail = {"measure": observed.measure, "period": observed.period}
        await audit.record(tx, me, "indicators.observation.entered", target=observed.id, unit=unit.code, detail=detail)
    return "accepted" if receipt.accepted else "duplicate"


@dataclass(frozen=True, slots=True)
class Suspend:
    """An order that an item is not judged for a unit and everything below it, from a day up to a day (exclusive)."""

    unit: str
    set_code: str
    item_code: str
    starts_on: date
    ends_on: date | None
    reason: str
    document: str


async def suspend(tx: AsyncSession, me: Principal, order: Suspend, catalogue: c.Catalogue) -> uuid.UUID:
    """Suspend an item; only an administrator of the unit may."""
    unit = await units.get(tx, order.unit)
    me.require(("admin",), unit.path)
    criteria = queries.criteria_set(catalogue, order.set_code)
    item = await _row(tx, catalogue, criteria, order.item_code, unit)
    suspension = new_id()
    values = {
        "id": suspension,
        "set_code": criteria.code,
        "item_code": item.code,
        "unit": unit.code,
        "path": unit.path,
        "starts_on": order.starts_on,
        "ends_on": order.ends_on,
        "reason": order.reason,
        "document": order.document,
        "by": me.subject,
    }
    await tx.execute(_SUSPEND, values)
    await _touch_below(tx, unit.path, criteria, catalogue.inputs_of(item), f"suspension:{suspension}", catalogue)
    detail = {"set": criteria.code, "item": item.code}
    await audit.record(tx, me, "indicators.item.suspended", target=str(suspension), unit=unit.code, detail=detail)
    return suspension


async def _row(tx: AsyncSession, catalogue: c.Catalogue, criteria: c.CriteriaSet, code: str, unit: Unit) -> c.Item:
    """A row of the set as `unit` and what lies below it have it, with what overlays add there; raises UnknownItem."""
    item = queries.item_of(criteria, code)
    if criteria.item(code) is not None:
        return item
    for overlay in catalogue.overlays_of(criteria.code):
        if all(one.code != code for one in overlay.items):
            continue
        if overlay.covers(unit) or (overlay.place is not None and overlay.place.touches(unit.path)):
            return item
        below = await units.find(tx, overlay.unit) if overlay.place is None else None
        if below is not None and covers(unit.path, below.path):
            return item
    raise UnknownItem(set=criteria.code, item=code[:60])


async def lift(tx: AsyncSession, me: Principal, suspension: uuid.UUID, catalogue: c.Catalogue) -> None:
    """End a suspension now; raises UnknownSuspension and AlreadyLifted."""
    row = (await tx.execute(_SUSPENSION, {"id": suspension})).first()
    if row is None:
        raise UnknownSuspension
    me.require(("admin",), row.path)
    if row.lifted_at is not None:
        raise AlreadyLifted
    await tx.execute(_LIFT, {"id": suspension, "by": me.subject, "at": now()})
    item = catalogue.row(row.set_code, row.item_code)
    if item is not None:
        # Else the set or the overlay that added the row is out of force: there is nothing to judge again.
        criteria = catalogue.sets[row.set_code]
        await _touch_below(tx, row.path, criteria, catalogue.inputs_of(item), f"suspension:{suspension}", catalogue)
    detail = {"set": row.set_code, "item": row.item_code}
    await audit.record(tx, me, "indicators.item.resumed", target=str(suspension), unit=row.unit, detail=detail)


async def _touch_below(
    tx: AsyncSession, path: str, criteria: c.CriteriaSet, inputs: Iterable[str], cause: str, catalogue: c.Catalogue
) -> int:
    asked = {"level": criteria.level, "path": path, "below": f"{path}/%", "today": units.today()}
    keys = list((await tx.execute(_BELOW, asked)).scalars())
    return await evaluation.touch(tx, keys, inputs, cause, catalogue)


_DAY = sa.text("SELECT day FROM calendar FOR UPDATE")
_SET_DAY = sa.text("""
    INSERT INTO calendar (day) VALUES (:day) ON CONFLICT (one) DO UPDATE SET day = excluded.day
""")
_OF_THE_YEAR = sa.text("""
    SELECT DISTINCT unit FROM (
        SELECT unit FROM tally WHERE attribute = ANY(CAST(:inputs AS text[]))
        UNION ALL SELECT unit FROM fact WHERE attribute = ANY(CAST(:reported AS text[]))
    ) AS all_of_them WHERE unit NOT LIKE '%@' ORDER BY unit
""")
_TURNING = sa.text("""
    SELECT path, set_code, item_code FROM suspension
    WHERE lifted_at IS NULL AND ((starts_on > :before AND starts_on <= :today)
        OR (ends_on > :before AND ends_on <= :today))
""")
_UNITS_TURNING = sa.text("""
    SELECT path FROM unit WHERE (valid_from > :before AND valid_from <= :today)
        OR (valid_to > :before AND valid_to <= :today)
""")


async def follow_calendar(tx: AsyncSession, catalogue: c.Catalogue, today: date) -> int:
    """Bring up to date what depends on the day itself; returns how many items changed.

    A new year (quarter, month) empties its figures; suspensions, units, sets and overlays begin and end. For sets and
    overlays the units are judged again by the work that follows every change of criteria.
    """
    before = (await tx.execute(_DAY)).scalar_one_or_none()
    if before is not None and before >= today:
        return 0
    changed = 0
    turned = [m for m in catalogue.measures.values() if m.period is not None and begins(m.period, before, today)]
    if turned:
        inputs = {code for measure in turned for code in measure.inputs}
        asked = {"inputs": sorted(inputs), "reported": [measure.code for measure in turned]}
        keys = list((await tx.execute(_OF_THE_YEAR, asked)).scalars())
        changed += await evaluation.touch(tx, keys, inputs, f"calendar:{today.year}", catalogue)
    since = before or today
    for row in (await tx.execute(_TURNING, {"before": since, "today": today})).all():
        criteria = catalogue.sets.get(row.set_code)
        item = catalogue.row(row.set_code, row.item_code)
        if criteria and item:
            inputs = catalogue.inputs_of(item)
            changed += await _touch_below(tx, row.path, criteria, inputs, f"calendar:{today}", catalogue)
    await applying.turn(tx, catalogue, since, today)
    for path in (await tx.execute(_UNITS_TURNING, {"before": since, "today": today})).scalars():
        await sequencer.mark_stale(tx, path)
    await rejections.forget(tx, today)
    await tx.execute(_SET_DAY, {"day": today})
    return changed


def begins(period: c.Period, before: date | None, today: date) -> bool:
    """Whether a new year, quarter or month has begun since `before`."""
    if before is None or before.year != today.year:
        return True
    if period == "quarter":
        return (before.month + 2) // 3 != (today.month + 2) // 3
    return period == "month" and before.month != today.month


# Without units everything is meant.
_WITHIN = "(CAST(:units AS text[]) IS NULL OR unit = ANY(CAST(:units AS text[])))"
_HEAPS = f"""
    SELECT unit, attribute, source, origin, heap_period AS year, state, count(*) AS count
    FROM fact
    WHERE NOT withdrawn AND state IS NOT NULL AND attribute = ANY(CAST(:counted AS text[])) AND {_WITHIN}
    GROUP BY 1, 2, 3, 4, 5, 6
"""
HEAP_PERIOD = """
    CASE WHEN period <> '' THEN CASE WHEN attribute = ANY(CAST(:monthly AS text[])) THEN period ELSE left(period, 4) END
         ELSE to_char(observed_at AT TIME ZONE 'Asia/Ho_Chi_Minh',
            CASE WHEN attribute = ANY(CAST(:monthly AS text[])) THEN 'YYYY-MM' ELSE 'YYYY' END) END
"""
"""SQL of the heap a counted fact lies in: how finely heaps are told apart by time depends on the measures there are."""
_PLACE_IN_TIME = sa.text(f"""
    UPDATE fact SET heap_period = {HEAP_PERIOD}
    WHERE attribute = ANY(CAST(:counted AS text[])) AND heap_period <> {HEAP_PERIOD} AND {_WITHIN}
""")
_WRONG_HEAPS = sa.text(f"""
    SELECT count(*) FROM ({_HEAPS}) AS fresh
    FULL JOIN (SELECT * FROM tally WHERE count <> 0 AND {_WITHIN}) AS kept
        USING (unit, attribute, source, origin, year, state)
    WHERE fresh.count IS DISTINCT FROM kept.count
""")
_NO_HEAPS = sa.text(f"DELETE FROM tally WHERE {_WITHIN}")
_NEW_HEAPS = sa.text(f"INSERT INTO tally (unit, attribute, source, origin, year, state, count) {_HEAPS}")
_GROUPS = sa.text("""
    SELECT DISTINCT code, level FROM unit WHERE level <> 'village' AND valid_from <= :today
      AND (CAST(:groups AS text[]) IS NULL OR code = ANY(CAST(:groups AS text[])))
    ORDER BY level, code
""")
# One step below each unit, so that what is rolled up to the unit itself is worked out, too.
_ALL_STALE = sa.text("""
    INSERT INTO stale (path, cause) SELECT DISTINCT path || '/', :cause FROM unit
    WHERE valid_from <= :today AND (CAST(:units AS text[]) IS NULL
        OR code || '@' || valid_from = ANY(CAST(:units AS text[])))
""")
_SHEETS = sa.text("SELECT unit, set_code, status, met, total FROM sheet WHERE unit = ANY(CAST(:units AS text[]))")
CHUNK = 200
"""Communes judged together: bounds how much one statement carries."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found other than it should be; all zero where incremental work was right."""

    facts: int
    heaps: int
    items: int
    sheets: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """What to compute anew: heaps of units, by key, and statuses of groups (see `state`), by code."""

    units: Sequence[str]
    groups: Sequence[str]


async def rebuild(tx: AsyncSession, catalogue: c.Catalogue) -> Rebuilt:
    """Compute heaps and statuses from the facts alone; intake waits until the transaction ends."""
    await alone(tx)
    return await recount(tx, catalogue)


async def recount(tx: AsyncSession, catalogue: c.Catalogue, scope: Scope | None = None) -> Rebuilt:
    """As `rebuild`, for whoever keeps everyone else from the tables; within a scope only, where one is given.

    What lies above is noted to be rolled up.
    """
    units_in = list(scope.units) if scope else None
    facts = (await tx.execute(sa.text("SELECT count(*) FROM fact"))).scalar_one() if scope is None else 0
    ready = prepared(catalogue)
    monthly = [code for code, grain in ready.grains.items() if grain == "month"]
    counted = {"counted": [a.code for a in catalogue.attributes.values() if a.kind != "count"], "units": units_in}
    await tx.execute(_PLACE_IN_TIME, {**counted, "monthly": monthly})
    heaps = (await tx.execute(_WRONG_HEAPS, counted)).scalar_one()
    await tx.execute(_NO_HEAPS, {"units": units_in})
    await tx.execute(_NEW_HEAPS, counted)
    today = units.today()
    items, sheets = await _judge_again(tx, ready, today, list(scope.groups) if scope else None)
    await tx.execute(_ALL_STALE, {"today": today, "units": units_in, "cause": f"rebuild:{today}"})
    return Rebuilt(facts, heaps, items, sheets)


async def _judge_again(tx: AsyncSession, ready: Prepared, today: date, within: list[str] | None) -> tuple[int, int]:
    """Judge everything of the groups; how many items changed, and how many sheets alone were wrong."""
    state, items, sheets = State(), 0, 0
    suspended = await evaluation.suspended_on(tx, today)
    # Communes come first: what lies above looks at what lies below.
    rows = (await tx.execute(_GROUPS, {"today": today, "groups": within})).all()
    groups = [row.code for level in ("commune", "district", "province") for row in rows if row.level == level]
    for start in range(0, len(groups), CHUNK):
        chunk = groups[start : start + CHUNK]
        await state.load(tx, chunk, ready)
        judge = Judge(state, ready, today, suspended)
        # A unit that has ended keeps what it ended with: it would be judged by units of today that have its code.
        judged = [one for group in chunk for one in state.groups[group] if is_valid(one.unit, today)]
        for known in judged:
            for set_code, level in ready.level.items():
                if level == known.unit.level:
                    for code in ready.rows(set_code, known.unit, today):
                        judge.ask(known, (set_code, code), f"rebuild:{today}")
        items += await evaluation.finish(tx, judge)
        sheets += await _mend_sheets(tx, judge, judged)
    return items, sheets


async def _mend_sheets(tx: AsyncSession, judge: Judge, judged: Sequence[Known]) -> int:
    """Write the sheets of judged units that say otherwise than their items; how many there were."""
    rows = await tx.execute(_SHEETS, {"units": [known.key for known in judged]})
    held = {(row.unit, row.set_code): Summary(row.status, row.met, row.total) for row in rows}
    wrong: dict[tuple[str, str], Summary] = {}
    for known in judged:
        for set_code, level in judge.ready.level.items():
            if level == known.unit.level and judge.ready.rows(set_code, known.unit, judge.today):
                fresh, kept = judge.summary(known, set_code), held.get((known.key, set_code))
                # Where nothing is known, nothing need be written.
                if fresh != kept and (kept is not None or fresh.status != "no_data"):
                    wrong[known.key, set_code] = fresh
    await evaluation.write(tx, [], wrong, now())
    return len(wrong)
