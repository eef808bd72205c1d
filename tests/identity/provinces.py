"""Owns what the tests of a reorganisation share: Hải Dương with villages, its change set, and the rows it touches."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from services.identity.units import packages
from services.identity.units.changeset import ChangeSet, Placed
from tests.support.running import Running, bearer

UNITS = "/identity/api/v1/units"
HOUSEHOLDS = "/identity/api/v1/households"
DAY = date(2025, 7, 1)
EVE = DAY - timedelta(days=1)
HTML = {"accept": "text/html"}
ADMIN = bearer(("admin", "30"))
# The villages of two communes: Đại Sơn goes over whole, Hưng Đạo is split between the new Đại Sơn and Tân Kỳ.
VILLAGES = {"11083": ("Nghĩa Dũng", "Mỹ Ân"), "11086": ("Lạc Dục", "Xuân Nẻo")}
PLACES = (Placed(0, "11086-01", "11086"), Placed(0, "11086-02", "11113"))


def hai_duong() -> ChangeSet:
    return packages.reorganisation(["30"])


async def everything(run: Running) -> list[Any]:
    """The rows that an application would touch."""
    tables = ("unit", "succession", "change_set", "unsettled_role", "role_grant", "household", "household_register")
    tables += ("outbox", "outbox_sequence")
    async with run.tx() as tx:
        return [(await tx.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1, 2"))).all() for table in tables]


def shares(change_set: ChangeSet, of: str, *given: Fraction | None) -> ChangeSet:
    left = iter(given)
    links = tuple(replace(k, share=next(left)) if k.predecessor == of else k for k in change_set.links)
    return replace(change_set, links=links)
