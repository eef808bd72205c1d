"""Pushes on their way: what a phone can read and nobody else, who is called, what is tried again, what is forgotten."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import http_ece
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.db import now
from services.media.notices import sender
from services.media.notices.model import BadSubscription
from services.media.notices.push import Answer, Outcome, Post, Vapid, fingerprint, judged, public, target, vapid_for
from services.media.notices.push import Phone as CalledPhone
from services.media.notices.sender import Sender
from services.media.vault import vault_for
from tests.media.conftest import NGHIA_DUNG, QUAY, Media
from tests.media.phones import Arrived, Phone, PushService, push_service, raw, text
from tests.support.waiting import eventually


@pytest.fixture
async def pushes(media: Media) -> AsyncIterator[PushService]:
    """A push service that the service may call, and no phone of an earlier test."""
    async with push_service() as made:
        media.settings.push_host = made.host
        async with media.running.tx() as tx:
            await tx.execute(sa.text("UPDATE push SET next_try_at = NULL"))
            await tx.execute(sa.text("DELETE FROM subscription"))
        yield made
        media.settings.push_host = ""


async def follow(media: Media, phone: Phone, unit: str = QUAY.code, *topics: str) -> None:
    answer = await media.post("/subscriptions", {"unit": unit, "topics": list(topics), **phone.described}, by={})
    assert answer.status_code == 201, answer.text


async def write(media: Media, title: str, **more: Any) -> dict[str, Any]:
    body = {"unit": QUAY.code, "topic": "general", "title": title, "text": "Sáng mai họp thôn.", **more}
    answer = await media.post("/notices", body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def carry(media: Media, *, together: int = 1) -> None:
    """What the service's tasks do, by as many processes as `together` says."""
    settings = media.settings
    sessions = media.running.runner.runtime.sessions
    vapid = vapid_for(settings.secret.get_secret_value(), settings.push_from)
    posts = [Post(vapid, host=settings.push_host, timeout=5) for _ in range(together)]
    await asyncio.gather(*(Sender(sessions, settings).carry(post) for post in posts))
    for post in posts:
        await post.close()


async def due_now(media: Media) -> None:
    async with media.running.tx() as tx:
        await tx.execute(sa.text("UPDATE push SET next_try_at = now() WHERE next_try_at IS NOT NULL"))


async def row(media: Media, notice: str) -> Any:
    async with media.running.tx() as tx:
        query = sa.text("SELECT attempts, sent_at, next_try_at, subscription_id FROM push WHERE notice_id = :n")
        return (await tx.execute(query, {"n": uuid.UUID(notice)})).one()


def test_the_encryption_is_that_of_the_standard() -> None:
    """RFC 8291, section 5: the very bytes, so that the phones of these tests read what any browser reads."""
    private = ec.derive_private_key(int.from_bytes(raw("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")), ec.SECP256R1())
    body = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    words = b"When I grow up, I want to be a watermelon"
    secret = raw("BTBZMqHH6r4Tts7J_aSIgg")
    assert http_ece.decrypt(raw(body), private_key=private, auth_secret=secret) == words
    once = ec.derive_private_key(int.from_bytes(raw("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")), ec.SECP256R1())
    dh = raw("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
    salt = raw("DGv6ra1nlYgDCS1FRnbzlw")
    assert text(http_ece.encrypt(words, salt=salt, private_key=once, dh=dh, auth_secret=secret)) == body


async def test_a_push_arrives_readable_to_its_phone_alone_and_its_ticket_counts(
    media: Media, pushes: PushService, unique: str
) -> None:
    phone, other = Phone(pushes.host), Phone(pushes.host)
    await follow(media, phone)
    await follow(media, other, QUAY.code, "law")
    made = await write(media, f"Bão số 9 {unique}", topic="climate", text="Chằng chống nhà cửa. " * 100)
    assert made["subscriptions"] == 1
    await carry(media)
    assert pushes.of(other) == []
    (arrived,) = pushes.of(phone)
    assert len(arrived.body) < 4096
    assert unique.encode() not in arrived.body
    headers = arrived.headers
    assert (headers["content-encoding"], headers["urgency"]) == ("aes128gcm", "high")
    assert 86_000 < int(headers["ttl"]) <= 86_400
    claims = arrived.claims()
    assert claims["aud"] == f"http://{pushes.host}"
    assert claims["sub"] == media.settings.public_url
    assert time.time() < claims["exp"] <= time.time() + 86_400
    page = await media.client.get("/media/notices", params={"unit": QUAY.code}, headers={"accept": "text/html"})
    shown = re.search(r'data-push-key="([^"]+)"', page.text)
    assert shown is not None
    assert claims["key"] == shown[1]
    with pytest.raises(http_ece.ECEException):
        other.read(arrived.body)
    said = phone.read(arrived.body)
    assert (said["title"], said["notice"]) == (made["title"], made["id"])
    assert len(said["text"]) <= 300
    receipt = {"push": said["push"], "ticket": said["ticket"]}
    assert (await media.post("/receipts", receipt, by={})).status_code == 204
    assert (await media.get(f"/notices/{made['id']}")).json()["received"] == 1
    await due_now(media)
    await carry(media)
    assert len(pushes.of(phone)) == 1, "what was sent is not sent again"


async def test_each_push_is_carried_once_by_however_many_processes(media: Media, pushes: PushService) -> None:
    phones = [Phone(pushes.host) for _ in range(20)]
    for phone in phones:
        await follow(media, phone)
    await write(media, "Họp")
    await carry(media, together=3)
    assert sorted(one.phone for one in pushes.arrived) == sorted(phone.name for phone in phones)


async def test_a_push_service_that_is_busy_is_asked_again_later(media: Media, pushes: PushService) -> None:
    phone = Phone(pushes.host)
    await follow(media, phone)
    pushes.answers[phone.name] = [(503, {}), (429, {"retry-after": "3000"}), (201, {})]
    made = await write(media, "Họp")
    at = now()
    await carry(media)
    first = await row(media, made["id"])
    assert timedelta(0) < first.next_try_at - at < timedelta(minutes=1)
    await due_now(media)
    await carry(media)
    second = await row(media, made["id"])
    assert second.next_try_at - at >= timedelta(seconds=3000), "not before it asked for"
    await due_now(media)
    await carry(media)
    third = await row(media, made["id"])
    assert (third.attempts, third.next_try_at, third.sent_at is None) == (3, None, False)


async def test_nothing_is_sent_after_its_time_or_after_it_was_withdrawn(media: Media, pushes: PushService) -> None:
    phone = Phone(pushes.host)
    await follow(media, phone)
    withdrawn, past = await write(media, "Nhầm"), await write(media, "Cũ")
    assert (await media.post(f"/notices/{withdrawn['id']}/withdraw")).status_code == 200
    async with media.running.tx() as tx:
        await tx.execute(
            sa.text("UPDATE notice SET expires_at = now() - interval '1 second' WHERE id = :n"),
            {"n": uuid.UUID(past["id"])},
        )
    await carry(media)
    assert pushes.arrived == []
    assert (await row(media, past["id"])).next_try_at is None


async def test_what_is_withdrawn_on_its_way_is_not_tried_again(media: Media, pushes: PushService) -> None:
    await follow(media, Phone(pushes.host))
    made = await write(media, "Nhầm")
    async with media.running.tx() as tx:
        (due,), _ = await sender.take_due(tx, now(), limit=1)
    assert (await media.post(f"/notices/{made['id']}/withdraw")).status_code == 200
    async with media.running.tx() as tx:
        await sender.settle(tx, due, Answer(Outcome.LATER), now())
    assert (await row(media, made["id"])).next_try_at is None


async def test_a_phone_that_is_gone_or_refuses_again_and_again_is_forgotten(media: Media, pushes: PushService) -> None:
    gone, odd, whole = Phone(pushes.host), Phone(pushes.host), Phone(pushes.host)
    for phone in (gone, odd, whole):
        await follow(media, phone)
    pushes.answers = {gone.name: [(410, {})], odd.name: [(400, {})] * sender.MOST_FAILURES}
    made = [await write(media, f"Họp {n}") for n in range(sender.MOST_FAILURES + 1)]
    for _ in made:
        await due_now(media)
        await carry(media)
    left = [
        len((await media.post("/subscriptions/mine", {"endpoint": phone.endpoint}, by={})).json()["items"])
        for phone in (gone, odd, whole)
    ]
    assert left == [0, 0, 1]
    assert len(pushes.of(whole)) == len(made)
    async with media.running.tx() as tx:
        waiting = sa.text("SELECT count(*) FROM push WHERE next_try_at IS NOT NULL")
        assert await tx.scalar(waiting) == 0
    assert (await media.get(f"/notices/{made[0]['id']}")).json()["subscriptions"] == 3


async def test_a_phone_that_takes_long_holds_up_no_other(media: Media, pushes: PushService) -> None:
    slow, others = Phone(pushes.host), [Phone(pushes.host) for _ in range(5)]
    pushes.silent[slow.name] = asyncio.Event()
    await follow(media, slow)
    await write(media, "Họp sớm")
    for phone in others:
        await follow(media, phone)
    media.settings.push_parallel = 2
    try:
        await write(media, "Họp", topic="climate")
        pushes.silent[slow.name].set()
        await carry(media)
        assert len(pushes.of(slow)) == 2
        pushes.silent[slow.name].clear()
        await write(media, "Họp nữa")
        carrying = asyncio.create_task(carry(media))
        await eventually(lambda: all(len(pushes.of(phone)) == 2 for phone in others))
        assert not carrying.done()
        pushes.silent[slow.name].set()
        await carrying
    finally:
        media.settings.push_parallel = 16


async def test_a_warning_of_a_storm_goes_before_what_waits_already(media: Media, pushes: PushService) -> None:
    await follow(media, Phone(pushes.host))
    waiting, storm = await write(media, "Họp"), await write(media, "Bão", topic="climate")
    for expected in (storm, waiting):
        async with media.running.tx() as tx:
            (due,), _ = await sender.take_due(tx, now(), limit=1)
        assert str(due.notice) == expected["id"]


async def test_what_is_over_holds_up_nothing(media: Media, pushes: PushService) -> None:
    phone = Phone(pushes.host)
    await follow(media, phone)
    past = [uuid.UUID((await write(media, f"Cũ {n}"))["id"]) for n in range(3)]
    await write(media, "Mới")
    async with media.running.tx() as tx:
        await tx.execute(sa.text("UPDATE notice SET expires_at = now() WHERE id = ANY(:n)"), {"n": past})
    media.settings.push_parallel = 1
    try:
        await carry(media)
    finally:
        media.settings.push_parallel = 16
    (arrived,) = pushes.of(phone)
    assert phone.read(arrived.body)["title"] == "Mới"


async def test_an_address_that_cannot_be_called_takes_no_other_push_along(media: Media, pushes: PushService) -> None:
    """One that got in before such were refused: its name cannot even be looked up."""
    odd, whole = Phone(pushes.host), Phone(pushes.host)
    for phone in (odd, whole):
        await follow(media, phone)
    secret = media.settings.secret.get_secret_value()
    mark = fingerprint(secret, odd.endpoint)
    address = CalledPhone("https://push..example.com/x", raw(odd.described["p256dh"]), odd.secret).packed()
    async with media.running.tx() as tx:
        changed = sa.text("UPDATE subscription SET sealed = :s WHERE fingerprint = :f")
        await tx.execute(changed, {"s": vault_for(secret).seal(address, owner=mark.hex()), "f": mark})
    await write(media, "Họp")
    await carry(media)
    assert len(pushes.of(whole)) == 1
    async with media.running.tx() as tx:
        assert await tx.scalar(sa.text("SELECT count(*) FROM subscription")) == 1


async def test_whose_fault_it_is_decides_who_is_forgotten(media: Media, pushes: PushService) -> None:
    """A phone nobody can reach is forgotten while others are reached; not so where this service reaches nobody."""
    whole, dead, barred, alone = (Phone(pushes.host) for _ in range(4))
    never, forbidden = Answer(Outcome.LATER, 86_400), Answer(Outcome.FORBIDDEN, 86_400)
    answers = {
        fingerprint(media.settings.secret.get_secret_value(), phone.endpoint): answer
        for phone, answer in ((whole, Answer(Outcome.SENT)), (dead, never), (barred, forbidden), (alone, never))
    }
    for phone, unit in ((whole, QUAY), (dead, QUAY), (barred, QUAY), (alone, NGHIA_DUNG)):
        await follow(media, phone, unit.code)
    for _ in range(sender.MOST_FAILURES):
        for unit in (QUAY, NGHIA_DUNG):
            await write(media, "Họp", unit=unit.code)
        async with media.running.tx() as tx:
            due, _ = await sender.take_due(tx, now(), limit=10)
            for one in sorted(due, key=lambda one: list(answers).index(one.fingerprint)):
                await sender.settle(tx, one, answers[one.fingerprint], now())
            assert (await sender.take_due(tx, now() + timedelta(hours=12), limit=10))[0] == [], "nothing is left to try"
    there = [
        len((await media.post("/subscriptions/mine", {"endpoint": phone.endpoint}, by={})).json()["items"])
        for phone in (whole, dead, barred, alone)
    ]
    assert there == [1, 0, 1, 1]


@pytest.mark.parametrize("again", ["received", "subscribed"])
async def test_failures_count_in_a_row_only(media: Media, pushes: PushService, again: str) -> None:
    phone = Phone(pushes.host)
    await follow(media, phone)
    for _ in range(sender.MOST_FAILURES - 1):
        await answered(media, Outcome.REFUSED)
    if again == "received":
        await answered(media, Outcome.SENT)
    else:
        await follow(media, phone)
    for _ in range(sender.MOST_FAILURES - 1):
        await answered(media, Outcome.REFUSED)
    assert not await nobody_follows(media)
    await answered(media, Outcome.REFUSED)
    assert await nobody_follows(media)


async def answered(media: Media, outcome: Outcome) -> None:
    """A notice is written, and its one push has come to `outcome`."""
    await write(media, "Họp")
    async with media.running.tx() as tx:
        (due,), _ = await sender.take_due(tx, now(), limit=1)
        await sender.settle(tx, due, Answer(outcome), now())


async def nobody_follows(media: Media) -> bool:
    async with media.running.tx() as tx:
        return await tx.scalar(sa.text("SELECT count(*) FROM subscription")) == 0


async def test_which_phone_got_what_is_forgotten_in_time_and_the_counts_stay(media: Media, pushes: PushService) -> None:
    await follow(media, Phone(pushes.host))
    made = [await write(media, "Họp") for _ in range(2)]
    async with media.running.tx() as tx:
        for one, days in zip(made, (61, 59), strict=True):
            past = sa.text("UPDATE notice SET expires_at = now() - make_interval(days => :d) WHERE id = :n")
            await tx.execute(past, {"d": days, "n": uuid.UUID(one["id"])})
        await sender.forget_old(tx, now())
        rows = sa.text("SELECT count(*) FROM push WHERE notice_id = :n")
        left = [await tx.scalar(rows, {"n": uuid.UUID(one["id"])}) for one in made]
    assert left == [0, 1]
    assert (await media.get(f"/notices/{made[0]['id']}")).json()["subscriptions"] == 1


def test_what_the_service_says_of_itself_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    start = int(time.time())
    vapid, endpoint = Vapid("một bí mật dài hơn", "mailto:a@b.vn"), urlsplit("https://push.example.com/x")
    said = []
    for hours in (0, 5, 7):
        monkeypatch.setattr("services.media.notices.push.time", SimpleNamespace(time=lambda h=hours: start + h * 3600))
        said.append(vapid.authorization(endpoint))
    assert said[0] == said[1] != said[2]
    claims = Arrived("/x", {"authorization": said[2]}, b"").claims()
    assert (claims["aud"], claims["exp"]) == ("https://push.example.com", start + 19 * 3600)


async def test_what_a_service_forbids_is_tried_again(media: Media, pushes: PushService) -> None:
    phone = Phone(pushes.host)
    await follow(media, phone)
    pushes.answers[phone.name] = [(403, {})]
    made = await write(media, "Họp")
    await carry(media)
    await due_now(media)
    await carry(media)
    assert (await row(media, made["id"])).sent_at is not None


async def test_what_a_dead_process_had_claimed_is_carried_by_another(media: Media, pushes: PushService) -> None:
    phone = Phone(pushes.host)
    await follow(media, phone)
    made = await write(media, "Họp")
    at = now()
    async with media.running.tx() as tx:
        (claimed,), _ = await sender.take_due(tx, at, limit=10)
    assert str(claimed.notice) == made["id"]
    assert phone.name not in repr(claimed)
    for later, count in ((at, 0), (at + sender.LEASE, 1)):
        async with media.running.tx() as tx:
            assert len((await sender.take_due(tx, later, limit=10))[0]) == count


async def test_a_name_that_leads_into_a_network_is_not_called(
    media: Media, pushes: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name was harmless when the phone came; what it leads to is looked at when it is called."""
    await follow(media, Phone())
    await write(media, "Họp")
    port = int(pushes.host.rsplit(":", 1)[1])

    async def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    await carry(media)
    assert pushes.arrived == []
    async with media.running.tx() as tx:
        assert await tx.scalar(sa.text("SELECT count(*) FROM subscription")) == 0


@pytest.mark.parametrize(
    ("ip", "open_"),
    [
        ("142.250.1.1", True),
        ("2a00:1450::1", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nobody listens there, it must not be called.
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:0a00:0001::1", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("::a00:1", False),
        ("::1", False),
    ],
)
def test_only_the_open_internet_is_called(ip: str, open_: bool) -> None:
    assert public(ipaddress.ip_address(ip)) is open_


@pytest.mark.parametrize(
    ("status", "retry", "outcome", "pause"),
    [
        (201, "", Outcome.SENT, 0),
        (404, "", Outcome.GONE, 0),
        (429, "120", Outcome.LATER, 120),
        (503, "9" * 400, Outcome.LATER, 3600),
        (500, "Wed, 21 Oct 2026 07:28:00 GMT", Outcome.LATER, 90),
        (503, "Wed, 21 Oct 2026 07:26:00 -0000", Outcome.LATER, 0),
        (503, "soon", Outcome.LATER, 0),
        (429, "999999", Outcome.LATER, 3600),
        (301, "", Outcome.REFUSED, 0),
        (400, "", Outcome.REFUSED, 0),
        (401, "", Outcome.FORBIDDEN, 0),
        (403, "", Outcome.FORBIDDEN, 0),
    ],
)
def test_answers_of_push_services_are_told_apart(status: int, retry: str, outcome: Outcome, pause: float) -> None:
    answer = judged(status, retry, datetime(2026, 10, 21, 7, 26, 30, tzinfo=UTC))
    assert (answer.outcome, answer.pause) == (outcome, pause)


def test_a_host_that_is_named_is_trusted_and_no_other_of_its_machine() -> None:
    assert target("http://127.0.0.1:9000/x", host="127.0.0.1:9000").port == 9000
    for other in ("http://127.0.0.1:9001/x", "http://u@127.0.0.1:9000/x", "ftp://127.0.0.1:9000/x"):
        with pytest.raises(BadSubscription):
            target(other, host="127.0.0.1:9000")


def test_the_key_of_the_service_stays_and_another_secret_has_another() -> None:
    keys = [vapid_for(secret, "mailto:a@b.vn").public for secret in ("một bí mật dài", "một bí mật khác")]
    assert keys[0] != keys[1]
    vapid_for.cache_clear()
    assert vapid_for("một bí mật dài", "mailto:a@b.vn").public == keys[0]
