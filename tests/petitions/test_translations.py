"""Every sentence of the petitions pages and messages has its English."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from chassis.errors import DomainError
from chassis.i18n import Translations
from services.petitions import model, photos
from services.petitions.web import views

PACKAGE = Path(model.__file__).parent
VIETNAMESE = re.compile(r"[àáạảãâầấậẩẫăằắặẳẵèéẹẻẽêềếệểễìíịỉĩòóọỏõôồốộổỗơờớợởỡùúụủũưừứựửữỳýỵỷỹđ]", re.IGNORECASE)


def templates() -> set[str]:
    found: set[str] = set()
    for path in sorted((PACKAGE / "templates").glob("*.html")):
        found |= set(re.findall(r'_\("((?:[^"\\]|\\.)*)"\)', path.read_text("utf-8")))
    return found


def literals() -> set[str]:
    """Vietnamese sentences in the code: every string constant with a marked letter that is no docstring."""
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in said}
        found |= {text for text in texts if isinstance(text, str) and VIETNAMESE.search(text)}
    return found


def test_every_sentence_has_its_english() -> None:
    shared = PACKAGE.parent.parent / "web" / "locale"
    catalogue = Translations.load(PACKAGE / "locale", shared)
    sentences = templates() | literals() | {word for _, word in views.STATUS_WORDS.values()}
    sentences |= {e.message for e in vars(photos).values() if isinstance(e, type) and issubclass(e, DomainError)}
    assert len(sentences) > 150
    # Titles of the service itself are the shell's.
    missing = {sentence for sentence in sentences if not catalogue.has(sentence, "en")} - {"Phản ánh"}
    assert missing == set()
