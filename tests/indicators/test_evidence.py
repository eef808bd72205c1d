"""Documents behind figures: recognised by content, stripped, kept, and given to those who may see them."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from PIL import Image

from chassis import pictures
from chassis.db import new_id
from services.indicators.sources import evidence
from services.indicators.sources.evidence import DocumentTooLarge, NotADocument, file_name, recognise
from tests.indicators.conftest import Stage
from tests.indicators.test_imports import words
from tests.support.running import bearer, csrf, token

HTML = {"accept": "text/html"}
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


def picture(form: str = "JPEG", *, exif: bool = True, mode: str = "RGB") -> bytes:
    image = Image.new(mode, (40, 20), "red" if mode != "LA" else 0)
    kept = Image.Exif()
    kept[0x010F], kept[0x0112] = "Dien thoai cua ong A", 6
    out = io.BytesIO()
    image.save(out, form, **({"exif": kept} if exif else {}))
    return out.getvalue()


def test_a_picture_keeps_its_pixels_and_nothing_else() -> None:
    for form, suffix in (("JPEG", ".jpg"), ("PNG", ".png")):
        data = picture(form)
        assert b"Dien thoai" in data
        clean = recognise(data + b"appended", "bien-ban.pdf")
        assert clean.name == f"bien-ban{suffix}"
        assert b"Dien thoai" not in clean.content
        assert b"appended" not in clean.content
        with Image.open(io.BytesIO(clean.content)) as drawn:
            # It stands upright, as the phone said it should.
            assert drawn.size == (20, 40)
            assert not drawn.getexif()


def test_transparent_and_grey_pictures_are_kept_too() -> None:
    for mode in ("RGBA", "LA", "L", "P", "1"):
        assert recognise(picture("PNG", exif=False, mode=mode), "a").media_type == "image/png"
    assert recognise(picture("JPEG", exif=False, mode="CMYK"), "a").media_type == "image/jpeg"


def test_a_pdf_is_kept_as_it_is() -> None:
    assert recognise(PDF, "Biên bản 12.PDF") == evidence.Clean("Biên bản 12.pdf", "application/pdf", PDF)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ\x90\x00 a program called bien-ban.pdf",
        b"%PDF-1.7 that ends nowhere",
        b"\xff\xd8\xff\xe0 no picture",
        picture("PNG")[:60],
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<html>%PDF-1.7 %%EOF",
    ],
)
def test_what_only_looks_like_a_document_is_refused(data: bytes) -> None:
    with pytest.raises(NotADocument):
        recognise(data, "bien-ban.pdf")


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentTooLarge):
        recognise(PDF[:-6] + b" " * evidence.MAX_BYTES + b"%%EOF\n", "a.pdf")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    with pytest.raises(NotADocument):
        recognise(picture(), "a.jpg")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("C:\\Users\\a\\Biên bản.docx", "Biên bản.pdf"),
        ("a\x00b\r\nc.pdf", "abc.pdf"),
        ('x"; filename="y.exe', "x; filename=y.pdf"),
        ("", "tai-lieu.pdf"),
        (".pdf", "tai-lieu.pdf"),
        ("ạ" * 300, "ạ" * 116 + ".pdf"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    assert file_name(given, ".pdf") == kept


async def enter(stage: Stage, unit: Any, *files: tuple[str, bytes], **form: str) -> Any:
    address = f"/indicators/units/{unit.code}/entry?measure=village.fibre_households"
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", stage.commune.path)))
        secret = await csrf(browser, address)
        sent = {"csrf_token": secret, "numerator": "81", "denominator": "100", **form}
        parts = [("file", (name, data, "application/octet-stream")) for name, data in files]
        return await browser.post(address, data=sent, files=parts or None, headers=HTML)


async def test_an_entry_takes_its_document_and_shows_it(stage: Stage) -> None:
    unit = await stage.new_village()
    answer = await enter(stage, unit, ("ảnh biên bản.jpg", picture()))
    assert answer.status_code == 303, words(answer.text)
    assert await stage.status(unit, "288.5") == "met"
    staff = bearer(("officer", stage.commune.path))
    page = await stage.client.get(f"/indicators/units/{unit.code}/entry", headers={**HTML, **staff})
    assert "81/100 hộ" in words(page.text)
    assert "ảnh biên bản.jpg" in page.text
    link = re.search(r"/indicators/documents/[0-9a-f-]+", page.text)
    assert link is not None
    shown = await stage.client.get(link[0], headers=staff)
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["content-disposition"].startswith("attachment;")
    viewer = await stage.client.get(link[0], headers=bearer(("viewer", "30")))
    assert viewer.content == shown.content
    for who, status in ((bearer(("officer", "30/298/11077")), 404), (bearer(("resident", "30")), 404), ({}, 401)):
        assert (await stage.client.get(link[0], headers={**who, "accept": "application/json"})).status_code in (
            status, 303,
        )  # fmt: skip
    missing = await stage.client.get(f"/indicators/documents/{new_id()}", headers=staff)
    assert missing.status_code == 404


async def test_a_wrong_document_is_refused_beside_its_field_and_nothing_is_stored(stage: Stage) -> None:
    unit = await stage.new_village()
    answer = await enter(stage, unit, ("bien-ban.pdf", b"MZ no document"), document="Biên bản 12")
    assert answer.status_code == 422
    assert "không phải PDF, JPEG hoặc PNG" in words(answer.text)
    assert 'value="81"' in answer.text
    assert await stage.status(unit, "288.5") == "no_data"
    assert (await enter(stage, unit)).status_code == 422


async def test_documents_are_handed_in_over_json_too(stage: Stage) -> None:
    unit, staff = await stage.new_village(), bearer(("officer", stage.commune.path))
    kept = await stage.client.post(
        "/indicators/api/v1/documents",
        data={"unit": unit.code},
        files={"file": ("a.pdf", PDF, "text/plain")},
        headers=staff,
    )
    assert kept.status_code == 201, kept.text
    assert (kept.json()["media_type"], kept.json()["size"]) == ("application/pdf", len(PDF))
    body = {
        "unit": unit.code,
        "measure": "village.smart_loudspeaker",
        "value": {"flag": True},
        "evidence": {"file": kept.json()["id"]},
    }
    entered = await stage.client.post("/indicators/api/v1/observations", json=body, headers=staff)
    assert entered.status_code == 201, entered.text
    async with stage.running.tx() as tx:
        found = await evidence.recent(tx, unit, 5)
    assert [(one.measure, one.document_name) for one in found] == [("village.smart_loudspeaker", "a.pdf")]
    other = await stage.client.post(
        "/indicators/api/v1/observations",
        json={**body, "unit": "11077"},
        headers=bearer(("admin", "30")),
    )
    assert other.status_code == 404
    foreign = await stage.client.post(
        "/indicators/api/v1/documents",
        data={"unit": unit.code},
        files={"file": ("a.pdf", PDF, "text/plain")},
        headers=bearer(("officer", "30/298/11077")),
    )
    assert foreign.status_code == 403
