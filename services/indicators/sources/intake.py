"""Owns what may be observed: observations of partners and entries of staff, judged one by one and stored in batches."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import STAFF, Principal
from chassis.db import now
from chassis.errors import DomainError, Kind
from chassis.text import has_control
from chassis.units import LEVELS, VIETNAM, Unit, UnknownUnit
from services.indicators.calculation import engine, ledger
from services.indicators.calculation.engine import Fact, Origin, Ratio, Value
from services.indicators.calculation.model import columns, figure_json
from services.indicators.criteria import catalogue as c

SKEW = timedelta(minutes=5)
"""How far a reporter's clock may be ahead of ours."""
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
MAX_ID = 128
MAX_TEXT = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

REASONS: dict[str, tuple[str, str]] = {
    "id_malformed": ("id", "Mã quan sát phải dài 1 đến 128 ký tự in được."),
    "id_reused": ("id", "Mã quan sát này đã dùng cho một nội dung khác."),
    "text_malformed": ("", "Có ký tự điều khiển hoặc chữ quá dài."),
    "unknown_unit": ("unit", "Không có đơn vị hành chính mang mã này."),
    "unit_ended": ("unit", "Đơn vị hành chính này không còn vào ngày quan sát."),
    "unit_not_yet": ("unit", "Đơn vị hành chính này chưa có vào ngày quan sát."),
    "wrong_level": ("measure", "Số liệu này dành cho đơn vị cấp khác."),
    "not_granted": ("unit", "Tài khoản không được giao gửi số liệu của đơn vị này."),
    "subject_missing": ("measure", "Phải nêu một thước đo hoặc một thuộc tính."),
    "unknown_measure": ("measure", "Không có thước đo mang mã này."),
    "unknown_attribute": ("measure", "Không có thuộc tính mang mã này."),
    "not_open": ("measure", "Số liệu này không nhận từ nguồn như vậy."),
    "entity_missing": ("entity", "Phải nêu mã của đối tượng quan sát."),
    "value_missing": ("value", "Thiếu giá trị."),
    "wrong_value_kind": ("value", "Giá trị không đúng loại của thước đo."),
    "negative": ("value", "Giá trị không được âm."),
    "numerator_above_denominator": ("value", "Tử số lớn hơn mẫu số."),
    "time_malformed": ("observed_at", "Thời điểm quan sát thiếu hoặc không hợp lệ."),
    "from_the_future": ("observed_at", "Thời điểm quan sát ở tương lai."),
    "period_malformed": ("period", "Kỳ phải có dạng 2026, 2026-Q4 hoặc 2026-11."),
    "period_in_future": ("period", "Kỳ báo cáo chưa bắt đầu."),
    "evidence_missing": ("evidence", "Khẳng định có/không phải nêu tài liệu hoặc nguồn chứng minh."),
}
"""Why an observation is rejected: code to the field it lies in and the words for it."""


class ObservationRejected(DomainError):
    """One observation entered by a person cannot be accepted; `reason` is a key of REASONS."""

    code: ClassVar[str] = "observation_rejected"
    kind: ClassVar[Kind] = Kind.INVALID

    def __init__(self, reason: str) -> None:
        super().__init__(field=REASONS[reason][0] or None, reason=reason)
        self.reason = reason

    @property
    def text(self) -> str:
        return REASONS[self.reason][1]


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation as it came in. `measure` or `attribute` with `entity`; `source` names a system or document."""

    id: str
    unit: str
    observed_at: datetime | None
    value: Value | None
    measure: str = ""
    attribute: str = ""
    entity: str = ""
    period: str = ""
    source: str = ""
    evidence: str = ""
    withdrawn: bool = False
    attachment: uuid.UUID | None = None
    """The document kept with it (see `evidence`), where one was handed in."""

    @property
    def content(self) -> dict[str, Any]:
        """Everything but the id, as it is stored and compared."""
        value = self.value if isinstance(self.value, str) or self.value is None else figure_json(self.value)
        kept = {"attachment": str(self.attachment)} if self.attachment else {}
        return {
            **kept,
            "unit": self.unit,
            "measure": self.measure,
            "attribute": self.attribute,
            "entity": self.entity,
            "period": self.period,
            "value": value,
            "observed_at": self.observed_at.astimezone(UTC).isoformat() if self.observed_at else None,
            "source": self.source,
            "evidence": self.evidence,
            "withdrawn": self.withdrawn,
        }

    @property
    def proven(self) -> bool:
        """Whether it names anything it rests on."""
        return bool(self.source or self.evidence or self.attachment)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(orjson.dumps(self.content, option=orjson.OPT_SORT_KEYS)).digest()


@dataclass(frozen=True, slots=True)
class Rejection:
    """One observation that is refused; `at` is its place in the batch."""

    id: str
    reason: str
    at: int


@dataclass
class Receipt:
    """What became of a batch; adding two makes the receipt of both."""

    accepted: int = 0
    duplicate: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def add(self, other: Receipt) -> None:
        self.accepted += other.accepted
        self.duplicate += other.duplicate
        self.rejections += other.rejections


def judge(observed: Observed, origin: Origin, catalogue: c.Catalogue, clock: datetime) -> str | None:
    """The reason why the observation itself cannot be right, whoever sends it; None where it can."""
    for found in (_judge_texts(observed), _judge_time(observed, clock), _judge_subject(observed, origin, catalogue)):
        if found is not None:
            return found
    return _judge_value(observed, catalogue)


def _judge_texts(observed: Observed) -> str | None:
    if not observed.id or len(observed.id) > MAX_ID or has_control(observed.id):
        return "id_malformed"
    texts = (observed.unit, observed.measure, observed.attribute, observed.entity, observed.period, observed.source)
    if any(len(text) > MAX_TEXT or has_control(text) for text in texts) or len(observed.entity) > MAX_ID:
        return "text_malformed"
    if len(observed.evidence) > 4 * MAX_TEXT or has_control(observed.evidence, allowed="\n\t"):
        return "text_malformed"
    return None


def _judge_time(observed: Observed, clock: datetime) -> str | None:
    if observed.observed_at is None or observed.observed_at < OLDEST:
        return "time_malformed"
    if observed.observed_at > clock + SKEW:
        return "from_the_future"
    if observed.period:
        try:
            start, _ = engine.period_bounds(observed.period)
        except ValueError:
            return "period_malformed"
        if start > (clock + SKEW).astimezone(VIETNAM).date():
            return "period_in_future"
    return None


def _judge_subject(observed: Observed, origin: Origin, catalogue: c.Catalogue) -> str | None:
    if bool(observed.measure) == bool(observed.attribute):
        return "subject_missing"
    if observed.measure:
        measure = catalogue.measures.get(observed.measure)
        if measure is None:
            attribute = catalogue.attributes.get(observed.measure)
            # A register (how many households there are) is a count of the unit and is reported like a measure.
            return None if attribute is not None and attribute.kind == "count" else "unknown_measure"
        return None if origin in measure.prefer else "not_open"
    attribute = catalogue.attributes.get(observed.attribute)
    if attribute is None:
        return "unknown_attribute"
    # States are words of our own services' events; a reporter says yes or no.
    if attribute.kind != "flag":
        return "not_open"
    return None if observed.entity else "entity_missing"


def _judge_value(observed: Observed, catalogue: c.Catalogue) -> str | None:
    if observed.withdrawn:
        return None
    value = observed.value
    if value is None:
        return "value_missing"
    measure = catalogue.measures.get(observed.measure)
    kind = measure.kind if measure else "flag" if observed.attribute else "count"
    fits = {
        "flag": isinstance(value, bool),
        "ratio": isinstance(value, Ratio),
        "state": measure is not None and value in measure.states,
    }
    if not fits.get(kind, isinstance(value, int) and not isinstance(value, bool)):
        return "wrong_value_kind"
    if isinstance(value, Ratio):
        return _judge_ratio(value, unbounded=measure is not None and measure.unbounded)
    if isinstance(value, int) and value < 0:
        return "negative"
    if measure is not None and kind == "flag" and not observed.proven:
        return "evidence_missing"
    return None


def _judge_ratio(value: Ratio, *, unbounded: bool) -> str | None:
    if value.numerator < 0 or value.denominator < 0:
        return "negative"
    return "numerator_above_denominator" if value.numerator > value.denominator and not unbounded else None


def _judge_level(observed: Observed, unit: Unit, catalogue: c.Catalogue) -> str | None:
    """A figure of communes says nothing about a village. Registers carry their level in their code."""
    measure = catalogue.measures.get(observed.measure)
    level = measure.level if measure is not None else observed.measure.partition(".")[0]
    return "wrong_level" if level in LEVELS and level != unit.level else None


_UNITS = sa.text("""
    SELECT code, name, level, kind, parent, path, valid_from, valid_to FROM unit
    WHERE code = ANY(CAST(:codes AS text[]))
""")
_CLAIM = sa.text("""
    INSERT INTO observation (client, id, digest, unit, content, source, evidence, observed_at, document)
    SELECT :client, o.id, o.digest, o.unit, CAST(o.content AS jsonb), o.source, o.evidence, o.observed_at, o.document
    FROM unnest(CAST(:id AS text[]), CAST(:digest AS bytea[]), CAST(:unit AS text[]), CAST(:content AS text[]),
        CAST(:source AS text[]), CAST(:evidence AS text[]), CAST(:observed_at AS timestamptz[]),
        CAST(:document AS uuid[])) AS o (id, digest, unit, content, source, evidence, observed_at, document)
    ORDER BY o.id
    ON CONFLICT DO NOTHING RETURNING id
""")
_DIGESTS = sa.text("SELECT id, digest FROM observation WHERE client = :client AND id = ANY(CAST(:ids AS text[]))")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who reports: as what its figures count, and under which name they are kept."""

    origin: Origin
    client: str


def sender(principal: Principal) -> Sender:
    origin: Origin = "partner" if principal.kind == "partner" else "staff"
    known = principal.client_id if origin == "partner" else None
    return Sender(origin, known or f"person.{principal.subject}")


async def submit(tx: AsyncSession, principal: Principal, batch: Sequence[Observed], catalogue: c.Catalogue) -> Receipt:
    """Take in a batch within `tx`: what is right becomes facts, what was there before counts as duplicate."""
    by, receipt = sender(principal), Receipt()
    fit: dict[str, tuple[int, Observed, Unit]] = {}
    judged = await verdicts(tx, principal, batch, catalogue)
    for at, (observed, unit) in enumerate(zip(batch, judged, strict=True)):
        if isinstance(unit, str):
            receipt.rejections.append(Rejection(observed.id[:MAX_ID], unit, at))
        elif observed.id not in fit:
            fit[observed.id] = (at, observed, unit)
        elif fit[observed.id][1].digest == observed.digest:
            receipt.duplicate += 1
        else:
            receipt.rejections.append(Rejection(observed.id, "id_reused", at))
    fresh = await _claim(tx, by.client, [(at, observed) for at, observed, _ in fit.values()], receipt)
    facts = [_fact(observed, unit, by.origin, by.client) for _, observed, unit in fit.values() if observed.id in fresh]
    await ledger.record(tx, facts, catalogue)
    receipt.rejections.sort(key=lambda rejection: rejection.at)
    return receipt


async def verdicts(
    tx: AsyncSession, principal: Principal, batch: Sequence[Observed], catalogue: c.Catalogue
) -> list[Unit | str]:
    """Per observation the unit it is about, or the reason why it is refused; nothing is stored."""
    origin, clock = sender(principal).origin, now()
    units = await _units(tx, {o.unit for o in batch if not has_control(o.unit)})
    found: list[Unit | str] = []
    for observed in batch:
        reason = judge(observed, origin, catalogue, clock)
        unit = reason or _unit_for(observed, units.get(observed.unit, []), principal, origin)
        found.append(unit if isinstance(unit, str) else _judge_level(observed, unit, catalogue) or unit)
    return found


async def _units(tx: AsyncSession, codes: set[str]) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = {}
    for r in await tx.execute(_UNITS, {"codes": sorted(codes)}):
        unit = Unit(r.code, r.name, r.level, r.kind, r.parent, r.path, r.valid_from, r.valid_to)
        found.setdefault(r.code, []).append(unit)
    return {code: sorted(generations, key=lambda unit: unit.valid_from) for code, generations in found.items()}


def _then(generations: list[Unit], at: datetime) -> Unit | str:
    """The one of the units of a code that was there at an instant, or the reason why none was."""
    day: date = at.astimezone(VIETNAM).date()
    unit = next((u for u in reversed(generations) if u.valid_from <= day), None)
    if unit is None:
        return "unit_not_yet"
    return "unit_ended" if unit.valid_to is not None and unit.valid_to <= day else unit


async def unit_then(tx: AsyncSession, me: Principal, code: str, at: datetime) -> Unit:
    """The unit that `code` named at `at`, for staff who enter a figure of it.

    Raises UnknownUnit where no unit ever had the code, else ObservationRejected with the reason a partner gets, to
    staff of the unit alone; to others Forbidden.
    """
    generations = (await _units(tx, {code} if not has_control(code) else set())).get(code)
    if not generations:
        raise UnknownUnit(unit=code[:40])
    # An instant at the end of all calendars has no day in Việt Nam: it is refused before it is asked for.
    reason = "time_malformed" if at < OLDEST else "from_the_future" if at > now() + SKEW else ""
    found = reason or _then(generations, at)
    if isinstance(found, str):
        me.require(STAFF, generations[-1].path)
        raise ObservationRejected(found)
    return found


def _unit_for(observed: Observed, generations: list[Unit], principal: Principal, origin: Origin) -> Unit | str:
    """The unit the code named on the day of observation, or the reason why not."""
    if not generations or observed.observed_at is None:
        return "unknown_unit"
    unit = _then(generations, observed.observed_at)
    if isinstance(unit, str):
        return unit
    roles = ("partner",) if origin == "partner" else STAFF
    return unit if principal.may(roles, unit.path) else "not_granted"


async def _claim(tx: AsyncSession, client: str, fit: Sequence[tuple[int, Observed]], receipt: Receipt) -> set[str]:
    """Store the observations that are new; the others are told apart as duplicates and reused ids."""
    if not fit:
        return set()
    rows = [
        {
            "id": o.id,
            "digest": o.digest,
            "unit": o.unit,
            "content": orjson.dumps(o.content).decode(),
            "source": o.source,
            "evidence": o.evidence,
            "observed_at": o.observed_at,
            "document": o.attachment,
        }
        for _, o in fit
    ]
    fresh = set((await tx.execute(_CLAIM, {**columns(rows), "client": client})).scalars())
    known = [(at, o) for at, o in fit if o.id not in fresh]
    if known:
        found = await tx.execute(_DIGESTS, {"client": client, "ids": [o.id for _, o in known]})
        digests = {row.id: bytes(row.digest) for row in found}
        for at, observed in known:
            if digests.get(observed.id) == observed.digest:
                receipt.duplicate += 1
            else:
                receipt.rejections.append(Rejection(observed.id, "id_reused", at))
    receipt.accepted += len(fresh)
    return fresh


def _fact(observed: Observed, unit: Unit, origin: Origin, client: str) -> Fact:
    """The fact an observation states. Ids of entities belong to their reporter and unit, so both are in the key."""
    if observed.observed_at is None:
        raise ValueError("judged before")
    kind = "observation" if origin == "partner" else "document"
    return Fact(
        attribute=observed.measure or observed.attribute,
        entity=f"{unit.code}/{observed.entity or observed.period}",
        # One office has one word: what one officer enters replaces what a colleague entered.
        source=client if origin == "partner" else f"staff.{unit.commune}",
        origin=origin,
        unit=unit.code,
        value=observed.value,
        sequence=(observed.observed_at - EPOCH) // timedelta(microseconds=1),
        cause=f"{kind}:{client}/{observed.id}",
        observed_at=observed.observed_at,
        period=observed.period,
        withdrawn=observed.withdrawn,
    )
