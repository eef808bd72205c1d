"""Owns listening to what a service sends to its database: through SQLAlchemy, or past it (`chassis.db.fetch`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import sqlalchemy as sa

Statement = tuple[str, Any]
"""As PostgreSQL gets it, with its parameters."""


@contextlib.asynccontextmanager
async def sent_by(engine: sa.Engine) -> AsyncIterator[list[Statement]]:
    """The statements that are sent inside the block, without those that begin and end transactions."""
    sent: list[Statement] = []
    heard: set[asyncpg.Connection] = set()

    def executed(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        sent.append((statement, parameters))

    def fetched(query: Any) -> None:
        if query.query.strip(" ;") not in ("BEGIN", "COMMIT", "ROLLBACK"):
            sent.append((query.query, query.args))

    def taken(connection: Any, _record: Any, _proxy: Any) -> None:
        # The driver tells of what goes past SQLAlchemy only.
        connection.driver_connection.add_query_logger(fetched)
        heard.add(connection.driver_connection)

    sa.event.listen(engine, "before_cursor_execute", executed)
    sa.event.listen(engine, "checkout", taken)
    try:
        yield sent
        # The driver tells a turn of the event loop later.
        await asyncio.sleep(0)
    finally:
        sa.event.remove(engine, "before_cursor_execute", executed)
        sa.event.remove(engine, "checkout", taken)
        for connection in heard:
            connection.remove_query_logger(fetched)
