"""Owns the shapes of the JSON API: what comes in, what goes out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chassis.units import Unit
from services.indicators import criteria as c
from services.indicators.engine import Figure, Ratio
from services.indicators.queries import Row, Sheet

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


class TextOut(BaseModel):
    vi: str
    en: str


class LegalBasisOut(BaseModel):
    number: str
    date: date
    issuer: str
    title: str


class TargetOut(BaseModel):
    """What is asked for; `text` says it in words."""

    operator: Literal[">", ">=", "="] | None = None
    numerator: int | None = None
    denominator: int | None = None
    count: int | None = None
    flag: bool | None = None
    text: str


def target_out(rule: c.Rule) -> TargetOut | None:
    """The target of a rule; None where its source names no figure."""
    if isinstance(rule, c.RatioRule):
        if rule.target is None:
            return None
        percent = rule.target * 100
        whole = percent.denominator == 1
        return TargetOut(
            operator=rule.operator,
            numerator=percent.numerator if whole else rule.target.numerator,
            denominator=100 if whole else rule.target.denominator,
            text=rule.text,
        )
    if isinstance(rule, c.CountRule):
        return TargetOut(operator=rule.operator, count=rule.target, text=rule.text) if rule.operator else None
    return TargetOut(flag=True, text=rule.text)


class SetItemOut(BaseModel):
    code: str
    title: TextOut
    measures: list[str] = Field(description="Codes of the measures the rule reads.")
    rule: dict[str, Any]
    target: TargetOut | None
    feeds: list[str]


class MeasureOut(BaseModel):
    code: str
    title: TextOut
    kind: Literal["ratio", "flag", "count"]
    unit_of_measure: TextOut
    period: Literal["year"] | None
    prefer: list[str] = Field(description="Which source counts, best first; a source not named may not report.")
    policy: Literal["first", "any"]
    attributes: list[str] = Field(description="Attributes of entities that are counted.")


class SetOut(BaseModel):
    set: str
    title: TextOut
    level: str
    legal_basis: LegalBasisOut
    valid_from: date
    valid_to: date | None
    items: list[SetItemOut]
    measures: list[MeasureOut]


class SetSummaryOut(BaseModel):
    set: str
    title: TextOut
    level: str
    legal_basis: LegalBasisOut
    valid_from: date
    valid_to: date | None
    total: int = Field(description="Number of items.")


class SetsOut(BaseModel):
    items: list[SetSummaryOut]


def _text(text: c.Text) -> TextOut:
    return TextOut(vi=text.vi, en=text.en)


def _basis(criteria: c.CriteriaSet) -> LegalBasisOut:
    basis = criteria.legal_basis
    return LegalBasisOut(number=basis.number, date=basis.date, issuer=basis.issuer, title=basis.title)


def rule_json(rule: c.Rule) -> dict[str, Any]:
    """A rule as data, in the words of the criteria files."""
    if isinstance(rule, c.Composed):
        parts = [rule_json(part) for part in rule.rules]
        return {"all": parts} if rule.needed is None else {"at_least": rule.needed, "of": parts}
    if isinstance(rule, c.FlagRule):
        return {"flag": rule.measure}
    kind = "ratio" if isinstance(rule, c.RatioRule) else "count"
    found: dict[str, Any] = {kind: rule.measure}
    if rule.operator:
        found |= {"operator": rule.operator}
        found["target"] = rule.target_text if isinstance(rule, c.RatioRule) else rule.target
    if isinstance(rule, c.RatioRule):
        found["when_zero"] = rule.when_zero
    return found


def set_summary(criteria: c.CriteriaSet) -> SetSummaryOut:
    return SetSummaryOut(
        set=criteria.code,
        title=_text(criteria.title),
        level=criteria.level,
        legal_basis=_basis(criteria),
        valid_from=criteria.valid_from,
        valid_to=criteria.valid_to,
        total=len(criteria.items),
    )


def set_out(criteria: c.CriteriaSet, catalogue: c.Catalogue) -> SetOut:
    used = dict.fromkeys(code for item in criteria.items for code in item.measures)
    return SetOut(
        set=criteria.code,
        title=_text(criteria.title),
        level=criteria.level,
        legal_basis=_basis(criteria),
        valid_from=criteria.valid_from,
        valid_to=criteria.valid_to,
        items=[
            SetItemOut(
                code=item.code,
                title=_text(item.title),
                measures=list(item.measures),
                rule=rule_json(item.rule),
                target=target_out(item.rule),
                feeds=list(item.feeds),
            )
            for item in criteria.items
        ],
        measures=[measure_out(catalogue.measures[code]) for code in used],
    )


def measure_out(measure: c.Measure) -> MeasureOut:
    counted = measure.counted
    attributes = sorted(counted.attributes | ({counted.register} if counted.register else set())) if counted else []
    return MeasureOut(
        code=measure.code,
        title=_text(measure.title),
        kind=measure.kind,
        unit_of_measure=_text(measure.unit_of_measure),
        period=measure.period,
        prefer=list(measure.prefer),
        policy=measure.policy,
        attributes=attributes,
    )


class ItemOut(BaseModel):
    code: str
    title: str
    status: Status
    value: FigureOut | None = Field(description="Null where nothing is known.")
    target: TargetOut | None = Field(description="Null where the source names no figure, and above the set's level.")
    changed_at: datetime | None = Field(description="Last change of status or value; null: never.")
    since: datetime | None = Field(description="Last change of status; null: never.")
    because: str = Field(description="The event, observation or document of the last change, as type:id.")


class SheetOut(BaseModel):
    """A unit's stand with a set. Above the set's level, `met` of `total` are units of that level (see `counts`)."""

    unit: str
    set: str
    status: Status
    met: int
    total: int
    counts: Literal["items", "village", "commune", "district"]
    items: list[ItemOut]


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
    return ItemOut(
        code=row.item.code,
        title=row.item.title.in_(locale),
        status=row.status,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        value=figure_out(row.figure),
        target=None if rolled_up else target_out(row.item.rule),
        changed_at=row.changed_at,
        since=row.since,
        because=row.cause,
    )
