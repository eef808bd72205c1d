"""Owns the connection to a service's own PostgreSQL database and the tables the chassis keeps in it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import uuid6
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from chassis.settings import ServiceSettings

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

UtcDateTime = sa.DateTime(timezone=True)
"""Column type for instants: stored with a zone, always aware in Python."""


def new_id() -> uuid.UUID:
    """A new UUIDv7 (RFC 9562): its order is the order of creation, so indexes stay dense."""
    return uuid.UUID(int=uuid6.uuid7().int)


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


chassis_metadata = sa.MetaData(naming_convention=NAMING)

outbox_table = sa.Table(
    "outbox",
    chassis_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("event_id", pg.UUID(as_uuid=True), nullable=False, unique=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("occurred_at", UtcDateTime, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False, server_default=""),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("published_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text),
    sa.UniqueConstraint("subject", "sequence"),
    sa.Index("ix_outbox_unpublished", "id", postgresql_where=sa.text("published_at IS NULL")),
    sa.Index("ix_outbox_published_at", "published_at"),
)

outbox_sequence_table = sa.Table(
    "outbox_sequence",
    chassis_metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("last", sa.BigInteger, nullable=False),
)

inbox_table = sa.Table(
    "inbox",
    chassis_metadata,
    sa.Column("event_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("received_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Index("ix_inbox_received_at", "received_at"),
)

dead_letter_table = sa.Table(
    "dead_letter",
    chassis_metadata,
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("key", sa.LargeBinary),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("headers", pg.JSONB, nullable=False),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("dead_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("replayed_at", UtcDateTime),
    sa.Column("replayed_by", sa.Text),
    sa.Column("cluster", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("cluster", "topic", "partition", "offset"),
    sa.Index("ix_dead_letter_open", "dead_at", postgresql_where=sa.text("replayed_at IS NULL")),
)

idempotency_table = sa.Table(
    "idempotency",
    chassis_metadata,
    sa.Column("principal", sa.Text, primary_key=True),
    sa.Column("route", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", pg.JSONB),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Index("ix_idempotency_created_at", "created_at"),
)

unit_table = sa.Table(
    "unit",
    chassis_metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("valid_from", sa.Date, primary_key=True),
    sa.Column("valid_to", sa.Date),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="validity"),
    sa.Index("ix_unit_parent", "parent", "code"),
    sa.Index("ix_unit_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
    sa.Index("ix_unit_level", "level", "code"),
)

relay_state_table = sa.Table(
    "relay_state",
    chassis_metadata,
    sa.Column("one", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.CheckConstraint("one", name="single"),
)

audit_table = sa.Table(
    "audit",
    chassis_metadata,
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("detail", pg.JSONB, nullable=False),
    sa.Column("chain", sa.BigInteger, unique=True),
    sa.Column("prev_hash", sa.LargeBinary),
    sa.Column("hash", sa.LargeBinary),
    sa.Index("ix_audit_unsealed", "id", postgresql_where=sa.text("chain IS NULL")),
)


def make_engine(settings: ServiceSettings) -> AsyncEngine:
    """The pool of connections of one service. Every session speaks UTC and gives up on a lock after 5 s."""
    return create_async_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_pre_ping=False,
        pool_recycle=1800,
        # The text of an error would quote the values of the statement, and with them people's data.
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 60,
            "server_settings": {
                "application_name": f"xaso-{settings.name}",
                "timezone": "UTC",
                "lock_timeout": "10s",
                "idle_in_transaction_session_timeout": "60s",
            },
        },
    )


class Sessions:
    """Opens transactions. Only entry points (web, rpc, consumers, tasks) hold one of these."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._make = async_sessionmaker(engine, expire_on_commit=False, autoflush=True)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A transaction that commits at the end of the block and rolls back on any exception."""
        async with self._make() as session, session.begin():
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction for reading: it is always rolled back."""
        async with self._make() as session:
            yield session

    def open(self) -> AsyncSession:
        """A session whose end the caller owns; for the route class and the gRPC interceptor only."""
        return self._make()


TRANSIENT_SQLSTATES = ("08", "40", "53", "55P03", "57P")
"""Classes of SQLSTATE that may pass by themselves: connection, rollback, resources, lock, shutdown."""


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may help: the database is away, restarting, or chose us as a deadlock's victim."""
    seen: BaseException | None = error
    while seen is not None:
        state: Any = getattr(seen, "sqlstate", None) or getattr(getattr(seen, "orig", None), "sqlstate", None)
        if isinstance(state, str) and state.startswith(TRANSIENT_SQLSTATES):
            return True
        if getattr(seen, "connection_invalidated", False):
            return True
        if isinstance(seen, (ConnectionError, TimeoutError, sa.exc.TimeoutError, sa.exc.InterfaceError)):
            return True
        if isinstance(seen, OSError):
            return True
        seen = seen.__cause__ or getattr(seen, "orig", None)
    return False


BAD_TEXT_SQLSTATES = ("22021", "22P05", "22P02", "22003", "22007", "22008", "22001")
"""SQLSTATE codes by which PostgreSQL refuses a value a client sent (NUL, range, syntax of a literal)."""


def is_bad_value(error: BaseException) -> bool:
    """Whether PostgreSQL refused a client's value itself."""
    seen: BaseException | None = error
    while seen is not None:
        state: Any = getattr(seen, "sqlstate", None) or getattr(getattr(seen, "orig", None), "sqlstate", None)
        if isinstance(state, str) and state in BAD_TEXT_SQLSTATES:
            return True
        # The driver itself refuses what does not fit the type of a parameter, before anything is sent.
        if type(seen).__name__ == "DataError":
            return True
        seen = seen.__cause__
    return False
