"""Forms, tables, keyboard and position: what the islands add to a page that works without them."""

from __future__ import annotations

import re
import struct
import zlib

from playwright.async_api import expect

from tests.support.browser import DESK, PHONE, OpenPage, page_errors
from tests.web.conftest import Kitchen
from tests.web.kitchen import page as render


def png(width: int, height: int) -> bytes:
    """A picture of noise, large enough to be worth shrinking."""
    state, rows = 12345, bytearray()
    for _ in range(height):
        rows.append(0)
        for _ in range(width):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            rows += bytes(((state >> 16) & 0xFF, (state >> 8) & 0xFF, state & 0xFF))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(rows), 1))
        + chunk(b"IEND", b"")
    )


async def test_a_form_is_sent_once(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages |= {"/sink": render("sink.html"), "/done": render("error.html", status=404)}
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    await page.evaluate(
        """() => {
            const form = document.querySelector("form[data-keep=report]");
            const button = form.querySelector("button[type=submit]");
            button.click(); button.click(); button.click();
        }"""
    )
    await page.wait_for_url(kitchen.url("/done"))
    assert len(kitchen.posted) == 1


async def test_what_was_typed_survives_a_lost_page_and_is_forgotten_once_sent(
    open_page: OpenPage, kitchen: Kitchen
) -> None:
    kitchen.pages |= {"/sink": render("sink.html"), "/done": render("error.html", status=404)}
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    await page.locator("#f-words").fill("Đường trục thôn hư hỏng")
    await page.get_by_label("Nước sạch").check()
    await page.reload()
    await expect(page.locator("#f-words")).to_have_value("Đường trục thôn hư hỏng")
    await expect(page.get_by_label("Nước sạch")).to_be_checked()
    await expect(page.get_by_text("Nội dung gõ dở lần trước đã được giữ lại.")).to_be_visible()
    stored = await page.evaluate("JSON.stringify(sessionStorage)")
    assert "csrf" not in stored
    await page.get_by_role("button", name="Gửi phản ánh").click()
    await page.wait_for_url(kitchen.url("/done"))
    await page.goto(kitchen.url("/sink"))
    await expect(page.locator("#f-words")).to_have_value("")


async def test_what_was_sent_does_not_come_back_in_the_form_for_the_next_entry(
    open_page: OpenPage, kitchen: Kitchen
) -> None:
    kitchen.pages |= {"/sink": render("sink.html"), "/done": render("sink.html", flash="Đã ghi.")}
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    await page.locator("#f-words").fill("Đường trục thôn hư hỏng")
    await page.get_by_role("button", name="Gửi phản ánh").click()
    await page.wait_for_url(kitchen.url("/done"))
    await expect(page.locator("#f-words")).to_have_value("")
    # Of signing in on the way nothing is said: there the text is still wanted.
    kitchen.pages["/done"] = render("sink.html")
    await page.goto(kitchen.url("/sink"))
    await page.locator("#f-words").fill("Loa hỏng")
    await page.get_by_role("button", name="Gửi phản ánh").click()
    await page.wait_for_url(kitchen.url("/done"))
    await expect(page.locator("#f-words")).to_have_value("Loa hỏng")


async def test_an_objection_of_the_server_keeps_the_text_and_takes_the_focus(
    open_page: OpenPage, kitchen: Kitchen
) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    kitchen.pages["/again"] = render("sink.html", errors={"phone": "Số điện thoại cần 10 chữ số."})
    kitchen.answer = (422, "/again")
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    await page.locator("#f-words").fill("Đường hỏng")
    await page.get_by_role("button", name="Gửi phản ánh").click()
    await expect(page.locator("[data-error-summary]")).to_be_focused()
    await expect(page.locator("#f-words")).to_have_value("Đường hỏng")
    await page.locator("[data-error-summary] a").click()
    await expect(page.locator("#f-phone")).to_be_focused()


async def test_a_photo_is_shown_and_made_small(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    large = png(2000, 500)
    await page.locator("#f-photo").set_input_files({"name": "duong.png", "mimeType": "image/png", "buffer": large})
    await expect(page.locator(".field__photo")).to_be_visible()
    sent = await page.evaluate(
        """async () => {
            const file = document.querySelector("#f-photo").files[0];
            const picture = await createImageBitmap(file);
            return {name: file.name, type: file.type, size: file.size, width: picture.width, height: picture.height};
        }"""
    )
    assert (sent["name"], sent["type"], sent["width"], sent["height"]) == ("duong.jpg", "image/jpeg", 1600, 400)
    assert sent["size"] < len(large)
    assert page_errors(page) == []


async def test_a_file_that_is_no_picture_is_sent_as_it_is(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    broken = {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"}
    await page.locator("#f-photo").set_input_files(broken)
    await expect(page.get_by_text("Ảnh đã chọn: x.png")).to_be_visible()
    assert await page.evaluate("document.querySelector('#f-photo').files[0].size") == len(b"no picture")


async def test_tables_sort_by_vietnamese_letters_numbers_and_days(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page(DESK)
    await page.goto(kitchen.url("/sink"))
    table = page.get_by_role("table", name="Các thôn của xã Đại Sơn")

    async def names() -> list[str]:
        return await table.locator("tbody th").all_inner_texts()

    await table.get_by_role("button", name="Số hộ").click()
    assert await names() == ["Ấp Mới", "Đại Hà", "Nghĩa Dũng"]
    await table.get_by_role("button", name="Số hộ").click()
    assert await names() == ["Nghĩa Dũng", "Đại Hà", "Ấp Mới"]
    assert await table.locator("th[aria-sort]").all_inner_texts() == ["Số hộ"]
    await table.get_by_role("button", name="Thôn").click()
    assert await names() == ["Ấp Mới", "Đại Hà", "Nghĩa Dũng"]
    await table.get_by_role("button", name="Cập nhật").click()
    # No day at all comes last in both directions.
    assert await names() == ["Đại Hà", "Nghĩa Dũng", "Ấp Mới"]
    await table.get_by_role("button", name="Cập nhật").click()
    assert await names() == ["Nghĩa Dũng", "Đại Hà", "Ấp Mới"]


async def test_the_inbox_is_walked_with_j_and_k(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page(DESK)
    await page.goto(kitchen.url("/sink"))
    items = page.locator("[data-inbox-item]")
    await page.keyboard.press("j")
    await expect(items.nth(1)).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(items.nth(2)).to_be_focused()
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("#case-1$"))
    await page.locator("#f-words").focus()
    await page.keyboard.type("jk")
    await expect(page.locator("#f-words")).to_have_value("jk")


async def test_the_position_is_filled_in(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    place = {"latitude": 20.8215, "longitude": 106.4067, "accuracy": 12}
    page = await open_page(PHONE, geolocation=place, permissions=["geolocation"])
    await page.goto(kitchen.url("/sink"))
    await page.get_by_role("button", name="Lấy vị trí của tôi").click()
    await expect(page.get_by_text("Đã lấy vị trí (sai số khoảng 12 m).")).to_be_visible()
    assert await page.locator("input[name=lat]").input_value() == "20.821500"
    assert await page.locator("input[name=lon]").input_value() == "106.406700"


async def test_a_refused_position_says_what_to_do(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page(PHONE, permissions=[])
    await page.goto(kitchen.url("/sink"))
    await page.get_by_role("button", name="Lấy vị trí của tôi").click()
    await expect(page.locator("[data-locate-status]")).to_contain_text("ghi nơi xảy ra bằng lời")
