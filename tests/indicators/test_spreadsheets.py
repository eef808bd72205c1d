"""Files as people send them: what is read from them, what is wrong in which cell, and what is refused as a whole."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest

from services.indicators.criteria import library
from services.indicators.interchange import interpreting, layout, xlsx
from services.indicators.interchange.spreadsheets import letters, place, position
from tests.indicators.files import BOOK, CONTENT_TYPES, FIBRE, SHEET, heading, raw, workbook

CATALOGUE = library.catalogue()
PLAN = [
    {
        "key": column.key,
        "part": column.part,
        "measure": column.measure,
        "period": column.period,
        "states": [list(pair) for pair in column.states],
        "unbounded": column.unbounded,
    }
    for column in layout.columns(CATALOGUE.sets["hd-288-2023"], "village", CATALOGUE)
]
NUMERATOR, DENOMINATOR = f"{FIBRE}:numerator", f"{FIBRE}:denominator"
FLAG = "village.digital_dialogue:flag"
HEAD = heading("unit", "name", NUMERATOR, DENOMINATOR, FLAG)


def interpret(data: bytes) -> dict[str, Any]:
    return interpreting.interpret(PLAN, data, layout.SHEET)


def faults(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(place(fault["row"], fault["column"]), fault["reason"]) for fault in found["faults"]]


def test_cells_are_named_as_people_name_them() -> None:
    assert [letters(n) for n in (0, 25, 26, 51, 701, 702)] == ["A", "Z", "AA", "AZ", "ZZ", "AAA"]
    assert position("C17") == (17, 2)
    assert position(place(104, 730)) == (104, 730)


def test_values_are_read_and_untouched_rows_are_not() -> None:
    found = interpret(
        workbook(
            [
                HEAD,
                ["11074-01", "Thôn Nghĩa Dũng", 81, 100, "có"],
                ["11074-02", "Thôn Đại Hà", None, None, None],
                ["11074-03", "Thôn Kim Xuyên", "80", "100", "KHÔNG"],
            ]
        )
    )
    assert found["faults"] == []
    assert [(v["unit"], v["measure"], v["value"]) for v in found["values"]] == [
        ("11074-01", FIBRE, {"numerator": 81, "denominator": 100}),
        ("11074-01", "village.digital_dialogue", {"flag": True}),
        ("11074-03", FIBRE, {"numerator": 80, "denominator": 100}),
        ("11074-03", "village.digital_dialogue", {"flag": False}),
    ]
    assert found["rows"] == 2


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ((120, 100, None), [("C2", "numerator_above_denominator")]),
        ((-1, 100, None), [("C2", "negative")]),
        ((8.5, 100, None), [("C2", "not_whole")]),
        (("tám mươi", 100, None), [("C2", "not_whole")]),
        (("1.234", 2000, None), [("C2", "grouped")]),
        (("1,234", 2000, None), [("C2", "grouped")]),
        (("٣٤", 100, None), [("C2", "not_whole")]),
        ((10**30, 10**30, None), [("C2", "too_large"), ("D2", "too_large")]),
        (("1e999", 100, None), [("C2", "not_whole")]),
        ((True, 100, None), [("C2", "not_whole")]),
        ((date(2026, 11, 20), 100, None), [("C2", "not_whole")]),
        ((81, None, None), [("D2", "half_a_ratio")]),
        ((None, 100, None), [("C2", "half_a_ratio")]),
        (("=1+80", 100, None), [("C2", "formula")]),
        (("=HYPERLINK(\"http://x\")", 100, None), [("C2", "formula")]),
        ((None, None, "chắc là có"), [("E2", "not_yes_no")]),
        ((None, None, 1), [("E2", "not_yes_no")]),
        ((None, None, "#REF!"), [("E2", "error_value")]),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named_with_what_is_wrong(cells: tuple[Any, ...], expected: list[tuple[str, str]]) -> None:
    found = interpret(workbook([HEAD, ["11074-01", None, *cells], ["11074-02", None, 1, 2, None]]))
    assert faults(found) == expected
    assert [v["unit"] for v in found["values"]] == ["11074-02"]


def test_zero_is_a_figure() -> None:
    found = interpret(workbook([HEAD, ["11074-01", None, 0, 0, False]]))
    assert [v["value"] for v in found["values"]] == [{"numerator": 0, "denominator": 0}, {"flag": False}]


def test_merged_cells_are_told_and_nothing_of_their_rows_is_taken() -> None:
    rows = [HEAD, *([f"11074-0{n}", None, n, 100, None] for n in range(1, 5))]
    found = interpret(workbook(rows, merged=["C3:C4"]))
    assert faults(found) == [("C3", "merged")]
    assert found["faults"][0]["params"] == {"range": "C3:C4"}
    assert [v["unit"] for v in found["values"]] == ["11074-01", "11074-04"]
    # A title merged above the heading says nothing about a figure.
    titled = interpret(workbook([["Báo cáo", None], HEAD, *rows[1:]], merged=["A1:E1"]))
    assert titled["faults"] == []
    assert len(titled["values"]) == 4


def test_a_row_without_a_unit_and_a_unit_written_twice_are_told() -> None:
    found = interpret(workbook([HEAD, [None, None, 1, 2], ["11074-01", None, 1, 2], ["11074-01", None, 2, 2]]))
    assert faults(found) == [("A2", "unit_missing"), ("C4", "twice")]
    assert found["faults"][1]["params"] == {"row": 3}


def test_periods_and_days_are_read_as_people_and_programs_write_them() -> None:
    head = heading("unit", NUMERATOR, DENOMINATOR, "period", "observed_on")
    rows = [
        ["a", 1, 2, "2026-Q3", "20/11/2026"],
        ["b", 1, 2, 2025, date(2026, 11, 1)],
        ["c", 1, 2, date(2026, 11, 1), "2026-11-01"],
        ["d", 1, 2, "quý 3", None],
        ["e", 1, 2, None, "31/02/2026"],
        ["f", 1, 2, "2026-13", None],
    ]
    found = interpret(workbook([head, *rows]))
    assert [(v["period"], v["day"]) for v in found["values"]] == [
        ("2026-Q3", "2026-11-20"),
        ("2025", "2026-11-01"),
        ("2026-11", "2026-11-01"),
    ]
    assert faults(found) == [("D5", "period_malformed"), ("E6", "day_malformed"), ("D7", "period_malformed")]


def test_a_period_of_another_kind_than_the_measures_is_refused() -> None:
    head = heading("unit", FLAG, "village.digital_dialogue:period")
    found = interpret(workbook([head, ["a", "có", "2026-Q3"], ["b", "có", "2026"]]))
    assert faults(found) == [("C2", "period_of_another_kind")]
    assert found["values"][0]["period"] == "2026"


def test_a_decomposed_word_is_the_same_word() -> None:
    word = unicodedata.normalize("NFD", "không")
    assert word != "không"
    found = interpret(workbook([HEAD, ["11074-01", unicodedata.normalize("NFD", "Thôn Nghĩa Dũng"), None, None, word]]))
    assert found["values"][0]["value"] == {"flag": False}
    assert found["names"] == {"2": "Thôn Nghĩa Dũng"}


def test_an_unknown_column_is_told_and_notes_beside_the_table_are_not() -> None:
    head = [*HEAD, "Ghi chú", "Lạ [village.happiness:count]"]
    found = interpret(workbook([head, ["11074-01", None, 1, 2, None, "=1", 7]]))
    assert faults(found) == [("G1", "column_unknown")]
    assert len(found["values"]) == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv_is_read_with_any_common_delimiter(delimiter: str, mark: bytes) -> None:
    lines = [HEAD, ["11074-01", '"Thôn ""Nghĩa"" Dũng"', "81", "100", "có"]]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    found = interpret(mark + text.encode())
    assert found["faults"] == []
    assert found["values"][0]["value"] == {"numerator": 81, "denominator": 100}
    assert found["names"] == {"2": 'Thôn "Nghĩa" Dũng'}


def test_csv_says_its_delimiter_itself_when_it_does() -> None:
    text = "sep=|\n" + "|".join(HEAD) + "\n11074-01||81|100|\n"
    found = interpret(text.encode())
    assert (found["values"][0]["row"], found["values"][0]["unit"]) == (3, "11074-01")


def test_a_formula_in_csv_is_told() -> None:
    text = ";".join(HEAD) + "\n11074-01;;=1+1;100;\n11074-02;'=Thôn;-5;100;\n"
    found = interpret(text.encode())
    assert faults(found) == [("C2", "formula"), ("C3", "negative")]
    assert found["names"]["3"] == "=Thôn"


GOOD = ";".join(HEAD) + "\n11074-01;;1;2;\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD.encode("utf-16"), "not_utf8"),
        ((GOOD + "11074-02;Thôn Đ;1;2;").encode("cp1258", "replace").replace(b"Th", b"\xf0\xff"), "not_utf8"),
        (GOOD.encode() + b"\x00", "nul"),
        (GOOD.encode() + b'11074-02;"Th', "broken_line"),
        (b"", "no_heading"),
        (b"a;b\n1;2\n", "no_heading"),
        (";".join(HEAD).encode(), "no_values"),
        (";".join([*HEAD, HEAD[2]]).encode(), "column_twice"),
        (b"%PDF-1.7\n1 0 obj", "another_kind"),
        (b"\x89PNG\r\n\x1a\n....", "another_kind"),
        (b"<html><table></table></html>", "another_kind"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "old_or_locked"),
        (b"PK\x03\x04 and then nothing of a ZIP", "broken"),
        (raw(SHEET.format("<sheetData/>"), xl__vbaProject_bin=b"macros"), "macros"),
        (raw(SHEET.format("<sheetData/>"), types=CONTENT_TYPES.replace("</Types>", "macroEnabled</Types>")), "macros"),
        (raw("<worksheet><sheetData><row r='1'>"), "broken"),
        (raw("<!DOCTYPE a [<!ENTITY b 'cccc'>]><worksheet>&b;</worksheet>"), "broken"),
        (raw(SHEET.format("<sheetData><row r='2'/><row r='1'/></sheetData>")), "broken"),
        (raw(SHEET.format("<sheetData><row r='1'><c r='XFE1'/></row></sheetData>")), "too_many_columns"),
        (raw(SHEET.format("<sheetData/>"), book=BOOK.replace('r:id="r1"', 'r:id="r9"')), "broken"),
        (raw(SHEET.format("<sheetData><row r='1'><c r='A1' t='s'><v>7</v></c></row></sheetData>")), "broken"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_of_ours_is_refused_as_a_whole(data: bytes, reason: str) -> None:
    assert interpret(data)["refused"] == reason
    assert reason in layout.FILE_FAULTS


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_UNPACKED", 4 * 1024 * 1024)
    honest = raw(SHEET.format("<sheetData/>" + " " * 5_000_000))
    assert len(honest) < 20_000
    assert interpret(honest)["refused"] == "bomb"
    # A file that lies about its size is found out while it is unpacked.
    size = len(SHEET.format("<sheetData/>" + " " * 5_000_000).encode())
    lying = honest.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lying != honest
    assert interpret(lying)["refused"] in ("bomb", "broken")


def test_rows_columns_and_merged_cells_are_bounded() -> None:
    rows = "".join(f"{n};;1;2;\n" for n in range(100_000))
    found = interpret((";".join(HEAD) + "\n" + rows).encode())
    assert len(found["values"]) == 100_000
    assert interpret((";".join(HEAD) + "\n" + rows + "x;;1;2;\n").encode())["refused"] == "too_many_rows"
    many = [";".join(f"{n} [village.fibre_households:numerator]" for n in range(1001))]
    assert interpret("\n".join(many).encode())["refused"] == "too_many_columns"
    ranges = "".join(f"<mergeCell ref='A{n}:B{n}'/>" for n in range(1, 300))
    book = raw(SHEET.format(f"<sheetData/><mergeCells>{ranges}</mergeCells>"))
    assert interpret(book)["refused"] == "too_many_merged"


def test_faults_are_counted_beyond_those_that_are_named() -> None:
    rows = "".join(f"{n};;x;2;\n" for n in range(3_000))
    found = interpret((";".join(HEAD) + "\n" + rows).encode())
    assert (found["fault_count"], len(found["faults"])) == (3_000, interpreting.MAX_FAULTS)


def test_every_reason_has_words() -> None:
    for wrong, allowed in layout.FAULTS.values():
        assert wrong
        assert allowed
