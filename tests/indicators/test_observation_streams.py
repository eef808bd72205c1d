"""Streams that acknowledge what is committed and go on where they broke."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from sqlalchemy import text
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from tests.indicators.conftest import Stage
from tests.indicators.observing import PARTNER, SCOPES, observation, reached
from tests.support.running import token


@pytest.fixture(scope="module")
async def stage(database: Callable[[str], str]) -> AsyncIterator[Stage]:
    async with reached(database("observations")) as made:
        yield made


class Stream:
    """A client of SubmitStream that keeps what it is told."""

    def __init__(self, channel: grpc.aio.Channel, name: str, as_: str = PARTNER) -> None:
        self.call = stubs.ObservationServiceStub(channel).SubmitStream(
            timeout=30, metadata=(("authorization", f"Bearer {as_}"),)
        )
        self.name = name

    async def open(self) -> int:
        await self.call.write(pb.SubmitStreamRequest(open=pb.StreamOpen(stream=self.name)))
        return int((await self.call.read()).position)

    async def send(self, position: int, sent: pb.Observation) -> None:
        await self.call.write(pb.SubmitStreamRequest(item=pb.StreamItem(position=position, observation=sent)))

    async def until(self, position: int) -> list[pb.SubmitStreamResponse]:
        """The answers up to the one that covers a position."""
        found = []
        while not found or found[-1].position < position:
            found.append(await self.call.read())
        return found


def channel_to(stage: Stage) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{stage.running.runner.grpc_port}")


async def test_a_stream_is_acknowledged_as_it_goes_and_goes_on_where_it_broke(stage: Stage) -> None:
    unit = await stage.new_village()
    sent = [observation(unit, ratio=pb.Ratio(numerator=n, denominator=100)) for n in range(1, 31)]
    name = f"hàng đợi {unit.code}"
    async with channel_to(stage) as channel:
        first = Stream(channel, name)
        assert await first.open() == 0
        for position, one in enumerate(sent[:20], 1):
            await first.send(position * 10, one)
        answers = await first.until(200)
        assert sum(answer.accepted for answer in answers) == 20
        # The connection breaks before the client hears what became of the next ones.
        for position, one in enumerate(sent[20:25], 21):
            await first.send(position * 10, one)
        first.call.cancel()
    async with channel_to(stage) as channel:
        again = Stream(channel, name)
        taken = await again.open()
        assert taken >= 200
        for position, one in enumerate(sent, 1):
            await again.send(position * 10, one)
        answers = await again.until(300)
        await again.call.done_writing()
        counted = [sum(getattr(a, field) for a in answers) for field in ("skipped", "accepted", "duplicate")]
        assert counted == [taken // 10, 30 - taken // 10, 0]
        assert (await again.call.read()) is grpc.aio.EOF
        assert await Stream(channel, name).open() == 300
        assert await Stream(channel, "another").open() == 0
        stranger = token(("partner", "30"), kind="partner", client_id="vnpt", scope=SCOPES)
        assert await Stream(channel, name, stranger).open() == 0
    async with stage.running.tx() as tx:
        stored = await tx.execute(
            text("SELECT count(*), count(DISTINCT id) FROM observation WHERE unit = :u"), {"u": unit.code}
        )
        assert tuple(stored.one()) == (30, 30)


async def test_rejections_of_a_stream_name_their_place(stage: Stage) -> None:
    unit = await stage.new_village()
    good, bad = observation(unit), observation(unit, ratio=pb.Ratio(numerator=2, denominator=1))
    reused = observation(unit, id=good.id, ratio=pb.Ratio(numerator=1, denominator=1))
    async with channel_to(stage) as channel:
        stream = Stream(channel, f"r-{unit.code}")
        await stream.open()
        for position, one in enumerate((bad, good, reused, observation("99999")), 1):
            await stream.send(position, one)
        answers = await stream.until(4)
        told = [(r.position, r.reason) for answer in answers for r in answer.rejections]
        assert told == [(1, "numerator_above_denominator"), (3, "id_reused"), (4, "unknown_unit")]
        assert all(r.detail for answer in answers for r in answer.rejections)


@pytest.mark.parametrize(
    "messages",
    [
        [pb.SubmitStreamRequest(item=pb.StreamItem(position=1))],
        [pb.SubmitStreamRequest()],
        [pb.SubmitStreamRequest(open=pb.StreamOpen(stream=""))],
        [pb.SubmitStreamRequest(open=pb.StreamOpen(stream="x" * 129))],
        [
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
        ],
        [
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
            pb.SubmitStreamRequest(item=pb.StreamItem(position=2)),
            pb.SubmitStreamRequest(item=pb.StreamItem(position=2)),
        ],
        [
            pb.SubmitStreamRequest(open=pb.StreamOpen(stream="a")),
            pb.SubmitStreamRequest(item=pb.StreamItem(position=0)),
        ],
    ],
)
async def test_a_stream_out_of_order_is_refused(stage: Stage, messages: list[pb.SubmitStreamRequest]) -> None:
    async with channel_to(stage) as channel:
        call = stubs.ObservationServiceStub(channel).SubmitStream(
            iter(messages), timeout=30, metadata=(("authorization", f"Bearer {PARTNER}"),)
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_two_connections_on_one_stream_do_not_both_advance_it(stage: Stage) -> None:
    unit = await stage.new_village()
    async with channel_to(stage) as channel:
        one, other = Stream(channel, f"t-{unit.code}"), Stream(channel, f"t-{unit.code}")
        assert (await one.open(), await other.open()) == (0, 0)
        await one.send(1, observation(unit))
        await one.until(1)
        await other.send(1, observation(unit))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await other.until(1)
        assert caught.value.code() == grpc.StatusCode.ABORTED
    async with stage.running.tx() as tx:
        count = await tx.execute(text("SELECT count(*) FROM observation WHERE unit = :u"), {"u": unit.code})
        assert count.scalar_one() == 1
