"""Owns the JSON of refused observations: a partner sees its own, staff those of their province."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from chassis import units
from chassis.auth import STAFF
from chassis.errors import Invalid
from chassis.i18n import translator
from chassis.paging import After, Limit, decode_cursor, encode_cursor
from chassis.web import ApiRouter, Me, Tx
from services.indicators.routes.speaking import Lang, spoken
from services.indicators.sources import intake, rejections
from services.indicators.sources.rejections import DAYS, KEPT_DAYS, Line

refusals = ApiRouter(prefix="/api/v1", tags=["indicators"])


class ExampleOut(BaseModel):
    """One observation as it was sent; nothing of the thing observed is kept."""

    id: str
    unit: str
    measure: str
    at: datetime


class RefusedOut(BaseModel):
    """How often observations of a source were refused for one reason."""

    source: str
    way: Literal["grpc", "stream"]
    reason: str = Field(description="As in the rejections of `ObservationService`.")
    detail: str = Field(description="The reason in words.")
    count: int
    more: bool = Field(description="Whether there are more than `count`.")
    last_at: datetime
    examples: list[ExampleOut] = Field(description="The last ones, newest first.")


class RefusalsOut(BaseModel):
    items: list[RefusedOut]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last.")


class UnitMissing(Invalid):
    code = "unit_missing"
    message = "Cần nêu đơn vị để biết của tỉnh nào."


@refusals.get("/rejections", response_model=RefusalsOut)
async def list_rejections(
    request: Request,
    response: Response,
    tx: Tx,
    me: Me,
    unit: Annotated[str | None, Query(max_length=40, description="Only of its province; staff must name one.")] = None,
    days: Annotated[int, Query(ge=1, le=KEPT_DAYS)] = DAYS,
    limit: Limit = 100,
    after: After = None,
    lang: Lang = None,
) -> RefusalsOut:
    """Observations that were refused in the last days, by source and reason.

    A partner sees what it sent itself; staff what was about units of their province or about none that is known.
    """
    partner = me.kind == "partner"
    if partner:
        me.require_scope("indicators.observations.write")
    elif not unit:
        raise UnitMissing(field="unit")
    province = None
    if unit:
        here = await units.get(tx, unit)
        me.require(("partner",) if partner else STAFF, here.path)
        province = here.path.partition("/")[0]
    source = intake.sender(me).client if partner else None
    found = await rejections.lines(tx, units.today(), days=days, province=province, source=source)
    cursor = decode_cursor(after, 3)
    if cursor:
        found = [line for line in found if line.place > tuple(map(str, cursor))]
    following = encode_cursor(found[limit - 1].place) if len(found) > limit else None
    locale = spoken(request, response, lang)
    return RefusalsOut(items=[_out(line, locale) for line in found[:limit]], next=following)


def _out(line: Line, locale: str) -> RefusedOut:
    return RefusedOut(
        source=line.source,
        way=line.way,
        reason=line.reason,
        detail=translator(locale)(line.words),
        count=line.count,
        more=line.more,
        last_at=line.last_at,
        examples=[ExampleOut(id=one.id, unit=one.unit, measure=one.measure, at=one.at) for one in line.examples],
    )
