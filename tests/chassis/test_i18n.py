"""The language of screens: dates, numbers and shares as people read them, errors in words."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from babel.messages.pofile import PoFileError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

import chassis
from chassis import i18n
from chassis.errors import DomainError, FieldError, Invalid, InvalidFields
from chassis.i18n import (
    Translations,
    fmt_ago,
    fmt_date,
    fmt_datetime,
    fmt_money,
    fmt_number,
    fmt_percent,
    fmt_time,
    locale_of,
    localize_error,
    localize_fields,
    preferred_locale,
    validation_message,
)

AFTERNOON = datetime(2026, 11, 21, 7, 5, 9, tzinfo=UTC)
CATALOGUE = """
msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Phản ánh này đã đóng."
msgstr "This petition is closed."

msgid "Có {n} “mục” ở {place}"
msgstr "{n} items at {place}"

msgid "một thôn"
msgid_plural "nhiều thôn"
msgstr[0] "one village"
msgstr[1] "many villages"

msgctxt "động từ"
msgid "Đóng"
msgstr "Close"

msgid "chưa dịch"
msgstr ""

#, fuzzy
msgid "chưa chắc"
msgstr "not sure"
"""


@pytest.fixture
def translations(tmp_path: Path) -> Translations:
    (tmp_path / "en.po").write_text(CATALOGUE, "utf-8")
    return Translations.load(tmp_path, tmp_path / "not there")


# --- Catalogues ---


def test_translates_and_falls_back_to_vietnamese(translations: Translations) -> None:
    english = translations.translator("en")
    assert english("Phản ánh này đã đóng.") == "This petition is closed."
    assert english("Chưa ai dịch câu này.") == "Chưa ai dịch câu này."
    assert english("chưa dịch") == "chưa dịch"
    assert english("chưa chắc") == "chưa chắc"
    assert english("") == ""
    assert translations.gettext("Phản ánh này đã đóng.", "vi") == "Phản ánh này đã đóng."
    assert translations.pgettext("động từ", "Đóng", "en") == "Close"
    assert translations.gettext("Đóng", "en") == "Đóng"


def test_english_has_plurals(translations: Translations) -> None:
    assert [translations.ngettext("một thôn", "nhiều thôn", n, "en") for n in (0, 1, 2)] == [
        "many villages",
        "one village",
        "many villages",
    ]
    assert translations.ngettext("một thôn", "nhiều thôn", 2, "vi") == "nhiều thôn"


def test_a_later_catalogue_rewords_an_earlier_one(tmp_path: Path) -> None:
    for name, english in (("a", "first"), ("b", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "en.po").write_text(f'msgid "chữ"\nmsgstr "{english}"\n', "utf-8")
    assert Translations.load(tmp_path / "a", tmp_path / "b").gettext("chữ", "en") == "second"


def test_a_damaged_catalogue_is_found_at_start(tmp_path: Path) -> None:
    (tmp_path / "en.po").write_text('msgid "chữ"\nmsgstr "x"\nnonsense\n', "utf-8")
    with pytest.raises(PoFileError):
        Translations.load(tmp_path)


@pytest.mark.parametrize(
    ("tag", "locale"),
    [("en", "en"), ("en-GB", "en"), ("EN_us", "en"), ("vi-VN", "vi"), ("fr", "vi"), ("", "vi"), (None, "vi")],
)
def test_understands_language_tags(tag: str | None, locale: str) -> None:
    assert locale_of(tag) == locale


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, "vi"),
        ("", "vi"),
        ("en", "en"),
        ("EN-us", "en"),
        ("en-US,en;q=0.9,vi;q=0.8", "en"),
        ("vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        ("vi;q=0.5, en", "en"),
        ("en;q=0.5, vi;q=0.5", "en"),
        ("fr, en;q=0.1", "en"),
        ("fr-FR,de", "vi"),
        ("*", "vi"),
        ("en;q=0, *", "vi"),
        ("en;q=0", "vi"),
        ("en;q=much", "vi"),
        ("en;q=nan", "vi"),
        ("en;level=1", "en"),
        (",;=,;q=1,", "vi"),
        ("\x00en", "vi"),
    ],
)
def test_a_program_says_which_languages_it_likes(header: str | None, locale: str) -> None:
    assert preferred_locale(header) == locale


# --- Formats ---


def test_dates_and_times_are_those_of_the_commune() -> None:
    assert fmt_date(date(2026, 11, 21)) == "21/11/2026"
    assert fmt_date(date(2026, 1, 2)) == "02/01/2026"
    assert fmt_date(date(2026, 1, 2), "en") == "2 Jan 2026"
    assert fmt_datetime(AFTERNOON) == "21/11/2026 14:05"
    assert fmt_datetime(AFTERNOON, "en", seconds=True) == "21 Nov 2026 14:05:09"
    assert fmt_time(AFTERNOON) == "14:05"
    assert fmt_date(datetime(2026, 11, 20, 17, 0, tzinfo=UTC)) == "21/11/2026", "already tomorrow in Việt Nam"
    assert (fmt_date(None), fmt_datetime(None), fmt_ago(None)) == ("—", "—", "—")


def test_a_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zone"):
        fmt_datetime(datetime(2026, 11, 21, 14, 5))  # noqa: DTZ001 - that is the mistake.


@pytest.mark.parametrize(
    ("value", "vietnamese", "english"),
    [
        (0, "0", "0"),
        (812, "812", "812"),
        (1234.5, "1.234,5", "1,234.5"),
        (Decimal("1234567.89"), "1.234.567,89", "1,234,567.89"),
        (Fraction(1, 3), "0,33", "0.33"),
        (-5, "-5", "-5"),
        (None, "—", "—"),
    ],
)
def test_numbers(value: Any, vietnamese: str, english: str) -> None:
    assert (fmt_number(value), fmt_number(value, "en")) == (vietnamese, english)


def test_money_is_whole_dong() -> None:
    assert fmt_money(120_000) == "120.000\N{NO-BREAK SPACE}₫"
    assert fmt_money(120_000, "en") == "120,000\N{NO-BREAK SPACE}₫"
    assert fmt_money(0) == "0\N{NO-BREAK SPACE}₫"
    assert fmt_money(None) == "—"


@pytest.mark.parametrize(
    ("n", "d", "shown"),
    [
        (5, 6, "83,3%"),
        (4, 5, "80%"),
        (805, 1000, "80,5%"),
        (7996, 10_000, "79,96%"),
        (79_999, 100_000, "79,99%"),
        (8004, 10_000, "80,04%"),
        (80_001, 100_000, "> 80%"),
        (999_999, 1_000_000, "99,99%"),
        (1, 1, "100%"),
        (0, 7, "0%"),
        (5, 4, "125%"),
        (1, 0, "—"),
        (Decimal("0.5"), 1, "50%"),
    ],
)
def test_shares(n: Any, d: Any, shown: str) -> None:
    assert fmt_percent(n, d) == shown
    assert fmt_percent(n, d, "en") == shown.replace(",", ".")


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_never_shows_across_a_threshold(n: int, d: int) -> None:
    """Read as "at least" or as "more than" a whole per cent, the figure shown says what the exact one says."""
    shown = fmt_percent(n, d)
    figure = Fraction(shown.removeprefix("> ").removesuffix("%").replace(".", "").replace(",", "."))
    exact = Fraction(n * 100, d)
    assert figure <= exact
    assert exact - figure < Fraction(1, 10)
    for threshold in {int(exact), int(exact) + 1}:
        assert (figure >= threshold) == (exact >= threshold)
        assert (figure > threshold or (shown.startswith("> ") and figure == threshold)) == (exact > threshold)


AGES = [
    (0.2, "vừa xong", "just now"),
    (-3, "vừa xong", "just now"),
    (3, "3 giây trước", "3 seconds ago"),
    (59.9, "59 giây trước", "59 seconds ago"),
    (60, "1 phút trước", "1 minute ago"),
    (7199, "1 giờ trước", "1 hour ago"),
    (86_400 * 2, "2 ngày trước", "2 days ago"),
    (86_400 * 30, "22/10/2026", "22 Oct 2026"),
    (-90, "sau 1 phút", "in 1 minute"),
]


@pytest.mark.parametrize(("seconds", "vietnamese", "english"), AGES)
def test_how_long_ago(seconds: float, vietnamese: str, english: str) -> None:
    at = AFTERNOON - timedelta(seconds=seconds)
    assert fmt_ago(at, now=AFTERNOON) == vietnamese
    assert fmt_ago(at, "en", now=AFTERNOON) == english


# --- Errors ---


class ItemsElsewhere(DomainError):
    code = "items"
    message = "Có {n} “mục” ở {place}"


def test_errors_speak_the_readers_language(translations: Translations) -> None:
    error = ItemsElsewhere(field="place", n=2, place="Tứ Kỳ")
    assert localize_error(error, "vi", translations) == "Có 2 “mục” ở Tứ Kỳ"
    assert localize_error(error, "en", translations) == "2 items at Tứ Kỳ"
    assert localize_fields(error, "en", translations) == [FieldError("place", "2 items at Tứ Kỳ")]


def test_an_error_with_missing_parameters_still_says_something(translations: Translations) -> None:
    assert localize_error(ItemsElsewhere(n=2), "en", translations) == "{n} items at {place}"


def test_texts_with_braces_of_a_person_are_left_alone() -> None:
    assert localize_error(Invalid(message_="Dùng {tên} ở đây"), "vi") == "Dùng {tên} ở đây"


def test_several_fields_are_translated_one_by_one() -> None:
    error = InvalidFields([FieldError("a", "Chưa nhập mục này."), FieldError("b", "Phải là số.")])
    assert localize_fields(error, "en") == [
        FieldError("a", "This field is required."),
        FieldError("b", "Must be a number."),
    ]


class Colour(Enum):
    RED = "red"


class Form(BaseModel, extra="forbid"):
    needed: int = 1
    line: Annotated[str, Field(min_length=1, max_length=5)] = "x"
    long: Annotated[str, Field(min_length=3)] = "xxx"
    pattern: Annotated[str, Field(pattern="^a+$")] = "a"
    whole: int = 1
    decimal: Annotated[Decimal, Field(max_digits=4)] = Decimal(1)
    positive: Annotated[int, Field(gt=0)] = 1
    most: Annotated[int, Field(le=1000)] = 1
    choice: Literal["a", "b"] = "a"
    colour: Colour = Colour.RED
    id: UUID | None = None
    day: date | None = None
    moment: AwareDatetime | None = None
    yes: bool = True
    items: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    odd: str = ""
    own: str = ""

    @field_validator("odd")
    @classmethod
    def _odd(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("Phải là số.")
        return value

    @field_validator("own")
    @classmethod
    def _own(cls, value: str) -> str:
        if value == "bad":
            raise PydanticCustomError("control_character", "Không được có ký tự điều khiển.")
        return value


class Strict(BaseModel):
    needed: int


MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"line": ""}, "Chưa nhập mục này.", "This field is required."),
    ({"line": "toolong"}, "Tối đa 5 ký tự.", "At most 5 characters."),
    ({"long": "x"}, "Cần ít nhất 3 ký tự.", "Needs at least 3 characters."),
    ({"line": 5}, "Phải là chữ.", "Must be text."),
    ({"pattern": "b"}, "Không đúng dạng yêu cầu.", "Not in the required form."),
    ({"whole": "x"}, "Phải là số nguyên.", "Must be a whole number."),
    ({"whole": 1.5}, "Phải là số nguyên.", "Must be a whole number."),
    ({"decimal": "x"}, "Phải là số.", "Must be a number."),
    ({"decimal": "NaN"}, "Phải là số.", "Must be a number."),
    ({"decimal": "12345"}, "Tối đa 4 chữ số.", "At most 4 digits."),
    ({"positive": 0}, "Phải lớn hơn 0.", "Must be greater than 0."),
    ({"most": 1001}, "Không được vượt quá 1.000.", "Must not exceed 1,000."),
    ({"choice": "c"}, "Không có trong danh sách lựa chọn.", "Not one of the choices."),
    ({"colour": "blue"}, "Không có trong danh sách lựa chọn.", "Not one of the choices."),
    ({"id": "x"}, "Mã định danh không hợp lệ.", "Not a valid identifier."),
    ({"day": "31/02/2026"}, "Ngày không hợp lệ.", "Not a valid date."),
    ({"moment": "soon"}, "Thời điểm không hợp lệ.", "Not a valid date and time."),
    ({"moment": "2026-01-01T00:00:00"}, "Thời điểm phải kèm múi giờ.", "The time needs a time zone."),
    ({"yes": "maybe"}, "Phải là có hoặc không.", "Must be yes or no."),
    ({"items": []}, "Cần ít nhất 1 mục.", "Needs at least 1 items."),
    ({"items": [1, 2, 3]}, "Tối đa 2 mục.", "At most 2 items."),
    ({"items": "x"}, "Phải là một danh sách.", "Must be a list."),
    ({"unheard": 1}, "Mục này không được nhận.", "This field is not accepted."),
    ({"odd": "bad"}, "Phải là số.", "Must be a number."),
    ({"own": "bad"}, "Không được có ký tự điều khiển.", "Control characters are not allowed."),
]


@pytest.mark.parametrize(("value", "vietnamese", "english"), MESSAGES)
def test_validation_speaks_in_words(value: dict[str, Any], vietnamese: str, english: str) -> None:
    with pytest.raises(ValidationError) as found:
        Form.model_validate(value)
    error = found.value.errors()[0]
    assert (validation_message(dict(error), "vi"), validation_message(dict(error), "en")) == (vietnamese, english)


def test_a_missing_field_is_asked_for() -> None:
    with pytest.raises(ValidationError) as found:
        Strict.model_validate({})
    assert validation_message(dict(found.value.errors()[0]), "vi") == "Chưa nhập mục này."


def test_a_value_error_as_json_is_understood_too() -> None:
    """FastAPI hands errors on without the exception object."""
    assert validation_message({"type": "value_error", "msg": "Value error, Phải là số."}, "en") == "Must be a number."


def test_what_pydantic_may_say_in_future_is_not_shown_in_english() -> None:
    assert (
        validation_message({"type": "callable_type", "msg": "Input should be callable"}, "vi")
        == "Giá trị không hợp lệ."
    )


# --- The chassis's own catalogue ---

_VIETNAMESE = re.compile(r"[à-ỹđÀ-ỸĐ]")
_NOT_MESSAGES = {"migrations.py", "text.py"}
_WORDS_OF_FORMATS = {"ngày", "giờ", "phút", "giây", "vừa xong", " trước"}


def messages() -> Iterator[tuple[str, str]]:
    for path in sorted(Path(chassis.__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken:
                is_message = _VIETNAMESE.search(node.value) and node.value not in _WORDS_OF_FORMATS
                if is_message and path.name not in _NOT_MESSAGES:
                    yield path.name, node.value


def test_every_text_of_the_chassis_has_its_english() -> None:
    own = Translations.load()
    found = list(messages())
    assert len(found) > 50
    missing = [f"{place}: {text}" for place, text in found if not own.has(text, "en")]
    assert missing == []


def test_english_keeps_the_parameters() -> None:
    own = Translations.load()
    for _, text in messages():
        english = own.gettext(text, "en")
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english)), text


def test_registering_a_service_makes_its_errors_speak(tmp_path: Path) -> None:
    (tmp_path / "en.po").write_text('msgid "Chỉ có ở đây."\nmsgstr "Only here."\n', "utf-8")
    own = i18n.register(tmp_path)
    assert own.gettext("Chỉ có ở đây.", "en") == "Only here."
    assert i18n.translator("en")("Chỉ có ở đây.") == "Only here."
    assert localize_error(Invalid(message_="Chỉ có ở đây."), "en") == "Only here."
