"""Events arrive over a real Kafka, and what they change leaves over it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from google.protobuf.message import Message
from xaso.identity.v1 import events_pb2 as identity
from xaso.indicators.v1 import events_pb2 as indicators

from launcher.kafka import EmbeddedKafka
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage, entered
from tests.indicators.test_events import speaker
from tests.support.running import commune, ladder, running, settings_for, village
from tests.support.waiting import eventually


async def publish(
    producer: AIOKafkaProducer, prefix: str, message: Message, subject: str, sequence: int, *, id: str | None = None
) -> None:
    """An event as a service's relay sends it, keyed by the commune."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id or str(uuid.uuid4()),
        "ce_source": "/test",
        "ce_type": message.DESCRIPTOR.full_name,
        "ce_subject": subject,
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_sequence": str(sequence),
        "ce_unit": "11074",
        "content-type": "application/protobuf",
    }
    await producer.send_and_wait(
        f"{prefix}{message.DESCRIPTOR.file.package}",
        message.SerializeToString(),
        key=b"11074",
        headers=[(name, value.encode()) for name, value in headers.items()],
    )


async def test_a_loudspeaker_elsewhere_turns_a_criterion_here_and_the_change_travels_on(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = settings_for(Settings, database("indicators"), kafka=kafka.bootstrap, topic_prefix=topic_prefix)
    here = commune()
    unit = village(here)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        # The loudspeaker speaks first: its topic knows nothing of the order of identity's.
        twice = str(uuid.uuid4())
        await publish(producer, topic_prefix, speaker(unit, "ready"), "loa-1", 2, id=twice)
        await publish(producer, topic_prefix, speaker(unit, "lost"), "loa-1", 1)
        await publish(producer, topic_prefix, speaker(unit, "ready"), "loa-1", 2, id=twice)
        for one in (*ladder(), here, unit):
            await publish(producer, topic_prefix, entered(one), f"unit/{one.code}", 1)
        broken = identity.UnitEntered(unit=identity.Unit(code="x", valid_from="no date"))
        await publish(producer, topic_prefix, broken, "unit/x", 1)
        async with running(service, settings, parts=("relay", "consume", "tasks")) as live:
            stage = Stage(live, here, [unit])

            async def turned() -> bool:
                return (await stage.item("30", "288.2"))["value"] == {"numerator": 1, "denominator": 1}

            await eventually(turned)
            assert await stage.status(unit, "288.2") == "met"
            told = await changes(kafka, topic_prefix, wanted={"11074-01", "11074", "298", "30"})
    finally:
        await producer.stop()
    first = told["11074-01"]
    assert (first.set, first.item, first.before, first.after) == ("hd-288-2023", "288.2", "no_data", "met")
    assert first.because.startswith("xaso.media.v1.LoudspeakerStateChanged:")
    assert (told["30"].met, told["30"].total) == (0, 1)


async def changes(kafka: EmbeddedKafka, prefix: str, wanted: set[str]) -> dict[str, indicators.ComplianceChanged]:
    """The last change of 288.2 of each wanted unit, as any other service would read it."""
    found: dict[str, indicators.ComplianceChanged] = {}
    consumer = AIOKafkaConsumer(
        f"{prefix}xaso.indicators.v1", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while found.keys() < wanted:
                record = await consumer.getone()
                message = indicators.ComplianceChanged.FromString(record.value)
                assert record.key == (b"11074" if message.unit.startswith("11074") else message.unit.encode())
                if message.item == "288.2":
                    found[message.unit] = message
    finally:
        await consumer.stop()
    return found
