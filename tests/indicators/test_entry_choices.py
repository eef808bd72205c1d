"""What staff may enter is listed under the sets and goals that ask for it, and found by a filter without JavaScript."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest

from chassis.units import Unit, today
from services.indicators.criteria import library
from services.indicators.views.choosing import ChoiceSet, EntryChoices
from tests.indicators.conftest import Stage, shipped
from tests.support.running import bearer, commune, village

HTML = {"accept": "text/html"}


def choices(unit: Unit, day: date | None = None) -> EntryChoices:
    return EntryChoices(shipped(), unit, day or today(), "vi", lambda text: text)


def measures(shown: list[ChoiceSet]) -> set[str]:
    return {choice.measure for one in shown for group in one.groups for choice in group.rows}


@pytest.mark.parametrize("unit", [commune(), village(commune()), replace(commune(), kind="phuong")])
def test_everything_staff_may_enter_can_be_found(unit: Unit) -> None:
    may = {m.code for m in shipped().measures.values() if "staff" in m.prefer and m.level == unit.level}
    assert measures(choices(unit).filtered("", "")) == may
    assert may


def test_a_set_shows_its_own_figures_in_its_order_under_its_goals() -> None:
    (found,) = choices(commune()).filtered("mard-2023-smart-commune", "")
    basis = shipped().sets["mard-2023-smart-commune"].legal_basis
    assert (found.code, found.number) == ("mard-2023-smart-commune", basis.number)
    assert [group.title.partition(".")[0] for group in found.groups] == [str(n) for n in range(1, 19)]
    rows = [choice.row for group in found.groups for choice in group.rows]
    order = [item.code for item in shipped().sets["mard-2023-smart-commune"].items]
    assert rows == sorted(rows, key=order.index)
    first = next(item for item in shipped().sets["mard-2023-smart-commune"].items if item.code == rows[0])
    assert found.groups[0].rows[0].measure in first.measures


def test_what_no_set_of_the_unit_asks_for_stands_last() -> None:
    found = choices(commune()).sets
    assert (found[-1].code, found[-1].title) == ("", "Số liệu khác")
    assert all(one.code for one in found[:-1])
    # No set is for wards: they keep one plain list.
    ward = choices(replace(commune(), kind="phuong")).sets
    assert [(one.code, one.title) for one in ward] == [("", "Tất cả số liệu")]


def test_a_set_that_does_not_hold_yet_is_not_listed() -> None:
    codes = {one.code for one in choices(commune(), date(2022, 12, 1)).sets}
    assert "hd-1414-ntm-8" in codes
    assert "mard-2023-smart-commune" not in codes


@pytest.mark.parametrize("words", ["cáp quang", "CAP  QUANG", "quang cap"])
def test_words_are_found_without_marks_in_any_order(words: str) -> None:
    assert measures(choices(village(commune())).filtered("", words)) == {"village.fibre_households"}


def test_a_row_is_found_by_its_code_within_its_set() -> None:
    found = choices(village(commune())).filtered("hd-288-2023", "288.5")
    assert measures(found) == {"village.fibre_households"}
    assert choices(commune()).filtered("", "không có chữ này") == []


def test_a_set_of_another_level_chooses_nothing() -> None:
    all_of_it = choices(commune()).filtered("", "")
    assert measures(choices(commune()).filtered("hd-288-2023", "")) == measures(all_of_it)


async def test_the_page_lists_sets_and_filters_by_address(stage: Stage) -> None:
    here = f"/indicators/units/{stage.commune.code}/entry"
    officer = {**HTML, **bearer(("officer", stage.commune.path))}

    async def page(**params: str) -> str:
        answer = await stage.client.get(here, params=params, headers=officer)
        assert answer.status_code == 200, answer.text
        return unescape(answer.text)

    everything = await page()
    title = library.catalogue().sets["mard-2023-smart-commune"].title.vi
    assert f'<summary><span class="switch__now">{title}</span>' in everything
    assert '<details class="switch" open>' not in everything
    one = await page(set="mard-2023-smart-commune")
    assert one.count(f'<span class="switch__now">{title}</span>') == 1
    assert '<option value="mard-2023-smart-commune" selected>' in one
    links = re.findall(rf'href="{here}\?measure=([a-z0-9_.]+)"', one)
    assert len(links) == len(set(links)) > 20
    assert set(links) < set(re.findall(rf'href="{here}\?measure=([a-z0-9_.]+)"', everything))
    assert '<details class="switch" open>' in one
    followed = await page(measure=links[0])
    assert '<form class="form"' in followed
    assert library.catalogue().measures[links[0]].title.vi in followed
    none = await page(q="không có chữ này")
    assert "Không có số liệu nào mang tên ấy" in none
    # What is typed comes back as text.
    assert 'value="&lt;b&gt;&#34;"' in (await stage.client.get(here, params={"q": '<b>"'}, headers=officer)).text
    # A set of villages is read at the commune too, but nothing of it is entered there.
    assert '<details class="switch" open>' not in await page(set="hd-288-2023")
    sheet = await stage.client.get(f"/indicators/units/{stage.commune.code}?set=hd-1414-ntm-8", headers=officer)
    assert f'href="{here}?set=hd-1414-ntm-8"' in sheet.text


async def test_a_level_without_figures_to_enter_says_so(stage: Stage) -> None:
    officer = {**HTML, **bearer(("officer", "30"))}
    page = await stage.client.get("/indicators/units/30/entry", headers=officer)
    assert "Cấp này không có số liệu nào cán bộ nhập được" in page.text
