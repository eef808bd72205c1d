"""Owns the exchange of figures with DHIS2: its data value sets in JSON, out of sheets and into observations.

How their words stand for ours: data set = criteria set, data element = measure, organisation unit = administrative
unit, each by its code (`idScheme=code`); period 2026, 2026Q4, 202611 = 2026, 2026-Q4, 2026-11. A ratio is two values of
one data element, told apart by the category option combos `numerator` and `denominator`; any other value has `default`.
Format: DHIS2 developer guide, "Data values" (version 2.38 and later); codes of conflicts are those of DHIS2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Forbidden
from chassis.text import has_control
from chassis.units import Unit
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Ratio, Value
from services.indicators.calculation.model import columns
from services.indicators.criteria import catalogue as c
from services.indicators.interchange.outgoing import Exported, kind_of
from services.indicators.sources import intake
from services.indicators.sources.intake import Observed

MAX_VALUES = 50_000
"""Most data values of one import."""
DEFAULT = "default"
PARTS = ("numerator", "denominator")
Strategy = Literal["CREATE", "UPDATE", "CREATE_AND_UPDATE", "DELETE"]

_PERIOD = re.compile(r"^([0-9]{4})(?:(Q[1-4])|(0[1-9]|1[0-2]))?$")


def period_in(text: str) -> str | None:
    """Our form of a period of theirs; None for one we do not keep (weeks, days, half-years)."""
    found = _PERIOD.match(text)
    if found is None:
        return None
    rest = found[2] or found[3]
    ours = f"{found[1]}-{rest}" if rest else found[1]
    try:
        engine.period_bounds(ours)
    except ValueError:
        return None
    return ours


def period_out(period: str) -> str:
    """Their form of a period of ours."""
    return period.replace("-", "")


def data_values(found: Iterable[Exported], period: str) -> list[dict[str, Any]]:
    """Figures as data values."""
    values = []
    for one in found:
        if isinstance(one.figure, Ratio):
            parts: Sequence[tuple[str, str]] = [(PARTS[n], str(number)) for n, number in enumerate(one.figure)]
        elif isinstance(one.figure, bool):
            parts = [(DEFAULT, "true" if one.figure else "false")]
        else:
            parts = [(DEFAULT, str(one.figure))]
        values += [
            {
                "dataElement": one.measure,
                "period": period_out(period),
                "orgUnit": one.unit,
                "categoryOptionCombo": combo,
                "attributeOptionCombo": DEFAULT,
                "value": value,
                "lastUpdated": one.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
                "followup": False,
                **({"comment": one.document} if one.document else {}),
            }
            for combo, value in parts
        ]
    return values


@dataclass(frozen=True, slots=True)
class DataValue:
    """One data value as it came in; `index` is its place."""

    index: int
    element: str
    period: str
    unit: str
    combo: str
    value: str
    comment: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why data values are ignored: the object and property, DHIS2's code, and the places."""

    object: str
    value: str
    code: str
    property: str
    indexes: tuple[int, ...]


@dataclass
class Summary:
    """What became of an import, counted in data values."""

    imported: int = 0
    updated: int = 0
    deleted: int = 0
    ignored: int = 0
    conflicts: list[Conflict] = field(default_factory=list)

    def conflict(self, values: Sequence[DataValue], text: str, code: str, property_: str, object_: str) -> None:
        self.ignored += len(values)
        self.conflicts.append(Conflict(object_, text, code, property_, tuple(value.index for value in values)))


_TRUE, _FALSE = ("true", "1", "t"), ("false", "0", "f")


def _observed(values: Sequence[DataValue], catalogue: c.Catalogue, clock: datetime) -> Observed | tuple[str, ...]:
    """The observation that values of one element, period and unit state, or why not: text, code, property, object."""
    first = values[0]
    period = period_in(first.period)
    if period is None:
        return f"Period not valid: `{first.period}`", "E7611", "period", first.period
    measure = catalogue.measures.get(first.element)
    register = catalogue.attributes.get(first.element)
    if measure is None and (register is None or register.kind != "count"):
        return f"Data element not found or not accessible: `{first.element}`", "E7610", "dataElement", first.element
    if measure is not None and measure.period not in (None, kind_of(period)):
        return f"Period not valid: `{first.period}`", "E7611", "period", first.period
    kind = measure.kind if measure is not None else "count"
    allowed = PARTS if kind == "ratio" else ("", DEFAULT)
    for value in values:
        if value.combo not in allowed:
            said = f"Category option combo not found or not accessible for writing data: `{value.combo}`"
            return said, "E7613", "categoryOptionCombo", value.combo
    withdrawn = all(value.deleted for value in values)
    given = {value.combo or DEFAULT: value.value for value in values if not value.deleted}
    read = None if withdrawn else _read(kind, given)
    if read is None and not withdrawn:
        said = f"Value must match data element's `{first.element}` type constraints: {kind}"
        return said, "E7619", "value", first.value
    return Observed(
        id=f"dhis2/{new_id()}",
        unit=first.unit,
        observed_at=clock,
        value=read,
        measure=first.element,
        period=period,
        source="DHIS2",
        evidence=first.comment,
        withdrawn=withdrawn,
    )


def _read(kind: str, values: dict[str, str]) -> Value | None:
    """A value of a measure's kind; None where it is none, or half of a ratio."""
    if kind == "ratio":
        numbers = [_whole(values.get(part, "")) for part in PARTS]
        return Ratio(numbers[0], numbers[1]) if numbers[0] is not None and numbers[1] is not None else None
    text = values.get(DEFAULT, "")
    if kind == "flag":
        return text.lower() in _TRUE if text.lower() in (*_TRUE, *_FALSE) else None
    return text if kind == "state" else _whole(text)


def _whole(text: str) -> int | None:
    return int(text) if re.match(r"^[0-9]{1,18}$", text) else None


_REASON_CODES = {
    "unknown_unit": ("E7612", "orgUnit", "Organisation unit not found or not accessible: `{unit}`"),
    "unit_ended": ("E7612", "orgUnit", "Organisation unit not found or not accessible: `{unit}`"),
    "unit_not_yet": ("E7612", "orgUnit", "Organisation unit not found or not accessible: `{unit}`"),
    "not_granted": ("E7617", "orgUnit", "Organisation unit: `{unit}` not in hierarchy of current user"),
    "period_in_future": ("E7611", "period", "Period not valid: `{period}`"),
}

_HELD = sa.text("""
    SELECT f.attribute, f.entity, bool_and(f.withdrawn) AS withdrawn FROM fact f
    JOIN unnest(CAST(:attribute AS text[]), CAST(:entity AS text[])) AS k (attribute, entity)
      ON f.attribute = k.attribute AND f.entity = k.entity
    WHERE f.origin = :origin AND (f.origin = 'staff' OR f.source = :client) GROUP BY 1, 2
""")


async def take(
    tx: AsyncSession,
    me: Principal,
    values: Sequence[DataValue],
    catalogue: c.Catalogue,
    *,
    strategy: Strategy = "CREATE_AND_UPDATE",
    dry_run: bool = False,
) -> Summary:
    """Make data values observations: what is right counts, the rest is told as conflicts. Raises Forbidden for who may
    report for none of the units.
    """
    summary, clock = Summary(), now()
    groups: dict[tuple[str, str, str], list[DataValue]] = {}
    for value in values:
        groups.setdefault((value.element, value.period, value.unit), []).append(value)
    ready: list[tuple[Observed, list[DataValue]]] = []
    for group in groups.values():
        found = _observed(group, catalogue, clock)
        if isinstance(found, Observed):
            ready.append((found, group))
        else:
            summary.conflict(group, *found)
    held = await _held(tx, me, [one for one, _ in ready])
    verdicts = await intake.verdicts(tx, me, [one for one, _ in ready], catalogue)
    nowhere = bool(ready) and all(verdict == "not_granted" for verdict in verdicts)
    if nowhere or not (me.kind == "partner" or _is_staff(me)):
        raise Forbidden
    judged = zip(ready, verdicts, strict=True)
    accepted = [one for (one, group), verdict in judged if _counts(summary, one, group, verdict, held, strategy)]
    if not dry_run:
        for start in range(0, len(accepted), 500):
            await intake.submit(tx, me, accepted[start : start + 500], catalogue)
    return summary


def _is_staff(me: Principal) -> bool:
    return not me.roles.isdisjoint(STAFF)


async def _held(tx: AsyncSession, me: Principal, batch: Sequence[Observed]) -> dict[tuple[str, str], bool]:
    """Per (measure, unit/period) whether what is known of this reporter was withdrawn; absent: nothing is known."""
    usable = [one for one in batch if not has_control(one.unit)]
    if not usable:
        return {}
    by = intake.sender(me)
    keys = columns([{"attribute": one.measure, "entity": f"{one.unit}/{one.period}"} for one in usable])
    rows = await tx.execute(_HELD, {**keys, "origin": by.origin, "client": by.client})
    return {(row.attribute, row.entity): row.withdrawn for row in rows}


def _counts(
    summary: Summary,
    one: Observed,
    group: Sequence[DataValue],
    verdict: Unit | str,
    held: dict[tuple[str, str], bool],
    strategy: Strategy,
) -> bool:
    """Count what becomes of the data values of one observation; whether it is to be taken in."""
    if isinstance(verdict, str):
        code, property_, said = _REASON_CODES.get(verdict, ("E7619", "value", "{reason}"))
        text = said.format(unit=one.unit, period=group[0].period, reason=intake.REASONS[verdict][1])
        summary.conflict(group, text, code, property_, one.unit if property_ == "orgUnit" else group[0].value)
        return False
    withdrawn = held.get((one.measure, f"{one.unit}/{one.period}"))
    known = withdrawn is False
    fits = {
        "CREATE": not known and not one.withdrawn,
        "UPDATE": known and not one.withdrawn,
        "CREATE_AND_UPDATE": known or not one.withdrawn,
        "DELETE": known and one.withdrawn,
    }
    if not fits[strategy]:
        summary.ignored += len(group)
        return False
    if one.withdrawn:
        summary.deleted += len(group)
    elif known:
        summary.updated += len(group)
    else:
        summary.imported += len(group)
    return True
