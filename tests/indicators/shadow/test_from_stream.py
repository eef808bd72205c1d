"""What the stream, partners, officers and files said gives the same tables again; what is wrong is mended and told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable

import pytest

from launcher.kafka import EmbeddedKafka
from tests.indicators.shadow.town import Town, living


@pytest.fixture(scope="module")
async def town(database: Callable[[str], str], kafka: EmbeddedKafka, topic_prefix: str) -> AsyncIterator[Town]:
    async with living(database("indicators"), kafka, topic_prefix) as made:
        await made.say_everything(random.Random(7))
        yield made


async def test_nothing_differs_and_nothing_is_told_where_nothing_is_wrong(town: Town) -> None:
    before, told = await town.picture(), await town.published()
    found = await town.rebuild()
    assert not found.differs, "\n".join(found.lines())
    assert (found.switched, found.unreadable) == (False, 0)
    assert found.facts == len(before["facts"])
    assert await town.picture() == before
    assert await town.published() == told
    assert not await town.left_over()


def damage(town: Town) -> list[str]:
    """Statements that make live tables wrong, each in another way."""
    one, two, three = (f"{unit.code}@2020-01-01" for unit in town.villages[:3])
    first, second = (unit.code for unit in town.villages[:2])
    return [
        f"UPDATE fact SET state = 'silent' WHERE entity = '{first}/loa-1'",
        f"UPDATE fact SET unit = '{three}' WHERE attribute = 'camera.watch' AND entity = '{second}/public_place'",
        f"DELETE FROM fact WHERE attribute = 'product.sale' AND entity = '{first}/sp-1'",
        f"UPDATE fact SET numerator = 1 WHERE attribute = 'village.fibre_households' AND unit = '{two}'"
        " AND source = 'viettel'",
        f"""INSERT INTO fact SELECT attribute, 'nobody', source, origin, '{one}', period, state, numerator, denominator,
            withdrawn, sequence, cause, observed_at, recorded_at, heap_period
            FROM fact WHERE entity = '{second}/loa-1'""",
        f"UPDATE tally SET count = count + 3 WHERE unit = '{two}' AND attribute = 'loudspeaker.service'"
        " AND state = 'working'",
        f"UPDATE item SET status = 'met', flag = true WHERE unit = '{one}' AND item_code = '288.9'"
        " AND set_code = 'hd-288-2023'",
        "UPDATE item SET numerator = 77 WHERE unit LIKE '298@%' AND item_code = '288.2' AND set_code = 'hd-288-2023'",
        f"UPDATE sheet SET met = 9 WHERE unit = '{three}' AND set_code = 'hd-288-2023'",
        f"DELETE FROM fact_history WHERE entity = '{first}/loa-1' AND sequence = 2",
        f"UPDATE fact_history SET state = 'dark' WHERE entity = '{second}/main_road' AND state = 'main_road'",
        f"""INSERT INTO fact_history SELECT attribute, entity, source, 99, cause || '0', origin, unit, period, state,
            numerator, denominator, withdrawn, observed_at, now() + interval '1 hour'
            FROM fact WHERE entity = '{second}/loa-1'""",
    ]


async def test_what_is_wrong_is_found_told_and_mended_and_only_real_changes_are_published(town: Town) -> None:
    right, told = await town.picture(), await town.published()
    await town.change(*damage(town))
    wrong = await town.picture()
    assert wrong != right
    dry = await town.rebuild(dry=True)
    assert await town.picture() == wrong
    assert await town.published() == told
    assert not await town.left_over()
    found = await town.rebuild()
    assert (dry.switched, found.switched) == (False, True)
    assert found.differing_facts == dry.differing_facts
    assert sorted((one["kind"], one["attribute"], one["entity"]) for one in found.differing_facts) == [
        ("extra", "loudspeaker.service", "nobody"),
        ("missing", "product.sale", "11086-01/sp-1"),
        ("other", "camera.watch", "11086-02/public_place"),
        ("other", "loudspeaker.service", "11086-01/loa-1"),
        ("other", "village.fibre_households", "11086-02/"),
    ]
    assert [(one["kind"], one["entity"]) for one in found.differing_lines] == [
        ("invented", "11086-02/loa-1"),
        ("missing", "11086-01/loa-1"),
        ("other", "11086-02/main_road"),
    ]
    assert [(one["unit"], one["attribute"], one["held"] - one["right"]) for one in found.differing_heaps] == [
        ("11086-02@2020-01-01", "loudspeaker.service", 3)
    ]
    assert {(one["unit"], one["item_code"]) for one in found.differing_items} == {
        ("11086-01@2020-01-01", "288.9"),
        ("298@2020-01-01", "288.2"),
    }
    assert ("11086-03@2020-01-01", 9) in {(one["unit"], one["held_met"]) for one in found.differing_sheets}
    await town.told()
    assert await town.picture() == right
    assert sorted((await town.published())[len(told) :]) == [
        "11086-01@2020-01-01/hd-288-2023/288.9",
        "298@2020-01-01/hd-288-2023/288.2",
    ]
    assert not (await town.rebuild()).differs
