"""Owns what is told of polls: events to other services, and lines in the audit log."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.petitions.v1 import events_pb2 as events

from chassis import audit, outbox
from chassis.auth import Principal
from chassis.units import VIETNAM
from services.petitions.polls.model import Poll


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def public_state(of: Poll) -> events.Poll:
    """The whole public state as events carry it."""
    opens_at = datetime.combine(of.opens_on, time(), VIETNAM)
    closes_at = of.ended_at or datetime.combine(of.closes_on + timedelta(days=1), time(), VIETNAM)
    return events.Poll(
        id=str(of.id),
        unit=of.unit,
        commune=of.commune,
        villages=of.villages,
        purpose=of.purpose.value,
        status=of.status.value,
        opens_at=_stamp(opens_at),
        closes_at=_stamp(closes_at),
        answers=of.answers,
        assisted=of.assisted,
        responded=of.responded_on is not None,
        responded_on=of.responded_on.isoformat() if of.responded_on else "",
    )


_Told = events.PollPublished | events.PollAnswered | events.PollClosed | events.PollResponded


async def tell(tx: AsyncSession, of: Poll, kind: type[_Told]) -> None:
    """Tell of a poll with its whole public state."""
    await outbox.add(tx, kind(poll=public_state(of)), unit=of.unit, subject=str(of.id), key=of.commune)


async def note(tx: AsyncSession, me: Principal | None, of: Poll, what: str, **detail: Any) -> None:
    """Write into the audit log what staff (or, without `me`, the last day) did to a poll."""
    await audit.record(tx, me, action=f"poll.{what}", target=str(of.id), unit=of.unit, detail=detail)
