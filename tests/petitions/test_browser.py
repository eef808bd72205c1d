"""The pages of petitions in a real browser: on a telephone and at a desk, by keyboard, and with axe-core's eyes."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from playwright.async_api import Page, expect

from chassis.service import origin
from services.petitions.model import Petition
from tests.petitions import polling
from tests.petitions.people import DAI_SON, NGHIA_DUNG, NGOC_LAM, People, act, answered, file, picture
from tests.support.browser import DESK, PHONE, OpenPage, assert_no_sideways_scroll, axe, page_errors, screenshot
from tests.support.running import Running, serving
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module")
async def site(app: Running, who: People) -> AsyncIterator[str]:
    """The service on a port of its own, with petitions in every state; the address of its origin."""
    async with serving(origin([app.runner])) as address:
        late = await file(
            app, who.resident, description="Nắp cống trước trạm y tế bị mất, trẻ em dễ ngã.", contact_phone="0912345678"
        )
        async with app.tx() as tx:
            await tx.execute(
                sa.update(Petition)
                .where(Petition.id == uuid.UUID(late["id"]))
                .values(due_at=datetime.now(UTC) - timedelta(days=4))
            )
        await file(
            app, who.neighbour, village=NGOC_LAM.code, category="moi_truong", description="Rác đổ đầy bờ mương sau chợ."
        )
        routed = await file(app, who.resident, category="dien_nuoc", description="Đèn đường ngõ 5 không sáng.")
        await act(app, who.officer, routed, "route", department="dia_chinh", note="Hỏi thợ điện.")
        await answered(app, who, description="Đường bê tông cuối thôn nứt vỡ.")
        await file(app, who.resident, category="an_ninh", description="Có nhóm lạ tụ tập đêm ở bãi đất trống.")
        await forum_of(app, who)
        yield address


FORUM = "/petitions/api/v1/forum"


async def forum_of(app: Running, who: People) -> None:
    """A thread in which people of two communes wrote, one that waits for approval, and a post that was reported."""

    async def send(headers: dict[str, str], path: str, **body: object) -> dict[str, str]:
        answer = await app.client.post(FORUM + path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return dict(answer.json()) if answer.content else {}

    said = "Thôn tôi ủ rác hữu cơ làm phân từ năm ngoái.\n\nMỗi nhà một thùng, hai tháng đảo một lần."
    begun = {"topic": "environment", "title": "Phân loại rác tại nhà, thôn nào đã làm?", "village": NGHIA_DUNG.code}
    first = await send(who.officer, "/threads", **begun, body=said, name="Chi, văn phòng xã")
    thread = f"/threads/{first['thread_id']}"
    answer = await send(who.foreign_officer, thread + "/posts", body="Bên tôi hợp tác xã thu gom.", name="Giang")
    await send(who.neighbour, f"/posts/{answer['id']}/report", reason="Chưa đúng với thôn tôi")
    await send(who.resident, thread + "/posts", body="Cho tôi hỏi mua thùng ở đâu?", name="An làng gốm")
    await send(who.officer, thread + "/moderate", action="pin")


async def forum_thread(app: Running) -> str:
    threads = await app.client.get(FORUM + "/threads")
    return str(threads.json()["items"][0]["id"])


async def sign_in(page: Page, site: str, headers: dict[str, str]) -> None:
    value = headers["authorization"].removeprefix("Bearer ")
    await page.context.add_cookies([{"name": "xaso_session", "value": value, "url": site}])


async def newest(app: Running, status: str) -> Petition:
    async with app.tx() as tx:
        query = sa.select(Petition).where(Petition.status == status, Petition.public).order_by(Petition.filed_at.desc())
        found = (await tx.scalars(query)).first()
    assert found is not None
    return found


async def look(page: Page, name: str, size: tuple[int, int]) -> None:
    """No finding, nothing sideways, no error; a picture where one is asked for."""
    if "XASO_SCREENSHOTS" in os.environ:
        await screenshot(page, f"petitions-{name}-{size[0]}")
    assert await axe(page) == [], name
    await assert_no_sideways_scroll(page)
    assert [error for error in page_errors(page) if "404" not in error] == [], name


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_every_page_fits_and_has_no_finding(
    app: Running, who: People, site: str, open_page: OpenPage, size: tuple[int, int]
) -> None:
    answered_case, routed_case = await newest(app, "answered"), await newest(app, "routed")
    resident = [
        ("report", "/petitions/report"),
        ("mine", "/petitions/mine"),
        ("case-answered", f"/petitions/{answered_case.code}"),
        ("sent", f"/petitions/sent/{routed_case.code}"),
        ("forum-new", f"/petitions/forum/new?unit={DAI_SON.code}"),
    ]
    public = [
        ("list", f"/petitions/?unit={DAI_SON.code}"),
        ("list-empty", "/petitions/?q=khong+co+gi+nhu+the"),
        ("find", "/petitions/report?q=dai"),
        ("report-signed-out", f"/petitions/report?unit={DAI_SON.code}"),
        ("case-routed", f"/petitions/{routed_case.code}"),
        ("not-found", "/petitions/PA-2026-999999"),
        ("forum", f"/petitions/forum?unit={DAI_SON.code}"),
    ]
    thread = await forum_thread(app)
    staff = [
        ("inbox", "/petitions/inbox?late=1"),
        ("inbox-case", f"/petitions/inbox/{routed_case.id}"),
        ("forum-thread", f"/petitions/forum/threads/{thread}"),
        ("forum-queue", "/petitions/forum/queue"),
    ]
    polls = await polling.pages_to_look_at(app, who)
    resident = polls["resident"] + resident
    staff += polls["officer"] if size == PHONE else polls["officer"][-2:]
    public = public[:1] + polls["public"][::-1] + public[1:]
    # A telephone is where residents are; at a desk their main pages and the staff's are looked at.
    rounds = [(who.officer, staff), (None, public if size == PHONE else public[:2])]
    rounds.append((who.resident, resident if size == PHONE else resident[:1]))
    for headers, visited in rounds:
        page = await open_page(size)
        if headers:
            await sign_in(page, site, headers)
        for name, path in visited:
            await page.goto(site + path)
            await look(page, name, size)


async def test_a_resident_reports_from_a_telephone_with_a_photo(
    app: Running, who: People, site: str, open_page: OpenPage, tmp_path: Path
) -> None:
    photo = tmp_path / "anh.jpg"
    photo.write_bytes(picture((3000, 2000)))
    page = await open_page(PHONE)
    await sign_in(page, site, who.resident)
    await page.goto(f"{site}/petitions/report")
    await page.set_input_files("#f-photos", photo)
    await expect(page.locator("img.field__photo")).to_be_visible()
    await page.select_option("#f-village", NGHIA_DUNG.code)
    await page.fill("#f-description", "Cây phượng trước sân trường nghiêng, sắp đổ.")
    await page.get_by_role("button", name="Gửi", exact=True).click()
    await expect(page.locator(".code-large")).to_contain_text("PA-")
    await look(page, "receipt", PHONE)
    code = await page.locator(".code-large").inner_text()
    await page.get_by_role("link", name="Xem phản ánh").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(code)
    picture_shown = page.locator("main img").first
    await eventually(lambda: picture_shown.evaluate("(img) => img.complete && img.naturalWidth > 0"))


async def test_the_form_works_without_javascript(app: Running, who: People, site: str, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    await sign_in(page, site, who.neighbour)
    await page.goto(f"{site}/petitions/report")
    await page.get_by_role("button", name="Gửi", exact=True).click()
    await expect(page.locator("#f-description-error")).to_be_visible()
    if "XASO_SCREENSHOTS" in os.environ:
        await screenshot(page, "petitions-report-error-360")
    await page.fill("#f-description", "Bờ kè ao làng sạt một đoạn dài.")
    await page.get_by_role("button", name="Gửi", exact=True).click()
    await expect(page.locator(".code-large")).to_contain_text("PA-")


async def test_the_inbox_is_worked_through_by_keyboard(
    app: Running, who: People, site: str, open_page: OpenPage
) -> None:
    await file(app, who.resident, description="Loa thôn rè, nghe không rõ.", category="vien_thong")
    page = await open_page(DESK)
    await sign_in(page, site, who.officer)
    await page.goto(f"{site}/petitions/inbox?category=vien_thong")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#case h2")).to_contain_text("PA-")
    await page.keyboard.press("a")
    await expect(page.locator("#f-to")).to_be_focused()
    await page.select_option("#f-to", "d:van_hoa")
    await page.get_by_role("button", name="Phân công").click()
    await expect(page.locator(".flash")).to_contain_text("Đã phân công")
    await page.keyboard.press("r")
    await expect(page.locator("#f-text")).to_be_focused()
    await page.keyboard.type("Đã sửa loa.")
    await look(page, "inbox-reply", DESK)
    await page.get_by_role("button", name="Gửi trả lời").click()
    await expect(page.locator(".flash")).to_contain_text("Đã gửi trả lời")
