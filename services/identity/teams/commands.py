"""Owns what is done to community digital teams; every change is published with the team's whole state."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession
from xaso.identity.v1 import events_pb2 as events

from chassis import audit, outbox, units
from chassis.auth import STAFF, Principal
from services.identity.teams import queries
from services.identity.teams.model import (
    Activity,
    BeforeTheTeam,
    InTheFuture,
    NoSuchTeam,
    NotAVillage,
    Team,
)

KEEPERS = (*STAFF, "village_head")
"""Who registers a team and logs what it does: staff of the commune, and the head of the village."""


@dataclass(frozen=True)
class RegisterTeam:
    """A team to register in a village; `registered_on` is the day of its founding decision."""

    unit: str
    name: str
    member_count: int
    registered_on: date


@dataclass(frozen=True)
class LogActivity:
    """An activity; `content` is a key of CONTENTS, `kind` of KINDS, `participants` the number of people guided."""

    held_on: date
    content: str
    note: str
    participants: int
    kind: str = "support"


async def register(tx: AsyncSession, me: Principal, new: RegisterTeam) -> Team:
    """Register a team; raises UnknownUnit, Forbidden, NotAVillage, InTheFuture."""
    unit = await units.get(tx, new.unit)
    me.require(KEEPERS, unit.path)
    if unit.level != "village":
        raise NotAVillage(field="unit")
    if new.registered_on > units.today():
        raise InTheFuture(field="registered_on")
    team = Team(
        unit=unit.code,
        path=unit.path,
        name=new.name,
        member_count=new.member_count,
        registered_on=new.registered_on,
        registered_by=me.subject,
    )
    tx.add(team)
    await tx.flush()
    await _publish(tx, team, events.DigitalTeamRegistered)
    await audit.record(tx, me, action="team.registered", target=str(team.id), unit=team.unit, detail={})
    return team


async def log_activity(tx: AsyncSession, me: Principal, team_id: uuid.UUID, new: LogActivity) -> Activity:
    """Log an activity; raises NoSuchTeam, Forbidden, TeamDissolved, InTheFuture, BeforeTheTeam."""
    team = await _locked(tx, me, team_id)
    if new.held_on > units.today():
        raise InTheFuture(field="held_on")
    if new.held_on < team.registered_on:
        raise BeforeTheTeam(field="held_on", on=f"{team.registered_on:%d/%m/%Y}")
    activity = Activity(
        team_id=team.id,
        held_on=new.held_on,
        content=new.content,
        kind=new.kind,
        note=new.note,
        participants=new.participants,
        logged_by=me.subject,
    )
    tx.add(activity)
    await tx.flush()
    await _publish(tx, team, events.DigitalTeamActivityLogged)
    detail = {"content": new.content, "kind": new.kind, "held_on": new.held_on.isoformat()}
    await audit.record(tx, me, action="team.activity_logged", target=str(team.id), unit=team.unit, detail=detail)
    return activity


async def dissolve(tx: AsyncSession, me: Principal, team_id: uuid.UUID) -> Team:
    """Dissolve a team as of today; raises NoSuchTeam, Forbidden, TeamDissolved."""
    team = await _locked(tx, me, team_id)
    team.dissolve(units.today(), me.subject)
    await tx.flush()
    await _publish(tx, team, events.DigitalTeamDissolved)
    await audit.record(tx, me, action="team.dissolved", target=str(team.id), unit=team.unit, detail={})
    return team


async def _locked(tx: AsyncSession, me: Principal, team_id: uuid.UUID) -> Team:
    """The standing team, locked: activities logged side by side are counted one after the other."""
    team = await tx.get(Team, team_id, with_for_update=True)
    if team is None:
        raise NoSuchTeam()
    me.require(KEEPERS, team.path)
    team.require_standing()
    return team


async def _publish(
    tx: AsyncSession,
    team: Team,
    kind: type[events.DigitalTeamRegistered | events.DigitalTeamActivityLogged | events.DigitalTeamDissolved],
) -> None:
    state = queries.message_of(await queries.state(tx, team))
    unit = await units.get(tx, team.unit)
    await outbox.add(tx, kind(team=state), unit=unit, subject=str(team.id))
