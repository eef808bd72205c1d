"""Owns what becomes of money the bank reports: matched with its charge once, kept whatever it is, given back by staff.

Locks are taken in one order, charges by id before notices by transaction before households, so that a statement of
thousands of rows and a bank's own program never wait for each other in a circle.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from chassis import audit
from chassis.auth import STAFF, Principal
from chassis.db import new_id, now
from chassis.errors import Invalid
from chassis.units import VIETNAM
from services.ecommerce.payments import queries, telling
from services.ecommerce.payments.model import (
    ALPHABET,
    CHARGE_MARK,
    COUNTED,
    TEST_MARK,
    AlreadyRefunded,
    BankNotice,
    Business,
    BusinessMeans,
    Charge,
    NoticeDiffers,
    NoticeState,
    Payee,
    UnknownAccount,
)

REPORTERS = ("partner", *STAFF)
"""Who may say that money arrived: the bank's own program, and staff from a statement."""
SCOPE = "ecommerce.notices.write"
"""What a bank's program is given beside its role on the unit."""
SKEW = timedelta(minutes=5)
"""How far a bank's clock may be ahead of ours."""
_BATCH = 1_000
"""Notices written in one statement."""
Owner = TypeVar("Owner", Payee, Business)
_CODE = re.compile(rf"({CHARGE_MARK}|{TEST_MARK})[{ALPHABET}]{{8}}")


@dataclass(frozen=True)
class Incoming:
    """Money that arrived on an account: đồng, and what the payer's bank wrote as its purpose."""

    bank_bin: str
    account: str
    transaction_id: str
    amount: int
    description: str
    paid_at: datetime


def code_in(description: str) -> str:
    """The code of a charge or of a test payment in what a bank wrote, "" without one; banks change case and spaces."""
    found = _CODE.search(re.sub(r"[^0-9A-Z]", "", description.upper()))
    return found[0] if found else ""


async def receive(tx: AsyncSession, me: Principal, incoming: Incoming) -> BankNotice:
    """One notice of a bank's program; a repeated one gets the first answer. Raises UnknownAccount, NoticeDiffers."""
    if me.kind == "partner":
        me.require_scope(SCOPE)
    if incoming.paid_at > now() + SKEW:
        raise Invalid(field="paid_at", message_="Giờ này chưa tới.")
    payees = await _owners(tx, me, Payee, incoming)
    businesses = await _owners(tx, me, Business, incoming)
    # What else comes in on the account of a business is its own affair and is not kept.
    if not payees and code_in(incoming.description) not in {one.code for one in businesses}:
        raise UnknownAccount()
    source = "bank" if me.kind == "partner" else "staff"
    (kept,) = await _take(tx, payees, businesses, [incoming], source)
    return kept


async def take_statement(
    tx: AsyncSession, me: Principal, payee_id: uuid.UUID, rows: Sequence[Incoming]
) -> list[BankNotice]:
    """A statement of a payee's account, all or nothing; rows known before change nothing. Raises NoticeDiffers."""
    payee = await queries.payee(tx, me, payee_id, change=True)
    kept = await _take(tx, [payee], [], rows, "statement")
    await audit.record(tx, me, "statement.taken", str(payee.id), payee.unit, {"rows": len(rows)})
    return kept


async def known(tx: AsyncSession, payee: Payee, rows: Sequence[Incoming]) -> set[str]:
    """The ids of transactions that were reported before."""
    query = sa.select(BankNotice.transaction_id).where(
        BankNotice.bank_bin == payee.bank_bin,
        BankNotice.account == payee.account,
        BankNotice.transaction_id.in_([row.transaction_id for row in rows]),
    )
    return set((await tx.execute(query)).scalars())


async def charges_named(tx: AsyncSession, codes: Collection[str], *, lock: bool = False) -> dict[str, Charge]:
    """The charges with these codes, with their payees."""
    query = sa.select(Charge).where(Charge.code.in_(codes)).order_by(Charge.id)
    if lock:
        await tx.execute(query.with_only_columns(Charge.id).with_for_update())
    whole = query.options(joinedload(Charge.payee)).execution_options(populate_existing=True)
    return {one.code: one for one in (await tx.execute(whole)).scalars()}


async def _owners(tx: AsyncSession, me: Principal, table: type[Owner], incoming: Incoming) -> list[Owner]:
    """Whose account it is, of those that `me` may report to, the oldest first."""
    query = sa.select(table).where(table.account == incoming.account, table.bank_bin == incoming.bank_bin)
    found = (await tx.execute(query.order_by(table.id).limit(100))).scalars()
    return [one for one in found if me.may(REPORTERS, one.path)]


async def _take(
    tx: AsyncSession,
    payees: Sequence[Payee],
    businesses: Sequence[Business],
    rows: Sequence[Incoming],
    source: str,
) -> list[BankNotice]:
    codes = {row: code_in(row.description) for row in rows}
    charges = await charges_named(tx, set(codes.values()) - {""}, lock=True)
    ours = {payee.id for payee in payees}
    tests = {one.code: one for one in businesses}
    kept, new = await _keep(
        tx, rows, source, payees[0].id if payees else None, businesses[0].id if businesses else None
    )
    paid: dict[tuple[str, int], set[uuid.UUID]] = {}
    for row in rows:
        notice, charge = kept[row.transaction_id], charges.get(codes[row])
        if row.transaction_id not in new:
            continue
        if charge is not None and charge.payee_id in ours:
            notice.payee_id, notice.charge_id, notice.business_id = charge.payee_id, charge.id, None
            notice.state = charge.receive(row.amount, row.paid_at).value
            spot = charge.payee.commune, telling.year_of(charge.paid_at or row.paid_at)
            paid.setdefault(spot, set()).add(charge.household_id)
        elif codes[row] in tests:
            notice.business_id, notice.state = tests[codes[row]].id, NoticeState.TEST.value
            await _proven(tx, tests[codes[row]], row)
    for (commune, year), households in sorted(paid.items()):
        await telling.begin_year(tx, commune, year)
        await telling.tell(tx, sorted(households), year)
    return [kept[row.transaction_id] for row in rows]


async def _keep(
    tx: AsyncSession, rows: Sequence[Incoming], source: str, payee: uuid.UUID | None, business: uuid.UUID | None
) -> tuple[dict[str, BankNotice], set[str]]:
    """The notices of one account's transactions by their ids, and which of them are new; raises NoticeDiffers.

    They begin as money of unknown purpose. Who comes second with a transaction waits for the first and finds its row.
    """
    whose = {"payee_id": payee, "business_id": None if payee else business, "source": source}
    said = {"state": NoticeState.UNKNOWN.value, "received_at": now(), "refunded": 0, "refund_reason": "", **whose}
    kept: dict[str, BankNotice] = {}
    new: set[str] = set()
    ordered = sorted(rows, key=lambda one: one.transaction_id)
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        insertion = insert(BankNotice).values([{"id": new_id(), **vars(row), **said} for row in some])
        once = insertion.on_conflict_do_nothing(constraint="uq_bank_notice_transaction")
        new |= set((await tx.execute(once.returning(BankNotice.transaction_id))).scalars())
        query = sa.select(BankNotice).where(
            BankNotice.bank_bin == some[0].bank_bin,
            BankNotice.account == some[0].account,
            BankNotice.transaction_id.in_([row.transaction_id for row in some]),
        )
        kept |= {one.transaction_id: one for one in (await tx.execute(query)).scalars()}
    for row in ordered:
        # A statement words purpose and time of a transaction otherwise than the bank's program; the amount is the same.
        if kept[row.transaction_id].amount != row.amount:
            raise NoticeDiffers(transaction=row.transaction_id)
    return kept, new


async def _proven(tx: AsyncSession, business: Business, row: Incoming) -> None:
    """A test payment arrived: the business can be paid by VietQR since that day, if nothing was known before."""
    await tx.refresh(business, with_for_update=True)
    if business.online_since is None and business.ended_on is None:
        business.means, business.online_since = BusinessMeans.VIETQR.value, row.paid_at.astimezone(VIETNAM).date()
        await tx.flush()
        await telling.business_changed(tx, business)


async def refund(tx: AsyncSession, me: Principal, notice_id: uuid.UUID, amount: int, reason: str) -> BankNotice:
    """Staff gave money back, with a reason; a charge that is short of it is open again. Raises AlreadyRefunded."""
    seen = await queries.notice(tx, me, notice_id, change=True)
    charge = await queries.charge(tx, me, seen.charge_id, change=True, lock=True) if seen.charge_id else None
    notice = await tx.get(BankNotice, notice_id, with_for_update=True, populate_existing=True)
    if notice is None or notice.refunded:
        raise AlreadyRefunded()
    if amount > notice.amount:
        raise Invalid(field="amount", message_="Không hoàn trả nhiều hơn số tiền đã nhận.")
    notice.refunded, notice.refund_reason, notice.refunded_at = amount, reason, now()
    unit = ""
    if notice.payee_id is not None:
        unit = (await queries.payee(tx, me, notice.payee_id)).unit
    await audit.record(tx, me, "notice.refunded", str(notice.id), unit, {"amount": amount, "reason": reason})
    if charge is not None and notice.state in COUNTED:
        year = telling.year_of(charge.paid_at or notice.paid_at)
        charge.give_back(amount)
        await telling.tell(tx, [charge.household_id], year)
    return notice
