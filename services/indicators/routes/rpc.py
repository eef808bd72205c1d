"""Owns the gRPC entry points: observations in, compliance out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis import rpc, units
from chassis.auth import Principal
from chassis.db import is_transient
from chassis.errors import Malformed
from chassis.i18n import Locale, translator
from chassis.text import has_control
from services.indicators.answers import asof, queries
from services.indicators.answers.live import Live
from services.indicators.answers.standing import Moment
from services.indicators.calculation.engine import Ratio, Value
from services.indicators.calculation.evaluation import value_of
from services.indicators.calculation.model import Change
from services.indicators.criteria import editions, library
from services.indicators.routes import rpc_inquiries
from services.indicators.settings import Settings
from services.indicators.shapes.schemas import target_out
from services.indicators.sources import intake, rejections, streams
from services.indicators.sources.batching import Batches
from services.indicators.sources.intake import REASONS, Observed, Receipt
from services.indicators.sources.readings import Readings, stands

PACKAGE = "/xaso.indicators.v1."
SCOPES = {
    f"{PACKAGE}ObservationService/Submit": "indicators.observations.write",
    f"{PACKAGE}ObservationService/SubmitStream": "indicators.observations.write",
    f"{PACKAGE}ComplianceService/Get": "indicators.read",
    f"{PACKAGE}ComplianceService/Watch": "indicators.read",
    f"{PACKAGE}ComplianceService/WhatIf": "indicators.read",
    f"{PACKAGE}ComplianceService/History": "indicators.read",
}
MOST_REJECTIONS = 1000
"""Rejections named in one answer; all are counted."""
TRIES = 3
"""Tries of a batch that met another writer before the caller is told to come again."""


class StreamUnopened(Malformed):
    code = "stream_unopened"
    message = "Thông điệp đầu tiên phải mở dòng quan sát bằng một tên dài 1 đến 128 ký tự."


class TooMany(Malformed):
    code = "too_many_observations"
    message = "Một lần gọi chỉ nhận {limit} quan sát."


def observed_of(message: pb.Observation) -> Observed:
    """The observation in a message; what cannot be read becomes None and is judged by `intake`."""
    return Observed(
        id=message.id,
        unit=message.unit,
        observed_at=_instant(message),
        value=_value(message),
        measure=message.measure,
        attribute=message.fact.attribute,
        entity=message.fact.entity,
        period=message.period,
        source=message.source,
        withdrawn=message.withdrawn,
    )


def _instant(message: pb.Observation) -> datetime | None:
    if not message.HasField("observed_at"):
        return None
    try:
        return message.observed_at.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _value(message: pb.Observation) -> Value | None:
    kind = message.WhichOneof("value")
    if kind == "ratio":
        return Ratio(message.ratio.numerator, message.ratio.denominator)
    if kind == "flag":
        return message.flag
    if kind == "state":
        return message.state
    return message.count if kind == "count" else None


async def _again(work: Callable[[AsyncSession], Awaitable[Receipt]]) -> Receipt:
    """One batch in one transaction; whoever lost a race for the same unit tries again, which has no effect twice."""
    for _ in range(TRIES - 1):
        try:
            async with rpc.transaction() as tx:
                return await work(tx)
        except (DBAPIError, TimeoutError) as error:
            if not is_transient(error):
                raise
    async with rpc.transaction() as tx:
        return await work(tx)


async def _store(me: Principal, batch: list[Observed]) -> Receipt:
    return await _again(lambda tx: _submit(tx, me, batch))


async def _submit(tx: AsyncSession, me: Principal, batch: list[Observed]) -> Receipt:
    """Take in what is right of a batch, and count what is refused.

    A client that may report nothing of what it sends writes nothing, not even that.
    """
    done = await intake.submit(tx, me, batch, library.catalogue())
    if done.accepted or done.duplicate or any(one.reason != "not_granted" for one in done.rejections):
        await rejections.note(tx, intake.sender(me).client, batch, done.rejections)
    return done


class ObservationService(stubs.ObservationServiceServicer):
    """Takes observations; each batch is one transaction, and the answer counts only what is committed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def Submit(self, requests: AsyncIterator[pb.Observation], _context: Any) -> pb.SubmitResponse:
        me, receipt, rejected, received = rpc.me(), Receipt(), 0, 0
        batches = Batches[pb.Observation](self._settings.submit_batch, self._settings.submit_wait_seconds)
        async for batch in batches.of(requests):
            received += len(batch)
            if received > self._settings.submit_max:
                raise TooMany(limit=self._settings.submit_max)
            done = await _store(me, [observed_of(message) for message in batch])
            rejected += len(done.rejections)
            del done.rejections[max(0, MOST_REJECTIONS - len(receipt.rejections)) :]
            receipt.add(done)
        return pb.SubmitResponse(
            accepted=receipt.accepted,
            duplicate=receipt.duplicate,
            rejected=rejected,
            rejections=[pb.Rejection(id=r.id, reason=r.reason, detail=_detail(r.reason)) for r in receipt.rejections],
        )

    async def SubmitStream(
        self, requests: AsyncIterator[pb.SubmitStreamRequest], _context: Any
    ) -> AsyncIterator[pb.SubmitStreamResponse]:
        me, client = rpc.me(), intake.sender(rpc.me()).client
        stream = _opened(await anext(aiter(requests), None))
        async with rpc.read() as tx:
            taken = await streams.position(tx, client, stream)
        yield pb.SubmitStreamResponse(position=taken)
        kept, seen = taken, 0
        batches = Batches[pb.SubmitStreamRequest](self._settings.submit_batch, self._settings.submit_wait_seconds)
        async for batch in batches.of(requests):
            for message in batch:
                seen = _checked_position(message, seen)
            fresh = [message.item for message in batch if message.item.position > taken]
            answer = pb.SubmitStreamResponse(position=taken, skipped=len(batch) - len(fresh))
            if fresh:
                done = await _advance(me, client, stream, kept, fresh)
                taken = answer.position = fresh[-1].position
                # What was rejected as a whole leaves no trace: who may report nothing writes nothing.
                kept = taken if done.accepted or done.duplicate else kept
                answer.accepted, answer.duplicate = done.accepted, done.duplicate
                answer.rejections.extend(_stream_rejection(fresh, rejection) for rejection in done.rejections)
            yield answer


def _detail(reason: str) -> str:
    """Why an observation is refused, in the language of the call."""
    return translator(rpc.locale())(REASONS[reason][1])


def _opened(first: pb.SubmitStreamRequest | None) -> str:
    """The name of the stream the first message opens; raises StreamUnopened."""
    name = first.open.stream if first is not None and first.WhichOneof("message") == "open" else ""
    if not name or len(name) > streams.MAX_NAME or has_control(name):
        raise StreamUnopened(field="open")
    return name


def _checked_position(message: pb.SubmitStreamRequest, before: int) -> int:
    """The position of an item; raises Malformed where it does not come behind the one before."""
    if message.WhichOneof("message") != "item" or message.item.position <= before:
        raise Malformed(field="position", message_="Vị trí trong dòng quan sát phải tăng dần.")
    return int(message.item.position)


def _stream_rejection(items: Sequence[pb.StreamItem], rejection: intake.Rejection) -> pb.StreamRejection:
    return pb.StreamRejection(
        position=items[rejection.at].position,
        id=rejection.id,
        reason=rejection.reason,
        detail=_detail(rejection.reason),
    )


async def _advance(me: Principal, client: str, stream: str, before: int, items: Sequence[pb.StreamItem]) -> Receipt:
    """One batch of a named stream: observations and position in one transaction."""
    observed = [observed_of(item.observation) for item in items]

    async def work(tx: AsyncSession) -> Receipt:
        done = await _submit(tx, me, observed)
        if done.accepted or done.duplicate:
            await streams.advance(tx, client, stream, before, items[-1].position, done)
        return done

    return await _again(work)


class ComplianceService(stubs.ComplianceServiceServicer):
    """Answers how a unit stands, and tells changes as they are committed."""

    def __init__(self, settings: Settings, live: Live, readings: Readings) -> None:
        self._settings = settings
        self._live = live
        self._readings = readings

    async def Get(self, request: pb.GetRequest, _context: Any) -> pb.GetResponse:
        if request.HasField("as_of"):
            try:
                at = request.as_of.ToDatetime(tzinfo=UTC)
            except (ValueError, OverflowError) as error:
                raise Malformed(field="as_of", message_="Thời điểm không đọc được.") from error
            moment = Moment(at)
            catalogue = await editions.asked(rpc.tx(), moment.instant, moment.day)
            criteria = queries.criteria_set(catalogue, request.set)
            sheet = (await asof.sheet(rpc.tx(), request.unit, criteria, moment, catalogue)).sheet
        else:
            criteria = queries.criteria_set(library.catalogue(), request.set)
            sheet = await queries.sheet(rpc.tx(), request.unit, criteria)
        if any(row.figure is not None for row in sheet.rows) and stands(sheet.unit.valid_to):
            self._readings.note(rpc.me(), (sheet.unit.code,))
        return pb.GetResponse(
            unit=sheet.unit.code,
            set=sheet.criteria.code,
            status=sheet.status,
            met=sheet.met,
            total=sheet.total,
            items=[_item(row, sheet.rolled_up, rpc.locale()) for row in sheet.rows],
        )

    async def WhatIf(self, request: pb.WhatIfRequest, _context: Any) -> pb.WhatIfResponse:
        return await rpc_inquiries.what_if(rpc.tx(), rpc.me(), request, rpc.locale())

    async def History(self, request: pb.HistoryRequest, _context: Any) -> pb.HistoryResponse:
        return await rpc_inquiries.row_history(rpc.tx(), request)

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
        if request.set:
            queries.criteria_set(library.catalogue(), request.set)
        token = request.resume_token
        if token and not (token.isascii() and token.isdigit() and len(token) < 19):
            raise Malformed(field="resume_token", message_="Vị trí trong dòng thay đổi không đọc được.")
        path = None
        if request.unit:
            async with rpc.read() as tx:
                path = (await units.get(tx, request.unit)).path
        follow = self._live.follow(rpc.read, int(token) if token else None, path=path, set_code=request.set or None)
        # Headers at once: a client that has them misses nothing that it changes itself from then on.
        await anext(follow)
        await context.send_initial_metadata(())
        async for change in follow:
            if change is not None:
                yield _told(change)
                self._readings.note(rpc.me(), (change.unit,))


def _item(row: queries.Row, rolled_up: bool, locale: Locale) -> pb.Item:
    target = None if rolled_up else target_out(row.item.rule, locale)
    item = pb.Item(
        code=row.item.code,
        title=row.item.title.in_(locale),
        status=row.status,
        value=value_of(row.figure),
        target=target.text if target else "",
        because=row.cause,
    )
    if row.changed_at is not None:
        item.changed_at.FromDatetime(row.changed_at)
    return item


def _told(change: Change) -> pb.WatchResponse:
    told = pb.WatchResponse(
        resume_token=str(change.position),
        unit=change.unit,
        set=change.set_code,
        item=change.item_code,
        before=change.before,
        after=change.after,
        value=value_of(change.figure),
        because=change.cause,
        met=change.met,
        total=change.total,
    )
    told.changed_at.FromDatetime(change.at)
    return told


def rpcs(settings: Settings, live: Live, readings: Readings) -> list[rpc.Rpc]:
    """The gRPC services of a process."""
    scopes: dict[str, dict[str, str]] = {"Observation": {}, "Compliance": {}}
    for name, scope in SCOPES.items():
        scopes["Observation" if "ObservationService" in name else "Compliance"][name] = scope
    observations, compliance = ObservationService(settings), ComplianceService(settings, live, readings)
    add = stubs.add_ObservationServiceServicer_to_server
    return [
        rpc.Rpc(add, observations, scopes["Observation"], pb.DESCRIPTOR),
        rpc.Rpc(stubs.add_ComplianceServiceServicer_to_server, compliance, scopes["Compliance"], pb.DESCRIPTOR),
    ]
