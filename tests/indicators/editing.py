"""Owns how tests bring documents of criteria into force while a service runs, and take them back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chassis.units import Unit
from services.indicators.upkeep import following
from tests.indicators.conftest import Stage
from tests.support.running import bearer

API = "/indicators/api/v1"
ADMIN = bearer(("admin", "30"))
ROBOT = bearer(("partner", "30"), kind="partner", client_id="operator-robot", scope="indicators.criteria.write")

TRIAL = """
set: thu-{year}
title: {{vi: "Bộ thử {year}", en: "Trial {year}"}}
level: village
legal_basis: {{number: "1/QĐ", date: {year}-01-05, issuer: "UBND tỉnh", title: "Quyết định"}}
valid_from: {year}-01-05
needs: all
items:
  - code: "1"
    title: {{vi: "Cáp quang trên 60%", en: "Fibre over 60%"}}
    short: {{vi: "cáp quang", en: "fibre"}}
    rule: {{ratio: village.fibre_households, operator: ">", target: 60%}}
    feeds: [T]
"""
OVERLAY = """
overlay: hd-2026
on: hd-288-2023
unit: "{unit}"
title: {{vi: "Mục tiêu riêng", en: "Local targets"}}
legal_basis: {{number: "15/KH-UBND", date: 2026-01-10, issuer: "UBND tỉnh", title: "Kế hoạch"}}
valid_from: 2026-01-10
targets:
  - {{item: "288.5", operator: ">=", target: {target}}}
items:
  - code: "HD.1"
    title: {{vi: "Phủ sóng ít nhất một nửa địa bàn", en: "At least half of the area is covered"}}
    short: {{vi: "phủ sóng nửa địa bàn", en: "half covered"}}
    rule: {{ratio: village.signal_area, operator: ">=", target: 50%}}
    feeds: [T]
"""


def trial_set(year: int) -> str:
    """A set of villages with one row, in force from 5 January of the year."""
    return TRIAL.format(year=year)


def overlay(unit: Unit | str = "30", target: str = "70%") -> str:
    """An overlay on the set of villages: another target for fibre, and one row more."""
    return OVERLAY.format(unit=unit if isinstance(unit, str) else unit.code, target=target)


async def put(stage: Stage, name: str, text: str, headers: dict[str, str] = ADMIN, **params: str) -> Any:
    """The answer to a document that is handed in."""
    body = {"document": text}
    return await stage.client.put(f"{API}/criteria/{name}", json=body, headers=headers, params=params)


async def follow_up(stage: Stage) -> None:
    """What the tasks of a running service do after the notification."""
    await following.look(stage.running.runner.runtime.sessions)
    await following.catch_up(stage.running.runner.runtime.sessions)
    await stage.settle()


async def forget(stage: Stage, items: str) -> None:
    """The database without applied documents, orders, and the items of which this condition of SQL is true."""
    async with stage.running.tx() as tx:
        for table in ("criteria_edition", "criteria_work", "suspension"):
            await tx.execute(sa.text(f"DELETE FROM {table}"))
        await tx.execute(sa.text(f"DELETE FROM item WHERE {items}"))
        await tx.execute(sa.text("UPDATE criteria_version SET number = 0"))
