"""Owns the pictures of the README: made by the product itself, with the story stopped half way.

`make screenshots` runs it; it writes docs/images/dashboard.png (a village's sheet at 1280 px) and docs/images/phone.png
(a resident reads what became of a petition, 360 px wide, drawn at twice the density).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from launcher.addresses import Login
from launcher.platform import Platform, running
from launcher.scenario import Devices, Step, play
from launcher.scenario.talk import visitor
from launcher.scenario.village import VILLAGES
from tests.support.browser import PHONE, ROOT, chromium

IMAGES = ROOT / "docs" / "images"
HALF_WAY = "288.9"
"""The story is stopped at the first step about this criterion: seven are met by then, one is not, one is unknown."""


class _HalfWay(Exception):
    """The story has come as far as the picture wants it."""


def _stop_half_way(step: Step) -> None:
    _say(str(step))
    if step.code == HALF_WAY:
        raise _HalfWay


def _say(text: str) -> None:
    # While a platform runs, sys.stderr is its log.
    sys.__stdout__.write(f"{text}\n")  # type: ignore[union-attr]  # There is a terminal or a pipe.


async def dashboard(browser: Browser, web: str, village: str) -> None:
    """The sheet of the village, as everybody sees it."""
    page = await browser.new_page(viewport={"width": 1280, "height": 1060}, locale="vi-VN")
    await _open(page, f"{web}/indicators/units/{village}")
    await _take(page, "dashboard")


async def phone(browser: Browser, web: str, login: Login) -> None:
    """A resident reads what became of a petition."""
    size: ViewportSize = {"width": PHONE[0], "height": PHONE[1]}
    page = await browser.new_page(viewport=size, device_scale_factor=2, locale="vi-VN")
    await _sign_in(page, web, login, "/petitions/mine")
    case = await page.locator('main a[href^="/petitions/PA-"]').first.get_attribute("href")
    await _open(page, f"{web}{case}")
    await _take(page, "phone")


async def _open(page: Page, address: str) -> None:
    """Open the page, and once more: the second time the fonts are at hand for the first paint."""
    for _ in range(2):
        await page.goto(address, wait_until="load")
    await page.evaluate("() => document.fonts.ready.then(() => true)")


async def _sign_in(page: Page, web: str, login: Login, then: str) -> None:
    await page.goto(f"{web}/identity/login?next={then}")
    await page.get_by_label("Số điện thoại hoặc tên đăng nhập").fill(login["user"])
    await page.get_by_label("Mật khẩu").fill(login["password"])
    await page.get_by_role("button", name="Đăng nhập").click()
    await page.wait_for_url(f"{web}{then}")


async def _take(page: Page, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / f"{name}.png"
    await page.screenshot(path=path, animations="disabled")
    await page.close()
    _say(f"wrote {path.relative_to(ROOT)}")


async def _village(web: str) -> str:
    """The code of the village of the story."""
    async with visitor(web, "anybody") as anybody:
        found = await anybody.all("/identity/api/v1/units", level="village", q=VILLAGES[0])
    return str(found[0]["code"])


async def take(platform: Platform) -> None:
    """Play the story half way for the one picture and to its end for the other."""
    found = await asyncio.to_thread(chromium)
    async with contextlib.AsyncExitStack() as exits:
        with contextlib.suppress(_HalfWay):
            await play(platform.addresses, platform.logins, 0.0, _stop_half_way, Devices(exits))
        web = platform.addresses.web
        village = await _village(web)
        playwright = await exits.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=found.path, args=list(found.args), env=dict(found.env), chromium_sandbox=False
        )
        await dashboard(browser, web, village)
        await play(platform.addresses, platform.logins, 0.0, lambda step: _say(str(step)))
        await phone(browser, web, platform.logins["resident"])
        await browser.close()


async def main() -> None:
    """A platform on an empty directory, for the pictures only."""
    with tempfile.TemporaryDirectory(prefix="xaso-pictures-", ignore_cleanup_errors=True) as data:
        async with running(Path(data), 0, _say) as platform:
            await take(platform)


if __name__ == "__main__":
    asyncio.run(main())
