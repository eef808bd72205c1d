"""Owns the shapes of the history of a row in JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.indicators.answers.asking import RowHistory
from services.indicators.answers.history import Asked, Point, Turn
from services.indicators.shapes.schemas import FigureOut, Status, figure_out


class TurnOut(BaseModel):
    at: datetime
    before: Status
    after: Status
    value: FigureOut | None
    because: str = Field(description="The event, observation or document of the change, as type:id.")


class PointOut(BaseModel):
    """How the row stood from `at` on."""

    at: datetime
    status: Status
    value: FigureOut | None


class AskedOut(BaseModel):
    """What was asked from a day on; numerator/denominator are null where the row was not judged by one number."""

    since: date
    operator: Literal[">", ">=", "="] | None
    numerator: int | None
    denominator: int | None
    text: str
    overlay: str | None = Field(description="The overlay that asked for it; null: the set itself.")


class HistoryOut(BaseModel):
    unit: str
    set: str
    item: str
    items: list[TurnOut] = Field(description="Changes, newest first.")
    next: str | None = Field(description="Give it as `after` to get older changes; null on the last page.")
    points: list[PointOut] = Field(description="For a chart, oldest first: the last of each day of a year.")
    targets: list[AskedOut] = Field(description="What was asked, oldest first.")


def turn_out(turn: Turn) -> TurnOut:
    return TurnOut(
        at=turn.at,
        before=turn.before,  # type: ignore[arg-type]  # pydantic checks that it is one of the six.
        after=turn.after,  # type: ignore[arg-type]  # as above.
        value=figure_out(turn.figure),
        because=turn.cause,
    )


def _point(point: Point) -> PointOut:
    return PointOut(at=point.at, status=point.status, value=figure_out(point.figure))  # type: ignore[arg-type]  # as above


def _asked(asked: Asked) -> AskedOut:
    return AskedOut(
        since=asked.since,
        operator=asked.operator,  # type: ignore[arg-type]  # pydantic checks that it is one of the three.
        numerator=asked.number.numerator if asked.number is not None else None,
        denominator=asked.number.denominator if asked.number is not None else None,
        text=asked.text,
        overlay=asked.overlay,
    )


def history_out(found: RowHistory) -> HistoryOut:
    return HistoryOut(
        unit=found.unit.code,
        set=found.criteria.code,
        item=found.item.code,
        items=[turn_out(turn) for turn in found.turns],
        next=found.next,
        points=[_point(point) for point in found.course.points],
        targets=[_asked(asked) for asked in found.course.asked],
    )
