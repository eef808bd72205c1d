"""Every macro on one page, in a real browser: looks, reading aids, weight, life without JavaScript."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Page, expect

from chassis import i18n
from tests.support.browser import (
    DESK,
    PHONE,
    WALL,
    OpenPage,
    assert_no_layout_shift,
    assert_no_sideways_scroll,
    axe,
    draws_letters,
    page_errors,
    screenshot,
)
from tests.web.conftest import Kitchen
from tests.web.kitchen import WEB
from tests.web.kitchen import page as render

ERRORS = {"phone": "Số điện thoại cần 10 chữ số.", "kind": "Hãy chọn một loại việc.", "": "Chưa gửi được."}
TYPED = {"words": "Đường trục thôn hư hỏng", "phone": "09123", "kind": "water"}
EVERY_LETTER = "ăâđêôơưĂÂĐÊÔƠƯ" + "".join(chr(code) for code in range(0x1EA0, 0x1EFA))
WEIGHT_ON_THE_WIRE = 60_000


def sink(**extra: object) -> str:
    return render("sink.html", errors=ERRORS, typed=TYPED, flash={"text": "Đã lưu.", "kind": "success"}, **extra)


@pytest.mark.parametrize(("size", "locale"), [(PHONE, "vi"), (DESK, "vi"), (PHONE, "en")], ids=["360", "1280", "en"])
async def test_every_macro_reads_well_on_a_phone_and_at_a_desk(
    open_page: OpenPage, kitchen: Kitchen, size: tuple[int, int], locale: str
) -> None:
    kitchen.pages["/sink"] = sink(locale=locale)
    page = await open_page(size)
    await page.goto(kitchen.url("/sink"))
    # The second view has the font in its cache; the first may keep the system's, because text is never waited for.
    await page.reload()
    await screenshot(page, f"sink-{size[0]}-{locale}")
    assert await axe(page) == []
    await assert_no_sideways_scroll(page)
    await assert_no_layout_shift(page)
    assert await draws_letters(page, EVERY_LETTER)
    assert page_errors(page) == []


async def test_a_missing_glyph_would_be_noticed(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = sink()
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    assert not await draws_letters(page, "\U0010fffc")


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["360", "1280"])
@pytest.mark.parametrize("selector", [".thumb summary", ".top .menu summary"])
async def test_open_menus_can_be_read_and_closed(
    open_page: OpenPage, kitchen: Kitchen, size: tuple[int, int], selector: str
) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page(size)
    await page.goto(kitchen.url("/sink"))
    if not await page.locator(selector).is_visible():
        # At a desk there is no thumb bar; there the subjects stand on top.
        assert await page.locator(".subjects a").first.is_visible()
        return
    await page.click(selector)
    assert await axe(page) == []
    await page.keyboard.press("Escape")
    assert await page.locator("details.menu[open]").count() == 0
    focused = await page.evaluate("document.activeElement.closest('details.menu') !== null")
    assert focused


async def test_twice_the_letters_and_twice_the_zoom_still_fit(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = sink()
    # 1280 px at 200 % are 640 CSS pixels; text of double size on a phone is the harder case.
    page = await open_page((640, 400))
    await page.goto(kitchen.url("/sink"))
    await assert_no_sideways_scroll(page)
    phone = await open_page(PHONE)
    await phone.goto(kitchen.url("/sink"))
    await phone.evaluate("document.documentElement.style.fontSize = '212.5%'")
    await assert_no_sideways_scroll(phone)
    await screenshot(phone, "sink-360-double")


async def test_touch_targets_are_large_enough(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = sink()
    page = await open_page(PHONE)
    await page.goto(kitchen.url("/sink"))
    small = await page.evaluate(
        """() => [...document.querySelectorAll(
            ".button:not(.button--small), .chip, .choice, .thumb a, .thumb summary, .menu__item, .tool, .field select")]
            .map((element) => [element.textContent.trim().slice(0, 30), element.getBoundingClientRect().height])
            .filter(([, height]) => height > 0 && height < 48)"""
    )
    assert small == []


async def test_a_page_is_light(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = sink()
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    await page.evaluate("document.fonts.ready")
    assert sum(kitchen.wire.values()) <= WEIGHT_ON_THE_WIRE, kitchen.wire
    assert any(name.startswith("be-vietnam-pro") for name in kitchen.wire)


async def test_without_javascript_everything_can_be_read_and_sent(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = sink()
    kitchen.pages["/done"] = render("error.html", status=404)
    page = await open_page(PHONE, javascript=False)
    await page.goto(kitchen.url("/sink"))
    await screenshot(page, "sink-360-no-js")
    assert await page.locator("h1").inner_text() == "Thôn Nghĩa Dũng, xã Đại Sơn"
    assert not await page.locator("[data-locate]").is_visible()
    await page.locator(".thumb summary").click()
    assert await page.get_by_role("link", name="Trang đầu").is_visible()
    await page.locator("#f-words").fill("Đường hỏng")
    await page.get_by_role("button", name="Gửi phản ánh").click()
    await page.wait_for_url(kitchen.url("/done"))
    [(path, body)] = kitchen.posted
    assert path == "/send"
    assert "Đường hỏng".encode() in body
    assert b"csrf-of-the-kitchen" in body
    assert b"0198a000-0000-7000-8000-000000000000" in body


async def test_the_keyboard_reaches_the_content_first(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page(DESK)
    await page.goto(kitchen.url("/sink"))
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("#content$"))


async def test_the_wall_fits_its_screen(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/wall"] = render("sink_wall.html")
    page = await open_page(WALL)
    await page.goto(kitchen.url("/wall"))
    await page.reload()
    await screenshot(page, "wall-1920")
    assert await axe(page) == []
    height = await page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]")
    assert height == [1080, 1920]
    assert page_errors(page) == []


STATUSES = (400, 401, 403, 404, 405, 409, 412, 413, 415, 418, 422, 429, 500, 502, 503)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("locale", ["vi", "en"])
def test_every_error_says_what_to_do(status: int, locale: str) -> None:
    html = render("error.html", status=status, signed_in=False, locale=locale)
    assert f"{'Mã lỗi' if locale == 'vi' else 'Error'} {status}" in html
    heading = re.search("<h1>(.+)</h1>", html)
    assert heading is not None
    assert len(re.findall(r"<p>.{20,}</p>", html)) >= 1


async def test_the_error_page_is_readable(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/error"] = render(
        "error.html", status=422, detail="Ảnh quá lớn.", errors={"photo": "Ảnh tối đa 10 MB."}, code="too_large"
    )
    page = await open_page(PHONE)
    await page.goto(kitchen.url("/error"))
    await screenshot(page, "error-360")
    assert await axe(page) == []
    await assert_no_sideways_scroll(page)


def test_every_sentence_of_the_shell_has_its_english() -> None:
    english = i18n.Translations.load(WEB / "locale")
    said = {
        text
        for file in (WEB / "templates").rglob("*.html")
        for text in re.findall(r'\b_\("((?:[^"\\]|\\.)*)"\)', file.read_text("utf-8"))
    }
    assert len(said) > 50
    assert [text for text in sorted(said) if not english.has(text, "en")] == []


async def contrast_of_tokens(page: Page, theme: str) -> list[str]:
    """Pairs of ink and ground that the sheets put together and that fall below 4.5 : 1."""
    found: list[str] = await page.evaluate(
        """(theme) => {
            document.documentElement.dataset.theme = theme;
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const raw = style.getPropertyValue(name).trim().replace(/^#(.)(.)(.)$/, "#$1$1$2$2$3$3");
                const [r, g, b] = [1, 3, 5].map((at) => parseInt(raw.slice(at, at + 2), 16) / 255)
                    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const pairs = [
                ["--ink", "--ground"], ["--ink", "--surface"], ["--ink", "--surface-2"], ["--ink", "--green-fill"],
                ["--ink", "--warm-fill"], ["--ink", "--grey-soft"], ["--ink", "--highlight"],
                ["--ink-2", "--ground"], ["--ink-2", "--surface"], ["--ink-2", "--surface-2"],
                ["--ink-2", "--grey-soft"],
                ["--green", "--ground"], ["--green", "--surface"], ["--green-strong", "--green-soft"],
                ["--on-green", "--green"], ["--warm", "--surface"], ["--warm", "--ground"], ["--warm", "--warm-soft"],
                ["--danger", "--surface"], ["--danger", "--ground"], ["--danger", "--danger-soft"],
                ["--blue", "--blue-soft"], ["--violet", "--violet-soft"],
                ["--on-deep", "--green-deep"], ["--on-deep-2", "--green-deep"],
            ];
            return pairs.map(([ink, ground]) => {
                const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
                return [`${ink} on ${ground}`, (a + 0.05) / (b + 0.05)];
            }).filter(([, ratio]) => !(ratio >= 4.5)).map(([pair, ratio]) => `${pair}: ${ratio.toFixed(2)}`);
        }""",
        theme,
    )
    return found


@pytest.mark.parametrize("theme", ["light", "wall"])
async def test_ink_stands_out_from_its_ground(open_page: OpenPage, kitchen: Kitchen, theme: str) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page()
    await page.goto(kitchen.url("/sink"))
    assert await contrast_of_tokens(page, theme) == []


async def test_paper_shows_the_figures_and_not_the_buttons(open_page: OpenPage, kitchen: Kitchen) -> None:
    kitchen.pages["/sink"] = render("sink.html")
    page = await open_page(DESK)
    await page.goto(kitchen.url("/sink"))
    await page.emulate_media(media="print")
    assert not await page.locator(".subjects").is_visible()
    assert not await page.locator(".thumb").is_visible()
    assert await page.locator(".ring").first.is_visible()
    assert await contrast_of_tokens(page, "light") == []


def test_the_lock_of_the_front_end_names_no_registry() -> None:
    lock = json.loads((WEB.parent / "package-lock.json").read_text("utf-8"))
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert [name for name, package in lock["packages"].items() if name and "integrity" not in package] == []


@pytest.mark.usefixtures("built")
def test_every_built_name_is_in_the_manifest() -> None:
    built = json.loads((WEB / "dist" / "manifest.json").read_text("utf-8"))
    wanted = {"app.css", "app.js", "wall.css", "live.js", "table.js", "inbox.js", "geolocate.js", "icon.svg"}
    assert wanted <= built.keys()
    assert {file.name for file in (WEB / "dist").iterdir()} == {*built.values(), "manifest.json"}
