"""Owns the step from the data of checked documents to the types of the catalogue; nothing here can fail any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from services.indicators.criteria import rules as c
from services.indicators.criteria.areas import EVERYWHERE, Area


def fraction(text: str) -> Fraction:
    """The exact number in "80%", "66.7%" or "2/3"."""
    return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)


def _text(data: dict[str, str]) -> c.Text:
    return c.Text(data["vi"], data["en"])


def _maybe_text(data: dict[str, str] | None) -> c.Text | None:
    return _text(data) if data else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _selection(data: dict[str, Any] | None) -> c.Selection | None:
    return c.Selection(data["attribute"], frozenset(data["states"])) if data else None


def attribute(data: dict[str, Any]) -> c.Attribute:
    states = {"flag": ("true", "false"), "count": ()}.get(data["kind"]) or tuple(data.get("states", ()))
    return c.Attribute(data["code"], data["entity"], data["kind"], states, _text(data["title"]))


CARRY: dict[str, c.Carry] = {"ratio": "sum", "count": "sum", "flag": "renew", "state": "renew"}
"""What a reorganisation does to a figure where its measure does not say: numbers add up, evidence must be renewed."""


def measure(data: dict[str, Any]) -> c.Measure:
    raw = data.get("counted")
    counted = None
    if raw is not None:
        counted = c.Counted(
            _selection(raw.get("numerator")),
            _selection(raw.get("denominator")),
            raw.get("register"),
            _selection(raw.get("when")),
            raw.get("at_least", 1),
            frozenset(raw.get("known_by", ())),
        )
    states = data.get("states", {})
    return c.Measure(
        code=data["code"],
        title=_text(data["title"]),
        kind=data["kind"],
        unit_of_measure=_text(data["unit_of_measure"]),
        counted=counted,
        prefer=tuple(data["prefer"]),
        policy=data.get("policy", "first"),
        period=data.get("period"),
        level=data["level"],
        below=data.get("below", {}).get("measure"),
        below_kinds=tuple(data.get("below", {}).get("kinds", ())),
        states=tuple(states),
        state_titles=tuple(_text(title) for title in states.values()),
        unbounded=data.get("unbounded", False),
        carry=data.get("carry", CARRY[data["kind"]]),
        text=data.get("text", ""),
    )


def _by(data: dict[str, Any] | None) -> c.ByTrait | None:
    if data is None:
        return None
    cases: dict[str, Any] = data["cases"]
    texts = [(state, str(value)) for state, value in cases.items()]
    otherwise = None
    if "else" in data:
        texts.append(("", str(data["else"])))
        otherwise = number(data["else"])
    return c.ByTrait(data["measure"], tuple((s, number(v)) for s, v in cases.items()), otherwise, tuple(texts))


def number(value: str | int) -> Fraction:
    """A target as written: a share as text, a count as a whole number."""
    return fraction(value) if isinstance(value, str) else Fraction(value)


def rule(data: dict[str, Any]) -> c.Rule:
    operator = data.get("operator")
    if "ratio" in data:
        text = data.get("target", "")
        target = fraction(text) if text else None
        return c.RatioRule(data["ratio"], operator, target, text, data.get("when_zero", "no_data"), _by(data.get("by")))
    if "flag" in data:
        return c.FlagRule(data["flag"], data.get("judged", True))
    if "children" in data:
        return c.ChildrenRule(
            data["children"]["set"],
            data["children"]["item"],
            operator,
            number(data["target"]) if "target" in data else None,
            str(data.get("target", "")),
            data.get("count", False),
            data.get("when_zero", "no_data"),
            data.get("unknown", "open"),
        )
    if "count" in data:
        return c.CountRule(data["count"], operator, data.get("target"), _by(data.get("by")))
    if "item" in data:
        return c.ItemRule(data["item"]["set"], data["item"]["item"])
    if "all" in data:
        return c.Composed(tuple(map(rule, data["all"])))
    if "any" in data:
        return c.Composed(tuple(map(rule, data["any"])), 1)
    return c.Composed(tuple(map(rule, data["of"])), data["at_least"])


def _item(data: dict[str, Any]) -> c.Item:
    return c.Item(
        data["code"],
        _text(data["title"]),
        _text(data["short"]),
        rule(data["rule"]),
        tuple(data["feeds"]),
        data.get("group", ""),
        _maybe_text(data.get("note")),
    )


def _basis(data: dict[str, str]) -> c.LegalBasis:
    return c.LegalBasis(data["number"], date.fromisoformat(data["date"]), data["issuer"], data["title"])


NEEDED: dict[str, int | None] = {"all": None, "any": 1}


def area(data: Mapping[str, Any]) -> Area:
    """Where the set of a document holds."""
    paths = tuple(data.get("applies_to", {}).get("units", ()))
    return Area(paths) if paths else EVERYWHERE


def criteria_set(data: dict[str, Any]) -> c.CriteriaSet:
    return c.CriteriaSet(
        code=data["set"],
        title=_text(data["title"]),
        level=data["level"],
        legal_basis=_basis(data["legal_basis"]),
        valid_from=date.fromisoformat(data["valid_from"]),
        valid_to=_day(data.get("valid_to")),
        items=tuple(map(_item, data["items"])),
        kinds=tuple(data.get("kinds", ())),
        area=area(data),
        auxiliary=data.get("auxiliary", False),
        unofficial=data.get("unofficial", False),
        needed=NEEDED[data["needs"]],
        groups=tuple(c.Group(g["code"], _text(g["theme"]), _text(g["title"])) for g in data.get("groups", ())),
        target_date=_day(data.get("target_date")),
        note=_maybe_text(data.get("note")),
    )


def _target(data: dict[str, Any]) -> c.Target:
    written = data.get("target")
    return c.Target(
        item=data["item"],
        operator=data.get("operator"),
        target=None if written is None else number(written),
        target_text="" if written is None else str(written),
        measure=data.get("measure"),
    )


def _suspension(data: dict[str, Any]) -> c.Suspension:
    return c.Suspension(
        item=data["item"],
        reason=_text(data["reason"]),
        document=data["document"],
        measure=data.get("measure"),
        unit=data.get("unit"),
        starts_on=_day(data.get("from")),
        ends_on=_day(data.get("to")),
    )


def overlay(data: dict[str, Any]) -> c.Overlay:
    return c.Overlay(
        code=data["overlay"],
        set_code=data["on"],
        unit=data["unit"],
        title=_text(data["title"]),
        legal_basis=_basis(data["legal_basis"]),
        valid_from=date.fromisoformat(data["valid_from"]),
        valid_to=_day(data.get("valid_to")),
        targets=tuple(map(_target, data.get("targets", ()))),
        items=tuple(map(_item, data.get("items", ()))),
        suspensions=tuple(map(_suspension, data.get("suspend", ()))),
    )
