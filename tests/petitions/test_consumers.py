"""Units arrive from identity over a real Kafka, and petitions leave over it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from google.protobuf.message import Message
from xaso.identity.v1 import events_pb2 as identity
from xaso.petitions.v1 import events_pb2 as events

from chassis import units
from launcher.kafka import EmbeddedKafka
from services.petitions import commands
from services.petitions.app import service
from services.petitions.forum.model import Author
from services.petitions.model import Draft, Entry, Officer, Petition
from services.petitions.settings import Settings
from tests.petitions.people import DAI_SON, NGHIA_DUNG, People, act, answered, file, people
from tests.support.running import Running, ladder, running, settings_for
from tests.support.waiting import eventually


def entered(unit: units.Unit, **changed: str) -> identity.Unit:
    values = {
        "code": unit.code,
        "name": unit.name,
        "level": unit.level,
        "kind": unit.kind,
        "parent": unit.parent,
        "path": unit.path,
        "valid_from": unit.valid_from.isoformat(),
        **changed,
    }
    return identity.Unit(**values)


async def publish(
    producer: AIOKafkaProducer, prefix: str, message: Message, sequence: int, *, subject: str, unit: str
) -> None:
    """An event as the identity service's relay sends it."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": "/identity",
        "ce_type": message.DESCRIPTOR.full_name,
        "ce_subject": subject,
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_sequence": str(sequence),
        "ce_unit": unit,
        "content-type": "application/protobuf",
    }
    await producer.send_and_wait(
        f"{prefix}{message.DESCRIPTOR.file.package}",
        message.SerializeToString(),
        key=unit.encode(),
        headers=[(key, value.encode()) for key, value in headers.items()],
    )


async def test_a_village_entered_elsewhere_can_be_reported_from_and_the_petition_travels_on(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    who: People = people()
    settings = settings_for(Settings, database("petitions"), kafka=kafka.bootstrap, topic_prefix=topic_prefix)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        for unit in (*ladder(), DAI_SON, NGHIA_DUNG):
            await publish(
                producer, topic_prefix, identity.UnitEntered(unit=entered(unit)), 1, subject=unit.code, unit=unit.code
            )
        async with running(service, settings, parts=("relay", "consume")) as app:

            async def known(name: str) -> bool:
                async with app.tx() as tx:
                    unit = await units.find(tx, NGHIA_DUNG.code)
                    return unit is not None and unit.name == name

            await eventually(lambda: known(NGHIA_DUNG.name))
            petition = await file(app, who.resident)
            renamed = identity.UnitChanged(unit=entered(NGHIA_DUNG, name="Thôn Nghĩa Dũng Mới"))
            await publish(producer, topic_prefix, renamed, 2, subject=NGHIA_DUNG.code, unit=NGHIA_DUNG.code)
            await eventually(lambda: known("Thôn Nghĩa Dũng Mới"))
            ended = identity.UnitEnded(unit=entered(NGHIA_DUNG, valid_to="2026-01-01"))
            await publish(producer, topic_prefix, ended, 3, subject=NGHIA_DUNG.code, unit=NGHIA_DUNG.code)
            await eventually(lambda: gone(app))
            await travelled(kafka, topic_prefix, petition["id"])
            thread = {"topic": "culture", "title": "Hội làng", "body": "Làng tôi giữ hội vật.", "name": "An"}
            wrote = await app.client.post("/petitions/api/v1/forum/threads", json=thread, headers=who.resident)
            assert wrote.status_code == 201, wrote.text
            erased = identity.ResidentErased(account_id="resident-1")
            await publish(producer, topic_prefix, erased, 1, subject="resident-1", unit=DAI_SON.code)
            await eventually(lambda: ownerless(app, petition["id"]))
    finally:
        await producer.stop()


async def gone(app: Running) -> bool:
    async with app.tx() as tx:
        return await units.find(tx, NGHIA_DUNG.code) is None


async def ownerless(app: Running, petition: str) -> bool:
    async with app.tx() as tx:
        reporter = await tx.scalar(sa.select(Petition.reporter).where(Petition.id == uuid.UUID(petition)))
        return reporter is None and await tx.get(Author, "resident-1") is None


async def travelled(kafka: EmbeddedKafka, prefix: str, petition: str) -> None:
    """The petition's event stands in the topic of the service, keyed by its commune, in CloudEvents' clothes."""
    consumer = AIOKafkaConsumer(
        f"{prefix}xaso.petitions.v1", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            record = await consumer.getone()
    finally:
        await consumer.stop()
    headers = {key: value.decode() for key, value in record.headers}
    assert record.key == DAI_SON.code.encode()
    assert headers["ce_type"] == "xaso.petitions.v1.PetitionFiled"
    assert (headers["ce_subject"], headers["ce_unit"]) == (petition, NGHIA_DUNG.code)
    assert headers["ce_sequence"] == "1"
    state = events.PetitionFiled.FromString(record.value).petition
    assert (state.id, state.village, state.commune) == (petition, NGHIA_DUNG.code, DAI_SON.code)


async def test_an_erased_account_leaves_no_tie(app: Running, who: People) -> None:
    petition = await answered(app, who, contact_phone="0912345678")
    await act(app, who.resident, petition, "rate", rating=4)
    async with app.tx() as tx:
        assert await commands.anonymise(tx, "resident-1") >= 1
        await commands.anonymise(tx, "officer-1")
    async with app.tx() as tx:
        kept = (await tx.scalars(sa.select(Petition).where(Petition.id == uuid.UUID(petition["id"])))).one()
        assert (kept.reporter, kept.contact_phone, kept.assignee) == (None, None, None)
        authors = (await tx.scalars(sa.select(Entry.author))).all()
        assert {"resident-1", "officer-1"}.isdisjoint(authors)
        assert (await tx.scalars(sa.select(Officer.subject))).all() == []
        assert (await tx.scalars(sa.select(Draft.owner).where(Draft.owner == "resident-1"))).all() == []
