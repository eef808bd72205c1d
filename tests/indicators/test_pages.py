"""What people see: the answer first, every row with its reason, and nothing to those it does not concern."""

from __future__ import annotations

import csv
import io
import re

from sqlalchemy import text
from xaso.media.v1 import events_pb2 as media

from services.indicators.criteria import library
from tests.indicators.conftest import Stage
from tests.indicators.test_events import product, speaker
from tests.support.running import bearer, csrf, token

HTML = {"accept": "text/html"}
LEGAL = sorted(
    {
        text
        for one in (*library.catalogue().sets.values(), *library.catalogue().overlays.values())
        for text in (one.legal_basis.title, one.legal_basis.number, one.legal_basis.issuer, one.title.en)
    },
    key=len,
    reverse=True,
)
"""What stands in legal texts stays as it is written; an English title may name a place."""
VIETNAMESE = r"[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]"


async def test_a_sheet_begins_with_the_answer_and_what_is_missing(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    await stage.tell(
        stage.event(speaker(unit, "ready", id=id), id),
        stage.event(product(unit, f"tea-{unit.code}", 1), f"tea-{unit.code}"),
        stage.event(product(unit, f"rice-{unit.code}", 0), f"rice-{unit.code}"),
    )
    page = await stage.client.get(f"/indicators/units/{unit.code}", headers=HTML)
    assert page.status_code == 200
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert f"{unit.name} đạt 1/9 chỉ tiêu." in words
    assert "sản phẩm lên sàn (thêm 1 sản phẩm chủ lực)" in words
    assert "vì trạng thái loa truyền thanh" in words
    assert 'data-live-key="288.5"' in page.text
    missing = await stage.client.get(f"/indicators/units/{unit.code}?show=missing", headers=HTML)
    assert 'data-live-key="288.2"' not in missing.text
    assert 'data-live-key="288.9"' in missing.text


async def test_a_province_is_told_how_many_more_communes_its_own_set_asks_for(stage: Stage) -> None:
    """Rows that count units below rest on no measure of their own."""
    await stage.settle()
    page = await stage.client.get("/indicators/units/30?set=hd-2025", headers=HTML)
    assert page.status_code == 200
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert "Tỉnh Hải Dương đạt 0/3 chỉ tiêu. Còn thiếu: xã nâng cao (thêm 1 xã)" in words
    assert "Thêm 1 xã nữa là đạt" in words


async def test_the_overview_counts_villages_and_names_the_nearest(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    await stage.tell(stage.event(speaker(unit, "ready", id=id), id))
    await stage.settle()
    commune = await stage.client.get("/indicators/?unit=11074", headers=HTML)
    assert commune.status_code == 200
    assert "Gần đạt nhất" in commune.text
    assert f"/indicators/units/{unit.code}" in commune.text
    district = await stage.client.get("/indicators/?unit=298", headers=HTML)
    assert "Xã Đại Sơn" in district.text
    start = await stage.client.get("/indicators/", headers=HTML)
    assert "Tỉnh Hải Dương" in start.text


async def test_the_overview_opens_where_the_reader_belongs(stage: Stage) -> None:
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", stage.commune.path)))
        page = await browser.get("/indicators/", headers=HTML)
        assert "<h1>Xã Đại Sơn</h1>" in page.text


async def test_every_page_speaks_english_too(stage: Stage) -> None:
    unit = stage.villages[0]
    await stage.settle()
    for path in (
        "/indicators/?unit=11074",
        f"/indicators/units/{unit.code}",
        "/indicators/units?q=dai%20son",
        "/indicators/sets/hd-288-2023",
        f"/indicators/units/{unit.code}/items/288.5",
        f"/indicators/units/{unit.code}/entry",
        f"/indicators/units/{unit.code}/entry?measure=village.fibre_households",
    ):
        address = path + ("&" if "?" in path else "?") + "lang=en"
        async with stage.running.fresh_client() as browser:
            page = await browser.get(address, headers={**HTML, **bearer(("officer", stage.commune.path))})
        assert page.status_code == 200, (path, page.text[:500])
        main = page.text.split("<main", 1)[1].split("</main>", 1)[0]
        words = re.sub(r"<[^>]+>", " ", main)
        # Names of places and the title of a legal text stay as they are written.
        for name in (
            *LEGAL,
            "Thôn Nghĩa Dũng",
            "Nghĩa Dũng",
            "Thôn số",
            "số",
            "Huyện Tứ Kỳ",
            "Xã Đại Sơn",
            "Đại Sơn",
            "Tỉnh Hải Dương",
            "Hải Dương",
            "UBND tỉnh",
            "QĐ-UBND",
        ):
            words = words.replace(name, "")
        left = [w for w in re.findall(r"[^\W\d_]+", words) if re.search(VIETNAMESE, w)]
        assert not left, (path, left)


async def test_a_sheet_can_be_taken_home_as_csv(stage: Stage) -> None:
    unit = stage.villages[0]
    answer = await stage.client.get(f"/indicators/units/{unit.code}/sheet.csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 10
    assert rows[5][:3] == [unit.code, unit.name, "288.5"]
    assert rows[5][3].startswith("Có hạ tầng mạng băng thông rộng cáp quang")


async def test_the_matrix_can_be_taken_home_as_csv(stage: Stage) -> None:
    await stage.settle()
    answer = await stage.client.get("/indicators/units/11074/children.csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [head.split()[0] for head in rows[0][4:]] == [f"288.{n}" for n in range(1, 10)]
    assert rows[0][8] == "288.5 cáp quang"
    assert stage.villages[0].code in [row[0] for row in rows]
    above = await stage.client.get("/indicators/units/298/children.csv")
    commune = list(csv.reader(io.StringIO(above.content.decode("utf-8-sig"))))[1]
    assert commune[:2] == ["11074", "Xã Đại Sơn"]
    # Numbers are numbers: how many meet it, and of how many.
    assert [int(cell) for cell in commune[4:6]][1] >= int(commune[4])


async def test_a_row_shows_its_trend(stage: Stage) -> None:
    unit = await stage.new_village()
    for clusters, heard in ((4, 1), (4, 2), (4, 3)):
        change = media.VillageAudibilityChanged(unit=unit.code, clusters=clusters, clusters_in_earshot=heard)
        await stage.tell(stage.event(change, f"audibility-{unit.code}"))
    async with stage.running.tx() as tx:
        await tx.execute(
            text("UPDATE change SET at = at - interval '40 days' WHERE code = :code AND numerator = 1"),
            {"code": unit.code},
        )
    page = await stage.client.get(f"/indicators/units/{unit.code}", headers=HTML)
    assert "90 ngày qua: từ 25% đến 75%" in page.text


async def test_an_officer_enters_a_figure_with_evidence_and_keeps_what_was_typed_when_it_is_wrong(stage: Stage) -> None:
    unit = await stage.new_village()
    address = f"/indicators/units/{unit.code}/entry?measure=village.fibre_households"
    async with stage.running.fresh_client() as browser:
        browser.cookies.set("xaso_session", token(("officer", stage.commune.path)))
        secret = await csrf(browser, address)
        form = {"csrf_token": secret, "numerator": "120", "denominator": "100", "document": "Biên bản 12/BB-UBND"}
        wrong = await browser.post(address, data=form, headers=HTML)
        assert wrong.status_code == 422
        assert "Tử số lớn hơn mẫu số." in wrong.text
        assert 'value="120"' in wrong.text
        bare = await browser.post(address, data={**form, "numerator": "81", "document": ""}, headers=HTML)
        assert bare.status_code == 422
        assert await stage.status(unit, "288.5") == "no_data"
        right = await browser.post(address, data={**form, "numerator": "81"}, headers=HTML)
        assert right.status_code == 303
    item = await stage.item(unit, "288.5")
    assert (item["status"], item["value"]) == ("met", {"numerator": 81, "denominator": 100})
    assert item["because"].startswith("document:")


async def test_only_staff_of_the_unit_may_enter_figures(stage: Stage) -> None:
    unit = stage.villages[0]
    address = f"/indicators/units/{unit.code}/entry"
    for grants in ([("officer", "30/298/11077")], [("resident", stage.commune.path)], [("viewer", "30")]):
        refused = await stage.client.get(address, headers={**HTML, **bearer(*grants)})
        assert refused.status_code == 403, grants


async def test_unknown_units_sets_and_items_are_not_found(stage: Stage) -> None:
    unit = stage.villages[0]
    for path in (
        "/indicators/units/99999",
        f"/indicators/units/{unit.code}?set=nope",
        f"/indicators/units/{unit.code}/items/288.99",
        "/indicators/sets/nope",
        "/indicators/?unit=99999",
    ):
        answer = await stage.client.get(path, headers={**HTML, **bearer(("admin", "30"))})
        assert answer.status_code == 404, path
