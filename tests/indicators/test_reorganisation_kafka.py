"""A reorganisation from end to end: identity applies it, its events cross a real Kafka, figures follow."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest_asyncio
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message
from xaso.media.v1 import events_pb2 as media
from xaso.observations.v1 import events_pb2 as observations

from chassis.units import Unit
from launcher.kafka import EmbeddedKafka
from services.identity import seed
from services.identity.app import service as identity_service
from services.identity.settings import Settings as IdentitySettings
from services.identity.units import packages, reorganising
from services.identity.units.changeset import ChangeSet, Placed
from services.indicators import commands
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.settings import Settings
from tests.identity.people import CHEAP, SECRETS
from tests.indicators.elsewhere import take_over
from tests.indicators.test_events import speaker
from tests.support.running import Running, bearer, running, settings_for
from tests.support.waiting import eventually

API = "/indicators/api/v1"
EVE = "2025-06-30"
SUBSCRIBERS = "commune.smartphone_subscribers"
FIBRE = "village.fibre_households"
# Xã Tứ Kỳ of today has the code that Thị trấn Tứ Kỳ had: four communes went into it whole. Xã Đại Sơn of today has the
# code that Xã Hưng Đạo had, of which it got a third; it got a quarter of 10846 and two communes whole.
OLD_ONES = {
    "11074": (80, 100), "11101": (30, 60), "11116": (10, 20), "11128": (40, 50),
    "11086": (90, 300), "10846": (40, 80), "11083": (5, 10), "11092": (7, 20),
}  # fmt: skip


@dataclass
class Town:
    """Both services at work on one Kafka, and a producer for what the others would tell."""

    identity: Running
    indicators: Running
    producer: AIOKafkaProducer
    prefix: str

    async def publish(self, message: Message, subject: str, at: datetime, key: str, sequence: int = 1) -> None:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid.uuid4()),
            "ce_source": "/test/vienthong",
            "ce_type": message.DESCRIPTOR.full_name,
            "ce_subject": subject,
            "ce_time": at.isoformat(),
            "ce_sequence": str(sequence),
            "ce_unit": key,
            "content-type": "application/protobuf",
        }
        await self.producer.send_and_wait(
            f"{self.prefix}{message.DESCRIPTOR.file.package}",
            message.SerializeToString(),
            key=key.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )

    async def observed(self, unit: str, measure: str, share: tuple[int, int], at: datetime) -> None:
        """A telecom says of a unit, as its code was on the day, what share it has."""
        message = observations.ObservationRecorded(unit=unit, measure=measure, evidence="Báo cáo")
        message.ratio.numerator, message.ratio.denominator = share
        message.observed_at.FromDatetime(at)
        await self.publish(message, f"{unit}/{measure}", at, unit.partition("-")[0], int(at.timestamp()))

    async def figure(self, unit: str, as_of: str = "") -> dict[str, Any] | None:
        """The subscribers of a commune, as its sheet shows them, and how the row stands."""
        answer = await self.indicators.client.get(
            f"{API}/units/{unit}/sets/mard-2023-eligible-smart", params={"as_of": as_of} if as_of else {}
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] | None = next(item for item in answer.json()["items"] if item["code"] == "c5")["value"]
        return found

    async def item(self, unit: str, code: str) -> dict[str, Any]:
        answer = await self.indicators.client.get(f"{API}/units/{unit}/sets/hd-288-2023")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = next(item for item in answer.json()["items"] if item["code"] == code)
        return found

    async def kept(self, code: str) -> dict[str, int]:
        """What the telecom last said of the unit that had the code before."""
        async with self.indicators.tx() as tx:
            row = (
                await tx.execute(
                    sa.text(
                        "SELECT numerator, denominator FROM fact_history WHERE attribute = :measure AND NOT withdrawn"
                        " AND source <> 'succession' AND unit LIKE :key AND unit NOT LIKE '%@2025-07-01'"
                        " ORDER BY sequence DESC LIMIT 1"
                    ),
                    {"measure": SUBSCRIBERS, "key": f"{code}@%"},
                )
            ).one()
        return ratio(row.numerator, row.denominator)

    async def count(self, query: str) -> int:
        async with self.indicators.tx() as tx:
            return int((await tx.execute(sa.text(query))).scalar_one())


def day(year: int, month: int, of_month: int) -> datetime:
    return datetime(year, month, of_month, 3, tzinfo=UTC)


def ratio(numerator: int, denominator: int) -> dict[str, int]:
    return {"numerator": numerator, "denominator": denominator}


def change_set() -> ChangeSet:
    """The reorganisation of Hải Dương with the shares that people would name."""
    parts = {"11086": iter((Fraction(1, 3), Fraction(2, 3))), "10846": iter((Fraction(3, 4), Fraction(1, 4)))}
    given = packages.reorganisation(["30"])
    links = tuple(replace(k, share=next(parts[k.predecessor])) if k.predecessor in parts else k for k in given.links)
    return replace(given, links=links, villages=(Placed(0, "11086-01", "11086"),))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str) -> AsyncIterator[Town]:
    """Hải Dương before and after its reorganisation, with what was told of its units before."""
    here: dict[str, Any] = {"kafka": kafka.bootstrap, "topic_prefix": topic_prefix}
    of_identity = settings_for(IdentitySettings, database("identity"), **here, **CHEAP)
    own = settings_for(Settings, database("indicators"), **here, late_seconds=0.05)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    before = library.catalogue()
    await producer.start()
    try:
        async with (
            running(identity_service, of_identity, parts=("relay",)) as identity,
            running(service, own, parts=("relay", "consume", "tasks")) as indicators,
        ):
            await seed.ensure(identity.runner.runtime, SECRETS)
            for parent, name in (("11083", "Nghĩa Dũng"), ("11086", "Lạc Dục")):
                unit = {"parent": parent, "name": name}
                made = await identity.client.post("/identity/api/v1/units", json=unit, headers=bearer(("admin", "30")))
                assert made.status_code == 201, made.text
            town = Town(identity, indicators, producer, topic_prefix)
            for code, share in OLD_ONES.items():
                await town.observed(code, SUBSCRIBERS, share, day(2025, 6, 10))
            await town.observed("11083-01", FIBRE, (81, 100), day(2025, 6, 10))
            village = Unit("11083-01", "", "village", "thon", "11083", "", day(2020, 1, 1).date())
            loud: media.LoudspeakerStateChanged = speaker(village, "ready", id="loa-cu")  # type: ignore[assignment]  # the builder says Message.
            await town.publish(loud, "loa-cu", day(2025, 6, 11), "11083")
            await eventually(lambda: counted(town), 60)
            async with identity.tx() as tx:
                done = await reorganising.apply(tx, change_set())
            assert not done.before
            links = await links_of(identity)
            await eventually(lambda: carried(town, links), 60)
            # The decision is for Hải Dương, which is gone: what it became is judged by it once it takes it over.
            gone = await indicators.client.get(f"{API}/units/11083-01/sets/hd-288-2023")
            assert (gone.status_code, gone.json()["code"]) == (404, "set_not_for_level")
            await take_over(indicators.client, "31", sets=("hd-288-2023",))
            await eventually(lambda: judged(town), 60)
            yield town
    finally:
        library.install(before)
        await producer.stop()


async def judged(town: Town) -> bool:
    """Whether the village that lies in Hải Phòng now is judged from what was known of it."""
    return (await town.item("11083-01", "288.5"))["status"] == "met"


async def counted(town: Town) -> bool:
    """Whether everything told before the reorganisation is there, on units that identity described."""
    # Identity itself tells of the people of the seed, who are staff.
    facts = await town.count("SELECT count(*) FROM fact WHERE unit NOT LIKE '%@' AND source <> 'identity'")
    return facts == len(OLD_ONES) + 2


async def links_of(identity: Running) -> int:
    async with identity.tx() as tx:
        return int((await tx.execute(sa.text("SELECT count(*) FROM succession"))).scalar_one())


async def carried(town: Town, links: int) -> bool:
    return await town.count("SELECT count(*) FROM succession WHERE carried_at IS NOT NULL") == links > 250


async def test_figures_are_at_the_successors_and_codes_used_again_name_both(town: Town) -> None:
    assert await town.figure("11074") == ratio(80 + 30 + 10 + 40, 100 + 60 + 20 + 50)
    assert await town.kept("11074") == ratio(80, 100)
    # A third of 90/300, a quarter of 40/80, and two whole.
    assert await town.figure("11086") == ratio(30 + 10 + 5 + 7, 100 + 20 + 10 + 20)
    assert await town.figure("11086", EVE) == ratio(90, 300)
    assert await town.figure("11083", EVE) == ratio(5, 10)
    # Of 11113 only one of six is known, so people are asked instead.
    assert await town.figure("11113") is None
    asked = await town.count(
        "SELECT count(*) FROM settlement WHERE unit = '11113@2025-07-01' AND measure = 'commune.smartphone_subscribers'"
    )
    assert asked == 1


async def test_a_village_that_goes_on_in_another_commune_keeps_what_it_has(town: Town) -> None:
    assert (await town.item("11083-01", "288.5"))["value"] == ratio(81, 100)
    assert (await town.item("11083-01", "288.5"))["status"] == "met"
    assert (await town.item("11083-01", "288.2"))["status"] == "met"
    units = await town.count("SELECT count(DISTINCT unit) FROM fact WHERE entity = 'loa-cu' AND NOT withdrawn")
    assert units == 1
    new = await town.count("SELECT count(*) FROM fact WHERE entity = 'loa-cu' AND unit = '11083-01@2025-07-01'")
    assert new == 1


async def test_a_late_word_is_carried_when_it_comes_and_a_later_one_wins(town: Town) -> None:
    """By the stream: of a unit that is gone, and of one whose code is in use again."""
    await town.observed("11101", SUBSCRIBERS, (31, 60), day(2025, 6, 20))
    await eventually(lambda: shows(town, "11074", ratio(161, 230)))
    await town.observed("11086", SUBSCRIBERS, (120, 300), day(2025, 6, 20))
    await eventually(lambda: shows(town, "11086", ratio(62, 150)))
    assert await town.figure("11086", EVE) == ratio(120, 300)
    await town.observed("11074", SUBSCRIBERS, (99, 100), day(2026, 1, 10))
    await eventually(lambda: shows(town, "11074", ratio(99, 100)))
    assert await town.kept("11074") == ratio(80, 100)
    # Told of a loudspeaker under the code its village has kept.
    village = Unit("11083-01", "", "village", "thon", "11086", "", day(2025, 7, 1).date())
    await town.publish(speaker(village, "lost", id="loa-cu"), "loa-cu", day(2026, 1, 11), "11086", 2)
    await eventually(lambda: fallen(town))


async def shows(town: Town, unit: str, figure: dict[str, int]) -> bool:
    return await town.figure(unit) == figure


async def fallen(town: Town) -> bool:
    return (await town.item("11083-01", "288.2"))["status"] == "unmet"


async def test_rebuilding_after_it_finds_nothing_to_mend(town: Town) -> None:
    tables = {
        "item": "unit, set_code, item_code, status, flag, numerator, denominator, unknown",
        # An empty heap is as good as none.
        "tally WHERE count <> 0": "unit, attribute, source, origin, year, state, count",
        "sheet": "unit, set_code, met, total",
    }

    async def everything() -> list[Any]:
        async with town.indicators.tx() as tx:
            return [
                sorted(map(tuple, await tx.execute(sa.text(f"SELECT {columns} FROM {table}"))), key=str)
                for table, columns in tables.items()
            ]

    async def quiet() -> bool:
        # Changes are numbered and rolled up by a task: its end is waited for.
        return await town.count("SELECT count(*) FROM change WHERE position IS NULL") == 0 and (
            await town.count("SELECT count(*) FROM stale") == 0
        )

    await eventually(quiet)
    was = await everything()
    async with town.indicators.tx() as tx:
        found = await commands.rebuild(tx, library.catalogue())
    assert found.facts > len(OLD_ONES)
    now = await everything()
    assert [(set(new) - set(old), set(old) - set(new)) for new, old in zip(now, was, strict=True)] == [
        (set(), set())
    ] * 3
    assert (found.heaps, found.items, found.sheets) == (0, 0, 0)
