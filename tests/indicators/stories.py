"""Owns what tests of the stream tell: events of several sources, in the order they were said, and what follows."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.media.v1 import events_pb2 as media
from xaso.observations.v1 import events_pb2 as pb

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """One event before it is sent."""

    message: Message
    subject: str
    sequence: int | None
    id: str
    source: str = "/vnpt/bridge"

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        found = {
            "ce_specversion": "1.0",
            "ce_id": self.id,
            "ce_source": self.source,
            "ce_type": self.message.DESCRIPTOR.full_name,
            "ce_subject": self.subject,
            "ce_time": START.isoformat(),
        }
        if self.sequence is not None:
            found["ce_sequence"] = str(self.sequence)
        return [(name, value.encode()) for name, value in found.items()]

    @property
    def record(self) -> ConsumerRecord:
        value = self.message.SerializeToString()
        return ConsumerRecord("t", 0, 0, 0, 0, b"k", value, None, 0, len(value), tuple(self.headers))


def observed(
    unit: str, value: tuple[int, int] | int | bool, *, at: datetime = START, **named: str
) -> pb.ObservationRecorded:
    """`measure` or `attribute` with `entity`; a pair is a ratio."""
    message = pb.ObservationRecorded(unit=unit, **named)
    message.observed_at.FromDatetime(at)
    if isinstance(value, bool):
        message.flag = value
    elif isinstance(value, int):
        message.count = value
    else:
        message.ratio.numerator, message.ratio.denominator = value
    return message


def story(seed: int, codes: Sequence[str], tag: str) -> list[Said]:
    """What several sources say of some villages, in the order they said it; entities move between the villages."""
    chance = random.Random(seed)
    told: list[Said] = []
    counts: dict[str, int] = {}
    for n in range(60):
        unit = chance.choice(codes)
        kind = chance.randrange(4)
        at = START + timedelta(days=chance.randrange(5), seconds=n)
        if kind == 0:
            message: Message = observed(unit, (n % 7, 7), at=at, measure="village.fibre_households")
            subject = f"{unit}/fibre"
        elif kind == 1:
            message, subject = observed(unit, 5 + n % 9, at=at, measure="village.households"), f"{unit}/households"
        elif kind == 2:
            entity = f"h{chance.randrange(6)}"
            message = observed(unit, n % 3 > 0, at=at, attribute="household.fibre", entity=entity)
            subject = f"{unit}/{entity}"
        else:
            id = f"{tag}-loa-{chance.randrange(3)}"
            state = chance.choice(["ready", "lost"])
            message = media.LoudspeakerStateChanged(
                loudspeaker=media.Loudspeaker(id=id, unit=unit, state=state, smart=True, in_service=True)
            )
            subject = id
        counts[subject] = counts.get(subject, 0) + 1
        source = "/xaso/media" if kind == 3 else f"/{tag}/bridge"
        told.append(Said(message, subject, counts[subject], str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}-{n}")), source))
    return told


async def sheets(tx: AsyncSession, codes: Sequence[str]) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    rows = await tx.execute(
        text("""
            SELECT split_part(unit, '@', 1) AS code, set_code, item_code, status, flag, numerator, denominator FROM item
            WHERE split_part(unit, '@', 1) = ANY(:codes) AND (status, numerator) IS DISTINCT FROM ('no_data', NULL)
        """),
        {"codes": list(codes)},
    )
    return {(r.code, r.set_code, r.item_code): (r.status, r.flag, r.numerator, r.denominator) for r in rows}
