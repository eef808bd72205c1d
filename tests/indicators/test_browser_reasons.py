"""Why, history and settling in a real browser: they fit the screen, axe finds nothing, and no JavaScript is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from playwright.async_api import expect

from services.indicators.criteria.figures import Ratio
from tests.indicators.inquiring import of_entity, record, said
from tests.indicators.test_browser import stage as stage
from tests.indicators.test_carrying import SUBSCRIBERS, as_event, before_turn, enter, new, old, succeeded
from tests.indicators.test_stream import Served
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import token

PAGES = {
    "why-composed": "/indicators/units/11074-01/items/288.4?set=hd-288-2023",
    "why-counted": "/indicators/units/11074-01/items/288.5?set=hd-288-2023",
    "why-children": "/indicators/units/11074/items/8.2?set=hd-1414-ntm-8",
    "why-suspended": "/indicators/units/11074/items/8.4?set=hd-1414-ntm-advanced-8",
    "why-item": "/indicators/units/11074/items/c1?set=mard-2023-eligible-smart",
    "history": "/indicators/units/11074-01/items/288.5/history?set=hd-288-2023",
    "former-commune": "/indicators/units/12901?set=hd-1414-ntm-8&as_of=2025-06-30",
    "past-district": "/indicators/units/298?set=hd-288-2023&as_of=2025-06-30",
    "past-why": "/indicators/units/12901/items/8.2?set=hd-1414-ntm-8&as_of=2025-06-30",
    "past-why-above": "/indicators/units/298/items/288.5?set=hd-288-2023&as_of=2026-01-15",
}
STAFF_PAGES = {
    "entry": "/indicators/units/11074/entry",
    "entry-of-a-set": "/indicators/units/11074/entry?set=mard-2023-smart-commune",
    "entry-nothing": "/indicators/units/11074/entry?q=khong+co",
    "settlements-ended": "/indicators/settlements?unit=12904",
    "settlements": "/indicators/settlements?unit=12903",
}


@pytest.fixture(scope="module")
async def told(stage: Served) -> Served:
    """Figures with a past, sources that disagree, and a merged commune with open questions."""
    unit = stage.villages[0]
    for numerator in (120, 150, 180):
        await record(stage, said(unit, "village.fibre_households", Ratio(numerator, 240), at=datetime.now(UTC)))
    await record(
        stage,
        said(unit, "village.fixed_telephone", True),
        said(stage.commune, "commune.telecom_standard", True),
        said(unit, "village.households", 240, origin="staff", source="staff.11074"),
        *(of_entity(unit, "household.fibre", f"H-{n:04}", n % 5 > 0, source="dien-luc") for n in range(40)),
    )
    a, b, heir = old("Xã Cũ Một", "12901"), old("Xã Cũ Hai", "12902"), new("Xã Mới", "12903")
    await enter(stage, a, b)
    await record(
        stage,
        said(a, SUBSCRIBERS, Ratio(80, 100), at=before_turn()),
        said(a, "commune.telecom_standard", True, at=before_turn()),
        said(b, "commune.telecom_standard", True, at=before_turn()),
    )
    await stage.tell(*(as_event(stage, e) for e in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    # One that came of a reorganisation and has gone into another since.
    c, d, short = old("Xã Cũ Ba", "12906"), old("Xã Cũ Tư", "12907"), new("Xã Chỉ Một Năm", "12904")
    short = replace(short, valid_to=date(2026, 6, 1))
    await enter(stage, c, d)
    await record(stage, said(c, "commune.telecom_standard", True, at=before_turn()))
    after = replace(new("Xã Hôm Nay", "12905"), valid_from=date(2026, 6, 1))
    again = succeeded([(short, after, "1/1")])
    again[0].effective_on = "2026-06-01"
    await stage.tell(*(as_event(stage, e) for e in (*succeeded([(c, short, "1/1"), (d, short, "1/1")]), *again)))
    return stage


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("signed_in", [True, False], ids=["staff", "resident"])
async def test_pages_are_accessible_and_fit_the_screen(
    told: Served, open_page: OpenPage, size: tuple[int, int], signed_in: bool
) -> None:
    page = await open_page(size)
    pages = dict(PAGES)
    if signed_in:
        cookie = {"name": "xaso_session", "value": token(("officer", "30")), "url": told.address}
        await page.context.add_cookies([cookie])
        pages |= STAFF_PAGES
    for name, path in pages.items():
        await page.goto(told.address + path)
        if name.startswith("settlements"):
            await screenshot(page, f"indicators-{size[0]}-{name}")
            await page.locator("tbody a").first.click()
            await expect(page.locator("form[data-form]")).to_be_visible()
            name = name.replace("settlements", "settlement")
        await screenshot(page, f"indicators-{size[0]}-{name}-{'staff' if signed_in else 'resident'}")
        assert await axe(page) == [], path
        await assert_no_sideways_scroll(page)
        assert page_errors(page) == [], path


async def test_a_figure_to_enter_is_found_without_javascript(told: Served, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    cookie = {"name": "xaso_session", "value": token(("officer", "30")), "url": told.address}
    await page.context.add_cookies([cookie])
    await page.goto(told.address + STAFF_PAGES["entry"])
    await expect(page.locator(".switch[open]")).to_have_count(0)
    await page.get_by_label("Tên số liệu, gõ không dấu cũng được").fill("thue bao dien thoai thong minh")
    await page.get_by_role("button", name="Lọc").click()
    await page.locator(".switch[open]").first.get_by_role("link").first.click()
    await expect(page.get_by_label("Số văn bản hoặc tên tài liệu chứng minh")).to_be_visible()


async def test_the_reasons_open_without_javascript(told: Served, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    cookie = {"name": "xaso_session", "value": token(("officer", "30")), "url": told.address}
    await page.context.add_cookies([cookie])
    await page.goto(told.address + PAGES["why-counted"])
    await expect(page.get_by_text("được tính, vì nguồn này được tin trước")).to_be_visible()
    source = page.locator("ul.reasons > li > details", has_text="Đếm từng đối tượng").last
    inside = source.locator("ul.reasons").first
    await expect(inside).to_be_hidden()
    await source.locator("summary").first.click()
    await expect(inside).to_be_visible()
    await expect(page.get_by_text("Ít nhất cần gì để đạt")).to_be_visible()
    await page.goto(told.address + PAGES["history"])
    await expect(page.locator(".course svg")).to_be_visible()
    await expect(page.get_by_text("Nét đứt là mức yêu cầu.")).to_be_visible()
