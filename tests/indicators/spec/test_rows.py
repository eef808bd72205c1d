"""The nine rows of hd-288-2023, met and not met on either side of each boundary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.indicators.spec.world import (
    NO_DATA,
    Figure,
    Told,
    World,
    ago,
    audible,
    camera,
    fact,
    figure,
    petition,
    product,
    ratio,
    speaker,
    team,
    this_year,
)

YES: Figure = ("met", {"flag": True})
NO: Figure = ("unmet", {"flag": False})
BIG = 10**18

# The first instant of this year in Việt Nam is 17:00 UTC of the last day of the year before.
NEW_YEAR = datetime(this_year() - 1, 12, 31, 17, 0, tzinfo=UTC)
LATE_ON_THE_LAST_DAY = datetime(this_year() - 1, 12, 31, 23, 30, tzinfo=UTC)


async def test_a_village_nobody_spoke_of_has_no_data_and_meets_nothing(world: World) -> None:
    (village,) = await world.villages(1)
    sheet = await world.sheet(village)
    assert [item["code"] for item in sheet["items"]] == [f"288.{number}" for number in range(1, 10)]
    assert {(item["status"], item["value"], item["changed_at"]) for item in sheet["items"]} == {("no_data", None, None)}
    assert (sheet["status"], sheet["met"], sheet["total"]) == ("no_data", 0, 9)


async def test_288_1_an_answer_through_the_platform_this_year(world: World) -> None:
    a, b, c, d, e, f, g, h = units = await world.villages(8)
    cases: dict[str, tuple[Sequence[Told], Figure]] = {
        "filed, not answered": ([petition(a)], NO),
        "answered": ([petition(b, answered_at=ago(minutes=5))], YES),
        "answered and closed": (
            [
                petition(c, answered_at=ago(minutes=5)),
                petition(c, answered_at=ago(minutes=5), status="closed", sequence=2),
            ],
            YES,
        ),
        "answered at 31 December 23:30 UTC, this year here": ([petition(d, answered_at=LATE_ON_THE_LAST_DAY)], YES),
        "answered at the first instant of the year here": ([petition(e, answered_at=NEW_YEAR)], YES),
        "another one answered, one open": ([petition(f), petition(f, answered_at=ago(days=1), id="pa-2")], YES),
        "of the commune, of no village": ([petition(g, answered_at=ago(days=1), village="")], NO_DATA),
        "taken for another village at first": (
            [petition(h, answered_at=ago(days=1)), petition(h, answered_at=ago(days=1), village=a.code, sequence=2)],
            NO_DATA,
        ),
    }
    # The last case gives its answered petition to the first village, which had only an open one.
    cases["filed, not answered"] = ([petition(a)], YES)
    await world.check("288.1", cases, units)


async def test_288_1_an_answer_of_last_year_does_not_count_this_year(world: World) -> None:
    (village,) = await world.villages(1)
    await world.publish(petition(village, answered_at=NEW_YEAR - timedelta(microseconds=1)))
    await world.drained()
    assert (await world.figures(village))["288.1"][0] in ("unmet", "no_data")
    await world.publish(petition(village), petition(village, answered_at=NEW_YEAR - timedelta(days=40), id="pa-2"))
    await world.drained()
    assert (await world.figures(village))["288.1"][0] in ("unmet", "no_data")


async def test_288_2_at_least_one_smart_loudspeaker_in_service(world: World) -> None:
    a, b, c, d, e, f, g, h, i = units = await world.villages(9)
    cases: dict[str, tuple[Sequence[Told], Figure]] = {
        "ready": ([speaker(a)], YES),
        "lost after it was ready": ([speaker(b), speaker(b, "lost", sequence=2)], NO),
        "disconnected": ([speaker(c, "disconnected")], NO),
        "never seen": ([speaker(d, "unknown")], NO),
        "an analogue horn": ([speaker(e, smart=False)], NO),
        "retired": ([speaker(f), speaker(f, in_service=False, sequence=2)], NO),
        "one lost, one ready": ([speaker(g, "lost"), speaker(g, id="loa-2")], YES),
        "starting": ([speaker(h, "init")], NO),
        "back again": ([speaker(i), speaker(i, "lost", sequence=2), speaker(i, sequence=3)], YES),
    }
    await world.check("288.2", cases, units)


async def test_288_3_a_team_that_exists_and_was_active_this_year(world: World) -> None:
    a, b, c, d, e, f, g = units = await world.villages(7)
    year = this_year()
    cases: dict[str, tuple[Sequence[Told], Figure]] = {
        "registered only": ([team(a, {})], NO),
        "active this year": ([team(b, {year: 1})], YES),
        "active last year only": ([team(c, {year - 1: 12})], NO),
        "active this year and dissolved": (
            [team(d, {year: 3}), team(d, {year: 3}, dissolved_on=f"{year}-03-01", sequence=2)],
            NO,
        ),
        "one dissolved, another active": (
            [team(e, {year: 3}, dissolved_on=f"{year}-03-01"), team(e, {year: 1}, id="to-2")],
            YES,
        ),
        "one idle, another active": ([team(f, {}), team(f, {year: 1}, id="to-2")], YES),
        "none this year, said so": ([team(g, {year: 0, year - 1: 2})], NO),
    }
    await world.check("288.3", cases, units)


async def test_288_4_cameras_at_a_public_place_and_on_the_main_road_in_the_communes_hub(world: World) -> None:
    a, b, c, d, e, f, g, h, i = units = await world.villages(9)
    cases: dict[str, tuple[Sequence[Told], str]] = {
        "both": ([camera(a, "public_place"), camera(a, "main_road")], "met"),
        "a public place only": ([camera(b, "public_place")], "unmet"),
        "the main road only": ([camera(c, "main_road")], "unmet"),
        "two at public places": ([camera(d, "public_place"), camera(d, "public_place", id="2")], "unmet"),
        "the road's is not in the hub": ([camera(e, "public_place"), camera(e, "main_road", in_hub=False)], "unmet"),
        "one offline": ([camera(f, "public_place", "offline"), camera(f, "main_road")], "unmet"),
        "one of two offline": (
            [camera(g, "public_place", "offline"), camera(g, "public_place", id="2"), camera(g, "main_road")],
            "met",
        ),
        "one retired": (
            [camera(h, "public_place"), camera(h, "main_road"), camera(h, "main_road", retired=True, sequence=2)],
            "unmet",
        ),
        "never reached": ([camera(i, "public_place", "unknown"), camera(i, "main_road", "unknown")], "unmet"),
    }
    await world.publish(*(event for events, _ in cases.values() for event in events))
    await world.drained()
    found = {name: (await world.figures(unit))["288.4"] for name, unit in zip(cases, units, strict=True)}
    assert {name: status for name, (status, _) in found.items()} == {
        name: status for name, (_, status) in cases.items()
    }
    assert all(value == {"flag": status == "met"} for status, value in found.values())


@pytest.mark.parametrize(
    ("row", "measure", "cases"),
    [
        (
            "288.5",
            "village.fibre_households",
            {
                (80, 100): "unmet",
                (4, 5): "unmet",
                (8001, 10000): "met",
                (7996, 10000): "unmet",
                (79_999, 100_000): "unmet",
                (81, 100): "met",
                (8 * BIG // 10, BIG): "unmet",
                (8 * BIG // 10 + 1, BIG): "met",
                (0, 100): "unmet",
                (100, 100): "met",
                (0, 0): "no_data",
            },
        ),
        (
            "288.6",
            "village.mobile_internet_people",
            {
                (95, 100): "met",
                (19, 20): "met",
                (9499, 10000): "unmet",
                (94_996, 100_000): "unmet",
                (95 * BIG // 100 - 1, BIG): "unmet",
                (95 * BIG // 100, BIG): "met",
                (0, 3): "unmet",
                (0, 0): "no_data",
            },
        ),
        (
            "288.8",
            "village.signal_area",
            {
                (12, 12): "met",
                (11, 12): "unmet",
                (BIG - 1, BIG): "unmet",
                (99_996, 100_000): "unmet",
                (1, 1): "met",
                (0, 1): "unmet",
                (0, 0): "no_data",
            },
        ),
    ],
)
async def test_shares_are_compared_exactly(
    world: World, row: str, measure: str, cases: dict[tuple[int, int], str]
) -> None:
    units = await world.villages(len(cases))
    await world.take(*(figure(unit, measure, pair) for unit, pair in zip(units, cases, strict=True)))
    found = {pair: (await world.figures(unit))[row] for unit, pair in zip(units, cases, strict=True)}
    assert {pair: status for pair, (status, _) in found.items()} == cases
    # No figure is rounded or reduced on its way out; zero of zero may be shown or left out.
    assert all(value == ratio(*pair) for pair, (_, value) in found.items() if pair != (0, 0))


async def test_288_7_every_cluster_hears_the_loudspeakers(world: World) -> None:
    a, b, c, d, e = units = await world.villages(5)
    cases: dict[str, tuple[Sequence[Told], Figure]] = {
        "all": ([audible(a, 5, 5)], ("met", ratio(5, 5))),
        "one missing": ([audible(b, 4, 5)], ("unmet", ratio(4, 5))),
        "none": ([audible(c, 0, 5)], ("unmet", ratio(0, 5))),
        "all until a speaker is lost": ([audible(d, 5, 5), audible(d, 3, 5, sequence=2)], ("unmet", ratio(3, 5))),
        "a cluster more": ([audible(e, 5, 5), audible(e, 5, 6, sequence=2)], ("unmet", ratio(5, 6))),
    }
    await world.check("288.7", cases, units)


async def test_288_7_a_village_without_clusters_is_not_met(world: World) -> None:
    (village,) = await world.villages(1)
    await world.publish(audible(village, 0, 0))
    await world.drained()
    assert (await world.figures(village))["288.7"][0] == "no_data"


async def test_288_9_every_key_product_has_a_live_listing(world: World) -> None:
    a, b, c, d, e, f, g, h = units = await world.villages(8)
    cases: dict[str, tuple[Sequence[Told], str]] = {
        "the only one is listed": ([product(a, key=True, live=1)], "met"),
        "one of two is not": ([product(b, key=True, live=2), product(b, key=True, live=0, id="sp-2")], "unmet"),
        "its listing ended": ([product(c, key=True, live=1), product(c, key=True, live=0, sequence=2)], "unmet"),
        "no key product": ([product(d, key=False, live=1)], "not_applicable"),
        "key and unlisted, withdrawn": (
            [
                product(e, key=True, live=1),
                product(e, key=True, live=0, id="sp-2"),
                product(e, key=True, live=0, status="withdrawn", id="sp-2", sequence=2),
            ],
            "met",
        ),
        "the only key product is withdrawn": (
            [product(f, key=True, live=1), product(f, key=True, live=0, status="withdrawn", sequence=2)],
            "not_applicable",
        ),
        "no longer a key product": (
            [product(g, key=True, live=0), product(g, key=False, live=0, sequence=2)],
            "not_applicable",
        ),
        "an unlisted product that is not key": (
            [product(h, key=True, live=1), product(h, key=False, live=0, id="2")],
            "met",
        ),
    }
    await world.publish(*(event for events, _ in cases.values() for event in events))
    await world.drained()
    found = {name: (await world.figures(unit))["288.9"][0] for name, unit in zip(cases, units, strict=True)}
    assert found == {name: status for name, (_, status) in cases.items()}


async def test_not_applicable_and_no_data_are_different_and_neither_is_met(world: World) -> None:
    silent, nothing_to_sell = await world.villages(2)
    await world.publish(product(nothing_to_sell, key=False, live=0))
    await world.drained()
    assert (await world.figures(silent))["288.9"][0] == "no_data"
    assert (await world.figures(nothing_to_sell))["288.9"][0] == "not_applicable"
    assert (await world.sheet(silent))["met"] == (await world.sheet(nothing_to_sell))["met"] == 0


async def test_households_are_counted_one_by_one(world: World) -> None:
    four_of_five, five_of_six, of_a_hundred = await world.villages(3)
    await world.take(
        *(fact(four_of_five, "household.fibre", f"H-{n}", n < 4) for n in range(5)),
        *(fact(five_of_six, "household.fibre", f"H-{n}", n < 5) for n in range(6)),
        *(fact(of_a_hundred, "household.fibre", f"H-{n}", True) for n in range(3)),
        figure(of_a_hundred, "village.households", 100),
    )
    assert (await world.figures(four_of_five))["288.5"] == ("unmet", ratio(4, 5))
    assert (await world.figures(five_of_six))["288.5"] == ("met", ratio(5, 6))
    assert (await world.figures(of_a_hundred))["288.5"] == ("unmet", ratio(3, 100))
    # The fifth household moved away: four of four.
    await world.take(fact(four_of_five, "household.fibre", "H-4", None, withdrawn=True, at=ago(seconds=1)))
    assert (await world.figures(four_of_five))["288.5"] == ("met", ratio(4, 4))
    # And one of the six lost its line: four of six.
    await world.take(fact(five_of_six, "household.fibre", "H-0", False, at=ago(seconds=1)))
    assert (await world.figures(five_of_six))["288.5"] == ("unmet", ratio(4, 6))


async def test_all_nine_rows_make_the_village_smart_and_one_that_falls_back_unmakes_it(world: World) -> None:
    (village,) = await world.villages(1)
    await world.publish(
        petition(village, answered_at=ago(hours=1)),
        speaker(village),
        team(village, {this_year(): 1}),
        camera(village, "public_place"),
        camera(village, "main_road"),
        audible(village, 3, 3),
        product(village, key=True, live=1),
    )
    await world.take(
        figure(village, "village.fibre_households", (81, 100)),
        figure(village, "village.mobile_internet_people", (95, 100)),
        figure(village, "village.signal_area", (1, 1)),
    )
    await world.drained()
    sheet = await world.sheet(village)
    assert (sheet["status"], sheet["met"], sheet["total"]) == ("met", 9, 9)
    await world.publish(product(village, key=True, live=0, sequence=2))
    await world.drained()
    sheet = await world.sheet(village)
    assert (sheet["status"], sheet["met"], sheet["total"]) == ("unmet", 8, 9)
