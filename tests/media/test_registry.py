"""Loudspeakers and clusters over JSON: registered, covered, retired, with their events; and what is refused."""

from __future__ import annotations

import unicodedata
import uuid

import pytest
import sqlalchemy as sa

from chassis.db import audit_table
from services.media.speakers.model import Loudspeaker
from tests.media.conftest import (
    COMMUNE,
    FOREIGN,
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
from tests.support.running import bearer


async def test_a_loudspeaker_is_registered_with_a_secret_shown_once(media: Media, unique: str) -> None:
    cluster = await media.cluster(f"Xóm Đình {unique}")
    body = {"unit": NGHIA_DUNG.code, "name": f"Loa {unique}", "clusters": [cluster]}
    first = await media.post("/loudspeakers", body, **{"idempotency-key": unique})
    assert first.status_code == 201, first.text
    device = first.json()["device"]
    assert len(device["secret"]) == 32
    assert device["topic"] == f"xaso/11074/{device['id']}"
    again = await media.post("/loudspeakers", body, **{"idempotency-key": unique})
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["device"] == {**device, "secret": None}
    speaker = first.json()["loudspeaker"]
    shown = await media.get(f"/loudspeakers/{speaker['id']}")
    assert shown.json() == speaker
    assert "secret" not in shown.text
    events = await media.events(speaker["id"])
    assert kinds(events) == ["LoudspeakerRegistered"]
    assert events[0].loudspeaker.state == "unknown"  # type: ignore[attr-defined]  # the kind was asserted.
    async with media.running.tx() as tx:
        row = await tx.get_one(Loudspeaker, speaker["id"])
        assert row.sealed_secret is not None
        assert device["secret"].encode() not in row.sealed_secret
        done = await tx.execute(sa.select(audit_table).where(audit_table.c.target == speaker["id"]))
        assert [(r.actor, r.action, r.unit) for r in done] == [
            ("officer-dai-son", "loudspeaker.registered", NGHIA_DUNG.code)
        ]


async def test_an_analogue_horn_has_no_device(media: Media, unique: str) -> None:
    made = await media.speaker(f"Loa dây {unique}", smart=False)
    assert made["device"] is None
    assert made["loudspeaker"]["smart"] is False
    renewed = await media.post(f"/loudspeakers/{made['loudspeaker']['id']}/secret")
    assert renewed.status_code == 409


async def test_a_new_secret_replaces_the_old(media: Media, unique: str) -> None:
    made = await media.speaker(f"Loa {unique}")
    renewed = await media.post(f"/loudspeakers/{made['loudspeaker']['id']}/secret")
    assert renewed.status_code == 200
    assert renewed.json()["device"]["secret"] not in (None, made["device"]["secret"])
    assert renewed.json()["device"]["id"] == made["device"]["id"]


async def test_coverage_counts_the_clusters_of_the_village(media: Media, unique: str) -> None:
    one, two = [await media.cluster(f"Xóm {n} {unique}", QUAY.code) for n in (1, 2)]
    foreign = await media.cluster(f"Xóm lạ {unique}")
    speaker = (await media.speaker(f"Loa {unique}", one, unit=QUAY.code))["loudspeaker"]["id"]
    refused = await media.client.put(
        f"/media/api/v1/loudspeakers/{speaker}/clusters", json={"clusters": [one, foreign]}, headers=OFFICER
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "clusters"
    assert (await media.get(f"/loudspeakers/{speaker}")).json()["clusters"] == [one]
    widened = await media.client.put(
        f"/media/api/v1/loudspeakers/{speaker}/clusters", json={"clusters": [one, two, two]}, headers=OFFICER
    )
    assert widened.json()["clusters"] == [one, two]
    assert (await media.post(f"/clusters/{two}/retire")).status_code == 200
    assert (await media.post(f"/clusters/{two}/retire")).status_code == 200
    assert (await media.get(f"/loudspeakers/{speaker}")).json()["clusters"] == [one]
    listed = (await media.get("/villages", unit=COMMUNE.code)).json()["items"]
    village = next(v for v in listed if v["unit"] == QUAY.code)
    assert (village["clusters"], village["clusters_in_earshot"]) == (1, 0)
    assert [(e.clusters, e.clusters_in_earshot) for e in await media.events(QUAY.code)] == [(1, 0), (2, 0), (1, 0)]  # type: ignore[attr-defined]  # VillageAudibilityChanged.


async def test_retiring_is_told_once_and_frees_the_name(media: Media, unique: str) -> None:
    made = (await media.speaker(f"Loa {unique}"))["loudspeaker"]["id"]
    taken = await media.post("/loudspeakers", {"unit": NGHIA_DUNG.code, "name": f"LOA {unique}".upper()})
    assert taken.status_code == 409
    assert taken.json()["code"] == "name_taken"
    assert (await media.post(f"/loudspeakers/{made}/retire")).json()["in_service"] is False
    assert (await media.post(f"/loudspeakers/{made}/retire")).status_code == 409
    assert (await media.post(f"/loudspeakers/{made}/secret")).status_code == 409
    events = await media.events(made)
    assert kinds(events) == ["LoudspeakerRegistered", "LoudspeakerRetired"]
    assert events[1].loudspeaker.in_service is False  # type: ignore[attr-defined]  # the kind was asserted.
    stretches = (await media.get(f"/loudspeakers/{made}/intervals")).json()
    assert [s["until"] is None for s in stretches] == [False]
    await media.speaker(f"Loa {unique}")


async def test_names_are_stored_composed_and_found_alike(media: Media, unique: str) -> None:
    name = f"Xóm Đường {unique}"
    made = await media.post("/clusters", {"unit": NGHIA_DUNG.code, "name": unicodedata.normalize("NFD", name)})
    assert made.json()["name"] == name
    again = await media.post("/clusters", {"unit": NGHIA_DUNG.code, "name": f"xom duong {unique}"})
    assert again.status_code == 409


async def test_lists_are_paged_by_key(media: Media, unique: str) -> None:
    made = [(await media.speaker(f"Loa {n} {unique}", unit=QUAY.code))["loudspeaker"]["id"] for n in range(5)]
    seen: list[str] = []
    after = None
    while True:
        params = {"unit": QUAY.code, "limit": 2, **({"after": after} if after else {})}
        page = (await media.get("/loudspeakers", **params)).json()
        seen += [s["id"] for s in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert [s for s in seen if s in made] == made
    assert len(seen) == len(set(seen))
    for bad in ("x", "W10", "WyJhIiwiYiJd", "Wzdd"):
        assert (await media.get("/loudspeakers", unit=QUAY.code, after=bad)).status_code == 400
        assert (await media.get("/bulletins", unit=QUAY.code, after=bad)).status_code == 400
    assert (await media.get("/loudspeakers", unit=QUAY.code, limit=0)).status_code == 422


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"unit": "99999-01"}, 404),
        ({"unit": COMMUNE.code}, 422),
        ({"unit": FOREIGN.code}, 403),
        ({"unit": "11074-01\x00"}, 422),
        ({"unit": ""}, 422),
        ({"name": "a\x00b"}, 422),
        ({"name": "hai\ndòng"}, 422),
        ({"name": "x" * 121}, 422),
        ({"name": "  "}, 422),
        ({"clusters": ["x"]}, 422),
        ({"clusters": [str(uuid.uuid4())]}, 422),
        ({"smart": "maybe"}, 422),
    ],
)
async def test_bad_registrations_are_refused(
    media: Media, unique: str, changed: dict[str, object], status: int
) -> None:
    answer = await media.post("/loudspeakers", {"unit": NGHIA_DUNG.code, "name": unique, **changed})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    async with media.running.tx() as tx:
        assert (await tx.scalars(sa.select(Loudspeaker).where(Loudspeaker.name == unique))).first() is None


async def test_bodies_that_are_no_json_or_too_large_are_refused(media: Media) -> None:
    headers = {**OFFICER, "content-type": "application/json"}
    bad = await media.client.post("/media/api/v1/clusters", content=b"{", headers=headers)
    assert bad.status_code == 400
    large = await media.client.post("/media/api/v1/clusters", content=b" " * 2_000_000, headers=headers)
    assert large.status_code == 413


async def test_a_village_head_enters_clusters_of_the_own_village_only(media: Media, unique: str) -> None:
    own = await media.post("/clusters", {"unit": NGHIA_DUNG.code, "name": f"Xóm {unique}"}, by=HEAD)
    assert own.status_code == 201
    other = await media.post("/clusters", {"unit": QUAY.code, "name": f"Xóm {unique}"}, by=HEAD)
    assert other.status_code == 403
    speaker = await media.post("/loudspeakers", {"unit": NGHIA_DUNG.code, "name": unique}, by=HEAD)
    assert speaker.status_code == 403


async def test_only_those_of_the_commune_see_and_change_a_loudspeaker(media: Media, unique: str) -> None:
    cluster = await media.cluster(f"Xóm {unique}")
    made = (await media.speaker(f"Loa {unique}", cluster))["loudspeaker"]["id"]
    sent = (await media.post("/bulletins", {"unit": NGHIA_DUNG.code})).json()["id"]
    for by in (FOREIGN_OFFICER, RESIDENT):
        for path in (f"/loudspeakers/{made}", f"/loudspeakers/{made}/intervals", f"/bulletins/{sent}"):
            assert (await media.get(path, by=by)).status_code == 404, path
        for path in ("/loudspeakers", "/clusters", "/bulletins", "/villages", "/changes"):
            assert (await media.get(path, by=by, unit=COMMUNE.code)).status_code == 403, path
    for by in (FOREIGN_OFFICER, RESIDENT, PARTNER):
        for path in (f"/loudspeakers/{made}/retire", f"/loudspeakers/{made}/secret", f"/clusters/{cluster}/retire"):
            assert (await media.post(path, by=by)).status_code in (403, 404), path
        assert (await media.post(f"/bulletins/{sent}/cancel", by=by)).status_code in (403, 404)
        assert (await media.post("/bulletins", {"unit": NGHIA_DUNG.code}, by=by)).status_code == 403
    assert (await media.get(f"/loudspeakers/{made}", by=PARTNER)).status_code == 200
    no_scope = bearer(("partner", COMMUNE.path), kind="partner", client_id="vnpt", scope="indicators.read")
    assert (await media.get(f"/loudspeakers/{made}", by=no_scope)).status_code == 403
    assert (await media.client.get(f"/media/api/v1/loudspeakers/{made}")).status_code == 401
    assert (await media.post(f"/bulletins/{sent}/cancel")).status_code == 200


async def test_a_village_without_smart_loudspeakers_cannot_be_tested(media: Media, unique: str) -> None:
    unit = FOREIGN.code
    by = bearer(("officer", FOREIGN.path))
    assert (await media.post("/bulletins", {"unit": unit}, by=by)).status_code == 409
    body = {"unit": unit, "name": f"Loa dây {unique}", "smart": False}
    horn = (await media.post("/loudspeakers", body, by=by)).json()["loudspeaker"]["id"]
    assert (await media.post("/bulletins", {"unit": unit}, by=by)).status_code == 409
    foreign = await media.post("/bulletins", {"unit": unit, "loudspeakers": [horn]}, by=by)
    assert foreign.status_code == 422
    assert (await media.post("/bulletins", {"unit": unit, "loudspeakers": []}, by=by)).status_code == 422
