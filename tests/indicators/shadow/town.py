"""Owns a town that lives on a real Kafka: what is said of it on every way there is, and what the tables hold of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from sqlalchemy import text
from xaso.observations.v1 import events_pb2 as observations

from chassis import units
from chassis.auth import Grant, Principal
from chassis.db import make_engine, new_id
from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from services.indicators.settings import Settings
from services.indicators.sources import intake
from services.indicators.sources.intake import Observed
from services.indicators.upkeep import switching
from services.indicators.upkeep.differences import Found
from services.indicators.upkeep.rereading import Stage as Point
from tests.indicators.conftest import Stage, ago
from tests.indicators.spec.world import Told, audible, camera, entered, petition, product, speaker, team
from tests.indicators.test_imports import Officer, rows
from tests.support.running import commune, ladder, running, settings_for, village
from tests.support.waiting import eventually

PARTNER = Principal("viettel", "", "partner", (Grant("partner", "30", "30"),), client_id="viettel")
OFFICER = Principal("officer-1", "", "person", (Grant("officer", "11086", "30/298/11086"),))
FIBRE = "village.fibre_households"
LIVE = {
    "facts": """SELECT attribute, entity, source, origin, unit, period, state, numerator, denominator, withdrawn,
        sequence, cause, observed_at, heap_period FROM fact""",
    "history": """SELECT attribute, entity, source, origin, unit, period, state, numerator, denominator, withdrawn,
        sequence, cause, observed_at FROM fact_history""",
    "heaps": "SELECT * FROM tally WHERE count <> 0",
    "items": "SELECT unit, set_code, item_code, status, flag, numerator, denominator, unknown FROM item",
    "sheets": "SELECT unit, set_code, status, met, total FROM sheet WHERE total > 0",
}
"""What must be right, without the times at which it was written, and without sheets that count nothing."""


def observed(
    unit: Unit, value: tuple[int, int] | bool, sequence: int, *, at: datetime | None = None,
    measure: str = "", attribute: str = "", entity: str = "",
) -> Told:  # fmt: skip
    """What another system publishes: a ratio of `measure`, or a yes or no of `attribute` of `entity`."""
    message = observations.ObservationRecorded(unit=unit.code, measure=measure, attribute=attribute, entity=entity)
    message.observed_at.FromDatetime(at or ago(minutes=max(1, 200 - sequence)))
    if isinstance(value, bool):
        message.flag = value
    else:
        message.ratio.numerator, message.ratio.denominator = value
    return Told(message, f"{unit.code}/{measure or attribute}/{entity}", sequence)


def story(of: Unit) -> list[Told]:
    """What the stream says of a village; the last word of each thing is what counts."""
    year = units.today().year
    return [
        petition(of), petition(of, answered_at=ago(hours=3), sequence=2),
        speaker(of), speaker(of, "lost", sequence=2), speaker(of, "ready", sequence=3), speaker(of, id="loa-2"),
        team(of, {}), team(of, {year: 1}, sequence=2),
        camera(of, "public_place", "offline"), camera(of, "public_place", sequence=2), camera(of, "main_road"),
        audible(of, 5, 5), audible(of, 4, 5, sequence=2),
        product(of, key=True, live=1), product(of, key=True, live=0, id="sp-2"),
        *(observed(of, (n, 100), n, measure="village.signal_area") for n in range(70, 100, 3)),
        *(observed(of, n % 2 == 0, n, attribute="household.fibre", entity=f"h{n % 4}") for n in range(1, 13)),
    ]  # fmt: skip


@dataclass
class Town:
    """A running service of one commune."""

    stage: Stage
    producer: AIOKafkaProducer
    settings: Settings
    villages: list[Unit]
    _last: dict[tuple[str, int], int] = field(default_factory=dict)
    _began: datetime = field(default_factory=lambda: ago(minutes=3))

    async def publish(self, *events: Told) -> None:
        """Send events as relays do."""
        for event in events:
            headers = {
                "ce_id": event.id, "ce_source": "/xaso/town", "ce_type": event.message.DESCRIPTOR.full_name,
                "ce_subject": event.subject, "ce_time": self._began.isoformat(),
                "ce_sequence": str(event.sequence), "ce_unit": "11086",
            }  # fmt: skip
            topic = f"{self.settings.topic_prefix}{event.message.DESCRIPTOR.file.package}"
            sent = await self.producer.send_and_wait(
                topic, event.message.SerializeToString(), key=event.subject.encode(),
                headers=[(name, value.encode()) for name, value in headers.items()],
            )  # fmt: skip
            self._last[sent.topic, sent.partition] = sent.offset

    async def told(self) -> None:
        """Wait until everything published is taken in, numbered and rolled up."""

        async def done() -> bool:
            async with self.stage.running.tx() as tx:
                found = await tx.execute(text("SELECT topic, partition, next_offset FROM stream_offset"))
                read = {(row.topic, row.partition): row.next_offset for row in found}
                waiting = await tx.execute(
                    text("SELECT (SELECT count(*) FROM change WHERE position IS NULL) + (SELECT count(*) FROM stale)")
                )
                behind = [place for place, offset in self._last.items() if read.get(place, 0) <= offset]
                return not behind and waiting.scalar_one() == 0

        await eventually(done)

    async def say_everything(self, chance: random.Random) -> None:
        """Every way in: the stream in any order and more than once, a partner, an officer, a file and its undo."""
        events = [event for one in self.villages for event in story(one)]
        arrivals = [*events, *chance.sample(events, len(events) // 3)]
        chance.shuffle(arrivals)
        # A camera that moved: its last word names another village.
        moved = camera(self.villages[1], "main_road", sequence=5)
        moved.message.camera.id = f"{self.villages[0].code}/main_road"  # type: ignore[attr-defined]  # Told is wide.
        await self.publish(*arrivals, Told(moved.message, f"{self.villages[0].code}/main_road", 5))
        # Waits for its village, which is described afterwards.
        late = village(self.stage.commune, 40, "Thôn đến sau")
        await self.publish(speaker(late), entered(late))
        await self.submit(PARTNER, self.villages[0], (82, 100))
        await self.submit(PARTNER, self.villages[1], (12, 100))
        await self.submit(PARTNER, self.villages[1], (90, 100))
        await self.submit(OFFICER, self.villages[2], (55, 60))
        async with self.stage.running.fresh_client() as client:
            officer = Officer(self.stage, client)
            kept = await officer.preview(rows((self.villages[3], 99, 100), (self.villages[0], 1, 100)))
            assert (await officer.post(kept, mode="all")).status_code == 303
            undone = await officer.preview(rows((self.villages[3], 2, 100), (self.villages[1], 3, 100)), "hai.xlsx")
            assert (await officer.post(undone, mode="all")).status_code == 303
            assert (await officer.post(f"{undone}/undo")).status_code == 303
        await self.told()

    async def submit(self, by: Principal, unit: Unit, value: tuple[int, int], measure: str = FIBRE) -> None:
        """A figure that never is in the stream."""
        said = Observed(
            id=str(new_id()), unit=unit.code, observed_at=ago(minutes=1), measure=measure, value=Ratio(*value),
            source="Báo cáo",
        )  # fmt: skip
        async with self.stage.running.tx() as tx:
            receipt = await intake.submit(tx, by, [said], library.catalogue())
        assert (receipt.accepted, receipt.rejections) == (1, [])

    async def picture(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the live tables hold, in one order."""
        async with self.stage.running.tx() as tx:
            return {
                name: sorted((tuple(row) for row in await tx.execute(text(query))), key=repr)
                for name, query in LIVE.items()
            }

    async def published(self) -> list[str]:
        """What changed of which unit, as it goes out to the other services; oldest first."""
        async with self.stage.running.tx() as tx:
            return list((await tx.execute(text("SELECT subject FROM outbox ORDER BY id"))).scalars())

    async def change(self, *statements: str) -> None:
        """Something that no part of the service does."""
        async with self.stage.running.tx() as tx:
            for statement in statements:
                done: Any = await tx.execute(text(statement))
                assert done.rowcount > 0, statement

    async def left_over(self) -> bool:
        """Whether there is a shadow."""
        async with self.stage.running.tx() as tx:
            found = await tx.execute(text("SELECT count(*) FROM pg_namespace WHERE nspname = 'shadow'"))
            return bool(found.scalar_one())

    async def rebuild(
        self, *, dry: bool = False, at: dict[Point, Callable[[], Awaitable[None]]] | None = None
    ) -> Found:
        """Rebuild from the stream, as the command does; something else may be done at a stage of it."""
        engine = make_engine(self.settings, command_timeout=600)

        async def progress(stage: Point, records: int, lag: int) -> None:
            if at and stage in at:
                await at.pop(stage)()

        try:
            return await switching.rebuild(self.settings, engine, progress, dry=dry)
        finally:
            await engine.dispose()


@asynccontextmanager
async def living(
    address: str, kafka: EmbeddedKafka, prefix: str, parts: Sequence[str] = ("consume", "tasks")
) -> AsyncIterator[Town]:
    """A town with four villages that the stream has told of."""
    settings = settings_for(Settings, address, kafka=kafka.bootstrap, topic_prefix=prefix, sequence_poll_seconds=0.2)
    here = commune("11086", "Xã Hưng Đạo")
    villages = [village(here, number, f"Thôn {number}") for number in range(1, 5)]
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    try:
        async with running(service, settings, parts=parts) as live:
            town = Town(Stage(live, here, villages), producer, settings, villages)
            await town.publish(*(entered(unit) for unit in (*ladder(), here, *villages)))
            await town.told()
            yield town
    finally:
        await producer.stop()
