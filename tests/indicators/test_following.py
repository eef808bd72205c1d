"""The service's stream: any order, repetition, cut and crash gives the same."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from aiokafka import TopicPartition
from google.protobuf.message import Message
from sqlalchemy import text
from xaso.media.v1 import events_pb2 as media

from chassis.stream import ABSORBING_SECONDS, LAGGING_SECONDS, Refused
from chassis.units import Unit
from services.indicators import commands
from services.indicators.calculation import evaluation, ledger
from services.indicators.criteria import library
from services.indicators.stream import sink as indicators_sink
from services.indicators.stream.consumers import on
from services.indicators.stream.sink import Intake, stream
from tests.indicators.conftest import Stage, entered
from tests.indicators.stories import START, Said, observed, sheets, story
from tests.support.running import village


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
