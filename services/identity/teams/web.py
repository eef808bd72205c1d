"""Owns the pages of community digital teams: the list, registering one, its log, dissolving it."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from starlette.responses import Response

from chassis import units
from chassis.auth import Principal
from chassis.errors import DomainError, Forbidden
from chassis.paging import After, decode_cursor, page_of
from chassis.units import Unit
from chassis.web import MaybeMe, Me, Page, PageRouter, Tx
from services.identity.accounts.api import as_uuid
from services.identity.teams import commands, queries
from services.identity.teams.api import (
    MOST_MEMBERS,
    MOST_PARTICIPANTS,
    Code,
    Content,
    Kind,
    Name,
    Note,
    activity_cursor,
    sees_notes,
)
from services.identity.teams.commands import KEEPERS
from services.identity.teams.model import CONTENTS, KINDS
from services.identity.units import queries as unit_queries
from services.identity.web import TEMPLATES, crumbs, rail

pages = PageRouter(templates=TEMPLATES)

PAGE = 50
MOST_VILLAGES = 200


class TeamForm(BaseModel):
    """A team to register."""

    unit: Code
    name: Name
    member_count: int = Field(ge=1, le=MOST_MEMBERS)
    registered_on: date


class ActivityForm(BaseModel):
    """An activity to log."""

    held_on: date
    content: Content
    kind: Kind
    note: Note = ""
    participants: int = Field(ge=0, le=MOST_PARTICIPANTS)


@pages.get("/teams")
async def teams_page(page: Page, tx: Tx, me: MaybeMe, unit: str = "", after: After = None) -> Response:
    code = unit or (me.home.unit if me and me.home else "")
    place = await units.get(tx, code) if code else None
    cursor = decode_cursor(after, 1)
    start = as_uuid(cursor[0]) if cursor else None
    rows = await queries.teams(tx, within=place.path if place else None, after=start, limit=PAGE)
    shown = page_of(rows, PAGE, key=lambda t: (str(t.id),))
    more = f"/identity/teams?{urlencode({'unit': code, 'after': shown.next})}" if shown.next else None
    return page.render(
        "teams.html",
        place=place,
        rows=shown.items,
        this_year=units.today().year,
        more=more,
        first=f"/identity/teams?{urlencode({'unit': code})}" if after else None,
        names=await unit_queries.names(tx, {t.unit for t in shown.items}),
        may_register=me is not None and bool(me.roles & set(KEEPERS)),
        unit_path=await crumbs(tx, place),
        staff_nav=rail(page, "teams"),
    )


@pages.get("/teams/new")
async def new_team_page(page: Page, tx: Tx, me: Me, unit: str = "") -> Response:
    return await _new(page, tx, me, unit, typed={"registered_on": units.today().isoformat(), "unit": unit})


@pages.post("/teams/new")
async def new_team(page: Page, tx: Tx, me: Me) -> Response:
    form = await page.form(TeamForm)
    if form.value is None:
        return await _new(page, tx, me, str(form.typed.get("unit", "")), errors=form.errors, typed=form.typed)
    try:
        team = await commands.register(tx, me, commands.RegisterTeam(**form.value.model_dump()))
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _new(page, tx, me, form.value.unit, errors=errors, status=status, typed=form.typed)
    return page.redirect(f"/identity/teams/{team.id}", flash="Đã đăng ký tổ công nghệ số cộng đồng.")


@pages.get("/teams/{team_id}")
async def team_page(page: Page, tx: Tx, me: MaybeMe, team_id: uuid.UUID, after: After = None) -> Response:
    return await _show(page, tx, me, team_id, after)


@pages.post("/teams/{team_id}/activities")
async def log_activity(page: Page, tx: Tx, me: Me, team_id: uuid.UUID) -> Response:
    form = await page.form(ActivityForm)
    me.require(KEEPERS, (await queries.get(tx, team_id)).path)
    if form.value is None:
        return await _show(page, tx, me, team_id, errors=form.errors, typed=form.typed)
    try:
        await commands.log_activity(tx, me, team_id, commands.LogActivity(**form.value.model_dump()))
    except DomainError as error:
        errors, status = page.errors_of(error), page.status_of(error)
        return await _show(page, tx, me, team_id, errors=errors, status=status, typed=form.typed)
    return page.redirect(f"/identity/teams/{team_id}", flash="Đã ghi hoạt động.")


@pages.get("/teams/{team_id}/dissolve")
async def dissolve_page(page: Page, tx: Tx, me: Me, team_id: uuid.UUID) -> Response:
    team = await queries.get(tx, team_id)
    me.require(KEEPERS, team.path)
    team.require_standing()
    return page.render("team_dissolve.html", team=team, unit_path=await crumbs(tx, await units.get(tx, team.unit)))


@pages.post("/teams/{team_id}/dissolve")
async def dissolve(page: Page, tx: Tx, me: Me, team_id: uuid.UUID) -> Response:
    await commands.dissolve(tx, me, team_id)
    return page.redirect(f"/identity/teams/{team_id}", flash="Tổ đã giải thể.")


async def _new(page: Page, tx: Tx, me: Principal, code: str, *, status: int = 200, **shown: Any) -> Response:
    villages = await _villages(tx, me, code)
    options = [(u.code, u.name) for u in villages]
    return page.render("team_new.html", status=status, villages=options, staff_nav=rail(page, "teams"), **shown)


async def _villages(tx: Tx, me: Principal, code: str) -> list[Unit]:
    """The villages a team may be registered in: those of the unit asked for, else of the keeper's own units."""
    own = [g.path for g in me.grants if g.role in KEEPERS]
    if not own:
        raise Forbidden()
    asked = await units.find(tx, code) if code else None
    paths = [asked.path] if asked is not None and me.may(KEEPERS, asked.path) else own
    found: dict[str, Unit] = {}
    for path in paths:
        for unit in await units.search(tx, level="village", within=path, limit=MOST_VILLAGES):
            found[unit.code] = unit
    return list(found.values())


async def _show(
    page: Page,
    tx: Tx,
    me: Principal | None,
    team_id: uuid.UUID,
    after: str | None = None,
    *,
    status: int = 200,
    **shown: Any,
) -> Response:
    team = await queries.get(tx, team_id)
    log = page_of(
        await queries.activities(tx, team_id, after=activity_cursor(after), limit=PAGE),
        PAGE,
        key=lambda a: (a.held_on.isoformat(), str(a.id)),
    )
    unit = await units.get(tx, team.unit)
    shown.setdefault("typed", {"held_on": units.today().isoformat()})
    return page.render(
        "team.html",
        status=status,
        team=await queries.state(tx, team),
        unit=unit,
        log=log.items,
        contents={k: page._(v) for k, v in CONTENTS.items()},
        kinds={k: page._(v) for k, v in KINDS.items()},
        this_year=units.today().year,
        sees_notes=sees_notes(me, team),
        may_log=team.dissolved_on is None and me is not None and me.may(KEEPERS, team.path),
        more=f"/identity/teams/{team_id}?{urlencode({'after': log.next})}" if log.next else None,
        first=f"/identity/teams/{team_id}" if after else None,
        unit_path=await crumbs(tx, unit),
        staff_nav=rail(page, "teams"),
        **shown,
    )
