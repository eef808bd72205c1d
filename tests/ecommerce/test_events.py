"""Over real Kafka: units arrive from identity, products are told to the others."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import date

import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from google.protobuf.message import Message
from xaso.ecommerce.v1 import events_pb2
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from services.ecommerce.app import service
from services.ecommerce.settings import Settings
from tests.ecommerce.conftest import DUNG, HOME, Shop, ok, url
from tests.support.running import ladder, running, settings_for
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def connected(database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str) -> AsyncIterator[Shop]:
    settings = settings_for(
        Settings, database("events"), kafka=kafka.bootstrap, topic_prefix=topic_prefix, relay_poll_seconds=0.2
    )
    async with running(service, settings, parts=["relay", "consume"]) as started:
        yield Shop(started)


def unit_message(unit: Unit) -> identity.Unit:
    return identity.Unit(
        code=unit.code,
        name=unit.name,
        level=unit.level,
        kind=unit.kind,
        parent=unit.parent,
        path=unit.path,
        valid_from=unit.valid_from.isoformat(),
        valid_to=unit.valid_to.isoformat() if unit.valid_to else "",
    )


async def send(kafka: EmbeddedKafka, prefix: str, unit: Unit, kind: str, sequence: int) -> None:
    """A unit as identity tells it."""
    message = getattr(identity, kind)(unit=unit_message(unit))
    subject = f"{unit.code}@{unit.valid_from}"
    await send_message(kafka, prefix, message, subject=subject, unit=unit.code, key=unit.commune, sequence=sequence)


async def send_message(
    kafka: EmbeddedKafka, prefix: str, message: Message, *, subject: str, unit: str, key: str, sequence: int = 1
) -> None:
    """As identity's relay sends it."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": "/xaso/identity",
        "ce_type": message.DESCRIPTOR.full_name,
        "ce_subject": subject,
        "ce_time": "2026-11-22T10:00:00+07:00",
        "ce_sequence": str(sequence),
        "ce_unit": unit,
        "content-type": "application/protobuf",
    }
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(
            f"{prefix}xaso.identity.v1",
            message.SerializeToString(),
            key=key.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )
    finally:
        await producer.stop()


async def present(shop: Shop, code: str) -> Unit | None:
    async with shop.running.tx() as tx:
        return await units.find(tx, code)


async def test_units_arrive_and_products_follow_them(connected: Shop, kafka: EmbeddedKafka, topic_prefix: str) -> None:
    for unit in (*ladder(), HOME, DUNG):
        await send(kafka, topic_prefix, unit, "UnitEntered", 1)

    async def arrived() -> bool:
        return await present(connected, DUNG.code) == DUNG and await present(connected, HOME.code) == HOME

    await eventually(arrived, 60)
    product = await connected.published()

    # From July 2025 on there are no districts: the commune lies right below the province, its villages with it.
    moved = Unit(DUNG.code, DUNG.name, "village", "thon", HOME.code, f"30/{HOME.code}/{DUNG.code}", date(2020, 1, 1))
    await send(kafka, topic_prefix, moved, "UnitChanged", 3)

    async def relocated() -> bool:
        return [one["id"] for one in ok(await connected.get("/products?unit=298"))["items"]] == []

    await eventually(relocated, 60)
    assert [one["id"] for one in ok(await connected.get("/products?unit=30"))["items"]] == [product["id"]]
    # An older description that comes late changes nothing.
    await send(kafka, topic_prefix, DUNG, "UnitChanged", 2)
    ended = Unit("11099-01", "Thôn Cũ", "village", "thon", "11099", "30/298/11099/11099-01", date(2020, 1, 1))
    await send(kafka, topic_prefix, ended, "UnitEntered", 1)
    await eventually(lambda: present(connected, "11099-01"), 60)
    found = await present(connected, DUNG.code)
    assert found is not None
    assert found.path == moved.path


async def test_the_world_hears_of_a_product_in_order(connected: Shop, kafka: EmbeddedKafka, topic_prefix: str) -> None:
    await connected.running.enter_units(*ladder(), HOME)
    async with connected.running.tx() as tx:
        await units.project(tx, DUNG, 10)
    product = await connected.published()
    listing = ok(await connected.post(f"/products/{product['id']}/listings", {"channel": "shopee", "url": url()}), 201)
    ok(await connected.post(f"/products/{product['id']}/listings/{listing['id']}/end"))
    consumer = AIOKafkaConsumer(
        f"{topic_prefix}xaso.ecommerce.v1", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    heard: list[tuple[str, int, bytes]] = []
    try:

        async def all_heard() -> bool:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    headers = dict(record.headers)
                    if headers["ce_subject"] == product["id"].encode():
                        assert record.key == HOME.code.encode()
                        assert headers["ce_unit"] == DUNG.code.encode()
                        kind = headers["ce_type"].decode().rsplit(".", 1)[1]
                        message = getattr(events_pb2, kind).FromString(record.value)
                        heard.append((kind, message.product.live_listings, headers["ce_sequence"]))
            return len(heard) >= 3

        await eventually(all_heard, 60)
    finally:
        await consumer.stop()
    assert heard == [("ProductPublished", 0, b"1"), ("ListingOpened", 1, b"2"), ("ListingEnded", 0, b"3")]


async def test_an_erased_person_is_forgotten(connected: Shop, kafka: EmbeddedKafka, topic_prefix: str) -> None:
    await connected.running.enter_units(*ladder(), HOME)
    made = {}
    for kind in ("household", "cooperative"):
        body = {"name": f"Nhà bà Sáu {kind}", "kind": kind, "unit": HOME.code}
        made[kind] = ok(await connected.post("/producers", body), 201)["id"]
    message = identity.ResidentErased(account_id="acc-producer")
    await send_message(kafka, topic_prefix, message, subject="acc-producer", unit=HOME.code, key=HOME.code)

    async def forgotten() -> bool:
        found = [ok(await connected.get(f"/producers/{one}", connected.officer)) for one in made.values()]
        return [(one["name"], one["account"]) for one in found] == [
            ("Hộ sản xuất", None),
            ("Nhà bà Sáu cooperative", None),
        ]

    await eventually(forgotten, 60)
