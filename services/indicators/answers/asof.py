"""Owns the answer to "what was it then": a sheet of another day, worked out anew from the facts that held on it.

The unit's generation, the set with its overlays, suspensions and facts are those of the day. A unit above the set's own
level is rolled up anew from what lies below it while that is bounded (`standing.MOST_UNITS`); else the log of changes
answers, which knows what had been computed by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import NotFound
from chassis.units import Unit
from services.indicators.answers import queries
from services.indicators.answers.queries import Row, Sheet
from services.indicators.answers.standing import Ground, Moment, Standing, ground, valid_unit
from services.indicators.calculation.model import SetNotForLevel, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.figures import Outcome


class SetNotInForce(NotFound):
    code: ClassVar[str] = "set_not_in_force"
    message: ClassVar[str] = "Bộ {set} không có hiệu lực vào ngày {day}."


@dataclass(frozen=True, slots=True)
class Past:
    """A sheet of the past, and what it rests on: `facts` judged anew, or the `log` of changes."""

    sheet: Sheet
    basis: Literal["facts", "log"]


async def sheet(tx: AsyncSession, code: str, criteria: c.CriteriaSet, moment: Moment, catalogue: c.Catalogue) -> Past:
    """How the unit stood at the moment; raises UnknownUnit, SetNotForLevel and SetNotInForce."""
    unit = await valid_unit(tx, code, moment)
    queries.require_offered(criteria, unit)
    if not criteria.holds_on(moment.day):
        raise SetNotInForce(set=criteria.code, day=moment.day.strftime("%d/%m/%Y"))
    items = catalogue.items_for(criteria.code, unit, moment.day)
    if unit.level == criteria.level and not items:
        raise SetNotForLevel(set=criteria.code, unit=unit.code)
    pairs = [(criteria.code, item.code) for item in items or criteria.items]
    known = await ground(tx, [unit], pairs, moment, catalogue, deep=True)
    logged = await queries.sheet(tx, code, criteria, moment.instant)
    standing = Standing(known, catalogue)
    if unit.level == criteria.level:
        return Past(_own(standing, unit, criteria, items, logged), "facts")
    if not known.deep:
        return Past(logged, "log")
    return Past(_above(standing, unit, criteria, logged), "facts")


def _own(standing: Standing, unit: Unit, criteria: c.CriteriaSet, items: Sequence[c.Item], logged: Sheet) -> Sheet:
    told = {row.item.code: row for row in logged.rows}
    rows = tuple(
        _row(standing, unit, item, standing.outcome(unit, (criteria.code, item.code)), told.get(item.code))
        for item in items
    )
    summary = judging.summarise([row.status for row in rows], criteria.needed)
    return Sheet(unit, criteria, summary.status, summary.met, summary.total, rows)


def _above(standing: Standing, unit: Unit, criteria: c.CriteriaSet, logged: Sheet) -> Sheet:
    children = [u for u in standing.known.below(unit, criteria.level) if criteria.judges(u)]
    met = 0
    for child in children:
        items = standing.catalogue.items_for(criteria.code, child, standing.day)
        statuses = [standing.outcome(child, (criteria.code, item.code)).status for item in items]
        met += judging.summarise(statuses, criteria.needed).status == "met"
    told = {row.item.code: row for row in logged.rows}
    rows = tuple(
        _row(standing, unit, item, standing.outcome(unit, (criteria.code, item.code)), told.get(item.code))
        for item in criteria.items
    )
    return Sheet(unit, criteria, "measured" if children else "no_data", met, len(children), rows)


def _row(standing: Standing, unit: Unit, item: c.Item, outcome: Outcome, logged: Row | None) -> Row:
    """A row of the past. The log says since when and why, where it knew the same; else the newest fact does."""
    if logged is not None and (logged.status, logged.figure) == (outcome.status, outcome.figure):
        return replace(logged, item=item)
    at, cause = newest_behind(standing.known, unit, standing.catalogue.inputs_of(item))
    return Row(item, outcome.status, outcome.figure, at, at, cause)


def newest_behind(known: Ground, unit: Unit, inputs: AbstractSet[str]) -> tuple[datetime | None, str]:
    """When the newest fact of the unit among the inputs was observed, and its cause; (None, "") without one."""
    facts = [fact for name, fact in known.latest.get(unit_key(unit), {}).items() if name in inputs]
    if not facts:
        return None, ""
    last = max(facts, key=lambda fact: (fact.observed_at, fact.order))
    return last.observed_at, last.cause
