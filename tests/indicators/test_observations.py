"""What partners may report over gRPC and officers over JSON, what is counted, and what is refused with which reason."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import text
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis.db import new_id
from chassis.units import Unit
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage, ago
from tests.support.running import bearer, commune, ladder, running, settings_for, token, village

SCOPES = "indicators.observations.write indicators.read"
PARTNER = token(("partner", "30"), kind="partner", client_id="viettel", scope=SCOPES)


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """As in the other modules, with the gRPC port open and small batches."""
    settings = settings_for(Settings, database("observations"), submit_batch=50, submit_max=3000)
    async with running(service, settings, parts=["rpc"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        yield Stage(live, here, [first])


def observation(unit: Unit | str, **changed: Any) -> pb.Observation:
    """81 of 100 households covered by fibre, observed a minute ago, unless changed."""
    at = changed.pop("observed_at", ago(minutes=1))
    values: dict[str, Any] = {
        "id": str(new_id()),
        "unit": unit if isinstance(unit, str) else unit.code,
        "source": "OSS cáp quang",
        **changed,
    }
    if not values.keys() & {"measure", "fact"}:
        values["measure"] = "village.fibre_households"
    if not values.keys() & {"ratio", "flag", "count", "withdrawn"}:
        values["ratio"] = pb.Ratio(numerator=81, denominator=100)
    message = pb.Observation(**values)
    if at is not None:
        message.observed_at.FromDatetime(at)
    return message


async def submit(stage: Stage, observations: Iterable[pb.Observation], *, as_: str = PARTNER) -> pb.SubmitResponse:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        stub = stubs.ObservationServiceStub(channel)
        answer: pb.SubmitResponse = await stub.Submit(
            iter(observations), timeout=30, metadata=(("authorization", f"Bearer {as_}"),)
        )
        return answer


def counts(answer: pb.SubmitResponse) -> tuple[int, int, int]:
    return (answer.accepted, answer.duplicate, answer.rejected)


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


ADDRESS = "/indicators/api/v1/observations"


def entry(unit: Unit, **changed: Any) -> dict[str, Any]:
    return {
        "unit": unit.code,
        "measure": "village.signal_area",
        "value": {"numerator": 4, "denominator": 4},
        "evidence": {"text": "Kết quả đo sóng", "document": "Biên bản 7/BB"},
        **changed,
    }


async def test_an_officer_enters_a_figure_and_the_explanation_names_the_document(stage: Stage) -> None:
    unit = await stage.new_village()
    officer = bearer(("officer", stage.commune.path))
    created = await stage.client.post(ADDRESS, json=entry(unit, id="bb-7"), headers=officer)
    assert (created.status_code, created.json()) == (201, {"id": "bb-7", "outcome": "accepted"})
    found = await stage.client.get(
        f"/indicators/api/v1/units/{unit.code}/sets/hd-288-2023/items/288.8/explanation", headers=officer
    )
    fact = found.json()["facts"][0]
    assert fact["value"] == {"numerator": 4, "denominator": 4}
    assert (fact["source"]["kind"], fact["source"]["note"]) == ("document", "Biên bản 7/BB · Kết quả đo sóng")
    assert found.json()["measures"][0]["sources"][0]["chosen"] is True


async def test_a_repeated_entry_is_answered_the_same_and_stored_once(stage: Stage) -> None:
    unit = await stage.new_village()
    officer = bearer(("officer", stage.commune.path), subject="o-1")
    body = entry(unit, id="bb-8", observed_at="2026-11-20T08:00:00+07:00")
    first = await stage.client.post(ADDRESS, json=body, headers={**officer, "idempotency-key": "k-8"})
    again = await stage.client.post(ADDRESS, json=body, headers={**officer, "idempotency-key": "k-8"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    bare = await stage.client.post(ADDRESS, json=body, headers=officer)
    assert (bare.status_code, bare.json()["outcome"]) == (200, "duplicate")
    other = await stage.client.post(ADDRESS, json={**body, "period": "2026"}, headers=officer)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "id")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"evidence": {"text": "", "document": ""}}, 422),
        ({"evidence": None}, 422),
        ({"value": {"numerator": 5, "denominator": 4}}, 422),
        ({"value": {"numerator": -1, "denominator": 4}}, 422),
        ({"value": {"numerator": 2**63, "denominator": 2**63}}, 422),
        ({"value": {"numerator": 1.5, "denominator": 4}}, 422),
        ({"value": {"flag": True}}, 422),
        ({"value": {}}, 422),
        ({"measure": "village.happiness"}, 422),
        ({"measure": "a\u0000b"}, 422),
        ({"unit": "99999"}, 404),
        ({"observed_at": "2999-01-01T00:00:00+07:00"}, 422),
        ({"observed_at": "2026-01-01T00:00:00"}, 422),
        ({"period": "2026-99"}, 422),
        ({"surprise": 1}, 422),
    ],
)
async def test_wrong_entries_are_refused_with_the_field(stage: Stage, changed: dict[str, Any], status: int) -> None:
    body = {**entry(stage.villages[0]), **changed}
    answer = await stage.client.post(ADDRESS, json=body, headers=bearer(("officer", stage.commune.path)))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    if status == 422:
        assert answer.json()["errors"], answer.text


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"numerator": -1, "denominator": 4}, ["value.ratio.numerator"]),
        ({"numerator": 1}, ["value.ratio.denominator"]),
        ({"numerator": 1, "denominator": 4, "flag": True}, ["value.ratio.flag"]),
        ({"count": "3"}, ["value.count.count"]),
        ({"state": "x" * 81}, ["value.state.state"]),
        ({"state": "other", "note": "?"}, ["value.state.note"]),
        ({"share": 0.5}, ["value"]),
        ({}, ["value"]),
        (3, ["value"]),
        ("3", ["value"]),
    ],
)
async def test_a_wrong_value_is_told_as_the_kind_it_was_meant_to_be(
    stage: Stage, value: object, fields: list[str]
) -> None:
    """One fault, not one for each kind that it is not either."""
    body = {**entry(stage.villages[0]), "value": value}
    answer = await stage.client.post(ADDRESS, json=body, headers=bearer(("officer", stage.commune.path)))
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (422, fields), answer.text


async def test_an_officer_is_told_that_a_unit_was_not_there_on_the_day(stage: Stage) -> None:
    """As a partner is; others learn nothing, and a code that never was is unknown."""
    brief = village(stage.commune, 995, "Thôn một năm")
    unit = Unit(brief.code, brief.name, "village", "thon", brief.parent, brief.path, date(2024, 3, 1), date(2025, 3, 1))
    await stage.running.enter_units(unit)
    officer, other = bearer(("officer", stage.commune.path)), bearer(("officer", "30/298/11077"))
    for day, words in (
        ("2024-02-29T23:59:59+07:00", "Đơn vị hành chính này chưa có vào ngày quan sát."),
        ("2025-03-01T00:00:00+07:00", "Đơn vị hành chính này không còn vào ngày quan sát."),
        (None, "Đơn vị hành chính này không còn vào ngày quan sát."),
        ("0001-01-01T00:00:00+14:00", "Thời điểm quan sát thiếu hoặc không hợp lệ."),
        ("9999-12-31T23:59:59-12:00", "Thời điểm quan sát ở tương lai."),
    ):
        told = await stage.client.post(ADDRESS, json=entry(unit, observed_at=day), headers=officer)
        assert (told.status_code, told.json()["code"]) == (422, "observation_rejected"), told.text
        assert [one["message"] for one in told.json()["errors"]] == [words]
        assert (await stage.client.post(ADDRESS, json=entry(unit, observed_at=day), headers=other)).status_code == 403
    there = entry(unit, observed_at="2025-02-28T23:59:59+07:00")
    assert (await stage.client.post(ADDRESS, json=there, headers=officer)).status_code == 201
    page = f"/indicators/units/{unit.code}/entry"
    for who, status in ((officer, 422), (other, 403)):
        answer = await stage.client.get(page, headers={**who, "accept": "text/html"})
        assert answer.status_code == status
        assert ("Đơn vị hành chính này không còn vào ngày quan sát." in answer.text) is (status == 422)
    unknown = await stage.client.get("/indicators/units/99999/entry", headers={**officer, "accept": "text/html"})
    assert unknown.status_code == 404


async def test_an_officer_of_another_commune_may_not_enter_figures(stage: Stage) -> None:
    for grants in ([("officer", "30/298/11077")], [("viewer", "30")], [("resident", stage.commune.path)]):
        answer = await stage.client.post(ADDRESS, json=entry(stage.villages[0]), headers=bearer(*grants))
        assert answer.status_code == 403
    assert (await stage.client.post(ADDRESS, json=entry(stage.villages[0]))).status_code == 401


async def test_decomposed_vietnamese_is_the_same_evidence(stage: Stage) -> None:
    unit = await stage.new_village()
    officer = bearer(("officer", stage.commune.path), subject="o-2")
    body = entry(unit, id="nfc", observed_at="2026-11-20T08:00:00+07:00", evidence={"text": "Đo sóng"})
    await stage.client.post(ADDRESS, json=body, headers=officer)
    decomposed = {**body, "evidence": {"text": unicodedata.normalize("NFD", "Đo sóng")}}
    assert decomposed != body
    assert (await stage.client.post(ADDRESS, json=decomposed, headers=officer)).json()["outcome"] == "duplicate"


class Stream:
    """A client of SubmitStream that keeps what it is told."""

    def __init__(self, channel: grpc.aio.Channel, name: str, as_: str = PARTNER) -> None:
        self.call = stubs.ObservationServiceStub(channel).SubmitStream(
            timeout=30, metadata=(("authorization", f"Bearer {as_}"),)
        )
        self.name = name

    async def open(self) -> int:
        await self.call.write(pb.SubmitStreamRequest(open=pb.StreamOpen(stream=self.name)))
        return int((await self.call.read()).position)

    async def send(self, position: int, sent: pb.Observation) -> None:
        await self.call.write(pb.SubmitStreamRequest(item=pb.StreamItem(position=position, observation=sent)))

    async def until(self, position: int) -> list[pb.SubmitStreamResponse]:
        """The answers up to the one that covers a position."""
        found = []
        while not found or found[-1].position < position:
            found.append(await self.call.read())
        return found


def channel_to(stage: Stage) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}")


async def test_a_stream_is_acknowledged_as_it_goes_and_goes_on_where_it_broke(stage: Stage) -> None:
    unit = await stage.new_village()
    sent = [observation(unit, ratio=pb.Ratio(numerator=n, denominator=100)) for n in range(1, 31)]
    name = f"hàng đợi {unit.code}"
    async with channel_to(stage) as channel:
        first = Stream(channel, name)
        assert await first.open() == 0
        for position, one in enumerate(sent[:20], 1):
            await first.send(position * 10, one)
        answers = await first.until(200)
        assert sum(answer.accepted for answer in answers) == 20
        # The connection breaks before the client hears what became of the next ones.
        for position, one in enumerate(sent[20:25], 21):
            await first.send(position * 10, one)
        first.call.cancel()
    async with channel_to(stage) as channel:
        again = Stream(channel, name)
        taken = await again.open()
        assert taken >= 200
        for position, one in enumerate(sent, 1):
            await again.send(position * 10, one)
        answers = await again.until(300)
        await again.call.done_writing()
        counted = [sum(getattr(a, field) for a in answers) for field in ("skipped", "accepted", "duplicate")]
        assert counted == [taken // 10, 30 - taken // 10, 0]
        assert (await again.call.read()) is grpc.aio.EOF
        assert await Stream(channel, name).open() == 300
        assert await Stream(channel, "another").open() == 0
        stranger = token(("partner", "30"), kind="partner", client_id="vnpt", scope=SCOPES)
        assert await Stream(channel, name, stranger).open() == 0
    async with stage.running.tx() as tx:
        stored = await tx.execute(
            text("SELECT count(*), count(DISTINCT id) FROM observation WHERE unit = :u"), {"u": unit.code}
        )
        assert tuple(stored.one()) == (30, 30)


async def test_rejections_of_a_stream_name_their_place(stage: Stage) -> None:
    unit = await stage.new_village()
    good, bad = observation(unit), observation(unit, ratio=pb.Ratio(numerator=2, denominator=1))
    reused = observation(unit, id=good.id, ratio=pb.Ratio(numerator=1, denominator=1))
    async with channel_to(stage) as channel:
        stream = Stream(channel, f"r-{unit.code}")
        await stream.open()
        for position, one in enumerate((bad, good, reused, observation("99999")), 1):
            await stream.send(position, one)
        answers = await stream.until(4)
        told = [(r.position, r.reason) for answer in answers for r in answer.rejections]
        assert told == [(1, "numerator_above_denominator"), (3, "id_reused"), (4, "unknown_unit")]
        assert all(r.detail for answer in answers for r in answer.rejections)


@pytest.mark.parametrize(
    "messages",
    [
        [pb.SubmitStreamRequest(item=pb.StreamItem(position=1))],
        [pb.SubmitStreamRequest()],
        [pb.SubmitStreamRequest(open=pb.StreamOpen(stream=""))],
        [pb.SubmitStreamRequest(open=pb.StreamOpen(stream="x" * 129))],
        [
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
        ],
        [
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
            pb.SubmitStreamRequest(item=pb.StreamItem(position=2)),
            pb.SubmitStreamRequest(item=pb.StreamItem(position=2)),
        ],
        [
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
            pb.SubmitStreamRequest(item=pb.StreamItem(position=0)),
        ],
    ],
)
async def test_a_stream_out_of_order_is_refused(stage: Stage, messages: list[pb.SubmitStreamRequest]) -> None:
    async with channel_to(stage) as channel:
        call = stubs.ObservationServiceStub(channel).SubmitStream(
            iter(messages), timeout=30, metadata=(("authorization", f"Bearer {PARTNER}"),)
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_two_connections_on_one_stream_do_not_both_advance_it(stage: Stage) -> None:
    unit = await stage.new_village()
    async with channel_to(stage) as channel:
        one, other = Stream(channel, f"t-{unit.code}"), Stream(channel, f"t-{unit.code}")
        assert (await one.open(), await other.open()) == (0, 0)
        await one.send(1, observation(unit))
        await one.until(1)
        await other.send(1, observation(unit))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await other.until(1)
        assert caught.value.code() == grpc.StatusCode.ABORTED
    async with stage.running.tx() as tx:
        count = await tx.execute(text("SELECT count(*) FROM observation WHERE unit = :u"), {"u": unit.code})
        assert count.scalar_one() == 1


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
