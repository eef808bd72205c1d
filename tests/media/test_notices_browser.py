"""Notices in a real browser: plain forms without JavaScript, a phone that follows, shows a notice and says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from chassis.service import origin
from services.media.notices.push import Post, vapid_for
from services.media.notices.sender import Sender
from tests.media.conftest import COMMUNE, NGHIA_DUNG, QUAY, Media
from tests.media.phones import Phone, push_service
from tests.support.browser import (
    DESK,
    PHONE,
    OpenPage,
    assert_no_sideways_scroll,
    axe,
    page_errors,
    screenshot,
)
from tests.support.running import serving, token
from tests.support.waiting import eventually

OFFICER = ("officer", COMMUNE.path)
TEXT = "Mời bà con đến nhà văn hóa thôn lúc 19 giờ 30 tối thứ Sáu.\nMang theo sổ hộ khẩu cũ nếu còn giữ."
SUBSCRIBES = """(phone) => {
    // No push service of a browser vendor can be reached from here: its part, and nothing else, is played by the test.
    const {endpoint} = phone;
    const made = {endpoint, toJSON: () => ({endpoint, keys: phone}), unsubscribe: async () => true};
    PushManager.prototype.subscribe = async function (wanted) {
        if (new Uint8Array(wanted.applicationServerKey).length !== 65) throw new Error("no key");
        window.subscribed = made;
        return made;
    };
    PushManager.prototype.getSubscription = async () => window.subscribed ?? null;
}"""
SHOWS = """() => {
    // A browser without a screen grants no leave to show notices, whatever it was asked for: it keeps them instead.
    self.shown = [];
    const show = async (title, options) => { self.shown.push({title, ...options}); };
    ServiceWorkerRegistration.prototype.showNotification = show;
}"""
CLICK = """() => {
    const click = new ExtendableEvent("notificationclick");
    click.notification = {...self.shown[0], close: () => {}};
    self.dispatchEvent(click);
}"""


NIGHTS = """() => [["general", 21], ["general", 5], ["general", 6], ["general", 20], ["security", 0], ["climate", 0]]
    .map(([topic, hour]) => {
        Date.prototype.getHours = () => hour;
        return quiet({topic});
    })"""
RENEWS = """([old, made]) => {
    const change = new ExtendableEvent("pushsubscriptionchange");
    change.oldSubscription = {endpoint: old.endpoint};
    change.newSubscription = {endpoint: made.endpoint, toJSON: () => ({keys: {p256dh: made.p256dh, auth: made.auth}})};
    self.dispatchEvent(change);
}"""


async def nothing(media: Media, phone: dict[str, str]) -> bool:
    """Whether a phone follows no village."""
    return (await media.post("/subscriptions/mine", phone, by={})).json()["items"] == []


@pytest.fixture(scope="module")
async def address(media: Media) -> AsyncIterator[str]:
    """The service on a port, for browsers."""
    async with serving(origin([media.running.runner])) as address:
        yield address


async def sign_in(page: Page, address: str) -> None:
    await page.context.add_cookies([{"name": "xaso_session", "value": token(OFFICER), "url": address}])


async def published(media: Media, title: str, **more: Any) -> str:
    body = {"unit": NGHIA_DUNG.code, "topic": "general", "title": title, "text": TEXT, **more}
    answer = await media.post("/notices", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_staff_write_and_withdraw_with_plain_forms(media: Media, address: str, open_page: OpenPage) -> None:
    page = await open_page(DESK, javascript=False)
    await sign_in(page, address)
    await page.goto(f"{address}/media/?unit={COMMUNE.code}")
    await page.get_by_role("link", name="Thông báo đến điện thoại").click()
    await page.get_by_role("link", name="Viết thông báo").click()
    await page.get_by_role("button", name="Đăng thông báo").click()
    await expect(page.get_by_role("alert")).to_contain_text("Tiêu đề")
    await page.get_by_label("sức khỏe").check()
    await page.get_by_label("Tiêu đề").fill("Tiêm phòng dại cho chó, mèo")
    await page.get_by_label("Nội dung").fill(TEXT)
    await page.get_by_label(QUAY.name).check()
    await page.get_by_label("Đăng lúc").fill("2020-01-01T08:00")
    await page.get_by_role("button", name="Đăng thông báo").click()
    await expect(page.get_by_role("alert")).to_contain_text("phải sau bây giờ")
    await expect(page.get_by_label("Tiêu đề")).to_have_value("Tiêm phòng dại cho chó, mèo")
    await page.get_by_label("Đăng lúc").fill("")
    await page.get_by_role("button", name="Đăng thông báo").click()
    await expect(page.get_by_text("lúc đó chưa máy nào đăng ký nhận")).to_be_visible()
    await page.get_by_role("link", name="Thu hồi thông báo").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Thu hồi thông báo “Tiêm phòng dại")
    await page.get_by_role("button", name="Thu hồi thông báo").click()
    await expect(page.get_by_text("Đã thu hồi lúc")).to_be_visible()


async def test_staff_enter_the_waste_calendar_with_plain_forms(media: Media, address: str, open_page: OpenPage) -> None:
    page = await open_page(PHONE, javascript=False)
    await sign_in(page, address)
    await page.goto(f"{address}/media/villages/{QUAY.code}")
    await page.get_by_role("link", name="Lịch thu gom rác").click()
    await page.get_by_label("rác tái chế").check()
    await page.get_by_label("Các ngày trong tháng").fill("1; 40")
    await page.get_by_label("Từ mấy giờ?").fill("07:30")
    await page.get_by_role("button", name="Ghi lịch").click()
    await expect(page.get_by_role("alert")).to_contain_text("từ 1 đến 31")
    await page.get_by_label("Các ngày trong tháng").fill("15; 1")
    await page.get_by_role("button", name="Ghi lịch").click()
    await expect(page.get_by_text("ngày 1, 15 hằng tháng từ 07:30").first).to_be_visible()
    await page.get_by_role("link", name=f"Trang thông báo của {QUAY.name}").click()
    await expect(page.get_by_text("Rác tái chế: ngày 1, 15 hằng tháng từ 07:30")).to_be_visible()
    await page.go_back()
    await page.get_by_role("link", name="Bỏ lịch này").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Bỏ lịch thu gom rác tái chế?")
    await page.get_by_role("link", name="Không, quay lại").click()
    await page.get_by_role("link", name="Bỏ lịch này").click()
    await page.get_by_role("button", name="Bỏ lịch này").click()
    await expect(page.get_by_text("Chưa ghi lịch nào.")).to_be_visible()


async def test_a_phone_follows_shows_a_notice_and_says_so(media: Media, address: str, open_page: OpenPage) -> None:
    async with push_service() as service:
        media.settings.push_host = service.host
        phone = Phone(service.host)
        page = await open_page(PHONE)
        await page.context.grant_permissions(["notifications"], origin=address)
        # A member of staff is a phone like any other: what they are signed in as is not sent along.
        await sign_in(page, address)
        await page.add_init_script(f"({SUBSCRIBES})({json.dumps(phone.described)})")
        cdp = await page.context.new_cdp_session(page)
        workers: list[str] = []
        cdp.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda told: workers.extend(one["registrationId"] for one in told["registrations"]),
        )
        await cdp.send("ServiceWorker.enable")
        await page.goto(f"{address}/media/notices?unit={NGHIA_DUNG.code}")
        await page.get_by_text("Chỉ nhận về một số việc").click()
        ticks = await page.get_by_role("checkbox").all()
        for tick in ticks:
            await tick.uncheck()
        await page.get_by_role("button", name="Nhận thông báo").click()
        await expect(page.locator("[data-push-status]")).to_have_text("Hãy chọn ít nhất một việc.")
        for tick in ticks:
            await tick.check()
        for other in ("nông nghiệp", "sức khỏe"):
            await page.get_by_label(other).uncheck()
        await page.get_by_role("button", name="Nhận thông báo").click()
        await expect(page.locator("[data-push-status]")).to_have_text("Máy này đang nhận thông báo của thôn.")
        unasked = await published(media, "Sâu cuốn lá", topic="agriculture")
        assert (await media.get(f"/notices/{unasked}")).json()["subscriptions"] == 0
        asked = await published(media, "Họp thôn tối thứ Sáu")
        settings = media.settings
        post = Post(vapid_for(settings.secret.get_secret_value(), settings.push_from), host=service.host, timeout=5)
        await Sender(media.running.runner.runtime.sessions, settings).carry(post)
        await post.close()
        (arrived,) = service.of(phone)
        said = phone.read(arrived.body)
        await eventually(lambda: bool(workers))
        (worker,) = page.context.service_workers
        await worker.evaluate(SHOWS)
        message = {"origin": address, "registrationId": workers[-1], "data": json.dumps(said)}
        await cdp.send("ServiceWorker.deliverPushMessage", message)

        async def stands(received: int, opened: int) -> bool:
            shown = (await media.get(f"/notices/{asked}")).json()
            return (shown["received"], shown["opened"]) == (received, opened)

        await eventually(lambda: stands(1, 0))
        assert await worker.evaluate("() => self.shown.map((one) => one.title)") == ["Họp thôn tối thứ Sáu"]
        await worker.evaluate(CLICK)
        await eventually(lambda: stands(1, 1))
        assert await worker.evaluate(NIGHTS) == [True, True, False, False, True, False]
        renewed = Phone(service.host)
        await worker.evaluate(RENEWS, [phone.described, renewed.described])
        mine = {"endpoint": renewed.endpoint}

        async def followed() -> int:
            return len((await media.post("/subscriptions/mine", mine, by={})).json()["items"])

        await eventually(followed)
        gone = {"endpoint": phone.endpoint}
        await eventually(lambda: nothing(media, gone))
        (kept,) = (await media.post("/subscriptions/mine", mine, by={})).json()["items"]
        assert kept["unit"] == NGHIA_DUNG.code
        assert "agriculture" not in kept["topics"]
        assert "climate" in kept["topics"]
        await page.evaluate(
            "(phone) => Object.assign(window.subscribed, {endpoint: phone.endpoint})", renewed.described
        )
        await page.get_by_role("button", name="Bỏ nhận").click()
        await expect(page.locator("[data-push-status]")).to_have_text("Máy này không nhận thông báo của thôn nữa.")
        later = await published(media, "Sau đó")
        assert (await media.get(f"/notices/{later}")).json()["subscriptions"] == 0
        assert page_errors(page) == []
        media.settings.push_host = ""


async def test_a_browser_that_may_not_show_notices_says_so(media: Media, address: str, open_page: OpenPage) -> None:
    page = await open_page(PHONE)
    await page.add_init_script("Notification.requestPermission = async () => 'denied'")
    await page.goto(f"{address}/media/notices?unit={NGHIA_DUNG.code}&lang=en")
    await page.get_by_role("button", name="Get notices").click()
    await expect(page.locator("[data-push-status]")).to_contain_text("does not let notices be shown")
    plain = await open_page(PHONE, javascript=False)
    await plain.goto(f"{address}/media/notices?unit={NGHIA_DUNG.code}")
    # Emulated, JavaScript is off for scripts only: what stands in noscript is there, and not drawn.
    assert "đang tắt JavaScript" in (await plain.locator("noscript").inner_text())
    await expect(plain.get_by_role("button", name="Nhận thông báo")).to_be_hidden()


async def test_every_page_of_notices_looks_right_and_is_accessible(
    media: Media, address: str, open_page: OpenPage
) -> None:
    notice = await published(media, "Cúp điện từ 7 giờ đến 11 giờ sáng thứ Ba để sửa đường dây qua đình làng")
    await published(media, "Bão số 9: gặt sớm, chằng chống nhà cửa", topic="climate", unit=COMMUNE.code)
    rule = {"unit": NGHIA_DUNG.code, "kind": "household", "weekdays": [2, 4, 6], "at": "05:30"}
    assert (await media.post("/waste-rules", rule)).status_code == 201
    public = {
        "notices-village": f"/media/notices?unit={NGHIA_DUNG.code}",
        "notices-commune": f"/media/notices?unit={COMMUNE.code}",
        "notices-nobody": "/media/notices",
        "notice": f"/media/notices/{notice}",
    }
    staff = {
        "notice-staff": f"/media/notices/{notice}",
        "notice-desk": f"/media/notices/desk?unit={COMMUNE.code}",
        "notice-new": f"/media/notices/new?unit={COMMUNE.code}",
        "notice-withdraw": f"/media/notices/{notice}/withdraw",
        "waste": f"/media/villages/{NGHIA_DUNG.code}/waste",
    }
    wide = {name: staff[name] for name in ("notice-staff", "notice-desk", "waste")}
    for size, paths in ((PHONE, public | staff), (DESK, wide)):
        page = await open_page(size)
        for name, path in paths.items():
            if name == "notice-staff":
                await sign_in(page, address)
            answer = await page.goto(f"{address}{path}")
            assert answer is not None
            assert answer.status == 200, name
            await assert_no_sideways_scroll(page)
            assert await axe(page) == [], name
            await screenshot(page, f"media-{name}-{size[0]}")
        assert page_errors(page) == []
