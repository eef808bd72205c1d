"""Pages of another day: units that have ended stay readable, from the province down to the village and back."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html import unescape

import pytest

from chassis.units import Unit
from services.indicators.criteria.figures import Ratio
from tests.indicators.conftest import Stage, entered
from tests.indicators.inquiring import record, said

HTML = {"accept": "text/html"}
TURN = date(2025, 7, 1)
DAY = "2025-06-30"
COMMUNE = Unit("12901", "Xã Đã Nhập", "commune", "xa", "298", "30/298/12901", date(2020, 1, 1), TURN)
VILLAGES = [
    Unit(f"12901-0{n}", f"Thôn Xưa {n}", "village", "thon", "12901", f"30/298/12901/12901-0{n}", date(2020, 1, 1), TURN)
    for n in (1, 2)
]


@pytest.fixture
async def former(stage: Stage) -> Stage:
    """A commune of two villages that ended on 1 July 2025; one of them met a row, the other did not."""
    await stage.tell(*(stage.event(entered(unit), f"unit/{unit.code}") for unit in (COMMUNE, *VILLAGES)))
    at = datetime(2025, 5, 1, tzinfo=UTC)
    await record(
        stage,
        said(VILLAGES[0], "village.signal_area", Ratio(3, 3), at=at),
        said(VILLAGES[1], "village.signal_area", Ratio(2, 3), at=at),
        said(COMMUNE, "commune.telecom_standard", True, at=at),
    )
    return stage


async def page(stage: Stage, path: str) -> str:
    answer = await stage.client.get(path, headers=HTML)
    assert answer.status_code == 200, (path, answer.status_code, answer.headers.get("location"))
    return unescape(answer.text)


async def test_a_former_commune_is_read_as_of_its_last_day_and_so_are_its_villages(former: Stage) -> None:
    # This is where the page of the unit itself, at identity, leads to.
    text = await page(former, f"/indicators/units/{COMMUNE.code}?as_of={DAY}")
    assert "Xã Đã Nhập có 0/2 thôn đạt" in text
    assert "50% (1/2 thôn)" in text
    counted = text.split('data-live-key="288.8"', 1)[1].split("</li>", 1)[0]
    # What is counted from below has no word of its own, and yet somebody reported.
    assert "50% (1/2 thôn)" in counted
    assert "Chưa ai gửi số liệu" not in counted
    below = re.findall(r'<a class="list__link" href="([^"]+)">(Thôn Xưa \d)</a>', text)
    assert [name for _, name in below] == ["Thôn Xưa 1", "Thôn Xưa 2"]
    for href, name in below:
        village = await page(former, href)
        assert f"{name} đạt" in village
        # The way up stays in that day too: today there is no such commune.
        up = re.search(rf'href="([^"]*units/{COMMUNE.code}\?[^"]*)"', village)
        assert up is not None
        assert f"as_of={DAY}" in up[1]
        await page(former, up[1])


@pytest.mark.parametrize("address", [f"units/{COMMUNE.code}", f"?unit={COMMUNE.code}", f"units/{VILLAGES[0].code}"])
async def test_an_old_address_leads_to_the_last_day_and_from_there_to_what_came_after(
    former: Stage, address: str
) -> None:
    answer = await former.client.get(f"/indicators/{address}", headers=HTML, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.params["as_of"] == DAY
    text = unescape(answer.text)
    assert "đã hết hiệu lực từ 01/07/2025." in text
    assert f'href="/identity/units/{answer.url.path.rpartition("/")[2]}?as_of={DAY}"' in text


async def test_an_old_address_leads_on_in_the_language_it_asks_for(former: Stage) -> None:
    async with former.running.fresh_client() as browser:
        answer = await browser.get(f"/indicators/units/{COMMUNE.code}?lang=en", headers=HTML, follow_redirects=True)
    assert "has not existed since 1 Jul 2025." in unescape(answer.text)


async def test_programs_are_told_since_when_a_code_names_nothing(former: Stage) -> None:
    answer = await former.client.get(f"/indicators/api/v1/units/{COMMUNE.code}/sets/hd-288-2023")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_unit")
    assert answer.json()["detail"] == "Xã Đã Nhập (mã 12901) không còn từ ngày 01/07/2025."
    before = await former.client.get(f"/indicators/api/v1/units/{COMMUNE.code}/sets/hd-288-2023?as_of=2019-12-31")
    assert before.json()["detail"] == "Không có đơn vị hành chính mã 12901."


async def test_a_former_commune_has_its_own_sheets_of_that_day(former: Stage) -> None:
    text = await page(former, f"/indicators/units/{COMMUNE.code}?set=hd-1414-ntm-8&as_of={DAY}")
    assert "Xã Đã Nhập đạt 0/4 chỉ tiêu." in text
    # Nothing leads to where there is no such commune any more; what is there can be taken home.
    assert not {"Về hôm nay", "Chất lượng số liệu"} & set(re.findall(r"[^<>]+", text))
    assert f"sheet.csv?set=hd-1414-ntm-8&as_of={DAY}" in text
    still = await page(former, f"/indicators/units/11074?set=hd-1414-ntm-8&as_of={DAY}")
    assert {"Về hôm nay", "Chất lượng số liệu"} <= set(re.findall(r"[^<>]+", still))


@pytest.mark.parametrize("above", ["298", "30"])
async def test_what_lies_above_is_read_as_of_a_day_too(former: Stage, above: str) -> None:
    text = await page(former, f"/indicators/units/{above}?set=hd-288-2023&as_of={DAY}")
    assert "thôn đạt Thôn thông minh (Hải Dương)" in text
    assert f"as_of={DAY}" in text
    today = await former.client.get(f"/indicators/units/{above}?set=hd-288-2023", headers=HTML)
    assert today.status_code == 303


async def test_a_search_by_name_finds_former_units_too_and_says_where_all_of_them_lie(former: Stage) -> None:
    nothing = await page(former, "/indicators/units?q=khong%20co%20ten%20nay")
    assert "Không thấy đơn vị nào mang tên ấy." in nothing
    assert "Đơn vị trước đây" not in nothing
    text = await page(former, "/indicators/units?q=da%20nhap")
    assert "Không đơn vị nào ngày nay mang tên ấy" in text
    (line,) = re.findall(r'<a class="list__link" href="([^"]+)">Xã Đã Nhập</a></p><p class="muted">([^<]+)</p>', text)
    href, words = line
    assert href == f"/indicators/units/{COMMUNE.code}?as_of={DAY}"
    assert words.endswith(f"Mã {COMMUNE.code} · đến hết ngày 30/06/2025")
    assert "Xã Đã Nhập" in await page(former, href)
    inside = await page(former, "/indicators/units?q=thon%20xua%201")
    assert "Xã Đã Nhập, " in inside
    # Its code goes on under the same name in another commune: that is the one people look for.
    moved = replace(VILLAGES[1], parent="11074", path="30/293/11074/12901-02", valid_from=TURN, valid_to=None)
    await former.tell(former.event(entered(moved), f"unit/{moved.code}"))
    found = await page(former, "/indicators/units?q=thon%20xua%202")
    assert "Tìm thấy 1 đơn vị." in found
    assert "Đơn vị trước đây" not in found
    assert 'href="/indicators/units/12901-02"' in found
