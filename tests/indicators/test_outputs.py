"""What goes out: tables whose numbers are numbers and whose texts are never formulas, and the matrix as JSON."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

from openpyxl import load_workbook
from xaso.media.v1 import events_pb2 as media

from chassis.auth import Grant, Principal
from chassis.units import VIETNAM, Unit
from services.indicators.criteria import library
from services.indicators.interchange import layout, workbooks
from services.indicators.interchange.workbooks import Table
from services.indicators.sources import intake
from services.indicators.sources.intake import Observed
from tests.indicators.conftest import Stage
from tests.indicators.files import columns_of
from tests.indicators.test_events import speaker
from tests.support.running import bearer

SET = "hd-288-2023"
DANGER = ["=1+1", "+84", "-2", "@SUM(A1)", "\t=1", "Thôn Nghĩa Dũng"]


def sheet_of(data: bytes) -> list[list[Any]]:
    book = load_workbook(io.BytesIO(data))
    assert book.active is not None
    return [list(row) for row in book.active.iter_rows(values_only=True)]


def test_numbers_are_numbers_and_texts_never_formulas() -> None:
    table = Table("bộ/288*", ["Mã", "Số"], [[text, number] for number, text in enumerate(DANGER)])
    book = load_workbook(io.BytesIO(workbooks.xlsx_of(table)))
    sheet = book.active
    assert sheet is not None
    assert sheet.title == "bộ288"
    assert sheet.freeze_panes == "A2"
    for row, text in enumerate(DANGER, 2):
        assert sheet.cell(row, 1).data_type == "s"
        assert str(sheet.cell(row, 1).value).strip() == text.strip()
        assert sheet.cell(row, 2).data_type == "n"
    lines = list(csv.reader(io.StringIO(workbooks.csv_of(table).decode("utf-8-sig"))))
    assert [line[0] for line in lines[1:]] == [f"'{text}" for text in DANGER[:-1]] + [DANGER[-1]]
    assert [line[1] for line in lines[1:]] == [str(n) for n in range(len(DANGER))]


def test_a_template_holds_lists_checks_and_a_guide() -> None:
    catalogue = library.catalogue()
    plan = layout.columns(catalogue.sets[SET], "village", catalogue)
    units = [Unit("00123-01", "=Thôn", "village", "thon", "00123", "30/298/00123/00123-01", date(2020, 1, 1))]
    data = workbooks.template_xlsx(workbooks.Template("Bộ", "QĐ 1", plan, units, date(2026, 11, 22)), str)
    book = load_workbook(io.BytesIO(data))
    assert book.sheetnames == [layout.SHEET, layout.GUIDE]
    sheet = book[layout.SHEET]
    at = columns_of(sheet)
    assert sheet.freeze_panes == "C2"
    assert (sheet.cell(2, at["unit"]).value, sheet.cell(2, at["unit"]).number_format) == ("00123-01", "@")
    assert (sheet.cell(2, at["name"]).value, sheet.cell(2, at["name"]).data_type) == ("=Thôn", "s")
    assert sheet.cell(2, at["village.digital_dialogue:period"]).value == "2026"
    checks = {check.type: check for check in sheet.data_validations.dataValidation}
    assert checks["list"].formula1 == '"có,không"'
    assert (checks["whole"].operator, checks["whole"].formula1) == ("greaterThanOrEqual", "0")
    guide = [row[0] for row in book[layout.GUIDE].iter_rows(values_only=True)]
    assert set(at) <= {str(text).rsplit("[", 1)[-1].rstrip("]") for text in guide}


def test_every_set_that_asks_staff_for_anything_has_a_template() -> None:
    catalogue = library.catalogue()
    offered = 0
    for criteria in catalogue.sets.values():
        for level in layout.levels(criteria, catalogue):
            plan = layout.columns(criteria, level, catalogue)
            assert len({column.key for column in plan}) == len(plan), criteria.code
            template = workbooks.Template("Bộ", "QĐ", plan, [], date(2026, 11, 22))
            assert load_workbook(io.BytesIO(workbooks.template_xlsx(template, str)))[layout.SHEET].max_row == 1
            offered += 1
    assert offered >= 10


def column(table: list[list[Any]], code: str) -> int:
    """Where the column of a row of the set begins."""
    return next(n for n, head in enumerate(table[0]) if str(head).split()[0] == code)


async def test_a_sheet_and_the_matrix_as_workbooks_say_what_the_pages_say(stage: Stage) -> None:
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    await stage.tell(
        stage.event(speaker(unit, "ready", id=id), id),
        stage.event(
            media.VillageAudibilityChanged(unit=unit.code, clusters=4, clusters_in_earshot=3), f"au-{unit.code}"
        ),
    )
    await stage.settle()
    answer = await stage.client.get(f"/indicators/units/{unit.code}/sheet.xlsx", params={"set": SET})
    assert answer.headers["content-type"] == workbooks.XLSX
    assert f'filename="{unit.code}-{SET}.xlsx"' in answer.headers["content-disposition"]
    rows = sheet_of(answer.content)
    ratio = next(row for row in rows if 3 in row and 4 in row)
    assert ratio[4] in ("đạt", "chưa đạt", "theo dõi")
    plain = await stage.client.get(f"/indicators/units/{unit.code}/sheet.csv", params={"set": SET})
    lines = list(csv.reader(io.StringIO(plain.content.decode("utf-8-sig"))))
    assert [[str(cell if cell is not None else "") for cell in row] for row in rows] == lines
    matrix = sheet_of((await stage.client.get("/indicators/units/11074/children.xlsx", params={"set": SET})).content)
    own = next(row for row in matrix if row[0] == unit.code)
    assert own[column(matrix, "288.2")] == "đạt"
    above = sheet_of((await stage.client.get("/indicators/units/298/children.xlsx", params={"set": SET})).content)
    commune = next(row for row in above if row[0] == "11074")
    met, total = (commune[column(above, "288.2") + n] for n in (0, 1))
    assert isinstance(met, int)
    assert isinstance(total, int)
    assert 1 <= met <= total
    json = (await stage.client.get(f"/indicators/api/v1/units/298/sets/{SET}/children")).json()
    cell = next(c for c in json["lines"][0]["items"] if c["item"] == "288.2")
    assert cell["value"] == {"numerator": met, "denominator": total}


async def test_a_sheet_names_the_source_and_the_document_of_each_value(stage: Stage) -> None:
    """On the page and in the tables, for everybody: who said it and by which document, but no id."""
    unit = await stage.new_village()
    id = f"loa-{unit.code}"
    await stage.tell(stage.event(speaker(unit, "ready", id=id), id))
    officer = bearer(("officer", stage.commune.path), subject="o-nguon")
    entry = {"unit": unit.code, "measure": "village.signal_area", "value": {"numerator": 3, "denominator": 4}}
    entry |= {"evidence": {"document": "Biên bản đo sóng 7/BB", "text": "Ông Ba dẫn đường"}}
    answer = await stage.client.post("/indicators/api/v1/observations", json=entry, headers=officer)
    assert answer.status_code == 201, answer.text
    vnpt = Principal("vnpt", "VNPT", "partner", (Grant("partner", unit.code, unit.path),), client_id="vnpt")
    household = Observed(
        "k-1", unit.code, datetime.now(UTC), True, attribute="household.fibre", entity="H-1",
        source="Khảo sát cáp quang quý IV",
    )  # fmt: skip
    async with stage.running.tx() as tx:
        assert (await intake.submit(tx, vnpt, [household], library.catalogue())).accepted == 1

    table = sheet_of((await stage.client.get(f"/indicators/units/{unit.code}/sheet.xlsx", params={"set": SET})).content)
    at = {name: place for place, name in enumerate(table[0])}
    rows = {row[at["Mã"]]: row for row in table[1:]}
    named = ("Giá trị", "Nguồn", "Tài liệu")
    assert [rows["288.2"][at[name]] for name in named] == ["có", "Truyền thanh & camera", None]
    assert [rows["288.8"][at[name]] for name in named] == [
        "75% (3/4 phần địa bàn)", "Cán bộ nhập", "Biên bản đo sóng 7/BB",
    ]  # fmt: skip
    assert [rows["288.5"][at[name]] for name in named] == [
        "100% (1/1 hộ)", "Đối tác vnpt", "Khảo sát cáp quang quý IV",
    ]  # fmt: skip
    assert [rows["288.9"][at[name]] for name in named] == [None, None, None]
    since = rows["288.8"][at["Từ"]]
    assert isinstance(since, datetime)
    assert abs(since - datetime.now(VIETNAM).replace(tzinfo=None)) < timedelta(hours=1)
    text = (await stage.client.get(f"/indicators/units/{unit.code}", params={"set": SET})).text
    assert "vì số liệu cán bộ nhập kèm bằng chứng (Biên bản đo sóng 7/BB)." in text
    assert "vì số liệu đơn vị khác gửi đến (Khảo sát cáp quang quý IV)." in text
    assert "Ông Ba" not in text
    assert "Ông Ba" not in str(table)
    await stage.settle()
    above = sheet_of((await stage.client.get("/indicators/units/11074/sheet.xlsx", params={"set": SET})).content)
    assert {row[at["Nguồn"]] for row in above[1:]} == {"Tổng hợp từ các đơn vị bên dưới"}


async def test_the_matrix_as_json_is_paged(stage: Stage) -> None:
    for _ in range(3):
        await stage.new_village()
    address, after, seen = f"/indicators/api/v1/units/11074/sets/{SET}/children", None, []
    while True:
        params = {"limit": 2, **({"after": after} if after else {})}
        page = (await stage.client.get(address, params=params)).json()
        seen += [line["unit"] for line in page["lines"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) >= 4
    assert seen == sorted(set(seen))
    assert (await stage.client.get("/indicators/api/v1/units/99999/sets/hd-288-2023/children")).status_code == 404
