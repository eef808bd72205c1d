"""Periods in Việt Nam's time: which year, quarter and month a word speaks of, and when it counts no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from xaso.media.v1 import events_pb2 as media

from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Ratio
from services.indicators.calculation.packing import SEPARATOR
from services.indicators.calculation.prepared import prepared
from services.indicators.calculation.remembering import as_columns
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.stream.consumers import bulletin
from services.indicators.stream.sink import Envelope

CATALOGUE = library.catalogue()
# 17:00 in Greenwich is midnight in Việt Nam: the one instant is still the old year, the other the new one.
LAST = datetime(2025, 12, 31, 16, 59, 59, 999999, tzinfo=UTC)
FIRST = datetime(2025, 12, 31, 17, 0, tzinfo=UTC)
WEST = timezone(timedelta(hours=-8))


def fact(at: datetime, attribute: str = "petition.answer", value: engine.Value = "answered", period: str = "") -> Fact:
    return Fact(attribute, "e1", "petitions", "event", "11074-01@2020-01-01", value, 1, "event:1", at, period, False)


@pytest.mark.parametrize("seen_in", [UTC, WEST, engine.VIETNAM])
def test_a_day_a_month_and_a_year_begin_at_midnight_in_viet_nam(seen_in: timezone) -> None:
    last, first = LAST.astimezone(seen_in), FIRST.astimezone(seen_in)
    assert (engine.day_of(last), engine.day_of(first)) == (date(2025, 12, 31), date(2026, 1, 1))
    assert (fact(last).about_period, fact(first).about_period) == ("2025-12", "2026-01")
    assert (fact(last).counted_in("year"), fact(first).counted_in("year")) == ("2025", "2026")
    assert (engine.about(fact(last)), engine.about(fact(first))) == (date(2025, 12, 31), date(2026, 1, 1))


@pytest.mark.parametrize(("at", "status"), [(LAST, False), (FIRST, True)])
def test_a_yearly_yes_counts_from_midnight_in_viet_nam(at: datetime, status: bool) -> None:
    measure = CATALOGUE.measures["village.digital_dialogue"]
    found = [fact(at)]
    assert engine.read(measure, engine.tally(found, CATALOGUE), found, date(2026, 1, 1)).figure is status


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_lies_in_its_own_quarter_and_in_no_other(month: int) -> None:
    today = date(2026, month, 15)
    quarter = ["Q1", "Q1", "Q1", "Q2", "Q2", "Q2", "Q3", "Q3", "Q3", "Q4", "Q4", "Q4"][month - 1]
    current = [name for name in ("Q1", "Q2", "Q3", "Q4") if engine.is_current("quarter", f"2026-{name}", today)]
    assert current == [quarter]
    months = [n for n in range(1, 13) if engine.is_current("quarter", f"2026-{n:02d}", today)]
    assert months == {"Q1": [1, 2, 3], "Q2": [4, 5, 6], "Q3": [7, 8, 9], "Q4": [10, 11, 12]}[quarter]
    assert [n for n in range(1, 13) if engine.is_current("month", f"2026-{n:02d}", today)] == [month]


@pytest.mark.parametrize(
    ("kind", "period", "current"),
    [
        ("year", "2026", True), ("year", "2026-Q1", True), ("year", "2026-01", True), ("year", "2025", False),
        ("quarter", "2026", False),  # what is said of the year says nothing of a quarter
        ("quarter", "2025-Q4", False), ("quarter", "2025-11", False),
        ("month", "2026", False), ("month", "2026-Q4", False), ("month", "2025-11", False), ("month", "2026-11", True),
        (None, "2020", True),
    ],
)  # fmt: skip
def test_a_coarser_period_does_not_lie_in_a_finer_one(kind: c.Period | None, period: str, current: bool) -> None:
    assert engine.is_current(kind, period, date(2026, 11, 22)) is current


@pytest.mark.parametrize(
    ("kind", "period", "figure"),
    [("year", "2026-10", 3), ("year", "2026", 3), ("year", "2025", None), ("quarter", "2026-10", 3),
     ("quarter", "2026", None), ("month", "2026-10", None), ("month", "2026-11", 3)],
)  # fmt: skip
def test_a_reported_figure_counts_in_its_period_only(kind: c.Period, period: str, figure: int | None) -> None:
    measure = replace(CATALOGUE.measures["commune.digital_skill_classes"], period=kind)
    told = replace(fact(FIRST, measure.code, 3, period), origin="staff")
    assert engine.read(measure, {}, [told], date(2026, 11, 22)).figure == figure
    assert engine.reported_figure(measure, [told], date(2026, 11, 22)) == figure


def test_of_one_class_the_later_day_counts_and_then_the_later_word() -> None:
    """Both ways of reading agree: by what it speaks of first, then by when it was said."""
    measure = CATALOGUE.measures["commune.work_dossiers_online"]
    year = replace(fact(FIRST, measure.code, Ratio(1, 9), "2026"), origin="partner", source="a", sequence=1)
    month = replace(fact(FIRST, measure.code, Ratio(2, 9), "2026-11"), origin="partner", source="b", sequence=9)
    again = replace(month, value=Ratio(3, 9), source="c", sequence=10)
    for told, expected in (([year, month], 1), ([month, year], 1), ([month, again], 3), ([again, month], 3)):
        assert engine.read(measure, {}, told, date(2026, 11, 22)).figure == Ratio(expected, 9)
        assert engine.reported_figure(measure, told, date(2026, 11, 22)) == Ratio(expected, 9)


def test_what_is_written_beside_a_fact_is_the_heap_it_is_counted_in() -> None:
    """The database is told the period of the heap, worked out once per hour; it is that of the engine."""
    ready = prepared(CATALOGUE)
    told = [fact(at) for at in (LAST, FIRST, LAST.astimezone(WEST), FIRST.astimezone(WEST))]
    told.append(fact(FIRST, period="2024-Q3"))
    written = as_columns([(one, one.unit) for one in told], ready)["given_heap_period"].split(SEPARATOR)[1:]
    assert written == [one.counted_in(ready.grains["petition.answer"]) for one in told]
    assert written == ["2025", "2026", "2025", "2026", "2024"]


@pytest.mark.parametrize(("at", "month"), [(LAST, "2025-12"), (FIRST, "2026-01")])
def test_a_bulletin_is_played_in_the_month_of_viet_nam(at: datetime, month: str) -> None:
    message = media.BulletinAcknowledged(loudspeaker=media.Loudspeaker(id="loa-1", unit="11074-01"))
    event = Envelope(message.DESCRIPTOR.full_name, "1", "/media", at, 1)
    (told,) = bulletin(message, event)
    assert (told.period, told.entity, told.value) == (month, f"loa-1@{month}", "played")
