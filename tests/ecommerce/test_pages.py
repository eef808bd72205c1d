"""The pages without JavaScript: a producer sells, an officer marks, a buyer reads, refusals stand beside fields."""

from __future__ import annotations

import csv
import io
import re

import httpx
import pytest

from tests.ecommerce.conftest import AN, DUNG, FAR, FOREIGN, HOME, Shop, ok, picture, url
from tests.support.running import token


class Browser:
    """A signed-in browser: keeps cookies, sends the CSRF token that pages carry."""

    def __init__(self, client: httpx.AsyncClient, session: str | None) -> None:
        self.client = client
        if session:
            client.cookies.set("xaso_session", session)

    async def get(self, path: str, status: int = 200) -> str:
        response = await self.client.get(path, headers={"accept": "text/html"})
        assert response.status_code == status, response.text[:2000]
        return response.text

    async def post(self, path: str, status: int = 303, files: dict[str, object] | None = None, **fields: str) -> str:
        """The address redirected to, or the page that was answered instead."""
        if "xaso_csrf" not in self.client.cookies:
            await self.client.get("/ecommerce/")
        data = {"csrf_token": self.client.cookies["xaso_csrf"], **fields}
        response = await self.client.post(path, data=data, files=files, headers={"accept": "text/html"})  # type: ignore[arg-type]  # httpx takes such a mapping.
        assert response.status_code == status, response.text[:2000]
        return response.headers["location"] if status == 303 else response.text


def browser(shop: Shop, *grants: tuple[str, str], subject: str | None = None) -> Browser:
    return Browser(shop.running.fresh_client(), token(*grants, subject=subject) if grants else None)


def message_of(page: str, field: str) -> str:
    """The error that stands beside a field, "" where there is none."""
    found = re.search(rf'id="f-{field}-error">.*?</span>(.*?)</span></p>', page, re.S)
    return found.group(1).strip() if found else ""


async def a_product(one: Browser, **more: str) -> str:
    """The id of a draft made by forms."""
    page = await one.get("/ecommerce/mine")
    found = re.search(r"/ecommerce/products/new\?producer=([0-9a-f-]{36})", page)
    if found is None:
        place = await one.post("/ecommerce/producers/new", name="HTX Sen Đỏ", kind="cooperative", unit=HOME.code)
        producer = place.rsplit("=", 1)[1]
    else:
        producer = found.group(1)
    desk = await one.post(
        "/ecommerce/products/new", producer_id=producer, name="Trà sen <b>Đỏ</b>", unit=DUNG.code, **more
    )
    return desk.split("/")[3]


async def test_a_producer_sells_by_forms_alone(shop: Shop) -> None:
    seller = browser(shop, ("producer", HOME.path), subject="seller-1")
    assert "chưa có cơ sở sản xuất nào" in await seller.get("/ecommerce/mine")
    product = await a_product(seller, price="120.000", price_unit="hộp")
    desk = f"/ecommerce/products/{product}/manage"
    assert "Đã lưu bản nháp" in await seller.get(desk)
    assert await seller.post(f"/ecommerce/products/{product}/publish") == desk
    address = url()
    assert await seller.post(f"/ecommerce/products/{product}/listings", channel="shopee", url=address) == desk
    page = await seller.get(desk)
    assert "mua được ở 1 kênh" in page
    end = re.search(r'/ecommerce/products/[^"]+/end', page)
    assert end
    assert "kênh cuối cùng" in await seller.get(end.group())

    reader = browser(shop)
    public = await reader.get(f"/ecommerce/products/{product}")
    assert "120.000\N{NO-BREAK SPACE}₫" in public
    assert address in public
    assert "Trà sen &lt;b&gt;Đỏ&lt;/b&gt;" in public
    assert "Thôn Nghĩa Dũng" in public
    assert "Trà sen" in await reader.get(f"/ecommerce/?unit={HOME.code}&q=tra+sen&live=true")
    assert "Trà sen" not in await reader.get(f"/ecommerce/?unit={FOREIGN.code}&q=tra+sen")

    assert await seller.post(end.group()) == desk
    ended = await seller.get(desk)
    resume = re.search(r'/ecommerce/products/[^"]+/resume', ended)
    assert resume
    assert await seller.post(resume.group()) == desk
    await seller.get(f"/ecommerce/products/{product}/withdraw")
    assert await seller.post(f"/ecommerce/products/{product}/withdraw") == desk
    gone = await reader.get(f"/ecommerce/products/{product}")
    assert "đã ngừng bán" in gone
    assert address not in gone


async def test_wrong_fields_are_named_beside_them_and_nothing_typed_is_lost(shop: Shop) -> None:
    seller = browser(shop, ("producer", HOME.path), subject="seller-2")
    product = await a_product(seller)
    edit = f"/ecommerce/products/{product}/edit"
    page = await seller.post(edit, 422, name="Chè kho", unit=FAR.code, price="12,5", version="1")
    assert message_of(page, "price") == "Phải là số nguyên."
    assert 'value="Chè kho"' in page
    page = await seller.post(edit, 422, name="Chè kho", unit=FAR.code, version="1")
    assert "không thuộc xã" in message_of(page, "unit")
    page = await seller.post(edit, 422, name="Chè kho", unit=AN.code, ocop_stars="4", version="1")
    assert "số quyết định" in message_of(page, "ocop_decision")
    page = await seller.post(edit, 412, name="Chè kho", unit=AN.code, version="7")
    assert "vừa được người khác sửa" in page
    await seller.post(f"/ecommerce/products/{product}/publish")
    path = f"/ecommerce/products/{product}/listings"
    page = await seller.post(path, 422, channel="shopee", url="javascript:alert(1)")
    assert "http://" in message_of(page, "url")
    assert "javascript:alert(1)" in page
    page = await seller.post(path, 422, channel="shopee", url=url(), first_day="2099-01-02", last_day="2099-01-01")
    assert "sau ngày bắt đầu" in message_of(page, "last_day")
    page = await seller.post(path, 422, channel="shopee", url=url(), last_day="2020-01-01")
    assert message_of(page, "last_day")
    assert ok(await shop.get(f"/products/{product}"))["listings"] == []


async def test_a_photo_is_kept_without_where_and_when(shop: Shop) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif[0x0112] = 6
    seller = browser(shop, ("producer", HOME.path), subject="seller-3")
    product = await a_product(seller)
    raw = picture(size=(2400, 1600), exif=exif)
    assert b"SecretCamera" in raw
    await seller.post(
        f"/ecommerce/products/{product}/edit",
        files={"photo": ("a.jpg", raw, "image/jpeg")},
        name="Trà sen",
        unit=DUNG.code,
    )
    answer = await seller.client.get(f"/ecommerce/products/{product}/photo")
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"SecretCamera" not in answer.content
    with Image.open(io.BytesIO(answer.content)) as stored:
        # Turned upright: what was recorded lying down is now higher than wide.
        assert stored.size == (800, 1200)
        assert not stored.getexif()
    small = await seller.client.get(f"/ecommerce/products/{product}/photo?small=true")
    with Image.open(io.BytesIO(small.content)) as thumb:
        assert thumb.size == (240, 240)
    again = await seller.client.get(
        f"/ecommerce/products/{product}/photo", headers={"if-none-match": answer.headers["etag"]}
    )
    assert again.status_code == 304
    # The photo of a draft is as hidden as the draft.
    stranger = await shop.running.fresh_client().get(f"/ecommerce/products/{product}/photo")
    assert stranger.status_code == 404


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.jpg", b"not a picture"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
        ("a.gif", picture("GIF")),
        ("cut.jpg", picture()[:300]),
    ],
    ids=["text", "svg", "gif", "cut"],
)
async def test_what_is_no_photo_is_refused_and_nothing_is_half_written(shop: Shop, name: str, raw: bytes) -> None:
    seller = browser(shop, ("producer", HOME.path), subject="seller-4")
    product = await a_product(seller)
    page = await seller.post(
        f"/ecommerce/products/{product}/edit",
        415,
        files={"photo": (name, raw, "image/jpeg")},
        name="Tên mới",
        unit=DUNG.code,
    )
    assert "không phải ảnh" in message_of(page, "photo")
    assert "Tên mới" not in await seller.get(f"/ecommerce/products/{product}/manage")


async def test_the_qr_code_says_the_public_address(shop: Shop) -> None:
    import segno

    product = await shop.published()
    reader = shop.running.fresh_client()
    svg = await reader.get(f"/ecommerce/products/{product['id']}/qr.svg")
    assert svg.headers["content-type"] == "image/svg+xml"
    wanted = segno.make_qr(f"http://127.0.0.1:8080/ecommerce/products/{product['id']}", error="q", boost_error=False)
    side = wanted.symbol_size(border=4)[0]
    assert f'viewBox="0 0 {side} {side}"' in svg.text
    png = await reader.get(f"/ecommerce/products/{product['id']}/qr.png?scale=4")
    from PIL import Image

    with Image.open(io.BytesIO(png.content)) as drawn:
        assert drawn.size == (side * 4, side * 4)
        modules = [[drawn.convert("L").getpixel((x * 4 + 1, y * 4 + 1)) == 0 for x in range(side)] for y in range(side)]
    matrix = [[bool(cell) for cell in row] for row in wanted.matrix_iter(border=4)]
    assert modules == matrix
    assert (await reader.get(f"/ecommerce/products/{product['id']}/qr.png?scale=0")).status_code == 422


async def test_an_officer_marks_key_products_and_takes_the_list_along(shop: Shop) -> None:
    product = await shop.published(name="=Hành củ Kinh Môn")
    office = browser(shop, ("officer", HOME.path))
    page = await office.get("/ecommerce/manage?q=hanh+cu")
    assert "Hành củ Kinh Môn" in page
    listed = await office.post(f"/ecommerce/products/{product['id']}/key", key="true", back="list")
    assert listed == f"/ecommerce/manage?unit={HOME.code}"
    assert "Hành củ" in await office.get("/ecommerce/manage?show=unlisted&q=hanh")
    export = await office.client.get("/ecommerce/manage.csv?q=hanh")
    assert export.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(export.content.decode("utf-8-sig"))))
    assert rows[0][0] == "Sản phẩm"
    assert rows[1][0] == "'=Hành củ Kinh Môn"
    assert rows[1][7] == "x"
    await office.get("/ecommerce/producers")
    await office.get(f"/ecommerce/manage?unit={FOREIGN.code}", 403)
    await office.get(f"/ecommerce/manage.csv?unit={FOREIGN.code}", 403)
    await office.get(f"/ecommerce/producers?unit={FOREIGN.code}", 403)
    await office.get("/ecommerce/manage?unit=nowhere", 404)
    viewer = browser(shop, ("village_head", DUNG.path))
    assert "Đánh dấu" not in await viewer.get("/ecommerce/manage")


async def test_a_form_without_its_token_is_refused(shop: Shop) -> None:
    product = await shop.new_product()
    seller = browser(shop, ("producer", HOME.path), subject="acc-producer")
    await seller.get("/ecommerce/mine")
    answer = await seller.client.post(f"/ecommerce/products/{product['id']}/publish", data={"csrf_token": "wrong"})
    assert answer.status_code == 403
    assert ok(await shop.get(f"/products/{product['id']}", shop.officer))["status"] == "draft"


async def test_pages_that_do_not_exist_say_so(shop: Shop) -> None:
    reader = browser(shop)
    draft = await shop.new_product()
    for path in (f"/ecommerce/products/{draft['id']}", "/ecommerce/products/abc", "/ecommerce/?unit=nowhere"):
        assert "<!doctype html>" in await reader.get(path, 404)
    answer = await reader.client.get("/ecommerce/mine", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/identity/login?next=")


async def test_every_page_is_there_in_english(shop: Shop) -> None:
    product = await shop.published(name="Rượu Phú Lộc", price=90_000)
    reader = browser(shop)
    page = await reader.get(f"/ecommerce/products/{product['id']}?lang=en")
    assert 'lang="en"' in page
    assert "Where it comes from" in page
    assert "Từ đâu ra" not in page
