"""Whatever order events and observations arrive in, however often and however late: the same sheet."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.units import Unit
from tests.indicators.spec.world import (
    Figure,
    Told,
    World,
    ago,
    audible,
    camera,
    entered,
    fact,
    figure,
    petition,
    product,
    ratio,
    speaker,
    team,
    this_year,
)

Rows = dict[str, Figure]
VILLAGES = 4


def story(unit: Unit) -> list[Told]:
    """What happened in a village, in the order in which it did."""
    year = this_year()
    return [
        entered(unit),
        petition(unit),
        petition(unit, answered_at=ago(hours=3), sequence=2),
        petition(unit, answered_at=ago(hours=3), status="closed", sequence=3),
        speaker(unit),
        speaker(unit, id="loa-2"),
        speaker(unit, "lost", sequence=2),
        speaker(unit, in_service=False, id="loa-2", sequence=2),
        team(unit, {}),
        team(unit, {year: 1}, sequence=2),
        team(unit, {year: 2}, sequence=3),
        camera(unit, "public_place", "offline"),
        camera(unit, "public_place", sequence=2),
        camera(unit, "main_road", in_hub=False),
        camera(unit, "main_road", sequence=2),
        audible(unit, 5, 5),
        audible(unit, 4, 5, sequence=2),
        product(unit, key=True, live=1),
        product(unit, key=True, live=0, id="sp-2"),
        product(unit, key=True, live=1, id="sp-2", sequence=2),
        product(unit, key=True, live=0, sequence=2),
    ]


OUTCOME: Rows = {
    "288.1": ("met", {"flag": True}),
    "288.2": ("unmet", {"flag": False}),
    "288.3": ("met", {"flag": True}),
    "288.4": ("met", {"flag": True}),
    "288.5": ("no_data", None),
    "288.6": ("no_data", None),
    "288.7": ("unmet", ratio(4, 5)),
    "288.8": ("no_data", None),
    "288.9": ("unmet", ratio(1, 2)),
}


@settings(max_examples=4, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(shuffles=st.lists(st.randoms(use_true_random=False), min_size=VILLAGES, max_size=VILLAGES))
async def test_events_in_any_order_any_number_of_times(world: World, shuffles: list[random.Random]) -> None:
    told: list[tuple[Unit, list[Told]]] = []
    for shuffle in shuffles:
        unit = world.next_village()
        events = story(unit)
        again = [shuffle.choice(events) for _ in range(shuffle.randint(0, 10))]
        # A relay that sends again after a lost broker gives the event its old id; a replay gives none of them another.
        arrivals = [*events, *again]
        shuffle.shuffle(arrivals)
        told.append((unit, arrivals))
    # The villages' events arrive among each other's.
    for row in itertools.zip_longest(*(arrivals for _, arrivals in told)):
        await world.publish(*(event for event in row if event is not None))
    await world.drained()
    assert [await world.figures(unit) for unit, _ in told] == [OUTCOME] * len(told)


async def test_the_same_happens_when_events_come_in_order(world: World) -> None:
    unit = world.next_village()
    await world.publish(*story(unit))
    await world.drained()
    assert await world.figures(unit) == OUTCOME
    before = await world.sheet(unit)
    # The broker is refilled: everything comes again, and nothing moves, not even the time of the last change.
    await world.publish(*story(unit))
    await world.drained()
    assert await world.sheet(unit) == before


async def test_a_thing_that_moved_counts_where_it_stands_now(world: World) -> None:
    here, there = await world.villages(2)
    moved = camera(there, "public_place", sequence=2)
    moved.message.camera.id = f"{here.code}/public_place"  # type: ignore[attr-defined]  # Told holds any message.
    arrived = Told(moved.message, f"{here.code}/public_place", 2)
    late = camera(here, "public_place", sequence=1)
    await world.publish(arrived, late, camera(here, "main_road"), camera(there, "main_road"))
    await world.drained()
    assert (await world.figures(here))["288.4"][0] == "unmet"
    assert (await world.figures(there))["288.4"][0] == "met"


def reports(unit: Unit) -> list[Any]:
    """What a telecom said of a village over a day: (observation, client)."""
    at = {hour: ago(hours=hour) for hour in range(1, 8)}
    tie = at[4] + timedelta(minutes=1)
    code = unit.code
    fibre, mobile, signal = "village.fibre_households", "village.mobile_internet_people", "village.signal_area"
    return [
        (figure(unit, fibre, (70, 100), id=f"{code}/1", at=at[7]), "vienthong"),
        (figure(unit, fibre, (90, 100), id=f"{code}/2", at=at[6]), "vienthong"),
        (figure(unit, fibre, (80, 100), id=f"{code}/3", at=at[5]), "vienthong"),
        (figure(unit, fibre, (99, 100), id=f"{code}/3", at=at[6]), "vienthong-2"),
        (figure(unit, mobile, (95, 100), id=f"{code}/4", at=at[6]), "vienthong"),
        (figure(unit, mobile, None, id=f"{code}/5", at=at[5], withdrawn=True), "vienthong"),
        (fact(unit, "person.mobile_internet", "N-1", True, id=f"{code}/6", at=at[3]), "vienthong"),
        (fact(unit, "person.mobile_internet", "N-2", True, id=f"{code}/7", at=at[3]), "vienthong"),
        (fact(unit, "person.mobile_internet", "N-2", False, id=f"{code}/8", at=at[2]), "vienthong"),
        (fact(unit, "person.mobile_internet", "N-3", False, id=f"{code}/9", at=at[2]), "vienthong"),
        (fact(unit, "person.mobile_internet", "N-3", None, id=f"{code}/10", at=at[1], withdrawn=True), "vienthong"),
        # Two figures of the same instant: which one counts may not depend on which came first.
        (figure(unit, signal, (1, 2), id=f"{code}/11", at=tie), "vienthong"),
        (figure(unit, signal, (2, 2), id=f"{code}/12", at=tie), "vienthong"),
    ]


async def report(world: World, told: list[Any]) -> None:
    """Runs of one client's observations go in one stream."""
    for client, run in itertools.groupby(told, key=lambda one: one[1]):
        await world.take(*(observation for observation, _ in run), client=client)


@settings(max_examples=4, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(shuffle=st.randoms(use_true_random=False))
async def test_observations_in_any_order_any_number_of_times(world: World, shuffle: random.Random) -> None:
    ordered, shuffled = await world.villages(2)
    await report(world, reports(ordered))
    arrivals = reports(shuffled)
    arrivals += [shuffle.choice(arrivals) for _ in range(shuffle.randint(0, 8))]
    shuffle.shuffle(arrivals)
    await report(world, arrivals)
    found = await world.figures(shuffled)
    assert found == await world.figures(ordered)
    assert found["288.6"] == ("unmet", ratio(1, 2))
    whys = [(await world.explanation(unit, "288.5"))["measures"][0] for unit in (ordered, shuffled)]
    assert whys[0] == whys[1]
    assert {(source["source"], source["value"]["numerator"]) for source in whys[0]["sources"]} == {
        ("vienthong", 80),
        ("vienthong-2", 99),
    }
