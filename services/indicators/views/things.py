"""Owns how single things are named on a page: by their opaque id, linked to the service that tells of them."""

from __future__ import annotations

from urllib.parse import quote

PAGES = {
    ("ecommerce", "product"): "/ecommerce/products/",
    ("ecommerce", "lot"): "/ecommerce/lots/",
    ("ecommerce", "tourism"): "/ecommerce/tourism/points/",
    ("media", "loudspeaker"): "/media/loudspeakers/",
    ("media", "camera"): "/media/cameras/",
    ("media", "notice"): "/media/notices/",
    ("petitions", "petition"): "/petitions/inbox/",
    ("petitions", "poll"): "/petitions/polls/",
    ("petitions", "forum"): "/petitions/forum/threads/",
    ("identity", "team"): "/identity/teams/",
}
"""Which service tells of which kind of thing, and where it shows one. Names stand there, not here."""


def thing_name(entity: str) -> str:
    """The reporter's own id, without the code of the unit that ids of partners are kept behind."""
    return entity.partition("/")[2] or entity


def thing_href(attribute: str, source: str, entity: str) -> str:
    """Where the thing is shown by the service that told of it; empty for what others report."""
    # A thing of another kind than its attribute says which: a survey among ratings of petitions is poll:0b1e.
    kind, _, named = entity.rpartition(":")
    page = PAGES.get((source, kind or attribute.partition(".")[0]))
    if page is None or "/" in entity:
        return ""
    # What a loudspeaker did in a month is told under its id and the month; of a team and its classes likewise.
    return page + quote(named.partition("@")[0], safe="")
