"""gRPC entry points: who gets in, one transaction a call, errors a client can read, and a client that tries again."""

import asyncio
import datetime
import importlib
import ipaddress
import sys
import time
import unicodedata
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_tools import protoc
from opentelemetry.trace import SpanKind
from pydantic import BaseModel

from chassis import metrics, rpc, telemetry
from chassis.db import Sessions, chassis_metadata, make_engine
from chassis.errors import DomainError, Forbidden, Kind, NotFound, Unavailable
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier
from tests.support.running import bearer, settings_for
from tests.support.waiting import eventually

NAME = "xaso.tests.notes.v1.NoteService"
OK_SCOPE = "notes.use"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The generated modules of notes.proto."""
    out = tmp_path_factory.mktemp("notes")
    here = Path(__file__).parent
    assert protoc.main(["", f"-I{here}", f"--python_out={out}", f"--grpc_python_out={out}", "notes.proto"]) == 0
    sys.path.insert(0, str(out))
    try:
        yield SimpleNamespace(pb=importlib.import_module("notes_pb2"), grpc=importlib.import_module("notes_pb2_grpc"))
    finally:
        sys.path.remove(str(out))


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


@pytest.fixture(scope="module")
async def served(notes: SimpleNamespace, database: Callable[[str], str]) -> AsyncIterator[Served]:
    async with serving(notes, database("notes")) as running:
        yield running


@pytest.fixture
def note(notes: SimpleNamespace) -> Any:
    return notes.pb.Note


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


# --- Who gets in ---


async def test_names_the_caller(served: Served, note: Any) -> None:
    assert (await served.stub.Get(note(text="a"), metadata=auth(subject="u-1"))).id == "u-1"


@pytest.mark.parametrize(
    ("metadata", "code", "ours"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
        ((("authorization", "Basic YTpi"),), grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
        ((("authorization", "Bearer nonsense"),), grpc.StatusCode.UNAUTHENTICATED, "token_invalid"),
        (auth(lifetime=-3600, iat=1), grpc.StatusCode.UNAUTHENTICATED, "token_expired"),
        (auth(iss="http://elsewhere"), grpc.StatusCode.UNAUTHENTICATED, "token_invalid"),
        (auth(scope="other"), grpc.StatusCode.PERMISSION_DENIED, "scope_missing"),
        (auth(scope="xaso", kind="partner"), grpc.StatusCode.PERMISSION_DENIED, "scope_missing"),
    ],
)
async def test_refuses_who_may_not_call(served: Served, note: Any, metadata: Any, code: Any, ours: str) -> None:
    for call in (served.stub.Get(note(), metadata=metadata), served.stub.Collect(iter([note()]), metadata=metadata)):
        error = await refused(call)
        assert error.code() == code
        assert dict(error.trailing_metadata() or ())["xaso-error-code"] == ours
    error = await refused(anext(aiter(served.stub.Watch(note(count=1), metadata=metadata))))
    assert error.code() == code


async def test_a_person_uses_the_scope_of_everything(served: Served, note: Any) -> None:
    await served.stub.Get(note(), metadata=auth(scope="xaso"))


async def test_anyone_may_call_an_open_method(served: Served, note: Any) -> None:
    assert (await served.stub.Open(note())).id == "nobody"
    assert (await served.stub.Open(note(), metadata=auth(subject="u-2"))).id == "u-2"


async def test_asks_for_a_deadline(served: Served, notes: SimpleNamespace) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as plain:
        error = await refused(notes.grpc.NoteServiceStub(plain).Get(notes.pb.Note(), metadata=auth()))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert unpacked(status(error), error_details_pb2.ErrorInfo).metadata["code"] == "deadline_missing"


def test_a_method_without_scope_is_refused_at_start(notes: SimpleNamespace, database: Callable[[str], str]) -> None:
    settings = settings_for(ServiceSettings, "postgresql+asyncpg://nowhere/x", name="notes")
    sessions, verifier = Sessions(make_engine(settings)), Verifier(settings)
    add, whole = notes.grpc.add_NoteServiceServicer_to_server, notes.grpc.NoteServiceServicer()
    for scopes, words in (({}, "has no scope"), ({f"/{NAME}/Nothing": "x"}, "has no scope")):
        with pytest.raises(ValueError, match=words):
            rpc.RpcServer(settings, [rpc.Rpc(add, whole, scopes, notes.pb.DESCRIPTOR)], sessions, verifier)
    methods = ("Write", "Get", "Fail", "Open", "Collect", "Watch", "Chat")
    every = {f"/{NAME}/{method}": "x" for method in methods}
    more = {**every, "/x.Y/Z": "x"}
    with pytest.raises(ValueError, match="do not exist"):
        rpc.RpcServer(settings, [rpc.Rpc(add, whole, more, notes.pb.DESCRIPTOR)], sessions, verifier)
    with pytest.raises(ValueError, match="no async method"):
        rpc.RpcServer(settings, [rpc.Rpc(add, whole, every, notes.pb.DESCRIPTOR)], sessions, verifier)


# --- Transactions and repeats ---


async def test_a_write_is_committed_when_the_reply_comes(served: Served, note: Any) -> None:
    await served.stub.Write(note(id="w-1", text="x"), metadata=auth())
    assert await served.written("w-1") == 1


@pytest.mark.parametrize("ending", ["then fail", "then abort", "then set code"])
async def test_a_failed_call_leaves_nothing(served: Served, note: Any, ending: str) -> None:
    await refused(served.stub.Write(note(id=f"w-{ending}", text=ending), metadata=auth()))
    assert await served.written(f"w-{ending}") == 0


async def test_a_call_past_its_deadline_leaves_nothing(served: Served, note: Any) -> None:
    served.go.clear()
    for seconds in (0.3, 3.0, 30.0):
        # On a busy machine a call may not even have arrived when its time is over.
        served.arrived.clear()
        late = served.stub.Write(note(id="w-late", text="then wait"), metadata=auth(), timeout=seconds)
        assert (await refused(late)).code() == grpc.StatusCode.DEADLINE_EXCEEDED
        if served.arrived.is_set():
            break
    assert served.arrived.is_set()

    async def rolled_back() -> bool:
        async with served.sessions.read() as tx:
            busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            return await tx.scalar(sa.text(busy)) == 0

    # The client knows of its deadline a moment before the server does, which must let go of the call by itself.
    await eventually(rolled_back)
    served.go.set()
    assert await served.written("w-late") == 0


async def test_a_call_that_ends_after_its_deadline_is_not_committed(served: Served, note: Any) -> None:
    """A process that was busy learns late that the caller has given up: at the latest before the commit."""
    call = served.stub.Write(note(id="w-busy", text="then oversleep"), metadata=auth(), timeout=1.0)
    assert (await refused(call)).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await served.stub.Get(note(id="after"), metadata=auth())
    assert await served.written("w-busy") == 0


async def test_streams_end_with_the_token_they_were_opened_with(served: Served, note: Any) -> None:
    """In either direction: whoever watches, and whoever would send on for ever."""
    soon = 3 - 60  # Clocks may differ by a minute, so that a token is good for so long after its end.
    served.arrived.clear()
    served.go.clear()

    async def sending() -> AsyncIterator[Any]:
        yield note(id="first", text="a")
        await asyncio.Event().wait()

    watching = served.stub.Watch(note(count=1, text="for ever"), metadata=auth(lifetime=soon), timeout=120)
    chatting = served.stub.Chat(sending(), metadata=auth(lifetime=soon), timeout=120)
    collecting = served.stub.Collect(sending(), metadata=auth(lifetime=soon), timeout=120)
    assert (await watching.read()).count == 0
    assert (await chatting.read()).id == "first"
    for call in (watching, chatting, collecting):
        assert await call.code() == grpc.StatusCode.UNAUTHENTICATED
        assert dict(await call.trailing_metadata())["xaso-error-code"] == "token_expired"
    await eventually(served.go.is_set)
    lasting = served.stub.Chat(sending(), metadata=auth(), timeout=120)
    assert (await lasting.read()).id == "first"
    lasting.cancel()


async def test_a_repeat_with_its_key_has_no_second_effect(served: Served, note: Any) -> None:
    metadata = (*auth(subject="u-3"), ("idempotency-key", "k-1"))
    first = await served.stub.Write(note(id="i-1", text="a"), metadata=metadata)
    call = served.stub.Write(note(id="i-1", text="a"), metadata=metadata)
    assert await call == first
    assert dict(await call.trailing_metadata())["idempotency-replayed"] == "true"
    error = await refused(served.stub.Write(note(id="i-2", text="a"), metadata=metadata))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert dict(error.trailing_metadata() or ())["xaso-error-code"] == "idempotency_key_reused"
    # Another caller's key is another key: the row exists, so this one really runs and trips over it.
    other = (*auth(subject="u-4"), ("idempotency-key", "k-1"))
    await served.stub.Write(note(id="i-3", text="a"), metadata=other)
    assert await served.written("i-3") == 1


async def test_repeats_at_once_take_turns(served: Served, note: Any) -> None:
    metadata = (*auth(subject="u-5"), ("idempotency-key", "k-2"))
    replies = await asyncio.gather(*(served.stub.Write(note(id="i-9", text="a"), metadata=metadata) for _ in range(4)))
    assert len({reply.count for reply in replies}) == 1
    assert await served.written("i-9") == 1


async def test_a_failed_write_may_be_repeated_with_its_key(served: Served, note: Any) -> None:
    metadata = (*auth(subject="u-6"), ("idempotency-key", "k-3"))
    for _ in range(2):
        error = await refused(served.stub.Write(note(id="i-f", text="then fail"), metadata=metadata))
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_key_needs_a_name(served: Served, note: Any) -> None:
    error = await refused(served.stub.Open(note(), metadata=(("idempotency-key", "k-1"),)))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_refuses_a_key_that_is_none(served: Served, note: Any, key: str) -> None:
    metadata = (*auth(), ("idempotency-key", key))
    error = await refused(served.stub.Write(note(id="i-x", text="a"), metadata=metadata))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


# --- Streams ---


async def test_a_stream_commits_batch_by_batch(served: Served, note: Any) -> None:
    requests = [note(id=f"s-{number}", text="x") for number in range(3)]
    assert (await served.stub.Collect(iter(requests), metadata=auth())).count == 3
    error = await refused(served.stub.Collect(iter([note(id="s-9", text="stop")]), metadata=auth()))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert await served.written("s-9") == 1, "its own transaction had ended before the trouble"


async def test_a_stream_has_no_transaction_of_its_own(served: Served, note: Any) -> None:
    error = await refused(served.stub.Collect(iter([note(id="s-t", text="tx")]), metadata=auth()))
    assert error.code() == grpc.StatusCode.INTERNAL


async def test_a_server_stream_ends_with_its_error(served: Served, note: Any) -> None:
    got = []

    async def watch() -> None:
        async for reply in served.stub.Watch(note(count=3, text="forbidden"), metadata=auth(subject="u-7")):
            got.append((reply.count, reply.id))

    assert (await refused(watch())).code() == grpc.StatusCode.PERMISSION_DENIED
    assert got == [(0, "u-7"), (1, "u-7"), (2, "u-7")]


async def test_a_watcher_who_leaves_ends_the_watch(served: Served, note: Any) -> None:
    served.arrived.clear()
    served.go.clear()
    call = served.stub.Watch(note(count=1, text="for ever"), metadata=auth())
    await anext(aiter(call))
    await asyncio.wait_for(served.arrived.wait(), 5)
    call.cancel()
    await asyncio.wait_for(served.go.wait(), 5)


async def test_a_servicer_may_write_to_the_context_itself(served: Served, note: Any) -> None:
    replies = [r.text async for r in served.stub.Chat(iter([note(text="a"), note(text="b")]), metadata=auth())]
    assert replies == ["a", "b"]


# --- Bad input ---


async def test_texts_arrive_composed(served: Served, note: Any) -> None:
    apart = unicodedata.normalize("NFD", "Đường hư hỏng")
    reply = await served.stub.Get(note(text=apart, tags=[apart], labels={"k": apart}), metadata=auth())
    together = unicodedata.normalize("NFC", apart)
    assert (reply.text, list(reply.tags), dict(reply.labels)) == (together, [together], {"k": together})
    assert (await served.stub.Collect(iter([note(id="nfc", text=apart)]), metadata=auth())).text == together


def bad_notes(note: Any) -> dict[str, Any]:
    nul = "a\x00b"
    return {
        "text": note(text=nul),
        "tags[1]": note(tags=["a", nul]),
        "labels[k]": note(labels={"k": nul}),
        "inner.text": note(inner=note(text=nul)),
        "notes[1].inner.id": note(notes=[note(), note(inner=note(id="\x1b[0m"))]),
    }


async def test_control_characters_are_the_clients_mistake(served: Served, note: Any) -> None:
    for field, request in bad_notes(note).items():
        error = await refused(served.stub.Get(request, metadata=auth()))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert unpacked(status(error), error_details_pb2.BadRequest).field_violations[0].field == field
    await served.stub.Get(note(text="dòng một\r\n\tdòng hai", raw=b"\x00"), metadata=auth())


async def test_nul_in_a_stream_is_the_clients_mistake(served: Served, note: Any) -> None:
    error = await refused(served.stub.Collect(iter([note(id="nul\x00", text="x")]), metadata=auth()))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"\x12\x02\xc3\x28", b"\x0a\xff\x01a"])
async def test_undecodable_bytes_are_the_clients_mistake(served: Served, junk: bytes) -> None:
    unary = served.channel.unary_unary(f"/{NAME}/Get")
    assert (await refused(unary(junk, metadata=auth()))).code() == grpc.StatusCode.INVALID_ARGUMENT
    stream = served.channel.stream_unary(f"/{NAME}/Collect")
    assert (await refused(stream(iter([junk]), metadata=auth()))).code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_past_four_mebibytes_is_refused(served: Served, notes: SimpleNamespace) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as plain:
        stub = notes.grpc.NoteServiceStub(plain)
        call = stub.Get(notes.pb.Note(raw=bytes(5 * 1024 * 1024)), metadata=auth(), timeout=5)
        assert (await refused(call)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        await stub.Get(notes.pb.Note(raw=bytes(3 * 1024 * 1024)), metadata=auth(), timeout=5)


ERRORS = {
    "forbidden": (grpc.StatusCode.PERMISSION_DENIED, "forbidden"),
    "missing": (grpc.StatusCode.NOT_FOUND, "not_found"),
    "away": (grpc.StatusCode.UNAVAILABLE, "unavailable"),
    "lost": (grpc.StatusCode.UNAVAILABLE, "unavailable"),
    "uuid": (grpc.StatusCode.INVALID_ARGUMENT, "invalid"),
    "form": (grpc.StatusCode.INVALID_ARGUMENT, "invalid"),
    "range": (grpc.StatusCode.INVALID_ARGUMENT, "invalid"),
    "bug": (grpc.StatusCode.INTERNAL, "internal"),
}


@pytest.mark.parametrize("text", ERRORS)
async def test_errors_have_a_status_and_a_code(served: Served, note: Any, text: str) -> None:
    code, ours = ERRORS[text]
    error = await refused(served.stub.Fail(note(text=text, id="abc", count=2**40), metadata=auth()))
    found = status(error)
    assert (error.code(), dict(error.trailing_metadata() or ())["xaso-error-code"]) == (code, ours)
    assert found.code == code.value[0]
    assert found.message == error.details()
    assert unpacked(found, error_details_pb2.ErrorInfo).reason == ours.upper()


async def test_errors_name_fields_in_the_callers_language(served: Served, note: Any) -> None:
    for language, words in (
        ("vi", "Phải là số nguyên."),
        ("en-GB", "Must be a whole number."),
        ("fr, en;q=0.5", "Must be a whole number."),
    ):
        metadata = (*auth(), ("accept-language", language))
        error = await refused(served.stub.Fail(note(text="form", id="abc"), metadata=metadata))
        violation = unpacked(status(error), error_details_pb2.BadRequest).field_violations[0]
        assert (violation.field, violation.description) == ("count", words)


async def test_a_bug_tells_nothing_of_itself(served: Served, note: Any) -> None:
    error = await refused(served.stub.Fail(note(text="bug"), metadata=auth()))
    assert "0909123456" not in f"{error.details()}{error.trailing_metadata()}"


async def test_says_when_to_come_back(served: Served, note: Any) -> None:
    error = await refused(served.stub.Fail(note(text="away"), metadata=auth()))
    assert unpacked(status(error), error_details_pb2.RetryInfo).retry_delay.seconds > 0


async def test_an_unknown_method_is_unimplemented(served: Served) -> None:
    error = await refused(served.channel.unary_unary(f"/{NAME}/Nothing")(b"", metadata=auth()))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


# --- Health, reflection, TLS, telemetry, stop ---


async def test_health_and_reflection_need_no_token(served: Served) -> None:
    health = health_pb2_grpc.HealthStub(served.channel)
    for name in ("", NAME):
        reply = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
    ]
    replies = [reply async for reply in stub.ServerReflectionInfo(iter(asked))]
    assert NAME in {service.name for service in replies[0].list_services_response.service}
    assert replies[1].file_descriptor_response.file_descriptor_proto


async def test_health_follows_the_database(
    notes: SimpleNamespace, database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "READINESS_SECONDS", 0.05)
    async with serving(notes, database("health")) as served:
        health = health_pb2_grpc.HealthStub(served.channel)

        async def is_now(wanted: int) -> bool:
            return (await health.Check(health_pb2.HealthCheckRequest(service=NAME))).status == wanted

        await eventually(lambda: is_now(health_pb2.HealthCheckResponse.SERVING))
        real = served.sessions.engine
        broken = settings_for(ServiceSettings, "postgresql+asyncpg://nobody@127.0.0.1:1/x", name="notes")
        for engine, wanted in (
            (make_engine(broken), health_pb2.HealthCheckResponse.NOT_SERVING),
            (real, health_pb2.HealthCheckResponse.SERVING),
        ):
            served.server._sessions = Sessions(engine)
            await eventually(lambda wanted=wanted: is_now(wanted))


async def test_speaks_tls_with_a_certificate(
    notes: SimpleNamespace, database: Callable[[str], str], tmp_path: Path
) -> None:
    certificate, key = certificate_for_localhost(tmp_path)
    async with serving(notes, database("tls"), grpc_tls_cert=certificate, grpc_tls_key=key) as served:
        assert (await served.stub.Get(notes.pb.Note(text="a"), metadata=auth())).text == "a"
        async with rpc.channel(f"127.0.0.1:{served.port}") as clear:
            error = await refused(notes.grpc.NoteServiceStub(clear).Get(notes.pb.Note(), metadata=auth(), timeout=1))
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def certificate_for_localhost(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    clock = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock - datetime.timedelta(hours=1))
        .not_valid_after(clock + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem", folder / "key.pem"


async def test_half_a_key_pair_is_refused(notes: SimpleNamespace, tmp_path: Path) -> None:
    certificate, _ = certificate_for_localhost(tmp_path)
    settings = settings_for(ServiceSettings, "postgresql+asyncpg://x/x", name="notes", grpc_tls_cert=certificate)
    server = rpc.RpcServer(settings, [], Sessions(make_engine(settings)), Verifier(settings))
    with pytest.raises(ValueError, match="together"):
        await server.start()


async def test_one_trace_from_client_to_server(served: Served, note: Any) -> None:
    with telemetry.recorded_spans() as recorder:
        with telemetry.span("client") as client:
            await served.stub.Get(note(), metadata=auth())
        await eventually(lambda: [s for s in recorder.get_finished_spans() if s.kind == SpanKind.SERVER])
        span = next(s for s in recorder.get_finished_spans() if s.kind == SpanKind.SERVER)
    assert span.context.trace_id == client.get_span_context().trace_id
    assert span.parent is not None
    assert span.parent.span_id == client.get_span_context().span_id
    assert span.attributes is not None
    assert span.attributes["rpc.method"] == f"/{NAME}/Get"
    assert span.attributes["rpc.grpc.status_code"] == "OK"
    assert span.attributes["xaso.service"] == "notes"


async def test_calls_are_measured(served: Served, note: Any) -> None:
    def seen(status: str) -> float:
        labels = {"service": "notes", "method": f"/{NAME}/Fail", "status": status}
        return metrics.REGISTRY.get_sample_value("xaso_rpc_duration_seconds_count", labels) or 0.0

    before = seen("OK"), seen("PERMISSION_DENIED")
    await served.stub.Fail(note(), metadata=auth())
    await refused(served.stub.Fail(note(text="forbidden"), metadata=auth()))
    await eventually(lambda: (seen("OK"), seen("PERMISSION_DENIED")) == (before[0] + 1, before[1] + 1))


async def test_a_stop_lets_calls_finish(notes: SimpleNamespace, database: Callable[[str], str]) -> None:
    async with serving(notes, database("stop")) as served:
        call = asyncio.ensure_future(
            _awaited(served.stub.Write(notes.pb.Note(id="last", text="then wait"), metadata=auth(), timeout=20))
        )
        await asyncio.wait_for(served.arrived.wait(), 10)
        stop = asyncio.create_task(served.server.stop(10))
        await asyncio.sleep(0)
        served.go.set()
        assert (await call).id == "last"
        await stop
        assert await served.written("last") == 1


async def _awaited(call: Any) -> Any:
    return await call


# --- The client ---


@dataclass
class Flaky:
    """A server that answers UNAVAILABLE so many times before it answers; counts what it was asked."""

    failures: int
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    asked: int = 0
    tokens: tuple[str, ...] = ()

    async def answer(self, request: bytes, context: Any) -> bytes:
        self.asked += 1
        metadata = dict(context.invocation_metadata())
        self.tokens += (str(metadata.get("authorization", "")),)
        if self.asked <= self.failures:
            await context.abort(self.code, "not now")
        return request


@asynccontextmanager
async def flaky(plan: Flaky) -> AsyncIterator[str]:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(plan.answer)
    methods = grpc.method_handlers_generic_handler("t.T", {"GetIt": handler, "DoIt": handler})
    server.add_generic_rpc_handlers((methods,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.mark.parametrize(
    ("method", "metadata", "failures", "asked"),
    [
        ("GetIt", (), 2, 3),
        ("GetIt", (), 9, 4),
        ("DoIt", (), 1, 1),
        ("DoIt", (("idempotency-key", "k"),), 1, 2),
    ],
)
async def test_the_client_tries_again_what_may_be_tried_again(
    method: str, metadata: Any, failures: int, asked: int
) -> None:
    plan = Flaky(failures)
    async with flaky(plan) as target, rpc.channel(target) as channel:
        call = channel.unary_unary(f"/t.T/{method}")(b"x", metadata=metadata)
        if failures < asked:
            assert await call == b"x"
        else:
            assert (await refused(call)).code() == grpc.StatusCode.UNAVAILABLE
    assert plan.asked == asked


async def test_the_client_fetches_a_refused_token_anew_once() -> None:
    class Tokens:
        issued = 0
        held: str | None = None

        async def token(self) -> str:
            if self.held is None:
                self.issued += 1
                self.held = f"t-{self.issued}"
            return self.held

        def forget(self) -> None:
            self.held = None

    plan, source = Flaky(1, grpc.StatusCode.UNAUTHENTICATED), Tokens()
    async with flaky(plan) as target, rpc.channel(target, source) as channel:  # type: ignore[arg-type]  # the same shape.
        assert await channel.unary_unary("/t.T/DoIt")(b"x") == b"x"
    assert plan.tokens == ("Bearer t-1", "Bearer t-2")


async def test_the_client_gives_up_at_its_deadline() -> None:
    async with rpc.channel("127.0.0.1:1", timeout=0.3) as channel:
        error = await refused(channel.unary_unary("/t.T/GetIt")(b"x"))
    assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


STARTS_PROGRAMS = """
import asyncio, subprocess
import chassis.rpc
import grpc

async def main():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        for _ in range(20):
            # As the launcher starts engines: what is asked of the child makes it a fork.
            subprocess.run(["true"], preexec_fn=lambda: None, check=True)
    await server.stop(None)

asyncio.run(main())
"""


async def test_programs_are_started_beside_grpc_without_a_word_from_it() -> None:
    """Its own preparations for a fork go wrong in the child now and then, which then never becomes the program."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_PROGRAMS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await child.communicate()
    assert (child.returncode, said.decode()) == (0, "")
