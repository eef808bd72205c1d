"""The pages of imports and entries in a real browser: on a phone, without JavaScript, with nothing for axe to find."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import text

from chassis.service import origin
from services.indicators.app import forget_files, service
from services.indicators.criteria import library
from services.indicators.interchange import backlog, importing, previewing, underway
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.files import FIBRE, heading, workbook
from tests.indicators.test_events import product
from tests.indicators.test_evidence import picture
from tests.indicators.test_stream import Served
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import commune, ladder, running, serving, settings_for, token, village

HEAD = heading("unit", "name", f"{FIBRE}:numerator", f"{FIBRE}:denominator", "document")
START = "/indicators/units/11074/imports?set=hd-288-2023&level=village"


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Served]:
    settings = settings_for(Settings, database("import_pages"))
    async with running(service, settings) as live:
        here = commune()
        villages = [village(here, n, name) for n, name in enumerate(("Thôn Nghĩa Dũng", "Thôn Đại Hà"), 1)]
        await live.enter_units(*ladder(), here, *villages)
        async with serving(origin([live.runner])) as address:
            yield Served(live, here, villages, address=address)


async def officer(stage: Served, page: Page) -> None:
    value = token(("officer", stage.commune.path), subject="officer-7")
    await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": stage.address}])


async def looked_at(page: Page, name: str) -> None:
    """Nothing for axe, nothing sideways, no errors but the status a refused form was answered with."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    await screenshot(page, f"indicators-{width}-{name}")
    assert await axe(page) == [], name
    await assert_no_sideways_scroll(page)
    assert [e for e in page_errors(page) if "status of 4" not in e] == [], name


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_file_goes_all_the_way_on_every_screen(
    stage: Served, open_page: OpenPage, size: tuple[int, int]
) -> None:
    page = await open_page(size)
    await officer(stage, page)
    await page.goto(stage.address + START)
    await looked_at(page, "imports-empty" if size == PHONE else "imports")
    await page.get_by_label("Tệp số liệu").set_input_files(
        {"name": "bao-cao.xlsx", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    )
    await page.get_by_role("button", name="Gửi và xem trước").click()
    await expect(page.get_by_role("alert")).to_contain_text("không phải bảng tính")
    await looked_at(page, "imports-refused")
    rows = [["11074-01", "Thôn Nghĩa Dũng", 81, 100, "Biên bản 12"], ["11074-02", "Thôn Đại Hà", 120, 100, "BB 12"]]
    await page.get_by_label("Tệp số liệu").set_input_files(
        {"name": "bao-cao.xlsx", "mimeType": "application/zip", "buffer": workbook([HEAD, *rows])}
    )
    await page.get_by_role("button", name="Gửi và xem trước").click()
    await expect(page.locator(".answer")).to_contain_text("1 số liệu dùng được và 1 chỗ cần sửa")
    await looked_at(page, "import-preview")
    await page.get_by_role("button", name="Ghi số liệu").click()
    await expect(page.get_by_role("alert")).to_contain_text("Tệp còn 1 chỗ sai nên không ghi gì")
    await looked_at(page, "import-faulty")
    await page.get_by_label("Chỉ ghi 1 số liệu đúng").check()
    await page.get_by_role("button", name="Ghi số liệu").click()
    await expect(page.locator(".answer")).to_contain_text("Đã ghi 1 số liệu")
    await looked_at(page, "import-applied")
    await page.get_by_role("link", name="Hoàn tác lần nhập này").click()
    await looked_at(page, "import-undo")
    await page.get_by_role("button", name="Hoàn tác").click()
    await expect(page.locator(".answer")).to_contain_text("Đã hoàn tác")
    await looked_at(page, "import-undone")
    await page.goto(stage.address + START)
    await expect(page.get_by_role("link", name="bao-cao.xlsx").first).to_be_visible()
    await looked_at(page, "imports-list")


async def test_a_file_goes_all_the_way_without_javascript(stage: Served, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    await officer(stage, page)
    await page.goto(stage.address + START)
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Tải mẫu XLSX").click()
    template = await downloading.value
    assert template.suggested_filename == "mau-11074-hd-288-2023-village.xlsx"
    await page.get_by_label("Tệp số liệu").set_input_files(
        {
            "name": "so-lieu.csv",
            "mimeType": "text/csv",
            "buffer": (";".join(HEAD) + "\n11074-01;Thôn Nghĩa Dũng;90;100;BB 12\n").encode(),
        }
    )
    await page.get_by_role("button", name="Gửi và xem trước").click()
    await page.get_by_role("button", name="Ghi 1 số liệu").click()
    await expect(page.locator(".answer")).to_contain_text("Đã ghi 1 số liệu")
    assert (await stage.item("11074-01", "288.5"))["status"] == "met"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_an_entry_with_a_document_fits_the_screen(
    stage: Served, open_page: OpenPage, size: tuple[int, int]
) -> None:
    page = await open_page(size, javascript=size == DESK)
    await officer(stage, page)
    await page.goto(f"{stage.address}/indicators/units/11074-02/entry?measure={FIBRE}")
    await page.get_by_label("Bao nhiêu hộ đạt?").fill("70")
    await page.get_by_label("Trên tổng số bao nhiêu hộ?").fill("100")
    await page.get_by_label("Tệp tài liệu").set_input_files(
        {"name": "biên bản.jpg", "mimeType": "image/jpeg", "buffer": picture()}
    )
    await page.get_by_role("button", name="Lưu số liệu").click()
    await page.goto(f"{stage.address}/indicators/units/11074-02/entry?measure={FIBRE}")
    await expect(page.get_by_role("link", name="biên bản.jpg").first).to_be_visible()
    if size == DESK:
        await looked_at(page, "entry-recent")


async def sent(stage: Stage, page: Page, data: bytes = b"") -> uuid.UUID:
    """A file of three figures (or `data`), sent; the id of its import, whose page is shown."""
    units = [await stage.new_village() for _ in range(3)]
    rows = [[unit.code, unit.name, 90, 100, "Biên bản 12"] for unit in units]
    await page.goto(stage.address + START)
    await page.get_by_label("Tệp số liệu").set_input_files(
        {"name": "lon.xlsx", "mimeType": "application/zip", "buffer": data or workbook([HEAD, *rows])}
    )
    await page.get_by_role("button", name="Gửi và xem trước").click()
    await page.wait_for_url("**/indicators/imports/*")
    return uuid.UUID(page.url.rsplit("/", 1)[-1])


async def queued(stage: Stage, page: Page) -> uuid.UUID:
    """A file of three figures, confirmed and waiting for the background; its id."""
    made = await sent(stage, page)
    await page.get_by_role("button", name="Ghi 3 số liệu").click()
    await expect(page.locator(".answer")).to_contain_text("Đang ghi: 0/3 số liệu")
    return made


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_large_file_is_followed_while_it_is_read_and_can_be_put_aside(
    stage: Served, open_page: OpenPage, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "SMALL_BYTES", 0)
    page = await open_page(size)
    await officer(stage, page)
    made = await sent(stage, page)
    await page.evaluate("window.stayed = true")
    heard = page.locator(".visually-hidden[role=status]")
    await expect(page.locator(".answer")).to_contain_text("Đang mở tệp.")
    await looked_at(page, "import-opening")
    await tell(stage, made, 2)
    await expect(page.locator(".answer")).to_contain_text("Đang đọc tệp: đã xét 2/3 số liệu.")
    await expect(heard).to_have_text("Đang đọc tệp: 60 %")
    await looked_at(page, "import-reading")
    await work(stage)
    await expect(page.get_by_role("button", name="Ghi 3 số liệu")).to_be_visible()
    await expect(heard).to_have_text("Chờ xác nhận")
    assert await page.evaluate("window.stayed") is True
    await looked_at(page, "import-read")
    await page.get_by_role("button", name="Bỏ tệp này").click()
    await expect(page.locator(".answer")).to_contain_text("Tệp này đã được bỏ")
    await looked_at(page, "import-put-aside")
    await page.get_by_role("link", name="Gửi tệp khác").click()
    await sent(stage, page, b"x;y\n1;2\n")
    await work(stage)
    await expect(page.locator(".answer")).to_contain_text("Không thấy dòng tiêu đề có cột [unit].")
    await looked_at(page, "import-unreadable")


async def work(stage: Stage) -> None:
    """What the background does, until nothing waits any more."""
    while await backlog.work(stage.running.runner.runtime.sessions, library.catalogue()):
        pass


async def tell(stage: Stage, made: uuid.UUID, done: int) -> None:
    async with stage.running.tx() as tx:
        await underway.tell(tx, made, done, 3)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_file_whose_time_is_over_says_so(stage: Served, open_page: OpenPage, size: tuple[int, int]) -> None:
    page = await open_page(size)
    await officer(stage, page)
    made = await sent(stage, page)
    await page.get_by_role("button", name="Bỏ tệp này").click()
    await expect(page.locator(".answer")).to_contain_text("Tệp này đã được bỏ")
    await expect(page.get_by_role("link", name="Tải tệp đã gửi")).to_be_visible()
    async with stage.running.tx() as tx:
        await tx.execute(text("UPDATE import SET created_at = now() - interval '1 year' WHERE id = :id"), {"id": made})
    await forget_files(stage.running.runner.runtime)
    await page.goto(f"{stage.address}/indicators/imports/{made}")
    await expect(page.get_by_text("Nội dung tệp này đã được xóa vì hết thời hạn lưu.")).to_be_visible()
    await expect(page.get_by_role("link", name="Gửi tệp khác")).to_be_visible()
    await expect(page.get_by_role("link", name="Tải tệp đã gửi")).to_have_count(0)
    await looked_at(page, "import-cleared")


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_a_large_import_is_followed_on_the_page_and_heard(
    stage: Served, open_page: OpenPage, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    page = await open_page(size)
    await officer(stage, page)
    made = await queued(stage, page)
    await page.evaluate("window.stayed = true")
    heard = page.locator(".visually-hidden[role=status]")
    await expect(heard).to_have_text("Đang ghi: 0 %")
    await tell(stage, made, 2)
    await expect(page.locator(".answer")).to_contain_text("Đang ghi: 2/3 số liệu")
    await expect(page.locator("progress")).to_have_attribute("value", "2")
    await expect(heard).to_have_text("Đang ghi: 60 %")
    await looked_at(page, "import-running")
    await work(stage)
    await expect(page.locator(".answer")).to_contain_text("Đã ghi 3 số liệu")
    await expect(heard).to_have_text("Đã ghi")
    await expect(page.get_by_role("link", name="Hoàn tác lần nhập này")).to_be_visible()
    assert await page.evaluate("window.stayed") is True
    await looked_at(page, "import-followed")


async def test_without_javascript_the_page_comes_again_by_itself(
    stage: Served, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    monkeypatch.setattr(previewing, "SMALL_BYTES", 0)
    page = await open_page(PHONE, javascript=False)
    await officer(stage, page)
    made = await sent(stage, page)
    await expect(page.locator(".answer")).to_contain_text("Đang mở tệp.")
    await work(stage)
    await page.get_by_role("button", name="Ghi 3 số liệu").click(timeout=20_000)
    await tell(stage, made, 1)
    await expect(page.locator(".answer")).to_contain_text("Đang ghi: 1/3 số liệu", timeout=20_000)
    await work(stage)
    await expect(page.locator(".answer")).to_contain_text("Đã ghi 3 số liệu", timeout=20_000)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_single_things_are_tried_on_every_screen(
    stage: Served, open_page: OpenPage, size: tuple[int, int]
) -> None:
    page = await open_page(size, javascript=size == DESK)
    await officer(stage, page)
    unit = await stage.new_village()
    await stage.tell(
        *(stage.event(product(unit, f"{name}-{unit.code}", 0), f"{name}-{unit.code}") for name in ("tra", "gao"))
    )
    await page.goto(f"{stage.address}/indicators/units/{unit.code}/what-if")
    await page.get_by_text("Chọn từng đối tượng").click()
    for name in ("tra", "gao"):
        await page.get_by_label(f"{name}-{unit.code}").check()
    if size == DESK:
        await looked_at(page, "what-if-things")
    await page.get_by_role("button", name="Tính thử").click()
    await expect(page.locator(".answer")).to_contain_text("nếu như vậy sẽ đạt 1/9")
    await expect(page.get_by_label(f"gao-{unit.code}")).to_be_checked()
    if size == DESK:
        await looked_at(page, "what-if-thing-chosen")


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_new_things_are_tried_on_every_screen(stage: Served, open_page: OpenPage, size: tuple[int, int]) -> None:
    page = await open_page(size, javascript=size == DESK)
    unit = await stage.new_village()
    await stage.tell(stage.event(product(unit, f"tra-{unit.code}", 0), f"tra-{unit.code}"))
    await page.goto(f"{stage.address}/indicators/units/{unit.code}/what-if")
    row = page.locator("[id='row-288.9']")
    await row.get_by_text("Thêm đối tượng mới, chưa ai báo").click()
    await row.get_by_label("Thêm bao nhiêu sản phẩm mới?").fill("không")
    await page.get_by_role("button", name="Tính thử").click()
    await expect(row.get_by_text("Phải là số nguyên từ 1 đến 1.000.000.")).to_be_visible()
    if size == DESK:
        await looked_at(page, "what-if-new-wrong")
    await row.get_by_label("Thêm bao nhiêu sản phẩm mới?").fill("3")
    await page.locator("[id='row-288.2']").get_by_text("Thêm đối tượng mới, chưa ai báo").click()
    await page.get_by_label("Thêm bao nhiêu loa mới?").fill("1")
    await page.get_by_role("button", name="Tính thử").click()
    await expect(page.locator(".answer")).to_contain_text("nếu như vậy sẽ đạt 1/9")
    await expect(row.get_by_label("Thêm bao nhiêu sản phẩm mới?")).to_have_value("3")
    if size == DESK:
        await looked_at(page, "what-if-new")
    else:
        await assert_no_sideways_scroll(page)
        await screenshot(page, "indicators-360-what-if-new")
