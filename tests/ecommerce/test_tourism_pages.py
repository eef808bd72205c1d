"""The pages of tourism: entered, published, asked for and answered by forms alone; readable on phone and desk."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from chassis.service import origin
from chassis.units import today
from tests.ecommerce.conftest import AN, DUNG, FAR, FOREIGN, HOME, Shop, ok, picture
from tests.ecommerce.test_pages import browser, message_of
from tests.ecommerce.test_tourism import POINTS, VISIT, new_point, published
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import serving, token

FORM = {"name": "Homestay bến sông", "kind": "homestay", "unit": AN.code, "lat": "20,81", "lon": "106.41"}
COMING = (today() + timedelta(days=3)).isoformat()


async def test_from_a_draft_to_an_answered_booking_by_forms_alone(shop: Shop) -> None:
    officer = browser(shop, ("officer", HOME.path))
    assert "Thêm điểm du lịch" in await officer.get("/ecommerce/tourism/manage")
    new = f"/ecommerce/tourism/points/new?unit={HOME.code}"
    assert "Ủy ban nhân dân xã" in await officer.get(new)
    page = await officer.post(new, 422, **{**FORM, "unit": FAR.code, "lat": "91"})
    assert message_of(page, "lat")
    assert 'value="Homestay bến sông"' in page
    days = [str(day) for day in range(1, 8)]
    desk = await officer.post(new, **FORM, open_days=days, takes_bookings="1", opens="00:00", closes="23:59")  # type: ignore[arg-type]  # httpx sends a list as several fields.
    point = desk.split("/")[4]
    public = f"/ecommerce/tourism/points/{point}"
    reader = browser(shop)
    await reader.get(public, 404)
    assert await officer.post(f"{public}/publish") == desk

    page = await reader.get(public)
    assert "Đang mở cửa, đến 23:59" in page
    assert "geo:20.81,106.41" in page
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', page)
    assert found
    data = json.loads(found.group(1))
    assert (data["@type"], data["geo"]["latitude"], data["address"]["streetAddress"]) == (
        "TouristAttraction",
        20.81,
        AN.name,
    )
    assert len(data["openingHoursSpecification"]["dayOfWeek"]) == 7
    listed = await reader.get(f"/ecommerce/tourism?unit={HOME.code}&kind=homestay&bookable=true")
    assert "Homestay bến sông" in listed
    assert "<svg" in listed
    assert "Homestay bến sông" not in await reader.get(f"/ecommerce/tourism?unit={FOREIGN.code}")
    assert "/ecommerce/tourism?unit=" in await reader.get(f"/ecommerce/?unit={HOME.code}"), "the catalogue leads there"

    asked = {"day": COMING, "people": "4", "name": "Trần Văn Bình", "phone": "0912 345 678"}
    page = await reader.post(f"{public}/bookings", 422, **{**asked, "people": "90"})
    assert "nhiều nhất 20 người" in message_of(page, "people")
    assert 'value="0912 345 678"' in page
    place = await reader.post(f"{public}/bookings", **asked)
    code = place.rsplit("/", 1)[1]
    assert "Đang chờ Homestay bến sông trả lời" in await reader.get(place)
    assert await reader.get("/ecommerce/tourism/bookings?code=DL2222222222", 404)
    work = await officer.get(desk)
    assert "Trần Văn Bình" in work
    answer = re.search(rf"{public}/bookings/[0-9a-f-]+/answer", work)
    assert answer
    assert "ghi lý do" in await officer.post(answer.group(), 422, accept="0")
    assert await officer.post(answer.group(), accept="1", words="Mời đến trước 9 giờ") == desk
    page = await reader.get(f"/ecommerce/tourism/bookings/{code}")
    assert "nhận đón chị/anh" in page
    assert "Mời đến trước 9 giờ" in page
    assert "0912" not in page

    assert "sau hôm nay" in await officer.post(f"{public}/close", 422, opens_again_on=today().isoformat())
    assert await officer.post(f"{public}/close", opens_again_on=COMING) == desk
    page = await reader.get(public)
    assert "Tạm đóng cửa" in page
    assert "Hỏi đặt chỗ" not in page
    assert await officer.post(f"{public}/take-back") == desk
    await reader.get(public, 404)


async def test_a_producer_enters_and_changes_its_own_point(shop: Shop) -> None:
    seller = browser(shop, ("producer", HOME.path), subject="tourism-1")
    assert await seller.get("/ecommerce/tourism/points/new", 303) == ""
    await seller.post("/ecommerce/producers/new", name="HTX Sen", kind="cooperative", unit=HOME.code)
    page = await seller.get("/ecommerce/tourism/points/new")
    found = re.search(r'name="producer_id" value="([0-9a-f-]{36})"', page)
    assert found
    desk = await seller.post("/ecommerce/tourism/points/new", producer_id=found.group(1), **FORM)
    point = desk.split("/")[4]
    edit = f"/ecommerce/tourism/points/{point}/edit"
    assert 'value="20.81"' in await seller.get(edit)
    page = await seller.post(edit, 412, **FORM, version="7")
    assert "vừa được người khác sửa" in page
    assert await seller.post(edit, **{**FORM, "name": "</script><b>Sen</b>"}, version="1") == desk
    await seller.post(f"/ecommerce/tourism/points/{point}/publish")
    page = await seller.get(f"/ecommerce/tourism/points/{point}")
    assert "<b>Sen" not in page
    assert "&lt;b&gt;Sen" in page
    rival = browser(shop, ("producer", HOME.path), subject="tourism-2")
    await rival.get(edit, 403)
    assert "Homestay" not in await rival.get("/ecommerce/tourism/manage")


async def test_what_waits_comes_first_however_much_was_answered_since(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ecommerce.tourism.desk.PAGE", 1)
    point = await published(shop, name="Bến đò")
    public = f"/ecommerce/tourism/points/{point}"
    reader, officer = browser(shop), browser(shop, ("officer", HOME.path))
    visit = {"day": COMING, "phone": "0912 345 678"}
    await reader.post(f"{public}/bookings", people="4", name="Người Đến Trước", **visit)
    place = await reader.post(f"{public}/bookings", people="7", name="Người Đến Sau", **visit)
    page = await officer.get(f"{public}/manage")
    assert page.index("Người Đến Trước") < page.index("Người Đến Sau")
    answers = re.findall(rf"{public}/bookings/[0-9a-f-]+/answer", page)
    assert await officer.post(answers[1], accept="1") == f"{public}/manage"
    page = await officer.get(f"{public}/manage")
    assert "1 yêu cầu chờ trả lời" in page
    assert page.index("Người Đến Trước") < page.index("Người Đến Sau")
    assert "Ngày này đã nhận 7 người" in page, "before the next yes"
    assert 'href="tel:0912345678">0912&nbsp;345&nbsp;678<' in page
    page = await officer.post(answers[1], 422, accept="0")
    assert "<details open>" in page, "what is wrong is not folded away"
    assert 'value="Nhà có việc"' in await officer.post(answers[1], 409, accept="1", words="Nhà có việc")
    assert await officer.post(answers[1], accept="0", words="Nhà có việc") == f"{public}/manage"
    assert "không nhận được ngày" in await reader.get(place)
    assert f'href="{public}"' in await reader.get(place)


async def test_nobody_is_led_to_a_page_that_refuses_them(shop: Shop) -> None:
    point = await published(shop, name="Chùa Làng")
    viewer, reader = browser(shop, ("viewer", "30/298")), browser(shop)
    listed = await viewer.get(f"/ecommerce/tourism/manage?unit={HOME.code}")
    assert f'href="/ecommerce/tourism/points/{point}"' in listed
    assert f"{point}/manage" not in listed
    nothing = await reader.get(f"/ecommerce/tourism?unit={FOREIGN.code}")
    assert "Chưa có điểm du lịch nào ở đây" in nothing
    assert "/tourism/manage" not in nothing
    narrowed = await reader.get(f"/ecommerce/tourism?unit={HOME.code}&q=khong-co-dau")
    assert "Không có điểm nào hợp" in narrowed
    assert "Chưa có điểm du lịch nào ở đây" not in narrowed
    assert "/bookings#dat-cho" in await reader.get(f"/ecommerce/tourism/points/{point}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(shop: Shop) -> AsyncIterator[str]:
    """The service on a port of its own."""
    async with serving(origin([shop.running.runner])) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def arranged(shop: Shop) -> dict[str, str]:
    """Points on a map, one with everything on it and a request that waits, one closed, one a draft."""
    point = await published(
        shop, opens="07:30", closes="17:00", phone="0912 345 678", phone_agreed=True, price_note="50.000 ₫ một người"
    )
    files = {"photo": ("a.png", picture("PNG", (900, 700)), "image/png")}
    ok(await shop.client.post(f"/ecommerce/api/v1{POINTS}/{point}/photo", files=files, headers=shop.officer))
    code = ok(await shop.post(f"{POINTS}/{point}/bookings", VISIT, {"accept": "*/*"}), 201)["code"]
    places = (("Làng gốm Chu Đậu", "craft_village", 20.84, 106.43), ("Đền Quát", "heritage", 20.81, 106.37))
    for name, kind, lat, lon in places:
        other = await published(shop, name=name, kind=kind, lat=lat, lon=lon, takes_bookings=False)
    ok(await shop.post(f"{POINTS}/{other}/close", {"opens_again_on": COMING}, shop.officer))
    await new_point(shop, name="Cánh đồng hoa cúc", kind="landscape", unit=DUNG.code, lat=None, lon=None)
    return {"point": point, "code": code}


PAGES = {
    "list": (f"/ecommerce/tourism?unit={HOME.code}", False),
    "point": ("/ecommerce/tourism/points/{point}", False),
    "booking": ("/ecommerce/tourism/bookings/{code}", False),
    "form": ("/ecommerce/tourism/points/{point}/edit", True),
    "desk": ("/ecommerce/tourism/points/{point}/manage", True),
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_readable_on_phone_and_desk(
    site: str, arranged: dict[str, str], open_page: OpenPage, name: str
) -> None:
    path, staff = PAGES[name]
    page = await open_page(PHONE)
    if staff:
        value = token(("officer", HOME.path), subject="acc-officer", name="Nguyễn Thị Sen")
        await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": site}])
    await page.goto(site + path.format(**arranged))
    for label, (width, height) in (("360", PHONE), ("1280", DESK)):
        await page.set_viewport_size({"width": width, "height": height})
        await screenshot(page, f"tourism-{name}-{label}")
        await assert_no_sideways_scroll(page)
        assert await axe(page) == []
    assert page_errors(page) == []
