"""Whether the figures can be trusted: what is missing, old, disputed, suspended or set aside, and who should act."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from xaso.media.v1 import events_pb2 as media

from chassis.paging import encode_cursor
from services.indicators.app import service
from services.indicators.settings import Settings
from tests.indicators.conftest import Stage
from tests.indicators.test_drilling import page, tell
from tests.support.running import bearer, commune, ladder, running, settings_for, village

QUALITY = "/indicators/units/11074/quality"


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    """One commune of three villages."""
    async with running(service, settings_for(Settings, database("quality"))) as live:
        here = commune()
        villages = [village(here, 1), village(here, 2, "Thôn Đại Hà"), village(here, 3, "Thôn Kim Xuyên")]
        await live.enter_units(*ladder(), here, *villages)
        yield Stage(live, here, villages)


async def lines(stage: Stage, **params: str) -> list[list[str]]:
    """The list as CSV, without its heading."""
    answer = await stage.client.get(f"{QUALITY}.csv", params=params)
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]


async def test_a_missing_figure_names_who_should_send_it_and_goes_when_it_comes(stage: Stage) -> None:
    unit = stage.villages[0]
    row = [unit.code, unit.name, "Xã Đại Sơn", "288.5", "cáp quang", "doanh nghiệp viễn thông gửi đến"]
    assert row in await lines(stage, show="missing")
    assert len(await lines(stage, show="missing")) == 27
    assert "Xã Đại Sơn còn thiếu 27 trong 27 số liệu của Thôn thông minh (Hải Dương)." in await page(stage, QUALITY)
    await tell(stage, unit, "village.fibre_households", {"numerator": 81, "denominator": 100})
    assert row not in await lines(stage, show="missing")
    assert [line[0] for line in await lines(stage, show="missing", item="288.5")] == ["11074-02", "11074-03"]
    shown = await page(stage, f"{QUALITY}?item=288.5")
    assert "còn thiếu 26 trong 27" in shown
    assert "Thôn Nghĩa Dũng" not in shown.split("<tbody>", 1)[1]


async def test_an_old_figure_is_listed_until_a_newer_one_comes(stage: Stage) -> None:
    unit = stage.villages[1]
    long_ago = (datetime.now(UTC) - timedelta(days=200)).isoformat()
    await tell(stage, unit, "village.signal_area", {"numerator": 3, "denominator": 4}, observed_at=long_ago)
    old = await lines(stage, show="old")
    assert [(line[0], line[4]) for line in old] == [(unit.code, "75% (3/4 phần địa bàn)")]
    assert await lines(stage, show="old", days="365") == []
    assert "Địa bàn được phủ sóng" in await page(stage, f"{QUALITY}?show=old")
    await tell(stage, unit, "village.signal_area", {"numerator": 4, "denominator": 4})
    assert await lines(stage, show="old") == []


async def test_a_figure_of_last_year_is_old_where_the_year_counts(stage: Stage) -> None:
    unit = stage.villages[2]
    await tell(stage, unit, "village.digital_dialogue", {"flag": True}, period="2025")
    assert [(line[0], line[5]) for line in await lines(stage, show="old", days="3650")] == [(unit.code, "2025")]
    assert [unit.code, "288.1"] in [[line[0], line[3]] for line in await lines(stage, show="missing")]


async def test_sources_that_differ_are_listed_with_the_one_that_counts(stage: Stage) -> None:
    unit = stage.villages[0]
    heard = media.VillageAudibilityChanged(unit=unit.code, clusters=4, clusters_in_earshot=4)
    await stage.tell(stage.event(heard, f"audibility-{unit.code}"))
    assert await lines(stage, show="differing") == []
    await tell(stage, unit, "village.audible_area", {"numerator": 3, "denominator": 4})
    found = await lines(stage, show="differing")
    assert [(line[0], line[4], line[5], line[7]) for line in found] == [
        (unit.code, "Truyền thanh & camera", "100% (4/4 cụm dân cư)", "có"),
        (unit.code, "Cán bộ nhập", "75% (3/4 cụm dân cư)", ""),
    ]
    assert "được tính" in await page(stage, f"{QUALITY}?show=differing")
    await tell(stage, unit, "village.audible_area", {"numerator": 4, "denominator": 4})
    assert await lines(stage, show="differing") == []


async def test_orders_and_overlays_that_suspend_are_listed(stage: Stage) -> None:
    unit = stage.villages[1]
    body = {
        "unit": unit.code,
        "set": "hd-288-2023",
        "item": "288.4",
        "reason": "Chờ đường truyền.",
        "document": "CV 12",
    }
    made = await stage.client.post(
        "/indicators/api/v1/suspensions", json=body, headers=bearer(("admin", stage.commune.path))
    )
    assert made.status_code == 201
    found = await lines(stage, show="suspended")
    assert [line[:5] for line in found] == [[unit.name, "288.4", "camera an ninh", "Chờ đường truyền.", "CV 12"]]
    province = await lines(stage, show="suspended", set="hd-1414-ntm-advanced-8")
    assert [line[0] for line in province] == ["Tỉnh Hải Dương"]
    assert "288.4 camera an ninh" in await page(stage, f"{QUALITY}?show=suspended")


async def test_what_was_set_aside_is_told_to_staff_only(stage: Stage) -> None:
    async with stage.running.tx() as tx:
        await tx.execute(
            text("""
                INSERT INTO dead_letter (id, topic, partition, "offset", type, subject, unit, headers, reason, tries)
                VALUES (:id, 't', 0, 1, 'x', 'y', '11074-01', '{}', 'hỏng', 1)
            """),
            {"id": uuid4()},
        )
    assert "chưa đưa vào được" not in await page(stage, QUALITY)
    for path, seen in ((stage.commune.path, True), ("30/298/11077", False)):
        answer = await stage.client.get(QUALITY, headers={"accept": "text/html", **bearer(("officer", path))})
        assert ("Có 1 sự kiện về các đơn vị này chưa đưa vào được" in answer.text) is seen


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("show=all", 422),
        ("days=0", 422),
        ("item=288.99", 404),
        ("set=nope", 404),
        ("set=tuky-2025", 404),
        ("after=zz", 400),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(stage: Stage, query: str, status: int) -> None:
    for address in (f"{QUALITY}?{query}", f"{QUALITY}.csv?{query}"):
        if "after" in query and ".csv" in address:
            continue
        answer = await stage.client.get(address, headers={"accept": "text/html"})
        assert answer.status_code == status, address


async def test_the_list_goes_on_page_by_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.indicators.web.quality.ROWS", 4)
    whole = [(line[0], line[3]) for line in await lines(stage, show="missing")]
    seen: list[tuple[str, str]] = []
    address = QUALITY
    while address:
        shown = await page(stage, address)
        seen += re.findall(r'href="/indicators/units/([^/]*)/items/([^?]*)\?', shown.split("<tbody>", 1)[1])
        following = re.search(r'href="([^"]*)" rel="next"', shown)
        address = following[1].replace("&amp;", "&") if following else ""
    assert seen == whole


async def test_orders_and_overlays_are_listed_page_by_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = bearer(("admin", "30"))
    asked = {"set": "hd-1414-ntm-advanced-8", "item": "8.4", "reason": "Chờ mạng.", "document": "CV 13"}
    for unit in (stage.commune.code, "298", "30"):
        made = await stage.client.post("/indicators/api/v1/suspensions", json={**asked, "unit": unit}, headers=admin)
        assert made.status_code == 201, made.text
    whole = await lines(stage, show="suspended", set=asked["set"])
    # Orders from the larger area down, then what the letter itself suspends.
    assert [line[0] for line in whole] == ["Tỉnh Hải Dương", "Huyện Tứ Kỳ", stage.commune.name, "Tỉnh Hải Dương"]
    for rows in (1, 2, 3):
        monkeypatch.setattr("services.indicators.web.quality.ROWS", rows)
        seen: list[str] = []
        address = f"{QUALITY}?show=suspended&set={asked['set']}"
        while address:
            shown = await page(stage, address)
            found = re.findall(r'<th scope="row">([^<]*)</th>', shown.split("<tbody>", 1)[1])
            assert len(found) <= rows
            seen += found
            following = re.search(r'href="([^"]*)" rel="next"', shown)
            address = following[1].replace("&amp;", "&") if following else ""
        assert seen == [line[0] for line in whole]


async def test_a_file_goes_on_to_the_end_of_the_list(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = await lines(stage, show="missing")
    assert len(whole) > 6
    monkeypatch.setattr("services.indicators.web.quality_lists.PIECE", 2)
    answer = await stage.client.get(f"{QUALITY}.csv", params={"show": "missing"})
    assert answer.content.count(b"\xef\xbb\xbf") == 1
    assert await lines(stage, show="missing") == whole
    for show in ("old", "differing", "suspended"):
        assert await lines(stage, show=show) == await lines(stage, show=show)


async def test_a_page_of_differences_reads_on_where_sources_agree(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = stage.villages[2]
    await tell(stage, unit, "village.audible_area", {"numerator": 1, "denominator": 4})
    change = media.VillageAudibilityChanged(unit=unit.code, clusters=4, clusters_in_earshot=4)
    await stage.tell(stage.event(change, f"audibility-{unit.code}"))
    whole = await lines(stage, show="differing")
    assert unit.code in {line[0] for line in whole}
    monkeypatch.setattr("services.indicators.web.quality_lists.PLACES", 1)
    assert "được tính" in await page(stage, f"{QUALITY}?show=differing")
    assert await lines(stage, show="differing") == whole


@pytest.mark.parametrize("after", [["order", 1], ["x", "", "", ""], ["overlay", "x", "", ""], ["order", 1, 2, 3]])
async def test_a_cursor_that_is_none_of_ours_is_refused_or_harmless(stage: Stage, after: list[str | int]) -> None:
    asked = {"show": "suspended", "after": encode_cursor(after)}
    answer = await stage.client.get(QUALITY, params=asked, headers={"accept": "text/html"})
    assert answer.status_code == (200 if after == ["order", 1, 2, 3] else 400)
