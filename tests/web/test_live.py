"""A live page: parts change in place, nothing jumps, a cut stream is admitted, and the page comes back by itself."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.support.browser import PHONE, OpenPage, assert_no_layout_shift, axe, page_errors
from tests.web.conftest import Kitchen
from tests.web.kitchen import page as render

CHANGE = 'id: 7\nevent: change\ndata: {"because": "viễn thông báo thêm 12 hộ"}\n\n'


def sheet(percent: float, *, words: str = "vừa xong") -> str:
    met = percent > 80
    return render(
        "live.html",
        fibre="met" if met else "unmet",
        percent=percent,
        answer=f"Thôn Nghĩa Dũng đạt {'9/9' if met else '8/9'} chỉ tiêu.",
        words=words,
        csrf_token=words,
    )


async def opened(open_page: OpenPage, kitchen: Kitchen) -> Page:
    kitchen.pages["/live"] = sheet(75.2)
    page = await open_page(PHONE)
    await page.goto(kitchen.url("/live"))
    await expect(page.locator("[data-live-status]")).to_have_attribute("data-state", "live")
    return page


async def test_a_change_replaces_only_what_changed(open_page: OpenPage, kitchen: Kitchen) -> None:
    page = await opened(open_page, kitchen)
    await page.get_by_text("Vì sao").click()
    await page.locator("#phones").focus()
    await page.evaluate("window.kept = document.querySelector('[data-live-key=phones]')")
    kitchen.pages["/live"] = sheet(86.4, words="3 phút trước")
    kitchen.stream.put(CHANGE)
    await expect(page.locator("[data-live-key=answer]")).to_have_text("Thôn Nghĩa Dũng đạt 9/9 chỉ tiêu.")
    await expect(page.locator("[data-live-key=fibre] .status")).to_have_text("đạt")
    await expect(page.locator("[data-live-status]")).to_contain_text("vì viễn thông báo thêm 12 hộ")
    assert await page.locator("[data-live-key=fibre] details").get_attribute("open") is not None
    # The third part differs only by its relative time and its token: it is the very same element, still focused.
    assert await page.evaluate("window.kept === document.querySelector('[data-live-key=phones]')")
    assert await page.evaluate("document.activeElement.id") == "phones"
    assert await axe(page) == []
    await assert_no_layout_shift(page)
    await expect(page.locator(".is-fresh")).to_have_count(0)
    assert page_errors(page) == []


async def test_the_focus_stays_inside_a_part_that_is_replaced(open_page: OpenPage, kitchen: Kitchen) -> None:
    page = await opened(open_page, kitchen)
    await page.locator("[data-live-key=fibre] summary").focus()
    kitchen.pages["/live"] = sheet(86.4)
    kitchen.stream.put(CHANGE)
    await expect(page.locator("[data-live-key=fibre] .status")).to_have_text("đạt")
    assert await page.evaluate("document.activeElement.matches('[data-live-key=fibre] summary')")


async def test_a_cut_stream_is_said_and_mended(open_page: OpenPage, kitchen: Kitchen) -> None:
    page = await opened(open_page, kitchen)
    note = page.locator("[data-live-status]")
    kitchen.streaming = False
    kitchen.stream.put(None)
    await expect(note).to_contain_text("Mất kết nối, số liệu lúc 14:05:00")
    await expect(note).to_have_attribute("data-state", "cut")
    assert await axe(page) == []
    kitchen.pages["/live"] = sheet(86.4)
    kitchen.streaming = True
    # Nobody sends an event: what was missed is fetched because the stream is back.
    await expect(note).to_have_attribute("data-state", "live", timeout=15_000)
    await expect(page.locator("[data-live-key=answer]")).to_have_text("Thôn Nghĩa Dũng đạt 9/9 chỉ tiêu.")


async def test_a_page_that_cannot_be_fetched_keeps_its_figures(open_page: OpenPage, kitchen: Kitchen) -> None:
    page = await opened(open_page, kitchen)
    before = kitchen.pages.pop("/live")
    kitchen.stream.put(CHANGE)
    await expect(page.locator("[data-live-status]")).to_have_attribute("data-state", "cut")
    await expect(page.locator("[data-live-key=answer]")).to_have_text("Thôn Nghĩa Dũng đạt 8/9 chỉ tiêu.")
    kitchen.pages["/live"] = before
    await expect(page.locator("[data-live-status]")).to_have_attribute("data-state", "live", timeout=15_000)


async def test_a_burst_of_changes_is_fetched_a_few_times_only(open_page: OpenPage, kitchen: Kitchen) -> None:
    page = await opened(open_page, kitchen)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if request.url.endswith("/live") else None)
    for _ in range(200):
        kitchen.stream.put(CHANGE)
    kitchen.pages["/live"] = sheet(86.4)
    kitchen.stream.put(CHANGE)
    await expect(page.locator("[data-live-key=answer]")).to_have_text("Thôn Nghĩa Dũng đạt 9/9 chỉ tiêu.")
    assert 1 <= len(fetched) < 20


async def test_without_motion_nothing_glows_for_long(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/live"] = sheet(75.2)
    page = await open_page(PHONE, reduced_motion="reduce")
    await page.goto(kitchen.url("/live"))
    await page.evaluate("document.querySelector('[data-live-key=fibre]').classList.add('is-fresh')")
    glow = await page.evaluate("getComputedStyle(document.querySelector('.is-fresh')).animationDuration")
    assert float(glow.removesuffix("s")) < 0.01
