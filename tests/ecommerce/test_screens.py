"""The pages in a real browser: readable at 360 and 1280 pixels, without findings of axe-core, light enough for 3G."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.service import origin
from tests.ecommerce.conftest import DUNG, HOME, Shop, ok, picture, url
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import serving, token


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(shop: Shop) -> AsyncIterator[str]:
    """The service on a port of its own."""
    async with serving(origin([shop.running.runner])) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def product(shop: Shop) -> str:
    """A product with everything on it, and two that lack something."""
    producer = await shop.new_producer()
    full = await shop.published(
        producer_id=producer,
        name="Gạo nếp cái hoa vàng Đại Sơn, túi hút chân không",
        description="Cấy vụ mùa trên đất bãi sông Thái Bình.\nPhơi nắng, xay trong ngày, giữ được 12 tháng.",
        price=45_000,
        price_unit="kg",
        ocop_stars=4,
        ocop_decision="1234/QĐ-UBND",
    )
    path = f"/ecommerce/api/v1/products/{full['id']}/photo"
    photo = {"photo": ("a.png", picture("PNG", (900, 700)), "image/png")}
    ok(await shop.client.post(path, files=photo, headers=shop.producer))
    for channel, host in (("shopee", "shopee.vn"), ("facebook", "www.facebook.com")):
        body = {"channel": channel, "url": url(host)}
        ok(await shop.post(f"/products/{full['id']}/listings", body), 201)
    ended = ok(await shop.post(f"/products/{full['id']}/listings", {"channel": "voso", "url": url("voso.vn")}), 201)
    ok(await shop.post(f"/products/{full['id']}/listings/{ended['id']}/end"))
    ok(await shop.post(f"/products/{full['id']}/mark-key", None, shop.officer))
    await shop.published(producer_id=producer, name="Hành củ khô", unit=DUNG.code)
    await shop.new_product(producer_id=producer, name="Trà sen ướp bông", price=350_000, price_unit="hộp 100 g")
    return str(full["id"])


PAGES = {
    "catalogue": ("/ecommerce/?unit=" + HOME.code, None),
    "nothing-found": ("/ecommerce/?q=khong-co-gi", None),
    "product": ("/ecommerce/products/{product}", None),
    "label": ("/ecommerce/products/{product}/label", None),
    "mine": ("/ecommerce/mine", "producer"),
    "producer-form": ("/ecommerce/producers/new", "producer"),
    "product-form": ("/ecommerce/products/new", "producer"),
    "desk": ("/ecommerce/products/{product}/manage", "officer"),
    "withdraw": ("/ecommerce/products/{product}/withdraw", "producer"),
    "manage": ("/ecommerce/manage", "officer"),
    "producers": ("/ecommerce/producers", "officer"),
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_readable_on_phone_and_desk(
    shop: Shop, site: str, product: str, open_page: OpenPage, name: str
) -> None:
    path, role = PAGES[name]
    page = await open_page(PHONE)
    if role:
        value = token((role, HOME.path), subject=f"acc-{role}", name="Nguyễn Thị Sen")
        await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": site}])
    await page.goto(site + path.format(product=product))
    for label, (width, height) in (("360", PHONE), ("1280", DESK)):
        await page.set_viewport_size({"width": width, "height": height})
        await screenshot(page, f"ecommerce-{name}-{label}")
        await assert_no_sideways_scroll(page)
        assert await axe(page) == []
    assert page_errors(page) == []


async def test_a_wrong_form_shows_its_errors(shop: Shop, site: str, product: str, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    value = token(("producer", HOME.path), subject="acc-producer")
    await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": site}])
    await page.goto(f"{site}/ecommerce/products/{product}/manage")
    await page.select_option("#f-channel", "shopee")
    await page.fill("#f-url", "javascript:alert(1)")
    await page.click("main form.form button[type=submit]")
    assert "http" in (await page.text_content("#f-url-error") or "")
    assert await page.input_value("#f-url") == "javascript:alert(1)"
    await screenshot(page, "ecommerce-desk-error-360")
    await assert_no_sideways_scroll(page)


async def test_public_pages_are_light(shop: Shop, site: str, product: str, open_page: OpenPage) -> None:
    for path in (f"/ecommerce/?unit={HOME.code}", f"/ecommerce/products/{product}"):
        page = await open_page(PHONE)
        await page.goto(site + path)
        await page.wait_for_load_state("networkidle")
        weight = await page.evaluate(
            """() => performance.getEntriesByType("resource")
                .filter((entry) => !entry.name.includes("/photo"))
                .concat(performance.getEntriesByType("navigation"))
                .reduce((sum, entry) => sum + entry.transferSize, 0)"""
        )
        assert 0 < weight <= 60 * 1024, f"{path}: {weight} bytes without the photo"
