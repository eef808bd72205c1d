"""Units arrive from identity over Kafka; a village that moves takes its devices along."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message
from xaso.identity.v1 import events_pb2 as identity

from chassis import units
from chassis.db import now
from launcher.kafka import EmbeddedKafka
from services.media.app import service
from services.media.settings import Settings
from services.media.watching.model import Alert, Kind
from tests.media.conftest import COMMUNE, NGHIA_DUNG, OTHER_COMMUNE, Media
from tests.media.phones import Phone
from tests.support.running import bearer, ladder, running, settings_for
from tests.support.waiting import eventually


def unit(row: units.Unit, **changed: str) -> identity.Unit:
    values = {
        "code": row.code,
        "name": row.name,
        "level": row.level,
        "kind": row.kind,
        "parent": row.parent,
        "path": row.path,
        "valid_from": row.valid_from.isoformat(),
    }
    return identity.Unit(**{**values, **changed})


async def publish(producer: AIOKafkaProducer, topic: str, message: Message, subject: str, sequence: int) -> None:
    headers = {
        "ce_id": str(uuid.uuid4()),
        "ce_source": "/identity",
        "ce_type": message.DESCRIPTOR.full_name,
        "ce_subject": subject,
        "ce_time": now().isoformat(),
        "ce_sequence": str(sequence),
        "ce_unit": subject,
    }
    packed = [(name, value.encode()) for name, value in headers.items()]
    await producer.send_and_wait(topic, message.SerializeToString(), key=COMMUNE.code.encode(), headers=packed)


async def follows(media: Media, phone: Phone, village: str) -> bool:
    """Whether a phone could subscribe: the village may not be known yet."""
    answer = await media.post("/subscriptions", {"unit": village, **phone.described}, by={})
    return answer.status_code == 201


async def alerted(media: Media) -> uuid.UUID:
    """An alert of a camera of the village."""
    body = {"unit": NGHIA_DUNG.code, "name": "Cổng", "place": "main_road", "url": "rtsp://10.0.0.7/live"}
    camera = (await media.post("/cameras", body)).json()["id"]
    rule = (await media.post(f"/cameras/{camera}/rules", {"kind": "covered"})).json()["id"]
    place = {"unit": NGHIA_DUNG.code, "path": NGHIA_DUNG.path}
    made = Alert(camera_id=uuid.UUID(camera), rule_id=uuid.UUID(rule), kind=Kind.COVERED, created_at=now(), **place)
    async with media.running.tx() as tx:
        tx.add(made)
        await tx.flush()
        return made.id


async def test_units_are_projected_and_devices_follow_their_village(
    database: Callable[[str], str], topic_prefix: str, kafka: EmbeddedKafka
) -> None:
    settings = settings_for(Settings, database("media"), topic_prefix=topic_prefix, kafka=kafka.bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    topic = f"{topic_prefix}xaso.identity.v1"
    try:
        for row in (*ladder(), COMMUNE, OTHER_COMMUNE, NGHIA_DUNG):
            await publish(producer, topic, identity.UnitEntered(unit=unit(row)), row.code, 1)
        async with running(service, settings, parts=["consume"]) as started:
            media = Media(started, settings)

            async def known() -> bool:
                async with started.tx() as tx:
                    return await units.find(tx, NGHIA_DUNG.code) is not None

            await eventually(known)
            speaker = (await media.speaker("Loa"))["loudspeaker"]["id"]
            there = {"unit": NGHIA_DUNG.code}
            body = {**there, "topic": "general", "title": "Họp", "text": "Họp thôn."}
            notice = (await media.post("/notices", body)).json()["id"]
            rule = {**there, "kind": "household", "weekdays": [1], "at": "06:00"}
            assert (await media.post("/waste-rules", rule)).status_code == 201
            assert (await media.post("/subscriptions", {**there, **Phone().described}, by={})).status_code == 201
            alert = await alerted(media)
            path = f"{OTHER_COMMUNE.path}/{NGHIA_DUNG.code}"
            moved = unit(NGHIA_DUNG, parent=OTHER_COMMUNE.code, path=path)
            await publish(producer, topic, identity.UnitChanged(unit=moved), NGHIA_DUNG.code, 2)
            new_officer = bearer(("officer", OTHER_COMMUNE.path))

            async def followed() -> bool:
                return (await media.get(f"/loudspeakers/{speaker}", by=new_officer)).status_code == 200

            await eventually(followed)
            assert (await media.get(f"/loudspeakers/{speaker}")).status_code == 404
            assert (await media.get(f"/notices/{notice}", by=new_officer)).status_code == 200
            assert (await media.get(f"/notices/{notice}")).status_code == 404
            assert (await media.get(f"/camera-alerts/{alert}", by=new_officer)).status_code == 200
            assert (await media.get(f"/camera-alerts/{alert}")).status_code == 404
            assert len((await media.get("/waste-rules", by=new_officer, **there)).json()["items"]) == 1
            # A notice for all of the commune it now lies in reaches the village's phones.
            everybody = await media.post("/notices", {**body, "unit": OTHER_COMMUNE.code}, by=new_officer)
            assert everybody.json()["subscriptions"] == 1
            await publish(producer, topic, identity.UnitChanged(unit=unit(NGHIA_DUNG)), NGHIA_DUNG.code, 1)
            # Its phones, one of which followed both, go to the village that takes it in.
            both = Phone()
            new = unit(NGHIA_DUNG, code="11086-09", parent=OTHER_COMMUNE.code, path=f"{OTHER_COMMUNE.path}/11086-09")
            await publish(producer, topic, identity.UnitEntered(unit=new), new.code, 1)
            await eventually(lambda: follows(media, both, new.code))
            assert await follows(media, both, NGHIA_DUNG.code)
            link = identity.UnitSucceeded(predecessor=moved, successor=new, successors_of_predecessor=1)
            await publish(producer, topic, link, "link", 1)
            same = identity.UnitSucceeded(predecessor=new, successor=new, successors_of_predecessor=1)
            await publish(producer, topic, same, "same", 1)
            split = identity.UnitSucceeded(predecessor=new, successor=moved, successors_of_predecessor=2)
            await publish(producer, topic, split, "split", 1)
            marker = unit(NGHIA_DUNG, code="11074-99", path=f"{COMMUNE.path}/11074-99")
            await publish(producer, topic, identity.UnitEntered(unit=marker), "11074-99", 1)

            async def marked() -> bool:
                async with started.tx() as tx:
                    return await units.find(tx, "11074-99") is not None

            await eventually(marked)
            assert await followed(), "an older description changes nothing"
            after = await media.post("/notices", {**body, "unit": new.code}, by=new_officer)
            assert after.json()["subscriptions"] == 2
    finally:
        await producer.stop()
