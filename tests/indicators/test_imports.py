"""Files in, figures out, and back: preview, all or nothing, undo, and who may do it."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from chassis.units import Unit
from services.indicators.criteria import library
from services.indicators.interchange import backlog, importing
from tests.indicators.conftest import Stage
from tests.indicators.files import FIBRE, filled, heading, workbook
from tests.support.running import commune, csrf, token, village

HTML = {"accept": "text/html"}
SET = "hd-288-2023"
NUMERATOR, DENOMINATOR = f"{FIBRE}:numerator", f"{FIBRE}:denominator"
HEAD = heading("unit", "name", NUMERATOR, DENOMINATOR, "document")


class Officer:
    """An officer of a commune at a browser."""

    def __init__(self, stage: Stage, client: httpx.AsyncClient, path: str = "") -> None:
        self.stage, self.client = stage, client
        client.cookies.set("xaso_session", token(("officer", path or stage.commune.path), subject="officer-1"))

    async def upload(self, data: bytes, name: str = "so-lieu.xlsx", unit: str = "", **more: str) -> httpx.Response:
        page = f"/indicators/units/{unit or self.stage.commune.code}/imports"
        secret = await csrf(self.client, page)
        return await self.client.post(
            page,
            params={"set": SET, "level": "village", **more},
            data={"csrf_token": secret},
            files={"file": (name, data, "application/octet-stream")},
            headers=HTML,
        )

    async def preview(self, data: bytes, name: str = "so-lieu.xlsx", **more: str) -> str:
        """The address of the preview."""
        answer = await self.upload(data, name, **more)
        assert answer.status_code == 303, words(answer.text)
        return answer.headers["location"]

    async def post(self, address: str, **form: str) -> httpx.Response:
        secret = await csrf(self.client, address)
        target = f"{address}/apply" if form else address
        return await self.client.post(target, data={"csrf_token": secret, **form}, headers=HTML)

    async def see(self, address: str) -> str:
        page = await self.client.get(address, headers=HTML)
        assert page.status_code == 200, page.text[:500]
        return words(page.text)


def words(page: str) -> str:
    main = page.split("<main", 1)[-1].split("</main>", 1)[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


@pytest.fixture
async def officer(stage: Stage) -> Any:
    async with stage.running.fresh_client() as client:
        yield Officer(stage, client)


async def fibre(stage: Stage, unit: Unit) -> tuple[str, Any]:
    item = await stage.item(unit, "288.5")
    return item["status"], item["value"]


def rows(*lines: tuple[Unit, Any, Any]) -> bytes:
    return workbook([HEAD, *([unit.code, unit.name, a, b, "Biên bản 12"] for unit, a, b in lines)])


async def test_a_template_filled_in_becomes_figures_and_an_undo_takes_them_back(stage: Stage, officer: Officer) -> None:
    one, other = await stage.new_village(), await stage.new_village()
    template = await officer.client.get(
        f"/indicators/units/{stage.commune.code}/template.xlsx", params={"set": SET, "level": "village"}
    )
    assert template.status_code == 200
    data = filled(
        template.content,
        {
            one.code: {NUMERATOR: 81, DENOMINATOR: 100, "document": "Biên bản 12/BB"},
            other.code: {
                NUMERATOR: 80,
                DENOMINATOR: 100,
                "village.digital_dialogue:flag": "có",
                "village.digital_dialogue:document": "Báo cáo 7",
            },
        },
    )
    preview = await officer.preview(data)
    seen = await officer.see(preview)
    assert "Tệp có 3 số liệu dùng được và 0 chỗ cần sửa. Chưa có gì được ghi." in seen
    assert await fibre(stage, one) == ("no_data", None)
    assert (await officer.post(preview, mode="all")).status_code == 303
    assert await fibre(stage, one) == ("met", {"numerator": 81, "denominator": 100})
    assert await fibre(stage, other) == ("unmet", {"numerator": 80, "denominator": 100})
    assert await stage.status(other, "288.1") == "met"
    assert "Đã ghi 3 số liệu" in await officer.see(preview)
    asked = await officer.see(f"{preview}/undo")
    assert "Hoàn tác lần nhập này?" in asked
    assert (await officer.post(f"{preview}/undo")).status_code == 303
    assert await fibre(stage, one) == ("no_data", None)
    assert await stage.status(other, "288.1") == "no_data"
    assert "Đã hoàn tác: 3 số liệu trở lại như trước, 0 số liệu giữ nguyên" in await officer.see(preview)


@pytest.mark.parametrize(
    ("chosen", "words_of"),
    [(SET, "mã và tên từng thôn của Xã Đại Sơn,"), ("hd-1414-ntm-8", "mã và tên của Xã Đại Sơn,")],
)
async def test_the_page_says_whose_rows_a_template_has(
    stage: Stage, officer: Officer, chosen: str, words_of: str
) -> None:
    seen = await officer.see(f"/indicators/units/{stage.commune.code}/imports?set={chosen}")
    assert f"Mẫu có sẵn {words_of}" in seen


async def test_what_is_wrong_is_named_by_its_cell_and_the_reader_chooses(stage: Stage, officer: Officer) -> None:
    good, wrong = await stage.new_village(), await stage.new_village()
    preview = await officer.preview(rows((good, 90, 100), (wrong, 120, 100)))
    seen = await officer.see(preview)
    assert "1 số liệu dùng được và 1 chỗ cần sửa" in seen
    assert "Số liệu, C3" in seen
    assert "Số đạt 120 lớn hơn tổng số 100." in seen
    refused = await officer.post(preview, mode="all")
    assert refused.status_code == 409
    assert "Tệp còn 1 chỗ sai nên không ghi gì." in words(refused.text)
    assert await fibre(stage, good) == ("no_data", None)
    assert (await officer.post(preview, mode="valid")).status_code == 303
    assert (await fibre(stage, good))[0] == "met"
    assert (await fibre(stage, wrong))[0] == "no_data"
    again = await officer.post(preview, mode="valid")
    assert again.status_code == 409


async def test_a_yes_or_no_names_its_document_and_a_wrong_day_is_told_once_in_its_cell(
    stage: Stage, officer: Officer
) -> None:
    """The file itself proves nothing: a flag rests on evidence."""
    bare, row_wide, late = [await stage.new_village() for _ in range(3)]
    flag = "village.digital_dialogue:flag"
    heading = [f"x [{key}]" for key in ("unit", flag, NUMERATOR, DENOMINATOR, "document", "observed_on")]
    told = [
        [bare.code, "có", 81, 100, "", ""],
        [row_wide.code, "không", 81, 100, "Báo cáo 7", ""],
        [late.code, "có", 81, 100, "Báo cáo 7", "01/01/2099"],
    ]
    preview = await officer.preview(workbook([heading, *told]))
    seen = await officer.see(preview)
    assert "Tệp có 3 số liệu dùng được và 2 chỗ cần sửa." in seen
    assert "Khẳng định có/không phải nêu tài liệu chứng minh." in seen
    assert re.findall(r"Số liệu, ([A-Z]+[0-9]+)", seen) == ["B2", "F4"]
    assert (await officer.post(preview, mode="valid")).status_code == 303
    assert [await stage.status(unit, "288.1") for unit in (bare, row_wide, late)] == ["no_data", "unmet", "no_data"]
    assert [(await fibre(stage, unit))[0] for unit in (bare, row_wide, late)] == ["met", "met", "no_data"]


async def test_units_that_are_not_the_officers_are_told(stage: Stage, officer: Officer) -> None:
    mine = await stage.new_village()
    neighbour = commune("11077", "Xã Hưng Đạo")
    away = village(neighbour, 1, "Thôn Ô Mễ")
    province = Unit("31", "Thành phố Hải Phòng", "province", "thanh_pho", "", "31", mine.valid_from)
    elsewhere = Unit("31-01", "Tổ 1", "village", "to", "31", "31/31-01", mine.valid_from)
    later = Unit(
        "11074-997",
        "Thôn mới",
        "village",
        "thon",
        "11074",
        "30/298/11074/11074-997",
        mine.valid_from.replace(year=2099),
    )
    ended = Unit(
        "11074-996", "Thôn cũ", "village", "thon", "11074", "30/298/11074/11074-996", mine.valid_from,
        mine.valid_from.replace(year=2024),
    )  # fmt: skip
    await stage.running.enter_units(neighbour, away, province, elsewhere, later, ended)
    lines = [[unit.code, unit.name, 1, 2, ""] for unit in (mine, away, elsewhere, later, ended)]
    lines += [["99999", "", 1, 2, ""], [mine.code, "Thôn khác", 1, 2, ""], [stage.commune.code, "", 1, 2, ""]]
    lines[6][0] = (await stage.new_village()).code
    seen = await officer.see(await officer.preview(workbook([HEAD, *lines])))
    assert "1 số liệu dùng được và 7 chỗ cần sửa" in seen
    for said in (
        "A3 Đơn vị 11077-01 không thuộc Xã Đại Sơn.",
        "A4 Đơn vị 31-01 không thuộc Xã Đại Sơn.",
        "A5 Đơn vị 11074-997 chưa có vào ngày có số liệu.",
        "A6 Đơn vị 11074-996 không còn vào ngày có số liệu.",
        "A7 Không có đơn vị hành chính mã 99999.",
        "không phải “Thôn khác”.",
        "Số liệu này không dành cho cấp của đơn vị 11074.",
    ):
        assert said in seen, (said, seen)


async def test_all_or_nothing_holds_when_a_unit_ends_between_preview_and_apply(stage: Stage, officer: Officer) -> None:
    one, gone = await stage.new_village(), await stage.new_village()
    preview = await officer.preview(rows((one, 90, 100), (gone, 90, 100)))
    async with stage.running.tx() as tx:
        await tx.execute(text("UPDATE unit SET valid_to = '2026-01-01' WHERE code = :code"), {"code": gone.code})
    refused = await officer.post(preview, mode="all")
    assert refused.status_code == 409
    assert "Không ghi gì: số liệu ở ô C3" in words(refused.text)
    assert await fibre(stage, one) == ("no_data", None)
    assert (await officer.post(preview, mode="valid")).status_code == 303
    assert (await fibre(stage, one))[0] == "met"
    assert "1 chỗ" not in await officer.see(preview)
    assert f"Đơn vị {gone.code}" in await officer.see(preview)


async def test_an_undo_keeps_what_is_newer_and_says_so(stage: Stage, officer: Officer) -> None:
    one, other = await stage.new_village(), await stage.new_village()
    await officer.post(await officer.preview(rows((one, 50, 100), (other, 50, 100))), mode="all")
    second = await officer.preview(rows((one, 90, 100), (other, 90, 100)))
    await officer.post(second, mode="all")
    await officer.post(await officer.preview(rows((other, 70, 100))), mode="all")
    await officer.post(f"{second}/undo")
    assert (await fibre(stage, one))[1] == {"numerator": 50, "denominator": 100}
    assert (await fibre(stage, other))[1] == {"numerator": 70, "denominator": 100}
    seen = await officer.see(second)
    assert "1 số liệu trở lại như trước, 1 số liệu giữ nguyên" in seen
    assert f"C3 {other.code}" in seen
    assert (await officer.post(f"{second}/undo")).status_code == 409


async def test_imports_undone_in_any_order_leave_what_was_there_before_them(stage: Stage, officer: Officer) -> None:
    units = [await stage.new_village() for _ in range(2)]
    await officer.post(await officer.preview(rows(*((unit, 10, 100) for unit in units))), mode="all")
    for unit, order in zip(units, ((0, 1), (1, 0)), strict=True):
        made = [await officer.preview(rows((unit, n, 100))) for n in (20, 30)]
        for address in made:
            await officer.post(address, mode="all")
        for which in order:
            assert (await officer.post(f"{made[which]}/undo")).status_code == 303
        assert (await fibre(stage, unit))[1] == {"numerator": 10, "denominator": 100}, order


async def test_the_same_file_twice_is_told_and_sets_the_same_figures(stage: Stage, officer: Officer) -> None:
    unit = await stage.new_village()
    data = rows((unit, 81, 100))
    first = await officer.preview(data)
    assert "Chính tệp này đã được nhập" not in await officer.see(await officer.preview(data))
    await officer.post(first, mode="all")
    second = await officer.preview(data)
    assert "Chính tệp này đã được nhập" in await officer.see(second)
    await officer.post(second, mode="all")
    assert (await fibre(stage, unit))[1] == {"numerator": 81, "denominator": 100}


async def test_the_file_is_kept_and_given_to_those_who_may_see_it(stage: Stage, officer: Officer) -> None:
    unit = await stage.new_village()
    data = rows((unit, 81, 100))
    preview = await officer.preview(data, "số liệu tháng 11.xlsx")
    page = await officer.client.get(preview, headers=HTML)
    document = re.search(r"/indicators/documents/[0-9a-f-]+", page.text)
    assert document is not None
    kept = await officer.client.get(document[0])
    assert kept.content == data
    assert "filename*=UTF-8''s%E1%BB%91%20li%E1%BB%87u%20th%C3%A1ng%2011.xlsx" in kept.headers["content-disposition"]
    async with stage.running.fresh_client() as other:
        stranger = Officer(stage, other, "30/298/11077")
        assert (await stranger.client.get(document[0], headers=HTML)).status_code == 404
        assert (await stranger.client.get(preview, headers=HTML)).status_code == 404


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"%PDF-1.7\n%%EOF", "so-lieu.xlsx", "không phải bảng tính"),
        (b"\x00\x01\x02", "so-lieu.csv", "ký tự NUL ở dòng 1"),
        ("Mã;Tên\n1;2\n".encode("utf-16"), "so-lieu.csv", "không ghi bằng mã UTF-8"),
        (b"PK\x03\x04junk", "so-lieu.xlsx", "Tệp bị hỏng"),
    ],
)
async def test_a_bad_file_is_refused_with_the_reason_and_leaves_nothing(
    stage: Stage, officer: Officer, data: bytes, name: str, said: str
) -> None:
    async with stage.running.tx() as tx:
        before = (
            await tx.execute(text("SELECT (SELECT count(*) FROM import), (SELECT count(*) FROM evidence_file)"))
        ).one()
    answer = await officer.upload(data, name)
    assert answer.status_code == 422
    assert said in words(answer.text)
    async with stage.running.tx() as tx:
        after = (
            await tx.execute(text("SELECT (SELECT count(*) FROM import), (SELECT count(*) FROM evidence_file)"))
        ).one()
    assert before == after


async def test_too_large_a_file_is_refused(officer: Officer) -> None:
    answer = await officer.upload(b"a" * (25 * 1024 * 1024 + 1), "so-lieu.csv")
    assert answer.status_code == 422
    assert "không quá 25 MB" in words(answer.text)
    assert (await officer.upload(b"a" * (27 * 1024 * 1024), "so-lieu.csv")).status_code == 413


async def test_a_missing_file_is_asked_for(stage: Stage, officer: Officer) -> None:
    page = f"/indicators/units/{stage.commune.code}/imports"
    secret = await csrf(officer.client, page)
    answer = await officer.client.post(page, data={"csrf_token": secret}, headers=HTML)
    assert answer.status_code == 422
    assert "Xin chọn một tệp XLSX hoặc CSV." in words(answer.text)


async def test_leading_zeros_that_a_spreadsheet_took_off_are_put_back(stage: Stage, officer: Officer) -> None:
    low = commune("00123", "Xã Không Đầu")
    await stage.running.enter_units(low)
    async with stage.running.fresh_client() as client:
        leader = Officer(stage, client, "30")
        head = heading("unit", "smart.digital_platform:flag", "document")
        catalogue = library.catalogue()
        smart = catalogue.sets["mard-2023-smart-commune"]
        measure = next(
            catalogue.measures[code]
            for item in smart.items
            for code in item.measures
            if catalogue.measures[code].kind == "flag" and "staff" in catalogue.measures[code].prefer
        )
        head[1] = f"x [{measure.code}:flag]"
        data = workbook([head, [123, "có", "QĐ 1"]])
        preview = await leader.preview(data, unit="298", set=smart.code, level="commune")
        seen = await leader.see(preview)
        assert "1 số liệu dùng được và 0 chỗ cần sửa" in seen
        assert " 00123 " in seen


async def test_a_large_import_runs_in_the_background_with_progress_and_all_in_one(
    stage: Stage, officer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    monkeypatch.setattr("services.indicators.interchange.undoing.AT_ONCE", 2)
    monkeypatch.setattr("services.indicators.interchange.previewing.BATCH", 2)
    units = [await stage.new_village() for _ in range(5)]
    preview = await officer.preview(rows(*((unit, 90, 100) for unit in units)))
    await officer.post(preview, mode="all")
    assert "Đang ghi: 0/5 số liệu." in await officer.see(preview)
    assert (await fibre(stage, units[0]))[0] == "no_data"
    sessions = stage.running.runner.runtime.sessions
    assert await backlog.work(sessions, library.catalogue())
    assert [(await fibre(stage, unit))[0] for unit in units] == ["met"] * 5
    await officer.post(f"{preview}/undo")
    assert "Đang hoàn tác" in await officer.see(preview)
    assert await backlog.work(sessions, library.catalogue())
    assert [(await fibre(stage, unit))[0] for unit in units] == ["no_data"] * 5
    assert not await backlog.work(sessions, library.catalogue())


async def test_a_background_import_that_cannot_be_applied_counts_for_nothing(
    stage: Stage, officer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    monkeypatch.setattr("services.indicators.interchange.previewing.BATCH", 1)
    units = [await stage.new_village() for _ in range(3)]
    preview = await officer.preview(rows(*((unit, 90, 100) for unit in units)))
    await officer.post(preview, mode="all")
    async with stage.running.tx() as tx:
        await tx.execute(text("UPDATE unit SET valid_to = '2026-01-01' WHERE code = :code"), {"code": units[2].code})
    assert await backlog.work(stage.running.runner.runtime.sessions, library.catalogue())
    assert [(await fibre(stage, unit))[0] for unit in units[:2]] == ["no_data"] * 2
    seen = await officer.see(preview)
    assert "Không ghi được số liệu nào của tệp này." in seen
    assert "C4" in seen


async def test_the_list_says_who_when_and_what(stage: Stage, officer: Officer) -> None:
    unit = await stage.new_village()
    await officer.preview(rows((unit, 81, 100)), "thang-11.xlsx")
    seen = await officer.see(f"/indicators/units/{stage.commune.code}/imports")
    assert "thang-11.xlsx" in seen
    assert "Chờ xác nhận" in seen


async def test_what_an_undo_says_again_still_names_its_document(stage: Stage, officer: Officer) -> None:
    unit = await stage.new_village()
    await officer.post(await officer.preview(rows((unit, 50, 100)), "dau.xlsx"), mode="all")
    second = await officer.preview(rows((unit, 90, 100)), "sau.xlsx")
    await officer.post(second, mode="all")
    await officer.post(f"{second}/undo")
    address = f"/indicators/api/v1/units/{unit.code}/sets/{SET}/items/288.5/explanation"
    answer = await officer.client.get(address)
    assert answer.status_code == 200, answer.text
    facts = [fact for fact in answer.json()["facts"] if not fact.get("withdrawn")]
    assert len(facts) == 1
    assert "dau.xlsx, C2" in str(facts[0])
    assert "sau.xlsx" not in str(facts[0])
