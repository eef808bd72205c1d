"""Owns the notices of a place as an Atom feed (RFC 4287): for whoever reads without pushes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree

from chassis.units import Unit
from services.media.notices.model import Notice

_ATOM = "http://www.w3.org/2005/Atom"


def atom(place: Unit, notices: Sequence[Notice], *, title: str, origin: str, at: datetime) -> bytes:
    """The feed; `origin` is the one browsers see, `at` the time it was asked for."""
    feed = ElementTree.Element("feed", {"xmlns": _ATOM, "xml:lang": "vi"})
    here = f"{origin}/media/notices?unit={place.code}"
    newest = max((n.published_at for n in notices if n.published_at is not None), default=at)
    _add(feed, "title", title)
    _add(feed, "id", here)
    _add(feed, "updated", newest.isoformat())
    ElementTree.SubElement(feed, "link", {"rel": "alternate", "type": "text/html", "href": here})
    own = f"{origin}/media/notices/feed.atom?unit={place.code}"
    ElementTree.SubElement(feed, "link", {"rel": "self", "type": "application/atom+xml", "href": own})
    _add(ElementTree.SubElement(feed, "author"), "name", place.name)
    for notice in notices:
        entry = ElementTree.SubElement(feed, "entry")
        _add(entry, "title", notice.title)
        _add(entry, "id", f"urn:uuid:{notice.id}")
        published = (notice.published_at or at).isoformat()
        _add(entry, "published", published)
        _add(entry, "updated", published)
        ElementTree.SubElement(entry, "category", {"term": notice.topic})
        ElementTree.SubElement(entry, "link", {"rel": "alternate", "href": f"{origin}/media/notices/{notice.id}"})
        _add(entry, "content", notice.text, {"type": "text"})
    text: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return text


def _add(parent: ElementTree.Element, name: str, text: str, attributes: dict[str, str] | None = None) -> None:
    ElementTree.SubElement(parent, name, attributes or {}).text = text
