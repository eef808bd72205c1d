"""What was refused of partners' observations: counted by source and reason, told to the partner and to staff."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import grpc
import orjson
import pytest
import sqlalchemy as sa
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis import units
from chassis.db import new_id
from services.indicators import commands
from services.indicators.app import service
from services.indicators.criteria import library
from services.indicators.settings import Settings
from services.indicators.sources import rejections
from services.indicators.sources.intake import REASONS
from services.indicators.sources.observing import TYPE
from tests.indicators.conftest import Stage
from tests.indicators.observing import PARTNER, SCOPES, observation, submit
from tests.support.running import bearer, commune, ladder, running, settings_for, token, village

ADDRESS = "/indicators/api/v1/rejections"
QUALITY = "/indicators/units/11074/quality"
OFFICER = bearer(("officer", "30/298/11074"))
VIETTEL = {"authorization": f"Bearer {PARTNER}"}


@pytest.fixture(scope="module")
async def served(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """With the gRPC port open and batches so small that one call is several."""
    settings = settings_for(Settings, database("rejections"), submit_batch=4)
    async with running(service, settings, parts=["rpc"]) as live:
        here = commune()
        first = village(here)
        await live.enter_units(*ladder(), here, first)
        yield Stage(live, here, [first])


@pytest.fixture
async def stage(served: Stage) -> AsyncIterator[Stage]:
    yield served
    async with served.running.tx() as tx:
        await tx.execute(sa.text("DELETE FROM rejection"))
        await tx.execute(sa.text("DELETE FROM dead_letter"))


async def told(stage: Stage, headers: dict[str, str] = OFFICER, **params: str) -> list[dict[str, Any]]:
    asked = {"unit": "11074", **params} if headers is not VIETTEL else params
    answer = await stage.client.get(ADDRESS, headers=headers, params=asked)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def brief(items: list[dict[str, Any]]) -> list[tuple[str, str, str, int]]:
    return [(one["source"], one["way"], one["reason"], one["count"]) for one in items]


async def letter(stage: Stage, reason: str, unit: str = "11074-01", source: str = "/xaso/fpt", **changed: Any) -> None:
    """A record of the stream of observations that could not take effect, as the stream keeps it."""
    number = str(new_id())
    values = {
        "id": new_id(),
        "offset": new_id().int % 2**40,
        "type": TYPE,
        "unit": unit,
        "headers": orjson.dumps({"ce_id": number, "ce_source": source}).decode(),
        "reason": reason,
        "dead_at": stage.event(pb.Observation(), number).time,
        "replayed_at": None,
    }
    async with stage.running.tx() as tx:
        await tx.execute(
            sa.text("""
                INSERT INTO dead_letter (id, topic, partition, "offset", type, subject, unit, headers, reason, tries,
                    dead_at, replayed_at)
                VALUES (:id, 't', 0, :offset, :type, '', :unit, CAST(:headers AS jsonb), :reason, 1, :dead_at,
                    :replayed_at)
            """),
            values | changed,
        )


async def test_what_a_partner_sends_in_vain_is_counted_by_reason_with_the_last_examples(stage: Stage) -> None:
    good = observation(stage.villages[0])
    wrong = [observation(stage.villages[0], id=f"q-{n}", ratio=pb.Ratio(numerator=2, denominator=1)) for n in range(9)]
    answer = await submit(stage, [good, *wrong, observation("00000", id="lạ")])
    assert (answer.accepted, answer.rejected) == (1, 10)
    expected = [("viettel", "grpc", "numerator_above_denominator", 9), ("viettel", "grpc", "unknown_unit", 1)]
    for headers in (OFFICER, VIETTEL):
        found = await told(stage, headers)
        assert brief(found) == expected
        assert [one["id"] for one in found[0]["examples"]] == [f"q-{n}" for n in (8, 7, 6, 5, 4)]
        first = found[1]["examples"][0]
        assert (first["id"], first["unit"], first["measure"]) == ("lạ", "00000", "village.fibre_households")
        assert found[0]["detail"] == REASONS["numerator_above_denominator"][1]
    await submit(stage, wrong[:2])
    assert brief(await told(stage))[0][3] == 11
    async with stage.running.tx() as tx:
        assert (await tx.execute(sa.text("SELECT count(*) FROM rejection"))).scalar_one() == 2


async def test_a_named_stream_is_counted_too(stage: Stage) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}") as channel:
        opened = pb.SubmitStreamRequest(open=pb.StreamOpen(stream="hang-ngay"))
        items = [
            pb.SubmitStreamRequest(item=pb.StreamItem(position=n, observation=observation("00000"))) for n in (1, 2)
        ]
        stub = stubs.ObservationServiceStub(channel)
        answers = stub.SubmitStream(
            iter([opened, *items]), timeout=30, metadata=(("authorization", f"Bearer {PARTNER}"),)
        )
        assert sum([len(answer.rejections) async for answer in answers]) == 2
    assert brief(await told(stage)) == [("viettel", "grpc", "unknown_unit", 2)]


async def test_who_may_report_nothing_writes_nothing(stage: Stage) -> None:
    stranger = token(("partner", "36"), kind="partner", client_id="stranger", scope=SCOPES)
    answer = await submit(stage, [observation(stage.villages[0])], as_=stranger)
    assert [one.reason for one in answer.rejections] == ["not_granted"]
    async with stage.running.tx() as tx:
        assert (await tx.execute(sa.text("SELECT count(*) FROM rejection"))).scalar_one() == 0


@pytest.mark.parametrize("text", ["a\x00b", "\u202e", "x" * 5000, "\n", ""])
async def test_an_id_that_is_nonsense_is_kept_as_plain_text(stage: Stage, text: str) -> None:
    answer = await submit(stage, [observation(text, id=text)])
    assert answer.rejected == 1
    [line] = await told(stage)
    assert all(len(line["examples"][0][name]) <= 64 for name in ("id", "unit"))
    assert all(line["examples"][0][name].isprintable() for name in ("id", "unit"))


async def test_refused_events_are_counted_from_the_dead_letters(stage: Stage) -> None:
    for _ in range(7):
        await letter(stage, "refused: unit_ended")
    await letter(stage, "unreadable: DecodeError: x", unit="")
    await letter(stage, "refused: unit_ended", type="xaso.media.v1.CameraRegistered")
    now = stage.event(pb.Observation(), "now").time
    await letter(stage, "refused: wrong_level", replayed_at=now)
    await letter(stage, "refused: wrong_level", dead_at=now - timedelta(days=31))
    found = await told(stage)
    assert brief(found) == [("fpt", "stream", "unit_ended", 7), ("fpt", "stream", "unreadable", 1)]
    assert len(found[0]["examples"]) == rejections.EXAMPLES
    assert found[0]["examples"][0]["unit"] == "11074-01"
    assert [one["reason"] for one in await told(stage, days="60")] == ["unit_ended", "unreadable", "wrong_level"]
    # A partner's token says who it is over gRPC; the name in an event is only what the event says.
    assert await told(stage, VIETTEL) == []


async def test_more_refused_events_than_are_counted_are_told_as_such(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections, "MOST_LETTERS", 3)
    for _ in range(4):
        await letter(stage, "refused: unit_ended")
    [line] = await told(stage)
    assert (line["count"], line["more"]) == (3, True)
    page = await stage.client.get(f"{QUALITY}?show=rejected", headers={"accept": "text/html", **OFFICER})
    assert "hơn 3" in page.text


async def test_another_province_sees_nothing_of_it(stage: Stage) -> None:
    far = units.Unit("36", "Tỉnh Nam Định", "province", "tinh", "", "36", stage.commune.valid_from)
    await stage.running.enter_units(far)
    await submit(stage, [observation(stage.villages[0], period="x")])
    await letter(stage, "refused: unit_ended")
    assert len(await told(stage)) == 2
    answer = await stage.client.get(ADDRESS, params={"unit": "36"}, headers=bearer(("officer", "36")))
    assert answer.json()["items"] == []
    for headers, status in ((bearer(("officer", "36")), 403), (bearer(("viewer", "30")), 403), ({}, 401)):
        assert (await stage.client.get(ADDRESS, params={"unit": "11074"}, headers=headers)).status_code == status
    assert (await stage.client.get(ADDRESS, headers=OFFICER)).json()["code"] == "unit_missing"
    reader = bearer(("partner", "30"), kind="partner", client_id="reader", scope="indicators.read")
    assert (await stage.client.get(ADDRESS, headers=reader)).status_code == 403


async def test_the_list_goes_on_behind_a_cursor(stage: Stage) -> None:
    for source in ("a", "b", "c"):
        for reason in ("unit_ended", "wrong_level"):
            await letter(stage, f"refused: {reason}", source=source)
    whole, seen, after = brief(await told(stage)), [], ""
    while True:
        params = {"unit": "11074", "limit": "4"} | ({"after": after} if after else {})
        answer = (await stage.client.get(ADDRESS, headers=OFFICER, params=params)).json()
        seen += brief(answer["items"])
        after = answer["next"]
        if not after:
            break
    assert (len(whole), seen) == (6, whole)


async def test_the_quality_page_shows_it_to_staff_only(stage: Stage) -> None:
    await submit(stage, [observation(stage.villages[0], id="h-1", period="x"), observation("00000", id="<b>")])
    public = await stage.client.get(QUALITY, headers={"accept": "text/html"})
    assert "Bị từ chối" not in public.text
    asked = {"show": "rejected"}
    away = await stage.client.get(QUALITY, params=asked, headers={"accept": "text/html"})
    assert away.headers["location"].startswith("/identity/login")
    for page in (QUALITY, f"{QUALITY}.csv"):
        headers = {"accept": "text/html", **bearer(("officer", "30/298/11077"))}
        assert (await stage.client.get(page, params=asked, headers=headers)).status_code == 403
    text = (await stage.client.get(QUALITY, params=asked, headers={"accept": "text/html", **OFFICER})).text
    assert REASONS["period_malformed"][1] in text
    assert "h-1, village.fibre_households, đơn vị 11074-01" in text
    assert "&lt;b&gt;, village.fibre_households, đơn vị 00000" in text
    answer = await stage.client.get(f"{QUALITY}.csv", params=asked, headers=OFFICER)
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row[:3] for row in rows[1:]] == [
        ["viettel", "gửi qua gRPC", "period_malformed"],
        ["viettel", "gửi qua gRPC", "unknown_unit"],
    ]
    english = await stage.client.get(QUALITY, params=asked | {"lang": "en"}, headers={"accept": "text/html", **OFFICER})
    assert "Sent by partners and refused" in english.text


async def test_counts_are_forgotten_when_nobody_can_ask_for_them_any_more(stage: Stage) -> None:
    await submit(stage, [observation("00000")])
    today = units.today()
    async with stage.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), today)
        for days in (rejections.KEPT_DAYS - 1, rejections.KEPT_DAYS):
            await tx.execute(
                sa.text("""
                    INSERT INTO rejection
                    SELECT :day, 'old', reason, province, 1, examples, last_at FROM rejection WHERE source = 'viettel'
                """),
                {"day": today - timedelta(days=days)},
            )
        await tx.execute(sa.text("UPDATE calendar SET day = day - 1"))
    async with stage.running.tx() as tx:
        await commands.follow_calendar(tx, library.catalogue(), today)
        left = await tx.execute(sa.text("SELECT day FROM rejection WHERE source = 'old'"))
        assert list(left.scalars()) == [today - timedelta(days=rejections.KEPT_DAYS - 1)]
