"""What gRPC entry points refuse, and errors that a client can read."""

import unicodedata
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.chassis.noting import NAME, Served, auth, refused, status, unpacked


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
