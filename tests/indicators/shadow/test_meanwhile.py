"""While the rebuild runs, words go on coming in and readers go on reading; where it dies, nothing has happened."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from launcher.kafka import EmbeddedKafka
from services.indicators.upkeep.rereading import Stage
from services.indicators.upkeep.switching import Unready
from tests.indicators.shadow.test_from_stream import damage
from tests.indicators.shadow.town import PARTNER, Town, living, observed
from tests.indicators.spec.world import camera, entered, speaker
from tests.support.running import village

MOBILE = "village.mobile_internet_people"
STAGES: tuple[Stage, ...] = ("reading", "comparing", "compared", "switching", "switched")


@pytest.fixture(scope="module")
async def town(database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str) -> AsyncIterator[Town]:
    async with living(database("indicators"), kafka, topic_prefix) as made:
        await made.say_everything(random.Random(11))
        yield made


def wrong(town: Town) -> str:
    """A status that no fact bears out."""
    key = f"{town.villages[0].code}@2020-01-01"
    return f"UPDATE item SET status = 'met', flag = true WHERE unit = '{key}' AND item_code = '288.7'"


async def test_a_reader_sees_what_was_until_it_sees_what_is_right_and_never_anything_else(town: Town) -> None:
    code = town.villages[0].code
    right = await town.stage.sheet(code)
    await town.change(wrong(town))
    before = await town.stage.sheet(code)
    assert before != right
    seen: list[Any] = []
    over = asyncio.Event()

    async def read() -> None:
        while not over.is_set():
            seen.append(figures(await town.stage.sheet(code)))

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        found = await town.rebuild()
        over.set()
    assert found.switched
    assert figures(await town.stage.sheet(code)) == figures(right)
    turned = seen.index(figures(right)) if figures(right) in seen else len(seen)
    assert turned > 0
    assert all(one == figures(before) for one in seen[:turned])
    assert all(one == figures(right) for one in seen[turned:])


def figures(sheet: dict[str, Any]) -> Any:
    items = [(item["code"], item["status"], item["value"]) for item in sheet["items"]]
    return sheet["status"], sheet["met"], sheet["total"], items


@pytest.mark.parametrize("stage", STAGES)
async def test_words_that_come_while_it_runs_are_in_whichever_way_they_come(town: Town, stage: Stage) -> None:
    number = STAGES.index(stage)
    one, other = town.villages[2], town.villages[3]
    fresh = village(town.stage.commune, 60 + number, f"Thôn mới {number}")
    waiting = village(town.stage.commune, 80 + number, f"Thôn chờ {number}")
    await town.change(wrong(town))
    # Of this one something is told before anybody has described it.
    await town.publish(speaker(waiting))
    await town.told()
    pending: list[asyncio.Task[None]] = []

    async def speak() -> None:
        await town.publish(
            entered(fresh),
            speaker(fresh),
            entered(waiting),
            speaker(one, "lost" if number % 2 else "ready", sequence=100 + number),
            camera(other, "public_place", sequence=100 + number, id=f"new-{number}"),
            observed(other, (90 + number, 100), 150 + number, measure="village.signal_area"),
        )
        # From the lock on, whoever writes waits for the end.
        pending.append(asyncio.create_task(town.submit(PARTNER, other, (60 + number, 100), MOBILE)))
        if stage in ("reading", "comparing", "compared"):
            await asyncio.gather(*pending)
            await town.told()

    found = await town.rebuild(at={stage: speak})
    assert found.switched
    await asyncio.gather(*pending)
    await town.told()
    assert [await town.stage.status(one, "288.2") for one in (fresh, waiting)] == ["met", "met"]
    assert (await town.stage.item(other, "288.6"))["value"] == {"numerator": 60 + number, "denominator": 100}
    assert (await town.stage.item(other, "288.8"))["value"] == {"numerator": 90 + number, "denominator": 100}
    again = await town.rebuild()
    assert not again.differs, again.lines()


class Died(Exception):
    """As a process that is killed, but for this one."""


@pytest.mark.parametrize("stage", STAGES)
async def test_where_it_dies_nothing_has_happened_and_the_next_one_does_it(town: Town, stage: Stage) -> None:
    right = await town.picture()
    await town.change(wrong(town))
    before, told = await town.picture(), await town.published()

    async def die() -> None:
        raise Died

    with pytest.raises(Died):
        await town.rebuild(at={stage: die})
    assert await town.picture() == before
    assert await town.published() == told
    assert (await town.rebuild()).switched
    await town.told()
    assert await town.picture() == right


async def test_one_at_a_time(town: Town) -> None:
    async def another() -> None:
        with pytest.raises(Unready, match="another rebuild"):
            await town.rebuild()

    assert not (await town.rebuild(at={"comparing": another})).differs


async def test_a_town_that_never_stops_talking_is_right_in_the_end(town: Town) -> None:
    right = await town.rebuild()
    assert not right.differs, right.lines()
    chance = random.Random(3)
    over = asyncio.Event()
    said = 0

    async def talk() -> None:
        nonlocal said
        while not over.is_set():
            said += 1
            unit = chance.choice(town.villages)
            await town.publish(
                speaker(unit, chance.choice(["ready", "lost"]), id=f"loa-{said % 7}", sequence=1000 + said),
                observed(unit, (said % 100, 100), 1000 + said, measure="village.signal_area"),
            )
            if said % 5 == 0:
                await town.submit(PARTNER, unit, (said % 100, 100))

    async with asyncio.TaskGroup() as group:
        group.create_task(talk())
        for _ in range(3):
            await town.change(*damage(town)[:8])
            await town.rebuild()
        over.set()
    await town.told()
    found = await town.rebuild()
    assert not found.differs, "\n".join(found.lines())
    assert said > 0
