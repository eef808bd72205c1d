"""Owns the JSON face of community digital teams."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Query
from pydantic import BaseModel, Field

from chassis import units
from chassis.auth import VIEWERS, Principal
from chassis.errors import Malformed
from chassis.paging import After, Limit, decode_cursor, page_of
from chassis.text import Line, Paragraph
from chassis.web import ApiRouter, MaybeMe, Me, Tx
from services.identity.accounts.api import as_uuid
from services.identity.teams import commands, queries
from services.identity.teams.model import Activity, Team

api = ApiRouter(prefix="/api/v1", tags=["teams"], reads="identity.teams.read")

Name: Any = Line(120)
Code: Any = Line(20)
Note: Any = Paragraph(2000)
Content = Literal["public_services", "cashless", "ecommerce", "safety"]
Kind = Literal["class", "support", "other"]
MOST_MEMBERS = 1000
MOST_PARTICIPANTS = 100_000


class TeamOut(BaseModel):
    """A community digital team with the count of its activities per year."""

    id: uuid.UUID
    unit: str
    name: str
    member_count: int
    registered_on: date
    dissolved_on: date | None
    last_activity_on: date | None
    activities_by_year: dict[int, int]
    classes_by_year: dict[int, int]

    @classmethod
    def of(cls, state: queries.TeamState) -> TeamOut:
        return cls(
            id=state.id,
            unit=state.unit,
            name=state.name,
            member_count=state.member_count,
            registered_on=state.registered_on,
            dissolved_on=state.dissolved_on,
            last_activity_on=state.last_activity_on,
            activities_by_year=state.activities_by_year,
            classes_by_year=state.classes_by_year,
        )


class TeamsPage(BaseModel):
    """One page of teams, oldest first."""

    items: list[TeamOut]
    next: str | None


class TeamIn(BaseModel):
    """A team to register in the village `unit`; `registered_on` defaults to today in Việt Nam."""

    unit: Code
    name: Name
    member_count: int = Field(ge=1, le=MOST_MEMBERS)
    registered_on: date | None = None


class ActivityIn(BaseModel):
    """An activity to log; `held_on` defaults to today in Việt Nam, `kind` to guidance, which is no class."""

    held_on: date | None = None
    content: Content
    kind: Kind = "support"
    note: Note = ""
    participants: int = Field(ge=0, le=MOST_PARTICIPANTS)


class ActivityOut(BaseModel):
    """A logged activity; `note` is shown to staff of the unit only."""

    id: uuid.UUID
    held_on: date
    content: Content
    kind: Kind
    participants: int
    note: str | None
    logged_at: datetime

    @classmethod
    def of(cls, activity: Activity, *, with_note: bool) -> ActivityOut:
        return cls(
            id=activity.id,
            held_on=activity.held_on,
            content=cast(Content, activity.content),
            kind=cast(Kind, activity.kind),
            participants=activity.participants,
            note=activity.note if with_note else None,
            logged_at=activity.logged_at,
        )


class ActivitiesPage(BaseModel):
    """One page of a team's log, newest first."""

    items: list[ActivityOut]
    next: str | None


@api.get("/teams", response_model=TeamsPage)
async def list_teams(
    tx: Tx,
    unit: Annotated[str | None, Query(max_length=20)] = None,
    standing: bool = False,
    after: After = None,
    limit: Limit = 50,
) -> TeamsPage:
    """Teams at or below `unit` (default: everywhere); `standing` leaves out dissolved ones."""
    place = await units.get(tx, unit) if unit else None
    cursor = decode_cursor(after, 1)
    start = as_uuid(cursor[0]) if cursor else None
    rows = await queries.teams(tx, within=place.path if place else None, standing=standing, after=start, limit=limit)
    page = page_of(rows, limit, key=lambda t: (str(t.id),))
    return TeamsPage(items=[TeamOut.of(t) for t in page.items], next=page.next)


@api.post("/teams", response_model=TeamOut, status_code=201)
async def register_team(tx: Tx, me: Me, body: TeamIn) -> TeamOut:
    """Register the team of a village; for staff of its commune and the head of the village."""
    on = body.registered_on or units.today()
    new = commands.RegisterTeam(body.unit, body.name, body.member_count, on)
    return TeamOut.of(await queries.state(tx, await commands.register(tx, me, new)))


@api.get("/teams/{team_id}", response_model=TeamOut)
async def get_team(tx: Tx, team_id: uuid.UUID) -> TeamOut:
    """One team."""
    return TeamOut.of(await queries.state(tx, await queries.get(tx, team_id)))


@api.get("/teams/{team_id}/activities", response_model=ActivitiesPage)
async def list_activities(
    tx: Tx, me: MaybeMe, team_id: uuid.UUID, after: After = None, limit: Limit = 50
) -> ActivitiesPage:
    """The log of a team, newest first."""
    team = await queries.get(tx, team_id)
    page = page_of(
        await queries.activities(tx, team_id, after=activity_cursor(after), limit=limit),
        limit,
        key=lambda a: (a.held_on.isoformat(), str(a.id)),
    )
    shown = [ActivityOut.of(a, with_note=sees_notes(me, team)) for a in page.items]
    return ActivitiesPage(items=shown, next=page.next)


@api.post("/teams/{team_id}/activities", response_model=ActivityOut, status_code=201)
async def log_activity(tx: Tx, me: Me, team_id: uuid.UUID, body: ActivityIn) -> ActivityOut:
    """Log an activity of a team."""
    on = body.held_on or units.today()
    new = commands.LogActivity(on, body.content, body.note, body.participants, body.kind)
    return ActivityOut.of(await commands.log_activity(tx, me, team_id, new), with_note=True)


@api.post("/teams/{team_id}/dissolve", response_model=TeamOut)
async def dissolve_team(tx: Tx, me: Me, team_id: uuid.UUID) -> TeamOut:
    """Dissolve a team as of today."""
    return TeamOut.of(await queries.state(tx, await commands.dissolve(tx, me, team_id)))


def sees_notes(me: Principal | None, team: Team) -> bool:
    """Whether `me` may read the notes of a team's log, which may name people."""
    return me is not None and me.may(VIEWERS, team.path)


def activity_cursor(after: str | None) -> tuple[date, uuid.UUID] | None:
    """Where a page of a log starts; raises Malformed."""
    cursor = decode_cursor(after, 2)
    if cursor is None:
        return None
    try:
        return date.fromisoformat(str(cursor[0])), as_uuid(cursor[1])
    except ValueError as error:
        raise Malformed(field="after", message_="Vị trí trang không đọc được.") from error
