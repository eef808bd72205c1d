"""The pages in a real browser: a tile changes without reload, nothing scrolls sideways, axe finds nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import expect

from chassis.service import origin
from services.indicators.app import service
from services.indicators.settings import Settings
from services.indicators.sources import rejections
from services.indicators.sources.intake import Observed, Rejection
from tests.indicators.conftest import Stage
from tests.indicators.test_events import camera, petition, product, speaker
from tests.indicators.test_stream import Served
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import commune, ladder, running, serving, settings_for, token, village
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
        async with serving(origin([live.runner])) as address:
            served = Served(live, here, villages, address=address)
            await arrange(served)
            yield served


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
    sent = [
        Observed(f"HD-2026-11-{n:05d}-cap-quang-{unit.code}", unit.code, None, None, "village.fibre_households")
        for n in range(9)
    ]
    async with stage.running.tx() as tx:
        for source, reason in (("viettel", "unit_ended"), ("vnpt-hai-duong", "numerator_above_denominator")):
            await rejections.note(tx, source, sent, [Rejection(one.id, reason, n) for n, one in enumerate(sent)])


WIDE_PAGES = (
    "/indicators/?unit=11074",
    "/indicators/?unit=30&level=commune&set=hd-1414-ntm-8",
    "/indicators/units/11074?set=hd-1414-ntm-advanced-8",
    "/indicators/sets/mard-2023-eligible-smart",
    "/indicators/units/298/quality",
    "/indicators/units/11074/quality?show=rejected",
    "/indicators/units/11074?set=mard-2023-smart-commune",
    "/indicators/units/11074-01",
    "/indicators/units/11074-01/items/288.4",
)
"""Those whose layout differs most on a desk; the others are looked at on a phone alone."""
PAGES = (
    "/indicators/?unit=11074",
    "/indicators/?unit=298",
    "/indicators/?unit=30&level=commune&set=hd-1414-ntm-8",
    "/indicators/?unit=298&level=village&item=288.5&status=met",
    "/indicators/units/11074?set=hd-1414-ntm-advanced-8",
    "/indicators/units/11074?set=mard-2023-smart-commune",
    "/indicators/sets",
    "/indicators/sets/mard-2023-eligible-smart",
    "/indicators/sets/tuky-2025",
    "/indicators/units/298/quality",
    "/indicators/units/298/quality?show=old",
    "/indicators/units/11074/quality?show=rejected",
    "/indicators/units/11074-01/what-if?more:village.key_products_online=1",
    "/indicators/units/11074/what-if?set=mard-2023-eligible-smart",
    "/indicators/units/298/quality?show=suspended&set=hd-1414-ntm-advanced-8",
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


async def counted(stage: Served) -> bool:
    return bool((await stage.sheet("30"))["total"] == 3)


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


async def test_one_drills_down_from_the_province_to_the_fact_without_javascript(
    stage: Served, open_page: OpenPage
) -> None:
    await eventually(lambda: counted(stage))
    page = await open_page(PHONE, javascript=False)
    await page.goto(f"{stage.address}/indicators/?unit=30")
    await page.locator("main table").get_by_role("link", name="Huyện Tứ Kỳ", exact=True).click()
    await page.locator("a.tile", has_text="Đại Sơn").click()
    await expect(page.locator("h1")).to_have_text("Xã Đại Sơn")
    await page.locator("a.tile", has_text="Nghĩa Dũng").click()
    await expect(page.locator("h1")).to_have_text("Thôn Nghĩa Dũng")
    await page.locator('[data-live-key="288.2"]').get_by_role("link", name="Vì sao?").click()
    await expect(page.locator("h1")).to_contain_text("Có hệ thống truyền thanh thông minh")


async def test_the_table_is_filtered_and_the_set_switched_without_javascript(
    stage: Served, open_page: OpenPage
) -> None:
    await eventually(lambda: counted(stage))
    page = await open_page(PHONE, javascript=False)
    await page.goto(f"{stage.address}/indicators/?unit=298")
    await page.get_by_label("Liệt kê").select_option("village")
    await page.get_by_label("Xét", exact=True).select_option("288.4")
    await page.get_by_label("Kết quả").select_option("met")
    await page.get_by_role("button", name="Áp dụng").click()
    await expect(page.locator(".table--matrix tbody th")).to_have_text(["Thôn Nghĩa Dũng"])
    await page.locator(".switch > summary").click()
    await (
        page.locator(".switch")
        .get_by_role("link", name="Tiêu chí 8 Thông tin và Truyền thông, xã NTM (Hải Dương)")
        .click()
    )
    await expect(page.locator(".answer")).to_contain_text("Huyện Tứ Kỳ có 0/1 xã đạt")
    await page.locator("a.tile", has_text="Đại Sơn").click()
    await expect(page.locator(".answer")).to_contain_text("Xã Đại Sơn đạt 0/4 chỉ tiêu")


async def test_a_tile_of_the_map_turns_without_a_reload_and_nothing_moves(stage: Served, open_page: OpenPage) -> None:
    unit = stage.villages[1]
    page = await open_page(DESK)
    await page.goto(f"{stage.address}/indicators/?unit=11074")
    tile = page.locator("a.tile", has_text="Đại Hà")
    await expect(tile).to_contain_text("0/9")
    before = await tile.bounding_box()
    await page.evaluate("window.stayed = true")
    await stage.tell(stage.event(speaker(unit, "ready", id="loa-22"), "loa-22"))
    await expect(tile).to_contain_text("1/9")
    assert await page.evaluate("window.stayed") is True
    # The glow of what was swapped is over before the place is measured.
    await expect(page.locator(".is-fresh")).to_have_count(0)
    assert await tile.bounding_box() == before


async def test_the_map_and_the_switch_are_walked_by_keyboard(stage: Served, open_page: OpenPage) -> None:
    page = await open_page(DESK)
    await page.goto(f"{stage.address}/indicators/?unit=11074")
    await page.locator(".switch > summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.locator(".switch__list a").first).to_be_focused()
    await page.locator("a.tile").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Thôn Nghĩa Dũng")


async def test_the_pages_read_in_english_in_a_browser(stage: Served, open_page: OpenPage) -> None:
    page = await open_page(DESK)
    await page.goto(f"{stage.address}/indicators/?unit=11074&lang=en")
    await expect(page.locator("h2", has_text="Map of 3 villages")).to_be_visible()
    await page.goto(f"{stage.address}/indicators/sets/mard-2023-eligible-smart")
    await expect(page.locator("#row-c5")).to_contain_text("at least 50% of the")
    await page.goto(f"{stage.address}/indicators/units/11074/quality")
    await expect(page.locator("h1")).to_have_text("Quality of the figures: Xã Đại Sơn")
