"""The pages as people use them: forms without JavaScript, what each role sees, and the look in a real browser."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from playwright.async_api import Page

from chassis.db import now
from chassis.service import origin
from services.media.vault import vault_for
from services.media.watching import looks, pictures
from services.media.watching.capture import Recording
from services.media.watching.model import Alert, Kind
from tests.media.conftest import COMMUNE, FOREIGN, NGHIA_DUNG, OTHER_COMMUNE, QUAY, Media
from tests.support.browser import (
    DESK,
    PHONE,
    OpenPage,
    assert_no_sideways_scroll,
    axe,
    page_errors,
    screenshot,
)
from tests.support.camera import clip, packets
from tests.support.running import bearer, csrf, serving, token

EVERYWHERE = pictures.Question(uuid.UUID(int=1), Kind.ZONE, ((0, 0), (100, 0), (100, 100), (0, 100)), 1)


async def signed_in(media: Media, *grants: tuple[str, str]) -> httpx.AsyncClient:
    """A browser with a session."""
    client = media.running.fresh_client()
    client.cookies.set("xaso_session", token(*grants))
    return client


async def submit(client: httpx.AsyncClient, page: str, action: str | None = None, **fields: object) -> httpx.Response:
    """Open a page and send its form."""
    form = {"csrf_token": await csrf(client, page), **fields}
    return await client.post(action or page, data=form)


async def test_an_officer_registers_a_loudspeaker_and_sees_the_secret_once(media: Media, unique: str) -> None:
    async with await signed_in(media, ("officer", COMMUNE.path)) as client:
        village = f"/media/villages/{NGHIA_DUNG.code}"
        added = await submit(client, village, f"{village}/clusters", name=f"Xóm {unique}")
        assert added.status_code == 303, added.text
        listed = await client.get(village)
        assert f"Xóm {unique}" in listed.text
        page = f"{village}/loudspeakers/new"
        fields = {"name": f"Loa {unique}", "smart": "1", "idempotency_key": unique}
        made = await submit(client, page, **fields)
        assert made.status_code == 201, made.text
        secret = re.search(r"<dd>([a-z2-7]{32})</dd>", made.text)
        assert secret is not None
        again = await submit(client, page, **fields)
        assert again.headers["idempotency-replayed"] == "true"
        assert secret[1] not in again.text
        speaker = re.search(r"/media/loudspeakers/[0-9a-f-]{36}", made.text)
        assert speaker is not None
        shown = await client.get(speaker[0])
        assert f"Loa {unique}" in shown.text
        assert secret[1] not in shown.text


async def test_a_wrong_form_comes_back_with_what_was_typed(media: Media, unique: str) -> None:
    async with await signed_in(media, ("officer", COMMUNE.path)) as client:
        page = f"/media/villages/{NGHIA_DUNG.code}/cameras/new"
        address = "http://admin:bimat@10.0.0.9/live"
        answer = await submit(client, page, name=f"Cổng {unique}", place="main_road", url=address)
        assert answer.status_code == 422
        assert f"Cổng {unique}" in answer.text
        assert "rtsp://" in answer.text
        assert "bimat" not in answer.text
        nothing = await submit(client, page, name="", url="")
        assert nothing.status_code == 422
        assert 'id="f-name-error"' in nothing.text
        assert 'id="f-place-error"' in nothing.text


async def test_a_test_is_asked_for_in_words(media: Media, unique: str) -> None:
    await media.speaker(f"Loa {unique}")
    async with await signed_in(media, ("officer", COMMUNE.path)) as client:
        page = f"/media/villages/{NGHIA_DUNG.code}/test"
        asked = await client.get(page)
        assert "0 loa ở Thôn Nghĩa Dũng sẽ phát thử trong 10 giây." in asked.text
        assert re.search(r"[1-9]\d* loa chưa sẵn sàng chỉ phát nếu kết nối lại trước", asked.text)
        sent = await submit(client, page)
        assert sent.status_code == 303
        proof = await client.get(sent.headers["location"])
        assert "loa đã phát xong bản tin thử 10 giây" in proof.text
        twice = await submit(client, page)
        assert twice.status_code == 409
        assert "đang phát thử một bản tin khác" in twice.text
        cancelled = await submit(client, sent.headers["location"], f"{sent.headers['location']}/cancel")
        assert cancelled.status_code == 303
        assert "Bản tin đã hủy lúc" in (await client.get(sent.headers["location"])).text


async def test_residents_see_how_far_the_loudspeakers_reach_and_no_cameras(media: Media, unique: str) -> None:
    await media.speaker(f"Loa {unique}")
    body = {"unit": NGHIA_DUNG.code, "name": f"Cam {unique}", "place": "main_road", "url": "rtsp://10.1.2.3/a"}
    assert (await media.post("/cameras", body)).status_code == 201
    async with await signed_in(media, ("resident", NGHIA_DUNG.path)) as resident:
        page = await resident.get("/media/")
        assert page.status_code == 200
        assert "Thôn Nghĩa Dũng" in page.text
        assert unique not in page.text
        assert (await resident.get(f"/media/villages/{NGHIA_DUNG.code}")).status_code == 403
    anonymous = media.running.fresh_client()
    async with anonymous:
        page = await anonymous.get(f"/media/?unit={COMMUNE.code}")
        assert page.status_code == 200
        assert unique not in page.text
        to_login = await anonymous.get(f"/media/villages/{NGHIA_DUNG.code}")
        assert to_login.status_code == 303
        assert to_login.headers["location"].startswith("/identity/login?next=")
        assert COMMUNE.name in (await anonymous.get("/media/")).text


async def test_a_foreign_officer_sees_and_does_nothing_here(media: Media, unique: str) -> None:
    speaker = (await media.speaker(f"Loa {unique}"))["loudspeaker"]["id"]
    async with await signed_in(media, ("officer", OTHER_COMMUNE.path)) as client:
        for path in (f"/media/villages/{NGHIA_DUNG.code}", f"/media/bulletins?unit={COMMUNE.code}"):
            assert (await client.get(path)).status_code == 403, path
        for path in (f"/media/loudspeakers/{speaker}", f"/media/loudspeakers/{speaker}/retire"):
            assert (await client.get(path)).status_code == 404, path
        page = f"/media/villages/{FOREIGN.code}/loudspeakers/new"
        for action in ("retire", "secret", "clusters"):
            refused = await submit(client, page, f"/media/loudspeakers/{speaker}/{action}")
            assert refused.status_code == 404, action
        for action in ("loudspeakers/new", "cameras/new", "test", "clusters"):
            refused = await submit(client, page, f"/media/villages/{NGHIA_DUNG.code}/{action}", name="x")
            assert refused.status_code == 403, action


async def test_tables_are_exported_for_spreadsheets(media: Media, unique: str) -> None:
    await media.speaker(f"=Loa {unique}")
    async with await signed_in(media, ("officer", COMMUNE.path)) as client:
        file = await client.get(f"/media/loudspeakers.csv?unit={COMMUNE.code}")
        assert file.content.startswith(b"\xef\xbb\xbf")
        assert f"'=Loa {unique}" in file.text
        cameras = await client.get("/media/cameras.csv?lang=en")
        assert "Seconds online" in cameras.text


@pytest.fixture(scope="module")
async def address(media: Media) -> AsyncIterator[str]:
    """The service on a port, for browsers."""
    async with serving(origin([media.running.runner])) as address:
        yield address


async def furnish(media: Media) -> tuple[str, str, str]:
    """A village worth looking at; ids of a loudspeaker, a camera and a bulletin."""
    tag = uuid.uuid4().hex[:4]
    clusters = [await media.cluster(f"{name} {tag}") for name in ("Xóm Đình", "Xóm Chợ", "Khu tái định cư Đồng Bông")]
    speaker = await media.speaker(f"Loa nhà văn hóa {tag}", *clusters[:2])
    await media.speaker(f"Loa ngã ba cây gạo, đường vào trường tiểu học {tag}", clusters[2])
    await media.speaker(f"Loa dây cũ {tag}", smart=False)
    body = {"unit": NGHIA_DUNG.code, "name": f"Cổng làng {tag}", "place": "main_road", "url": "rtsp://10.1.2.3/a"}
    camera = (await media.post("/cameras", body)).json()
    sent = (await media.post("/bulletins", {"unit": NGHIA_DUNG.code})).json()
    return speaker["loudspeaker"]["id"], camera["id"], sent["id"]


async def alarmed(media: Media, camera: str) -> Alert:
    """An alert with a picture that went on for a while, as looks at the camera leave it."""
    for body in ({"kind": "covered"}, {"kind": "zone", "name": "Cổng sau", "points": [[0, 0], [50, 0], [50, 100]]}):
        answer = await media.post(f"/cameras/{camera}/rules", body)
        assert answer.status_code == 201, answer.text
    seen = pictures.examine(Recording("H264", "", [*packets(clip("walk"))]), [EVERYWHERE], None)
    rule, vault = uuid.UUID(answer.json()["id"]), vault_for(media.settings.secret.get_secret_value())
    look = looks.Looked(now(), "ok", True, b"1", {rule: True}, {rule: seen.snapshots[EVERYWHERE.rule]})
    async with media.running.tx() as tx:
        (alert,) = await looks.looked(tx, vault, uuid.UUID(camera), look, at=now(), settings=media.settings)
    return alert


COUNT = 'Cảnh báo camera <span class="count"'
"""The alerts that wait, in the rail."""


async def test_rules_are_kept_and_alerts_judged_with_plain_forms(media: Media, unique: str) -> None:
    body = {"unit": NGHIA_DUNG.code, "name": f"Cam {unique}", "place": "main_road", "url": "rtsp://10.1.2.3/a"}
    camera = (await media.post("/cameras", body)).json()["id"]
    async with await signed_in(media, ("officer", COMMUNE.path)) as client:
        watch = f"/media/cameras/{camera}/watch"
        assert "chưa tự xem hình" in (await client.get(watch)).text
        new = f"/media/cameras/{camera}/rules/zone/new"
        zone = {
            "name": "Cổng sau",
            "area": "own",
            "points": "10,10 90,10",
            "share": "5",
            "begins": "22:00",
            "ends": "05:00",
        }
        refused = await submit(client, new, **zone)
        assert refused.status_code == 422
        assert 'value="10,10 90,10"' in refused.text, "what was typed comes back"
        assert "Vùng cần từ 3" in refused.text
        assert (await submit(client, new, **{**zone, "points": "mười"})).status_code == 422
        added = await submit(client, new, **{**zone, "points": "10,10 90,10; 90,90"})
        assert added.headers["location"] == watch
        shown = (await client.get(watch)).text
        assert "tự vẽ, từ 5% vùng chuyển động" in shown
        assert "từ 22:00 đến 05:00" in shown
        found = re.search(r"/media/camera-rules/[0-9a-f-]{36}", shown)
        assert found is not None
        rule = found[0]
        assert 'value="10,10 90,10 90,90"' in (await client.get(rule)).text
        changed = await submit(client, rule, **{**zone, "area": "left", "ends": "22:00"})
        assert changed.status_code == 303, changed.text
        shown = (await client.get(watch)).text
        assert "nửa bên trái, từ 5% vùng chuyển động" in shown
        assert "cả ngày" in shown
        assert "Quy tắc vừa được thêm" in shown
        assert (await submit(client, watch, f"{rule}/pause", on="1")).status_code == 303
        assert "tạm dừng" in (await client.get(watch)).text
        assert (await submit(client, watch, f"{rule}/pause", on="maybe")).status_code == 422
        assert "tạm dừng" in (await client.get(watch)).text, "what is not understood resumes nothing"
        asked = (await client.get(f"{rule}/remove")).text
        assert "Bỏ quy tắc “Có chuyển động trong vùng”" in asked
        assert "Tên quy tắc: Cổng sau." in asked, "which of several zones"
        assert (await submit(client, f"{rule}/remove")).status_code == 303
        assert (await client.get(rule)).status_code == 404
        new = f"/media/cameras/{camera}/rules/line/new"
        line = {"name": "Hàng rào", "area": "own", "points": "10,10", "begins": "00:00", "ends": "00:00"}
        assert "Vạch cần đúng hai đầu" in (await submit(client, new, **line)).text
        assert (await submit(client, new, **{**line, "points": "10,10 10,90"})).status_code == 303
        alert = await alarmed(media, camera)
        page = f"/media/camera-alerts/{alert.id}"
        assert f"{page}/snapshot" in (await client.get(page)).text
        picture = await client.get(f"{page}/snapshot")
        assert picture.headers["cache-control"] == "no-store"
        listed = f"/media/camera-alerts?unit={COMMUNE.code}"
        assert page in (await client.get(f"{listed}&verdict=new")).text
        assert (await submit(client, page, f"{page}/verdict", verdict="false_alarm")).status_code == 303
        assert "Người thử" in (await client.get(page)).text, "who said so"
        assert page not in (await client.get(f"{listed}&verdict=new")).text
        assert page in (await client.get(f"{listed}&verdict=false_alarm&lang=en")).text
        assert (await submit(client, page, f"{page}/verdict", verdict="new")).status_code == 303
        assert page in (await client.get(f"{listed}&verdict=new&lang=vi")).text, "an opinion can be taken back"
        await submit(client, f"/media/cameras/{camera}", f"/media/cameras/{camera}/maintenance", on="1")
        assert "đang bảo trì nên" in (await client.get(watch)).text
    async with await signed_in(media, ("village_head", NGHIA_DUNG.path)) as client:
        assert COUNT in (await client.get(page)).text
    async with await signed_in(media, ("village_head", QUAY.path)) as client:
        assert COUNT not in (await client.get(f"/media/villages/{QUAY.code}")).text, "not theirs to know"
    no_scope = bearer(("officer", COMMUNE.path), kind="partner", client_id="vnpt", scope="media.write")
    assert (await media.client.get(f"{page}/snapshot", headers=no_scope)).status_code == 403
    async with await signed_in(media, ("viewer", "30")) as client:
        assert f"{page}/snapshot" not in (await client.get(page)).text
        assert (await client.get(f"{page}/snapshot")).status_code == 404


async def test_every_page_looks_right_and_is_accessible(media: Media, address: str, open_page: OpenPage) -> None:
    speaker, camera, bulletin = await furnish(media)
    alert = await alarmed(media, camera)
    village = f"/media/villages/{NGHIA_DUNG.code}"
    paths = {
        "overview": f"/media/?unit={COMMUNE.code}",
        "district": "/media/?unit=298",
        "village": village,
        "loudspeaker": f"/media/loudspeakers/{speaker}",
        "loudspeaker-new": f"{village}/loudspeakers/new",
        "loudspeaker-retire": f"/media/loudspeakers/{speaker}/retire",
        "camera": f"/media/cameras/{camera}",
        "camera-new": f"{village}/cameras/new",
        "camera-watch": f"/media/cameras/{camera}/watch",
        "camera-zone": f"/media/cameras/{camera}/rules/zone/new",
        "camera-rule": f"/media/camera-rules/{alert.rule_id}",
        "camera-alerts": f"/media/camera-alerts?unit={COMMUNE.code}",
        "camera-alert": f"/media/camera-alerts/{alert.id}",
        "test": f"{village}/test",
        "bulletin": f"/media/bulletins/{bulletin}",
        "bulletins": f"/media/bulletins?unit={COMMUNE.code}",
    }
    cookie = {"name": "xaso_session", "value": token(("officer", COMMUNE.path), name="Cán bộ xã"), "url": address}
    for size in (PHONE, DESK):
        page = await open_page(size)
        await page.context.add_cookies([cookie])  # type: ignore[list-item]  # a cookie as Playwright takes it.
        for name, path in paths.items():
            await look(page, address + path, f"media-{name}-{size[0]}")


async def look(page: Page, url: str, name: str) -> None:
    answer = await page.goto(url)
    assert answer is not None
    assert answer.status == 200, name
    await assert_no_sideways_scroll(page)
    if page.viewport_size == {"width": PHONE[0], "height": PHONE[1]}:
        # The rules look at words and structure, which are the same at every width.
        assert await axe(page) == [], name
    await screenshot(page, name)
    assert page_errors(page) == [], name


async def test_a_change_arrives_without_reload(media: Media, address: str, open_page: OpenPage) -> None:
    page = await open_page(DESK)
    cookie = {"name": "xaso_session", "value": token(("officer", COMMUNE.path)), "url": address}
    await page.context.add_cookies([cookie])  # type: ignore[list-item]  # a cookie as Playwright takes it.
    async with page.expect_response(lambda r: "/changes" in r.url):
        await page.goto(f"{address}/media/villages/{NGHIA_DUNG.code}")
    name = f"Loa mới {uuid.uuid4().hex[:6]}"
    await media.speaker(name)
    await page.get_by_text(name).wait_for(timeout=15_000)
