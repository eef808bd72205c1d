"""The pages of traceability: the whole way without JavaScript, and each in a real browser at 360 and 1280 pixels."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa

from chassis.service import origin
from services.ecommerce.tracing import desk
from tests.ecommerce.conftest import DUNG, HOME, Shop, ok
from tests.ecommerce.test_pages import Browser
from tests.ecommerce.tracing import HARVEST, SEASON, TODAY, Farm, at, day, farm
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import serving, token


def signed_in(shop: Shop, role: str = "producer") -> Browser:
    return Browser(shop.running.fresh_client(), token((role, HOME.path), subject=f"acc-{role}", name="Nguyễn Thị Sen"))


async def test_a_cooperative_goes_from_the_field_to_the_label_without_javascript(shop: Shop) -> None:
    producer = await shop.new_producer()
    product = (await shop.new_product(producer_id=producer))["id"]
    web = signed_in(shop)
    fields = f"/ecommerce/tracing?producer={producer}"
    assert "chưa khai thửa ruộng nào" in await web.get(fields)
    plot = await web.post(fields, name="Bãi Trên, khu 2", unit=DUNG.code, growing_area_code="VN-HDOR-0012")
    sown = {"day": day(SEASON), "work": "sowing", "done_by": "households", "households": "12"}
    assert await web.post(plot, **sown) == plot
    spray = {"day": day(HARVEST), "work": "pesticide", "product": "Regent 800WG", "quiet_days": "4"}
    await web.post(plot, **spray)
    lot = {
        "product_id": product,
        "plots": plot.rsplit("/", 1)[1],
        "season_from": day(SEASON),
        "harvested_on": day(HARVEST),
        "quantity": "1.250,5",
        "uom": "kg",
        "households": "12",
        "gtin": "8936012345674",
    }
    refused = await web.post(f"/ecommerce/lots/new?producer={producer}", 409, **lot)
    assert "Chưa hết thời gian cách ly: Bãi Trên, khu 2 dùng Regent 800WG" in refused
    assert 'value="1.250,5"' in refused, "what was typed is kept"
    page = await web.get(plot)
    correct = re.findall(r'href="(/ecommerce/diary/[^"]+/correct)"', page)[0]
    assert 'value="Regent 800WG"' in await web.get(correct)
    assert "Vì sao sửa?" in await web.post(correct, 422, **spray)
    earlier = {**spray, "day": day(HARVEST - timedelta(days=4)), "reason": "Ghi nhầm ngày phun."}
    assert await web.post(correct, **earlier) == plot
    page = await web.get(plot)
    assert page.count("<del>") == 2
    assert f"ghi ngày {TODAY:%d/%m/%Y} · thay dòng đã gạch" in page, "what was said later, and instead, is seen to be"
    assert await web.post(correct.replace("correct", "strike"), 409, reason="Không có việc này.")
    assert (await web.client.get(correct)).headers["location"] == plot, "a struck line is corrected no more"
    assert "Ghi nhầm ngày phun." in page
    manage = await web.post(f"/ecommerce/lots/new?producer={producer}", **lot)
    code = manage.split("/")[-2]
    step = {"kind": "packing", "at": f"{HARVEST}T15:00", "place": "Kho HTX Đại Sơn"}
    assert "Thời điểm phải" in await web.post(
        f"/ecommerce/lots/{code}/steps", 422, **{**step, "at": "2020-01-01T08:00"}
    )
    for never in ("0001-01-01T00:00", "9999-12-31T23:59"):
        assert "sau năm 2000" in await web.post(f"/ecommerce/lots/{code}/steps", 422, **{**step, "at": never})
    unpublished = await web.client.get(f"/ecommerce/lots/{code}/qr.svg")
    assert unpublished.headers["cache-control"] == "private, no-store"
    await web.post(f"/ecommerce/lots/{code}/steps", **step)
    packed = await web.get(manage)
    assert "data-done" in packed, "what was sent is no draft of the next step"
    assert 'value="packing"' not in packed
    assert 'value="closing"' not in packed, "what was not shipped is not sold out"
    again = await web.post(f"/ecommerce/lots/{code}/steps", 409, **{**step, "kind": "closing"})
    assert "chưa xuất bán" in again
    await web.post(f"/ecommerce/lots/{code}/publish")
    await web.post(
        f"/ecommerce/lots/{code}/steps", kind="shipping", at=f"{TODAY}T00:00", place="Chợ Tứ Kỳ", quantity="900"
    )
    anybody = Browser(shop.running.fresh_client(), None)
    seen = await anybody.get(f"/ecommerce/lots/{code}")
    for text in (
        "1.250,5 kg",
        "Bãi Trên, khu 2",
        "VN-HDOR-0012",
        "Kho HTX Đại Sơn",
        "Chợ Tứ Kỳ",
        "12 hộ giao hàng",
        "<del>",
    ):
        assert text in seen
    assert "Đường đi được ghi đủ từ đồng ruộng đến đóng gói." in seen
    assert f"/ecommerce/01/08936012345674/10/{code}" in await anybody.get(f"/ecommerce/lots/{code}/label")
    assert (await anybody.client.get(f"/ecommerce/lots/{code}/qr.svg")).headers["content-type"] == "image/svg+xml"
    ok(await shop.post(f"/products/{product}/publish"))
    assert f"/ecommerce/lots/{code}" in await anybody.get(f"/ecommerce/products/{product}")
    assert code in await anybody.get(f"/ecommerce/lots?unit={DUNG.code}")
    assert "THIS LOT" not in await anybody.get(f"/ecommerce/lots/{code}?lang=en")


async def test_a_recall_stands_above_everything_and_its_lifting_beside_it(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.packed()
    web, office = signed_in(shop), signed_in(shop, "officer")
    assert "Cần ít nhất 5 ký tự." in await web.post(f"/ecommerce/lots/{code}/recall", 422, reason="a")
    await web.post(f"/ecommerce/lots/{code}/recall", reason="Mẫu thử vượt mức dư lượng.")
    anybody = Browser(shop.running.fresh_client(), None)
    for path in (f"/ecommerce/lots/{code}", f"/ecommerce/lots/{code}/label"):
        seen = await anybody.get(path)
        assert "In nhãn" not in seen
        assert "Ctrl + P" not in seen
        assert "LÔ HÀNG NÀY BỊ THU HỒI. KHÔNG SỬ DỤNG." in seen
        assert 'role="alert"' in seen
    assert "DO NOT USE IT" in await anybody.get(f"/ecommerce/lots/{code}?lang=en")
    assert "lift-recall" not in await web.get(f"/ecommerce/lots/{code}/recall"), "nobody is asked for what is refused"
    assert "lift-recall" in await office.get(f"/ecommerce/lots/{code}/recall")
    await web.post(f"/ecommerce/lots/{code}/lift-recall", 403, reason="Mẫu đối chứng đạt.")
    await office.post(f"/ecommerce/lots/{code}/lift-recall", reason="Mẫu đối chứng đạt.")
    seen = await Browser(shop.running.fresh_client(), None).get(f"/ecommerce/lots/{code}")
    assert "KHÔNG SỬ DỤNG" not in seen
    assert "Mẫu thử vượt mức dư lượng." in seen
    assert "Mẫu đối chứng đạt." in seen


async def test_staff_find_the_diaries_from_the_list_of_producers(shop: Shop) -> None:
    here = await farm(shop)
    office = signed_in(shop, "officer")
    href = f"/ecommerce/tracing?producer={here.producer}"
    assert href in await office.get(f"/ecommerce/producers?unit={HOME.code}")
    assert f"/ecommerce/plots/{here.plot}" in await office.get(href)
    entry = ok(await here.write("watering", TODAY), 201)
    page = await office.post(f"/ecommerce/diary/{entry['id']}/strike", 422, reason="a")
    assert 'id="f-strike-error"' in page
    assert 'id="f-reason-error"' not in page, "the trouble stands beside the field it is about"
    await office.post(f"/ecommerce/diary/{entry['id']}/strike", reason="Không có việc này.")
    async with shop.running.tx() as tx:
        query = sa.text("SELECT action FROM audit WHERE target = :id")
        assert list(await tx.scalars(query, {"id": entry["id"]})) == ["diary.corrected"]
    assert "Không có việc này." in await office.get(f"/ecommerce/plots/{here.plot}")
    await office.post(f"/ecommerce/diary/{entry['id']}/strike", 409, reason="Không có việc này.")
    for path in ("plots/x", "diary/x/correct", "lots/x", f"tracing?producer={HOME.code}"):
        await office.get(f"/ecommerce/{path}", 404)


async def test_a_refused_correction_shows_the_line_as_it_stands(shop: Shop) -> None:
    here = await farm(shop)
    entry = ok(await here.write("watering", HARVEST), 201)
    ok(await here.write("pesticide", HARVEST, product="Regent 800WG", quiet_days=4), 201)
    harvested = {"day": day(HARVEST), "work": "harvest", "done_by": "producer", "reason": "Ghi nhầm việc."}
    page = await signed_in(shop).post(f"/ecommerce/diary/{entry['id']}/correct", 409, **harvested)
    assert "<del>" not in page
    lines = ok(await shop.get(f"/plots/{here.plot}/diary", shop.producer))["items"]
    assert [line["struck_at"] for line in lines] == [None, None]


async def test_a_harvest_in_quiet_days_is_said_in_the_readers_words(shop: Shop) -> None:
    here = await farm(shop)
    code = await here.packed()
    spray = {"product": "Regent 800WG", "quiet_days": 4}
    entry = ok(await here.write("pesticide", HARVEST, **spray), 201)
    assert not (await here.told(code))[-1].traceable
    anybody, first = Browser(shop.running.fresh_client(), None), HARVEST + timedelta(days=4)
    assert f"phải chờ đến {first:%d/%m/%Y}" in await anybody.get(f"/ecommerce/lots/{code}")
    assert f"{first.day} {first:%b} {first.year}" in await anybody.get(f"/ecommerce/lots/{code}?lang=en")
    # It was after the harvest: the lot is sound again, though the new line is none of its season.
    body = {"reason": "Ghi nhầm ngày.", "entry": {"day": day(TODAY), "work": "pesticide", **spray}}
    ok(await shop.post(f"/diary/{entry['id']}/correct", body))
    assert (await here.told(code))[-1].traceable


async def test_every_lot_of_a_producer_can_be_reached(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await farm(shop)
    older, newer = await here.lot(), await here.lot()
    monkeypatch.setattr(desk, "PAGE", 1)
    web = signed_in(shop)
    page = await web.get(f"/ecommerce/tracing?producer={here.producer}")
    assert newer in page
    assert older not in page
    onward = re.findall(r'href="(/ecommerce/tracing\?[^"]*after=[^"]+)"', page)[0]
    assert older in await web.get(onward.replace("&amp;", "&"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(shop: Shop) -> AsyncIterator[str]:
    """The service on a port of its own."""
    async with serving(origin([shop.running.runner])) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shown(shop: Shop) -> dict[str, str]:
    """A whole lot with a corrected diary, and a recalled one of the same plot."""
    here: Farm = await farm(shop)
    first = await here.packed(gtin="8936012345674")
    spray = {"product": "Validacin 5SL", "quiet_days": 7, "note": "Phun khi có bệnh khô vằn ở góc ruộng."}
    wrong = ok(await here.write("pesticide", HARVEST - timedelta(days=20), **spray), 201)
    right = {"day": day(HARVEST - timedelta(days=30)), "work": "pesticide", **spray}
    body = {"reason": "Ghi nhầm ngày phun.", "entry": right}
    ok(await shop.post(f"/diary/{wrong['id']}/correct", body))
    ok(await here.step(first, "shipping", at=at(TODAY, 0), place="Cửa hàng nông sản sạch Tứ Kỳ", quantity=900))
    second = await here.packed(quantity=80)
    ok(await shop.post(f"/lots/{second}/recall", {"reason": "Mẫu thử của Chi cục vượt mức dư lượng cho phép."}))
    return {"lot": first, "recalled": second, "plot": here.plot, "producer": here.producer}


PAGES = {
    "lot-recalled": ("/ecommerce/lots/{recalled}", None),
    "lots": ("/ecommerce/lots?unit=" + HOME.code, "officer"),
    "tracing": ("/ecommerce/tracing?producer={producer}", "producer"),
    "diary": ("/ecommerce/plots/{plot}", "producer"),
    "lot-form": ("/ecommerce/lots/new?producer={producer}", "producer"),
    "lot-manage": ("/ecommerce/lots/{lot}/manage", "producer"),
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_readable_on_phone_and_desk(
    site: str, shown: dict[str, str], open_page: OpenPage, name: str
) -> None:
    path, role = PAGES[name]
    page = await open_page(PHONE)
    if role:
        value = token((role, HOME.path), subject=f"acc-{role}", name="Nguyễn Thị Sen")
        await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": site}])
    await page.goto(site + path.format(**shown))
    for label, (width, height) in (("360", PHONE), ("1280", DESK)):
        await page.set_viewport_size({"width": width, "height": height})
        await screenshot(page, f"tracing-{name}-{label}")
        await assert_no_sideways_scroll(page)
        assert await axe(page) == []
    assert page_errors(page) == []
