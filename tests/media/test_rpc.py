"""The gRPC services, as a partner calls them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from xaso.media.v1 import media_pb2, media_pb2_grpc

from services.media.app import service
from services.media.settings import Settings
from tests.media.conftest import COMMUNE, FOREIGN, NGHIA_DUNG, OTHER_COMMUNE, QUAY, Media
from tests.support.running import ladder, running, settings_for, token


@pytest.fixture(scope="module")
async def served(database: Callable[[str], str], topic_prefix: str) -> AsyncIterator[Media]:
    settings = settings_for(Settings, database("media"), topic_prefix=topic_prefix)
    async with running(service, settings, parts=["rpc"]) as started:
        await started.enter_units(*ladder(), COMMUNE, OTHER_COMMUNE, NGHIA_DUNG, QUAY, FOREIGN)
        yield Media(started, settings)


@pytest.fixture(scope="module")
async def channel(served: Media) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.running.runner.grpc_port}") as made:
        yield made


def as_partner(path: str, scope: str = "media.read") -> dict[str, Any]:
    signed = token(("partner", path), kind="partner", client_id="vnpt", scope=scope)
    return {"metadata": (("authorization", f"Bearer {signed}"),), "timeout": 10}


async def test_a_partner_reads_the_devices_of_its_unit(served: Media, channel: grpc.aio.Channel) -> None:
    made = [(await served.speaker(f"Loa {n}"))["loudspeaker"]["id"] for n in range(3)]
    stub = media_pb2_grpc.LoudspeakerServiceStub(channel)
    one = await stub.Get(media_pb2.GetLoudspeakerRequest(id=made[0]), **as_partner(COMMUNE.path))
    assert (one.loudspeaker.name, one.loudspeaker.state) == ("Loa 0", "unknown")
    assert not one.HasField("last_heartbeat_at")
    first = await stub.List(
        media_pb2.ListLoudspeakersRequest(unit=COMMUNE.code, page_size=2), **as_partner(COMMUNE.path)
    )
    rest = await stub.List(
        media_pb2.ListLoudspeakersRequest(unit=COMMUNE.code, page_size=2, page_token=first.next_page_token),
        **as_partner(COMMUNE.path),
    )
    assert [s.id for s in (*first.loudspeakers, *rest.loudspeakers)] == made
    assert rest.next_page_token == ""
    body = {"unit": QUAY.code, "name": "Cổng", "place": "main_road", "url": "rtsp://10.0.0.1/"}
    camera = (await served.post("/cameras", body)).json()["id"]
    cameras = media_pb2_grpc.CameraServiceStub(channel)
    seen = await cameras.Get(media_pb2.GetCameraRequest(id=camera), **as_partner(COMMUNE.path))
    assert (seen.camera.place, seen.camera.state, seen.online_seconds) == ("main_road", "unknown", 0)
    listed = await cameras.List(media_pb2.ListCamerasRequest(unit=QUAY.code), **as_partner(COMMUNE.path))
    assert [c.id for c in listed.cameras] == [camera]
    for request in (
        stub.Get(media_pb2.GetLoudspeakerRequest(id=made[0]), **as_partner(OTHER_COMMUNE.path)),
        cameras.Get(media_pb2.GetCameraRequest(id=camera), **as_partner(OTHER_COMMUNE.path)),
    ):
        assert await code(request) is grpc.StatusCode.NOT_FOUND


async def code(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    found = refused.value.code()
    assert isinstance(found, grpc.StatusCode)
    return found


async def test_bad_calls_are_refused(served: Media, channel: grpc.aio.Channel) -> None:
    stub = media_pb2_grpc.LoudspeakerServiceStub(channel)
    ours = as_partner(COMMUNE.path)
    status = grpc.StatusCode
    listing = media_pb2.ListLoudspeakersRequest
    assert await code(stub.Get(media_pb2.GetLoudspeakerRequest(id="x"), **ours)) is status.INVALID_ARGUMENT
    assert await code(stub.List(listing(unit=FOREIGN.code), **ours)) is status.PERMISSION_DENIED
    assert await code(stub.List(listing(unit="no-such"), **ours)) is status.NOT_FOUND
    assert await code(stub.List(listing(unit="a\x00b"), **ours)) is status.INVALID_ARGUMENT
    assert await code(stub.List(listing(unit=COMMUNE.code, page_size=-1), **ours)) is status.INVALID_ARGUMENT
    assert await code(stub.List(listing(unit=COMMUNE.code, page_token="?"), **ours)) is status.INVALID_ARGUMENT
    assert await code(stub.List(listing(unit=COMMUNE.code), timeout=5)) is status.UNAUTHENTICATED
    no_scope = as_partner(COMMUNE.path, scope="indicators.write")
    assert await code(stub.List(listing(unit=COMMUNE.code), **no_scope)) is status.PERMISSION_DENIED
