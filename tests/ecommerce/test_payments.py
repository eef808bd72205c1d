"""Charges of a month, the bank's notices of them, and what is told of who paid online."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from xaso.identity.v1 import events_pb2 as identity

from chassis.auth import Grant, Principal
from chassis.db import audit_table, outbox_table
from chassis.errors import Forbidden, Invalid
from chassis.units import today
from services.ecommerce.payments import queries, settling
from services.ecommerce.payments.model import BankNotice, ChargeNotOpen, NoticePlaced
from services.ecommerce.payments.settling import Incoming, codes_in, take_statement, unclear
from tests.ecommerce.conftest import AN, DUNG, FAR, FOREIGN, HOME, Shop, ok, refused
from tests.ecommerce.paying import ACCOUNT, BIN, DUE, PERIOD, bank, charged, hear, household, money, payee, told
from tests.ecommerce.test_events import unit_message
from tests.support.running import bearer, commune, village
from tests.support.waiting import eventually

YEAR = today().year
CLERK = Principal("acc-officer", "", "person", (Grant("officer", HOME.code, HOME.path),))
VIEWER = Principal("acc-viewer", "", "person", (Grant("viewer", HOME.code, HOME.path),))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def households(shop: Shop) -> dict[str, str]:
    """Twelve households of a village, by number, and one of another village."""
    made = {f"{number:03d}": await household(shop, DUNG, f"{number:03d}") for number in range(1, 13)}
    return made | {"an": await household(shop, AN, "001")}


@pytest_asyncio.fixture(loop_scope="session")
async def collector(shop: Shop, households: dict[str, str]) -> AsyncIterator[str]:
    """A payee of its own, with an account of its own."""
    yield await payee(shop, HOME, account=uuid.uuid4().hex[:16])


async def account_of(shop: Shop, payee_id: str) -> str:
    listed = ok(await shop.get(f"/payees?unit={HOME.code}", shop.officer))["items"]
    return str(next(one["account"] for one in listed if one["id"] == payee_id))


async def pay(shop: Shop, payee_id: str, charge: dict[str, Any], amount: int, **changed: Any) -> dict[str, Any]:
    body = money(charge["code"], amount, account=await account_of(shop, payee_id), **changed)
    return dict(ok(await shop.post("/bank-notices", body, bank())))


async def state(shop: Shop, payee_id: str, charge: dict[str, Any]) -> dict[str, Any]:
    listed = ok(await shop.get(f"/payees/{payee_id}/charges?period={charge['period']}", shop.officer))["items"]
    return dict(next(one for one in listed if one["id"] == charge["id"]))


async def test_a_transfer_settles_its_charge_and_the_household_is_told_of(
    shop: Shop, collector: str, households: dict[str, str]
) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "001")])
    # Every household of the commune is told of in a year in which it collects, also those that paid nothing.
    before = [e.payment for e in await told(shop, households["001"])]
    assert [(p.year, p.paid_online, list(p.services), p.unit, p.ended) for p in before] == [
        (YEAR, 0, [], DUNG.code, False)
    ]
    assert (await pay(shop, collector, charge, 30_000))["state"] == "settled"
    seen = await state(shop, collector, charge)
    assert (seen["state"], seen["means"], seen["received"]) == ("paid", "bank", 30_000)
    after = [e.payment for e in await told(shop, households["001"])][-1]
    assert (after.paid_online, list(after.services), after.commune) == (1, ["waste"], HOME.code)
    assert {f.name for f in after.DESCRIPTOR.fields} == {
        "household_id", "unit", "commune", "year", "paid_online", "services", "ended",
    }  # fmt: skip


async def test_a_repeated_notice_gets_the_same_answer_and_changes_nothing(shop: Shop, collector: str) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "001")])
    body = money(charge["code"], account=await account_of(shop, collector))
    first = ok(await shop.post("/bank-notices", body, bank()))
    again = await asyncio.gather(*(shop.post("/bank-notices", body, bank()) for _ in range(4)))
    assert [ok(one) for one in again] == [first] * 4
    assert (await state(shop, collector, charge))["received"] == 30_000
    # The same transaction with another content is a mistake of the bank's program, and is told so.
    refused(await shop.post("/bank-notices", {**body, "amount": 31_000}, bank()), 409, "notice_differs")


async def test_of_two_transfers_at_once_one_settles_and_the_other_is_double(shop: Shop, collector: str) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "001")])
    answers = await asyncio.gather(*(pay(shop, collector, charge, 30_000) for _ in range(5)))
    assert sorted(one["state"] for one in answers) == ["double"] * 4 + ["settled"]
    waiting = ok(await shop.get(f"/payees/{collector}/notices?waiting=true", shop.officer))["items"]
    assert [one["state"] for one in waiting] == ["double"] * 4


async def test_short_over_late_and_unknown_money_is_kept_and_named(shop: Shop, collector: str) -> None:
    short, over, late, other = await charged(shop, collector, [(DUNG, f"{n:03d}") for n in (1, 2, 3, 4)])
    assert (await pay(shop, collector, short, 10_000))["state"] == "short"
    assert (await state(shop, collector, short))["state"] == "open"
    assert (await pay(shop, collector, short, 20_000))["state"] == "settled"
    assert (await pay(shop, collector, over, 50_000))["state"] == "over"
    assert (await state(shop, collector, over))["state"] == "paid"
    yesterday = (today() - timedelta(days=1)).isoformat()
    # The due day itself is in time.
    (early,) = await charged(shop, collector, [(DUNG, "005")], due_on=today().isoformat())
    assert (await pay(shop, collector, early, 30_000))["state"] == "settled"
    ok(await shop.post(f"/charges/{late['id']}/cancel", None, shop.officer))
    assert (await pay(shop, collector, late, 30_000))["state"] == "cancelled"
    (late,) = await charged(shop, collector, [(DUNG, "003")], due_on=yesterday)
    assert (await pay(shop, collector, late, 30_000))["state"] == "late"
    assert (await pay(shop, collector, {"code": "TIEN RAC NHA ONG BA"}, 30_000))["state"] == "unknown"
    # The purpose of a charge of another account is not ours.
    elsewhere = await payee(shop, HOME, account=uuid.uuid4().hex[:16])
    assert (await pay(shop, elsewhere, other, 30_000))["state"] == "unknown"
    assert (await state(shop, collector, other))["received"] == 0


async def test_money_given_back_opens_the_charge_again(shop: Shop, collector: str, households: dict[str, str]) -> None:
    (charge,) = await charged(shop, collector, [(AN, "001")])
    kept = await pay(shop, collector, charge, 30_000)
    refund = {"amount": 30_001, "reason": "Thu nhầm hộ"}
    path = f"/bank-notices/{kept['id']}/refund"
    refused(await shop.post(path, refund, shop.officer), 422, field="amount")
    refused(await shop.post(path, {"amount": 1, "reason": ""}, shop.officer), 422, field="reason")
    given = ok(await shop.post(path, {**refund, "amount": 30_000}, shop.officer))
    assert (given["refunded"], given["refund_reason"]) == (30_000, "Thu nhầm hộ")
    refused(await shop.post(path, {**refund, "amount": 30_000}, shop.officer), 409, "already_refunded")
    assert (await state(shop, collector, charge))["state"] == "open"
    payments = [e.payment.paid_online for e in await told(shop, households["an"])]
    assert payments == [0, 1, 0]
    async with shop.running.tx() as tx:
        query = sa.select(audit_table.c.detail).where(
            audit_table.c.action == "notice.refunded", audit_table.c.target == kept["id"]
        )
        # Why stands with the money, not in the records of who did what: a name may stand there.
        assert (await tx.execute(query)).scalar_one() == {"amount": 30_000}
    # The surplus of a charge leaves it paid.
    (charge,) = await charged(shop, collector, [(DUNG, "001")])
    kept = await pay(shop, collector, charge, 40_000)
    ok(await shop.post(f"/bank-notices/{kept['id']}/refund", {"amount": 10_000, "reason": "Nộp thừa"}, shop.officer))
    assert (await state(shop, collector, charge))["state"] == "paid"


async def test_cash_pays_a_charge_and_is_no_online_payment(
    shop: Shop, collector: str, households: dict[str, str]
) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "006")])
    paid = ok(await shop.post(f"/charges/{charge['id']}/cash", None, shop.officer))
    assert (paid["state"], paid["means"]) == ("paid", "cash")
    refused(await shop.post(f"/charges/{charge['id']}/cash", None, shop.officer), 409, "charge_not_open")
    double = await pay(shop, collector, charge, 30_000)
    assert double["state"] == "double"
    assert [e.payment.paid_online for e in await told(shop, households["006"])] == [0]
    # What was never counted towards it goes back without opening it.
    refund = {"amount": 30_000, "reason": "Trả hai lần"}
    ok(await shop.post(f"/bank-notices/{double['id']}/refund", refund, shop.officer))
    seen = await state(shop, collector, charge)
    assert (seen["state"], seen["received"]) == ("paid", 0)
    async with shop.running.tx() as tx:
        done = sa.select(audit_table.c.action).where(audit_table.c.target.in_([collector, charge["id"], double["id"]]))
        actions = set((await tx.execute(done)).scalars())
    assert actions == {"payee.registered", "charges.issued", "charge.paid_cash", "notice.refunded"}


async def test_money_of_last_year_counts_in_that_year_of_vietnam(
    shop: Shop, collector: str, households: dict[str, str]
) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "012")], period=f"{YEAR}-01")
    await pay(shop, collector, charge, 30_000)
    (charge,) = await charged(shop, collector, [(DUNG, "012")], period=f"{YEAR - 1}-12")
    await pay(shop, collector, charge, 30_000, paid_at=f"{YEAR - 1}-12-31T16:59:00Z")
    assert [e.payment.paid_online for e in await told(shop, f"{households['012']}@{YEAR}")] == [0, 1]
    assert [e.payment.paid_online for e in await told(shop, f"{households['012']}@{YEAR - 1}")][-1] == 1
    # The whole commune is told of in that year, too.
    assert await told(shop, f"{households['010']}@{YEAR - 1}") != []


async def test_charges_of_a_month_are_issued_all_or_none(shop: Shop, collector: str) -> None:
    await charged(shop, collector, [(DUNG, "007")])
    wrong = [(DUNG, "008"), (DUNG, "999"), (DUNG, "007"), (DUNG, "008"), (FAR, "001")]
    rows = [{"village": unit.code, "number": number, "amount": 1_000} for unit, number in wrong]
    body = {"period": PERIOD, "due_on": DUE, "charges": rows}
    answer = refused(await shop.post(f"/payees/{collector}/charges", body, shop.officer), 422)
    assert [error["field"] for error in answer["errors"]] == [f"charges.{n}.household" for n in (1, 2, 3, 4)]
    listed = ok(await shop.get(f"/payees/{collector}/charges?period={PERIOD}", shop.officer))
    assert [one["number"] for one in listed["items"]] == ["007"]
    # Two lists at once: nobody is charged twice.
    both = await asyncio.gather(
        *(shop.post(f"/payees/{collector}/charges", {**body, "charges": rows[:1]}, shop.officer) for _ in range(2))
    )
    assert sorted(one.status_code for one in both) == [201, 422]
    ok(await shop.client.patch(f"/ecommerce/api/v1/payees/{collector}", json={"active": False}, headers=shop.officer))
    stopped = await shop.post(f"/payees/{collector}/charges", {**body, "charges": rows[:1]}, shop.officer)
    refused(stopped, 409, "payee_not_active")


async def test_a_list_of_charges_goes_on_by_village_and_number(shop: Shop, collector: str) -> None:
    await charged(shop, collector, [(AN, "001"), (DUNG, "002"), (DUNG, "001"), (DUNG, "010")])
    seen, after = [], ""
    for _ in range(4):
        page = ok(await shop.get(f"/payees/{collector}/charges?period={PERIOD}&limit=1{after}", shop.officer))
        seen += [(one["village"], one["number"]) for one in page["items"]]
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert seen == [(DUNG.code, "001"), (DUNG.code, "002"), (DUNG.code, "010"), (AN.code, "001")]
    refused(await shop.get(f"/payees/{collector}/charges?period={PERIOD}&after=WyJhIiwiYiIsImMiXQ", shop.officer), 400)


async def test_only_a_bank_of_the_place_with_its_scope_and_the_staff_say_that_money_came(
    shop: Shop, collector: str
) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "001")])
    body = money(charge["code"], account=await account_of(shop, collector))
    refused(await shop.post("/bank-notices", body, bank(scope="ecommerce.read")), 403, "scope_missing")
    for elsewhere in (bank(FOREIGN.path), bank("31"), shop.stranger, shop.producer, shop.viewer, shop.resident):
        refused(await shop.post("/bank-notices", body, elsewhere), 404, "unknown_account")
    async with shop.running.tx() as tx:
        count = sa.select(sa.func.count()).where(BankNotice.transaction_id == body["transaction_id"])
        assert await tx.scalar(count) == 0
    assert ok(await shop.post("/bank-notices", body, shop.officer))["state"] == "settled"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": "30000"}, "amount"),
        ({"amount": 10**13}, "amount"),
        ({"bank_bin": "97040"}, "bank_bin"),
        ({"account": "1" * 20}, "account"),
        ({"account": ""}, "account"),
        ({"transaction_id": ""}, "transaction_id"),
        ({"transaction_id": "a\x00"}, "transaction_id"),
        ({"description": "x" * 501}, "description"),
        ({"paid_at": "2026-11-05T08:00:00"}, "paid_at"),
        ({"paid_at": "1999-01-01T00:00:00Z"}, "paid_at"),
        ({"paid_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "paid_at"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_notice_that_cannot_be(shop: Shop, changed: dict[str, Any], field: str) -> None:
    refused(await shop.post("/bank-notices", money("XS12345678") | changed, bank()), 422, field=field)


def test_a_code_is_found_whatever_a_bank_makes_of_its_surroundings() -> None:
    for text in ("XS7K3M9Q2W", "ct den:xs7k3m9q2w-nguoi gui", "IBFT XS7K 3M9Q 2W GD 123", "MBVCB.1.XS7K3M9Q2W.CT tu"):
        assert codes_in(text) == ["XS7K3M9Q2W"]
    assert codes_in("tien rac thang 11") == []
    assert codes_in("") == []
    # A payer's name may look like the beginning of a code, and a hand writes letters for digits.
    assert "XS7K3M9Q2W" in codes_in("MAXSAN10 XS7K3M9Q2W")
    assert codes_in("xs7k3m9qol") == ["XS7K3M9Q01"]


async def test_households_are_kept_as_they_were_last_told(shop: Shop, collector: str) -> None:
    id = await household(shop, AN, "050", sequence=3)
    await household(shop, AN, "049", id=id, sequence=2)
    (charge,) = await charged(shop, collector, [(AN, "050")])
    # It was told of when it came, since the commune collects already.
    assert [e.payment.unit for e in await told(shop, id)] == [AN.code]
    await household(shop, DUNG, "050", id=id, sequence=4)
    await household(shop, DUNG, "050", id=id, sequence=5, ended=True)
    payments = [e.payment for e in await told(shop, id)]
    assert [(p.unit, p.ended) for p in payments] == [(AN.code, False), (DUNG.code, False), (DUNG.code, True)]
    async with shop.running.tx() as tx:
        before = await queries.reach(tx, HOME, YEAR)
    # What it owes can still be paid, but it is no household of the commune any more.
    assert (await pay(shop, collector, charge, 30_000))["state"] == "settled"
    async with shop.running.tx() as tx:
        assert await queries.reach(tx, HOME, YEAR) == before


async def test_a_commune_that_collects_nothing_here_says_nothing_of_its_households(shop: Shop) -> None:
    id = await household(shop, FAR, "001")
    assert await told(shop, id) == []


async def test_no_byte_of_the_events_says_who_paid_how_much_from_where(shop: Shop, collector: str) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "001")], 123_457)
    await pay(shop, collector, charge, 123_457, description=f"NGUYEN VAN BINH {charge['code']} TK 99887766")
    async with shop.running.tx() as tx:
        payloads = (await tx.execute(sa.select(outbox_table.c.payload))).scalars().all()
    sent = b"\n".join(bytes(one) for one in payloads)
    for personal in ("BINH", "99887766", "123457", charge["code"], charge["page_url"][-12:], ACCOUNT):
        assert personal.encode() not in sent


async def test_a_commune_that_goes_over_whole_takes_its_payees_and_households_along(shop: Shop) -> None:
    old, new = commune("11090", "Xã Cũ"), commune("11091", "Xã Mới", "31", "31")
    before = village(old, 1, "Thôn Đông")
    after = replace(before, parent=new.code, path=f"{new.path}/{before.code}", valid_from=today())
    await shop.running.enter_units(old, new, before)
    id = await household(shop, before, "001")
    clerk, heir = bearer(("officer", old.path)), bearer(("officer", new.path))
    collector = await payee(shop, old, who=clerk, account="77770001")
    body = {"period": PERIOD, "due_on": DUE, "charges": [{"village": before.code, "number": "001", "amount": 5_000}]}
    (charge,) = ok(await shop.post(f"/payees/{collector}/charges", body, clerk), 201)["items"]
    refused(await shop.get(f"/payees/{collector}/charges?period={PERIOD}", heir), 404)
    succeeded = identity.UnitSucceeded(
        predecessor=unit_message(old), successor=unit_message(new), successors_of_predecessor=1
    )
    ended = replace(before, valid_to=today())
    for number, message in enumerate(
        (succeeded, identity.UnitEnded(unit=unit_message(ended)), identity.UnitEntered(unit=unit_message(after))), 1
    ):
        await hear(shop, message, before.code, number)
    assert [e.payment.commune for e in await told(shop, id)] == [old.code, new.code]
    assert ok(await shop.get(f"/payees?unit={new.code}", heir))["items"][0]["id"] == collector
    refused(await shop.get(f"/payees/{collector}/charges?period={PERIOD}", clerk), 404)
    paid = money(charge["code"], 5_000, account="77770001")
    assert ok(await shop.post("/bank-notices", paid, bank(new.path)))["state"] == "settled"
    last = (await told(shop, id))[-1].payment
    assert (last.commune, last.paid_online) == (new.code, 1)


async def test_a_mended_account_is_the_one_that_is_paid_to(shop: Shop, collector: str) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "001")])
    path = f"/ecommerce/api/v1/payees/{collector}"
    refused(await shop.client.patch(path, json={"account": "đ"}, headers=shop.officer), 422, field="account")
    refused(await shop.client.patch(path, json={"account": "88880001"}, headers=shop.viewer), 403)
    ok(await shop.client.patch(path, json={"account": "8888 0001"}, headers=shop.officer))
    async with shop.running.tx() as tx:
        query = sa.select(audit_table.c.detail).where(
            audit_table.c.action == "payee.changed", audit_table.c.target == collector
        )
        assert (await tx.execute(query)).scalars().all() == [{"changed": ["account"]}]
    assert await account_of(shop, collector) == "88880001"
    assert (await pay(shop, collector, charge, 30_000))["state"] == "settled"


async def test_what_else_a_business_takes_in_is_not_kept(shop: Shop) -> None:
    body = {"unit": DUNG.code, "name": "Quán phở", "registration": "0807777777"}
    body |= {"bank_bin": "970405", "account": "99990001", "holder": "PHAM VAN PHO"}
    made = ok(await shop.post("/businesses", body, shop.officer), 201)
    other = money("hai bat pho", 80_000, account="99990001")
    refused(await shop.post("/bank-notices", other, bank()), 404, "unknown_account")
    test = money(made["code"], 1_000, account="99990001")
    # Staff have evidence to write down; only the bank's own word proves VietQR.
    refused(await shop.post("/bank-notices", test, shop.officer), 404, "unknown_account")
    assert ok(await shop.post("/bank-notices", test, bank()))["state"] == "test"
    states = [e.business.online_payment for e in await told(shop, made["id"])]
    assert states == [False, True]
    async with shop.running.tx() as tx:
        count = sa.select(sa.func.count()).where(BankNotice.account == "99990001")
        assert await tx.scalar(count) == 1


async def test_what_is_left_out_of_a_business_stays(shop: Shop) -> None:
    made = ok(await shop.post("/businesses", {"unit": DUNG.code, "name": "Quán", "registration": "0806666666"},
                              shop.officer), 201)  # fmt: skip

    async def change(**body: Any) -> Any:
        path = f"/ecommerce/api/v1/businesses/{made['id']}"
        return await shop.client.patch(path, json=body, headers=shop.officer)

    refused(await change(online_since="2026-05-01"), 422, field="evidence")
    assert ok(await change(online_since="2026-05-01", evidence="Biên bản 12"))["means"] == "documented"
    assert ok(await change())["online_since"] == "2026-05-01"
    assert ok(await change(online_since=None))["means"] is None
    both = await asyncio.gather(change(ended=True), change(ended=True))
    assert sorted(one.status_code for one in both) == [200, 409]


async def test_a_test_payment_changes_nothing_of_what_was_known_or_has_ended(shop: Shop) -> None:
    at = {"unit": DUNG.code, "name": "Quán", "bank_bin": BIN, "account": "99990009", "holder": "QUAN"}
    one, two = [
        ok(await shop.post("/businesses", {**at, "registration": f"080444444{n}"}, shop.officer), 201) for n in (1, 2)
    ]
    proof = {"online_since": "2026-05-01", "evidence": "Biên bản 12"}
    for made, body in ((one, proof), (two, {"ended": True})):
        ok(await shop.client.patch(f"/ecommerce/api/v1/businesses/{made['id']}", json=body, headers=shop.officer))
        test = money(made["code"], 1_000, account="99990009")
        assert ok(await shop.post("/bank-notices", test, bank()))["state"] == "test"
    listed = ok(await shop.get(f"/businesses?unit={HOME.code}", shop.officer))["items"]
    seen = {row["id"]: (row["means"], row["online_since"]) for row in listed}
    assert (seen[one["id"]], seen[two["id"]]) == (("documented", "2026-05-01"), (None, None))


async def test_one_account_of_several_payees_pays_the_charge_that_is_named(shop: Shop, collector: str) -> None:
    account = await account_of(shop, collector)
    water = await payee(shop, HOME, service="water", account=account)
    far = await payee(shop, FOREIGN, account=account, who=shop.stranger)
    await household(shop, FAR, "077")
    (ours,) = await charged(shop, water, [(DUNG, "001")])
    body = {"period": PERIOD, "due_on": DUE, "charges": [{"village": FAR.code, "number": "077", "amount": 30_000}]}
    (theirs,) = ok(await shop.post(f"/payees/{far}/charges", body, shop.stranger), 201)["items"]
    rows = [
        Incoming(BIN, account, f"T{number}", 30_000, charge["code"], datetime.now(UTC))
        for number, charge in enumerate((ours, theirs))
    ]
    async with shop.running.tx() as tx:
        me = CLERK
        with pytest.raises(Forbidden):
            await take_statement(tx, VIEWER, uuid.UUID(collector), rows)
        assert await unclear(tx, me, await queries.payee(tx, me, uuid.UUID(collector)), rows) == 1
        kept = await take_statement(tx, me, uuid.UUID(collector), rows)
    assert [one.state for one in kept] == ["settled", "unknown"]
    # What an officer may not see is settled once those say it who may; and once only.
    body = money(theirs["code"], account=account, transaction_id="T1")
    for _ in range(2):
        assert ok(await shop.post("/bank-notices", body, bank()))["state"] == "settled"
    listed = ok(await shop.get(f"/payees/{far}/charges?period={PERIOD}", shop.stranger))["items"]
    assert [(one["state"], one["received"]) for one in listed] == [("paid", 30_000)]


async def test_money_to_the_account_of_before_waits_until_staff_place_it(
    shop: Shop, collector: str, households: dict[str, str]
) -> None:
    (charge,) = await charged(shop, collector, [(DUNG, "011")])
    (other,) = await charged(shop, collector, [(DUNG, "001")], 10_000)
    old = money(charge["code"], account=await account_of(shop, collector))
    path = f"/ecommerce/api/v1/payees/{collector}"
    ok(await shop.client.patch(path, json={"account": uuid.uuid4().hex[:16]}, headers=shop.officer))
    assert (await shop.post("/bank-notices", old, bank(FOREIGN.path))).status_code == 404
    kept = ok(await shop.post("/bank-notices", old, bank()))
    assert (kept["state"], kept["charge"]) == ("unknown", None)
    waiting = ok(await shop.get(f"/payees/{collector}/notices?waiting=true", shop.officer))["items"]
    assert [one["id"] for one in waiting] == [kept["id"]]

    async def place(code: str) -> str:
        async with shop.running.tx() as tx:
            return (await settling.place(tx, CLERK, uuid.UUID(kept["id"]), code)).state

    far = await payee(shop, FOREIGN, account=uuid.uuid4().hex[:16], who=shop.stranger)
    await household(shop, FAR, "078")
    body = {"period": PERIOD, "due_on": DUE, "charges": [{"village": FAR.code, "number": "078", "amount": 30_000}]}
    (theirs,) = ok(await shop.post(f"/payees/{far}/charges", body, shop.stranger), 201)["items"]
    for wrong in ("", "XS00000000", theirs["code"]):
        with pytest.raises(Invalid):
            await place(wrong)
    ok(await shop.post(f"/charges/{other['id']}/cash", None, shop.officer))
    with pytest.raises(ChargeNotOpen):
        await place(other["code"])
    assert await place(charge["code"].lower()) == "settled"
    assert [e.payment.paid_online for e in await told(shop, households["011"])][-1] == 1
    with pytest.raises((ChargeNotOpen, NoticePlaced)):
        await place(charge["code"])
    # Given back, it is owed again.
    refund = {"amount": 30_000, "reason": "Nhầm hộ"}
    ok(await shop.post(f"/bank-notices/{kept['id']}/refund", refund, shop.officer))
    assert (await state(shop, collector, charge))["state"] == "open"
    with pytest.raises(NoticePlaced):
        await place(charge["code"])


async def test_placing_money_while_the_bank_tells_of_it_again_counts_it_once(shop: Shop, collector: str) -> None:
    named, other = await charged(shop, collector, [(DUNG, "001"), (DUNG, "002")])
    account = await account_of(shop, collector)
    path = f"/ecommerce/api/v1/payees/{collector}"
    ok(await shop.client.patch(path, json={"account": uuid.uuid4().hex[:16]}, headers=shop.officer))
    body = money(named["code"], account=account)
    kept = ok(await shop.post("/bank-notices", body, bank()))
    ok(await shop.client.patch(path, json={"account": account}, headers=shop.officer))

    async def waits() -> bool:
        here = "datname = current_database() AND wait_event_type = 'Lock'"
        async with shop.running.tx() as look:
            return bool(await look.scalar(sa.text(f"SELECT count(*) FROM pg_stat_activity WHERE {here}")))

    async with shop.running.tx() as tx:
        await settling.place(tx, CLERK, uuid.UUID(kept["id"]), other["code"])
        again = asyncio.create_task(shop.post("/bank-notices", body, bank()))
        await eventually(waits)
    assert ok(await again)["charge"] == other["id"]
    assert [(await state(shop, collector, one))["received"] for one in (named, other)] == [0, 30_000]


async def test_a_number_that_a_spreadsheet_shortened_is_the_household_where_it_can_be_one_only(
    shop: Shop, collector: str
) -> None:
    for number in ("061", "62", "062", "063", "0063"):
        await household(shop, AN, number)
    (charge,) = await charged(shop, collector, [(AN, "61")])
    assert charge["number"] == "061"
    assert [one["number"] for one in await charged(shop, collector, [(AN, "062"), (AN, "62")])] == ["062", "62"]
    rows = [{"village": AN.code, "number": number, "amount": 1_000} for number in ("61", "63", "0")]
    body = {"period": PERIOD, "due_on": DUE, "charges": rows}
    answer = refused(await shop.post(f"/payees/{collector}/charges", body, shop.officer), 422)
    assert [error["message"] for error in answer["errors"]] == [
        "Hộ này đã có khoản thu của tháng này.",
        "Không có hộ số 63 ở Thôn An Lao trong sổ hộ của xã.",
        "Không có hộ số 0 ở Thôn An Lao trong sổ hộ của xã.",
    ]


async def test_communes_that_become_one_count_their_households_and_businesses_once(shop: Shop) -> None:
    one, two, new = (commune(f"1108{n}", f"Xã {n}") for n in range(3))
    villages = [village(one), village(two)]
    near = commune(f"{new.code}0", "Xã Gần")
    await shop.running.enter_units(one, two, new, near, *villages)
    await payee(shop, near, who=bearer(("officer", near.path)))
    homes = [await household(shop, at, "001") for at in villages]
    clerks = [bearer(("officer", at.path)) for at in (one, two)]
    collector = await payee(shop, one, who=clerks[0], account="77770002")
    body = {"period": PERIOD, "due_on": DUE, "charges": [{"village": villages[0].code, "number": "001", "amount": 5}]}
    ok(await shop.post(f"/payees/{collector}/charges", body, clerks[0]), 201)
    shops = []
    for at, clerk in zip((one, two), clerks, strict=True):
        body = {"unit": at.code, "name": "Quán phở", "registration": "0805555555"}
        shops.append(ok(await shop.post("/businesses", body, clerk), 201)["id"])
    proof = {"online_since": "2026-05-01", "evidence": "Biên bản 12"}
    path = f"/ecommerce/api/v1/businesses/{shops[1]}"
    ok(await shop.client.patch(path, json=proof, headers=clerks[1]))
    for number, (old, below) in enumerate(zip((one, two), villages, strict=True), 1):
        moved = identity.UnitSucceeded(
            predecessor=unit_message(old), successor=unit_message(new), successors_of_predecessor=1
        )
        await hear(shop, moved, old.code, number)
        after = replace(below, parent=new.code, path=f"{new.path}/{below.code}", valid_from=today())
        await hear(shop, identity.UnitEnded(unit=unit_message(replace(below, valid_to=today()))), below.code, number)
        await hear(shop, identity.UnitEntered(unit=unit_message(after)), below.code, number + 10)
    # The second commune collected nothing; in the new one its households belong to those that are asked.
    listed = ok(await shop.get(f"/payees?unit={new.code}", bearer(("officer", new.path))))["items"]
    assert [row["id"] for row in listed] == [collector]
    last = [(await told(shop, home))[-1].payment for home in homes]
    assert [(told.commune, told.paid_online) for told in last] == [(new.code, 0)] * 2
    states = [(await told(shop, id))[-1].business for id in shops]
    assert [(b.unit, b.commune, b.online_payment, b.ended) for b in states] == [
        (new.code, new.code, False, True),
        (new.code, new.code, True, False),
    ]
