"""Owns the shapes of what is entered over JSON: figures with their evidence, and orders of suspension."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from chassis.text import Line, Paragraph
from services.indicators.shapes.reasons import SuspensionBrief
from services.indicators.shapes.schemas import CountValue, FlagValue, RatioValue, StateValue


class StateGiven(StateValue):
    """The name of a state as somebody enters it."""

    model_config = ConfigDict(extra="forbid")
    state: Line(80)  # type: ignore[valid-type]  # Line makes a type.


_KINDS = {"numerator": "ratio", "denominator": "ratio", "flag": "flag", "count": "count", "state": "state"}


def _kind_of(given: Any) -> str | None:
    """The kind of value that is meant, by its first key: faults are told of that one and not of all four."""
    names = given if isinstance(given, Mapping) else getattr(given, "__dict__", {})
    return next((kind for name, kind in _KINDS.items() if name in names), None)


ValueIn = Annotated[
    Annotated[RatioValue, Tag("ratio")]
    | Annotated[FlagValue, Tag("flag")]
    | Annotated[CountValue, Tag("count")]
    | Annotated[StateGiven, Tag("state")],
    Discriminator(
        _kind_of,
        custom_error_type="figure_kind",
        custom_error_message="Giá trị là một trong: numerator và denominator, flag, count, state.",
    ),
]
"""A figure as JSON gives it."""

ThingValueIn = Annotated[
    Annotated[FlagValue, Tag("flag")] | Annotated[StateGiven, Tag("state")],
    Discriminator(
        _kind_of,
        custom_error_type="thing_kind",
        custom_error_message="Giá trị của một đối tượng là một trong: flag, state.",
    ),
]
"""What is known of a single thing, as JSON gives it."""


class EvidenceIn(BaseModel):
    """What an entry rests on: words, the number of a document, or both."""

    model_config = ConfigDict(extra="forbid")
    text: Paragraph(1500) = ""  # type: ignore[valid-type]  # Paragraph makes a type.
    document: Line(400, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    file: uuid.UUID | None = Field(default=None, description="The id of a document handed in at `documents`.")

    @model_validator(mode="after")
    def _something(self) -> EvidenceIn:
        if not self.text and not self.document and not self.file:
            raise ValueError("Cần nêu bằng chứng: lời mô tả hoặc số văn bản.")
        return self


class ObservationIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: Line(128) | None = None  # type: ignore[valid-type]  # Line makes a type.
    unit: Line(40)  # type: ignore[valid-type]  # Line makes a type.
    measure: Line(80)  # type: ignore[valid-type]  # Line makes a type.
    period: Line(10, 0) = ""  # type: ignore[valid-type]  # Line makes a type.
    value: ValueIn | None = None
    observed_at: AwareDatetime | None = None
    evidence: EvidenceIn
    withdrawn: bool = False


class ObservationOut(BaseModel):
    id: str
    outcome: Literal["accepted", "duplicate"]


class SuspensionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    unit: Line(40)  # type: ignore[valid-type]  # Line makes a type.
    set: Line(60)  # type: ignore[valid-type]  # Line makes a type.
    item: Line(40)  # type: ignore[valid-type]  # Line makes a type.
    starts_on: date | None = None
    ends_on: date | None = None
    reason: Paragraph(1500, 1)  # type: ignore[valid-type]  # Paragraph makes a type.
    document: Line(400)  # type: ignore[valid-type]  # Line makes a type.

    @model_validator(mode="after")
    def _in_order(self) -> SuspensionIn:
        if self.starts_on and self.ends_on and self.ends_on <= self.starts_on:
            raise ValueError("Ngày kết thúc phải sau ngày bắt đầu.")
        return self


class SuspensionOut(SuspensionBrief):
    set: str
    item: str
    created_at: datetime
    lifted_at: datetime | None


class SuspensionsOut(BaseModel):
    items: list[SuspensionOut]
    next: str | None


def suspension_out(row: Any) -> SuspensionOut:
    return SuspensionOut(
        id=row.id,
        set=row.set_code,
        item=row.item_code,
        unit=row.unit,
        reason=row.reason,
        document=row.document,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        created_at=row.created_at,
        lifted_at=row.lifted_at,
    )
