"""Files that came to nothing are cleared after some days; the line of the import stays, and so does every ground."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from services.indicators.app import forget_files
from services.indicators.criteria import library
from services.indicators.interchange import backlog, forgetting, previewing
from tests.indicators.conftest import Stage
from tests.indicators.inquiring import API
from tests.indicators.test_imports_api import FIBRE, OFFICER, file_of, get, post, preview, send
from tests.support.running import bearer

HTML = {"accept": "text/html"}


async def came_to(stage: Stage, state: str) -> dict[str, Any]:
    """An import of two values, one of them wrong, that came to a state."""
    good, bad = await stage.new_village(), await stage.new_village()
    made = await preview(stage, (good, 90, 100), (bad, 120, 100))
    if state == "discarded":
        await post(stage, f"{made['id']}/discard")
    elif state in ("applied", "undone"):
        await post(stage, f"{made['id']}/apply", mode="valid")
        if state == "undone":
            await post(stage, f"{made['id']}/undo")
    elif state != "previewed":
        async with stage.running.tx() as tx:
            await tx.execute(
                text("UPDATE import SET state = :state WHERE id = :id"), {"state": state, "id": made["id"]}
            )
    return made


async def age(stage: Stage, made: dict[str, Any], days: int) -> None:
    async with stage.running.tx() as tx:
        await tx.execute(
            text("UPDATE import SET created_at = now() - make_interval(days => :days) WHERE id = :id"),
            {"days": days, "id": made["id"]},
        )


async def held(stage: Stage, made: dict[str, Any]) -> tuple[int, int, int]:
    """Bytes of the file, heaps of its values, and faults that are kept of an import."""
    async with stage.running.tx() as tx:
        row = (
            await tx.execute(
                text(
                    "SELECT octet_length(d.content), (SELECT count(*) FROM import_chunk c WHERE c.import = i.id),"
                    " (SELECT count(*) FROM import_fault f WHERE f.import = i.id)"
                    " FROM import i JOIN evidence_file d ON d.id = i.document WHERE i.id = :id"
                ),
                {"id": made["id"]},
            )
        ).one()
    return row[0], row[1], row[2]


@pytest.mark.parametrize("state", ["discarded", "unreadable", "refused"])
async def test_what_came_to_nothing_is_cleared_after_its_time(stage: Stage, state: str) -> None:
    made = await came_to(stage, state)
    before = await held(stage, made)
    assert before[0] > 0
    assert before[1:] == (1, 1)
    await age(stage, made, 29)
    await forget_files(stage.running.runner.runtime)
    assert await held(stage, made) == before
    assert (await get(stage, f"/{made['id']}"))["cleared"] is False
    await age(stage, made, 31)
    assert await forget_files(stage.running.runner.runtime) == 1
    assert await held(stage, made) == (0, 0, 0)
    after = await get(stage, f"/{made['id']}")
    kept = ("id", "name", "digest", "rows", "valid", "created_by", "unit", "set")
    assert {name: after[name] for name in kept} == {name: made[name] for name in kept}
    assert (after["state"], after["cleared"]) == (state, True)
    assert await forget_files(stage.running.runner.runtime) == 0


@pytest.mark.parametrize("state", ["previewed", "applied", "undone"])
async def test_what_waits_and_what_figures_rest_on_is_kept(stage: Stage, state: str) -> None:
    made = await came_to(stage, state)
    before = await held(stage, made)
    await age(stage, made, 4000)
    assert await forget_files(stage.running.runner.runtime) == 0
    assert await held(stage, made) == before


async def test_a_cleared_file_says_so_and_can_be_sent_anew(stage: Stage) -> None:
    unit = await stage.new_village()
    data = file_of((unit, 90, 100))
    made = (await send(stage, data)).json()
    await post(stage, f"{made['id']}/discard")
    await age(stage, made, 31)
    await forget_files(stage.running.runner.runtime)
    page = await stage.client.get(f"/indicators/imports/{made['id']}", headers=HTML | OFFICER)
    assert page.status_code == 200
    assert "Nội dung tệp này đã được xóa vì hết thời hạn lưu." in page.text
    assert made["document"] not in page.text
    file = await stage.client.get(made["document"], headers=OFFICER)
    assert (file.status_code, file.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Nội dung tệp này đã được xóa vì hết thời hạn lưu." in file.text
    # To others it is still none of theirs, and no word of what it was.
    other = await stage.client.get(made["document"], headers=bearer(("officer", "30/298/11077")))
    assert other.status_code == 404
    assert "hết thời hạn" not in other.text
    assert (await get(stage, f"/{made['id']}/values"))["items"] == []
    again = (await send(stage, data)).json()
    assert (again["state"], again["digest"], again["same_as"]) == ("previewed", made["digest"], None)


async def test_many_are_cleared_in_bounded_steps(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "MOST", 2)
    made = [await came_to(stage, "discarded") for _ in range(5)]
    for one in made:
        await age(stage, one, 60)
    assert await forget_files(stage.running.runner.runtime) == 5
    assert [(await held(stage, one))[0] for one in made] == [0] * 5


async def test_a_file_that_is_being_read_is_left_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previewing, "SMALL_BYTES", 0)
    sent = await send(stage, b"\n".join([f"[unit];[{FIBRE}:numerator]".encode(), b"11074-01;1"]), "so-lieu.csv")
    assert (sent.status_code, sent.json()["state"]) == (202, "reading")
    await age(stage, sent.json(), 4000)
    assert await forget_files(stage.running.runner.runtime) == 0
    assert await backlog.work(stage.running.runner.runtime.sessions, library.catalogue(), "files")
    answer = await stage.client.get(f"{API}/imports/{sent.json()['id']}", headers=OFFICER)
    assert answer.json()["state"] in ("previewed", "unreadable")
