"""Owns where the values of a sheet come from: per row the sources that count, with the documents they name.

What is told here is public, as in an explanation: kinds of sources, names of systems, numbers and titles of documents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import Unit
from services.indicators.answers.handovers import Handover, handovers
from services.indicators.answers.queries import Sheet
from services.indicators.answers.standing import Moment, Standing, ground
from services.indicators.calculation.engine import Candidate, Fact
from services.indicators.calculation.model import unit_key
from services.indicators.criteria import catalogue as c
from services.indicators.sources import evidence as documents

_OBSERVATIONS = sa.text("""
    SELECT o.client || '/' || o.id AS name, o.source, o.evidence FROM observation o
    JOIN unnest(CAST(:client AS text[]), CAST(:id AS text[])) AS n (client, id) USING (client, id)
""")


NOW = Moment()


@dataclass(frozen=True, slots=True)
class Origin:
    """One source of a row's value: who says it (see `source_words`), by which document, and when it was observed.

    `klass` is counted, staff, partner, below (figures of the units below added up) or units (units below that meet
    another row); `document` is empty where the source names none. `source` of a figure of former units is succession,
    or settlement where people accepted it; `former` names those units.
    """

    klass: str
    source: str
    document: str
    at: datetime | None
    former: tuple[str, ...] = ()


async def origins(
    tx: AsyncSession, sheet: Sheet, catalogue: c.Catalogue, moment: Moment = NOW
) -> dict[str, tuple[Origin, ...]]:
    """The sources that count at the moment, by row; none where nobody has said anything. Above the set's level all rows
    have theirs below.
    """
    if sheet.rolled_up:
        return {row.item.code: (Origin("units", "", "", None),) for row in sheet.rows if row.figure is not None}
    pairs = [(sheet.criteria.code, row.item.code) for row in sheet.rows]
    standing = Standing(await ground(tx, [sheet.unit], pairs, moment, catalogue, deep=False), catalogue)
    found = {row.item.code: _counting(standing, sheet.unit, row.item) for row in sheet.rows}
    facts = [fact for several in found.values() for _, fact in several if fact is not None]
    named = await named_by(tx, [fact.cause for fact in facts])
    over = await handovers(tx, {fact.cause for fact in facts})
    return {
        code: tuple(dict.fromkeys(_told(one, fact, named, over) for one, fact in several))
        for code, several in found.items()
    }


def _counting(standing: Standing, unit: Unit, item: c.Item) -> list[tuple[Candidate | None, Fact | None]]:
    """What counts for each measure of a row, with the fact said last; (None, None) for a row of units below."""
    found: list[tuple[Candidate | None, Fact | None]] = []
    for code in item.measures:
        chosen = standing.reading(unit, code).chosen
        if chosen is not None:
            found.append((chosen, chosen.fact or _newest(standing, unit, standing.catalogue.measures[code], chosen)))
    if any(standing.catalogue.sets[set_code].level != unit.level for set_code, _ in item.looks_at):
        found.append((None, None))
    return found


def _newest(standing: Standing, unit: Unit, measure: c.Measure, one: Candidate) -> Fact | None:
    """Of the things a source told one by one, what it said last."""
    if measure.counted is None or one.klass != "counted":
        return None
    places = [unit, *(standing.known.below(unit, "village") if measure.level == "commune" else ())]
    said = [
        fact
        for place in places
        for attribute, fact in standing.known.latest.get(unit_key(place), {}).items()
        if attribute in measure.counted.attributes and fact.source == one.source
    ]
    return max(said, key=lambda fact: (fact.observed_at, fact.order), default=None)


def _told(
    one: Candidate | None, fact: Fact | None, named: dict[str, tuple[str, str]], over: dict[str, Handover]
) -> Origin:
    if one is None:
        return Origin("units", "", "", None)
    came = over.get(fact.cause) if fact is not None else None
    if fact is not None and came is not None:
        source = "settlement" if came.settled_at is not None else one.source
        return Origin(one.klass, source, came.document, fact.observed_at, came.former)
    document, _ = named.get(_name(fact.cause), ("", "")) if fact is not None else ("", "")
    return Origin(one.klass, one.source, document, fact.observed_at if fact is not None else None)


def _name(cause: str) -> str:
    """The `client/id` of the observation or document behind a cause; what an undone import says again has it too."""
    return documents.root(cause).partition(":")[2]


async def named_by(tx: AsyncSession, causes: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What observations and documents say of their origin, by client/id: the source they name, and the note."""
    roots = {documents.root(cause) for cause in causes}
    names = sorted(cause.partition(":")[2] for cause in roots if cause.startswith(("observation:", "document:")))
    if not names:
        return {}
    split = [name.partition("/") for name in names]
    found = await tx.execute(_OBSERVATIONS, {"client": [s[0] for s in split], "id": [s[2] for s in split]})
    return {row.name: (row.source, row.evidence) for row in found}


async def behind(tx: AsyncSession, causes: Collection[str]) -> dict[str, str]:
    """The document or list that an observation or entry named, or by which a figure went over, by cause; without what
    names none.
    """
    named = await named_by(tx, causes)
    found = {cause: named.get(_name(cause), ("", ""))[0] for cause in causes}
    found |= {cause: came.document for cause, came in (await handovers(tx, causes)).items()}
    return {cause: text for cause, text in found.items() if text}
