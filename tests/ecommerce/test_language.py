"""Every Vietnamese sentence of the service has its English twin, with the same parameters."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.i18n import Translations
from services import ecommerce

FOLDER = Path(str(ecommerce.__file__)).parent
WEB = FOLDER.parent.parent / "web" / "locale"
NOT_SHOWN = {"đ", "₫"}


def _marked(text: str) -> bool:
    return any(ord(letter) > 0x7F and letter.isalpha() for letter in text) and text not in NOT_SHOWN


def _of_python(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    described = {
        id(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in ("description", "title") and isinstance(keyword.value, ast.Constant)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in documentation | described | parts or not _marked(node.value):
                continue
            yield node.value


def _of_template(path: Path) -> Iterator[str]:
    yield from re.findall(r'_\("((?:[^"\\]|\\.)*)"\)', path.read_text("utf-8"))


def sentences() -> list[str]:
    found: dict[str, None] = {}
    for path in sorted(FOLDER.rglob("*.py")):
        found.update(dict.fromkeys(_of_python(path)))
    for path in sorted(FOLDER.rglob("*.html")):
        found.update(dict.fromkeys(_of_template(path)))
    return list(found)


@pytest.fixture(scope="module")
def translations() -> Translations:
    return Translations.load(FOLDER / "locale", WEB)


def test_every_sentence_has_its_english(translations: Translations) -> None:
    known = sentences()
    assert len(known) > 100
    assert [text for text in known if not translations.has(text, "en")] == []


def test_translations_keep_the_parameters(translations: Translations) -> None:
    def parameters(text: str) -> set[str]:
        named = set(re.findall(r"%\((\w+)\)s", text))
        return named | {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for text in sentences():
        assert parameters(translations.gettext(text, "en")) == parameters(text), text


def test_templates_hold_no_sentence_outside_of_the_catalogue() -> None:
    for path in sorted(FOLDER.rglob("*.html")):
        text = re.sub(r'_\("(?:[^"\\]|\\.)*"\)', "", path.read_text("utf-8"))
        text = re.sub(r"\{#.*?#\}", "", text, flags=re.S)
        assert not [word for word in re.findall(r"\w+", text) if _marked(word)], path.name
