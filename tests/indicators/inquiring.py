"""Owns how the tests of questions put figures on record: facts of one instant, taken in as observations are."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.units import Unit
from services.indicators.calculation import ledger
from services.indicators.calculation.engine import Fact
from services.indicators.criteria import library
from services.indicators.criteria.figures import Value
from tests.indicators.conftest import Stage

API = "/indicators/api/v1"
_numbers = itertools.count(1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def said(unit: Unit, measure: str, value: Value | None, **changed: Any) -> Fact:
    """What the telecom (or `source`) said of a whole unit, now unless `at`."""
    at: datetime = changed.pop("at", datetime.now(UTC))
    period = changed.pop("period", "")
    values: dict[str, Any] = {
        "entity": f"{unit.code}/{period}",
        "source": "vienthong",
        "origin": "partner",
        "sequence": (at - EPOCH) // timedelta(microseconds=1),
        "cause": f"observation:vienthong/{next(_numbers)}",
        **changed,
    }
    return Fact(attribute=measure, unit=unit.code, value=value, observed_at=at, period=period, **values)


def of_entity(unit: Unit, attribute: str, entity: str, value: Value, **changed: Any) -> Fact:
    """What the telecom said of one household, person or area of a unit."""
    return said(unit, attribute, value, entity=f"{unit.code}/{entity}", **changed)


async def record(stage: Stage, *facts: Fact) -> None:
    async with stage.running.tx() as tx:
        await ledger.record(tx, facts, library.catalogue())


async def ask(stage: Stage, unit: Unit, set_code: str, body: dict[str, Any], **more: Any) -> Any:
    """What-if as somebody signed in asks it; the JSON answer."""
    headers = more.pop("headers", None) or {}
    if not headers:
        stage.client.cookies.set("xaso_csrf", "token")
        headers = {"x-csrf-token": "token"}
    response = await stage.client.post(
        f"{API}/units/{unit.code}/sets/{set_code}/what-if", json=body, headers=headers, **more
    )
    stage.client.cookies.clear()
    return response


def row(answer: dict[str, Any], code: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in answer["items"] if item["code"] == code)
    return found
