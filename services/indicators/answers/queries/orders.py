"""Owns the reading of suspensions."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.units import Unit
from services.indicators.calculation.model import UnknownSuspension

_SUSPENSIONS = """
    SELECT id, set_code, item_code, unit, reason, document, starts_on, ends_on, created_at, lifted_at FROM suspension
    WHERE {conditions} ORDER BY id DESC LIMIT :most
"""


async def suspension(tx: AsyncSession, suspension_id: uuid.UUID) -> Any:
    """One suspension as a row; raises UnknownSuspension."""
    text = _SUSPENSIONS.format(conditions="id = :id")
    row = (await tx.execute(sa.text(text), {"id": suspension_id, "most": 1})).first()
    if row is None:
        raise UnknownSuspension
    return row


async def suspensions(
    tx: AsyncSession, *, path: str | None, set_code: str | None, limit: int, before: uuid.UUID | None
) -> list[Any]:
    """Suspensions that concern `path` (above, on or below it), newest first; up to `limit` + 1."""
    asked: dict[str, Any] = {"most": limit + 1}
    conditions = ["true"]
    if path is not None:
        conditions.append("(path = :path OR path LIKE :below OR :path LIKE path || '/%')")
        asked |= {"path": path, "below": f"{path}/%"}
    if set_code is not None:
        conditions.append("set_code = :set_code")
        asked["set_code"] = set_code
    if before is not None:
        conditions.append("id < :before")
        asked["before"] = before
    text = _SUSPENSIONS.format(conditions=" AND ".join(conditions))
    return list((await tx.execute(sa.text(text), asked)).all())


_SUSPENDED = sa.text("""
    SELECT item_code, reason, document, starts_on, ends_on FROM suspension
    WHERE set_code = :set_code AND lifted_at IS NULL AND starts_on <= :day AND (ends_on IS NULL OR ends_on > :day)
      AND (path = :path OR :path LIKE path || '/%')
    ORDER BY starts_on, id
""")


async def suspended(tx: AsyncSession, unit: Unit, set_code: str, day: date) -> list[Any]:
    """The orders by which items of the set are not judged for the unit on a day."""
    asked = {"set_code": set_code, "day": day, "path": unit.path}
    return list((await tx.execute(_SUSPENDED, asked)).all())
