"""Households by file and by page: looked at cell by cell, all or only the right rows, out and in again; forms."""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from chassis import units
from chassis.db import audit_table
from chassis.units import today
from services.identity.households import reading
from services.identity.households.model import Household
from tests.support.running import Running, bearer, csrf

API = "/identity/api/v1"
PAGES = "/identity/households"
DISTRICT = "30/298"
YEAR = today().year
HEAD = ",".join(reading.COLUMNS.values())


def officer(commune: str) -> dict[str, str]:
    return bearer(("officer", f"{DISTRICT}/{commune}"))


async def village(run: Running, commune: str, name: str = "Nghĩa Dũng") -> str:
    made = await run.client.post(f"{API}/units", json={"parent": commune, "name": name}, headers=officer(commune))
    assert made.status_code == 201, made.text
    return str(made.json()["code"])


async def bring(run: Running, commune: str, text: str, mode: str, status: int = 200) -> Any:
    body = {"unit": commune, "csv": text, "mode": mode}
    answer = await run.client.post(f"{API}/households/imports", json=body, headers=officer(commune))
    assert answer.status_code == status, answer.text
    return answer.json()


async def listed(run: Running, commune: str) -> dict[str, dict[str, Any]]:
    answer = await run.client.get(f"{API}/households", params={"unit": commune, "limit": 200}, headers=officer(commune))
    return {one["number"]: one for one in answer.json()["items"]}


async def get(run: Running, path: str, who: dict[str, str], status: int = 200) -> httpx.Response:
    answer = await run.client.get(path, headers={**who, "accept": "text/html"})
    assert answer.status_code == status, answer.text
    return answer


async def post(
    run: Running, path: str, who: dict[str, str], status: int, files: Any = None, **fields: str
) -> httpx.Response:
    mark = await csrf(run.client, "/identity/login")
    data = {**fields, "csrf_token": mark}
    answer = await run.client.post(path, data=data, files=files, headers={**who, "accept": "text/html"})
    assert answer.status_code == status, answer.text
    return answer


async def test_a_file_is_looked_at_then_taken_whole_or_by_its_right_rows(identity: Running) -> None:
    commune = "11122"
    place = await village(identity, commune)
    await village(identity, commune, "An Lao")
    text = "\n".join([
        HEAD,
        f'Thôn Nghĩa Dũng,1,4,"Số 1, ngõ Đình",TK-1,20.82,106.39,Nông nghiệp,Cận nghèo,{YEAR}',
        f"thon an lao,1,2,,,,,lam cong,KHONG NGHEO,{YEAR}",
        ",,,,,,,,,",
        "Thôn Đoài,3,2,,,,,,,",
        f"{place},01,2,,,,,,,",
        "Thôn An Lao,2,không,,,,,Ăn mày,,",
        "Thôn An Lao,4,2,,TK-4,,,,,",
        "Thôn An Lao,,2",
        "Thôn An Lao,,",
    ])  # fmt: skip
    wrong = [
        (5, "Thôn", "Không có thôn, khu dân cư này trong Xã"),
        (6, "Số thứ tự hộ", "Hộ này đã có ở dòng 2."),
        (7, "Số người", "Phải là số nguyên."),
        (7, "Nghề chính", "Không có trong danh sách lựa chọn."),
        (8, "Vĩ độ", "Địa chỉ số cần đủ mã, vĩ độ và kinh độ."),
        (9, "Số thứ tự hộ", "Chưa nhập mục này."),
    ]
    for mode in ("preview", "all"):
        found = await bring(identity, commune, text, mode)
        assert (found["new"], found["changed"], found["same"], found["done"]) == (2, 0, 0, False)
        faults = [(f["line"], f["column"], f["message"]) for f in found["faults"]]
        assert len(faults) == len(wrong)
        for (line, column, message), fault in zip(wrong, faults, strict=True):
            assert fault[:2] == (line, column)
            assert fault[2].startswith(message)
        assert await listed(identity, commune) == {}
    assert (await bring(identity, commune, text, "valid"))["done"]
    answer = await identity.client.get(f"{API}/households/summary", params={"unit": commune})
    assert {"villages": 2, "recorded": 2, "households": 2, "located": 1, "reviewed": 2}.items() <= answer.json().items()
    again = await bring(identity, commune, text, "valid")
    assert (again["new"], again["changed"], again["same"]) == (0, 0, 2), "a second sending changes nothing"


async def test_what_is_taken_out_is_mended_and_put_back_and_other_columns_stay(identity: Running) -> None:
    commune = "11125"
    await village(identity, commune)
    text = (
        f"{HEAD}\nThôn Nghĩa Dũng,1,4,=HYPERLINK(1),TK-1,20.82,106.39,Khác,Nghèo,{YEAR}\nThôn Nghĩa Dũng,2,3,,,,,,,\n"
    )
    assert (await bring(identity, commune, text, "all"))["new"] == 2
    out = (await get(identity, f"{PAGES}.csv?unit={commune}", officer(commune))).content.decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(out)))[1][3] == "'=HYPERLINK(1)", "no cell is a formula"
    same = await bring(identity, commune, out, "all")
    assert (same["new"], same["changed"], same["same"]) == (0, 0, 2)
    # As Excel saves it here: semicolons, decimals with a comma, a column left out.
    excel = (
        "Thôn;Số người;Số thứ tự hộ;Vĩ độ;Kinh độ;Mã địa chỉ số\r\n"
        "Thôn Nghĩa Dũng;3;2;20,83;106,38;TK-2\r\n"
        "Thôn Nghĩa Dũng;5;1;20,82;106,39;TK-1\r\n"
    )
    before = (await listed(identity, commune))["001"]["changed_at"]
    changed = await bring(identity, commune, excel, "all")
    assert (changed["new"], changed["changed"]) == (0, 2)
    kept = await listed(identity, commune)
    assert (kept["002"]["digital_code"], kept["002"]["lat"]) == ("TK-2", 20.83)
    assert (kept["001"]["people"], kept["001"]["address"], kept["001"]["poverty"]) == (5, "=HYPERLINK(1)", "poor")
    assert kept["001"]["changed_at"] > before
    # A cell left empty empties nothing: a file cannot be taken back.
    blank = await bring(identity, commune, f"{HEAD}\nThôn Nghĩa Dũng,1,6,,,,,Làm công,,\n", "all")
    assert (blank["changed"], blank["faults"]) == (1, [])
    one = (await listed(identity, commune))["001"]
    assert (one["people"], one["livelihood"], one["address"], one["lat"]) == (6, "wages", "=HYPERLINK(1)", 20.82)
    assert (one["poverty"], one["reviewed_year"]) == ("poor", YEAR)
    # But what is one thing is said as one: no finding under the year of another one, no code at another point.
    halves = f"{HEAD}\nThôn Nghĩa Dũng,1,6,,,,,,Không nghèo,\nThôn Nghĩa Dũng,2,3,,TK-9,,,,,\n"
    faults = (await bring(identity, commune, halves, "all"))["faults"]
    assert [(fault["line"], fault["column"]) for fault in faults] == [(2, "Năm rà soát"), (3, "Vĩ độ")]
    async with identity.tx() as tx:
        t = audit_table.c
        rows = await tx.execute(sa.select(t.action, t.detail).where(t.target == commune).order_by(t.id))
        assert [tuple(row) for row in rows] == [
            ("household.imported", {"new": 2, "changed": 0, "faults": 0}),
            ("household.exported", {"households": 2}),
            ("household.imported", {"new": 0, "changed": 0, "faults": 0}),
            ("household.imported", {"new": 0, "changed": 2, "faults": 0}),
            ("household.imported", {"new": 0, "changed": 1, "faults": 0}),
        ], "who took out or brought in where people live stays known"


async def test_villages_of_one_name_are_told_apart_by_their_codes(identity: Running) -> None:
    """A merger brings two villages of one name into one commune: no household goes to the wrong one."""
    commune = "11134"
    who, place, twin = officer(commune), await village(identity, commune, "Đông"), f"{commune}-77"
    async with identity.tx() as tx:
        one = await units.get(tx, place)
        path = one.path.replace(place, twin)
        await units.project(tx, replace(one, code=twin, name="Thôn  đông", path=path), 1)
    text = f"{HEAD}\nThôn Đông,1,4,,,,,,,\n{place},1,4,,,,,,,\nthon dong ({twin}),1,2,,,,,,,\n"
    found = await bring(identity, commune, text, "valid")
    assert [(f["line"], f["message"]) for f in found["faults"]] == [
        (2, f"Có nhiều thôn, khu dân cư cùng tên này. Xin ghi mã: {place}, {twin}.")
    ]
    answer = await identity.client.get(f"{API}/households", params={"unit": commune}, headers=who)
    assert [(h["unit"], h["people"]) for h in answer.json()["items"]] == [(place, 4), (twin, 2)]
    out = (await get(identity, f"{PAGES}.csv?unit={commune}", who)).content.decode("utf-8-sig")
    assert (await bring(identity, commune, out, "all"))["same"] == 2
    template = (await get(identity, f"{PAGES}/template.csv?unit={commune}", who)).content.decode("utf-8-sig")
    for text in (out, template):
        assert f"Thôn Đông ({place})" in text
    for path in (f"{PAGES}?unit={commune}", f"{PAGES}/new?unit={place}"):
        page = (await get(identity, path, who)).text
        assert f"Thôn Đông ({place})" in page, path
        assert f"({twin})" in page, "who keeps the commune may choose another of its villages"


async def test_households_of_a_village_that_ended_are_found_and_moved(identity: Running) -> None:
    commune = "11137"
    who, first = officer(commune), await village(identity, commune, "Đông")
    second = await village(identity, commune, "Tây")
    for number in ("1", "2"):
        await post(identity, f"{PAGES}/new", who, 303, unit=first, number=number, people="3", address="Ngõ Giếng")
    ending = {"on": units.today().isoformat()}
    assert (await identity.client.post(f"{API}/units/{first}/end", json=ending, headers=who)).status_code == 200
    page = (await get(identity, f"{PAGES}?unit={commune}", who)).text
    assert "Thôn Đông đã kết thúc mà còn 2 hộ" in page
    assert "Thôn Đông (đã kết thúc)" in page
    assert "đã kết thúc" not in (await get(identity, f"{PAGES}?unit={commune}", {})).text
    moved, ended = re.findall(rf"{PAGES}/[0-9a-f-]{{36}}", page)
    one = (await get(identity, moved, who)).text
    assert "Thôn của hộ này đã kết thúc" in one
    assert f'href="{PAGES}?unit={commune}"' in one, "the way back leads to where there still is a page"
    await post(identity, moved, who, 303, unit=second, number="1", people="3", address="Ngõ Giếng")
    answer = await post(identity, f"{ended}/end", who, 303, why="moved")
    assert answer.headers["location"].startswith(ended)
    late = await post(identity, ended, who, 409, unit=second, number="7", people="9", address="Ngõ khác")
    assert "Ngõ Giếng" in late.text
    assert "Ngõ khác" not in late.text, "what was typed is not shown as what is recorded"
    assert "Hộ này không còn trong sổ hộ." in late.text
    assert "Đưa trở lại sổ" not in late.text, "there is no village to put it back to"
    assert "đã kết thúc" not in (await get(identity, f"{PAGES}?unit={commune}", who)).text


REFUSED = {
    "no heading": ("Thôn A,1,2\n", "Tệp có cột “Thôn A”"),
    "no rows": (f"{HEAD}\n", "Tệp chưa có dòng nào"),
    "only the template": (f"{HEAD}\nThôn A,,,,,,,,,\n", "Tệp chưa có dòng nào"),
    "no column of numbers": ("Thôn,Số người\nThôn A,2\n", "Tệp thiếu cột “Số thứ tự hộ”"),
    "a strange column": (f"{HEAD},Họ tên\n", "Tệp có cột “Họ tên”"),
    "a column twice": (f"{HEAD},Thôn\n", "Tệp có cột “Thôn”"),
    "a row that is too long": (f"{HEAD}\n{'a,' * 12}a\n", "Dòng 2:"),
    "an open quote": (f'{HEAD}\n"a,1,2\n', "Dòng 2:"),
    "too many rows": (HEAD + "\nThôn A,1,2" * 2_001, "Tệp không quá 2000 dòng"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_file_that_cannot_be_used_is_refused_with_the_reason(identity: Running, name: str) -> None:
    text, reason = REFUSED[name]
    refused = await bring(identity, "11128", text, "all", 422)
    assert refused["detail"].startswith(reason), refused
    assert refused["code"] == "file_refused"


async def test_a_file_goes_through_the_pages_without_javascript(identity: Running) -> None:
    commune = "11128"
    who = officer(commune)
    await village(identity, commune)
    assert "Chưa có hộ nào trong sổ" in (await get(identity, f"{PAGES}?unit={commune}", who)).text
    assert "mỗi dòng một hộ" in (await get(identity, f"{PAGES}/import?unit={commune}", who)).text
    template = await get(identity, f"{PAGES}/template.csv?unit={commune}", who)
    assert template.content.decode("utf-8-sig").splitlines() == [HEAD, "Thôn Nghĩa Dũng,,,,,,,,,"]

    async def look(content: bytes, status: int = 200) -> str:
        sent = {"file": ("so-ho.csv", content, "text/csv")}
        return (await post(identity, f"{PAGES}/import", who, status, sent, unit=commune)).text

    assert "Chưa chọn tệp." in (await post(identity, f"{PAGES}/import", who, 422, unit=commune)).text
    assert "Tệp phải là CSV mã hóa UTF-8" in await look("Thôn".encode("utf-16"), 422)
    assert "Tệp phải là CSV mã hóa UTF-8" in await look(f"{HEAD}\nThôn\x01,1,2\n".encode(), 422)
    assert "Tệp không quá 512 KB" in await look(b"a" * (reading.MOST_BYTES + 1), 413)
    content = f'{HEAD}\nThôn Nghĩa Dũng,1,4,"Ngõ <1>, dưới đê",,,,,,\nThôn Nghĩa Dũng,2,0,,,,,,,\n'
    page = await look(content.encode())
    assert "1 dòng đúng: 1 hộ mới, 0 hộ thay đổi, 0 hộ như cũ; 1 chỗ sai" in page
    assert '<td data-label="Cột">Số người</td>' in page
    assert "idempotency_key" not in page.split("/import/apply")[1].split("</form>")[0]
    async with identity.tx() as tx:
        held = sa.select(sa.func.count()).where(Household.path.startswith(f"{DISTRICT}/{commune}/"))
        assert await tx.scalar(held) == 0, "looking writes nothing"
    area = re.search(r"<textarea name=\"content\"[^>]*>\n(.*?)</textarea>", page, re.S)
    assert area
    fields = {"unit": commune, "content": html.unescape(area[1])}
    refused = await post(identity, f"{PAGES}/import/apply", who, 409, mode="all", **fields)
    assert "1 chỗ sai" in refused.text
    await post(identity, f"{PAGES}/import/apply", who, 303, mode="valid", **fields)
    await post(identity, f"{PAGES}/import/apply", who, 422, mode="some", **fields)
    assert [one["address"] for one in (await listed(identity, commune)).values()] == ["Ngõ <1>, dưới đê"]


async def test_households_are_kept_by_forms(identity: Running) -> None:
    commune = "11131"
    who, place = officer(commune), await village(identity, commune)
    assert place in (await get(identity, f"{PAGES}/new?unit={commune}", who)).text
    wrong = await post(identity, f"{PAGES}/new", who, 422, unit=place, number="x", people="3", address="Ngõ Giếng")
    assert 'id="f-number-error"' in wrong.text
    assert 'value="Ngõ Giếng"' in wrong.text, "what was typed is kept"
    form = {"unit": place, "number": "7", "people": "3", "address": "Ngõ Giếng"}
    await post(identity, f"{PAGES}/new", who, 303, **form)
    taken = await post(identity, f"{PAGES}/new", who, 409, **form)
    assert "Số 007 đã là của một hộ khác trong thôn." in taken.text
    page = (await get(identity, f"{PAGES}?unit={place}", who)).text
    found = re.search(rf'{PAGES}/([0-9a-f-]{{36}})">Hộ\s007', page)
    assert found
    one = f"{PAGES}/{found[1]}"
    located = {**form, "digital_code": "TK-7", "lat": "20,82", "lon": "106.39"}
    assert 'id="f-lat-error"' in (await post(identity, one, who, 422, **{**located, "lat": "48,8"})).text
    await post(identity, one, who, 303, **located)
    assert 'value="TK-7"' in (await get(identity, one, who)).text
    public = (await get(identity, f"{PAGES}?unit={commune}", {})).text
    assert "1/1 thôn đã lập sổ hộ, 1 hộ, 1 có địa chỉ số" in public
    assert "Xã chưa cho biết có tất cả bao nhiêu hộ." in public
    assert "Ngõ Giếng" not in public
    assert "TK-7" not in public
    viewer = (await get(identity, one, bearer(("viewer", f"{DISTRICT}/{commune}")))).text
    assert "20.82, 106.39" in viewer
    assert "Lưu thay đổi" not in viewer
    assert 'id="f-why-error"' in (await post(identity, f"{one}/end", who, 422)).text
    await post(identity, f"{one}/end", who, 303, why="merged")
    ended = (await get(identity, one, who)).text
    assert "Không còn trong sổ từ" in ended
    assert "Đưa trở lại sổ" in ended
    await post(identity, f"{PAGES}/new", who, 303, **form)
    assert "Số 007 đã là của một hộ khác trong thôn." in (await post(identity, f"{one}/return", who, 409)).text
    again = (await get(identity, f"{PAGES}?unit={place}", who)).text
    other = re.search(rf"{PAGES}/[0-9a-f-]{{36}}", again)
    assert other
    await post(identity, f"{other[0]}/end", who, 303, why="mistake")
    await post(identity, f"{one}/return", who, 303)
    assert "Lưu thay đổi" in (await get(identity, one, who)).text
    district = (await get(identity, f"{PAGES}?unit=298", {})).text
    assert re.search(r"Huyện Tứ Kỳ: \d+/23 xã đã lập sổ hộ", district)
    over = await post(
        identity, f"{PAGES}/totals", who, 422, unit=commune, households_in_all="9", offices="1", offices_located="2"
    )
    assert 'id="f-offices_located-error"' in over.text
    await post(
        identity, f"{PAGES}/totals", who, 303, unit=commune, households_in_all="9", offices="1", offices_located="1"
    )
    stated = (await get(identity, f"{PAGES}?unit={commune}", {})).text
    assert "<dd>9</dd>" in stated
    assert "Còn 8 hộ chưa có trong sổ." in stated
    head = bearer(("village_head", f"{DISTRICT}/{commune}/{place}"))
    assert "Mở sổ hộ của thôn mình" in (await get(identity, f"{PAGES}?unit={commune}", head)).text
    for path in (f"{PAGES}/new", f"{PAGES}/import", f"{PAGES}.csv", f"{PAGES}/template.csv"):
        await get(identity, f"{path}?unit=11131", bearer(("resident", f"{DISTRICT}/{commune}")), 403)
