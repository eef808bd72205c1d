"""Owns the shapes of "what if" and of "the least that would do" in JSON."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.indicators.answers import newcomers
from services.indicators.answers.needs import Need
from services.indicators.answers.newcomers import Newcomers
from services.indicators.answers.singles import Single
from services.indicators.answers.whatif import Aim, Change, Row, Supposed, Supposition
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.figures import Outcome, Ratio, Summary, Value
from services.indicators.criteria.least import Least, Step
from services.indicators.shapes.entries import ThingValueIn, ValueIn
from services.indicators.shapes.schemas import (
    CountValue,
    FigureOut,
    FlagValue,
    RatioValue,
    StateValue,
    Status,
    TargetOut,
    figure_out,
    target_out,
)

Code = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
MOST = 200
"""Changes or targets in one question."""


class NewAttributeIn(BaseModel):
    """What would be known of each new thing."""

    model_config = ConfigDict(extra="forbid")
    attribute: Code
    value: ThingValueIn


class NewThingsIn(BaseModel):
    """Things nobody has reported yet, counted as if those who report such things there had told of them."""

    model_config = ConfigDict(extra="forbid")
    kind: Code = Field(description="What they are, as attributes name it: household, person, product, camera …")
    count: Annotated[int, Field(ge=1, le=newcomers.MOST, strict=True)]
    unit: Code | None = Field(default=None, description="Where they are: the unit asked about, or one below it.")
    attributes: list[NewAttributeIn] = Field(min_length=1, max_length=20)


class ChangeIn(BaseModel):
    """What would be another: a measure, of how many units below an item of a set is met, a single thing, new things."""

    model_config = ConfigDict(extra="forbid")
    measure: Code | None = None
    set: Code | None = Field(default=None, description="With `item`: the row of a set of the units below.")
    item: Code | None = None
    attribute: Code | None = Field(
        default=None, description="With `entity`: what would be otherwise of a single thing; for who may see ids."
    )
    entity: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")] | None = Field(
        default=None, description="A thing that is known today, as `entities` or its reporter names it."
    )
    new_things: NewThingsIn | None = None
    gone: Annotated[bool, Field(strict=True, description="With `entity`: the thing is no longer there.")] = False
    value: ValueIn | None = None
    more: Annotated[int, Field(ge=-(10**12), le=10**12, strict=True)] | None = Field(
        default=None, description="Instead of `value`: so many more than today (in the numerator of a share)."
    )

    @model_validator(mode="after")
    def _whole(self) -> ChangeIn:
        pairs = ((self.set, self.item), (self.attribute, self.entity))
        if any((one is None) != (other is None) for one, other in pairs) or (
            [self.measure, self.item, self.entity, self.new_things].count(None) != 3
        ):
            raise ValueError(
                "Nêu một thước đo, một bộ và mã chỉ tiêu của các đơn vị bên dưới, một đối tượng, hoặc đối tượng mới."
            )
        if self.new_things is not None:
            if self.value is not None or self.more is not None or self.gone:
                raise ValueError("Đối tượng mới nêu giá trị ở từng thuộc tính.")
            return self
        if [self.value is not None, self.more is not None, self.gone].count(True) != 1:
            raise ValueError("Nêu giá trị mới hoặc số cộng thêm, một trong hai.")
        if self.more is not None and self.entity is not None:
            raise ValueError("Một đối tượng không cộng thêm được: hãy nêu giá trị mới.")
        if self.gone and self.entity is None:
            raise ValueError("Chỉ một đối tượng mới có thể không còn nữa.")
        return self


class TargetIn(BaseModel):
    """Another target for a row; `measure` picks one condition of a row that has several."""

    model_config = ConfigDict(extra="forbid")
    item: Code
    operator: Literal[">", ">=", "="]
    target: Annotated[str, Field(max_length=40, pattern=r"^\d{1,12}(\.\d{1,6})?%?$|^\d{1,12}/[1-9]\d{0,11}$")]
    measure: Code | None = None


class SupposeIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    changes: list[ChangeIn] = Field(default_factory=list, max_length=MOST)
    targets: list[TargetIn] = Field(default_factory=list, max_length=MOST)


def change_of(change: ChangeIn) -> Supposition:
    if change.new_things is not None:
        new = change.new_things
        stated = tuple((one.attribute, _value(one.value)) for one in new.attributes)
        return Newcomers(new.kind, new.count, stated, new.unit or "")
    if change.attribute is not None and change.entity is not None:
        return Single(change.attribute, change.entity, _value(change.value))
    subject = change.measure or f"{change.set}/{change.item}"
    return Change(subject, _value(change.value), change.more)


def _value(value: FigureOut | StateValue | None) -> Value | None:
    if isinstance(value, RatioValue):
        return Ratio(value.numerator, value.denominator)
    if isinstance(value, FlagValue):
        return value.flag
    if isinstance(value, CountValue):
        return value.count
    return value.state if value is not None else None


def aim_of(target: TargetIn) -> Aim:
    text = target.target
    number = Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
    return Aim(target.item, c.Target(target.item, target.operator, number, text, target.measure))


class EntityOut(BaseModel):
    attribute: str
    entity: str = Field(description="The reporter's own opaque id.")
    source: str
    value: FigureOut | StateValue | None
    counted_by: str = Field(description="The attribute that would have to be otherwise.")
    counts_as: FlagValue | StateValue = Field(description="What it would have to be; a change with it can be asked.")


class NearOut(BaseModel):
    """A unit below that lacks little."""

    unit: str
    name: str
    effort: int
    missing: list[str] = Field(description="Measures nobody has told anything of there.")


class StepOut(BaseModel):
    """One figure that would have to become another."""

    kind: Literal["numerator", "count", "flag", "children", "item"]
    measure: str | None
    set: str | None = Field(description="With `item`, for kinds children and item.")
    item: str | None
    title: str
    more: int = Field(description="How many more; below 0: fewer, where exactly so many are asked for.")
    unit_of_measure: str
    becomes: FigureOut | StateValue
    entities: list[EntityOut] = Field(description="What is not counted today, by id; empty for who may not see ids.")
    entities_total: int
    unreported: int = Field(description="How many the register knows of beyond those that were reported one by one.")
    nearest: list[NearOut]
    inner: LeastOut | None = Field(description="Of kind item: what turns that row.")


class LeastOut(BaseModel):
    status: Status
    reachable: bool = Field(description="False: counting more cannot turn the row, or it is not judged.")
    exact: bool = Field(description="Whether the steps are all it takes; otherwise figures are missing first.")
    effort: int
    steps: list[StepOut]
    missing: list[str] = Field(description="Measures (or set/item) nobody has told anything of.")


class SideOut(BaseModel):
    status: Status
    value: FigureOut | None
    target: TargetOut | None


class SupposedRowOut(BaseModel):
    code: str
    title: str
    before: SideOut
    after: SideOut
    changed: bool
    least: LeastOut = Field(description="From where the row stands afterwards.")


class SummaryOut(BaseModel):
    status: Status
    met: int
    total: int


class SupposedOut(BaseModel):
    """A sheet before and after; nothing of it is stored."""

    unit: str
    set: str
    before: SummaryOut
    after: SummaryOut
    items: list[SupposedRowOut]


def supposed_out(found: Supposed, catalogue: c.Catalogue, locale: str, *, ids: bool) -> SupposedOut:
    """`ids` False leaves out the ids of entities, which are for those who look after the unit."""
    return SupposedOut(
        unit=found.unit.code,
        set=found.criteria.code,
        before=_summary(found.before),
        after=_summary(found.after),
        items=[_row(row, catalogue, locale, ids) for row in found.rows],
    )


def _summary(summary: Summary) -> SummaryOut:
    return SummaryOut(status=summary.status, met=summary.met, total=summary.total)  # type: ignore[arg-type]  # one of six


def _side(outcome: Outcome, rule: c.Rule, locale: str) -> SideOut:
    return SideOut(
        status=outcome.status,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        value=figure_out(outcome.figure),
        target=target_out(rule, locale),
    )


def _row(row: Row, catalogue: c.Catalogue, locale: str, ids: bool) -> SupposedRowOut:
    return SupposedRowOut(
        code=row.item.code,
        title=row.item.title.in_(locale),
        before=_side(row.before, row.item.rule, locale),
        after=_side(row.after, row.rule, locale),
        changed=row.before != row.after or row.rule != row.item.rule,
        least=least_out(row.least, row.needs, catalogue, locale, ids=ids),
    )


def least_out(found: Least, needs: tuple[Need, ...], catalogue: c.Catalogue, locale: str, *, ids: bool) -> LeastOut:
    detailed = needs or tuple(Need(step) for step in found.steps)
    return LeastOut(
        status=found.status,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        reachable=found.reachable,
        exact=found.exact,
        effort=found.effort,
        steps=[_step(need, catalogue, locale, ids) for need in detailed],
        missing=list(found.missing),
    )


def _step(need: Need, catalogue: c.Catalogue, locale: str, ids: bool) -> StepOut:
    step = need.step
    of_item = step.kind in ("children", "item")
    set_code, _, item_code = step.subject.partition("/") if of_item else (None, "", None)
    title, unit = step_titles(step, catalogue)
    return StepOut(
        kind=step.kind,
        measure=None if of_item else step.subject,
        set=set_code,
        item=item_code,
        title=title.in_(locale),
        more=step.more,
        unit_of_measure=unit.in_(locale),
        becomes=_shown(step.becomes),
        entities=[
            EntityOut(
                attribute=one.attribute,
                entity=one.entity,
                source=one.source,
                value=None if one.value is None else _shown(one.value),
                counted_by=one.counted_by,
                counts_as=FlagValue(flag=one.counts_as)
                if isinstance(one.counts_as, bool)
                else StateValue(state=str(one.counts_as)),
            )
            for one in (need.entities if ids else ())
        ],
        entities_total=need.total,
        unreported=need.unreported,
        nearest=[
            NearOut(
                unit=near.unit.code, name=near.unit.name, effort=near.least.effort, missing=list(near.least.missing)
            )
            for near in need.nearest
        ],
        inner=least_out(need.inner, (), catalogue, locale, ids=ids) if need.inner else None,
    )


def _shown(value: Value) -> FigureOut | StateValue:
    if isinstance(value, str):
        return StateValue(state=value)
    if isinstance(value, Ratio):
        return RatioValue(numerator=value.numerator, denominator=value.denominator)
    return FlagValue(flag=value) if isinstance(value, bool) else CountValue(count=value)


UNITS = {
    "village": c.Text("thôn", "villages"),
    "commune": c.Text("xã", "communes"),
    "district": c.Text("huyện", "districts"),
    "province": c.Text("tỉnh", "provinces"),
}


def step_titles(step: Step, catalogue: c.Catalogue) -> tuple[c.Text, c.Text]:
    """What a step is about, and what is counted in it."""
    if step.kind not in ("children", "item"):
        measure = catalogue.measures[step.subject]
        return measure.title, measure.unit_of_measure
    set_code, _, item_code = step.subject.partition("/")
    criteria = catalogue.sets[set_code]
    row = next((item for item in catalogue.rows_of(set_code) if item.code == item_code), None)
    title = row.title if row else c.Text(step.subject, step.subject)
    return title, UNITS[criteria.level] if step.kind == "children" else c.Text("", "")
