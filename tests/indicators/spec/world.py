"""Owns the way the specification's tests look at the indicators service: from outside, through its public faces only.

Events of the other services go over a real Kafka, observations over gRPC, questions over HTTP. Nothing here knows how
the service keeps or computes anything.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import httpx
from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message
from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.identity.v1 import events_pb2 as identity
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs
from xaso.media.v1 import events_pb2 as media
from xaso.petitions.v1 import events_pb2 as petitions

from chassis.units import Unit
from tests.support.running import bearer, token
from tests.support.waiting import eventually

SET = "hd-288-2023"
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
# One key puts everything of a topic into one partition: what is sent later is read later.
KEY = b"11086"
OFFICIAL = bearer(("officer", "30"))
ADMIN = bearer(("admin", "30"))

Figure = tuple[str, dict[str, Any] | None]
NO_DATA: Figure = ("no_data", None)


@dataclass(frozen=True)
class Told:
    """One event of another service, before it is sent."""

    message: Message
    subject: str
    sequence: int = 1
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class World:
    """A running service, and everything one may do to it from outside."""

    address: str
    grpc_target: str
    producer: AIOKafkaProducer
    prefix: str
    client: httpx.AsyncClient
    channel: grpc.aio.Channel
    commune: Unit
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def publish(self, *events: Told) -> None:
        """Send events as the relays of the other services do; returns when the broker has them."""
        sent = [await self._send(event) for event in events]
        await asyncio.gather(*sent)

    async def _send(self, event: Told) -> asyncio.Future[Any]:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event.id,
            "ce_source": "/spec",
            "ce_type": event.message.DESCRIPTOR.full_name,
            "ce_subject": event.subject,
            "ce_time": datetime.now(UTC).isoformat(),
            "ce_sequence": str(event.sequence),
            "ce_unit": "11086",
            "content-type": "application/protobuf",
        }
        topic = f"{self.prefix}{event.message.DESCRIPTOR.file.package}"
        encoded = [(name, value.encode()) for name, value in headers.items()]
        sent: asyncio.Future[Any] = await self.producer.send(
            topic, event.message.SerializeToString(), key=KEY, headers=encoded
        )
        return sent

    def next_village(self, of: Unit | None = None) -> Unit:
        """A village that nobody has heard of yet."""
        above = of or self.commune
        number = next(self._numbers)
        code = f"{above.code}-{number:03d}"
        return Unit(code, f"Thôn {number}", "village", "thon", above.code, f"{above.path}/{code}", date(2020, 1, 1))

    async def villages(self, count: int, of: Unit | None = None) -> list[Unit]:
        """New villages, known to the service."""
        made = [self.next_village(of) for _ in range(count)]
        await self.publish(*(entered(unit) for unit in made))
        await self.drained()
        return made

    async def drained(self) -> None:
        """Wait until every event published so far is taken in, whatever it did.

        One more event goes behind them in each topic; what it says of a village of its own can be seen from outside.
        """
        guard = Unit("11098", "Xã Canh", "commune", "xa", "298", "30/298/11098", date(2020, 1, 1))
        last = self.next_village(guard)
        now = datetime.now(UTC)
        await self.publish(
            entered(last),
            team(last, {now.astimezone(VIETNAM).year: 1}),
            petition(last, answered_at=now),
            speaker(last),
            product(last, key=True, live=1),
        )

        async def seen() -> bool:
            items = await self.figures(last)
            return all(items[code][0] == "met" for code in ("288.1", "288.2", "288.3", "288.9"))

        assert await eventually(seen, pause=0.01)

    async def sheet(self, unit: Unit | str, **params: str) -> dict[str, Any]:
        code = unit if isinstance(unit, str) else unit.code
        response = await self.client.get(f"/indicators/api/v1/units/{code}/sets/{SET}", params=params)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def figures(self, unit: Unit | str, **params: str) -> dict[str, Figure]:
        """Status and value of each row."""
        sheet = await self.sheet(unit, **params)
        return {item["code"]: (item["status"], item["value"]) for item in sheet["items"]}

    async def explanation(self, unit: Unit | str, item: str) -> dict[str, Any]:
        code = unit if isinstance(unit, str) else unit.code
        response = await self.client.get(
            f"/indicators/api/v1/units/{code}/sets/{SET}/items/{item}/explanation", headers=OFFICIAL
        )
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def submit(
        self, *observations: pb.Observation, client: str = "vienthong", grant: str = "30"
    ) -> pb.SubmitResponse:
        """One stream of observations of a partner that holds a grant on the path `grant`."""
        call = stubs.ObservationServiceStub(self.channel).Submit(
            iter(observations), metadata=partner(client, grant), timeout=30
        )
        answer: pb.SubmitResponse = await call
        return answer

    async def take(self, *observations: pb.Observation, client: str = "vienthong") -> None:
        """Observations none of which may be refused."""
        answer = await self.submit(*observations, client=client)
        assert not answer.rejections, answer
        assert answer.accepted + answer.duplicate == len(observations)

    async def check(self, row: str, cases: dict[str, tuple[Sequence[Told], Figure]], units: Iterable[Unit]) -> None:
        """Every case has told its events of its own unit: compare the row of each with what the source asks for."""
        await self.publish(*(event for events, _ in cases.values() for event in events))
        await self.drained()
        found = {name: (await self.figures(unit))[row] for name, unit in zip(cases, units, strict=True)}
        assert found == {name: expected for name, (_, expected) in cases.items()}

    @asynccontextmanager
    async def listening(self, last: int | str | None = None, **params: Any) -> AsyncIterator[AsyncIterator[Change]]:
        """The stream of changes; it is open when this returns."""
        headers = {} if last is None else {"last-event-id": str(last)}
        path = "/indicators/api/v1/changes"
        async with self.client.stream("GET", path, params=params, headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            yield changes(lines)


@dataclass(frozen=True)
class Change:
    """One server-sent event."""

    id: int
    data: dict[str, Any]

    @property
    def place(self) -> tuple[str, str, str]:
        return self.data["unit"], self.data["set"], self.data["item"]


async def changes(lines: AsyncIterator[str]) -> AsyncIterator[Change]:
    """Server-sent events as the standard reads them: fields up to an empty line, comments skipped."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Change(int(fields["id"]), json.loads(fields["data"]))
            fields = {}


async def first(stream: AsyncIterator[Change], count: int) -> list[Change]:
    """The next `count` changes."""
    found: list[Change] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found.append(await anext(stream))
    return found


def partner(
    client: str = "vienthong", grant: str = "30", scope: str = "indicators.observations.write", **claims: Any
) -> Any:
    """gRPC metadata of a partner's token."""
    signed = token(("partner", grant), kind="partner", scope=scope, client_id=client, subject=client, **claims)
    return (("authorization", f"Bearer {signed}"),)


def this_year() -> int:
    return datetime.now(VIETNAM).year


def ago(**delta: float) -> datetime:
    return datetime.now(UTC) - timedelta(**delta)


def describe(unit: Unit) -> identity.Unit:
    return identity.Unit(
        code=unit.code, name=unit.name, level=unit.level, kind=unit.kind, parent=unit.parent, path=unit.path,
        valid_from=unit.valid_from.isoformat(), valid_to=unit.valid_to.isoformat() if unit.valid_to else "",
    )  # fmt: skip


def entered(unit: Unit, sequence: int = 1) -> Told:
    subject = f"unit/{unit.code}@{unit.valid_from.isoformat()}"
    return Told(identity.UnitEntered(unit=describe(unit)), subject, sequence)


def ended(unit: Unit, sequence: int = 2) -> Told:
    subject = f"unit/{unit.code}@{unit.valid_from.isoformat()}"
    return Told(identity.UnitEnded(unit=describe(unit)), subject, sequence)


def team(
    unit: Unit, activities: dict[int, int], *, sequence: int = 1, dissolved_on: str = "", id: str = "to-1"
) -> Told:
    """A digital team as identity tells of it."""
    id = f"{unit.code}/{id}"
    last = f"{max(year for year in activities if activities[year])}-06-15" if any(activities.values()) else ""
    state = identity.DigitalTeam(
        id=id, unit=unit.code, name="Tổ 1", member_count=5, registered_on="2024-01-05", last_activity_on=last,
        activities_by_year=activities, dissolved_on=dissolved_on,
    )  # fmt: skip
    if dissolved_on:
        return Told(identity.DigitalTeamDissolved(team=state), id, sequence)
    if last:
        return Told(identity.DigitalTeamActivityLogged(team=state), id, sequence)
    return Told(identity.DigitalTeamRegistered(team=state), id, sequence)


def petition(
    unit: Unit, *, answered_at: datetime | None = None, status: str = "", sequence: int = 1, id: str = "pa-1",
    village: str | None = None,
) -> Told:  # fmt: skip
    """A petition that concerns a village; filed a day before its answer."""
    id = f"{unit.code}/{id}"
    state = petitions.Petition(
        id=id, code="PA-2026-000001", commune=unit.parent, village=unit.code if village is None else village,
        category="duong-sa", status=status or ("answered" if answered_at else "filed"), channel="web",
    )  # fmt: skip
    state.filed_at.FromDatetime((answered_at or datetime.now(UTC)) - timedelta(days=1))
    if answered_at:
        state.answered_at.FromDatetime(answered_at)
    kinds = {
        "filed": petitions.PetitionFiled,
        "routed": petitions.PetitionRouted,
        "answered": petitions.PetitionAnswered,
        "closed": petitions.PetitionClosed,
        "reopened": petitions.PetitionReopened,
    }
    return Told(kinds[state.status](petition=state), id, sequence)


def speaker(
    unit: Unit, state: str = "ready", *, smart: bool = True, in_service: bool = True, sequence: int = 1,
    id: str = "loa-1",
) -> Told:  # fmt: skip
    id = f"{unit.code}/{id}"
    told = media.Loudspeaker(id=id, unit=unit.code, name="Loa 1", state=state, smart=smart, in_service=in_service)
    told.state_since.GetCurrentTime()
    if not in_service:
        return Told(media.LoudspeakerRetired(loudspeaker=told), id, sequence)
    return Told(media.LoudspeakerStateChanged(loudspeaker=told), id, sequence)


def camera(
    unit: Unit, place: str, state: str = "online", *, in_hub: bool = True, retired: bool = False, sequence: int = 1,
    id: str = "",
) -> Told:  # fmt: skip
    id = f"{unit.code}/{id or place}"
    told = media.Camera(id=id, unit=unit.code, name="Camera", place=place, state=state, in_hub=in_hub, retired=retired)
    told.state_since.GetCurrentTime()
    kind = media.CameraRetired if retired else media.CameraStateChanged
    return Told(kind(camera=told), id, sequence)


def audible(unit: Unit, within: int, clusters: int, *, sequence: int = 1) -> Told:
    told = media.VillageAudibilityChanged(unit=unit.code, clusters=clusters, clusters_in_earshot=within)
    return Told(told, f"audibility/{unit.code}", sequence)


def product(
    unit: Unit, *, key: bool, live: int, status: str = "published", sequence: int = 1, id: str = "sp-1"
) -> Told:
    """A product with `live` listings that are live and one that has ended."""
    id = f"{unit.code}/{id}"
    told = ecommerce.Product(
        id=id, unit=unit.code, producer_id="htx-1", name="Rươi Tứ Kỳ", key_product=key, status=status,
        live_listings=live,
    )  # fmt: skip
    for number in range(live + 1):
        told.listings.add(id=f"{id}/{number}", channel="zalo", url="https://example.vn/ruoi", live=number < live)
    if status == "withdrawn":
        return Told(ecommerce.ProductWithdrawn(product=told), id, sequence)
    if live:
        return Told(ecommerce.ListingOpened(product=told, listing=told.listings[0]), id, sequence)
    return Told(ecommerce.ProductChanged(product=told), id, sequence)


def figure(
    unit: Unit | str, measure: str, value: tuple[int, int] | bool | int | None, *, id: str = "",
    at: datetime | None = None, withdrawn: bool = False, source: str = "Báo cáo tháng 11", period: str = "",
) -> pb.Observation:  # fmt: skip
    """An observation of a measure: a pair is a ratio, True or False a flag, a number a count."""
    code = unit if isinstance(unit, str) else unit.code
    told = pb.Observation(
        id=id or str(uuid.uuid4()), unit=code, measure=measure, source=source, withdrawn=withdrawn, period=period
    )
    return _with_value(told, value, at)


def fact(
    unit: Unit | str, attribute: str, entity: str, value: bool | int | None, *, id: str = "",
    at: datetime | None = None, withdrawn: bool = False,
) -> pb.Observation:  # fmt: skip
    """An observation of one attribute of one entity."""
    code = unit if isinstance(unit, str) else unit.code
    told = pb.Observation(id=id or str(uuid.uuid4()), unit=code, source="Danh sách hộ", withdrawn=withdrawn)
    told.fact.attribute, told.fact.entity = attribute, entity
    return _with_value(told, value, at)


def _with_value(
    told: pb.Observation, value: tuple[int, int] | bool | int | None, at: datetime | None
) -> pb.Observation:
    if isinstance(value, bool):
        told.flag = value
    elif isinstance(value, int):
        told.count = value
    elif value is not None:
        told.ratio.numerator, told.ratio.denominator = value
    told.observed_at.FromDatetime(at or ago(minutes=1))
    return told


def ratio(numerator: int, denominator: int) -> dict[str, int]:
    return {"numerator": numerator, "denominator": denominator}
