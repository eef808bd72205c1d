"""What media tells of notices to phones becomes rows 1.3, 16.4 and 17 of the smart commune."""

from __future__ import annotations

from datetime import UTC, datetime

from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.media.v1 import events_pb2 as media

from chassis.units import Unit, today
from services.indicators.views.things import thing_href
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.rows import SMART, row
from tests.support.running import bearer

ADMIN = bearer(("admin", "30"))
HTML = {"accept": "text/html"}
YEAR = today().year
YES, NO, UNKNOWN = ("measured", {"flag": True}), ("measured", {"flag": False}), ("no_data", None)


def notice(
    unit: Unit,
    *,
    topic: str = "general",
    received: int = 0,
    status: str = "published",
    year: int = YEAR,
    name: str = "",
) -> media.Notice:
    made = media.Notice(
        id=name or f"notice-{unit.code}-{topic}-{year}",
        unit=unit.code,
        commune=unit.commune,
        topic=topic,
        status=status,
        subscriptions=40,
        received=received,
    )
    # Half past midnight of New Year's day in Việt Nam is still the old year in UTC.
    made.published_at.FromDatetime(datetime(year - 1, 12, 31, 17, 30, tzinfo=UTC))
    return made


async def publish(stage: Stage, told: media.Notice) -> None:
    await stage.tell(stage.event(media.NoticePublished(notice=told), told.id))


async def test_published_is_not_received_and_the_first_phone_turns_the_row(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, below = here
    assert await row(stage, above, "1.3") == UNKNOWN
    await publish(stage, notice(below))
    assert await row(stage, above, "1.3") == NO
    told = notice(below, received=1)
    await stage.tell(stage.event(media.NoticeReceived(notice=told), told.id))
    assert await row(stage, above, "1.3") == YES
    # It was about nothing in particular.
    assert await row(stage, above, "17") == UNKNOWN
    assert await row(stage, above, "16.4") == UNKNOWN
    await stage.tell(stage.event(media.NoticeWithdrawn(notice=notice(below, received=1, status="withdrawn")), told.id))
    assert await row(stage, above, "1.3") == NO


async def test_a_notice_of_the_whole_commune_counts_and_one_of_last_year_does_not(
    stage: Stage, here: tuple[Unit, Unit]
) -> None:
    above, _ = here
    await publish(stage, notice(above, received=9, year=YEAR - 1))
    assert await row(stage, above, "1.3") == NO
    await publish(stage, notice(above, received=1))
    assert await row(stage, above, "1.3") == YES


async def test_guidance_on_climate_counts_for_its_row_too(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await publish(stage, notice(below, topic="climate"))
    assert (await row(stage, above, "17"), await row(stage, above, "1.3")) == (NO, NO)
    await publish(stage, notice(below, topic="climate", received=1))
    assert (await row(stage, above, "17"), await row(stage, above, "1.3")) == (YES, YES)


async def enter(stage: Stage, unit: Unit, measure: str, value: bool) -> None:
    body = {
        "unit": unit.code,
        "measure": measure,
        "value": {"flag": value},
        "period": str(YEAR),
        "evidence": {"document": "12/BC-UBND"},
    }
    answer = await stage.client.post(f"{API}/observations", json=body, headers=ADMIN)
    assert answer.status_code in (200, 201), answer.text


async def test_the_waste_row_asks_for_the_calendar_and_for_the_payment(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await publish(stage, notice(below, topic="waste_calendar", received=3))
    assert await row(stage, above, "16.4") == UNKNOWN, "nobody knows yet whether people pay by app"
    await enter(stage, above, "commune.waste_payment_app", False)
    assert await row(stage, above, "16.4") == NO
    paid = ecommerce.HouseholdPayment(
        household_id="0b1e", unit=below.code, commune=above.code, year=YEAR, paid_online=1, services=["waste"]
    )
    await stage.tell(stage.event(ecommerce.HouseholdPaymentChanged(payment=paid), f"0b1e@{YEAR}"))
    assert await row(stage, above, "16.4") == YES
    await publish(stage, notice(below, topic="waste_calendar", received=3, status="withdrawn"))
    assert await row(stage, above, "16.4") == NO


async def test_what_staff_say_of_another_channel_counts_as_well(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    await publish(stage, notice(below))
    await enter(stage, above, "commune.information_to_phones", True)
    assert await row(stage, above, "1.3") == YES


async def test_the_reason_of_the_waste_row_leads_to_the_notice(stage: Stage, here: tuple[Unit, Unit]) -> None:
    above, below = here
    told = notice(below, topic="waste_calendar", received=1, name="0b1e-notice")
    await publish(stage, told)
    assert thing_href("notice.reach", "media", told.id) == f"/media/notices/{told.id}"
    page, officer = f"/indicators/units/{above.code}/items/16.4", bearer(("officer", above.path))
    answer = await stage.client.get(page, params={"set": SMART, "lang": "vi"}, headers={**HTML, **officer})
    assert answer.status_code == 200, answer.text
    assert "một thông báo đến điện thoại" in answer.text
    assert "có máy đã nhận" in answer.text
    assert told.id in answer.text
    supposed = await stage.client.get(f"/indicators/units/{above.code}/what-if", params={"set": SMART}, headers=HTML)
    assert supposed.status_code == 200, supposed.text
