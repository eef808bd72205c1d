"""Petitions over gRPC, as a telephone hotline uses them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from xaso.petitions.v1 import petitions_pb2 as pb
from xaso.petitions.v1 import petitions_pb2_grpc

from services.petitions.app import service
from services.petitions.settings import Settings
from tests.petitions.people import (
    DAI_SON,
    ELSEWHERE,
    HUNG_DAO,
    NGHIA_DUNG,
    NGOC_LAM,
    People,
    act,
    answered,
    events_of,
    file,
)
from tests.support.running import Running, bearer, ladder, running, settings_for


@pytest_asyncio.fixture(scope="module")
async def app(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """The service with its gRPC port."""
    async with running(service, settings_for(Settings, database("petitions")), parts=("rpc",)) as started:
        await started.enter_units(*ladder(), DAI_SON, NGHIA_DUNG, NGOC_LAM, HUNG_DAO, ELSEWHERE)
        yield started


@pytest_asyncio.fixture(scope="module")
async def stub(app: Running) -> AsyncIterator[petitions_pb2_grpc.PetitionServiceStub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.runner.grpc_port}") as channel:
        yield petitions_pb2_grpc.PetitionServiceStub(channel)


def call(headers: dict[str, str], **more: str) -> dict[str, Any]:
    metadata = [*headers.items(), *((key.replace("_", "-"), value) for key, value in more.items())]
    return {"timeout": 20, "metadata": metadata}


def said(**changed: Any) -> pb.FileRequest:
    values = {
        "commune": DAI_SON.code,
        "village": NGHIA_DUNG.code,
        "category": "dien_nuoc",
        "description": "Mất nước từ sáng, cả xóm không có nước sinh hoạt.",
        "contact_phone": "0912345678",
        "channel": "phone",
        **changed,
    }
    return pb.FileRequest(**values)


async def refusal(calling: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await calling
    trailing = dict(refused.value.trailing_metadata() or ())
    return refused.value.code(), str(trailing.get("xaso-error-code", ""))


async def test_a_hotline_files_follows_and_reads_the_answer(app: Running, who: People, stub: Any) -> None:
    received = Timestamp()
    received.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    filed = (await stub.File(said(received_at=received), **call(who.hotline))).petition
    assert filed.state.status == "filed"
    assert filed.state.channel == "phone"
    assert filed.state.filed_at == received
    petition = {"id": filed.state.id}
    await act(app, who.officer, petition, "route", department="dia_chinh")
    await act(app, who.officer, petition, "answer", text="Nhà máy đã sửa xong đường ống.")
    seen = (await stub.Get(pb.GetRequest(id=filed.state.code), **call(who.hotline))).petition
    assert (seen.state.status, seen.answer) == ("answered", "Nhà máy đã sửa xong đường ống.")
    listed = await stub.List(pb.ListRequest(unit="30", statuses=["answered"]), **call(who.hotline))
    assert listed.petitions[0].answer == "Nhà máy đã sửa xong đường ống."
    assert [name for name, _, _ in await events_of(app, petition)] == [
        "PetitionFiled",
        "PetitionRouted",
        "PetitionAnswered",
    ]


async def test_a_repeated_call_files_once(app: Running, who: People, stub: Any) -> None:
    key = str(uuid.uuid4())
    first = await stub.File(said(), **call(who.hotline, idempotency_key=key))
    second = await stub.File(said(), **call(who.hotline, idempotency_key=key))
    assert first == second
    assert len(await events_of(app, {"id": first.petition.state.id})) == 1


async def test_a_list_is_paged(app: Running, who: People, stub: Any) -> None:
    made = {(await file(app, who.resident, village=NGOC_LAM.code))["id"] for _ in range(5)}
    seen: list[str] = []
    token = ""
    while True:
        page = await stub.List(pb.ListRequest(unit=NGOC_LAM.code, page_size=2, page_token=token), **call(who.hotline))
        seen += [petition.state.id for petition in page.petitions]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(made)


async def test_what_a_partner_may_not_see_is_not_there(app: Running, who: People, stub: Any) -> None:
    tip = await file(app, who.resident, category="an_ninh")
    private = await answered(app, who, public=False)
    for petition in (tip, private):
        code, _ = await refusal(stub.Get(pb.GetRequest(id=petition["id"]), **call(who.hotline)))
        assert code is grpc.StatusCode.NOT_FOUND
        assert (await stub.Get(pb.GetRequest(id=petition["id"]), **call(who.officer))).petition.state.id == petition[
            "id"
        ]
    listed = await stub.List(pb.ListRequest(page_size=200), **call(who.hotline))
    assert {tip["id"], private["id"]}.isdisjoint(petition.state.id for petition in listed.petitions)


async def test_scopes_and_places_hold(app: Running, who: People, stub: Any) -> None:
    reader = bearer(("partner", "30"), kind="partner", scope="petitions.read")
    assert (await refusal(stub.File(said(), **call(reader))))[0] is grpc.StatusCode.PERMISSION_DENIED
    nothing = bearer(("partner", "30"), kind="partner", scope="")
    assert (await refusal(stub.Get(pb.GetRequest(id="PA-2026-000001"), **call(nothing))))[0] is (
        grpc.StatusCode.PERMISSION_DENIED
    )
    elsewhere = bearer(("partner", HUNG_DAO.path), kind="partner", scope="petitions.write")
    assert (await refusal(stub.File(said(), **call(elsewhere))))[0] is grpc.StatusCode.PERMISSION_DENIED
    assert (await refusal(stub.File(said(), timeout=20)))[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "changed",
    [
        {"category": "chuyen_nha"},
        {"category": ""},
        {"village": ELSEWHERE.code},
        {"commune": "99999", "village": ""},
        {"commune": "", "village": ""},
        {"description": "a\x00bcdefg"},
        {"description": "x" * 2001},
        {"description": ""},
        {"lat": 20.8},
        {"lat": float("nan"), "lon": 106.4},
        {"channel": "fax"},
        {"contact_phone": "không"},
        {"received_at": Timestamp(seconds=4_000_000_000)},
        {"received_at": Timestamp(seconds=0)},
        {"received_at": Timestamp(seconds=-(10**15))},
    ],
    ids=str,
)
async def test_bad_input_is_refused_by_name(app: Running, who: People, stub: Any, changed: dict[str, Any]) -> None:
    code, name = await refusal(stub.File(said(**changed), **call(who.hotline)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert name == "invalid"


async def test_bad_lists_and_names_are_refused(app: Running, who: People, stub: Any) -> None:
    bad = grpc.StatusCode.INVALID_ARGUMENT
    assert (await refusal(stub.List(pb.ListRequest(page_size=201), **call(who.hotline))))[0] is bad
    assert (await refusal(stub.List(pb.ListRequest(page_token="zz"), **call(who.hotline))))[0] is bad
    assert (await refusal(stub.List(pb.ListRequest(statuses=["lost"]), **call(who.hotline))))[0] is bad
    missing = grpc.StatusCode.NOT_FOUND
    assert (await refusal(stub.List(pb.ListRequest(unit="99999"), **call(who.hotline))))[0] is missing
    for name in ("", "PA-2026-1", "x" * 5000, str(uuid.uuid4())):
        assert (await refusal(stub.Get(pb.GetRequest(id=name), **call(who.hotline))))[0] is missing
