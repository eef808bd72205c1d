"""Files too large for a request are kept at once and read in the background: followed, put aside, taken up again."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from chassis import i18n
from launcher.kafka import EmbeddedKafka
from services.indicators.criteria import library
from services.indicators.interchange import backlog, previewing, underway
from services.indicators.interchange.layout import FILE_FAULTS
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.test_imports import Officer, officer
from tests.indicators.test_imports_api import HEAD, OFFICER, events_of, file_of, get, post, send
from tests.support.running import bearer
from tests.support.waiting import eventually

__all__ = ["officer"]


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is too large for a request."""
    monkeypatch.setattr(previewing, "SMALL_BYTES", 0)


async def handed_in(stage: Stage, data: bytes, name: str = "so-lieu.xlsx") -> dict[str, Any]:
    """A file as it was taken: kept and not read yet."""
    answer = await send(stage, data, name)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{API}/imports/{found['id']}"
    assert (found["state"], found["rows"], found["valid"], found["faults"]) == ("reading", 0, 0, 0)
    return found


async def work(stage: Stage, kind: backlog.Kind = "files") -> bool:
    return await backlog.work(stage.running.runner.runtime.sessions, library.catalogue(), kind)


async def count(stage: Stage, made: str, table: str) -> int:
    async with stage.running.tx() as tx:
        asked = {"id": uuid.UUID(made)}
        return int((await tx.execute(text(f"SELECT count(*) FROM {table} WHERE import = :id"), asked)).scalar_one())


async def test_a_large_file_is_taken_at_once_and_read_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previewing, "BATCH", 2)
    good = [await stage.new_village() for _ in range(5)]
    bad = await stage.new_village()
    made = await handed_in(stage, file_of(*((unit, 90, 100) for unit in good), (bad, 120, 100)))
    assert made["progress"] == {"done": 0, "total": 0, "stopping": False}
    # What waits to be read can neither be applied nor undone.
    for address, body in (("apply", {"mode": "all"}), ("undo", None)):
        early = await stage.client.post(f"{API}/imports/{made['id']}/{address}", json=body, headers=OFFICER)
        assert (early.status_code, early.json()["code"]) == (409, "import_done")
    assert not await work(stage, "figures")
    assert await work(stage)
    assert not await work(stage)
    read = await get(stage, f"/{made['id']}")
    assert (read["state"], read["rows"], read["valid"], read["faults"]) == ("previewed", 6, 5, 1)
    assert (read["progress"], read["refusal"], read["created_by"]) == (None, None, "officer-1")
    assert await count(stage, made["id"], "import_chunk") == 3
    (fault,) = (await get(stage, f"/{made['id']}/faults"))["items"]
    assert (fault["cell"], fault["reason"]) == ("C7", "numerator_above_denominator")
    assert (await post(stage, f"{made['id']}/apply", mode="valid"))["accepted"] == 5
    assert [await stage.status(unit, "288.5") for unit in good] == ["met"] * 5


async def test_what_is_read_later_is_what_would_have_been_read_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = [await stage.new_village() for _ in range(4)]
    data = file_of(*((unit, 90 + n * 10, 100) for n, unit in enumerate(units)))
    later = await handed_in(stage, data)
    assert await work(stage)
    monkeypatch.setattr(previewing, "SMALL_BYTES", len(data))
    answer = await send(stage, data)
    assert answer.status_code == 201
    both = [await get(stage, f"/{made['id']}") for made in (later, answer.json())]
    for name in ("state", "rows", "valid", "faults", "digest", "level", "set", "unit"):
        assert both[0][name] == both[1][name], name
    for kind in ("values", "faults"):
        first, second = [(await get(stage, f"/{one['id']}/{kind}"))["items"] for one in both]
        assert first == second != []


async def test_many_values_in_a_small_file_and_a_slow_one_are_left_to_the_background(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(*[(await stage.new_village(), 90, 100) for _ in range(3)])
    monkeypatch.setattr(previewing, "SMALL_BYTES", len(data))
    monkeypatch.setattr(previewing, "SMALL_VALUES", 2)
    await handed_in(stage, data)
    monkeypatch.setattr(previewing, "SMALL_VALUES", 3)
    monkeypatch.setattr(previewing, "SMALL_SECONDS", 0)
    await handed_in(stage, data)
    monkeypatch.setattr(previewing, "SMALL_SECONDS", 60)
    assert (await send(stage, data)).status_code == 201
    assert [await work(stage) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("data", "reason", "word"),
    [
        (b"x;y\n1;2\n", "no_heading", "[unit]"),
        (b"a [unit];b [unit]\n", "column_twice", "B1"),
        ("mã [unit]\nđường\n".encode("utf-16-le"), "not_utf8", "1"),
        (b"m [unit]\n\x00\n", "nul", "NUL"),
        (";".join(HEAD).encode() + b"\n", "no_values", ""),
        (b"PK\x03\x04" + bytes(100), "broken", ""),
        (";".join(HEAD).encode() + b'\n11074-01;"open', "broken_line", "2"),
    ],
)
async def test_a_file_that_cannot_be_read_says_why(
    stage: Stage, officer: Officer, data: bytes, reason: str, word: str
) -> None:
    made = await handed_in(stage, data, "số liệu.csv")
    assert await work(stage)
    assert not await work(stage)
    ended = await get(stage, f"/{made['id']}")
    assert (ended["state"], ended["refusal"]["reason"], ended["progress"]) == ("unreadable", reason, None)
    assert word in ended["refusal"]["detail"]
    assert "{" not in ended["refusal"]["detail"]
    english = (await get(stage, f"/{made['id']}", lang="en"))["refusal"]["detail"]
    assert english != ended["refusal"]["detail"]
    assert (await events_of(stage, made["id"]))[-1][1]["state"] == "unreadable"
    page = await officer.see(f"/indicators/imports/{made['id']}")
    assert "Không đọc được tệp này nên không ghi gì." in page
    assert ended["refusal"]["detail"] in page.replace("&#34;", '"')
    assert "Gửi tệp khác" in page
    refused = await stage.client.post(f"{API}/imports/{made['id']}/apply", json={"mode": "valid"}, headers=OFFICER)
    assert refused.status_code == 409
    # The file itself is kept for who wants to look at it.
    assert (await stage.client.get(ended["document"], headers=OFFICER)).content == data


async def test_what_cannot_be_a_table_is_refused_before_it_is_kept(stage: Stage) -> None:
    for data in (b"%PDF-1.7", b"\xd0\xcf\x11\xe0 old", b"<html>", b"Rar!"):
        answer = await send(stage, data, "so-lieu.xlsx")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")
    assert not await work(stage)


@pytest.mark.parametrize(("gone", "reason"), [("set", "set_gone"), ("unit", "unit_gone")])
async def test_what_a_file_is_about_may_be_gone_when_its_turn_comes(stage: Stage, gone: str, reason: str) -> None:
    made = await handed_in(stage, file_of((await stage.new_village(), 90, 100)))
    column = {"set": "set_code", "unit": "unit"}[gone]
    async with stage.running.tx() as tx:
        await tx.execute(text(f"UPDATE import SET {column} = 'gone' WHERE id = :id"), {"id": uuid.UUID(made["id"])})
    assert await work(stage)
    async with stage.running.tx() as tx:
        asked = {"id": uuid.UUID(made["id"])}
        row = (await tx.execute(text("SELECT state, refusal FROM import WHERE id = :id"), asked)).one()
    assert (row.state, row.refusal["reason"]) == ("unreadable", reason)


async def test_a_fault_of_ours_ends_the_reading_with_a_word(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await handed_in(stage, file_of((await stage.new_village(), 90, 100)))

    async def fails(*_: object) -> None:
        raise LookupError("something nobody thought of")

    monkeypatch.setattr(previewing, "_judge", fails)
    assert await work(stage)
    ended = await get(stage, f"/{made['id']}")
    assert (ended["state"], ended["refusal"]["reason"]) == ("unreadable", "failed")
    assert await count(stage, made["id"], "import_chunk") == 0


class Held:
    """Stands in a reading under way, after its first batch, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self.free = asyncio.Event(), asyncio.Event()
        judge = previewing._judge

        async def held(*arguments: Any) -> Any:
            found = await judge(*arguments)
            self.there.set()
            await self.free.wait()
            return found

        monkeypatch.setattr(previewing, "_judge", held)


async def test_a_reading_that_broke_off_is_taken_up_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that ends: what it had kept is gone with its transaction, and the next one begins anew."""
    monkeypatch.setattr(previewing, "BATCH", 1)
    made = await handed_in(stage, file_of(*[(await stage.new_village(), 90, 100) for _ in range(3)]))
    with monkeypatch.context() as patched:
        held = Held(patched)
        reading = asyncio.create_task(work(stage))
        await asyncio.wait_for(held.there.wait(), 30)
        # Nobody else takes it meanwhile.
        assert not await work(stage)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert (await get(stage, f"/{made['id']}"))["state"] == "reading"
    assert await count(stage, made["id"], "import_chunk") == 0
    assert await work(stage)
    read = await get(stage, f"/{made['id']}")
    assert (read["state"], read["valid"]) == ("previewed", 3)
    assert await count(stage, made["id"], "import_chunk") == 3


async def test_one_sender_does_not_fill_the_queue(
    stage: Stage, officer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "MOST_WAITING", 2)
    data = file_of((await stage.new_village(), 90, 100))
    made = [await handed_in(stage, data) for _ in range(2)]
    refused = await send(stage, data)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_files_waiting")
    page = await officer.upload(data)
    assert page.status_code == 422
    assert "đã có 2 tệp đang chờ đọc" in page.text
    # Others are not held up, nor is whoever put one aside.
    other = await send(stage, data, headers=bearer(("officer", "30/298/11074"), subject="officer-2"))
    assert other.status_code == 202
    await post(stage, f"{made[0]['id']}/discard")
    await handed_in(stage, data)
    assert [await work(stage) for _ in range(4)] == [True, True, True, False]


@asynccontextmanager
async def background(stage: Stage, kafka: EmbeddedKafka) -> AsyncIterator[None]:
    """The service's own background in a process of its own, as a province runs it; killed (-9) at the end."""
    settings = stage.running.runner.runtime.settings
    told = {"DATABASE_URL": settings.database_url, "KAFKA": kafka.bootstrap, "TOPIC_PREFIX": "reading-"}
    told |= {"PUBLIC_URL": settings.public_url, "IMPORT_POLL_SECONDS": "0.05"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.indicators", "consume",
        env={f"XASO_INDICATORS_{name}": value for name, value in told.items()},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_a_process_killed_while_it_reads_leaves_the_file_to_the_next(stage: Stage, kafka: EmbeddedKafka) -> None:
    made = await handed_in(stage, file_of(*[(await stage.new_village(), 90, 100) for _ in range(3)]))

    async def waits() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%import_chunk%'"
        async with stage.running.tx() as tx:
            return bool((await tx.execute(text(query))).scalar_one())

    async with stage.running.runner.runtime.engine.connect() as blocking:
        # What was judged cannot be kept: the process stands in the middle.
        await blocking.execute(text("LOCK TABLE import_chunk IN ACCESS EXCLUSIVE MODE"))
        async with background(stage, kafka):
            await eventually(waits, seconds=60)
            assert not await work(stage)
    assert (await get(stage, f"/{made['id']}"))["state"] == "reading"
    assert await count(stage, made["id"], "import_chunk") == 0

    async def read() -> bool:
        return bool((await get(stage, f"/{made['id']}"))["state"] == "previewed")

    async with background(stage, kafka):
        await eventually(read, seconds=60)
    assert (await get(stage, f"/{made['id']}"))["valid"] == 3


async def test_a_file_is_put_aside_before_while_and_after_it_is_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of((await stage.new_village(), 90, 100))
    before = await handed_in(stage, data)
    assert (await post(stage, f"{before['id']}/discard"))["state"] == "discarded"
    assert not await work(stage)
    after = await handed_in(stage, data)
    assert await work(stage)
    assert (await post(stage, f"{after['id']}/discard"))["state"] == "discarded"
    during = await handed_in(stage, data)
    with monkeypatch.context() as patched:
        held = Held(patched)
        reading = asyncio.create_task(work(stage))
        await asyncio.wait_for(held.there.wait(), 30)
        answer = await post(stage, f"{during['id']}/discard", 202)
        assert (answer["state"], answer["progress"]["stopping"]) == ("reading", True)
        held.free.set()
        assert await reading
    assert (await events_of(stage, during["id"]))[-1][1]["state"] == "discarded"
    assert await count(stage, during["id"], "import_chunk") == 0
    for made in (before, after, during):
        for address, body in (("apply", {"mode": "all"}), ("discard", None)):
            again = await stage.client.post(f"{API}/imports/{made['id']}/{address}", json=body, headers=OFFICER)
            assert (again.status_code, again.json()["code"]) == (409, "import_done")


async def test_the_process_that_opens_a_file_is_ended_when_the_file_is_put_aside(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "LOOK_SECONDS", 0.02)
    made = await handed_in(stage, file_of((await stage.new_village(), 90, 100)))
    began, ended = asyncio.Event(), asyncio.Event()

    async def for_ever(*_: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(previewing.reading, "read", for_ever)
    reading = asyncio.create_task(work(stage))
    await asyncio.wait_for(began.wait(), 30)
    await post(stage, f"{made['id']}/discard", 202)
    assert await asyncio.wait_for(reading, 30)
    assert ended.is_set()
    assert (await get(stage, f"/{made['id']}"))["state"] == "discarded"


async def test_a_stop_that_comes_at_the_very_end_waits_for_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look and the commit nobody can say stop: who asks then finds a preview, and drops that."""
    made = await handed_in(stage, file_of((await stage.new_village(), 90, 100)))
    looked, free = asyncio.Event(), asyncio.Event()
    last_look = underway.last_look

    async def slowly(tx: Any, import_id: uuid.UUID) -> None:
        await last_look(tx, import_id)
        looked.set()
        await free.wait()

    monkeypatch.setattr(underway, "last_look", slowly)
    reading = asyncio.create_task(work(stage))
    await asyncio.wait_for(looked.wait(), 30)
    asked = asyncio.create_task(post(stage, f"{made['id']}/discard"))

    async def waits() -> bool:
        async with stage.running.tx() as tx:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%stop%'"
            return bool((await tx.execute(text(query))).scalar_one())

    await eventually(waits)
    free.set()
    assert await reading
    assert (await asked)["state"] == "discarded"
    assert (await get(stage, f"/{made['id']}"))["state"] == "discarded"


async def test_only_staff_of_the_unit_put_a_file_aside(stage: Stage) -> None:
    made = await handed_in(stage, file_of((await stage.new_village(), 90, 100)))
    for who in (bearer(("officer", "30/298/11077")), bearer(("viewer", "30/298/11074"))):
        answer = await stage.client.post(f"{API}/imports/{made['id']}/discard", headers=who)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_import")
    assert (await stage.client.post(f"{API}/imports/{made['id']}/discard")).status_code == 401
    assert (await post(stage, f"{made['id']}/discard"))["state"] == "discarded"


async def test_what_somebody_may_no_longer_enter_is_a_fault_and_roles_are_those_of_the_sender(stage: Stage) -> None:
    """Somebody who is staff of one village sends a file for it: the background judges with their roles, not more."""
    mine, other = await stage.new_village(), await stage.new_village()
    head = bearer(("officer", mine.path), subject="head-1")
    form = {"unit": mine.code, "level": "village"}
    answer = await send(stage, file_of((mine, 90, 100), (other, 90, 100)), form=form, headers=head)
    assert answer.status_code == 202
    assert await work(stage)
    read = await get(stage, f"/{answer.json()['id']}")
    assert (read["created_by"], read["valid"], read["faults"]) == ("head-1", 1, 1)
    (fault,) = (await get(stage, f"/{answer.json()['id']}/faults"))["items"]
    assert fault["reason"] == "outside"


async def test_the_page_of_an_upload_follows_the_reading(stage: Stage, officer: Officer) -> None:
    unit = await stage.new_village()
    preview = await officer.preview(file_of((unit, 90, 100)))
    seen = await officer.see(preview)
    assert "Đang mở tệp." in seen
    assert "Bỏ tệp này" in seen
    page = (await officer.client.get(preview, headers={"accept": "text/html"})).text
    assert '<meta http-equiv="refresh" content="3">' in page
    assert f'data-live-url="{API}{preview.removeprefix("/indicators")}/progress"' in page
    async with stage.running.tx() as tx:
        await underway.tell(tx, uuid.UUID(preview.rsplit("/", 1)[-1]), 500, 1200)
    assert "Đang đọc tệp: đã xét 500/1.200 số liệu." in await officer.see(preview)
    listed = await officer.see(f"/indicators/units/{stage.commune.code}/imports")
    assert "Đang đọc tệp" in listed
    assert await work(stage)
    assert "1 số liệu dùng được và 0 chỗ cần sửa" in await officer.see(preview)
    other = await officer.preview(file_of((unit, 91, 100)))
    answer = await officer.client.post(f"{other}/discard", headers={"accept": "text/html"})
    assert answer.status_code == 403, "a forged form"
    dropped = await officer.client.post(
        f"{other}/discard", data={"csrf_token": officer.client.cookies["xaso_csrf"]}, headers={"accept": "text/html"}
    )
    assert (dropped.status_code, dropped.headers["location"]) == (303, other)
    assert "Tệp này đã được bỏ, không số liệu nào được ghi." in await officer.see(other)
    assert not await work(stage)


def test_every_reason_has_its_words_in_both_languages() -> None:
    english = i18n.translator("en")
    assert {"set_gone", "unit_gone", "failed"} <= FILE_FAULTS.keys()
    assert all(english(words) != words for words in FILE_FAULTS.values())
