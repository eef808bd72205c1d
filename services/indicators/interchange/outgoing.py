"""Owns the figures that go out to others for a period: those of the sheets while it runs, worked out from facts after.

What is entered about a year in the January after it belongs to that year: figures that name a period count for it
whenever they were said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import now
from chassis.errors import Unauthenticated
from chassis.units import VIETNAM, Unit
from services.indicators.answers import origins
from services.indicators.answers.asof import newest_behind
from services.indicators.answers.queries import unit_of
from services.indicators.answers.standing import Moment, Standing, ground, periods_in
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Figure
from services.indicators.calculation.model import figure_of, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.areas import sql_holds

MAX_VALUES = 50_000
"""Most figures of one export."""


def kind_of(period: str) -> str:
    """Whether a period of ours is a year, a quarter or a month."""
    return "quarter" if "Q" in period else "month" if "-" in period else "year"


@dataclass(frozen=True, slots=True)
class Exported:
    """One figure that goes out."""

    unit: str
    measure: str
    figure: Figure
    at: datetime
    cause: str
    document: str = ""
    """What the figure rests on, where whoever reported it named something; DHIS2 calls it the comment."""


_PLACES = f"""
    FROM unit u {{figures}}
    WHERE (u.path = :path OR (:below AND u.path LIKE :under)) AND u.level = :level
      AND {sql_holds("u")}
      AND u.valid_from <= :day AND (u.valid_to IS NULL OR u.valid_to > :day)
"""
_NOW = sa.text(
    "SELECT u.code, i.item_code, i.flag, i.numerator, i.denominator, i.changed_at AS at, i.cause"
    + _PLACES.format(figures="JOIN item i ON i.unit = u.code || '@' || u.valid_from AND i.set_code = :set_code")
    + "ORDER BY u.code, i.item_code LIMIT :most"
)
_UNITS = sa.text("SELECT u.*" + _PLACES.format(figures="") + "ORDER BY u.code LIMIT :most")
_OTHERWISE = sa.text(
    "SELECT u.*, f.attribute"
    + _PLACES.format(figures="JOIN fact f ON f.unit = u.code || '@' || u.valid_from")
    + """ AND f.attribute = ANY(CAST(:codes AS text[])) AND f.period <> '' AND NOT f.withdrawn
      AND NOT f.period = ANY(CAST(:periods AS text[])) ORDER BY u.code"""
)
AT_ONCE = 100
"""Units whose facts are read together."""
OPEN_TO_ALL = 400
"""Units whose past period is worked out for people and programs nobody knows: it reads their whole history."""


class PastOfMany(Unauthenticated):
    """A past period of many units is worked out for those who have signed in."""

    message = "Kỳ đã qua của hơn {most} đơn vị chỉ tính lại cho người và hệ thống đã đăng nhập."


def measured(rule: c.Rule) -> str | None:
    """The measure whose figure an item shows; None where it shows what several add up to."""
    if isinstance(rule, c.Suspended):
        return measured(rule.rule)
    return rule.measure if isinstance(rule, c.RatioRule | c.FlagRule | c.CountRule) else None


def last_day(period: str) -> date:
    """The last day of a period of ours, or today while it runs: the units are those of that day."""
    return min(engine.period_end(period), now().astimezone(VIETNAM).date())


async def export(
    tx: AsyncSession,
    unit: Unit,
    criteria: c.CriteriaSet,
    period: str,
    *,
    below: bool,
    catalogue: c.Catalogue,
    signed_in: bool = False,
) -> list[Exported]:
    """The figures of a set for a unit (and what lies below it) in a period.

    While it runs they are those of the sheets. Once it is over they are worked out from facts: figures about the period
    count whenever they were said, most of a year being entered in January; those that name none count if they were
    observed by its end. A measure that is kept by another kind of period has no figure for this one.
    Raises PastOfMany.
    """
    _, end = engine.period_bounds(period)
    until = datetime.combine(end, time(), VIETNAM).astimezone(UTC)
    asked: dict[str, Any] = {
        "path": unit.path,
        "under": f"{unit.path}/%",
        "below": below,
        "level": criteria.level,
        "areas": criteria.area.patterns,
        "day": last_day(period),
        "most": MAX_VALUES,
    }
    if until > now():
        found = await _standing_now(tx, criteria, period, asked, catalogue)
    else:
        last = Moment(at=until - timedelta(microseconds=1), judged_on=asked["day"], about=period)
        places = [unit_of(row) for row in await tx.execute(_UNITS, asked)]
        if len(places) > OPEN_TO_ALL and not signed_in:
            raise PastOfMany(most=OPEN_TO_ALL)
        found = await _in_turn(tx, places, criteria, last, catalogue)
    documents = await origins.behind(tx, {one.cause for one in found})
    return [replace(one, document=documents.get(one.cause, "")) for one in found[:MAX_VALUES]]


def _kept_by(measure: c.Measure, period: str) -> bool:
    return measure.period in (None, kind_of(period))


async def _standing_now(
    tx: AsyncSession, criteria: c.CriteriaSet, period: str, asked: dict[str, Any], catalogue: c.Catalogue
) -> list[Exported]:
    """The figures of the sheets; worked out anew where something was said of another period: a sheet may show that."""
    shows = {item.code: code for item in catalogue.rows_of(criteria.code) if (code := measured(item.rule))}
    found: dict[tuple[str, str], Exported] = {}
    for row in await tx.execute(_NOW, {**asked, "set_code": criteria.code}):
        code = shows.get(row.item_code)
        figure = figure_of(row.flag, row.numerator, row.denominator)
        if code is None or figure is None or not _kept_by(catalogue.measures[code], period):
            continue
        found.setdefault((row.code, code), Exported(row.code, code, figure, row.at, row.cause))
    # A measure that is kept by a kind of period never shows another one on a sheet.
    open_ones = {code for code in shows.values() if catalogue.measures[code].period is None}
    elsewhere = {"codes": sorted(open_ones), "periods": periods_in(period)}
    rows = (await tx.execute(_OTHERWISE, asked | elsewhere)).all()
    meant = {(row.code, row.attribute) for row in rows}
    if meant:
        places = list({row.code: unit_of(row) for row in rows}.values())
        moment = Moment(at=now(), judged_on=asked["day"], about=period)
        anew = await _in_turn(tx, places, criteria, moment, catalogue, {code for _, code in meant})
        found = {spot: one for spot, one in found.items() if spot not in meant}
        found |= {(one.unit, one.measure): one for one in anew if (one.unit, one.measure) in meant}
    return sorted(found.values(), key=lambda one: (one.unit, one.measure))


async def _in_turn(
    tx: AsyncSession,
    places: Sequence[Unit],
    criteria: c.CriteriaSet,
    last: Moment,
    catalogue: c.Catalogue,
    only: Collection[str] | None = None,
) -> list[Exported]:
    """The figures of many units, read in parts, so that what lies in memory is bounded."""
    found: list[Exported] = []
    for start in range(0, len(places), AT_ONCE):
        found += await _about(tx, places[start : start + AT_ONCE], criteria, last, catalogue, only)
        if len(found) >= MAX_VALUES:
            break
    return found


async def _about(
    tx: AsyncSession,
    places: Sequence[Unit],
    criteria: c.CriteriaSet,
    last: Moment,
    catalogue: c.Catalogue,
    only: Collection[str] | None,
) -> list[Exported]:
    """The figures of units in the period that `last` is about, worked out from facts."""
    rows = {unit_key(unit): catalogue.items_for(criteria.code, unit, last.day) for unit in places}
    shown = [(item, code) for items in rows.values() for item in items if (code := measured(item.rule))]
    pairs = sorted({(criteria.code, item.code) for item, code in shown if only is None or code in only})
    if not pairs:
        return []
    standing = Standing(await ground(tx, places, pairs, last, catalogue, deep=False), catalogue)
    found = []
    for unit in places:
        codes = dict.fromkeys(code for item in rows[unit_key(unit)] if (code := measured(item.rule)))
        for code in sorted(codes if only is None else codes.keys() & only):
            measure = catalogue.measures[code]
            reading = standing.reading(unit, code)
            if reading.chosen is None or not _kept_by(measure, last.about or ""):
                continue
            fact = reading.chosen.fact
            at, cause = (fact.observed_at, fact.cause) if fact else newest_behind(standing.known, unit, measure.inputs)
            if reading.figure is not None and not isinstance(reading.figure, str):
                found.append(Exported(unit.code, code, reading.figure, at or last.instant, cause))
    return found
