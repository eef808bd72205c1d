"""The criteria sets in plain words, and what if: every rule can be said, and every page about a set opens."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from fractions import Fraction

import pytest

from chassis.i18n import Translations
from services.indicators.app import service
from services.indicators.criteria import catalogue as c
from services.indicators.criteria import library
from services.indicators.settings import Settings
from services.indicators.views import RuleView, RuleWords, target_words
from services.indicators.views.feeding import feed_words
from tests.indicators.conftest import Stage
from tests.indicators.test_drilling import page, tell
from tests.support.running import commune, ladder, running, settings_for, village

WORDS = Translations.load(library.DATA.parent / "locale")
VI = WORDS.translator("vi")
SAY = RuleWords(library.catalogue(), "vi", VI)
SAY_EN = RuleWords(library.catalogue(), "en", WORDS.translator("en"))


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    async with running(service, settings_for(Settings, database("definitions"))) as live:
        here = commune()
        villages = [village(here, 1), village(here, 2, "Thôn Đại Hà")]
        await live.enter_units(*ladder(), here, *villages)
        yield Stage(live, here, villages)


def ratio(operator: c.Operator, target: str, **more: str) -> c.RatioRule:
    return c.RatioRule("village.fibre_households", operator, Fraction(target[:-1]) / 100, target, **more)  # type: ignore[arg-type]  # when_zero is one of two words.


@pytest.mark.parametrize(
    ("rule", "words", "english"),
    [
        (ratio(">", "80%"), "trên 80% số hộ", "more than 80% of the households"),
        (ratio(">=", "66.7%"), "từ 66,7% số hộ trở lên", "at least 66.7% of the households"),
        (ratio("=", "100%"), "đủ 100% số hộ", "100% of the households"),
        (c.FlagRule("village.smart_loudspeaker"), "có, kèm bằng chứng", "yes, with evidence"),
        (
            c.FlagRule("village.smart_loudspeaker", judged=False),
            "chỉ theo dõi, văn bản không nêu mức",
            "measured only: the text names no figure",
        ),
        (
            c.ChildrenRule("hd-1414-ntm-8", "8.4", ">", Fraction(3, 5), "60%"),
            "trên 60% số xã đạt",
            "more than 60% of the communes meet",
        ),
        (
            c.ChildrenRule("hd-1414-ntm-8", "8.4", ">=", 3, "3", count=True),
            "từ 3 xã trở lên đạt",
            "at least 3 communes meet",
        ),
    ],
)
def test_a_rule_is_a_sentence(rule: c.Rule, words: str, english: str) -> None:
    assert SAY.view(rule).asked == words
    assert SAY_EN.view(rule).asked == english


def test_a_threshold_by_trait_is_a_table() -> None:
    item = library.catalogue().sets["mard-2023-eligible-smart"].item("c5")
    assert item is not None
    view = SAY.view(item.rule)
    assert view.cases == (
        ("vùng đồng bào dân tộc thiểu số và miền núi", "từ 50% số người trở lên"),
        ("hải đảo", "từ 50% số người trở lên"),
        ("các nơi khác", "từ 80% số người trở lên"),
    )
    assert view.trait == "Vùng của xã"
    assert target_words(item.rule, VI) == "từ 50% / 80% trở lên"


def test_composed_rules_are_nested_and_say_how_many_are_needed() -> None:
    flag = c.FlagRule("village.smart_loudspeaker")
    inner = c.Composed((flag, flag), 1)
    view = SAY.view(c.Composed((inner, ratio(">", "80%"), flag), None))
    assert (view.head, view.parts[0].head) == ("đủ cả 3 điều kiện", "một trong 2 điều kiện")
    assert SAY.view(c.Composed((flag, flag, flag), 2)).head == "ít nhất 2 trong 3 điều kiện"


def test_a_suspended_condition_says_why() -> None:
    rule = c.Suspended(ratio(">", "80%"), "x", c.Text("Chưa có kế hoạch", "No plan yet"), "CV 12")
    assert SAY.view(rule).suspended == "Đang tạm hoãn: Chưa có kế hoạch (CV 12)."


def leaves(view: RuleView) -> Iterator[RuleView]:
    if not view.parts:
        yield view
    for part in view.parts:
        yield from leaves(part)


def test_every_rule_of_every_set_can_be_said_in_both_languages() -> None:
    catalogue = library.catalogue()
    said = 0
    for words in (SAY, SAY_EN):
        for code in catalogue.sets:
            for item in catalogue.rows_of(code):
                for leaf in leaves(words.view(item.rule)):
                    assert leaf.asked or leaf.cases, (code, item.code)
                    assert leaf.head or leaf.link, (code, item.code)
                    said += 1
    assert said > 200


async def test_every_set_has_its_page_with_every_row_and_its_legal_basis(stage: Stage) -> None:
    listed = await page(stage, "/indicators/sets")
    for code, one in library.catalogue().sets.items():
        assert f'href="/indicators/sets/{code}"' in listed
        shown = await page(stage, f"/indicators/sets/{code}")
        assert one.legal_basis.number.replace("&", "&amp;") in shown
        assert re.findall(r'<li id="row-([^"]*)"', shown) == [item.code for item in one.items], code


async def test_a_set_names_who_feeds_it_and_what_a_province_lays_over_it(stage: Stage) -> None:
    shown = await page(stage, "/indicators/sets/hd-1414-ntm-advanced-8")
    assert "Tỉnh Hải Dương áp dụng thêm" in shown
    assert "tạm hoãn: UBND tỉnh chưa ban hành" in shown
    first = await page(stage, "/indicators/sets/hd-288-2023")
    assert "Số liệu từ đâu: doanh nghiệp viễn thông gửi đến" in first
    rolled = await page(stage, "/indicators/sets/tuky-2025")
    assert 'href="/indicators/sets/hd-1414-ntm-8#row-8.4"' in rolled


WHAT_IF = "/indicators/units/11074-01/what-if"


async def test_what_if_says_the_least_and_what_would_come_of_it_and_stores_nothing(stage: Stage) -> None:
    unit = stage.villages[0]
    await tell(stage, unit, "village.fibre_households", {"numerator": 70, "denominator": 100})
    plain = await page(stage, WHAT_IF)
    assert "Thôn Nghĩa Dũng hiện đạt 0/9 chỉ tiêu." in plain
    assert "Ít nhất cần: thêm 11 hộ." in plain
    enough = await page(stage, f"{WHAT_IF}?more:village.fibre_households=11")
    assert "nếu như vậy sẽ đạt 1/9" in enough
    short = await page(stage, f"{WHAT_IF}?more:village.fibre_households=10")
    assert "nếu như vậy sẽ đạt 0/9" in short
    assert "Ít nhất cần: thêm 1 hộ." in short
    several = "yes:village.smart_loudspeaker=1&share:village.signal_area=4&of:village.signal_area=4"
    assert "sẽ đạt 2/9" in await page(stage, f"{WHAT_IF}?{several}")
    assert await stage.status(unit, "288.5") == "unmet"
    assert await stage.status(unit, "288.2") == "no_data"


async def test_the_least_can_be_filled_in_by_one_link(stage: Stage) -> None:
    found = re.search(r'href="([^"]*)"[^>]*>[^<]*(?:<svg.*?</svg>)?Điền mức ít nhất', await page(stage, WHAT_IF))
    assert found is not None
    filled = await page(stage, found[1].replace("&amp;", "&"))
    met = re.search(r"sẽ đạt (\d)/9", filled)
    assert met is not None
    assert int(met[1]) >= 4


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("more:village.fibre_households=x", "Phải là số nguyên từ 0."),
        ("more:village.fibre_households=-1", "Phải là số nguyên từ 0."),
        ("more:village.fibre_households=99", "Tử số lớn hơn mẫu số."),
        ("share:village.signal_area=5", "Phải là hai số nguyên từ 0."),
        ("share:village.signal_area=5&of:village.signal_area=4", "Tử số lớn hơn mẫu số."),
        ("more:village.nothing=1", "Chưa tính được"),
    ],
)
async def test_a_supposition_that_makes_no_sense_is_told_beside_its_field(
    stage: Stage, query: str, message: str
) -> None:
    await tell(stage, stage.villages[0], "village.fibre_households", {"numerator": 70, "denominator": 100})
    answer = await stage.client.get(f"{WHAT_IF}?{query}", headers={"accept": "text/html"})
    assert answer.status_code == 422
    assert message in answer.text


def test_nobody_is_told_to_wait_for_a_part_of_the_platform_that_has_no_such_data() -> None:
    """A row is said to come from a part of the platform only where a fact of that part changes it."""
    catalogue = library.catalogue()
    smart = catalogue.sets["mard-2023-smart-commune"]
    said = {item.code: feed_words(item, catalogue, str) for item in smart.items}
    assert said["3.2"] == ("mục Con người",)
    assert said["18.2"] == ("mục Phản ánh",)
    assert said["13.1"] == ("mục Sản phẩm",)
    assert said["3.1"] == said["5.2"] == said["12.1"] == ("mục Con người",)
    assert said["2.1"] == ("cán bộ nhập kèm bằng chứng",)
    assert said["17"] == ("cán bộ nhập kèm bằng chứng",)
    assert said["8.2"] == ("hệ thống khác của Nhà nước gửi đến", "cán bộ nhập kèm bằng chứng")
    village = catalogue.sets["hd-288-2023"]
    said = {item.code: feed_words(item, catalogue, str) for item in village.items}
    assert said["288.1"] == ("mục Phản ánh", "cán bộ nhập kèm bằng chứng")
    assert said["288.7"] == ("mục Truyền thanh & camera",)
    assert said["288.5"] == ("doanh nghiệp viễn thông gửi đến",)
    # A row of a commune that looks at its villages comes from whoever tells of those.
    ntm = catalogue.sets["hd-1414-ntm-8"].item("8.3")
    assert ntm is not None
    assert feed_words(ntm, catalogue, str) == ("mục Truyền thanh & camera", "cán bộ nhập kèm bằng chứng")
    for criteria in catalogue.sets.values():
        assert [item.code for item in criteria.items if not feed_words(item, catalogue, str)] == []
