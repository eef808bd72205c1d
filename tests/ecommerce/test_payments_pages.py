"""The pages of payments without JavaScript: staff collect, a household pays by its link, files come with a preview."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import AsyncIterator
from html import unescape

import pytest_asyncio

from chassis.service import origin
from chassis.units import today
from services.ecommerce.payments.views import month
from tests.ecommerce.conftest import DUNG, FOREIGN, HOME, Shop, ok
from tests.ecommerce.paying import BIN, DUE, PERIOD, bank, charged, household, money, payee
from tests.ecommerce.test_pages import Browser, browser, message_of
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import serving, token

PAYMENTS = "/ecommerce/payments"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def numbers(shop: Shop) -> list[str]:
    """Households of a village."""
    found = [f"{number:03d}" for number in range(1, 6)]
    for number in found:
        await household(shop, DUNG, number)
    return found


def officer(shop: Shop) -> Browser:
    return browser(shop, ("officer", HOME.path), subject="acc-officer")


async def collector(one: Browser, account: str = "0011 0123 4567") -> str:
    """The page of a payee registered by form."""
    form = {"name": "Tổ thu gom rác", "service": "waste", "bank_bin": BIN, "account": account, "holder": "TO THU GOM"}
    return await one.post(f"{PAYMENTS}/payees/new", unit=HOME.code, **form)


async def test_staff_collect_and_a_household_pays_by_its_link(shop: Shop, numbers: list[str]) -> None:
    staff = officer(shop)
    assert "chưa biết bao nhiêu hộ trả trực tuyến" in await staff.get(PAYMENTS)
    here = await collector(staff)
    wrong = {"period": PERIOD, "due_on": DUE, "village": DUNG.code, "number": "404", "amount": "45.000"}
    page = await staff.post(f"{here}/issue", 422, **wrong)
    assert "Không có hộ số 404" in message_of(page, "number")
    assert 'value="404"' in page
    place = await staff.post(f"{here}/issue", **{**wrong, "number": numbers[0]})
    page = await staff.get(place)
    assert "Chưa trả 45.000" in page
    link = re.search(r"/ecommerce/pay/[\w-]+", page)
    code = re.search(r"XS[0-9A-Z]{8}", page)
    assert link is not None
    assert code is not None

    resident = browser(shop)
    answer = await resident.client.get(link[0], headers={"accept": "text/html"})
    told_to_none = [answer.headers[name] for name in ("referrer-policy", "x-robots-tag", "cache-control")]
    assert (answer.status_code, told_to_none) == (200, ["no-referrer", "noindex", "no-store"])
    for told in ("Cần trả 45.000", "Agribank", "001101234567", "TO THU GOM", code[0], f"tháng {month(PERIOD)}"):
        assert told in answer.text, told
    drawn = await resident.client.get(f"{link[0]}/qr.svg")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    await resident.get(f"{link[0]}x", 404)

    notice = money(code[0], 60_000, account="001101234567")
    ok(await shop.post("/bank-notices", notice, bank()))
    assert "Đã trả xong 45.000" in await resident.get(link[0])
    await resident.get(f"{link[0]}/qr.svg", 404)
    page = await staff.get(here)
    assert f"Tháng {month(PERIOD)}: 1/1 hộ đã trả, 1 hộ trả trực tuyến." in page
    assert "trả thừa" in page
    assert f"Năm {today().year}: 1/5 hộ đã trả trực tuyến" in await staff.get(PAYMENTS)
    over = re.search(rf"{PAYMENTS}/notices/[0-9a-f-]+", page)
    assert over is not None
    # What is too much is what is to be given back.
    assert 'value="15.000"' in await staff.get(over[0])
    page = await staff.post(f"{over[0]}/refund", 422, amount="15.000")
    assert message_of(page, "reason")
    await staff.post(f"{over[0]}/refund", amount="15.000", reason="Nộp thừa")
    assert "trả thừa" not in await staff.get(here)
    assert "Nộp thừa" in await staff.get(over[0])
    # A charge made by mistake is nobody's debt, and its page is gone.
    (wrong_one,) = await charged(shop, here.rsplit("/", 1)[1], [(DUNG, numbers[1])])
    gone = wrong_one["page_url"].partition("8080")[2]
    await resident.get(gone)
    await staff.post(f"{PAYMENTS}/charges/{wrong_one['id']}/cancel")
    await resident.get(gone, 404)
    assert "1/1 hộ đã trả" in await staff.get(here)
    # English, and the page behind the link is nobody else's business.
    assert "1/1 households have paid, 1 of them online" in await staff.get(f"{here}?lang=en")


async def test_a_file_of_charges_shows_what_it_would_do_and_does_all_or_nothing(shop: Shop, numbers: list[str]) -> None:
    staff = officer(shop)
    here = await collector(staff, "22220001")
    template = (await staff.client.get(f"{here}/template.csv")).text.lstrip("\ufeff")
    rows = list(csv.DictReader(io.StringIO(template)))
    assert [row["ho"] for row in rows if row["thon"] == DUNG.code] == numbers
    assert {row["so_tien"] for row in rows} == {""}

    async def preview(text: str, status: int = 200) -> str:
        chosen = {"file": ("khoan-thu.csv", text.encode(), "text/csv")}
        return await staff.post(f"{here}/file", status, files=dict(chosen), period=PERIOD, due_on=DUE)

    page = await preview(
        f"thon;ho;so_tien\n{DUNG.code};001;30.000\nx;001;9\n{DUNG.code};;20000\n{DUNG.code};009;-5", 422
    )
    assert "3 chỗ cần sửa" in page
    assert re.findall(r'<th scope="row">Dòng (\d+)</th>', page) == ["3", "4", "5"]
    good = f"\ufeffThôn,Hộ,Số tiền\n{DUNG.code},001,30.000\n{DUNG.code},002,\n{DUNG.code},003,25000\n"
    page = await preview(good)
    assert "Sẽ lập 2 khoản thu" in page
    assert "55.000" in page
    assert "chưa có khoản thu nào" in await staff.get(here)
    kept = re.search(r"<textarea name=\"text\" hidden>\n(.*?)</textarea>", page, re.S)
    assert kept is not None
    text = unescape(kept[1])
    assert await staff.post(f"{here}/file", period=PERIOD, due_on=DUE, text=text) == f"{here}?period={PERIOD}"
    # The same once more: nobody is charged twice.
    assert "2 chỗ cần sửa" in await staff.post(f"{here}/file", 422, period=PERIOD, due_on=DUE, text=text)
    for bad in ("", "x\n1", "\x00", "thon,ho,so_tien\n"):
        page = await preview(bad, 422)
        assert message_of(page, "file"), bad
    exported = (await staff.client.get(f"{here}/charges.csv?period={PERIOD}")).text
    taken = list(csv.DictReader(io.StringIO(exported.lstrip("\ufeff"))))
    assert [(row["Hộ số"], row["Số tiền (đồng)"], row["Trạng thái"]) for row in taken] == [
        ("001", "30000", "chưa trả"),
        ("003", "25000", "chưa trả"),
    ]
    for bad in ("đ", "2026-13", "%00", "2026-1\r"):
        answer = await staff.client.get(f"{here}/charges.csv", params={"period": bad})
        assert answer.status_code == 422, bad


async def test_a_statement_is_reconciled_once(shop: Shop, numbers: list[str]) -> None:
    staff = officer(shop)
    id = await payee(shop, HOME, account="33330001")
    here = f"{PAYMENTS}/payees/{id}"
    first, second = await charged(shop, id, [(DUNG, "001"), (DUNG, "002")])
    ok(await shop.post("/bank-notices", money(first["code"], account="33330001", transaction_id="T1",
                                              paid_at="2026-11-05T01:30:00Z"), bank()))  # fmt: skip
    head = "ma_giao_dich,thoi_gian,so_tien,noi_dung\n"
    said = unicodedata.normalize("NFD", "không rõ")
    rows = f"T2,05/11/2026 09:00,30.000,{second['code']} nop tien\nT3,05/11/2026 09:05,10000,{said}\n"

    async def send(text: str, status: int = 200) -> str:
        return await staff.post(f"{here}/statement", status, files={"file": ("sk.csv", text.encode(), "text/csv")})

    page = await send(
        f"{head}T2,31/02/2026,1,a\nT3,05/11/2099 09:00,1,a\nT4,05/11/2026 09:00,x,a\nT4,05/11/2026 9:00,1,", 422
    )
    assert "4 chỗ cần sửa" in page
    known = f"T1,2026-11-05 08:30:00,30000,CT DEN: {first['code'].lower()} nop tien thang nay\n"
    page = await send(head + known + rows)
    assert "3 giao dịch" in page
    assert "1 đã báo trước đó, 1 không rõ" in page
    for _ in range(2):
        await staff.post(f"{here}/statement", text=head + known + rows)
    page = await staff.get(here)
    assert "2/2 hộ đã trả, 2 hộ trả trực tuyến" in page
    assert page.count("chưa rõ khoản nào") == 1
    assert unicodedata.normalize("NFC", said) in page
    # Staff find out whose it is.
    (third,) = await charged(shop, id, [(DUNG, "003")], 10_000)
    waiting = re.search(rf"{PAYMENTS}/notices/[0-9a-f-]+", page)
    assert waiting is not None
    assert "Ghi vào khoản thu" in await staff.get(waiting[0])
    assert message_of(await staff.post(f"{waiting[0]}/place", 422, code="XS"), "code")
    assert message_of(await staff.post(f"{waiting[0]}/place", 422), "code")
    assert message_of(await staff.post(f"{waiting[0]}/place", 409, code=first["code"]), "code")
    place = await staff.post(f"{waiting[0]}/place", code=third["code"])
    assert place == f"{PAYMENTS}/charges/{third['id']}"
    assert "Ghi vào khoản thu" not in await staff.get(waiting[0])
    assert "3/3 hộ đã trả, 3 hộ trả trực tuyến" in await staff.get(here)


async def test_a_business_is_proven_by_a_test_payment_or_by_staff(shop: Shop) -> None:
    staff = officer(shop)
    form = {"name": "Quán nước Sen", "registration": "0801 234 567", "unit": DUNG.code}
    assert message_of(await staff.post(f"{PAYMENTS}/businesses/new", 422, **form, account="123"), "account")
    proven = await staff.post(
        f"{PAYMENTS}/businesses/new", **form, bank_bin=BIN, account="44440001", holder="NGUYEN THI SEN"
    )
    page = await staff.get(proven)
    code = re.search(r"XT[0-9A-Z]{8}", page)
    assert code is not None
    assert (await staff.client.get(f"{proven}/qr.svg")).status_code == 200
    answer = ok(await shop.post("/bank-notices", money(code[0], 1_000, account="44440001"), bank()))
    assert answer["state"] == "test"
    assert "VietQR, đã thử" in await staff.get(proven)
    again = await staff.post(f"{PAYMENTS}/businesses/new", 409, **form)
    assert "đã có trong danh sách" in message_of(again, "registration")
    other = await staff.post(f"{PAYMENTS}/businesses/new", **{**form, "registration": "0801234568"})
    tomorrow = f"{today().year + 1}-01-01"
    assert message_of(
        await staff.post(f"{other}/online", 422, online_since=tomorrow, evidence="Biên bản"), "online_since"
    )
    await staff.post(f"{other}/online", online_since="2026-05-01", evidence="Biên bản 12/BB-UBND")
    assert "Biên bản 12/BB-UBND" in await staff.get(other)
    assert "2/2 cơ sở" in await staff.get(f"{PAYMENTS}/businesses")
    await staff.post(f"{other}/offline")
    assert "1/2 cơ sở" in await staff.get(PAYMENTS)
    await staff.post(f"{other}/end")
    assert "1/1 cơ sở" in await staff.get(PAYMENTS)
    await staff.post(f"{other}/online", 409, online_since="2026-05-01", evidence="Biên bản")
    stranger = browser(shop, ("officer", FOREIGN.path))
    await stranger.get(proven, 404)
    # Who watches over many communes is told where a payee collects.
    await payee(shop, HOME)
    assert f'<span class="muted">{HOME.name}</span>' in await browser(shop, ("viewer", "30")).get(PAYMENTS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(shop: Shop) -> AsyncIterator[str]:
    """The service on a port of its own."""
    async with serving(origin([shop.running.runner])) as address:
        yield address


async def test_pages_of_payments_are_readable_on_phone_and_desk(
    shop: Shop, site: str, numbers: list[str], open_page: OpenPage
) -> None:
    id = await payee(shop, HOME, account="55550001", name="HTX dịch vụ môi trường và nước sạch Đại Sơn")
    first, second, _ = await charged(shop, id, [(DUNG, number) for number in numbers[:3]])
    for _ in range(2):
        double = ok(await shop.post("/bank-notices", money(first["code"], account="55550001"), bank()))
    shops = {"name": "Tiệm cắt tóc Hồng", "registration": "0809999999", "unit": DUNG.code}
    shops |= {"bank_bin": BIN, "account": "55550002", "holder": "TRAN THI HONG"}
    business = ok(await shop.post("/businesses", shops, shop.officer), 201)["id"]
    page = await open_page(PHONE)
    value = token(("officer", HOME.path), subject="acc-officer", name="Nguyễn Thị Sen")
    await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": site}])
    shown = {
        "pay": second["page_url"].partition("8080")[2],
        "payee": f"{PAYMENTS}/payees/{id}",
        "charge": f"{PAYMENTS}/charges/{second['id']}",
        "notice": f"{PAYMENTS}/notices/{double['id']}",
        "business": f"{PAYMENTS}/businesses/{business}",
    }
    for name, path in shown.items():
        await page.goto(site + path)
        for label, (width, height) in (("360", PHONE), ("1280", DESK)):
            await page.set_viewport_size({"width": width, "height": height})
            await screenshot(page, f"ecommerce-payments-{name}-{label}")
            await assert_no_sideways_scroll(page)
        for consequence in await page.locator("main summary").all():
            await consequence.click()
        assert await axe(page) == [], name
    assert page_errors(page) == []
