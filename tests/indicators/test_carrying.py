"""What becomes of figures when units merge, split or go on: exactly once, in any order, and what people must settle."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from xaso.identity.v1 import events_pb2 as identity

from chassis.consumer import Event
from chassis.units import VIETNAM, Unit
from services.indicators.calculation.engine import Fact
from services.indicators.criteria import library
from services.indicators.criteria.figures import Ratio
from services.indicators.reorganisation import carrying, lateness
from services.indicators.reorganisation.lateness import Lateness
from tests.indicators.conftest import Stage, entered
from tests.indicators.inquiring import API, of_entity, record, said
from tests.indicators.test_events import camera
from tests.support.running import bearer

TURN = date(2025, 7, 1)
_numbers = itertools.count(500)
STAFF = {"origin": "staff", "source": "staff.x"}


def old(name: str, code: str | None = None, level: str = "commune") -> Unit:
    code = code or f"12{next(_numbers)}"
    return Unit(code, name, level, "xa", "298", f"30/298/{code}", date(2020, 1, 1), TURN)


def new(name: str, code: str | None = None) -> Unit:
    code = code or f"12{next(_numbers)}"
    return Unit(code, name, "commune", "xa", "298", f"30/298/{code}", TURN)


def described(unit: Unit) -> identity.Unit:
    return entered(unit).unit


def succeeded(
    links: list[tuple[Unit, Unit, str | None]], named: dict[tuple[str, str], dict[str, str]] | None = None
) -> list[Any]:
    """The events of one change set; a link is predecessor, successor, share ("1/1", None: not said)."""
    change_set = f"sap-xep-{next(_numbers)}"
    found = []
    for before, after, share in links:
        message = identity.UnitSucceeded(
            change_set=change_set,
            effective_on=TURN.isoformat(),
            predecessor=described(before),
            successor=described(after),
            legal_basis="Nghị quyết 1669/NQ-UBTVQH15",
            successors_of_predecessor=sum(one[0] == before for one in links),
            predecessors_of_successor=sum(one[1] == after for one in links),
        )
        if share:
            top, bottom = share.split("/")
            message.share.numerator, message.share.denominator = int(top), int(bottom)
        for name, part in (named or {}).get((before.code, after.code), {}).items():
            one = message.named_shares.add(name=name)
            one.share.numerator, one.share.denominator = map(int, part.split("/"))
        found.append(message)
    return found


def as_event(stage: Stage, message: identity.UnitSucceeded) -> Event[Any]:
    subject = (
        f"{message.predecessor.code}@{message.predecessor.valid_from}>{message.successor.code}@{message.change_set}"
    )
    return stage.event(message, subject, sequence=1)


def before_turn(**delta: float) -> datetime:
    return datetime(2025, 7, 1, tzinfo=VIETNAM) - timedelta(**(delta or {"days": 10}))


async def figure(stage: Stage, unit: Unit, measure: str) -> Any:
    """The carried fact of a unit: its value as stored, or None."""
    async with stage.running.tx() as tx:
        row = (
            await tx.execute(
                text(
                    "SELECT state, numerator, denominator FROM fact WHERE unit = :unit AND attribute = :measure"
                    " AND source = 'succession' AND NOT withdrawn"
                ),
                {"unit": f"{unit.code}@{unit.valid_from}", "measure": measure},
            )
        ).first()
    if row is None:
        return None
    return row.state or (Ratio(row.numerator, row.denominator) if row.denominator is not None else row.numerator)


async def asked(stage: Stage, unit: Unit) -> dict[str, Any]:
    """The open settlements of a unit by measure."""
    response = await stage.client.get(
        f"{API}/settlements", params={"unit": unit.code, "limit": "200"}, headers=bearer(("officer", unit.path))
    )
    assert response.status_code == 200, response.text
    return {one["measure"]: one for one in response.json()["items"]}


async def enter(stage: Stage, *units: Unit) -> None:
    await stage.tell(*(stage.event(entered(unit), f"unit/{unit.code}@{unit.valid_from}") for unit in units))


SUBSCRIBERS = "commune.smartphone_subscribers"


async def test_figures_of_merged_communes_add_up_and_evidence_must_be_renewed(stage: Stage) -> None:
    a, b, heir = old("Xã A"), old("Xã B"), new("Xã AB")
    await enter(stage, a, b)
    await record(
        stage,
        said(a, SUBSCRIBERS, Ratio(80, 100), at=before_turn()),
        said(b, SUBSCRIBERS, Ratio(30, 60), at=before_turn()),
        said(a, "commune.telecom_standard", True, at=before_turn()),
    )
    await stage.tell(*(as_event(stage, one) for one in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    assert await figure(stage, heir, SUBSCRIBERS) == Ratio(110, 160)
    row = (await stage.client.get(f"{API}/units/{heir.code}/sets/mard-2023-eligible-smart")).json()["items"][4]
    assert (row["code"], row["value"]) == ("c5", {"numerator": 110, "denominator": 160})
    assert row["because"].startswith("succession:sap-xep-")
    assert a.code in row["because"]
    assert b.code in row["because"]
    tree = await stage.client.get(
        f"{API}/units/{heir.code}/sets/mard-2023-eligible-smart/items/c5/reasons",
        headers=bearer(("officer", heir.path)),
    )
    assert '"kind":"succession"' in tree.text
    waiting = await asked(stage, heir)
    assert {code: one["reason"] for code, one in waiting.items()} == {"commune.telecom_standard": "renew"}
    assert await figure(stage, heir, "commune.telecom_standard") is None
    before = await stage.client.get(
        f"{API}/units/{a.code}/sets/mard-2023-eligible-smart", params={"as_of": "2025-06-30"}
    )
    assert before.json()["items"][4]["value"] == {"numerator": 80, "denominator": 100}
    assert (await stage.client.get(f"{API}/units/{a.code}/sets/mard-2023-eligible-smart")).status_code == 404


async def test_numbers_that_are_no_sum_of_things_are_given_anew(stage: Stage) -> None:
    """Two post offices open for two hours each do not make one that is open for four."""
    a, b, c, heir = old("Xã E"), old("Xã F"), old("Xã G"), new("Xã EFG")
    await enter(stage, a, b, c)
    for unit, minutes, services in ((a, 120, 80), (b, 120, 80), (c, 120, 90)):
        await record(
            stage,
            said(unit, "commune.post_opening_minutes", minutes, at=before_turn(), **STAFF),
            said(unit, "commune.services_level4", Ratio(services, 100), at=before_turn()),
            said(unit, "commune.results_digitised", Ratio(15, 100), at=before_turn()),
        )
    await stage.tell(*(as_event(stage, one) for one in succeeded([(u, heir, "1/1") for u in (a, b, c)])))
    waiting = await asked(stage, heir)
    assert {code: (one["reason"], one["proposal"]) for code, one in waiting.items()} == {
        "commune.post_opening_minutes": ("renew", {"count": 120}),
        "commune.services_level4": ("renew", None),
        "commune.results_digitised": ("renew", {"numerator": 15, "denominator": 100}),
    }
    assert [await figure(stage, heir, measure) for measure in waiting] == [None, None, None]


async def test_a_split_unit_parts_its_figures_by_the_named_share_in_whole_numbers(stage: Stage) -> None:
    whole, one, two, three = old("Xã Lớn"), new("Xã Một"), new("Xã Hai"), new("Xã Ba")
    await enter(stage, whole)
    await record(
        stage,
        said(whole, SUBSCRIBERS, Ratio(5, 10), at=before_turn()),
        said(whole, "commune.officials_smartphone", Ratio(7, 7), at=before_turn(), **STAFF),
    )
    named = {
        (whole.code, two.code): {"population": "1/3"},
        (whole.code, one.code): {"population": "1/3"},
        (whole.code, three.code): {"population": "1/3"},
    }
    events = succeeded([(whole, one, "1/2"), (whole, two, "1/4"), (whole, three, "1/4")], named)
    await stage.tell(as_event(stage, events[0]), as_event(stage, events[1]))
    assert await figure(stage, one, SUBSCRIBERS) is None
    await stage.tell(as_event(stage, events[2]))
    parts = [await figure(stage, unit, SUBSCRIBERS) for unit in (one, two, three)]
    assert (sum(p.numerator for p in parts), sum(p.denominator for p in parts)) == (5, 10)
    assert sorted(p.denominator for p in parts) == [3, 3, 4]
    assert all(p.numerator <= p.denominator for p in parts)
    # Officials are not spread like people: somebody says who went where, with a proposal to begin with.
    waiting = (await asked(stage, one))["commune.officials_smartphone"]
    assert (waiting["reason"], waiting["proposal"]) == ("not_shared", {"numerator": 3, "denominator": 3})
    assert waiting["parts"] == [
        {"unit": f"{whole.code}@2020-01-01", "figure": {"numerator": 7, "denominator": 7}, "share": "1/2",
         "given": {"numerator": 3, "denominator": 3}, "trouble": "not_shared"}
    ]  # fmt: skip


async def test_without_a_share_nothing_is_carried_and_people_are_asked(stage: Stage) -> None:
    whole, one, two = old("Xã Chia"), new("Xã Đông"), new("Xã Tây")
    await enter(stage, whole)
    await record(stage, said(whole, SUBSCRIBERS, Ratio(5, 10), at=before_turn()))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(whole, one, None), (whole, two, None)])))
    for unit in (one, two):
        assert await figure(stage, unit, SUBSCRIBERS) is None
        found = (await asked(stage, unit))[SUBSCRIBERS]
        assert (found["reason"], found["proposal"]) == ("no_share", None)


async def test_shares_that_do_not_make_the_whole_are_no_shares(stage: Stage) -> None:
    whole, one, two = old("Xã Thiếu"), new("Xã Ba Phần"), new("Xã Phần Ba")
    await enter(stage, whole)
    await record(stage, said(whole, SUBSCRIBERS, Ratio(5, 10), at=before_turn()))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(whole, one, "1/3"), (whole, two, "1/3")])))
    for unit in (one, two):
        assert await figure(stage, unit, SUBSCRIBERS) is None
        found = (await asked(stage, unit))[SUBSCRIBERS]
        assert (found["reason"], found["proposal"]) == ("no_share", None)


async def test_a_sum_with_an_unknown_part_is_not_known(stage: Stage) -> None:
    a, b, heir = old("Xã C"), old("Xã D"), new("Xã CD")
    await enter(stage, a, b)
    await record(stage, said(a, SUBSCRIBERS, Ratio(80, 100), at=before_turn()))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    assert await figure(stage, heir, SUBSCRIBERS) is None
    found = (await asked(stage, heir))[SUBSCRIBERS]
    assert (found["reason"], found["proposal"]) == ("unknown", {"numerator": 80, "denominator": 100})


async def test_a_unit_that_goes_on_under_another_frame_keeps_everything(stage: Stage) -> None:
    code = f"11074-{next(_numbers)}"
    before = Unit(code, "Thôn Giữ", "village", "thon", "11074", f"30/298/11074/{code}", date(2020, 1, 1), TURN)
    heir = new("Xã Mới")
    after = Unit(code, "Thôn Giữ", "village", "thon", heir.code, f"{heir.path}/{code}", TURN)
    await enter(stage, before, heir)
    await stage.tell(stage.event(camera(before, f"c-{code}", "main_road"), f"c-{code}", at=before_turn()))
    await record(
        stage,
        said(before, "village.signal_area", Ratio(3, 3), at=before_turn()),
        said(before, "village.smart_loudspeaker", True, at=before_turn(), **STAFF),
        *(of_entity(before, "household.fibre", f"H-{n}", n < 5, at=before_turn()) for n in range(6)),
    )
    (event,) = succeeded([(before, after, "1/1")])
    await stage.tell(as_event(stage, event))
    sheet = {one["code"]: one for one in (await stage.sheet(code))["items"]}
    assert (sheet["288.8"]["status"], sheet["288.2"]["status"]) == ("met", "met")
    assert sheet["288.5"]["value"] == {"numerator": 5, "denominator": 6}
    assert await asked(stage, after) == {}
    past = (await stage.client.get(f"{API}/units/{code}/sets/hd-288-2023", params={"as_of": "2025-06-30"})).json()
    assert {one["code"]: one["value"] for one in past["items"]}["288.5"] == {"numerator": 5, "denominator": 6}
    since = (await stage.client.get(f"{API}/units/{code}/sets/hd-288-2023", params={"as_of": "2025-07-01"})).json()
    assert {one["code"]: one["value"] for one in since["items"]}["288.5"] == {"numerator": 5, "denominator": 6}
    # What is said of a camera late, or of a household afterwards, counts for the unit of today, once.
    await stage.tell(stage.event(camera(before, f"c-{code}", "public_place"), f"c-{code}", at=before_turn(days=1)))
    await record(stage, of_entity(after, "household.fibre", "H-5", True, at=datetime.now(UTC)))
    reasons = await stage.client.get(
        f"{API}/units/{code}/sets/hd-288-2023/items/288.4/explanation", headers=bearer(("officer", heir.path))
    )
    assert [one["value"] for one in reasons.json()["facts"]] == [{"state": "public_place"}]
    assert (await stage.item(code, "288.5"))["value"] == {"numerator": 6, "denominator": 6}
    async with stage.running.tx() as tx:
        asked_for = {"unit": f"{code}@%"}
        heaps = text(
            "SELECT unit, attribute, state, sum(count) FROM tally WHERE unit LIKE :unit AND count <> 0 GROUP BY 1, 2, 3"
        )
        facts = text(
            "SELECT unit, attribute, state, count(*) FROM fact WHERE unit LIKE :unit AND state IS NOT NULL"
            " AND attribute IN ('household.fibre', 'camera.watch') AND NOT withdrawn GROUP BY 1, 2, 3"
        )
        assert set(await tx.execute(heaps, asked_for)) == set(await tx.execute(facts, asked_for))
        assert {row.unit for row in await tx.execute(heaps, asked_for)} == {f"{code}@2025-07-01"}
    again = (await stage.client.get(f"{API}/units/{code}/sets/hd-288-2023", params={"as_of": "2025-06-30"})).json()
    assert {one["code"]: one["value"] for one in again["items"]}["288.5"] == {"numerator": 5, "denominator": 6}


@pytest.mark.parametrize("at", [datetime(2025, 7, 1, 0, 0, 1, tzinfo=VIETNAM), None], ids=["the same day", "now"])
async def test_a_later_word_of_anybody_wins_over_a_carried_figure(stage: Stage, at: datetime | None) -> None:
    a, b, heir = old("Xã E"), old("Xã G"), new("Xã EG")
    await enter(stage, a, b)
    await record(stage, *(said(u, SUBSCRIBERS, Ratio(50, 100), at=before_turn()) for u in (a, b)))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    assert await figure(stage, heir, SUBSCRIBERS) == Ratio(100, 200)
    await record(stage, said(heir, SUBSCRIBERS, Ratio(170, 200), at=at or datetime.now(UTC), **STAFF))
    row = (await stage.client.get(f"{API}/units/{heir.code}/sets/mard-2023-eligible-smart")).json()["items"][4]
    assert row["value"] == {"numerator": 170, "denominator": 200}


async def test_a_unit_that_only_gives_up_a_part_keeps_its_share(stage: Stage) -> None:
    code = f"12{next(_numbers)}"
    stays = Unit(code, "Xã Còn", "commune", "xa", "298", f"30/298/{code}", date(2020, 1, 1))
    taker = new("Xã Nhận")
    await enter(stage, stays)
    await record(stage, said(stays, SUBSCRIBERS, Ratio(80, 100), at=before_turn(), period="2025"))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(stays, stays, "3/4"), (stays, taker, "1/4")])))
    assert await figure(stage, stays, SUBSCRIBERS) == Ratio(60, 75)
    assert await figure(stage, taker, SUBSCRIBERS) == Ratio(20, 25)
    row = (await stage.client.get(f"{API}/units/{code}/sets/mard-2023-eligible-smart")).json()["items"][4]
    assert row["value"] == {"numerator": 60, "denominator": 75}


def scene() -> tuple[list[Unit], list[Unit], list[Any], list[Fact]]:
    """Two communes merge, a third is split between two successors; figures of each, one of them corrected."""
    a, b, split = old("Xã H"), old("Xã I"), old("Xã K")
    ab, rest = new("Xã HI"), new("Xã KL")
    events = succeeded([(a, ab, "1/1"), (b, ab, "1/1"), (split, ab, "2/5"), (split, rest, "3/5")])
    facts = [
        said(a, SUBSCRIBERS, Ratio(10, 20), at=before_turn(days=30)),
        said(a, SUBSCRIBERS, Ratio(11, 21), at=before_turn(days=3)),
        said(b, SUBSCRIBERS, Ratio(5, 7), at=before_turn(days=5)),
        said(split, SUBSCRIBERS, Ratio(9, 13), at=before_turn(days=9)),
        said(split, "commune.telecom_standard", True, at=before_turn(days=9)),
        said(a, "commune.publication_points", 3, at=before_turn(days=2), **STAFF),
        said(a, SUBSCRIBERS, Ratio(1, 99), at=datetime(2025, 7, 2, tzinfo=VIETNAM)),
    ]
    return [a, b, split], [ab, rest], events, facts


@pytest.mark.parametrize("seed", range(6))
async def test_order_and_repetition_change_nothing(stage: Stage, seed: int) -> None:
    """Descriptions, links and figures shuffled, with duplicates, are what they are in order."""
    outcomes = []
    for shuffled in (False, True):
        olds, heirs, events, facts = scene()
        described_later = [*olds, *heirs]
        steps: list[Any] = (
            [("unit", unit) for unit in described_later] + [("fact", f) for f in facts] + [("link", e) for e in events]
        )
        if shuffled:
            dice = random.Random(seed)
            steps += dice.choices(steps, k=6)
            dice.shuffle(steps)
        for kind, one in steps:
            if kind == "unit":
                await stage.tell(stage.event(entered(one), f"unit/{one.code}@{one.valid_from}", sequence=1))
            elif kind == "fact":
                await record(stage, one)
            else:
                await stage.tell(as_event(stage, one))
        async with stage.running.tx() as tx:
            await carrying.catch_up(tx, library.catalogue(), TURN)
        found = [await figure(stage, heir, SUBSCRIBERS) for heir in heirs]
        waiting = [
            {m: (o["reason"], str(o["proposal"])) for m, o in (await asked(stage, heir)).items()} for heir in heirs
        ]
        points = [await figure(stage, heir, "commune.publication_points") for heir in heirs]
        outcomes.append((found, waiting, points))
    assert outcomes[0] == outcomes[1]
    first, second = outcomes[0][0]
    assert (first.denominator + second.denominator, first.numerator + second.numerator) == (21 + 7 + 13, 11 + 5 + 9)


async def test_a_replay_writes_nothing(stage: Stage) -> None:
    olds, heirs, events, facts = scene()
    await enter(stage, *olds, *heirs)
    await record(stage, *facts)
    await stage.tell(*(as_event(stage, e) for e in events))

    async def rows() -> list[Any]:
        async with stage.running.tx() as tx:
            return [
                (
                    await tx.execute(
                        text(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t")
                    )
                ).one()
                for name in ("fact", "fact_history", "tally", "settlement", "succession", "change", "outbox")
            ]

    before = await rows()
    await stage.tell(*(as_event(stage, e) for e in events))
    assert await rows() == before


async def test_a_late_word_about_a_former_unit_is_carried_too(stage: Stage) -> None:
    a, b, heir = old("Xã M"), old("Xã N"), new("Xã MN")
    await enter(stage, a, b)
    await record(stage, *(said(u, SUBSCRIBERS, Ratio(50, 100), at=before_turn()) for u in (a, b)))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(a, heir, "1/1"), (b, heir, "1/1")])))
    ended = text("SELECT set_code, item_code, status, numerator FROM item WHERE unit = :unit ORDER BY 1, 2")
    async with stage.running.tx() as tx:
        before = (await tx.execute(ended, {"unit": f"{a.code}@{a.valid_from}"})).all()
    await record(stage, said(a, SUBSCRIBERS, Ratio(70, 100), at=before_turn(days=1)))
    async with stage.running.tx() as tx:
        assert await carrying.catch_up(tx, library.catalogue(), TURN) == 1
        # What it was when it ended stays: today nothing is asked of it.
        assert (await tx.execute(ended, {"unit": f"{a.code}@{a.valid_from}"})).all() == before
    assert await figure(stage, heir, SUBSCRIBERS) == Ratio(120, 200)


async def test_late_words_are_found_by_what_was_written_and_only_then(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way they come; in as many transactions as they need."""
    monkeypatch.setattr(lateness, "MOST", 1)
    lives = [(old(f"Xã {n} cũ"), new(f"Xã {n} mới")) for n in range(3)]
    await enter(stage, *(before for before, _ in lives))
    await record(stage, *(said(one, SUBSCRIBERS, Ratio(50, 100), at=before_turn()) for one, _ in lives))
    await stage.tell(*(as_event(stage, e) for e in succeeded([(one, heir, "1/1") for one, heir in lives])))
    watch = Lateness(stage.running.runner.runtime.sessions, library.catalogue)
    # The first look finds what is there; nothing changes by it.
    assert await watch.look() == 0
    late = [said(one, SUBSCRIBERS, Ratio(70, 100), at=before_turn(days=1)) for one, _ in lives[:2]]
    await record(stage, *late)
    assert await watch.look() == 2
    assert [await figure(stage, heir, SUBSCRIBERS) for _, heir in lives] == [
        Ratio(70, 100), Ratio(70, 100), Ratio(50, 100),
    ]  # fmt: skip
    # A word of the time after the change is none about the former unit.
    await record(stage, said(lives[2][0], SUBSCRIBERS, Ratio(90, 100), at=before_turn(days=-30)))
    assert await watch.look() == 0
    carried: list[int] = []
    real = carrying.carry

    async def counted(tx: Any, keys: Any, catalogue: Any) -> int:
        carried.append(len(keys))
        return await real(tx, keys, catalogue)

    monkeypatch.setattr(carrying, "carry", counted)
    assert await watch.look() == 0
    assert carried == []
