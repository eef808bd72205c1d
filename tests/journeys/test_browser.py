"""Journeys in a real browser on a running platform: people do things, and a page that is open elsewhere shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from launcher.addresses import Login
from launcher.scenario.pictures import petition_photo
from tests.journeys.site import PAGES, Site
from tests.support.browser import (
    DESK,
    PHONE,
    OpenPage,
    assert_no_layout_shift,
    assert_no_sideways_scroll,
    axe,
    keyboard_walk,
    page_errors,
    screenshot,
)

PATIENCE_MS = 60_000
IN_SIGHT = """(entries) => entries.every((entry) => {
    const [its, seen] = [entry.getBoundingClientRect(), entry.closest("ul").getBoundingClientRect()];
    return its.left >= seen.left - 1 && its.right <= seen.right + 1;
})"""
"""Whether the entry of the rail that is open can be seen without scrolling the rail."""


async def sign_in(page: Page, site: Site, login: Login, then: str) -> None:
    """Through the sign-in page, as people do, and on to `then`."""
    await page.goto(f"{site.web}/identity/login?next={then}")
    await page.get_by_label("Số điện thoại hoặc tên đăng nhập").fill(login["user"])
    await page.get_by_label("Mật khẩu").fill(login["password"])
    await page.get_by_role("button", name="Đăng nhập").click()
    await page.wait_for_url(f"{site.web}{then}")


async def look(page: Page, name: str, size: tuple[int, int], *, still: bool = True) -> None:
    """No finding, nothing sideways, no error, and, if it should keep `still`, nothing that jumps by itself."""
    if "XASO_SCREENSHOTS" in os.environ:
        await screenshot(page, f"{name}-{size[0]}")
    assert await axe(page) == [], name
    await assert_no_sideways_scroll(page)
    if still:
        await assert_no_layout_shift(page)
    assert [error for error in page_errors(page) if "404" not in error] == [], name


async def test_an_answered_petition_changes_an_open_dashboard(site: Site, open_page: OpenPage, tmp_path: Path) -> None:
    village = site.villages[1]
    dashboard = await open_page(DESK)
    await dashboard.goto(f"{site.web}/indicators/units/{village}")
    tile = dashboard.locator('li[data-live-key="288.1"]')
    ring = dashboard.locator('[data-live-key="ring"]')
    await expect(tile).to_contain_text("chưa có số liệu")
    await expect(ring).to_contain_text("0/9")
    # A reload would lose this mark.
    await dashboard.evaluate("() => { window.openedOnce = true; }")

    phone = await open_page(PHONE)
    await sign_in(phone, site, site.logins["resident"], "/petitions/report")
    photo = tmp_path / "anh.jpg"
    photo.write_bytes(petition_photo())
    await assert_no_layout_shift(phone)
    await phone.set_input_files("#f-photos", photo)
    await expect(phone.locator("img.field__photo")).to_be_visible()
    await phone.select_option("#f-village", village)
    await phone.fill("#f-description", "Nắp cống giữa ngõ bị vỡ, trẻ em đi học dễ ngã.")
    # The chosen photo took its place above the sentence, as was asked of it.
    await look(phone, "journey-report", PHONE, still=False)
    await phone.get_by_role("button", name="Gửi", exact=True).click()
    code = await phone.locator(".code-large").inner_text()
    await look(phone, "journey-sent", PHONE)
    await expect(tile).to_contain_text("chưa đạt", timeout=PATIENCE_MS)

    desk = await open_page(DESK)
    await sign_in(desk, site, site.logins["officer"], "/petitions/inbox")
    await desk.get_by_role("link", name="Nắp cống giữa ngõ").click()
    await expect(desk.locator("#case h2")).to_contain_text(code)
    await expect(desk.locator("#case img").first).to_be_visible()
    await look(desk, "journey-inbox", DESK)
    await desk.select_option("#f-to", "d:dia_chinh")
    await desk.get_by_role("button", name="Phân công").click()
    await expect(desk.locator(".flash")).to_contain_text("Đã phân công")
    await desk.fill("#f-text", "Xã đã thay nắp cống sáng nay.")
    await look(desk, "journey-reply", DESK)
    await desk.get_by_role("button", name="Gửi trả lời").click()
    await expect(desk.locator(".flash")).to_contain_text("Đã gửi trả lời")

    await expect(tile.locator(".status")).to_have_text("đạt", timeout=PATIENCE_MS)
    await expect(tile).to_contain_text("vì một phản ánh của người dân")
    await expect(ring).to_contain_text("1/9")
    await expect(dashboard.locator(".chips")).to_contain_text("Còn thiếu 8")
    assert await dashboard.evaluate("() => window.openedOnce") is True
    await look(dashboard, "journey-dashboard", DESK)

    await phone.goto(f"{site.web}/petitions/{code}")
    await expect(phone.locator("main")).to_contain_text("Xã đã thay nắp cống sáng nay.")
    await look(phone, "journey-answered", PHONE)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("who", PAGES)
async def test_every_page_fits_and_has_no_finding(
    site: Site, open_page: OpenPage, who: str, size: tuple[int, int]
) -> None:
    page = await open_page(size)
    if (login := site.login(who)) is not None:
        await sign_in(page, site, login, "/identity/account")
    for name, path in site.pages[who]:
        answer = await page.goto(site.web + path)
        assert answer is not None
        assert answer.status == (404 if name == "not-found" else 200), name
        await look(page, name, size)
        assert await page.locator(".rail [aria-current]").evaluate_all(IN_SIGHT), name
        assert await keyboard_walk(page) == [], name
