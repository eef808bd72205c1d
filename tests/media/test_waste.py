"""The waste calendar: rules of a village, what residents read, and the reminder on the evening before."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from xaso.media.v1 import events_pb2 as events

from chassis.db import audit_table
from chassis.units import VIETNAM
from services.media.notices import reminding
from services.media.notices.model import Waste, WasteRule, next_collection
from tests.media.conftest import COMMUNE, FOREIGN_OFFICER, HEAD, NGHIA_DUNG, QUAY, RESIDENT, Media
from tests.media.phones import Phone
from tests.support.running import village

TUESDAY = date(2026, 11, 24)
EVENING = datetime(2026, 11, 23, 18, 0, tzinfo=VIETNAM)


async def rule(media: Media, **more: Any) -> dict[str, Any]:
    body = {"unit": NGHIA_DUNG.code, "kind": "household", "weekdays": [2, 5], "at": "06:00", **more}
    answer = await media.post("/waste-rules", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def remind(media: Media, at: datetime) -> int:
    async with media.running.tx() as tx:
        return await reminding.remind(tx, at)


async def reminders(media: Media, unit: str, day: date) -> list[Any]:
    async with media.running.tx() as tx:
        query = sa.text("SELECT id, title, text, expires_at FROM notice WHERE unit = :u AND collection_on = :d")
        return list((await tx.execute(query, {"u": unit, "d": day})).all())


def made(weekdays: list[int], month_days: list[int]) -> WasteRule:
    return WasteRule(kind=Waste.HOUSEHOLD.value, weekdays=weekdays, month_days=month_days, at=time(6, 30))


def test_the_next_collection_is_after_today_and_skips_months_without_the_day() -> None:
    assert next_collection([made([2], [])], TUESDAY) == date(2026, 12, 1)
    assert next_collection([made([2], []), made([], [25])], TUESDAY) == date(2026, 11, 25)
    assert next_collection([made([], [31])], date(2026, 1, 31)) == date(2026, 3, 31)
    assert next_collection([], TUESDAY) is None


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (EVENING, TUESDAY),
        (EVENING.replace(hour=17, minute=59), None),
        (EVENING.replace(hour=23, minute=59), TUESDAY),
        (datetime(2026, 11, 24, 0, 0, tzinfo=VIETNAM), None),
    ],
)
def test_people_are_reminded_in_the_evening_by_the_clock_of_viet_nam(at: datetime, day: date | None) -> None:
    assert reminding.day_ahead(at) == day


async def test_a_village_with_phones_is_reminded_once_of_all_that_is_collected(media: Media) -> None:
    await rule(media)
    await rule(media, kind="recyclable", weekdays=[], month_days=[24], at="14:30")
    await rule(media, unit=QUAY.code)
    assert await remind(media, EVENING) == 0, "nobody asked for it"
    phone = {"unit": NGHIA_DUNG.code, "topics": ["waste_calendar"], **Phone().described}
    assert (await media.post("/subscriptions", phone, by={})).status_code == 201
    done = await asyncio.gather(*(remind(media, EVENING) for _ in range(3)))
    assert sorted(done) == [0, 0, 1]
    assert await remind(media, EVENING.replace(hour=22)) == 0
    (found,) = await reminders(media, NGHIA_DUNG.code, TUESDAY)
    assert found.title == "Ngày mai thu gom rác sinh hoạt, rác tái chế"
    assert found.text == "Thứ Ba 24/11/2026, từ 06:00: rác sinh hoạt; từ 14:30: rác tái chế."
    assert found.expires_at == datetime(2026, 11, 24, 14, 30, tzinfo=VIETNAM)
    assert await reminders(media, QUAY.code, TUESDAY) == []
    (event,) = await media.events(str(found.id))
    assert isinstance(event, events.NoticePublished)
    assert (event.notice.topic, event.notice.unit) == ("waste_calendar", NGHIA_DUNG.code)
    assert event.notice.subscriptions == 1
    # The calendar stands on the page, its reminders are no news of the village.
    page = await media.client.get("/media/notices", params={"unit": NGHIA_DUNG.code}, headers={"accept": "text/html"})
    assert "Ngày mai thu gom" not in page.text
    assert "Thứ Ba, Thứ Sáu từ 06:00" in page.text
    assert "ngày 24 hằng tháng từ 14:30" in page.text
    assert "Lần thu gom rác tới:" in page.text


async def test_a_rule_that_ended_reminds_of_nothing(media: Media) -> None:
    entered = await rule(media, unit=QUAY.code, weekdays=[3])
    phone = {"unit": QUAY.code, **Phone().described}
    assert (await media.post("/subscriptions", phone, by={})).status_code == 201
    for by in (FOREIGN_OFFICER, HEAD, RESIDENT):
        assert (await media.post(f"/waste-rules/{entered['id']}/end", by=by)).status_code == 404
    for _ in range(2):
        assert (await media.post(f"/waste-rules/{entered['id']}/end")).status_code == 200
    async with media.running.tx() as tx:
        done = sa.select(audit_table.c.action).where(audit_table.c.target == entered["id"]).order_by(audit_table.c.id)
        assert list(await tx.scalars(done)) == ["waste_rule.entered", "waste_rule.ended"]
    assert entered["id"] not in {r["id"] for r in (await media.get("/waste-rules", unit=QUAY.code)).json()["items"]}
    assert await remind(media, datetime(2026, 11, 24, 19, tzinfo=VIETNAM)) == 0
    assert await reminders(media, QUAY.code, date(2026, 11, 25)) == []


async def test_the_calendar_of_a_village_that_ended_reminds_nobody(media: Media) -> None:
    old = village(COMMUNE, 8, "Thôn Cũ")
    await media.running.enter_units(old)
    await rule(media, unit=old.code, weekdays=[4])
    phone = {"unit": old.code, **Phone().described}
    assert (await media.post("/subscriptions", phone, by={})).status_code == 201
    day, evening = date(2026, 11, 26), datetime(2026, 11, 25, 18, tzinfo=VIETNAM)
    await media.running.enter_units(replace(old, valid_to=day))
    assert await remind(media, evening) == 0
    await media.running.enter_units(replace(old, valid_to=day + timedelta(days=1)))
    assert await remind(media, evening) == 1


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"weekdays": []}, 422),
        ({"month_days": [1]}, 422),
        ({"weekdays": [8]}, 422),
        ({"weekdays": [], "month_days": [32]}, 422),
        ({"at": "25:00"}, 422),
        ({"at": "٠٦:٠٠"}, 422),
        ({"kind": "gold"}, 422),
        ({"unit": "11074"}, 422),
        ({"unit": "nowhere"}, 404),
    ],
)
async def test_bad_rules_are_refused(media: Media, changed: dict[str, Any], status: int) -> None:
    body = {"unit": NGHIA_DUNG.code, "kind": "household", "weekdays": [1], "at": "06:00", **changed}
    answer = await media.post("/waste-rules", body)
    assert answer.status_code == status, answer.text


async def test_who_may_not_write_the_calendar_writes_nothing(media: Media) -> None:
    body = {"unit": NGHIA_DUNG.code, "kind": "bulky", "weekdays": [1], "at": "06:00"}
    for by in (FOREIGN_OFFICER, HEAD, RESIDENT):
        assert (await media.post("/waste-rules", body, by=by)).status_code == 403
    listed = (await media.get("/waste-rules", unit=NGHIA_DUNG.code)).json()["items"]
    assert "bulky" not in {r["kind"] for r in listed}
