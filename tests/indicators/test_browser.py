"""The pages in a real browser: a tile changes without reload, nothing scrolls sideways, axe finds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import expect

from chassis.service import origin, web_server
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.test_events import camera, petition, product, speaker
from tests.indicators.test_stream import Served
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import commune, ladder, running, settings_for, token, village
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Served]:
    """A commune of three villages on a real web server, one of them well on its way."""
    settings = settings_for(Settings, database("browser"), sequence_poll_seconds=0.2)
    async with running(service, settings, parts=["tasks"]) as live:
        here = commune()
        names = ("Thôn Nghĩa Dũng", "Thôn Đại Hà", "Thôn Kim Xuyên")
        villages = [village(here, n, name) for n, name in enumerate(names, 1)]
        await live.enter_units(*ladder(), here, *villages)
        server = web_server(origin([live.runner]), "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        served = Served(live, here, villages, address=f"http://127.0.0.1:{port}")
        await arrange(served)
        yield served
        server.should_exit = True
        await serving


async def arrange(stage: Stage) -> None:
    unit = stage.villages[0]
    await stage.tell(
        stage.event(speaker(unit, "ready"), "loa-1"),
        stage.event(camera(unit, "c1", "public_place"), "c1"),
        stage.event(camera(unit, "c2", "main_road"), "c2"),
        stage.event(product(unit, "tea", 1), "tea"),
        stage.event(product(unit, "rice", 0), "rice"),
        stage.event(petition(unit, "p1", None, "filed"), "p1"),
        stage.event(product(stage.villages[1], "other", 0, key=False), "other"),
    )


WIDE_PAGES = (
    "/indicators/?unit=11074",
    "/indicators/units/11074-01",
    "/indicators/units/11074-01/items/288.4",
)
"""Those whose layout differs most on a desk; the others are looked at on a phone alone."""
PAGES = (
    "/indicators/?unit=11074",
    "/indicators/?unit=298",
    "/indicators/units/11074-01",
    "/indicators/units/11074-02?show=missing",
    "/indicators/units?q=thon",
    "/indicators/sets/hd-288-2023",
    "/indicators/units/11074-01/items/288.4",
    "/indicators/units/11074/items/288.4",
    "/indicators/units/11074-01/entry?measure=village.fibre_households",
    "/indicators/units/11074-01/entry?measure=village.digital_dialogue",
)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_pages_are_accessible_and_fit_the_screen(
    stage: Served, open_page: OpenPage, size: tuple[int, int]
) -> None:
    await eventually(lambda: rolled_up(stage))
    page = await open_page(size)
    cookie = {"name": "xaso_session", "value": token(("officer", stage.commune.path)), "url": stage.address}
    await page.context.add_cookies([cookie])
    for path in PAGES if size == PHONE else WIDE_PAGES:
        await page.goto(stage.address + path)
        name = path.removeprefix("/indicators/").replace("/", "_").replace("?", "_") or "start"
        await screenshot(page, f"indicators-{size[0]}-{name}")
        assert await axe(page) == [], path
        await assert_no_sideways_scroll(page)
        assert page_errors(page) == [], path


async def rolled_up(stage: Served) -> bool:
    return (await stage.item("298", "288.2"))["value"] == {"numerator": 1, "denominator": 3}


async def test_a_tile_turns_green_without_a_reload(stage: Served, open_page: OpenPage) -> None:
    unit = stage.villages[2]
    page = await open_page(DESK)
    await page.goto(f"{stage.address}/indicators/units/{unit.code}")
    row = page.locator('[data-live-key="288.2"]')
    await expect(row).to_contain_text("chưa có số liệu")
    await page.evaluate("window.stayed = true")
    await stage.tell(stage.event(speaker(unit, "ready", id="loa-9"), "loa-9"))
    await expect(row).to_contain_text("đạt")
    await expect(page.locator(".answer")).to_contain_text("đạt 1/9 chỉ tiêu")
    await expect(page.locator("[data-live-status]")).to_contain_text("vì trạng thái loa truyền thanh")
    assert await page.evaluate("window.stayed") is True


async def test_the_sheet_reads_without_javascript(stage: Served, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    await page.goto(f"{stage.address}/indicators/units/{stage.villages[0].code}")
    await expect(page.locator(".answer")).to_contain_text("Thôn Nghĩa Dũng đạt 2/9 chỉ tiêu.")
    await expect(page.locator(".criteria > li")).to_have_count(9)
