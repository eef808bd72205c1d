"""Owns what is read about community digital teams: their state with activity counts, lists, and logs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from services.identity.teams.model import Activity, NoSuchTeam, Team


@dataclass(frozen=True)
class TeamState:
    """The whole public state of a team."""

    id: uuid.UUID
    unit: str
    path: str
    name: str
    member_count: int
    registered_on: date
    dissolved_on: date | None
    last_activity_on: date | None
    activities_by_year: dict[int, int]
    classes_by_year: dict[int, int]


def message_of(state: TeamState) -> events.DigitalTeam:
    """The state as events and gRPC carry it."""
    return events.DigitalTeam(
        id=str(state.id),
        unit=state.unit,
        name=state.name,
        member_count=state.member_count,
        registered_on=state.registered_on.isoformat(),
        last_activity_on=state.last_activity_on.isoformat() if state.last_activity_on else "",
        activities_by_year=state.activities_by_year,
        classes_by_year=state.classes_by_year,
        dissolved_on=state.dissolved_on.isoformat() if state.dissolved_on else "",
    )


async def get(tx: AsyncSession, team_id: uuid.UUID) -> Team:
    """The team; raises NoSuchTeam."""
    team = await tx.get(Team, team_id)
    if team is None:
        raise NoSuchTeam()
    return team


async def state(tx: AsyncSession, team: Team) -> TeamState:
    """One team with its counts."""
    return (await _states(tx, [team]))[0]


async def teams(
    tx: AsyncSession,
    *,
    within: str | None = None,
    standing: bool = False,
    after: uuid.UUID | None = None,
    limit: int = 50,
) -> list[TeamState]:
    """Teams at or below the unit path `within`, oldest first, up to `limit` + 1; two statements in all."""
    query = sa.select(Team)
    if within:
        query = query.where(sa.or_(Team.path == within, Team.path.startswith(f"{within}/", autoescape=True)))
    if standing:
        query = query.where(Team.dissolved_on.is_(None))
    if after:
        query = query.where(Team.id > after)
    found = list((await tx.scalars(query.order_by(Team.id).limit(limit + 1))).all())
    return await _states(tx, found)


async def standing_below(tx: AsyncSession, path: str) -> int:
    """How many standing teams there are at or below the unit path `path`."""
    below = sa.or_(Team.path == path, Team.path.startswith(f"{path}/", autoescape=True))
    count = await tx.scalar(sa.select(sa.func.count()).select_from(Team).where(below, Team.dissolved_on.is_(None)))
    return int(count or 0)


async def activities(
    tx: AsyncSession, team_id: uuid.UUID, *, after: tuple[date, uuid.UUID] | None = None, limit: int = 50
) -> list[Activity]:
    """The log of a team, newest first, up to `limit` + 1."""
    query = sa.select(Activity).where(Activity.team_id == team_id)
    if after:
        query = query.where(sa.tuple_(Activity.held_on, Activity.id) < sa.tuple_(*map(sa.literal, after)))
    ordered = query.order_by(Activity.held_on.desc(), Activity.id.desc()).limit(limit + 1)
    return list((await tx.scalars(ordered)).all())


async def _states(tx: AsyncSession, found: list[Team]) -> list[TeamState]:
    # The day of an activity is a day in Việt Nam as its keeper wrote it down, so its year needs no time zone.
    year = sa.func.extract("year", Activity.held_on)
    classes = sa.func.count().filter(Activity.kind == "class")
    query = (
        sa.select(Activity.team_id, year.label("year"), sa.func.count(), classes, sa.func.max(Activity.held_on))
        .where(Activity.team_id.in_([t.id for t in found]))
        .group_by(Activity.team_id, year)
    )
    counts: dict[uuid.UUID, dict[int, int]] = {}
    taught: dict[uuid.UUID, dict[int, int]] = {}
    last: dict[uuid.UUID, Any] = {}
    for team_id, of_year, n, held, held_on in await tx.execute(query):
        counts.setdefault(team_id, {})[int(of_year)] = n
        if held:
            taught.setdefault(team_id, {})[int(of_year)] = held
        last[team_id] = max(held_on, last.get(team_id, held_on))
    return [
        TeamState(
            id=t.id,
            unit=t.unit,
            path=t.path,
            name=t.name,
            member_count=t.member_count,
            registered_on=t.registered_on,
            dissolved_on=t.dissolved_on,
            last_activity_on=last.get(t.id),
            activities_by_year=dict(sorted(counts.get(t.id, {}).items())),
            classes_by_year=dict(sorted(taught.get(t.id, {}).items())),
        )
        for t in found
    ]
