"""gRPC entry points: who gets in, one transaction a call, repeats, streams."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.rpc import error_details_pb2

from chassis import rpc
from chassis.db import Sessions, make_engine
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier
from tests.chassis.noting import NAME, Served, auth, refused, status, unpacked
from tests.support.running import settings_for
from tests.support.waiting import eventually

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
