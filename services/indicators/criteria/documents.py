"""Owns reading one document of the catalogue: YAML with line numbers, checked by the JSON Schema of its kind.

A wrong document is refused as a whole with every fault in it: file, line, place, what is wrong and what is allowed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import jsonschema
import yaml

from chassis.errors import Said
from chassis.i18n import DEFAULT_LOCALE, tell
from chassis.text import has_control
from services.indicators.criteria.schema_words import schema_words, unknown_keys

DATA = Path(__file__).parents[1] / "data"
MAX_CHARS = 500_000
"""Longest text of a document: the largest that ships has a tenth of it."""

Kind = Literal["set", "overlay", "measures"]
Place = tuple[str | int, ...]

KIND_OF: dict[str, Kind] = {"set": "set", "overlay": "overlay", "theme": "measures"}
"""The key at the top of a document that names it, and what the document then defines."""


WHOLE = Said("(cả tệp)")


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a document. `place` is empty where it is the whole of it."""

    file: str
    line: int
    place: str
    said: Said

    @property
    def message(self) -> str:
        """What is wrong, in Vietnamese."""
        return tell(self.said, DEFAULT_LOCALE)

    def told(self, locale: str) -> str:
        """File, line, place and what is wrong, in one line."""
        return f"{self.file}:{self.line}: {self.place or tell(WHOLE, locale)}: {tell(self.said, locale)}"

    def __str__(self) -> str:
        return self.told(DEFAULT_LOCALE)


class BadDefinition(ValueError):
    """Documents that cannot be used; `faults` says where and why."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class _Loader(yaml.CSafeLoader):
    """SafeLoader on libyaml; dates stay text (the schema judges them), and only true and false are flags."""


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (f"{_TAG}timestamp", f"{_TAG}bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(true|false)$"), list("tf"))


@cache
def _validator(kind: Kind) -> jsonschema.Draft202012Validator:
    schema = json.loads((DATA / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


class Document:
    """One parsed document, and the way from a place in it to a line.

    `kind` and `code` name it: the set or overlay it defines, or the theme of its measures. Raises BadDefinition.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text = unicodedata.normalize("NFC", text)
        self.data: Any = {}
        self._at: dict[Place, int] = {}
        if len(text) > MAX_CHARS:
            raise BadDefinition([self.fault((), Said("dài hơn {most} ký tự", most=MAX_CHARS))])
        faults = self._parse()
        top = self.data if isinstance(self.data, dict) else {}
        kinds = [kind for kind in ("set", "overlay", "theme") if kind in top]
        if len(kinds) != 1:
            one = Said("đầu tài liệu phải có đúng một trong các khóa set, overlay, theme để biết tài liệu quy định gì")
            raise BadDefinition([*faults, self.fault((), one)])
        self.kind: Kind = KIND_OF[kinds[0]]
        faults += [self.fault(place, Said("không được có ký tự điều khiển")) for place in _unprintable(self.data)]
        found = sorted(_validator(self.kind).iter_errors(self.data), key=lambda e: [str(part) for part in e.path])
        faults += [self._schema_fault(error) for error in found]
        if faults:
            raise BadDefinition(faults)
        self.code: str = self.data[kinds[0]]

    def _parse(self) -> list[Fault]:
        try:
            # A few lines of aliases of aliases unfold into more than any machine holds.
            for event in yaml.parse(self.text, Loader=_Loader) if "*" in self.text else ():
                if isinstance(event, yaml.AliasEvent):
                    line = event.start_mark.line + 1 if event.start_mark else 1
                    raise BadDefinition([Fault(self.name, line, "YAML", Said("không được dùng bí danh (alias)"))])
            loader = _Loader(self.text)
            node = loader.get_single_node()
            self._at = dict(_lines(node)) if node else {}
            for place, line in _unnamed(node) if node else ():
                raise BadDefinition([self.fault(place, Said("khóa phải là chữ"), line)])
            twice = list(_twice(node)) if node else []
            self.data = loader.construct_document(node) if node else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise BadDefinition([Fault(self.name, line, "YAML", _unreadable(error.problem))]) from error
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise BadDefinition([Fault(self.name, 1, "YAML", _unreadable(str(error)[:200]))]) from error
        return [self.fault(place, Said("khóa “{key}” được viết hai lần", key=key), line) for place, line, key in twice]

    def fault(self, place: Place, said: Said, line: int | None = None) -> Fault:
        """A fault at a place of this document; its line is that of the place, or of what holds it."""
        at = place
        while line is None:
            line = self._at.get(at)
            if line is None and not at:
                line = 1
            at = at[:-1]
        return Fault(self.name, line, _written(place), said)

    def _schema_fault(self, error: jsonschema.ValidationError) -> Fault:
        best: Any = error
        while best.validator == "oneOf" and best.context:
            branch = _meant(best)
            if branch is None:
                allowed = ", ".join(names[0] for names in _branches(best))
                said = Said("không nêu loại quy tắc nào được biết (được dùng: {allowed})", allowed=allowed)
                return self.fault(tuple(best.absolute_path), said)
            best = min(branch, key=lambda e: -len(e.absolute_path))
        place: Place = tuple(best.absolute_path)
        line = None
        if best.validator == "additionalProperties":
            line = self._at.get((*place, unknown_keys(best)[0]))
        elif best.validator == "not" and best.validator_value == {}:
            # The key by itself may be right, and the kind beside it wrong: the fault lies with what holds both.
            place = place[:-1]
        return self.fault(place, schema_words(best), line)


def _unprintable(data: Any, place: Place = ()) -> Iterator[Place]:
    """Places of texts with characters that no table and no page can hold."""
    if isinstance(data, str) and has_control(data, allowed="\n\t"):
        yield place
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _unprintable(value, (*place, key))
            if has_control(key):
                yield place
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _unprintable(value, (*place, index))


def _unreadable(problem: str | None) -> Said:
    """What the parser of YAML says, which it does in English."""
    return Said("không đọc được YAML: {problem}", problem=problem) if problem else Said("lồng nhau quá sâu")


def _branches(error: Any) -> list[list[str]]:
    return [branch.get("required", [""]) for branch in error.validator_value]


def _meant(error: Any) -> list[Any] | None:
    """The errors of the branch of a oneOf whose own keyword is there; None where no branch's is."""
    for number, names in enumerate(_branches(error)):
        if isinstance(error.instance, dict) and names[0] in error.instance:
            return [e for e in error.context if e.schema_path[0] == number] or None
    return None


def _lines(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*place, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index))


def _unnamed(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Keys that are no text: numbers, lists."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag != f"{_TAG}str":
                yield place, key.start_mark.line + 1
            yield from _unnamed(value, (*place, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _unnamed(value, (*place, index))


def _twice(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield place, key.start_mark.line + 1, str(key.value)
            seen.add(str(key.value))
            yield from _twice(value, (*place, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _twice(value, (*place, index))


def _written(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".")


@lru_cache(maxsize=512)
def parsed(name: str, text: str) -> Document:
    """A document, parsed and checked once per process; raises BadDefinition."""
    return Document(name, text)


def shipped(folder: Path = DATA) -> list[Document]:
    """The documents of a folder: `measures/`, `sets/` and `overlays/`. Raises BadDefinition with the faults of all."""
    found: list[Document] = []
    faults: list[Fault] = []
    for kind in ("measures", "sets", "overlays"):
        for path in sorted((folder / kind).glob("*.yaml")):
            try:
                found.append(parsed(f"{kind}/{path.name}", path.read_text(encoding="utf-8")))
            except BadDefinition as error:
                faults += error.faults
    if faults:
        raise BadDefinition(faults)
    return found
