"""Server-sent events: how they are written, where a reader comes back to, and that open streams are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chassis import metrics, server_events
from chassis.errors import Malformed


def test_an_event_is_three_lines_and_an_empty_one() -> None:
    written = server_events.event({"unit": "11074", "words": "đạt\ncả"}, id=7)
    assert written == 'id: 7\nevent: change\ndata: {"unit":"11074","words":"đạt\\ncả"}\n\n'.encode()
    assert server_events.event([], id=0, name="end").split(b"\n")[1] == b"event: end"


def test_a_reader_says_what_it_saw_last() -> None:
    assert [server_events.seen(last) for last in (None, "", "0", "12")] == [None, None, 0, 12]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", " 1", "\u0661", "9" * 19])
def test_nonsense_in_place_of_an_id_is_refused(last: str) -> None:
    with pytest.raises(Malformed):
        server_events.seen(last)


def open_streams() -> float:
    return float(metrics.STREAM_CLIENTS.labels("test")._value.get())


async def test_a_reader_that_goes_away_is_counted_no_more_and_gives_back_what_was_held() -> None:
    given_back = []

    async def lines() -> AsyncIterator[bytes]:
        try:
            while True:
                yield server_events.SILENCE
        finally:
            given_back.append(True)

    before = open_streams()
    answer = server_events.response(lines(), "test")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.body_iterator
    assert await anext(aiter(body)) == server_events.SILENCE
    assert open_streams() == before + 1
    await body.aclose()  # type: ignore[attr-defined]  # it is a generator.
    assert (open_streams(), given_back) == (before, [True])
