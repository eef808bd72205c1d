"""Every sentence of the service has its English."""

from __future__ import annotations

import re
from pathlib import Path

from chassis.i18n import Translations

HOME = Path(__file__).resolve().parents[2] / "services" / "media"
PATTERNS = (
    r'\b_\(\s*"((?:[^"\\]|\\.)*)"\s*\)',
    r'flash="((?:[^"\\]|\\.)*)"',
    r'else "(Đã (?:[^"\\]|\\.)*)"',
    r'message: ClassVar\[str\] = \(?\s*"((?:[^"\\]|\\.)*)"',
    r'message_="((?:[^"\\]|\\.)*)"',
    r'State\.[A-Z]+: "([^"]*)"',
)


def test_every_sentence_has_its_english() -> None:
    translations = Translations.load(HOME / "locale", HOME.parents[1] / "web" / "locale")
    found = set()
    for file in [*HOME.rglob("*.py"), *HOME.rglob("*.html")]:
        text = re.sub(r'"\s*\n\s*"', "", file.read_text("utf-8"))
        found |= {sentence for pattern in PATTERNS for sentence in re.findall(pattern, text)}
    assert len(found) > 100
    assert sorted(s for s in found if not translations.has(s, "en")) == []
