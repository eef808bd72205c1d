"""The pages of the forum as a browser without JavaScript uses them."""

from __future__ import annotations

import re
import uuid

import httpx
import sqlalchemy as sa

from services.petitions.forum.model import Post, Thread
from services.petitions.forum.views import PAGE
from tests.petitions.people import DAI_SON, ELSEWHERE, HUNG_DAO, NGHIA_DUNG, People
from tests.petitions.test_pages import browser, post
from tests.support.running import Running, bearer

FORUM = "/petitions/forum"
FORM = {
    "commune": DAI_SON.code,
    "village": NGHIA_DUNG.code,
    "topic": "production",
    "title": "Cấy máy thay cấy tay",
    "body": "Thôn tôi thuê máy cấy, một sào hết <b>200</b> nghìn.",
    "name": "An máy cấy",
    "shows_village": "1",
}


def resident(number: str) -> dict[str, str]:
    return bearer(("resident", ELSEWHERE.path), subject=f"pages-{number}", name="Tên trong giấy tờ")


async def begun(app: Running, client: httpx.AsyncClient, **changed: str) -> str:
    """The address of a thread that the browser's bearer began."""
    sent = await post(client, f"{FORUM}/new?unit={DAI_SON.code}", f"{FORUM}/new", {**FORM, **changed})
    assert sent.status_code == 303, sent.text
    there = await client.get(sent.headers["location"])
    assert there.status_code == 303
    return str(there.headers["location"]).partition("#")[0]


async def test_a_newcomer_begins_a_thread_and_staff_let_it_appear(app: Running, who: People) -> None:
    async with (
        browser(app, resident("first")) as writer,
        browser(app, resident("second")) as others,
        browser(app, who.officer) as staff,
        browser(app) as visitor,
    ):
        assert (await visitor.get(f"{FORUM}/new")).headers["location"].startswith("/identity/login?next=")
        wrong = await post(
            writer, f"{FORUM}/new?unit={DAI_SON.code}", f"{FORUM}/new", {**FORM, "title": "x", "name": ""}
        )
        assert wrong.status_code == 422
        assert 'id="f-title-error"' in wrong.text
        assert "Thôn tôi thuê máy cấy" in wrong.text
        unnamed = await post(writer, f"{FORUM}/new?unit={DAI_SON.code}", f"{FORUM}/new", {**FORM, "name": ""})
        assert (unnamed.status_code, 'id="f-name-error"' in unnamed.text) == (422, True)
        address = await begun(app, writer)
        mine = await writer.get(address)
        assert mine.text.count("Bài hiện ra sau khi cán bộ xã duyệt") == 2, "as what was sent, and beside the next form"
        assert "&lt;b&gt;200&lt;/b&gt;" in mine.text
        assert "An máy cấy" in mine.text
        assert "Tên trong giấy tờ" not in mine.text.split("<main", 1)[1]
        assert (await visitor.get(address)).status_code == 404
        waiting = re.search(r"Chờ duyệt \((\d+)\)", (await staff.get(FORUM)).text)
        assert waiting is not None
        assert int(waiting[1]) >= 1
        queue = await staff.get(f"{FORUM}/queue")
        lever = re.search(rf'action="({FORUM}/posts/[^"]+/moderate)"', queue.text)
        assert lever is not None
        done = await post(staff, f"{FORUM}/queue", lever[1], {"action": "approve", "back": "queue"})
        assert done.headers["location"] == f"{FORUM}/queue"
        shown = await visitor.get(address)
        assert "Thôn Lạc Dục, Xã Hưng Đạo" in shown.text
        assert "Báo cáo bài này" in (await others.get(address)).text
        assert "Báo cáo bài này" not in (await staff.get(address)).text, "they hide what is wrong"
        await post(others, address, f"{address}/posts", {"body": "Không nói thôn nào.", "name": "Người Hưng Đạo"})
        assert (await others.get(address)).text.count("Thôn Lạc Dục, Xã Hưng Đạo") == 1
        assert "Đăng nhập để viết" in shown.text
        assert "Cấy máy thay cấy tay" in (await visitor.get(f"{FORUM}?unit={DAI_SON.code}&q=cay+may")).text
        assert "Cấy máy thay cấy tay" not in (await visitor.get(f"{FORUM}?unit={HUNG_DAO.code}")).text
        assert "Forum of Xã Đại Sơn" in (await visitor.get(f"{FORUM}?unit={DAI_SON.code}&lang=en")).text


async def test_answers_stand_at_the_end_also_of_a_long_thread(app: Running, who: People) -> None:
    async with browser(app, who.officer) as client:
        address = await begun(app, client, name="Văn phòng xã", title="Chủ đề dài")
        thread = uuid.UUID(address.rsplit("/", 1)[-1])
        async with app.tx() as tx:
            first = (await tx.scalars(sa.select(Post).where(Post.thread_id == thread))).one()
            same = {"thread_id": thread, "by_staff": False, "status": "visible", "written_at": first.written_at}
            new = [{**same, "id": uuid.UUID(int=first.id.int + n), "body": f"Lời thứ {n}."} for n in range(1, 2 * PAGE)]
            await tx.execute(sa.insert(Post), new)
        top = await client.get(address)
        assert "Viết trả lời" not in top.text
        newest = re.search(rf'href="({FORUM}/posts/[^"]+)">Đến bài mới nhất', top.text)
        assert newest is not None
        end = await client.get((await client.get(newest[1])).headers["location"])
        assert f"Lời thứ {2 * PAGE - 1}." in end.text
        assert "Viết trả lời" in end.text
        empty = await post(client, address, f"{address}/posts", {"body": ""})
        assert empty.status_code == 422
        assert f"Lời thứ {2 * PAGE - 1}." in empty.text
        sent = await post(client, address, f"{address}/posts", {"body": "Lời cuối cùng."})
        end = await client.get((await client.get(sent.headers["location"])).headers["location"])
        assert "Lời cuối cùng." in end.text
        assert "Viết trả lời" in end.text


async def test_a_post_is_mended_reported_hidden_and_taken_back(app: Running, who: People) -> None:
    async with (
        browser(app, who.foreign_officer) as writer,
        browser(app, who.officer) as staff,
        browser(app, resident("reader")) as reader,
    ):
        address = await begun(app, writer, name="Bên Hưng Đạo", title="Sẽ bị ẩn")
        async with app.tx() as tx:
            id = (
                await tx.scalars(sa.select(Post.id).where(Post.thread_id == uuid.UUID(address.rsplit("/", 1)[-1])))
            ).one()
        one = f"{FORUM}/posts/{id}"
        assert "Thôn tôi thuê" in (await writer.get(f"{one}/edit")).text
        await post(writer, f"{one}/edit", f"{one}/edit", {"body": "Lời đã sửa."})
        assert "đã sửa" in (await writer.get(address)).text
        assert (await reader.get(f"{one}/edit")).status_code == 404
        assert (await post(reader, f"{one}/report", f"{one}/report", {"reason": ""})).status_code == 422
        await post(reader, f"{one}/report", f"{one}/report", {"reason": "Chưa đúng sự thật"})
        assert "Chưa đúng sự thật" in (await staff.get(f"{FORUM}/queue?unit={DAI_SON.code}")).text
        assert (await writer.get(f"{one}/hide")).status_code == 403
        without = await post(staff, f"{one}/hide", f"{one}/moderate", {"action": "hide"})
        assert (without.status_code, "Xin ghi lý do" in without.text) == (422, True)
        await post(staff, f"{one}/hide", f"{one}/moderate", {"action": "hide", "reason": "Không có nguồn"})
        assert "Không có nguồn" in (await writer.get(f"{FORUM}/mine")).text
        assert (await reader.get(address)).status_code == 404
        # A page that was open all the while: it can no longer be done, and that is said.
        late = await post(staff, f"{FORUM}/queue", f"{one}/moderate", {"action": "dismiss"})
        assert late.status_code == 409
        await post(staff, address, f"{one}/moderate", {"action": "restore"})
        assert "Rút bài này?" in (await writer.get(f"{one}/withdraw")).text
        await post(writer, f"{one}/withdraw", f"{one}/withdraw", {})
        assert "Đã rút" in (await writer.get(f"{FORUM}/mine")).text


async def test_the_levers_of_a_thread(app: Running, who: People) -> None:
    async with browser(app, who.officer) as staff, browser(app, who.admin) as province, browser(app) as visitor:
        address = await begun(app, staff, name="Văn phòng xã", title="Chủ đề được ghim")
        await post(staff, address, f"{address}/moderate", {"action": "pin"})
        unit, everywhere = f"{FORUM}?unit={DAI_SON.code}", f"{FORUM}?q=duoc+ghim"
        assert [(await visitor.get(page)).text.count("Chủ đề được ghim") for page in (unit, everywhere)] == [1, 1]
        await post(staff, address, f"{address}/moderate", {"action": "lock"})
        assert "Chủ đề đã khóa" in (await visitor.get(address)).text
        late = await post(staff, f"{address}/hide", f"{address}/posts", {"body": "Viết sau khi khóa."})
        assert late.status_code == 409
        assert (await post(staff, f"{address}/hide", f"{address}/moderate", {"action": "hide"})).status_code == 422
        await post(staff, f"{address}/hide", f"{address}/moderate", {"action": "hide", "reason": "Trùng chủ đề"})
        assert (await visitor.get(address)).status_code == 404
        assert "Trùng chủ đề" in (await staff.get(address)).text
        # Who works above communes names the commune first.
        sent = await province.get(f"{FORUM}/new")
        assert sent.headers["location"] == FORUM
        assert "Xin mở diễn đàn của một xã" in (await province.get(FORUM)).text
    async with app.tx() as tx:
        assert await tx.scalar(sa.select(Thread.status).where(Thread.title == "Chủ đề được ghim")) == "hidden"
