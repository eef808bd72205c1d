"""Owns the shapes that say what is asked: sets, rules, targets, overlays and measures in JSON."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, Field

from services.indicators.criteria import catalogue as c
from services.indicators.criteria.judging import judged


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


def _share(operator: c.Operator | None, share: Fraction, text: str) -> TargetOut:
    percent = share * 100
    whole = percent.denominator == 1
    return TargetOut(
        operator=operator,
        numerator=percent.numerator if whole else share.numerator,
        denominator=100 if whole else share.denominator,
        text=text,
    )


def target_out(rule: c.Rule, locale: str = "vi") -> TargetOut | None:
    """The target of a rule; None where its source names no figure, or names several by a trait (see `text`)."""
    if isinstance(rule, c.Suspended):
        return target_out(rule.rule, locale)
    if not judged(rule):
        return None
    if isinstance(rule, c.FlagRule):
        return TargetOut(flag=True, text=rule.text if locale == "vi" else "yes")
    if isinstance(rule, c.RatioRule | c.CountRule | c.ChildrenRule):
        if rule.target is None:
            return TargetOut(operator=rule.operator, text=rule.text)
        if isinstance(rule, c.CountRule) or (isinstance(rule, c.ChildrenRule) and rule.count):
            return TargetOut(operator=rule.operator, count=int(rule.target), text=rule.text)
        return _share(rule.operator, Fraction(rule.target), rule.text)
    if isinstance(rule, c.Composed) and locale == "en":
        text = "all conditions" if rule.needed is None else f"at least {rule.needed} of the conditions"
        return TargetOut(flag=True, text=text)
    return TargetOut(flag=True, text=rule.text)


class SetItemOut(BaseModel):
    code: str
    title: TextOut
    group: str = Field(description="Code of the goal it stands under; empty where the set has none.")
    overlay: str | None = Field(description="The overlay that adds the row; null for the rows of the set itself.")
    measures: list[str] = Field(description="Codes of the measures the rule reads.")
    rule: dict[str, Any]
    target: TargetOut | None
    feeds: list[str]


class MeasureOut(BaseModel):
    code: str
    title: TextOut
    kind: Literal["ratio", "flag", "count", "state"]
    level: str
    unit_of_measure: TextOut
    period: Literal["year", "quarter", "month"] | None
    states: dict[str, TextOut] = Field(description="What a trait of the unit may be; empty for figures.")
    below: str | None = Field(description="The measure of the units below whose figures are added up.")
    carry: Literal["sum", "share", "renew"] = Field(description="What a reorganisation of units does to the figure.")
    prefer: list[str] = Field(description="Which source counts, best first; a source not named may not report.")
    policy: Literal["first", "any"]
    attributes: list[str] = Field(description="Attributes of entities that are counted.")


class GroupOut(BaseModel):
    code: str
    theme: TextOut
    title: TextOut


class OverlayTargetOut(BaseModel):
    item: str
    measure: str | None
    operator: Literal[">", ">=", "="] | None
    target: str


class OverlaySuspensionOut(BaseModel):
    item: str
    measure: str | None = Field(description="Only the condition that reads this measure; null: the whole row.")
    unit: str | None
    starts_on: date | None
    ends_on: date | None
    reason: TextOut
    document: str


class OverlayOut(BaseModel):
    """What a unit lays over the set for itself and everything below it."""

    overlay: str
    unit: str
    title: TextOut
    legal_basis: LegalBasisOut
    valid_from: date
    valid_to: date | None
    targets: list[OverlayTargetOut]
    adds: list[str] = Field(description="Codes of the rows it adds.")
    suspends: list[OverlaySuspensionOut]


class AreaOut(BaseModel):
    """Units and everything below them, each by its path of codes from the province down."""

    units: list[str]


APPLIES_TO = "Where the set holds; null: everywhere."


class SetOut(BaseModel):
    set: str
    title: TextOut
    level: str
    applies_to: AreaOut | None = Field(description=APPLIES_TO)
    legal_basis: LegalBasisOut
    valid_from: date
    valid_to: date | None
    kinds: list[str] = Field(description="Kinds of units the set is for; empty: every kind of its level.")
    auxiliary: bool = Field(description="No official set, but conditions that others look at.")
    needs: Literal["all", "any"]
    target_date: date | None
    note: TextOut | None
    groups: list[GroupOut]
    items: list[SetItemOut]
    overlays: list[OverlayOut]
    measures: list[MeasureOut]


class SetSummaryOut(BaseModel):
    set: str
    title: TextOut
    level: str
    applies_to: AreaOut | None = Field(description=APPLIES_TO)
    legal_basis: LegalBasisOut
    valid_from: date
    valid_to: date | None
    total: int = Field(description="Number of items.")


class SetsOut(BaseModel):
    items: list[SetSummaryOut]


def _text(text: c.Text) -> TextOut:
    return TextOut(vi=text.vi, en=text.en)


def _basis(of: c.CriteriaSet | c.Overlay) -> LegalBasisOut:
    basis = of.legal_basis
    return LegalBasisOut(number=basis.number, date=basis.date, issuer=basis.issuer, title=basis.title)


def _area(criteria: c.CriteriaSet) -> AreaOut | None:
    return AreaOut(units=list(criteria.area.paths)) if criteria.area.paths else None


def rule_json(rule: c.Rule) -> dict[str, Any]:
    """A rule as data, in the words of the criteria files; `suspended` wraps what an overlay keeps from being judged."""
    match rule:
        case c.Composed():
            parts = [rule_json(part) for part in rule.rules]
            if rule.needed is None:
                return {"all": parts}
            return {"at_least": rule.needed, "of": parts}
        case c.Suspended():
            reason = {"vi": rule.reason.vi, "en": rule.reason.en}
            return {
                "suspended": rule_json(rule.rule),
                "overlay": rule.overlay,
                "reason": reason,
                "document": rule.document,
            }
        case c.FlagRule():
            return {"flag": rule.measure} if rule.judged else {"flag": rule.measure, "judged": False}
        case c.ItemRule():
            return {"item": {"set": rule.set_code, "item": rule.item_code}}
        case c.ChildrenRule():
            found: dict[str, Any] = {"children": {"set": rule.set_code, "item": rule.item_code}}
            found |= {"count": True} if rule.count else {}
            found |= {"unknown": "unmet"} if rule.unknown == "unmet" else {}
            return found | _threshold_json(rule) | {"when_zero": rule.when_zero}
        case c.RatioRule():
            return {"ratio": rule.measure} | _threshold_json(rule) | {"when_zero": rule.when_zero}
        case c.CountRule():
            return {"count": rule.measure} | _threshold_json(rule)


def _threshold_json(rule: c.RatioRule | c.CountRule | c.ChildrenRule) -> dict[str, Any]:
    if rule.operator is None:
        return {}
    if not isinstance(rule, c.ChildrenRule) and rule.by is not None:
        texts = dict(rule.by.texts)
        otherwise = {"else": texts.pop("")} if "" in texts else {}
        return {"operator": rule.operator, "by": {"measure": rule.by.measure, "cases": texts, **otherwise}}
    if isinstance(rule, c.CountRule):
        return {"operator": rule.operator, "target": rule.target}
    share = isinstance(rule, c.RatioRule) or not rule.count
    return {"operator": rule.operator, "target": rule.target_text if share else int(rule.target or 0)}


def set_summary(criteria: c.CriteriaSet) -> SetSummaryOut:
    return SetSummaryOut(
        set=criteria.code,
        title=_text(criteria.title),
        level=criteria.level,
        applies_to=_area(criteria),
        legal_basis=_basis(criteria),
        valid_from=criteria.valid_from,
        valid_to=criteria.valid_to,
        total=len(criteria.items),
    )


def set_out(criteria: c.CriteriaSet, catalogue: c.Catalogue) -> SetOut:
    overlays = catalogue.overlays_of(criteria.code)
    added = {item.code: overlay.code for overlay in overlays for item in overlay.items}
    rows = catalogue.rows_of(criteria.code)
    used = dict.fromkeys(code for item in rows for code in item.measures)
    return SetOut(
        set=criteria.code,
        title=_text(criteria.title),
        level=criteria.level,
        legal_basis=_basis(criteria),
        valid_from=criteria.valid_from,
        valid_to=criteria.valid_to,
        applies_to=_area(criteria),
        kinds=list(criteria.kinds),
        auxiliary=criteria.auxiliary,
        needs="all" if criteria.needed is None else "any",
        target_date=criteria.target_date,
        note=_text(criteria.note) if criteria.note else None,
        groups=[GroupOut(code=g.code, theme=_text(g.theme), title=_text(g.title)) for g in criteria.groups],
        items=[
            SetItemOut(
                code=item.code,
                title=_text(item.title),
                group=item.group,
                overlay=added.get(item.code),
                measures=list(item.measures),
                rule=rule_json(item.rule),
                target=target_out(item.rule),
                feeds=list(item.feeds),
            )
            for item in rows
        ],
        overlays=[overlay_out(overlay) for overlay in overlays],
        measures=[measure_out(catalogue.measures[code]) for code in used],
    )


def overlay_out(overlay: c.Overlay) -> OverlayOut:
    return OverlayOut(
        overlay=overlay.code,
        unit=overlay.unit,
        title=_text(overlay.title),
        legal_basis=_basis(overlay),
        valid_from=overlay.valid_from,
        valid_to=overlay.valid_to,
        targets=[
            OverlayTargetOut(item=t.item, measure=t.measure, operator=t.operator, target=t.target_text)
            for t in overlay.targets
        ],
        adds=[item.code for item in overlay.items],
        suspends=[
            OverlaySuspensionOut(
                item=s.item,
                measure=s.measure,
                unit=s.unit,
                starts_on=s.starts_on,
                ends_on=s.ends_on,
                reason=_text(s.reason),
                document=s.document,
            )
            for s in overlay.suspensions
        ],
    )


def measure_out(measure: c.Measure) -> MeasureOut:
    counted = measure.counted
    attributes = sorted(counted.attributes | ({counted.register} if counted.register else set())) if counted else []
    return MeasureOut(
        code=measure.code,
        title=_text(measure.title),
        kind=measure.kind,
        level=measure.level,
        unit_of_measure=_text(measure.unit_of_measure),
        period=measure.period,
        states={code: _text(title) for code, title in zip(measure.states, measure.state_titles, strict=True)},
        below=measure.below,
        carry=measure.carry,
        prefer=list(measure.prefer),
        policy=measure.policy,
        attributes=attributes,
    )
