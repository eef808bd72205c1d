"""Owns observations that other systems publish as events: judged like any observation, folded, and turned into facts.

A figure that a machine tells again and again is looked at once per event and made a fact once per write. What can be
told from the observation itself is told while folding; what needs the unit (its level, whether there was one on that
day) when the batch is written. The order is the source's own sequence, or else the time of observation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.observations.v1 import events_pb2 as pb

from chassis.consumer import Poison
from chassis.db import now
from chassis.stream import Record, Refused
from services.indicators.calculation.engine import Fact, Ratio, Value
from services.indicators.calculation.model import columns
from services.indicators.criteria import catalogue as c
from services.indicators.sources import intake
from services.indicators.sources.intake import Observed

VIETNAM = timezone(timedelta(hours=7), "+07")
"""Việt Nam's time since 1975, as a fixed offset: cheaper than a zone with rules, and no observation is older."""
OFFSET = 7 * 3600
DAY = 86_400
EPOCH = datetime(1970, 1, 1, 7, tzinfo=VIETNAM)
TYPE = pb.ObservationRecorded.DESCRIPTOR.full_name
OLDEST = int(intake.OLDEST.timestamp())
REMEMBERED = 100_000
"""Texts known to be plain; more than there are units."""


def _ratio(message: pb.ObservationRecorded) -> Value:
    return Ratio(message.ratio.numerator, message.ratio.denominator)


VALUES: dict[str | None, Callable[[pb.ObservationRecorded], Value | None]] = {
    "ratio": _ratio,
    "flag": lambda message: message.flag,
    "count": lambda message: message.count,
    "state": lambda message: message.state,
    None: lambda message: None,
}

Key = tuple[str, str, str, str, str]
"""Measure or attribute, unit, entity, period, source."""
Said = tuple[int, str, Any, int, Record]
"""Sequence, id, message, day in Việt Nam, record."""
Told = tuple[Fact, Record | None]
"""A fact, and the record that says it where it is a last word."""
Documented = dict[str, pb.ObservationRecorded]
"""Observations that name a document, by the cause of their facts."""
_KEEP = sa.text("""
    INSERT INTO observation (client, id, digest, unit, content, source, evidence, observed_at)
    SELECT client, id, digest, unit, CAST(content AS jsonb), source, '', observed_at
    FROM unnest(CAST(:client AS text[]), CAST(:id AS text[]), CAST(:digest AS bytea[]), CAST(:unit AS text[]),
        CAST(:content AS text[]), CAST(:source AS text[]), CAST(:observed_at AS timestamptz[]))
        AS o (client, id, digest, unit, content, source, observed_at)
    ORDER BY client, id
    ON CONFLICT DO NOTHING
""")


def moment_of(message: pb.ObservationRecorded) -> datetime | None:
    """When it was observed; None where the message does not say or says nonsense."""
    at = message.observed_at
    if not 0 < at.seconds < 250_000_000_000:
        return None
    return EPOCH + timedelta(0, at.seconds, at.nanos // 1000)


def sequence_of(message: pb.ObservationRecorded, given: int | None) -> int:
    """The source's own count, or the microseconds of the time of observation."""
    return message.observed_at.seconds * 1_000_000 + message.observed_at.nanos // 1000 if given is None else given


def judge(message: pb.ObservationRecorded, id: str, source: str, catalogue: c.Catalogue) -> None:
    """Raises Refused with a reason of `intake.REASONS` where the observation itself cannot be right."""
    reason = intake.judge(_observed(message, id, source), "partner", catalogue, now())
    if reason is None and not message.unit:
        reason = "unknown_unit"
    if reason is not None:
        raise Refused(reason)


def _observed(message: pb.ObservationRecorded, id: str, source: str) -> Observed:
    return Observed(
        id=id,
        unit=message.unit,
        observed_at=moment_of(message),
        value=VALUES[message.WhichOneof("value")](message),
        measure=message.measure,
        attribute=message.attribute,
        entity=message.entity,
        period=message.period,
        source=source,
        evidence=message.evidence,
        withdrawn=message.withdrawn,
    )


def fact_of(message: pb.ObservationRecorded, id: str, source: str, sequence: int) -> Fact:
    """The fact that a judged observation states; its unit is a plain code.

    One that names a document is kept like those of partners (see `keep`), and its fact is caused by it.
    """
    return _fact(
        (message.measure or message.attribute, message.unit, message.entity, message.period, source),
        message,
        id,
        sequence,
    )


def _fact(key: Key, message: pb.ObservationRecorded, id: str, sequence: int) -> Fact:
    code, unit, entity, period, source = key
    moment = moment_of(message)
    if moment is None:
        raise Refused("time_malformed")
    return Fact(
        code,
        f"{unit}/{entity or period}",
        source,
        "partner",
        unit,
        VALUES[message.WhichOneof("value")](message),
        sequence,
        f"observation:{source}/{id}" if message.evidence else f"{TYPE}:{id}",
        moment,
        period,
        message.withdrawn,
    )


class Observations:
    """Observations folded for one write: the last word of each source about each thing, and the last of each day."""

    def __init__(self, catalogue: c.Catalogue) -> None:
        self._catalogue = catalogue
        # What partners may report of a whole unit, and the kind of value it takes. Flags need evidence: a closer look.
        self._plain = {
            code: measure.kind
            for code, measure in catalogue.measures.items()
            if "partner" in measure.prefer and (measure.kind == "count" or measure.kind == "ratio")
        } | {code: "count" for code, one in catalogue.attributes.items() if one.kind == "count"}
        self._flags = {code for code, one in catalogue.attributes.items() if one.kind == "flag"}
        self._texts: set[str] = set()
        self._until = 0
        self._said: dict[Key, Said] = {}
        self._earlier: list[tuple[Key, Said]] = []
        self._making: Iterator[Told] | None = None
        self._made: list[Told] = []
        self.documented: Documented = {}
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._said) + len(self._earlier)

    @property
    def catalogue(self) -> c.Catalogue:
        return self._catalogue

    def add(self, record: Record, headers: dict[str, bytes], source: str) -> None:
        """Judge one observation and fold it; raises Refused with its reason, or DecodeError."""
        message = pb.ObservationRecorded.FromString(record.value or b"")
        id = headers["ce_id"].decode()
        unit, measure, attribute = message.unit, message.measure, message.attribute
        entity, period, seconds = message.entity, message.period, message.observed_at.seconds
        kind = self._plain.get(measure) if measure else "flag" if attribute in self._flags else None
        if (
            kind is None
            or unit not in self._texts
            or not OLDEST <= seconds <= self._until
            or message.WhichOneof("value") != kind
            or (attribute or entity or not _counts(message, kind) if measure else not _names(entity))
            or period
            or message.evidence
            or message.withdrawn
        ):
            self._look_closer(message, id, source, seconds)
        given = headers.get("ce_sequence")
        sequence = int(given) if given is not None else sequence_of(message, None)
        if self._making is not None:
            self._begin_anew()
        key = (measure or attribute, unit, entity, period, source)
        held = self._said.get(key)
        if held is None:
            self._said[key] = (sequence, id, message, (seconds + OFFSET) // DAY, record)
            return
        ahead = sequence - held[0]
        if ahead == 0:
            if id == held[1]:
                self.repeated += 1
                return
            ahead = 1 if id > held[1] else -1
        day = (seconds + OFFSET) // DAY
        said = (sequence, id, message, day, record)
        if day != held[3]:
            self._earlier.append((key, held if ahead > 0 else said))
        if ahead > 0:
            self._said[key] = said

    def _look_closer(self, message: pb.ObservationRecorded, id: str, source: str, seconds: int) -> None:
        judge(message, id, source, self._catalogue)
        if seconds > self._until:
            self._until = int(time.time())
        if len(self._texts) < REMEMBERED:
            self._texts.add(message.unit)

    def ahead(self, count: int) -> bool:
        """Make up to `count` more of the facts while there is time for it; False where all are made."""
        if self._making is None:
            self._making = self._told()
        before = len(self._made)
        self._made.extend(islice(self._making, count))
        return len(self._made) - before == count

    def facts(self) -> Sequence[Told]:
        """What is to be written: each last word with its record, and the earlier ones that are only remembered."""
        self.ahead(len(self))
        return self._made

    def _begin_anew(self) -> None:
        self._making, self._made, self.documented = None, [], {}

    def _told(self) -> Iterator[Told]:
        for key, (sequence, id, message, _, record) in self._said.items():
            yield self._stated(key, message, id, sequence), record
        for key, (sequence, id, message, _, _) in self._earlier:
            yield self._stated(key, message, id, sequence), None

    def _stated(self, key: Key, message: pb.ObservationRecorded, id: str, sequence: int) -> Fact:
        fact = _fact(key, message, id, sequence)
        if message.evidence:
            self.documented[fact.cause] = message
        return fact

    def clear(self) -> Observations:
        """An empty one that still knows which texts are plain."""
        fresh = Observations.__new__(Observations)
        fresh.__dict__.update(self.__dict__)
        fresh._said, fresh._earlier, fresh.repeated = {}, [], 0
        fresh._begin_anew()
        return fresh


def _names(entity: str) -> bool:
    """Whether it is an id that needs no closer look."""
    return 0 < len(entity) <= intake.MAX_ID and entity.isascii() and entity.isprintable()


def _counts(message: pb.ObservationRecorded, kind: str) -> bool:
    if kind == "count":
        return message.count >= 0
    ratio = message.ratio
    return 0 <= ratio.numerator <= ratio.denominator


async def keep(tx: AsyncSession, documented: Documented) -> None:
    """Store observations that name a document, so that whoever asks why a figure stands as it does is told of it."""
    rows = []
    for cause, message in documented.items():
        client, _, id = cause.partition(":")[2].partition("/")
        observed = _observed(message, id, message.evidence)
        rows.append(
            {
                "client": client,
                "id": id,
                "digest": observed.digest,
                "unit": observed.unit,
                "content": orjson.dumps(observed.content).decode(),
                "source": observed.source,
                "observed_at": observed.observed_at,
            }
        )
    if rows:
        await tx.execute(_KEEP, columns(rows))


def told(message: pb.ObservationRecorded, event: Any, catalogue: c.Catalogue) -> Fact:
    """The fact of one observation outside of the stream (a replayed dead letter); raises Refused."""
    source = source_of(event.source)
    judge(message, str(event.id), source, catalogue)
    return fact_of(message, str(event.id), source, sequence_of(message, event.sequence))


def source_of(given: str) -> str:
    """The name of a source as facts keep it; raises Poison where it is no plain text."""
    name = given.removeprefix("/xaso/").strip("/")[:100]
    if not name.isprintable():
        raise Poison("ce_source is no plain text")
    return name
