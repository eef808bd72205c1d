"""What partners may report over gRPC, what is counted, and what is refused with which reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import text
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.units import Unit
from tests.indicators.conftest import Stage, ago
from tests.indicators.observing import PARTNER, SCOPES, counts, observation, reached, submit
from tests.support.running import bearer, token, village


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    async with reached(database("observations")) as made:
        yield made


async def test_totals_of_a_village_are_judged_exactly(stage: Stage) -> None:
    unit = await stage.new_village()
    for minute, numerator, status in ((5, 80, "unmet"), (4, 81, "met"), (3, 79, "unmet")):
        ratio = pb.Ratio(numerator=numerator, denominator=100)
        answer = await submit(stage, [observation(unit, ratio=ratio, observed_at=ago(minutes=minute))])
        assert counts(answer) == (1, 0, 0)
        item = await stage.item(unit, "288.5")
        assert (item["status"], item["value"]) == (status, {"numerator": numerator, "denominator": 100})


async def test_households_reported_one_by_one_are_counted(stage: Stage) -> None:
    unit = await stage.new_village()

    def household(number: int, covered: bool, at: datetime) -> pb.Observation:
        fact = pb.EntityAttribute(attribute="household.fibre", entity=f"H-{number:04d}")
        return observation(unit, fact=fact, flag=covered, observed_at=at)

    first = ago(minutes=10)
    answer = await submit(stage, [household(n, n < 160, first) for n in range(200)])
    assert counts(answer) == (200, 0, 0)
    assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 160, "denominator": 200}
    assert await stage.status(unit, "288.5") == "unmet"
    await submit(stage, [household(160, True, ago(minutes=9))])
    assert await stage.status(unit, "288.5") == "met"
    late = household(160, False, ago(minutes=11))
    assert counts(await submit(stage, [late])) == (1, 0, 0)
    assert await stage.status(unit, "288.5") == "met"


async def test_the_same_household_number_in_two_villages_is_two_households(stage: Stage) -> None:
    one, other = await stage.new_village(), await stage.new_village()
    fact = pb.EntityAttribute(attribute="household.fibre", entity="H-1")
    await submit(stage, [observation(one, fact=fact, flag=True), observation(other, fact=fact, flag=True)])
    for unit in (one, other):
        assert (await stage.item(unit, "288.5"))["value"] == {"numerator": 1, "denominator": 1}


async def test_a_register_reported_by_the_commune_is_the_whole(stage: Stage) -> None:
    unit = await stage.new_village()
    fact = pb.EntityAttribute(attribute="household.fibre", entity="H-1")
    await submit(stage, [observation(unit, fact=fact, flag=True)])
    assert await stage.status(unit, "288.5") == "met"
    body = {
        "unit": unit.code,
        "measure": "village.households",
        "value": {"count": 240},
        "evidence": {"document": "Danh sách hộ 2026"},
    }
    answer = await stage.client.post(
        "/indicators/api/v1/observations", json=body, headers=bearer(("officer", stage.commune.path))
    )
    assert answer.status_code == 201, answer.text
    item = await stage.item(unit, "288.5")
    assert (item["status"], item["value"]) == ("unmet", {"numerator": 1, "denominator": 240})


async def test_a_withdrawn_figure_counts_no_more(stage: Stage) -> None:
    unit = await stage.new_village()
    await submit(stage, [observation(unit, observed_at=ago(minutes=3))])
    assert await stage.status(unit, "288.5") == "met"
    await submit(stage, [observation(unit, withdrawn=True, observed_at=ago(minutes=2))])
    assert await stage.status(unit, "288.5") == "no_data"


async def test_repeated_observations_are_duplicates_and_reused_ids_are_refused(stage: Stage) -> None:
    unit = await stage.new_village()
    sent = observation(unit)
    other = pb.Observation()
    other.CopyFrom(sent)
    other.ratio.numerator = 1
    first = await submit(stage, [sent, sent, other])
    assert counts(first) == (1, 1, 1)
    second = await submit(stage, [sent, other])
    assert counts(second) == (0, 1, 1)
    assert [(r.id, r.reason) for r in second.rejections] == [(sent.id, "id_reused")]
    assert (await stage.item(unit, "288.5"))["value"]["numerator"] == 81
    stranger = token(("partner", "30"), kind="partner", client_id="vnpt", scope=SCOPES)
    assert counts(await submit(stage, [sent], as_=stranger)) == (1, 0, 0)


FUTURE = timedelta(minutes=6)


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("numerator_above_denominator", {"ratio": pb.Ratio(numerator=101, denominator=100)}),
        ("negative", {"ratio": pb.Ratio(numerator=-1, denominator=100)}),
        ("negative", {"ratio": pb.Ratio(numerator=-2, denominator=-1)}),
        ("from_the_future", {"observed_at": datetime.now(UTC) + timedelta(hours=1)}),
        ("time_malformed", {"observed_at": None}),
        ("time_malformed", {"observed_at": datetime(1999, 12, 31, tzinfo=UTC)}),
        ("unknown_unit", {"unit": "99999"}),
        ("unknown_unit", {"unit": ""}),
        ("text_malformed", {"unit": "1107\x004"}),
        ("text_malformed", {"source": "x" * 501}),
        ("text_malformed", {"source": "a\x00b"}),
        ("unknown_measure", {"measure": "village.happiness"}),
        ("unknown_attribute", {"fact": pb.EntityAttribute(attribute="household.joy", entity="H"), "flag": True}),
        ("entity_missing", {"fact": pb.EntityAttribute(attribute="household.fibre"), "flag": True}),
        ("not_open", {"fact": pb.EntityAttribute(attribute="camera.watch", entity="C"), "flag": True}),
        ("wrong_value_kind", {"flag": True}),
        ("wrong_value_kind", {"count": 3}),
        ("wrong_value_kind", {"fact": pb.EntityAttribute(attribute="household.fibre", entity="H"), "count": 3}),
        ("period_malformed", {"period": "2026-13"}),
        ("period_malformed", {"period": "quý 4"}),
        ("period_in_future", {"period": "2999"}),
        ("evidence_missing", {"measure": "village.digital_dialogue", "flag": True, "source": ""}),
        ("id_malformed", {"id": ""}),
        ("id_malformed", {"id": "x" * 129}),
        ("id_malformed", {"id": "a\x00b"}),
    ],
)
async def test_bad_observations_are_refused_one_by_one(stage: Stage, reason: str, changed: dict[str, Any]) -> None:
    unit = stage.villages[0]
    good = observation(unit, measure="village.signal_area", ratio=pb.Ratio(numerator=1, denominator=1))
    answer = await submit(stage, [observation(changed.pop("unit", unit), **changed), good])
    assert counts(answer) == (1, 0, 1)
    assert answer.rejections[0].reason == reason
    assert answer.rejections[0].detail


async def test_value_and_subject_must_be_there(stage: Stage) -> None:
    unit = stage.villages[0]
    empty = pb.Observation(id="empty", unit=unit.code, measure="village.fibre_households")
    empty.observed_at.FromDatetime(ago(minutes=1))
    nothing = pb.Observation(id="nothing", unit=unit.code, flag=True)
    nothing.observed_at.FromDatetime(ago(minutes=1))
    answer = await submit(stage, [empty, nothing])
    assert [r.reason for r in answer.rejections] == ["value_missing", "subject_missing"]


async def test_a_partner_reports_only_for_units_it_was_granted(stage: Stage) -> None:
    elsewhere = token(("partner", "30/298/11077"), kind="partner", client_id="viettel", scope=SCOPES)
    answer = await submit(stage, [observation(stage.villages[0])], as_=elsewhere)
    assert [r.reason for r in answer.rejections] == ["not_granted"]
    viewer = token(("viewer", "30"))
    assert [r.reason for r in (await submit(stage, [observation(stage.villages[0])], as_=viewer)).rejections] == [
        "not_granted"
    ]


async def test_a_unit_that_has_ended_takes_no_more_observations(stage: Stage) -> None:
    ended = village(stage.commune, 98, "Thôn đã sáp nhập")
    today = datetime.now(UTC).date()
    gone = Unit(
        ended.code,
        ended.name,
        ended.level,
        ended.kind,
        ended.parent,
        ended.path,
        ended.valid_from,
        today - timedelta(9),
    )
    await stage.running.enter_units(gone)
    answer = await submit(stage, [observation(gone), observation(gone, observed_at=ago(days=30))])
    assert counts(answer) == (1, 0, 1)
    assert answer.rejections[0].reason == "unit_ended"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (token(("partner", "30"), kind="partner", scope="indicators.read"), grpc.StatusCode.PERMISSION_DENIED),
        (token(("partner", "30"), kind="partner", scope=SCOPES, lifetime=-600), grpc.StatusCode.UNAUTHENTICATED),
        (token(("partner", "30"), kind="partner", scope=SCOPES, aud="other"), grpc.StatusCode.UNAUTHENTICATED),
        ("nonsense", grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_tokens_without_the_right_are_refused(stage: Stage, bad: str, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await submit(stage, [observation(stage.villages[0])], as_=bad)
    assert caught.value.code() == code


async def test_a_long_stream_is_committed_in_batches_and_counted_once(stage: Stage) -> None:
    unit = await stage.new_village()
    at = ago(minutes=30)
    stream = [
        observation(
            unit,
            fact=pb.EntityAttribute(attribute="person.mobile_internet", entity=f"T-{n}"),
            flag=n % 20 != 0,
            observed_at=at + timedelta(milliseconds=n),
        )
        for n in range(1000)
    ]
    assert counts(await submit(stage, stream)) == (1000, 0, 0)
    assert (await stage.item(unit, "288.6"))["value"] == {"numerator": 950, "denominator": 1000}
    assert await stage.status(unit, "288.6") == "met"
    assert counts(await submit(stage, [*stream[500:], observation(unit, id="one-more")])) == (1, 500, 0)


async def test_what_was_committed_before_a_stream_broke_off_stays_and_the_rest_can_be_sent_again(stage: Stage) -> None:
    unit = await stage.new_village()
    stream = [
        observation(unit, fact=pb.EntityAttribute(attribute="area.signal", entity=f"A-{n}"), flag=True)
        for n in range(120)
    ]

    async def broken() -> AsyncIterator[pb.Observation]:
        for message in stream:
            yield message
        async with stage.running.tx() as tx:
            while True:
                stored = await tx.execute(text("SELECT count(*) FROM observation WHERE unit = :u"), {"u": unit.code})
                if stored.scalar_one() >= 100:
                    break
        raise ConnectionError("the line is cut")

    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        call = stubs.ObservationServiceStub(channel).Submit(
            broken(), timeout=30, metadata=(("authorization", f"Bearer {PARTNER}"),)
        )
        with pytest.raises(
            (grpc.aio.AioRpcError, ConnectionError, grpc.aio.UsageError, __import__("asyncio").CancelledError)
        ):
            await call
    again = await submit(stage, stream)
    assert again.accepted + again.duplicate == 120
    assert again.duplicate >= 100
    assert (await stage.item(unit, "288.8"))["value"] == {"numerator": 120, "denominator": 120}


async def test_many_rejections_are_all_counted_and_the_first_thousand_named(stage: Stage) -> None:
    answer = await submit(stage, [observation("99999") for _ in range(1100)])
    assert counts(answer) == (0, 0, 1100)
    assert len(answer.rejections) == 1000


async def test_a_call_without_end_is_stopped(stage: Stage) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await submit(stage, (observation("99999") for _ in range(3100)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_figure_of_another_level_and_a_unit_of_another_time_are_refused(stage: Stage) -> None:
    later = village(stage.commune, 997, "Thôn sẽ có")
    begins = datetime.now(UTC).date() - timedelta(days=3)
    await stage.running.enter_units(
        Unit(later.code, later.name, later.level, later.kind, later.parent, later.path, begins)
    )
    answer = await submit(
        stage,
        [
            observation(stage.commune),
            observation(stage.commune, measure="village.households", count=3),
            observation(later, observed_at=ago(days=30)),
            observation(later),
        ],
    )
    assert [r.reason for r in answer.rejections] == ["wrong_level", "wrong_level", "unit_not_yet"]
    assert answer.accepted == 1


async def test_a_unit_takes_observations_from_its_first_instant_to_its_last_in_viet_nam(stage: Stage) -> None:
    """It is there from 17:00 in Greenwich on the day before its first day, and gone from 17:00 before its end."""
    brief = village(stage.commune, 996, "Thôn một năm")
    unit = Unit(brief.code, brief.name, "village", "thon", brief.parent, brief.path, date(2024, 3, 1), date(2025, 3, 1))
    await stage.running.enter_units(unit)
    instants = [
        datetime(2024, 2, 29, 16, 59, 59, tzinfo=UTC),
        datetime(2024, 2, 29, 17, 0, tzinfo=UTC),
        datetime(2025, 2, 28, 16, 59, 59, tzinfo=UTC),
        datetime(2025, 2, 28, 17, 0, tzinfo=UTC),
    ]
    told = [observation(unit, observed_at=at) for at in instants]
    answer = await submit(stage, told)
    assert [(r.id, r.reason) for r in answer.rejections] == [(told[0].id, "unit_not_yet"), (told[3].id, "unit_ended")]
    assert answer.accepted == 2
