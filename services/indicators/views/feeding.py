"""Owns who is named as the sender of a row's figures: only those who can send them."""

from __future__ import annotations

from collections.abc import Iterator

from services.indicators.criteria import catalogue as c
from services.indicators.views.wording import FEED_WORDS, Translate

SERVICES = {
    "petition": "P",
    "loudspeaker": "M",
    "camera": "M",
    "digital_team": "I",
    "staff": "I",
    "skill_class": "I",
    "thread": "P",
    "product": "E",
    "lot": "E",
}
"""The service, as the criteria files name it, that tells of a kind of entity."""
OURS = ("M", "P", "E", "I")
"""Services of the platform: what they know comes by itself, and nobody should wait for what they do not know."""


def feed_words(item: c.Item, catalogue: c.Catalogue, _: Translate) -> tuple[str, ...]:
    """Who sends the figures of a row, in words.

    The document's list names for a row the part of the platform it belongs to. Where that part has no such data, staff
    enter the figure, and that is what is said.
    """
    measures = list(_measures(item, catalogue))
    live = {SERVICES.get(entity) for measure in measures for entity in _entities(measure, catalogue)}
    told = any("event" in measure.prefer for measure in measures)
    named = [feed for feed in item.feeds if feed in FEED_WORDS and (feed not in OURS or told or feed in live)]
    if len(named) < len(item.feeds) and "S" not in named and any("staff" in measure.prefer for measure in measures):
        named.append("S")
    return tuple(_(FEED_WORDS[feed]) for feed in named)


def _entities(measure: c.Measure, catalogue: c.Catalogue) -> Iterator[str]:
    if measure.counted is not None:
        yield from (catalogue.attributes[code].entity for code in measure.counted.attributes)


def _measures(item: c.Item, catalogue: c.Catalogue) -> Iterator[c.Measure]:
    """The measures of a row, and of the rows it looks at."""
    yield from (catalogue.measures[code] for code in item.measures)
    for set_code, code in item.looks_at:
        row = catalogue.row(set_code, code)
        if row is not None:
            yield from _measures(row, catalogue)
