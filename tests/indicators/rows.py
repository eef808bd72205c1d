"""Owns how a test of a feed reads one row of a unit's sheet."""

from __future__ import annotations

from typing import Any

from chassis.units import Unit
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API

SMART = "mard-2023-smart-commune"


async def row(stage: Stage, unit: Unit, code: str, of: str = SMART) -> tuple[str, Any]:
    """The status and the value of the row `code` of set `of`."""
    answer = await stage.client.get(f"{API}/units/{unit.code}/sets/{of}")
    assert answer.status_code == 200, answer.text
    item = next(item for item in answer.json()["items"] if item["code"] == code)
    return item["status"], item["value"]
