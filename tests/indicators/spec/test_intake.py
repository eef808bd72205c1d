"""What the intake of observations takes, what it refuses and why, and what a stream that comes again does."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.units import Unit
from tests.indicators.spec.world import (
    OFFICIAL,
    SET,
    World,
    ago,
    camera,
    fact,
    figure,
    partner,
    petition,
    ratio,
    this_year,
)
from tests.support.running import bearer

ENTRIES = "/indicators/api/v1/observations"
FIBRE = "village.fibre_households"


def without(observation: pb.Observation, *fields: str) -> pb.Observation:
    """The observation with fields left out."""
    for name in fields:
        observation.ClearField(name)
    return observation


def bad_ones(village: Unit, foreign: Unit) -> dict[str, tuple[pb.Observation, str]]:
    """Each observation that must be refused, with the reason it must be given."""
    soon = datetime.now(UTC) + timedelta(minutes=10)
    endless = figure(village, FIBRE, (1, 2))
    endless.observed_at.seconds = 10**15
    return {
        "more covered than there are": (figure(village, FIBRE, (101, 100)), "numerator_above_denominator"),
        "more than none": (figure(village, FIBRE, (1, 0)), "numerator_above_denominator"),
        "negative numerator": (figure(village, FIBRE, (-1, 100)), "negative"),
        "negative both": (figure(village, FIBRE, (-2, -1)), "negative"),
        "negative count": (figure(village, "village.households", -1), "negative"),
        "from the future": (figure(village, FIBRE, (1, 2), at=soon), "from_the_future"),
        "from beyond every calendar": (endless, "time_malformed"),
        "unknown unit": (figure("99999-01", FIBRE, (1, 2)), "unknown_unit"),
        "no unit": (figure("", FIBRE, (1, 2)), "unknown_unit"),
        "unknown measure": (figure(village, "village.happiness", (1, 2)), "unknown_measure"),
        "unknown attribute": (fact(village, "household.pool", "H-1", True), "unknown_attribute"),
        "another's unit": (figure(foreign, FIBRE, (1, 2)), "not_granted"),
        "NUL in the source": (figure(village, FIBRE, (1, 2), source="a\0b"), "text_malformed"),
        "NUL in the entity": (fact(village, "household.fibre", "H-\0", True), "text_malformed"),
        "NUL in the unit": (figure(f"{village.code}\0", FIBRE, (1, 2)), "text_malformed"),
        "NUL in the measure": (figure(village, f"{FIBRE}\0", (1, 2)), "text_malformed"),
        "NUL in the period": (figure(village, FIBRE, (1, 2), period="2026\0"), "text_malformed"),
        "NUL in the id": (figure(village, FIBRE, (1, 2), id="a\0b"), "id_malformed"),
        "no id": (without(figure(village, FIBRE, (1, 2)), "id"), "id_malformed"),
        "a long id": (figure(village, FIBRE, (1, 2), id="x" * 129), "id_malformed"),
        "a long source": (figure(village, FIBRE, (1, 2), source="x" * 501), "text_malformed"),
        "no subject": (without(figure(village, FIBRE, (1, 2)), "measure"), "subject_missing"),
        "no entity": (fact(village, "household.fibre", "", True), "entity_missing"),
        "no value": (figure(village, FIBRE, None), "value_missing"),
        "no time": (without(figure(village, FIBRE, (1, 2)), "observed_at"), "time_malformed"),
        "a flag for a ratio": (figure(village, FIBRE, True), "wrong_value_kind"),
        "a count for a ratio": (figure(village, FIBRE, 3), "wrong_value_kind"),
        "a ratio for a flag": (figure(village, "village.digital_dialogue", (1, 2)), "wrong_value_kind"),
        "a flag that names no source": (
            figure(village, "village.digital_dialogue", True, source=""),
            "evidence_missing",
        ),
        "a thirteenth month": (figure(village, FIBRE, (1, 2), period="2026-13"), "period_malformed"),
        "a fifth quarter": (figure(village, FIBRE, (1, 2), period="2026-Q5"), "period_malformed"),
        "not a period": (figure(village, FIBRE, (1, 2), period="năm nay"), "period_malformed"),
        "a period to come": (figure(village, FIBRE, (1, 2), period=f"{this_year() + 1}"), "period_in_future"),
    }


async def test_each_bad_observation_is_refused_by_name_and_the_good_ones_around_it_are_kept(world: World) -> None:
    here = await world.villages(2)
    elsewhere = Unit("11098", "Xã Canh", "commune", "xa", "298", "30/298/11098", date(2020, 1, 1))
    (foreign,) = await world.villages(1, elsewhere)
    bad = bad_ones(here[0], foreign)
    before = figure(here[0], FIBRE, (70, 100), at=ago(hours=2))
    after = figure(here[1], FIBRE, (90, 100))
    answer = await world.submit(before, *(told for told, _ in bad.values()), after, grant="30/298/11086")
    assert (answer.accepted, answer.duplicate, answer.rejected) == (2, 0, len(bad))
    named = [(rejection.id, rejection.reason) for rejection in answer.rejections]
    # Of an id that is too long the answer names as much as an id may have.
    assert named == [(told.id[:128], reason) for told, reason in bad.values()]
    assert all(rejection.detail for rejection in answer.rejections)
    assert (await world.figures(here[0]))["288.5"] == ("unmet", ratio(70, 100))
    assert (await world.figures(here[1]))["288.5"] == ("met", ratio(90, 100))
    assert (await world.figures(foreign))["288.5"] == ("no_data", None)


async def test_a_clock_a_little_fast_is_forgiven(world: World) -> None:
    (village,) = await world.villages(1)
    await world.take(figure(village, FIBRE, (90, 100), at=datetime.now(UTC) + timedelta(minutes=4)))
    assert (await world.figures(village))["288.5"][0] == "met"


async def test_a_stream_sent_again_is_all_duplicates_and_changes_nothing(world: World) -> None:
    units = await world.villages(3)
    stream = [figure(unit, FIBRE, (81 + n, 100), at=ago(minutes=9 - n)) for unit in units for n in range(3)]
    first = await world.submit(*stream)
    assert (first.accepted, first.duplicate, first.rejected) == (9, 0, 0)
    sheets = [await world.sheet(unit) for unit in units]
    for again in (stream, stream[::-1], [*stream, *stream]):
        answer = await world.submit(*again)
        assert (answer.accepted, answer.duplicate, answer.rejected) == (0, len(again), 0)
    assert [await world.sheet(unit) for unit in units] == sheets
    # Ids are the client's own: another partner may use the same ones.
    other = await world.submit(*stream, client="vienthong-2")
    assert (other.accepted, other.duplicate, other.rejected) == (9, 0, 0)


async def test_twice_in_one_stream_counts_once_and_other_content_under_the_id_is_refused(world: World) -> None:
    (village,) = await world.villages(1)
    at = ago(minutes=3)
    told = figure(village, FIBRE, (81, 100), id="q-1-" + village.code, at=at)
    others = [
        figure(village, FIBRE, (99, 100), id=told.id, at=at),
        figure(village, FIBRE, (81, 100), id=told.id, at=ago(minutes=1)),
        figure(village, "village.signal_area", (81, 100), id=told.id, at=at),
        figure(village, FIBRE, (81, 100), id=told.id, at=at, source="Nguồn khác"),
        figure(village, FIBRE, None, id=told.id, at=at, withdrawn=True),
    ]
    answer = await world.submit(told, told, *others)
    assert (answer.accepted, answer.duplicate, answer.rejected) == (1, 1, len(others))
    assert {(rejection.id, rejection.reason) for rejection in answer.rejections} == {(told.id, "id_reused")}
    answer = await world.submit(*others)
    assert (answer.accepted, answer.rejected) == (0, len(others))
    figures = await world.figures(village)
    assert figures["288.5"] == ("met", ratio(81, 100))
    assert figures["288.8"] == ("no_data", None)


async def test_many_clients_sending_the_same_stream_at_once_store_it_once(world: World) -> None:
    (village,) = await world.villages(1)
    stream = [fact(village, "household.fibre", f"H-{n}", n % 10 < 8, id=f"{village.code}/{n}") for n in range(100)]
    answers = await asyncio.gather(*(world.submit(*stream) for _ in range(4)))
    assert sum(answer.accepted for answer in answers) == 100
    assert sum(answer.duplicate for answer in answers) == 300
    assert not any(answer.rejected for answer in answers)
    assert (await world.figures(village))["288.5"] == ("unmet", ratio(80, 100))


async def test_a_correction_replaces_and_a_late_older_figure_does_not(world: World) -> None:
    (village,) = await world.villages(1)
    await world.take(figure(village, FIBRE, (79, 100), at=ago(hours=2)))
    assert (await world.figures(village))["288.5"] == ("unmet", ratio(79, 100))
    await world.take(figure(village, FIBRE, (81, 100), at=ago(hours=1)))
    assert (await world.figures(village))["288.5"] == ("met", ratio(81, 100))
    await world.take(figure(village, FIBRE, (10, 100), at=ago(hours=3)))
    assert (await world.figures(village))["288.5"] == ("met", ratio(81, 100))


async def test_what_is_taken_back_no_longer_counts_and_does_not_come_back_late(world: World) -> None:
    (village,) = await world.villages(1)
    await world.take(figure(village, FIBRE, (90, 100), at=ago(hours=2)))
    await world.take(figure(village, FIBRE, None, at=ago(hours=1), withdrawn=True))
    assert (await world.figures(village))["288.5"] == ("no_data", None)
    await world.take(figure(village, FIBRE, (95, 100), at=ago(minutes=90)))
    assert (await world.figures(village))["288.5"] == ("no_data", None)
    await world.take(figure(village, FIBRE, (96, 100), at=ago(minutes=30)))
    assert (await world.figures(village))["288.5"] == ("met", ratio(96, 100))


async def test_last_years_figure_of_a_yearly_measure_does_not_count(world: World) -> None:
    last, current = await world.villages(2)
    code = "village.digital_dialogue"
    await world.take(
        figure(last, code, True, period=f"{this_year() - 1}", at=datetime(this_year(), 1, 2, tzinfo=UTC)),
        figure(current, code, True, period=f"{this_year()}"),
    )
    assert (await world.figures(last))["288.1"][0] in ("unmet", "no_data")
    assert (await world.figures(current))["288.1"] == ("met", {"flag": True})


async def test_sources_that_disagree_are_both_kept_and_shown(world: World) -> None:
    (village,) = await world.villages(1)
    telecom = figure(village, FIBRE, (812, 1000), source="Viễn thông, tháng 11")
    await world.take(telecom)
    entry = {
        "unit": village.code,
        "measure": FIBRE,
        "value": ratio(790, 1000),
        "evidence": {"text": "Danh sách hộ của xã", "document": "12/BC-UBND"},
    }
    made = await world.client.post(ENTRIES, json=entry, headers=OFFICIAL)
    assert (made.status_code, made.json()["outcome"]) == (201, "accepted")
    assert (await world.figures(village))["288.5"] == ("met", ratio(812, 1000))
    told = await world.explanation(village, "288.5")
    (reading,) = told["measures"]
    assert reading["measure"] == FIBRE
    assert reading["disagrees"] is True
    assert reading["value"] == ratio(812, 1000)
    chosen = {source["source_class"]: (source["value"], source["chosen"]) for source in reading["sources"]}
    assert chosen == {"partner": (ratio(812, 1000), True), "staff": (ratio(790, 1000), False)}
    # An id is its client's own, so the client stands before it.
    behind = {(known["source"]["kind"], known["source"]["id"].split("/")[-1]) for known in told["facts"]}
    assert behind == {("observation", telecom.id), ("document", made.json()["id"])}
    assert f"vienthong/{telecom.id}" in {known["source"]["id"] for known in told["facts"]}
    # The telecom takes its figure back: now the list of the commune counts.
    await world.take(figure(village, FIBRE, None, withdrawn=True, at=ago(seconds=1)))
    assert (await world.figures(village))["288.5"] == ("unmet", ratio(790, 1000))
    assert (await world.explanation(village, "288.5"))["measures"][0]["disagrees"] is False


async def test_agreeing_sources_do_not_disagree(world: World) -> None:
    (village,) = await world.villages(1)
    for client in ("vienthong", "vienthong-2"):
        await world.take(figure(village, FIBRE, (812, 1000)), client=client)
    (reading,) = (await world.explanation(village, "288.5"))["measures"]
    assert len(reading["sources"]) == 2
    assert reading["disagrees"] is False
    assert [source["chosen"] for source in reading["sources"]].count(True) == 1


async def test_an_explanation_names_the_events_behind_a_figure(world: World) -> None:
    (village,) = await world.villages(1)
    events = [petition(village), petition(village, answered_at=ago(hours=1), id="pa-2")]
    cameras = [camera(village, "public_place", sequence=3), camera(village, "main_road", sequence=7)]
    await world.publish(*events, *cameras)
    await world.drained()
    why = await world.explanation(village, "288.1")
    assert set(why) == {"unit", "set", "item", "measures", "facts", "children", "suspensions", "next"}
    assert (why["unit"], why["set"], why["item"]["code"], why["item"]["status"]) == (village.code, SET, "288.1", "met")
    assert {known["source"]["id"] for known in why["facts"]} == {event.id for event in events}
    why = await world.explanation(village, "288.4")
    told = {(known["source"]["id"], known["source"]["type"], known["source"]["sequence"]) for known in why["facts"]}
    kind = "xaso.media.v1.CameraStateChanged"
    assert told == {(cameras[0].id, kind, 3), (cameras[1].id, kind, 7)}
    assert {known["source"]["kind"] for known in why["facts"]} == {"event"}
    assert [reading["value"] for reading in why["measures"]] == [{"flag": True}] * 2
    sheet = await world.sheet(village)
    because = next(item["because"] for item in sheet["items"] if item["code"] == "288.1")
    assert because == f"xaso.petitions.v1.PetitionAnswered:{events[1].id}"


async def test_who_may_not_report_is_told_so_and_nothing_is_stored(world: World) -> None:
    (village,) = await world.villages(1)
    told = figure(village, FIBRE, (90, 100))
    stub = stubs.ObservationServiceStub(world.channel)
    refused: dict[Any, grpc.StatusCode] = {
        (): grpc.StatusCode.UNAUTHENTICATED,
        (("authorization", "Bearer x.y.z"),): grpc.StatusCode.UNAUTHENTICATED,
        partner(lifetime=-3600): grpc.StatusCode.UNAUTHENTICATED,
        partner(aud="elsewhere"): grpc.StatusCode.UNAUTHENTICATED,
        partner(iss="http://elsewhere"): grpc.StatusCode.UNAUTHENTICATED,
        partner(scope="indicators.read"): grpc.StatusCode.PERMISSION_DENIED,
    }
    found: dict[Any, grpc.StatusCode] = {}
    for metadata in refused:
        try:
            await stub.Submit(iter([told]), metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as trouble:
            found[metadata] = trouble.code()
    assert found == refused
    answer = await world.submit(told, grant="30/298/1108")
    assert [rejection.reason for rejection in answer.rejections] == ["not_granted"]
    assert (await world.figures(village))["288.5"] == ("no_data", None)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"value": {"numerator": 2, "denominator": 1}}, 422),
        ({"value": {"numerator": -1, "denominator": 1}}, 422),
        ({"value": {"flag": True}}, 422),
        ({"value": None}, 422),
        ({"observed_at": "2126-01-01T00:00:00Z"}, 422),
        ({"observed_at": "2026-01-01T00:00:00"}, 422),
        ({"unit": "99999-01"}, 404),
        ({"unit": "11086\0"}, 422),
        ({"measure": "village.happiness"}, 422),
        ({"evidence": {"text": "a\0b"}}, 422),
        ({"evidence": {}}, 422),
        ({"period": "2026-13"}, 422),
        ({"wishes": 1}, 422),
    ],
)
async def test_an_entry_of_the_staff_that_cannot_be_is_refused_with_the_reason(
    world: World, changed: dict[str, Any], status: int
) -> None:
    entry = {"unit": "11086", "measure": FIBRE, "value": ratio(1, 2), "evidence": {"text": "Biên bản"}} | changed
    answer = await world.client.post(ENTRIES, json=entry, headers=OFFICIAL)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]


async def test_only_staff_of_the_unit_enter_figures(world: World) -> None:
    (village,) = await world.villages(1)
    entry = {"unit": village.code, "measure": FIBRE, "value": ratio(1, 2), "evidence": {"text": "Biên bản"}}
    for headers, status in (
        ({}, 401),
        (bearer(("officer", "30/298/11098")), 403),
        (bearer(("resident", "30/298/11086")), 403),
        (bearer(("viewer", "30")), 403),
    ):
        answer = await world.client.post(ENTRIES, json=entry, headers=headers)
        assert answer.status_code == status, answer.text
    assert (await world.figures(village))["288.5"] == ("no_data", None)
