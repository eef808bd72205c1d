"""Files handed in by programs of the unit's staff: preview, all or only what is right, progress, undo, the list."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from chassis.units import Unit
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from services.indicators.interchange import backlog, importing, underway
from tests.indicators.conftest import Stage
from tests.indicators.files import FIBRE, heading, workbook
from tests.indicators.inquiring import API, record, said
from tests.support.running import bearer

SET = "hd-288-2023"
HEAD = heading("unit", "name", f"{FIBRE}:numerator", f"{FIBRE}:denominator", "document")
OFFICER = bearer(("officer", "30/298/11074"), subject="officer-1")


def file_of(*rows: tuple[Unit, int, int]) -> bytes:
    return workbook([HEAD, *([unit.code, unit.name, above, below, "Biên bản 12"] for unit, above, below in rows)])


async def send(stage: Stage, data: bytes, name: str = "so-lieu.xlsx", **more: Any) -> httpx.Response:
    form = {"unit": "11074", "set": SET, "level": "village", **more.pop("form", {})}
    answer: httpx.Response = await stage.client.post(
        f"{API}/imports",
        data={key: value for key, value in form.items() if value is not None},
        files={"file": (name, data, "application/octet-stream")},
        headers=more.pop("headers", OFFICER),
    )
    return answer


async def preview(stage: Stage, *rows: tuple[Unit, int, int]) -> dict[str, Any]:
    answer = await send(stage, file_of(*rows))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{API}/imports/{found['id']}"
    return found


async def get(stage: Stage, address: str, **params: str) -> dict[str, Any]:
    answer = await stage.client.get(f"{API}/imports{address}", params=params, headers=OFFICER)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(stage: Stage, address: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await stage.client.post(f"{API}/imports/{address}", json=body or None, headers=OFFICER)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_file_becomes_figures_and_an_undo_takes_them_back(stage: Stage) -> None:
    first, second = await stage.new_village(), await stage.new_village()
    await record(stage, said(first, FIBRE, Ratio(10, 100), source="staff.11074", origin="staff"))
    data = file_of((first, 81, 100), (second, 90, 100))
    made = (await send(stage, data)).json()
    assert (made["state"], made["rows"], made["valid"], made["faults"], made["progress"]) == (
        "previewed",
        2,
        2,
        0,
        None,
    )
    assert (made["name"], made["set"], made["level"], made["created_by"]) == (
        "so-lieu.xlsx",
        SET,
        "village",
        "officer-1",
    )
    assert await stage.status(second, "288.5") == "no_data"
    values = await get(stage, f"/{made['id']}/values")
    assert [(v["cell"], v["unit"], v["value"]) for v in values["items"]] == [
        ("C2", first.code, {"numerator": 81, "denominator": 100}),
        ("C3", second.code, {"numerator": 90, "denominator": 100}),
    ]
    done = await post(stage, f"{made['id']}/apply", mode="all")
    assert (done["state"], done["accepted"], done["applied_by"]) == ("applied", 2, "officer-1")
    assert [await stage.status(unit, "288.5") for unit in (first, second)] == ["met", "met"]
    again = await stage.client.post(f"{API}/imports/{made['id']}/apply", json={"mode": "all"}, headers=OFFICER)
    assert (again.status_code, again.json()["code"]) == (409, "import_done")
    twin = (await send(stage, data)).json()
    assert twin["same_as"] == made["id"]
    # Something newer stays where it is, and is listed.
    other = await preview(stage, (second, 95, 100))
    await post(stage, f"{other['id']}/apply", mode="all")
    undone = await post(stage, f"{made['id']}/undo")
    assert (undone["state"], undone["restored"], undone["kept"]) == ("undone", 1, 1)
    (kept,) = (await get(stage, f"/{made['id']}/kept"))["items"]
    assert (kept["cell"], kept["unit"]) == ("C3", second.code)
    assert await stage.status(first, "288.5") == "unmet"
    assert await stage.status(second, "288.5") == "met"


async def test_only_what_is_right_where_that_is_asked_for(stage: Stage) -> None:
    good, bad = await stage.new_village(), await stage.new_village()
    made = await preview(stage, (good, 90, 100), (bad, 120, 100))
    assert (made["valid"], made["faults"]) == (1, 1)
    (fault,) = (await get(stage, f"/{made['id']}/faults"))["items"]
    assert (fault["cell"], fault["measure"], fault["reason"]) == ("C3", FIBRE, "numerator_above_denominator")
    assert fault["detail"] == "Số đạt 120 lớn hơn tổng số 100."
    (english,) = (await get(stage, f"/{made['id']}/faults", lang="en"))["items"]
    assert english["detail"] != fault["detail"]
    assert "120" in english["detail"]
    refused = await stage.client.post(f"{API}/imports/{made['id']}/apply", json={}, headers=OFFICER)
    assert (refused.status_code, refused.json()["code"]) == (409, "import_faulty")
    assert await stage.status(good, "288.5") == "no_data"
    done = await post(stage, f"{made['id']}/apply", mode="valid")
    assert (done["state"], done["mode"], done["accepted"]) == ("applied", "valid", 1)
    assert (await stage.status(good, "288.5"), await stage.status(bad, "288.5")) == ("met", "no_data")


async def test_the_list_is_paged_newest_first(stage: Stage) -> None:
    unit = await stage.new_village()
    made = [(await preview(stage, (unit, n, 100)))["id"] for n in (1, 2, 3)]
    first = await get(stage, "", unit="11074", limit="2")
    assert [one["id"] for one in first["items"]] == made[:0:-1]
    rest = await get(stage, "", unit="11074", limit="2", after=first["next"])
    assert rest["items"][0]["id"] == made[0]
    below = await get(stage, "", unit=unit.code)
    assert below["items"] == []


async def test_values_and_faults_come_page_by_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.indicators.interchange.previewing.BATCH", 2)
    units = [await stage.new_village() for _ in range(8)]
    made = await preview(stage, *((unit, 50 if n < 5 else 200, 100) for n, unit in enumerate(units)))
    for kind, cells in (("values", 5), ("faults", 3)):
        seen: list[str] = []
        after = None
        for _ in range(9):
            page = await get(stage, f"/{made['id']}/{kind}", limit="2", **({"after": after} if after else {}))
            assert len(page["items"]) <= 2
            seen += [one["cell"] for one in page["items"]]
            after = page["next"]
            if after is None:
                break
        assert len(seen) == len(set(seen)) == cells
    wrong = await stage.client.get(f"{API}/imports/{made['id']}/faults", params={"after": "Ww"}, headers=OFFICER)
    assert wrong.status_code == 400


async def events_of(stage: Stage, made: str) -> list[tuple[str, dict[str, Any]]]:
    """What the stream of an import says until it ends."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with stage.client.stream("GET", f"{API}/imports/{made}/progress", headers=OFFICER) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                found.append((name, orjson.loads(line[6:])))
    return found


async def test_a_large_one_is_done_in_the_background_and_can_be_followed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 2)
    monkeypatch.setattr("services.indicators.interchange.undoing.AT_ONCE", 2)
    units = [await stage.new_village() for _ in range(3)]
    made = await preview(stage, *((unit, 90, 100) for unit in units))
    queued = await post(stage, f"{made['id']}/apply", 202, mode="all")
    assert (queued["state"], queued["progress"]) == ("queued", {"done": 0, "total": 3, "stopping": False})
    async with stage.running.tx() as tx:
        # As the task tells it while its own transaction is still open.
        await underway.tell(tx, uuid.UUID(made["id"]), 2, 3)
    assert (await get(stage, f"/{made['id']}"))["progress"] == {"done": 2, "total": 3, "stopping": False}
    sessions = stage.running.runner.runtime.sessions
    assert await backlog.work(sessions, library.catalogue())
    assert await events_of(stage, made["id"]) == [
        ("change", {"state": "applied", "done": 3, "total": 3}),
        ("end", {"state": "applied", "done": 3, "total": 3}),
    ]
    assert [await stage.status(unit, "288.5") for unit in units] == ["met"] * 3
    undoing = await post(stage, f"{made['id']}/undo", 202)
    assert (undoing["state"], undoing["progress"]["total"]) == ("undoing", 3)
    assert await backlog.work(sessions, library.catalogue())
    assert (await get(stage, f"/{made['id']}"))["state"] == "undone"


async def test_an_undo_begins_again_at_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar of an undo does not start where the import ended."""
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    monkeypatch.setattr("services.indicators.interchange.undoing.AT_ONCE", 1)
    units = [await stage.new_village() for _ in range(2)]
    made = await preview(stage, *((unit, 90, 100) for unit in units))
    await post(stage, f"{made['id']}/apply", 202, mode="all")
    assert await backlog.work(stage.running.runner.runtime.sessions, library.catalogue())
    assert (await post(stage, f"{made['id']}/undo", 202))["progress"] == {"done": 0, "total": 2, "stopping": False}


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"unit": "99999"}, 404, "unknown_unit"),
        ({"set": "nope"}, 404, "unknown_set"),
        ({"level": "province"}, 404, "not_found"),
        ({"level": "hamlet"}, 422, "invalid"),
        ({"unit": None}, 422, "invalid"),
        ({"unit": "a\u0000b"}, 404, "unknown_unit"),
        ({"unit": "11077"}, 403, "forbidden"),
    ],
)
async def test_what_cannot_be_handed_in_is_refused(stage: Stage, form: dict[str, Any], status: int, code: str) -> None:
    await stage.running.enter_units(
        Unit("11077", "Xã khác", "commune", "xa", "298", "30/298/11077", stage.commune.valid_from)
    )
    answer = await send(stage, file_of((stage.villages[0], 1, 2)), form=form)
    assert answer.status_code == status or (code == "unknown_unit" and answer.status_code in (400, 422)), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_file_that_is_none_is_refused_and_leaves_nothing(stage: Stage) -> None:
    async with stage.running.tx() as tx:
        before = (await tx.execute(text("SELECT count(*) FROM import"))).scalar_one()
    answer = await send(stage, b"%PDF-1.7", "bao-cao.pdf")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")
    assert (await send(stage, b"x" * (26 * 1024 * 1024), "to.csv")).status_code == 413
    async with stage.running.tx() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM import"))).scalar_one() == before


async def test_another_communes_staff_sees_nothing_of_it(stage: Stage) -> None:
    made = await preview(stage, (await stage.new_village(), 81, 100))
    for who in (bearer(("officer", "30/298/11077")), bearer(("viewer", "30/298/11074"))):
        for address in ("", "/faults", "/values", "/kept", "/progress"):
            answer = await stage.client.get(f"{API}/imports/{made['id']}{address}", headers=who)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_import")
        for address in ("apply", "undo"):
            answer = await stage.client.post(f"{API}/imports/{made['id']}/{address}", json={"mode": "all"}, headers=who)
            assert answer.status_code == 404
        assert (await stage.client.get(f"{API}/imports", params={"unit": "11074"}, headers=who)).status_code == 403
    assert (await stage.client.get(f"{API}/imports/{made['id']}")).status_code == 401
