"""The language of screens and messages: catalogues, formats of dates and numbers, and texts of errors.

Every text in the source is Vietnamese and is its own msgid; ``locale/en.po`` of a package holds the English. A missing
translation shows the Vietnamese text: a reader gets words, never a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from babel.core import negotiate_locale
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from pydantic_core.core_schema import ErrorType

from chassis.errors import DomainError, FieldError, Said

Locale = Literal["vi", "en"]
LOCALES: tuple[Locale, ...] = ("vi", "en")
DEFAULT_LOCALE: Locale = "vi"
LANGUAGE_VARIES = "Accept-Language, Cookie"
"""`Vary` of an answer whose language a program's header decides: a cache keeps one for each."""
ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
ABSENT = "—"

_CHASSIS_LOCALE = Path(__file__).parent / "locale"
_CONTEXT_GLUE = "\x04"


def locale_of(tag: str | None) -> Locale:
    """The supported locale for a language tag such as ``en-GB``; Vietnamese for everything else."""
    return "en" if tag is not None and tag.strip().lower().replace("_", "-").split("-")[0] == "en" else "vi"


def preferred_locale(header: str | None) -> Locale:
    """The supported locale that an ``Accept-Language`` header likes best (RFC 9110, 12.5.4).

    Vietnamese where there is no header, it names neither language, or it cannot be read.
    """
    weighed: list[tuple[float, str]] = []
    for part in (header or "").split(","):
        tag, _, parameter = part.partition(";")
        name, _, quality = parameter.partition("=")
        try:
            weight = float(quality) if name.strip().lower() == "q" else 1.0
        except ValueError:
            continue
        # A weight of 0 says "not this one"; what is no number at all compares as false.
        if weight > 0:
            weighed.append((weight, tag.strip().lower()))
    weighed.sort(key=lambda one: -one[0])
    return locale_of(negotiate_locale([tag for _, tag in weighed], LOCALES, sep="-", aliases={}))


class Translations:
    """Catalogues by locale. A later directory wins over an earlier one, so a service may reword a shared text."""

    def __init__(self, catalogues: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None) -> None:
        self._catalogues: dict[str, dict[str, tuple[str, ...]]] = {
            locale: dict(catalogue) for locale, catalogue in (catalogues or {}).items()
        }

    @classmethod
    def load(cls, *directories: Path) -> Translations:
        """Read ``<directory>/<locale>.po`` of the chassis, then of each directory, where there is such a file.

        Raises ``babel.messages.pofile.PoFileError`` on a damaged file, so that it is found at start.
        """
        translations = cls()
        for directory in (_CHASSIS_LOCALE, *directories):
            for locale in LOCALES:
                path = directory / f"{locale}.po"
                if path.is_file():
                    translations._catalogues.setdefault(locale, {}).update(_read(path, locale))
        return translations

    def include(self, other: Translations) -> None:
        """Take over the texts of ``other`` that are not here yet."""
        for locale, catalogue in other._catalogues.items():
            self._catalogues[locale] = {**catalogue, **self._catalogues.get(locale, {})}

    def has(self, msgid: str, locale: str) -> bool:
        """Whether ``msgid`` has a translation in ``locale`` (Vietnamese needs none)."""
        return locale == "vi" or msgid in self._catalogues.get(locale, {})

    def gettext(self, msgid: str, locale: str = DEFAULT_LOCALE) -> str:
        """The text in ``locale``, or ``msgid`` itself."""
        return self._catalogues.get(locale, {}).get(msgid, (msgid,))[0]

    def ngettext(self, one: str, many: str, n: int, locale: str = DEFAULT_LOCALE) -> str:
        """The text for ``n`` things; Vietnamese does not inflect, English has two forms."""
        forms = self._catalogues.get(locale, {}).get(one)
        if forms is None:
            return one if n == 1 else many
        return forms[0] if n == 1 or len(forms) == 1 else forms[1]

    def pgettext(self, context: str, msgid: str, locale: str = DEFAULT_LOCALE) -> str:
        """The text of ``msgid`` where it means ``context``."""
        return self._catalogues.get(locale, {}).get(context + _CONTEXT_GLUE + msgid, (msgid,))[0]

    def translator(self, locale: str) -> Callable[[str], str]:
        """A one-argument translate function, the ``_`` of a template."""
        return lambda msgid: self.gettext(msgid, locale)


def _read(path: Path, locale: str) -> dict[str, tuple[str, ...]]:
    with path.open("rb") as file:
        catalogue = read_po(file, locale=locale, abort_invalid=True)
    texts: dict[str, tuple[str, ...]] = {}
    for message in catalogue:
        strings = message.string if isinstance(message.string, list | tuple) else (message.string,)
        forms = tuple(form or "" for form in strings)
        if message.id and all(forms) and not message.fuzzy:
            msgid = message.id[0] if isinstance(message.id, list | tuple) else message.id
            texts[f"{message.context}{_CONTEXT_GLUE}{msgid}" if message.context else msgid] = forms
    return texts


_everything = Translations.load()


def register(*directories: Path) -> Translations:
    """Load the catalogues of one service and return them; errors of that service are then translated everywhere.

    Several services may share a process: each renders its pages with its own catalogues, while texts of errors are
    looked up in all of them.
    """
    translations = Translations.load(*directories)
    _everything.include(translations)
    return translations


def translator(locale: str) -> Callable[[str], str]:
    """A translate function over every registered catalogue."""
    return _everything.translator(locale)


def fmt_date(value: date | datetime | None, locale: str = DEFAULT_LOCALE) -> str:
    """A day: ``21/11/2026`` in Vietnamese, ``21 Nov 2026`` in English. A datetime is read in Việt Nam's zone."""
    if value is None:
        return ABSENT
    day = _local(value) if isinstance(value, datetime) else value
    if locale == "en":
        return f"{day.day} {_ENGLISH_MONTHS[day.month - 1]} {day.year}"
    return f"{day.day:02d}/{day.month:02d}/{day.year:04d}"


def fmt_datetime(value: datetime | None, locale: str = DEFAULT_LOCALE, *, seconds: bool = False) -> str:
    """An instant in Việt Nam's zone: ``21/11/2026 14:05``."""
    if value is None:
        return ABSENT
    return f"{fmt_date(value, locale)} {fmt_time(value, seconds=seconds)}"


def fmt_time(value: datetime, *, seconds: bool = False) -> str:
    """The time of day in Việt Nam's zone: ``14:05``."""
    return _local(value).strftime("%H:%M:%S" if seconds else "%H:%M")


def fmt_number(value: float | Decimal | Fraction | None, locale: str = DEFAULT_LOCALE, *, decimals: int = 2) -> str:
    """A number with at most ``decimals`` decimals: ``1.234,5`` in Vietnamese, ``1,234.5`` in English."""
    if value is None:
        return ABSENT
    exact = Decimal(value.numerator) / Decimal(value.denominator) if isinstance(value, Fraction) else value
    return format_decimal(exact, format="#,##0." + "#" * decimals if decimals else "#,##0", locale=locale)


def fmt_percent(
    numerator: int | Decimal | Fraction, denominator: int | Decimal | Fraction, locale: str = DEFAULT_LOCALE
) -> str:
    """A share that never reaches a threshold it does not reach: cut off, not rounded.

    One decimal is shown, two within a tenth of a whole per cent, because thresholds lie on whole per cents: 4998/6000
    is ``83,3%``, 7996/10000 is ``79,96%``, 80001/100000 is ``> 80%``. A zero denominator gives ``—``.
    """
    if denominator == 0:
        return ABSENT
    share = Fraction(numerator) / Fraction(denominator) * 100
    sign, share = ("-", -share) if share < 0 else ("", share)
    near_whole = abs(share - round(share)) < Fraction(1, 10)
    scale = 100 if near_whole else 10
    cut = Fraction(int(share * scale), scale)
    above = "> " if cut.denominator == 1 and cut != share and not sign else ""
    shown = (Decimal(cut.numerator) / Decimal(cut.denominator)).quantize(Decimal("0.01"), rounding=ROUND_DOWN)
    return f"{above}{sign}{fmt_number(shown, locale)}%"


def fmt_money(dong: int | None, locale: str = DEFAULT_LOCALE) -> str:
    """An amount in whole đồng: ``120.000 ₫`` (``120,000 ₫`` in English), never broken over two lines."""
    return ABSENT if dong is None else f"{fmt_number(dong, locale, decimals=0)}\N{NO-BREAK SPACE}₫"


def fmt_ago(value: datetime | None, locale: str = DEFAULT_LOCALE, *, now: datetime | None = None) -> str:
    """How long ago, cut down to whole units: ``3 giây trước``; a date when it is 30 days or more."""
    if value is None:
        return ABSENT
    elapsed = ((now or datetime.now(UTC)) - value).total_seconds()
    amount = abs(elapsed)
    if amount < 1 or -5 < elapsed < 0:
        # Clocks of two machines differ by a little: an event must not come from the future.
        return "just now" if locale == "en" else "vừa xong"
    if amount >= 30 * 86_400:
        return fmt_date(value, locale)
    size, vietnamese, english = next(unit for unit in _AGO_UNITS if amount >= unit[0])
    count = int(amount // size)
    if locale == "en":
        words = f"{count} {english}{'' if count == 1 else 's'}"
        return f"{words} ago" if elapsed > 0 else f"in {words}"
    return f"{count} {vietnamese} trước" if elapsed > 0 else f"sau {count} {vietnamese}"


_AGO_UNITS = ((86_400, "ngày", "day"), (3600, "giờ", "hour"), (60, "phút", "minute"), (1, "giây", "second"))
_ENGLISH_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _local(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("times on screen must know their zone")
    return value.astimezone(ZONE)


def localize(msgid: str, params: Mapping[str, object], locale: str, translations: Translations | None = None) -> str:
    """Translate ``msgid`` and fill in ``{params}``; a text whose parameters do not fit is shown unfilled.

    A parameter that is itself a sentence is translated too.
    """
    text = (translations or _everything).gettext(msgid, locale)
    if not params:
        return text
    filled = {n: tell(v, locale, translations) if isinstance(v, Said) else v for n, v in params.items()}
    try:
        return text.format(**filled)
    except (KeyError, IndexError, ValueError):
        return text


def tell(said: Said, locale: str, translations: Translations | None = None) -> str:
    """A sentence in the reader's language."""
    return localize(said.text, said.params, locale, translations)


def localize_error(error: DomainError, locale: str, translations: Translations | None = None) -> str:
    """The message of a domain error in the reader's language."""
    return localize(error.text, error.params, locale, translations)


def localize_fields(error: DomainError, locale: str, translations: Translations | None = None) -> list[FieldError]:
    """The wrong fields of a domain error, each with its message in the reader's language."""
    if error.field is not None:
        return [FieldError(error.field, localize_error(error, locale, translations))]
    return [
        FieldError(wrong.field, localize(wrong.message, wrong.params, locale, translations))
        for wrong in error.field_errors
    ]


_REQUIRED = "Chưa nhập mục này."
_INTEGER = "Phải là số nguyên."
_NUMBER = "Phải là số."
_DAY = "Ngày không hợp lệ."
_INSTANT = "Thời điểm không hợp lệ."
_OBJECT = "Phải là một đối tượng JSON."
_LIST = "Phải là một danh sách."
_CHOICE = "Không có trong danh sách lựa chọn."
_UNKNOWN = "Giá trị không hợp lệ."

_VALIDATION: dict[str, str] = {
    "missing": _REQUIRED,
    "missing_argument": _REQUIRED,
    "json_invalid": "Nội dung JSON không đọc được.",
    "json_type": "Nội dung JSON không đọc được.",
    "extra_forbidden": "Mục này không được nhận.",
    "unexpected_keyword_argument": "Mục này không được nhận.",
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "too_short": "Cần ít nhất {min_length} mục.",
    "too_long": "Tối đa {max_length} mục.",
    "string_type": "Phải là chữ.",
    "string_unicode": "Chữ không đọc được.",
    "bytes_type": "Phải là chữ.",
    "bytes_invalid_encoding": "Chữ không đọc được.",
    "string_too_short": "Cần ít nhất {min_length} ký tự.",
    "string_too_long": "Tối đa {max_length} ký tự.",
    "bytes_too_long": "Tối đa {max_length} byte.",
    "bytes_too_short": "Cần ít nhất {min_length} byte.",
    "string_pattern_mismatch": "Không đúng dạng yêu cầu.",
    "string_not_ascii": "Chỉ dùng chữ không dấu.",
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_from_float": _INTEGER,
    "int_parsing_size": "Số quá lớn.",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "decimal_max_digits": "Tối đa {max_digits} chữ số.",
    "decimal_max_places": "Tối đa {decimal_places} chữ số thập phân.",
    "decimal_whole_digits": "Số quá lớn.",
    "greater_than": "Phải lớn hơn {gt}.",
    "greater_than_equal": "Phải từ {ge} trở lên.",
    "less_than": "Phải nhỏ hơn {lt}.",
    "less_than_equal": "Không được vượt quá {le}.",
    "multiple_of": "Phải là bội số của {multiple_of}.",
    "bool_type": "Phải là có hoặc không.",
    "bool_parsing": "Phải là có hoặc không.",
    "enum": _CHOICE,
    "literal_error": _CHOICE,
    "union_tag_invalid": _CHOICE,
    "union_tag_not_found": _REQUIRED,
    "uuid_type": "Mã định danh không hợp lệ.",
    "uuid_parsing": "Mã định danh không hợp lệ.",
    "uuid_version": "Mã định danh không hợp lệ.",
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "date_past": "Ngày phải ở trong quá khứ.",
    "date_future": "Ngày phải ở trong tương lai.",
    "time_type": "Giờ không hợp lệ.",
    "time_parsing": "Giờ không hợp lệ.",
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_object_invalid": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "datetime_past": "Thời điểm phải ở trong quá khứ.",
    "datetime_future": "Thời điểm phải ở trong tương lai.",
    "timezone_aware": "Thời điểm phải kèm múi giờ.",
    "timezone_naive": "Thời điểm không được kèm múi giờ.",
    "time_delta_type": "Khoảng thời gian không hợp lệ.",
    "time_delta_parsing": "Khoảng thời gian không hợp lệ.",
    "url_type": "Địa chỉ web không hợp lệ.",
    "url_parsing": "Địa chỉ web không hợp lệ.",
    "url_syntax_violation": "Địa chỉ web không hợp lệ.",
    "url_too_long": "Địa chỉ web quá dài.",
    "url_scheme": "Địa chỉ web phải bắt đầu bằng {expected_schemes}.",
}

_PYDANTIC_TYPES = frozenset(get_args(ErrorType))


def validation_message(err: Mapping[str, Any], locale: str, translations: Translations | None = None) -> str:
    """The message for one item of ``ValidationError.errors()`` in the reader's language.

    A ``ValueError`` raised by a validator and a ``PydanticCustomError`` carry a Vietnamese msgid of their own.
    """
    kind, context = str(err.get("type", "")), dict(err.get("ctx") or {})
    if kind in ("value_error", "assertion_error"):
        raised = context.pop("error", None)
        own = str(raised) if raised is not None else str(err.get("msg", "")).partition(", ")[2]
        return localize(own or _UNKNOWN, {}, locale, translations)
    if kind not in _PYDANTIC_TYPES:
        return localize(str(err.get("msg") or _UNKNOWN), {}, locale, translations)
    if kind == "string_too_short" and context.get("min_length") == 1:
        return localize(_REQUIRED, {}, locale, translations)
    shown = {
        name: fmt_number(value, locale) if isinstance(value, int | float | Decimal) else value
        for name, value in context.items()
    }
    return localize(_VALIDATION.get(kind, _UNKNOWN), shown, locale, translations)
