"""Owns the JSON face of administrative units."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, cast

from fastapi import Path, Query
from pydantic import BaseModel

from chassis import units
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.text import Line
from chassis.units import Unit
from chassis.web import ApiRouter, Me, Tx
from services.identity.units import commands, queries
from services.identity.units.queries import Related

api = ApiRouter(prefix="/api/v1", tags=["units"], reads="identity.units.read")

Name: Any = Line(80)
Code: Any = Line(20)
Search: Any = Line(80, 0)
Level = Literal["province", "district", "commune", "village"]
CodeInPath = Annotated[str, Path(min_length=1, max_length=20, description="Code of a unit.")]


class UnitOut(BaseModel):
    """An administrative unit; `valid_to` is the first day it no longer exists."""

    code: str
    name: str
    level: Level
    kind: str
    parent: str | None
    path: str
    valid_from: date
    valid_to: date | None

    @classmethod
    def of(cls, unit: Unit) -> UnitOut:
        return cls(
            code=unit.code,
            name=unit.name,
            level=cast(Level, unit.level),
            kind=unit.kind,
            parent=unit.parent or None,
            path=unit.path,
            valid_from=unit.valid_from,
            valid_to=unit.valid_to,
        )


class UnitsPage(BaseModel):
    """One page of units, by code."""

    items: list[UnitOut]
    next: str | None


class RelatedOut(BaseModel):
    """A unit that came before or after; `share` is the part that went over ("1", "3/5"), null where nobody said."""

    unit: UnitOut
    share: str | None
    document: str
    change_set: str
    note: str

    @classmethod
    def of(cls, related: Related) -> RelatedOut:
        share = None if related.share is None else str(related.share)
        return cls(
            unit=UnitOut.of(related.unit),
            share=share,
            document=related.document,
            change_set=related.change_set,
            note=related.note,
        )


class GenerationOut(BaseModel):
    """One stretch of validity of a code, with what it came from and what it became."""

    unit: UnitOut
    predecessors: list[RelatedOut]
    successors: list[RelatedOut]


class HistoryOut(BaseModel):
    """Every unit that a code has named, the oldest first."""

    generations: list[GenerationOut]


class VillageIn(BaseModel):
    """A village to enter under the commune `parent`."""

    parent: Code
    name: Name
    kind: Literal["thon", "khu"] = "thon"


class RenameIn(BaseModel):
    """Another name of a village."""

    name: Name


class EndIn(BaseModel):
    """The first day without the village."""

    on: date


@api.get("/units", response_model=UnitsPage)
async def list_units(
    tx: Tx,
    level: Level | None = None,
    parent: Annotated[str | None, Query(max_length=20)] = None,
    q: Annotated[str | None, Query(max_length=80)] = None,
    as_of: date | None = None,
    after: After = None,
    limit: Limit = 50,
) -> UnitsPage:
    """Units valid on `as_of` (default today), by code; `q` finds names with or without marks."""
    cursor = decode_cursor(after, 1)
    found = await units.search(
        tx, level=level, parent=parent, q=q, as_of=as_of, limit=limit, after=str(cursor[0]) if cursor else None
    )
    page = page_of(found, limit, key=lambda u: (u.code,))
    return UnitsPage(items=[UnitOut.of(u) for u in page.items], next=page.next)


@api.get("/units/{code}", response_model=UnitOut)
async def get_unit(tx: Tx, code: CodeInPath, as_of: date | None = None) -> UnitOut:
    """The unit that `code` names on `as_of` (default today)."""
    return UnitOut.of(await units.get(tx, code, as_of))


@api.get("/units/{code}/history", response_model=HistoryOut)
async def unit_history(tx: Tx, code: CodeInPath) -> HistoryOut:
    """Every unit that `code` has named, with what it came from and what it became, and by which document."""
    return HistoryOut(
        generations=[
            GenerationOut(
                unit=UnitOut.of(one.unit),
                predecessors=[RelatedOut.of(r) for r in one.predecessors],
                successors=[RelatedOut.of(r) for r in one.successors],
            )
            for one in await queries.history(tx, code)
        ]
    )


@api.post("/units", response_model=UnitOut, status_code=201)
async def enter_village(tx: Tx, me: Me, body: VillageIn) -> UnitOut:
    """Enter a village; its code is the commune's code and the next number."""
    return UnitOut.of(await commands.enter_village(tx, me, commands.EnterVillage(body.parent, body.name, body.kind)))


@api.post("/units/{code}/rename", response_model=UnitOut)
async def rename_village(tx: Tx, me: Me, code: CodeInPath, body: RenameIn) -> UnitOut:
    """Give a village another name."""
    return UnitOut.of(await commands.rename_village(tx, me, code, body.name))


@api.post("/units/{code}/end", response_model=UnitOut)
async def end_village(tx: Tx, me: Me, code: CodeInPath, body: EndIn) -> UnitOut:
    """Let a village end; its code is not given out again."""
    return UnitOut.of(await commands.end_village(tx, me, code, body.on))
