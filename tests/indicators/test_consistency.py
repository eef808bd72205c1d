"""Any order and any repetition of a stream of facts gives the same sheets, and a rebuild finds nothing to mend."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chassis.db import is_transient
from chassis.units import Unit
from services.indicators import commands
from services.indicators.calculation import engine, ledger
from services.indicators.calculation.engine import Fact, Outcome, Ratio, Value
from services.indicators.criteria import library
from services.indicators.rebuilding import rebuild
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.outcomes import outcome_of

CATALOGUE = library.catalogue()
SET = CATALOGUE.sets["hd-288-2023"]
START = datetime(2026, 3, 1, tzinfo=UTC)
TODAY = date(2026, 11, 22)
UNITS = ("a", "b")
REPORTED: dict[str, st.SearchStrategy[Value]] = {
    code: st.tuples(st.integers(0, 4), st.integers(0, 3)).map(lambda t: Ratio(min(t[0], t[0] + t[1]), t[0] + t[1]))
    for code in ("village.fibre_households", "village.audible_area")
}
ENTITIES: dict[str, st.SearchStrategy[Value]] = {
    attribute.code: st.sampled_from(attribute.states) if attribute.kind == "state" else st.booleans()
    for attribute in CATALOGUE.attributes.values()
    if attribute.kind != "count"
}


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """A fact of one of two units; few entities, sources and sequences, so that facts often meet."""
    reported = draw(st.booleans())
    code = draw(st.sampled_from(sorted(REPORTED if reported else ENTITIES)))
    sequence = draw(st.integers(1, 4))
    entity = draw(st.sampled_from(["e1", "e2"]))
    source = draw(st.sampled_from(["media", "viettel"]))
    value = draw((REPORTED if reported else ENTITIES)[code])
    content = (code, entity, source, sequence, str(value))
    return Fact(
        attribute=code,
        entity=entity,
        source=source,
        origin=draw(st.sampled_from(["event", "partner"])),
        unit=draw(st.sampled_from(UNITS)),
        value=value,
        sequence=sequence,
        cause=f"observation:{'/'.join(map(str, content))}/{draw(st.integers(0, 1))}",
        observed_at=START + timedelta(days=draw(st.integers(-200, 200))),
        period=draw(st.sampled_from(["", "2025", "2026", "2026-Q3"])),
        withdrawn=draw(st.integers(0, 5)) == 0,
    )


def distinct(stream: Sequence[Fact]) -> list[Fact]:
    """One content per cause and key: a source never says two things under one id."""
    return list({(f.key, f.cause): f for f in stream}.values())


def sheets(newest: Sequence[Fact]) -> dict[tuple[str, str], Outcome]:
    heaps = engine.tally(newest, CATALOGUE)
    return {
        (unit, item.code): outcome_of(
            item,
            CATALOGUE,
            {key: n for key, n in heaps.items() if key.unit == unit},
            [f for f in newest if f.unit == unit],
            TODAY,
        )
        for unit in UNITS
        for item in SET.items
    }


@given(st.lists(facts(), max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, database=None)
def test_the_engine_is_blind_to_order_and_repetition(stream: list[Fact], shuffle: random.Random) -> None:
    stream = distinct(stream)
    expected = sheets(list(engine.newest(stream).values()))
    mixed = [*stream, *shuffle.sample(stream, len(stream) // 2)]
    shuffle.shuffle(mixed)
    held: dict[engine.FactKey, Fact] = {}
    heaps: dict[engine.TallyKey, int] = {}
    while mixed:
        size = shuffle.randint(1, 5)
        batch, mixed = mixed[:size], mixed[size:]
        news = [
            (held.get(key), fact)
            for key, fact in engine.newest(batch).items()
            if key not in held or fact.order > held[key].order
        ]
        for key, change in engine.deltas(news, CATALOGUE).items():
            heaps[key] = heaps.get(key, 0) + change
        held.update({fact.key: fact for _, fact in news})
    assert {key: n for key, n in heaps.items() if n} == engine.tally(held.values(), CATALOGUE)
    assert sheets(list(held.values())) == expected


async def stored(stage: Stage, codes: Sequence[str]) -> dict[tuple[str, str], tuple[object, ...]]:
    async with stage.running.tx() as tx:
        rows = await tx.execute(
            text("""
                SELECT split_part(unit, '@', 1) AS code, item_code, status, flag, numerator, denominator FROM item
                WHERE split_part(unit, '@', 1) = ANY(:codes) AND (status, numerator) IS DISTINCT FROM ('no_data', NULL)
            """),
            {"codes": list(codes)},
        )
        return {(r.code, r.item_code): (r.status, r.flag, r.numerator, r.denominator) for r in rows}


async def deliver(stage: Stage, stream: Sequence[Fact], places: dict[str, Unit], size: int, tag: str) -> None:
    """The stream into the ledger in batches, its entities named apart from those of other runs."""
    placed = [replace(f, unit=places[f.unit].code, entity=f"{tag}-{f.entity}") for f in stream]
    for start in range(0, len(placed), size):
        async with stage.running.tx() as tx:
            await ledger.record(tx, placed[start : start + size], CATALOGUE)


async def test_the_ledger_is_blind_to_order_and_repetition_and_a_rebuild_agrees(stage: Stage) -> None:
    plans: list[tuple[list[Fact], random.Random, int]] = []

    @given(st.lists(facts(), min_size=1, max_size=25), st.integers(0, 2**32), st.integers(1, 7))
    @settings(max_examples=12, deadline=None, database=None)
    def plan(stream: list[Fact], seed: int, size: int) -> None:
        plans.append((distinct(stream), random.Random(seed), size))

    plan()
    for run, (stream, shuffle, size) in enumerate(plans):
        first = {name: await stage.new_village() for name in UNITS}
        second = {name: await stage.new_village() for name in UNITS}
        await deliver(stage, stream, first, len(stream), f"{run}a")
        mixed = [*stream, *shuffle.sample(stream, len(stream) // 2)]
        shuffle.shuffle(mixed)
        await deliver(stage, mixed, second, size, f"{run}b")
        in_order = await stored(stage, [unit.code for unit in first.values()])
        out_of_order = await stored(stage, [unit.code for unit in second.values()])
        names = {first[name].code: second[name].code for name in UNITS}
        assert {(names[code], item): value for (code, item), value in in_order.items()} == out_of_order
    await stage.settle()
    async with stage.running.tx() as tx:
        found = await commands.rebuild(tx, CATALOGUE)
    assert found.facts > 0
    assert (found.heaps, found.items) == (0, 0)


async def test_the_same_figure_said_again_is_news_where_another_source_counted_meanwhile(stage: Stage) -> None:
    """It is of a later day, or of another kind of source: either may change whose word counts."""
    unit = await stage.new_village()

    def word(source: str, value: Ratio, day: int, origin: engine.Origin = "partner", again: int = 0) -> Fact:
        at, cause = START + timedelta(days=day), f"observation:{source}/{day}/{again}"
        code = "village.signal_area"
        return Fact(code, unit.code, source, origin, unit.code, value, 10 * day + again, cause, at)

    async def figure_after(one: Fact) -> object:
        async with stage.running.tx() as tx:
            await ledger.record(tx, [one], CATALOGUE)
        return (await stage.item(unit, "288.8"))["value"]

    whole, part = {"numerator": 9, "denominator": 9}, {"numerator": 5, "denominator": 9}
    assert await figure_after(word("a", Ratio(9, 9), 1)) == whole
    assert await figure_after(word("b", Ratio(5, 9), 2)) == part
    assert await figure_after(word("a", Ratio(9, 9), 3)) == whole
    assert await figure_after(word("a", Ratio(9, 9), 3, "staff", 1)) == part
    assert await figure_after(word("a", Ratio(9, 9), 5)) == whole
    async with stage.running.tx() as tx:
        found = await commands.rebuild(tx, CATALOGUE)
    assert (found.heaps, found.items) == (0, 0)


async def test_a_rebuild_mends_what_was_damaged(stage: Stage) -> None:
    unit = await stage.new_village()
    fact = Fact(
        "village.signal_area",
        unit.code,
        "viettel",
        "partner",
        unit.code,
        Ratio(3, 3),
        1,
        "observation:viettel/x",
        START,
    )
    async with stage.running.tx() as tx:
        await ledger.record(tx, [fact], CATALOGUE)
        await tx.execute(text("UPDATE item SET status = 'unmet' WHERE unit LIKE :u"), {"u": f"{unit.code}@%"})
        await tx.execute(
            text("INSERT INTO tally VALUES (:u, 'household.fibre', 'x', 'partner', '2026', 'true', 7)"),
            {"u": f"{unit.code}@2020-01-01"},
        )
    async with stage.running.tx() as tx:
        found = await commands.rebuild(tx, CATALOGUE)
    assert (found.heaps, found.items) == (1, 1)
    assert await stage.status(unit, "288.8") == "met"
    assert await stage.status(unit, "288.5") == "no_data"


async def test_writers_that_meet_on_a_village_leave_no_half_counted_figure(stage: Stage) -> None:
    villages = [await stage.new_village() for _ in range(3)]

    async def write(worker: int) -> None:
        shuffle = random.Random(worker)
        for step in range(8):
            batch = [
                Fact(
                    attribute=attribute,
                    entity=f"meet-{shuffle.randint(0, 3)}",
                    source="media",
                    origin="event",
                    unit=shuffle.choice(villages).code,
                    value=shuffle.choice(CATALOGUE.attributes[attribute].states),
                    sequence=step * 10 + worker,
                    cause=f"xaso.media.v1.Test:{worker}-{step}-{attribute}",
                    observed_at=START,
                )
                for attribute in ("camera.watch", "loudspeaker.service", "product.sale")
            ]
            async with asyncio.timeout(30):
                await settled(batch)

    async def settled(batch: list[Fact]) -> None:
        """As the consumer does: whoever lost a race tries again."""
        while True:
            try:
                async with stage.running.tx() as tx:
                    await ledger.record(tx, batch, CATALOGUE)
                return
            except (DBAPIError, TimeoutError) as error:
                if not is_transient(error):
                    raise

    await asyncio.gather(*(write(worker) for worker in range(6)))
    async with stage.running.tx() as tx:
        negative = await tx.execute(text("SELECT count(*) FROM tally WHERE count < 0"))
        assert negative.scalar_one() == 0
        found = await commands.rebuild(tx, CATALOGUE)
    assert (found.heaps, found.items) == (0, 0)


async def test_the_command_rebuild_says_whether_anything_was_wrong(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stage.running.runner.settings
    assert isinstance(settings, Settings)
    assert await rebuild(settings) == 0
    assert "heaps mended: 0; items changed: 0" in capsys.readouterr().out
    unit = await stage.new_village()
    async with stage.running.tx() as tx:
        await tx.execute(
            text("INSERT INTO tally VALUES (:u, 'camera.watch', 'x', 'event', '2026', 'dark', 1)"),
            {"u": f"{unit.code}@2020-01-01"},
        )
    assert await rebuild(settings) == 1
