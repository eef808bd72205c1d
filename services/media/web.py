"""Pages of the media service, put together; each subject has its own."""

from __future__ import annotations

from chassis.web import PageRouter
from services.media import overview
from services.media.bulletins import web as bulletins
from services.media.cameras import web as cameras
from services.media.speakers import web as speakers


def pages() -> list[PageRouter]:
    """The routers of all pages."""
    return [overview.pages, speakers.pages, bulletins.pages, cameras.pages]
