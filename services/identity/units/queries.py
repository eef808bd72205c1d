"""Owns the questions about units that the pages ask beyond those of the chassis."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import unit_table
from chassis.units import LEVELS, today


async def counts_below(tx: AsyncSession, path: str) -> dict[str, int]:
    """How many units of each level (a key of LEVELS, 0 where there is none) lie below `path` today."""
    columns = unit_table.c
    query = (
        sa.select(columns.level, sa.func.count().label("count_"))
        .where(
            columns.path.startswith(f"{path}/", autoescape=True),
            columns.valid_from <= today(),
            sa.or_(columns.valid_to.is_(None), columns.valid_to > today()),
        )
        .group_by(columns.level)
    )
    return {**dict.fromkeys(LEVELS, 0), **{row.level: row.count_ for row in await tx.execute(query)}}


async def names(tx: AsyncSession, codes: set[str]) -> dict[str, str]:
    """The names of `codes` as of today; unknown codes are left out."""
    columns = unit_table.c
    query = sa.select(columns.code, columns.name).where(
        columns.code.in_(codes),
        columns.valid_from <= today(),
        sa.or_(columns.valid_to.is_(None), columns.valid_to > today()),
    )
    return {row.code: row.name for row in await tx.execute(query)}
