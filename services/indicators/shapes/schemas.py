"""Owns the shapes of the JSON API: what comes in, what goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chassis.units import Unit
from services.indicators.answers.origins import Origin
from services.indicators.answers.queries import Row, Sheet, UnitStandings
from services.indicators.calculation.engine import Figure, Ratio
from services.indicators.criteria import catalogue as c
from services.indicators.shapes.describing import SetOut as SetOut
from services.indicators.shapes.describing import SetsOut as SetsOut
from services.indicators.shapes.describing import TargetOut as TargetOut
from services.indicators.shapes.describing import set_out as set_out
from services.indicators.shapes.describing import set_summary as set_summary
from services.indicators.shapes.describing import target_out as target_out

Status = Literal["met", "unmet", "no_data", "not_applicable", "measured", "suspended"]
WholeNumber = Annotated[int, Field(ge=0, le=2**63 - 1, strict=True)]


class RatioValue(BaseModel):
    model_config = ConfigDict(extra="forbid")
    numerator: WholeNumber
    denominator: WholeNumber


class FlagValue(BaseModel):
    model_config = ConfigDict(extra="forbid")
    flag: Annotated[bool, Field(strict=True)]


class CountValue(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: WholeNumber


class StateValue(BaseModel):
    """The value of a fact that is neither number nor yes/no, for example the state of a camera."""

    state: str


FigureOut = RatioValue | FlagValue | CountValue


def figure_out(figure: Figure | None) -> FigureOut | None:
    if figure is None:
        return None
    if isinstance(figure, bool):
        return FlagValue(flag=figure)
    if isinstance(figure, Ratio):
        return RatioValue(numerator=figure.numerator, denominator=figure.denominator)
    return CountValue(count=figure)


class UnitOut(BaseModel):
    code: str
    name: str
    level: str
    kind: str
    parent: str
    path: str
    valid_from: date
    valid_to: date | None


def unit_out(unit: Unit) -> UnitOut:
    return UnitOut(
        code=unit.code,
        name=unit.name,
        level=unit.level,
        kind=unit.kind,
        parent=unit.parent,
        path=unit.path,
        valid_from=unit.valid_from,
        valid_to=unit.valid_to,
    )


class UnitsOut(BaseModel):
    items: list[UnitOut]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last.")


class PartSuspendedOut(BaseModel):
    """A row or one condition of it that is not judged."""

    overlay: str
    measures: list[str]
    whole_row: bool
    reason: str
    document: str


class OriginOut(BaseModel):
    """One source of a row's value."""

    kind: Literal["counted", "event", "partner", "staff", "below", "units"] = Field(
        description="`below`: figures of the units below added up; `units`: units below that meet another row."
    )
    source: str = Field(
        description="Who says it; empty for units below. Of figures of former units: `succession` where a rule carried "
        "them over, `settlement` where staff accepted them."
    )
    document: str = Field(description="The document, list or system it names; empty where it names none.")
    observed_at: datetime | None
    former_units: list[str] = Field(default_factory=list, description="Names of the units a figure came over from.")


class ItemOut(BaseModel):
    code: str
    title: str
    status: Status
    value: FigureOut | None = Field(description="Null where nothing is known.")
    target: TargetOut | None = Field(description="Null where the source names no figure, and above the set's level.")
    changed_at: datetime | None = Field(description="Last change of status or value; null: never.")
    since: datetime | None = Field(description="Last change of status; null: never.")
    because: str = Field(description="The event, observation or document of the last change, as type:id.")
    overlay: str | None = Field(default=None, description="The overlay that set the target or added the row.")
    base_target: TargetOut | None = Field(
        default=None, description="What the set itself asks where an overlay changed it."
    )
    suspended: list[PartSuspendedOut] = Field(
        default_factory=list, description="What of the row an overlay keeps from being judged, and why."
    )


class SheetOut(BaseModel):
    """A unit's stand with a set. Above the set's level, `met` of `total` are units of that level (see `counts`)."""

    unit: str
    set: str
    status: Status
    met: int
    total: int
    counts: Literal["items", "village", "commune", "district"]
    items: Sequence[ItemOut]


class SourcedItemOut(ItemOut):
    sources: list[OriginOut] = Field(description="The sources that count.")


class SourcedSheetOut(SheetOut):
    """The same, with the sources of its values."""

    items: Sequence[SourcedItemOut]


def sourced_out(sheet: Sheet, locale: str, sources: Mapping[str, Sequence[Origin]]) -> SourcedSheetOut:
    """The sheet with the sources of its values, by row."""
    plain = sheet_out(sheet, locale)
    items = [
        SourcedItemOut(
            **dict(one),
            sources=[
                OriginOut(
                    kind=source.klass,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
                    source=source.source,
                    document=source.document,
                    observed_at=source.at,
                    former_units=list(source.former),
                )
                for source in sources.get(one.code, ())
            ],
        )
        for one in plain.items
    ]
    return SourcedSheetOut(**{**dict(plain), "items": items})


def sheet_out(sheet: Sheet, locale: str) -> SheetOut:
    return SheetOut(
        unit=sheet.unit.code,
        set=sheet.criteria.code,
        status=sheet.status,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        met=sheet.met,
        total=sheet.total,
        counts=sheet.criteria.level if sheet.rolled_up else "items",  # type: ignore[arg-type]  # as above.
        items=[item_out(row, locale, sheet.rolled_up) for row in sheet.rows],
    )


def item_out(row: Row, locale: str, rolled_up: bool) -> ItemOut:
    base = row.item.base_rule
    return ItemOut(
        code=row.item.code,
        title=row.item.title.in_(locale),
        status=row.status,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        value=figure_out(row.figure),
        target=None if rolled_up else target_out(row.item.rule, locale),
        changed_at=row.changed_at,
        since=row.since,
        because=row.cause,
        overlay=row.item.overlay,
        base_target=target_out(base, locale) if base is not None and not rolled_up else None,
        suspended=[
            PartSuspendedOut(
                overlay=part.overlay,
                measures=list(dict.fromkeys(c.measures_of(part.rule))),
                whole_row=part is row.item.rule,
                reason=part.reason.in_(locale),
                document=part.document,
            )
            for part in c.suspensions_of(row.item.rule)
        ],
    )


class StandingOut(BaseModel):
    set: str
    status: Status
    met: int
    total: int
    counts: Literal["items", "village", "commune", "district", "province"] = Field(description="What `total` counts.")


class UnitOverviewOut(BaseModel):
    unit: str
    name: str
    level: str
    kind: str
    parent: str
    sets: list[StandingOut]


class OverviewOut(BaseModel):
    """A unit and the units below it, each with its stand with every set that says something of it."""

    unit: UnitOverviewOut
    children: list[UnitOverviewOut]


def overview_json(here: Unit, found: Sequence[UnitStandings], catalogue: c.Catalogue) -> dict[str, Any]:
    """`OverviewOut` as plain data."""
    levels = {code: criteria.level for code, criteria in catalogue.sets.items()}

    def plain(one: UnitStandings) -> dict[str, Any]:
        unit = one.unit
        return {
            "unit": unit.code,
            "name": unit.name,
            "level": unit.level,
            "kind": unit.kind,
            "parent": unit.parent,
            "sets": [
                {
                    "set": code,
                    "status": standing.status,
                    "met": standing.met,
                    "total": standing.total,
                    "counts": "items" if levels[code] == unit.level else levels[code],
                }
                for code, standing in one.sets.items()
            ],
        }

    return {
        "unit": next((plain(one) for one in found if one.unit.code == here.code), None),
        "children": [plain(one) for one in found if one.unit.code != here.code],
    }
