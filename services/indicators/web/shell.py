"""Owns what every page of indicators starts from: its templates, the set in question, the breadcrumb."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import units
from chassis.i18n import fmt_date, fmt_datetime
from chassis.units import LEVELS, Unit
from chassis.web import Page
from services.indicators import views
from services.indicators.answers import asking, queries
from services.indicators.criteria import catalogue as criteria
from services.indicators.criteria import library
from services.indicators.views.rules import judged

TEMPLATES = Path(__file__).parents[1] / "templates"

SetParam = Annotated[str | None, Query(alias="set", max_length=60)]


def chosen_set(code: str | None, unit: Unit) -> criteria.CriteriaSet:
    """The set named, or the one to begin with at a unit; raises UnknownSet."""
    catalogue = library.catalogue()
    if code:
        return queries.criteria_set(catalogue, code)
    return first_set(catalogue, units.today(), unit)


async def set_of(tx: AsyncSession, code: str | None, unit: str, as_of: str | None = None) -> criteria.CriteriaSet:
    """As `chosen_set`, for the unit a code names today or named then, of the sets of that day; raises UnknownSet,
    UnknownUnit and Malformed.
    """
    catalogue, day = await asking.catalogue_of(tx, as_of), asking.as_of_day(as_of)
    if code:
        return queries.criteria_set(catalogue, code)
    return first_set(catalogue, day or units.today(), await units.get(tx, unit, day))


def as_of_words(as_of: str, locale: str) -> str:
    """The day, or the instant, as people write it."""
    if len(as_of) > len("2026-11-22"):
        return fmt_datetime(asking.as_of_instant(as_of), locale)
    return fmt_date(asking.as_of_day(as_of), locale)


def first_set(catalogue: criteria.Catalogue, day: date, unit: Unit) -> criteria.CriteriaSet:
    """The set a reader meets first at a unit: of those in force that say something of it, judge something and rest on a
    document, the most recent one for the smallest units, since that says something of every unit above them too.
    """

    def rank(one: criteria.CriteriaSet) -> tuple[bool, bool, bool, int, date, int]:
        asks = not one.auxiliary and not one.unofficial and any(judged(item.rule) for item in one.items)
        return (
            queries.offered(one, unit),
            one.holds_on(day),
            asks,
            LEVELS.index(one.level),
            one.valid_from,
            len(one.items),
        )

    return max(catalogue.sets.values(), key=rank)


def last_sheet(code: str, set_code: str | None, former: units.FormerUnit) -> str:
    """Where a unit that has ended stays readable: its sheet of its last day."""
    return views.address(f"/indicators/units/{code}", set=set_code, as_of=former.last.isoformat())


async def unit_path(
    tx: AsyncSession, unit: Unit, criteria_set: criteria.CriteriaSet, as_of: str | None = None
) -> list[dict[str, str]]:
    """The breadcrumb of the shell: every step leads to its own overview or sheet, of the day that is asked."""
    asked = {"set": criteria_set.code, "as_of": as_of or None}
    return [
        {"code": above.code, "name": above.name, "href": views.address(f"/indicators/units/{above.code}", **asked)}
        for above in await units.breadcrumb(tx, unit)
    ]


async def set_choices(
    tx: AsyncSession, unit: Unit, chosen: str, page: Page, *, page_of: str = ""
) -> list[views.SetChoice]:
    """The sets a reader can switch to at this unit, each with its result; `page_of` stays on a page of the unit."""
    found = await queries.standings(tx, unit, [unit.level])
    # Its own level has but one unit there: itself.
    stands = next((one.sets for one in found if one.unit.code == unit.code), {})
    return views.set_choices(unit, library.catalogue(), stands, chosen, page.locale, page._, page_of)
