"""Owns the JSON routes of those who maintain sets, measures and overlays: list, read, check, apply, withdraw."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.auth import Principal
from chassis.i18n import translator
from chassis.web import ApiRouter, MaybeMe, Me, MiB, Tx
from services.indicators.calculation import applying
from services.indicators.calculation.applying import Applied, NameDiffers, UnknownDocument
from services.indicators.criteria import editions
from services.indicators.criteria.documents import MAX_CHARS, Document
from services.indicators.routes.speaking import Lang, spoken
from services.indicators.views import changes

maintaining = ApiRouter(prefix="/api/v1", tags=["criteria"])


class DocumentIn(BaseModel):
    """A document of the catalogue as YAML; see `services/indicators/data/README.md` for its keys."""

    model_config = ConfigDict(extra="forbid")
    document: Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]


class EditionOut(BaseModel):
    kind: Literal["set", "overlay", "measures"]
    name: str
    origin: Literal["shipped", "applied"]
    version: int
    digest: str = Field(description="SHA-256 of the text.")
    withdrawn: bool
    applied_by: str = Field(description="Who applied it; empty for those who maintain nothing.")
    applied_at: datetime


class EditionsOut(BaseModel):
    items: list[EditionOut]


class DocumentOut(BaseModel):
    kind: str
    name: str
    document: str = Field(description="The YAML text in force.")
    editions: list[EditionOut] = Field(description="Every edition, oldest first.")


class AppliedOut(BaseModel):
    """What a document changes. `version` 0 where nothing was stored: it was in force already, or only checked."""

    kind: str
    name: str
    version: int
    stored: bool
    changes: list[str] = Field(description="What is other than before, in words.")
    sets: list[str] = Field(description="Sets whose units are judged again.")


def _edition(row: Any, me: Principal | None) -> EditionOut:
    sees = me is not None and ("admin" in me.roles or applying.SCOPE in me.scopes)
    return EditionOut(
        kind=row.kind,
        name=row.code,
        origin=row.origin,
        version=row.version,
        digest=row.digest,
        withdrawn=row.withdrawn,
        applied_by=row.applied_by if sees else "",
        applied_at=row.applied_at,
    )


def _applied(found: Applied, locale: str) -> AppliedOut:
    words = changes.Words(found.catalogue, locale, translator(locale))
    return AppliedOut(
        kind=found.kind,
        name=found.code,
        version=found.version,
        stored=found.version > 0,
        changes=[words.line(difference) for difference in found.differences],
        sets=list(found.sets),
    )


@maintaining.get("/criteria", response_model=EditionsOut)
async def list_documents(tx: Tx, me: MaybeMe) -> EditionsOut:
    """Every document with the edition that stands: who applied it, and when."""
    return EditionsOut(items=[_edition(row, me) for row in await editions.overview(tx)])


@maintaining.get("/criteria/{name}", response_model=DocumentOut)
async def get_document(tx: Tx, me: MaybeMe, name: str) -> DocumentOut:
    """The text of a document in force, and all its editions."""
    document = await _in_force(tx, name)
    history = [_edition(row, me) for row in await editions.history(tx, name)]
    return DocumentOut(kind=document.kind, name=name, document=document.text, editions=history)


async def _in_force(tx: Tx, name: str) -> Document:
    for document in await editions.in_force(tx):
        if document.code == name:
            return document
    raise UnknownDocument(name=name[:60])


@maintaining.put("/criteria/{name}", response_model=AppliedOut, max_body=2 * MiB)
async def put_document(
    request: Request,
    response: Response,
    tx: Tx,
    me: Me,
    name: str,
    body: DocumentIn,
    check: Annotated[bool, Query(description="Only check, and say what would change.")] = False,
    lang: Lang = None,
) -> AppliedOut:
    """Bring a document into force: overlays by administrators of their unit, the rest by an operator's client.

    The whole catalogue is checked with it; every process takes the new one over, and the units are judged again.
    """
    document = applying.read(name[:60], body.document)
    if document.code != name:
        raise NameDiffers(said=document.code, asked=name[:60])
    await applying.may(tx, me, document)
    if check:
        return _applied(await applying.preview(tx, document), spoken(request, response, lang))
    found = await applying.apply(tx, document, me.subject)
    if found.version:
        await applying.audited(tx, me, found, "applied")
    return _applied(found, spoken(request, response, lang))


@maintaining.delete("/criteria/{name}", response_model=AppliedOut)
async def withdraw_document(
    request: Request, response: Response, tx: Tx, me: Me, name: str, lang: Lang = None
) -> AppliedOut:
    """Take an applied document out of force; where one of that name ships, that one counts again."""
    document = await _in_force(tx, name)
    await applying.may(tx, me, document)
    found = await applying.withdraw(tx, document.kind, name, me.subject)
    await applying.audited(tx, me, found, "withdrawn")
    return _applied(found, spoken(request, response, lang))
