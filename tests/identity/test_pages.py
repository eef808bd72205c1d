"""The pages: forms without JavaScript, and every page in a real browser on a phone and on a desk."""

from __future__ import annotations

import csv
import io
import re

import httpx
import pytest
from playwright.async_api import Page

from tests.identity.people import SECRETS, Live, sign_in
from tests.support.browser import (
    DESK,
    PHONE,
    OpenPage,
    assert_no_sideways_scroll,
    axe,
    page_errors,
    screenshot,
)

HTML = {"accept": "text/html"}


async def post(browser: httpx.AsyncClient, path: str, status: int = 303, /, **fields: str) -> httpx.Response:
    answer = await browser.post(path, data={"csrf_token": browser.cookies["xaso_csrf"], **fields}, headers=HTML)
    assert answer.status_code == status, answer.text
    return answer


async def text(browser: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await browser.get(path, headers=HTML)
    assert answer.status_code == status, answer.text
    return answer.text


async def enter_village(browser: httpx.AsyncClient, name: str) -> str:
    """Enter a village by the form and return its code."""
    await post(browser, "/identity/units/11083/villages", name=name, kind="thon")
    found = re.search(
        rf"Thôn {name} <span class=\"muted\">(11083-\d+)</span>", await text(browser, "/identity/units/11083")
    )
    assert found
    return found.group(1)


async def test_an_officer_enters_a_village_and_keeps_its_team_by_forms(live: Live) -> None:
    async with live.browser() as browser:
        await sign_in(browser, "officer")
        refused = await post(browser, "/identity/units/11083/villages", 422, name="", kind="thon")
        assert 'id="f-name-error"' in refused.text
        code = await enter_village(browser, "Nghĩa Dũng")
        again = await post(browser, "/identity/units/11083/villages", 409, name="nghĩa dũng", kind="thon")
        assert "Xã này đã có Thôn nghĩa dũng." in again.text
        assert 'value="nghĩa dũng"' in again.text, "what was typed is kept"
        form = {"unit": code, "name": "Tổ thôn Nghĩa Dũng", "member_count": "abc", "registered_on": "2024-01-01"}
        wrong = await post(browser, "/identity/teams/new", 422, **form)
        assert 'id="f-member_count-error"' in wrong.text
        made = await post(browser, "/identity/teams/new", **{**form, "member_count": "7"})
        place = made.headers["location"]
        activity = {"kind": "class", "content": "safety", "participants": "3", "note": "Riêng"}
        await post(browser, f"{place}/activities", 422, **{**activity, "held_on": "2999-01-01"})
        unsaid = await post(
            browser, f"{place}/activities", 422, held_on="2024-02-01", content="safety", participants="3"
        )
        assert 'id="f-kind-error"' in unsaid.text, "nobody's activity is taken for guidance unasked"
        await post(browser, f"{place}/activities", **{**activity, "held_on": "2024-02-01"})
        page = await text(browser, place)
        assert "Kỹ năng bảo đảm an toàn thông tin" in page
        assert '<td data-label="Loại">Lớp kỹ năng số</td>' in page
        async with live.browser() as public:
            page = await text(public, place)
            assert "Riêng" not in page
            assert "Ghi hoạt động" not in page
            assert (
                (await public.get(f"{place}/dissolve", headers=HTML)).headers["location"].startswith("/identity/login")
            )
        assert "Giải thể" in await text(browser, f"{place}/dissolve")
        await post(browser, f"{place}/dissolve")
        assert "Tổ đã giải thể ngày" in await text(browser, place)
        await text(browser, f"{place}/dissolve", 409)
        await text(browser, "/identity/teams/not-an-id", 422)


async def test_staff_publish_their_contact_and_withdraw_it(live: Live) -> None:
    async with live.browser() as browser, live.browser() as public:
        await sign_in(browser, "officer")
        contact = {"position": "=Công chức văn hóa", "phone": "0220 3123 456", "email": "vh@daison.example"}
        refused = await post(browser, "/identity/account/contact", 422, **contact)
        assert "Cần đồng ý thì mới hiện" in refused.text
        await post(browser, "/identity/account/contact", consent="1", **contact)
        listed = (await public.get("/identity/api/v1/directory", params={"q": "cong chuc"})).json()["items"]
        assert [(e["unit"], e["phone"]) for e in listed] == [("11083", "0220 3123 456")]
        assert "0220 3123 456" in await text(public, "/identity/directory?unit=11083")
        assert "0220 3123 456" not in await text(public, "/identity/directory?unit=11086")
        table = (await public.get("/identity/directory.csv")).content.decode("utf-8")
        assert table.startswith("\ufeff")
        rows = list(csv.reader(io.StringIO(table.removeprefix("\ufeff"))))
        assert rows[1][:3] == ["Công chức xã Đại Sơn", "'=Công chức văn hóa", "Xã Đại Sơn"], "no cell is a formula"
        data = (await browser.get("/identity/account/export")).json()
        assert data["public_contact"]["email"] == "vh@daison.example"
        await post(browser, "/identity/account/contact/withdraw")
        assert (await public.get("/identity/api/v1/directory")).json()["items"] == []
        await sign_in(browser, "resident")
        await post(browser, "/identity/account/contact", 403, consent="1", **contact)


async def test_a_leader_keeps_accounts_by_forms(live: Live) -> None:
    async with live.browser() as browser:
        await sign_in(browser, "leader")
        form = {
            "name": "Vũ Thị Hoa",
            "username": "vthoa",
            "password": "một câu dài",
            "role": "officer",
            "unit": "11083",
        }
        bad = await post(browser, "/identity/accounts/new", 422, **{**form, "password": "ngắn"})
        assert 'id="f-password-error"' in bad.text
        assert "Vũ Thị Hoa" in bad.text
        await post(browser, "/identity/accounts/new", 403, **{**form, "role": "admin"})
        place = (await post(browser, "/identity/accounts/new", **form)).headers["location"]
        await post(browser, f"{place}/grants", role="viewer", unit="11083")
        page = await text(browser, place)
        assert "Theo dõi" in page
        grant = re.search(r"grants/([0-9a-f-]{36})/revoke", page)
        assert grant
        await post(browser, f"{place}/grants/{grant.group(1)}/revoke")
        assert "Vũ Thị Hoa" in await text(browser, "/identity/accounts?q=vu thi hoa")
        await sign_in(browser, "officer")
        await text(browser, "/identity/accounts", 403)
        await text(browser, place, 404)


@pytest.mark.parametrize("path", ["/identity/account", "/identity/accounts", "/identity/teams/new"])
async def test_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back(live: Live, path: str) -> None:
    async with live.browser() as browser:
        answer = await browser.get(path, headers=HTML)
        assert answer.headers["location"] == f"/identity/login?next={path}"
        page = await browser.get(answer.headers["location"], headers=HTML)
        person = SECRETS["admin"]
        form = {"login": person["user"], "password": person["password"], "next": path}
        assert f'name="next" value="{path}"' in page.text
        assert (await post(browser, "/identity/login", **form)).headers["location"] == path


async def test_an_empty_form_names_its_fields_from_the_top(live: Live) -> None:
    async with live.browser() as browser:
        await text(browser, "/identity/login")
        page = await post(browser, "/identity/login", 422, login="", password="")
        links = re.findall(r'<a href="#f-(\w+)">([^<]+)</a>', page.text)
        assert links == [
            ("login", "Số điện thoại hoặc tên đăng nhập: chưa nhập mục này."),
            ("password", "Mật khẩu: chưa nhập mục này."),
        ]


PUBLIC = (
    "/identity/",
    "/identity/login",
    "/identity/register",
    "/identity/register?q=dai+son",
    "/identity/register?unit=11083",
    "/identity/directory",
    "/identity/teams",
    "/identity/households?unit=11083",
    "/identity/units/30",
    "/identity/units?q=son",
)
STAFF = (
    "/identity/account",
    "/identity/account/erase",
    "/identity/accounts",
    "/identity/accounts/new?q=hung",
    "/identity/units/11083",
    "/identity/teams/new",
    "/identity/households/new",
    "/identity/households/import?unit=11083",
    "/identity/?lang=en",
)


def picture(size: tuple[int, int], path: str) -> str:
    """The name of a page's picture; ids are left out, so that a run replaces the pictures of the one before."""
    return f"identity-{size[0]}" + re.sub(r"[0-9a-f-]{36}", "one", path).replace("/", "_")


async def looked_at(page: Page, url: str, name: str, *, judged: bool) -> None:
    """Open, take a picture, expect no error, nothing to scroll sideways and, where `judged`, nothing from axe."""
    await page.goto(url)
    await screenshot(page, name)
    if judged:
        assert await axe(page) == [], url
    assert page_errors(page) == [], url
    await assert_no_sideways_scroll(page)


async def some_life(live: Live, name: str) -> list[str]:
    """A village with an active team and a listed officer; the addresses of their pages."""
    async with live.browser() as browser:
        await sign_in(browser, "officer")
        code = await enter_village(browser, name)
        form = {"unit": code, "name": f"Tổ thôn {name}", "member_count": "7", "registered_on": "2024-01-01"}
        team = (await post(browser, "/identity/teams/new", **form)).headers["location"]
        for kind, content in (("class", "safety"), ("support", "cashless")):
            activity = {"kind": kind, "content": content, "held_on": "2024-02-01", "participants": "30"}
            await post(browser, f"{team}/activities", **activity)
        contact = {"position": "Công chức văn hóa", "phone": "0220 3123 456", "email": "vh@daison.example"}
        await post(browser, "/identity/account/contact", consent="1", **contact)
        me = (await browser.get("/identity/api/v1/me")).json()["subject"]
        household = {"unit": code, "number": "12", "people": "4", "address": "Ngõ Đình", "livelihood": "crafts"}
        register = (await post(browser, "/identity/households/new", **household)).headers["location"]
    units = f"/identity/units/{code}"
    lists = ["/identity/teams", "/identity/directory", register]
    return [team, f"{team}/dissolve", units, *lists, f"/identity/accounts/{me}"]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_every_page_is_readable_by_everybody(live: Live, open_page: OpenPage, size: tuple[int, int]) -> None:
    page = await open_page(size)
    more = await some_life(live, f"Ngũ Hành {size[0]}")
    # The markup is the same at either size: axe judges it where it is tightest, and the eye sees both.
    judged = size == PHONE
    for path in PUBLIC:
        await looked_at(page, live.url + path, picture(size, path), judged=judged)
    await page.goto(f"{live.url}/identity/login?next=/identity/account")
    await page.fill("#f-login", SECRETS["leader"]["user"])
    await page.fill("#f-password", "sai mật khẩu")
    await page.click("main button[type=submit]")
    await page.wait_for_selector(".errors")
    await screenshot(page, f"identity-{size[0]}-login-refused")
    assert await axe(page) == []
    page_errors(page).clear()  # The browser itself notes the answer 422, which is the one expected here.
    await page.fill("#f-password", SECRETS["leader"]["password"])
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/identity/account")
    for path in (*STAFF, *more):
        await looked_at(page, live.url + path, picture(size, path), judged=judged)


async def test_a_resident_registers_on_a_phone_without_javascript(live: Live, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    await page.goto(f"{live.url}/identity/register")
    await page.fill("#f-q", "dai son")
    await page.click("main button[type=submit]")
    await page.click("text=Xã Đại Sơn")
    await page.fill("#f-name", "Đào Thị Mận")
    await page.fill("#f-phone", "0933 222 111")
    await page.fill("#f-password", "vải thiều Thanh Hà")
    await page.check("#f-consent")
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/identity/account")
    assert "Đào Thị Mận" in await page.inner_text("h1")
    assert "Người dân" in await page.inner_text("main")
