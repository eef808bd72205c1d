"""Owns the gRPC entry points: observations in, compliance out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import DBAPIError
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from chassis import rpc, units
from chassis.auth import Principal
from chassis.db import is_transient
from chassis.errors import Malformed
from services.indicators import intake, library, queries
from services.indicators.engine import Figure, Ratio, Value
from services.indicators.intake import REASONS, Observed, Receipt
from services.indicators.live import Live
from services.indicators.model import Change
from services.indicators.schemas import target_out
from services.indicators.settings import Settings

PACKAGE = "/xaso.indicators.v1."
SCOPES = {
    f"{PACKAGE}ObservationService/Submit": "indicators.observations.write",
    f"{PACKAGE}ComplianceService/Get": "indicators.read",
    f"{PACKAGE}ComplianceService/Watch": "indicators.read",
}
MOST_REJECTIONS = 1000
"""Rejections named in one answer; all are counted."""
TRIES = 3
"""Tries of a batch that met another writer before the caller is told to come again."""


Queue = asyncio.Queue[pb.Observation | Exception | None]


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
    return message.count if kind == "count" else None


async def _store(me: Principal, batch: list[Observed]) -> Receipt:
    """One batch in one transaction; whoever lost a race for the same unit tries again, which has no effect twice."""
    for _ in range(TRIES - 1):
        try:
            async with rpc.transaction() as tx:
                return await intake.submit(tx, me, batch, library.catalogue())
        except (DBAPIError, TimeoutError) as error:
            if not is_transient(error):
                raise
    async with rpc.transaction() as tx:
        return await intake.submit(tx, me, batch, library.catalogue())


class ObservationService(stubs.ObservationServiceServicer):
    """Takes observations; each batch is one transaction, and the answer counts only what is committed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def Submit(self, requests: AsyncIterator[pb.Observation], _context: Any) -> pb.SubmitResponse:
        me, receipt, rejected, received = rpc.me(), Receipt(), 0, 0
        async for batch in self._batches(requests):
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
            rejections=[
                pb.Rejection(id=r.id, reason=r.reason, detail=REASONS[r.reason][1]) for r in receipt.rejections
            ],
        )

    async def _batches(self, requests: AsyncIterator[pb.Observation]) -> AsyncIterator[list[pb.Observation]]:
        """What comes in, in batches by number or by time; reading goes on while a batch is being committed."""
        size = self._settings.submit_batch
        queue: Queue = asyncio.Queue(maxsize=size * 2)

        async def read() -> None:
            try:
                async for message in requests:
                    await queue.put(message)
            except Exception as error:
                # What broke the stream is raised where the batches are taken, behind what came before it.
                await queue.put(error)
            await queue.put(None)

        reader = asyncio.create_task(read())
        try:
            while True:
                batch, end = await self._fill(queue, size)
                if batch:
                    yield batch
                if isinstance(end, Exception):
                    raise end
                if end is None:
                    return
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _fill(self, queue: Queue, size: int) -> tuple[list[pb.Observation], Exception | bool | None]:
        """A batch, full or over in time, and how the stream goes on: True, None at its end, or what broke it."""
        batch: list[pb.Observation] = []
        message = await queue.get()
        try:
            async with asyncio.timeout(self._settings.submit_wait_seconds):
                while isinstance(message, pb.Observation):
                    batch.append(message)
                    if len(batch) == size:
                        return batch, True
                    message = await queue.get()
        except TimeoutError:
            return batch, True
        return batch, message


def value_of(figure: Figure | None) -> pb.Value | None:
    if figure is None:
        return None
    if isinstance(figure, bool):
        return pb.Value(flag=figure)
    if isinstance(figure, Ratio):
        return pb.Value(ratio=pb.Ratio(numerator=figure.numerator, denominator=figure.denominator))
    return pb.Value(count=figure)


class ComplianceService(stubs.ComplianceServiceServicer):
    """Answers how a unit stands, and tells changes as they are committed."""

    def __init__(self, settings: Settings, live: Live) -> None:
        self._settings = settings
        self._live = live

    async def Get(self, request: pb.GetRequest, _context: Any) -> pb.GetResponse:
        criteria = queries.criteria_set(library.catalogue(), request.set)
        as_of = None
        if request.HasField("as_of"):
            try:
                as_of = request.as_of.ToDatetime(tzinfo=UTC)
            except (ValueError, OverflowError) as error:
                raise Malformed(field="as_of", message_="Thời điểm không đọc được.") from error
        sheet = await queries.sheet(rpc.tx(), request.unit, criteria, as_of)
        return pb.GetResponse(
            unit=sheet.unit.code,
            set=sheet.criteria.code,
            status=sheet.status,
            met=sheet.met,
            total=sheet.total,
            items=[_item(row, sheet.rolled_up) for row in sheet.rows],
        )

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


def _item(row: queries.Row, rolled_up: bool) -> pb.Item:
    target = None if rolled_up else target_out(row.item.rule)
    item = pb.Item(
        code=row.item.code,
        title=row.item.title.vi,
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


def rpcs(settings: Settings, live: Live) -> list[rpc.Rpc]:
    """The gRPC services of a process."""
    scopes: dict[str, dict[str, str]] = {"Observation": {}, "Compliance": {}}
    for name, scope in SCOPES.items():
        scopes["Observation" if "ObservationService" in name else "Compliance"][name] = scope
    observations, compliance = ObservationService(settings), ComplianceService(settings, live)
    add = stubs.add_ObservationServiceServicer_to_server
    return [
        rpc.Rpc(add, observations, scopes["Observation"], pb.DESCRIPTOR),
        rpc.Rpc(stubs.add_ComplianceServiceServicer_to_server, compliance, scopes["Compliance"], pb.DESCRIPTOR),
    ]
