"""A reorganisation applied to a province with people: all or nothing, once, by file and by tool, alone or together."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from chassis import units
from chassis.auth import Grant, Principal
from chassis.db import unit_table
from services.identity import seed
from services.identity.app import service
from services.identity.settings import Settings
from services.identity.units import commands, operator, packages, reading, reorganising, settling
from services.identity.units.changeset import ChangeSet, Link, Refused
from tests.identity.people import CHEAP, SECRETS
from tests.identity.provinces import (
    ADMIN,
    DAY,
    HOUSEHOLDS,
    PLACES,
    UNITS,
    VILLAGES,
    everything,
    hai_duong,
)
from tests.support.running import Running, running, settings_for


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def before(database: Callable[[str], str]) -> AsyncIterator[Running]:
    """Hải Dương on the eve of its reorganisation, with people and villages."""
    settings = settings_for(Settings, database("before"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        for commune, names in VILLAGES.items():
            for name in names:
                made = await run.client.post(UNITS, json={"parent": commune, "name": name}, headers=ADMIN)
                assert made.status_code == 201, made.text
        household = {"unit": "11083-01", "number": "012", "people": 4}
        assert (await run.client.post(HOUSEHOLDS, json=household, headers=ADMIN)).status_code == 201
        yield run


BAD: list[tuple[str, Callable[[ChangeSet], ChangeSet]]] = [
    ("left without a parent: 11086 Xã Hưng Đạo was split", lambda c: replace(c, villages=PLACES[:1])),
    ("there is no unit of this code", lambda c: replace(c, links=(*c.links, Link(0, "99999", "11086", Fraction(1))))),
    ("left without a parent", lambda c: replace(c, links=tuple(k for k in c.links if k.predecessor != "11092"))),
    ("is still to come", lambda c: replace(c, effective_on=units.today() + timedelta(days=1))),
    ("not before the day of the change", lambda c: replace(c, effective_on=date(2019, 12, 1))),
    ("left without a parent: 31", lambda c: replace(c, begins=tuple(u for u in c.begins if u.code != "31"))),
]


@pytest.mark.parametrize(("reason", "spoil"), BAD, ids=[reason for reason, _ in BAD])
async def test_nothing_is_written_of_what_is_refused(
    before: Running, reason: str, spoil: Callable[[ChangeSet], ChangeSet]
) -> None:
    was = await everything(before)
    with pytest.raises(Refused) as refused:
        async with before.tx() as tx:
            await reorganising.apply(tx, spoil(replace(hai_duong(), villages=PLACES)))
    assert reason in str(refused.value)
    assert await everything(before) == was


@pytest.mark.parametrize(
    ("module", "step"),
    [(reorganising, "_row"), (settling, "_listed"), (settling, "_moves"), (reorganising, "succeeded")],
    ids=["links", "roles", "places", "events"],
)
async def test_nothing_is_written_where_it_breaks_off(
    before: Running, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    """Whichever of its steps fails, in the middle of its rows, all that was written before it is gone as well."""
    was = await everything(before)
    real, called = getattr(module, step), 0

    def broken(*given: Any, **more: Any) -> Any:
        nonlocal called
        called += 1
        # The second row of those that make rows; the one call of those that make them all.
        if called > 1 or step in ("_moves", "succeeded"):
            raise OSError("the power went")
        return real(*given, **more)

    monkeypatch.setattr(module, step, broken)
    with pytest.raises(OSError, match="the power went"):
        async with before.tx() as tx:
            await reorganising.apply(tx, replace(hai_duong(), villages=PLACES))
    assert await everything(before) == was


async def test_a_preview_writes_nothing_and_names_the_villages_to_place(
    before: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    was = await everything(before)
    async with before.tx() as tx:
        made, roles = await reorganising.preview(tx, hai_duong())
    assert [o.unit.code for o in made.unsettled if o.what == "village of a split commune"] == ["11086-01", "11086-02"]
    moved = {k.predecessor.code: k.successor.path for k in made.links if k.predecessor.level == "village"}
    assert moved == {"11083-01": "31/11086/11083-01", "11083-02": "31/11086/11083-02"}
    assert len(made.faults) == 2
    # Resident, producer and officer of Đại Sơn go over; its leader, the province's administrator and partner do not.
    assert Counter(g.role for g, _ in roles.carried) == {"resident": 1, "producer": 1, "officer": 1}
    assert Counter(u.grant.role for u in roles.unsettled) == {"leader": 1, "admin": 1, "partner": 1}
    assert await everything(before) == was


async def test_the_tool_imports_previews_and_applies(
    database: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(Settings, database("tool"), **CHEAP)
    async with running(service, settings):
        pass

    def tool(*arguments: str) -> tuple[int, str, str]:
        code = operator.main(arguments, lambda: settings)
        return code, *capsys.readouterr()

    async def run(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(tool, *arguments)

    old, new = tmp_path / "before.yaml", tmp_path / "reorganisation.yaml"
    assert (await run("import", "--province", "30", "--what", "before", "--out", str(old)))[0] == 0
    assert (await run("import", "--province", "30", "--out", str(new)))[0] == 0
    code, out, _ = await run("preview", str(new))
    assert code == 1
    assert "there is no unit of this code" in out
    assert "This is a preview" in out
    assert (await run("apply", str(old)))[0] == 0
    code, out, _ = await run("preview", str(new), "--json")
    said = json.loads(out)
    assert (code, said["faults"], said["counts"]["commune begins"]) == (0, [], 65)
    code, out, _ = await run("apply", str(new))
    assert code == 0
    assert "commune      235 end      65 begin" in out
    code, out, _ = await run("apply", str(new))
    assert (code, "was applied before: nothing was done" in out) == (0, True)
    bad = tmp_path / "bad.yaml"
    bad.write_text(new.read_text(encoding="utf-8").replace("kind: phuong", "kind: làng", 1), encoding="utf-8")
    code, _, told = await run("apply", str(bad))
    assert code == 1
    line = next(n for n, text in enumerate(bad.read_text(encoding="utf-8").splitlines(), 1) if "làng" in text)
    assert f"{bad}: line {line}: units: " in told
    assert "Refused; nothing was written." in told
    assert (await run("import", "--province", "99"))[0] == 1
    assert (await run("preview", str(tmp_path / "none.yaml")))[0] == 1


async def test_the_whole_country_is_loaded_and_reorganised(database: Callable[[str], str]) -> None:
    settings = settings_for(Settings, database("country"), **CHEAP)
    async with running(service, settings) as run:
        await seed.ensure(run.runner.runtime, SECRETS)
        async with run.tx() as tx:
            loaded = await reorganising.apply(tx, packages.founding(None, new=False))
        # Hải Dương was there: it is not entered a second time.
        assert loaded.plan.there == 248
        async with run.tx() as tx:
            await reorganising.apply(tx, packages.reorganisation(None))
        c = unit_table.c
        async with run.tx() as tx:
            standing = await tx.execute(
                sa.select(c.level, sa.func.count()).where(c.valid_to.is_(None)).group_by(c.level)
            )
            assert {row[0]: row[1] for row in standing} == {"province": 34, "commune": 3321}
            ended = await tx.execute(sa.select(c.level, sa.func.count()).where(c.valid_to == DAY).group_by(c.level))
            assert {row[0]: row[1] for row in ended} == {"province": 63, "district": 705, "commune": 10_599}
        found = await run.client.get(UNITS, params={"level": "province", "limit": 200})
        assert len(found.json()["items"]) == 34


async def test_who_enters_a_village_and_a_reorganisation_wait_for_each_other(before: Running) -> None:
    """Else a village could be entered under a commune that is just ending."""
    free = sa.select(sa.func.pg_try_advisory_xact_lock_shared(sa.func.hashtext("order-of-units")))
    alone = sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext("order-of-units")))
    async with before.tx() as tx:
        with pytest.raises(Refused):
            await reorganising.apply(tx, hai_duong())
        async with before.tx() as other:
            assert await other.scalar(free) is False
    async with before.tx() as tx:
        me = Principal("a", "A", "person", (Grant("admin", "30", "30"),), frozenset(), None, "s")
        with pytest.raises(commands.VillageExists):
            await commands.enter_village(tx, me, commands.EnterVillage("11083", "Mỹ Ân", "thon"))
        async with before.tx() as other:
            assert await other.scalar(alone) is False


async def test_a_rename_and_a_move_begin_a_new_generation(before: Running) -> None:
    """One commune gets another name, another goes under another district; nothing else changes."""
    change_set = reading.parse(
        "format: xaso-units/1\nid: names\ntitle: Thử\neffective_on: 2024-12-01\nlegal_basis: Nghị quyết thử\nunits:\n"
        "  - {code: 11092, name: Xã Bình Lãng, level: commune, kind: xa, parent: 298}\n"
        "  - {code: 11095, name: Xã Chí Minh, level: commune, kind: xa, parent: 288, legal_basis: Văn bản riêng}\n"
        "links:\n  - {from: 11092, to: 11092}\n  - {from: 11095, to: 11095}\n"
    )
    async with before.tx() as tx:
        save = await tx.begin_nested()
        done = await reorganising.apply(tx, change_set)
        assert (len(done.plan.ends), len(done.plan.begins), done.plan.counts()["merged"]) == (2, 2, 0)
        assert (await units.get(tx, "11092", date(2024, 11, 30))).name == "Xã Bình Lăng"
        assert (await units.get(tx, "11092", date(2024, 12, 1))).name == "Xã Bình Lãng"
        assert (await units.get(tx, "11095")).path == "30/288/11095"
        assert (await units.get(tx, "11095", date(2024, 11, 30))).path == "30/298/11095"
        told = {link.successor.code: link.legal_basis for link in done.plan.links}
        assert told == {"11092": "Nghị quyết thử", "11095": "Văn bản riêng"}
        await save.rollback()


async def test_neighbours_that_become_one_province_go_in_one_set_or_one_after_the_other(
    database: Callable[[str], str],
) -> None:
    """Hải Phòng keeps its code: where both are loaded, a set of Hải Dương alone would leave two units of one code."""
    settings = settings_for(Settings, database("neighbours"), **CHEAP)
    async with running(service, settings) as run:
        async with run.tx() as tx:
            await reorganising.apply(tx, packages.founding(["30", "31"], new=False))
        with pytest.raises(Refused, match="two units of one code would be valid at once"):
            async with run.tx() as tx:
                await reorganising.apply(tx, packages.reorganisation(["30"]))
        async with run.tx() as tx:
            done = await reorganising.apply(tx, packages.reorganisation(["30", "31"]))
        assert done.plan.counts()["commune begins"] == 114
        assert done.plan.counts()["province begins"] == 1
    # The other way about: Hải Dương first, on a platform that gets Hải Phòng's units of today afterwards.
    settings = settings_for(Settings, database("later"), **CHEAP)
    async with running(service, settings) as run:
        for change_set in (packages.founding(["30"], new=False), packages.reorganisation(["30"])):
            async with run.tx() as tx:
                await reorganising.apply(tx, change_set)
        async with run.tx() as tx:
            done = await reorganising.apply(tx, packages.founding(["31"], new=True))
        assert (done.plan.there, len(done.plan.begins)) == (66, 115 - 66)
