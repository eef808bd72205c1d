"""Every sentence of the service has its English."""

from __future__ import annotations

import re
from pathlib import Path

from chassis.i18n import Translations
from services.indicators import views
from services.indicators.shapes import words
from services.indicators.sources import intake
from services.indicators.stream.consumers import on
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
    said = {one for _, one in intake.REASONS.values()}
    for table in (views.STATE_WORDS, views.LEVEL_WORDS, views.STATUS_WORDS, views.SERVICE_WORDS, wording.FEED_WORDS):
        said |= set(table.values())
    for path in (*FOLDER.rglob("*.py"), *(FOLDER / "templates").glob("*.html")):
        text = path.read_text("utf-8")
        said |= {one for call in CALLS for one in re.findall(call, text)}
    assert len(said) > 100
    assert sorted(one for one in said if not known.has(one, "en")) == []


def test_every_cause_of_a_change_has_words() -> None:
    """What the events are, and what the service itself writes as a cause; no page shows the id of an event."""
    events = [feed.name for feed in on.kinds.values() if feed.mapping is not None]
    own = ("observation", "document", "undo", "succession", "settlement", "units")
    own += ("suspension", "calendar", "criteria", "rebuild", "reading")
    assert len(events) > 15
    for kind in (*events, *own):
        for locale, other in zip(("vi", "en"), words.OTHER, strict=True):
            said = words.cause_words(f"{kind}:0199-id", locale)
            assert said != other, kind
            assert "0199" not in said
    assert words.cause_words("xaso.later.v1.Gone:0199-id", "vi") == words.OTHER[0]


def test_translations_keep_the_places_to_fill_in() -> None:
    known = Translations.load(FOLDER / "locale")
    for path in (FOLDER / "locale" / "en.po",):
        for msgid in re.findall(rf"^msgid {LITERAL}", path.read_text("utf-8"), re.MULTILINE):
            assert set(re.findall(r"{\w+}", msgid)) == set(re.findall(r"{\w+}", known.gettext(msgid, "en"))), msgid
