"""Owns how a finding of a JSON Schema is said to those who write documents: what is wrong and what is allowed."""

from __future__ import annotations

from typing import Any

from chassis.errors import Said

SHOWN = 60
"""Longest part of a wrong value that is repeated."""

_SIZES: dict[str, Said] = {
    "minLength": Said("không được để trống"),
    "maxLength": Said("dài hơn mức cho phép"),
    "minItems": Said("danh sách không đủ mục"),
    "maxItems": Said("danh sách có quá nhiều mục"),
    "uniqueItems": Said("danh sách có mục lặp lại"),
    "minProperties": Said("không đủ mục"),
}
_TYPES: dict[str, Said] = {
    "string": Said("chữ"),
    "integer": Said("số nguyên"),
    "number": Said("số"),
    "boolean": Said("true hoặc false"),
    "array": Said("danh sách"),
    "object": Said("nhóm khóa và giá trị"),
    "null": Said("bỏ trống"),
}


def schema_words(error: Any) -> Said:
    """A finding of `jsonschema` in words."""
    rule, allowed = error.validator, error.validator_value
    value = _shown(error.instance)
    # How it is written says more to a person than the pattern it has to fit.
    examples = ", ".join(error.schema.get("examples", ())) if isinstance(error.schema, dict) else ""
    if examples and rule in ("pattern", "type"):
        return Said("{value} không đúng dạng (viết như {examples})", value=value, examples=examples)
    if rule == "enum":
        listed = ", ".join(map(str, allowed))
        return Said("{value} không có trong danh sách (được dùng: {allowed})", value=value, allowed=listed)
    if rule == "const":
        return Said("ở đây không dùng được {value} (được dùng: {allowed})", value=value, allowed=allowed)
    if rule == "pattern":
        return Said("{value} không đúng dạng {pattern}", value=value, pattern=allowed)
    if rule == "format":
        return Said("{value} không phải là một {format} có thật", value=value, format=_format(allowed))
    if rule == "type":
        return Said("{value} không đúng kiểu (phải là {types})", value=value, types=_types(allowed))
    if rule == "required":
        missing = [name for name in allowed if name not in error.instance]
        # The schema tells of each missing key by itself, and names it only in its own sentence.
        named = next((name for name in missing if error.message.startswith(repr(name))), ", ".join(missing))
        return Said("thiếu khóa “{key}”", key=named)
    if rule == "additionalProperties":
        known = ", ".join(sorted(error.schema.get("properties", {})))
        extra = ", ".join(unknown_keys(error))
        return Said("không có khóa nào tên là {extra} (được dùng: {allowed})", extra=extra, allowed=known)
    if rule == "minimum":
        return Said("phải từ {limit} trở lên", limit=allowed)
    if rule == "maximum":
        return Said("không được vượt quá {limit}", limit=allowed)
    return _combined(error) or _SIZES.get(rule) or Said("không đúng quy định của lược đồ")


def _combined(error: Any) -> Said | None:
    """Of rules that are about several keys at once."""
    rule, allowed = error.validator, error.validator_value
    if rule == "not" and allowed == {}:
        key = error.absolute_path[-1]
        return Said("khóa “{key}” chỉ dùng cho kind {kind}", key=key, kind="state" if key == "states" else _FIGURES)
    if rule == "not":
        return Said("target và by loại trừ nhau: chỉ nêu một")
    if rule == "dependentRequired":
        return Said("một ngưỡng cần cả operator và target")
    if rule == "anyOf":
        keys = ", ".join(names[0] for one in allowed if (names := one.get("required")))
        return Said("phải có ít nhất một trong các khóa: {keys}", keys=keys)
    return None


_FIGURES = Said("ratio, flag hoặc count")


def unknown_keys(error: Any) -> list[str]:
    """The keys that a finding about further properties is about."""
    return sorted(set(error.instance) - set(error.schema.get("properties", {})))


def _types(allowed: str | list[str]) -> Said:
    names = [allowed] if isinstance(allowed, str) else list(allowed)
    if len(names) == 1:
        return _TYPES[names[0]]
    return Said("{one} hoặc {other}", one=_types(names[:-1]), other=_TYPES[names[-1]])


def _format(name: str) -> Said | str:
    return Said("ngày (YYYY-MM-DD)") if name == "date" else name


def _shown(value: Any) -> Said | str:
    if isinstance(value, dict | list):
        return Said("giá trị này")
    return f"“{str(value)[:SHOWN]}”"
