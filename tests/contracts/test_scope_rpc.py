"""Every gRPC method of every service, called by everybody who has no business with the commune it is asked about.

Methods are found in the proto descriptors; one that has neither a case nor a reason to be public fails the test.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.message import Message
from xaso.ecommerce.v1 import ecommerce_pb2
from xaso.identity.v1 import identity_pb2
from xaso.indicators.v1 import indicators_pb2
from xaso.media.v1 import media_pb2
from xaso.petitions.v1 import petitions_pb2

from chassis.db import new_id, now
from tests.contracts import walk_ecommerce, walk_media, walk_petitions
from tests.contracts.services import NAMES
from tests.contracts.walk import (
    A_VILLAGE,
    FOREIGN,
    INSIDE,
    OWNERS,
    PARTNER_SCOPES,
    A,
    Arrange,
    Headers,
    Made,
    Stage,
    nothing,
    partner,
)

OWNER = partner("30", PARTNER_SCOPES)
"""A partner of the whole province, with every scope."""
OFFICER = OWNERS["officer"]
PUBLIC = {
    "/xaso.identity.v1.DirectoryService/GetUnit": "administrative units are public",
    "/xaso.identity.v1.DirectoryService/ListUnits": "administrative units are public",
    "/xaso.identity.v1.DirectoryService/GetTeam": "teams and their counts are public figures",
    "/xaso.identity.v1.DirectoryService/ListTeams": "teams and their counts are public figures",
    "/xaso.ecommerce.v1.CatalogueService/ListProducts": "the public catalogue",
    "/xaso.indicators.v1.ComplianceService/Get": "sheets hold figures of units, nothing of persons",
    "/xaso.indicators.v1.ComplianceService/Watch": "changes of public sheets",
    "/xaso.indicators.v1.ComplianceService/History": "changes of public sheets",
    "/xaso.indicators.v1.ComplianceService/WhatIf": "arithmetic on public sheets; single things are for the unit's own",
}
"""Methods that tell the same to every program with the scope; without it they are refused too (below)."""


@dataclass(frozen=True)
class Case:
    """A method asked about commune A. `hidden` is a text no foreign answer may hold where answers are each one's own.

    `owner` None: not even the province's partner gets it over gRPC.
    """

    method: str
    request: Callable[[Made], Any]
    arrange: Arrange = nothing
    hidden: str = ""
    owner: Headers | None = None
    open_to_people: bool = False


def _observation(_made: Made) -> Message:
    observation = indicators_pb2.Observation(
        id=str(new_id()),
        unit=A_VILLAGE.code,
        source="OSS cáp quang",
        measure="village.fibre_households",
        ratio=indicators_pb2.Ratio(numerator=81, denominator=100),
    )
    observation.observed_at.FromDatetime(now())
    return observation


def _stream(made: Made) -> list[Message]:
    item = indicators_pb2.StreamItem(position=1, observation=_observation(made))
    return [
        indicators_pb2.SubmitStreamRequest(open=indicators_pb2.StreamOpen(stream="walk")),
        indicators_pb2.SubmitStreamRequest(item=item),
    ]


def _report(_made: Made) -> Message:
    return petitions_pb2.FileRequest(
        commune=A.code, category="dien_nuoc", description="Mất nước từ sáng, cả xóm không có nước.", channel="partner"
    )


CASES = {
    "petitions": (
        Case(
            "PetitionService/Get", lambda m: petitions_pb2.GetRequest(id=m["id"]), walk_petitions.private, owner=OFFICER
        ),
        Case(
            "PetitionService/List",
            lambda m: petitions_pb2.ListRequest(unit=A.code, page_size=200),
            walk_petitions.private,
            hidden="{id}",
            owner=OFFICER,
        ),
        # People may write about any commune; a partner's program only where the partner works.
        Case("PetitionService/File", _report, owner=OWNER, open_to_people=True),
    ),
    "ecommerce": (
        Case(
            "CatalogueService/GetProduct",
            lambda m: ecommerce_pb2.GetProductRequest(id=m["product_id"]),
            walk_ecommerce.draft,
        ),
    ),
    "media": (
        Case(
            "LoudspeakerService/Get",
            lambda m: media_pb2.GetLoudspeakerRequest(id=m["speaker_id"]),
            walk_media.speaker,
            owner=OWNER,
        ),
        Case("LoudspeakerService/List", lambda m: media_pb2.ListLoudspeakersRequest(unit=A.code), owner=OWNER),
        Case(
            "CameraService/Get", lambda m: media_pb2.GetCameraRequest(id=m["camera_id"]), walk_media.camera, owner=OWNER
        ),
        Case("CameraService/List", lambda m: media_pb2.ListCamerasRequest(unit=A.code), owner=OWNER),
    ),
    "indicators": (
        Case("ObservationService/Submit", _observation, owner=OWNER),
        Case("ObservationService/SubmitStream", _stream, owner=OWNER),
    ),
}
ALL = [(name, case) for name, cases in CASES.items() for case in cases]
MODULES = {
    "identity": identity_pb2,
    "petitions": petitions_pb2,
    "ecommerce": ecommerce_pb2,
    "indicators": indicators_pb2,
    "media": media_pb2,
}
REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.NOT_FOUND,
)


def methods(name: str) -> dict[str, tuple[Any, str]]:
    """Every method of a service's proto: full name → descriptor of the method and of its service."""
    return {
        f"/{service.full_name}/{method.name}": (method, service.full_name)
        for service in MODULES[name].DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def full(name: str, case: Case) -> str:
    return f"/xaso.{name}.v1.{case.method}"


@pytest.mark.parametrize("name", NAMES)
def test_every_method_is_walked_and_has_a_scope(stages: dict[str, Stage], name: str) -> None:
    there = set(methods(name))
    walked = {full(name, case) for case in CASES.get(name, ())}
    public = {method for method in PUBLIC if method.startswith(f"/xaso.{name}.v1.")}
    assert there == walked | public
    assert walked.isdisjoint(public)
    scopes = {method: scope for rpc in stages[name].running.runner.service.rpcs for method, scope in rpc.scopes.items()}
    assert set(scopes) == there
    assert all(scope in PARTNER_SCOPES.split() for scope in scopes.values())


async def call(stage: Stage, method: str, request: Any, who: Headers) -> tuple[grpc.StatusCode, Any]:
    """One call in somebody's name: the status, and the answer (the first one of a stream)."""
    descriptor, _ = methods(stage.name)[method]
    output = message_factory.GetMessageClass(descriptor.output_type)
    metadata = tuple(who.items())
    target = f"127.0.0.1:{stage.running.runner.grpc_port}"
    async with grpc.aio.insecure_channel(target) as channel:
        codec = {"request_serializer": lambda m: m.SerializeToString(), "response_deserializer": output.FromString}
        try:
            if descriptor.client_streaming and descriptor.server_streaming:
                while True:
                    both = channel.stream_stream(method, **codec)(iter(request), timeout=20, metadata=metadata)
                    try:
                        return grpc.StatusCode.OK, [answer async for answer in both][-1]
                    except grpc.aio.AioRpcError as error:
                        # The client's own words where the server's refusal met it while it was still writing.
                        if error.details() != "Internal error from Core":
                            raise
            if descriptor.client_streaming:
                streaming = channel.stream_unary(method, **codec)
                return grpc.StatusCode.OK, await streaming(iter([request]), timeout=20, metadata=metadata)
            if descriptor.server_streaming:
                watching = channel.unary_stream(method, **codec)(request, timeout=20, metadata=metadata)
                return grpc.StatusCode.OK, await watching.read()
            return grpc.StatusCode.OK, await channel.unary_unary(method, **codec)(
                request, timeout=20, metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()


def denied(status: grpc.StatusCode, answer: Any) -> bool:
    """Refused as a whole, or, where observations are judged one by one, every single one of them."""
    if status is grpc.StatusCode.OK and isinstance(answer, indicators_pb2.SubmitResponse):
        return (answer.accepted, answer.duplicate, answer.rejected) == (0, 0, 1)
    if status is grpc.StatusCode.OK and isinstance(answer, indicators_pb2.SubmitStreamResponse):
        return (answer.accepted, answer.duplicate, len(answer.rejections)) == (0, 0, 1)
    return status in REFUSALS


@pytest.mark.parametrize(("name", "case"), ALL, ids=[case.method for _, case in ALL])
async def test_nobody_foreign_gets_in(stages: dict[str, Stage], name: str, case: Case) -> None:
    stage, method, wrong = stages[name], full(name, case), []
    made = await case.arrange(stage)
    before = await stage.digest()
    for who, headers in {**FOREIGN, **INSIDE}.items():
        if case.open_to_people and "partner" not in who and who != "anonymous":
            continue
        status, answer = await call(stage, method, case.request(made), headers)
        hidden = case.hidden.format(**made)
        if not denied(status, answer) and not (case.hidden and hidden not in str(answer)):
            wrong.append(f"{who} got {status.name}: {answer}")
    assert wrong == []
    assert await stage.digest() == before
    if case.owner is not None:
        status, answer = await call(stage, method, case.request(made), case.owner)
        assert status is grpc.StatusCode.OK, answer
        assert not denied(status, answer), answer


@pytest.mark.parametrize("method", PUBLIC)
async def test_public_figures_need_their_scope_too(stages: dict[str, Stage], method: str) -> None:
    name = method.split(".")[1]
    request = message_factory.GetMessageClass(methods(name)[method][0].input_type)()
    for who in ({}, partner("30", "openid"), partner("30", " ".join({"media.write"}))):
        status, answer = await call(stages[name], method, request, who)
        assert status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), answer


async def test_an_id_that_names_nothing_is_not_found(stages: dict[str, Stage]) -> None:
    nothing_there = str(uuid.uuid4())
    for name, method, request in (
        ("petitions", "PetitionService/Get", petitions_pb2.GetRequest(id=nothing_there)),
        ("ecommerce", "CatalogueService/GetProduct", ecommerce_pb2.GetProductRequest(id=nothing_there)),
        ("media", "CameraService/Get", media_pb2.GetCameraRequest(id=nothing_there)),
        ("media", "LoudspeakerService/Get", media_pb2.GetLoudspeakerRequest(id=nothing_there)),
        ("identity", "DirectoryService/GetTeam", identity_pb2.GetTeamRequest(id=nothing_there)),
    ):
        status, _ = await call(stages[name], f"/xaso.{name}.v1.{method}", request, OWNER)
        assert status is grpc.StatusCode.NOT_FOUND, method
