"""Owns what becomes of money the bank reports: matched with its charge once, kept whatever it is, given back by staff.

Locks are taken in one order, charges by id before notices by transaction before households, so that a statement of
thousands of rows and a bank's own program never wait for each other in a circle.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
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
    PLACEABLE,
    TEST_MARK,
    AlreadyRefunded,
    BankNotice,
    Business,
    BusinessMeans,
    Charge,
    ChargeNotOpen,
    ChargeState,
    NoticeDiffers,
    NoticePlaced,
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
_CODE = re.compile(rf"(?=({CHARGE_MARK}|{TEST_MARK})([{ALPHABET}OIL]{{8}}))")
_MISREAD = str.maketrans("OIL", "011")
"""Letters that no code has, as a hand writes them for digits."""


@dataclass(frozen=True)
class Incoming:
    """Money that arrived on an account: đồng, and what the payer's bank wrote as its purpose."""

    bank_bin: str
    account: str
    transaction_id: str
    amount: int
    description: str
    paid_at: datetime


def codes_in(description: str) -> list[str]:
    """What may be a charge's or a test payment's code in what a bank wrote: it changes case and spaces, adds words."""
    found = _CODE.finditer(re.sub(r"[^0-9A-Z]", "", description.upper()))
    return [one[1] + one[2].translate(_MISREAD) for one in found]


async def receive(tx: AsyncSession, me: Principal, incoming: Incoming) -> BankNotice:
    """One notice of a bank's program; a repeated one gets the first answer, where its purpose was known then.

    Raises UnknownAccount, NoticeDiffers.
    """
    if me.kind == "partner":
        me.require_scope(SCOPE)
    if incoming.paid_at > now() + SKEW:
        raise Invalid(field="paid_at", message_="Giờ này chưa tới.")
    payees = await _owners(tx, me, Payee, incoming)
    # Only the bank's own word proves that a business takes VietQR; staff write down what else shows it.
    businesses = await _owners(tx, me, Business, incoming) if me.kind == "partner" else []
    codes = codes_in(incoming.description)
    # What else comes in on the account of a business is its own affair and is not kept.
    if not payees and not any(one.code in codes for one in businesses):
        # A code of a charge that went to another account, such as the one its payee had before: staff look after it.
        named = await charges_named(tx, codes)
        payees = [one.payee for one in named.values() if me.may(REPORTERS, one.payee.path)][:1]
        if not payees:
            raise UnknownAccount()
    source = "bank" if me.kind == "partner" else "staff"
    (kept,) = await _take(tx, payees, businesses, [incoming], source)
    return kept


async def take_statement(
    tx: AsyncSession, me: Principal, payee_id: uuid.UUID, rows: Sequence[Incoming]
) -> list[BankNotice]:
    """A statement of a payee's account, all or nothing; what was settled before stays. Raises NoticeDiffers."""
    payee = await queries.payee(tx, me, payee_id, change=True)
    kept = await _take(tx, await _sharing(tx, me, payee), [], rows, "statement")
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


async def unclear(tx: AsyncSession, me: Principal, payee: Payee, rows: Sequence[Incoming]) -> int:
    """How many rows of a statement of the payee's account name no charge that is paid to it."""
    charges = await charges_named(tx, {code for row in rows for code in codes_in(row.description)})
    ours = {one.id for one in await _sharing(tx, me, payee)}
    return sum(_owed(row, charges, ours) is None for row in rows)


async def charges_named(tx: AsyncSession, codes: Collection[str], *, lock: bool = False) -> dict[str, Charge]:
    """The charges with these codes, with their payees."""
    query = sa.select(Charge).where(Charge.code.in_(codes)).order_by(Charge.id)
    if lock:
        await tx.execute(query.with_only_columns(Charge.id).with_for_update())
    whole = query.options(joinedload(Charge.payee)).execution_options(populate_existing=True)
    return {one.code: one for one in (await tx.execute(whole)).scalars()}


async def _owners(tx: AsyncSession, me: Principal, table: type[Owner], at: Incoming | Payee) -> list[Owner]:
    """Whose account it is, of those that `me` may report to, the oldest first; one may collect in every commune."""
    query = sa.select(table).where(table.account == at.account, table.bank_bin == at.bank_bin)
    found = (await tx.execute(query.order_by(table.id))).scalars()
    return [one for one in found if me.may(REPORTERS, one.path)]


async def _sharing(tx: AsyncSession, me: Principal, payee: Payee) -> list[Payee]:
    """The payee, then the others that collect to the same account, such as of water beside waste."""
    return [payee, *(one for one in await _owners(tx, me, Payee, payee) if one.id != payee.id)]


def _owed(row: Incoming, charges: Mapping[str, Charge], ours: Collection[uuid.UUID]) -> Charge | None:
    """The charge that a transfer names, of one of our payees, to whose account it went."""
    for code in codes_in(row.description):
        charge = charges.get(code)
        if charge is not None and charge.payee_id in ours:
            payee = charge.payee
            return charge if (payee.bank_bin, payee.account) == (row.bank_bin, row.account) else None
    return None


async def _take(
    tx: AsyncSession,
    payees: Sequence[Payee],
    businesses: Sequence[Business],
    rows: Sequence[Incoming],
    source: str,
) -> list[BankNotice]:
    charges = await charges_named(tx, {code for row in rows for code in codes_in(row.description)}, lock=True)
    ours = {payee.id for payee in payees}
    tests = {one.code: one for one in businesses}
    kept, new = await _keep(
        tx, rows, source, payees[0].id if payees else None, businesses[0].id if businesses else None
    )
    paid: dict[tuple[str, int], set[uuid.UUID]] = {}
    for row in rows:
        if row.transaction_id not in new:
            continue
        notice, charge = kept[row.transaction_id], _owed(row, charges, ours)
        business = next((tests[code] for code in codes_in(row.description) if code in tests), None)
        if charge is not None:
            notice.payee_id, notice.charge_id, notice.business_id = charge.payee_id, charge.id, None
            notice.state = charge.receive(row.amount, row.paid_at).value
            spot = charge.payee.commune, telling.year_of(charge.paid_at or row.paid_at)
            paid.setdefault(spot, set()).add(charge.household_id)
        elif business is not None:
            notice.business_id, notice.state = business.id, NoticeState.TEST.value
            await _proven(tx, business, row)
    for (commune, year), households in sorted(paid.items()):
        await telling.begin_year(tx, commune, year)
        await telling.tell(tx, sorted(households), year)
    return [kept[row.transaction_id] for row in rows]


async def _keep(
    tx: AsyncSession, rows: Sequence[Incoming], source: str, payee: uuid.UUID | None, business: uuid.UUID | None
) -> tuple[dict[str, BankNotice], set[str]]:
    """The notices of one account's transactions by their ids, and which of them wait for their purpose.

    They begin as money of unknown purpose, and wait until somebody reports them who may see what they are for. Who
    comes second with a transaction waits for the first and finds its row. Raises NoticeDiffers.
    """
    whose = {"payee_id": payee, "business_id": None if payee else business, "source": source}
    said = {"state": NoticeState.UNKNOWN.value, "received_at": now(), "refunded": 0, "refund_reason": "", **whose}
    kept: dict[str, BankNotice] = {}
    ordered = sorted(rows, key=lambda one: one.transaction_id)
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        insertion = insert(BankNotice).values([{"id": new_id(), **vars(row), **said} for row in some])
        once = insertion.on_conflict_do_nothing(constraint="uq_bank_notice_transaction")
        await tx.execute(once)
        query = sa.select(BankNotice).where(
            BankNotice.bank_bin == some[0].bank_bin,
            BankNotice.account == some[0].account,
            BankNotice.transaction_id.in_([row.transaction_id for row in some]),
        )
        query = query.order_by(BankNotice.transaction_id).with_for_update()
        found = await tx.execute(query.execution_options(populate_existing=True))
        kept |= {one.transaction_id: one for one in found.scalars()}
    for row in ordered:
        # A statement words purpose and time of a transaction otherwise than the bank's program; the amount is the same.
        if kept[row.transaction_id].amount != row.amount:
            raise NoticeDiffers(transaction=row.transaction_id)
    unknown = (one for one in kept.values() if one.state == NoticeState.UNKNOWN and not one.refunded)
    return kept, {one.transaction_id for one in unknown}


async def _proven(tx: AsyncSession, business: Business, row: Incoming) -> None:
    """A test payment arrived: the business can be paid by VietQR since that day, if nothing was known before."""
    await tx.refresh(business, with_for_update=True)
    if business.online_since is None and business.ended_on is None:
        business.means, business.online_since = BusinessMeans.VIETQR.value, row.paid_at.astimezone(VIETNAM).date()
        await tx.flush()
        await telling.business_changed(tx, business)


async def refund(tx: AsyncSession, me: Principal, notice_id: uuid.UUID, amount: int, reason: str) -> BankNotice:
    """Staff gave money back, with a reason; a charge that is short of it is open again. Raises AlreadyRefunded."""
    charge_id = (await queries.notice(tx, me, notice_id, change=True)).charge_id
    charge = await queries.charge(tx, me, charge_id, change=True, lock=True) if charge_id else None
    notice = await tx.get(BankNotice, notice_id, with_for_update=True, populate_existing=True)
    if notice is None or notice.refunded:
        raise AlreadyRefunded()
    if notice.charge_id != charge_id:
        raise NoticePlaced()
    if amount > notice.amount:
        raise Invalid(field="amount", message_="Không hoàn trả nhiều hơn số tiền đã nhận.")
    notice.refunded, notice.refund_reason, notice.refunded_at = amount, reason, now()
    unit = ""
    if notice.payee_id is not None:
        unit = (await queries.payee(tx, me, notice.payee_id)).unit
    await audit.record(tx, me, "notice.refunded", str(notice.id), unit, {"amount": amount})
    if charge is not None and notice.state in COUNTED:
        year = telling.year_of(charge.paid_at or notice.paid_at)
        charge.give_back(amount)
        await telling.tell(tx, [charge.household_id], year)
    return notice


async def place(tx: AsyncSession, me: Principal, notice_id: uuid.UUID, code: str) -> BankNotice:
    """Staff know which open charge money is for that waits: it counts towards that one, as if it had named it.

    Raises Invalid, ChargeNotOpen, NoticePlaced.
    """
    await queries.notice(tx, me, notice_id, change=True)
    named = (await charges_named(tx, codes_in(code), lock=True)).values()
    charge = next((one for one in named if me.may(STAFF, one.payee.path)), None)
    if charge is None:
        raise Invalid(field="code", message_="Không có khoản thu nào của xã mang mã này.")
    if charge.state != ChargeState.OPEN:
        raise ChargeNotOpen(field="code")
    notice = await tx.get(BankNotice, notice_id, with_for_update=True, populate_existing=True)
    if notice is None or notice.state not in PLACEABLE or notice.refunded:
        raise NoticePlaced()
    notice.payee_id, notice.charge_id = charge.payee_id, charge.id
    notice.state = charge.receive(notice.amount, notice.paid_at).value
    await audit.record(tx, me, "notice.placed", str(notice.id), charge.payee.unit, {"charge": str(charge.id)})
    year = telling.year_of(charge.paid_at or notice.paid_at)
    await telling.begin_year(tx, charge.payee.commune, year)
    await telling.tell(tx, [charge.household_id], year)
    return notice
