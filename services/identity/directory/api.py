"""Owns the JSON face of the public staff directory."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from chassis import units
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.web import ApiRouter, Tx
from services.identity.accounts.api import as_uuid
from services.identity.directory import queries

api = ApiRouter(prefix="/api/v1", tags=["directory"])


class EntryOut(BaseModel):
    """A member of staff who agreed to be listed, with their office's contact."""

    unit: str
    name: str
    position: str
    phone: str
    email: str


class DirectoryPage(BaseModel):
    """One page of the directory, by unit."""

    items: list[EntryOut]
    next: str | None


@api.get("/directory", response_model=DirectoryPage)
async def directory(
    tx: Tx,
    unit: Annotated[str | None, Query(max_length=20)] = None,
    q: Annotated[str | None, Query(max_length=80)] = None,
    after: After = None,
    limit: Limit = 50,
) -> DirectoryPage:
    """Listed staff at or below `unit` (default: everywhere)."""
    place = await units.get(tx, unit) if unit else None
    cursor = decode_cursor(after, 2)
    start = (str(cursor[0]), as_uuid(cursor[1])) if cursor else None
    rows = await queries.entries(tx, within=place.path if place else None, q=q, after=start, limit=limit)
    page = page_of(rows, limit, key=lambda e: (e.path, str(e.account_id)))
    items = [EntryOut(unit=e.unit, name=e.name, position=e.position, phone=e.phone, email=e.email) for e in page.items]
    return DirectoryPage(items=items, next=page.next)
