"""What anybody may send without signing in stays small, and what is no photo is told so."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from services.petitions.model import Draft
from tests.ecommerce.test_hostile import LYING_EXIF
from tests.petitions.people import API, People, file
from tests.support.running import Running, csrf


async def test_a_draft_that_anybody_may_leave_does_not_fill_the_database(app: Running) -> None:
    async with app.fresh_client() as visitor:
        form = {"commune": "11083", "description": "a" * 900_000, "place": "b" * 900_000}
        form["csrf_token"] = await csrf(visitor, "/petitions/report?unit=11083")
        sent = await visitor.post("/petitions/report", data=form)
        assert sent.status_code == 303, sent.text
        assert sent.headers["location"].startswith("/identity/login")
    async with app.tx() as tx:
        assert 1000 < int(await tx.scalar(sa.select(sa.func.max(sa.func.length(Draft.sealed)))) or 0) < 50_000


# Pillow warns before it stumbles; in a running service nobody makes an error of a warning.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
async def test_a_photo_whose_metadata_lie_is_refused(app: Running, who: People) -> None:
    petition = await file(app, who.resident)
    sent = [("photos", ("a.webp", LYING_EXIF, "image/webp"))]
    refused = await app.client.post(f"{API}/{petition['id']}/photos", files=sent, headers=who.resident)
    assert (refused.status_code, refused.json()["code"]) == (422, "not_a_photo")
