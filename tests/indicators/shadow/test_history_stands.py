"""What the stream no longer holds, what it never held, and what happened to units, sets and processes on the way."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from sqlalchemy import text

from chassis import dead_letters
from chassis.auth import Grant, Principal
from chassis.units import today
from launcher.kafka import EmbeddedKafka
from services.indicators import commands
from services.indicators.calculation import applying
from services.indicators.criteria import editions, library
from services.indicators.criteria.documents import Document
from services.indicators.rebuilding import main
from services.indicators.stream.consumers import on
from tests.indicators.shadow.test_from_stream import damage
from tests.indicators.shadow.test_meanwhile import wrong
from tests.indicators.shadow.town import Town, living, observed
from tests.indicators.spec.world import Told, entered, speaker
from tests.indicators.test_carrying import before_turn, new, old, succeeded
from tests.support.waiting import eventually

_numbers = itertools.count(1)
ADMIN = Principal("admin-1", "", "person", (Grant("admin", "30", "30"),))


@pytest.fixture
async def town(database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str) -> AsyncIterator[Town]:
    """A town of this test alone."""
    async with living(database("indicators"), kafka, f"{topic_prefix}{next(_numbers)}-") as made:
        yield made


async def cut(town: Town, keep: int) -> None:
    """Remove the oldest records of every partition but the last `keep`, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=town.settings.kafka)
    await admin.start()
    try:
        async with town.stage.running.tx() as tx:
            rows = (await tx.execute(text("SELECT topic, partition, next_offset FROM stream_offset"))).all()
        ends = {TopicPartition(row.topic, row.partition): max(0, row.next_offset - keep) for row in rows}
        await admin.delete_records({place: RecordsToDelete(end) for place, end in ends.items() if end})
    finally:
        await admin.close()


@pytest.mark.parametrize("keep", [0, 4])
async def test_what_retention_removed_is_taken_from_the_history(town: Town, keep: int) -> None:
    await town.say_everything(random.Random(5))
    right = await town.picture()
    await cut(town, keep)
    found = await town.rebuild()
    assert not found.differs, "\n".join(found.lines())
    assert any("older ones are gone" in line for line in found.ranges)
    assert found.remembered["xaso.media.v1.CameraStateChanged"] > 0
    assert {"observation", "document", "undo"} <= found.remembered.keys()
    # A line that nobody said cannot be told from one that was removed: only facts and what follows from them.
    await town.change(*damage(town)[:9])
    assert (await town.rebuild()).switched
    await town.told()
    assert await town.picture() == right


async def test_units_that_became_others_keep_what_was_carried(town: Town) -> None:
    first, second, third, whole = old("Xã A"), old("Xã B"), old("Xã C"), new("Xã AB")
    parts = [new("Xã C1"), new("Xã C2")]
    links = succeeded(
        [(first, whole, "1/1"), (second, whole, "1/1"), (third, parts[0], "1/4"), (third, parts[1], "3/4")]
    )
    await town.publish(*(entered(unit) for unit in (first, second, third)))
    at = before_turn()
    said = [
        observed(unit, (40 + n, 50 + n), n, measure="commune.smartphone_subscribers", at=at)
        for n, unit in enumerate((first, second, third))
    ]
    events = [
        *said,
        *(speaker(unit, id=f"loa-{n}") for n, unit in enumerate((first, second, third, first))),
        *(Told(message, f"link-{n}") for n, message in enumerate(links)),
        speaker(first, "lost", id="loa-0", sequence=2),
        *(entered(unit) for unit in (whole, *parts)),
    ]
    for event in events:
        await town.publish(event)
    await town.told()
    found = await town.rebuild()
    assert not found.differs, "\n".join(found.lines())
    assert found.remembered.get("succession", 0) > 0
    right = await town.picture()
    key = f"{whole.code}@{whole.valid_from}"
    # What came along with a unit that went over whole, put back to where it came from.
    before = f"{first.code}@{first.valid_from}"
    await town.change(f"UPDATE fact SET unit = '{before}' WHERE unit = '{key}' AND attribute = 'loudspeaker.service'")
    found = await town.rebuild()
    assert {(one["kind"], one["held_unit"], one["right_unit"]) for one in found.differing_facts} == {
        ("other", before, key)
    }
    await town.told()
    assert await town.picture() == right
    assert await town.picture() == right


async def test_a_suspension_is_no_mistake(town: Town) -> None:
    await town.say_everything(random.Random(6))
    order = commands.Suspend("11086", "hd-288-2023", "288.2", today() - timedelta(days=1), None, "Bão", "CV 12")
    async with town.stage.running.tx() as tx:
        await commands.suspend(tx, ADMIN, order, library.catalogue())
    await town.told()
    found = await town.rebuild()
    assert not found.differs, "\n".join(found.lines())
    assert await town.stage.status(town.villages[0], "288.2") == "suspended"


async def test_a_set_that_changes_in_the_middle_makes_it_begin_anew(town: Town) -> None:
    await town.say_everything(random.Random(8))
    await town.change(wrong(town))
    held = next(one for one in await documents(town) if one.code == "hd-288-2023")

    async def change() -> None:
        async with town.stage.running.tx() as tx:
            await applying.apply(tx, Document(held.name, held.text.replace("target: 95%", "target: 81%")), "test")

    found = await town.rebuild(at={"compared": change})
    assert found.switched or not found.differs
    await town.told()
    assert not (await town.rebuild()).differs


async def documents(town: Town) -> list[Document]:
    async with town.stage.running.tx() as tx:
        return await editions.in_force(tx)


async def test_what_was_set_aside_stays_aside_until_it_is_replayed(town: Town) -> None:
    unit = town.villages[0]
    refused = observed(unit, (5, 4), 1, measure="village.signal_area")
    broken = Told(entered(unit).message, "unit/x", 7)
    broken.message.unit.valid_from = "no day"  # type: ignore[attr-defined]  # Told holds any message.
    early = observed(unit, (3, 4), 2, measure="village.signal_area")
    await town.publish(refused, broken, early)
    await town.told()
    async with town.stage.running.tx() as tx:
        assert await dead_letters.count(tx) == 2
    found = await town.rebuild()
    assert (found.differs, found.set_aside, found.unreadable) == (False, 2, 0)
    # As a later release would take it: the letter is corrected by hand and replayed.
    async with town.stage.running.tx() as tx:
        refused.message.ratio.numerator = 4  # type: ignore[attr-defined]  # Told holds any message.
        letter = await tx.execute(
            text("UPDATE dead_letter SET payload = :payload WHERE reason LIKE 'refused%' RETURNING id"),
            {"payload": refused.message.SerializeToString()},
        )
        await dead_letters.replay(tx, on, letter.scalar_one(), "test")
    found = await town.rebuild()
    assert not found.differs, "\n".join(found.lines())


async def test_of_a_topic_of_which_a_part_went_missing_nobody_says_what_was_never_in_it(town: Town) -> None:
    unit = town.villages[0]
    await town.publish(speaker(unit))
    await town.told()
    invented = """
        INSERT INTO fact_history SELECT attribute, entity, source, 99, cause || '0', origin, unit, period, state,
            numerator, denominator, withdrawn, observed_at, now() + interval '1 hour'
        FROM fact_history WHERE sequence = 1
    """
    loss = f"""
        INSERT INTO dead_letter
            (id, topic, partition, "offset", type, subject, unit, headers, reason, tries, cluster)
        SELECT gen_random_uuid(), topic, partition, 7, '{dead_letters.LOSS}', '', '', '{{}}', 'lost', 1, cluster
        FROM stream_offset WHERE topic LIKE '%xaso.media.v1' AND partition = 0
    """
    await town.change(invented)
    assert [one["kind"] for one in (await town.rebuild(dry=True)).differing_lines] == ["invented"]
    await town.change(loss)
    found = await town.rebuild(dry=True)
    assert found.differing_lines == []
    # It stands, and being the newest word it is the one that counts.
    assert [(one["kind"], one["entity"]) for one in found.differing_facts] == [("other", f"{unit.code}/loa-1")]


def environment(town: Town) -> dict[str, str]:
    named = {"DATABASE_URL": town.settings.database_url, "KAFKA": town.settings.kafka}
    named |= {"TOPIC_PREFIX": town.settings.topic_prefix, "PUBLIC_URL": town.settings.public_url}
    return {f"XASO_INDICATORS_{name}": value for name, value in named.items()}


@asynccontextmanager
async def command(town: Town, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in a process of its own, killed at the end where it has not ended by itself."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.indicators", "rebuild", "--from-stream", *more,
        stdout=pipe, stderr=pipe, env=environment(town), cwd=Path(__file__).parents[3],
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_process_that_is_killed_while_it_switches_leaves_everything_as_it_was(
    town: Town, tmp_path: Path
) -> None:
    await town.say_everything(random.Random(9))
    right = await town.picture()
    await town.change(*damage(town))
    before, told = await town.picture(), await town.published()
    async with town.stage.running.runner.runtime.engine.connect() as blocking:
        # Whoever holds a row that is to be mended holds the switch up in the middle.
        await blocking.execute(text("SELECT 1 FROM fact WHERE entity = 'nobody' FOR UPDATE"))
        async with command(town) as process:
            assert process.stderr is not None
            async with asyncio.timeout(60):
                while b"switching" not in await process.stderr.readline():
                    pass

            async def waits() -> bool:
                async with town.stage.running.tx() as tx:
                    found = await tx.execute(
                        text(
                            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                            " AND query LIKE '%DELETE FROM public.fact%' AND datname = current_database()"
                        )
                    )
                    return bool(found.scalar_one())

            await eventually(waits)
            process.kill()
            await process.wait()
    await town.told()
    assert await town.picture() == before
    assert await town.published() == told
    report = tmp_path / "report.json"
    async with command(town, "--dry-run") as process:
        out, _ = await process.communicate()
        assert process.returncode == 1, out
    async with command(town, "--report", str(report)) as process:
        out, err = await process.communicate()
        assert process.returncode == 1, err
    assert b"differing facts: 5; lines: 3; heaps: 1; items: 2" in out, out.decode()
    assert json.loads(report.read_bytes())["switched"] is True
    await town.told()
    assert await town.picture() == right
    async with command(town) as process:
        await process.communicate()
        assert process.returncode == 0


async def test_it_needs_no_running_service_and_says_when_kafka_is_away(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    await town.say_everything(random.Random(10))
    await town.stage.running.runner.stop()
    assert await asyncio.to_thread(main, ["--from-stream"], town.settings) == 0
    nowhere = town.settings.model_copy(update={"database_url": re.sub(r":\d+/", ":1/", town.settings.database_url)})
    assert await asyncio.to_thread(main, ["--from-stream"], nowhere) == 3
    assert "the database gave up" in capsys.readouterr().err
    away = town.settings.model_copy(update={"kafka": "127.0.0.1:1"})
    assert await asyncio.to_thread(main, ["--from-stream", "--dry-run"], away) == 3
    assert "no answer from Kafka" in capsys.readouterr().err


def test_options_that_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--dry-run"])
    assert ended.value.code == 2
    assert "--from-stream" in capsys.readouterr().err
