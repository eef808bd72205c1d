"""Owns the reminders of the waste calendar: on the evening before a collection, one notice for a village."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import audit
from chassis.db import new_id, unit_table
from chassis.units import VIETNAM
from services.media.notices import commands
from services.media.notices.model import Notice, Status, Subscription, Topic, Waste, WasteRule
from services.media.notices.wording import DAYS, KINDS
from services.media.speakers.commands import commune_of

EVENING = 18
"""The hour, in Việt Nam, from which people are reminded of the next day."""


def day_ahead(at: datetime) -> date | None:
    """The day people are reminded of at the instant `at`; None outside the evening: late reminders help nobody."""
    local = at.astimezone(VIETNAM)
    return local.date() + timedelta(days=1) if local.hour >= EVENING else None


async def remind(tx: AsyncSession, at: datetime, limit: int = 50) -> int:
    """Remind the villages with a collection tomorrow in which a phone asked for it; each once, whoever does it."""
    day = day_ahead(at)
    if day is None:
        return 0
    done = sa.exists().where(Notice.unit == WasteRule.unit, Notice.collection_on == day)
    asked = sa.exists().where(
        Subscription.unit == WasteRule.unit,
        sa.or_(Subscription.topics == [], Subscription.topics.contains([Topic.WASTE_CALENDAR.value])),
    )
    # Where a village has ended its calendar did, too.
    of = unit_table.c
    stands = sa.exists().where(
        of.code == WasteRule.unit, of.valid_from <= day, sa.or_(of.valid_to.is_(None), of.valid_to > day)
    )
    falls = sa.or_(WasteRule.weekdays.contains([day.isoweekday()]), WasteRule.month_days.contains([day.day]))
    tomorrow = sa.and_(WasteRule.ended_at.is_(None), falls, stands)
    villages = sa.select(WasteRule.unit).distinct().where(tomorrow, asked, ~done).order_by(WasteRule.unit).limit(limit)
    due = sa.select(WasteRule).where(tomorrow, WasteRule.unit.in_(villages))
    found = (await tx.scalars(due.order_by(WasteRule.unit, WasteRule.at, WasteRule.id))).all()
    return sum([await _remind(tx, list(rules), day, at) for _, rules in groupby(found, key=lambda rule: rule.unit)])


async def _remind(tx: AsyncSession, rules: Sequence[WasteRule], day: date, at: datetime) -> bool:
    unit, path = rules[0].unit, rules[0].path
    title, text = words(rules, day)
    values = {
        "id": new_id(),
        "unit": unit,
        "commune": commune_of(path),
        "path": path,
        "villages": [unit],
        "topic": Topic.WASTE_CALENDAR.value,
        "title": title,
        "text": text,
        "status": Status.SCHEDULED.value,
        "publish_at": at,
        "expires_at": datetime.combine(day, rules[-1].at, VIETNAM),
        "created_at": at,
        "created_by": audit.SYSTEM,
        "collection_on": day,
    }
    once = (
        insert(Notice)
        .values(**values)
        .on_conflict_do_nothing(index_elements=["unit", "collection_on"], index_where=Notice.collection_on.is_not(None))
    )
    made = (await tx.scalars(once.returning(Notice))).one_or_none()
    if made is None:
        return False
    await commands.publish(tx, made, at)
    return True


def words(rules: Sequence[WasteRule], day: date) -> tuple[str, str]:
    """Title and text of a reminder, in Vietnamese as all notices are."""
    kinds = list(dict.fromkeys(KINDS[Waste(rule.kind)] for rule in rules))
    title = f"Ngày mai thu gom {', '.join(kinds)}"
    lines = [f"từ {rule.at:%H:%M}: {KINDS[Waste(rule.kind)]}" for rule in rules]
    return title, f"{DAYS[day.weekday()]} {day:%d/%m/%Y}, {'; '.join(lines)}."
