"""Owns the outcome of one row from facts alone, without state or database: what the service is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from services.indicators.calculation import engine
from services.indicators.calculation.engine import Fact, Outcome, Tally
from services.indicators.criteria import catalogue as c


def outcome_of(item: c.Item, catalogue: c.Catalogue, heaps: Tally, reported: Sequence[Fact], today: date) -> Outcome:
    """Status and figure of one item for one unit."""
    figures = {code: engine.read(catalogue.measures[code], heaps, reported, today).figure for code in item.measures}
    return engine.judge(item.rule, figures)
