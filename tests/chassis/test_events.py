"""Events on real Kafka and PostgreSQL: outbox, relay, consumer, inbox, dead letters, traces."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from xaso.petitions.v1.events_pb2 import Petition, PetitionFiled

from chassis import telemetry
from chassis.db import dead_letter_table, inbox_table, outbox_table
from chassis.relay import dsn, republish
from launcher.kafka import EmbeddedKafka
from tests.support.ledger.app import LedgerSettings, both, reader
from tests.support.running import Running, bearer, csrf, running, settings_for, token
from tests.support.waiting import eventually

ENTRIES = "/ledger/api/v1/entries"
TOPIC = "xaso.petitions.v1"


@pytest.fixture(scope="module")
async def ledger(database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str) -> AsyncIterator[Running]:
    settings = settings_for(
        LedgerSettings,
        database("ledger"),
        kafka=kafka.bootstrap,
        topic_prefix=topic_prefix,
        consumer_tries=2,
        relay_poll_seconds=0.2,
    )
    async with running(both, settings, parts=("relay", "consume")) as service:
        yield service


async def effects(service: Running, entry: str) -> int:
    async with service.tx() as tx:
        return int(await tx.scalar(sa.text("SELECT count(*) FROM effect WHERE entry = :entry"), {"entry": entry}))


async def add(service: Running, entry: str, subject: str | None = None, n: int = 1) -> int:
    response = await service.client.post(ENTRIES, json={"id": entry, "subject": subject or f"s-{entry}", "n": n})
    assert response.status_code == 201, response.text
    return int(response.json()["sequence"])


@asynccontextmanager
async def sender(kafka: EmbeddedKafka) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def headers(number: int, kind: str = "xaso.petitions.v1.PetitionFiled", **changed: bytes) -> list[tuple[str, bytes]]:
    values = {
        "ce_specversion": b"1.0",
        "ce_id": f"01999999-0000-7000-8000-{number:012d}".encode(),
        "ce_source": b"/xaso/elsewhere",
        "ce_type": kind.encode(),
        "ce_subject": b"subject",
        "ce_time": b"2026-11-22T10:00:00+07:00",
        "ce_sequence": b"1",
        "ce_unit": b"11074",
        **changed,
    }
    return list(values.items())


async def test_an_entry_takes_effect_once_and_is_marked(ledger: Running) -> None:
    await add(ledger, "e-1")
    await eventually(lambda: effects(ledger, "e-1"))

    async def marked() -> bool:
        async with ledger.tx() as tx:
            return bool(
                await tx.scalar(sa.select(outbox_table.c.published_at).where(outbox_table.c.subject == "s-e-1"))
            )

    await eventually(marked)
    assert await effects(ledger, "e-1") == 1


async def test_sequences_of_a_subject_have_no_gap_even_after_a_refusal(ledger: Running) -> None:
    for number in range(3):
        await add(ledger, f"gap-{number}", "gap")
        refused = await ledger.client.post(
            ENTRIES, json={"id": f"gap-x-{number}", "subject": "gap", "n": 1}, headers={"x-fault": "refuse"}
        )
        assert refused.status_code == 409
    async with ledger.tx() as tx:
        rows = await tx.scalars(
            sa.select(outbox_table.c.sequence).where(outbox_table.c.subject == "gap").order_by(outbox_table.c.id)
        )
        assert list(rows) == [1, 2, 3]


async def test_concurrent_writes_to_one_subject_keep_their_order(ledger: Running) -> None:
    await asyncio.gather(*(add(ledger, f"order-{n}", "order", n) for n in range(20)))

    async def arrived() -> list[int] | None:
        async with ledger.tx() as tx:
            rows = await tx.scalars(sa.text("SELECT sequence FROM effect WHERE subject = 'order' ORDER BY position"))
            found = list(rows)
        return found if len(found) == 20 else None

    assert await eventually(arrived) == list(range(1, 21))


async def test_what_goes_over_the_wire_is_cloudevents(ledger: Running, kafka: EmbeddedKafka, topic_prefix: str) -> None:
    await add(ledger, "wire", "s-wire", 7)
    consumer = AIOKafkaConsumer(
        topic_prefix + TOPIC, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            async for record in consumer:
                found = dict(record.headers)
                if found["ce_subject"] == b"s-wire":
                    break
    finally:
        await consumer.stop()
    assert record.key == b"s-wire"
    assert found["ce_specversion"] == b"1.0"
    assert found["ce_type"] == b"xaso.petitions.v1.PetitionFiled"
    assert found["ce_source"] == b"/xaso/ledger"
    assert found["ce_sequence"] == b"1"
    assert found["ce_unit"] == b"11074"
    assert found["content-type"] == b"application/protobuf"
    assert found["ce_id"][14:15] == b"7", "event ids are UUIDv7"
    assert PetitionFiled.FromString(record.value).petition.code == "7"


async def test_one_trace_runs_from_the_request_to_the_effect(ledger: Running) -> None:
    with telemetry.recorded_spans() as recorded:
        trace = "0af7651916cd43dd8448eb211c80319c"
        response = await ledger.client.post(
            ENTRIES,
            json={"id": "traced", "subject": "s-traced", "n": 1},
            headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"},
        )
        assert response.status_code == 201
        await eventually(lambda: effects(ledger, "traced"))

        def names() -> set[str] | None:
            spans = [s for s in recorded.get_finished_spans() if format(s.context.trace_id, "032x") == trace]
            found = {s.name for s in spans}
            return found if len(found) >= 2 and "event.handle" in found else None

        assert await eventually(names)


async def test_the_same_event_again_changes_nothing(ledger: Running, kafka: EmbeddedKafka, topic_prefix: str) -> None:
    payload = PetitionFiled(petition=Petition(id="again")).SerializeToString()
    async with sender(kafka) as producer:
        for _ in range(3):
            await producer.send_and_wait(topic_prefix + TOPIC, payload, key=b"k", headers=headers(1))
        after = PetitionFiled(petition=Petition(id="after-again")).SerializeToString()
        await producer.send_and_wait(topic_prefix + TOPIC, after, key=b"k", headers=headers(2))
    await eventually(lambda: effects(ledger, "after-again"))
    assert await effects(ledger, "again") == 1


@pytest.mark.parametrize(
    ("number", "payload", "changed"),
    [
        (11, b"\xff\xff\xff\xff not protobuf", {}),
        (12, b"", {"ce_id": b"no uuid"}),
        (13, b"", {"ce_time": b"yesterday"}),
        (14, b"", {"ce_sequence": b"first"}),
        (15, b"", {"ce_type": b""}),
        (16, b"", {"ce_subject": b"\x00nul"}),
    ],
)
async def test_poison_is_set_aside_and_blocks_nobody(
    ledger: Running, kafka: EmbeddedKafka, topic_prefix: str, number: int, payload: bytes, changed: dict[str, bytes]
) -> None:
    good = PetitionFiled(petition=Petition(id=f"good-{number}")).SerializeToString()
    bad = payload or PetitionFiled(petition=Petition(id=f"bad-{number}")).SerializeToString()
    async with sender(kafka) as producer:
        sent = await producer.send_and_wait(topic_prefix + TOPIC, bad, key=b"k", headers=headers(number, **changed))
        await producer.send_and_wait(topic_prefix + TOPIC, good, key=b"k", headers=headers(number + 100))
    await eventually(lambda: effects(ledger, f"good-{number}"))
    async with ledger.tx() as tx:
        t = dead_letter_table
        row = (await tx.execute(sa.select(t).where(t.c.partition == sent.partition, t.c.offset == sent.offset))).first()
    if number == 16:
        assert await effects(ledger, "bad-16") == 0
    assert row is not None
    assert row.payload == bad
    assert row.reason


async def poison(kafka: EmbeddedKafka, topic: str, number: int) -> None:
    payload = PetitionFiled(petition=Petition(id=f"healed-{number}", village="poison")).SerializeToString()
    async with sender(kafka) as producer:
        await producer.send_and_wait(topic, payload, key=b"k", headers=headers(number))


async def test_staff_read_and_replay_a_dead_letter(
    ledger: Running, kafka: EmbeddedKafka, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await poison(kafka, topic_prefix + TOPIC, 201)

    async def letter() -> object:
        async with ledger.tx() as tx:
            t = dead_letter_table
            return (await tx.execute(sa.select(t).where(t.c.reason.contains("can never take effect")))).first()

    row = await eventually(letter)
    assert row.tries == 2
    async with ledger.fresh_client() as browser:
        html = {"accept": "text/html"}
        anonymous = await browser.get("/ledger/dead-letters", headers=html)
        assert (anonymous.status_code, anonymous.headers["location"][:21]) == (303, "/identity/login?next=")
        for foreign in (("officer", "30/298/11074"), ("admin", "30/298")):
            refused = await browser.get("/ledger/dead-letters", headers={**html, **bearer(foreign)})
            assert refused.status_code == 403
        browser.cookies.set("xaso_session", token(("admin", "30")))
        page = await browser.get("/ledger/dead-letters", headers=html)
        assert "can never take effect" in page.text
        assert "healed-201" in page.text
        value = await csrf(browser, "/ledger/dead-letters")
        replay = f"/ledger/dead-letters/{row.id}/replay"
        still = await browser.post(replay, data={"csrf_token": value}, headers=html)
        assert still.status_code == 409
        kind = "xaso.petitions.v1.PetitionFiled"
        message, _ = ledger.runner.service.consumers.handlers[kind]

        async def mended(tx: object, event: object) -> None:
            await tx.execute(
                sa.text("INSERT INTO effect (entry, subject, sequence) VALUES (:e, 's', 1)"),
                {"e": event.data.petition.id},
            )

        monkeypatch.setitem(ledger.runner.service.consumers.handlers, kind, (message, mended))
        done = await browser.post(replay, data={"csrf_token": value}, headers=html)
        assert done.status_code == 303
        again = await browser.post(replay, data={"csrf_token": value}, headers=html)
        assert again.status_code == 409
    assert await effects(ledger, "healed-201") == 1


async def test_a_consumer_stops_rather_than_set_everything_aside(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    settings = settings_for(
        LedgerSettings,
        database("halting"),
        kafka=kafka.bootstrap,
        topic_prefix=f"{topic_prefix}halt-",
        consumer_tries=1,
        dead_letter_stop=3,
    )
    async with running(reader, settings, parts=("consume",)) as service:
        for number in range(301, 307):
            await poison(kafka, settings.topic_prefix + TOPIC, number)
        consumer = service.runner.consumer
        await eventually(lambda: consumer.halted)
        async with service.tx() as tx:
            assert await tx.scalar(sa.select(sa.func.count()).select_from(dead_letter_table)) == 3
            assert await tx.scalar(sa.select(sa.func.count()).select_from(inbox_table)) == 0
        assert "dead letters" in (await service.runner.checks())["consumer"]


async def test_republishing_fills_a_broker_and_doubles_nothing(ledger: Running) -> None:
    await add(ledger, "refill")
    await eventually(lambda: effects(ledger, "refill"))
    connection = await asyncpg.connect(dsn(ledger.runner.settings))
    try:
        count = await republish(connection, timedelta(hours=1))
    finally:
        await connection.close()
    assert count > 0

    async def all_sent() -> bool:
        async with ledger.tx() as tx:
            return not await tx.scalar(
                sa.select(sa.func.count()).select_from(outbox_table).where(outbox_table.c.published_at.is_(None))
            )

    await eventually(all_sent)
    await add(ledger, "behind-refill", "s-refill")
    await eventually(lambda: effects(ledger, "behind-refill"))
    assert await effects(ledger, "refill") == 1


async def test_a_row_the_broker_refuses_holds_back_only_its_own_key(ledger: Running) -> None:
    async with ledger.tx() as tx:
        await tx.execute(
            sa.text("""
            INSERT INTO outbox (event_id, topic, key, type, subject, sequence, unit, occurred_at, payload)
            VALUES (gen_random_uuid(), 'xaso.petitions.v1', 'huge', 'xaso.petitions.v1.PetitionFiled', 'huge', 0, '1',
                    now(), decode(repeat('00', 2000000), 'hex'))
            """)
        )
    await add(ledger, "beside-huge")
    await add(ledger, "behind-huge", "huge")
    await eventually(lambda: effects(ledger, "beside-huge"))

    async def refused() -> str | None:
        async with ledger.tx() as tx:
            return await tx.scalar(sa.text("SELECT last_error FROM outbox WHERE subject = 'huge' AND sequence = 0"))

    assert "MessageSizeTooLarge" in str(await eventually(refused))
    assert await effects(ledger, "behind-huge") == 0
    async with ledger.tx() as tx:
        await tx.execute(sa.text("DELETE FROM outbox WHERE subject = 'huge' AND sequence = 0"))
    await eventually(lambda: effects(ledger, "behind-huge"), seconds=40)
