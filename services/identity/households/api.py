"""Owns the JSON face of the register of households, and what may be written into it.

Answers to writes hold nothing of where a household lives: they are kept for replays, and that rests sealed.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Self, cast

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis import units
from chassis.auth import VIEWERS
from chassis.i18n import LANGUAGE_VARIES
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.text import Paragraph
from chassis.web import ApiRouter, Me, MiB, Tx
from services.identity.households import commands, importing, queries
from services.identity.households.importing import MOST_BYTES, Mode
from services.identity.households.model import Household, NotAVillage, Place
from services.identity.households.shapes import Code, HouseholdIn, Livelihood, Poverty, Totals, Why
from services.identity.web import AtDesk

api = ApiRouter(prefix="/api/v1", tags=["households"])

Text: Any = Paragraph(MOST_BYTES, 1)


class HouseholdOut(BaseModel):
    """A household without where it lives."""

    id: uuid.UUID
    unit: str
    number: str
    people: int
    digital_address: bool
    livelihood: Livelihood | None
    poverty: Poverty | None
    reviewed_year: int | None
    changed_at: datetime
    ended: Why | None

    @classmethod
    def of(cls, one: Household, **more: Any) -> Self:
        return cls(
            id=one.id,
            unit=one.unit,
            number=one.number,
            people=one.people,
            digital_address=one.digital_address,
            livelihood=cast(Livelihood | None, one.livelihood),
            poverty=cast(Poverty | None, one.poverty),
            reviewed_year=one.reviewed_year,
            changed_at=one.changed_at,
            ended=cast(Why | None, one.ended_why),
            **more,
        )


class HouseholdSeen(HouseholdOut):
    """A household as its staff see it; the point is in degrees."""

    address: str
    digital_code: str
    lat: float | None
    lon: float | None

    @classmethod
    def seen(cls, one: Household, place: Place) -> Self:
        return cls.of(one, address=place.address, digital_code=place.code, lat=place.lat, lon=place.lon)


class HouseholdsPage(BaseModel):
    """One page of households, by village and number."""

    items: list[HouseholdSeen]
    next: str | None


class CountsOut(BaseModel):
    """How far the register is kept, in public; `reviewed` counts households, for a district or province villages."""

    unit: str
    name: str
    villages: int
    recorded: int = Field(description="Villages with at least one household recorded.")
    households: int
    people: int
    located: int = Field(description="Households with a digital address.")
    reviewed: int = Field(description="With livelihood and poverty status of this year's review.")


class SummaryOut(CountsOut):
    """A unit and what lies directly below it."""

    below: list[CountsOut]


class EndIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    why: Why


class ImportIn(BaseModel):
    """A file of households of `unit` as text: CSV by the template of the pages."""

    model_config = ConfigDict(extra="forbid")
    unit: Code
    csv: Text
    mode: Mode = Field(
        default="preview",
        description="preview: nothing is written; all: every row or none; valid: the rows that are right.",
    )


class FaultOut(BaseModel):
    line: int
    column: str
    message: str


class ImportOut(BaseModel):
    """What a file does or has done, in households, and what is wrong with it."""

    new: int
    changed: int
    same: int
    faults: list[FaultOut]
    done: bool


@api.get("/households", response_model=HouseholdsPage)
async def list_households(
    tx: Tx,
    me: Me,
    desk: AtDesk,
    unit: Annotated[str, Query(max_length=20)],
    q: Annotated[str, Query(max_length=80)] = "",
    after: After = None,
    limit: Limit = 50,
) -> HouseholdsPage:
    """Households of a village or commune, for its staff; `q` finds parts of number, address and code."""
    place = await units.get(tx, unit)
    me.require(VIEWERS, place.path)
    if place.level not in ("village", "commune"):
        raise NotAVillage(field="unit")
    cursor = household_cursor(after)
    page = page_of(
        await queries.listed(tx, desk.tools.sealer, place, q=q.strip(), after=cursor, limit=limit),
        limit,
        key=household_key,
    )
    return HouseholdsPage(items=[HouseholdSeen.seen(o.household, o.place) for o in page.items], next=page.next)


@api.get("/households/summary", response_model=SummaryOut)
async def summary(tx: Tx, unit: Annotated[str, Query(max_length=20)]) -> SummaryOut:
    """How far the register of a unit is kept, and of what lies below it; public."""
    place = await units.get(tx, unit)
    total, below = await queries.overview(tx, place)
    return SummaryOut(**vars(total), below=[CountsOut(**vars(one)) for one in below])


@api.put("/households/totals", response_model=Totals)
async def state_totals(tx: Tx, me: Me, body: Totals) -> Totals:
    """State how many households and offices a commune has, and how many offices have a digital address."""
    await commands.state(tx, me, body.unit, body.households_in_all, body.offices, body.offices_located)
    return body


@api.post("/households/imports", response_model=ImportOut, max_body=2 * MiB)
async def import_households(
    request: Request, response: Response, tx: Tx, me: Me, desk: AtDesk, body: ImportIn
) -> ImportOut:
    """Enter and change households by a file; with faults and mode `all` nothing is written and `done` is false."""
    locale = request.app.state.renderer.json_locale(request)
    response.headers["vary"] = LANGUAGE_VARIES
    sent = importing.Sent(body.unit, body.csv, locale)
    found = await importing.run(tx, desk.tools.sealer, me, sent, body.mode)
    faults = [FaultOut(line=f.line, column=f.column, message=f.text) for f in found.faults]
    return ImportOut(new=found.new, changed=found.changed, same=found.same, faults=faults, done=found.done)


@api.post("/households", response_model=HouseholdOut, status_code=201)
async def enter_household(tx: Tx, me: Me, desk: AtDesk, body: HouseholdIn) -> HouseholdOut:
    """Enter a household of a village."""
    return HouseholdOut.of(await commands.enter(tx, desk.tools.sealer, me, body.details()))


@api.get("/households/{household_id}", response_model=HouseholdSeen)
async def get_household(tx: Tx, me: Me, desk: AtDesk, household_id: uuid.UUID) -> HouseholdOut:
    """One household, for its staff; also one that has ended."""
    one = await queries.get(tx, me, household_id)
    return HouseholdSeen.seen(one, Place.opened(desk.tools.sealer, one.place_sealed))


@api.put("/households/{household_id}", response_model=HouseholdOut)
async def change_household(tx: Tx, me: Me, desk: AtDesk, household_id: uuid.UUID, body: HouseholdIn) -> HouseholdOut:
    """Record what a household is now."""
    return HouseholdOut.of(await commands.change(tx, desk.tools.sealer, me, household_id, body.details()))


@api.post("/households/{household_id}/end", response_model=HouseholdOut)
async def end_household(tx: Tx, me: Me, household_id: uuid.UUID, body: EndIn) -> HouseholdOut:
    """Take a household off the register."""
    return HouseholdOut.of(await commands.end(tx, me, household_id, body.why))


@api.post("/households/{household_id}/return", response_model=HouseholdOut)
async def put_back_household(tx: Tx, me: Me, household_id: uuid.UUID) -> HouseholdOut:
    """Take a household that was ended into the register again; its number must still be free."""
    return HouseholdOut.of(await commands.put_back(tx, me, household_id))


def household_cursor(after: str | None) -> tuple[str, str] | None:
    """Where a page of households starts; raises Malformed."""
    cursor = decode_cursor(after, 2)
    return (str(cursor[0]), str(cursor[1])) if cursor else None


def household_key(one: queries.Listed) -> tuple[str, str]:
    """The place of a household in its list."""
    return one.household.path, one.household.number.zfill(4)
