"""Owns the history of one row of a unit: every change of its status and figure, and its course against the target.

The log of changes tells it. Targets may change with the documents of a province, so they are told by stretches of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Malformed
from chassis.units import VIETNAM, Unit
from services.indicators.answers.standing import Moment, Standing, ground
from services.indicators.calculation.model import figure_of, unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import judging
from services.indicators.criteria.catalogue import Pair
from services.indicators.criteria.figures import Figure, Ratio, Value

MOST_POINTS = 400
"""Points of a course; of one day the last is taken, of more days the latest."""

_PAGE = sa.text("""
    SELECT id, before, after, flag, numerator, denominator, cause, at FROM change
    WHERE unit = :unit AND set_code = :set_code AND item_code = :item_code
      AND (CAST(:before_id AS bigint) IS NULL OR id < :before_id)
      AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR at < :until)
    ORDER BY id DESC LIMIT :most
""")
_COURSE = sa.text("""
    SELECT * FROM (
        SELECT DISTINCT ON ((at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date) after, flag, numerator, denominator, at
        FROM change
        WHERE unit = :unit AND set_code = :set_code AND item_code = :item_code AND at >= :since
          AND (CAST(:until AS timestamptz) IS NULL OR at < :until)
        ORDER BY (at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date DESC, id DESC
    ) AS days ORDER BY at DESC LIMIT :most
""")
_BEFORE = sa.text("""
    SELECT after, flag, numerator, denominator, at FROM change
    WHERE unit = :unit AND set_code = :set_code AND item_code = :item_code AND at < :since
    ORDER BY id DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The days, both included, a history is asked about; None: as far as it goes."""

    first: date | None = None
    last: date | None = None

    @property
    def since(self) -> datetime | None:
        return _midnight(self.first)

    @property
    def until(self) -> datetime | None:
        """The instant at which the last day is over."""
        return _midnight(self.last + timedelta(days=1)) if self.last is not None else None


EVER = Stretch()
DAYS = 365
"""Days a course tells of unless more or fewer are asked for."""


def stretch(first: str, last: str, today: date) -> Stretch:
    """The days named, as 2026-01-31; the first defaults to a year before the last. Raises Malformed."""
    end = _day(last, "to") if last else None
    start = _day(first, "from") if first else (end or today) - timedelta(days=DAYS - 1)
    if start > (end or today):
        raise Malformed(field="from", message_="Ngày đầu phải không sau ngày cuối.")
    return Stretch(start, end)


def _day(text: str, field: str) -> date:
    try:
        found = date.fromisoformat(text) if len(text) == len("2026-01-31") else None
    except ValueError:
        found = None
    if found is None or not 1900 <= found.year <= 9998:
        raise Malformed(field=field, message_="Ngày phải có dạng 2026-01-31.")
    return found


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=VIETNAM) if day is not None else None


@dataclass(frozen=True, slots=True)
class Turn:
    """One change of the row. `id` orders them within the unit."""

    id: int
    at: datetime
    before: str
    after: str
    figure: Figure | None
    cause: str


@dataclass(frozen=True, slots=True)
class Point:
    """How the row stood from `at` on."""

    at: datetime
    status: str
    figure: Figure | None

    @property
    def number(self) -> Fraction | None:
        """What a chart draws: a share of 1, a count, 0 or 1 for a yes/no; None where there is nothing to draw."""
        if self.figure is None:
            return None
        if isinstance(self.figure, Ratio):
            return Fraction(self.figure.numerator, self.figure.denominator) if self.figure.denominator else None
        return Fraction(int(self.figure))


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of the row from a day on; `number` None: the row was not judged, or by no single number."""

    since: date
    operator: str | None
    number: Fraction | None
    text: str
    overlay: str | None


@dataclass(frozen=True, slots=True)
class Course:
    """The row over time, oldest first. `shares` says that numbers are shares of 1."""

    points: tuple[Point, ...]
    asked: tuple[Asked, ...]
    shares: bool


async def turns(
    tx: AsyncSession, unit: Unit, pair: Pair, *, limit: int, before_id: int | None = None, within: Stretch = EVER
) -> list[Turn]:
    """The changes of a row, newest first; up to `limit` + 1, so that a caller sees more."""
    when = {"since": within.since, "until": within.until}
    values = {**_of(unit, pair), **when, "before_id": before_id, "most": limit + 1}
    rows = await tx.execute(_PAGE, values)
    return [Turn(r.id, r.at, r.before, r.after, figure_of(r.flag, r.numerator, r.denominator), r.cause) for r in rows]


def _of(unit: Unit, pair: Pair) -> dict[str, Any]:
    return {"unit": unit_key(unit), "set_code": pair[0], "item_code": pair[1]}


async def course(
    tx: AsyncSession, unit: Unit, pair: Pair, catalogue: c.Catalogue, *, today: date, within: Stretch = EVER
) -> Course:
    """The row over some days: one point for each day with a change, beginning with what held before them.

    Without a first day it is the year up to `today`.
    """
    since = within.since or datetime.combine(today - timedelta(days=DAYS - 1), time.min, tzinfo=VIETNAM)
    today = min(today, within.last) if within.last is not None else today
    values = {**_of(unit, pair), "since": since, "until": within.until}
    rows = list((await tx.execute(_COURSE, {**values, "most": MOST_POINTS})).all())[::-1]
    earlier = (await tx.execute(_BEFORE, values)).first() if len(rows) < MOST_POINTS else None
    points = [Point(r.at, r.after, figure_of(r.flag, r.numerator, r.denominator)) for r in rows]
    if earlier is not None:
        held = figure_of(earlier.flag, earlier.numerator, earlier.denominator)
        points.insert(0, Point(since, earlier.after, held))
    start = points[0].at.astimezone(VIETNAM).date() if points else today
    asked = await _asked(tx, unit, pair, catalogue, start, today)
    shares = any(isinstance(point.figure, Ratio) for point in points)
    return Course(tuple(points), tuple(asked), shares)


async def _asked(
    tx: AsyncSession, unit: Unit, pair: Pair, catalogue: c.Catalogue, start: date, today: date
) -> list[Asked]:
    if catalogue.sets[pair[0]].level != unit.level:
        return []
    found: list[Asked] = []
    traits: dict[str, Value | None] | None = None
    for day in sorted({start, *(d for d in _turning_days(catalogue, pair[0], unit) if start < d <= today)}):
        item = catalogue.item_for(pair[0], pair[1], unit, day)
        if item is not None and traits is None and any(getattr(p, "by", None) for p in judging.parts_of(item.rule)):
            # A trait such as terrain is that of today: nobody moves a commune up a mountain.
            known = await ground(tx, [unit], [pair], Moment(), catalogue, deep=False)
            traits = Standing(known, catalogue).figures(unit, item.rule)
        now = asked_of(day, item, traits or {})
        if not found or (found[-1].operator, found[-1].number, found[-1].text) != (now.operator, now.number, now.text):
            found.append(now)
    return found


def _turning_days(catalogue: c.Catalogue, set_code: str, unit: Unit) -> Iterator[date]:
    """The days on which what is asked of the unit may have become another."""
    criteria = catalogue.sets[set_code]
    overlays = [overlay for overlay in catalogue.overlays_of(set_code) if overlay.covers(unit)]
    days = [criteria.valid_from, criteria.valid_to]
    for overlay in overlays:
        days += [overlay.valid_from, overlay.valid_to]
        for suspension in overlay.suspensions:
            days += [suspension.starts_on, suspension.ends_on]
    yield from (day for day in days if day is not None)


def asked_of(since: date, item: c.Item | None, figures: dict[str, Value | None]) -> Asked:
    """What a row asks; a row of several conditions asks for no single number."""
    if item is None:
        return Asked(since, None, None, "", None)
    rule = item.rule
    if not isinstance(rule, c.RatioRule | c.CountRule | c.ChildrenRule) or rule.operator is None:
        return Asked(since, None, None, rule.text, item.overlay)
    targets: frozenset[Fraction] = frozenset() if rule.target is None else frozenset({Fraction(rule.target)})
    if isinstance(rule, c.RatioRule | c.CountRule) and rule.by is not None:
        trait = figures.get(rule.by.measure)
        targets = rule.by.targets(trait if isinstance(trait, str) else None)
    number = next(iter(targets)) if len(targets) == 1 else None
    return Asked(since, rule.operator, number, rule.text, item.overlay)
