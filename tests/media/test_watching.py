"""Rules that watch cameras, on pictures that really come over RTSP: alerts begin and end, and who may see what."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.db import audit_table, now
from services.media.model import Village
from services.media.vault import vault_for
from services.media.watching import alerts as alerts_
from services.media.watching import looks, queries
from services.media.watching.model import Alert, Rule, Watch
from services.media.watching.watcher import Watcher
from tests.media.conftest import (
    FOREIGN_OFFICER,
    HEAD,
    NGHIA_DUNG,
    OFFICER,
    PARTNER,
    QUAY,
    RESIDENT,
    Media,
    kinds,
)
from tests.support.camera import Clip, StreamingCamera, clip
from tests.support.running import bearer

VIEWER = bearer(("viewer", "30/298"))
LEFT = [[0, 0], [50, 0], [50, 100], [0, 100]]
RIGHT = [[62, 0], [100, 0], [100, 100], [62, 100]]


def live(seed: int) -> Clip:
    return clip("live", seed, frames=3)


@asynccontextmanager
async def watcher(media: Media, **changed: Any) -> AsyncIterator[Watcher]:
    settings = media.settings.model_copy(update={"watch_timeout_seconds": 2.0, "watch_quiet_seconds": 0.0, **changed})
    made = Watcher(media.running.runner.runtime.sessions, settings, vault_for(settings.secret.get_secret_value()))
    try:
        yield made
    finally:
        await made.close()


async def register(media: Media, name: str, url: str) -> str:
    body = {"unit": NGHIA_DUNG.code, "name": name, "place": "public_place", "url": url}
    answer = await media.post("/cameras", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def rule(media: Media, camera: str, kind: str, **words: Any) -> str:
    answer = await media.post(f"/cameras/{camera}/rules", {"kind": kind, **words})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def look(media: Media, camera: str, times: int = 1, **changed: Any) -> None:
    """Have this camera, and no other, looked at so many times."""
    for _ in range(times):
        async with media.running.tx() as tx:
            await tx.execute(sa.update(Watch).values(next_look_at=now() + timedelta(days=1)))
            await tx.execute(sa.update(Watch).where(Watch.camera_id == camera).values(next_look_at=now()))
        async with watcher(media, **changed) as eyes:
            assert await eyes.round() == 1
            await eyes.settle()


async def alerts(media: Media, camera: str) -> list[dict[str, Any]]:
    listed = (await media.get("/camera-alerts", unit=NGHIA_DUNG.code, limit=200)).json()["items"]
    return [alert for alert in listed if alert["camera"] == camera]


async def watch(media: Media, camera: str) -> dict[str, Any]:
    return dict((await media.get(f"/cameras/{camera}/watch")).json())


async def version(media: Media) -> int:
    async with media.running.tx() as tx:
        return (await tx.get_one(Village, NGHIA_DUNG.code)).version


async def told(media: Media, camera: str) -> list[tuple[int, bool]]:
    found = [e for e in await media.events(camera) if type(e).__name__ == "CameraWatchChanged"]
    return [(e.watch.rules_active, e.watch.working) for e in found]  # type: ignore[attr-defined]  # watch events.


async def test_motion_in_a_zone_is_an_alert_with_a_picture_and_ends_when_it_is_still(media: Media, unique: str) -> None:
    async with StreamingCamera(live(1), clip("walk", 2), live(3), username="admin", password="bi-mat") as device:
        camera = await register(media, f"Cổng {unique}", device.url)
        assert await told(media, camera) == []
        watched = await rule(media, camera, "zone", name="Cổng trái", points=LEFT)
        aside = await rule(media, camera, "zone", name="Bờ phải", points=RIGHT)
        assert (await watch(media, camera))["working"] is False, "a rule that was never evaluated watches nothing"
        await look(media, camera)
        seen = await watch(media, camera)
        assert (seen["working"], seen["last_result"]) == (True, "ok")
        assert await alerts(media, camera) == []
        before = await version(media)
        await look(media, camera)
        assert await version(media) > before, "open pages learn of it"
        (alert,) = await alerts(media, camera)
        assert (alert["rule"], alert["kind"], alert["verdict"]) == (watched, "zone", "new")
        assert alert["ended_at"] is None
        assert [r["id"] for r in (await watch(media, camera))["rules"] if r["warning"]] == [watched] != [aside]
        await look(media, camera)
        assert (await alerts(media, camera))[0]["ended_at"] is not None
    assert await told(media, camera) == [(1, False), (2, False), (2, True)], "told of changes, not of looks"
    shown = await media.get(f"/camera-alerts/{alert['id']}/snapshot")
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.content.startswith(b"\xff\xd8")
    assert len(shown.content) < 60_000


async def test_covered_frozen_and_dead_cameras_are_told_apart(media: Media, unique: str) -> None:
    async with StreamingCamera(live(1), live(2)) as device:
        camera = await register(media, f"Chợ {unique}", device.url)
        for kind in ("no_picture", "frozen", "covered"):
            await rule(media, camera, kind, checks=2)
        await look(media, camera, 2)
        assert await alerts(media, camera) == [], "noise makes every picture of a live camera another one"
        await look(media, camera, 2)
        assert [a["kind"] for a in await alerts(media, camera)] == ["frozen"], "the same clip three times"
        device.clips = [clip("covered", 3, frames=3), clip("covered", 4, frames=3)]
        await look(media, camera, 2)
        assert [a["kind"] for a in await alerts(media, camera)] == ["covered", "frozen"]
        device.garbage = True
        await look(media, camera, 1)
        assert (await watch(media, camera))["last_result"] == "no_video"
        assert len(await alerts(media, camera)) == 2, "once is not enough"
    await look(media, camera, 1)
    newest = (await alerts(media, camera))[0]
    assert (newest["kind"], newest["has_snapshot"], newest["ended_at"]) == ("no_picture", False, None)
    assert (await watch(media, camera))["last_result"] == "unreachable"
    assert (await media.get(f"/camera-alerts/{newest['id']}/snapshot")).status_code == 404
    assert (await watch(media, camera))["working"] is True, "within the hour"
    async with media.running.tx() as tx:
        await tx.execute(
            sa.update(Watch).where(Watch.camera_id == camera).values(evaluated_at=now() - timedelta(hours=1))
        )
    async with watcher(media) as eyes:
        await eyes.sweep()
    assert (await told(media, camera))[-1] == (3, False)
    going_on = [a["kind"] for a in await alerts(media, camera) if a["ended_at"] is None]
    assert going_on == ["no_picture"], "nobody has seen for an hour whether it is covered"


async def test_a_camera_that_hangs_holds_nobody_up(media: Media, unique: str) -> None:
    async with StreamingCamera(live(1)) as dead, StreamingCamera(live(1)) as mute, StreamingCamera(live(1)) as alive:
        dead.silent, mute.mute = True, True
        cameras = [await register(media, f"{n} {unique}", d.url) for n, d in enumerate((dead, mute, alive))]
        for camera in cameras:
            await rule(media, camera, "no_picture", checks=1)
        async with media.running.tx() as tx:
            await tx.execute(sa.update(Watch).values(next_look_at=now() + timedelta(days=1)))
            await tx.execute(sa.update(Watch).where(Watch.camera_id.in_(cameras)).values(next_look_at=now()))
        async with watcher(media, watch_timeout_seconds=0.5, watch_parallel=2) as eyes:
            assert await eyes.round() == 2
            await eyes.settle()
            assert await eyes.round() == 1
            await eyes.settle()
        seen = [await watch(media, camera) for camera in cameras]
        assert [one["last_result"] for one in seen] == ["timeout", "timeout", "ok"]
        assert [one["working"] for one in seen] == [False, False, True], "who sees no picture watches nothing"


async def test_two_processes_never_look_at_one_camera_at_a_time(media: Media, unique: str) -> None:
    async with StreamingCamera(live(1)) as device:
        camera = await register(media, f"Cổng {unique}", device.url)
        await rule(media, camera, "covered")
        async with media.running.tx() as tx:
            await tx.execute(sa.update(Watch).values(next_look_at=now() + timedelta(days=1)))
            await tx.execute(sa.update(Watch).where(Watch.camera_id == camera).values(next_look_at=now()))
        async with watcher(media) as one, watcher(media) as other:
            assert sorted(await asyncio.gather(one.round(), other.round())) == [0, 1]
            await asyncio.gather(one.settle(), other.settle())
        assert device.played == 1


async def test_a_rule_said_anew_or_paused_is_not_judged_by_what_was_seen_before(media: Media, unique: str) -> None:
    camera = await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live")
    frozen = await rule(media, camera, "frozen", checks=1)
    covered = await rule(media, camera, "covered", checks=1)
    since = now()
    assert (
        await media.client.put(f"/media/api/v1/camera-rules/{frozen}", json={"checks": 1}, headers=OFFICER)
    ).is_success
    await media.post(f"/camera-rules/{covered}/pause", {"on": True})
    async with media.running.tx() as tx:
        ids = (await tx.scalars(sa.select(Rule.id).where(Rule.camera_id == camera))).all()
        found = looks.Looked(since, "ok", True, b"1", dict.fromkeys(ids, True), {})
        vault = vault_for(media.settings.secret.get_secret_value())
        assert (
            await looks.looked(
                tx, vault, ids and (await tx.get_one(Rule, ids[0])).camera_id, found, at=now(), settings=media.settings
            )
            == []
        )
    assert (await watch(media, camera))["working"] is False


async def test_only_what_is_in_use_is_looked_at(media: Media, unique: str) -> None:
    camera = await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live")
    covered = await rule(media, camera, "covered", checks=1)
    zone = await rule(media, camera, "zone", points=LEFT)
    await media.post(f"/camera-rules/{zone}/pause", {"on": True})

    async def due() -> list[list[str]]:
        async with media.running.tx() as tx:
            await tx.execute(sa.update(Watch).values(next_look_at=now() + timedelta(days=1)))
            await tx.execute(sa.update(Watch).where(Watch.camera_id == camera).values(next_look_at=now()))
            taken = await looks.take_due(tx, at=now(), lease=60, limit=2)
            return [[str(rule.id) for rule in one.rules] for one in taken]

    assert await due() == [[covered]]
    since = now()
    vault = vault_for(media.settings.secret.get_secret_value())
    for seconds, pause in ((1, media.settings.watch_seconds), (60, 60.0)):
        async with media.running.tx() as tx:
            none = looks.Looked(since, "timeout", False, None, {}, {})
            took = since + timedelta(seconds=seconds)
            await looks.looked(tx, vault, uuid.UUID(camera), none, at=took, settings=media.settings)
            after = (await tx.get_one(Watch, uuid.UUID(camera))).next_look_at
            assert after == since + timedelta(seconds=pause), "looks begin so far apart, or when the last is over"
    await media.post(f"/cameras/{camera}/maintenance", {"on": True})
    assert await due() == [], "a camera in maintenance is left alone"
    async with media.running.tx() as tx:
        found = looks.Looked(since, "ok", True, b"1", {uuid.UUID(covered): True}, {})
        assert not await looks.looked(tx, vault, uuid.UUID(camera), found, at=now(), settings=media.settings)
    assert (await watch(media, camera))["last_result"] == "timeout"


async def test_rules_are_paused_changed_removed_and_go_with_their_camera(media: Media, unique: str) -> None:
    async with StreamingCamera(clip("covered", 1, frames=3)) as device:
        camera = await register(media, f"Cổng {unique}", device.url)
        covered = await rule(media, camera, "covered", checks=1)
        await look(media, camera)
        assert [a["ended_at"] for a in await alerts(media, camera)] == [None]
        for _ in range(2):
            paused = await media.post(f"/camera-rules/{covered}/pause", {"on": True})
            assert paused.json()["paused"] is True
        assert [a["ended_at"] is None for a in await alerts(media, camera)] == [False]
        await media.post(f"/camera-rules/{covered}/pause", {"on": False})
        assert (await watch(media, camera))["working"] is False, "what was evaluated before the pause is over"
        await look(media, camera)
        frozen = await rule(media, camera, "frozen")
        removed = await asyncio.gather(*(media.post(f"/camera-rules/{covered}/remove") for _ in range(2)))
        assert sorted(answer.status_code for answer in removed) == [200, 404]
        assert [r["id"] for r in (await watch(media, camera))["rules"]] == [frozen]
        newer, older = await alerts(media, camera)
        assert newer["ended_at"] is not None, "alerts outlive their rule, but are over"
        first = (await media.get("/camera-alerts", unit=NGHIA_DUNG.code, limit=1)).json()
        second = (await media.get("/camera-alerts", unit=NGHIA_DUNG.code, limit=1, after=first["next"])).json()
        assert [page["items"][0]["id"] for page in (first, second)] == [newer["id"], older["id"]]
    async with media.running.tx() as tx:
        await tx.execute(sa.update(Alert).where(Alert.id == older["id"]).values(created_at=now() - timedelta(days=40)))
    assert (await media.post(f"/cameras/{camera}/retire")).status_code == 200
    assert (await told(media, camera)) == [
        (1, False),
        (1, True),
        (0, False),
        (1, False),
        (1, True),
        (2, True),
        (1, True),
        (0, False),
    ]
    *_, last, retired = await media.events(camera)
    assert kinds([last, retired]) == ["CameraWatchChanged", "CameraRetired"]
    assert last.watch.alerts_this_month == 1  # type: ignore[attr-defined]  # a watch event.
    assert (await media.post(f"/cameras/{camera}/rules", {"kind": "covered"})).status_code == 409
    async with media.running.tx() as tx:
        actions = list(
            await tx.scalars(
                sa.select(audit_table.c.action).where(audit_table.c.target == covered).order_by(audit_table.c.id)
            )
        )
    assert actions == [f"camera_rule.{deed}" for deed in ("added", "paused", "resumed", "removed")]


async def alarmed(media: Media, unique: str, device: StreamingCamera) -> tuple[str, str]:
    """A camera and its one alert with a picture."""
    camera = await register(media, f"Cổng {unique}", device.url)
    await rule(media, camera, "covered", checks=1)
    await look(media, camera)
    (alert,) = await alerts(media, camera)
    return camera, alert["id"]


async def test_the_picture_is_for_staff_of_the_unit_and_every_look_is_written_down(media: Media, unique: str) -> None:
    async with StreamingCamera(clip("covered", 1, frames=3)) as device:
        camera, alert = await alarmed(media, unique, device)
    assert (await media.post(f"/cameras/{camera}/retire")).is_success
    assert (await media.get(f"/camera-alerts/{alert}")).json()["ended_at"] is not None, "it ends with its camera"
    path = f"/camera-alerts/{alert}/snapshot"
    for stranger in (VIEWER, HEAD, RESIDENT, PARTNER, FOREIGN_OFFICER):
        assert (await media.get(path, by=stranger)).status_code in (403, 404)
    assert (await media.get(f"/camera-alerts/{alert}", by=VIEWER)).status_code == 200
    assert (await media.get(f"/camera-alerts/{alert}", by=FOREIGN_OFFICER)).status_code == 404
    neighbours = (await media.get("/camera-alerts", unit=QUAY.code, limit=200)).json()["items"]
    assert neighbours == [], "a village has its own alerts only"
    for _ in range(2):
        assert (await media.get(path)).status_code == 200
    async with media.running.tx() as tx:
        seen = sa.select(audit_table).where(audit_table.c.target == alert)
        looks = [(row.actor, row.action) for row in await tx.execute(seen)]
        assert looks == [("officer-dai-son", "camera_alert.snapshot_seen")] * 2
        sealed = await tx.scalar(sa.select(Alert.snapshot).where(Alert.id == alert))
        assert b"\xff\xd8\xff" not in sealed, "at rest it is sealed"
        await tx.execute(sa.update(Alert).where(Alert.id == alert).values(created_at=now() - timedelta(days=31)))
    async with watcher(media) as eyes:
        await eyes.sweep()
    gone = await media.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "snapshot_gone")
    assert (await media.get(f"/camera-alerts/{alert}")).json()["has_snapshot"] is False


async def test_people_say_whether_an_alert_was_right(media: Media, unique: str) -> None:
    async with StreamingCamera(clip("covered", 1, frames=3)) as device:
        _, alert = await alarmed(media, unique, device)
    path = f"/camera-alerts/{alert}/verdict"
    for stranger in (VIEWER, HEAD, RESIDENT, PARTNER, FOREIGN_OFFICER):
        assert (await media.post(path, {"verdict": "confirmed"}, by=stranger)).status_code in (403, 404)
    assert (await media.get(f"/camera-alerts/{alert}")).json()["verdict"] == "new"
    async with media.running.tx() as tx:
        waiting = await queries.waiting(tx, NGHIA_DUNG.path)
    before = await version(media)
    judged = (await media.post(path, {"verdict": "false_alarm"})).json()
    assert await version(media) > before
    async with media.running.tx() as tx:
        said = await tx.scalars(sa.select(audit_table.c.action).where(audit_table.c.target == alert))
        assert list(said) == ["camera_alert.judged"]
        assert await queries.waiting(tx, NGHIA_DUNG.path) == waiting - 1
    said_anew = f"/media/api/v1/camera-rules/{judged['rule']}"
    assert (await media.client.put(said_anew, json={"checks": 2}, headers=OFFICER)).is_success
    assert (await media.get(f"/camera-alerts/{alert}")).json()["ended_at"] is not None, (
        "its rule says something else now"
    )
    assert (judged["verdict"], judged["judged_by"]) == ("false_alarm", "officer-dai-son")
    taken_back = (await media.post(path, {"verdict": "new"})).json()
    assert (taken_back["verdict"], taken_back["judged_by"], taken_back["judged_at"]) == ("new", None, None)
    assert (await media.post(path, {"verdict": "confirmed"})).json()["verdict"] == "confirmed"
    assert (await media.post(path, {"verdict": "perhaps"})).status_code == 422
    for account, name in (("somebody-else", "Người thử"), ("officer-dai-son", "")):
        async with media.running.tx() as tx:
            await alerts_.forget_person(tx, account)
        async with media.running.tx() as tx:
            assert await tx.scalar(sa.select(Alert.judged_name).where(Alert.id == alert)) == name


BAD = (
    {"kind": "face"},
    {"kind": "line"},
    {"kind": "line", "points": [[50, 50], [55, 55]]},
    {"kind": "line", "points": [[0, 0], [50, 0], [100, 0]]},
    {"kind": "covered", "checks": 0},
    {"kind": "zone", "points": []},
    {"kind": "zone", "points": [[0, 0], [50, 50], [100, 100]]},
    {"kind": "zone", "points": [[0, 0], [101, 0], [50, 50]]},
    {"kind": "zone", "points": [[n, n % 7] for n in range(13)]},
    {"kind": "zone", "points": LEFT, "share": 0},
    {"kind": "zone", "points": LEFT, "begins": "24:00"},
    {"kind": "zone", "points": LEFT, "name": "a\u0000b"},
    {"kind": "zone", "points": LEFT, "name": "x" * 61},
)


async def test_bad_rules_are_refused_and_nothing_is_kept(media: Media, unique: str) -> None:
    camera = await register(media, f"Cổng {unique}", "rtsp://10.0.0.7/live")
    for body in BAD:
        answer = await media.post(f"/cameras/{camera}/rules", body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for stranger in (VIEWER, HEAD, RESIDENT, PARTNER, FOREIGN_OFFICER):
        answer = await media.post(f"/cameras/{camera}/rules", {"kind": "covered"}, by=stranger)
        assert answer.status_code in (403, 404)
    assert (await watch(media, camera))["rules"] == []
    assert await told(media, camera) == []
    # Decomposed Vietnamese is kept composed; a replay makes no second rule; one of each kind but zones.
    body = {"kind": "zone", "points": LEFT, "name": "Cô\u0309ng"}
    first = await media.post(f"/cameras/{camera}/rules", body, **{"idempotency-key": unique})
    again = await media.post(f"/cameras/{camera}/rules", body, **{"idempotency-key": unique})
    assert first.json() == again.json()
    assert first.json()["name"] == "Cổng"
    both = await asyncio.gather(*(media.post(f"/cameras/{camera}/rules", {"kind": "covered"}) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [201, 409]
    for _ in range(10):
        await rule(media, camera, "zone", points=LEFT)
    full = await media.post(f"/cameras/{camera}/rules", {"kind": "zone", "points": LEFT})
    assert (full.status_code, full.json()["code"]) == (409, "too_many_rules")


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}:00+07:00")


@pytest.mark.parametrize(
    ("hours", "awake", "asleep"),
    [
        ((0, 0), ["00:00", "12:00", "23:59"], []),
        ((22 * 60, 5 * 60), ["22:00", "00:00", "04:59"], ["21:59", "05:00", "12:00"]),
        ((7 * 60, 17 * 60), ["07:00", "16:59"], ["06:59", "17:00"]),
    ],
)
def test_hours_may_go_over_midnight(hours: tuple[int, int], awake: list[str], asleep: list[str]) -> None:
    made = Rule(from_minute=hours[0], to_minute=hours[1])
    assert [c for c in (*awake, *asleep) if made.awake(at(c))] == awake


def test_a_look_speaks_for_an_hour() -> None:
    made = Watch(rules_active=1, evaluated_at=at("10:00"))
    assert [made.works(at(clock)) for clock in ("10:59", "11:00")] == [True, False]


def test_after_an_alert_a_rule_is_quiet_for_a_while() -> None:
    made = Rule(checks=1, streak=0, warning=False, last_alert_at=None)
    quiet, begin = timedelta(minutes=5), at("10:00")

    def take(found: bool, seconds: int) -> bool:
        return made.take(found, begin + timedelta(seconds=seconds), quiet=quiet)

    assert [take(True, 0), take(True, 10), take(False, 20), take(True, 30), take(True, 299)] == [True, *[False] * 4]
    assert take(True, 300), "still so when the quiet is over"
