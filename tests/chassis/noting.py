"""Owns the gRPC service of notes that the tests of gRPC entry points call, and how they call it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.rpc import status_pb2
from pydantic import BaseModel

from chassis import rpc, telemetry
from chassis.db import Sessions, chassis_metadata, make_engine
from chassis.errors import DomainError, Forbidden, Kind, NotFound, Unavailable
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier
from tests.support.running import bearer, settings_for

NAME = "xaso.tests.notes.v1.NoteService"
OK_SCOPE = "notes.use"


class NoteTaken(DomainError):
    code = "note_taken"
    kind = Kind.CONFLICT
    message = "Ghi chú {id} đã có."


class Form(BaseModel):
    count: int


def servicer(notes: SimpleNamespace, arrived: asyncio.Event, go: asyncio.Event) -> Any:
    class Notes(notes.grpc.NoteServiceServicer):  # type: ignore[misc, name-defined]  # made when the test runs.
        async def Write(self, request: Any, context: Any) -> Any:
            await rpc.tx().execute(
                sa.text("INSERT INTO note VALUES (:id, :text)"), {"id": request.id, "text": request.text}
            )
            if request.text == "then fail":
                raise NoteTaken(id=request.id)
            if request.text == "then abort":
                await context.abort(grpc.StatusCode.ABORTED, "no")
            if request.text == "then set code":
                context.set_code(grpc.StatusCode.NOT_FOUND)
            if request.text == "then oversleep":
                # Nothing else runs meanwhile, so that nothing can cancel this call.
                time.sleep(max(0.0, context.time_remaining()) + 0.05)  # noqa: ASYNC251 - blocking is the point.
            if request.text == "then wait":
                arrived.set()
                await go.wait()
            return notes.pb.Note(id=request.id, text=request.text, count=uuid.uuid4().int >> 66)

        async def Get(self, request: Any, context: Any) -> Any:
            me = rpc.me()
            return notes.pb.Note(id=me.subject, text=request.text, tags=request.tags, labels=request.labels)

        async def Fail(self, request: Any, context: Any) -> Any:
            match request.text:
                case "forbidden":
                    raise Forbidden()
                case "missing":
                    raise NotFound(field="id")
                case "away":
                    raise Unavailable()
                case "bug":
                    raise ZeroDivisionError("0909123456 of Nguyễn Văn A")
                case "uuid":
                    rpc.uuid_of(request.id, "id")
                case "form":
                    Form.model_validate({"count": request.id})
                case "range":
                    await rpc.tx().execute(sa.text("SELECT CAST(:n AS int)"), {"n": request.count})
                case "lost":
                    raise ConnectionRefusedError()
            return request

        async def Open(self, request: Any, context: Any) -> Any:
            try:
                return notes.pb.Note(id=rpc.me().subject)
            except DomainError:
                return notes.pb.Note(id="nobody")

        async def Collect(self, requests: Any, context: Any) -> Any:
            count, last = 0, ""
            async for request in requests:
                if request.text == "tx":
                    rpc.tx()
                async with rpc.transaction() as tx:
                    await tx.execute(sa.text("INSERT INTO note VALUES (:i, :t)"), {"i": request.id, "t": request.text})
                count, last = count + 1, request.text
                if request.text == "stop":
                    raise NoteTaken(id=request.id)
            return notes.pb.Note(count=count, text=last)

        async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
            for number in range(request.count):
                async with rpc.read() as tx:
                    assert await tx.scalar(sa.text("SELECT 1")) == 1
                yield notes.pb.Note(count=number, id=rpc.me().subject)
            if request.text == "forbidden":
                raise Forbidden()
            if request.text == "for ever":
                try:
                    arrived.set()
                    await asyncio.Event().wait()
                finally:
                    go.set()

        async def Chat(self, requests: Any, context: Any) -> None:
            async for request in requests:
                await context.write(request)

    return Notes()


@dataclass
class Served:
    server: rpc.RpcServer
    settings: ServiceSettings
    sessions: Sessions
    stub: Any
    channel: grpc.aio.Channel
    port: int
    arrived: asyncio.Event
    go: asyncio.Event

    async def written(self, note: str) -> int:
        async with self.sessions.read() as tx:
            return int(await tx.scalar(sa.text("SELECT count(*) FROM note WHERE id = :id"), {"id": note}))


@asynccontextmanager
async def serving(notes: SimpleNamespace, database_url: str, **changed: Any) -> AsyncIterator[Served]:
    settings = settings_for(ServiceSettings, database_url, name="notes", **changed)
    telemetry.configure(settings)
    engine = make_engine(settings)
    async with engine.begin() as connection:
        await connection.run_sync(chassis_metadata.create_all)
        await connection.execute(sa.text("CREATE TABLE IF NOT EXISTS note (id text PRIMARY KEY, text text NOT NULL)"))
    sessions, arrived, go = Sessions(engine), asyncio.Event(), asyncio.Event()
    scopes = dict.fromkeys((f"/{NAME}/{m}" for m in ("Write", "Get", "Fail", "Collect", "Watch", "Chat")), OK_SCOPE)
    scopes[f"/{NAME}/Open"] = rpc.ANYONE
    entry = rpc.Rpc(
        notes.grpc.add_NoteServiceServicer_to_server, servicer(notes, arrived, go), scopes, notes.pb.DESCRIPTOR
    )
    server = rpc.RpcServer(settings, [entry], sessions, Verifier(settings))
    port = await server.start()
    try:
        async with rpc.channel(f"127.0.0.1:{port}", tls_ca=settings.grpc_tls_cert) as channel:
            stub = notes.grpc.NoteServiceStub(channel)
            yield Served(server, settings, sessions, stub, channel, port, arrived, go)
    finally:
        await server.stop(1)
        await engine.dispose()


def auth(*, scope: str = OK_SCOPE, **more: Any) -> tuple[tuple[str, str], ...]:
    header = bearer(("officer", "30/298/11074"), scope=scope, **more)
    return (("authorization", header["authorization"]),)


def status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    trailing = dict(error.trailing_metadata() or ())
    return status_pb2.Status.FromString(trailing["grpc-status-details-bin"])


def unpacked(found: status_pb2.Status, kind: Any) -> Any:
    for detail in found.details:
        message = kind()
        if detail.Unpack(message):
            return message
    raise AssertionError(f"no {kind.__name__} in the status")


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value
