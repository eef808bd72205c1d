"""The gRPC face, as a partner's program meets it, and the event stream on real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from xaso.identity.v1 import events_pb2 as events
from xaso.identity.v1 import identity_pb2 as pb
from xaso.identity.v1 import identity_pb2_grpc as pb_grpc

from launcher.kafka import EmbeddedKafka
from services.identity import seed
from services.identity.app import service
from services.identity.settings import Settings
from tests.identity.people import CHEAP
from tests.support.running import Running, bearer, running, settings_for, token

Stub = pb_grpc.DirectoryServiceStub
SCOPES = "identity.units.read identity.teams.read"
OFFICER = bearer(("officer", "30/298/11083"))


def partner(scope: str = SCOPES) -> list[tuple[str, str]]:
    text = token(("partner", "30"), kind="partner", scope=scope, client_id="vienthong-test")
    return [("authorization", f"Bearer {text}")]


@pytest_asyncio.fixture(loop_scope="session")
async def stub(identity: Running) -> AsyncIterator[Stub]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{identity.runner.grpc_port}") as channel:
        yield Stub(channel)


async def test_units_are_asked_for_one_by_one_and_page_by_page(stub: Stub) -> None:
    one = await stub.GetUnit(pb.GetUnitRequest(code="11083"), metadata=partner(), timeout=5)
    assert (one.unit.name, one.unit.valid_from) == ("Xã Đại Sơn", "2019-12-01")
    seen: list[str] = []
    request = pb.ListUnitsRequest(level="commune", parent="298", page_size=10)
    while True:
        page = await stub.ListUnits(request, metadata=partner(), timeout=5)
        seen += [u.code for u in page.units]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(seen) == len(set(seen)) == 23
    assert seen == sorted(seen)


async def test_teams_are_asked_for(identity: Running, stub: Stub) -> None:
    village = {"parent": "11083", "name": "Thôn gRPC"}
    code = (await identity.client.post("/identity/api/v1/units", json=village, headers=OFFICER)).json()["code"]
    body = {"unit": code, "name": "Tổ gRPC", "member_count": 4}
    team = (await identity.client.post("/identity/api/v1/teams", json=body, headers=OFFICER)).json()
    one = await stub.GetTeam(pb.GetTeamRequest(id=team["id"]), metadata=partner(), timeout=5)
    assert (one.team.name, one.team.unit, one.team.last_activity_on) == ("Tổ gRPC", code, "")
    listed = await stub.ListTeams(pb.ListTeamsRequest(unit="30"), metadata=partner(), timeout=5)
    assert team["id"] in [t.id for t in listed.teams]


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("GetUnit", pb.GetUnitRequest(code="nowhere"), grpc.StatusCode.NOT_FOUND),
        ("GetUnit", pb.GetUnitRequest(code="11083", as_of="1999-01-01"), grpc.StatusCode.NOT_FOUND),
        ("GetUnit", pb.GetUnitRequest(code="11083", as_of="hôm qua"), grpc.StatusCode.INVALID_ARGUMENT),
        ("GetUnit", pb.GetUnitRequest(code="\x00"), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListUnits", pb.ListUnitsRequest(level="planet"), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListUnits", pb.ListUnitsRequest(page_size=-1), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListUnits", pb.ListUnitsRequest(page_size=201), grpc.StatusCode.INVALID_ARGUMENT),
        ("ListUnits", pb.ListUnitsRequest(page_token="%"), grpc.StatusCode.INVALID_ARGUMENT),
        ("GetTeam", pb.GetTeamRequest(id=str(uuid.uuid4())), grpc.StatusCode.NOT_FOUND),
        ("GetTeam", pb.GetTeamRequest(id="x"), grpc.StatusCode.NOT_FOUND),
        ("ListTeams", pb.ListTeamsRequest(unit=""), grpc.StatusCode.NOT_FOUND),
        ("ListTeams", pb.ListTeamsRequest(unit="30", page_token="WzFd"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_bad_questions_are_refused(stub: Stub, method: str, request_: object, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(stub, method)(request_, metadata=partner(), timeout=5)
    assert refused.value.code() == code, refused.value


async def test_each_method_asks_for_its_scope(stub: Stub) -> None:
    for metadata, code in (
        ([], grpc.StatusCode.UNAUTHENTICATED),
        (partner("identity.teams.read"), grpc.StatusCode.PERMISSION_DENIED),
        (partner("xaso"), grpc.StatusCode.PERMISSION_DENIED),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetUnit(pb.GetUnitRequest(code="11083"), metadata=metadata, timeout=5)
        assert refused.value.code() == code
    person = [("authorization", OFFICER["authorization"])]
    assert (await stub.GetUnit(pb.GetUnitRequest(code="11083"), metadata=person, timeout=5)).unit.code == "11083"


async def test_units_reach_kafka_once_each(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = settings_for(Settings, database("kafka"), kafka=kafka.bootstrap, topic_prefix=topic_prefix, **CHEAP)
    async with running(service, settings, parts=["relay"]) as run:
        async with run.tx() as tx:
            assert await seed.load_units(tx) == 248
        topic = f"{topic_prefix}xaso.identity.v1"
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            got = [await consumer.getone() for _ in range(248)]
        finally:
            await consumer.stop()
    headers = [dict(m.headers) for m in got]
    assert len({h["ce_id"] for h in headers}) == 248
    assert {h["ce_type"] for h in headers} == {b"xaso.identity.v1.UnitEntered"}
    one = next(m for m in got if dict(m.headers)["ce_unit"] == b"11083")
    assert (one.key, dict(one.headers)["ce_subject"]) == (b"11083", b"11083@2019-12-01")
    assert events.UnitEntered.FromString(one.value).unit.name == "Xã Đại Sơn"
