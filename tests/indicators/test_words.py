"""Every sentence of the service has its English."""

from __future__ import annotations

import re
from pathlib import Path

from chassis.i18n import Translations
from services.indicators import views
from services.indicators.sources import intake
from services.indicators.views import wording

FOLDER = Path(intake.__file__).parents[1]
LITERAL = r'"((?:[^"\\]|\\.)*)"'
CALLS = (
    rf"\b_\(\s*{LITERAL}",
    rf"(?m)^    message(?:: ClassVar\[str\])? = {LITERAL}",
    rf"message_={LITERAL}",
    rf"flash={LITERAL}",
)


def test_every_sentence_has_its_english() -> None:
    known = Translations.load(FOLDER / "locale")
    said = {words for _, words in intake.REASONS.values()}
    for table in (views.STATE_WORDS, views.LEVEL_WORDS, views.STATUS_WORDS, views.SERVICE_WORDS, wording.FEED_WORDS):
        said |= set(table.values())
    for path in (*FOLDER.rglob("*.py"), *(FOLDER / "templates").glob("*.html")):
        text = path.read_text("utf-8")
        said |= {words for call in CALLS for words in re.findall(call, text)}
    assert len(said) > 100
    assert sorted(words for words in said if not known.has(words, "en")) == []


def test_translations_keep_the_places_to_fill_in() -> None:
    known = Translations.load(FOLDER / "locale")
    for path in (FOLDER / "locale" / "en.po",):
        for msgid in re.findall(rf"^msgid {LITERAL}", path.read_text("utf-8"), re.MULTILINE):
            assert set(re.findall(r"{\w+}", msgid)) == set(re.findall(r"{\w+}", known.gettext(msgid, "en"))), msgid
