"""The forum: who writes and reads, what waits for approval, what moderators do, what other services hear of it."""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as identity
from xaso.petitions.v1 import events_pb2 as events

from chassis.auth import Grant, Principal
from chassis.consumer import Event
from chassis.db import audit_table, outbox_table
from chassis.units import VIETNAM
from services.petitions import consumers
from services.petitions.forum import moderating, queries
from services.petitions.forum.model import Author, Post, PostAction, Report, Thread
from tests.petitions.people import DAI_SON, ELSEWHERE, HUNG_DAO, NGHIA_DUNG, NGOC_LAM, People
from tests.petitions.test_consumers import entered as message_of
from tests.support.running import Running, bearer
from tests.support.waiting import eventually

API = "/petitions/api/v1/forum"
_numbers = itertools.count(1)
Headers = dict[str, str]


def person(*grants: tuple[str, str]) -> Headers:
    """Somebody new, with roles of their own."""
    return bearer(*grants, subject=f"forum-{next(_numbers)}", name="Tên trong giấy tờ")


def of(path: str) -> Headers:
    return person(("resident", path))


def name() -> str:
    return f"Người viết {next(_numbers)}"


def thread(**changed: Any) -> dict[str, Any]:
    body = {"topic": "environment", "title": "Phân loại rác tại nhà", "body": "Thôn tôi ủ rác làm phân.", **changed}
    return {"name": name(), **body}


async def post(app: Running, who: Headers, path: str, body: Any = None, status: int = 201) -> dict[str, Any]:
    answer = await app.client.post(f"{API}{path}", json=body, headers=who)
    assert answer.status_code == status, answer.text
    return dict(answer.json()) if answer.content else {}


async def get(app: Running, who: Headers | None, path: str, status: int = 200, **params: str) -> dict[str, Any]:
    answer = await app.client.get(f"{API}{path}", headers=who or {}, params=params)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def begun(app: Running, who: Headers, moderator: Headers, **changed: Any) -> dict[str, Any]:
    """The first post of a thread, approved."""
    made = await post(app, who, "/threads", thread(**changed))
    return await moderated(app, moderator, made, "approve")


async def reply(app: Running, who: Headers, to: dict[str, Any], status: int = 201, **changed: Any) -> dict[str, Any]:
    body = {"body": "Xã tôi cũng làm như vậy.", "name": name(), **changed}
    return await post(app, who, f"/threads/{to['thread_id']}/posts", body, status)


async def moderated(
    app: Running, who: Headers, one: dict[str, Any], action: str, status: int = 200, reason: str = ""
) -> dict[str, Any]:
    return await post(app, who, f"/posts/{one['id']}/moderate", {"action": action, "reason": reason}, status)


async def told(app: Running, one: dict[str, Any]) -> list[events.ForumThread]:
    """What stands in the outbox of the post's thread, in order."""
    async with app.tx() as tx:
        query = sa.select(outbox_table.c.payload).where(outbox_table.c.subject == one["thread_id"])
        rows = (await tx.scalars(query.order_by(outbox_table.c.sequence))).all()
    return [events.ForumThreadChanged.FromString(bytes(row)).thread for row in rows]


def took_part(state: events.ForumThread) -> list[tuple[str, int, int]]:
    return [(one.commune, one.posts, one.villages) for one in state.participations]


async def test_people_of_two_communes_exchange_and_other_services_hear_of_it(app: Running, who: People) -> None:
    first = await post(app, of(NGHIA_DUNG.path), "/threads", thread(village=NGHIA_DUNG.code, shows_village=True))
    assert (first["status"], first["commune"], first["village"]) == ("pending", DAI_SON.code, NGHIA_DUNG.code)
    # Nobody but its writer and the staff of the commune knows of it yet.
    assert await told(app, first) == []
    await get(app, None, f"/threads/{first['thread_id']}", 404)
    await get(app, who.foreign_officer, f"/threads/{first['thread_id']}", 404)
    assert first["id"] in {one["post"]["id"] for one in (await get(app, who.officer, "/queue"))["items"]}

    assert (await moderated(app, who.officer, first, "approve"))["status"] == "visible"
    answer = await reply(app, who.foreign_officer, first)
    assert (answer["status"], answer["by_staff"], answer["commune"]) == ("visible", True, HUNG_DAO.code)
    shown = (await get(app, None, f"/threads/{first['thread_id']}/posts"))["items"]
    assert [one["id"] for one in shown] == [first["id"], answer["id"]]
    assert "Tên trong giấy tờ" not in str(shown)

    last = (await told(app, first))[-1]
    assert (last.commune, last.village, last.topic, last.status) == (
        DAI_SON.code,
        NGHIA_DUNG.code,
        "environment",
        "open",
    )
    assert (last.posts, list(last.communes)) == (2, [DAI_SON.code, HUNG_DAO.code])
    assert took_part(last) == [(DAI_SON.code, 1, 1), (HUNG_DAO.code, 1, 0)]
    assert {one.year for one in last.participations} == {datetime.now(UTC).year}
    assert last.last_posted_at.ToDatetime(tzinfo=UTC) > last.begun_at.ToDatetime(tzinfo=UTC)


async def test_a_writer_is_new_until_a_post_of_theirs_is_found_good(app: Running, who: People) -> None:
    newcomer = of(ELSEWHERE.path)
    refused = await post(app, newcomer, "/threads", thread(body="Mua rẻ ở https://vi.du/hang"), 422)
    assert refused["code"] == "forum_no_links_yet"
    await post(app, newcomer, "/threads", thread(title="Rẻ nhất tại banhang.com"), 422)
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    waits = await reply(app, newcomer, start)
    assert waits["status"] == "pending"
    # Another commune's staff have no say in this thread, and do not even know what waits there.
    await moderated(app, who.foreign_officer, waits, "approve", 403)
    listed = (await get(app, who.foreign_officer, "/queue"))["items"]
    assert waits["id"] not in {one["post"]["id"] for one in listed}
    await moderated(app, who.officer, waits, "approve")
    await moderated(app, who.officer, waits, "approve", 409)
    free = await reply(app, newcomer, start, body="Xem https://haiduong.gov.vn nhé")
    assert free["status"] == "visible"
    assert free["author"] == waits["author"], "a name is chosen once"


async def test_a_name_belongs_to_one_writer_however_it_is_spelt(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer, name="Chị Hoa làng gốm")
    taken = await reply(app, of(ELSEWHERE.path), start, 409, name=unicodedata.normalize("NFD", "chị hòa LÀNG gom"))
    assert taken["code"] == "forum_name_taken"
    unnamed = await reply(app, of(ELSEWHERE.path), start, 422, name="")
    assert unnamed["code"] == "forum_name_needed"


async def test_writing_needs_a_person_of_some_place(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    await reply(app, {}, start, 401)
    await reply(app, who.hotline, start, 403)
    await reply(app, bearer(subject="nobody"), start, 403)
    # Who works above communes may write, in a forum they name, and counts for no commune.
    await post(app, who.admin, "/threads", thread(), 422)
    above = await post(app, who.admin, "/threads", thread(commune=HUNG_DAO.code))
    assert (above["commune"], took_part((await told(app, above))[-1])) == (None, [])


async def test_where_somebody_lives_comes_before_where_they_work(app: Running) -> None:
    both = person(("officer", HUNG_DAO.path), ("resident", NGOC_LAM.path))
    made = await post(app, both, "/threads", thread())
    assert (made["commune"], made["village"]) == (DAI_SON.code, None), "the village is not shown unasked"
    assert took_part((await told(app, made))[-1]) == [(DAI_SON.code, 1, 1)]
    # A code that was given to another unit since is not the place the role was given for.
    stale = bearer(("officer", f"31/{HUNG_DAO.code}"), subject=f"forum-{next(_numbers)}")
    assert (await post(app, stale, "/threads", thread(commune=DAI_SON.code)))["commune"] is None


async def test_who_moves_has_no_exchange_with_themselves(app: Running, who: People) -> None:
    subject = f"forum-{next(_numbers)}"
    start = await begun(app, bearer(("resident", DAI_SON.path), subject=subject), who.officer)
    moved = await reply(app, bearer(("resident", HUNG_DAO.path), subject=subject), start)
    assert moved["commune"] == DAI_SON.code
    assert took_part((await told(app, start))[-1]) == [(DAI_SON.code, 2, 0)]


async def test_two_villages_of_one_commune_are_two_places(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    await moderated(app, who.officer, await reply(app, of(NGOC_LAM.path), start), "approve")
    assert took_part((await told(app, start))[-1]) == [(DAI_SON.code, 2, 2)]


async def test_hidden_posts_say_why_to_their_writer_and_can_come_back(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    writer = person(("officer", HUNG_DAO.path))
    answer = await reply(app, writer, start, body="Chuyện của nhà Thìn Tỵ.")
    assert (await moderated(app, who.officer, answer, "hide", 422))["errors"][0]["field"] == "reason"
    assert (await get(app, None, "/threads", q="thin ty"))["items"] != []
    await moderated(app, who.officer, answer, "hide", reason="Không đúng chủ đề")
    assert (await get(app, None, "/threads", q="thin ty"))["items"] == []
    posts = f"/threads/{start['thread_id']}/posts"
    assert [one["id"] for one in (await get(app, None, posts))["items"]] == [start["id"]]
    assert (await get(app, writer, posts))["items"][1]["reason"] == "Không đúng chủ đề"
    state = (await told(app, start))[-1]
    assert (list(state.communes), took_part(state)) == ([DAI_SON.code], [(DAI_SON.code, 1, 1), (HUNG_DAO.code, 0, 0)])
    await moderated(app, who.officer, answer, "restore")
    assert (await told(app, start))[-1].posts == 2
    async with app.tx() as tx:
        deeds = (await tx.scalars(sa.select(audit_table.c.action).where(audit_table.c.target == answer["id"]))).all()
    assert sorted(deeds) == ["forum.post_hide", "forum.post_restore", "forum.post_written"]


async def test_a_thread_is_locked_hidden_and_pinned_by_its_commune_only(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    path = f"/threads/{start['thread_id']}"

    async def act(by: Headers, action: str, status: int = 200, reason: str = "") -> dict[str, Any]:
        return await post(app, by, f"{path}/moderate", {"action": action, "reason": reason}, status)

    await act(who.foreign_officer, "lock", 403)
    await act(who.resident, "hide", 403, "Không thích")
    assert (await act(who.officer, "pin"))["pinned"] is True
    await act(who.officer, "pin", 409)
    assert (await act(who.officer, "lock"))["actions"] == ["unlock", "hide", "unpin"]
    assert (await reply(app, who.foreign_officer, start, 409))["code"] == "forum_thread_locked"
    await act(who.officer, "hide", 422)
    await act(who.officer, "hide", reason="Gây tranh cãi")
    await get(app, None, path, 404)
    assert start["thread_id"] not in {one["id"] for one in (await get(app, None, "/threads", limit="200"))["items"]}
    assert (await told(app, start))[-1].status == "hidden"
    assert (await act(who.admin, "restore"))["status"] == "open"
    assert (await get(app, None, path))["reason"] is None


async def test_own_posts_are_mended_for_a_quarter_of_an_hour_and_taken_back(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    writer = person(("officer", HUNG_DAO.path))
    answer = await reply(app, writer, start)
    heard = len(await told(app, start))
    edit = f"/posts/{answer['id']}/edit"
    assert (await post(app, writer, edit, {"body": "Đã sửa lời."}, 200))["edited_at"] is not None
    await post(app, who.officer, edit, {"body": "Lời người khác."}, 404)
    async with app.tx() as tx:
        earlier = datetime.now(UTC) - timedelta(minutes=16)
        await tx.execute(sa.update(Post).where(Post.id == uuid.UUID(answer["id"])).values(written_at=earlier))
    assert (await post(app, writer, edit, {"body": "Quá muộn."}, 409))["code"] == "forum_edit_too_late"
    assert len(await told(app, start)) == heard, "words are nobody else's business"
    lever = f"/threads/{start['thread_id']}/moderate"
    await post(app, who.officer, lever, {"action": "lock"}, 200)
    assert (await post(app, writer, edit, {"body": "Đã khóa."}, 409))["code"] == "forum_thread_locked"
    await post(app, who.officer, lever, {"action": "unlock"}, 200)
    await post(app, who.officer, f"/posts/{answer['id']}/withdraw", status=404)
    await post(app, who.neighbour, f"/posts/{answer['id']}/report", {"reason": "Sai rồi"}, 204)
    assert (await post(app, writer, f"/posts/{answer['id']}/withdraw", status=200))["body"] == ""
    waiting = (await get(app, who.officer, "/queue", limit="200"))["items"]
    shown = (await get(app, who.officer, f"/threads/{start['thread_id']}/posts"))["items"]
    assert answer["id"] not in {one["post"]["id"] for one in waiting} | {one["id"] for one in shown}
    await post(app, writer, f"/posts/{answer['id']}/withdraw", status=409)
    assert (await told(app, start))[-1].posts == 1


async def test_readers_report_once_and_staff_settle_it(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    path = f"/posts/{start['id']}/report"
    for _ in range(2):
        await post(app, who.neighbour, path, {"reason": "Quảng cáo trá hình"}, 204)
    await post(app, {}, path, {"reason": "Không đăng nhập"}, 401)

    async def reported() -> list[list[str]]:
        items = (await get(app, who.officer, "/queue", unit=DAI_SON.code))["items"]
        return [one["reports"] for one in items if one["post"]["id"] == start["id"]]

    assert await reported() == [["Quảng cáo trá hình"]]
    await get(app, who.neighbour, "/queue", 403)
    await get(app, who.foreign_officer, "/queue", 403, unit=DAI_SON.code)
    await moderated(app, who.officer, start, "dismiss")
    assert await reported() == []
    assert (await post(app, who.officer, f"/posts/{uuid.uuid4()}/report", {"reason": "Bài gì đây"}, 404))[
        "status"
    ] == 404


async def test_an_account_writes_so_many_posts_an_hour_also_side_by_side(app: Running, who: People) -> None:
    writer = person(("officer", HUNG_DAO.path))
    body = {"topic": "ntm", "title": "Mỗi lời một chủ đề", "body": "Một lời góp.", "name": name()}

    async def send() -> httpx.Response:
        return await app.client.post(f"{API}/threads", json=body, headers=writer)

    answers = await asyncio.gather(*(send() for _ in range(13)))
    assert sorted(one.status_code for one in answers) == [201] * 10 + [429] * 3
    refused = next(one for one in answers if one.status_code == 429)
    assert "10 bài" in refused.json()["detail"]
    writers = {one.json()["author"] for one in answers if one.status_code == 201}
    assert writers == {body["name"]}
    async with app.tx() as tx:
        account = await tx.scalar(sa.select(Author.account).where(Author.name == body["name"]))
        hour = datetime.now(UTC) - timedelta(minutes=61)
        await tx.execute(sa.update(Post).where(Post.author == account).values(written_at=hour))
    assert (await send()).status_code == 201


async def test_people_who_answer_at_once_are_all_counted(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    await asyncio.gather(*(reply(app, person(("officer", HUNG_DAO.path)), start) for _ in range(6)))
    last = (await told(app, start))[-1]
    assert (last.posts, took_part(last)) == (7, [(DAI_SON.code, 1, 1), (HUNG_DAO.code, 6, 0)])


async def test_a_post_counts_for_the_year_in_vietnam(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    async with app.tx() as tx:
        new_year = datetime(2026, 1, 1, 0, 30, tzinfo=VIETNAM)
        await tx.execute(sa.update(Post).where(Post.id == uuid.UUID(start["id"])).values(written_at=new_year))
        found = await queries.participations(tx, await tx.get_one(Thread, uuid.UUID(start["thread_id"])))
    assert [one.year for one in found] == [2026]


async def test_readers_send_so_many_reports_an_hour_also_side_by_side(app: Running, who: People) -> None:
    writer, reader = person(("officer", HUNG_DAO.path)), of(ELSEWHERE.path)
    start = await post(app, writer, "/threads", thread(commune=DAI_SON.code))
    async with app.tx() as tx:
        first = await tx.get_one(Post, uuid.UUID(start["id"]))
        same = {"thread_id": first.thread_id, "by_staff": False, "status": "visible", "written_at": first.written_at}
        ids = [uuid.uuid4() for _ in range(13)]
        await tx.execute(sa.insert(Post), [{**same, "id": id, "body": "Lời."} for id in ids])

    async def send(id: uuid.UUID) -> int:
        path = f"{API}/posts/{id}/report"
        return (await app.client.post(path, json={"reason": "Không thích"}, headers=reader)).status_code

    assert sorted(await asyncio.gather(*(send(id) for id in ids))) == [204] * 10 + [429] * 3


async def test_a_post_hidden_while_it_is_reported_waits_for_nobody(app: Running, who: People) -> None:
    start = await post(app, who.officer, "/threads", thread())
    id, path = uuid.UUID(start["id"]), f"{API}/posts/{start['id']}/report"
    moderator = Principal("m", "", "person", (Grant("officer", DAI_SON.code, DAI_SON.path),))
    waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with app.tx() as tx, app.tx() as other:
        await tx.get_one(Post, id, with_for_update=True)
        late = asyncio.create_task(app.client.post(path, json={"reason": "Quá muộn"}, headers=who.neighbour))
        await eventually(lambda: other.scalar(sa.text(waits)))
        await moderating.moderate_post(tx, moderator, id, PostAction.HIDE, "Trùng")
    assert (await late).status_code == 404
    waiting = (await get(app, who.officer, "/queue", limit="200"))["items"]
    assert start["id"] not in {one["post"]["id"] for one in waiting}


async def test_words_that_nobody_read_are_not_approved(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    newcomer = of(ELSEWHERE.path)
    waits = await reply(app, newcomer, start)
    await post(app, newcomer, f"/posts/{waits['id']}/edit", {"body": "Xem banhang.com"}, 422)
    mended = await post(app, newcomer, f"/posts/{waits['id']}/edit", {"body": "Nội dung khác hẳn."}, 200)
    own = await post(app, newcomer, f"/posts/{waits['id']}/report", {"reason": "Bài của tôi"}, 409)
    assert own["code"] == "forum_own_post"
    await post(app, who.officer, f"/posts/{waits['id']}/report", {"reason": "Chưa duyệt"}, 409)
    refused = await moderated(app, who.officer, waits, "approve", 409)
    assert refused["code"] == "forum_post_changed"
    read = {"action": "approve", "edited_at": mended["edited_at"]}
    assert (await post(app, who.officer, f"/posts/{waits['id']}/moderate", read, 200))["status"] == "visible"


async def test_whose_post_was_hidden_is_read_first_again(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    writer = of(ELSEWHERE.path)
    first = await reply(app, writer, start)
    await moderated(app, who.officer, first, "approve")
    advert = await reply(app, writer, start, body="Mua rẻ ở banhang.com")
    assert advert["status"] == "visible"
    await moderated(app, who.officer, advert, "hide", reason="Quảng cáo")
    assert (await reply(app, writer, start, 422, body="Lại banhang.com"))["code"] == "forum_no_links_yet"
    assert (await reply(app, writer, start))["status"] == "pending"
    await moderated(app, who.officer, advert, "restore")
    assert (await reply(app, writer, start))["status"] == "visible"


async def test_ones_own_words_can_be_taken_back_wherever_they_stand(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    writer = of(ELSEWHERE.path)
    hidden, waits = await reply(app, writer, start), await reply(app, writer, start)
    await moderated(app, who.officer, hidden, "hide", reason="Không đúng chủ đề")
    await post(app, who.officer, f"/threads/{start['thread_id']}/moderate", {"action": "hide", "reason": "Trùng"}, 200)
    await get(app, writer, f"/threads/{start['thread_id']}", 404)
    for one in (hidden, waits):
        page = f"/petitions/forum/posts/{one['id']}"
        assert (await app.client.get(page, headers=writer)).headers["location"].endswith("/forum/mine")
        assert "Rút bài này?" in (await app.client.get(f"{page}/withdraw", headers=writer)).text
        assert f"{page}/withdraw" in (await app.client.get("/petitions/forum/mine", headers=writer)).text
        assert (await post(app, writer, f"/posts/{one['id']}/withdraw", status=200))["status"] == "withdrawn"
    async with app.tx() as tx:
        left = await tx.scalars(
            sa.select(Post.body).where(Post.id.in_([uuid.UUID(hidden["id"]), uuid.UUID(waits["id"])]))
        )
        assert list(left) == ["", ""]
    # The posts of others stay out of sight.
    assert (await app.client.get(f"/petitions/forum/posts/{start['id']}", headers=writer)).status_code == 404


async def test_a_name_leads_nowhere(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    refused = await reply(app, of(ELSEWHERE.path), start, 422, name="Gọi banhang.com")
    assert (refused["code"], refused["errors"][0]["field"]) == ("forum_no_links_yet", "name")


async def test_a_repeated_request_writes_once(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    writer = {**person(("officer", HUNG_DAO.path)), "idempotency-key": str(uuid.uuid4())}
    body = {"body": "Chỉ một lần.", "name": name()}
    sent = [await post(app, writer, f"/threads/{start['thread_id']}/posts", body) for _ in range(2)]
    assert sent[0]["id"] == sent[1]["id"]
    assert (await get(app, None, f"/threads/{start['thread_id']}"))["posts"] == 2


async def test_threads_are_found_in_any_spelling_ordered_and_paged(app: Running, who: People) -> None:
    mark = f"lúa{uuid.uuid4().hex[:8]}"
    made = [await begun(app, of(NGHIA_DUNG.path), who.officer, title=f"Cấy {mark} vụ {n}") for n in range(3)]
    await reply(app, who.foreign_officer, made[0], body="Nhà tôi dùng máy cấy Kubota.")
    ids = [one["thread_id"] for one in made]

    async def found(**params: str) -> list[str]:
        seen: list[str] = []
        after = ""
        while True:
            page = await get(app, None, "/threads", limit="2", **params, **({"after": after} if after else {}))
            seen += [one["id"] for one in page["items"]]
            after = page["next"] or ""
            if not after:
                return seen

    assert await found(q=unicodedata.normalize("NFD", f"CẤY {mark}")) == [ids[0], ids[2], ids[1]]
    assert await found(q=f"cay {mark.replace('ú', 'u')}", order="newest") == ids[::-1]
    assert ids[0] in await found(q="may cay kubota", unit=DAI_SON.code)
    assert await found(q=mark, unit=HUNG_DAO.code) == await found(q=mark, topic="culture") == []
    assert (await get(app, None, "/threads", 400, after="x"))["code"] == "malformed"
    await get(app, None, "/threads", 404, unit="99999")


async def test_bad_words_are_refused_and_nothing_is_written(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer)
    writer, mine = bearer(("officer", HUNG_DAO.path), subject="forum-careless"), name()
    for wrong in ("a\x00b", "x" * 4001, " ", "\u202e\x07lời"):
        answer = await app.client.post(
            f"{API}/threads/{start['thread_id']}/posts", json={"body": wrong, "name": mine}, headers=writer
        )
        assert answer.status_code in (400, 422), answer.text
    for wrong in (
        {"topic": "chuyện phiếm"},
        {"commune": "99999"},
        {"village": ELSEWHERE.code, "commune": DAI_SON.code},
    ):
        await post(app, writer, "/threads", thread(**wrong), 422)
    async with app.tx() as tx:
        assert await tx.get(Author, "forum-careless") is None
    whole = await reply(app, writer, start, body=unicodedata.normalize("NFD", "Ủ rác " + "ề" * 3900))
    assert whole["body"] == "Ủ rác " + "ề" * 3900


async def test_an_erased_account_leaves_words_without_a_writer(app: Running, who: People) -> None:
    subject = f"forum-{next(_numbers)}"
    gone = bearer(("resident", NGHIA_DUNG.path), subject=subject)
    start = await begun(app, gone, who.officer, shows_village=True)
    await post(
        app, gone, f"/posts/{(await reply(app, who.foreign_officer, start))['id']}/report", {"reason": "Sai"}, 204
    )
    unread = await post(app, gone, "/threads", thread(title="Nhà ông Bảy số 12"))
    answer = await reply(app, gone, start)
    async with app.tx() as tx:
        # As if nobody had found a post of theirs good yet: what nobody has read goes, with its title.
        values = {"status": "pending"}
        unread_ids = [uuid.UUID(unread["id"]), uuid.UUID(answer["id"])]
        await tx.execute(sa.update(Post).where(Post.id.in_(unread_ids)).values(**values))
        await tx.execute(
            sa.update(Thread).where(Thread.id == uuid.UUID(unread["thread_id"])).values(told=False, posts=0)
        )
    async with app.tx() as tx:
        for _ in range(2):
            await moderating.anonymise(tx, subject)
        assert await tx.get(Thread, uuid.UUID(unread["thread_id"])) is None
    left = (await get(app, None, f"/threads/{start['thread_id']}/posts"))["items"][0]
    assert (left["author"], left["village"], left["commune"], left["body"]) == (
        None,
        None,
        DAI_SON.code,
        "Thôn tôi ủ rác làm phân.",
    )
    async with app.tx() as tx:
        assert await tx.get(Author, subject) is None
        assert (await tx.get_one(Post, uuid.UUID(answer["id"]))).body == "", "nobody had read it"
        for column in (Post.author, Thread.author, Report.reporter):
            assert await tx.scalar(sa.select(sa.func.count()).where(column == subject)) == 0


async def test_the_forum_of_a_unit_that_went_over_goes_with_it(app: Running, who: People) -> None:
    start = await begun(app, of(NGHIA_DUNG.path), who.officer, village=NGHIA_DUNG.code)
    other = await begun(app, of(NGHIA_DUNG.path), who.officer)
    moved = replace(
        NGHIA_DUNG, parent=HUNG_DAO.code, path=f"{HUNG_DAO.path}/{NGHIA_DUNG.code}", valid_from=date(2026, 1, 1)
    )
    for successors in (2, 1):
        # Of a village that was split nobody said to whom its forum goes.
        assert (await told(app, start))[-1].commune == DAI_SON.code
        link = identity.UnitSucceeded(
            predecessor=message_of(NGHIA_DUNG), successor=message_of(moved), successors_of_predecessor=successors
        )
        async with app.tx() as tx:
            await consumers.unit_succeeded(tx, Event(uuid.uuid4(), "", "", "", datetime.now(UTC), 1, "", link))
    state = (await told(app, start))[-1]
    assert (state.commune, state.village) == (HUNG_DAO.code, NGHIA_DUNG.code)
    assert took_part(state) == [(DAI_SON.code, 1, 1)], "they spoke for where they lived then"
    await moderated(app, who.officer, start, "hide", 403, "Không còn là việc của xã này")
    await moderated(app, who.foreign_officer, start, "hide", reason="Trùng")
    await moderated(app, who.officer, other, "hide", reason="Trùng")
