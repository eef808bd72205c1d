"""Owns the connection to a service's own PostgreSQL database and the tables the chassis keeps in it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import asyncpg
import sqlalchemy as sa
import uuid6
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.util import greenlet_spawn

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


def make_engine(settings: ServiceSettings, *, command_timeout: float = 60) -> AsyncEngine:
    """The pool of connections of one service. Every session speaks UTC and gives up on a lock after 10 s.

    `command_timeout` is the longest time, in seconds, that one statement may take.
    """
    return create_async_engine(
        settings.database_url,
        # None beyond the pool: under load each of them would be opened for one request and closed after it.
        pool_size=2 * settings.pool_size,
        max_overflow=0,
        # The connection used last knows the statements.
        pool_use_lifo=True,
        pool_pre_ping=False,
        pool_recycle=1800,
        # The text of an error would quote the values of the statement, and with them people's data.
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": command_timeout,
            "server_settings": {
                "application_name": f"xaso-{settings.name}",
                "timezone": "UTC",
                "lock_timeout": "10s",
                "idle_in_transaction_session_timeout": "60s",
            },
        },
    )


async def open_ahead(engine: AsyncEngine, count: int) -> None:
    """Open `count` connections of the pool: a crowd of requests must not wait for connections to be made, too."""
    async with AsyncExitStack() as opened:
        await asyncio.gather(*(opened.enter_async_context(engine.connect()) for _ in range(count)))


Write = tuple[str, tuple[Any, ...]]
"""A write that can wait: common table expressions of PostgreSQL with `$1`, `$2`, … and their values.

The first is called `@`, further ones `@` and a word; several writes become one statement, each under its own name.
"""
MOST_WAITING = 16
"""Writes in one statement: more save nothing worth having, and a statement has an end to its values."""
_PLACEHOLDER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=512)
def _one_statement(expressions: tuple[str, ...], counts: tuple[int, ...]) -> str:
    """All of `expressions` as one statement; `counts` says how many values each takes."""
    parts, before = [], 0
    for number, (text, count) in enumerate(zip(expressions, counts, strict=True)):

        def shifted(found: re.Match[str], by: int = before) -> str:
            return f"${int(found[1]) + by}"

        parts.append(_PLACEHOLDER.sub(shifted, text).replace("@", f"w{number}"))
        before += count
    return f"WITH {', '.join(parts)} SELECT 1"


def _merged(writes: Sequence[Write]) -> Write:
    values = tuple(value for _, given in writes for value in given)
    return _one_statement(tuple(text for text, _ in writes), tuple(len(given) for _, given in writes)), values


class _Waiting(Session):
    """A session whose waiting writes are sent before anything else is, so that nobody sees them missing."""

    waiting: list[Write]

    def send(self) -> None:
        """Send the waiting writes as one statement of the transaction."""
        if self.waiting:
            text, values = _merged(self.waiting)
            self.waiting.clear()
            super().connection().exec_driver_sql(text, values)

    def connection(self, *args: Any, **kwargs: Any) -> sa.Connection:
        # Whoever speaks to the connection itself goes past the events of the session.
        self.send()
        return super().connection(*args, **kwargs)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        self.send()
        super().flush(objects)

    def begin_nested(self) -> SessionTransaction:
        self.send()
        return super().begin_nested()

    def rollback(self) -> None:
        self.waiting.clear()
        super().rollback()


@sa.event.listens_for(_Waiting, "do_orm_execute")
def _send_first(state: ORMExecuteState) -> None:
    if isinstance(state.session, _Waiting):
        state.session.send()


@sa.event.listens_for(_Waiting, "before_commit")
def _send_last(session: Session) -> None:
    # An event and not `commit`: whoever commits by `async with tx.begin()` does not come through the session's method.
    if isinstance(session, _Waiting):
        session.send()


class Transaction(AsyncSession):
    """A session in which writes may wait for the end (`later`).

    What waits is sent in one statement, before the next other statement or with the commit. A transaction of nothing
    else is that one statement: it is atomic by itself, and costs one journey to the database instead of three.
    """

    sync_session_class = _Waiting

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: list[Write] = []
        assert isinstance(self.sync_session, _Waiting)  # noqa: S101 - it was made from the class named above.
        self.sync_session.waiting = self.waiting

    async def commit(self) -> None:
        if self.sync_session.in_transaction():
            await super().commit()
        elif self.waiting:
            text, values = _merged(self.waiting)
            self.waiting.clear()
            await fetch(self, text, *values)

    async def __aexit__(self, *exc: Any) -> None:
        # After a commit nothing is left to be given back, and closing is a task of its own.
        if self.sync_session.in_transaction():
            await super().__aexit__(*exc)


async def later(tx: AsyncSession, write: Write) -> None:
    """Have `write` done by the end of the transaction, together with others where that saves a journey."""
    if isinstance(tx, Transaction) and not tx.in_nested_transaction():
        tx.waiting.append(write)
        if len(tx.waiting) >= MOST_WAITING:
            await tx.flush()
    else:
        text, values = _merged([write])
        await (await tx.connection()).exec_driver_sql(text, values)


async def fetch(tx: AsyncSession, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
    """The rows of a statement in PostgreSQL's own words (`$1`); where nothing has begun, it is all of a transaction.

    It then goes straight to the driver, past the layers that would wrap it into BEGIN, COMMIT and a result. So it is
    for reading, and for a write that stands whatever becomes of the rest.
    """
    if tx.in_transaction() or (isinstance(tx, Transaction) and tx.waiting):
        result = await (await tx.connection()).exec_driver_sql(statement, values)
        return list(result)
    return await greenlet_spawn(_at_once, tx.get_bind(), statement, values)


def _at_once(engine: sa.Engine, statement: str, values: tuple[Any, ...]) -> list[asyncpg.Record]:
    pooled = engine.raw_connection()
    connection: Any = pooled.dbapi_connection
    try:
        found: list[asyncpg.Record] = connection.run_async(lambda driver: driver.fetch(statement, *values))
    except BaseException as error:
        if not isinstance(error, Exception) or connection.driver_connection.is_closed():
            pooled.invalidate(error)
        raise
    finally:
        pooled.close()
    return found


class Sessions:
    """Opens transactions. Only entry points (web, rpc, consumers, tasks) hold one of these."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._make = async_sessionmaker(
            engine, class_=Transaction, expire_on_commit=False, autoflush=True, info={"kept": {}}
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A transaction that commits at the end of the block and rolls back on any exception."""
        async with self._make() as session:
            yield session
            await session.commit()

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
    """Whether trying again later may help: the database is away, restarting, or chose us as a deadlock's victim.

    Of several errors at once all must be such.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(one) for one in error.exceptions)
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
        # The driver's own word for a connection that is gone; what it says of a bad value is a ValueError too.
        if isinstance(seen, asyncpg.InterfaceError) and not isinstance(seen, ValueError):
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
