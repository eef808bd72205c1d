"""Pages of the media service, put together; each subject has its own."""

from __future__ import annotations

from chassis.web import PageRouter
from services.media import overview
from services.media.bulletins import web as bulletins
from services.media.cameras import web as cameras
from services.media.notices import waste_web
from services.media.notices import web as notices
from services.media.speakers import web as speakers
from services.media.watching import web as watching


def pages() -> list[PageRouter]:
    """The routers of all pages."""
    devices = [overview.pages, speakers.pages, bulletins.pages, cameras.pages, watching.pages]
    return [*devices, notices.pages, waste_web.pages]
