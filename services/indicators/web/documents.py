"""Owns how documents behind figures are given out: to those who may see explanations of the unit, as downloads only."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from chassis.web import Me, PageRouter, Tx
from services.indicators.sources import evidence
from services.indicators.web.downloads import download
from services.indicators.web.shell import TEMPLATES

pages = PageRouter(templates=TEMPLATES)


@pages.get("/documents/{document_id}")
async def get_document(tx: Tx, me: Me, document_id: uuid.UUID) -> Response:
    """A document kept with an entry, or the file of an import."""
    found = await evidence.get(tx, me, document_id)
    return download(await evidence.content(tx, found.id), found.name, found.media_type)
