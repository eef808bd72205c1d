"""The service's stream: any order, repetition, cut and crash gives the same; two that share it lose nothing."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as media
from xaso.observations.v1 import events_pb2 as pb

from chassis.stream import ABSORBING_SECONDS, LAGGING_SECONDS, Refused, Stream
from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from services.indicators import commands
from services.indicators.app import service
from services.indicators.calculation import evaluation, ledger
from services.indicators.criteria import library
from services.indicators.settings import Settings
from services.indicators.stream import sink as indicators_sink
from services.indicators.stream.consumers import on
from services.indicators.stream.sink import Intake, stream
from tests.indicators.conftest import Stage, entered
from tests.support.running import Running, commune, ladder, running, settings_for, village
from tests.support.waiting import eventually

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """One event before it is sent."""

    message: Message
    subject: str
    sequence: int | None
    id: str
    source: str = "/vnpt/bridge"

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        found = {
            "ce_specversion": "1.0",
            "ce_id": self.id,
            "ce_source": self.source,
            "ce_type": self.message.DESCRIPTOR.full_name,
            "ce_subject": self.subject,
            "ce_time": START.isoformat(),
        }
        if self.sequence is not None:
            found["ce_sequence"] = str(self.sequence)
        return [(name, value.encode()) for name, value in found.items()]

    @property
    def record(self) -> ConsumerRecord:
        value = self.message.SerializeToString()
        return ConsumerRecord("t", 0, 0, 0, 0, b"k", value, None, 0, len(value), tuple(self.headers))


def observed(
    unit: str, value: tuple[int, int] | int | bool, *, at: datetime = START, **named: str
) -> pb.ObservationRecorded:
    """`measure` or `attribute` with `entity`; a pair is a ratio."""
    message = pb.ObservationRecorded(unit=unit, **named)
    message.observed_at.FromDatetime(at)
    if isinstance(value, bool):
        message.flag = value
    elif isinstance(value, int):
        message.count = value
    else:
        message.ratio.numerator, message.ratio.denominator = value
    return message


def story(seed: int, codes: Sequence[str], tag: str) -> list[Said]:
    """What several sources say of some villages, in the order they said it; entities move between the villages."""
    chance = random.Random(seed)
    told: list[Said] = []
    counts: dict[str, int] = {}
    for n in range(60):
        unit = chance.choice(codes)
        kind = chance.randrange(4)
        at = START + timedelta(days=chance.randrange(5), seconds=n)
        if kind == 0:
            message: Message = observed(unit, (n % 7, 7), at=at, measure="village.fibre_households")
            subject = f"{unit}/fibre"
        elif kind == 1:
            message, subject = observed(unit, 5 + n % 9, at=at, measure="village.households"), f"{unit}/households"
        elif kind == 2:
            entity = f"h{chance.randrange(6)}"
            message = observed(unit, n % 3 > 0, at=at, attribute="household.fibre", entity=entity)
            subject = f"{unit}/{entity}"
        else:
            id = f"{tag}-loa-{chance.randrange(3)}"
            state = chance.choice(["ready", "lost"])
            message = media.LoudspeakerStateChanged(
                loudspeaker=media.Loudspeaker(id=id, unit=unit, state=state, smart=True, in_service=True)
            )
            subject = id
        counts[subject] = counts.get(subject, 0) + 1
        source = "/xaso/media" if kind == 3 else f"/{tag}/bridge"
        told.append(Said(message, subject, counts[subject], str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}-{n}")), source))
    return told


async def sheets(tx: AsyncSession, codes: Sequence[str]) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    rows = await tx.execute(
        text("""
            SELECT split_part(unit, '@', 1) AS code, set_code, item_code, status, flag, numerator, denominator FROM item
            WHERE split_part(unit, '@', 1) = ANY(:codes) AND (status, numerator) IS DISTINCT FROM ('no_data', NULL)
        """),
        {"codes": list(codes)},
    )
    return {(r.code, r.set_code, r.item_code): (r.status, r.flag, r.numerator, r.denominator) for r in rows}


class Crash(Exception):
    """The process dies here."""


async def follow(stage: Stage, told: Sequence[Said], chance: random.Random) -> None:
    """Fold and write with random cuts, through one kept state; now and then die before or after the commit.

    A sink that died reads on from what is committed, as the stream does from its table.
    """
    sink = Intake(on, library.catalogue)
    done = 0
    while done < len(told):
        size = chance.randint(1, 25)
        for one in told[done : done + size]:
            record = one.record
            sink.fold(record, dict(record.headers))
            if chance.random() < 0.1:
                # Something is done ahead; what comes in after it counts all the same.
                sink.ahead()
        fate = chance.randrange(4)
        try:
            async with stage.running.tx() as tx:
                await sink.write(tx, sink.take())
                if fate == 0:
                    raise Crash
        except Crash:
            sink = Intake(on, library.catalogue)
            continue
        done += size
        if fate == 1:
            # Committed, but nobody remembers: the same again, by another process.
            sink = Intake(on, library.catalogue)
            done -= size // 2
        else:
            sink.written()


@pytest.mark.parametrize("seed", range(6))
async def test_any_permutation_with_repetition_cuts_and_crashes_is_the_stream(
    stage: Stage, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        # Every write takes several statements, as those of thousands of facts do, and facts are made a few at a time.
        monkeypatch.setattr(indicators_sink, "AHEAD", 3)
        monkeypatch.setattr(ledger, "CHUNK", 2)
        monkeypatch.setattr(evaluation, "CHUNK", 2)
    first = [(await stage.new_village()).code for _ in range(3)]
    second = [(await stage.new_village()).code for _ in range(3)]
    chance = random.Random(seed)
    await follow(stage, story(seed, first, f"a{seed}"), random.Random(seed))
    mixed = story(seed, second, f"b{seed}")
    mixed += chance.sample(mixed, len(mixed) // 2)
    chance.shuffle(mixed)
    await follow(stage, mixed, chance)
    await stage.settle()
    async with stage.running.tx() as tx:
        in_order = await sheets(tx, first)
        out_of_order = await sheets(tx, second)
        names = dict(zip(first, second, strict=True))
        assert {(names[code], s, i): value for (code, s, i), value in in_order.items()} == out_of_order
        assert in_order
        found = await commands.rebuild(tx, library.catalogue())
        assert (found.heaps, found.items) == (0, 0)


async def test_facts_are_made_ahead_once_and_all_of_them_are_written(stage: Stage) -> None:
    unit = (await stage.new_village()).code
    sink = Intake(on, library.catalogue)
    words = [observed(unit, True, attribute="household.fibre", entity=f"h{n}") for n in range(1200)]
    for n, message in enumerate(words):
        record = Said(message, f"h{n}", 1, str(uuid.uuid4())).record
        sink.fold(record, dict(record.headers))
    assert [sink.ahead() for _ in range(4)] == [True, True, False, False]
    async with stage.running.tx() as tx:
        assert await sink.write(tx, sink.take()) == (0, [])
        assert await tx.scalar(text("SELECT count(*) FROM fact WHERE unit LIKE :unit"), {"unit": f"{unit}@%"}) == 1200
    assert not sink.ahead()


async def test_a_document_that_an_observation_names_stands_with_the_value(stage: Stage) -> None:
    place = stage.commune.code
    path = f"/indicators/api/v1/units/{place}/sets/mard-2023-smart-commune"
    folded, replayed = "Quyết định 12/QĐ-SYT", "Quyết định 13/QĐ-SYT"
    message = observed(place, True, measure="commune.telehealth_station", evidence=folded)
    sink = Intake(on, library.catalogue)
    record = Said(message, place, 1, str(uuid.uuid4())).record
    sink.fold(record, dict(record.headers))
    async with stage.running.tx() as tx:
        await sink.write(tx, sink.take())
    # A dead letter that is taken in again says the same.
    later = observed(place, True, at=START + timedelta(days=1), measure="commune.telehealth_station", evidence=replayed)
    for document in (folded, replayed):
        answer = await stage.client.get(path, params={"sources": "true"})
        assert answer.status_code == 200, answer.text
        named = [one["document"] for item in answer.json()["items"] for one in item.get("sources") or ()]
        assert named.count(document) == 1, named
        await stage.tell(stage.event(later, place, sequence=2))


async def test_a_stream_that_lags_writes_seldom_only_while_later_words_overtake_earlier_ones(stage: Stage) -> None:
    unit = (await stage.new_village()).code
    place, runner = TopicPartition("t", 0), stage.running.runner
    words = {
        ABSORBING_SECONDS: [observed(unit, n, measure="village.households") for n in range(9)],
        LAGGING_SECONDS: [observed(unit, True, attribute="household.fibre", entity=f"h{n}") for n in range(9)],
    }
    for rest, messages in words.items():
        following = stream(runner.settings, runner.runtime.sessions, on, library.catalogue)
        following._next = {place: 0}
        records = [Said(message, unit, n, str(uuid.uuid4())).record for n, message in enumerate(messages)]
        following._fold({place: [replace(record, offset=n) for n, record in enumerate(records)]})
        assert following._rest == rest


async def test_the_history_of_a_unit_tells_by_itself_what_counted_for_it(stage: Stage) -> None:
    here, there = (await stage.new_village()).code, (await stage.new_village()).code
    for number, (unit, sequence) in enumerate([(here, 1), (there, 3), (here, 2), (here, 1)]):
        speaker = media.Loudspeaker(id="moves", unit=unit, state="ready", smart=True, in_service=True)
        said = Said(media.LoudspeakerStateChanged(loudspeaker=speaker), "moves", sequence, str(uuid.UUID(int=sequence)))
        await follow(stage, [said], random.Random(2 + number))
    async with stage.running.tx() as tx:
        rows = await tx.execute(
            text("""
                SELECT split_part(unit, '@', 1) AS code, sequence, withdrawn FROM fact_history
                WHERE entity = 'moves' ORDER BY unit, sequence, withdrawn
            """)
        )
        lines = [(r.code, r.sequence, r.withdrawn) for r in rows]
    assert sorted(set(lines)) == sorted(lines), "nothing is remembered twice"
    newest = {code: max((s, w) for c, s, w in lines if c == code) for code in (here, there)}
    assert newest == {here: (3, True), there: (3, False)}
    assert {(here, 1, False), (here, 2, False)} <= set(lines)


async def test_facts_that_came_before_their_unit_was_described_are_adopted_with_their_history(stage: Stage) -> None:
    unit = village(stage.commune, 977, "Thôn đến muộn")
    said = Said(observed(unit.code, (9, 10), measure="village.fibre_households"), "s", 1, str(uuid.uuid4()))
    await follow(stage, [said], random.Random(3))
    await stage.tell(stage.event(entered(unit), f"unit/{unit.code}"))
    assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 9, "denominator": 10}
    async with stage.running.tx() as tx:
        rows = await tx.execute(
            text("SELECT DISTINCT unit FROM fact_history WHERE unit LIKE :u"), {"u": f"{unit.code}@%"}
        )
        assert list(rows.scalars()) == [f"{unit.code}@2020-01-01"]


async def test_a_kept_state_sees_what_others_wrote_meanwhile(stage: Stage) -> None:
    unit = await stage.new_village()
    sink = Intake(on, library.catalogue)

    async def write(message: Message, sequence: int) -> None:
        record = Said(message, f"s{sequence}", sequence, str(uuid.uuid4()), "test").record
        sink.fold(record, dict(record.headers))
        async with stage.running.tx() as tx:
            await sink.write(tx, sink.take())
        sink.written()

    await write(observed(unit.code, True, attribute="household.fibre", entity="h1"), 1)
    speaker = media.Loudspeaker(id=f"loa-{unit.code}", unit=unit.code, state="ready", smart=True, in_service=True)
    await stage.tell(stage.event(media.LoudspeakerStateChanged(loudspeaker=speaker), f"loa-{unit.code}"))
    await stage.tell(stage.event(observed(unit.code, False, attribute="household.fibre", entity="h2"), "x", sequence=5))
    await write(observed(unit.code, True, attribute="household.fibre", entity="h3"), 2)
    assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 2, "denominator": 3}
    sheet = await stage.sheet(unit)
    assert sheet["met"] == sum(item["status"] == "met" for item in sheet["items"]) == 1


async def test_a_late_word_about_a_unit_that_has_ended_changes_nothing_of_what_it_was(stage: Stage) -> None:
    unit = await stage.new_village()
    last_day = datetime.now(UTC).date() - timedelta(days=2)
    told = datetime.combine(last_day - timedelta(days=5), datetime.min.time(), tzinfo=UTC)
    await stage.tell(stage.event(observed(unit.code, (1, 2), at=told, measure="village.fibre_households"), "a"))
    await stage.settle()
    ended = replace(unit, valid_to=last_day)
    await stage.tell(stage.event(entered(ended), f"unit/{unit.code}"))
    late = observed(unit.code, (2, 2), at=told + timedelta(days=1), measure="village.fibre_households")
    await stage.tell(stage.event(late, "a", sequence=9))
    async with stage.running.tx() as tx:
        found = {code: values for (code, s, i), values in (await sheets(tx, [unit.code])).items() if i == "288.5"}
        kept = await tx.execute(
            text("SELECT numerator FROM fact_history WHERE unit LIKE :u ORDER BY sequence"), {"u": f"{unit.code}@%"}
        )
        assert found[unit.code][2:] == (1, 2)
        assert list(kept.scalars()) == [1, 2]


WRONG = {
    "unknown_measure": observed("11074-01", (1, 2), measure="village.nothing"),
    "wrong_value_kind": observed("11074-01", 3, measure="village.fibre_households"),
    "numerator_above_denominator": observed("11074-01", (3, 2), measure="village.fibre_households"),
    "from_the_future": observed(
        "11074-01", (1, 2), measure="village.fibre_households", at=datetime(2099, 1, 1, tzinfo=UTC)
    ),
    "subject_missing": observed("11074-01", (1, 2)),
    "not_open": observed("11074-01", True, attribute="camera.watch", entity="c1"),
    "unknown_unit": observed("", (1, 2), measure="village.fibre_households"),
    "text_malformed": observed("11074-\x1f01", (1, 2), measure="village.fibre_households"),
}


@pytest.mark.parametrize("reason", WRONG)
def test_an_observation_that_cannot_be_right_is_refused_while_folding(reason: str) -> None:
    record = Said(WRONG[reason], "s", 1, str(uuid.uuid4())).record
    sink = Intake(on, library.catalogue)
    with pytest.raises(Refused, match=reason):
        sink.fold(record, dict(record.headers))
    assert sink.size == 0


async def test_an_observation_that_its_unit_refuses_is_told_apart_when_written(stage: Stage) -> None:
    gone = Unit(
        "11074-cu", "Thôn cũ", "village", "thon", "11074", "30/298/11074/11074-cu", date(2020, 1, 1), date(2021, 1, 1)
    )
    young = Unit("11074-moi", "Thôn mới", "village", "thon", "11074", "30/298/11074/11074-moi", date(2026, 6, 1))
    for unit in (gone, young):
        await stage.tell(stage.event(entered(unit), f"unit/{unit.code}"))
    wrong = {
        "unit_ended": observed(gone.code, (1, 2), measure="village.fibre_households"),
        "unit_not_yet": observed(young.code, (1, 2), measure="village.fibre_households"),
        "wrong_level": observed("11074", (1, 2), measure="village.fibre_households"),
    }
    sink = Intake(on, library.catalogue)
    for reason, message in wrong.items():
        record = Said(message, reason, 1, reason).record
        sink.fold(record, dict(record.headers))
    async with stage.running.tx() as tx:
        _, refused = await sink.write(tx, sink.take())
    assert {dict(record.headers)["ce_id"].decode(): reason for record, reason in refused} == {r: r for r in wrong}


# --- On a real Kafka ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def followed(live: Running, settings: Settings) -> AsyncIterator[Stream]:
    """One more consumer of the service, as another process would run it."""
    made = stream(settings, live.runner.runtime.sessions, on, library.catalogue)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send(producer: AIOKafkaProducer, prefix: str, told: Sequence[Said], partitions: int = 4) -> None:
    waits = [
        await producer.send(
            f"{prefix}{one.message.DESCRIPTOR.file.package}",
            one.message.SerializeToString(),
            partition=n % partitions,
            headers=one.headers,
        )
        for n, one in enumerate(told)
    ]
    await asyncio.gather(*waits)


async def test_two_that_share_the_stream_lose_and_double_nothing_over_a_rebalance(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    prefix = f"{topic_prefix}two-"
    settings = settings_for(Settings, database("two"), kafka=kafka.bootstrap, topic_prefix=prefix)
    here = commune()
    villages = [village(here, n) for n in range(1, 9)]
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    told = [
        Said(
            observed(villages[n % 8].code, n % 3 > 0, attribute="household.fibre", entity=f"h{n}"), f"h{n}", 1, f"e{n}"
        )
        for n in range(6000)
    ]
    refused = Said(observed(villages[0].code, (2, 1), measure="village.fibre_households"), "bad", 1, "bad")
    unreadable = Said(media.LoudspeakerRetired(), "x", None, "poison")
    try:
        async with running(service, settings) as live:
            await live.enter_units(*ladder(), here, *villages)
            async with live.tx() as tx:
                await ledger.adopt(tx, [here.code], library.catalogue())

            async def committed() -> int:
                async with live.tx() as tx:
                    found = await tx.execute(text("SELECT count(*) FROM fact WHERE attribute = 'household.fibre'"))
                    return int(found.scalar_one())

            async def some(least: int) -> bool:
                return await committed() >= least

            async with followed(live, settings) as first:
                await eventually(lambda: first.connected)
                await send(producer, prefix, [*told[:2000], refused, unreadable])
                await eventually(lambda: some(1))
                async with followed(live, settings) as second:
                    # The rebalance comes in the middle of this.
                    for start in range(2000, 4000, 100):
                        await send(producer, prefix, told[start : start + 100])
                    await eventually(lambda: bool(first._next and second._next), seconds=60)
                    assert not set(first._next) & set(second._next)
            async with followed(live, settings):
                await send(producer, prefix, told[4000:])
                await eventually(lambda: some(6000), seconds=60)
            async with live.tx() as tx:
                assert (await tx.execute(text("SELECT count(*) FROM fact_history"))).scalar_one() == 6000
                tallied = await tx.execute(text("SELECT state, sum(count) FROM tally GROUP BY 1"))
                assert {r[0]: int(r[1]) for r in tallied} == {"true": 4000, "false": 2000}
                letters = (await tx.execute(text("SELECT reason FROM dead_letter ORDER BY reason"))).scalars().all()
                assert letters[0] == "refused: numerator_above_denominator"
                assert letters[1].startswith("unreadable: ")
                assert len(letters) == 2
                found = await commands.rebuild(tx, library.catalogue())
                assert (found.heaps, found.items) == (0, 0)
    finally:
        await producer.stop()


async def test_offsets_of_another_cluster_mean_nothing_and_are_begun_anew(
    database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str
) -> None:
    prefix = f"{topic_prefix}again-"
    settings = settings_for(Settings, database("again"), kafka=kafka.bootstrap, topic_prefix=prefix)
    here = commune()
    unit = village(here)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        async with running(service, settings) as live:
            await live.enter_units(*ladder(), here, unit)

            async def row() -> Any:
                async with live.tx() as tx:
                    found = await tx.execute(
                        text("""
                            SELECT sum(next_offset) AS read, min(cluster) AS cluster,
                                (SELECT count(*) FROM fact_history)
                            FROM stream_offset WHERE topic LIKE '%observations%'
                        """)
                    )
                    return found.one()

            async def read(count: int) -> bool:
                return (await row())[0] == count

            told = [Said(observed(unit.code, n, measure="village.households"), "n", n, f"e{n}") for n in range(1, 21)]
            async with followed(live, settings):
                await send(producer, prefix, told, partitions=1)
                await eventually(lambda: read(20))
            before = await row()
            async with live.tx() as tx:
                await tx.execute(text("UPDATE stream_offset SET cluster = 'gone', next_offset = 999"))
            async with followed(live, settings):
                await eventually(lambda: read(20))
            assert await row() == before
    finally:
        await producer.stop()
