"""Owns reading the criteria files: YAML with line numbers, checked by JSON Schema, then by meaning.

A wrong file is refused as a whole with every fault in it: file, line, place, what is wrong and what is allowed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from services.indicators import criteria as c

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a file."""

    file: str
    line: int
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.place}: {self.message}"


class BadDefinition(ValueError):
    """A criteria or measures file that cannot be used; `faults` says where and why."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps dates as text (the schema judges them) and refuses a key written twice."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


Place = tuple[str | int, ...]


def _lines(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*place, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index))


def _twice(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield place, key.start_mark.line + 1, str(key.value)
            seen.add(key.value)
            yield from _twice(value, (*place, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _twice(value, (*place, index))


class _File:
    """One parsed file and the way from a place in it to a line."""

    def __init__(self, path: Path, schema: str) -> None:
        self.name = path.name
        text = path.read_text(encoding="utf-8")
        try:
            node = yaml.compose(text, Loader=_Loader)
            self.data: Any = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader.
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise BadDefinition([Fault(self.name, line, "YAML", error.problem or "unreadable")]) from error
        self._at = dict(_lines(node)) if node else {}
        faults = [
            self.fault(place, f"key {key!r} is written twice", line)
            for place, line, key in (_twice(node) if node else ())
        ]
        validator = jsonschema.Draft202012Validator(
            json.loads((DATA / "schema" / schema).read_text(encoding="utf-8")),
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        faults += [self._schema_fault(e) for e in sorted(validator.iter_errors(self.data), key=_place_of)]
        if faults:
            raise BadDefinition(faults)

    def fault(self, place: Place, message: str, line: int | None = None) -> Fault:
        at = place
        while line is None:
            line = self._at.get(at)
            if line is None and not at:
                line = 1
            at = at[:-1]
        return Fault(self.name, line, _written(place), message)

    def _schema_fault(self, error: jsonschema.ValidationError) -> Fault:
        best = error
        if error.validator == "oneOf" and error.context:
            # The branch that comes closest says what the writer meant: the one whose own keyword is there.
            best = min(error.context, key=lambda e: (e.validator == "required", -len(e.absolute_path)))
        message = best.message
        if best.validator == "enum":
            allowed: Any = best.validator_value
            message += f" (allowed: {', '.join(map(str, allowed))})"
        elif best.validator == "pattern":
            message += f" (must match {best.validator_value})"
        return self.fault(tuple(best.absolute_path), message)


def _place_of(error: jsonschema.ValidationError) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _written(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(whole file)"


def _text(data: dict[str, str]) -> c.Text:
    return c.Text(data["vi"], data["en"])


def _selection(data: dict[str, Any] | None) -> c.Selection | None:
    return c.Selection(data["attribute"], frozenset(data["states"])) if data else None


def _attribute(data: dict[str, Any]) -> c.Attribute:
    states = {"flag": ("true", "false"), "count": ()}.get(data["kind"]) or tuple(data.get("states", ()))
    return c.Attribute(data["code"], data["entity"], data["kind"], states, _text(data["title"]))


def _measure(data: dict[str, Any]) -> c.Measure:
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
    return c.Measure(
        code=data["code"],
        title=_text(data["title"]),
        kind=data["kind"],
        unit_of_measure=_text(data["unit_of_measure"]),
        counted=counted,
        prefer=tuple(data["prefer"]),
        policy=data.get("policy", "first"),
        period=data.get("period"),
    )


def fraction(text: str) -> Fraction:
    """The exact number in "80%", "66.7%" or "2/3"."""
    return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)


def _rule(data: dict[str, Any]) -> c.Rule:
    if "ratio" in data:
        text = data.get("target", "")
        target = fraction(text) if text else None
        return c.RatioRule(data["ratio"], data.get("operator"), target, text, data.get("when_zero", "no_data"))
    if "flag" in data:
        return c.FlagRule(data["flag"])
    if "count" in data:
        return c.CountRule(data["count"], data.get("operator"), data.get("target"))
    if "all" in data:
        return c.Composed(tuple(map(_rule, data["all"])))
    if "any" in data:
        return c.Composed(tuple(map(_rule, data["any"])), 1)
    return c.Composed(tuple(map(_rule, data["of"])), data["at_least"])


def _criteria_set(data: dict[str, Any]) -> c.CriteriaSet:
    basis = data["legal_basis"]
    items = tuple(
        c.Item(i["code"], _text(i["title"]), _text(i["short"]), _rule(i["rule"]), tuple(i["feeds"]))
        for i in data["items"]
    )
    return c.CriteriaSet(
        code=data["set"],
        title=_text(data["title"]),
        level=data["level"],
        legal_basis=c.LegalBasis(basis["number"], date.fromisoformat(basis["date"]), basis["issuer"], basis["title"]),
        valid_from=date.fromisoformat(data["valid_from"]),
        valid_to=date.fromisoformat(data["valid_to"]) if data.get("valid_to") else None,
        items=items,
    )


def _measure_faults(file: _File, attributes: dict[str, c.Attribute]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, raw in enumerate(file.data["attributes"]):
        if raw["code"] in seen:
            yield file.fault(("attributes", index, "code"), f"two attributes with the code {raw['code']}")
        seen.add(raw["code"])
    for index, raw in enumerate(file.data["measures"]):
        if raw["code"] in seen:
            yield file.fault(("measures", index, "code"), f"the code {raw['code']} is already taken")
        seen.add(raw["code"])
        for key, part in raw.get("counted", {}).items():
            place: Place = ("measures", index, "counted", key)
            named = {"register": [part], "known_by": part}.get(key, [])
            if isinstance(part, dict):
                named = [part["attribute"]]
                known = attributes.get(part["attribute"])
                for state in part["states"]:
                    if known and state not in known.states:
                        allowed = ", ".join(known.states) or "none: it is a count"
                        yield file.fault(place, f"{known.code} has no state {state!r} (allowed: {allowed})")
            for code in named:
                if code not in attributes:
                    yield file.fault(place, f"unknown attribute {code!r} (allowed: {', '.join(sorted(attributes))})")


def _rule_faults(file: _File, rule: dict[str, Any], place: Place, measures: dict[str, c.Measure]) -> Iterator[Fault]:
    for kind in ("ratio", "flag", "count"):
        if kind not in rule:
            continue
        measure = measures.get(rule[kind])
        if measure is None:
            yield file.fault((*place, kind), f"unknown measure {rule[kind]!r} (allowed: {', '.join(sorted(measures))})")
        elif measure.kind != kind:
            yield file.fault((*place, kind), f"{measure.code} is a {measure.kind}, not a {kind}")
        if kind == "ratio" and "target" in rule:
            if rule["target"].endswith("/0"):
                yield file.fault((*place, "target"), "the denominator is zero")
            elif fraction(rule["target"]) > 1:
                yield file.fault((*place, "target"), "a share of the whole cannot be asked to exceed 100%")
    for key in ("all", "any", "of"):
        for index, part in enumerate(rule.get(key, ())):
            yield from _rule_faults(file, part, (*place, key, index), measures)
    if rule.get("at_least", 0) > len(rule.get("of", ())):
        yield file.fault((*place, "at_least"), "asks for more conditions than are listed")


def _set_faults(file: _File, measures: dict[str, c.Measure]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, item in enumerate(file.data["items"]):
        if item["code"] in seen:
            yield file.fault(("items", index, "code"), f"two rows with the code {item['code']}")
        seen.add(item["code"])
        yield from _rule_faults(file, item["rule"], ("items", index, "rule"), measures)


def read(folder: Path = DATA) -> c.Catalogue:
    """The catalogue in `folder` (measures.yaml and sets/*.yaml); raises BadDefinition with every fault found."""
    file = _File(folder / "measures.yaml", "measures.schema.json")
    attributes = {a.code: a for a in map(_attribute, file.data["attributes"])}
    faults = list(_measure_faults(file, attributes))
    measures = {m.code: m for m in map(_measure, file.data["measures"])}
    sets: dict[str, c.CriteriaSet] = {}
    for path in sorted((folder / "sets").glob("*.yaml")):
        try:
            one = _File(path, "set.schema.json")
        except BadDefinition as error:
            faults += error.faults
            continue
        found = list(_set_faults(one, measures))
        if one.data["set"] in sets:
            found.append(one.fault(("set",), f"another file defines the set {one.data['set']!r}"))
        faults += found
        if not found:
            criteria = _criteria_set(one.data)
            sets[criteria.code] = criteria
    if faults:
        raise BadDefinition(faults)
    return c.catalogue(attributes, measures, sets)


@functools.cache
def catalogue() -> c.Catalogue:
    """The catalogue the service ships, read once."""
    return read()
