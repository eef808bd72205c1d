"""Owns how facts, figures and statuses lie in the tables, how units are named there, and the named errors.

The tables are described in `migrations/versions/0002_compliance.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from chassis.errors import DomainError, Kind, NotFound
from chassis.units import Unit
from services.indicators.calculation.engine import Fact, Figure, Ratio, Value

CHANGES_CHANNEL = "indicators_changes"
"""PostgreSQL notifies here when changes have got their positions; the payload is the last position."""
PENDING_CHANNEL = "indicators_pending"
"""PostgreSQL notifies here when changes wait for a position."""


class UnknownSet(NotFound):
    code: ClassVar[str] = "unknown_set"
    message: ClassVar[str] = "Không có bộ chỉ tiêu mã {set}."


class UnknownItem(NotFound):
    code: ClassVar[str] = "unknown_item"
    message: ClassVar[str] = "Bộ {set} không có chỉ tiêu mã {item}."


class SetNotForLevel(NotFound):
    """The set is for villages and the unit lies below them, or the set is for provinces and the unit is a village."""

    code: ClassVar[str] = "set_not_for_level"
    message: ClassVar[str] = "Bộ {set} không dùng cho đơn vị mã {unit}."


class UnknownSuspension(NotFound):
    code: ClassVar[str] = "unknown_suspension"
    message: ClassVar[str] = "Không có quyết định tạm hoãn này."


class AlreadyLifted(DomainError):
    code: ClassVar[str] = "already_lifted"
    kind: ClassVar[Kind] = Kind.CONFLICT
    message: ClassVar[str] = "Quyết định tạm hoãn này đã được gỡ."


def unit_key(unit: Unit) -> str:
    """How the tables name a unit: its code and the first day of its validity."""
    return f"{unit.code}@{unit.valid_from.isoformat()}"


def parked_key(code: str) -> str:
    """How the tables name a unit that identity has not described yet."""
    return f"{code}@"


def code_of(key: str) -> str:
    return key.rsplit("@", 1)[0]


Stored = tuple[str | None, int | None, int | None]
"""A value as three columns: a state for flags and states, numerator and denominator for ratios and counts."""


def store(value: Value | None) -> Stored:
    if isinstance(value, bool):
        return ("true" if value else "false", None, None)
    if isinstance(value, Ratio):
        return (None, value.numerator, value.denominator)
    if isinstance(value, int):
        return (None, value, None)
    return (value, None, None)


def restore(state: str | None, numerator: int | None, denominator: int | None) -> Value | None:
    if state in ("true", "false"):
        return state == "true"
    if state is not None:
        return state
    if denominator is not None and numerator is not None:
        return Ratio(numerator, denominator)
    return numerator


def fact_of(row: Any) -> Fact:
    """A fact from a row of `fact` or `fact_history`."""
    return Fact(
        attribute=row.attribute,
        entity=row.entity,
        source=row.source,
        origin=row.origin,
        unit=row.unit,
        value=restore(row.state, row.numerator, row.denominator),
        sequence=row.sequence,
        cause=row.cause,
        observed_at=row.observed_at,
        period=row.period,
        withdrawn=row.withdrawn,
    )


class FigureColumns(NamedTuple):
    """A figure as three columns: flag, or numerator with or without denominator."""

    flag: bool | None
    numerator: int | None
    denominator: int | None


def figure_columns(figure: Figure | None) -> FigureColumns:
    if isinstance(figure, bool):
        return FigureColumns(figure, None, None)
    if isinstance(figure, Ratio):
        return FigureColumns(None, figure.numerator, figure.denominator)
    return FigureColumns(None, figure, None)


def figure_of(flag: bool | None, numerator: int | None, denominator: int | None) -> Figure | None:
    if flag is not None:
        return flag
    if numerator is not None and denominator is not None:
        return Ratio(numerator, denominator)
    return numerator


def figure_json(figure: Figure | None) -> dict[str, Any] | None:
    """`{numerator, denominator}`, `{flag}` or `{count}`; None where nothing is known."""
    if figure is None:
        return None
    if isinstance(figure, bool):
        return {"flag": figure}
    if isinstance(figure, Ratio):
        return {"numerator": figure.numerator, "denominator": figure.denominator}
    return {"count": figure}


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log: an item of a unit changed its status or its figure."""

    position: int
    unit: str
    path: str
    set_code: str
    item_code: str
    before: str
    after: str
    figure: Figure | None
    met: int
    total: int
    cause: str
    at: datetime

    def json(self) -> dict[str, Any]:
        """As the stream of changes carries it."""
        return {
            "id": self.position,
            "unit": self.unit,
            "set": self.set_code,
            "item": self.item_code,
            "before": self.before,
            "after": self.after,
            "value": figure_json(self.figure),
            "changed_at": self.at.isoformat(),
            "because": self.cause,
            "met": self.met,
            "total": self.total,
        }


def change_of(row: Any) -> Change:
    """A change from a row of `change` that has its position."""
    return Change(
        position=row.position,
        unit=row.code,
        path=row.path,
        set_code=row.set_code,
        item_code=row.item_code,
        before=row.before,
        after=row.after,
        figure=figure_of(row.flag, row.numerator, row.denominator),
        met=row.met,
        total=row.total,
        cause=row.cause,
        at=row.at,
    )


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as one list per column, for `unnest`; raises IndexError on no rows."""
    return {name: [row[name] for row in rows] for name in rows[0]}
