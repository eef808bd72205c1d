"""What `ComplianceChanged` tells at every level: each turn once, in order, from what was told before to what holds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from xaso.ecommerce.v1 import events_pb2 as ecommerce
from xaso.identity.v1 import events_pb2 as identity
from xaso.indicators.v1 import events_pb2 as indicators

from chassis.units import today
from services.indicators.criteria import library
from tests.indicators.conftest import Stage
from tests.indicators.test_events import speaker
from tests.support.running import bearer

API = "/indicators/api/v1"
ADMIN = bearer(("admin", "30"))
ROUNDS = 30


@dataclass(frozen=True)
class Told:
    """One event as it left."""

    sequence: int
    message: indicators.ComplianceChanged


async def told(stage: Stage) -> dict[str, list[Told]]:
    """Every ComplianceChanged by subject, in the order in which they were written."""
    async with stage.running.tx() as tx:
        rows = await tx.execute(
            text("""
                SELECT subject, sequence, payload FROM outbox
                WHERE type = 'xaso.indicators.v1.ComplianceChanged' ORDER BY id
            """)
        )
        found: dict[str, list[Told]] = {}
        for row in rows:
            message = indicators.ComplianceChanged.FromString(row.payload)
            found.setdefault(row.subject, []).append(Told(row.sequence, message))
    return found


async def play(stage: Stage, seed: int) -> None:
    """Loudspeakers, products and teams of three villages come and go, in batches, with roll-ups between them."""
    chance = random.Random(seed)
    villages = [await stage.new_village() for _ in range(3)]
    for _ in range(ROUNDS):
        batch: dict[str, Any] = {}
        for unit in chance.sample(villages, chance.randint(1, 3)):
            kind = chance.choice(("speaker", "product", "team"))
            id = f"{kind}-{unit.code}"
            if kind == "speaker":
                batch[id] = speaker(unit, chance.choice(("ready", "lost")), id=id)
            elif kind == "product":
                state = ecommerce.Product(id=id, unit=unit.code, key_product=True, status="published", ocop_stars=4)
                state.live_listings = chance.randint(0, 1)
                state.listings.add(id="l", channel="postmart", live=state.live_listings > 0)
                batch[id] = ecommerce.ProductChanged(product=state)
            else:
                team = identity.DigitalTeam(id=id, unit=unit.code)
                team.activities_by_year[today().year] = chance.randint(0, 2)
                batch[id] = identity.DigitalTeamActivityLogged(team=team)
        await stage.tell(*(stage.event(message, id) for id, message in batch.items()))
        if chance.random() < 0.5:
            await stage.settle()
    await stage.settle()


async def suspended(stage: Stage) -> None:
    """A row rests for the whole district and is judged again."""
    order = {"unit": "298", "set": "hd-288-2023", "item": "288.2", "reason": "Thay loa", "document": "5/TB-UBND"}
    made = await stage.client.post(f"{API}/suspensions", json=order, headers=ADMIN)
    assert made.status_code == 201, made.text
    await stage.settle()
    lifted = await stage.client.post(f"{API}/suspensions/{made.json()['id']}/lift", headers=ADMIN)
    assert lifted.status_code == 200, lifted.text
    await stage.settle()


async def test_every_turn_is_told_once_in_order_from_what_was_told_before(stage: Stage) -> None:
    await play(stage, 7)
    await suspended(stage)
    await play(stage, 8)
    chains = await told(stage)
    levels = {level_of(chain[0].message.unit) for chain in chains.values()}
    assert levels == {"village", "commune", "district", "province"}
    longest = dict.fromkeys(levels, 0)
    for subject, chain in chains.items():
        assert [one.sequence for one in chain] == list(range(1, len(chain) + 1)), subject
        key, set_code, item = subject.split("/", 2)
        before = "no_data"
        for one in chain:
            assert one.message.unit == key.partition("@")[0]
            assert (one.message.set, one.message.item) == (set_code, item)
            assert one.message.before == before, (subject, one.sequence)
            before = one.message.after
        level = level_of(chain[0].message.unit)
        longest[level] = max(longest[level], len(chain))
    assert min(longest.values()) > 3, longest
    assert "suspended" in {one.message.after for chain in chains.values() for one in chain}


async def test_the_last_word_is_what_the_sheets_say(stage: Stage) -> None:
    await play(stage, 9)
    chains = await told(stage)
    last: dict[tuple[str, str], dict[str, str]] = {}
    for chain in chains.values():
        newest = chain[-1].message
        last.setdefault((newest.unit, newest.set), {})[newest.item] = newest.after
    looked_at = 0
    for (unit, set_code), items in last.items():
        answer = await stage.client.get(f"{API}/units/{unit}/sets/{set_code}")
        assert answer.status_code == 200, answer.text
        shown = {item["code"]: item["status"] for item in answer.json()["items"]}
        assert {code: shown[code] for code in items} == items, (unit, set_code)
        # What was never told of has never turned.
        assert {status for code, status in shown.items() if code not in items} <= {"no_data"}, (unit, set_code)
        looked_at += len(items)
    assert looked_at > 50


async def test_the_log_and_the_events_are_the_same_turns(stage: Stage) -> None:
    """Who reads Kafka and who reads the server-sent events learn the same, in the same order for each row."""
    await play(stage, 10)
    async with stage.running.tx() as tx:
        rows = await tx.execute(
            text("""
                SELECT unit || '/' || set_code || '/' || item_code AS subject, before, after, cause, flag, numerator,
                    denominator
                FROM change ORDER BY id
            """)
        )
        logged: dict[str, list[tuple[str, str, str, Any]]] = {}
        for row in rows:
            figure = (row.flag, row.numerator, row.denominator)
            logged.setdefault(row.subject, []).append((row.before, row.after, row.cause, figure))
    sent = {
        subject: [
            (one.message.before, one.message.after, one.message.because, figure_told(one.message)) for one in chain
        ]
        for subject, chain in (await told(stage)).items()
    }
    assert sent == logged
    assert any(one.before == one.after for chain in (await told(stage)).values() for one in [c.message for c in chain])


def figure_told(message: indicators.ComplianceChanged) -> tuple[bool | None, int | None, int | None]:
    """The value of an event as the log keeps it: a flag, or numerator and denominator."""
    value = message.value
    match value.WhichOneof("value"):
        case "flag":
            return value.flag, None, None
        case "ratio":
            return None, value.ratio.numerator, value.ratio.denominator
        case "count":
            return None, value.count, None
    return None, None, None


def level_of(code: str) -> str:
    return {2: "province", 3: "district", 5: "commune"}.get(len(code), "village")


def test_levels_are_told_by_the_codes_of_this_stage() -> None:
    assert [level_of(code) for code in ("30", "298", "11074", "11074-01")] == [
        "province", "district", "commune", "village",
    ]  # fmt: skip
    assert library.catalogue().sets["hd-288-2023"].level == "village"
